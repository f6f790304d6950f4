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

// A row as it is stored has sizes beside names and values.
size_t row_size(size_t bytes, const TCMAP* columns) { return bytes + 16 * tcmaprnum(columns) + 64; }

}  // namespace

// After opening, and whenever the library has other files than before. What is left of making an
// index is written, because nobody has asked for room for it.
void Store::adopt() {
  if (type_ == Type::TABLE && adb_->tdb->wmode) tctdbmemsync(adb_->tdb, false);
  room_ = room_of(adb_);
  log_.reset();
  if (type_ == Type::TREE && room_ != nullptr) {
    log_ = std::make_unique<TreeLog>(adb_->bdb);
    log_->begin();
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

// What is in memory is written, and what was overwritten is forgotten.
bool Store::settle() {
  return log_ == nullptr || (room_->settles() && log_->end());
}

bool Store::make_point() {
  if (log_ == nullptr) return true;
  changed_ = false;
  const bool done = settle();
  if (done) log_->begin();
  return done;
}

void Store::rest() {
  settle();
}

void Store::go_on() {
  if (log_ != nullptr) log_->begin();
}

bool Store::changed(bool done) {
  if (log_ == nullptr) return done;
  if (!changed_.load(std::memory_order_relaxed)) changed_ = true;
  return !log_->long_enough() || make_point() ? done : false;
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
// the files have second names meanwhile.
class Store::Kept {
 public:
  explicit Kept(const Store& store) {
    for (const TCHDB* file : store.hash_files()) keep(file->path);
    if (store.type_ == Type::FIXED) keep(store.adb_->fdb->path);
  }
  ~Kept() {
    for (const std::string& path : paths_) unlink((path + SUFFIX).c_str());
  }
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;

  void bring_back() {
    for (const std::string& path : paths_) std::rename((path + SUFFIX).c_str(), path.c_str());
  }

 private:
  static constexpr const char* SUFFIX = ".before";

  void keep(const std::string& path) {
    unlink((path + SUFFIX).c_str());
    if (link(path.c_str(), (path + SUFFIX).c_str()) == 0) paths_.push_back(path);
  }

  std::vector<std::string> paths_;
};

bool Store::optimize(const char* parameters) {
  if (in_memory()) return tcadboptimize(adb_, parameters);
  if (room_ != nullptr && !(room_->settles() && has_space_for_copies())) return refuse();
  if (!make_point()) return false;
  Shared shared(this);
  Kept kept(*this);
  const bool done = tcadboptimize(adb_, parameters);
  if (!done && type_ != Type::TABLE) kept.bring_back();
  adopt();
  return done;
}

bool Store::vanish(std::unique_ptr<Store>* old) {
  if (!in_memory()) {
    make_point();
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
  return (command || (!is_own(path) && can_copy(path))) && tcadbcopy(adb_, path);
}

}  // namespace kt::tokyo
