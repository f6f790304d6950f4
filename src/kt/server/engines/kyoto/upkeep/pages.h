// The pages that a tree keeps in memory, and the gaps in a file, piece by piece.

#ifndef KT_KYOTO_PAGES_H
#define KT_KYOTO_PAGES_H

#include "kyoto/database/database.h"

namespace kt {

// How much of the time others get; COMPLETE means what is known about the tree, too.
enum class Pace { GENTLE, BRISK, COMPLETE };

// Write the changed pages of a tree to its file. Nothing to do for other databases. Fails if one
// cannot be written; it is tried again then.
Error clean_pages(Database& database, Pace pace = Pace::BRISK);

// Write those that have been changed since, and end the tree's log; alone inside.
void clean_rest(Database& database);

// Likewise, as an attempt, and begin a log anew.
void make_point(Database& database, const PageStore::Attempt& attempt);

// Drop the pages that have not been changed from memory.
void drop_clean_pages(Database& database);

// Close gaps in a file, `steps` blocks' worth; nothing to do where there is none. Alone inside.
Error close_some_gaps(Database& database, int64_t steps);

// If the largest gap has come close to the end of the file: give back to the file system what it
// occupies, before the engine cuts it off in one go. Alone inside; it takes turns. True if it is done.
bool empty_last_gap(Database& database, Turns& turns);

}  // namespace kt

#endif
