// Room is made beyond the end of the file; see io/allocate.h.

#include "kyoto/storage/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "io/allocate.h"

namespace kt {

namespace {

constexpr int64_t AT_ONCE = 1 << 20;
constexpr int64_t SLACK = 64 << 10;  // padding, links between records, the engine's own records

bool is_directory_at(int descriptor) {
  struct stat status;
  return ::fstat(descriptor, &status) == 0 && S_ISDIR(status.st_mode);
}

}  // namespace

int64_t usable(const struct statvfs& system) {
  return std::min(static_cast<int64_t>(system.f_bavail * system.f_frsize), size_limit());
}

File::File(const std::string& path, bool read_only, std::shared_ptr<File> before)
    : before_(std::move(before)),
      read_only_(read_only),
      descriptor_(::open(path.c_str(), (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC)),
      is_directory_(is_directory_at(descriptor_)) {}

File::~File() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

bool File::synchronize() const { return ::fsync(descriptor_) == 0; }

bool File::lock(bool tries) const {
  struct flock lock {};
  lock.l_type = read_only_ ? F_RDLCK : F_WRLCK;
  lock.l_whence = SEEK_SET;
  while (::fcntl(descriptor_, tries ? F_SETLK : F_SETLKW, &lock) != 0) {
    if (errno != EINTR) return false;
  }
  return true;
}

// A new file is a hole: the blocks behind what is mapped of it are still to be had.
bool File::fill_map(int64_t size) {
  if (!map_filled_) map_filled_ = allocate(descriptor_, 0, std::min(size, mapped_));
  return map_filled_;
}

bool File::make_room(int64_t end, int64_t more) {
  if (is_directory()) return more <= size_limit() && free_space() >= std::min(more, size_limit());
  if (descriptor_ < 0 || read_only_) return true;
  std::lock_guard<std::mutex> lock(room_lock_);
  const int64_t needed = end + more + SLACK;
  struct stat status;
  if (::fstat(descriptor_, &status) != 0) return true;
  if (!fill_map(status.st_size)) return false;
  for (int64_t target : {needed + AT_ONCE, needed}) {
    // The engine makes a mapped file half as large again whenever it grows.
    const bool grows = status.st_size < target && target < mapped_;
    const int64_t largest = grows ? std::min(target + target / 2, mapped_) : target;
    if (largest > size_limit() || !allocate(descriptor_, end, target)) continue;
    room_ = target - SLACK;
    return true;
  }
  return false;
}

int64_t File::free_space() const {
  struct statvfs status;
  if (::fstatvfs(descriptor_, &status) != 0) return 0;
  return usable(status);
}

void File::give_room_back() {
  struct stat status;
  if (read_only_ || ::fstat(descriptor_, &status) != 0 || room_ <= status.st_size) return;
  if (::ftruncate(descriptor_, status.st_size) == 0) room_ = 0;
}

}  // namespace kt
