// The log of a file tree: after a kill, its file is what it was when all its pages were in it.
//
// A tree keeps changed pages in memory, and the library writes them over themselves in the file: when
// they leave its cache, and when it synchronizes. A kill in the middle tears a page, or leaves half of
// what a page held that was split. So the hash database under a tree is always in a transaction of its
// own: the library's log, `casket.tcb.wal`, has what was overwritten since the last *point*, at which
// every changed page was in the file. Whoever opens the file after a kill, the original included,
// finds the tree of that point, as a whole.
//
//     point --- pages are written, and what was there before to the log --- point ---
//
// Points are made by synchronizing, some three times a second while something is changed
// (Database::make_points), and when the log has become long. There is no log while the disk is nearly
// full, because it is fatal to the library if it cannot be written; nor while somebody reads for long,
// when nothing is changed.
//
// All members are for those who are inside the gate, as Writing.

#ifndef KT_TOKYO_TREE_LOG_H
#define KT_TOKYO_TREE_LOG_H

#include <tcbdb.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace kt::tokyo {

class TreeLog {
 public:
  explicit TreeLog(TCBDB* tree) : tree_(tree) {}

  // To be called at a point. Nothing happens where there can be no log.
  void begin();
  // Likewise. False if what was overwritten is not forgotten.
  bool end();

  // A change of that many bytes is to come.
  void weigh(size_t size) { weight_ += 1 + size / HEAVY; }
  // After a change: whether a point should be made before the log becomes too long.
  bool long_enough() { return weight_ >= LOOK_AFTER && is_long(); }

 private:
  bool is_long();
  bool open_log() const;
  std::string path() const { return std::string(tchdbpath(tree_->hdb)) + ".wal"; }

  static constexpr size_t HEAVY = 4 << 10, LOOK_AFTER = 256;

  TCBDB* const tree_;
  size_t weight_ = 0;
};

// Before a file is opened that was left open: cuts off an entry of its log that was not written to
// its end, at which the library would stop half-way. Whether there is a log to be applied.
bool mend_log(const std::string& path);

// Before a file is opened that was closed: what is left of a log belongs to another state of it.
void forget_log(const std::string& path);

// After mending, and after opening: whether the library has applied it.
bool log_was_applied(const std::string& path);

}  // namespace kt::tokyo

#endif
