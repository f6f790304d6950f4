// How much work the matching for one request may be, and whether it is to go on.
//
// Whoever matches a regular expression spends a step for each instruction that it looks at. All of a
// request spend from the same effort: a search of a table may have many. `stopped` is the database's: it is set when the
// database is to be closed, and looked at every few thousand steps and before each text.

#ifndef KT_IO_EFFORT_H
#define KT_IO_EFFORT_H

#include <atomic>
#include <cstdint>
#include <exception>

namespace kt {

class MatchEnded : public std::exception {
 public:
  // `reason` must stay: an error of Kyoto Cabinet keeps only the address.
  explicit MatchEnded(const char* reason) : reason_(reason) {}
  const char* what() const noexcept override { return reason_; }

 private:
  const char* const reason_;
};

class Effort {
 public:
  // Some seconds.
  static constexpr uint64_t LIMIT = 500'000'000;

  explicit Effort(const std::atomic<bool>* stopped = nullptr, uint64_t limit = LIMIT)
      : stopped_(stopped), left_(limit) {}

  // Throws MatchEnded.
  void spend(uint64_t steps = 1) {
    if (left_ < steps) throw MatchEnded("the matching takes too long");
    const uint64_t before = left_;
    left_ -= steps;
    if (before / STEPS_PER_LOOK != left_ / STEPS_PER_LOOK) look();
  }
  void look() const {
    if (stopped_ != nullptr && *stopped_) throw MatchEnded("the database is being closed");
  }

  uint64_t left() const { return left_; }
  void set_left(uint64_t left) { left_ = left; }

 private:
  static constexpr uint64_t STEPS_PER_LOOK = 4096;

  const std::atomic<bool>* const stopped_;
  uint64_t left_;
};

}  // namespace kt

#endif
