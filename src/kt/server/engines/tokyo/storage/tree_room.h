// Room for a B+ tree, which keeps changed pages in memory.
//
// Its pages are the records of a hash file. The library writes a changed one when it needs memory,
// when it is told to, and at the end. So for each page that may be changed there is an upper bound
// of what it will take (`pages_`), and blocks for the sum of them behind the end of the file. Which
// page a change will go to is found out by looking for the key; where the change may split or
// remove a page, those beside it and above it are taken for changed, too.
//
// The bounds only grow, also for pages that have been written since, and each time by a bit more than
// is needed, for what comes next to the same page. When there seem to be no more blocks, they are
// looked at again; only then more are asked for; and when there are none, the changed pages are
// written, because most of them fit where they were.

#ifndef KT_TOKYO_TREE_ROOM_H
#define KT_TOKYO_TREE_ROOM_H

#include <tcbdb.h>

#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tokyo/storage/room.h"

namespace kt::tokyo {

class TreeRoom : public Room {
 public:
  explicit TreeRoom(TCBDB* tree) : tree_(tree), file_(tree->hdb) {}

  bool admits(Bytes key, size_t size) override;
  bool admits_removal(Bytes key) override;
  bool settles() override { return write_back(); }
  void forget() override;

  // Whether there is room for changes in any pages that add so much, this one and those before it
  // since everything was written.
  bool admits_anywhere(int64_t bytes);

 private:
  struct Leaf;
  struct Record;
  struct Node;
  struct Link;

  // What a page will take at most, and what of that no change has used yet.
  struct Bound {
    int64_t bytes = 0;
    int64_t left = 0;
  };

  bool takes(const Leaf* leaf, int64_t grown);
  bool try_admit(Bytes key, int64_t grown, bool more);
  void plan(Bytes key, int64_t grown);
  void plan_around(Bytes key, const Leaf* leaf, int64_t bytes);
  void plan_page(uint64_t page, int64_t bytes);
  bool splits(const Leaf* leaf, int64_t grown) const;
  static bool is_last(const Leaf* leaf);  // record in the leaf
  const Leaf* leaf_of(Bytes key);
  const Leaf* last_leaf_if_of(Bytes key) const;
  int compare(Bytes key, const Leaf* leaf, int index) const;
  const Leaf* cached_leaf(uint64_t page) const;
  const Node* cached_node(uint64_t page) const;
  int64_t bound_of(uint64_t page) const;
  int64_t bytes_of_leaf(uint64_t page) const;
  static int64_t bytes_of(const Leaf* leaf);
  static int64_t bytes_of(const Node* node);
  int64_t cost(int64_t bytes) const { return file_.record(PAGE_KEY, static_cast<size_t>(bytes)); }
  void recount();
  bool write_back();

  static constexpr size_t PAGE_KEY = 18;

  TCBDB* const tree_;
  FileRoom file_;
  std::unordered_map<uint64_t, Bound> pages_;    // that may be changed
  int64_t changed_ = 0;                          // what they cost
  bool untold_ = false;                          // whether there may be others
  std::vector<std::pair<uint64_t, int64_t>> planned_;  // pages and their bytes, the leaf first
  int64_t needed_ = 0;  // by what is planned, more than now
};

}  // namespace kt::tokyo

#endif
