// Brings a database back at the start, before anybody uses it: the records of a snapshot, then what
// the update log has of later changes.
//
// Nobody is told of these changes: they are in the log already. Failures are std::runtime_error;
// a full disk is NO_ROOM_LEFT, because what helps then is something else.

#ifndef KT_KYOTO_RESTORING_H
#define KT_KYOTO_RESTORING_H

#include <cstdint>
#include <string>
#include <vector>

#include "kyoto/database/database.h"
#include "kyoto/recovery/snapshot_file.h"

namespace kt {

constexpr int64_t NO_ROOM_LEFT = -1;

// Sets the records of a snapshot, so many at a time.
class SnapshotLoader {
 public:
  // Reads the header. The database must live longer.
  SnapshotLoader(Database& database, const std::string& path)
      : database_(database), reader_(path) {}

  const SnapshotHeader& header() const { return reader_.header(); }

  // How many more have been set; 0 at the end, or NO_ROOM_LEFT.
  int64_t load(int64_t limit);

 private:
  Database& database_;
  SnapshotReader reader_;
};

// A database, and the stamp up to which it has everything.
struct Restored {
  Database* database = nullptr;
  uint64_t since = 0;
};

// Carries out what log/log_reader.h gives out, whole messages, in the databases of these numbers;
// those with none are left out. Returns how many changes that were, or NO_ROOM_LEFT.
int64_t restore_changes(const std::vector<Restored>& databases, Bytes frames);

}  // namespace kt

#endif
