// Files that were not closed: their server was killed.
//
// What such a file needs depends on its type, and on what the kill met. It is found out when the
// file is opened, before anyone uses it:
//
//     hash           nothing, if it is sound (hash_file.h); else a new file of all records that can
//                    be read in any way
//     table          its rows are a hash file; the indices are made anew from them
//     B+ tree        some pages were in memory, so those in the file may contradict each other, and
//                    the library may walk in circles: a new tree of all records in the leaf pages,
//                    which are the records of a hash file
//     fixed-length   the least and the greatest number, and the count, are looked up: the file has
//                    those of the last synchronization, and the library finds nothing outside
//
// A file whose maker was killed is none yet: the library writes the header first, which says where
// the first record will be, and then fills the file up to there. Cut to nothing, it is made anew.
//
// A new file takes the place of the old one when it is complete and on the device, and the old one
// stays beside it (`.torn`): whatever the new one lacks is still there. What a killed server had
// not synchronized may be lost, and what it had removed may be there again.

#ifndef KT_TOKYO_RESCUE_H
#define KT_TOKYO_RESCUE_H

#include <tcbdb.h>
#include <tcfdb.h>
#include <tchdb.h>

#include <string>
#include <utility>
#include <vector>

namespace kt::tokyo {

// Whether a file of Tokyo Cabinet was left open.
bool was_left_open(const std::string& path);

// Cuts a file to nothing that was not made to its end. Not one that another process has.
void undo_making(const std::string& path);

// Whether the library finds all records of a hash file. If only their number in the header was not
// up to date, that is put right.
bool is_sound(TCHDB* database);

// Writes what can be read from a torn hash file to a new one with the same tuning; false if that
// fails.
bool rescue_hash(TCHDB* torn, const std::string& path);

// Likewise what is in the leaves of a tree.
bool rescue_tree(TCBDB* torn, const std::string& path);

// Looks up what the header of a fixed-length file has not. In the file only if that is open for
// writing.
void recount(TCFDB* database);

// Moves `fresh` to the place of `file`, which is kept; returns the name it has now. Empty, with
// nothing changed, if that fails.
std::string replace_and_keep(const std::string& file, const std::string& fresh);

// The indices that a table has files for, as the library names and numbers them.
std::vector<std::pair<std::string, int>> index_files(const std::string& table);

}  // namespace kt::tokyo

#endif
