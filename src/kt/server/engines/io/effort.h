// How much work the matching for one request may be, and whether it is to go on.
//
// Whoever matches a regular expression spends a step for each instruction that it looks at. All of a
// request spend from the same effort: a search of a table may have many. It ends early when the database
// is to be closed (`stopped`), or when nobody waits for it any more (`Caller`), which is looked at every
// few thousand steps and before each text.

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

// Who has asked for what a thread does, and whether they still wait for it. Set by any thread.
class Caller {
 public:
  // ENDED: they have ended their side of the connection. Most have gone then, but some still read.
  enum State : uint8_t { WAITS, ENDED, GONE };

  State state() const { return state_; }
  void become(State state) { state_ = state; }

  // The one whom this thread works for; null if that is nobody who could go. Each extension module has
  // this variable, and is told where the one that knows (`_io`) finds it out.
  static inline const Caller* (*served)() = []() -> const Caller* { return nullptr; };

 private:
  std::atomic<State> state_{WAITS};
};

// One request's. Its caller is the one whom the thread works for that makes it.
class Effort {
 public:
  // Some seconds.
  static constexpr uint64_t LIMIT = 500'000'000;
  // For a caller who may have gone.
  static constexpr uint64_t AFTER_END = LIMIT / 20;

  explicit Effort(const std::atomic<bool>* stopped = nullptr, uint64_t limit = LIMIT)
      : stopped_(stopped), caller_(Caller::served()), left_(limit) {}

  // Throws MatchEnded.
  void spend(uint64_t steps = 1) {
    if (left_ < steps) throw MatchEnded("the matching takes too long");
    const uint64_t before = left_;
    left_ -= steps;
    if (before / STEPS_PER_LOOK == left_ / STEPS_PER_LOOK) return;
    look();
    if (caller_ != nullptr && caller_->state() != Caller::WAITS) go_on_for_a_while();
  }
  void look() const {
    if (stopped_ != nullptr && *stopped_) throw MatchEnded("the database is being closed");
    if (caller_ != nullptr && caller_->state() == Caller::GONE) {
      throw MatchEnded("the client has gone");
    }
  }

  uint64_t left() const { return left_; }
  void set_left(uint64_t left) { left_ = left; }

 private:
  static constexpr uint64_t STEPS_PER_LOOK = 4096;

  void go_on_for_a_while() {
    after_end_ += STEPS_PER_LOOK;
    if (after_end_ > AFTER_END) {
      throw MatchEnded("the client has ended its side, and the matching takes long");
    }
  }

  const std::atomic<bool>* const stopped_;
  const Caller* const caller_;
  uint64_t left_;
  uint64_t after_end_ = 0;  // steps since the caller has ended its side
};

}  // namespace kt

#endif
