// How much work the regular expressions of one request may make, and whether they are to go on.
//
// Whoever matches spends a step for each instruction that it looks at. All expressions of a request spend
// from the same effort: a search of a table may have many. `stopped` is the database's: it is set when the
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
  void spend() {
    if (left_ == 0) throw MatchEnded("the regular expression takes too long");
    if (--left_ % STEPS_PER_LOOK == 0) look();
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
