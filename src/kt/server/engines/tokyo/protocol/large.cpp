// Large values. To find memory for one takes much longer than to copy it, so that is done outside the
// gate: the size is asked for inside, and then the value is copied if it still has that size.

#include <tcadb.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <string>
#include <vector>

#include "tokyo/database/database.h"

namespace kt::tokyo {

int Store::stored_size(Bytes key) {
  if (type_ != Type::TABLE) return vsiz(key);
  return tchdbvsiz(adb_->tdb->hdb, key.data(), length(key));
}

int Store::stored_into(Bytes key, char* at, size_t size) {
  if (type_ != Type::TABLE) return get_into(key, at, size);
  TCHDB* const rows = adb_->tdb->hdb;
  const int found = stored_size(key);
  if (found != static_cast<int>(size)) return found;
  if (rows->zmode == 0) return tchdbget3(rows, key.data(), length(key), at, found);
  const Block row = stored(key);
  std::memcpy(at, row.bytes().data(), row.bytes().size());
  return found;
}

int Store::peek(std::string* key) {
  int size = 0;
  if (type_ == Type::TREE) {
    const void* next = tcbdbcurkey3(adb_->cur, &size);
    if (next == nullptr) return -1;
    key->assign(static_cast<const char*>(next), static_cast<size_t>(size));
    return tcbdbcurval3(adb_->cur, &size) == nullptr ? -1 : size;
  }
  const bool tree = type_ == Type::MEMORY_TREE;
  TCTREEREC* const record = tree ? adb_->ndb->tree->cur : nullptr;
  uint64_t* const place = type_ == Type::HASH    ? &adb_->hdb->iter
                          : type_ == Type::FIXED ? &adb_->fdb->iter
                                                 : nullptr;
  const uint64_t before = place == nullptr ? 0 : *place;
  const Block next = iternext();
  if (place != nullptr) *place = before;
  if (tree) adb_->ndb->tree->cur = record;
  if (!next) return -1;
  key->assign(next.bytes());
  if (type_ == Type::MEMORY_HASH) {
    tcmapiterinit2(adb_->mdb->maps[adb_->mdb->iter], key->data(), length(*key));
  }
  return vsiz(*key);
}

bool Store::iternext_into(Bytes key, char* at, size_t room) {
  std::string next;
  if (peek(&next) != static_cast<int>(room) || next != key) return false;
  if (type_ == Type::TREE) {
    int size = 0;
    std::memcpy(at, tcbdbcurval3(adb_->cur, &size), room);
    tcbdbcurnext(adb_->cur);
    return true;
  }
  return iternext() && get_into(key, at, room) == static_cast<int>(room);
}

bool Database::is_large_list(Bytes key) {
  if (!large_) return false;
  size_t total = 0;
  for (size_t size : store(key).listed_sizes(key)) total += size;
  return total > LARGE;
}

bool Database::fetch_stored(Bytes key, Buffer* stored) {
  if (!large_) return false;
  char* at = nullptr;
  for (size_t room = 0;;) {
    {
      Gate::Turn turn(gate);
      Store& store = this->store(key);
      const int size = store.stored_size(key);
      if (size <= static_cast<int>(LARGE)) return false;
      const bool same = static_cast<size_t>(size) == room;
      if (same && store.stored_into(key, at, room) == size) return true;
      room = static_cast<size_t>(size);
    }
    stored->clear();
    at = stored->extend_with_memory(room);
  }
}

Block Database::fetch_row(Bytes key) {
  Buffer stored;
  if (!is_table() || !fetch_stored(key, &stored)) return Block();
  return Store::row(Bytes(stored.data(), stored.size()));
}

bool Database::fetch_listed(Bytes key, bool with_keys, List* result) {
  if (!large_) return false;
  if (is_table()) {
    const Block row = fetch_row(key);
    if (!row) return false;
    if (with_keys) result->add(key);
    result->add(row.bytes());
    return true;
  }
  std::vector<size_t> sizes;
  {
    Gate::Turn turn(gate);
    sizes = store(key).listed_sizes(key);
  }
  constexpr size_t SIZES = 8;
  size_t total = 0, room = 0;
  for (size_t size : sizes) {
    total += size;
    room += SIZES + key.size() + size;
  }
  const size_t before = result->frame().size();
  const uint32_t count = result->count();
  if (total <= LARGE || before + room > List::LIMIT) return false;
  result->reserve(room);
  std::vector<char*> places;
  for (size_t size : sizes) {
    if (with_keys) result->add(key);
    places.push_back(result->place(size));
  }
  {
    Gate::Turn turn(gate);
    if (store(key).get_listed_into(key, sizes, places)) return true;
  }
  result->take_back(before, count);
  return false;
}

int Database::peek(std::string* key) {
  for (; iterator_ < stores_.size(); iterator_++) {
    const int size = stores_[iterator_]->peek(key);
    if (size >= 0) return size;
  }
  return -1;
}

bool Database::gives_large(Bytes name, const Arguments& arguments) {
  if (!large_ || is_plugin()) return false;
  if (name == "iternext") {
    std::string key;
    return !is_table() && peek(&key) > static_cast<int>(LARGE);
  }
  if (arguments.empty() || (name != "get" && name != "getpart")) return false;
  return is_large_list(arguments[0]);
}

bool Database::fetch(const std::string& name, const Arguments& arguments, List* result) {
  if (!large_) return false;
  if (name == "iternext") return fetch_next(result);
  if (arguments.empty()) return false;
  if (name == "getpart") return fetch_part(arguments, result);
  if (name != "get") return false;
  return is_table() ? fetch_columns(arguments[0], result)
                    : fetch_listed(arguments[0], false, result);
}

// A table's row is given in parts.
bool Database::fetch_columns(Bytes key, List* result) {
  Buffer stored;
  if (!fetch_stored(key, &stored)) return false;
  const MapPointer columns(tcmapload(stored.data(), static_cast<int>(stored.size())));
  int size;
  tcmapiterinit(columns.get());
  while (const void* name = tcmapiternext(columns.get(), &size)) {
    result->add(Bytes(static_cast<const char*>(name), static_cast<size_t>(size)));
    const void* value = tcmapiterval(name, &size);
    result->add(Bytes(static_cast<const char*>(value), static_cast<size_t>(size)));
  }
  return true;
}

bool Database::fetch_part(const Arguments& arguments, List* result) {
  const auto integer = [&](size_t i, int missing) {
    return i < arguments.size() ? static_cast<int>(tcatoi(std::string(arguments[i]).c_str()))
                                : missing;
  };
  Buffer stored;
  if (!fetch_stored(arguments[0], &stored)) return false;
  Bytes value(stored.data(), stored.size());
  Block row;
  if (is_table()) value = (row = Store::row(value)).bytes();
  const int begin = std::max(integer(1, 0), 0), size = integer(2, -1);
  if (static_cast<size_t>(begin) >= value.size()) return false;  // the library says why not
  result->add(value.substr(static_cast<size_t>(begin),
                           size < 0 ? Bytes::npos : static_cast<size_t>(size)));
  return true;
}

bool Database::fetch_next(List* result) {
  if (is_table()) return false;
  const size_t before = result->frame().size();
  const uint32_t count = result->count();
  for (std::string key;;) {
    int size;
    {
      Gate::Writing writing(gate);
      size = peek(&key);
    }
    const size_t room = static_cast<size_t>(std::max(size, 0));
    if (room <= LARGE) return false;
    result->add(key);
    char* const at = result->place(room);
    Gate::Writing writing(gate);
    const bool here = iterator_ < stores_.size();
    if (here && stores_[iterator_]->iternext_into(key, at, room)) return true;
    result->take_back(before, count);
  }
}

}  // namespace kt::tokyo
