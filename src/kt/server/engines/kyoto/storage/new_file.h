// A new file of records or pages: it is there as a whole, or not at all.
//
// The engine makes it in place: its size, its header, and in a tree the pages of no record. If the
// process is killed in between, the engine opens the file no more ("invalid magic data"), or it does,
// and no write succeeds. So it is made aside and gets its name when it is complete:
//
//     CASKET.kch.kt-new   made by the engine, closed; on the device if that is promised
//     CASKET.kch          linked to it, unless there is something by now

#ifndef KT_KYOTO_NEW_FILE_H
#define KT_KYOTO_NEW_FILE_H

#include <string>

namespace kt {

std::string path_in(const std::string& spec);

// Where the one that will have this path is made.
std::string new_file_of(const std::string& path);

// Whether there will be a new file where this specification says, and no room for its header, which
// the engine writes through a memory map: where there is no block for it, that is a signal that ends
// the process.
bool lacks_room_for_new_file(const std::string& spec);

// Make the file of this specification if there is none. What hinders that will hinder the engine, too:
// it says what.
void make_file(const std::string& spec, bool on_device);

}  // namespace kt

#endif
