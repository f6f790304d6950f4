#include "kyoto/upkeep/tree_log.h"

#include "kyoto/database/database.h"
#include "kyoto/database/internals.h"
#include "kyoto/storage/gaps.h"

namespace kt {

namespace {

// With less room on the disk, what there is belongs to records.
constexpr int64_t ENOUGH = 256 << 20;

kc::BasicDB* pages_under(kc::BasicDB* engine) {
  if (auto* tree = dynamic_cast<kc::TreeDB*>(engine)) return &(tree->*reveal(PagesFile{}));
  if (auto* forest = dynamic_cast<kc::ForestDB*>(engine)) return &(forest->*reveal(PagesDirectory{}));
  return nullptr;
}

}  // namespace

bool TreeLog::has_room() const { return database_.pages().free_space() >= ENOUGH; }

bool TreeLog::wanted() const {
  const Kind& kind = database_.kind();
  const OpenOptions& options = database_.options();
  return kind.pages && !kind.in_memory && !options.read_only && !options.auto_transaction &&
         database_.is_open() && !database_.in_transaction() && !database_.refuses_writes() &&
         has_room();
}

void TreeLog::begin() {
  if (running_ || !wanted()) return;
  kc::BasicDB* engine = database_.engine().reveal_inner_db();
  running_ = begins(file_under(engine), [&] { return pages_under(engine)->begin_transaction_try(false); });
}

void TreeLog::end() {
  if (!running_) return;
  kc::BasicDB* engine = database_.engine().reveal_inner_db();
  running_ = false;
  if (!pages_under(engine)->end_transaction(true)) database_.pages().fail();
  if (kc::HashDB* file = file_under(engine)) cut_tail(*file);
}

}  // namespace kt
