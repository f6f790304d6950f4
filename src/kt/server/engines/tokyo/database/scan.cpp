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
           int64_t limit, List* result, bool apart)
    : stores_(stores),
      judge_(std::move(judge)),
      begin_(begin != nullptr ? *begin : Bytes()),
      has_begin_(begin != nullptr),
      values_(values),
      left_(limit),
      done_(limit == 0),
      result_(result),
      apart_(apart) {}

// Shows a record to the judge, now or later; false when none of this store's is to follow.
bool Scan::show(Bytes key, Bytes value) {
  if (!apart_) return judge(key, value);
  copied_.emplace_back(key, value);
  copied_bytes_ += key.size() + value.size();
  return true;
}

bool Scan::judge_apart() {
  for (const auto& [key, value] : copied_) {
    if (done_) break;
    judge(key, value);
  }
  copied_.clear();
  copied_bytes_ = 0;
  return !done_;
}

bool Scan::judge(Bytes key, Bytes value) {
  switch (judge_(key, value)) {
    case Verdict::PASS: return true;
    case Verdict::STOP: return false;
    case Verdict::TAKE: break;
  }
  result_->add(key);
  if (values_) add_value(value);
  done_ = --left_ == 0 || result_->too_long();
  return !done_;
}

void Scan::add_value(Bytes value) {
  if (stores_[0]->type() != Store::Type::TABLE) return result_->add(value);
  const Block row = Store::row(value);
  result_->add(row.bytes());
}

// Goes on in the present store; false when its end is reached.
bool Scan::slice_store(bool whole) {
  const auto end = Clock::now() + SLICE_TIME;
  int records = 0;
  size_t bytes = 0;
  if (!cursor_->open()) return false;
  do {
    const Bytes key = cursor_->key, value = cursor_->value;
    const bool judged = written_.empty() || written_.count(std::string(key)) == 0;
    bytes += key.size() + value.size();
    if ((judged && !show(key, value)) || !cursor_->next()) break;
    if (++records < RECORDS_PER_LOOK && bytes < BYTES_PER_LOOK) continue;
    records = 0;
    bytes = 0;
    if ((!whole && Clock::now() >= end) || copied_bytes_ >= COPIED_AT_ONCE) {
      cursor_->close();
      return true;
    }
  } while (true);
  cursor_->close();
  return false;
}

bool Scan::slice(bool whole) {
  while (!done_ && store_ < stores_.size()) {
    const Bytes begin(begin_);
    if (!cursor_) cursor_ = stores_[store_]->cursor(has_begin_ ? &begin : nullptr, values_);
    if (slice_store(whole)) return true;
    cursor_.reset();
    if (!done_) store_++;
    if (!whole) break;
  }
  return !done_ && store_ < stores_.size();
}

void Scan::written(Bytes key) {
  if (stores_[0]->ordered()) return;
  if (cursor_ && cursor_->place() == key) cursor_->skip();
  written_.emplace(key);
}

void Scan::vanished() {
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
    Block stored;
    {
      Gate::Slice slice(gate);
      stored = find(key).stored(key);
    }
    if (stored) judge(key, stored.bytes());
  }
}

}  // namespace kt::tokyo
