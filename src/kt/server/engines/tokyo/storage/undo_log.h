// What brings a file back: after a kill, it is what it was at the last *point*.
//
// Hash databases, of which trees and tables are made, are written over in place. A kill in the middle
// tears a record, or the page of a tree, which the library keeps in memory and writes when it leaves the
// cache, so that half of what a page held that was split may be missing. So the file is always in a
// transaction of its own: the library's log, `casket.tcb.wal`, has what was overwritten since the last
// point. Whoever opens the file after a kill, the original included, finds what was there then.
//
//     point --- what is overwritten goes to the log --- point ---
//
// Points are made some three times a second while something is changed (Database::make_points), by
// synchronizing, when the log has become long, and after each change where it is to be kept by itself
// (Database::commit). There is no log while the disk is nearly full, because
// it is fatal to the library if it cannot be written; nor while somebody reads for long, when nothing is
// changed. Trees have one always, other files where the server keeps all that was acknowledged: then the
// *mark* in the file says what the update log has beyond the point.
//
// All members are for those who are inside the gate, as Writing.

#ifndef KT_TOKYO_UNDO_LOG_H
#define KT_TOKYO_UNDO_LOG_H

#include <tchdb.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "log/change_log.h"

namespace kt::tokyo {

class UndoLog {
 public:
  // With `device`, the library brings to the device what is overwritten before that is done, and at a
  // point what is there.
  UndoLog(TCHDB* file, bool device);

  // To be called at a point. Nothing happens where there can be no log.
  void begin();
  // Likewise. False if what was overwritten is not forgotten.
  bool end();
  // Both at once: somebody who is killed meanwhile leaves one log or the other, not none.
  bool renew();
  bool running() const { return file_->tran; }
  // The library does not vouch for the file any more.
  bool failed() const { return file_->fatal; }

  // Which point it began at: no two have the same number.
  uint64_t turn() const { return turn_; }

  // A change of that many bytes is to come.
  void weigh(size_t size) { weight_ += 1 + size / HEAVY; }
  // After a change: whether a point should be made before the log becomes too long.
  bool long_enough() { return weight_ >= LOOK_AFTER && is_long(); }

 private:
  bool is_long();
  bool has_room() const;
  bool open_log() const;
  bool put_first_entry() const;
  std::string path() const { return std::string(tchdbpath(file_)) + ".wal"; }

  static constexpr size_t HEAVY = 4 << 10, LOOK_AFTER = 256;

  static inline std::atomic<uint64_t> turns_{0};

  TCHDB* const file_;
  uint64_t turn_ = ++turns_;
  size_t weight_ = 0;
};

// What a file says of itself whose server keeps all that was acknowledged: that it is open, up to which
// stamp of the update log everything is in it, and which log that is, by where it ended then (nowhere in files
// of before that). Where the library leaves room for its users.
struct Mark {
  bool open = false;
  uint64_t stamp = 0;
  LogPlace log;
};
Mark mark_of(TCHDB* file);
void set_mark(TCHDB* file, const Mark& mark);

// Before a file is opened that was left open: cuts off an entry of its log that was not written to
// its end, at which the library would stop half-way. Whether there is a log to be applied.
bool mend_log(const std::string& path);

// Before a file is opened that was closed: what is left of a log belongs to another state of it.
void forget_log(const std::string& path);

// After mending, and after opening: whether the library has applied it.
bool log_was_applied(const std::string& path);

}  // namespace kt::tokyo

#endif
