#include "tokyo/database/store.h"

#include <fcntl.h>
#include <strings.h>
#include <sys/stat.h>
#include <tcbdb.h>
#include <tcfdb.h>
#include <tchdb.h>
#include <tctdb.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "io/allocate.h"
#include "io/pattern.h"
#include "tokyo/database/cursor.h"
#include "tokyo/database/rescue.h"
#include "tokyo/database/search.h"

namespace kt::tokyo {

namespace {

Store::Type type_of(int mode) {
  switch (mode) {
    case ADBOMDB: return Store::Type::MEMORY_HASH;
    case ADBONDB: return Store::Type::MEMORY_TREE;
    case ADBOHDB: return Store::Type::HASH;
    case ADBOBDB: return Store::Type::TREE;
    case ADBOFDB: return Store::Type::FIXED;
    default: return Store::Type::TABLE;
  }
}

constexpr const char* NO_ROOM_FOR_LOG =
    "to keep what is acknowledged, it needs 256 MiB of the disk for what is overwritten, and a "
    "directory that can be written";

// Whether a function stores a row, given as columns.
bool is_put(Bytes name) {
  return name == "put" || name == "putkeep" || name == "putcat";
}

bool is_search(Bytes name) {
  return name == "search" || name == "metasearch";
}

// What `putshl` appends, and how much of the whole it keeps.
struct Shift {
  const Store* store;
  Bytes key, value;
  int width;
};

// The mode in the name, or the one without.
std::string mode_of(const std::string& name) {
  std::string mode = "wc";
  for (size_t mark = name.find('#'); mark != std::string::npos; mark = name.find('#', mark + 1)) {
    if (strncasecmp(name.c_str() + mark, "#mode=", 6) != 0) continue;
    mode = name.substr(mark + 6, name.find('#', mark + 1) - mark - 6);
  }
  return mode;
}

// Whether the library makes the file if it is not there.
bool may_make(const std::string& name) {
  const std::string mode = mode_of(name);
  return mode.find_first_of("wW") != std::string::npos && mode.find_first_of("cC") != std::string::npos &&
         mode.find_first_of("eE") == std::string::npos;
}

// The name with a mode in which a locked file is not waited for: who waits in the library cannot be
// told to stop. Empty if the name's own mode says so already, or that nothing is to be locked.
std::string impatient(const std::string& name) {
  const std::string mode = mode_of(name);
  if (mode.find_first_of("eEfF") != std::string::npos) return "";
  return name + "#mode=" + mode + "f";
}

// Why the library has not opened a file; it leaves nothing but what its last system call left.
const char* reason_not_opened(const std::string& path, int left) {
  const bool there = access(path.c_str(), F_OK) == 0;
  if (left == EAGAIN) return LOCKED;
  if (left == 0 && !there) return "not the name of a database of any type";
  if (left == 0 || (left == ENOENT && there) || left == EINVAL) {
    return "not a database of this type, or broken";
  }
  return std::strerror(left);
}

// Whether records can be changed.
bool may_write(const std::string& name) {
  return mode_of(name).find_first_of("wW") != std::string::npos;
}

// A file that nobody else in this process has open, and nobody opens meanwhile: to close a descriptor
// of it would give up the lock that keeps other processes out.
class Unopened {
 public:
  explicit Unopened(const std::string& path) : path_(tcrealpath(path.c_str())) {
    if (path_ != nullptr && !tcpathlock(path_.get())) path_.reset();
  }
  ~Unopened() {
    if (path_ != nullptr) tcpathunlock(path_.get());
  }
  Unopened(const Unopened&) = delete;
  Unopened& operator=(const Unopened&) = delete;
  explicit operator bool() const { return path_ != nullptr; }

 private:
  struct Free {
    void operator()(char* path) const { std::free(path); }
  };
  std::unique_ptr<char, Free> path_;
};

// A file that may be new. What is left of one that could not be made is no database.
class Creation {
 public:
  explicit Creation(const std::string& path) : path_(path) {
    struct stat status;
    there_ = stat(path.c_str(), &status) == 0;
    filled_ = there_ && status.st_size > 0;
  }
  void undo() const {
    if (!there_) unlink(path_.c_str());
    if (there_ && !filled_ && truncate(path_.c_str(), 0) != 0) return;  // it is told as it is
  }

 private:
  const std::string path_;
  bool there_, filled_;
};

}  // namespace

thread_local bool hurries = false;

const char* const LOCKED = "another process has locked the file";

ListPointer to_list(const Arguments& arguments) {
  ListPointer list(tclistnew2(static_cast<int>(arguments.size()) + 1));
  for (Bytes argument : arguments) tclistpush(list.get(), argument.data(), length(argument));
  return list;
}

Bytes element(const TCLIST* list, int index) {
  int size;
  const void* data = tclistval(list, index, &size);
  return Bytes(static_cast<const char*>(data), static_cast<size_t>(size));
}

Store::Store(const std::string& name, Keeping keeping)
    : adb_(tcadbnew()),
      durable_(keeping == Keeping::DURABLE),
      commits_(keeping == Keeping::COMMIT || keeping == Keeping::DEVICE),
      device_(keeping == Keeping::DEVICE) {
  const std::string path = name.substr(0, name.find('#'));
  bool torn = false, logged = false, replacing = false;
  if (const Unopened file(path); file) {
    replacing = may_make(name) && bring_back(path);
    if (may_make(name)) undo_making(path);
    torn = was_left_open(path);
    if (torn) logged = mend_log(path);
    if (!torn && may_write(name)) forget_log(path);
  }
  try {
    open(name);
    check_mark(keeping);
    const bool whole = logged && type_ != Type::FIXED && log_was_applied(path);
    rebuilt_ = torn && (whole ? type_ != Type::TABLE || renew_indices() : rebuild(name));
    if (replacing && !rebuilt_ && type_ == Type::TABLE) rebuilt_ = renew_indices();
    adopt();
    forget_kept();
    if ((durable_ || commits_) && !safe()) throw OpenError(NO_ROOM_FOR_LOG);
    share(false);
  } catch (...) {
    tcadbdel(adb_);
    throw;
  }
}

Store::Store(const std::string& name, std::unique_ptr<Plugin> library)
    : plugin_(std::move(library)), adb_(tcadbnew()), type_(Type::PLUGIN) {
  try {
    plugin_->serve(adb_);
    if (!tcadbopen(adb_, name.c_str())) throw OpenError("the plug-in does not open it");
  } catch (...) {
    tcadbdel(adb_);
    throw;
  }
}

void Store::open(const std::string& name) {
  const std::string own = impatient(name);
  const std::string path = name.substr(0, name.find('#'));
  if (const Unopened file(path); file && !fill_holes(path)) throw OpenError(std::strerror(ENOSPC));
  if (!has_space_for_new_indices(name)) throw OpenError(std::strerror(ENOSPC));
  Creation creation(path);
  errno = 0;
  if (!tcadbopen(adb_, own.empty() ? name.c_str() : own.c_str())) {
    const int left = errno;
    if (means_full(left)) creation.undo();
    const char* const reason = reason_not_opened(path, left);
    throw OpenError(own.empty() && reason == LOCKED ? "the file is locked" : reason);
  }
  type_ = type_of(tcadbomode(adb_));
}

Store::~Store() {
  close();
  if (adb_ != nullptr) tcadbdel(adb_);
}

void Store::abandon() const {
  for (const TCHDB* file : hash_files()) tcpathunlock(file->rpath);
  if (type_ == Type::FIXED) tcpathunlock(adb_->fdb->rpath);
}

bool Store::close() {
  share(true);
  // What is half brought back goes: the library undoes it when it closes the file.
  const bool settled = coming_back() || settle();
  if (settled && durable_ && !coming_back() && log_ != nullptr) set_mark(undone_file(), Mark());
  log_.reset();
  room_.reset();
  return (tcadbomode(adb_) == ADBOVOID || tcadbclose(adb_)) && settled;
}

// Where the library has its locks. Each is used if it is there.
std::vector<void**> Store::locks() const {
  std::vector<void**> locks;
  switch (type_) {
    case Type::HASH: return {&adb_->hdb->mmtx};
    case Type::FIXED: return {&adb_->fdb->mmtx};
    case Type::TREE: return {&adb_->bdb->mmtx, &adb_->bdb->hdb->mmtx};
    case Type::TABLE: break;
    default: return {};
  }
  locks.push_back(&adb_->tdb->mmtx);
  locks.push_back(&adb_->tdb->hdb->mmtx);
  for (int i = 0; i < adb_->tdb->inum; i++) {
    auto* index = static_cast<TCBDB*>(adb_->tdb->idxs[i].db);
    locks.push_back(&index->mmtx);
    locks.push_back(&index->hdb->mmtx);
  }
  return locks;
}

void Store::share(bool shared) {
  if (shared) {
    for (const auto& [place, lock] : taken_) *place = lock;
    taken_.clear();
  } else if (taken_.empty()) {
    for (void** place : locks()) taken_.emplace_back(place, std::exchange(*place, nullptr));
  }
}

int Store::error() {
  if (refused_.exchange(false)) return TCEWRITE;
  switch (type_) {
    case Type::HASH: return tchdbecode(adb_->hdb);
    case Type::TREE: return tcbdbecode(adb_->bdb);
    case Type::FIXED: return tcfdbecode(adb_->fdb);
    case Type::TABLE: return tctdbecode(adb_->tdb);
    case Type::PLUGIN: return TCEMISC;  // it does not say
    default: return TCENOREC;
  }
}

bool Store::fatal() const {
  switch (type_) {
    case Type::HASH: return tchdbflags(adb_->hdb) & HDBFFATAL;
    case Type::TREE: return tcbdbflags(adb_->bdb) & BDBFFATAL;
    case Type::FIXED: return tcfdbflags(adb_->fdb) & FDBFFATAL;
    case Type::TABLE: return tctdbflags(adb_->tdb) & TDBFFATAL;
    default: return false;
  }
}

// Whether the library can index a value of the row with this key.
bool Store::indexable(int index_type, Bytes key, size_t value_size) {
  switch (index_type) {
    case TDBITLEXICAL:
    case TDBITDECIMAL: return value_size > 0;
    case TDBITTOKEN:
    case TDBITQGRAM: return value_size * (key.size() + 8) <= INDEX_LIMIT;
    default: return true;
  }
}

// Whether the library can put the row into an index. It compares a column's name up to its first
// zero byte; an index of the keys has an empty name.
bool Store::indexable(const char* index, int type, Bytes key, TCMAP* columns) {
  if (*index == '\0' && !indexable(type, key, key.size())) return false;
  int size;
  tcmapiterinit(columns);
  while (const void* name = tcmapiternext(columns, &size)) {
    tcmapiterval(name, &size);
    if (std::strcmp(index, static_cast<const char*>(name)) == 0 &&
        !indexable(type, key, static_cast<size_t>(size))) {
      return false;
    }
  }
  return true;
}

// Whether the library can put the row into the indices that there are.
bool Store::acceptable(Bytes key, TCMAP* columns) const {
  const TCTDB* table = adb_->tdb;
  return std::all_of(table->idxs, table->idxs + table->inum, [&](const TDBIDX& index) {
    return indexable(index.name, index.type, key, columns);
  });
}

std::string Store::make_key() {
  return std::to_string(tctdbgenuid(adb_->tdb));
}

bool Store::acceptable_row(Bytes key, Bytes columns,
                           bool (*store)(TCTDB*, const void*, int, TCMAP*)) {
  MapPointer map(tcstrsplit4(columns.data(), length(columns)));
  std::string kept = key.empty() ? make_key() : std::string(key);
  key = kept;
  if (!acceptable(key, map.get()) || !admits_row(key, columns.size(), map.get())) return false;
  return tidied(store(adb_->tdb, key.data(), length(key), map.get()));
}

// The key, followed by a zero byte if the library needs that.
Bytes Store::terminated(Bytes key, std::string* kept) const {
  if (type_ != Type::TABLE) return key;
  kept->assign(key);
  return *kept;
}

bool Store::put(Bytes key, Bytes value) {
  if (type_ == Type::TABLE) return acceptable_row(key, value, tctdbput);
  return admits(key, value.size()) &&
         tidied(tcadbput(adb_, key.data(), length(key), value.data(), length(value)));
}

bool Store::putkeep(Bytes key, Bytes value) {
  if (type_ == Type::TABLE) return acceptable_row(key, value, tctdbputkeep);
  return admits(key, value.size()) &&
         tidied(tcadbputkeep(adb_, key.data(), length(key), value.data(), length(value)));
}

bool Store::putcat(Bytes key, Bytes value) {
  if (!can_append(key, value)) return false;
  if (type_ == Type::TABLE) return acceptable_row(key, value, tctdbputcat);
  return tidied(tcadbputcat(adb_, key.data(), length(key), value.data(), length(value)));
}

void* Store::shift(const void* value, int size, int* new_size, void* operation) {
  const Shift& shift = *static_cast<const Shift*>(operation);
  std::string whole(static_cast<const char*>(value), static_cast<size_t>(size));
  whole += shift.value;
  const size_t width = static_cast<size_t>(shift.width);
  if (whole.size() > width) whole.erase(0, whole.size() - width);
  if (shift.store->type_ == Type::TABLE) {
    MapPointer columns(tcstrsplit4(whole.data(), length(whole)));
    if (!shift.store->acceptable(shift.key, columns.get())) return nullptr;
  }
  *new_size = length(whole);
  return tcmemdup(whole.data(), whole.size());
}

bool Store::putshl(Bytes key, Bytes value, int width) {
  if (!can_append(key, value)) return false;
  if (type_ == Type::TABLE && vsiz(key) < 0) return put(key, value);
  std::string kept;
  key = terminated(key, &kept);
  if (type_ == Type::TABLE && !admits_changes(key, value.size())) return false;
  Shift operation{this, key, value, width};
  return tidied(tcadbputproc(adb_, key.data(), length(key), value.data(), length(value), shift,
                             &operation));
}

bool Store::out(Bytes key) {
  std::string kept;
  key = terminated(key, &kept);
  return admits_removal(key) && tidied(tcadbout(adb_, key.data(), length(key)));
}

Block Store::get(Bytes key) {
  int size = 0;
  void* value = tcadbget(adb_, key.data(), length(key), &size);
  return Block(value, size);
}

// Where a value goes.
struct Store::Target {
  char* at;
  size_t size;
  int found = -1;
};

void* Store::place(const void* value, int size, int*, void* place) {
  Target& room = *static_cast<Target*>(place);
  room.found = size;
  if (static_cast<size_t>(size) == room.size) std::memcpy(room.at, value, room.size);
  return nullptr;  // and it stays as it is
}

// As long as only one thread can be inside, the library's own copy of a value stays where it is.
int Store::get_into(Bytes key, char* at, size_t size) {
  Target room{at, size};
  if (type_ == Type::MEMORY_HASH) {
    tcmdbputproc(adb_->mdb, key.data(), length(key), nullptr, 0, place, &room);
  } else if (type_ == Type::MEMORY_TREE) {
    tcndbputproc(adb_->ndb, key.data(), length(key), nullptr, 0, place, &room);
  } else if (type_ == Type::HASH && adb_->hdb->zmode == 0) {
    room.found = vsiz(key);
    if (room.found != static_cast<int>(size)) return room.found;
    return tchdbget3(adb_->hdb, key.data(), length(key), at, length(Bytes(at, size)));
  } else if (type_ == Type::TREE && alone()) {
    int found = 0;
    const void* value = tcbdbget3(adb_->bdb, key.data(), length(key), &found);
    if (value != nullptr) place(value, found, nullptr, &room);
  } else if (const Block value = get(key)) {
    place(value.bytes().data(), length(value.bytes()), nullptr, &room);
  }
  return room.found;
}

int Store::vsiz(Bytes key) {
  return plugin_ ? plugin_->value_size(key) : tcadbvsiz(adb_, key.data(), length(key));
}

// Whether a counter can be a row with this key.
bool Store::countable(Bytes key) const {
  if (type_ != Type::TABLE) return true;
  MapPointer columns(tcmapnew2(1));
  tcmapput2(columns.get(), "_num", "0");
  return acceptable(key, columns.get());
}

int Store::addint(Bytes key, int number) {
  if (!countable(key) || !admits_number(key)) return INT_MIN;
  std::string kept;
  key = terminated(key, &kept);
  const int sum = tcadbaddint(adb_, key.data(), length(key), number);
  tidied(true);
  return sum;
}

double Store::adddouble(Bytes key, double number) {
  if (!countable(key) || !admits_number(key)) return std::nan("");
  std::string kept;
  key = terminated(key, &kept);
  const double sum = tcadbadddouble(adb_, key.data(), length(key), number);
  tidied(true);
  return sum;
}

bool Store::put_listed(Bytes key, Bytes value) {
  if (type_ != Type::TREE) return put(key, value);
  return admits(key, value.size()) &&
         tidied(tcbdbputdup(adb_->bdb, key.data(), length(key), value.data(), length(value)));
}

bool Store::out_listed(Bytes key) {
  if (type_ != Type::TREE) return out(key) || missing(key);
  if (!admits_removal(key)) return false;
  return tidied(tcbdbout3(adb_->bdb, key.data(), length(key))) || missing(key);
}

// Whether an operation has failed because there is no such record. After a fatal error the library
// does not say any more what has become of later ones.
bool Store::missing(Bytes key) {
  if (refused_) return false;
  return fatal() ? vsiz(key) < 0 : error() == TCENOREC;
}

bool Store::get_listed(Bytes key, std::vector<Block>* values) {
  if (type_ == Type::TREE) {
    ListPointer found(tcbdbget4(adb_->bdb, key.data(), length(key)));
    for (int i = 0; found && i < tclistnum(found.get()); i++) {
      const Bytes value = element(found.get(), i);
      values->emplace_back(tcmemdup(value.data(), value.size()), length(value));
    }
    return found || missing(key);
  }
  Block value = get(key);
  if (!value) return missing(key);
  values->push_back(std::move(value));
  return true;
}

// In a tree: all values of a key, in their order, each where it is.
void Store::see_values(Bytes key, const std::function<void(Bytes)>& see) {
  struct CursorDeleter {
    void operator()(BDBCUR* cursor) const { tcbdbcurdel(cursor); }
  };
  const std::unique_ptr<BDBCUR, CursorDeleter> cursor(tcbdbcurnew(adb_->bdb));
  bool here = tcbdbcurjump(cursor.get(), key.data(), length(key));
  for (; here; here = tcbdbcurnext(cursor.get())) {
    int size;
    const void* found = tcbdbcurkey3(cursor.get(), &size);
    if (found == nullptr) return;
    const Bytes its(static_cast<const char*>(found), static_cast<size_t>(size));
    if (compare(key, its) != 0) return;
    const void* value = tcbdbcurval3(cursor.get(), &size);
    if (value == nullptr) return;
    see(Bytes(static_cast<const char*>(value), static_cast<size_t>(size)));
  }
}

std::vector<size_t> Store::listed_sizes(Bytes key) {
  std::vector<size_t> sizes;
  if (type_ == Type::TREE && alone()) {
    see_values(key, [&](Bytes value) { sizes.push_back(value.size()); });
  } else if (type_ != Type::TREE) {
    const int size = vsiz(key);
    if (size >= 0) sizes.push_back(static_cast<size_t>(size));
  }
  return sizes;
}

bool Store::get_listed_into(Bytes key, const std::vector<size_t>& sizes,
                            const std::vector<char*>& places) {
  if (type_ != Type::TREE) {
    return sizes.size() == 1 && get_into(key, places[0], sizes[0]) == static_cast<int>(sizes[0]);
  }
  if (!alone()) return false;
  size_t seen = 0;
  bool same = true;
  see_values(key, [&](Bytes value) {
    same = same && seen < sizes.size() && value.size() == sizes[seen];
    if (same) std::memcpy(places[seen], value.data(), value.size());
    seen++;
  });
  return same && seen == sizes.size();
}

Block Store::iternext() {
  int size = 0;
  void* key = tcadbiternext(adb_, &size);
  return Block(key, size);
}

// Whether the library can make the indices that `setindex` asks for.
bool Store::acceptable_index(const Arguments& arguments) {
  for (size_t i = 0; i + 1 < arguments.size(); i += 2) {
    const std::string column(arguments[i]), kind(arguments[i + 1]);
    const int type = tctdbstrtoindextype(kind.c_str()) & ~TDBITKEEP;
    const auto rows = cursor(nullptr, true);
    std::string large;
    for (bool here = rows->open(); here; here = rows->next()) {
      Bytes row = rows->value;
      if (row.size() != rows->size) {
        large.resize(rows->size);
        rows->fetch(large.data());
        row = large;
      }
      const MapPointer columns(tcmapload(row.data(), length(row)));
      if (!indexable(column.c_str(), type, rows->key, columns.get())) {
        rows->close();
        return false;
      }
    }
  }
  return true;
}

// Whether the library survives this function with these arguments.
bool Store::guarded_misc(const std::string& name, const Arguments& arguments) {
  const bool has_key = !arguments.empty();
  if (name == "iterinit" && has_key && arguments[0].empty()) {
    return type_ != Type::HASH && type_ != Type::TABLE && type_ != Type::PLUGIN;
  }
  if (name == "putcat" && type_ != Type::TABLE && arguments.size() > 1) {
    return can_append(arguments[0], arguments[1]);
  }
  if (type_ != Type::TABLE) return admits_misc(name, arguments);
  if (name == "setindex") return acceptable_index(arguments) && admits_index(arguments);
  if (name == "out" && has_key) return admits_removal(arguments[0]);
  if (is_search(name)) {
    return std::none_of(arguments.begin(), arguments.end(),
                        [](Bytes argument) { return pattern_fault(pattern_of(argument)); }) &&
           admits_search(arguments);
  }
  if (!is_put(name)) return true;
  MapPointer columns(tcmapnew2(31));
  size_t size = 0;
  for (size_t i = 1; i + 1 < arguments.size(); i += 2) {
    const Bytes column = arguments[i], value = arguments[i + 1];
    tcmapput(columns.get(), column.data(), length(column), value.data(), length(value));
    size += column.size() + value.size();
  }
  const Bytes key = arguments.empty() ? Bytes() : arguments[0];
  if (name == "putcat") size += static_cast<size_t>(std::max(vsiz(key), 0));
  return acceptable(key, columns.get()) && admits_row(key, size, columns.get());
}

ListPointer Store::finish(Search* search, const char* name, const Arguments& arguments) {
  if (!guarded_misc(name, arguments)) return nullptr;
  ListPointer result = search->finish();
  tidied(true);
  return result;
}

ListPointer Store::misc(const char* name, const Arguments& arguments) {
  if (!guarded_misc(name, arguments)) return nullptr;
  const ListPointer list = to_list(arguments);
  if (type_ == Type::TABLE && is_put(name) && !arguments.empty() && arguments[0].empty()) {
    const std::string key = make_key();
    tclistover(list.get(), 0, key.data(), length(key));
  }
  if (std::strcmp(name, "setindex") != 0) {
    ListPointer result(tcadbmisc(adb_, name, list.get()));
    tidied(true);
    return result;
  }
  Shared shared(this);
  ListPointer result(tcadbmisc(adb_, name, list.get()));
  adopt();
  return result;
}

Block Store::stored(Bytes key) {
  if (type_ != Type::TABLE) return get(key);
  int size = 0;
  void* row = tchdbget(adb_->tdb->hdb, key.data(), length(key), &size);
  return Block(row, size);
}

Block Store::row(Bytes stored) {
  MapPointer columns(tcmapload(stored.data(), length(stored)));
  int size = 0;
  void* joined = tcstrjoin4(columns.get(), &size);
  return Block(joined, size);
}

std::vector<TCHDB*> Store::hash_files() const {
  switch (type_) {
    case Type::HASH: return {adb_->hdb};
    case Type::TREE: return {adb_->bdb->hdb};
    case Type::TABLE: break;
    default: return {};
  }
  std::vector<TCHDB*> files{adb_->tdb->hdb};
  for (int i = 0; i < adb_->tdb->inum; i++) {
    files.push_back(static_cast<TCBDB*>(adb_->tdb->idxs[i].db)->hdb);
  }
  return files;
}

std::vector<int> Store::files() const {
  if (type_ == Type::FIXED) return {adb_->fdb->fd};
  std::vector<int> files;
  for (const TCHDB* file : hash_files()) files.push_back(file->fd);
  return files;
}

int Store::compare(Bytes left, Bytes right) const {
  const TCCMP compare = type_ == Type::TREE ? tcbdbcmpfunc(adb_->bdb) : tccmplexical;
  void* operation = type_ == Type::TREE ? tcbdbcmpop(adb_->bdb) : nullptr;
  return compare(left.data(), length(left), right.data(), length(right), operation);
}

std::unique_ptr<Cursor> Store::cursor(const Bytes* begin, bool values) {
  switch (type_) {
    case Type::MEMORY_HASH: return memory_hash_cursor(adb_->mdb, values);
    case Type::MEMORY_TREE: return memory_tree_cursor(adb_->ndb, begin, values);
    case Type::HASH: return hash_cursor(adb_->hdb, values);
    case Type::TREE: return tree_cursor(adb_->bdb, begin, values);
    case Type::FIXED: return fixed_cursor(adb_->fdb, begin, values);
    case Type::PLUGIN: throw std::logic_error("nothing is looked through that is a plug-in's");
    default: return hash_cursor(adb_->tdb->hdb, values);
  }
}

}  // namespace kt::tokyo
