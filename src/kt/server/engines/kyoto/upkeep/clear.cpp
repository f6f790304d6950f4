// Removing everything at once without holding up anybody.
//
// The engine's own clear() frees every record, or every page of the file that the kernel has cached,
// under its lock. Instead a fresh, empty engine takes the place of the old one, which takes a moment,
// and the old one is done away with afterwards:
//
//     in memory     open another                          swap    destroy the old one
//     single file   make a new file, rename it over the   swap    clear the old file, close, unlink
//                   old one, open it
//
// At every moment there is a whole file under its name, the old or the new one; what else there may
// be beside it after a crash is removed when the database is opened.
//
// Everything else (directories, text files, inside of a transaction) is cleared in place.
//
// A file's transaction log has the file's name plus ".wal", and the engine that closes a file
// removes the log of that name: the new log steps aside while the old engine closes.

#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <set>

#include "kyoto/storage/log_check.h"
#include "kyoto/storage/new_file.h"
#include "kyoto/upkeep/maintenance.h"
#include "kyoto/upkeep/pages.h"

namespace kt {

namespace {

std::string put_aside(const std::string& path) { return path + ".kt-cleared"; }
std::string kept_log(const std::string& path) { return log_of(path) + ".kept"; }

// What a link leads to.
std::string real(const std::string& path) {
  char resolved[PATH_MAX];
  return ::realpath(path.c_str(), resolved) ? resolved : path;
}

bool rename_file(const std::string& from, const std::string& to) {
  return std::rename(from.c_str(), to.c_str()) == 0;
}

Error clear_in_place(Database& database) {
  WriteBack::Turn turn(database.write_back());
  Isolation alone(database.gate());
  database.log().end();
  const bool cleared = database.engine().clear();
  database.log().begin();
  database.note_cleared();
  if (!cleared) return database.engine().error();
  database.journal().cleared();
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
  database.journal().cleared();
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

// The parameters by which a new file becomes like the present one, which may have been created with
// others than it was opened with now.
std::string likeness(Database& database) {
  static const std::set<std::string> replaced{"bnum", "buckets", "apow", "alignment", "fpow",
                                              "fbp",  "opts",    "options", "psiz",   "page",
                                              "rcomp", "comparator", "type"};
  std::vector<std::string> parameters;
  kc::strsplit(database.spec(), '#', &parameters);
  std::string spec = database.kind().pages ? "#type=kct" : "#type=kch";
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

// Makes the new file, complete, under another name.
bool make_similar(Database& database, const std::string& parameters, const struct stat& like) {
  const std::string path = new_file_of(real(database.path()));
  ::unlink(path.c_str());
  std::unique_ptr<kc::PolyDB> engine;
  if (failed(database.open_engine(path + parameters, &engine))) return false;
  database.store_persistence(*engine);
  if (!engine->close()) return false;
  if (::chmod(path.c_str(), like.st_mode & 07777) != 0) return false;
  return !database.options().auto_synchronize || File(path, false).synchronize();
}

// Puts it in the old one's place and opens it there. `had_log` tells whether the old engine has a
// transaction log; where every write is a transaction it is made to have one, lest it open the new
// engine's later.
bool replace_file(Database& database, std::unique_ptr<kc::PolyDB>* engine, bool* had_log) {
  const std::string path = real(database.path());
  const std::string aside = put_aside(path);
  struct stat status;
  if (::lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return false;
  if (database.options().auto_transaction && database.begins_transaction(false)) {
    database.engine().end_transaction(true);
  }
  const std::string parameters = likeness(database);
  ::unlink(aside.c_str());
  if (!make_similar(database, parameters, status) || ::link(path.c_str(), aside.c_str()) != 0) return false;
  if (!rename_file(new_file_of(path), path)) return false;
  *had_log = rename_file(log_of(database.path()), log_of(aside));
  if (failed(database.open_engine(database.path() + parameters, engine))) {
    rename_file(aside, path);
    if (*had_log) rename_file(log_of(aside), log_of(database.path()));
    return false;
  }
  database.replace_engine(engine);
  return true;
}

// False if the file cannot be replaced now.
bool clear_file(Database& database) {
  if (database.options().read_only) return false;
  clean_pages(database);  // leaves little to do
  std::unique_ptr<kc::PolyDB> engine;
  bool had_log = false;
  {
    WriteBack::Turn turn(database.write_back());
    Isolation alone(database.gate());
    if (!database.is_open() || database.in_transaction()) return false;
    clean_rest(database);
    const bool replaced = replace_file(database, &engine, &had_log);
    database.log().begin();
    if (!replaced) return false;
    database.journal().cleared();
  }
  engine->clear();  // it is quick to close then
  if (had_log) {
    const std::string log = log_of(database.path());
    const std::string kept = kept_log(database.path());
    database.between_transactions([&] {
      clean_rest(database);
      bool moved = rename_file(log, kept);
      engine->close();
      if (moved) rename_file(kept, log);
      database.log().begin();
    });
  }
  engine.reset();
  remove_leftovers(database);
  return true;
}

Error clear_somehow(Database& database) {
  Error error = succeeded();
  if (database.kind().in_memory && replace_in_memory(database, &error)) return error;
  if (database.kind().single_file && clear_file(database)) return succeeded();
  return clear_in_place(database);
}

}  // namespace

Error clear(Database& database) {
  Error error = database.journal().admit();
  if (!failed(error)) error = clear_somehow(database);
  return failed(error) ? error : database.journal().settle();
}

void remove_leftovers(Database& database) {
  if (!database.kind().single_file || database.options().read_only) return;
  const std::string file = real(database.path());
  for (const std::string& path : {put_aside(file), new_file_of(file)}) {
    ::unlink(path.c_str());
    ::unlink(log_of(path).c_str());
  }
  ::unlink(kept_log(database.path()).c_str());
}

void undo_clearing(const std::string& path) {
  const std::string aside = put_aside(path);
  if (::access(aside.c_str(), F_OK) != 0) return;
  char magic = '\0';
  std::ifstream(path, std::ios::binary).get(magic);
  if (magic == '\0') rename_file(aside, path);
}

}  // namespace kt
