#include "kyoto/recovery/snapshot_frames.h"

namespace kt {

namespace {

constexpr char CHANGE = '\xB1';
constexpr char SET = '\xA1';
constexpr char CLEAR = '\xA5';
constexpr size_t STAMP = 8;
constexpr size_t HEAD = 5;  // of the message: server, database, what

void add_big_endian(std::string* to, size_t width, uint64_t number) {
  char bytes[8];
  store_big_endian(bytes, width, number);
  to->append(bytes, width);
}

}  // namespace

SnapshotFrames::SnapshotFrames(const std::string& path, uint16_t server, uint16_t database)
    : reader_(path), server_(server), database_(database) {}

SnapshotFrames::SnapshotFrames(const SnapshotFrames& other, SnapshotReader::Place place)
    : reader_(other.reader_, place),
      server_(other.server_),
      database_(other.database_),
      begun_(true) {}

std::string SnapshotFrames::read(size_t size) {
  std::string frames;
  if (!begun_) {
    begin_message(&frames, 0, CLEAR);
    begun_ = true;
  }
  Bytes key;
  Bytes stored;
  while (frames.size() < size && reader_.next(&key, &stored)) {
    char sizes[2 * kc::NUMBUFSIZ];
    size_t width = kc::writevarnum(sizes, key.size());
    width += kc::writevarnum(sizes + width, stored.size());
    begin_message(&frames, width + key.size() + stored.size(), SET);
    frames.append(sizes, width).append(key).append(stored);
  }
  return frames;
}

void SnapshotFrames::begin_message(std::string* to, size_t body, char what) {
  to->push_back(CHANGE);
  to->append(STAMP, '\0');
  add_big_endian(to, 4, HEAD + body);
  add_big_endian(to, 2, server_);
  add_big_endian(to, 2, database_);
  to->push_back(what);
}

}  // namespace kt
