// Synchronizing and vacuuming without keeping the engine's locks.
//
// kc::PlantDB::synchronize writes the changed pages under a shared lock and then throws all cached
// pages away under an exclusive one, which takes a tenth of a second for a full cache. So pages are
// cleaned by a synchronize() that is stopped in between, and what is left is committed by an empty
// transaction. Data on its way to the device is pushed there before, without any lock.

#include "kyoto_maintenance.h"

#include <unistd.h>

#include <cstring>

namespace kt {

namespace {

constexpr int64_t STEPS_AT_ONCE = 256;

// Stops PlantDB::synchronize when the pages are clean.
class WhenClean final : public kc::BasicDB::ProgressChecker {
 public:
  bool check(const char*, const char* message, int64_t, int64_t) override {
    return std::strncmp(message, "flushing", 8) != 0;
  }
};

// Both do nothing but succeed where there is nothing to defragment.
bool defragment_engine(kc::BasicDB* engine, int64_t steps) {
  if (auto* hash = dynamic_cast<kc::HashDB*>(engine)) return hash->defrag(steps);
  if (auto* tree = dynamic_cast<kc::TreeDB*>(engine)) return tree->defrag(steps);
  return true;
}

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

// Closes the gaps from wherever the engine is in the file, once round. The engine does not say when
// it is round, but the file shrinks then, or has no gaps and all blocks have been looked at.
Error close_gaps(Database& database, bool* shrank) {
  Turns turns(database.gate());
  int64_t most = database.engine().size() / 16;  // blocks are not smaller
  for (int64_t done = 0; done < most; done += STEPS_AT_ONCE) {
    kc::PolyDB& engine = database.engine();
    int64_t size = engine.size();
    if (!defragment_engine(engine.reveal_inner_db(), STEPS_AT_ONCE)) return engine.error();
    *shrank = engine.size() < size;
    if (*shrank) break;
    FileState state(engine);
    if (done >= state.blocks && !state.has_gaps) break;
    turns.pause();
    turns.resume();
  }
  return succeeded();
}

// Closes some of the gaps that were made since the last time.
bool tidy_file(Database& database) {
  constexpr int64_t STEPS = 32;
  if (!database.kind().single_file || database.options().read_only) return false;
  Entry entry(database);
  int64_t untidy = database.untidy() + 2 * FileState(entry.engine()).fragments;
  if (untidy <= 0) return false;
  database.set_untidy(untidy - STEPS);
  defragment_engine(entry.engine().reveal_inner_db(), STEPS);
  return untidy > STEPS;
}

Error commit_empty_transaction(Database& database, bool hard) {
  Error error = database.begin_transaction(hard, 0);
  return failed(error) ? error : database.end_transaction(true);
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

void clean_pages(Database& database) {
  Entry entry(database);
  WhenClean when_clean;
  entry.engine().synchronize(false, nullptr, &when_clean);
}

Error synchronize(Database& database, bool hard, kc::BasicDB::FileProcessor* processor) {
  const Kind& kind = database.kind();
  if (kind.in_memory) return processor ? run_processor(database, *processor) : succeeded();
  bool writes = !database.options().read_only;
  if (kind.pages && writes) clean_pages(database);
  if (hard && writes && database.file_descriptor() >= 0) ::fsync(database.file_descriptor());
  if (kind.pages && kind.single_file && writes && processor == nullptr) {
    Error error = commit_empty_transaction(database, hard);
    if (error.code() != Error::LOGIC) return error;  // else one is running
  }
  Entry entry(database);
  if (entry.engine().synchronize(hard, processor)) return succeeded();
  return entry.engine().error();
}

Error defragment(Database& database, int64_t steps) {
  Entry entry(database);
  if (defragment_engine(entry.engine().reveal_inner_db(), steps)) return succeeded();
  return entry.engine().error();
}

Error vacuum(Database& database, int64_t steps) {
  if (steps > 1) {
    database.sweeper().sweep(database, steps);
  } else {
    database.sweeper().sweep_all(database);
  }
  if (!database.kind().single_file) return succeeded();
  if (steps > 0) return defragment(database, steps);
  if (database.kind().pages) clean_pages(database);
  bool shrank = false;
  Error error = close_gaps(database, &shrank);
  if (!failed(error) && shrank) error = close_gaps(database, &shrank);  // now from the beginning
  return error;
}

bool tick(Database& database) {
  bool more = false;
  if (database.sweeper().wanted(database.terms().now)) {
    more = database.sweeper().sweep(database, STEPS_AT_ONCE);
  }
  return tidy_file(database) || more;
}

}  // namespace kt
