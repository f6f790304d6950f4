// The binary protocol's bulk commands, run without an object per record, and plain HTTP requests
// (http.h) between them.
//
//     command  | magic 1 | flags 4 | records 4 | record ... |            integers are big-endian
//     set      record: | database 2 | key size 4 | value size 4 | expiry 8 | key | value |
//     remove   record: | database 2 | key size 4 | key |
//     get      record: as remove
//
//     reply to set, remove   | magic 1 | how many 4 |
//     reply to get           | magic 1 | how many 4 | (as the record of set, absolute expiry) ... |
//
// A Stream is the state of one connection. It runs every record as soon as it is there whole, so it
// keeps nothing of a command but the number of records to come and the reply so far. A record for a
// database that does not exist is passed over. A record that cannot be (a size above 2**28), or an
// engine that fails, ends the connection with an error reply.

#ifndef KT_KYOTO_CORE_H
#define KT_KYOTO_CORE_H

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "io/buffer.h"
#include "io/io_thread.h"
#include "io/times.h"
#include "kyoto/protocol/counts.h"
#include "kyoto/database/database.h"

namespace kt {

// Why Stream::feed stopped.
enum class State {
  MORE,     // nothing whole is left
  AGAIN,    // it is the turn of others
  HTTP,     // an HTTP request begins that is not run here
  COMMAND,  // a command begins that is not run here
  CLOSE,    // the request is broken: send the reply and close
  LARGE     // the next record is too large for this thread: feed again in one that may wait
};

// What the connections share.
struct Core {
  std::vector<Database*> databases;
  size_t reply_limit;  // the longest reply to get_bulk
  bool trace = false;  // streams note which commands they have run
  bool timed = false;  // `times` are taken: for servers
  bool owes = false;   // I/O threads settle for all connections at once
  bool leaves_writes = false;  // I/O threads run no request that may write
  bool keeps_lock = false;     // brief calls do not let go of the interpreter's lock
  Times times;
  Counts counts;
  std::string stamp;  // what HTTP replies begin with; empty: no HTTP request is run here
  std::mutex lock;    // of counts and stamp: streams may run in several threads

  void add(const Counts& more);
  Counts present_counts();
  std::string present_stamp();
  void set_stamp(Bytes lines);
  // Whether all that was changed is in the update log.
  bool settle();
};

class Stream final : public Servant {
 public:
  explicit Stream(Core& core) : core_(core) {}

  // What the client may do: to read, to write. With less than both, HTTP is left to the caller.
  void restrict(bool reads, bool writes) {
    reads_ = reads;
    writes_ = writes;
  }

  // `feed`, for an I/O thread.
  Step step(Bytes input) override;

  // Run what is there; `*consumed` bytes of it are done with.
  State feed(const char* data, size_t size, size_t* consumed);

  bool settle() override { return core_.settle(); }

  // The input has ended: what is still to be said about it goes into the reply.
  void finish();

  // Whether a command has begun and is not complete.
  bool pending() const override { return remaining_ > 0; }

  // The replies to complete commands, to be dropped when they were taken.
  Bytes reply() const { return Bytes(reply_.data(), complete_); }
  void drop_reply() override;
  void take_reply(Buffer* into) override;

  // The first bytes of the commands run, FAILED for one that failed, if they are traced.
  std::string* traced() override { return &traced_; }

 private:
  class Run;
  struct Record;

  State run(Bytes* input);
  State serve(Bytes* input, Times::Clock::time_point began);
  std::optional<State> run_command(Run& run, Bytes* input);
  std::optional<State> run_http(Run& run, Bytes* input);
  std::optional<State> run_records(Run& run, Bytes* input);
  bool run_record(Run& run, const Record& record);
  void begin_command(const char* header);
  void end_command(Run& run);
  State fail();
  State fail_all(bool in_http);

  Core& core_;
  uint8_t command_ = 0;
  bool silent_ = false;     // no reply is wanted
  bool reads_ = true, writes_ = true;  // what the client may do
  bool leaves_writes_ = false;         // to the caller
  uint32_t remaining_ = 0;  // records to come
  uint32_t hits_ = 0;
  uint64_t answered_ = 0;  // commands, in the last call of feed
  Buffer reply_;
  size_t complete_ = 0;  // what of the reply belongs to complete commands
  std::string traced_;
};

}  // namespace kt

#endif
