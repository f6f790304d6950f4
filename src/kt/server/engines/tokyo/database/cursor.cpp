#include "tokyo/database/cursor.h"

#include <tcbdb.h>
#include <tcfdb.h>
#include <tchdb.h>

#include <algorithm>
#include <cstdlib>

namespace kt::tokyo {

namespace {

struct Free {
  void operator()(void* region) const { std::free(region); }
};

// An extensible string of the library's.
class Extensible {
 public:
  Extensible() : string_(tcxstrnew()) {}
  ~Extensible() { tcxstrdel(string_); }
  Extensible(const Extensible&) = delete;
  Extensible& operator=(const Extensible&) = delete;

  TCXSTR* get() { return string_; }
  Bytes bytes() const {
    return Bytes(static_cast<const char*>(tcxstrptr(string_)),
                 static_cast<size_t>(tcxstrsize(string_)));
  }

 private:
  TCXSTR* string_;
};

// How many maps an in-memory hash database is made of. The library does not tell, but its iterator
// ends at the last one.
int map_count() {
  static const int count = [] {
    TCMDB* probe = tcmdbnew2(1);
    int size;
    tcmdbiterinit(probe);
    std::free(tcmdbiternext(probe, &size));
    const int last = probe->iter;
    tcmdbdel(probe);
    return last + 1;
  }();
  return count;
}

class MemoryHashCursor : public Cursor {
 public:
  MemoryHashCursor(TCMDB* database, bool values) : database_(database), values_(values) {}

  bool open() override {
    if (ended_) return false;
    TCMAP* map = borrow();
    tcmapiterinit(map);
    // A record that is gone was the oldest one, given up for lack of room: those after it are next.
    if (started_) tcmapiterinit2(map, place_.data(), static_cast<int>(place_.size()));
    started_ = true;
    return next();
  }

  bool next() override {
    for (;;) {
      TCMAP* map = database_->maps[map_];
      int size;
      if (const void* found = tcmapiternext(map, &size)) {
        show(found, size);
        return true;
      }
      map->cur = shared_;
      if (map_ + 1 == map_count()) break;
      map_++;
      tcmapiterinit(borrow());
    }
    ended_ = true;
    return false;
  }

  void close() override {
    if (ended_) return;
    place_.assign(key);
    database_->maps[map_]->cur = shared_;
  }

 private:
  TCMAP* borrow() {
    TCMAP* map = database_->maps[map_];
    shared_ = map->cur;
    return map;
  }

  void show(const void* found, int size) {
    key = Bytes(static_cast<const char*>(found), static_cast<size_t>(size));
    if (!values_) return;
    const void* bytes = tcmapiterval(found, &size);
    show_value(bytes, size);
  }

  TCMDB* database_;
  const bool values_;
  int map_ = 0;
  TCMAPREC* shared_ = nullptr;  // where the clients' iterator is in this map
};

class MemoryTreeCursor : public Cursor {
 public:
  MemoryTreeCursor(TCNDB* database, const Bytes* begin, bool values)
      : tree_(database->tree), values_(values) {
    if (begin != nullptr) place_.assign(*begin);
  }

  bool open() override {
    if (ended_) return false;
    shared_ = tree_->cur;
    tree_->cur = nullptr;
    int size;
    // Looking a key up brings it, or its neighbour, to the root: `iterinit` does not, and in a tree
    // that was filled in order it would walk through all records.
    tctreeget(tree_, place_.data(), static_cast<int>(place_.size()), &size);
    tctreeiterinit2(tree_, place_.data(), static_cast<int>(place_.size()));
    return next();
  }

  bool next() override {
    int size;
    const void* found = tctreeiternext(tree_, &size);
    if (found == nullptr) {
      tree_->cur = shared_;
      ended_ = true;
      return false;
    }
    key = Bytes(static_cast<const char*>(found), static_cast<size_t>(size));
    if (values_) {
      const void* bytes = tctreeiterval(found, &size);
      show_value(bytes, size);
    }
    return true;
  }

  void close() override {
    if (ended_) return;
    place_.assign(key);
    tree_->cur = shared_;
  }

 private:
  TCTREE* tree_;
  const bool values_;
  TCTREEREC* shared_ = nullptr;
};

class HashCursor : public Cursor {
 public:
  HashCursor(TCHDB* database, bool values) : database_(database), values_(values) {}

  bool open() override {
    if (ended_) return false;
    shared_ = database_->iter;
    const bool found =
        started_ ? tchdbiterinit2(database_, place_.data(), static_cast<int>(place_.size()))
                 : tchdbiterinit(database_);
    started_ = true;
    return found ? next() : end();
  }

  bool next() override {
    if ((!values_ || may_be_large()) && next_key()) return true;
    if (ended_ || !tchdbiternext3(database_, key_.get(), value_.get())) return end();
    key = key_.bytes();
    value = value_.bytes();
    size = value.size();
    return true;
  }

  bool fetch(char* at) override {
    if (database_->zmode == 0) {
      return tchdbget3(database_, key.data(), static_cast<int>(key.size()), at,
                       static_cast<int>(size)) == static_cast<int>(size);
    }
    int found;
    const std::unique_ptr<void, Free> whole(
        tchdbget(database_, key.data(), static_cast<int>(key.size()), &found));
    if (!whole || static_cast<size_t>(found) != size) return false;
    std::memcpy(at, whole.get(), size);
    return true;
  }

  void close() override {
    if (ended_) return;
    place_.assign(key);
    database_->iter = shared_;
  }

 private:
  bool end() {
    database_->iter = shared_;
    ended_ = true;
    return false;
  }

  // Goes on if no value is wanted, or a large one; there may be free blocks before the record.
  bool next_key() {
    const uint64_t begin = database_->iter;
    int length;
    found_.reset(tchdbiternext(database_, &length));
    if (!found_) return end();
    key = Bytes(static_cast<const char*>(found_.get()), static_cast<size_t>(length));
    if (!values_) return true;
    value = Bytes();
    if (database_->iter - begin > LARGE) {
      size = static_cast<size_t>(std::max(tchdbvsiz(database_, key.data(), length), 0));
      if (size > LARGE) return true;
    }
    database_->iter = begin;
    return false;
  }

  // What the head of the next record says, where that is quick to see (see hash_file.h).
  bool may_be_large() const {
    constexpr uint64_t LONGEST = 32, MAGIC_AND_HASH = 2, PADDING = 2;
    constexpr unsigned char RECORD = 0xC8;
    const uint64_t end = database_->iter + LONGEST;
    if (end > database_->xmsiz || end > database_->fsiz) return true;
    const auto* at = reinterpret_cast<const signed char*>(database_->map) + database_->iter;
    if (static_cast<unsigned char>(*at) != RECORD) return true;
    const size_t links = database_->opts & HDBTLARGE ? 2 * sizeof(uint64_t) : 2 * sizeof(uint32_t);
    at += MAGIC_AND_HASH + links + PADDING;
    while (*at++ < 0) continue;
    size_t size = 0;
    for (int shift = 0; shift < 35; shift += 7) {
      const int bits = *at < 0 ? ~*at : *at;
      size += static_cast<size_t>(bits) << shift;
      if (*at++ >= 0) break;
    }
    return size > LARGE;
  }

  TCHDB* database_;
  const bool values_;
  uint64_t shared_ = 0;
  Extensible key_, value_;
  std::unique_ptr<void, Free> found_;
};

// A key of a B+ tree may have several records, so the place is a key and how many of its records
// have been shown.
class TreeCursor : public Cursor {
 public:
  TreeCursor(TCBDB* database, const Bytes* begin, bool values)
      : database_(database), values_(values) {
    if (begin != nullptr) place_.assign(*begin);
    started_ = begin != nullptr;
  }

  bool open() override {
    if (ended_) return false;
    cursor_.reset(tcbdbcurnew(database_));
    const bool found =
        started_ ? tcbdbcurjump(cursor_.get(), place_.data(), static_cast<int>(place_.size()))
                 : tcbdbcurfirst(cursor_.get());
    started_ = true;
    if (!found || !show()) return end();
    uint32_t shown = key == place_ ? shown_ : 0;
    place_.assign(key);
    shown_ = 0;
    for (; shown > 0; shown = shown_ > 0 ? shown - 1 : 0) {
      if (!next()) return false;
    }
    return true;
  }

  bool next() override {
    if (!tcbdbcurnext(cursor_.get()) || !show()) return end();
    if (key == place_) {
      shown_++;
    } else {
      place_.assign(key);
      shown_ = 0;
    }
    return true;
  }

  void close() override { cursor_.reset(); }

 private:
  struct Delete {
    void operator()(BDBCUR* cursor) const { tcbdbcurdel(cursor); }
  };

  bool show() {
    int length;
    const void* found = tcbdbcurkey3(cursor_.get(), &length);
    if (found == nullptr) return false;
    key = Bytes(static_cast<const char*>(found), static_cast<size_t>(length));
    if (!values_) return true;
    found = tcbdbcurval3(cursor_.get(), &length);
    if (found == nullptr) return false;
    show_value(found, length);
    return true;
  }

  bool end() {
    ended_ = true;
    return false;
  }

  TCBDB* database_;
  const bool values_;
  std::unique_ptr<BDBCUR, Delete> cursor_;
  uint32_t shown_ = 0;  // records of the place's key before the one that is here
};

// Keys are decimal numbers, from 1 on. As in the original, a scan with values (`range`, `regex`)
// moves the clients' iterator, and one that begins at an impossible number goes on from there.
class FixedCursor : public Cursor {
 public:
  FixedCursor(TCFDB* database, const Bytes* begin, bool values)
      : database_(database), values_(values) {
    started_ = begin != nullptr;
    if (started_) id_ = tcfdbkeytoid(begin->data(), static_cast<int>(begin->size()));
    if (values) value_.resize(std::min(static_cast<size_t>(database->width), LARGE + 1));
  }

  bool open() override {
    if (ended_) return false;
    shared_ = database_->iter;
    if (started_) {
      tcfdbiterinit2(database_, id_);
    } else {
      tcfdbiterinit(database_);
    }
    started_ = true;
    return next();
  }

  bool next() override {
    while ((id_ = static_cast<int64_t>(tcfdbiternext(database_))) > 0) {
      text_ = std::to_string(id_);
      key = text_;
      if (!values_) return true;
      const int found = tcfdbget4(database_, id_, value_.data(), static_cast<int>(value_.size()));
      if (found < 0) continue;  // the clients' iterator may stand at a record that is gone
      size = static_cast<size_t>(found);
      value = Bytes(value_.data(), size);
      if (size <= LARGE) return true;
      size = static_cast<size_t>(tcfdbvsiz(database_, id_));
      value = Bytes();
      return true;
    }
    close();
    ended_ = true;
    return false;
  }

  void close() override {
    if (!values_ && !ended_) database_->iter = shared_;
  }

  bool fetch(char* at) override {
    const int room = static_cast<int>(size);
    return tcfdbget4(database_, id_, at, room) == room;
  }

 private:
  TCFDB* database_;
  const bool values_;
  int64_t id_ = 0;
  uint64_t shared_ = 0;
  std::string text_, value_;
};

}  // namespace

std::unique_ptr<Cursor> memory_hash_cursor(TCMDB* database, bool values) {
  return std::make_unique<MemoryHashCursor>(database, values);
}

std::unique_ptr<Cursor> memory_tree_cursor(TCNDB* database, const Bytes* begin, bool values) {
  return std::make_unique<MemoryTreeCursor>(database, begin, values);
}

std::unique_ptr<Cursor> hash_cursor(TCHDB* database, bool values) {
  return std::make_unique<HashCursor>(database, values);
}

std::unique_ptr<Cursor> tree_cursor(TCBDB* database, const Bytes* begin, bool values) {
  return std::make_unique<TreeCursor>(database, begin, values);
}

std::unique_ptr<Cursor> fixed_cursor(TCFDB* database, const Bytes* begin, bool values) {
  return std::make_unique<FixedCursor>(database, begin, values);
}

uint32_t memory_hash_buckets(const TCMDB* database) {
  // tcmdbnew2 divides and adds 17.
  return (database->maps[0]->bnum - 17) * static_cast<uint32_t>(map_count());
}

}  // namespace kt::tokyo
