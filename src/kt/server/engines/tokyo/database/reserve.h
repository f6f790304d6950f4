// Blocks of the disk for what the library is going to write.
//
// The library writes through memory maps of files with holes: where a hole gets no block, because the
// disk is full, the kernel ends the process; and a tree keeps pages in memory whose writing fails
// long after the change was acknowledged. So the blocks are there first, behind the end of the file,
// which does not move, and a change for which there are none is refused.

#ifndef KT_TOKYO_RESERVE_H
#define KT_TOKYO_RESERVE_H

#include <cstdint>

namespace kt::tokyo {

// The blocks of one file.
class Reserve {
 public:
  // Whether `more` bytes can be written behind `end`, where the file ends now.
  bool have(int file, uint64_t end, uint64_t more) {
    if (end < end_) here_ = 0;  // it was cut off
    end_ = end;
    return end + more <= here_ || allocate(file, end, more);
  }

  // Whether a file with holes has blocks for these bytes.
  bool have_part(int file, uint64_t begin, uint64_t size) {
    return (begin >= begin_ && begin + size <= here_) || allocate_part(file, begin, size);
  }

  // Another file is at its place, or what is behind its end was given back.
  void forget() { here_ = begin_ = end_ = 0; }

 private:
  bool allocate(int file, uint64_t end, uint64_t more);
  bool allocate_part(int file, uint64_t begin, uint64_t size);

  uint64_t begin_ = 0;  // from here
  uint64_t here_ = 0;   // to here there are blocks
  uint64_t end_ = 0;
};

// Whether so much is free where this file is.
bool has_free(int file, uint64_t size);

// Gives back blocks behind the end of the file at this path.
void give_back(const char* path);

}  // namespace kt::tokyo

#endif
