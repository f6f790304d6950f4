// Blocks of a file before they are written to.
//
// What is written through a memory map where the file system has no block for it ends the process;
// and a write that fails half-way can leave what is neither old nor new. So blocks are asked for
// before, beyond the end of the file too, which does not move.

#ifndef KT_IO_ALLOCATE_H
#define KT_IO_ALLOCATE_H

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace kt {

// How large a file of this process may be.
inline int64_t size_limit() {
  struct rlimit limit;
  if (::getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return INT64_MAX;
  return static_cast<int64_t>(limit.rlim_cur);
}

inline bool means_full(int error) {
  return error == ENOSPC || error == EDQUOT || error == EFBIG || error == EIO;
}

// Whether the file has blocks from `begin` to `end` now. Where the file system cannot tell, it has.
inline bool allocate(int descriptor, int64_t begin, int64_t end) {
#ifdef FALLOC_FL_KEEP_SIZE
  while (begin < end && ::fallocate(descriptor, FALLOC_FL_KEEP_SIZE, begin, end - begin) != 0) {
    if (errno != EINTR) return !means_full(errno);
  }
#endif
  return true;
}

}  // namespace kt

#endif
