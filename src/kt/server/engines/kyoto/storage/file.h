// A descriptor of our own of the engine's file, and room in the file system for what it will write.
//
// The engine writes much of a file through a memory map: where the file system has no block for it,
// that is a signal which ends the process. And a write that fails half-way can leave a record that
// is neither old nor new. So room is asked for before something is written, a piece at a time.

#ifndef KT_KYOTO_FILE_H
#define KT_KYOTO_FILE_H

#include <sys/statvfs.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

namespace kt {

// What a process may still write to a file system, in one file.
int64_t usable(const struct statvfs& system);

// It must live longer than the engine object: closing any descriptor of a file drops the process's
// lock on it. So does `before`, another one of the same file, if there is one.
class File {
 public:
  File(const std::string& path, bool read_only, std::shared_ptr<File> before = nullptr);
  ~File();
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  bool is_open() const { return descriptor_ >= 0; }
  int descriptor() const { return descriptor_; }
  bool synchronize() const;

  // Get the lock that the engine will want; false if it cannot be had. Waits for it unless `tries`.
  bool lock(bool tries) const;

  bool is_directory() const { return is_directory_; }

  // How much of it the engine has mapped, from the beginning.
  void set_mapped(int64_t size) { mapped_ = size; }

  // Whether `more` bytes can be written behind `end`; in a directory, to a file of its own.
  bool has_room(int64_t end, int64_t more) { return end + more <= room_ || make_room(end, more); }

  // What a process may still write, here and in files beside it.
  int64_t free_space() const;

  // The file was cut off at its end, so the room behind it is given up.
  void forget_room() { room_ = 0; }
  void give_room_back();

 private:
  bool make_room(int64_t end, int64_t more);
  bool fill_map(int64_t size);

  const std::shared_ptr<File> before_;
  const bool read_only_;
  const int descriptor_;
  const bool is_directory_;
  std::atomic<int64_t> room_{0};  // up to there
  std::mutex room_lock_;
  int64_t mapped_ = 0;
  bool map_filled_ = false;
};

}  // namespace kt

#endif
