// Makes a transaction log fit to be applied.

#ifndef KT_KYOTO_LOG_CHECK_H
#define KT_KYOTO_LOG_CHECK_H

#include <string>

#include "kyoto/storage/file.h"

namespace kt {

inline std::string log_of(const std::string& path) { return path + ".wal"; }

// Cut off the last entry of a log if it was not written to its end. `file` is the one that the log
// belongs to, locked. False if that is wanted and cannot be done.
bool cut_torn_entry(const File& file, const std::string& log_path);

}  // namespace kt

#endif
