// Movements are the engine's; what is added is expiry, and leaving the gate now and then.

#include "kyoto/database/cursor.h"

#include "kyoto/database/callbacks.h"
#include "kyoto/database/internals.h"

namespace kt {

namespace {

// Copies the record, and removes it if told so.
class Reader final : public RecordVisitor {
 public:
  Reader(std::string* key, std::string* value, int64_t* xt, bool removes)
      : RecordVisitor(true), key_(key), value_(value), xt_(xt), removes_(removes) {}

  std::string left;  // the key of a record whose value it leaves

 private:
  Change on_record(Bytes key, Bytes value, int64_t xt) override {
    if (value_ != nullptr && leaves(value.size())) {
      left = key;
      return Change::keep();
    }
    if (key_ != nullptr) key_->assign(key);
    if (value_ != nullptr) value_->assign(value);
    if (xt_ != nullptr) *xt_ = xt;
    return removes_ ? Change::remove() : Change::keep();
  }

  std::string* const key_;
  std::string* const value_;
  int64_t* const xt_;
  const bool removes_;
};

class Setter final : public RecordVisitor {
 public:
  Setter(Bytes value, int64_t xt) : RecordVisitor(true), value_(value), xt_(xt) {}

 private:
  Change on_record(Bytes, Bytes, int64_t) override { return Change::store(value_, xt_); }

  const Bytes value_;
  const int64_t xt_;
};

// How the engine's newest cursor leaves its list; nothing if the engine is of another type.
template <typename Engine>
std::function<void()> unlinking_from(kc::BasicDB* engine, kc::BasicDB::Cursor* cursor) {
  auto* owner = dynamic_cast<Engine*>(engine);
  if (owner == nullptr) return {};
  auto& list = owner->*reveal(CursorsOf<Engine>{});
  auto* own = static_cast<typename Engine::Cursor*>(cursor);
  return [&list, own, place = std::prev(list.end())] {
    if constexpr (has_pages<Engine>) {
      if (own->*reveal(CursorKey<Engine>{}) != nullptr) (own->*reveal(ForgetPlace<Engine>{}))();
    }
    list.erase(place);
    own->*reveal(CursorHome<Engine>{}) = nullptr;  // so that it does not look for itself
  };
}

template <typename... Engines>
std::function<void()> unlinking_from_any(kc::BasicDB* engine, kc::BasicDB::Cursor* cursor) {
  std::function<void()> found;
  ((found = found ? std::move(found) : unlinking_from<Engines>(engine, cursor)), ...);
  return found;
}

std::function<void()> unlinking(kc::BasicDB* engine, kc::BasicDB::Cursor* cursor) {
  return unlinking_from_any<kc::ProtoHashDB, kc::ProtoTreeDB, kc::StashDB, kc::CacheDB, kc::GrassDB,
                            kc::HashDB, kc::TreeDB, kc::DirDB, kc::ForestDB>(engine, cursor);
}

}  // namespace

EngineCursor::EngineCursor(kc::BasicDB* engine)
    : cursor_(engine->cursor()), unlink_(unlinking(engine, cursor_.get())) {}

void EngineCursor::close() {
  if (unlink_) unlink_();
  unlink_ = nullptr;
  cursor_.reset();
}

Cursor::Cursor(Database& database) : database_(database) {
  Entry entry(database_);
  std::lock_guard<std::mutex> lock(database_.cursors_lock_);
  attach();
  place_ = database_.cursors_.insert(database_.cursors_.end(), this);
}

// Inside of a visitor, where the garbage collector may come by, nobody can be alone: the next one
// that goes does it.
Cursor::~Cursor() {
  const bool inside = Callback::running(&database_);
  std::optional<Isolation> alone;
  if (!inside) alone.emplace(database_.gate_);
  std::lock_guard<std::mutex> lock(database_.cursors_lock_);
  database_.cursors_.erase(place_);
  if (inside) {
    database_.left_cursors_.push_back(std::move(engine_cursor_));
  } else {
    database_.close_left_cursors();
    detach();
  }
}

void Cursor::attach() {
  kc::BasicDB* engine = database_.engine_->reveal_inner_db();
  if (engine != nullptr) engine_cursor_ = EngineCursor(engine);
}

template <typename Movement>
Error Cursor::move(bool back, Movement movement) {
  Entry entry(database_);
  if (!engine_cursor_) return not_open();
  if (!movement(*engine_cursor_)) return entry.engine().error();
  back_ = back;
  return succeeded();
}

Error Cursor::jump(const std::optional<Bytes>& key) {
  return move(false, [&](kc::BasicDB::Cursor& cursor) {
    return key ? cursor.jump(key->data(), key->size()) : cursor.jump();
  });
}

Error Cursor::jump_back(const std::optional<Bytes>& key) {
  return move(true, [&](kc::BasicDB::Cursor& cursor) {
    return key ? cursor.jump_back(key->data(), key->size()) : cursor.jump_back();
  });
}

Error Cursor::step() {
  return move(false, [](kc::BasicDB::Cursor& cursor) { return cursor.step(); });
}

Error Cursor::step_back() {
  return move(true, [](kc::BasicDB::Cursor& cursor) { return cursor.step_back(); });
}

Error Cursor::accept(RecordVisitor& visitor, bool writable, bool step) {
  Journal& journal = database_.journal();
  if (!writable) return go_through(visitor, writable, step);
  Error error = journal.admit();
  if (!failed(error)) error = go_through(visitor, writable, step);
  return failed(error) ? error : journal.settle();
}

Error Cursor::go_through(RecordVisitor& visitor, bool writable, bool step) {
  constexpr int WHILE_INSIDE = 256;
  for (;;) {
    Entry entry(database_);
    if (!engine_cursor_) return not_open();
    if (writable && database_.refuses_writes()) return no_room();
    for (int i = 0; i < WHILE_INSIDE; i++) {
      visitor.begin(database_.terms());
      if (!engine_cursor_->accept(&visitor, writable, step)) return refused(visitor);
      if (visitor.failure() != nullptr) return failure_of(visitor);
      if (writable && database_.refuses_writes()) return no_room();
      if (!visitor.passed_expired()) return succeeded();
      bool moved = step || (back_ ? engine_cursor_->step_back() : engine_cursor_->step());
      if (!moved) return entry.engine().error();
    }
  }
}

// Why the engine has failed to do what the visitor wanted.
Error Cursor::refused(const RecordVisitor& visitor) {
  const Error error = database_.engine().error();
  if (!visitor.told()) return error;
  size_t size;
  const std::unique_ptr<char[]> key(engine_cursor_->get_key(&size, false));
  if (key) database_.journal().correct(database_.engine(), Bytes(key.get(), size));
  return error;
}

Error Cursor::get(std::string* key, std::string* value, int64_t* xt, bool step) {
  Reader reader(key, value, xt, false);
  const Error error = accept(reader, false, step);
  if (step && reader.failure() == TOO_LARGE) {  // it has stepped all the same
    Entry entry(database_);
    if (engine_cursor_) engine_cursor_->jump(reader.left.data(), reader.left.size());
  }
  return error;
}

Error Cursor::set_value(Bytes value, int64_t xt, bool step) {
  Setter setter(value, xt);
  return accept(setter, true, step);
}

Error Cursor::remove() {
  Reader remover(nullptr, nullptr, nullptr, true);
  return accept(remover, true, false);
}

Error Cursor::seize(std::string* key, std::string* value, int64_t* xt) {
  Reader reader(key, value, xt, true);
  return accept(reader, true, false);
}

}  // namespace kt
