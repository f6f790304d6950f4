// The clock of leases: nanoseconds that go on while the machine sleeps, where the system can tell.

#ifndef KT_KYOTO_LEASE_CLOCK_H
#define KT_KYOTO_LEASE_CLOCK_H

#include <time.h>

#include <cstdint>

namespace kt {

inline int64_t lease_clock() {
#ifdef CLOCK_BOOTTIME
  constexpr clockid_t CLOCK = CLOCK_BOOTTIME;
#else
  constexpr clockid_t CLOCK = CLOCK_MONOTONIC;
#endif
  timespec now{};
  clock_gettime(CLOCK, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000000000 + now.tv_nsec;
}

}  // namespace kt

#endif
