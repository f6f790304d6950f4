#include "tokyo/database/scan.h"

#include <utility>

namespace kt::tokyo {

namespace {

using Clock = std::chrono::steady_clock;

// The clock is looked at after so many records, or so many bytes of them.
constexpr int RECORDS_PER_LOOK = 64;
constexpr size_t BYTES_PER_LOOK = 1 << 16;

}  // namespace

Scan::Scan(const std::vector<Store*>& stores, Judge judge, const Bytes* begin, bool values,
           int64_t limit, List* result, Judging judging)
    : stores_(stores),
      judge_(std::move(judge)),
      begin_(begin != nullptr ? *begin : Bytes()),
      has_begin_(begin != nullptr),
      values_(values),
      left_(limit),
      done_(limit == 0),
      result_(result),
      judging_(judging) {}

// Shows the cursor's record to the judge, now or later; false when none of this store's is to follow.
bool Scan::show() {
  const Bytes key = cursor_->key, value = cursor_->value;
  if (!apart()) return judge(key, value);
  copied_.emplace_back(key, value);
  copied_bytes_ += key.size() + value.size();
  return true;
}

// Likewise, a record with a large value, which stays where it is.
bool Scan::show_large() {
  large_.state = Large::SEEN;
  if (!apart()) {
    const Verdict verdict = judge_(cursor_->key, Bytes());
    large_.state = verdict == Verdict::TAKE ? Large::WANTED : Large::NONE;
    if (verdict == Verdict::STOP) return false;
  }
  large_.key.assign(cursor_->key);
  large_.size = cursor_->size;
  return true;
}

bool Scan::outside() {
  for (const auto& [key, value] : copied_) {
    if (done_) break;
    judge(key, value);
  }
  copied_.clear();
  copied_bytes_ = 0;
  if (large_.state == Large::COPIED) {
    judge(large_.key, Bytes(large_.at, large_.size));
    large_ = Large();
  }
  if (done_) return false;
  if (large_.state == Large::SEEN) {
    const bool wanted =
        judging_ == Judging::WHOLE || judge_(large_.key, Bytes()) == Verdict::TAKE;
    large_.state = wanted ? Large::WANTED : Large::PASSED;
  }
  if (large_.state == Large::WANTED) find_memory();
  return true;
}

void Scan::find_memory() {
  if (is_table() || judging_ == Judging::WHOLE) {
    large_.at = large_.apart.extend_with_memory(large_.size);
    return;
  }
  large_.before = result_->frame().size();
  large_.count = result_->count();
  result_->add(large_.key);
  large_.at = result_->place(large_.size);
}

// The large record has become another one.
void Scan::drop_large() {
  const bool placed = large_.at != nullptr && large_.apart.empty();
  if (placed) result_->take_back(large_.before, large_.count);
  large_ = Large();
}

// At the begin of a slice; false when none of this store's is to follow.
bool Scan::go_on_with_large() {
  const bool same = cursor_->key == large_.key;
  if (large_.state == Large::NONE) return true;
  if (large_.state == Large::PASSED && same) {
    large_ = Large();
    return cursor_->next();
  }
  if (!same || large_.at == nullptr || cursor_->size != large_.size || !cursor_->fetch(large_.at)) {
    drop_large();
    return true;
  }
  if (large_.apart.empty()) {
    large_ = Large();
    if (!counted()) return false;
  } else {
    large_.state = Large::COPIED;
  }
  return cursor_->next();
}

bool Scan::judge(Bytes key, Bytes value) {
  switch (judge_(key, value)) {
    case Verdict::PASS: return true;
    case Verdict::STOP: return false;
    case Verdict::TAKE: break;
  }
  result_->add(key);
  if (values_) add_value(value);
  return counted();
}

// One more has been taken; whether another one is wanted.
bool Scan::counted() {
  done_ = --left_ == 0 || result_->too_long();
  return !done_;
}

void Scan::add_value(Bytes value) {
  if (!is_table()) return result_->add(value);
  const Block row = Store::row(value);
  result_->add(row.bytes());
}

// Goes on in the present store; false when its end is reached.
bool Scan::slice_store(bool whole) {
  const auto end = Clock::now() + SLICE_TIME;
  int records = 0;
  size_t bytes = 0, looked_at = 0;
  bool here = cursor_->open();
  if (here) here = go_on_with_large();
  if (!here && large_.state == Large::WANTED) drop_large();
  while (here && large_.state == Large::NONE) {
    const bool judged = written_.empty() || written_.count(std::string(cursor_->key)) == 0;
    bytes += cursor_->key.size() + cursor_->value.size();
    if (judged && !(values_ && cursor_->size > LARGE ? show_large() : show())) break;
    if (large_.state != Large::NONE) continue;
    here = cursor_->next();
    if (!here || (++records < RECORDS_PER_LOOK && bytes - looked_at < BYTES_PER_LOOK)) continue;
    records = 0;
    looked_at = bytes;
    if (copied_bytes_ >= COPIED_AT_ONCE || (whole ? bytes > LARGE : Clock::now() >= end)) {
      cursor_->close();
      return true;
    }
  }
  cursor_->close();
  return here && large_.state != Large::NONE;
}

bool Scan::slice() {
  if (done_ || store_ >= stores_.size()) return false;
  const Bytes begin(begin_);
  if (!cursor_) cursor_ = stores_[store_]->cursor(has_begin_ ? &begin : nullptr, values_);
  if (slice_store(false)) return true;
  cursor_.reset();
  if (!done_) store_++;
  return !done_ && store_ < stores_.size();
}

bool Scan::whole() {
  for (; !done_ && store_ < stores_.size(); store_++) {
    const Bytes begin(begin_);
    cursor_ = stores_[store_]->cursor(has_begin_ ? &begin : nullptr, values_);
    if (slice_store(true) || result_->frame().size() > LARGE) return false;
  }
  return true;
}

void Scan::written(Bytes key) {
  if (stores_[0]->ordered()) return;
  if (cursor_ && cursor_->place() == key) cursor_->skip();
  written_.emplace(key);
}

void Scan::vanished() {
  drop_large();
  cursor_.reset();
  store_ = stores_.size();
}

void Scan::settle(Gate& gate, const std::function<Store&(Bytes)>& find) {
  for (size_t at = List::HEADER; !written_.empty() && !result_->is_end(at);) {
    written_.erase(std::string(result_->next(&at)));
    if (values_) result_->next(&at);
  }
  store_ = 0;
  for (const std::string& key : written_) {
    if (done_) break;
    settle_one(gate, key, find);
  }
}

void Scan::settle_one(Gate& gate, const std::string& key,
                      const std::function<Store&(Bytes)>& find) {
  Buffer large;
  char* at = nullptr;
  for (size_t room = 0;;) {
    Block stored;
    {
      Gate::Slice slice(gate);
      Store& store = find(key);
      const int size = store.stored_size(key);
      if (size < 0) return;
      const bool same = at != nullptr && static_cast<size_t>(size) == room;
      if (same && store.stored_into(key, at, room) == size) break;
      room = values_ ? static_cast<size_t>(size) : 0;
      if (values_ && room <= LARGE) stored = store.stored(key);
    }
    if (room <= LARGE) {
      judge(key, stored ? stored.bytes() : Bytes());
      return;
    }
    large.clear();
    at = large.extend_with_memory(room);
  }
  judge(key, Bytes(large.data(), large.size()));
}

}  // namespace kt::tokyo
