// GET, SET and DEL, as kt/cluster/records.py has them.

#include "relay/commands.h"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace kt::relay {

namespace {

constexpr int64_t XT_MAX = (int64_t{1} << 40) - 1;
constexpr size_t XT_WIDTH = 5;
constexpr size_t HEADS_AT_MOST = 128;  // bytes of a command besides its name and value

// What is stored for an expiry as it is given: from now, or negative and since the epoch.
int64_t absolute_expiry(int64_t xt, int64_t now) {
  if (xt < -XT_MAX || xt > XT_MAX) return XT_MAX;
  return std::min(xt < 0 ? -xt : xt + now, XT_MAX);
}

// Writes where there is room.
class Writer {
 public:
  explicit Writer(char* at) : at_(at) {}

  char* end() const { return at_; }

  void put(Bytes bytes) {
    if (!bytes.empty()) std::memcpy(at_, bytes.data(), bytes.size());
    at_ += bytes.size();
  }

  void put_number(uint64_t number) { at_ = std::to_chars(at_, at_ + 20, number).ptr; }

  void put_size(size_t size) {
    put("$");
    put_number(size);
    put("\r\n");
  }

 private:
  char* at_;
};

void put_value(Writer& writer, Bytes value, int64_t expiry) {
  char stamp[XT_WIDTH];
  store_big_endian(stamp, XT_WIDTH, static_cast<uint64_t>(expiry));
  writer.put_size(XT_WIDTH + value.size());
  writer.put(Bytes(stamp, XT_WIDTH));
  writer.put(value);
  writer.put("\r\n");
}

void put_last_second(Writer& writer, int64_t expiry) {
  char digits[20];
  const auto last = static_cast<uint64_t>(expiry + 1);
  const Bytes text(digits, std::to_chars(digits, digits + sizeof digits, last).ptr - digits);
  writer.put("$4\r\nEXAT\r\n");
  writer.put_size(text.size());
  writer.put(text);
  writer.put("\r\n");
}

}  // namespace

void put_command(Kind kind, const Place& place, const Record& record, int64_t now, Buffer* out) {
  const size_t name = place.head.size() + record.key.size();
  char* begin = out->extend(HEADS_AT_MOST + name + record.value.size());
  const int64_t expiry = kind == Kind::SET ? absolute_expiry(record.xt, now) : XT_MAX;
  const bool expires = expiry < XT_MAX;
  Writer writer(begin);
  switch (kind) {
    case Kind::GET: writer.put("*2\r\n$3\r\nGET\r\n"); break;
    case Kind::REMOVE: writer.put("*2\r\n$3\r\nDEL\r\n"); break;
    case Kind::SET: writer.put(expires ? "*5\r\n$3\r\nSET\r\n" : "*3\r\n$3\r\nSET\r\n"); break;
  }
  writer.put_size(name);
  writer.put(place.head);
  writer.put(record.key);
  writer.put("\r\n");
  if (kind == Kind::SET) put_value(writer, record.value, expiry);
  if (expires) put_last_second(writer, expiry);
  out->truncate(static_cast<size_t>(writer.end() - out->data()));
}

}  // namespace kt::relay
