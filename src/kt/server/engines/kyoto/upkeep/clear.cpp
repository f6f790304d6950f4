// Removing everything at once without holding up anybody.
//
// The engine's own clear() frees every record, or every page of the file that the kernel has cached,
// under its lock. Instead a fresh, empty engine takes the place of the old one, which takes a moment,
// and the old one is done away with afterwards:
//
//     in memory     open another                       swap    destroy the old one
//     single file   rename the file, open a new one    swap    clear the renamed file, close, unlink
//
// Everything else (directories, text files, inside of a transaction) is cleared in place.
//
// A file's transaction log has the file's name plus ".wal", and the engine that closes a file
// removes the log of that name: the new log steps aside while the old engine closes.

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <set>

#include "kyoto/upkeep/maintenance.h"

namespace kt {

namespace {

std::string put_aside(const std::string& path) { return path + ".kt-cleared"; }
std::string log_of(const std::string& path) { return path + ".wal"; }

bool rename_file(const std::string& from, const std::string& to) {
  return std::rename(from.c_str(), to.c_str()) == 0;
}

Error clear_in_place(Database& database) {
  Entry entry(database);
  if (!entry.engine().clear()) return entry.engine().error();
  if (!database.options().read_only) database.store_persistence();
  return succeeded();
}

// False if it is not to be replaced: closed, or in a transaction that may bring the records back.
bool replace_in_memory(Database& database, Error* error) {
  std::unique_ptr<kc::PolyDB> engine;
  *error = database.open_engine(database.spec(), &engine);
  if (failed(*error)) return true;
  Isolation alone(database.gate());
  if (!database.is_open() || database.in_transaction()) return false;
  database.replace_engine(&engine);
  // The gate opens before `engine`, now the old one, is destroyed: it was declared first.
  return true;
}

std::string letters(int options) {
  std::string letters;
  if (options & kc::HashDB::TSMALL) letters += 's';
  if (options & kc::HashDB::TLINEAR) letters += 'l';
  if (options & kc::HashDB::TCOMPRESS) letters += 'c';
  return letters;
}

// A specification by which a new file becomes like the present one, which may have been created
// with other parameters than it was opened with now.
std::string likeness(Database& database) {
  static const std::set<std::string> replaced{"bnum", "buckets", "apow", "alignment", "fpow",
                                              "fbp",  "opts",    "options", "psiz",   "page",
                                              "rcomp", "comparator"};
  std::vector<std::string> parameters;
  kc::strsplit(database.spec(), '#', &parameters);
  std::string spec = parameters.front();
  for (size_t i = 1; i < parameters.size(); i++) {
    std::string name = parameters[i].substr(0, parameters[i].find('='));
    if (replaced.count(name) == 0) spec += "#" + parameters[i];
  }
  std::map<std::string, std::string> status;
  database.engine().status(&status);
  for (const char* name : {"bnum", "apow", "fpow", "psiz", "rcomp"}) {
    if (status.count(name) > 0) spec += std::string("#") + name + "=" + status[name];
  }
  std::string options = letters(kc::atoi(status["opts"].c_str()));
  return options.empty() ? spec : spec + "#opts=" + options;
}

// Puts the file aside and opens an empty one in its place. `had_log` tells whether the old engine
// has a transaction log; where every write is a transaction it is made to have one, lest it open the
// new engine's later.
bool replace_file(Database& database, std::unique_ptr<kc::PolyDB>* engine, bool* had_log) {
  const std::string& path = database.path();
  const std::string aside = put_aside(path);
  struct stat status;
  if (::lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return false;
  if (database.options().auto_transaction && database.engine().begin_transaction_try()) {
    database.engine().end_transaction(true);
  }
  std::string spec = likeness(database);
  if (!rename_file(path, aside)) return false;
  *had_log = rename_file(log_of(path), log_of(aside));
  if (failed(database.open_engine(spec, engine))) {
    rename_file(aside, path);
    rename_file(log_of(aside), log_of(path));
    return false;
  }
  ::chmod(path.c_str(), status.st_mode & 07777);
  database.replace_engine(engine);
  database.store_persistence();
  return true;
}

// False if the file cannot be replaced now.
bool clear_file(Database& database) {
  if (database.options().read_only || database.options().auto_synchronize) return false;
  std::unique_ptr<kc::PolyDB> engine;
  bool had_log = false;
  {
    Isolation alone(database.gate());
    if (!database.is_open() || database.in_transaction()) return false;
    if (!replace_file(database, &engine, &had_log)) return false;
  }
  engine->clear();  // it is quick to close then
  if (had_log) {
    const std::string log = log_of(database.path());
    const std::string kept = log + ".kept";
    database.between_transactions([&] {
      bool moved = rename_file(log, kept);
      engine->close();
      if (moved) rename_file(kept, log);
    });
  }
  engine.reset();
  remove_leftovers(database);
  return true;
}

}  // namespace

Error clear(Database& database) {
  Error error = succeeded();
  if (database.kind().in_memory && replace_in_memory(database, &error)) return error;
  if (database.kind().single_file && clear_file(database)) return succeeded();
  return clear_in_place(database);
}

void remove_leftovers(Database& database) {
  if (!database.kind().single_file || database.options().read_only) return;
  const std::string aside = put_aside(database.path());
  ::unlink(aside.c_str());
  ::unlink(log_of(aside).c_str());
}

}  // namespace kt
