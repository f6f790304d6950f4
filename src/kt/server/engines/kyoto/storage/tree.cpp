// What the file trees do instead of the engine's way; see engine.h.

#include "kyoto/storage/engine.h"
#include "kyoto/database/internals.h"
#include "kyoto/storage/gaps.h"
#include "kyoto/storage/page_store.h"

namespace kt {

namespace {

void put_number(std::string* page, uint64_t number) {
  char digits[kc::NUMBUFSIZ];
  page->append(digits, kc::writevarnum(digits, number));
}

// | previous page | next page | (key size | value size | key | value) ... |, numbers of any length
template <typename Leaf>
std::string leaf_page(const Leaf& leaf) {
  std::string page;
  page.reserve(leaf.size);
  put_number(&page, leaf.prev);
  put_number(&page, leaf.next);
  for (const auto* record : leaf.recs) {
    put_number(&page, record->ksiz);
    put_number(&page, record->vsiz);
    page.append(reinterpret_cast<const char*>(record + 1), record->ksiz + record->vsiz);
  }
  return page;
}

// | child before the first key | (child | key size | key) ... |
template <typename Inner>
std::string inner_page(const Inner& inner) {
  std::string page;
  page.reserve(inner.size);
  put_number(&page, inner.heir);
  for (const auto* link : inner.links) {
    put_number(&page, link->child);
    put_number(&page, link->ksiz);
    page.append(reinterpret_cast<const char*>(link + 1), link->ksiz);
  }
  return page;
}

int64_t end_of(kc::HashDB& pages) { return pages.*reveal(FileEnd{}); }
int64_t end_of(kc::DirDB&) { return 0; }

// Puts a page into the file, or takes a dead one out of it (then `page` is null).
template <typename Pages>
bool write_page(PageStore* store, Pages& pages, const char* key, size_t size, std::string* page) {
  if (store != nullptr && !store->admits(end_of(pages), page ? size + page->size() : 0)) {
    store->fail();
    return false;
  }
  const bool done = page ? pages.set(key, size, page->data(), page->size())
                         : pages.remove(key, size) || pages.error().code() == kc::BasicDB::Error::NOREC;
  if (!done && store != nullptr) store->fail();
  return done;
}

template <typename List>
void note_changed(List& list, std::vector<bool*>* changed) {
  for (auto place = list.begin(); place != list.end(); ++place) {
    if (place.value()->dirty) changed->push_back(&place.value()->dirty);
  }
}

// The marks of all pages that are to be written.
template <typename Leaves, typename Inners>
std::vector<bool*> changed_pages(Leaves* leaves, Inners* inners, int count) {
  std::vector<bool*> changed;
  for (int i = 0; i < count; i++) {
    note_changed(*leaves[i].warm, &changed);
    note_changed(*leaves[i].hot, &changed);
    note_changed(*inners[i].warm, &changed);
  }
  return changed;
}

bool is_failing(const void* tree) {
  const PageStore* store = PageStore::of(tree);
  return store != nullptr && store->failing();
}

}  // namespace

}  // namespace kt

#define KT_TREE PlantDB<HashDB, BasicDB::TYPETREE>
#include "kyoto/storage/tree_members.h"
#undef KT_TREE
#define KT_TREE PlantDB<DirDB, BasicDB::TYPEFOREST>
#include "kyoto/storage/tree_members.h"
#undef KT_TREE
