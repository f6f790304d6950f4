#include "log/log_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "io/buffer.h"

namespace kt {

namespace {

constexpr unsigned LEFT_OUT_SILENTLY = 256;
constexpr uint64_t LATELY = 1 << 20;  // bytes
constexpr int RECORDS_AT_ONCE = 1 << 14;
constexpr uint64_t DISORDER = 30000000;  // microseconds by which stamps of the original may go back

void put_number(std::string* to, size_t width, uint64_t number) {
  char bytes[8];
  store_big_endian(bytes, width, number);
  to->append(bytes, width);
}

}  // namespace

LogReader::~LogReader() {
  if (file_ >= 0) ::close(file_);
}

LogReader::State LogReader::read(size_t limit, std::string* frames) {
  if (!trouble_.empty()) return State::BROKEN;
  try {
    if (number_ == 0 && !begin()) return broken("there are no files");
    return scan(limit, frames);
  } catch (const std::runtime_error& error) {
    return broken(error.what());
  }
}

LogReader::State LogReader::scan(size_t limit, std::string* frames) {
  UpdateLog::Position position = log_.position();
  LogRecord record;
  for (int i = 0; i < RECORDS_AT_ONCE; i++) {
    switch (scanner_->next(end(position), &record)) {
      case RecordScanner::Found::RECORD: break;
      case RecordScanner::Found::NOTHING:
        if (number_ >= position.number) return State::WAITING;
        if (!open_next(position.number)) return broken("a file is missing");
        continue;
      default: return broken("no record at byte " + std::to_string(scanner_->offset()));
    }
    const bool tyrant = log_.format() == Format::TYRANT;
    if (tyrant ? record.stamp < interest_.since : record.stamp <= interest_.since) continue;
    last_ = std::max(last_, record.stamp);
    put(record, frames);
    if (frames->size() >= limit) return State::MORE;
  }
  return State::MORE;
}

// Opens the file in which what is wanted begins: the last one that begins before it.
bool LogReader::begin() {
  const UpdateLog::Position position = log_.position();
  const bool tyrant = log_.format() == Format::TYRANT;
  const uint64_t since = interest_.since - (tyrant ? std::min(interest_.since, DISORDER) : 0);
  uint64_t chosen = 0;
  for (const auto& [number, _] : log_.files()) {
    if (number > position.number || !open(number)) continue;
    LogRecord first;
    const bool has = scanner_->next(end(position), &first) == RecordScanner::Found::RECORD;
    const bool newer = has && first.stamp > since;
    if (chosen == 0) incomplete_ = newer && number > 1;
    if (chosen == 0 || (has && !newer)) chosen = number;
    if (newer) break;
  }
  return chosen > 0 && open(chosen);
}

bool LogReader::open(uint64_t number) {
  const std::string path = log_.directory() + "/" + file_name(log_.format(), number);
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  if (file_ >= 0) ::close(file_);
  file_ = file;
  number_ = number;
  scanner_ = std::make_unique<RecordScanner>(log_.format(), file, header_size(log_.format()));
  return true;
}

bool LogReader::open_next(uint64_t newest) { return number_ < newest && open(number_ + 1); }

// Where the file that is read ends for now.
uint64_t LogReader::end(const UpdateLog::Position& position) const {
  if (number_ == position.number) return position.size;
  struct stat status;
  if (fstat(file_, &status) != 0) throw std::runtime_error(std::strerror(errno));
  return static_cast<uint64_t>(status.st_size);
}

bool LogReader::wanted(const LogRecord& record) const {
  if (interest_.all) return true;
  const Origin& origin = record.origin;
  if (log_.format() == Format::TYCOON) return (origin.server == interest_.server) == interest_.only;
  return origin.server != interest_.server && origin.master != interest_.server;
}

void LogReader::put(const LogRecord& record, std::string* frames) {
  const bool tycoon = log_.format() == Format::TYCOON;
  std::string_view message = record.message;
  if (!wanted(record)) {
    if (++left_out_ < LEFT_OUT_SILENTLY || !tycoon) return;
    message = {};
  }
  left_out_ = 0;
  frames->push_back(tycoon ? '\xB1' : '\xC9');
  put_number(frames, 8, record.stamp);
  if (!tycoon) put_number(frames, 4, record.origin.server);
  put_number(frames, 4, message.size());
  frames->append(message);
}

LogReader::State LogReader::broken(const std::string& why) {
  trouble_ = "the update log cannot be read beyond file " + std::to_string(number_) + ": " + why;
  return State::BROKEN;
}

uint64_t LogReader::stamp() {
  return std::max(last_, log_.stamp_at({number_, scanner_->offset()}));
}

bool LogReader::close_behind() {
  if (!scanner_) return false;
  const UpdateLog::Position position = log_.position();
  return number_ == position.number && scanner_->offset() + LATELY >= position.size;
}

}  // namespace kt
