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

// Stores a record as another database had it stored, or what is left of it.
class RawWriter final : public RecordVisitor {
 public:
  explicit RawWriter(bool timed) : timed_(timed) {}

  void take(Bytes stored) {
    stored_ = stored;
    find_memory(stored.size());
  }

 private:
  Change on_record(Bytes, Bytes, int64_t) override { return change(); }
  Change on_absence(Bytes) override { return change(); }

  Change change() const {
    if (!timed_) return Change::store(stored_, NEVER);
    if (stored_.size() < XT_WIDTH) return Change::remove();  // the engine shows none of these
    const int64_t xt = std::max<int64_t>(load_expiry(stored_.data()), 1);
    return Change::store(stored_.substr(XT_WIDTH), -xt);
  }

  const bool timed_;
  Bytes stored_;
};

Error all_keys(Database& database, Keys* keys) { return match_prefix(database, "", -1, keys); }

// So many records, which are told to the update log and written there at once.
Error load_some(Database& database, std::istream& stream, bool* over) {
  constexpr int AT_ONCE = 1000;
  LogBatch batch;
  RawWriter writer(database.terms().timed);
  std::string key;
  std::string value;
  for (int i = 0; i < AT_ONCE; i++) {
    const int mark = stream.get();
    *over = mark == static_cast<unsigned char>(END);
    if (*over) return succeeded();
    size_t key_size;
    size_t value_size;
    if (mark != RECORD || !read_number(stream, &key_size) || !read_number(stream, &value_size) ||
        !read_bytes(stream, key_size, &key) || !read_bytes(stream, value_size, &value)) {
      return Error(Error::BROKEN, "invalid record of input stream");
    }
    writer.take(value);
    const Error error = database.accept(key, writer, true);
    if (failed(error)) return error;
  }
  return succeeded();
}

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
  for (bool over = false; !over;) {
    const Error error = load_some(database, stream, &over);
    const Error unlogged = database.journal().settle();
    if (failed(error) || failed(unlogged)) return failed(error) ? error : unlogged;
  }
  return succeeded();
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
