// The point in the update log from which a file that a killed process has left is brought up to date.

#ifndef KT_KYOTO_CHECKPOINT_H
#define KT_KYOTO_CHECKPOINT_H

#include <cstdint>

#include "kyoto/database/database.h"

namespace kt {

// Writes everything to the file. Returns a stamp: the file has all changes up to it, whatever happens to
// this process later. Throws std::runtime_error.
uint64_t checkpoint(Database& database);

}  // namespace kt

#endif
