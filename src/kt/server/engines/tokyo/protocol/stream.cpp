#include "tokyo/protocol/stream.h"

#include <algorithm>
#include <climits>
#include <cmath>

#include "tokyo/protocol/numbers.h"

namespace kt::tokyo {

namespace {

constexpr char MAGIC = static_cast<char>(0xC8);
constexpr size_t PREFIX = 2;  // magic and command

// The original's limits: an argument, a list, and the name of a function.
constexpr uint32_t ARGUMENT_LIMIT = 256u << 20;
constexpr uint32_t LIST_LIMIT = 1u << 20;
constexpr uint32_t NAME_LIMIT = 1024;
// Ours: a whole request that is not worked off as it comes.
constexpr size_t FRAME_LIMIT = size_t{3} * ARGUMENT_LIMIT;

// One call stays inside the gate for so long, apart from the command that goes beyond it, and makes
// so many bytes of replies. It looks at the clock after so many commands or list elements.
constexpr std::chrono::milliseconds TIME_AT_ONCE{1};
constexpr int LOOK_EVERY = 16;
constexpr size_t REPLY_BUDGET = 1 << 18;
constexpr size_t LONG = 1 << 20;  // bytes that take as long as many commands

constexpr size_t EVENTS_KEPT = 4096;

// An option of `misc`: the update log is not told.
constexpr uint32_t MISC_NO_LOG = 1;

constexpr uint64_t bit(int number) {
  return uint64_t{1} << number;
}

Bytes slice(const char* begin, uint32_t size) {
  return Bytes(begin, size);
}

void put_double(Buffer* reply, double number) {
  int64_t whole = INT64_MIN, parts = INT64_MIN;
  double integer;
  const double fraction = std::modf(number, &integer);
  if (std::isinf(integer)) {
    whole = integer > 0 ? INT64_MAX : INT64_MIN;
    parts = 0;
  } else if (!std::isnan(integer)) {
    const bool fits = std::fabs(integer) < 9.2e18;
    whole = fits ? static_cast<int64_t>(integer) : INT64_MIN;
    parts = static_cast<int64_t>(fraction * 1e12);
  }
  reply->put64(static_cast<uint64_t>(whole));
  reply->put64(static_cast<uint64_t>(parts));
}

void block_into(const Block& block, Buffer* reply) {
  reply->put8(block ? 0 : 1);
  if (!block) return;
  const Bytes bytes = block.bytes();
  reply->put32(static_cast<uint32_t>(bytes.size()));
  reply->append(bytes.data(), bytes.size());
}

}  // namespace

// A request: `header` bytes of numbers after the prefix. Bit i of `sizes`: the i-th 32-bit number
// is the size of something that follows. Bit i of `naturals`: it must not be negative.
struct Stream::Shape {
  uint8_t code;
  uint8_t header;
  uint8_t sizes;
  uint8_t naturals;
  Handler handler;  // null: the caller runs it
  Command mask;     // which of ALL_READ, ALL_WRITE, ALL_MANAGE forbids it too
  bool writes;      // a record, or moves an iterator
};

const Stream::Shape Stream::SHAPES[COMMANDS] = {
    {0x10, 8, 0b11, 0, &Stream::put, ALL_WRITE, true},
    {0x11, 8, 0b11, 0, &Stream::putkeep, ALL_WRITE, true},
    {0x12, 8, 0b11, 0, &Stream::putcat, ALL_WRITE, true},
    {0x13, 12, 0b11, 0b100, &Stream::putshl, ALL_WRITE, true},
    {0x18, 8, 0b11, 0, &Stream::putnr, ALL_WRITE, true},
    {0x20, 4, 0b1, 0, &Stream::out, ALL_WRITE, true},
    {0x30, 4, 0b1, 0, &Stream::get, ALL_READ, false},
    {0x31, 4, 0, 0b1, nullptr, ALL_READ, false},
    {0x38, 4, 0b1, 0, &Stream::vsiz, ALL_READ, false},
    {0x50, 0, 0, 0, &Stream::iterinit, ALL_READ, true},
    {0x51, 0, 0, 0, &Stream::iternext, ALL_READ, true},
    {0x58, 8, 0b1, 0, &Stream::fwmkeys, ALL_READ, true},
    {0x60, 8, 0b1, 0, &Stream::addint, ALL_WRITE, true},
    {0x61, 20, 0b1, 0, &Stream::adddouble, ALL_WRITE, true},
    {0x68, 16, 0b1101, 0, nullptr, ALL_BINARY, false},
    {0x70, 0, 0, 0, nullptr, ALL_MANAGE, false},
    {0x71, 4, 0b1, 0, nullptr, ALL_MANAGE, false},
    {0x72, 0, 0, 0, nullptr, ALL_WRITE, false},
    {0x73, 4, 0b1, 0, nullptr, ALL_MANAGE, false},
    {0x74, 16, 0b1, 0, nullptr, ALL_MANAGE, false},
    {0x78, 20, 0b1, 0b10, nullptr, ALL_MANAGE, false},
    {0x80, 0, 0, 0, &Stream::rnum, ALL_READ, false},
    {0x81, 0, 0, 0, &Stream::size, ALL_READ, false},
    {0x88, 0, 0, 0, nullptr, ALL_READ, false},
    {0x90, 12, 0b1, 0b100, nullptr, ALL_WRITE, false},
    {0xA0, 12, 0, 0, nullptr, REPL, false},
};

// The command with a code; COMMANDS if there is none.
Command Stream::find(uint8_t code) {
  static const std::array<Command, 256> commands = [] {
    std::array<Command, 256> table;
    table.fill(COMMANDS);
    for (int i = 0; i < COMMANDS; i++) table[SHAPES[i].code] = static_cast<Command>(i);
    return table;
  }();
  return commands[code];
}

void Core::note(Command command, Event event) {
  std::lock_guard<std::mutex> guard(lock_);
  if (events_.size() < EVENTS_KEPT) events_.emplace_back(command, event);
}

Core::Events Core::take_events() {
  std::lock_guard<std::mutex> guard(lock_);
  return std::exchange(events_, {});
}

Progress Stream::feed(Bytes input, Buffer* reply, bool wait) {
  const size_t before = reply->size();
  Progress progress = run(input, reply, wait);
  if (LogBatch::used() && !database_.settled(true)) {
    reply->truncate(before);  // nothing of it is acknowledged
    progress.state = State::CLOSE;
  }
  took();
  return progress;
}

// `feed`, and nothing is settled.
Progress Stream::run(Bytes input, Buffer* reply, bool wait) {
  input_ = input;
  reply_ = reply;
  full_ = false;
  waits_ = wait;
  began_ = Clock::now();
  answered_ = 0;
  const State state = enter(wait);
  return Progress{state, input.size() - input_.size(), need_};
}

void Stream::took() {
  if (core_.timed && answered_ > 0) core_.times.add(Clock::now() - began_, answered_);
}

State Stream::enter(bool wait) {
  LogBatch batch;
  if (wait && (large_get() || large_element())) return State::AGAIN;
  if (wait) {
    Gate::Writing writing(database_.gate);
    return serve();
  }
  Gate::Attempt inside(database_.gate);
  return inside ? serve() : State::BUSY;
}

Servant::Step Stream::step(Bytes input) {
  Hurry hurry;
  const bool owes = core_.owes;
  const Progress progress = owes ? run(input, &output_, false) : feed(input, &output_, false);
  if (owes) took();
  const Verdict verdict = progress.state == State::MORE    ? Verdict::MORE
                          : progress.state == State::AGAIN ? Verdict::AGAIN
                                                           : Verdict::LEAVE;
  return {verdict, static_cast<int>(progress.state), progress.consumed, progress.need,
          Bytes(output_.data(), output_.size()), owes && LogBatch::used()};
}

// Serves a whole `get` of a large value that is next; false if there is none. To find memory for it
// takes much longer than to copy it, so that is done outside the gate.
bool Stream::large_get() {
  constexpr size_t HEADER = PREFIX + 4;
  if (in_list() || !database_.has_large() || input_.size() < HEADER) return false;
  if (input_[0] != MAGIC || find(static_cast<uint8_t>(input_[1])) != GET) return false;
  const uint32_t key_size = load32(input_.data() + PREFIX);
  if (key_size > input_.size() - HEADER || forbidden(GET)) return false;
  const Bytes key = input_.substr(HEADER, key_size);
  Buffer reply;
  if (!fetch_reply(key, &reply)) return false;
  reply_->swap(reply);
  core_.add(GET, 1);
  answered_++;
  if (core_.trace) core_.note(GET, Event::DOING);
  input_.remove_prefix(HEADER + key_size);
  return true;
}

// The reply to a `get` of a large value; false if nothing has been done.
bool Stream::fetch_reply(Bytes key, Buffer* reply) {
  constexpr size_t CODE_AND_SIZE = 5;
  if (const Block row = database_.fetch_row(key)) {
    block_into(row, reply);
    return true;
  }
  const int size = database_.reading()->vsiz(key);
  if (size <= static_cast<int>(LARGE)) return false;
  const size_t room = static_cast<size_t>(size);
  char* at = reply->extend_with_memory(CODE_AND_SIZE + room);
  if (database_.reading()->get_into(key, at + CODE_AND_SIZE, room) != size) return false;
  store_big_endian(at, 1, 0);
  store_big_endian(at + 1, 4, room);
  return true;
}

// Works off an element of `mget` or `getlist` that asks for a large value; false if it is none. As
// with `get`.
bool Stream::large_element() {
  constexpr size_t SIZE = 4;
  if (!finds() || skip_ || !database_.has_large() || is_last_of_large()) return false;
  if (input_.size() < SIZE || load32(input_.data()) > input_.size() - SIZE) return false;
  const Bytes key = input_.substr(SIZE, load32(input_.data()));
  if (!fetch_large(key)) return false;
  Gate::Writing writing(database_.gate);
  element_done(SIZE + key.size(), false, true, silent_ || database_.journal.admits());
  if (untold_count_ > 0) tell_list(true);
  return true;
}

bool Stream::fetch_large(Bytes key) {
  if (listing_ == Listing::GETLIST) return database_.fetch_listed(key, true, &found_);
  if (const Block row = database_.fetch_row(key)) {
    found_.add_record(key, row.bytes());
    return true;
  }
  const int size = database_.reading()->vsiz(key);
  const size_t before = found_.frame().size(), room = static_cast<size_t>(std::max(size, 0));
  const uint32_t count = found_.count();
  if (room <= LARGE || before + key.size() + room > List::LIMIT) return false;
  char* at = found_.place_record(key, room);
  if (database_.reading()->get_into(key, at, room) == size) return true;
  found_.take_back(before, count);
  return false;
}

// Inside the gate: serves requests until something stops it.
State Stream::serve() {
  const auto end = (waits_ ? Clock::now() : began_) + TIME_AT_ONCE;
  State state = State::AGAIN;
  size_t looked_at = found_.frame().size() - input_.size();
  for (int served = 0; state == State::AGAIN && !input_.empty(); served++) {
    if (full_ || reply_->size() >= REPLY_BUDGET) break;
    const size_t passed = reply_->size() + found_.frame().size() - input_.size();
    if (served > 0 && (served % LOOK_EVERY == 0 || passed - looked_at > LONG)) {
      if (Clock::now() >= end) break;
      looked_at = passed;
    }
    begins_ = served == 0;
    state = listing_ == Listing::NONE ? step() : list_element();
  }
  if (untold_count_ > 0) tell_list(true);
  return state == State::AGAIN && input_.empty() ? wait(1) : state;
}

// Consumes a bad request.
State Stream::broken(Command command, size_t consumed) {
  if (command < COMMANDS) core_.add(command, 1);
  core_.note(command, command < COMMANDS ? Event::INVALID : Event::UNKNOWN);
  input_.remove_prefix(consumed);
  return State::BROKEN;
}

// Serves the request at the begin of the input; AGAIN when that is done.
State Stream::step() {
  if (input_[0] != MAGIC) return State::TEXT;
  if (input_.size() < PREFIX) return wait(PREFIX);
  const Command command = find(static_cast<uint8_t>(input_[1]));
  if (command == COMMANDS) return broken(command, PREFIX);
  const Shape& shape = SHAPES[command];
  const size_t header = PREFIX + shape.header;
  if (input_.size() < header) return wait(header);
  for (int i = 0; i < 4; i++) {
    if (!((shape.sizes | shape.naturals) & (1 << i))) continue;
    const uint32_t number = load32(input_.data() + PREFIX + 4 * i);
    const bool is_size = shape.sizes & (1 << i);
    const bool is_name = i == 0 && (command == EXT || command == MISC);
    const uint32_t limit = is_name ? NAME_LIMIT - 1 : is_size ? ARGUMENT_LIMIT : INT_MAX;
    if (number > limit) return broken(command, header);
  }
  if (command == MGET) return begin_list(command, Bytes(), load32(input_.data() + PREFIX));
  if (command == MISC) return misc();
  return frame(command);
}

State Stream::frame(Command command) {
  const Shape& shape = SHAPES[command];
  size_t whole = PREFIX + shape.header;
  for (int i = 0; i < 4; i++) {
    if (shape.sizes & (1 << i)) whole += load32(input_.data() + PREFIX + 4 * i);
  }
  if (input_.size() < whole) return wait(whole);
  if (shape.handler == nullptr) return State::COMMAND;
  if (must_wait(shape.writes) || (whole > LARGE && hurries)) return State::BUSY;
  const char* numbers = input_.data() + PREFIX;
  const Bytes key = slice(numbers + shape.header, shape.sizes & 1 ? load32(numbers) : 0);
  const Bytes value = slice(key.data() + key.size(), shape.sizes & 2 ? load32(numbers + 4) : 0);
  if ((command == GET || command == PUTCAT || command == PUTSHL) && database_.leaves(key)) {
    return State::BUSY;
  }
  if (command == FWMKEYS && !forbidden(command) && !find_keys(key, load32(numbers + 4))) {
    return State::COMMAND;
  }
  core_.add(command, 1);
  if (core_.trace) core_.note(command, Event::DOING);
  (this->*shape.handler)(Request{numbers, key, value});
  answered_++;
  input_.remove_prefix(whole);
  return State::AGAIN;
}

// The element at offset `at`, or what to do because it is not there.
bool Stream::element(size_t at, Bytes* element, State* otherwise) {
  if (input_.size() < at + 4) {
    *otherwise = wait(at + 4);
    return false;
  }
  const uint32_t size = load32(input_.data() + at);
  if (size > ARGUMENT_LIMIT) {
    *otherwise = broken(listing_ == Listing::MGET ? MGET : MISC, at + 4);
    listing_ = Listing::NONE;
    walked_ = 0;
    return false;
  }
  if (input_.size() < at + 4 + size) {
    *otherwise = wait(at + 4 + size);
    return false;
  }
  *element = slice(input_.data() + at + 4, size);
  return true;
}

State Stream::misc() {
  const size_t elements = PREFIX + SHAPES[MISC].header;
  const uint32_t name_size = load32(input_.data() + PREFIX);
  const uint32_t count = load32(input_.data() + PREFIX + 8);
  if (count > LIST_LIMIT) return broken(MISC, elements);
  if (input_.size() < elements + name_size) return wait(elements + name_size);
  const Bytes name = slice(input_.data() + elements, name_size);
  const bool listed = name == "putlist" || name == "outlist" || name == "getlist";
  if (listed && !database_.is_plugin()) {
    return begin_list(MISC, name, count);
  }
  if (walked_ == 0) {
    walked_ = elements + name_size;
    walked_left_ = count;
  }
  for (; walked_left_ > 0; walked_left_--) {
    Bytes argument;
    State otherwise;
    if (!element(walked_, &argument, &otherwise)) return otherwise;
    walked_ += 4 + argument.size();
    if (walked_ > FRAME_LIMIT) return State::CLOSE;
  }
  Arguments arguments;
  for (size_t at = elements + name_size; at < walked_; at += 4 + arguments.back().size()) {
    arguments.push_back(slice(input_.data() + at + 4, load32(input_.data() + at)));
  }
  if (must_wait(!Database::only_reads(name))) return State::BUSY;
  const size_t whole = walked_;
  walked_ = 0;
  const bool writes_large = hurries && !arguments.empty() && database_.leaves(arguments[0]);
  const bool large = (hurries && whole > LARGE) || writes_large ||
                     database_.gives_large(name, arguments);
  const bool logged = !(load32(input_.data() + PREFIX + 4) & MISC_NO_LOG);
  if (large || !database_.quick_misc(name, arguments) ||
      !run_misc(std::string(name), arguments, logged)) {
    return State::COMMAND;
  }
  input_.remove_prefix(whole);
  return State::AGAIN;
}

// False if it has done nothing, because that would take long.
bool Stream::run_misc(const std::string& name, const Arguments& arguments, bool logged) {
  if (core_.trace) core_.note(MISC, Event::DOING);
  List result;
  try {
    const bool done = !denied_misc(name, arguments) &&
                      (!allowed(MISC) || database_.misc(name, arguments, &result, logged));
    list(done, &result);
  } catch (const Database::NotQuick&) {
    return false;
  }
  core_.add(MISC, 1);
  answered_++;
  return true;
}

State Stream::begin_list(Command command, Bytes name, uint32_t count) {
  const size_t consumed = PREFIX + SHAPES[command].header + name.size();
  if (count > LIST_LIMIT) return broken(command, consumed);
  core_.add(command, 1);
  if (core_.trace) core_.note(command, Event::DOING);
  listing_ = command == MGET     ? Listing::MGET
             : name == "putlist" ? Listing::PUTLIST
             : name == "outlist" ? Listing::OUTLIST
                                 : Listing::GETLIST;
  left_ = count;
  failed_ = command == MGET ? denied(MGET) : denied_misc(name, {});
  skip_ = failed_ || !allowed(command);
  silent_ = command == MGET || skip_ ||
            !database_.logs(name, !(load32(input_.data() + PREFIX + 4) & MISC_NO_LOG));
  told_ = false;
  found_.clear();
  input_.remove_prefix(consumed);
  return left_ == 0 ? end_list() : State::AGAIN;
}

// Does what the list asks for with a key, and in a `pair` with its value.
bool Stream::carry_out(Bytes key, Bytes value, bool pair) {
  switch (listing_) {
    case Listing::PUTLIST: return !pair || database_.put_listed(key, value);
    case Listing::OUTLIST: return database_.out_listed(key);
    case Listing::GETLIST: return database_.get_listed(key, &found_);
    default:
      if (const Block block = database_.get(key)) found_.add_record(key, block.bytes());
      return true;
  }
}

// Works off the next element, or pair of elements, of the list.
State Stream::list_element() {
  const bool writes = listing_ == Listing::PUTLIST || listing_ == Listing::OUTLIST;
  if (must_wait(writes && !skip_)) return State::BUSY;
  Bytes key, value;
  State otherwise;
  if (!element(0, &key, &otherwise)) return otherwise;
  size_t consumed = 4 + key.size();
  const bool pair = listing_ == Listing::PUTLIST && left_ > 1;
  if (pair) {
    if (!element(consumed, &value, &otherwise)) return otherwise;
    consumed += 4 + value.size();
  }
  bool done = true;
  const bool apart = finds() && !skip_ && waits_ && !begins_ && finds_large(key);
  if (apart || is_last_of_large()) {
    full_ = true;
    return State::AGAIN;
  }
  const bool ready = silent_ || skip_ || database_.journal.admits();
  if (!skip_ && writes && !ready) {
    done = false;
  } else if (!skip_) {
    if (hurries && (finds() ? finds_large(key) : consumed > LARGE)) return State::BUSY;
    done = carry_out(key, value, pair);
  }
  return element_done(consumed, pair, done, ready);
}

// Inside the gate, with an element, or a pair of them, that has been worked off.
State Stream::element_done(size_t consumed, bool pair, bool done, bool ready) {
  if (!silent_ && !skip_ && ready && database_.journal.connected()) {
    if (!done && untold_count_ > 0) tell_list(true);  // what failed is told apart
    untold_.append(input_.data(), consumed);
    untold_count_ += pair ? 2 : 1;
    if (!done) tell_list(false);
  }
  if (!done) failed_ = skip_ = true;
  if (found_.too_long()) return State::CLOSE;
  input_.remove_prefix(consumed);
  left_ -= pair ? 2 : 1;
  return left_ == 0 ? end_list() : State::AGAIN;
}

// Gives the update log what has been worked off of a list.
void Stream::tell_list(bool done) {
  const Bytes name = listing_ == Listing::PUTLIST   ? "putlist"
                     : listing_ == Listing::OUTLIST ? "outlist"
                                                    : "getlist";
  database_.journal.misc(name, untold_count_, untold_, done);
  untold_.clear();
  untold_count_ = 0;
  told_ = true;
}

// Whether the elements of the list ask for values.
bool Stream::finds() const {
  return listing_ == Listing::MGET || listing_ == Listing::GETLIST;
}

// Whether what is found for a key is large.
bool Stream::finds_large(Bytes key) {
  return listing_ == Listing::MGET ? database_.is_large(key) : database_.is_large_list(key);
}

// Whether the next element ends a list that is to be moved, and there are replies before it.
bool Stream::is_last_of_large() const {
  return left_ <= 2 && !reply_->empty() && (waits_ || found_.frame().size() > REPLY_BUDGET);
}

State Stream::end_list() {
  const bool untold = untold_count_ > 0 || !(told_ || failed_);
  if (!silent_ && untold && database_.journal.admits()) tell_list(true);
  listing_ = Listing::NONE;
  list(!failed_, &found_);
  answered_++;
  return State::AGAIN;
}

bool Stream::forbidden(Command command) const {
  return (core_.mask | mask_) & (bit(command) | bit(ALL_BINARY) | bit(SHAPES[command].mask));
}

// Whether the mask lets the command through; it is noted if not.
bool Stream::allowed(Command command) {
  if (!forbidden(command)) return true;
  core_.note(command, Event::FORBIDDEN);
  return false;
}

bool Stream::denied_misc(Bytes name, const Arguments& arguments) {
  if ((Database::rights_for(name, arguments) & ~rights_) == 0) return false;
  core_.note(MISC, Event::FORBIDDEN);
  return true;
}

// Runs an operation that stores something, if that is allowed.
template <class Operation>
bool Stream::store(Command command, Operation operation) {
  if (!allowed(command)) return false;
  const bool done = operation();
  if (!done) {
    core_.add(PUT_MISSES, 1);
    if (command != PUTKEEP) core_.note(command, Event::FAILED);
  }
  return done;
}

void Stream::code(bool done) {
  reply_->put8(done ? 0 : 1);
}

void Stream::number(bool done, int number) {
  code(done);
  if (done) reply_->put32(static_cast<uint32_t>(number));
}

void Stream::block(const Block& block) {
  block_into(block, reply_);
}

void Stream::list(bool done, List* list) {
  if (done) return list->reply(reply_);
  code(done);
  reply_->put32(0);
  list->clear();
}

void Stream::put(const Request& request) {
  code(store(PUT, [&] { return database_.put(request.key, request.value); }));
}

void Stream::putkeep(const Request& request) {
  code(store(PUTKEEP, [&] { return database_.putkeep(request.key, request.value); }));
}

void Stream::putcat(const Request& request) {
  code(store(PUTCAT, [&] { return database_.putcat(request.key, request.value); }));
}

void Stream::putshl(const Request& request) {
  const int width = static_cast<int>(load32(request.numbers + 8));
  code(store(PUTSHL, [&] { return database_.putshl(request.key, request.value, width); }));
}

void Stream::putnr(const Request& request) {
  store(PUTNR, [&] { return database_.put(request.key, request.value); });
}

void Stream::out(const Request& request) {
  const bool may = allowed(OUT), done = may && database_.out(request.key);
  if (may && !done) core_.add(OUT_MISSES, 1);
  code(done);
}

void Stream::get(const Request& request) {
  const Block value = allowed(GET) ? database_.get(request.key) : Block();
  if (!value) core_.add(GET_MISSES, 1);
  block(value);
}

void Stream::vsiz(const Request& request) {
  const int size = allowed(VSIZ) ? database_.vsiz(request.key) : -1;
  number(size >= 0, size);
}

void Stream::iterinit(const Request&) {
  const bool may = allowed(ITERINIT), done = may && database_.iterinit();
  if (may && !done) core_.note(ITERINIT, Event::FAILED);
  code(done);
}

void Stream::iternext(const Request&) {
  block(allowed(ITERNEXT) ? database_.iternext() : Block());
}

// Leaves the keys in `found_`; false if that may take long.
bool Stream::find_keys(Bytes prefix, uint32_t limit) {
  const int most = static_cast<int>(limit);
  if (database_.quick_fwmkeys(most) && database_.fwmkeys(prefix, most, &found_)) return true;
  found_.clear();
  return false;
}

void Stream::fwmkeys(const Request&) {
  list(allowed(FWMKEYS) || !denied(FWMKEYS), &found_);
}

void Stream::addint(const Request& request) {
  const int by = static_cast<int>(load32(request.numbers + 4));
  const int sum = allowed(ADDINT) ? database_.addint(request.key, by) : INT_MIN;
  number(sum != INT_MIN, sum);
}

void Stream::adddouble(const Request& request) {
  const double by = load_double(request.numbers + 4);
  const double sum = allowed(ADDDOUBLE) ? database_.adddouble(request.key, by) : std::nan("");
  code(!std::isnan(sum));
  if (!std::isnan(sum)) put_double(reply_, sum);
}

void Stream::rnum(const Request&) {
  code(true);
  reply_->put64(allowed(RNUM) ? database_.count() : 0);
}

void Stream::size(const Request&) {
  code(true);
  reply_->put64(allowed(SIZE) ? database_.size() : 0);
}

}  // namespace kt::tokyo
