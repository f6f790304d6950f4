// What a log has taken over and not written yet, where a killed process leaves it: in a file that is
// mapped into memory. What has been copied there is the kernel's, so nobody has to wait for a write.
//
//     file   | "KTAHEAD1" 8 | turn 8 | number 8 | offset 8 | check 8 | boot 8 | zeros up to 64 | piece ...
//     piece  | size 8 | newest stamp 8 | check 8 | records        all or none of it counts
//
// Number and offset say where in the log the records are being written. Checks depend on the turn, so
// nothing has to be cleared for the next one. What the device has of a file after a loss of power is of any
// time: its records may be in the log long since, with later ones behind. So it counts only until the machine
// starts anew (boot; 0 where that is not known). All integers are as this machine has them.

#ifndef KT_LOG_AHEAD_H
#define KT_LOG_AHEAD_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kt {

// Changes whenever the machine starts; 0 where the system does not say.
uint64_t present_boot();

class Ahead {
 public:
  // Where in the log the records belong.
  struct Place {
    uint64_t number;
    uint64_t offset;
  };
  // What a file holds that was left by another process.
  struct Left {
    uint64_t turn = 0;
    uint64_t stamp = 0;          // of the last record
    std::optional<Place> place;  // nothing if nobody had begun to write them
    std::string records;
  };

  // Makes the file, or empties it. Throws std::runtime_error.
  explicit Ahead(const std::string& path);
  ~Ahead();
  Ahead(const Ahead&) = delete;
  Ahead& operator=(const Ahead&) = delete;

  // Nothing if there is no such file, or if it holds nothing. Throws std::runtime_error.
  static std::optional<Left> left(const std::string& path);
  // Says in such a file where its records are going to be written. Throws std::runtime_error.
  static void claim(const std::string& path, uint64_t turn, const Place& place);

  // Takes over whole records; `stamp` is that of the last one. False if there is no room.
  bool add(std::string_view records, uint64_t stamp);
  // Forgets everything; `turn` is greater than that of whatever is held elsewhere.
  void begin(uint64_t turn);
  void belongs(const Place& place);

 private:
  bool resize(uint64_t size);

  const std::string path_;
  const int file_;
  char* bytes_ = nullptr;
  uint64_t room_ = 0;  // bytes of the file
  uint64_t end_;
  uint64_t turn_ = 0;
};

}  // namespace kt

#endif
