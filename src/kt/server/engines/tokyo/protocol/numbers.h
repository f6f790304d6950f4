// A double in the protocol: its integral part, and 10^12 times the rest, both 8 bytes.

#ifndef KT_TOKYO_NUMBERS_H
#define KT_TOKYO_NUMBERS_H

#include <cmath>
#include <cstdint>

#include "io/buffer.h"

namespace kt::tokyo {

inline double load_double(const char* at) {
  const auto integer = static_cast<int64_t>(load64(at));
  const auto fraction = static_cast<int64_t>(load64(at + 8));
  if (integer == INT64_MIN && fraction == INT64_MIN) return std::nan("");
  if (integer == INT64_MAX) return INFINITY;
  if (integer == INT64_MIN) return -INFINITY;
  return static_cast<double>(integer) + static_cast<double>(fraction) / 1e12;
}

}  // namespace kt::tokyo

#endif
