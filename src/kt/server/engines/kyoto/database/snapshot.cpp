// Dumping and iterating first list the keys, which holds nobody up, then go from record to record.

#include "kyoto/database/snapshot.h"

#include <fstream>

#include "kyoto/database/scan.h"

namespace kt {

namespace {

constexpr char MAGIC[] = "KCSS\n";  // with its final zero
constexpr char RECORD = '\0';
constexpr char END = '\xff';

Error stream_error() { return Error(Error::SYSTEM, "stream error"); }

void write_number(std::ostream& stream, uint64_t number) {
  char digits[kc::NUMBUFSIZ];
  stream.write(digits, static_cast<std::streamsize>(kc::writevarnum(digits, number)));
}

bool read_number(std::istream& stream, size_t* number) {
  *number = 0;
  for (int digits = 0; digits < 10; digits++) {
    int digit = stream.get();
    if (digit < 0) return false;
    *number = *number << 7 | (digit & 0x7F);
    if (digit < 0x80) return true;
  }
  return false;
}

// Not more at a time than the stream really has.
bool read_bytes(std::istream& stream, size_t size, std::string* bytes) {
  constexpr size_t PIECE = 1 << 20;
  bytes->clear();
  while (bytes->size() < size) {
    size_t known = bytes->size();
    size_t piece = std::min(PIECE, size - known);
    bytes->resize(known + piece);
    if (!stream.read(&(*bytes)[known], static_cast<std::streamsize>(piece))) return false;
  }
  return true;
}

// Copies the record as the engine has it.
class RawReader final : public kc::BasicDB::Visitor {
 public:
  bool found = false;
  std::string value;

 private:
  const char* visit_full(const char*, size_t, const char* bytes, size_t size, size_t*) override {
    found = true;
    value.assign(bytes, size);
    return NOP;
  }
};

Error read_raw(Database& database, const std::string& key, RawReader& reader) {
  Entry entry(database);
  bool done = entry.engine().accept(key.data(), key.size(), &reader, false);
  return done ? succeeded() : entry.engine().error();
}

Error store_raw(Database& database, const std::string& key, const std::string& value) {
  const Error refusal = database.journal().admit();
  if (failed(refusal)) return refusal;
  {
    Entry entry(database);
    const bool room = database.has_room(2 * (key.size() + value.size()));
    if (database.refuses_writes() || !room) return no_room();
    if (!entry.engine().set(key, value)) return entry.engine().error();
    database.note_changed();
    int64_t xt = value.size() < XT_WIDTH ? XT_MAX : load_expiry(value.data());
    database.note_stored(key, xt, database.terms().now);
  }
  database.after_writes(1);
  return succeeded();
}

Error all_keys(Database& database, Keys* keys) { return match_prefix(database, "", -1, keys); }

}  // namespace

Error dump_snapshot(Database& database, const std::string& destination) {
  Keys keys;
  Error error = all_keys(database, &keys);
  if (failed(error)) return error;
  std::ofstream stream(destination, std::ios::binary | std::ios::trunc);
  stream.write(MAGIC, sizeof(MAGIC));
  for (const std::string& key : keys) {
    RawReader reader;
    error = read_raw(database, key, reader);
    if (failed(error)) return error;
    if (!reader.found) continue;
    stream.put(RECORD);
    write_number(stream, key.size());
    write_number(stream, reader.value.size());
    stream << key << reader.value;
  }
  stream.put(END);
  stream.close();
  return stream ? succeeded() : stream_error();
}

Error load_snapshot(Database& database, const std::string& source) {
  std::ifstream stream(source, std::ios::binary);
  char magic[sizeof(MAGIC)];
  if (!stream.read(magic, sizeof(magic))) return stream_error();
  if (std::memcmp(magic, MAGIC, sizeof(MAGIC)) != 0) {
    return Error(Error::INVALID, "invalid magic data of input stream");
  }
  std::string key;
  std::string value;
  for (;;) {
    int mark = stream.get();
    if (mark == static_cast<unsigned char>(END)) return succeeded();
    size_t key_size;
    size_t value_size;
    if (mark != RECORD || !read_number(stream, &key_size) || !read_number(stream, &value_size) ||
        !read_bytes(stream, key_size, &key) || !read_bytes(stream, value_size, &value)) {
      return Error(Error::BROKEN, "invalid record of input stream");
    }
    Error error = store_raw(database, key, value);
    if (failed(error)) return error;
  }
}

Error copy(Database& database, const std::string& destination) {
  Entry entry(database);
  return entry.engine().copy(destination) ? succeeded() : entry.engine().error();
}

Error iterate(Database& database, RecordVisitor& visitor, bool writable) {
  Keys keys;
  Error error = all_keys(database, &keys);
  for (size_t i = 0; !failed(error) && i < keys.size(); i++) {
    error = database.accept(keys[i], visitor, writable);
  }
  return error;
}

}  // namespace kt
