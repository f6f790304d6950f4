// A place in a database that is kept while the gate is left, one class per type of database.
//
//     open -> key, value -> next -> key, value -> next ... close     within one slice
//     open -> (goes on with the record at which `close` was called)  in the next one
//
// The library has one iterator per database, which belongs to the clients (`iterinit`, `iternext`);
// a slice borrows it and gives it back as it was. Between slices the place is the key of the next
// record. In ordered databases (in memory tree, B+ tree, fixed-length) that always is a place, and
// records keep their order. In hash databases a record that is written may move, or be removed:
// whoever writes must call `skip` first if the record is at `place` (see scan.h).

#ifndef KT_TOKYO_CURSOR_H
#define KT_TOKYO_CURSOR_H

#include <tcadb.h>

#include <memory>
#include <string>
#include <string_view>

namespace kt::tokyo {

using Bytes = std::string_view;

class Cursor {
 public:
  virtual ~Cursor() = default;

  // Begin a slice; false when there is no record left.
  virtual bool open() = 0;
  // Go on to the next record; false when there is none.
  virtual bool next() = 0;
  // End a slice.
  virtual void close() = 0;

  // Between slices: move on from the record at the place, which is about to be written.
  void skip() {
    if (open()) next();
    close();
  }
  // Between slices: the key of the record that comes next.
  Bytes place() const { return place_; }

  // The record; valid until the next call. Without values, `value` is empty.
  Bytes key, value;

 protected:
  std::string place_;
  bool started_ = false;  // otherwise the place is the begin
  bool ended_ = false;
};

std::unique_ptr<Cursor> memory_hash_cursor(TCMDB* database, bool values);
std::unique_ptr<Cursor> memory_tree_cursor(TCNDB* database, const Bytes* begin, bool values);
std::unique_ptr<Cursor> hash_cursor(TCHDB* database, bool values);
std::unique_ptr<Cursor> tree_cursor(TCBDB* database, const Bytes* begin, bool values);
std::unique_ptr<Cursor> fixed_cursor(TCFDB* database, const Bytes* begin, bool values);

// With how many buckets to make a database like this one.
uint32_t memory_hash_buckets(const TCMDB* database);

}  // namespace kt::tokyo

#endif
