// Room for databases that are directories: what they write are new files, for which no blocks can be
// had before. So an empty file in the directory holds blocks, and is removed when the database is
// about to write what it has in memory for the last time. The engine takes files for its own, not
// for records, whose names begin with the same sign.

#ifndef KT_KYOTO_BALLAST_H
#define KT_KYOTO_BALLAST_H

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

#include "io/allocate.h"

namespace kt {

class Ballast {
 public:
  explicit Ballast(const std::string& directory)
      : path_(directory + "/__room__"),
        descriptor_(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)) {}
  ~Ballast() {
    if (descriptor_ < 0) return;
    ::unlink(path_.c_str());
    ::close(descriptor_);
  }
  Ballast(const Ballast&) = delete;
  Ballast& operator=(const Ballast&) = delete;

  // Whether it holds so much, and if need be more than before.
  bool holds(int64_t bytes) { return bytes <= held_ || hold(bytes); }

  // Holds no more than that from now on.
  void shrink(int64_t bytes) {
    std::lock_guard<std::mutex> lock(lock_);
    if (bytes >= held_ || descriptor_ < 0 || ::ftruncate(descriptor_, 0) != 0) return;
    held_ = allocate(descriptor_, 0, bytes) ? bytes : 0;
  }

 private:
  static constexpr int64_t AT_ONCE = 1 << 20;

  bool hold(int64_t bytes) {
    std::lock_guard<std::mutex> lock(lock_);
    if (bytes <= held_ || descriptor_ < 0) return true;
    for (const int64_t target : {bytes + AT_ONCE, bytes}) {
      if (!allocate(descriptor_, held_, target)) continue;
      held_ = target;
      return true;
    }
    return false;
  }

  const std::string path_;
  const int descriptor_;
  std::atomic<int64_t> held_{0};
  std::mutex lock_;
};

}  // namespace kt

#endif
