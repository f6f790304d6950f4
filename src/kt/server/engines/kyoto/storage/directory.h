// Makes a directory fit to be opened.

#ifndef KT_KYOTO_DIRECTORY_H
#define KT_KYOTO_DIRECTORY_H

#include <string>

namespace kt {

// Remove a directory whose making was not finished, so that it is made anew. Not if another process
// has it; `waits` for that one to let it go.
void undo_making(const std::string& path, bool waits);

}  // namespace kt

#endif
