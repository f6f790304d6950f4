#include "tokyo/database/reserve.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <initializer_list>

namespace kt::tokyo {

namespace {

constexpr uint64_t AT_ONCE = 4 << 20;
constexpr uint64_t PART_AT_ONCE = 64 << 10;

// Where the file system cannot tell, there is room.
bool allocated(int file, uint64_t begin, uint64_t end) {
#ifdef FALLOC_FL_KEEP_SIZE
  while (fallocate(file, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(begin),
                   static_cast<off_t>(end - begin)) != 0) {
    if (errno != EINTR) return errno == EOPNOTSUPP || errno == ENOSYS || errno == EBADF;
  }
#endif
  return true;
}

}  // namespace

bool Reserve::allocate(int file, uint64_t end, uint64_t more) {
  for (const uint64_t target : {end + more + AT_ONCE, end + more}) {
    if (!allocated(file, here_, target)) continue;
    here_ = target;
    return true;
  }
  return false;
}

bool Reserve::allocate_part(int file, uint64_t begin, uint64_t size) {
  for (const uint64_t target : {begin + size + PART_AT_ONCE, begin + size}) {
    if (!allocated(file, begin, target)) continue;
    begin_ = begin;
    here_ = target;
    return true;
  }
  return false;
}

bool has_free(int file, uint64_t size) {
  struct statvfs status;
  return fstatvfs(file, &status) != 0 || status.f_bavail * status.f_frsize >= size;
}

void give_back(const char* path) {
  struct stat status;
  if (stat(path, &status) != 0 || status.st_blocks * 512 <= status.st_size) return;
  if (truncate(path, status.st_size) != 0) {
    // Then it keeps them until it grows.
  }
}

}  // namespace kt::tokyo
