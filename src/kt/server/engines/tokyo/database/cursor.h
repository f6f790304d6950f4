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

#include <cstring>
#include <memory>
#include <string>
#include <string_view>

namespace kt::tokyo {

using Bytes = std::string_view;

// A thread that serves many connections hurries: it leaves values of more bytes than LARGE to a
// thread that may take its time. To copy one takes as long as thousands of requests.
constexpr size_t LARGE = 4 << 20;

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

  // Inside a slice: copies a value of `size` bytes that is not here to where there is room for it.
  // False if it has become another one.
  virtual bool fetch(char* at) {
    std::memcpy(at, value.data(), value.size());
    return true;
  }

  // The record; valid until the next call. Without values, `value` is empty, as it is where a file
  // would have to be read for more than LARGE bytes: these are for `fetch`.
  Bytes key, value;
  size_t size = 0;  // of the value

 protected:
  // It is where the library has it.
  void show_value(const void* bytes, int length) {
    size = static_cast<size_t>(length);
    value = Bytes(static_cast<const char*>(bytes), size);
  }

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
