// Kyoto Tycoon's snapshot files: the records of one database as they were at one moment.
//
//     HEADER  "KTSS\n" 0 | check 4 | stamp 8 | records 8 | bytes of the database 8
//     RECORD  CC | varnum key size | varnum size | key | what is stored
//
// Without a compressor, records follow the header and `check` is 0. Else blocks do, each with some
// whole records: | size 4 | compressed |. `check` is a hash of what the compressor makes of the
// first six bytes: it tells which one it is. The compressors are the library's; what one without lzo or
// lzma has written is read, too.
//
// Failures are std::runtime_error, whose text is for the server's log.

#ifndef KT_KYOTO_SNAPSHOT_FILE_H
#define KT_KYOTO_SNAPSHOT_FILE_H

#include <cstdint>
#include <memory>
#include <string>

#include "kyoto/database/record.h"

namespace kt {

struct SnapshotHeader {
  uint32_t check = 0;
  uint64_t stamp = 0;   // nanoseconds since the epoch
  int64_t records = 0;  // -1 if it is not known
  int64_t size = 0;
};

// "none", "zlib", "lzo" or "lzma"; null for none. Throws if the library lacks it.
std::unique_ptr<kc::Compressor> snapshot_compressor(const std::string& name);

// A file that is written; as long as it is not finished, it is none.
class SnapshotWriter {
 public:
  SnapshotWriter(const std::string& path, const std::string& compressor);
  ~SnapshotWriter();
  SnapshotWriter(const SnapshotWriter&) = delete;
  SnapshotWriter& operator=(const SnapshotWriter&) = delete;

  // Takes over a record, in memory.
  void put(Bytes key, Bytes stored);
  int64_t records() const { return records_; }

  // Writes what there is, if it is enough for a block.
  void write_full() {
    if (block_.size() >= BLOCK) write_block();
  }

  // Writes the rest and, at last, the header, and brings all of it to the device. `records` is set.
  void finish(SnapshotHeader header);

 private:
  static constexpr size_t BLOCK = 1 << 20;

  void write_block();
  void write(const char* data, size_t size, uint64_t offset);

  const std::string path_;
  const std::unique_ptr<kc::Compressor> compressor_;
  const int file_;
  uint64_t end_;
  std::string block_;
  int64_t records_ = 0;
};

class SnapshotReader {
 public:
  // Where the next record begins, and how many there were before it.
  struct Place {
    uint64_t offset;
    int64_t records;
  };

  // Reads the header.
  explicit SnapshotReader(const std::string& path);
  // Reads what `other` reads, from a place of it on. The file must have no compressor. Another
  // thread may read with `other` meanwhile.
  SnapshotReader(const SnapshotReader& other, Place place);
  ~SnapshotReader();
  SnapshotReader(const SnapshotReader&) = delete;
  SnapshotReader& operator=(const SnapshotReader&) = delete;

  const SnapshotHeader& header() const { return header_; }

  // The next record, valid until the next call. False at the end; throws if there are fewer than
  // the header says.
  bool next(Bytes* key, Bytes* stored);

  // Where `next` goes on, in a file without a compressor.
  Place place() const { return {offset_ - (data_.size() - at_), records_}; }

 private:
  [[noreturn]] void fail(const std::string& why) const;
  void find_compressor();
  uint64_t left() const { return end_ - offset_; }
  bool take(Bytes* key, Bytes* stored);
  bool refill();
  void read_block();
  void read(size_t size, std::string* to);

  const std::string path_;
  const int file_;
  uint64_t end_ = 0;     // of the file
  uint64_t offset_ = 0;  // in it, behind what has been read
  SnapshotHeader header_;
  std::unique_ptr<kc::Compressor> compressor_;
  std::string data_;
  size_t at_ = 0;  // in `data_`
  int64_t records_ = 0;
};

}  // namespace kt

#endif
