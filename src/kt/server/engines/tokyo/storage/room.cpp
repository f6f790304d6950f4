#include "tokyo/storage/room.h"

#ifdef __linux__
#include <linux/magic.h>
#include <sys/vfs.h>
#endif
#include <tcbdb.h>
#include <tctdb.h>

#include <algorithm>

#include "io/allocate.h"
#include "tokyo/storage/table_room.h"
#include "tokyo/storage/tree_room.h"

namespace kt::tokyo {

namespace {

constexpr int64_t SLACK = 64 << 10;  // what the library appends to be spared growing the file again
constexpr int64_t LEAST_AT_ONCE = 256 << 10;
constexpr int64_t MOST_AT_ONCE = 8 << 20;

// Whether to read a hole takes a block of the file system.
bool fills_by_reading(int file) {
#ifdef TMPFS_MAGIC
  struct statfs status;
  return ::fstatfs(file, &status) == 0 && status.f_type == TMPFS_MAGIC;
#else
  return file < 0;
#endif
}

bool may_have_holes(int file) {
  constexpr off_t TYPE = 32;
  char type = 0;
  return ::pread(file, &type, 1, TYPE) == 1 && type == TCDBTFIXED && !fills_by_reading(file);
}

}  // namespace

std::unique_ptr<Room> room_of(TCADB* database) {
  switch (tcadbomode(database)) {
    case ADBOHDB:
      if (!(database->hdb->omode & HDBOWRITER)) return nullptr;
      return std::make_unique<HashRoom>(database->hdb);
    case ADBOBDB:
      if (!database->bdb->wmode) return nullptr;
      return std::make_unique<TreeRoom>(database->bdb);
    case ADBOFDB:
      if (!(database->fdb->omode & FDBOWRITER)) return nullptr;
      return std::make_unique<FixedRoom>(database->fdb);
    case ADBOTDB:
      if (!database->tdb->wmode) return nullptr;
      return std::make_unique<TableRoom>(database->tdb);
    default: return nullptr;
  }
}

bool fill_holes(const std::string& path) {
  struct stat status;
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return true;
  if (status.st_blocks * 512 >= status.st_size) return true;
  const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) return true;  // the library will say why
  const bool filled = may_have_holes(file) || allocate(file, 0, status.st_size);
  const int reason = errno;
  ::close(file);
  errno = reason;
  return filled;
}

bool FileRoom::make(int64_t more, int64_t at_once) {
  const int64_t needed = end() + more + SLACK;
  const int64_t begin = room_ == 0 ? end() : std::max(end(), room_ + SLACK);
  const int64_t ahead = std::clamp(end() / 16, LEAST_AT_ONCE, MOST_AT_ONCE);
  for (const int64_t target : {needed + std::max(ahead, at_once), needed}) {
    if (target > size_limit() || !allocate(file_->fd, begin, target)) continue;
    room_ = target - SLACK;
    return true;
  }
  return false;
}

FixedRoom::FixedRoom(TCFDB* file) : file_(file), without_holes_(fills_by_reading(file->fd)) {}

// The library cuts off the other types of files when it closes them.
FixedRoom::~FixedRoom() {
  struct stat status;
  if (file_->fd < 0 || ::fstat(file_->fd, &status) != 0) return;
  if (::ftruncate(file_->fd, status.st_size) != 0) return;  // then it keeps blocks behind its end
}

int64_t FixedRoom::number_of(Bytes key) const {
  const int64_t number = tcfdbkeytoid(key.data(), static_cast<int>(key.size()));
  switch (number) {
    case FDBIDMIN: return static_cast<int64_t>(file_->min);
    case FDBIDPREV: return static_cast<int64_t>(file_->min) - 1;
    case FDBIDMAX: return static_cast<int64_t>(file_->max);
    case FDBIDNEXT: return static_cast<int64_t>(file_->max) + 1;
    default: return number;
  }
}

bool FixedRoom::knows(uint64_t page) const {
  const auto group = pages_.find(page / GROUP);
  return group != pages_.end() && group->second[page % GROUP];
}

bool FixedRoom::fill(uint64_t first, uint64_t last) {
  const uint64_t end = std::min((last + 1) * PAGE, file_->limsiz);
  if (static_cast<int64_t>(end) > size_limit()) return false;
  if (!allocate(file_->fd, static_cast<int64_t>(first * PAGE), static_cast<int64_t>(end))) {
    return false;
  }
  for (uint64_t page = first; page <= last; page++) pages_[page / GROUP].set(page % GROUP);
  return true;
}

bool FixedRoom::admits(Bytes key, size_t) {
  constexpr uint64_t HEAD = 256, MORE = 256;  // the library's: the header; records that it appends
  const int64_t number = number_of(key);
  if (number < 1 || static_cast<uint64_t>(number) > file_->limid) return true;  // nothing happens
  const auto size = static_cast<uint64_t>(file_->rsiz);
  const uint64_t begin = HEAD + static_cast<uint64_t>(number - 1) * size;
  const uint64_t first = begin / PAGE, last = (begin + size - 1) / PAGE;
  if (begin + size > file_->fsiz) {
    const uint64_t end = std::min(begin + size * (MORE + 1), file_->limsiz);
    if (static_cast<int64_t>(end) > size_limit()) return false;
    if (without_holes_) return fill(file_->fsiz / PAGE, (end - 1) / PAGE);
  }
  uint64_t missing = first;
  while (missing <= last && knows(missing)) missing++;
  if (missing > last) return true;
  const bool in_a_row = missing > 0 && knows(missing - 1);
  return (in_a_row && fill(missing, last + AT_ONCE)) || fill(missing, last);
}

}  // namespace kt::tokyo
