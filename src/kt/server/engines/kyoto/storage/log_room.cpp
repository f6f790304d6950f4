#include "kyoto/storage/log_room.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>

#include "kyoto/storage/log_check.h"

namespace kt {

namespace {

constexpr int64_t ENTRY = 64;  // at most, beside what it saves
constexpr int64_t SLACK = 64 << 10;

constexpr char MAGIC[] = "KC\n";  // with its final zero
constexpr int64_t PLACE_OF_MARKS = 24;
constexpr char IS_OPEN = 1 << 0;
constexpr char IS_BROKEN = 1 << 1;

// Whether the engine will make this file anew; not if its log is there, which puts it right.
bool is_marked(const File& file, const std::string& path) {
  char header[PLACE_OF_MARKS + 1];
  struct stat status;
  return ::pread(file.descriptor(), header, sizeof(header), 0) == sizeof(header) &&
         std::equal(MAGIC, MAGIC + sizeof(MAGIC), header) &&
         (header[PLACE_OF_MARKS] & (IS_OPEN | IS_BROKEN)) != 0 &&
         (::stat(log_of(path).c_str(), &status) != 0 || status.st_size == 0);
}

}  // namespace

bool LogRoom::holds(int64_t more) {
  used_ += more + ENTRY;
  return file_.is_open() && file_.has_room(0, used_);
}

bool lacks_room_for_repair(const std::string& path) {
  struct stat status;
  struct statvfs system;
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return false;
  if (::statvfs(path.c_str(), &system) != 0) return false;
  if (status.st_size + SLACK <= usable(system)) return false;
  const File file(path, true);
  return file.is_open() && file.lock(true) && is_marked(file, path);
}

}  // namespace kt
