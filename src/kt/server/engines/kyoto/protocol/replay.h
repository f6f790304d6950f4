// Applies what a master sends, as it comes: the other end of log/log_reader.h.
//
//     change     B1 | stamp 8 | size 4 | message        as in the update log, see journal.h; may be empty
//     heartbeat  B0 | stamp 8                           there is nothing more for now; wants an answer
//
// A message may also tell how much of the master's log has not come yet: E1 | bytes 8 | changes 8, behind
// the numbers of server and database. Only those of ours do who are asked to.
//
// Messages are states and no deltas, so it does no harm to apply one twice. A record is stored as it
// is, expiry included. What is changed goes into our own log under the number of the server where it
// was made, so it is not sent back there; what we have made ourselves is passed over.
//
// Nothing is applied while a transaction is open in its database: an abort would undo it. All this is
// for a thread that may take its time; it lets others have their turns.

#ifndef KT_KYOTO_REPLAY_H
#define KT_KYOTO_REPLAY_H

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kyoto/database/database.h"

namespace kt {

// Which of our own changes are applied: those of a database that is `whole`, up to a stamp. A database is
// so, too, from where it is cleared on.
struct Own {
  uint16_t master = 0;  // its number, under which they go into our log
  uint64_t until = 0;
  std::vector<bool> whole;  // for each database; without any, none is applied
};

// What of the master's log has not come, as it has said last.
struct Behind {
  bool told = false;
  uint64_t bytes = 0;
  uint64_t changes = 0;
};

class Replay {
 public:
  // Why apply() stopped.
  enum class State {
    MORE,     // nothing whole is left
    AGAIN,    // it is the turn of others
    BEAT,     // a heartbeat has been read, and wants its answer
    BUSY,     // a transaction has to end before
    BROKEN,   // that is no message: see trouble()
    REFUSED,  // the database does not take it: likewise
  };

  // The databases must live longer. `server` is our own number.
  Replay(const std::vector<Database*>& databases, uint16_t server, Own own)
      : databases_(databases), server_(server), own_(std::move(own)) {}

  // Applies what is there; `*consumed` bytes of it are done with.
  State apply(const char* data, size_t size, size_t* consumed);

  // Everything up to this stamp has been applied.
  uint64_t stamp() const { return stamp_; }
  // How many messages have been read, passed over or not.
  uint64_t read() const { return read_; }
  // How many changes have been applied.
  uint64_t applied() const { return applied_; }
  // For which databases, which we do not have, there were changes.
  const std::set<uint16_t>& unknown() const { return unknown_; }
  const Behind& behind() const { return behind_; }
  const std::string& trouble() const { return trouble_; }

 private:
  class Run;
  struct Message;

  State serve(Bytes* input);
  bool passes_over(const Message& message, uint64_t stamp) const;
  uint16_t maker(const Message& message) const;
  State change(Run& run, const Message& message);
  State clear(Run& run, const Message& message);
  State broken(const std::string& why);
  State refused(const Error& error);

  const std::vector<Database*> databases_;
  const uint16_t server_;
  Own own_;
  uint64_t stamp_ = 0;
  uint64_t read_ = 0;
  uint64_t applied_ = 0;
  std::set<uint16_t> unknown_;
  Behind behind_;
  std::string trouble_;
};

}  // namespace kt

#endif
