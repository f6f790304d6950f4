// What a database tells the update log (log/change_log.h): every record that is stored or removed.
//
//     message  | server 2 | database 2 | A1 | varnum key size | varnum size | key | what is stored
//                                      | A2 | varnum key size | key                    removed
//                                      | A5                                            cleared
//
// Records are told while they are locked, so the log has their changes in the order in which they
// were made. What the engine then fails to store is told again, as it really is. During a
// transaction everything is kept back, also what others change: an abort undoes that, too.
// Without a log, all of it costs one comparison a record.

#ifndef KT_KYOTO_JOURNAL_H
#define KT_KYOTO_JOURNAL_H

#include <kcpolydb.h>

#include <atomic>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "kyoto/database/lease_clock.h"
#include "kyoto/database/record.h"
#include "log/change_log.h"

namespace kt {

// While one exists, what its thread changes has been made at another server.
class MadeElsewhere {
 public:
  explicit MadeElsewhere(uint16_t server) : before_(server_) { server_ = server; }
  ~MadeElsewhere() { server_ = before_; }
  MadeElsewhere(const MadeElsewhere&) = delete;
  MadeElsewhere& operator=(const MadeElsewhere&) = delete;

  // Where it has been made, if it is known; else at `here`.
  static uint16_t or_here(uint16_t here) { return server_.value_or(here); }
  static bool known() { return server_.has_value(); }

 private:
  static inline thread_local std::optional<uint16_t> server_;
  const std::optional<uint16_t> before_;
};

class Journal {
 public:
  // `index` is the number of the database. To be called before anything is changed.
  void connect(ChangeLog* log, uint16_t index) {
    index_ = index;
    log_ = log;
  }
  bool connected() const { return log_ != nullptr; }

  // With the record locked, or alone inside.
  void stored(Bytes key, Bytes stored) {
    if (log_ != nullptr) log_stored(key, stored);
  }
  void removed(Bytes key) {
    if (log_ != nullptr) log_removed(key);
  }
  void cleared();

  // Alone inside: begins to keep back, and ends that.
  void hold();
  void release(bool commit);
  // Alone inside, from its construction to end(): what is changed comes into the log as a whole.
  // A transaction that is open does that already.
  class Together {
   public:
    explicit Together(Journal& journal) : journal_(journal) {
      journal_.together_ = journal_.connected() && !journal_.in_transaction_;
    }
    ~Together() { end(); }
    Together(const Together&) = delete;
    Together& operator=(const Together&) = delete;

    void end() {
      if (journal_.together_.exchange(false)) journal_.give_away(true);
    }

   private:
    Journal& journal_;
  };

  // From now on only what was made elsewhere is admitted; others are told why. Empty: no more.
  void refuse(const std::string& why);
  // The same from a time on, of lease_clock(), with what `refuse` says last; 0: from none on.
  void refuse_from(int64_t time, const std::string& why);

  // Whether `admit` may fail at all; to ask costs less.
  bool must_admit() const { return log_ != nullptr || refusal_ != nullptr || lease_end_ != 0; }
  // Outside, before a change: fails while changes cannot be logged, or are refused.
  Error admit() {
    const char* why = refusal_;
    if (why == nullptr && lease_end_ != 0 && lease_clock() >= lease_end_) why = late_;
    if (why != nullptr && !MadeElsewhere::known()) return Error(Error::NOPERM, why);
    return log_ == nullptr ? Error() : ask_log();
  }
  // Outside, after changes: fails if they could not be logged. Nothing happens in a LogBatch.
  Error settle() { return log_ == nullptr ? Error() : write_log(); }

  // A time that all changes so far were made before and that all later ones come after. Alone
  // inside.
  uint64_t stamp();

  // Tells again what there is under a key, whose change has failed.
  void correct(kc::PolyDB& engine, Bytes key);

 private:
  void log_stored(Bytes key, Bytes stored);
  void log_removed(Bytes key);
  Error ask_log();
  Error write_log();
  void tell(Bytes head, Bytes key, Bytes value);
  bool holds() const { return in_transaction_ || together_; }
  void give_away(bool commit);

  ChangeLog* log_ = nullptr;
  uint16_t index_ = 0;
  std::atomic<bool> in_transaction_{false};
  std::atomic<bool> together_{false};
  std::atomic<int64_t> lease_end_{0};
  std::atomic<const char*> late_{nullptr};
  std::atomic<const char*> refusal_{nullptr};  // both are of these, which errors point to
  std::set<std::string> refusals_;
  std::mutex lock_;
  std::vector<std::string> held_;
};

}  // namespace kt

#endif
