// One Tokyo Cabinet database of any type, and its records.
//
// Thin over the library's abstract database (tcadb): the caller is inside the gate (gate.h),
// keys and values are views, what is fetched is a Block. What is added is what the library leaves
// out or ends the process over:
//
//  - a table refuses an empty value in a column that has a lexical or decimal index (the library
//    asserts that there is none), and a value in one with a full-text index that together with its
//    key would take too much memory (the library ends the process); and the making of an index is
//    refused where there is such a row;
//  - a table's keys get a zero byte behind them: where they are indexed the library takes them for
//  C
//    strings;
//  - a record cannot grow past RECORD_LIMIT by appending (the library counts in `int`);
//  - where the library asserts that a key is not empty, an iterator cannot be set to an empty one,
//    and a table's row is stored under a key that it makes;
//  - a file is not copied over itself (the library empties it first);
//  - the last error is the database's, not the thread's;
//  - nothing is changed for which there is no room on the disk (storage/room.h);
//  - the library's own locks are taken away from it while only one thread at a time can be inside
//    (`share`): they are slow, and what they yield to is everybody else on the machine.

#ifndef KT_TOKYO_STORE_H
#define KT_TOKYO_STORE_H

#include <tcadb.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokyo/database/cursor.h"
#include "tokyo/storage/plugin.h"
#include "tokyo/storage/room.h"
#include "tokyo/storage/undo_log.h"

namespace kt::tokyo {

using Arguments = std::vector<Bytes>;

inline int length(Bytes bytes) {
  return static_cast<int>(bytes.size());
}

// Whether this thread serves many connections (see LARGE).
extern thread_local bool hurries;

class Hurry {
 public:
  Hurry() : before_(hurries) { hurries = true; }
  ~Hurry() { hurries = before_; }
  Hurry(const Hurry&) = delete;
  Hurry& operator=(const Hurry&) = delete;

 private:
  const bool before_;
};

// No record may become longer than this.
constexpr size_t RECORD_LIMIT = size_t{1} << 30;

// No more memory than this may go into the full-text index of one value.
constexpr size_t INDEX_LIMIT = size_t{1} << 28;

// A region that the library allocated and we release.
class Block {
 public:
  Block() = default;
  Block(void* region, int size) : region_(static_cast<char*>(region)), size_(size) {}

  explicit operator bool() const { return region_ != nullptr; }
  Bytes bytes() const { return Bytes(region_.get(), static_cast<size_t>(size_)); }

 private:
  struct Free {
    void operator()(char* region) const { std::free(region); }
  };
  std::unique_ptr<char, Free> region_;
  int size_ = 0;
};

struct ListDeleter {
  void operator()(TCLIST* list) const { tclistdel(list); }
};
using ListPointer = std::unique_ptr<TCLIST, ListDeleter>;

struct MapDeleter {
  void operator()(TCMAP* map) const { tcmapdel(map); }
};
using MapPointer = std::unique_ptr<TCMAP, MapDeleter>;

// A copy in the library's terms, each element followed by a zero byte.
ListPointer to_list(const Arguments& arguments);
Bytes element(const TCLIST* list, int index);

// Why a file is not opened that another process has locked.
extern const char* const LOCKED;

// What becomes of what was acknowledged when the process is killed. DURABLE: all of it outlives that,
// together with an update log; FORGET: what only a log has is given up; COMMIT: each change outlives it as
// soon as there was a point after it (Database::commit); DEVICE: and a loss of power.
enum class Keeping { NONE, DURABLE, FORGET, COMMIT, DEVICE };

class OpenError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Search;

class Store {
 public:
  enum class Type { MEMORY_HASH, MEMORY_TREE, HASH, TREE, FIXED, TABLE, PLUGIN };

  // `name` is `*`, `+` or a file name, then any `#name=value`. Throws OpenError.
  explicit Store(const std::string& name, Keeping keeping = Keeping::NONE);
  // What the name means is the library's business.
  Store(const std::string& name, std::unique_ptr<Plugin> library);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  bool close();
  // In a forked process: the library keeps which files a process has open, and this one has none.
  void abandon() const;
  // Whether several threads are going to read at the same time. Nobody must be inside.
  void share(bool shared);

  // Whether it had not been closed, and was rebuilt or brought back to its last point.
  bool rebuilt() const { return rebuilt_; }
  // If it was torn, the name that the torn file has now.
  const std::string& kept() const { return kept_; }
  Type type() const { return type_; }
  bool in_memory() const { return type_ == Type::MEMORY_HASH || type_ == Type::MEMORY_TREE; }
  bool ordered() const {
    return type_ == Type::MEMORY_TREE || type_ == Type::TREE || type_ == Type::FIXED;
  }
  const char* path() const { return tcadbpath(adb_); }
  uint64_t count() const { return tcadbrnum(adb_); }
  uint64_t size() const { return tcadbsize(adb_); }
  // Of what has just failed.
  int error();
  bool fatal() const;

  // One record; false is a failure, `error` says which.
  bool put(Bytes key, Bytes value);
  bool putkeep(Bytes key, Bytes value);
  bool putcat(Bytes key, Bytes value);
  bool putshl(Bytes key, Bytes value, int width);
  bool out(Bytes key);
  Block get(Bytes key);
  // Into a region: copied once where the library has the value in memory. The value's size, which
  // is that of the region, or nothing has happened; -1 if there is no record.
  int get_into(Bytes key, char* at, size_t room);
  int vsiz(Bytes key);
  int addint(Bytes key, int number);
  double adddouble(Bytes key, double number);

  // One element of a list function: on a tree, a key may have several records.
  bool put_listed(Bytes key, Bytes value);
  bool out_listed(Bytes key);
  // Appends the values to `values`; false only when something is wrong.
  bool get_listed(Bytes key, std::vector<Block>* values);
  // How long the values are that this finds.
  std::vector<size_t> listed_sizes(Bytes key);
  // Copies them to these places, once where the library has them in memory; false if they have other
  // sizes than before.
  bool get_listed_into(Bytes key, const std::vector<size_t>& sizes, const std::vector<char*>& places);

  // The iterator that all clients share.
  bool iterinit() { return tcadbiterinit(adb_); }
  Block iternext();
  // The key that it gives next, and how long the value is; -1 if there is none. Not for tables.
  int peek(std::string* key);
  // The value is copied to where there is room for it, and the iterator goes on; false, and it stays, if
  // this is not what comes next.
  bool iternext_into(Bytes key, char* at, size_t room);

  // The library's own miscellaneous functions, guarded; nullptr is a failure.
  ListPointer misc(const char* name, const Arguments& arguments);
  // Likewise, of a search that has chosen its rows.
  ListPointer finish(Search* search, const char* name, const Arguments& arguments);
  // What is stored under a key: the value, or a table's row in the library's form.
  Block stored(Bytes key);
  // As `vsiz` and `get_into`, of that.
  int stored_size(Bytes key);
  int stored_into(Bytes key, char* at, size_t room);
  // Such a row as clients see it: names and values, with zero bytes between.
  static Block row(Bytes stored);

  // The whole database.
  bool sync();
  // See undo_log.h. Whether there should be a point soon; at any time.
  bool wants_point() const { return changed_ && !copying_; }
  bool has_points() const { return log_ != nullptr; }
  bool make_point();
  // Of one that keeps what was acknowledged. Whether something can be changed now that is to be kept.
  bool safe() const {
    return log_ == nullptr || resting_ || (log_->running() && !(commits_ && log_->failed()));
  }
  // The stamp after which everything that the update log has is to be carried out, before anything else;
  // 0 for nothing. Until `keep` nothing of that stays, should the process end.
  uint64_t since() const { return found_.stamp; }
  // And where the log ended then.
  const LogPlace& log_then() const { return found_.log; }
  // From now on: `stamp` writes the update log, and tells up to where; false if that cannot be done.
  bool keep(std::function<bool(Mark*)> stamp);
  // Up to which stamp everything is in the file; at any time.
  uint64_t point() const { return point_; }
  // Of a durable one. Makes a point, and no other by itself until `end_copy`; false if it cannot.
  bool begin_copy();
  void end_copy() { copying_ = false; }
  // The file to be copied (storage/point_copy.h); null once there was another point.
  const TCHDB* copied() const;
  // Nobody changes anything from here until `go_on`.
  void rest();
  void go_on();
  // The files below, to push them to the device outside the gate: a `sync` is then short.
  std::vector<int> files() const;
  bool optimize(const char* parameters);
  bool copy(const char* path);
  // Empties the database; in memory the old contents are handed out, to be deleted outside the
  // gate.
  bool vanish(std::unique_ptr<Store>* old);
  // The hash databases below, which can be defragmented in steps: none in memory, several for a
  // table with indices.
  std::vector<TCHDB*> hash_files() const;
  // So many steps of that for one of these.
  bool defragment(TCHDB* file, int64_t steps);

  // A cursor from `begin` on, or from the first record. Without `values` it shows keys only.
  std::unique_ptr<Cursor> cursor(const Bytes* begin, bool values);
  // The keys of a plug-in that begin so.
  ListPointer plugin_keys(Bytes prefix, int limit) { return ListPointer(plugin_->keys(prefix, limit)); }
  // In a tree, how keys are ordered: negative if `left` comes before `right`.
  int compare(Bytes left, Bytes right) const;

  // The library's object for the type.
  void* library() const { return tcadbreveal(adb_); }

 private:
  Store() = default;
  class Shared;
  class Kept;
  struct Target;
  struct Tidying {
    TCHDB* file;
    uint32_t after;  // so many gaps have come up
  };

  void open(const std::string& name);
  std::vector<void**> locks() const;
  bool rebuild(const std::string& name);
  bool replace(const std::string& name, bool done);
  bool renew_indices();
  std::string rescued() const;
  std::string make_key();
  Bytes terminated(Bytes key, std::string* kept) const;
  static bool indexable(int index_type, Bytes key, size_t value_size);
  static bool indexable(const char* index, int type, Bytes key, TCMAP* columns);
  bool acceptable(Bytes key, TCMAP* columns) const;
  bool is_own(const char* path) const;
  bool can_copy(const char* path) const;
  bool missing(Bytes key);
  bool alone() const { return !taken_.empty(); }
  void see_values(Bytes key, const std::function<void(Bytes)>& see);
  bool countable(Bytes key) const;
  bool acceptable_row(Bytes key, Bytes columns, bool (*store)(TCTDB*, const void*, int, TCMAP*));
  bool acceptable_index(const Arguments& arguments);
  bool guarded_misc(const std::string& name, const Arguments& arguments);
  void adopt();
  bool can_append(Bytes key, Bytes value);
  bool admits(Bytes key, size_t size);
  bool admits_removal(Bytes key);
  bool admits_row(Bytes key, size_t size, TCMAP* columns);
  bool admits_number(Bytes key);
  bool admits_misc(const std::string& name, const Arguments& arguments);
  bool admits_changes(Bytes key, size_t size);
  bool admits_search(const Arguments& arguments);
  bool has_space_for_index(int type) const;
  static bool has_space_for_new_indices(const std::string& name);
  bool has_space_for_copies() const;
  int64_t blocks() const;
  bool admits_index(const Arguments& arguments);
  bool refuse();
  bool settle();
  bool write_out();
  bool brought_to_device() const;
  static bool names_to_device(const std::string& path);
  void check_mark(Keeping keeping);
  bool coming_back() const { return durable_ && stamp_ == nullptr; }
  bool remove_all();
  bool rest_for_library();
  static bool bring_back(const std::string& path);
  void forget_kept() const;
  void leave();
  TCHDB* undone_file() const;
  bool tidied(bool done);
  bool changed(bool done);
  static void* place(const void* value, int size, int* new_size, void* room);
  static void* shift(const void* value, int size, int* new_size, void* operation);

  std::unique_ptr<Plugin> plugin_;  // longer than what it serves
  TCADB* adb_ = nullptr;
  Type type_ = Type::MEMORY_HASH;
  bool rebuilt_ = false;
  std::string kept_;
  std::unique_ptr<Room> room_;      // null where nothing is written to a file
  std::unique_ptr<UndoLog> log_;
  std::atomic<bool> changed_{false};  // since the last point
  std::atomic<bool> copying_{false};
  uint64_t copied_turn_ = 0;  // of the log
  const bool durable_ = false, commits_ = false, device_ = false;
  bool resting_ = false;
  Mark found_, mark_;  // when it was opened; of the last point
  std::atomic<uint64_t> point_{0};
  std::function<bool(Mark*)> stamp_;
  std::vector<Tidying> tidying_;    // what the library would do by itself
  std::atomic<bool> refused_{false};  // what has just failed, for want of room
  std::vector<std::pair<void**, void*>> taken_;  // the library's locks, and where they belong
};

// While the library makes or removes objects that have locks.
class Store::Shared {
 public:
  explicit Shared(Store* store) : store_(*store), alone_(!store->taken_.empty()) {
    store_.share(true);
  }
  ~Shared() {
    if (alone_) store_.share(false);
  }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;

 private:
  Store& store_;
  const bool alone_;
};

}  // namespace kt::tokyo

#endif
