#include "log/update_log.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "io/buffer.h"
#include "log/place.h"

namespace kt {

namespace {

constexpr size_t KEPT = 1 << 20;  // bytes of memory that a written buffer keeps
constexpr uint64_t HELD_BACK = 1 << 20;  // bytes that are not written at once if a kill spares them

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what + ": " + std::strerror(errno));
}

uint64_t size_of(int file) {
  struct stat status;
  if (fstat(file, &status) != 0) fail("the update log");
  return static_cast<uint64_t>(status.st_size);
}

// Fills `data` with what stands at `offset`.
void read_at(int file, std::string* data, uint64_t offset, const std::string& path) {
  for (size_t done = 0; done < data->size();) {
    const ssize_t n = pread(file, data->data() + done, data->size() - done,
                            static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(path);
    if (n == 0) throw std::runtime_error(path + " has become shorter while it was read");
    done += static_cast<size_t>(n);
  }
}

// All of it, or std::runtime_error.
void write_at(int file, const std::string& data, uint64_t offset) {
  for (size_t done = 0; done < data.size();) {
    const ssize_t n = pwrite(file, data.data() + done, data.size() - done,
                             static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) throw std::runtime_error(std::strerror(n < 0 ? errno : ENOSPC));
    done += static_cast<size_t>(n);
  }
}

bool only_zeros(int file, uint64_t begin, uint64_t end) {
  char block[4096];
  while (begin < end) {
    const ssize_t n = pread(file, block, std::min<uint64_t>(sizeof block, end - begin),
                            static_cast<off_t>(begin));
    if (n <= 0 || std::any_of(block, block + n, [](char byte) { return byte != 0; })) return false;
    begin += static_cast<uint64_t>(n);
  }
  return true;
}

void empty_out(std::string* buffer) {
  buffer->clear();
  if (buffer->capacity() > KEPT) std::string().swap(*buffer);
}

}  // namespace

UpdateLog::UpdateLog(Format format, const std::string& directory, uint64_t limit, uint16_t server,
                     bool keeps_files, Durability durability)
    : format_(format), directory_(directory), limit_(limit), server_(server),
      keeps_files_(keeps_files || durability == Durability::DEVICE), durability_(durability) {
  try {
    lock_file_ = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock_file_ < 0) fail(directory);
    if (flock(lock_file_, LOCK_EX | LOCK_NB) != 0) fail(directory + " is in use");
    if (pipe(pipe_) != 0) fail("pipe");
    for (int end : pipe_) {
      fcntl(end, F_SETFL, O_NONBLOCK);
      fcntl(end, F_SETFD, FD_CLOEXEC);
    }
    recover();
    if (durability != Durability::NONE && format == Format::TYCOON) guard();
  } catch (...) {
    for (int file : {file_, lock_file_, pipe_[0], pipe_[1]}) {
      if (file >= 0) close(file);
    }
    throw;
  }
}

UpdateLog::~UpdateLog() {
  write();
  for (int file : full_) close(file);
  for (int file : {file_, lock_file_, pipe_[0], pipe_[1]}) close(file);
}

std::string UpdateLog::path(uint64_t number) const {
  return directory_ + "/" + file_name(format_, number);
}

std::map<uint64_t, std::string> UpdateLog::files() const {
  std::map<uint64_t, std::string> files;
  DIR* directory = opendir(directory_.c_str());
  if (directory == nullptr) fail(directory_);
  while (const dirent* entry = readdir(directory)) {
    if (const auto number = file_number(format_, entry->d_name)) files[*number] = path(*number);
  }
  closedir(directory);
  return files;
}

std::string UpdateLog::path_ahead(int which) const {
  return directory_ + "/ahead." + std::to_string(which);
}

// Goes on where the log ends, after it has been given what a killed server had taken over.
void UpdateLog::recover() {
  std::map<uint64_t, std::pair<std::string, Ahead::Left>> found;  // by their turns
  for (int which : {0, 1}) {
    const std::string path = path_ahead(which);
    if (auto left = Ahead::left(path)) found[left->turn] = {path, std::move(*left)};
  }
  for (auto it = found.begin(); it != found.end();) {
    const auto& [path, left] = it->second;
    const bool done = left.place && put_back(left);
    if (done) unlink(path.c_str());
    it = done ? found.erase(it) : std::next(it);
  }
  go_on();
  for (const auto& [_, there] : found) bring_in(there.first, there.second);
  for (int which : {0, 1}) unlink(path_ahead(which).c_str());
}

// Writes again what somebody had begun to write. False if the log is not there any more.
bool UpdateLog::put_back(const Ahead::Left& left) {
  const std::string path = this->path(left.place->number);
  const int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0 && errno == ENOENT) return false;
  if (file < 0) fail(path);
  const uint64_t end = left.place->offset + left.records.size();
  bool there = false;
  try {
    there = size_of(file) >= left.place->offset;
    if (there) {
      write_at(file, left.records, left.place->offset);
      if (ftruncate(file, static_cast<off_t>(end)) != 0) fail(path);
      if (header_size(format_) > 0) write_at(file, file_header(end, left.stamp), 0);
    }
  } catch (...) {
    close(file);
    throw;
  }
  close(file);
  return there;
}

// Writes at the end what nobody had begun to write.
void UpdateLog::bring_in(const std::string& path, const Ahead::Left& left) {
  Ahead::claim(path, left.turn, {number_, size_});
  write_at(file_, left.records, size_);
  size_ += left.records.size();
  newest_ = std::max(newest_, left.stamp);
  stamp_ = appended_stamp_ = newest_;
  if (header_size(format_) > 0) write_at(file_, file_header(size_, newest_), 0);
  unlink(path.c_str());  // or a later start would write it again, behind what came then
}

void UpdateLog::guard() {
  for (int which : {0, 1}) ahead_[which] = std::make_unique<Ahead>(path_ahead(which));
  ahead_[active_]->begin(++turn_);
}

// Finds out where the log ends.
void UpdateLog::go_on() {
  const auto files = this->files();
  if (files.empty()) return open_file(1, true);
  const auto& [number, path] = *files.rbegin();
  const int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) fail(path);
  uint64_t whole = 0;
  bool good;
  try {
    const uint64_t size = size_of(file);
    good = scan(file, size, &whole);
    if (good && whole < size) cut(file, path, whole, size);
  } catch (...) {
    close(file);
    throw;
  }
  close(file);
  stamp_ = newest_;
  if (!good) return open_file(number + 1, true);
  size_ = whole;
  open_file(number, whole == 0);
}

void UpdateLog::cut(int file, const std::string& path, uint64_t whole, uint64_t size) {
  std::string rest(size - whole, '\0');
  read_at(file, &rest, whole, path);
  const std::string beside = path + ".cut";
  const int kept = open(beside.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (kept < 0) fail(beside);
  const uint64_t before = size_of(kept);
  try {
    write_at(kept, rest, before);
  } catch (const std::exception& error) {
    const bool as_before = ftruncate(kept, static_cast<off_t>(before)) == 0;
    close(kept);
    throw std::runtime_error(beside + (as_before ? ": " : " (a part is there): ") + error.what());
  }
  close(kept);
  if (ftruncate(file, static_cast<off_t>(whole)) != 0) fail(path);
  findings_ = "what is no whole record at the end of the update log is cut off: " +
              std::to_string(size - whole) + " bytes, kept in " + beside;
}

// Where the last whole record ends. False if there is something behind it that should not be cut off.
bool UpdateLog::scan(int file, uint64_t size, uint64_t* whole) {
  const size_t header = header_size(format_);
  uint64_t stated = 0;
  if (size > 0 && header > 0) {
    char start[17] = {};
    const ssize_t got = pread(file, start, header, 0);
    if (got < 1 || static_cast<unsigned char>(start[0]) != 0xA0) {
      findings_ = "the newest file of the update log is none; it is left as it is";
      return false;
    }
    if (size >= header) {
      stated = load64(start + 1);
      newest_ = load64(start + 9);
    }
  }
  if (size < header) return true;  // it was just being made
  RecordScanner scanner(format_, file, header);
  LogRecord record;
  auto found = RecordScanner::Found::NOTHING;
  while ((found = scanner.next(size, &record)) == RecordScanner::Found::RECORD) {
    newest_ = std::max(newest_, record.stamp);
  }
  *whole = scanner.offset();
  if (found == RecordScanner::Found::NOTHING) return true;
  const bool half = found == RecordScanner::Found::HALF;
  if (header > 0 ? *whole >= stated || (half && stated > size) : half) return true;
  if (only_zeros(file, *whole, size)) return true;
  findings_ = "the update log is broken at byte " + std::to_string(*whole) +
              " of its newest file, which is left as it is";
  return false;
}

// Makes a file the one that is written, at `size_` unless it is fresh.
void UpdateLog::open_file(uint64_t number, bool fresh) {
  const std::string path = this->path(number);
  // A start looks for what is half written in the newest file only, so the one before is to be whole.
  if (file_ >= 0 && durability_ == Durability::DEVICE && fdatasync(file_) != 0) {
    device_failed_ = true;
    fail(this->path(number_));
  }
  const int flags = O_RDWR | O_CLOEXEC | O_CREAT | (fresh ? O_TRUNC : 0);
  const int file = open(path.c_str(), flags, 0644);
  if (file < 0) fail(path);
  const int old = std::exchange(file_, file);
  try {
    const uint64_t size = fresh ? header_size(format_) : size_;
    // A fresh file may have been begun for what is written next: it is as new as that.
    if (header_size(format_) > 0) write_at(file_, file_header(size, fresh ? 0 : newest_), 0);
    size_ = size;
  } catch (...) {
    close(file);
    if (fresh) unlink(path.c_str());
    file_ = old;
    throw;
  }
  number_ = number;
  if (durability_ == Durability::DEVICE) fsync(lock_file_);  // the directory
  if (old < 0) return;
  keeps_files_ ? full_.push_back(old) : static_cast<void>(close(old));
}

uint64_t UpdateLog::append(const Origin& origin, std::initializer_list<std::string_view> parts) {
  uint64_t stamp;
  {
    std::lock_guard<std::mutex> guard(lock_);
    const size_t before = appended_.size();
    stamp = next_stamp(format_, stamp_);
    put_record(format_, &appended_, stamp, origin, parts);
    stamp_ = stamp;
    took(before);
  }
  if (unguarded_) write();
  return stamp;
}

uint64_t UpdateLog::append_together(const Origin& origin,
                                    const std::vector<std::string>& messages) {
  if (messages.empty()) return 0;
  uint64_t stamp;
  {
    std::lock_guard<std::mutex> guard(lock_);
    const size_t before = appended_.size();
    stamp = stamp_;
    try {
      for (const std::string& message : messages) {
        stamp = next_stamp(format_, stamp);
        put_record(format_, &appended_, stamp, origin, {message});
      }
    } catch (...) {
      appended_.resize(before);
      throw;
    }
    stamp_ = stamp;
    took(before);
  }
  if (unguarded_) write();
  return stamp;
}

// With `lock_`: counts what has come since `before`, and puts it where a kill leaves it.
void UpdateLog::took(size_t before) {
  appended_stamp_ = stamp_;
  taken_ += appended_.size() - before;
  if (!guarded()) return;
  const std::string_view records = std::string_view(appended_).substr(before);
  if (!ahead_[active_]->add(records, stamp_)) unguarded_ = true;
}

uint64_t UpdateLog::stamp() {
  std::lock_guard<std::mutex> guard(lock_);
  stamp_ = std::max(stamp_, present_stamp(format_));
  return stamp_;
}

bool UpdateLog::flush() {
  if (durability_ == Durability::DEVICE) return bring_to_device();
  const uint64_t wanted = taken_;
  const uint64_t written = written_;
  if (written >= wanted) return true;
  const bool safe = guarded() && !unguarded_ && !failing_;
  return (safe && !awaited_ && wanted - written < HELD_BACK) || write();
}

bool UpdateLog::write() {
  const uint64_t wanted = taken_;
  if (written_ >= wanted) return true;
  std::lock_guard<std::mutex> guard(file_lock_);
  while (written_ < wanted) {
    if (!write_pending()) return false;
  }
  return true;
}

// One brings everything to the device; those who wait for their turns find theirs done.
bool UpdateLog::bring_to_device() {
  const uint64_t wanted = taken_;
  if (on_device_ >= wanted) return true;
  std::lock_guard<std::mutex> guard(device_lock_);
  if (on_device_ >= wanted) return true;
  if (device_failed_ || !write()) return false;
  const uint64_t written = written_;
  if (synchronize()) {
    on_device_ = written;
    return true;
  }
  // The kernel forgets what it could not write: nobody can tell any more what is on the device.
  std::lock_guard<std::mutex> other(file_lock_);
  trouble_ = "the device has failed; what it has will be known at the next start";
  device_failed_ = failing_ = true;
  return false;
}

LogPlace UpdateLog::place() {
  std::lock_guard<std::mutex> guard(file_lock_);
  const bool fresh = size_ <= header_size(format_);
  if (fresh && number_ > 1) return place_at(number_ - 1, UINT64_MAX);
  return place_at(number_, size_);
}

LogPlace UpdateLog::place_at(uint64_t number, uint64_t size) const {
  return place_in(format_, path(number), number, size);
}

// With `file_lock_`: makes the pending ones of those that are appended.
void UpdateLog::take() {
  std::lock_guard<std::mutex> guard(lock_);
  pending_.swap(appended_);
  pending_stamp_ = appended_stamp_;
  if (!guarded()) return;
  active_ = 1 - active_;
  ahead_[active_]->begin(++turn_);
  unguarded_ = false;
}

// With `file_lock_`: writes what is pending, or what has been appended.
bool UpdateLog::write_pending() {
  if (pending_.empty()) take();
  try {
    if (limit_ > 0 && size_ >= limit_) open_file(number_ + 1, true);
    if (guarded()) ahead_[1 - active_]->belongs({number_, size_});
    write_at(file_, pending_, size_);
    const uint64_t end = size_ + pending_.size();
    if (header_size(format_) > 0) write_at(file_, file_header(end, pending_stamp_), 0);
  } catch (const std::exception& error) {
    // A reader that goes by the file's size must not find half a record.
    if (ftruncate(file_, static_cast<off_t>(size_)) != 0) {
      // Then it is overwritten by the next attempt.
    }
    trouble_ = error.what();
    failing_ = true;
    return false;
  }
  size_ += pending_.size();
  newest_ = pending_stamp_;
  written_ += pending_.size();
  empty_out(&pending_);
  if (guarded()) ahead_[1 - active_]->begin(++turn_);
  if (!device_failed_) {
    failing_ = false;
    trouble_.clear();
  }
  tell();
  if (format_ == Format::TYRANT && limit_ > 0 && size_ >= limit_) {
    try {
      open_file(number_ + 1, true);
    } catch (const std::exception&) {
      // The next write tries again.
    }
  }
  return true;
}

std::string UpdateLog::trouble() {
  std::lock_guard<std::mutex> guard(file_lock_);
  return trouble_;
}

bool UpdateLog::synchronize() {
  std::vector<int> files;
  {
    std::lock_guard<std::mutex> guard(file_lock_);
    files.swap(full_);
    const int copy = fcntl(file_, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) {
      full_.swap(files);
      return false;
    }
    files.push_back(copy);
  }
  std::vector<int> failed;
  for (int file : files) fdatasync(file) == 0 ? static_cast<void>(close(file)) : failed.push_back(file);
  if (failed.empty()) return true;
  std::lock_guard<std::mutex> guard(file_lock_);
  full_.insert(full_.end(), failed.begin(), failed.end());  // to be tried again
  return false;
}

UpdateLog::Position UpdateLog::position() {
  std::lock_guard<std::mutex> guard(file_lock_);
  return {number_, size_};
}

uint64_t UpdateLog::stamp_at(const Position& position) {
  std::lock_guard<std::mutex> guard(file_lock_);
  std::lock_guard<std::mutex> other(lock_);
  if (position.number != number_ || position.size != size_) return 0;
  if (!pending_.empty() || !appended_.empty()) return newest_;
  return stamp_ = std::max(stamp_, present_stamp(format_));
}

void UpdateLog::await_more() {
  awaited_ = true;
  if (guarded() && durability_ == Durability::PROCESS) write();
}

void UpdateLog::heard() {
  char bytes[64];
  while (read(pipe_[0], bytes, sizeof bytes) > 0) continue;
}

void UpdateLog::tell() {
  if (!awaited_.exchange(false)) return;
  const char byte = 0;
  if (::write(pipe_[1], &byte, 1) < 0) {
    // It is full, so it is readable.
  }
}

}  // namespace kt
