// Tokyo Tyrant's binary protocol: bytes in, engine calls, bytes out.
//
//     C8 | command | numbers, big-endian, of a fixed length | keys, values, lists       (a request)
//     code | the rest, if there is one                                                   (a reply)
//
// What is quick is run here; other commands are framed here and left to the caller. A request that
// is one frame (sizes first, then the bytes) waits in the caller's input until it is whole. A list
// (`mget`, and `putlist`, `outlist`, `getlist` of `misc`) may have a million elements of any size,
// so it is worked off as it comes; only what it finds is kept, up to List::LIMIT.
//
// As with the original server a bad request (an unknown command, a size that cannot be) gets no
// answer, and ends the connection only if nothing follows it in what has come.

#ifndef KT_TOKYO_STREAM_H
#define KT_TOKYO_STREAM_H

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "io/buffer.h"
#include "io/io_thread.h"
#include "io/times.h"
#include "tokyo/database/database.h"

namespace kt::tokyo {

// The numbers are those of the bits in a command mask.
enum Command : uint8_t {
  PUT,
  PUTKEEP,
  PUTCAT,
  PUTSHL,
  PUTNR,
  OUT,
  GET,
  MGET,
  VSIZ,
  ITERINIT,
  ITERNEXT,
  FWMKEYS,
  ADDINT,
  ADDDOUBLE,
  EXT,
  SYNC,
  OPTIMIZE,
  VANISH,
  COPY,
  RESTORE,
  SETMST,
  RNUM,
  SIZE,
  STAT,
  MISC,
  REPL,
  COMMANDS,         // how many there are
  ALL_BINARY = 27,  // 26 is the original's replication
  ALL_MEMCACHED,
  ALL_HTTP,
  ALL_READ,
  ALL_WRITE,
  ALL_MANAGE,
};

// What is counted besides the commands.
enum Count : uint8_t { PUT_MISSES = COMMANDS, OUT_MISSES, GET_MISSES, COUNTS };

// What may be said in the log of a command.
enum class Event : uint8_t { DOING, FORBIDDEN, INVALID, FAILED, UNKNOWN };

// What the streams of a server share. Any thread may use it, and never waits for the engine.
class Core {
 public:
  using Events = std::vector<std::pair<Command, Event>>;

  Core(Database* database, uint64_t mask, bool trace)
      : database(database), mask(mask), trace(trace) {}

  void add(int count, uint64_t more) { counts_[count].fetch_add(more, std::memory_order_relaxed); }
  uint64_t count(int count) const { return counts_[count].load(std::memory_order_relaxed); }

  void note(Command command, Event event);
  // What has been noted since the last call, up to a limit.
  Events take_events();

  Database* const database;
  const uint64_t mask;
  const bool trace;  // note every command
  bool timed = false;  // `times` are taken: for servers
  bool owes = false;   // I/O threads settle for all connections at once
  bool keeps_lock = false;  // brief calls do not let go of the interpreter's lock
  Times times;

 private:
  std::array<std::atomic<uint64_t>, COUNTS> counts_{};
  std::mutex lock_;
  Events events_;
};

enum class State : uint8_t {
  MORE,     // what is left is the begin of a request
  AGAIN,    // the time of one call is spent
  TEXT,     // the next byte does not begin a binary request
  COMMAND,  // a whole request that the caller has to run is next
  BUSY,     // the next request waits for something long, or is large: feed again in a thread that
            // may take its time
  BROKEN,   // a bad request has been consumed: close unless something follows
  CLOSE,    // a request that is too large
};

struct Progress {
  State state;
  size_t consumed;
  size_t need;  // with MORE: how much must be there before the next call
};

class Stream final : public Servant {
 public:
  explicit Stream(Core* core) : core_(*core), database_(*core->database) {}

  // Forbids these commands, besides those of the core's mask, and to call `misc` for what is not
  // among these rights.
  void restrict(uint64_t mask, uint8_t rights) {
    mask_ = mask;
    rights_ = rights;
  }

  // `feed`, for an I/O thread.
  Step step(Bytes input) override;
  bool settle() override { return database_.settled(true); }
  void drop_reply() override { output_.clear(); }
  void take_reply(Buffer* into) override { into->swap(output_); }
  bool pending() const override { return in_list(); }

  // With `wait` it waits for the end of what holds up writers.
  Progress feed(Bytes input, Buffer* reply, bool wait);
  // Whether a list has begun and not ended: what comes next belongs to it.
  bool in_list() const { return listing_ != Listing::NONE; }

 private:
  struct Shape;
  // A whole request: its fixed part, and the first two things that follow.
  struct Request {
    const char* numbers;
    Bytes key, value;
  };
  using Handler = void (Stream::*)(const Request& request);
  static const Shape SHAPES[COMMANDS];
  static Command find(uint8_t code);

  using Clock = Times::Clock;

  Progress run(Bytes input, Buffer* reply, bool wait);
  void took();
  State enter(bool wait);
  State serve();
  bool large_get();
  bool large_element();
  bool fetch_reply(Bytes key, Buffer* reply);
  bool fetch_large(Bytes key);
  bool find_keys(Bytes prefix, uint32_t limit);
  bool is_last_of_large() const;
  bool finds() const;
  bool finds_large(Bytes key);
  bool must_wait(bool writes) const { return writes && database_.gate.reading(); }
  State step();
  State frame(Command command);
  State misc();
  State begin_list(Command command, Bytes name, uint32_t count);
  State list_element();
  State element_done(size_t consumed, bool pair, bool done, bool ready);
  bool carry_out(Bytes key, Bytes value, bool pair);
  State end_list();
  void tell_list(bool done);
  bool element(size_t at, Bytes* element, State* otherwise);
  bool forbidden(Command command) const;
  bool allowed(Command command);
  // Whether it is this client that may not do it; the mask has other replies, the original's.
  bool denied(Command command) const { return mask_ >> command & 1; }
  bool denied_misc(Bytes name, const Arguments& arguments);
  template <class Operation>
  bool store(Command command, Operation operation);
  State wait(size_t need) {
    need_ = need;
    return State::MORE;
  }
  State broken(Command command, size_t consumed);
  bool run_misc(const std::string& name, const Arguments& arguments, bool logged);

  void code(bool done);
  void number(bool done, int number);
  void block(const Block& block);
  void list(bool done, List* list);

  void put(const Request& request);
  void putkeep(const Request& request);
  void putcat(const Request& request);
  void putshl(const Request& request);
  void putnr(const Request& request);
  void out(const Request& request);
  void get(const Request& request);
  void vsiz(const Request& request);
  void iterinit(const Request& request);
  void iternext(const Request& request);
  void fwmkeys(const Request& request);
  void addint(const Request& request);
  void adddouble(const Request& request);
  void rnum(const Request& request);
  void size(const Request& request);

  Core& core_;
  Database& database_;
  uint64_t mask_ = 0;
  uint8_t rights_ = UINT8_MAX;
  Buffer output_;  // replies of `step`

  // During a call: what is not consumed, and where replies go.
  Bytes input_;
  Buffer* reply_ = nullptr;
  bool waits_ = false;
  Clock::time_point began_;
  uint64_t answered_ = 0;  // requests
  bool begins_ = false;    // nothing has been served in it yet
  bool full_ = false;  // the replies are to be taken before anything else is served
  size_t need_ = 0;

  // A list under way, from call to call.
  enum class Listing : uint8_t { NONE, MGET, PUTLIST, OUTLIST, GETLIST };
  Listing listing_ = Listing::NONE;
  uint32_t left_ = 0;  // elements to come
  bool skip_ = false;  // do nothing with them: forbidden, or one has failed
  bool failed_ = false;
  bool silent_ = false;     // the update log is not told
  bool told_ = false;       // the update log has got a part of it
  uint32_t untold_count_ = 0;  // what it has not got yet
  std::string untold_;
  List found_;

  // A `misc` that is not whole yet: how far its elements have been looked at.
  size_t walked_ = 0;
  uint32_t walked_left_ = 0;
};

}  // namespace kt::tokyo

#endif
