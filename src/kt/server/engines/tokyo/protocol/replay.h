// Carries out what a master sends, as it comes: the other end of log/log_reader.h.
//
//     command   C9 | stamp 8 | server 4 | size 4 | message     the message is that of journal.h
//     beat      CA                                             a sign of life
//
// This is done in batches. `plan` finds those commands at the begin of the input that are quick and
// may be carried out together; then the caller keeps in a file what is going to happen, and has
// `carry_out` do it. If the process is killed meanwhile, the batch comes again: what does no harm
// when it is repeated in its order is repeated; of any other command the caller has kept what its
// record had been, a *mark*, and whoever finds another one knows that the command is done. So no
// other command of the batch has the key of such a one. (In an array of fixed length a record has many
// keys, "1" and "01": there such commands are left to the caller.)
//
//     mark    size of the value 4, all ones if there is no record | hash of it 4; 0 for putcat
//
// Commands that are rare, large, or none, are left to the caller. It is for one thread, which may
// take its time; it lets others have their turns.

#ifndef KT_TOKYO_REPLAY_H
#define KT_TOKYO_REPLAY_H

#include <chrono>
#include <cstdint>
#include <string>
#include <unordered_set>
#include <vector>

#include "io/buffer.h"
#include "tokyo/database/database.h"

namespace kt::tokyo {

// The first `commands` of a stamp, and all before; with 0 all of this stamp, too.
struct Place {
  uint64_t stamp = 0;
  uint32_t commands = 0;

  void pass(uint64_t other) {
    if (other > stamp) {
      stamp = other;
      commands = 1;
    } else if (other == stamp && commands > 0) {
      commands++;
    }
  }
};

class Replay {
 public:
  // Why a plan ends.
  enum class Next {
    MORE,   // nothing whole is left
    BEAT,   // the next byte is a sign of life
    OTHER,  // the next command is for the caller
    BATCH,  // another batch comes next
  };
  // How a batch ended.
  enum class End {
    DONE,
    DIFFERENT,  // after a command that turned out otherwise than at the master
    REFUSED,    // before a command that the database does not take: see Database::error_text
    UNLOGGED,   // all is done, and our own log cannot be written
  };

  // `server` is our own number: what was given here is passed over. So many
  // milliseconds others wait at once.
  Replay(Database* database, uint32_t server, int at_once)
      : database_(*database), server_(server), numbered_(database->numbered()), at_once_(at_once) {}

  // The input must stay as it is until the batch is carried out.
  Next plan(Bytes input, Place done);
  size_t consumed() const { return consumed_; }
  size_t commands() const { return batch_.size(); }
  // Where the batch ends, and the marks of the commands in it that have one.
  Place until() const { return until_; }
  const std::string& marks() const { return marks_; }

  // Carries out the batch, up to the first difference if `consistent`.
  End carry_out(uint16_t master, bool consistent);
  // Up to here it is done.
  Place done() const { return done_; }
  // How many commands have turned out otherwise, and the stamp of the first.
  size_t differences() const { return differences_; }
  uint64_t difference() const { return difference_; }

  // The mark of a record, for a command of this code.
  static std::string mark(Database* database, uint8_t code, Bytes key);

 private:
  struct Command {
    uint64_t stamp;
    uint16_t server;
    uint8_t code;
    bool failed;
    const char* numbers;
    Bytes key, value;
  };

  Next look(Bytes input, Command* command, size_t* size) const;
  bool read(Bytes message, Command* command) const;
  bool joins(const Command& command);
  bool slice(bool consistent);
  bool run(const Command& command);
  bool ours_to_blame() const;

  Database& database_;
  const uint32_t server_;
  const bool numbered_;
  const std::chrono::milliseconds at_once_;

  std::vector<Command> batch_;
  std::unordered_set<Bytes> keys_, marked_;
  std::string marks_;
  size_t consumed_ = 0;
  Place until_;

  uint16_t master_ = 0;
  size_t next_ = 0;  // of the batch
  Place done_;
  End end_ = End::DONE;
  size_t differences_ = 0;
  uint64_t difference_ = 0;
};

}  // namespace kt::tokyo

#endif
