// What the engines know of the update log: where they tell what they change.
//
//     engine, with the record locked      log->append(origin, {parts of one record})
//     engine, with nothing locked         log->flush()       before anybody is told that it is done
//     engine, before it changes anything  log->ready()       no changes while they cannot be logged
//
// Only virtual functions: the log itself is in a module of its own, as the engines are.

#ifndef KT_LOG_CHANGE_LOG_H
#define KT_LOG_CHANGE_LOG_H

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace kt {

// Where a change comes from.
struct Origin {
  uint16_t server = 0;  // where it was made
  uint16_t master = 0;  // from where it has come to us; 0 if it was made here. Tokyo Tyrant's only
};

class ChangeLog {
 public:
  virtual ~ChangeLog() = default;

  // The number of this server.
  virtual uint16_t server() const = 0;

  // Takes over one record, stamped now. Throws std::bad_alloc, and has taken over nothing then.
  virtual void append(const Origin& origin, std::initializer_list<std::string_view> parts) = 0;

  // Likewise some records that belong together: after a kill the log has all of them or none.
  virtual void append_together(const Origin& origin, const std::vector<std::string>& messages) = 0;

  // A stamp that no record so far goes above, and that all later ones do.
  virtual uint64_t stamp() = 0;
  // Whether what has been taken over could be written, at the last attempt or at one more.
  virtual bool ready() = 0;

  // Writes what has been taken over so far. False if that cannot be done now: it is kept.
  virtual bool flush() = 0;

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

}  // namespace kt

#endif
