// Room in the file system for what the log of a transaction will be.
//
// When the engine cannot write to its log, it takes the file for broken: its next start makes it
// anew. So room is taken before, and where there is none, nothing is begun.

#ifndef KT_KYOTO_LOG_ROOM_H
#define KT_KYOTO_LOG_ROOM_H

#include <string>

#include "kyoto/database/internals.h"
#include "kyoto/storage/file.h"

namespace kt {

// For a transaction that has begun; what is left of the room is given back when it ends.
class LogRoom {
 public:
  explicit LogRoom(const std::string& log_path) : file_(log_path, false) {}
  ~LogRoom() { file_.give_room_back(); }
  LogRoom(const LogRoom&) = delete;
  LogRoom& operator=(const LogRoom&) = delete;

  // Whether `more` bytes of the file may be written over, too.
  bool holds(int64_t more);

 private:
  File file_;
  int64_t used_ = 0;
};

// Calls `begin`, which begins a transaction of this file (null: of none). If that fails nothing has
// changed, so the engine's mark of a broken file, which it sets then, is taken back.
template <typename Begin>
bool begins(kc::HashDB* file, Begin begin) {
  if (file == nullptr) return begin();
  const auto marks = file->*reveal(FileMarks{});
  const bool begun = begin();
  if (!begun) file->*reveal(FileMarks{}) = marks;
  return begun;
}

// Whether the file at this path, unless somebody has it open, is to be made anew when it is opened,
// and there is no room for that. The engine would find that out by a signal that ends the process.
bool lacks_room_for_repair(const std::string& path);

}  // namespace kt

#endif
