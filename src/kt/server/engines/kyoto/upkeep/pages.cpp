// Working on the engine's own structures, alone inside, for a turn at a time.
//
// What a process that is killed in the middle of that leaves is the business of TreeLog.

#include "kyoto/upkeep/pages.h"

#include <fcntl.h>

#include "kyoto/database/internals.h"
#include "kyoto/storage/gaps.h"
#include "kyoto/storage/log_check.h"

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
void for_each_page(Database& database, Pace pace, Action action) {
  constexpr int SLOTS = 16;
  constexpr std::chrono::microseconds REST = 9 * Gate::TURN;
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
        const bool hurry = pace != Pace::GENTLE || database.write_back().awaited();
        if (!done && !hurry) std::this_thread::sleep_for(REST);
        turns.resume();
      }
    }
  }
}

template <typename Tree>
Tree* tree_in(Database& database) {
  return dynamic_cast<Tree*>(database.engine().reveal_inner_db());
}

template <typename Tree>
void clean_in_turns(Database& database, Pace pace) {
  for_each_page<Tree>(database, pace, [](Tree& tree, auto* page) {
    if (!page->dirty) return false;
    (tree.*reveal(SaveLeaf<Tree>{}))(page);
    return true;
  });
}

// What is left; alone inside.
template <typename Tree>
void clean_at_once(Database& database) {
  Tree* tree = tree_in<Tree>(database);
  if (tree == nullptr) return;
  (tree->*reveal(CleanLeaves<Tree>{}))();
  (tree->*reveal(CleanInner<Tree>{}))();
  if (!database.in_transaction() && !database.kind().in_memory) (tree->*reveal(DumpMeta<Tree>{}))();
}

template <typename Tree>
void commit(Database& database) {
  Tree* tree = tree_in<Tree>(database);
  if (tree != nullptr) (tree->*reveal(CommitAll<Tree>{}))();
}

// Everything as one transaction, where every write is one.
void commit_all(Database& database) {
  Isolation alone(database.gate());
  if (database.in_transaction()) return;
  commit<kc::TreeDB>(database);
  commit<kc::ForestDB>(database);
}

template <typename Tree>
void drop(Database& database) {
  for_each_page<Tree>(database, Pace::BRISK, [](Tree& tree, auto* page) {
    if (page->dirty) return false;
    (tree.*reveal(FlushLeaf<Tree>{}))(page, false);
    return true;
  });
}

void clean_remains(Database& database) {
  clean_at_once<kc::TreeDB>(database);
  clean_at_once<kc::GrassDB>(database);
  clean_at_once<kc::ForestDB>(database);
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

Error clean_pages(Database& database, Pace pace) {
  if (!database.kind().pages || database.options().read_only) return succeeded();
  WriteBack::Turn turn(database.write_back());
  PageStore::Attempt attempt(database.pages());
  if (database.options().auto_transaction && !database.kind().in_memory) {
    if (pace == Pace::COMPLETE || database.refuses_writes()) commit_all(database);
  } else {
    clean_in_turns<kc::TreeDB>(database, pace);
    clean_in_turns<kc::GrassDB>(database, pace);
    clean_in_turns<kc::ForestDB>(database, pace);
    Isolation alone(database.gate());
    make_point(database, attempt);
  }
  if (attempt.failed()) return no_room();
  if (!database.in_transaction()) database.pages().recover();
  return succeeded();
}

void clean_rest(Database& database) {
  clean_remains(database);
  database.log().end();
}

void drop_clean_pages(Database& database) {
  if (!database.kind().pages) return;
  drop<kc::TreeDB>(database);
  drop<kc::GrassDB>(database);
  drop<kc::ForestDB>(database);
}

// While pages cannot be written, the log stays as it is, if it does not take what room there is.
void make_point(Database& database, const PageStore::Attempt& attempt) {
  clean_remains(database);
  if (attempt.failed() && database.log().has_room()) return;
  if (!attempt.failed() && !database.in_transaction()) database.pages().recover();
  database.log().end();
  database.log().begin();
}

Error close_some_gaps(Database& database, int64_t steps) {
  kc::HashDB* file = file_under(database.engine().reveal_inner_db());
  if (file == nullptr) return succeeded();
  if (database.in_transaction() || database.log().running()) {
    return move_records(*file, steps, nullptr) ? succeeded() : file->error();
  }
  const bool hard = database.options().auto_synchronize;
  if (!begins(file, [&] { return file->begin_transaction_try(hard); })) return file->error();
  Error error = succeeded();
  {
    LogRoom room(log_of(file->path()));
    if (room.holds(0)) {
      if (!move_records(*file, steps, &room)) error = file->error();
    } else {
      error = Error(Error::SYSTEM, "no room for the log of what moves");
    }
    if (!file->end_transaction(!failed(error)) && !failed(error)) error = file->error();
  }
  cut_tail(*file);
  database.forget_room();
  return error;
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
