// How a thread waits for events. To wake one up costs more than a request does: so when there is
// nothing to do, it looks for events for `spin` before it sleeps, unless that has been in vain
// lately: after n failures in a row it goes to sleep at once for the next 2^n times.

#ifndef KT_PATIENCE_H
#define KT_PATIENCE_H

#ifdef __linux__

#include <sched.h>
#include <sys/epoll.h>

#include <algorithm>
#include <chrono>

namespace kt {

class Patience {
 public:
  explicit Patience(std::chrono::microseconds spin) : spin_(spin) {}

  // How many events there are; waits for one, unless that is wanted at once, for `milliseconds` at
  // most; for ever if they are negative.
  int wait(int poll, epoll_event* events, int room, bool at_once, int milliseconds) {
    using Clock = std::chrono::steady_clock;
    int count = 0;
    if (at_once || (spin_.count() > 0 && sleeps_ == 0)) {
      const Clock::time_point begin = Clock::now();
      do {
        count = epoll_wait(poll, events, room, 0);
        if (count != 0 || at_once) break;
        sched_yield();
      } while (Clock::now() - begin < spin_);
      if (count > 0) in_vain_ = 0;
      if (count > 0 || at_once) return count;
      in_vain_ = std::min(in_vain_ + 1, IN_VAIN_MAX);
      sleeps_ = 1u << in_vain_;
    } else if (sleeps_ > 0) {
      sleeps_--;
    }
    return epoll_wait(poll, events, room, milliseconds);
  }

 private:
  static constexpr unsigned IN_VAIN_MAX = 10;

  const std::chrono::microseconds spin_;
  unsigned in_vain_ = 0, sleeps_ = 0;
};

}  // namespace kt

#endif

#endif
