// A copy of a file as it was at its last point, made while the file is changed.
//
// What is copied is of no single moment. But all that was overwritten since the point is in the file's log
// (undo_log.h). So the copies of both are what a kill leaves, and who opens them finds the point:
//
//     file, piece by piece      -->  COPY
//     log, as it is after that  -->  COPY.wal       what is overwritten later, the copy has not
//
// There must be no other point meanwhile. Each piece is brought to the device when it is written: who waits
// for the device meanwhile (the update log) waits for a piece, not for all of it.

#ifndef KT_TOKYO_POINT_COPY_H
#define KT_TOKYO_POINT_COPY_H

#include <tchdb.h>

#include <cstdint>
#include <string>

namespace kt::tokyo {

class PointCopy {
 public:
  // Makes the files. Throws std::runtime_error, as do all members.
  explicit PointCopy(const std::string& path);
  // Removes them unless all is there.
  ~PointCopy();
  PointCopy(const PointCopy&) = delete;
  PointCopy& operator=(const PointCopy&) = delete;

  // Inside the gate, always of the same file: takes the next piece. False if there is none.
  bool read(const TCHDB* file);
  // Outside: writes it.
  void write();
  // At the end.
  void finish();

 private:
  void remove() const;

  const std::string path_;
  int file_ = -1, log_ = -1;
  int64_t done_ = 0, logged_ = 0, log_end_ = -1;  // bytes; the last one once the file is copied
  bool into_log_ = false, complete_ = false;
  std::string piece_;
};

}  // namespace kt::tokyo

#endif
