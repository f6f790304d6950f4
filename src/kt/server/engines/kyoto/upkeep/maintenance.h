// What is done to a whole database at once. Each of these may take long, so it belongs into a thread
// of its own; other threads are held up for moments only.

#ifndef KT_KYOTO_MAINTENANCE_H
#define KT_KYOTO_MAINTENANCE_H

#include <string>

#include "kyoto/database/database.h"

namespace kt {

// Remove all records. (clear.cpp)
Error clear(Database& database);

// Remove what a clear() that was interrupted by a crash has left beside the file.
void remove_leftovers(Database& database);

// Before the file is opened: where an older version was interrupted by a crash, so that there is
// only the beginning of a new file, the old one comes back.
void undo_clearing(const std::string& path);

// Write everything to the file and, if `hard`, to the device. A processor is run at the end while
// nobody can write; it is the one thing here that may hold up others for as long as it takes.
Error synchronize(Database& database, bool hard, kc::BasicDB::FileProcessor* processor);

// Remove expired records and close the gaps in the file: `steps` records' worth, or all if 0.
Error vacuum(Database& database, int64_t steps);

// Close gaps in the file, `steps` records' worth of them.
Error defragment(Database& database, int64_t steps);

// Whether the engine knows of gaps in its file. Inside.
bool has_gaps(Database& database);

// A small step of everything that is better done in idle moments; true if there is more to do.
bool tick(Database& database);

}  // namespace kt

#endif
