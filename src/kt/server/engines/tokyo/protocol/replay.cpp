#include "tokyo/protocol/replay.h"

#include <climits>
#include <cmath>

#include "log/change_log.h"
#include "tokyo/protocol/numbers.h"

namespace kt::tokyo {

namespace {

constexpr char COMMAND = static_cast<char>(0xC9);
constexpr char BEAT = static_cast<char>(0xCA);
constexpr char MAGIC = static_cast<char>(0xC8);
constexpr size_t HEAD = 17;

enum Code : uint8_t {
  PUT = 0x10,
  PUTKEEP = 0x11,
  PUTCAT = 0x12,
  PUTSHL = 0x13,
  OUT = 0x20,
  ADDINT = 0x60,
  ADDDOUBLE = 0x61,
};

// Larger ones are left to the caller.
constexpr size_t LARGE_MESSAGE = 1 << 20;
constexpr size_t BATCH_COMMANDS = 1024;
// The file with so many marks fits into a page: it is written whole, or not at all.
constexpr size_t BATCH_MARKS = 500;

// It looks at the clock after so many commands.
constexpr size_t LOOK_EVERY = 16;

bool repeatable(uint8_t code) {
  return code == PUT || code == PUTKEEP || code == OUT;
}

uint32_t hash(Bytes bytes) {
  uint32_t hash = 2166136261u;  // FNV-1a
  for (const char byte : bytes) hash = (hash ^ static_cast<uint8_t>(byte)) * 16777619u;
  return hash;
}

void add32(std::string* to, uint32_t number) {
  char bytes[4];
  store_big_endian(bytes, sizeof bytes, number);
  to->append(bytes, sizeof bytes);
}

// Inside the gate.
void add_mark(Database* database, uint8_t code, Bytes key, std::string* to) {
  if (code == PUTCAT) {
    add32(to, static_cast<uint32_t>(database->vsiz(key)));
    add32(to, 0);
    return;
  }
  const Block value = database->get(key);
  add32(to, value ? static_cast<uint32_t>(value.bytes().size()) : UINT32_MAX);
  add32(to, value ? hash(value.bytes()) : 0);
}

// Of what is done meanwhile, the log is told where it comes from.
class OnBehalf {
 public:
  OnBehalf() = default;
  ~OnBehalf() { Journal::act_for({}); }
  OnBehalf(const OnBehalf&) = delete;
  OnBehalf& operator=(const OnBehalf&) = delete;
};

}  // namespace

std::string Replay::mark(Database* database, uint8_t code, Bytes key) {
  std::string mark;
  Gate::Turn turn(database->gate);
  add_mark(database, code, key, &mark);
  return mark;
}

// What the message says; false if it is none of ours, or does not fit.
bool Replay::read(Bytes message, Command* command) const {
  if (message.size() < 3 || message[0] != MAGIC) return false;
  command->code = static_cast<uint8_t>(message[1]);
  size_t numbers;
  bool with_value = false;
  switch (command->code) {
    case PUT:
    case PUTKEEP:
    case PUTCAT: numbers = 8, with_value = true; break;
    case PUTSHL: numbers = 12, with_value = true; break;
    case OUT: numbers = 4; break;
    case ADDINT: numbers = 8; break;
    case ADDDOUBLE: numbers = 20; break;
    default: return false;
  }
  const size_t header = 2 + numbers;
  if (message.size() < header + 1) return false;
  command->numbers = message.data() + 2;
  const size_t key = load32(command->numbers);
  const size_t value = with_value ? load32(command->numbers + 4) : 0;
  if (message.size() != header + key + value + 1) return false;
  if (static_cast<uint8_t>(message.back()) > 1) return false;
  if (command->code == PUTSHL && load32(command->numbers + 8) > INT_MAX) return false;
  command->failed = message.back() != 0;
  command->key = message.substr(header, key);
  command->value = message.substr(header + key, value);
  return true;
}

// What is next; BATCH: this command.
Replay::Next Replay::look(Bytes input, Command* command, size_t* size) const {
  if (input.empty()) return Next::MORE;
  if (input[0] == BEAT) return Next::BEAT;
  if (input[0] != COMMAND) return Next::OTHER;
  if (input.size() < HEAD) return Next::MORE;
  const char* at = input.data() + 1;
  command->stamp = load64(at);
  const uint32_t server = load32(at + 8), length = load32(at + 12);
  if (server == 0 || server > UINT16_MAX || command->stamp == 0 || length > LARGE_MESSAGE) {
    return Next::OTHER;
  }
  command->server = static_cast<uint16_t>(server);
  *size = HEAD + length;
  if (input.size() < *size) return Next::MORE;
  if (!read(input.substr(HEAD, length), command)) return Next::OTHER;
  const bool alone = numbered_ && !repeatable(command->code);
  return alone ? Next::OTHER : Next::BATCH;
}

// Whether the command may be done together with those before it.
bool Replay::joins(const Command& command) {
  const bool marked = !repeatable(command.code);
  if (batch_.size() >= BATCH_COMMANDS || marked_.count(command.key) > 0) return false;
  if (marked && (marked_.size() >= BATCH_MARKS || keys_.count(command.key) > 0)) return false;
  (marked ? marked_ : keys_).insert(command.key);
  if (marked) add_mark(&database_, command.code, command.key, &marks_);
  return true;
}

Replay::Next Replay::plan(Bytes input, Place done) {
  batch_.clear();
  keys_.clear();
  marked_.clear();
  marks_.clear();
  consumed_ = next_ = differences_ = 0;
  until_ = done_ = done;
  Gate::Turn turn(database_.gate);
  const auto end = std::chrono::steady_clock::now() + at_once_;
  while (true) {
    Command command;
    size_t size = 0;
    const Next next = look(input.substr(consumed_), &command, &size);
    if (next != Next::BATCH) return next;
    if (command.server != server_) {
      if (!joins(command)) return Next::BATCH;
      batch_.push_back(command);
      until_.pass(command.stamp);
    }
    consumed_ += size;
    const bool looks = batch_.size() % LOOK_EVERY == 0;
    if (looks && std::chrono::steady_clock::now() >= end) return Next::BATCH;
  }
}

Replay::End Replay::carry_out(uint16_t master, bool consistent) {
  master_ = master;
  end_ = End::DONE;
  {
    LogBatch batch;
    OnBehalf behalf;
    while (slice(consistent)) {
    }
  }
  if (LogBatch::used() && !database_.settled(true)) return End::UNLOGGED;
  return end_;
}

// Carries out some of the batch; whether more is to come.
bool Replay::slice(bool consistent) {
  Gate::Writing writing(database_.gate);
  const auto end = std::chrono::steady_clock::now() + at_once_;
  while (next_ < batch_.size()) {
    const Command& command = batch_[next_];
    Journal::act_for({command.server, master_});
    const bool done = run(command);
    const bool counted = command.code == ADDINT || command.code == ADDDOUBLE;
    const bool different = command.failed ? done && !counted : !done;
    if (different && !done && ours_to_blame()) {
      end_ = End::REFUSED;
      return false;
    }
    next_++;
    done_.pass(command.stamp);
    if (different) {
      if (differences_++ == 0) difference_ = command.stamp;
      if (consistent) {
        end_ = End::DIFFERENT;
        return false;
      }
    }
    if (next_ % LOOK_EVERY == 0 && std::chrono::steady_clock::now() >= end) break;
  }
  return next_ < batch_.size();
}

bool Replay::run(const Command& command) {
  const Bytes key = command.key;
  switch (command.code) {
    case PUT: return database_.put(key, command.value);
    case PUTKEEP: return database_.putkeep(key, command.value);
    case PUTCAT: return database_.putcat(key, command.value);
    case PUTSHL: {
      const int width = static_cast<int>(load32(command.numbers + 8));
      return database_.putshl(key, command.value, width);
    }
    case OUT: return database_.out(key);
    case ADDINT: {
      const int number = static_cast<int>(load32(command.numbers + 4));
      return database_.addint(key, number) != INT_MIN;
    }
    default: return !std::isnan(database_.adddouble(key, load_double(command.numbers + 4)));
  }
}

bool Replay::ours_to_blame() const {
  return !database_.error_is_harmless() || database_.fatal();
}

}  // namespace kt::tokyo
