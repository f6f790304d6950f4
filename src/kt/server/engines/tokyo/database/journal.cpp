#include "tokyo/database/journal.h"

#include <cmath>

#include "io/buffer.h"

namespace kt::tokyo {

namespace {

// The begin of a command.
class Head {
 public:
  explicit Head(uint8_t code) {
    bytes_[0] = '\xC8';
    bytes_[1] = static_cast<char>(code);
  }
  Head& number(uint64_t number, size_t width = 4) {
    store_big_endian(bytes_ + size_, width, number);
    size_ += width;
    return *this;
  }
  Head& part(double part) { return number(static_cast<uint64_t>(static_cast<int64_t>(part)), 8); }
  Bytes bytes() const { return Bytes(bytes_, size_); }

 private:
  char bytes_[2 + 20];
  size_t size_ = 2;
};

constexpr double PARTS = 1e12;  // of a number behind the point, in the protocol

}  // namespace

bool Journal::tell(Bytes head, Bytes first, Bytes second, bool done) {
  LogBatch::use();
  Origin origin = origin_;
  if (origin.server == 0) origin.server = log_->server();
  log_->append(origin, {head, first, second, done ? Bytes("\0", 1) : Bytes("\1", 1)});
  return done;
}

bool Journal::put(uint8_t code, Bytes key, Bytes value, bool done) {
  if (log_ == nullptr) return done;
  return tell(Head(code).number(key.size()).number(value.size()).bytes(), key, value, done);
}

bool Journal::putshl(Bytes key, Bytes value, int width, bool done) {
  if (log_ == nullptr) return done;
  Head head(0x13);
  head.number(key.size()).number(value.size()).number(static_cast<uint32_t>(width));
  return tell(head.bytes(), key, value, done);
}

bool Journal::out(Bytes key, bool done) {
  if (log_ == nullptr) return done;
  return tell(Head(0x20).number(key.size()).bytes(), key, Bytes(), done);
}

bool Journal::addint(Bytes key, int number, bool done) {
  if (log_ == nullptr) return done;
  Head head(0x60);
  head.number(key.size()).number(static_cast<uint32_t>(number));
  return tell(head.bytes(), key, Bytes(), done);
}

bool Journal::adddouble(Bytes key, double number, bool done) {
  if (log_ == nullptr) return done;
  double whole;
  const double rest = std::modf(number, &whole);
  Head head(0x61);
  head.number(key.size());
  if (std::isnan(number)) {
    head.number(static_cast<uint64_t>(INT64_MIN), 8).number(static_cast<uint64_t>(INT64_MIN), 8);
  } else if (std::fabs(whole) >= 9.2e18) {
    head.number(static_cast<uint64_t>(whole > 0 ? INT64_MAX : INT64_MIN), 8).number(0, 8);
  } else {
    head.part(whole).part(rest * PARTS);
  }
  return tell(head.bytes(), key, Bytes(), done);
}

bool Journal::optimize(Bytes parameters, bool done) {
  if (log_ == nullptr) return done;
  return tell(Head(0x71).number(parameters.size()).bytes(), parameters, Bytes(), done);
}

bool Journal::plain(uint8_t code, bool done) {
  return log_ == nullptr ? done : tell(Head(code).bytes(), Bytes(), Bytes(), done);
}

bool Journal::misc(Bytes name, const Arguments& arguments, bool done) {
  if (log_ == nullptr) return done;
  std::string listed;
  for (const Bytes argument : arguments) {
    char size[4];
    store_big_endian(size, sizeof size, argument.size());
    listed.append(size, sizeof size).append(argument);
  }
  return misc(name, arguments.size(), listed, done);
}

bool Journal::misc(Bytes name, size_t count, Bytes arguments, bool done) {
  if (log_ == nullptr) return done;
  Head head(0x90);
  head.number(name.size()).number(count);
  return tell(head.bytes(), name, arguments, done);
}

}  // namespace kt::tokyo
