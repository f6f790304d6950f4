// The bytes of a hash file, read without the library's chains of trust.
//
//     header, 256 bytes | buckets | free block pool | records and free blocks, without a gap
//
//     record       C8 | second hash | left, right | padding size | ksiz, vsiz | key, value, padding
//     free block   B0 | u32 size    | ...
//
// A bucket has the offset of a record, `left` and `right` those of two more with the same bucket: a
// binary tree. Offsets take 4 bytes, or 8 in a `large` file, and are counted in units of the
// alignment. Numbers have the byte order that the library was built for, as the header shows. Sizes
// of keys and values have seven bits a byte, the lowest first; in all bytes but the last they are
// inverted.
//
// A killed server may leave a file in which the row of records is interrupted (iteration and
// optimizing end there), a link leads to what is no record (those behind it are not found), or a
// record is linked by nobody. The library serves such a file without a word. `sound` finds it out:
// the records in a row must be those that the links lead to. `each` finds whatever is left.

#ifndef KT_TOKYO_HASH_FILE_H
#define KT_TOKYO_HASH_FILE_H

#include <tchdb.h>

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

namespace kt::tokyo {

class HashFile {
 public:
  using Bytes = std::string_view;
  // Gets a key and the value as it is stored, perhaps compressed; false ends it all.
  using Visitor = std::function<bool(Bytes, Bytes)>;

  // The file of an open database, which must not be written meanwhile.
  explicit HashFile(const TCHDB* database);
  ~HashFile();
  HashFile(const HashFile&) = delete;
  HashFile& operator=(const HashFile&) = delete;

  // Whether the library can find every record, in both ways. `count` gets their number.
  bool sound(uint64_t* count) const;
  // All records that can be read: first those that are found by their keys, then those that lie in
  // the file, some of them again. False if the visitor ended it.
  bool each(const Visitor& visit) const;

 private:
  struct Record {
    uint64_t offset, end, left, right;
    Bytes key, value;
    bool intact;  // otherwise its begin has been overwritten, `left` with it
  };
  // Counts records without keeping them: equal sums mean that they are the same.
  struct Tally {
    uint64_t count = 0, sum = 0;
    void add(uint64_t offset);
    bool operator==(const Tally& other) const { return count == other.count && sum == other.sum; }
  };

  bool parse(uint64_t offset, Record* record) const;
  uint64_t free_block_end(uint64_t offset) const;
  uint64_t number(uint64_t at, int size) const;
  uint64_t link(uint64_t at) const { return number(at, link_size_) << shift_; }
  uint64_t bucket(Bytes key) const;
  static uint8_t second_hash(Bytes key);
  bool begins_something(uint64_t offset) const;
  uint8_t byte(uint64_t offset) const { return static_cast<uint8_t>(map_[offset]); }

  // Goes from link to link. With `strict` it ends, with false, at the first that leads astray.
  bool follow(bool strict, const std::function<bool(const Record&)>& visit) const;
  // Goes from record to record; likewise.
  bool walk(bool strict, const std::function<bool(const Record&)>& visit) const;
  bool follow_bucket(uint64_t number, bool strict, uint64_t* steps,
                     const std::function<bool(const Record&)>& visit) const;

  const uint64_t size_, first_, buckets_, align_;
  const int shift_, link_size_;
  bool big_endian_ = false;
  const char* map_ = nullptr;
};

}  // namespace kt::tokyo

#endif
