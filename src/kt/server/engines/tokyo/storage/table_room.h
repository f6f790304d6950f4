// Room for a table: its rows are a hash file, its indices are B+ trees.
//
// In a lexical or decimal index a row has a record for its value in that column. A full-text index
// has one for each word, with all rows that contain it; the library gathers changes in memory and
// puts some of them into the tree now and then. Which pages that changes is not known before, so
// there must be room for all of them.

#ifndef KT_TOKYO_TABLE_ROOM_H
#define KT_TOKYO_TABLE_ROOM_H

#include <tctdb.h>

#include <memory>
#include <string>
#include <vector>

#include "tokyo/storage/tree_room.h"

namespace kt::tokyo {

class TableRoom : public Room {
 public:
  explicit TableRoom(TCTDB* table);

  bool admits(Bytes key, size_t size) override;
  bool admits_removal(Bytes key) override;
  bool admits_row(Bytes key, TCMAP* columns) override;
  bool admits_number(Bytes key) override;
  bool admits_changes(size_t bytes) override;
  bool settles() override;
  void forget() override;

 private:
  struct Index {
    std::string column;
    bool full_text;
    const TCMAP* gathered;  // words that are not in the tree yet
    std::unique_ptr<TreeRoom> tree;
    int64_t seen = 0;    // how much was gathered at the last look, and came to it then
    int64_t moved = 0;   // from there to the tree
  };

  static bool admits_value(Index* index, Bytes key, Bytes value, bool removed);
  static bool admits_changed(Index* index, size_t bytes);
  static bool admits_words(Index* index, Bytes key, size_t bytes);
  static bool admits_column(Index* index, Bytes key, TCMAP* columns, bool removed);

  TCTDB* const table_;
  FileRoom rows_;
  std::vector<Index> indices_;
};

}  // namespace kt::tokyo

#endif
