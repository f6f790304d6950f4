#include "tokyo/database/database.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cmath>
#include <cstring>
#include <optional>
#include <thread>

#include "tokyo/storage/point_copy.h"

namespace kt::tokyo {

namespace {

// Names of the stores that make up a `-mul` database, in a directory of its name; the original's.
constexpr const char* STORE_PREFIX = "adbmul-";
constexpr int MAX_STORES = 127;

constexpr std::chrono::milliseconds POINTS_AFTER{300};

std::string store_name(const std::string& directory, int number, const std::string& suffix) {
  char digits[16];
  std::snprintf(digits, sizeof digits, "%03d", number);
  return directory + "/" + STORE_PREFIX + digits + suffix;
}

std::vector<std::string> existing_stores(const std::string& directory, const std::string& suffix) {
  const std::string pattern = directory + "/" + STORE_PREFIX + "*" + suffix;
  const ListPointer found(tcglobpat(pattern.c_str()));
  std::vector<std::string> names;
  for (int i = 0; i < tclistnum(found.get()); i++) {
    names.emplace_back(element(found.get(), i));
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

Database::Database(const std::string& name, int stores, Keeping keeping)
    : durable_(keeping == Keeping::DURABLE),
      commits_(keeping == Keeping::COMMIT || keeping == Keeping::DEVICE) {
  tell_of_reading();
  if (stores > 0) {
    open_many(name, std::min(stores, MAX_STORES));
  } else {
    stores_.push_back(std::make_unique<Store>(name, keeping));
    if (const char* path = stores_[0]->path()) path_ = path;
  }
  if (commits_) {
    journal.log_every_change();  // there are none that would not be kept
    journal.only_while([store = stores_[0].get()] { return store->safe(); });
  }
  if (stores_[0]->has_points()) points_.start(POINTS_AFTER, [this] { make_points(); });
}

Database::Database(const std::string& name, const std::string& library)
    : durable_(false), commits_(false) {
  tell_of_reading();
  stores_.push_back(std::make_unique<Store>(name, std::make_unique<Plugin>(library)));
  if (const char* path = stores_[0]->path()) path_ = path;
}

void Database::tell_of_reading() {
  gate.on_reading = [this](bool reading) {
    for (const auto& store : stores_) {
      if (reading) store->rest();
      store->share(reading);
      if (!reading) store->go_on();
    }
  };
}

bool Database::connect(ChangeLog* log) {
  journal.connect(log);
  if (!durable_ || in_memory()) return true;
  Store* const store = stores_[0].get();
  journal.only_while([store] { return store->safe(); });
  Gate::Slice slice(gate);
  return noted(store->keep([this](Mark* mark) { return journal.write(mark); }), *store);
}

// So that a kill does not take more than the last of what was written.
void Database::make_points() try {
  for (const auto& store : stores_) {
    if (!store->wants_point()) continue;
    Gate::Slice slice(gate);
    noted(store->make_point(), *store);
  }
} catch (const Gate::Closed&) {  // and all points were made
}

// Where each change is to be kept by itself: makes a point, if nobody has since. Others who wait for theirs
// have this one, too.
bool Database::commit() {
  Store& store = *stores_[0];
  if (!commits_ || LogBatch::open() || !store.wants_point()) return true;
  Gate::Slice slice(gate);
  return !store.wants_point() || noted(store.make_point(), store);
}

void Database::open_many(const std::string& name, int stores) {
  const size_t mark = std::min(name.find('#'), name.size());
  const std::string parameters = name.substr(mark);
  path_ = name.substr(0, mark);
  const size_t dot = path_.rfind('.');
  if (dot == std::string::npos) throw OpenError("many databases in one must be files");
  const std::string suffix = path_.substr(dot);
  std::vector<std::string> names = existing_stores(path_, suffix);
  if (names.empty()) {
    if (mkdir(path_.c_str(), 0755) != 0 && errno != EEXIST) throw OpenError(std::strerror(errno));
    for (int i = 1; i <= stores; i++) names.push_back(store_name(path_, i, suffix));
  }
  for (const std::string& one : names) stores_.push_back(std::make_unique<Store>(one + parameters));
}

void Database::abandon() const {
  for (const std::unique_ptr<Store>& store : stores_) store->abandon();
}

bool Database::close() try {
  stop_matching();
  points_.stop();
  Gate::Writing writing(gate);
  bool done = true;
  for (const auto& store : stores_) done = store->close() && done;
  gate.close();
  return done;
} catch (const Gate::Closed&) {
  return true;
}

size_t Database::index(Bytes key) const {
  if (stores_.size() == 1) return 0;
  uint32_t hash = 20090810;
  for (size_t i = key.size(); i > 0; i--) {
    hash = (hash * 29) ^ static_cast<unsigned char>(key[i - 1]);
  }
  return hash % stores_.size();
}

Store& Database::to_write(Bytes key) {
  for (Scan* scan : scans_) scan->written(key);
  return store(key);
}

bool Database::noted(bool done, Store& store) {
  if (!done) error_ = store.error();
  return done;
}

std::vector<Store*> Database::all() const {
  std::vector<Store*> stores;
  for (const auto& store : stores_) stores.push_back(store.get());
  return stores;
}

bool Database::refused() {
  error_ = TCEWRITE;
  return false;
}

bool Database::put(Bytes key, Bytes value) {
  if (!journal.admits()) return refused();
  Store& store = to_write(key);
  note_size(value.size());
  return journal.put(0x10, key, value, noted(store.put(key, value), store));
}

bool Database::putkeep(Bytes key, Bytes value) {
  if (!journal.admits()) return refused();
  Store& store = to_write(key);
  note_size(value.size());
  return journal.put(0x11, key, value, noted(store.putkeep(key, value), store));
}

bool Database::putcat(Bytes key, Bytes value) {
  if (!journal.admits()) return refused();
  Store& store = to_write(key);
  note_size(value.size());
  return journal.put(0x12, key, value, noted(store.putcat(key, value), store));
}

bool Database::putshl(Bytes key, Bytes value, int width) {
  if (!journal.admits()) return refused();
  Store& store = to_write(key);
  return journal.putshl(key, value, width, noted(store.putshl(key, value, width), store));
}

bool Database::out(Bytes key) {
  if (!journal.admits()) return refused();
  Store& store = to_write(key);
  return journal.out(key, noted(store.out(key), store));
}

Block Database::get(Bytes key) {
  Store& store = this->store(key);
  Block value = store.get(key);
  if (noted(static_cast<bool>(value), store)) note_size(value.bytes().size());
  return value;
}

int Database::get_into(Bytes key, char* at, size_t room) {
  Store& store = this->store(key);
  const int size = store.get_into(key, at, room);
  noted(size >= 0, store);
  return size;
}

int Database::vsiz(Bytes key) {
  Store& store = this->store(key);
  const int size = store.vsiz(key);
  noted(size >= 0, store);
  return size;
}

int Database::addint(Bytes key, int number) {
  if (!journal.admits()) {
    refused();
    return INT_MIN;
  }
  Store& store = to_write(key);
  const bool changes = number != 0 || store.vsiz(key) < 0;
  const int sum = store.addint(key, number);
  const bool done = noted(sum != INT_MIN, store);
  if (changes) journal.addint(key, number, done);
  return sum;
}

double Database::adddouble(Bytes key, double number) {
  if (!journal.admits()) {
    refused();
    return std::nan("");
  }
  Store& store = to_write(key);
  const bool changes = number != 0 || store.vsiz(key) < 0;
  const double sum = store.adddouble(key, number);
  const bool done = noted(!std::isnan(sum), store);
  if (changes) journal.adddouble(key, number, done);
  return sum;
}

bool Database::iterinit() {
  iterator_ = 0;
  for (const auto& store : stores_) {
    if (!noted(store->iterinit(), *store)) return false;
  }
  return true;
}

Block Database::iternext() {
  for (; iterator_ < stores_.size(); iterator_++) {
    Block key = stores_[iterator_]->iternext();
    if (key) return key;
  }
  noted(false, *stores_.back());
  return Block();
}

uint64_t Database::count() const {
  uint64_t count = 0;
  for (const auto& store : stores_) count += store->count();
  return count;
}

uint64_t Database::size() const {
  uint64_t size = 0;
  for (const auto& store : stores_) size += store->size();
  return size;
}

bool Database::put_listed(Bytes key, Bytes value) {
  Store& store = to_write(key);
  note_size(value.size());
  return noted(store.put_listed(key, value), store);
}

bool Database::out_listed(Bytes key) {
  Store& store = to_write(key);
  return noted(store.out_listed(key), store);
}

bool Database::get_listed(Bytes key, List* result) {
  Store& store = this->store(key);
  std::vector<Block> values;
  if (!noted(store.get_listed(key, &values), store)) return false;
  size_t total = 0;
  for (const Block& value : values) {
    note_size(total += value.bytes().size());
    result->add(key);
    result->add(value.bytes());
  }
  return !result->too_long();
}

bool Database::sync_all() {
  std::vector<int> files;
  {
    Gate::Turn turn(gate);
    for (const auto& store : stores_) {
      for (int file : store->files()) files.push_back(file);
    }
  }
  bool done = true;
  for (int file : files) done = fsync(file) == 0 && done;
  if (!done) error_ = TCESYNC;
  for (const auto& store : stores_) {
    Gate::Slice slice(gate);
    done = noted(store->sync(), *store) && done;
  }
  return done;
}

bool Database::optimize_all(const std::string& parameters) {
  bool done = true;
  for (const auto& store : stores_) {
    Gate::Slice slice(gate);
    done = noted(store->optimize(parameters.c_str()), *store) && done;
  }
  return done;
}

// All stores at once where there is a log: what is written meanwhile must come after it or before.
bool Database::vanish_all(const std::function<bool(bool)>& tell) {
  std::vector<std::unique_ptr<Store>> old(stores_.size());  // deleted outside: that takes long
  std::optional<Gate::Slice> all;
  if (journal.connected()) all.emplace(gate);
  bool done = true;
  for (size_t i = 0; i < stores_.size(); i++) {
    std::optional<Gate::Slice> one;
    if (!all) one.emplace(gate);
    for (Scan* scan : scans_) scan->vanished();
    done = noted(stores_[i]->vanish(&old[i]), *stores_[i]) && done;
  }
  return all ? tell(done) : done;
}

bool Database::sync() { return journal.plain(0x70, sync_all()); }

bool Database::optimize(const std::string& parameters) {
  return journal.optimize(parameters, optimize_all(parameters));
}

bool Database::vanish() {
  if (!journal.admits()) return refused();
  return vanish_all([this](bool done) { return journal.plain(0x72, done); });
}

bool Database::copy(const std::string& path) {
  if (in_memory() && path.compare(0, 1, "@") != 0) return copy_memory(path);
  Gate::Reading reading(gate);
  if (stores_.size() == 1) return noted(stores_[0]->copy(path.c_str()), *stores_[0]);
  const bool command = path.compare(0, 1, "@") == 0;
  if (!command && mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) return false;
  const std::string suffix = path_.substr(path_.rfind('.'));
  bool done = true;
  for (size_t i = 0; i < stores_.size(); i++) {
    const std::string one = command ? path : store_name(path, static_cast<int>(i) + 1, suffix);
    done = noted(stores_[i]->copy(one.c_str()), *stores_[i]) && done;
  }
  return done;
}

bool Database::copy_memory(const std::string& path) try {
  Store target(path);
  bool done = true;
  const auto judge = [&](Bytes key, Bytes value) {
    done = target.put(key, value) && done;
    return Scan::Verdict::PASS;
  };
  List nothing;
  Scan scan(all(), judge, nullptr, true, -1, &nothing, Scan::Judging::WHOLE);
  run(&scan);
  return target.close() && done;
} catch (const OpenError&) {
  return false;
}

uint64_t Database::copy_point(const std::string& path) {
  Store& store = *stores_[0];
  uint64_t stamp;
  {
    Gate::Slice slice(gate);
    if (!noted(store.begin_copy(), store)) throw std::runtime_error(error_text());
    stamp = store.point();
  }
  const std::unique_ptr<Store, void (*)(Store*)> end(&store, [](Store* its) { its->end_copy(); });
  PointCopy copy(path);
  for (;;) {
    {
      Gate::Slice slice(gate);
      const TCHDB* const file = store.copied();
      if (file == nullptr) return 0;
      if (!copy.read(file)) break;
    }
    copy.write();
  }
  copy.finish();
  return stamp;
}

const char* Database::type_name() const {
  switch (stores_[0]->type()) {
    case Store::Type::MEMORY_HASH: return "on-memory hash";
    case Store::Type::MEMORY_TREE: return "on-memory tree";
    case Store::Type::HASH: return "hash";
    case Store::Type::TREE: return "B+ tree";
    case Store::Type::FIXED: return "fixed-length";
    case Store::Type::PLUGIN: return "skeleton";
    default: return "table";
  }
}

std::string Database::error_text() const {
  const int error = error_;
  return std::to_string(error) + ": " + tcerrmsg(error);
}

bool Database::error_is_harmless() const {
  switch (error_) {
    case TCESUCCESS:
    case TCEINVALID:
    case TCEKEEP:
    case TCENOREC:
    case TCEMISC: return true;
    default: return false;
  }
}

bool Database::rebuilt() const {
  return std::any_of(stores_.begin(), stores_.end(),
                     [](const auto& store) { return store->rebuilt(); });
}

std::vector<std::string> Database::kept() const {
  std::vector<std::string> files;
  for (const auto& store : stores_) {
    if (!store->kept().empty()) files.push_back(store->kept());
  }
  return files;
}

bool Database::fatal() const {
  return std::any_of(stores_.begin(), stores_.end(),
                     [](const auto& store) { return store->fatal(); });
}

// While it exists, writers tell a scan what they write.
class Database::Announcement {
 public:
  Announcement(Database* database, Scan* scan) : database_(*database), scan_(scan) {
    Gate::Slice slice(database_.gate);
    database_.scans_.push_back(scan_);
  }
  ~Announcement() {
    Gate::Ending ending(database_.gate);
    auto& scans = database_.scans_;
    scans.erase(std::find(scans.begin(), scans.end(), scan_));
  }
  Announcement(const Announcement&) = delete;
  Announcement& operator=(const Announcement&) = delete;

 private:
  Database& database_;
  Scan* const scan_;
};

void Database::run(Scan* scan) {
  {
    Announcement announcement(this, scan);
    for (bool more = true; more;) {
      {
        Gate::Slice slice(gate);
        more = scan->slice();
      }
      more = scan->outside() && more;
    }
  }
  scan->settle(gate, [this](Bytes key) -> Store& { return store(key); });
}

}  // namespace kt::tokyo
