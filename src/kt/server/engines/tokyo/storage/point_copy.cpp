#include "tokyo/storage/point_copy.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace kt::tokyo {

namespace {

// So many bytes take a fraction of a millisecond where the system has them in memory; it is asked for the
// next ones before.
constexpr int64_t PIECE = 256 << 10, AHEAD = 4 << 20;
// Of the disk, for changes meanwhile.
constexpr int64_t LEFT = 300 << 20;

[[noreturn]] void fail(const std::string& path) { throw std::runtime_error(path + ": " + std::strerror(errno)); }

int make(const std::string& path) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) fail(path);
  return file;
}

}  // namespace

PointCopy::PointCopy(const std::string& path) : path_(path), file_(make(path)) {
  try {
    log_ = make(path + ".wal");
  } catch (...) {
    ::close(file_);
    ::unlink(path.c_str());
    throw;
  }
}

PointCopy::~PointCopy() {
  ::close(file_);
  ::close(log_);
  if (!complete_) remove();
}

void PointCopy::remove() const {
  ::unlink(path_.c_str());
  ::unlink((path_ + ".wal").c_str());
}

bool PointCopy::read(const TCHDB* file) {
  const auto size = static_cast<int64_t>(file->walend);
  if (done_ == 0) {
    struct statvfs status;
    errno = ENOSPC;
    if (::fstatvfs(file_, &status) == 0 &&
        static_cast<int64_t>(status.f_bavail * status.f_frsize) < size + LEFT) {
      fail(path_);
    }
  }
  into_log_ = done_ == size;
  if (into_log_ && log_end_ < 0) log_end_ = ::lseek(file->walfd, 0, SEEK_CUR);
  if (into_log_ && logged_ == log_end_) return false;
  const int from = into_log_ ? file->walfd : file->fd;
  int64_t& at = into_log_ ? logged_ : done_;
  piece_.resize(static_cast<size_t>(std::min(PIECE, (into_log_ ? log_end_ : size) - at)));
  errno = EIO;
  if (::pread(from, piece_.data(), piece_.size(), at) != static_cast<ssize_t>(piece_.size())) fail(path_);
  at += static_cast<int64_t>(piece_.size());
  ::posix_fadvise(from, at, AHEAD, POSIX_FADV_WILLNEED);
  return true;
}

void PointCopy::write() {
  const int to = into_log_ ? log_ : file_;
  errno = ENOSPC;
  if (::write(to, piece_.data(), piece_.size()) != static_cast<ssize_t>(piece_.size())) fail(path_);
  const int64_t done = into_log_ ? logged_ : done_;
  if (done % AHEAD == 0 && ::fdatasync(to) != 0) fail(path_);
}

void PointCopy::finish() {
  if (::fsync(file_) != 0 || ::fsync(log_) != 0) fail(path_);
  complete_ = true;
}

}  // namespace kt::tokyo
