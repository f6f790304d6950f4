// The files of the original servers' update logs.
//
//     Kyoto Tycoon, DIR/0000000001.ulog                 Tokyo Tyrant, DIR/00000001.ulog
//
//     file    | A0 | size 8 | newest stamp 8 | record ...    record ...
//     record  | A1 | stamp 8 | size 4 | message | A2         C9 | stamp 8 | sid 2 | mid 2 | size 4 | message
//     message | sid 2 | database 2 | what 1 | ...            command of the protocol | failed 1
//
// Numbers are big-endian. A stamp is nanoseconds since the epoch, of which only whole milliseconds
// and a counter are used, or microseconds; in both it rises from record to record, even if the clock
// goes back. `sid` is the server where the change was made, `mid` the master that it came from.

#ifndef KT_LOG_FORMAT_H
#define KT_LOG_FORMAT_H

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "log/change_log.h"

namespace kt {

enum class Format { TYCOON, TYRANT };

std::string file_name(Format format, uint64_t number);
// Nothing if it is not the name of a log file.
std::optional<uint64_t> file_number(Format format, std::string_view name);

// The size of the file header.
size_t header_size(Format format);
std::string file_header(uint64_t size, uint64_t newest);

uint64_t present_stamp(Format format);
// The stamp of the next record after one with the stamp `last`.
uint64_t next_stamp(Format format, uint64_t last);

void put_record(Format format, std::string* to, uint64_t stamp, const Origin& origin,
                std::initializer_list<std::string_view> parts);

struct LogRecord {
  uint64_t stamp = 0;
  Origin origin;
  std::string_view message;  // valid until the scanner is used again
};

// Reads the records of a file one after the other.
class RecordScanner {
 public:
  enum class Found {
    RECORD,
    NOTHING,  // at `end`
    HALF,     // a record that would go beyond `end`
    BROKEN    // no record
  };

  // The file is the caller's. `offset` is that of a record.
  RecordScanner(Format format, int file, uint64_t offset)
      : format_(format), file_(file), offset_(offset) {}

  // The record at offset(), if it is there in whole before `end`; then goes on to the next one.
  // Throws std::runtime_error if the file cannot be read.
  Found next(uint64_t end, LogRecord* record);
  uint64_t offset() const { return offset_; }

 private:
  bool have(size_t size, uint64_t end);
  const char* at() const { return window_.data() + (offset_ - begin_); }

  const Format format_;
  const int file_;
  uint64_t offset_;
  std::string window_;   // a part of the file
  uint64_t begin_ = 0;   // where that begins
};

}  // namespace kt

#endif
