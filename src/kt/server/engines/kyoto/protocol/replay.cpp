#include "kyoto/protocol/replay.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include "kyoto/upkeep/maintenance.h"

namespace kt {

namespace {

constexpr uint8_t CHANGE = 0xB1;
constexpr uint8_t BEAT = 0xB0;
constexpr size_t BEAT_SIZE = 9;
constexpr size_t CHANGE_HEAD = 13;
constexpr size_t MESSAGE_HEAD = 5;
constexpr uint32_t LONGEST = (1u << 29) + 64;  // a key and a value of the largest size

constexpr uint8_t SET = 0xA1;
constexpr uint8_t REMOVE = 0xA2;
constexpr uint8_t CLEAR = 0xA5;
constexpr uint8_t BEHIND = 0xE1;
constexpr size_t BEHIND_SIZE = 16;

constexpr std::chrono::milliseconds TIME_AT_ONCE{1};

// Takes a number off the begin of `bytes`; false if there is none.
bool take_number(Bytes* bytes, uint64_t* number) {
  const size_t size = kc::readvarnum(bytes->data(), bytes->size(), number);
  bytes->remove_prefix(size);
  return size > 0;
}

class Putter final : public RecordVisitor {
 public:
  // False if `stored` should begin with an expiry, and does not.
  bool aim(Bytes stored, bool timed) {
    value_ = stored;
    xt_ = NEVER;
    if (!timed) return true;
    if (stored.size() < XT_WIDTH) return false;
    value_.remove_prefix(XT_WIDTH);
    const int64_t expiry = load_expiry(stored.data());
    // As given: what is negative is since the epoch, and 0 would be now.
    if (expiry < XT_MAX) xt_ = -std::max<int64_t>(expiry, 1);
    return true;
  }

 private:
  Change on_record(Bytes, Bytes, int64_t) override { return Change::store(value_, xt_); }
  Change on_absence(Bytes) override { return Change::store(value_, xt_); }

  Bytes value_;
  int64_t xt_ = NEVER;
};

class Eraser final : public RecordVisitor {
 private:
  Change on_record(Bytes, Bytes, int64_t) override { return Change::remove(); }
  Change on_absence(Bytes) override { return Change::remove(); }
};

}  // namespace

struct Replay::Message {
  uint16_t server = 0;
  uint16_t database = 0;
  uint8_t what = 0;
  Bytes key;
  Bytes stored;  // of what is none of these three: all that follows

  // False if it is none.
  bool read(Bytes bytes) {
    if (bytes.size() < MESSAGE_HEAD) return false;
    server = load16(bytes.data());
    database = load16(bytes.data() + 2);
    what = static_cast<uint8_t>(bytes[4]);
    bytes.remove_prefix(MESSAGE_HEAD);
    if (what == CLEAR) return bytes.empty();
    if (what != SET && what != REMOVE) {
      stored = bytes;
      return true;
    }
    uint64_t key_size = 0;
    uint64_t size = 0;
    if (!take_number(&bytes, &key_size) || (what == SET && !take_number(&bytes, &size))) return false;
    if (key_size > bytes.size() || size != bytes.size() - key_size) return false;
    key = bytes.substr(0, key_size);
    stored = bytes.substr(key_size);
    return true;
  }
};

// One call of apply(): one database entered at a time.
class Replay::Run {
 public:
  Run() : began_(Clock::now()) {}
  ~Run() { leave(); }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  Putter putter;
  Eraser eraser;

  bool spent() { return (++asked_ & 31) == 0 && Clock::now() - began_ > TIME_AT_ONCE; }

  void enter(Database* database) {
    if (database == database_) return;
    leave();
    database_ = database;
    entry_.emplace(*database);
  }

  void leave() {
    entry_.reset();
    if (writes_ > 0) database_->after_writes(writes_);
    writes_ = 0;
    database_ = nullptr;
  }

  void give_way() {
    Database* database = database_;
    leave();
    if (database != nullptr) database->gate().give_way();
  }

  Error visit(Bytes key, RecordVisitor& visitor) {
    if (database_->refuses_writes()) return no_room();
    Error error = database_->journal().admit();
    if (failed(error)) return error;
    visitor.begin(database_->terms());
    writes_++;
    kc::PolyDB& engine = entry_->engine();
    if (!engine.accept(key.data(), key.size(), &visitor, true)) {
      error = engine.error();
      if (visitor.told()) database_->journal().correct(engine, key);
      return error;
    }
    if (visitor.failure() != nullptr) return failure_of(visitor);
    return database_->refuses_writes() ? no_room() : succeeded();
  }

 private:
  using Clock = std::chrono::steady_clock;

  const Clock::time_point began_;
  unsigned asked_ = 0;
  Database* database_ = nullptr;
  std::optional<Entry> entry_;
  int64_t writes_ = 0;
};

Replay::State Replay::apply(const char* data, size_t size, size_t* consumed) {
  const uint64_t before = stamp_;
  Bytes input(data, size);
  State state = serve(&input);
  *consumed = size - input.size();
  if (LogBatch::used()) {
    const Error error = databases_[0]->journal().settle();
    if (failed(error)) {
      stamp_ = before;
      state = refused(error);
    }
  }
  return state;
}

Replay::State Replay::serve(Bytes* input) {
  LogBatch batch;
  Run run;
  while (!input->empty()) {
    const char* at = input->data();
    const uint8_t magic = static_cast<uint8_t>(*at);
    if (magic != BEAT && magic != CHANGE) {
      return broken("byte " + std::to_string(magic) + " begins no message");
    }
    const size_t head = magic == BEAT ? BEAT_SIZE : CHANGE_HEAD;
    if (input->size() < head) return State::MORE;
    const uint32_t size = magic == BEAT ? 0 : load32(at + BEAT_SIZE);
    if (size > LONGEST) return broken("a message of " + std::to_string(size) + " bytes is too long");
    if (input->size() < head + size) return State::MORE;
    if (run.spent()) {
      run.give_way();
      return State::AGAIN;
    }
    if (size > 0) {
      Message message;
      if (!message.read(input->substr(head, size))) return broken("a change cannot be read");
      const State state = passes_over(message, load64(at + 1)) ? State::MORE : change(run, message);
      if (state != State::MORE) return state;
    }
    stamp_ = std::max(stamp_, load64(at + 1));
    input->remove_prefix(head + size);
    if (magic == BEAT) return State::BEAT;
    read_++;
  }
  return State::MORE;
}

// Whether it is one of ours that is not to be applied.
bool Replay::passes_over(const Message& message, uint64_t stamp) const {
  if (message.server != server_) return false;
  return stamp > own_.until || message.database >= own_.whole.size() || !own_.whole[message.database];
}

// Under which number it goes into our log. What we are sent back must not go to the master again.
uint16_t Replay::maker(const Message& message) const {
  return message.server == server_ ? own_.master : message.server;
}

// MORE if it is done.
Replay::State Replay::change(Run& run, const Message& message) {
  if (message.what == BEHIND && message.stored.size() == BEHIND_SIZE) {
    behind_ = {true, load64(message.stored.data()), load64(message.stored.data() + 8)};
  }
  if (message.what != SET && message.what != REMOVE && message.what != CLEAR) return State::MORE;
  if (message.database >= databases_.size()) {
    unknown_.insert(message.database);
    return State::MORE;
  }
  if (message.what == CLEAR) return clear(run, message);
  if (message.stored.size() > LARGE) {
    run.leave();
    run.putter.find_memory(message.stored.size());
  }
  Database& database = *databases_[message.database];
  run.enter(&database);
  if (database.in_transaction()) return State::BUSY;
  MadeElsewhere elsewhere(maker(message));
  const bool stores = message.what == SET;
  if (stores && !run.putter.aim(message.stored, database.terms().timed)) {
    return broken("a value has no expiry: database " + std::to_string(message.database) +
                  " has ktopts=p there, and not here");
  }
  const Error error = stores ? run.visit(message.key, run.putter) : run.visit(message.key, run.eraser);
  if (failed(error)) return refused(error);
  applied_++;
  return State::MORE;
}

Replay::State Replay::clear(Run& run, const Message& message) {
  Database& database = *databases_[message.database];
  run.leave();
  if (database.in_transaction()) return State::BUSY;
  MadeElsewhere elsewhere(maker(message));
  const Error error = kt::clear(database);
  if (failed(error)) return refused(error);
  // One may have begun meanwhile, whose abort brings the records back: then once more.
  if (database.in_transaction()) return State::BUSY;
  if (!own_.whole.empty()) own_.whole[message.database] = true;
  applied_++;
  return State::MORE;
}

Replay::State Replay::broken(const std::string& why) {
  trouble_ = why;
  return State::BROKEN;
}

Replay::State Replay::refused(const Error& error) {
  trouble_ = std::string(error.name()) + ": " + error.message();
  return State::REFUSED;
}

}  // namespace kt
