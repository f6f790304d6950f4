// The database that a server serves: one store, or several that share the keys (`-mul`), and all
// that takes long.
//
// Methods of the first part want the caller inside the gate; those of the second go through it
// themselves, in slices where the library allows it, and are for worker threads. What the library
// can only do in one go is `exclusive`: it keeps the gate shut for as long as it takes, so a server
// should not let its event loop run into it (see server/tyrant.py).

#ifndef KT_TOKYO_DATABASE_H
#define KT_TOKYO_DATABASE_H

#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "io/effort.h"
#include "io/ticker.h"
#include "tokyo/database/gate.h"
#include "tokyo/database/journal.h"
#include "tokyo/database/list.h"
#include "tokyo/database/scan.h"
#include "tokyo/database/store.h"

namespace kt::tokyo {

class Database {
 public:
  // `stores` is 0 for a plain database, else the number of stores that a new one is made of; those
  // that exist already are all used. Throws OpenError.
  Database(const std::string& name, int stores, Keeping keeping = Keeping::NONE);
  // One of a plug-in's. All functions of `misc` are its own, and each call is one for it.
  Database(const std::string& name, const std::string& library);
  // The stamp after which everything that the update log has is to be carried out first; 0 for nothing.
  uint64_t since() const { return stores_[0]->since(); }
  const LogPlace& log_then() const { return stores_[0]->log_then(); }
  // Outside the gate: from now on changes are logged. False if the files cannot be made safe now.
  bool connect(ChangeLog* log);
  // Up to which stamp everything is in the files of a durable one.
  uint64_t point() const { return stores_[0]->point(); }
  // Waits for what reads outside the gate; searches that go on later end with Gate::Closed.
  bool close();
  // In a process that was forked off: leaves everything as it is. Nothing may be called after it.
  void abandon() const;
  // Regular expressions that are being matched end with an error, as do later ones. For any thread.
  void stop_matching() { stopped_ = true; }

  class NotQuick : public std::exception {};

  Gate gate;
  Journal journal;

  // The gate for one call: `database.reading()->get(key)`, `database.writing()->put(key, value)`.
  template <class Turn>
  class Visit {
   public:
    explicit Visit(Database* database) : turn_(database->gate), database_(database) {}
    Database* operator->() const { return database_; }

   private:
    Turn turn_;
    Database* const database_;
  };
  Visit<Gate::Turn> reading() { return Visit<Gate::Turn>(this); }
  Visit<Gate::Writing> writing() { return Visit<Gate::Writing>(this); }

  bool is_table() const { return stores_[0]->type() == Store::Type::TABLE; }
  bool is_plugin() const { return stores_[0]->type() == Store::Type::PLUGIN; }

  // Inside the gate.
  bool put(Bytes key, Bytes value);
  bool putkeep(Bytes key, Bytes value);
  bool putcat(Bytes key, Bytes value);
  bool putshl(Bytes key, Bytes value, int width);
  bool out(Bytes key);
  Block get(Bytes key);
  int get_into(Bytes key, char* at, size_t room);
  // Whether this thread is not to touch the value, because it is large and the thread hurries.
  bool leaves(Bytes key) { return large_ && hurries && is_large(key); }
  bool is_large(Bytes key) { return large_ && vsiz(key) > static_cast<int>(LARGE); }
  // The same of what `get_listed` finds.
  bool is_large_list(Bytes key);
  // Likewise, at any time: there has been a large value.
  bool has_large() const { return large_; }
  int vsiz(Bytes key);
  int addint(Bytes key, int number);
  double adddouble(Bytes key, double number);
  bool iterinit();
  Block iternext();
  uint64_t count() const;
  uint64_t size() const;
  bool put_listed(Bytes key, Bytes value);
  bool out_listed(Bytes key);
  bool get_listed(Bytes key, List* result);
  // Functions for which `quick` holds; the answer to a function is false on failure. If it is not
  // `logged`, the update log is not told. Throws NotQuick where that turns out to be wrong, before
  // anything has been done.
  bool misc(const std::string& name, const Arguments& arguments, List* result, bool logged = true);
  // False if the keys are too long to be copied in one go.
  bool fwmkeys(Bytes prefix, int limit, List* result);

  // How long may it take? Inside the gate.
  bool quick_misc(Bytes name, const Arguments& arguments) const;
  bool quick_fwmkeys(int limit) const;
  // Whether it gives a large value, for which memory is found outside of the gate.
  bool gives_large(Bytes name, const Arguments& arguments);
  // Whether it only reads, and moves no iterator.
  static bool only_reads(Bytes name);
  // Whether the update log is told of a call of `misc` that `asks` for that, or does not.
  bool logs(Bytes name, bool asks) const;
  // What a client must be allowed for a call of `misc`.
  enum Right : uint8_t { READ = 1, WRITE = 2, ADMIN = 4 };
  static uint8_t rights_for(Bytes name, const Arguments& arguments);
  // Whom a long function holds up from begin to end.
  enum class Hold { NONE, WRITERS, ALL };
  static Hold hold_of(Bytes name, const Arguments& arguments);

  // Outside the gate, in a worker thread.
  //
  // What `get_listed` finds, with or without keys, if it is large. To find memory takes much longer than
  // to copy, so that is done outside the gate. False if nothing has been done.
  bool fetch_listed(Bytes key, bool with_keys, List* result);
  // A table's row, if it is large.
  Block fetch_row(Bytes key);
  bool long_misc(const std::string& name, const Arguments& arguments, List* result,
                 bool logged = true);
  // Throws std::overflow_error if a list cannot have so many.
  void long_fwmkeys(Bytes prefix, int limit, List* result);
  bool sync();
  bool optimize(const std::string& parameters);
  bool vanish();
  bool copy(const std::string& path);
  // Of a durable file: copies it, as it is at some moment from here on, to the device; see
  // storage/point_copy.h. The stamp of that moment; 0 if that was disturbed, and somebody should try again.
  // Throws std::runtime_error.
  uint64_t copy_point(const std::string& path);

  // Outside the gate, after anything of the above that was `done`: whether it is logged, and kept, too.
  bool settled(bool done) { return journal.settle() && commit() && done; }

  // What the library calls the type, and the path, or nothing in memory.
  const char* type_name() const;
  std::string path() const { return path_; }
  // Number and name of the last failure, in the words of `misc error`.
  std::string error_text() const;
  // Whether that was no fault of the files: no such record, or the like.
  bool error_is_harmless() const;
  bool fatal() const;
  // Whether keys are numbers, so that a record has several of them.
  bool numbered() const { return stores_[0]->type() == Store::Type::FIXED; }
  bool in_memory() const { return stores_[0]->in_memory(); }
  // Whether a file of it had not been closed, and was rebuilt.
  bool rebuilt() const;
  // The names that torn files have now, which new ones have taken the place of.
  std::vector<std::string> kept() const;

 private:
  class Announcement;
  // What the stores find.
  using Found = std::vector<ListPointer>;

  void tell_of_reading();
  void open_many(const std::string& name, int stores);
  void make_points();
  bool commit();
  size_t index(Bytes key) const;
  Store& store(Bytes key) const { return *stores_[index(key)]; }
  // The store of a key that is about to be written; the scans are told.
  Store& to_write(Bytes key);
  // Keeps the number of the error if there is one; returns `done`.
  bool noted(bool done, Store& store);
  // Fails because changes cannot be logged.
  bool refused();
  void note_size(size_t size) {
    if (size > LARGE) large_ = true;
  }
  std::vector<Store*> all() const;

  std::unique_ptr<Scan> prefix_scan(Bytes prefix, int limit, List* result) const;
  // What `regex` and `range` ask for; null if the arguments make no sense.
  std::unique_ptr<Scan> scan(const std::string& name, const Arguments& arguments,
                             List* result) const;
  std::unique_ptr<Scan> regex_scan(const Arguments& arguments, List* result) const;
  std::unique_ptr<Scan> range_scan(const Arguments& arguments, List* result) const;
  // Outside the gate: a scan from begin to end, in slices.
  void run(Scan* scan);

  // What `misc`, `sync`, `optimize` and `vanish` do.
  bool call(const std::string& name, const Arguments& arguments, List* result);
  bool sync_all();
  bool optimize_all(const std::string& parameters);
  // Tells what became of it inside the gate.
  bool vanish_all(const std::function<bool(bool)>& tell);

  // The value of `gives_large`; false if nothing has been done.
  bool fetch(const std::string& name, const Arguments& arguments, List* result);
  bool fetch_columns(Bytes key, List* result);
  bool fetch_part(const Arguments& arguments, List* result);
  bool fetch_next(List* result);
  int peek(std::string* key);
  uint64_t record_bytes() const;
  // What is stored under a key, if it is large.
  bool fetch_stored(Bytes key, Buffer* stored);
  bool at_key(const std::string& name, const Arguments& arguments, List* result);
  bool everywhere(const std::string& name, const Arguments& arguments, List* result);
  bool iterate(const std::string& name, const Arguments& arguments, List* result);
  // Does what a list asks for up to the first failure; where that is, `end` if there is none.
  size_t listed(const std::string& name, const Arguments& arguments, size_t begin, size_t end,
                List* result);
  // Tells the update log that [begin, end) of a list was done, and what comes next has failed if it
  // was not `done`; returns that.
  bool tell_listed(const std::string& name, const Arguments& arguments, size_t begin, size_t end,
                   bool done);
  bool each(const std::string& name, const Arguments& arguments, List* result, bool logged);
  bool managed(const std::string& name, const Arguments& arguments, bool logged);
  bool tabular(const std::string& name, const Arguments& arguments, List* result, bool logged);
  // The same, where a condition is a regular expression. Throws MatchEnded.
  bool searched(const std::string& name, const Arguments& arguments, List* result, bool logged);
  bool search_and_remove(const std::string& name, const Arguments& arguments, List* result,
                         bool logged);
  std::vector<std::unique_ptr<Search>> searches(const Arguments& arguments,
                                                const std::shared_ptr<Effort>& effort) const;
  bool finish_all(const std::vector<std::unique_ptr<Search>>& searches, const std::string& name,
                  const Arguments& arguments, Found* found);
  bool long_listed(const std::string& name, const Arguments& arguments, List* result, bool logged);
  bool long_getlist(const Arguments& arguments, List* result, bool logged);
  // Likewise, as the library gives it.
  bool everywhere(const std::string& name, const Arguments& arguments, Found* found);
  bool defrag(int64_t steps);
  bool defrag_file(Store* store, size_t number, int64_t steps);
  bool copy_memory(const std::string& path);

  std::vector<std::unique_ptr<Store>> stores_;
  std::string path_;
  size_t iterator_ = 0;  // the store in which the clients' iterator is
  std::vector<Scan*> scans_;
  const bool durable_, commits_;
  std::atomic<int> error_{0};
  std::atomic<bool> stopped_{false};  // matching is to end
  std::atomic<bool> large_{false};  // whether a large value is known to be there, or has been
  Ticker points_;
};

}  // namespace kt::tokyo

#endif
