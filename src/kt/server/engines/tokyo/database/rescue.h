// Files that were not closed: their server was killed.
//
// A hash file is as it was left: what was written is in it. The others keep something in memory
// that the file needs. In a B+ tree these are pages, so the pages in the file may contradict each
// other, and the library may walk in circles. Therefore such a file is rebuilt when it is opened,
// before anyone uses it:
//
//     B+ tree        a new tree of all records in the leaf pages that are in the file
//     table          `optimize`: its rows are a hash file, from which the indices are made anew
//     fixed-length   `optimize`: counts anew
//
// What a killed server had not synchronized may be lost, and what it had removed may be there
// again.

#ifndef KT_TOKYO_RESCUE_H
#define KT_TOKYO_RESCUE_H

#include <tcbdb.h>

#include <string>

namespace kt::tokyo {

// Whether a file of Tokyo Cabinet was left open.
bool was_left_open(const std::string& path);

// Writes what is in the leaves of a tree to a new file with the same tuning; false if that fails.
bool rescue_tree(TCBDB* torn, const std::string& path);

}  // namespace kt::tokyo

#endif
