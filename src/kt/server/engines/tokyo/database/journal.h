// What the database tells the update log (log/change_log.h): the commands that are given, as they
// come in by the binary protocol, in the order in which they are carried out, and whether they
// failed.
//
//     message | C8 | code 1 | numbers | key | value | failed 1
//     misc    | C8 | 90 | name size 4 | count 4 | name | { size 4 | argument } | failed 1
//
// A call of `misc` that takes long is told in pieces, each when it is done, lest what others write
// meanwhile come at the wrong place. Adding 0 is told only where it makes a record.

#ifndef KT_TOKYO_JOURNAL_H
#define KT_TOKYO_JOURNAL_H

#include <functional>
#include <utility>

#include "log/change_log.h"
#include "tokyo/database/store.h"

namespace kt::tokyo {

class Journal {
 public:
  // Where the commands of this thread come from, until that is said anew.
  static void act_for(const Origin& origin) { origin_ = origin; }

  // To be called before anything is changed.
  void connect(ChangeLog* log) { log_ = log; }
  bool connected() const { return log_ != nullptr; }
  // Likewise: what is changed is logged though a client does not want it, because the database comes
  // back from the log.
  void log_every_change() { every_change_ = true; }
  bool logs_every_change() const { return every_change_; }

  // Inside the gate, before a change: false while changes cannot be logged.
  bool admits() { return (log_ == nullptr || log_->ready()) && (!safe_ || safe_()); }
  // And while this says no.
  void only_while(std::function<bool()> safe) { safe_ = std::move(safe); }
  // Writes what has been told so far, and says up to where that is.
  bool write(Mark* mark) {
    *mark = {true, log_->stamp(), {}};
    if (!log_->write()) return false;
    mark->log = log_->place();
    return true;
  }

  // Inside the gate, when it is done; returns `done`.
  bool put(uint8_t code, Bytes key, Bytes value, bool done);
  bool putshl(Bytes key, Bytes value, int width, bool done);
  bool out(Bytes key, bool done);
  bool addint(Bytes key, int number, bool done);
  bool adddouble(Bytes key, double number, bool done);
  bool optimize(Bytes parameters, bool done);
  bool plain(uint8_t code, bool done);
  bool misc(Bytes name, const Arguments& arguments, bool done);
  // Of arguments as they come in, each with its size before it.
  bool misc(Bytes name, size_t count, Bytes arguments, bool done);

  // Outside, after changes: false if they could not be logged. Nothing happens in a LogBatch.
  bool settle() { return log_ == nullptr || LogBatch::open() || log_->flush(); }

 private:
  bool tell(Bytes head, Bytes first, Bytes second, bool done);

  static inline thread_local Origin origin_;
  ChangeLog* log_ = nullptr;
  bool every_change_ = false;
  std::function<bool()> safe_;
};

}  // namespace kt::tokyo

#endif
