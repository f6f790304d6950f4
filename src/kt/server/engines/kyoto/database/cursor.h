// A place in a database.
//
// The engine moves it on when its record is removed. Clearing the database, and aborting a
// transaction, leave it nowhere: it must jump again. Expired records are stepped over, except by a
// jump, which may land on one.

#ifndef KT_KYOTO_CURSOR_H
#define KT_KYOTO_CURSOR_H

#include <functional>
#include <list>
#include <memory>
#include <string>

#include "kyoto/database/database.h"

namespace kt {

// The engine's part of a cursor. The engine looks for a cursor that goes through the list of all.
// With many of them, as when many connections end at once, that takes for ever; so each remembers
// its place in that list, too, and leaves it without the engine's help.
class EngineCursor {
 public:
  EngineCursor() = default;
  EngineCursor(EngineCursor&&) = default;
  EngineCursor& operator=(EngineCursor&&) = default;

  // The engine's newest cursor.
  explicit EngineCursor(kc::BasicDB* engine);

  // Alone inside, as long as the engine is there.
  void close();

  kc::BasicDB::Cursor* get() const { return cursor_.get(); }
  kc::BasicDB::Cursor& operator*() const { return *cursor_; }
  kc::BasicDB::Cursor* operator->() const { return cursor_.get(); }
  explicit operator bool() const { return cursor_ != nullptr; }

 private:
  std::unique_ptr<kc::BasicDB::Cursor> cursor_;
  std::function<void()> unlink_;  // from the engine's list
};

class Cursor {
 public:
  explicit Cursor(Database& database);
  ~Cursor();
  Cursor(const Cursor&) = delete;
  Cursor& operator=(const Cursor&) = delete;

  // To a key (in a hash database: exactly this key) or, without one, to the beginning or the end.
  Error jump(const std::optional<Bytes>& key);
  Error jump_back(const std::optional<Bytes>& key);
  Error step();
  Error step_back();

  // Visit the record here, or the next one that has not expired, in the direction of the last
  // movement; then step on, forwards, if `step`.
  Error accept(RecordVisitor& visitor, bool writable, bool step);

  Error get(std::string* key, std::string* value, int64_t* xt, bool step);
  Error set_value(Bytes value, int64_t xt, bool step);
  Error remove();
  Error seize(std::string* key, std::string* value, int64_t* xt);

  // --- For the database, alone inside, with the lock of its cursors.
  void attach();
  void detach() { engine_cursor_.close(); }

  // --- For the parts of the engine, with an Entry; null when the database is closed.
  kc::BasicDB::Cursor* engine_cursor() { return engine_cursor_.get(); }

 private:
  template <typename Movement>
  Error move(bool back, Movement movement);
  Error go_through(RecordVisitor& visitor, bool writable, bool step);
  Error refused(const RecordVisitor& visitor);

  Database& database_;
  std::list<Cursor*>::iterator place_;  // in the database's list
  EngineCursor engine_cursor_;
  bool back_ = false;
};

}  // namespace kt

#endif
