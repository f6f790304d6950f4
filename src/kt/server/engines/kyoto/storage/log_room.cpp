#include "kyoto/storage/log_room.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>

#include "io/allocate.h"
#include "kyoto/storage/file.h"
#include "kyoto/storage/log_check.h"

namespace kt {

namespace {

constexpr int64_t AT_ONCE = 1 << 20;
constexpr int64_t SLACK = 64 << 10;   // the file's header, links between records, the log's own heads
constexpr int64_t ENTRY = 64;         // at most, beside what it saves

constexpr char MAGIC[] = "KC\n";      // with its final zero
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

LogRoom::LogRoom(const std::string& log_path)
    : descriptor_(::open(log_path.c_str(), O_RDWR | O_CLOEXEC)) {}

LogRoom::~LogRoom() {
  struct stat status;
  if (descriptor_ < 0) return;
  if (::fstat(descriptor_, &status) == 0 && ::ftruncate(descriptor_, status.st_size) != 0) room_ = 0;
  ::close(descriptor_);
}

bool LogRoom::holds(int64_t more) {
  used_ += more + ENTRY;
  for (int64_t target : {used_ + SLACK + AT_ONCE, used_ + SLACK}) {
    if (used_ + SLACK <= room_) return true;
    if (descriptor_ >= 0 && target <= size_limit() && allocate(descriptor_, 0, target)) room_ = target;
  }
  return used_ + SLACK <= room_;
}

bool lacks_room_for_repair(const std::string& path) {
  struct stat status;
  struct statvfs system;
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return false;
  if (::statvfs(path.c_str(), &system) != 0) return false;
  const auto free = static_cast<int64_t>(system.f_bavail * system.f_frsize);
  if (status.st_size + SLACK <= std::min(free, size_limit())) return false;
  const File file(path, true);
  return file.is_open() && file.lock(true) && is_marked(file, path);
}

}  // namespace kt
