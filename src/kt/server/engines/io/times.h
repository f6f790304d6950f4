// How long requests take: a histogram that any thread may add to.
//
// What is measured is one call of a stream: from when it takes up the bytes that have come together
// until the replies to them are ready to be sent and what they changed is in the update log. Each
// request that was answered counts with the time of the whole call, because that is how long its
// client waits for this server. The way through sockets and queues is not in it. So a request costs
// nothing, and a call one look at the clock and two additions.

#ifndef KT_IO_TIMES_H
#define KT_IO_TIMES_H

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>

namespace kt {

class Times {
 public:
  using Clock = std::chrono::steady_clock;

  // Place i counts what took less than 2^i microseconds, and at least half of that; the last place
  // everything above, from some 8 seconds on.
  static constexpr int PLACES = 25;

  void add(std::chrono::nanoseconds time, uint64_t requests) {
    add_nanoseconds(static_cast<uint64_t>(time.count()), requests);
  }

  void add_nanoseconds(uint64_t time, uint64_t requests) {
    int place = 0;
    for (uint64_t left = time / 1000; left > 0 && place < PLACES - 1; left >>= 1) place++;
    counts_[place].fetch_add(requests, std::memory_order_relaxed);
    nanoseconds_.fetch_add(time * requests, std::memory_order_relaxed);
  }

  uint64_t count(int place) const { return counts_[place].load(std::memory_order_relaxed); }
  // Of all requests together.
  uint64_t nanoseconds() const { return nanoseconds_.load(std::memory_order_relaxed); }

 private:
  std::array<std::atomic<uint64_t>, PLACES> counts_{};
  std::atomic<uint64_t> nanoseconds_{0};
};

}  // namespace kt

#endif
