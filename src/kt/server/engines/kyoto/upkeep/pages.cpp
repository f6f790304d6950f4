// Working on the engine's own structures, alone inside, for a turn at a time.

#include "kyoto/upkeep/pages.h"

#include <fcntl.h>

#include "kyoto/database/internals.h"

namespace kt {

namespace {

// Applies an action to the pages of one list for as long as the turn lasts. False if there may be
// more of them: dropping pages, and others in between two turns, change the list.
template <typename List, typename Action>
bool work_through(List& list, Turns& turns, Action action) {
  auto place = list.begin();
  while (place != list.end()) {
    auto* page = place.value();
    ++place;
    if (action(page) && turns.over()) return false;
  }
  return true;
}

// Applies an action, which tells whether it had anything to do, to all cached leaf pages.
template <typename Tree, typename Action>
void for_each_page(Database& database, Action action) {
  constexpr int SLOTS = 16;
  Turns turns(database.gate());
  for (int slot = 0; slot < SLOTS; slot++) {
    for (bool hot : {false, true}) {
      for (bool done = false; !done;) {
        auto* tree = dynamic_cast<Tree*>(database.engine().reveal_inner_db());
        if (tree == nullptr) return;
        auto& lists = (tree->*reveal(LeafSlots<Tree>{}))[slot];
        auto on_page = [&](auto* page) { return action(*tree, page); };
        done = work_through(hot ? *lists.hot : *lists.warm, turns, on_page);
        turns.pause();
        turns.resume();
      }
    }
  }
}

template <typename Tree>
void clean(Database& database) {
  for_each_page<Tree>(database, [](Tree& tree, auto* page) {
    if (!page->dirty) return false;
    (tree.*reveal(SaveLeaf<Tree>{}))(page);
    return true;
  });
  Isolation alone(database.gate());
  auto* tree = dynamic_cast<Tree*>(database.engine().reveal_inner_db());
  if (tree != nullptr) (tree->*reveal(CleanInner<Tree>{}))();
}

template <typename Tree>
void drop(Database& database) {
  for_each_page<Tree>(database, [](Tree& tree, auto* page) {
    if (page->dirty) return false;
    (tree.*reveal(FlushLeaf<Tree>{}))(page, false);
    return true;
  });
}

kc::HashDB* file_under(kc::BasicDB* engine) {
  if (auto* tree = dynamic_cast<kc::TreeDB*>(engine)) return &(tree->*reveal(PagesFile{}));
  return dynamic_cast<kc::HashDB*>(engine);
}

// False where it cannot be done.
bool punch_hole(int descriptor, int64_t begin, int64_t length) {
#ifdef FALLOC_FL_PUNCH_HOLE
  return ::fallocate(descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, begin, length) == 0;
#else
  return descriptor < 0 && begin == length;
#endif
}

}  // namespace

void clean_pages(Database& database) {
  if (!database.kind().pages || database.options().read_only) return;
  clean<kc::TreeDB>(database);
  clean<kc::GrassDB>(database);
  clean<kc::ForestDB>(database);
}

void drop_clean_pages(Database& database) {
  if (!database.kind().pages) return;
  drop<kc::TreeDB>(database);
  drop<kc::GrassDB>(database);
  drop<kc::ForestDB>(database);
}

bool defragment_engine(kc::BasicDB* engine, int64_t steps) {
  if (auto* hash = dynamic_cast<kc::HashDB*>(engine)) return hash->defrag(steps);
  if (auto* tree = dynamic_cast<kc::TreeDB*>(engine)) return tree->defrag(steps);
  return true;
}

bool empty_last_gap(Database& database, Turns& turns) {
  constexpr int64_t NEAR = 1 << 20;
  constexpr int64_t AT_ONCE = 8 << 20;
  constexpr int64_t BLOCK = 4096;
  for (int64_t emptied = 0;; emptied += AT_ONCE) {
    kc::HashDB* file = file_under(database.engine().reveal_inner_db());
    if (file == nullptr) return true;
    auto& gaps = file->*reveal(FreeBlocks{});
    if (gaps.empty()) return false;
    const auto& gap = *gaps.rbegin();
    const int64_t end = gap.off + static_cast<int64_t>(gap.rsiz);
    if (file->size() - end > NEAR) return false;
    const int64_t begin = gap.off / BLOCK * BLOCK + NEAR + emptied;  // room for what still moves in
    if (begin + AT_ONCE > end) return true;
    if (!punch_hole(database.file()->descriptor(), begin, AT_ONCE)) return true;
    turns.pause();
    turns.resume();
  }
}

}  // namespace kt
