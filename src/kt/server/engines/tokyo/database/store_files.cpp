// What a store does about its files: room for changes, and the database as a whole.

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <tcbdb.h>
#include <tcfdb.h>
#include <tchdb.h>
#include <tctdb.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "io/allocate.h"
#include "log/change_log.h"
#include "tokyo/database/cursor.h"
#include "tokyo/database/rescue.h"
#include "tokyo/database/store.h"

namespace kt::tokyo {

namespace {

constexpr int64_t MARGIN = 4 << 20;  // headers, empty buckets

// Whether so much can be written in files beside this one, as things are.
bool has_space(int file, int64_t bytes) {
  struct statvfs status;
  if (::fstatvfs(file, &status) != 0) return true;
  return static_cast<int64_t>(status.f_bavail * status.f_frsize) >= bytes && bytes <= size_limit();
}

constexpr const char* MARKED =
    "kt-tyrant -durable keeps it, and was killed: the update log has more than the file. Start that "
    "server again, with the same -ulog, and stop it with SIGTERM; or give up what the log has: "
    "kt-tyrant -durable forget";

// A row as it is stored has sizes beside names and values.
size_t row_size(size_t bytes, const TCMAP* columns) { return bytes + 16 * tcmaprnum(columns) + 64; }

}  // namespace

// After opening, and whenever the library has other files than before. What is left of making an
// index is written, because nobody has asked for room for it.
void Store::adopt() {
  if (type_ == Type::TABLE && adb_->tdb->wmode) tctdbmemsync(adb_->tdb, false);
  room_ = room_of(adb_);
  log_.reset();
  const bool keeps = durable_ || commits_;
  if (room_ != nullptr && (type_ == Type::TREE || (keeps && type_ != Type::FIXED))) {
    log_ = std::make_unique<UndoLog>(undone_file(), device_);
    if (durable_ && !coming_back()) set_mark(undone_file(), mark_);
    log_->begin();
    if (device_ && !brought_to_device()) {
      tchdbsetecode(undone_file(), TCESYNC, __FILE__, __LINE__, __func__);
    }
  }
  tidying_.clear();
  if (room_ == nullptr || type_ == Type::FIXED) return;
  for (TCHDB* file : hash_files()) {
    const uint32_t after = std::exchange(file->dfunit, 0);
    if (after > 0) tidying_.push_back({file, after});
  }
}

bool Store::refuse() {
  refused_ = true;
  return false;
}

bool Store::admits(Bytes key, size_t size) {
  if (log_ != nullptr) log_->weigh(size);
  return room_ == nullptr || room_->admits(key, size) || refuse();
}

bool Store::admits_removal(Bytes key) {
  return room_ == nullptr || room_->admits_removal(key) || refuse();
}

bool Store::admits_row(Bytes key, size_t size, TCMAP* columns) {
  if (room_ == nullptr) return true;
  return (room_->admits(key, row_size(size, columns)) && room_->admits_row(key, columns)) ||
         refuse();
}

bool Store::admits_number(Bytes key) {
  if (room_ == nullptr) return true;
  const size_t before = type_ == Type::TABLE ? static_cast<size_t>(std::max(vsiz(key), 0)) : 0;
  return (room_->admits(key, before + 64) && room_->admits_number(key)) || refuse();
}

// Of a row's columns, nobody knows which.
bool Store::admits_changes(Bytes key, size_t size) {
  const size_t before = static_cast<size_t>(std::max(vsiz(key), 0));
  return room_ == nullptr || room_->admits_changes(before + size) || refuse();
}

// Whether a record can be appended to.
bool Store::can_append(Bytes key, Bytes value) {
  const size_t size = static_cast<size_t>(std::max(vsiz(key), 0)) + value.size();
  return size <= std::max(RECORD_LIMIT, value.size()) && admits(key, size);
}

bool Store::admits_misc(const std::string& name, const Arguments& arguments) {
  if (arguments.empty()) return true;
  if (name == "out") return admits_removal(arguments[0]);
  const bool puts = name == "put" || name == "putkeep" || name == "putdup" || name == "putdupback";
  return !puts || arguments.size() < 2 || admits(arguments[0], arguments[1].size());
}

// A search may remove what it finds.
bool Store::admits_search(const Arguments& arguments) {
  constexpr size_t ENOUGH = 64 << 10;
  const bool removes = std::any_of(arguments.begin(), arguments.end(),
                                   [](Bytes argument) { return argument == "out"; });
  return !removes || room_ == nullptr || room_->admits_changes(ENOUGH) || refuse();
}

bool Store::has_space_for_index(int type) const {
  const bool full_text = type == TDBITTOKEN || type == TDBITQGRAM;
  return has_space(adb_->tdb->hdb->fd, MARGIN + (full_text ? 16 : 3) * blocks());
}

// Before a table is opened with indices that it may not have yet: the library makes these at once.
bool Store::has_space_for_new_indices(const std::string& name) {
  const std::string path = name.substr(0, name.find('#'));
  size_t wanted = 0;
  for (size_t mark = name.find("#idx="); mark != std::string::npos; wanted++) {
    mark = name.find("#idx=", mark + 1);
  }
  if (wanted <= index_files(path).size()) return true;
  const std::string directory = path.substr(0, path.rfind('/') + 1);
  const int file = ::open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return true;  // the library will say why
  struct stat status;
  const int64_t rows = stat(path.c_str(), &status) == 0 ? status.st_size : 0;
  const bool has = has_space(file, MARGIN + 3 * rows);
  ::close(file);
  return has;
}

bool Store::admits_index(const Arguments& arguments) {
  for (size_t i = 0; i + 1 < arguments.size(); i += 2) {
    const int type = tctdbstrtoindextype(std::string(arguments[i + 1]).c_str()) & ~TDBITKEEP;
    if (type != TDBITVOID && !has_space_for_index(type)) return refuse();
  }
  return true;
}

// What only a server can complete that has the update log is for nobody else.
void Store::check_mark(Keeping keeping) {
  if (in_memory()) return;
  if (type_ == Type::FIXED) {
    if (durable_) throw OpenError("-durable does not keep fixed-length files (.tcf)");
    if (commits_) throw OpenError("there is no log of fixed-length files (.tcf) that can keep each change");
    return;
  }
  found_ = mark_of(undone_file());
  if (!found_.open || durable_) return;
  if (keeping == Keeping::FORGET && (undone_file()->omode & HDBOWRITER)) {
    return set_mark(undone_file(), Mark());
  }
  leave();
  throw OpenError(MARKED);
}

// Puts right a file that was left open; see rescue.h. A reader leaves it alone.
bool Store::rebuild(const std::string& name) {
  switch (type_) {
    case Type::TREE: return adb_->bdb->wmode && replace(name, rescue_tree(adb_->bdb, rescued()));
    case Type::HASH:
      if (!(adb_->hdb->omode & HDBOWRITER) || is_sound(adb_->hdb)) return false;
      return replace(name, rescue_hash(adb_->hdb, rescued()));
    case Type::TABLE:
      if (!adb_->tdb->wmode) return false;
      if (!is_sound(adb_->tdb->hdb)) replace(name, rescue_hash(adb_->tdb->hdb, rescued()));
      return renew_indices();
    case Type::FIXED: recount(adb_->fdb); return adb_->fdb->omode & FDBOWRITER;
    default: return false;
  }
}

std::string Store::rescued() const {
  return std::string(path()) + ".rescued";
}

// Opens the file that was rescued in the place of the torn one. Rather than that a torn file is
// served, or one that lacks something, the server does not start.
bool Store::replace(const std::string& name, bool done) {
  const std::string fresh = rescued();
  if (done) kept_ = replace_and_keep(path(), fresh);
  if (kept_.empty()) {
    unlink(fresh.c_str());
    throw OpenError("it was not closed, and cannot be rebuilt beside it (is there space for both?)");
  }
  leave();  // the torn file is to stay as it is
  open(name);
  return true;
}

// Makes all indices of a table anew.
bool Store::renew_indices() {
  for (const auto& [column, type] : index_files(path())) {
    if (!has_space_for_index(type)) {
      throw OpenError("it was not closed, and there is no space to make its indices anew");
    }
    tctdbsetindex(adb_->tdb, column.c_str(), TDBITVOID);
    if (!tctdbsetindex(adb_->tdb, column.c_str(), type)) {
      throw OpenError("the index of the column '" + column + "' cannot be made anew");
    }
  }
  return true;
}

// Closes files as they are, not properly.
void Store::leave() {
  for (TCHDB* file : hash_files()) file->omode &= ~static_cast<uint32_t>(HDBOWRITER);
  if (type_ == Type::TREE) adb_->bdb->wmode = false;
  if (type_ == Type::TABLE) adb_->tdb->wmode = false;
  tcadbclose(adb_);
}

TCHDB* Store::undone_file() const { return hash_files()[0]; }

bool Store::sync() {
  if (coming_back() || copying_) return true;  // the update log has all
  if (type_ != Type::TREE && !settle()) return false;  // the library refuses it in a transaction
  return tcadbsync(adb_) && make_point();
}

// Whatever is new: files, their names, the log's.
bool Store::brought_to_device() const {
  const std::vector<int> files = this->files();
  return std::all_of(files.begin(), files.end(), [](int file) { return fsync(file) == 0; }) &&
         names_to_device(path());
}

// What is new, or gone, in the directory that a file is in.
bool Store::names_to_device(const std::string& path) {
  const std::string directory = path.substr(0, path.rfind('/') + 1);
  const int names = ::open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_CLOEXEC);
  const bool done = names >= 0 && fsync(names) == 0;
  if (names >= 0) ::close(names);
  return done;
}

// What is in memory is written, and what was overwritten is forgotten.
bool Store::settle() { return log_ == nullptr || (write_out() && log_->end()); }

// (Indices of a table are made anew after a kill.)
bool Store::write_out() {
  if (type_ == Type::TREE && !room_->settles()) return false;
  if (durable_) {
    Mark mark;
    if (!stamp_(&mark)) return false;
    set_mark(undone_file(), mark);
    mark_ = mark;
    point_ = mark.stamp;
  }
  return true;
}

bool Store::make_point() {
  if (log_ == nullptr || coming_back()) return true;
  const bool done = write_out() && log_->renew();
  changed_ = !done || !safe();
  return done;
}

bool Store::begin_copy() {
  if (stamp_ == nullptr || !make_point()) return false;
  copied_turn_ = log_->turn();
  copying_ = true;
  return log_->running();
}

const TCHDB* Store::copied() const {
  return log_ != nullptr && log_->turn() == copied_turn_ ? undone_file() : nullptr;
}

bool Store::keep(std::function<bool(Mark*)> stamp) {
  if (log_ == nullptr) return true;
  stamp_ = std::move(stamp);
  return make_point();
}

// In the library's way the file would be another one, with nothing to undo. (Its iterator may leave out
// what comes behind a record that is removed.)
bool Store::remove_all() {
  while (count() > 0) {
    if (!iterinit()) return false;
    while (const Block key = iternext()) {
      std::string kept;
      const Bytes its = terminated(key.bytes(), &kept);
      if (!tcadbout(adb_, its.data(), length(its))) return false;
    }
  }
  return true;
}

// A copy that is made meanwhile needs no update log; nor does the file, should the process be killed.
void Store::rest() {
  resting_ = true;
  if (!coming_back() && settle() && durable_ && log_ != nullptr) set_mark(undone_file(), Mark());
}

void Store::go_on() {
  resting_ = false;
  if (log_ == nullptr) return;
  if (durable_ && !coming_back()) set_mark(undone_file(), mark_);
  log_->begin();
}

// In the middle of a change, which the update log has not been told: there is no point of a durable one here.
bool Store::changed(bool done) {
  if (log_ == nullptr) return done;
  if (!changed_.load(std::memory_order_relaxed)) changed_ = true;
  if (commits_) LogBatch::use();
  if (durable_ || !log_->long_enough()) return done;
  return make_point() && done;
}

// What the library would do in the middle of a change, when the room behind a file is needed.
bool Store::tidied(bool done) {
  constexpr int64_t RATIO = 2;
  done = changed(done);
  if (tidying_.empty() || taken_.empty()) return done;
  for (const auto& [file, after] : tidying_) {
    if (file->dfcnt <= after) continue;
    if (!defragment(file, RATIO * after + 1)) return false;
  }
  return done;
}

bool Store::defragment(TCHDB* file, int64_t steps) {
  if (room_ != nullptr && !room_->settles()) return false;
  const bool done = tchdbdefrag(file, steps);
  if (room_ != nullptr) room_->forget();
  return done;
}

// What the files take.
int64_t Store::blocks() const {
  int64_t bytes = 0;
  for (const int file : files()) {
    struct stat status;
    if (fstat(file, &status) == 0) bytes += std::min<int64_t>(status.st_blocks * 512, status.st_size);
  }
  return bytes;
}

bool Store::has_space_for_copies() const {
  const int64_t copies = type_ == Type::TABLE ? 3 : 2;
  return has_space(files()[0], MARGIN + copies * blocks());
}

// The library puts a half-written file in the place of a good one when it fails to rewrite it. So
// the files have second names meanwhile; as long as there is one, it is the file that counts.
class Store::Kept {
 public:
  static constexpr const char* SUFFIX = ".kt-before";

  explicit Kept(const Store& store) {
    for (const std::string& path : paths_of(store)) {
      unlink((path + SUFFIX).c_str());
      if (link(path.c_str(), (path + SUFFIX).c_str()) == 0) paths_.push_back(path);
    }
    names_to_device(store.path());
  }
  ~Kept() { forget(paths_); }
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;

  void bring_back() {
    for (const std::string& path : paths_) std::rename((path + SUFFIX).c_str(), path.c_str());
  }

  static std::vector<std::string> paths_of(const Store& store) {
    if (store.type_ == Type::FIXED) return {store.adb_->fdb->path};
    std::vector<std::string> paths;
    for (const TCHDB* file : store.hash_files()) paths.emplace_back(file->path);
    return paths;
  }

  // It must not be there again after a loss of power, when the file has more.
  static void forget(const std::vector<std::string>& paths) {
    bool gone = false;
    for (const std::string& path : paths) gone = unlink((path + SUFFIX).c_str()) == 0 || gone;
    if (gone) names_to_device(paths[0]);
  }

 private:
  std::vector<std::string> paths_;
};

// Before a file is opened: whoever is killed while the library puts a new file in the place of an old one
// leaves none of that name, or after a loss of power one of which only a part has come to the device. The
// old one has the same records. Whether somebody was: a table's indices may be of another state then.
bool Store::bring_back(const std::string& path) {
  const std::string index = path + ".idx.", suffix = Kept::SUFFIX;
  std::vector<std::string> files{path};
  const ListPointer found(tcglobpat((index + "*" + suffix).c_str()));
  for (int i = 0; i < tclistnum(found.get()); i++) {
    const std::string kept(element(found.get(), i));
    if (kept.compare(0, index.size(), index) != 0) continue;
    files.push_back(kept.substr(0, kept.size() - suffix.size()));
  }
  bool replacing = false;
  for (const std::string& file : files) {
    struct stat status;
    const std::string kept = file + suffix;
    if (stat(kept.c_str(), &status) != 0) continue;
    replacing = true;
    std::rename(kept.c_str(), file.c_str());
  }
  return replacing;
}

// When it is open, it needs none of those.
void Store::forget_kept() const {
  if (room_ != nullptr) Kept::forget(Kept::paths_of(*this));
}

// Before the library makes another file of this one. It wants no transaction; in a tree's, which it does
// not know of, it puts the file back to this point, which is what it is.
bool Store::rest_for_library() {
  return type_ == Type::TREE ? make_point() : settle();
}

bool Store::optimize(const char* parameters) {
  if (in_memory() || plugin_) return tcadboptimize(adb_, parameters);
  if (coming_back()) return true;  // it holds the same records
  if (room_ != nullptr && !(room_->settles() && has_space_for_copies())) return refuse();
  if (!rest_for_library()) return false;
  Shared shared(this);
  bool done;
  {
    Kept kept(*this);
    done = tcadboptimize(adb_, parameters);
    if (!done && type_ != Type::TABLE) kept.bring_back();
    if (device_ && !brought_to_device()) done = false;
  }
  adopt();  // and a log that is there with a second name is the old file's
  return done;
}

bool Store::vanish(std::unique_ptr<Store>* old) {
  if (!in_memory()) {
    if (coming_back()) return remove_all();
    rest_for_library();
    Shared shared(this);
    const bool done = tcadbvanish(adb_);
    adopt();
    return done;
  }
  old->reset(new Store);
  (*old)->type_ = type_;
  (*old)->adb_ = tcadbnew();
  std::swap((*old)->adb_->omode, adb_->omode);
  std::swap((*old)->adb_->mdb, adb_->mdb);
  std::swap((*old)->adb_->ndb, adb_->ndb);
  adb_->omode = (*old)->adb_->omode;
  if (type_ == Type::MEMORY_HASH) {
    adb_->mdb = tcmdbnew2(memory_hash_buckets((*old)->adb_->mdb));
  } else {
    adb_->ndb = tcndbnew();
  }
  adb_->capcnt = 0;
  return true;
}

// Whether this is the path of one of our files.
bool Store::is_own(const char* path) const {
  struct stat target, own;
  if (stat(path, &target) != 0) return false;
  const std::vector<int> files = this->files();
  return std::any_of(files.begin(), files.end(), [&](int file) {
    return fstat(file, &own) == 0 && own.st_dev == target.st_dev && own.st_ino == target.st_ino;
  });
}

// Whether there is a file at this path that can be written, or can be one, and there is space for
// the copy. The library would take it for a fatal error of the database if not.
bool Store::can_copy(const char* path) const {
  const int file = ::open(path, O_WRONLY | O_CREAT | O_NONBLOCK | O_CLOEXEC, 0644);
  if (file < 0) return false;
  const bool fits = has_space(file, blocks());
  struct stat status;
  if (!fits && fstat(file, &status) == 0 && status.st_size == 0) unlink(path);
  return ::close(file) == 0 && fits;
}

bool Store::copy(const char* path) {
  const bool command = *path == '@';
  return (command || plugin_ || (!is_own(path) && can_copy(path))) && tcadbcopy(adb_, path);
}

}  // namespace kt::tokyo
