// What the engines know of the update log: where they tell what they change.
//
//     engine, with the record locked      log->append(origin, {parts of one record})
//     engine, with nothing locked         log->flush()       before anybody is told that it is done
//     engine, before it changes anything  log->ready()       no changes while they cannot be logged
//
// Only virtual functions: the log itself is in a module of its own, as the engines are.

#ifndef KT_LOG_CHANGE_LOG_H
#define KT_LOG_CHANGE_LOG_H

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kt {

// Where a change comes from.
struct Origin {
  uint16_t server = 0;  // where it was made
  uint16_t master = 0;  // from where it has come to us; 0 if it was made here. Tokyo Tyrant's only
};

// Some end that a log has had, by what stands there: so the log is known again wherever it has been moved or
// copied to, and another one is not taken for it.
struct LogPlace {
  uint64_t number = 0;  // of the file
  uint64_t size = 0;    // bytes of that
  uint64_t first = 0;   // the stamp of its first record; 0 if it had none, which may be any log
  uint64_t tail = 0;    // a sum of the last bytes
  uint64_t boot = 0;    // changes whenever the machine starts; 0 if not known
};

class ChangeLog {
 public:
  virtual ~ChangeLog() = default;

  // The number of this server.
  virtual uint16_t server() const = 0;

  // Takes over one record, and returns the stamp that it has got. Throws std::bad_alloc, and has taken
  // over nothing then.
  virtual uint64_t append(const Origin& origin, std::initializer_list<std::string_view> parts) = 0;

  // Likewise some records that belong together: after a kill the log has all of them or none. The last
  // stamp; 0 without records.
  virtual uint64_t append_together(const Origin& origin, const std::vector<std::string>& messages) = 0;

  // A stamp that no record so far goes above, and that all later ones do.
  virtual uint64_t stamp() = 0;
  // Whether what has been taken over could be written, at the last attempt or at one more.
  virtual bool ready() = 0;

  // Writes what has been taken over so far, and brings it to the device if the log is kept so. False if that
  // cannot be done now: it is kept.
  virtual bool flush() = 0;
  // Only writes it.
  virtual bool write() = 0;
  // Where what has been written ends.
  virtual LogPlace place() = 0;

  // Why not; empty if it can.
  virtual std::string trouble() = 0;
};

// While one exists, its thread writes the log once, at the end, and not after each change: for whoever
// tells nobody of any of them before.
class LogBatch {
 public:
  LogBatch() {
    if (depth_++ == 0) used_ = false;
  }
  ~LogBatch() { depth_--; }
  LogBatch(const LogBatch&) = delete;
  LogBatch& operator=(const LogBatch&) = delete;

  static bool open() { return depth_ > 0; }
  // Told by those who change something; whether that was so, in the last batch of this thread.
  static void use() { used_ = true; }
  static bool used() { return used_; }

 private:
  static inline thread_local int depth_ = 0;
  static inline thread_local bool used_ = false;
};

// How new the newest record is that this thread has given to the log, since that was asked last: for
// whoever waits until others have it, too.
class Written {
 public:
  static constexpr uint64_t HELD = UINT64_MAX;

  static void note(uint64_t stamp) { newest_ = std::max(newest_, stamp); }
  // Something is kept back by this one, and gets its stamp when that ends; perhaps in another thread.
  static void hold(const void* by) { held_by_ = held_by_ == nullptr || held_by_ == by ? by : &several_; }
  static void let_go(const void* by) {
    if (held_by_ == by) held_by_ = nullptr;
  }
  // The stamp; 0 for nothing, HELD while there is none yet.
  static uint64_t take() {
    const uint64_t newest = std::exchange(newest_, 0);
    return std::exchange(held_by_, nullptr) == nullptr ? newest : HELD;
  }

 private:
  static constexpr char several_ = 0;
  static inline thread_local uint64_t newest_ = 0;
  static inline thread_local const void* held_by_ = nullptr;
};

}  // namespace kt

#endif
