#include "log/format.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <stdexcept>

#include "io/buffer.h"

namespace kt {

namespace {

constexpr char FILE_MARK = '\xA0';
constexpr char SUFFIX[] = ".ulog";
constexpr size_t WINDOW = 256 << 10;
constexpr uint64_t MILLISECOND = 1000000;  // in nanoseconds

struct Shape {
  int digits;
  size_t header;  // of the file
  char begin;
  size_t head, tail;  // of a record
};

constexpr Shape SHAPES[] = {{10, 17, '\xA1', 13, 1}, {8, 0, '\xC9', 17, 0}};
constexpr char RECORD_END = '\xA2';

const Shape& shape_of(Format format) { return SHAPES[static_cast<int>(format)]; }

}  // namespace

std::string file_name(Format format, uint64_t number) {
  char name[40];
  std::snprintf(name, sizeof name, "%0*llu%s", shape_of(format).digits,
                static_cast<unsigned long long>(number), SUFFIX);
  return name;
}

std::optional<uint64_t> file_number(Format format, std::string_view name) {
  const size_t digits = static_cast<size_t>(shape_of(format).digits);
  if (name.size() != digits + sizeof SUFFIX - 1 || name.substr(digits) != SUFFIX) return {};
  uint64_t number = 0;
  for (char digit : name.substr(0, digits)) {
    if (digit < '0' || digit > '9') return {};
    number = number * 10 + static_cast<uint64_t>(digit - '0');
  }
  return number;
}

size_t header_size(Format format) { return shape_of(format).header; }

std::string file_header(uint64_t size, uint64_t newest) {
  std::string header(17, FILE_MARK);
  store_big_endian(&header[1], 8, size);
  store_big_endian(&header[9], 8, newest);
  return header;
}

uint64_t present_stamp(Format format) {
  using namespace std::chrono;
  const auto now = system_clock::now().time_since_epoch();
  if (format == Format::TYRANT) {
    return static_cast<uint64_t>(duration_cast<microseconds>(now).count());
  }
  return static_cast<uint64_t>(duration_cast<milliseconds>(now).count()) * MILLISECOND;
}

uint64_t next_stamp(Format format, uint64_t last) {
  return std::max(present_stamp(format), last + 1);
}

void put_record(Format format, std::string* to, uint64_t stamp, const Origin& origin,
                std::initializer_list<std::string_view> parts) {
  const Shape& shape = shape_of(format);
  size_t size = 0;
  for (std::string_view part : parts) size += part.size();
  to->reserve(std::max(to->capacity(), to->size() + shape.head + size + shape.tail));
  char head[17];
  head[0] = shape.begin;
  store_big_endian(head + 1, 8, stamp);
  if (format == Format::TYRANT) {
    store_big_endian(head + 9, 2, origin.server);
    store_big_endian(head + 11, 2, origin.master);
  }
  store_big_endian(head + shape.head - 4, 4, size);
  to->append(head, shape.head);
  for (std::string_view part : parts) to->append(part);
  to->append(shape.tail, RECORD_END);
}

// Whether so many bytes from the offset on are there before `end`; they are in the window then.
bool RecordScanner::have(size_t size, uint64_t end) {
  if (offset_ + size > end) return false;
  if (offset_ >= begin_ && offset_ + size <= begin_ + window_.size()) return true;
  begin_ = offset_;
  window_.resize(std::min<uint64_t>(std::max(size, WINDOW), end - offset_));
  for (size_t read = 0; read < window_.size();) {
    const ssize_t n = pread(file_, &window_[read], window_.size() - read,
                            static_cast<off_t>(begin_ + read));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) throw std::runtime_error(n < 0 ? std::strerror(errno) : "the file has become shorter");
    read += static_cast<size_t>(n);
  }
  return true;
}

RecordScanner::Found RecordScanner::next(uint64_t end, LogRecord* record) {
  const Shape& shape = shape_of(format_);
  if (offset_ >= end) return Found::NOTHING;
  if (!have(1, end) || *at() != shape.begin) return Found::BROKEN;
  if (!have(shape.head, end)) return Found::HALF;
  const size_t size = load32(at() + shape.head - 4);
  const size_t whole = shape.head + size + shape.tail;
  if (!have(whole, end)) return Found::HALF;
  const char* begin = at();
  if (shape.tail > 0 && begin[whole - 1] != RECORD_END) return Found::BROKEN;
  record->stamp = load64(begin + 1);
  record->message = std::string_view(begin + shape.head, size);
  if (format_ == Format::TYRANT) {
    record->origin = {load16(begin + 9), load16(begin + 11)};
  } else {
    record->origin = {size < 2 ? uint16_t{0} : load16(begin + shape.head), 0};
  }
  offset_ += whole;
  return Found::RECORD;
}

}  // namespace kt
