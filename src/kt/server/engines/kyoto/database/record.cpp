// Takes expiry and value apart on the way to a RecordVisitor, and puts them together on the way back.

#include "kyoto/database/record.h"

#include "kyoto/database/database.h"

namespace kt {

thread_local bool hurries = false;
const char* const NO_ROOM = "no room for the record";
const char* const TOO_LARGE = "the value is too large for a thread in a hurry";

// No exception may leave a visitor: the engine would never unlock the record.

const char* RecordVisitor::visit_full(const char* key, size_t key_size, const char* value,
                                      size_t value_size, size_t* size) {
  before_ = Bytes(value, value_size);
  existed_ = true;
  try {
    return visit(Bytes(key, key_size), value, value_size, size);
  } catch (const std::bad_alloc&) {
    failure_ = "out of memory";
    return NOP;
  }
}

const char* RecordVisitor::visit_empty(const char* key, size_t key_size, size_t* size) {
  existed_ = false;
  try {
    Bytes name(key, key_size);
    return apply(name, on_absence(name), size);
  } catch (const std::bad_alloc&) {
    failure_ = "out of memory";
    return NOP;
  }
}

const char* RecordVisitor::visit(Bytes key, const char* value, size_t value_size, size_t* size) {
  if (!terms_.timed) return apply(key, on_record(key, Bytes(value, value_size), XT_MAX), size);
  int64_t xt = value_size < XT_WIDTH ? -1 : load_expiry(value);
  if (terms_.now <= xt) {
    Bytes bare(value + XT_WIDTH, value_size - XT_WIDTH);
    return apply(key, on_record(key, bare, xt), size);
  }
  if (!skips_expired_) return apply(key, on_absence(key), size);
  passed_expired_ = true;
  return NOP;
}

const char* RecordVisitor::apply(Bytes key, const Change& change, size_t* size) {
  if (change.kind == Change::KEEP) return NOP;
  terms_.database->note_changed();
  Journal& journal = terms_.database->journal();
  if (change.kind == Change::REMOVE) {
    terms_.database->note_old(key, existed_ ? &before_ : nullptr);
    journal.removed(key);
    told_ = true;
    return REMOVE;
  }
  const size_t value_size = change.value.size() + change.tail.size();
  if (!terms_.database->has_room(2 * (key.size() + value_size))) {
    failure_ = NO_ROOM;
    return NOP;
  }
  int64_t xt = XT_MAX;
  stored_.truncate(0);
  if (terms_.timed) {
    xt = absolute_expiry(change.xt, terms_.now);
    store_expiry(stored_.extend(XT_WIDTH), xt);
  }
  stored_.append(change.value.data(), change.value.size());
  stored_.append(change.tail.data(), change.tail.size());
  terms_.database->note_old(key, existed_ ? &before_ : nullptr);
  journal.stored(key, Bytes(stored_.data(), stored_.size()));
  told_ = true;
  terms_.database->note_stored(key, xt, terms_.now);
  *size = stored_.size();
  return stored_.empty() ? "" : stored_.data();
}

}  // namespace kt
