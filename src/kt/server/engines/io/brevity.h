// How long what a stream is asked for takes, as far as the last calls tell.
//
// A call that is brief may keep the lock of Python's interpreter. If it lets go of it, and another
// thread takes it, that one has to wake up, and so has the caller before it can go on: both together
// take several times as long as to find a record does. What comes from the disk, from a large tree or
// by a transaction takes longer, and others use the time.

#ifndef KT_IO_BREVITY_H
#define KT_IO_BREVITY_H

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace kt {

// One stream's. For one thread at a time.
class Brevity {
 public:
  // Whether a request of so many bytes will probably be served sooner than threads change places.
  bool expects(size_t size) const { return size <= SMALL && average_ < LIMIT; }

  void begin() {
    timed_ = ++calls_ % CALLS_PER_LOOK == 0;
    if (timed_) begun_ = Clock::now();
  }
  void end() {
    if (!timed_) return;
    const auto passed = std::chrono::nanoseconds(Clock::now() - begun_).count();
    average_ += (passed - average_) / 4;
  }
  // There is more to do than was to be seen.
  void doubt() { average_ = 2 * LIMIT; }

 private:
  using Clock = std::chrono::steady_clock;

  static constexpr size_t SMALL = 4096;
  static constexpr int64_t LIMIT = 5000;  // nanoseconds
  static constexpr unsigned CALLS_PER_LOOK = 8;

  int64_t average_ = 0;
  unsigned calls_ = 0;
  bool timed_ = false;
  Clock::time_point begun_;
};

}  // namespace kt

#endif
