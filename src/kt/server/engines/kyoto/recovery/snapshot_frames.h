// A snapshot file as a stream of changes, as protocol/replay.h reads them: the database is cleared,
// then each record is set. All have the stamp 0.
//
// Failures are std::runtime_error, whose text is for the server's log.

#ifndef KT_KYOTO_SNAPSHOT_FRAMES_H
#define KT_KYOTO_SNAPSHOT_FRAMES_H

#include <cstdint>
#include <string>

#include "kyoto/recovery/snapshot_file.h"

namespace kt {

class SnapshotFrames {
 public:
  // Reads the header. The file may be removed afterwards. `server` is who has made the changes,
  // `database` the number of the database.
  SnapshotFrames(const std::string& path, uint16_t server, uint16_t database);
  // Goes on where `other` was when it was at `place`, which is behind something it has read.
  SnapshotFrames(const SnapshotFrames& other, SnapshotReader::Place place);

  const SnapshotHeader& header() const { return reader_.header(); }

  // The next changes: those of at least `size` bytes, if there are so many; none at the end.
  std::string read(size_t size);

  SnapshotReader::Place place() const { return reader_.place(); }

 private:
  void begin_message(std::string* to, size_t body, char what);

  SnapshotReader reader_;
  const uint16_t server_;
  const uint16_t database_;
  bool begun_ = false;  // the clearing has been read
};

}  // namespace kt

#endif
