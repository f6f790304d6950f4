// See sweeper.h for the idea.

#include "kyoto/upkeep/sweeper.h"

#include <algorithm>

#include "kyoto/database/cursor.h"
#include "kyoto/upkeep/maintenance.h"

namespace kt {

namespace {

constexpr int64_t END_OF_TIME = INT64_MAX;

void lower(std::atomic<int64_t>& least, int64_t value) {
  int64_t known = least;
  while (value < known && !least.compare_exchange_weak(known, value)) continue;
}

// Removes what has expired, and finds what will expire first.
class Broom final : public kc::BasicDB::Visitor {
 public:
  Broom(int64_t now, std::atomic<int64_t>& next) : now_(now), next_(next) {}

  bool removed = false;

 private:
  const char* visit_full(const char*, size_t, const char* value, size_t size, size_t*) override {
    if (size < XT_WIDTH) return NOP;
    int64_t xt = load_expiry(value);
    if (xt < now_) {
      removed = true;
      return REMOVE;
    }
    if (xt < XT_MAX) lower(next_, xt);
    return NOP;
  }

  const int64_t now_;
  std::atomic<int64_t>& next_;
};

}  // namespace

Sweeper::Sweeper() : due_(END_OF_TIME), next_(END_OF_TIME) {}

Sweeper::~Sweeper() = default;

void Sweeper::start(int64_t capacity_count, int64_t capacity_size, bool suspicious) {
  capacity_count_ = capacity_count;
  capacity_size_ = capacity_size;
  limited_ = capacity_count > 0 || capacity_size > 0;
  if (suspicious) due_ = 0;
  enabled_ = true;
}

// First `next_`: a round that ends between the two lines must not lose the expiry.
void Sweeper::expect(int64_t xt, int64_t now) {
  const int64_t when = std::max(xt, now + 1);
  lower(next_, when);
  lower(due_, when);
}

bool Sweeper::sweep(Database& database, int64_t steps, int64_t writes) {
  if (!enabled_) return false;
  std::unique_lock<std::mutex> lock(busy_, std::try_to_lock);
  if (!lock) return true;
  if (!cursor_) cursor_ = std::make_unique<Cursor>(database);
  bool more = limited_ && shrink(database, steps, writes);
  int64_t now = database.terms().now;
  if (due_ < now) more |= expire(database, now, steps);
  return more;
}

void Sweeper::sweep_all(Database& database) {
  if (!enabled_) return;
  std::lock_guard<std::mutex> lock(busy_);
  if (!cursor_) cursor_ = std::make_unique<Cursor>(database);
  in_round_ = false;
  do {
    expire(database, database.terms().now, 256);
    database.gate().give_way();
  } while (in_round_);
}

void Sweeper::stop() {
  enabled_ = false;
  std::lock_guard<std::mutex> lock(busy_);
  cursor_.reset();
}

bool Sweeper::expire(Database& database, int64_t now, int64_t steps) {
  Broom broom(now, next_);
  Entry entry(database);
  kc::BasicDB::Cursor* cursor = cursor_->engine_cursor();
  if (cursor == nullptr) return false;
  if (!in_round_ || epoch_ != database.epoch()) {
    epoch_ = database.epoch();
    in_round_ = cursor->jump();
  }
  for (int64_t i = 0; in_round_ && i < steps; i++) in_round_ = cursor->accept(&broom, true, true);
  if (broom.removed) database.note_changed();
  if (!in_round_ && epoch_ == database.epoch()) finish_round();
  return due_ < now;
}

void Sweeper::finish_round() {
  due_ = next_.exchange(END_OF_TIME);
  lower(due_, next_);
}

// Makes room: the records under the cursor go, whichever they are.
bool Sweeper::shrink(Database& database, int64_t steps, int64_t writes) {
  int64_t left;
  {
    Entry entry(database);
    left = surplus(database, writes);
    kc::BasicDB::Cursor* cursor = cursor_->engine_cursor();
    if (left <= 0 || cursor == nullptr) return false;
    database.note_changed();
    for (int64_t i = std::min(left, steps); i > 0; i--) {
      if (!cursor->remove() && !(cursor->jump() && cursor->remove())) return false;
    }
  }
  defragment(database, steps);
  return left > steps;
}

// How many records are too many. The size of a file lags behind: it shrinks when its gaps have been
// closed, so nothing is removed before, and never more records than have been written.
int64_t Sweeper::surplus(Database& database, int64_t writes) const {
  kc::PolyDB& engine = database.engine();
  const int64_t count = engine.count();
  if (capacity_count_ > 0 && count > capacity_count_) return count - capacity_count_;
  const int64_t size = engine.size();
  if (capacity_size_ <= 0 || size <= capacity_size_ || count == 0) return 0;
  const int64_t too_many = (size - capacity_size_) / (size / count) + 1;
  if (database.kind().in_memory) return too_many;
  return has_gaps(database) ? 0 : std::min(too_many, writes);
}

}  // namespace kt
