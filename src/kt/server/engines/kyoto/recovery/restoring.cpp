#include "kyoto/recovery/restoring.h"

#include <algorithm>
#include <stdexcept>

#include "kyoto/upkeep/maintenance.h"

namespace kt {

namespace {

constexpr char CHANGE = '\xB1';
constexpr size_t CHANGE_HEAD = 13;
constexpr size_t MESSAGE_HEAD = 5;
constexpr uint8_t SET = 0xA1;
constexpr uint8_t REMOVE = 0xA2;
constexpr uint8_t CLEAR = 0xA5;

[[noreturn]] void fail(const Error& error) {
  throw std::runtime_error(std::string(error.name()) + ": " + error.message());
}

// Thrown within this file.
struct NoRoom {};

[[noreturn]] void broken() {
  throw std::runtime_error("a change in the update log cannot be read");
}

uint64_t taken_number(Bytes* bytes) {
  uint64_t number;
  const size_t size = kc::readvarnum(bytes->data(), bytes->size(), &number);
  if (size == 0) broken();
  bytes->remove_prefix(size);
  return number;
}

// As it is stored, expiry included.
void set(Database& database, kc::PolyDB& engine, Bytes key, Bytes stored, const Terms& terms) {
  if (database.refuses_writes() || !database.has_room(2 * (key.size() + stored.size()))) {
    throw NoRoom{};
  }
  if (!engine.set(key.data(), key.size(), stored.data(), stored.size())) fail(engine.error());
  database.note_changed();
  const bool timed = terms.timed && stored.size() >= XT_WIDTH;
  database.note_stored(key, timed ? load_expiry(stored.data()) : XT_MAX, terms.now);
}

void remove(Database& database, kc::PolyDB& engine, Bytes key) {
  if (engine.remove(key.data(), key.size())) return database.note_changed();
  if (engine.error().code() != Error::NOREC) fail(engine.error());
}

// False if it is none that changes something here.
bool carry_out(Database& database, Bytes message) {
  const uint8_t what = static_cast<uint8_t>(message[4]);
  message.remove_prefix(MESSAGE_HEAD);
  if (what == CLEAR) {
    const Error error = clear(database);
    if (failed(error)) fail(error);
    return true;
  }
  if (what != SET && what != REMOVE) return false;
  const uint64_t key_size = taken_number(&message);
  const uint64_t size = what == SET ? taken_number(&message) : 0;
  if (key_size > message.size() || size != message.size() - key_size) broken();
  const Bytes key = message.substr(0, key_size);
  {
    Entry entry(database);
    if (what == SET) {
      set(database, entry.engine(), key, message.substr(key_size), database.terms());
    } else {
      remove(database, entry.engine(), key);
    }
  }
  database.after_writes(1);
  return true;
}

}  // namespace

int64_t SnapshotLoader::load(int64_t limit) {
  int64_t count = 0;
  try {
    Entry entry(database_);
    const Terms terms = database_.terms();
    Bytes key;
    Bytes stored;
    while (count < limit && reader_.next(&key, &stored)) {
      set(database_, entry.engine(), key, stored, terms);
      count++;
    }
  } catch (const NoRoom&) {
    return NO_ROOM_LEFT;
  }
  database_.after_writes(count);
  return count;
}

int64_t restore_changes(const std::vector<Restored>& databases, Bytes frames) try {
  int64_t count = 0;
  while (!frames.empty()) {
    if (frames[0] != CHANGE || frames.size() < CHANGE_HEAD) broken();
    const uint64_t stamp = load64(frames.data() + 1);
    const size_t size = load32(frames.data() + 9);
    if (size > frames.size() - CHANGE_HEAD) broken();
    const Bytes message = frames.substr(CHANGE_HEAD, size);
    frames.remove_prefix(CHANGE_HEAD + size);
    if (size == 0) continue;
    if (size < MESSAGE_HEAD) broken();
    const uint16_t index = load16(message.data() + 2);
    if (index >= databases.size()) continue;
    const Restored& restored = databases[index];
    if (restored.database == nullptr || stamp <= restored.since) continue;
    count += carry_out(*restored.database, message);
  }
  return count;
} catch (const NoRoom&) {
  return NO_ROOM_LEFT;
}

}  // namespace kt
