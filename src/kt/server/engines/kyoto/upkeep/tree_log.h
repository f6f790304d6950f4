// The log of a file tree: after a kill, its file is what it was when all its pages were in it.
//
// A tree keeps changed pages in memory. They come into the file one by one, when the cache is full
// or when pages are written back; half of what a page held that was split may be in the file, and
// the other half not. So the file under a tree is always in a transaction of its own: its log has
// what was overwritten since the last *point*, at which every changed page was in the file. Who
// opens the file after a kill finds the tree of that point, as a whole.
//
//     point --- pages are written, and what was there before to the log --- point ---
//
// Points are made when pages have been written back, some three times a second while something is
// changed, and by synchronize(). There is no log where every write is a transaction, inside of a
// user's transaction, which has its own, and while the disk is nearly full.
//
// All members are for those who are alone inside.

#ifndef KT_KYOTO_TREE_LOG_H
#define KT_KYOTO_TREE_LOG_H

namespace kt {

class Database;

class TreeLog {
 public:
  explicit TreeLog(Database& database) : database_(database) {}
  TreeLog(const TreeLog&) = delete;
  TreeLog& operator=(const TreeLog&) = delete;

  bool running() const { return running_; }
  bool has_room() const;

  // To be called at a point. Nothing happens where there is to be no log.
  void begin();

  // Make a point, or give the protection up if pages are changed. Nothing happens without a log.
  void end();

 private:
  bool wanted() const;

  Database& database_;
  bool running_ = false;
};

}  // namespace kt

#endif
