// Reads a log as the protocols of replication send it, from a stamp on, while it is being written.
//
//     Kyoto Tycoon   B1 | stamp 8 | size 4 | message            (after 256 that are left out: size 0)
//     Tokyo Tyrant   C9 | stamp 8 | sid 4 | size 4 | command

#ifndef KT_LOG_LOG_READER_H
#define KT_LOG_LOG_READER_H

#include <cstdint>
#include <memory>
#include <string>

#include "log/update_log.h"

namespace kt {

// What is wanted of a log.
struct Interest {
  uint64_t since = 0;    // Kyoto Tycoon: only newer ones; Tokyo Tyrant: this one, too
  uint32_t server = 0;   // of who asks: changes made there are left out
  bool only = false;     // Kyoto Tycoon: all others are left out instead
  bool all = false;      // nothing is left out
};

class LogReader {
 public:
  enum class State {
    MORE,     // there may be more
    WAITING,  // that was all so far
    BROKEN,   // it cannot be read further; see trouble()
  };

  // The log must live longer.
  LogReader(UpdateLog& log, const Interest& interest) : log_(log), interest_(interest) {}
  ~LogReader();
  LogReader(const LogReader&) = delete;
  LogReader& operator=(const LogReader&) = delete;

  // Appends what comes next to `frames`, which may grow to `limit` bytes, and one record.
  State read(size_t limit, std::string* frames);

  // With WAITING: what to say about the time up to which all has been read.
  uint64_t stamp();

  // Up to where it has read: everything before has been sent, or was not wanted.
  UpdateLog::Position position() const {
    return {number_, scanner_ ? scanner_->offset() : 0};
  }

  // Whether what comes next has been written lately, so that reading it takes no time.
  bool close_behind();

  // Whether changes after `since` may be missing: files have been removed. After the first read.
  bool incomplete() const { return incomplete_; }
  const std::string& trouble() const { return trouble_; }

 private:
  State scan(size_t limit, std::string* frames);
  bool begin();
  bool open(uint64_t number);
  bool open_next(uint64_t newest);
  uint64_t end(const UpdateLog::Position& position) const;
  void put(const LogRecord& record, std::string* frames);
  bool wanted(const LogRecord& record) const;
  State broken(const std::string& why);

  UpdateLog& log_;
  const Interest interest_;
  uint64_t number_ = 0;  // of the file that is read; 0 before the first one
  int file_ = -1;
  std::unique_ptr<RecordScanner> scanner_;
  uint64_t last_ = 0;     // the stamp of the last record read
  unsigned left_out_ = 0;  // records in a row
  bool incomplete_ = false;
  std::string trouble_;
};

}  // namespace kt

#endif
