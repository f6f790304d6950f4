// Removes expired records, and records above the capacity, a few at a time.
//
// A cursor of its own goes round the database. It starts a round only when something may have
// expired: a round notes the earliest expiry that it passes, and every write notes the expiry that
// it stores, so a database without expiring records, or with none that is due, costs nothing.
// Nobody waits for the sweeper; when it is busy in one thread, others go on.

#ifndef KT_KYOTO_SWEEPER_H
#define KT_KYOTO_SWEEPER_H

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

namespace kt {

class Cursor;
class Database;

class Sweeper {
 public:
  Sweeper();
  ~Sweeper();

  // Begin to work. The database may hold so much at most (Kyoto Tycoon's own parameters ktcapcnt
  // and ktcapsiz), if positive; `suspicious` if it has records of which nothing is known yet.
  void start(int64_t capacity_count, int64_t capacity_size, bool suspicious);

  // A record was stored that expires at `xt`. It is left alone for a second at least, even if it
  // has expired already.
  void expect(int64_t xt, int64_t now);

  // Whether there may be something to do.
  bool wanted(int64_t now) const { return enabled_ && (due_ < now || limited_); }

  // Do at most `steps` records' worth of it, `writes` having been made since the last time; true if
  // there may be more to do.
  bool sweep(Database& database, int64_t steps, int64_t writes);

  // Look at every record once, whether anything is due or not.
  void sweep_all(Database& database);

  // Forget the cursor; the database is about to close.
  void stop();

 private:
  bool expire(Database& database, int64_t now, int64_t steps);
  bool shrink(Database& database, int64_t steps, int64_t writes);
  int64_t surplus(Database& database, int64_t writes) const;
  void finish_round();

  bool enabled_ = false;
  std::mutex busy_;
  std::unique_ptr<Cursor> cursor_;
  bool in_round_ = false;
  uint64_t epoch_ = 0;  // the database's when the round began
  int64_t capacity_count_ = -1;
  int64_t capacity_size_ = -1;
  bool limited_ = false;
  std::atomic<int64_t> due_;   // nothing expires before this; the end of time if nothing does
  std::atomic<int64_t> next_;  // the same, as far as this round has seen
};

}  // namespace kt

#endif
