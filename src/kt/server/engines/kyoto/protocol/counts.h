// Operations so far, by what the server's report calls them.

#ifndef KT_KYOTO_COUNTS_H
#define KT_KYOTO_COUNTS_H

#include <cstdint>

namespace kt {

struct Counts {
  uint64_t set = 0;
  uint64_t set_misses = 0;
  uint64_t remove = 0;
  uint64_t remove_misses = 0;
  uint64_t get = 0;
  uint64_t get_misses = 0;
};

}  // namespace kt

#endif
