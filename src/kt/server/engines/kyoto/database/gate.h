// Who may be inside a database, so that no one waits long for anyone.
//
// The engine locks records and slots itself. The gate is about what it does not promise:
//
// - Operations of connections *share* the gate, for microseconds (a run of binary requests: for a
//   millisecond or two). Databases whose cursors are not safe beside other threads (see `Kind` in
//   database.h) let them in one at a time instead.
// - Long operations, such as a search through all keys, take *turns* at being alone inside. A turn
//   is short; when somebody waited meanwhile, the next turn begins as long after it as it lasted,
//   so the others have at least half of the time.
// - Replacing the engine object under the feet of everybody (clear) is done alone, too.

#ifndef KT_KYOTO_GATE_H
#define KT_KYOTO_GATE_H

#include <atomic>
#include <chrono>
#include <shared_mutex>
#include <thread>

namespace kt {

class Gate {
 public:
  void share() {
    // The lock would let everybody else in before who waits to be alone.
    if (isolating_ > 0) std::this_thread::sleep_for(TURN / 10);
    if (lock_.try_lock_shared()) return;
    waiting_++;
    lock_.lock_shared();
    waiting_--;
  }
  void leave_shared() { lock_.unlock_shared(); }

  void isolate() {
    if (lock_.try_lock()) return;
    waiting_++;
    isolating_++;
    lock_.lock();
    isolating_--;
    waiting_--;
  }
  void leave_isolated() { lock_.unlock(); }

  // Called outside: if somebody waits to get in, let them have some time; false if nobody does.
  bool give_way() {
    if (waiting_ == 0) return false;
    std::this_thread::sleep_for(TURN);
    return true;
  }

  bool is_waited_for() const { return waiting_ > 0; }

  // How long a turn lasts, and how long others get between two.
  static constexpr std::chrono::microseconds TURN{500};

 private:
  std::shared_mutex lock_;
  std::atomic<int> waiting_{0};
  std::atomic<int> isolating_{0};  // of those
};

// Alone inside for a moment.
class Isolation {
 public:
  explicit Isolation(Gate& gate) : gate_(gate) { gate_.isolate(); }
  ~Isolation() { gate_.leave_isolated(); }
  Isolation(const Isolation&) = delete;
  Isolation& operator=(const Isolation&) = delete;

 private:
  Gate& gate_;
};

// The turns of one long operation. It begins with being alone.
class Turns {
 public:
  explicit Turns(Gate& gate) : gate_(gate) { resume(); }
  ~Turns() {
    if (inside_) gate_.leave_isolated();
  }
  Turns(const Turns&) = delete;
  Turns& operator=(const Turns&) = delete;

  // Whether this turn has lasted long enough; looks at the clock now and then.
  bool over() { return (++asked_ & 7) == 0 && Clock::now() - began_ > Gate::TURN; }

  // Whether somebody has waited for its end.
  bool pause() {
    const bool waited = gate_.is_waited_for();
    gate_.leave_isolated();
    inside_ = false;
    return gate_.give_way() || waited;
  }

  void resume() {
    gate_.isolate();
    inside_ = true;
    began_ = Clock::now();
  }

 private:
  using Clock = std::chrono::steady_clock;

  Gate& gate_;
  bool inside_ = false;
  unsigned asked_ = 0;
  Clock::time_point began_;
};

}  // namespace kt

#endif
