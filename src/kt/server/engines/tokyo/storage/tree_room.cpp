#include "tokyo/storage/tree_room.h"

#include <algorithm>
#include <cstdio>

namespace kt::tokyo {

namespace {

constexpr uint64_t NODES = (uint64_t{1} << 48) + 1;  // their numbers are above this
constexpr int64_t PAGE_HEAD = 32;
constexpr int64_t RECORD_HEAD = 32;  // sizes of key and value, in a leaf or as a link
constexpr int64_t AHEAD = 1024;      // for what comes next to the same leaf

const void* found(const TCMAP* map, uint64_t page) {
  int size;
  return tcmapget(map, &page, sizeof page, &size);
}

}  // namespace

// The library's own, in its caches.
struct TreeRoom::Leaf {
  uint64_t number;
  TCPTRLIST* records;
  int size;  // of keys and values
  uint64_t previous, next;
  bool changed, dead;
};

struct TreeRoom::Record {
  int key_size, value_size;
  TCLIST* rest;
};

struct TreeRoom::Node {
  uint64_t number, heir;
  TCPTRLIST* links;
  bool changed, dead;
};

struct TreeRoom::Link {
  uint64_t page;
  int key_size;
};

const TreeRoom::Leaf* TreeRoom::cached_leaf(uint64_t page) const {
  return static_cast<const Leaf*>(found(tree_->leafc, page));
}

const TreeRoom::Node* TreeRoom::cached_node(uint64_t page) const {
  return static_cast<const Node*>(found(tree_->nodec, page));
}

// Negative if the key comes before that record.
int TreeRoom::compare(Bytes key, const Leaf* leaf, int index) const {
  const TCPTRLIST* records = leaf->records;
  const auto* record = static_cast<const Record*>(records->array[records->start + index]);
  const char* name = reinterpret_cast<const char*>(record + 1);
  return tree_->cmp(key.data(), static_cast<int>(key.size()), name, record->key_size,
                    tree_->cmpop);
}

// The last place, if the library is going to find the key there without a search.
const TreeRoom::Leaf* TreeRoom::last_leaf_if_of(Bytes key) const {
  const Leaf* leaf = tree_->hleaf > 0 ? cached_leaf(tree_->hleaf) : nullptr;
  if (leaf == nullptr || is_last(leaf) || compare(key, leaf, 0) < 0) return nullptr;
  const bool within = leaf->next == 0 || compare(key, leaf, leaf->records->num - 1) <= 0;
  return within ? leaf : nullptr;
}

// Where the library will look for the key. It remembers the last place: then it need not search
// again.
const TreeRoom::Leaf* TreeRoom::leaf_of(Bytes key) {
  if (const Leaf* leaf = last_leaf_if_of(key)) return leaf;
  tcbdbvsiz(tree_, key.data(), static_cast<int>(key.size()));
  tree_->hleaf = tree_->lleaf;
  return cached_leaf(tree_->lleaf);
}

bool TreeRoom::is_last(const Leaf* leaf) { return leaf->records->num < 2; }

int64_t TreeRoom::bytes_of(const Leaf* leaf) {
  int64_t bytes = PAGE_HEAD + leaf->size;
  const TCPTRLIST* records = leaf->records;
  for (int i = 0; i < records->num; i++) {
    const auto* record = static_cast<const Record*>(records->array[records->start + i]);
    bytes += RECORD_HEAD;
    if (record->rest != nullptr) bytes += RECORD_HEAD * tclistnum(record->rest);
  }
  return bytes;
}

int64_t TreeRoom::bytes_of(const Node* node) {
  int64_t bytes = PAGE_HEAD;
  const TCPTRLIST* links = node->links;
  for (int i = 0; i < links->num; i++) {
    bytes += RECORD_HEAD + static_cast<const Link*>(links->array[links->start + i])->key_size;
  }
  return bytes;
}

int64_t TreeRoom::bound_of(uint64_t page) const {
  const auto place = pages_.find(page);
  return place == pages_.end() ? 0 : place->second.bytes;
}

int64_t TreeRoom::bytes_of_leaf(uint64_t page) const {
  if (const int64_t bound = bound_of(page); bound > 0) return bound;
  if (const Leaf* leaf = cached_leaf(page)) return bytes_of(leaf);
  char key[PAGE_KEY];
  const int size = std::snprintf(key, sizeof key, "%llx", static_cast<unsigned long long>(page));
  return std::max(tchdbvsiz(tree_->hdb, key, size), 0) + PAGE_HEAD;
}

void TreeRoom::plan_page(uint64_t page, int64_t bytes) {
  const int64_t bound = bound_of(page);
  if (bytes <= bound) return;
  needed_ += cost(bytes) - (bound > 0 ? cost(bound) : 0);
  planned_.emplace_back(page, bytes);
}

bool TreeRoom::splits(const Leaf* leaf, int64_t grown) const {
  return static_cast<uint32_t>(leaf->records->num) + 1 > tree_->lmemb ||
         leaf->size + grown > static_cast<int64_t>(tree_->lsmax);
}

// What is changed when a record comes to a leaf.
void TreeRoom::plan(Bytes key, int64_t grown) {
  planned_.clear();
  needed_ = 0;
  const Leaf* leaf = leaf_of(key);
  if (leaf == nullptr) return;  // the library will say what is wrong with the file
  const auto known = pages_.find(leaf->number);
  const int64_t before =
      known == pages_.end() ? bytes_of(leaf) : known->second.bytes - known->second.left;
  const int64_t bytes = before + grown;
  plan_page(leaf->number, bytes + AHEAD);
  if (splits(leaf, grown) || is_last(leaf)) plan_around(key, leaf, bytes);
}

void TreeRoom::plan_around(Bytes key, const Leaf* leaf, int64_t bytes) {
  const uint64_t previous = leaf->previous, next = leaf->next;
  plan_page(tree_->lnum + 1, bytes);
  for (const uint64_t page : {previous, next}) {
    if (page > 0) plan_page(page, bytes_of_leaf(page) + RECORD_HEAD);
  }
  tree_->hleaf = 0;  // or there may be no search, and so no path
  tcbdbvsiz(tree_, key.data(), static_cast<int>(key.size()));
  uint64_t fresh = NODES + tree_->nnum;
  for (int i = 0; i < tree_->hnum; i++) {
    const uint64_t page = tree_->hist[i];
    const Node* node = cached_node(page);
    const int64_t above = std::max(bound_of(page), node != nullptr ? bytes_of(node) : 0) + bytes;
    plan_page(page, above);
    plan_page(++fresh, above);
  }
  plan_page(++fresh, PAGE_HEAD + 2 * bytes);
  tree_->hleaf = tree_->lleaf;
}

bool TreeRoom::try_admit(Bytes key, int64_t grown, bool more) {
  plan(key, grown);
  const int64_t all = changed_ + needed_;
  if (!file_.holds(all) && !(more && file_.has(all, all))) return false;
  for (const auto& [page, bytes] : planned_) {
    Bound& bound = pages_[page];
    bound.bytes = std::max(bound.bytes, bytes);
  }
  if (!planned_.empty()) pages_[planned_.front().first].left = AHEAD;
  changed_ = all;
  return true;
}

// Whether a change of a leaf is within what there are blocks for already.
bool TreeRoom::takes(const Leaf* leaf, int64_t grown) {
  if (leaf == nullptr || is_last(leaf) || splits(leaf, grown) || !file_.holds(changed_)) return false;
  const auto page = pages_.find(leaf->number);
  if (page == pages_.end() || page->second.left < grown) return false;
  page->second.left -= grown;
  return true;
}

bool TreeRoom::admits(Bytes key, size_t size) {
  if (untold_ && !write_back()) return false;
  const auto grown = RECORD_HEAD + static_cast<int64_t>(key.size() + size);
  if (takes(leaf_of(key), grown)) return true;
  if (try_admit(key, grown, false)) return true;
  recount();
  if (try_admit(key, grown, true)) return true;
  return write_back() && try_admit(key, grown, true);
}

// A page that has become smaller fits where it was.
bool TreeRoom::admits_removal(Bytes key) {
  const Leaf* leaf = tree_->hdb->zmode ? nullptr : leaf_of(key);
  return (leaf != nullptr && !is_last(leaf)) || admits(key, 0);
}

// All changed pages together are no larger than everything that is in the file and will be.
bool TreeRoom::admits_anywhere(int64_t bytes) {
  untold_ = true;
  const int64_t all = file_.content() + bytes;
  if (file_.holds(changed_ + all)) return true;
  recount();
  return file_.has(changed_ + all);
}

// Forgets pages that have been written, and what others seemed to take.
void TreeRoom::recount() {
  changed_ = 0;
  for (auto place = pages_.begin(); place != pages_.end();) {
    const auto [page, bound] = *place;
    const bool is_node = page > NODES;
    const Leaf* leaf = is_node ? nullptr : cached_leaf(page);
    const Node* node = is_node ? cached_node(page) : nullptr;
    if ((leaf == nullptr || !leaf->changed) && (node == nullptr || !node->changed)) {
      place = pages_.erase(place);
      continue;
    }
    const bool loose = node != nullptr || bound.bytes > 2 * leaf->size;
    const int64_t bytes = !loose ? bound.bytes : node != nullptr ? bytes_of(node) : bytes_of(leaf);
    if (bytes < bound.bytes) place->second = {bytes, 0};
    changed_ += cost(place->second.bytes);
    ++place;
  }
}

bool TreeRoom::write_back() {
  if (!tcbdbmemsync(tree_, false)) return false;
  pages_.clear();
  changed_ = 0;
  untold_ = false;
  return true;
}

void TreeRoom::forget() {
  file_.forget();
  recount();
}

}  // namespace kt::tokyo
