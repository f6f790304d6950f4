// Feeding a Stream: parse, call the engine, build the reply.

#include "kyoto/protocol/core.h"

#include <chrono>

#include "kyoto/protocol/http.h"

namespace kt {

namespace {

constexpr uint8_t REPLICATION = 0xB1;
constexpr uint8_t PLAY_SCRIPT = 0xB4;
constexpr uint8_t SET_BULK = 0xB8;
constexpr uint8_t REMOVE_BULK = 0xB9;
constexpr uint8_t GET_BULK = 0xBA;
constexpr uint8_t FAILED = 0xBF;

constexpr uint32_t NO_REPLY = 1;
constexpr size_t COMMAND_HEADER = 9;
constexpr size_t SET_HEADER = 18;
constexpr size_t KEY_HEADER = 6;
constexpr uint32_t LARGEST = 1 << 28;
constexpr size_t LONG = 1 << 20;  // a record that takes as long as many others

// What one call of feed() does at most, apart from the record that goes beyond it.
constexpr std::chrono::milliseconds TIME_AT_ONCE{2};
constexpr size_t REPLY_AT_ONCE = 256 << 10;

bool is_http(uint8_t first) { return first != 0 && first < 0x80; }

class Setter final : public RecordVisitor {
 public:
  void aim(Bytes value, int64_t xt) {
    value_ = value;
    xt_ = xt;
  }

 private:
  Change on_record(Bytes, Bytes, int64_t) override { return Change::store(value_, xt_); }
  Change on_absence(Bytes) override { return Change::store(value_, xt_); }

  Bytes value_;
  int64_t xt_ = NEVER;
};

class Remover final : public RecordVisitor {
 public:
  bool found = false;

 private:
  Change on_record(Bytes, Bytes, int64_t) override {
    found = true;
    return Change::remove();
  }
  Change on_absence(Bytes) override { return Change::remove(); }
};

// Writes what it finds into the reply.
class Getter final : public RecordVisitor {
 public:
  explicit Getter(Buffer& reply) : reply_(reply) {}

  bool found = false;

  // How much room a large value needs, for which the memory is to be there before.
  size_t missing() const { return missing_; }

  void aim(uint16_t database, Bytes key) {
    found = false;
    database_ = database;
    key_ = key;
  }

 private:
  Change on_record(Bytes, Bytes value, int64_t xt) override {
    missing_ = SET_HEADER + key_.size() + value.size();
    if (leaves(value.size())) return Change::keep();
    if (value.size() > LARGE && reply_.room() < missing_) return leave();
    char* at = reply_.extend(SET_HEADER + key_.size() + value.size());
    store_big_endian(at, 2, database_);
    store_big_endian(at + 2, 4, key_.size());
    store_big_endian(at + 6, 4, value.size());
    store_big_endian(at + 10, 8, static_cast<uint64_t>(xt));
    std::memcpy(at + SET_HEADER, key_.data(), key_.size());
    std::memcpy(at + SET_HEADER + key_.size(), value.data(), value.size());
    found = true;
    return Change::keep();
  }

  Buffer& reply_;
  uint16_t database_ = 0;
  Bytes key_;
  size_t missing_ = 0;
};

// What the thread writes while an active one exists, nobody waits for.
class Unawaited {
 public:
  explicit Unawaited(bool active) : active_(active), before_(active ? Written::take() : 0) {}
  ~Unawaited() {
    if (!active_) return;
    Written::take();
    before_ == Written::HELD ? Written::hold(&SOMEBODY) : Written::note(before_);
  }
  Unawaited(const Unawaited&) = delete;
  Unawaited& operator=(const Unawaited&) = delete;

 private:
  static constexpr char SOMEBODY = 0;

  const bool active_;
  const uint64_t before_;
};

}  // namespace

// A record of any of the commands; value and expiry belong to set.
struct Stream::Record {
  uint16_t database;
  Bytes key;
  Bytes value;
  int64_t xt;
};

// One call of feed(): one look at the clock, one database entered at a time, the same visitors for
// all records.
class Stream::Run {
 public:
  using Clock = Times::Clock;

  Run(Core& core, Buffer& reply, Clock::time_point began)
      : getter(reply), core_(core), now_(std::time(nullptr)), began_(began) {}
  ~Run() {
    leave();
    core_.add(counts);
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  Setter setter;
  Remover remover;
  Getter getter;
  Counts counts;

  // Whether others should have their turn; looks at the clock now and then. `passed` are the bytes
  // read and written, from anywhere on.
  bool spent(size_t passed) {
    if ((++asked_ & 31) != 0 && passed - looked_at_ < LONG) return false;
    looked_at_ = passed;
    return Clock::now() - began_ > TIME_AT_ONCE;
  }

  bool enter(uint16_t index) {
    if (index >= core_.databases.size()) return false;
    if (core_.databases[index] == database_) return true;
    leave();
    database_ = core_.databases[index];
    entry_.emplace(*database_);
    return true;
  }

  bool visit(Bytes key, RecordVisitor& visitor, bool writable) {
    if (try_visit(key, visitor, writable)) return true;
    return visitor.failure() == NO_ROOM && make_room() && try_visit(key, visitor, writable);
  }

  bool serve(const PlainRequest& request, Buffer* reply) {
    leave();
    if (stamp_.empty()) stamp_ = core_.present_stamp();
    if (stamp_.empty()) return false;
    return serve_plain_request(request, core_.databases, stamp_, reply, &counts);
  }

  void leave() {
    entry_.reset();
    if (writes_ > 0) database_->after_writes(writes_);
    writes_ = 0;
    database_ = nullptr;
  }

 private:
  bool make_room() {
    entry_.reset();
    const bool made = database_->make_room();
    entry_.emplace(*database_);
    return made;
  }

  bool try_visit(Bytes key, RecordVisitor& visitor, bool writable) {
    Journal& journal = database_->journal();
    if (writable && database_->refuses_writes()) return false;
    if (writable && journal.must_admit() && failed(journal.admit())) return false;
    visitor.begin(database_->terms_at(now_));
    if (writable) writes_++;
    kc::BasicDB* const engine = entry_->engine().reveal_inner_db();  // one call less a record
    if (engine == nullptr) return false;
    const bool done = engine->accept(key.data(), key.size(), &visitor, writable);
    if (!done && visitor.told()) journal.correct(entry_->engine(), key);
    return done && visitor.failure() == nullptr && !(writable && database_->refuses_writes());
  }

  Core& core_;
  const int64_t now_;
  const Clock::time_point began_;
  unsigned asked_ = 0;
  size_t looked_at_ = 0;
  Database* database_ = nullptr;
  std::optional<Entry> entry_;
  int64_t writes_ = 0;
  std::string stamp_;
};

void Core::add(const Counts& more) {
  std::lock_guard<std::mutex> guard(lock);
  counts.set += more.set;
  counts.set_misses += more.set_misses;
  counts.remove += more.remove;
  counts.remove_misses += more.remove_misses;
  counts.get += more.get;
  counts.get_misses += more.get_misses;
  counts.answered += more.answered;
  for (size_t i = 0; i < COMMANDS; i++) counts.commands[i] += more.commands[i];
}

Counts Core::present_counts() {
  std::lock_guard<std::mutex> guard(lock);
  return counts;
}

std::string Core::present_stamp() {
  std::lock_guard<std::mutex> guard(lock);
  return stamp;
}

void Core::set_stamp(Bytes lines) {
  std::lock_guard<std::mutex> guard(lock);
  stamp = lines;
}

bool Core::settle() { return databases.empty() || !failed(databases[0]->journal().settle()); }

State Stream::feed(const char* data, size_t size, size_t* consumed) {
  const bool in_http = remaining_ == 0 && size > 0 && is_http(static_cast<uint8_t>(data[0]));
  Bytes input(data, size);
  const State state = run(&input);
  *consumed = size - input.size();
  return LogBatch::used() && !core_.settle() ? fail_all(in_http) : state;
}

// `feed`, and nothing is settled.
State Stream::run(Bytes* input) {
  const auto began = Times::Clock::now();
  const State state = serve(input, began);
  if (core_.timed && answered_ > 0) core_.times.add(Times::Clock::now() - began, answered_);
  return state;
}

State Stream::serve(Bytes* input, Times::Clock::time_point began) {
  LogBatch batch;
  Run run(core_, reply_, began);
  std::optional<State> stopped;
  while (!stopped) {
    if (complete_ > REPLY_AT_ONCE) {
      stopped = State::AGAIN;
    } else {
      stopped = remaining_ > 0 ? run_records(run, input) : run_command(run, input);
    }
  }
  answered_ = run.counts.answered;
  return *stopped;
}

Servant::Step Stream::step(Bytes input) {
  Hurry hurry;
  size_t consumed = 0;
  State state;
  const bool owes = core_.owes;
  leaves_writes_ = core_.leaves_writes;
  if (owes) {
    Bytes left = input;
    state = run(&left);
    consumed = input.size() - left.size();
  } else {
    state = feed(input.data(), input.size(), &consumed);
  }
  leaves_writes_ = false;
  const Verdict verdict = state == State::MORE    ? Verdict::MORE
                          : state == State::AGAIN ? Verdict::AGAIN
                                                  : Verdict::LEAVE;
  return {verdict, static_cast<int>(state), consumed, 1, reply(), owes && LogBatch::used()};
}

// Nothing, if there may be more to do.
std::optional<State> Stream::run_command(Run& run, Bytes* input) {
  if (input->empty()) return State::MORE;
  const uint8_t magic = static_cast<uint8_t>(input->front());
  if (is_http(magic)) return run_http(run, input);
  if (magic == PLAY_SCRIPT || magic == REPLICATION) return State::COMMAND;
  if (magic != SET_BULK && magic != REMOVE_BULK && magic != GET_BULK) return State::CLOSE;
  if (leaves_writes_ && magic != GET_BULK) return State::COMMAND;
  if (input->size() < COMMAND_HEADER) return State::MORE;
  if (run.spent(reply_.size())) return State::AGAIN;
  begin_command(input->data());
  input->remove_prefix(COMMAND_HEADER);
  const bool may = command_ == GET_BULK ? reads_ : writes_;
  if (remaining_ > 0 && !may) return fail();
  if (remaining_ == 0) end_command(run);
  return {};
}

std::optional<State> Stream::run_http(Run& run, Bytes* input) {
  if (!reads_ || !writes_) return State::HTTP;
  const std::optional<PlainRequest> request = read_plain_request(*input);
  if (!request || (leaves_writes_ && !request->only_reads())) return State::HTTP;
  if (run.spent(reply_.size())) return State::AGAIN;
  if (!run.serve(*request, &reply_)) return State::HTTP;
  input->remove_prefix(request->size);
  complete_ = reply_.size();
  return {};
}

std::optional<State> Stream::run_records(Run& run, Bytes* input) {
  const bool sets = command_ == SET_BULK;
  if (leaves_writes_ && command_ != GET_BULK) return State::COMMAND;
  const size_t header = sets ? SET_HEADER : KEY_HEADER;
  Unawaited unawaited(silent_);
  for (; remaining_ > 0; remaining_--) {
    if (input->size() < header) return State::MORE;
    if (run.spent(reply_.size() - input->size())) return State::AGAIN;
    const char* at = input->data();
    const uint32_t key_size = load32(at + 2);
    const uint32_t value_size = sets ? load32(at + 6) : 0;
    if (key_size > LARGEST || value_size > LARGEST) return fail();
    const size_t size = header + key_size + value_size;
    if (input->size() < size) return State::MORE;
    if (value_size > LARGE && hurries) return State::LARGE;
    Record record{load16(at), Bytes(at + header, key_size),
                  Bytes(at + header + key_size, value_size),
                  sets ? static_cast<int64_t>(load64(at + 10)) : NEVER};
    if (run.enter(record.database) && !run_record(run, record)) {
      return run.getter.failure() == TOO_LARGE ? State::LARGE : fail();
    }
    input->remove_prefix(size);
  }
  end_command(run);
  return {};
}

bool Stream::run_record(Run& run, const Record& record) {
  if (command_ == SET_BULK) {
    if (record.value.size() > LARGE) {
      run.leave();
      run.setter.find_memory(record.value.size());
      run.enter(record.database);
    }
    run.setter.aim(record.value, record.xt);
    bool done = run.visit(record.key, run.setter, true);
    run.counts.set++;
    done ? hits_++ : run.counts.set_misses++;
    return done;
  }
  if (command_ == REMOVE_BULK) {
    run.remover.found = false;
    bool done = run.visit(record.key, run.remover, true);
    run.counts.remove++;
    run.remover.found ? hits_++ : run.counts.remove_misses++;
    return done;
  }
  run.getter.aim(record.database, record.key);
  bool done = run.visit(record.key, run.getter, false);
  if (run.getter.failure() == TOO_LARGE) {
    if (hurries) return false;
    run.leave();
    reply_.reserve(run.getter.missing());
    run.enter(record.database);
    done = run.visit(record.key, run.getter, false);
  }
  run.counts.get++;
  run.getter.found ? hits_++ : run.counts.get_misses++;
  return done && reply_.size() - complete_ <= core_.reply_limit;
}

void Stream::begin_command(const char* header) {
  command_ = static_cast<uint8_t>(header[0]);
  silent_ = (load32(header + 1) & NO_REPLY) != 0 && command_ != GET_BULK;
  remaining_ = load32(header + 5);
  hits_ = 0;
  if (command_ != GET_BULK) return;
  reply_.put8(command_);
  reply_.put32(0);
}

void Stream::end_command(Run& run) {
  run.counts.answer(command_ == SET_BULK      ? BINARY_SET_BULK
                    : command_ == REMOVE_BULK ? BINARY_REMOVE_BULK
                                              : BINARY_GET_BULK);
  if (command_ == GET_BULK) {
    reply_.patch32(complete_ + 1, hits_);
  } else if (!silent_) {
    reply_.put8(command_);
    reply_.put32(hits_);
  }
  complete_ = reply_.size();
  if (core_.trace) traced_.push_back(static_cast<char>(command_));
}

// Gives up the command: its reply becomes an error.
State Stream::fail() {
  reply_.truncate(complete_);
  if (!silent_) reply_.put8(FAILED);
  complete_ = reply_.size();
  remaining_ = 0;
  if (core_.trace) traced_.push_back(static_cast<char>(FAILED));
  return State::CLOSE;
}

// What has been done could not be logged, so none of it is acknowledged.
State Stream::fail_all(bool in_http) {
  const bool owed = complete_ > 0;
  reply_.clear();
  if (owed && in_http) {
    const Bytes reply = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";
    reply_.append(reply.data(), reply.size());
  } else if (owed) {
    reply_.put8(FAILED);
  }
  complete_ = reply_.size();
  remaining_ = 0;
  if (core_.trace) traced_.push_back(static_cast<char>(FAILED));
  return State::CLOSE;
}

void Stream::finish() {
  if (remaining_ > 0) fail();
}

void Stream::drop_reply() {
  reply_.discard(complete_);
  complete_ = 0;
}

void Stream::take_reply(Buffer* into) {
  const size_t begun = reply_.size() - complete_;  // of the command under way, and short
  into->swap(reply_);
  reply_.append(into->data() + complete_, begun);
  into->truncate(std::exchange(complete_, 0));
}

}  // namespace kt
