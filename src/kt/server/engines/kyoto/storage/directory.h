// Directories: of records, and of files.

#ifndef KT_KYOTO_DIRECTORY_H
#define KT_KYOTO_DIRECTORY_H

#include <string>

namespace kt {

// Remove a directory whose making was not finished, so that it is made anew. Not if another process
// has it; `waits` for that one to let it go.
void undo_making(const std::string& path, bool waits);

// Bring to the device what names there are where this path is. False if that failed, as errno says.
bool synchronize_directory_of(const std::string& path);

}  // namespace kt

#endif
