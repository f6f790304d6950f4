// A directory of log files that grows: one writer, shared by all threads, and any number of readers.
//
//     append  (many threads)      -->  memory   -- flush (one write) -->  newest file  -->  readers
//                                                     |
//                              full (`limit`): the next number, then the rest
//
// Acknowledged means logged. How that is kept depends on the durability:
//
//     NONE     `flush` writes; a killed server may have changed a record that the log has not yet
//     PROCESS  what is appended is in a file that is mapped into memory (ahead.h) before the engine
//              changes the record, and is written to the log soon: `flush` has nothing to wait for
//     DEVICE   likewise, and `flush` brings the log to the device, for all who wait at once
//
// A log of Tokyo Tyrant's has no such file: what a kill finds in the database but not in the log is undone
// (tokyo/storage/undo_log.h).
//
// With NONE, whoever has changed something calls `flush` before it says so. All that
// has been appended until then goes out in one write, also for others, who find it done when their
// turn comes. In a file of Kyoto Tycoon the header is brought up to date after that: a second write,
// of 17 bytes. Nobody waits for the device; `synchronize` does.
//
// What cannot be written (a full disk) is cut off the file again and kept in memory until it can be.
// Meanwhile `ready` is false, so that the engines refuse changes, and every such call tries again.
// Changes that were made before that was known have failed for their clients, but are in the
// database; so they come into the log all the same.
//
// At the start the newest file is read through. Half a record at its end, which a killed server has
// left, is cut off, and kept in a file of its own beside it (`.cut`); so are zeros, which a loss of power
// may leave. A file that is broken in the
// middle is left as it is, and the next one begun.

#ifndef KT_LOG_UPDATE_LOG_H
#define KT_LOG_UPDATE_LOG_H

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "log/ahead.h"
#include "log/format.h"

namespace kt {

enum class Durability { NONE, PROCESS, DEVICE };

class UpdateLog final : public ChangeLog {
 public:
  // How far the log has been written.
  struct Position {
    uint64_t number;  // of the newest file
    uint64_t size;    // of that
  };

  // A file takes no more records when it has `limit` bytes; 0 for no limit. `keeps_files`: files
  // that are full wait for `synchronize`. Throws std::runtime_error.
  UpdateLog(Format format, const std::string& directory, uint64_t limit, uint16_t server,
            bool keeps_files, Durability durability);
  ~UpdateLog() override;
  UpdateLog(const UpdateLog&) = delete;
  UpdateLog& operator=(const UpdateLog&) = delete;

  uint16_t server() const override { return server_; }
  uint64_t append(const Origin& origin, std::initializer_list<std::string_view> parts) override;
  uint64_t append_together(const Origin& origin, const std::vector<std::string>& messages) override;
  uint64_t stamp() override;
  bool ready() override { return !failing_ || flush(); }
  bool flush() override;
  // Whatever the durability.
  bool write() override;
  // With the end of the file before where the newest one has nothing yet.
  LogPlace place() override;
  // So many bytes of that file; of fewer, if it has no more.
  LogPlace place_at(uint64_t number, uint64_t size) const;
  std::string trouble() override;

  // Brings to the device what has been written. False if that fails.
  bool synchronize();

  // What was found at the start that somebody should know; empty if nothing.
  const std::string& findings() const { return findings_; }

  Format format() const { return format_; }
  const std::string& directory() const { return directory_; }
  std::map<uint64_t, std::string> files() const;  // paths, by their numbers
  Position position();

  // For a reader that has come so far: a stamp up to which it has everything, so no record that it has
  // not read has it or one below. 0 if more has been written meanwhile: only the reader knows.
  uint64_t stamp_at(const Position& position);

  // Readable once more is written than at the last call of `await_more`; see `heard`.
  int descriptor() const { return pipe_[0]; }
  void await_more();
  void heard();

 private:
  std::string path(uint64_t number) const;
  std::string path_ahead(int which) const;
  void recover();
  bool put_back(const Ahead::Left& left);
  void bring_in(const std::string& path, const Ahead::Left& left);
  void go_on();
  bool scan(int file, uint64_t size, uint64_t* whole);
  void cut(int file, const std::string& path, uint64_t whole, uint64_t size);
  void open_file(uint64_t number, bool fresh);
  void took(size_t before);
  void guard();
  bool guarded() const { return ahead_[0] != nullptr; }
  void take();
  bool write_pending();
  bool bring_to_device();
  void tell();

  const Format format_;
  const std::string directory_;
  const uint64_t limit_;
  const uint16_t server_;
  const bool keeps_files_;
  const Durability durability_;
  std::string findings_;
  int lock_file_ = -1;
  int pipe_[2] = {-1, -1};

  std::mutex lock_;  // of what is appended
  std::string appended_;
  uint64_t stamp_ = 0;           // the last one given
  uint64_t appended_stamp_ = 0;  // that of the last record
  std::atomic<uint64_t> taken_{0};  // bytes, since the start
  std::unique_ptr<Ahead> ahead_[2];  // of `appended_` and of `pending_`; if there are any
  int active_ = 0;                   // that of `appended_`
  uint64_t turn_ = 0;
  std::atomic<bool> unguarded_{false};  // it had no room for something

  std::mutex file_lock_;  // of what is written; taken before `lock_`
  std::string pending_;   // taken out of `appended_`, not written yet
  uint64_t pending_stamp_ = 0;  // of its last record
  int file_ = -1;
  uint64_t number_ = 0;
  uint64_t size_ = 0;
  uint64_t newest_ = 0;   // the newest stamp in the file
  std::vector<int> full_;  // files to be synchronized
  std::string trouble_;
  std::atomic<uint64_t> written_{0};  // of `taken_`
  std::atomic<bool> failing_{false};
  std::mutex device_lock_;  // taken before `file_lock_`
  std::atomic<uint64_t> on_device_{0};  // of `taken_`
  std::atomic<bool> device_failed_{false};
  std::atomic<bool> awaited_{false};
};

}  // namespace kt

#endif
