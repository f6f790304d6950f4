// Writes the changed pages of a tree to its file, now and then, in a thread of its own.
//
// The engine does that only when they need more memory than they may have, when it is told to, and
// at the end; a process that is killed would lose everything since.

#ifndef KT_KYOTO_WRITE_BACK_H
#define KT_KYOTO_WRITE_BACK_H

#include <atomic>
#include <chrono>
#include <mutex>

#include "io/ticker.h"

namespace kt {

class Database;

class WriteBack {
 public:
  explicit WriteBack(Database& database) : database_(database) {}
  WriteBack(const WriteBack&) = delete;
  WriteBack& operator=(const WriteBack&) = delete;

  void start();
  void stop() { ticker_.stop(); }

  void note_changed() {
    if (!changed_.load(std::memory_order_relaxed)) changed_ = true;
  }

  // Whether somebody waits for a Turn, so that there is no time to be gentle.
  bool awaited() const { return waiting_ > 0; }

  // Held while pages are written, and by whoever cannot have that. After the lock of transactions,
  // before the gate.
  class Turn {
   public:
    explicit Turn(WriteBack& write_back) : lock_(write_back.turn_, std::defer_lock) {
      write_back.waiting_++;
      lock_.lock();
      write_back.waiting_--;
    }

   private:
    std::unique_lock<std::mutex> lock_;
  };

 private:
  static constexpr std::chrono::milliseconds PERIOD{300};

  void write();

  Database& database_;
  std::atomic<bool> changed_{false};
  std::atomic<int> waiting_{0};
  std::mutex turn_;
  Ticker ticker_;  // the last, so that it ends before the rest does
};

}  // namespace kt

#endif
