// Room in the file system for what the library will write.
//
// The library writes through memory maps into parts of a file that have no blocks yet: on a full
// disk that is a signal which ends the process. Where it does not, a write that fails leaves a file
// that contradicts itself, and a page of a tree that cannot be written is forgotten. So before a
// change it is asked whether everything that the change will ever cause to be written has blocks,
// the changed pages in memory included (tree_room.h); if not, the change is refused, and nothing
// has happened. Blocks are got a piece at a time: mostly that is a comparison.
//
// Everything here wants the caller inside the gate, as Writing.

#ifndef KT_TOKYO_ROOM_H
#define KT_TOKYO_ROOM_H

#include <tcadb.h>
#include <tcfdb.h>
#include <tchdb.h>

#include <bitset>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

namespace kt::tokyo {

// Of an open database.
class Room {
 public:
  using Bytes = std::string_view;

  virtual ~Room() = default;

  // Whether a record of that size can be stored under the key. In a table, the row alone.
  virtual bool admits(Bytes key, size_t size) = 0;
  virtual bool admits_removal(Bytes) { return true; }
  // In a table: whether the indices can take such a row in the place of the one that is there.
  virtual bool admits_row(Bytes, TCMAP*) { return true; }
  // Likewise, for a counter there.
  virtual bool admits_number(Bytes) { return true; }
  // Likewise, for changes of that many bytes which nobody can tell before.
  virtual bool admits_changes(size_t) { return true; }
  // Writes what is changed in memory to the files, except for words of full-text indices.
  virtual bool settles() { return true; }
  // The files have been cut off at their ends, so what was behind is given up.
  virtual void forget() {}
};

// For what is open; null where there is no file, or nothing is written to it.
std::unique_ptr<Room> room_of(TCADB* database);

// Before a file is opened: whether it has blocks for all of its bytes. A copy may have holes.
bool fill_holes(const std::string& path);

// Behind the end of a hash file, which all types but one consist of.
class FileRoom {
 public:
  explicit FileRoom(TCHDB* file) : file_(file) {}

  // Whether so much can be appended, as things are, and if need be with more blocks.
  bool holds(int64_t more) const { return end() + more <= room_; }
  bool has(int64_t more, int64_t at_once = 0) { return holds(more) || make(more, at_once); }
  void forget() { room_ = 0; }

  // What a record takes at most; a page is one.
  int64_t record(size_t key, size_t value) const {
    const auto bytes = static_cast<int64_t>(key + value);
    const int64_t compressed = file_->zmode ? bytes / 8 + 1024 : 0;
    return HEAD + bytes + compressed + file_->align;
  }
  // What all records take at most.
  int64_t content() const { return end() - static_cast<int64_t>(file_->frec); }

 private:
  static constexpr int64_t HEAD = 64;

  int64_t end() const { return static_cast<int64_t>(file_->fsiz); }
  bool make(int64_t more, int64_t at_once);

  TCHDB* const file_;
  int64_t room_ = 0;  // up to there
};

class HashRoom : public Room {
 public:
  explicit HashRoom(TCHDB* file) : file_(file) {}
  bool admits(Bytes key, size_t size) override { return file_.has(file_.record(key.size(), size)); }
  void forget() override { file_.forget(); }

 private:
  FileRoom file_;
};

// A fixed-length file has holes where there are no records, so its pages are looked at one by one.
// Not in memory (tmpfs): there, to read a hole takes a block, too.
class FixedRoom : public Room {
 public:
  explicit FixedRoom(TCFDB* file);
  ~FixedRoom() override;
  bool admits(Bytes key, size_t size) override;
  void forget() override { pages_.clear(); }

 private:
  static constexpr uint64_t PAGE = 4096;
  static constexpr uint64_t AT_ONCE = 64;  // pages, where one is written after the other
  static constexpr uint64_t GROUP = 4096;  // pages

  int64_t number_of(Bytes key) const;
  bool knows(uint64_t page) const;
  bool fill(uint64_t first, uint64_t last);

  TCFDB* const file_;
  const bool without_holes_;
  std::unordered_map<uint64_t, std::bitset<GROUP>> pages_;  // that have blocks
};

}  // namespace kt::tokyo

#endif
