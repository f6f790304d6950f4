// Who may touch the engine.
//
// Tokyo Cabinet's own locks are held for as long as an operation lasts: a scan of a million records
// would hold up everybody. So every access goes through a gate, one thread at a time, and what is
// long goes through it many times, a slice each time. Three locks make it fair:
//
//     Turn, Writing   (short)                 next -> data            next is released once data is
//     Slice           (part of a long one)    slices -> next -> data  held
//
// Whoever waits for `data` holds `next`. A scan that ends a slice and wants the next one therefore
// queues behind the short operation that waited meanwhile; and because only the holder of `slices`
// may queue for a slice, a short operation waits for one slice at most, however many scans run.
//
// An event loop, which must not wait, makes an Attempt.
//
// Some long operations of the library cannot be sliced, but only read (a search of a table, the
// copy of a file). They run outside, as a Reading, and rely on the library's locks. Meanwhile a
// Turn may read, Writing and Slice wait until no Reading is left, and new Readings wait for those.
// Those locks cost a `sched_yield` with each operation, which on a busy machine is a time slice, so
// they are there only as long as there is a Reading: `on_reading` is told of the first and the last.
//
// After `close` nobody gets in any more: it throws Closed.

#ifndef KT_TOKYO_GATE_H
#define KT_TOKYO_GATE_H

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <stdexcept>

namespace kt::tokyo {

class Gate {
 public:
  class Closed : public std::runtime_error {
   public:
    Closed() : std::runtime_error("the database is closed") {}
  };

  // Inside, to read; to write only if not `reading`.
  class Turn {
   public:
    explicit Turn(Gate& gate) : gate_(gate) {
      gate_.enter();
      gate_.check();
    }
    ~Turn() { gate_.data_.unlock(); }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   protected:
    Gate& gate_;
  };

  // A Turn if it comes soon; false if it does not.
  class Attempt {
   public:
    explicit Attempt(Gate& gate) : gate_(gate), inside_(gate.enter_soon()) {
      if (inside_) gate_.check();
    }
    ~Attempt() {
      if (inside_) gate_.data_.unlock();
    }
    Attempt(const Attempt&) = delete;
    Attempt& operator=(const Attempt&) = delete;
    explicit operator bool() const { return inside_; }

   private:
    Gate& gate_;
    const bool inside_;
  };

  // Inside, to write.
  class Writing : public Turn {
   public:
    explicit Writing(Gate& gate) : Turn(gate) { gate.await_readings(); }
  };

  // Inside, for a part of a long operation.
  class Slice {
   public:
    explicit Slice(Gate& gate) : slices_(gate.slices_), writing_(gate) {}

   private:
    std::lock_guard<std::mutex> slices_;
    Writing writing_;
  };

  // Inside, to end something, whatever has happened.
  class Ending {
   public:
    explicit Ending(Gate& gate) : gate_(gate) { gate_.enter(); }
    ~Ending() { gate_.data_.unlock(); }
    Ending(const Ending&) = delete;
    Ending& operator=(const Ending&) = delete;

   private:
    Gate& gate_;
  };

  // Outside, and nothing is written meanwhile.
  class Reading {
   public:
    explicit Reading(Gate& gate) : gate_(gate) {
      Turn turn(gate);
      gate_.changed_.wait(gate_.data_, [this] { return gate_.waiting_ == 0; });
      if (gate_.closed_) throw Closed();
      if (gate_.readings_++ == 0) gate_.on_reading(true);
    }
    ~Reading() {
      Ending ending(gate_);
      if (--gate_.readings_ == 0) gate_.on_reading(false);
      gate_.changed_.notify_all();
    }
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;

   private:
    Gate& gate_;
  };

  // Inside: whether there is a Reading.
  bool reading() const { return readings_ > 0; }
  // Inside, as Writing: from now on it is Closed.
  void close() { closed_ = true; }

  // Called inside when there is a Reading, and when there is none any more.
  std::function<void(bool)> on_reading = [](bool) {};

 private:
  void enter() {
    std::lock_guard<std::timed_mutex> queue(next_);
    data_.lock();
  }

  bool enter_soon() {
    if (!next_.try_lock_for(SOON)) return false;
    std::lock_guard<std::timed_mutex> queue(next_, std::adopt_lock);
    return data_.try_lock_for(SOON);
  }

  // Inside, about to go on: leaves if it is closed.
  void check() {
    if (!closed_) return;
    data_.unlock();
    throw Closed();
  }

  void await_readings() {
    if (readings_ == 0) return;
    waiting_++;
    changed_.wait(data_, [this] { return readings_ == 0; });
    waiting_--;
    changed_.notify_all();
    if (closed_) throw Closed();
  }

  static constexpr std::chrono::milliseconds SOON{20};

  std::mutex slices_;
  std::timed_mutex next_, data_;
  std::condition_variable_any changed_;
  int readings_ = 0;
  int waiting_ = 0;  // for the end of the readings
  bool closed_ = false;
};

}  // namespace kt::tokyo

#endif
