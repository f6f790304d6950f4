// Opening, closing and the operations through which everything goes.

#include "kyoto/database/database.h"

#include <algorithm>

#include "kyoto/database/cursor.h"
#include "kyoto/database/internals.h"
#include "kyoto/database/old_records.h"
#include "kyoto/storage/directory.h"
#include "kyoto/storage/gaps.h"
#include "kyoto/storage/log_check.h"
#include "kyoto/storage/log_room.h"
#include "kyoto/storage/new_file.h"
#include "kyoto/storage/void.h"
#include "kyoto/upkeep/maintenance.h"
#include "kyoto/upkeep/pages.h"

namespace kt {

namespace {

// Kyoto Tycoon's mark in the 16 opaque bytes of a file: magic, then its own options.
constexpr char OPAQUE_MAGIC = '\xbb';
constexpr char OPTION_PERSISTENT = 1 << 1;

// The two bytes of the mark, for the types that have them; `store` to write it.
template <typename Engine>
void exchange_mark(Engine* engine, bool store, bool* persistent) {
  char* opaque = engine->opaque();
  if (opaque == nullptr) return;
  if (opaque[0] == OPAQUE_MAGIC && !store) {
    *persistent = opaque[1] & OPTION_PERSISTENT;
  } else if (store && engine->count() < 1) {
    opaque[0] = OPAQUE_MAGIC;
    opaque[1] = *persistent ? OPTION_PERSISTENT : 0;
    engine->synchronize_opaque();
  }
}

void exchange_mark(kc::BasicDB* engine, bool store, bool* persistent) {
  if (auto* hash = dynamic_cast<kc::HashDB*>(engine)) {
    exchange_mark(hash, store, persistent);
  } else if (auto* tree = dynamic_cast<kc::TreeDB*>(engine)) {
    exchange_mark(tree, store, persistent);
  } else if (auto* directory = dynamic_cast<kc::DirDB*>(engine)) {
    exchange_mark(directory, store, persistent);
  } else if (auto* forest = dynamic_cast<kc::ForestDB*>(engine)) {
    exchange_mark(forest, store, persistent);
  }
}

template <typename Tree>
bool lexical(Tree* tree) {
  return tree->rcomp() == kc::LEXICALCOMP;
}

Kind kind_of(kc::BasicDB* engine) {
  Kind kind;
  if (dynamic_cast<kc::ProtoHashDB*>(engine)) {
    kind.in_memory = true;
  } else if (dynamic_cast<kc::ProtoTreeDB*>(engine)) {
    kind.in_memory = kind.lexical = true;
  } else if (dynamic_cast<kc::StashDB*>(engine)) {
    kind.in_memory = kind.one_at_a_time = true;
  } else if (dynamic_cast<kc::CacheDB*>(engine)) {
    kind.in_memory = kind.one_at_a_time = kind.rotates = true;
  } else if (auto* grass = dynamic_cast<kc::GrassDB*>(engine)) {
    kind.in_memory = kind.pages = true;
    kind.lexical = lexical(grass);
  } else if (dynamic_cast<kc::HashDB*>(engine)) {
    kind.single_file = kind.moves_records = true;
  } else if (auto* tree = dynamic_cast<kc::TreeDB*>(engine)) {
    kind.single_file = kind.pages = true;
    kind.lexical = lexical(tree);
  } else if (auto* forest = dynamic_cast<kc::ForestDB*>(engine)) {
    kind.pages = true;
    kind.lexical = lexical(forest);
  } else if (dynamic_cast<VoidEngine*>(engine)) {
    kind.in_memory = true;
  } else if (dynamic_cast<kc::TextDB*>(engine)) {
    kind.removes = false;
  }
  return kind;
}

// A type that the engine itself has not.
bool is_void(const std::string& spec) {
  std::vector<std::string> parts;
  kc::strsplit(spec, '#', &parts);
  return std::find(parts.begin(), parts.end(), "type=void") != parts.end();
}

// The object whose pages are written back; null where there is no file.
const void* tree_of(kc::BasicDB* engine) {
  if (auto* tree = dynamic_cast<kc::TreeDB*>(engine)) return tree;
  return dynamic_cast<kc::ForestDB*>(engine);
}

constexpr int64_t DIRECTORY_SLACK = 64 << 10;  // what the database writes about itself at the end

int64_t mapped_size(kc::PolyDB& engine) {
  std::map<std::string, std::string> status;
  return engine.status(&status) ? kc::atoi(status["msiz"].c_str()) : 0;
}

// What comes to the device is to be whole there: of a write that is no transaction, a part may.
OpenOptions completed(OpenOptions options) {
  options.auto_transaction |= options.auto_synchronize;
  return options;
}

}  // namespace

Database::Database(const std::string& spec, const OpenOptions& options, kc::BasicDB::Logger* logger)
    : spec_(spec), options_(completed(options)), logger_(logger), engine_(new kc::PolyDB) {}

Database::~Database() { close(); }

Error Database::open() {
  read_spec();
  std::shared_ptr<File> before = mend_log();
  if (!before && !options_.no_lock && !options_.no_repair && lacks_room_for_repair(path_in(spec_))) {
    return Error(Error::SYSTEM, "it was not closed, and there is no room to put it right beside it");
  }
  if (!options_.read_only) make_file(spec_, options_.auto_synchronize);
  std::unique_ptr<kc::PolyDB> engine;
  Error error = open_engine(spec_, &engine);
  if (failed(error)) return error;
  engine_ = std::move(engine);
  path_ = engine_->path();
  kind_ = kind_of(engine_->reveal_inner_db());
  load_persistence();
  adopt_engine(std::move(before));
  if (!persistent_ && !options_.read_only && kind_.removes) {
    sweeper_.start(capacity_count_, capacity_size_, engine_->count() > 0);
  }
  remove_leftovers(*this);
  log_.begin();
  if (kind_.pages && !kind_.in_memory && !options_.read_only) write_back_.start();
  return succeeded();
}

// The engine applies a log without looking whether it is whole, as soon as it has the lock; so we
// must have it before. Null if there is no log.
std::shared_ptr<File> Database::mend_log() {
  if (is_void(spec_)) return nullptr;
  const std::string path = path_in(spec_);
  if (!options_.read_only) undo_clearing(path);
  if (!options_.read_only && !options_.no_lock) undo_making(path, !options_.try_lock);
  if (options_.no_lock || ::access(log_of(path).c_str(), F_OK) != 0) return nullptr;
  auto file = std::make_shared<File>(path, options_.read_only);
  if (!file->is_open() || !file->lock(options_.try_lock)) return nullptr;
  cut_torn_entry(*file, log_of(path));
  return file;
}

Error Database::open_engine(const std::string& spec, std::unique_ptr<kc::PolyDB>* engine) {
  if (!options_.read_only && lacks_room_for_new_file(spec)) {
    return Error(Error::SYSTEM, "there is no room for a new file");
  }
  auto opened = std::make_unique<kc::PolyDB>();
  if (is_void(spec)) opened->set_internal_db(new VoidEngine);
  if (logger_ != nullptr) {
    opened->tune_logger(logger_, kc::BasicDB::Logger::WARN | kc::BasicDB::Logger::ERROR);
  }
  if (!opened->open(spec, mode())) return opened->error();
  *engine = std::move(opened);
  return succeeded();
}

Error Database::close() {
  stop_matching();
  sweeper_.stop();
  write_back_.stop();
  WriteBack::Turn turn(write_back_);
  Isolation alone(gate_);
  if (!is_open()) return succeeded();
  {
    std::lock_guard<std::mutex> lock(cursors_lock_);
    close_left_cursors();
    for (Cursor* cursor : cursors_) cursor->detach();
  }
  PageStore::Attempt attempt(pages_);
  ballast_.reset();
  if (!options_.read_only) clean_rest(*this);
  const bool closed = engine_->close() && !attempt.failed();
  if (file_) file_->give_room_back();
  adopt_engine(nullptr);
  // The engine keeps no error: it has nothing to keep it in by now.
  return closed ? succeeded() : Error(Error::SYSTEM, "closing failed: records may be missing");
}

Error Database::check_open() {
  Entry entry(*this);
  return is_open() ? succeeded() : not_open();
}

uint32_t Database::mode() const {
  uint32_t mode = options_.read_only ? kc::PolyDB::OREADER : kc::PolyDB::OWRITER | kc::PolyDB::OCREATE;
  if (options_.auto_transaction) mode |= kc::PolyDB::OAUTOTRAN;
  if (options_.auto_synchronize) mode |= kc::PolyDB::OAUTOSYNC;
  if (options_.no_lock) mode |= kc::PolyDB::ONOLOCK;
  if (options_.try_lock) mode |= kc::PolyDB::OTRYLOCK;
  if (options_.no_repair) mode |= kc::PolyDB::ONOREPAIR;
  return mode;
}

// Our own tuning parameters; the engine's are its own business.
void Database::read_spec() {
  std::vector<std::string> parameters;
  kc::strsplit(spec_, '#', &parameters);
  for (size_t i = 1; i < parameters.size(); i++) {
    std::vector<std::string> fields;
    if (kc::strsplit(parameters[i], '=', &fields) < 2) continue;
    const std::string& name = fields[0];
    if (name == "ktcapcnt" || name == "ktcapcount" || name == "ktcap_count") {
      capacity_count_ = kc::atoix(fields[1].c_str());
    } else if (name == "ktcapsiz" || name == "ktcapsize" || name == "ktcap_size") {
      capacity_size_ = kc::atoix(fields[1].c_str());
    } else if (name == "ktopts" || name == "ktoptions") {
      persistent_ = fields[1].find('p') != std::string::npos;
    }
  }
}

// What a file says about itself goes before the parameter; an empty one is told.
void Database::load_persistence() {
  exchange_mark(engine_->reveal_inner_db(), false, &persistent_);
  if (!options_.read_only) store_persistence();
}

void Database::store_persistence(kc::PolyDB& engine) {
  exchange_mark(engine.reveal_inner_db(), true, &persistent_);
}

// What belongs to the present engine object; `before` has been opened before it.
void Database::adopt_engine(std::shared_ptr<File> before) {
  kc::BasicDB* engine = engine_->reveal_inner_db();
  hash_ = dynamic_cast<kc::HashDB*>(engine);
  const bool keeps_pages = !options_.auto_transaction && !options_.read_only;
  tree_ = keeps_pages ? dynamic_cast<kc::TreeDB*>(engine) : nullptr;
  forest_ = keeps_pages ? dynamic_cast<kc::ForestDB*>(engine) : nullptr;
  if (kc::HashDB* file = file_under(engine)) file->*reveal(GapUnit{}) = 0;  // see tick()
  if (auto* records = dynamic_cast<kc::DirDB*>(engine)) records->*reveal(RenamesFiles{}) = true;
  file_.reset();
  if (engine != nullptr && kind_.single_file) {
    file_ = std::make_shared<File>(path_, options_.read_only, std::move(before));
    file_->set_mapped(mapped_size(*engine_));
  }
  directory_.reset();
  if (engine != nullptr && !kind_.in_memory && !kind_.single_file) {
    auto file = std::make_shared<File>(path_, true);
    if (file->is_directory()) directory_ = std::move(file);
  }
  ballast_.reset();
  if (directory_ && !options_.read_only) {
    ballast_ = std::make_unique<Ballast>(path_);
    ballast_->holds(DIRECTORY_SLACK);
  }
  pages_.serve(tree_of(engine), directory_ ? directory_ : file_);
}

int64_t Database::end_of_records() const { return hash_->*reveal(FileEnd{}); }

// All cached pages, as if all were changed, and what the file system adds to each.
int64_t Database::unwritten() const {
  if (forest_ != nullptr) return 2 * (forest_->*reveal(CacheUse<kc::ForestDB>{}));
  const int64_t bytes = tree_->*reveal(CacheUse<kc::TreeDB>{});
  return bytes + bytes / 4;
}

bool Database::has_room_for_pages(size_t more) const {
  const int64_t bytes = unwritten() + static_cast<int64_t>(more);
  if (forest_ != nullptr) return !ballast_ || ballast_->holds(bytes + DIRECTORY_SLACK);
  return file_->has_room(tree_->*reveal(PagesFile{}).*reveal(FileEnd{}), bytes);
}

// Every page in memory counts as one that will be written. `exactly`: those that the records go to are
// looked up before, and some room is left for pages that are divided; else it is found too little half-way.
bool Database::has_room_for_all(const std::vector<std::string>& keys, size_t size, bool exactly) {
  if (!exactly || !has_room(size)) return has_room(size);
  for (const std::string& key : keys) engine_->check(key);
  return has_room(2 * size);
}

bool Database::make_room() {
  constexpr int64_t WORTH = 64 << 10;
  {
    Entry entry(*this);
    if (!keeps_pages() || in_transaction_ || unwritten() < least_unwritten_ + WORTH) return false;
  }
  if (failed(clean_pages(*this, Pace::BRISK))) return false;
  drop_clean_pages(*this);
  Entry entry(*this);
  if (!keeps_pages()) return false;
  least_unwritten_ = unwritten();
  if (ballast_) ballast_->shrink(unwritten() + DIRECTORY_SLACK);
  return true;
}

Error Database::accept(Bytes key, RecordVisitor& visitor, bool writable) {
  Error error = try_accept(key, visitor, writable);
  if (visitor.failure() != NO_ROOM || !make_room()) return error;
  return try_accept(key, visitor, writable);
}

Error Database::try_accept(Bytes key, RecordVisitor& visitor, bool writable) {
  Error error = writable ? journal_.admit() : succeeded();
  if (failed(error)) return error;
  {
    Entry entry(*this);
    if (writable && refuses_writes()) return no_room();
    visitor.begin(terms());
    if (!entry.engine().accept(key.data(), key.size(), &visitor, writable)) {
      error = entry.engine().error();
      forget_room();
      if (visitor.told()) journal_.correct(entry.engine(), key);
    }
  }
  if (failed(error)) return error;
  if (visitor.failure() != nullptr) return failure_of(visitor);
  if (!writable) return succeeded();
  if (refuses_writes()) return no_room();
  after_writes(1);
  return journal_.settle();
}

Error Database::accept_bulk(const std::vector<std::string>& keys, RecordVisitor& visitor,
                            bool writable, size_t size) {
  Error error = writable ? journal_.admit() : succeeded();
  if (failed(error)) return error;
  bool begun = false;
  error = try_bulk(keys, visitor, writable, size, &begun);
  if (!begun && make_room()) error = try_bulk(keys, visitor, writable, size, &begun);
  if (failed(error)) return error;
  if (visitor.failure() != nullptr) return failure_of(visitor);
  if (!writable) return succeeded();
  if (refuses_writes()) return no_room();
  after_writes(static_cast<int64_t>(keys.size()));
  return journal_.settle();
}

// Whether pages of a tree may soon find no place.
bool Database::is_nearly_full() {
  Entry entry(*this);
  return keeps_pages() && !log_.has_room();
}

// Not begun if there is no room. On a disk that is nearly full nobody comes in between.
Error Database::try_bulk(const std::vector<std::string>& keys, RecordVisitor& visitor, bool writable,
                         size_t size, bool* begun) {
  const bool whole = writable && options_.auto_transaction && !kind_.in_memory && kind_.removes;
  const bool logged_whole = writable && journal_.connected() && (kind_.pages || kind_.in_memory);
  const bool exactly = writable && is_nearly_full();
  if (whole || logged_whole || exactly) {
    Isolation alone(gate_);
    *begun = has_room_for_all(keys, size, exactly);
    if (!*begun) return no_room();
    Journal::Together together(journal_);
    const bool commits = whole && !in_transaction_;
    const Error error = commits ? commit_all(keys, visitor) : visit_all(keys, visitor, writable);
    together.end();
    return error;
  }
  Entry entry(*this);
  *begun = !writable || has_room_for_all(keys, size, false);
  return *begun ? visit_all(keys, visitor, writable) : no_room();
}

Error Database::visit_all(const std::vector<std::string>& keys, RecordVisitor& visitor,
                          bool writable) {
  if (writable && refuses_writes()) return no_room();
  visitor.begin(terms());
  if (engine_->accept_bulk(keys, &visitor, writable)) return succeeded();
  Error error = engine_->error();
  forget_room();
  correct_all(keys, visitor);
  return error;
}

// The engine has cut the file off where it ended before, and with it the room that we had made.
void Database::forget_room() {
  if (file_) file_->forget_room();
}

void Database::note_undone() {
  epoch_++;
  forget_room();
}

bool Database::begins_transaction(bool hard) {
  return begins(file_under(engine_->reveal_inner_db()), [&] { return engine_->begin_transaction_try(hard); });
}

// For the engine, each record would be a transaction; a kill could leave some of them. Alone inside:
// what others change at the same time would be undone with it.
Error Database::commit_all(const std::vector<std::string>& keys, RecordVisitor& visitor) {
  if (!begins_transaction(options_.auto_synchronize)) return engine_->error();
  Error error = visit_all(keys, visitor, true);
  const bool whole = !failed(error) && visitor.failure() == nullptr;
  const bool ended = engine_->end_transaction(whole);
  if (whole && ended) return succeeded();
  if (!failed(error) && !ended) error = engine_->error();
  note_undone();
  correct_all(keys, visitor);
  return error;
}

// Tells the update log what there is after a failure.
void Database::correct_all(const std::vector<std::string>& keys, const RecordVisitor& visitor) {
  for (const std::string& key : keys) {
    if (visitor.told()) journal_.correct(*engine_, key);
  }
}

void Database::after_writes(int64_t writes) {
  constexpr int64_t MOST = 128;
  if (sweeper_.wanted(terms().now)) sweeper_.sweep(*this, std::min(2 * writes, MOST), writes);
}

Error Database::count(int64_t* count) {
  Entry entry(*this);
  *count = entry.engine().count();
  return *count < 0 ? entry.engine().error() : succeeded();
}

Error Database::size(int64_t* size) {
  Entry entry(*this);
  *size = entry.engine().size();
  return *size < 0 ? entry.engine().error() : succeeded();
}

Error Database::status(std::map<std::string, std::string>* status) {
  Entry entry(*this);
  if (!entry.engine().status(status)) return entry.engine().error();
  (*status)["ktopts"] = std::to_string(persistent_ ? OPTION_PERSISTENT : 0);
  (*status)["ktcapcnt"] = std::to_string(capacity_count_);
  (*status)["ktcapsiz"] = std::to_string(capacity_size_);
  return succeeded();
}

// With an update log nobody may be in the middle of a change when a transaction ends: it must be
// clear to which side it belongs. Nor with the log of a tree, which begins when the other one ends.
class Database::Border {
 public:
  explicit Border(Database& database) {
    if (database.journal_.connected() || database.kind_.pages) {
      alone_.emplace(database.gate_);
    } else {
      entry_.emplace(database);
    }
  }

 private:
  std::optional<Isolation> alone_;
  std::optional<Entry> entry_;
};

Error Database::begin_transaction(bool hard, double timeout) {
  Error error = journal_.admit();
  if (!failed(error)) error = clean_pages(*this);  // or the engine would do it all at once, locked
  if (failed(error)) return error;
  std::unique_lock<std::mutex> lock(transaction_lock_);
  auto ended = [this] { return !in_transaction_; };
  if (timeout < 0) {
    transaction_ended_.wait(lock, ended);
  } else if (!transaction_ended_.wait_for(lock, std::chrono::duration<double>(timeout), ended)) {
    return Error(Error::LOGIC, "competition avoided");
  }
  WriteBack::Turn turn(write_back_);
  Isolation alone(gate_);
  if (!is_open()) return not_open();
  clean_rest(*this);
  if (!begins_transaction(hard)) {
    log_.begin();
    return engine_->error();
  }
  journal_.hold();
  in_transaction_ = true;
  return succeeded();
}

Error Database::end_transaction(bool commit) {
  if (!commit) drop_clean_pages(*this);  // likewise
  Error error = succeeded();
  {
    std::lock_guard<std::mutex> lock(transaction_lock_);
    Border border(*this);
    const bool ended = engine_->end_transaction(commit);
    if (!ended) error = engine_->error();
    if (!commit || !ended) note_undone();
    journal_.release(commit);
    in_transaction_ = false;
    log_.begin();
    transaction_ended_.notify_all();
  }
  return failed(error) ? error : journal_.settle();
}

std::unique_lock<std::mutex> Database::keep_transactions_away() {
  constexpr std::chrono::milliseconds SOON{50};
  std::unique_lock<std::mutex> lock(transaction_lock_);
  if (!transaction_ended_.wait_for(lock, SOON, [this] { return !in_transaction_; })) lock.unlock();
  return lock;
}

void Database::between_transactions(const std::function<void()>& action) {
  std::unique_lock<std::mutex> lock(transaction_lock_);
  transaction_ended_.wait(lock, [this] { return !in_transaction_; });
  Isolation alone(gate_);
  action();
}

void Database::replace_engine(std::unique_ptr<kc::PolyDB>* engine) {
  std::lock_guard<std::mutex> lock(cursors_lock_);
  close_left_cursors();
  for (Cursor* cursor : cursors_) cursor->detach();
  engine_.swap(*engine);
  for (Cursor* cursor : cursors_) cursor->attach();
  adopt_engine(nullptr);
  switch_rotation();
  note_cleared();
}

void Database::close_left_cursors() {
  for (EngineCursor& cursor : left_cursors_) cursor.close();
  left_cursors_.clear();
}

void Database::hold_rotation(bool held) {
  Entry entry(*this);
  rotation_holds_ += held ? 1 : -1;
  switch_rotation();
}

void Database::switch_rotation() {
  auto* cache = dynamic_cast<kc::CacheDB*>(engine_->reveal_inner_db());
  if (cache != nullptr) cache->switch_rotation(rotation_holds_ == 0);
}

void Database::watch(KeyWatch* watch) {
  std::lock_guard<std::mutex> lock(watches_lock_);
  watches_.push_back(watch);
  watching_++;
}

void Database::unwatch(KeyWatch* watch) {
  std::lock_guard<std::mutex> lock(watches_lock_);
  watches_.remove(watch);
  watching_--;
}

void Database::keep_old(Bytes key, const Bytes* before) { old_records_->note(key, before); }

void Database::tell_watches(Bytes key) {
  std::lock_guard<std::mutex> lock(watches_lock_);
  for (KeyWatch* watch : watches_) watch->note(key);
}

}  // namespace kt
