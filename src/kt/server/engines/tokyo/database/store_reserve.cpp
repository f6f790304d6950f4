// How much a change may make the library write, and whether there are blocks for it (reserve.h).
//
// A hash writes the record. A tree keeps pages in memory and writes them later, so the room is for
// all that it has there; records that are longer than a page come on top, until they are written out.
// A table writes a row, and has a tree and a cache of words for each index.

#include <algorithm>

#include "tokyo/database/store.h"

namespace kt::tokyo {

namespace {

constexpr uint64_t SLACK = 64 << 10;         // heads, padding, the library's own records
constexpr uint64_t HEAD = 16;                // of a record in a page, at most
constexpr uint64_t KEY_IN_NODE = 1 << 10;    // that few keys are longer than
constexpr uint64_t LONG_AT_ONCE = 8 << 20;   // bytes of long records that a tree keeps in memory
constexpr uint64_t FIXED_HEAD = 256;
constexpr uint64_t MANY = 1 << 30;

// What a tree may have to write at most: so many leaves, all its nodes, and what a change adds to
// them, which is two pages of each kind where one is split.
uint64_t pages_of(const TCBDB* tree, uint64_t leaves, uint64_t size) {
  const uint64_t leaf = tree->lsmax + tree->lmemb * HEAD;
  const uint64_t node = tree->nmemb * (KEY_IN_NODE + HEAD);
  const uint64_t nodes = std::min(tcmaprnum(tree->nodec), leaves);
  return (leaves + 2) * leaf + (nodes + 2) * node + 2 * size;
}

}  // namespace

// Whether there are blocks for a change that stores so many bytes under a key.
bool Store::make_room(Bytes key, uint64_t size) {
  size += key.size();
  switch (type_) {
    case Type::HASH: return admitted(file(0).blocks.have(adb_->hdb->fd, adb_->hdb->fsiz, size + SLACK));
    case Type::TREE: return admitted(make_tree_room(0, adb_->bdb, size));
    case Type::FIXED: return admitted(make_fixed_room(key));
    case Type::TABLE: return admitted(make_table_room(key, size));
    default: return true;
  }
}

Store::File& Store::file(size_t number) {
  if (number >= opened_.size()) opened_.resize(number + 1);
  return opened_[number];
}

// The library counts the failure as its own, but not as a fatal one.
bool Store::admitted(bool done) {
  if (done) return true;
  if (type_ == Type::FIXED) {
    adb_->fdb->ecode = TCEWRITE;
  } else {
    hash_files()[0]->ecode = TCEWRITE;
  }
  return false;
}

bool Store::make_tree_room(size_t number, TCBDB* tree, uint64_t size) {
  File& file = this->file(number);
  if (size > tree->lsmax) file.long_records += size;
  file.changes++;
  for (;;) {
    const uint64_t leaves = std::min(tcmaprnum(tree->leafc), 3 * file.changes);
    const uint64_t more = pages_of(tree, leaves, size) + file.long_records + SLACK;
    const bool too_long = file.long_records > std::max(LONG_AT_ONCE, size);
    if (!too_long && file.blocks.have(tree->hdb->fd, tree->hdb->fsiz, more)) return true;
    // Written out, what there is needs no more blocks than it has.
    if (file.changes <= 1 && !too_long) return false;
    if (!tcbdbmemsync(tree, false)) return false;
    file.changes = 1;
    file.long_records = size > tree->lsmax ? size : 0;
  }
}

bool Store::make_fixed_room(Bytes key) {
  const TCFDB* fixed = adb_->fdb;
  int64_t id = tcfdbkeytoid(key.data(), length(key));
  if (id == FDBIDMIN) id = static_cast<int64_t>(fixed->min);
  if (id == FDBIDMAX) id = static_cast<int64_t>(fixed->max);
  if (id == FDBIDPREV) id = static_cast<int64_t>(fixed->min) - 1;
  if (id == FDBIDNEXT) id = static_cast<int64_t>(fixed->max) + 1;
  if (id < 1 || static_cast<uint64_t>(id) > fixed->limid) return true;  // the library refuses it
  const auto width = static_cast<uint64_t>(fixed->rsiz);
  return this->file(0).blocks.have_part(fixed->fd, FIXED_HEAD + static_cast<uint64_t>(id - 1) * width, width);
}

bool Store::make_table_room(Bytes key, uint64_t size) {
  const TCTDB* table = adb_->tdb;
  if (!file(0).blocks.have(table->hdb->fd, table->hdb->fsiz, size + SLACK)) return false;
  for (int i = 0; i < table->inum; i++) {
    const TDBIDX& index = table->idxs[i];
    const bool words = index.type == TDBITTOKEN || index.type == TDBITQGRAM;
    const uint64_t more = words ? size * (key.size() + 8) : size;
    const uint64_t kept = words ? 2 * tcmapmsiz(static_cast<TCMAP*>(index.cc)) : 0;
    const auto number = static_cast<size_t>(i) + 1;
    if (!make_tree_room(number, static_cast<TCBDB*>(index.db), more + kept)) return false;
  }
  return true;
}

// Whether there is room for a second copy of all there is, as the library makes it.
bool Store::room_for_copy() {
  const std::vector<int> files = this->files();
  return files.empty() || admitted(has_free(files[0], 2 * size() + SLACK));
}

void Store::forget_room() { opened_.clear(); }

void Store::expect_changes() {
  for (size_t i = 1; i <= static_cast<size_t>(adb_->tdb->inum); i++) file(i).changes = MANY;
}

std::vector<std::string> Store::paths() const {
  if (type_ == Type::FIXED) return {adb_->fdb->path};
  std::vector<std::string> paths;
  for (const TCHDB* file : hash_files()) paths.emplace_back(file->path);
  return paths;
}

}  // namespace kt::tokyo
