// A Kyoto Cabinet database with expiry, safe to use from many threads at once.
//
//     operations, cursors, scans, maintenance     (operations.h, cursor.h, scan.h, ...)
//                     |
//     Database        gate, expiry, transactions, watches
//                     |
//     kc::PolyDB      the engine: any type of database, replaced as a whole by clear()
//
// Whoever touches the engine holds an Entry. Failures are returned as the engine's own Error, whose
// code is SUCCESS otherwise.

#ifndef KT_KYOTO_DATABASE_H
#define KT_KYOTO_DATABASE_H

#include <atomic>
#include <condition_variable>
#include <ctime>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "kyoto/storage/ballast.h"
#include "kyoto/storage/engine.h"
#include "kyoto/storage/file.h"
#include "kyoto/database/gate.h"
#include "kyoto/database/journal.h"
#include "kyoto/storage/page_store.h"
#include "kyoto/database/record.h"
#include "kyoto/upkeep/sweeper.h"
#include "kyoto/upkeep/tree_log.h"
#include "kyoto/upkeep/write_back.h"

namespace kt {

class Cursor;
class EngineCursor;
class KeyWatch;
class OldRecords;

// What the types of databases differ in.
struct Kind {
  bool in_memory = false;      // nothing to synchronize; cleared by starting afresh
  bool one_at_a_time = false;  // an operation moves the cursors of others without locking
  bool moves_records = false;  // a record may jump over a cursor when it is written
  bool rotates = false;        // a record moves to the end when it is read
  bool pages = false;          // a tree, whose changed pages are kept in memory for a while
  bool lexical = false;        // keys are ordered as bytes
  bool single_file = false;    // one regular file, cleared by a new one in its place
  bool removes = true;         // a cursor can remove records
};

struct OpenOptions {
  bool read_only = false;
  bool auto_transaction = false;
  bool auto_synchronize = false;
  bool no_lock = false;
  bool try_lock = false;
  bool no_repair = false;
};

class Database {
 public:
  Database(const std::string& spec, const OpenOptions& options, kc::BasicDB::Logger* logger);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  Error open();
  Error close();
  // Regular expressions that are being matched end with an error, as do later ones. For any thread.
  void stop_matching() { matching_stopped_ = true; }

  // INVALID unless it is open.
  Error check_open();

  const std::string& path() const { return path_; }
  Error count(int64_t* count);
  Error size(int64_t* size);
  Error status(std::map<std::string, std::string>* status);

  Error accept(Bytes key, RecordVisitor& visitor, bool writable);
  // `size` of what will be written, as far as it is known before. Where every write is a transaction,
  // all of them are one.
  Error accept_bulk(const std::vector<std::string>& keys, RecordVisitor& visitor, bool writable,
                    size_t size = 0);

  // One transaction runs at a time; this waits so many seconds for its turn, for ever if negative.
  // The update log gets what is changed meanwhile at the end.
  Error begin_transaction(bool hard, double timeout);
  Error end_transaction(bool commit);

  // To be called after `writes` records were written, outside of any Entry: keeps expired records
  // and those above the capacity from piling up.
  void after_writes(int64_t writes);

  // Whether writes are refused, because what was written before cannot be brought to the file.
  bool refuses_writes() const { return pages_.failing(); }

  // --- For the parts of the engine only.

  const Kind& kind() const { return kind_; }
  const OpenOptions& options() const { return options_; }
  Gate& gate() { return gate_; }
  const std::atomic<bool>& matching_stopped() const { return matching_stopped_; }
  kc::PolyDB& engine() { return *engine_; }  // for those who are alone inside
  bool is_open() const { return engine_->reveal_inner_db() != nullptr; }  // likewise
  Terms terms() { return terms_at(std::time(nullptr)); }
  Terms terms_at(int64_t now) { return {this, !persistent_, now}; }
  Sweeper& sweeper() { return sweeper_; }
  Journal& journal() { return journal_; }

  // Counts what makes all cursors forget their places: clearing and aborted transactions.
  uint64_t epoch() const { return epoch_; }
  uint64_t clearings() const { return clearings_; }
  void note_cleared() {
    clearings_++;
    epoch_++;
  }

  // While the lock is held, no transaction begins or ends. Not held if one runs that does not end
  // soon.
  std::unique_lock<std::mutex> keep_transactions_away();

  // Open another engine object as this database is opened; `spec` may differ.
  Error open_engine(const std::string& spec, std::unique_ptr<kc::PolyDB>* engine);

  // Something failed, or was undone: what was made room for is not to be relied on.
  void forget_room();

  // Begin a transaction of the engine's; alone inside. The file is as it was if that fails.
  bool begins_transaction(bool hard);

  // Exchange the engine object, alone inside. Cursors lose their places.
  void replace_engine(std::unique_ptr<kc::PolyDB>* engine);
  void store_persistence() { store_persistence(*engine_); }
  void store_persistence(kc::PolyDB& engine);

  bool in_transaction() const { return in_transaction_; }
  void between_transactions(const std::function<void()>& action);  // runs it alone inside
  const std::string& spec() const { return spec_; }

  // A file database's file; null for others. To be asked for inside.
  std::shared_ptr<File> file() const { return file_; }

  // Whether the file can take a record of that size, and all pages that are in memory.
  bool has_room(size_t size) {
    if (hash_ != nullptr) return file_->has_room(end_of_records(), static_cast<int64_t>(size));
    if (keeps_pages()) return has_room_for_pages(size);
    return !directory_ || directory_->has_room(0, static_cast<int64_t>(size));
  }

  // Outside of any Entry, when there is none: writes the pages and forgets them, so that there may be.
  // False if that cannot help.
  bool make_room();

  PageStore& pages() { return pages_; }
  WriteBack& write_back() { return write_back_; }
  TreeLog& log() { return log_; }

  // Whether reading a record may move it (see Kind::rotates); counts how often it was held.
  void hold_rotation(bool held);

  // From now on, or not any more, records are noted there before they are changed. Alone inside.
  void keep_old_records(OldRecords* kept) { old_records_ = kept; }
  // One at a time takes a snapshot.
  std::unique_lock<std::mutex> turn_of_snapshots() { return std::unique_lock(snapshot_lock_); }

  void watch(KeyWatch* watch);
  void unwatch(KeyWatch* watch);

  // How many steps of defragmentation are left for idle moments.
  int64_t untidy() const { return untidy_; }
  void set_untidy(int64_t steps) { untidy_ = steps; }

  // Called for every record that is changed, while the engine has it locked.
  void note_changed() { write_back_.note_changed(); }

  // Called before that, likewise; null if there is no such record.
  void note_old(Bytes key, const Bytes* before) {
    if (old_records_ != nullptr) keep_old(key, before);
  }

  // Called for every record that is stored, likewise.
  void note_stored(Bytes key, int64_t xt, int64_t now) {
    if (xt < XT_MAX) sweeper_.expect(xt, now);
    if (watching_ > 0) tell_watches(key);
  }

 private:
  friend class Entry;
  friend class Cursor;
  class Border;

  Error try_accept(Bytes key, RecordVisitor& visitor, bool writable);
  bool keeps_pages() const { return tree_ != nullptr || forest_ != nullptr; }
  bool is_nearly_full();
  bool has_room_for_all(const std::vector<std::string>& keys, size_t size, bool exactly);
  Error try_bulk(const std::vector<std::string>& keys, RecordVisitor& visitor, bool writable, size_t size,
                 bool* begun);
  Error visit_all(const std::vector<std::string>& keys, RecordVisitor& visitor, bool writable);
  void note_undone();  // a transaction
  Error commit_all(const std::vector<std::string>& keys, RecordVisitor& visitor);
  void correct_all(const std::vector<std::string>& keys, const RecordVisitor& visitor);
  void read_spec();
  std::shared_ptr<File> mend_log();
  void load_persistence();
  void adopt_engine(std::shared_ptr<File> before);
  int64_t end_of_records() const;
  int64_t unwritten() const;
  bool has_room_for_pages(size_t more) const;
  void switch_rotation();
  void close_left_cursors();
  void tell_watches(Bytes key);
  void keep_old(Bytes key, const Bytes* before);
  uint32_t mode() const;

  const std::string spec_;
  const OpenOptions options_;
  kc::BasicDB::Logger* const logger_;
  std::string path_;
  Kind kind_;
  bool persistent_ = false;
  int64_t capacity_count_ = -1;
  int64_t capacity_size_ = -1;

  Gate gate_;
  Journal journal_;
  std::unique_ptr<kc::PolyDB> engine_;
  std::shared_ptr<File> file_;
  std::shared_ptr<File> directory_;  // of a database in one
  std::unique_ptr<Ballast> ballast_;  // there
  kc::HashDB* hash_ = nullptr;       // the engine's, if it is of this type
  kc::TreeDB* tree_ = nullptr;       // likewise, if its pages are not written with every change
  kc::ForestDB* forest_ = nullptr;   // likewise
  std::atomic<int64_t> least_unwritten_{0};  // when everything was forgotten for the last time
  PageStore pages_;
  std::list<Cursor*> cursors_;  // each knows its place in it
  std::list<EngineCursor> left_cursors_;  // of some that are gone
  std::mutex cursors_lock_;
  std::atomic<uint64_t> epoch_{0};
  std::atomic<uint64_t> clearings_{0};
  std::atomic<int64_t> untidy_{0};
  int rotation_holds_ = 0;
  Sweeper sweeper_;
  WriteBack write_back_{*this};
  TreeLog log_{*this};

  std::mutex transaction_lock_;
  std::condition_variable transaction_ended_;
  std::atomic<bool> matching_stopped_{false};
  std::atomic<bool> in_transaction_{false};

  std::atomic<int> watching_{0};
  std::mutex watches_lock_;
  std::list<KeyWatch*> watches_;

  OldRecords* old_records_ = nullptr;  // exchanged by who is alone inside
  std::mutex snapshot_lock_;
};

// Being inside a database: nobody replaces the engine meanwhile, and nobody is alone inside.
class Entry {
 public:
  explicit Entry(Database& database)
      : gate_(database.gate_), alone_(database.kind_.one_at_a_time), engine_(database.engine_) {
    alone_ ? gate_.isolate() : gate_.share();
  }
  ~Entry() { alone_ ? gate_.leave_isolated() : gate_.leave_shared(); }
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

  kc::PolyDB& engine() { return *engine_; }

 private:
  Gate& gate_;
  const bool alone_;
  const std::unique_ptr<kc::PolyDB>& engine_;
};

// Remembers the keys that are written, from its construction to take(). See scan.cpp.
class KeyWatch {
 public:
  using Keys = std::set<std::string, std::less<>>;  // never pauses to grow, as a hash table does

  explicit KeyWatch(Database& database) : database_(&database) { database_->watch(this); }
  ~KeyWatch() { stop(); }
  KeyWatch(const KeyWatch&) = delete;
  KeyWatch& operator=(const KeyWatch&) = delete;

  void note(Bytes key) {
    std::lock_guard<std::mutex> lock(lock_);
    written_.emplace(key);
  }

  // Whether the key was written so far.
  bool knows(const std::string& key) {
    std::lock_guard<std::mutex> lock(lock_);
    return written_.count(key) > 0;
  }

  // Stop, and give the keys away.
  Keys take() {
    stop();
    return std::move(written_);
  }

 private:
  void stop() {
    if (database_ != nullptr) database_->unwatch(this);
    database_ = nullptr;
  }

  Database* database_;
  std::mutex lock_;
  Keys written_;
};

inline Error succeeded() { return Error(); }
inline bool failed(const Error& error) { return error.code() != Error::SUCCESS; }
inline Error not_open() { return Error(Error::INVALID, "not opened"); }
inline Error no_room() {
  return Error(Error::SYSTEM, "no room: what was written before is not in the file");
}
// Why a visitor has failed.
inline Error failure_of(const RecordVisitor& visitor) {
  const char* failure = visitor.failure();
  return Error(failure == TOO_LARGE ? Error::MISC : Error::SYSTEM, failure);
}
inline Error no_record() { return Error(Error::NOREC, "no record"); }

}  // namespace kt

#endif
