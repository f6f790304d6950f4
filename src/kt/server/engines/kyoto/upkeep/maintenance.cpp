// Synchronizing and vacuuming without keeping the engine's locks.
//
// A tree's synchronize() writes all changed pages and then throws all cached pages away, locked, which
// takes a tenth of a second and more for a full cache. So pages are cleaned in turns instead.
// Waiting for the device needs no lock: it is done with a descriptor of our own.

#include "kyoto/upkeep/maintenance.h"

#include <algorithm>

#include "kyoto/upkeep/pages.h"

namespace kt {

namespace {

// Records, or pages of a tree, that are looked at in one turn.
int64_t steps_at_once(const Kind& kind) { return kind.pages ? 32 : 256; }

// What the engine knows about the blocks of its file.
struct FileState {
  int64_t blocks = 0;       // in use
  int64_t fragments = 0;    // gaps made since the last defragmentation
  bool has_gaps = false;

  explicit FileState(kc::PolyDB& engine) {
    std::map<std::string, std::string> status{{"fbpnum_used", "0"}};
    if (!engine.status(&status)) return;
    auto number = [&](const char* name) { return kc::atoi(status[name].c_str()); };
    blocks = status.count("pnum") > 0 ? number("pnum") : number("count");
    fragments = number("frgcnt");
    has_gaps = number("fbpnum_used") > 0;
  }
};

// Lest the log of a tree become as large as its file.
void make_point_alone(Database& database) {
  if (!database.log().running()) return;
  PageStore::Attempt attempt(database.pages());
  make_point(database, attempt);
}

// Closes the gaps from wherever the engine is in the file, once round. The engine does not say when
// it is round, but the file shrinks then, or has no gaps and all blocks have been looked at.
Error close_gaps(Database& database, bool* shrank) {
  const int64_t steps = steps_at_once(database.kind());
  const int64_t POINT = 32 * steps;
  Turns turns(database.gate());
  if (!database.is_open()) return not_open();
  // Twice as many as there should be, and small blocks: if others write meanwhile, it may not end.
  const int64_t most =
      std::max(2 * FileState(database.engine()).blocks, database.engine().size() / 64);
  bool emptied = false;
  for (int64_t done = 0; done < most; done += steps) {
    kc::PolyDB& engine = database.engine();
    int64_t size = engine.size();
    Error error = close_some_gaps(database, steps);
    if (failed(error)) return error;
    *shrank = engine.size() < size;
    if (*shrank) break;
    FileState state(engine);
    if (done >= state.blocks && !state.has_gaps) break;
    if (done % POINT == 0) make_point_alone(database);
    turns.pause();
    turns.resume();
    emptied = emptied || empty_last_gap(database, turns);
  }
  make_point_alone(database);
  return succeeded();
}

std::shared_ptr<File> file_of(Database& database) {
  Entry entry(database);
  return database.file();
}

// Brings the file up to date with what is in memory; the pages of a tree have been cleaned.
Error write_to_file(Database& database) {
  if (database.kind().pages && !database.in_transaction()) return database.check_open();
  // The file says of itself that it is closed for a moment; nobody may be writing then.
  Isolation alone(database.gate());
  if (!database.is_open()) return not_open();
  const bool done = database.engine().synchronize(false);
  database.forget_room();  // the engine has cut the file off behind its last record
  return done ? succeeded() : database.engine().error();
}

Error run_processor(Database& database, kc::BasicDB::FileProcessor& processor) {
  int64_t count;
  int64_t size;
  Error error = database.count(&count);
  if (!failed(error)) error = database.size(&size);
  if (failed(error)) return error;
  bool done = processor.process(database.path(), count, size);
  return done ? succeeded() : Error(Error::LOGIC, "postprocessing failed");
}

}  // namespace

Error synchronize(Database& database, bool hard, kc::BasicDB::FileProcessor* processor) {
  if (database.kind().in_memory) {
    return processor ? run_processor(database, *processor) : database.check_open();
  }
  Error error = clean_pages(database, Pace::COMPLETE);
  if (failed(error)) return error;
  std::shared_ptr<File> file = file_of(database);
  const bool by_ourselves = file && !database.options().read_only;
  if (by_ourselves && processor == nullptr) {
    error = write_to_file(database);
    if (failed(error) || !hard || file->synchronize()) return error;
    return Error(Error::SYSTEM, "fsync failed");
  }
  if (by_ourselves && hard) file->synchronize();  // leaves little to do
  drop_clean_pages(database);
  {
    // The engine's hard way puts a list of the gaps into the file, and believes it after a kill.
    Entry entry(database);
    const bool done = entry.engine().synchronize(hard && !by_ourselves, processor);
    database.forget_room();  // the engine has cut the file off behind its last record
    if (!done) return entry.engine().error();
  }
  if (by_ourselves && hard && !file->synchronize()) return Error(Error::SYSTEM, "fsync failed");
  return database.refuses_writes() ? no_room() : succeeded();
}

bool has_gaps(Database& database) { return FileState(database.engine()).has_gaps; }

Error defragment(Database& database, int64_t steps) {
  Isolation alone(database.gate());
  return database.is_open() ? close_some_gaps(database, steps) : not_open();
}

Error vacuum(Database& database, int64_t steps) {
  if (steps > 1) {
    database.sweeper().sweep(database, steps, 0);
  } else {
    database.sweeper().sweep_all(database);
  }
  Error error = database.check_open();
  if (failed(error) || !database.kind().single_file) return error;
  if (steps > 0) return defragment(database, steps);
  error = clean_pages(database);
  if (failed(error)) return error;
  bool shrank = false;
  error = close_gaps(database, &shrank);
  if (!failed(error) && shrank) error = close_gaps(database, &shrank);  // now from the beginning
  return error;
}

namespace {

// Closes some of the gaps that were made since the last time.
bool tidy_file(Database& database) {
  constexpr int64_t STEPS = 32;
  if (!database.kind().single_file || database.options().read_only) return false;
  int64_t untidy = database.untidy();
  {
    Entry entry(database);
    untidy += 2 * FileState(entry.engine()).fragments;
  }
  if (untidy <= 0) return false;
  database.set_untidy(untidy - STEPS);
  defragment(database, STEPS);
  return untidy > STEPS;
}

}  // namespace

bool tick(Database& database) {
  bool more = false;
  if (database.sweeper().wanted(database.terms().now)) {
    more = database.sweeper().sweep(database, 256, 0);
  }
  return tidy_file(database) || more;
}

}  // namespace kt
