#include "kyoto/recovery/snapshot_taking.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <thread>
#include <vector>

#include "kyoto/database/cursor.h"
#include "kyoto/database/old_records.h"
#include "kyoto/database/scan.h"
#include "kyoto/storage/directory.h"

namespace kt {

namespace {

constexpr auto CALM = 24 * Gate::TURN;  // who waits for a turn has so much time behind it
constexpr size_t PIECE = 1 << 20;  // of a large value

[[noreturn]] void fail(const Error& error) {
  throw std::runtime_error(std::string(error.name()) + ": " + error.message());
}

// Takes over what the cursor passes.
class Collector final : public kc::BasicDB::Visitor {
 public:
  Collector(OldRecords& old, SnapshotWriter& writer, std::vector<std::string>* large)
      : old_(old), writer_(writer), large_(large) {}

  void begin(const Terms& terms) { terms_ = terms; }
  bool out_of_memory() const { return out_of_memory_; }

 private:
  // No exception may leave a visitor: the engine would never unlock the record.
  const char* visit_full(const char* key, size_t key_size, const char* value, size_t size,
                         size_t*) override {
    try {
      take(Bytes(key, key_size), Bytes(value, size));
    } catch (const std::bad_alloc&) {
      out_of_memory_ = true;
    }
    return NOP;
  }

  void take(Bytes key, Bytes stored) {
    if (old_.knows(key)) return;
    if (terms_.timed && stored.size() >= XT_WIDTH && load_expiry(stored.data()) < terms_.now) return;
    if (stored.size() > PIECE) {
      large_->emplace_back(key);
    } else {
      writer_.put(key, stored);
    }
  }

  OldRecords& old_;
  SnapshotWriter& writer_;
  std::vector<std::string>* const large_;
  Terms terms_;
  bool out_of_memory_ = false;
};

// Copies the next piece of a record.
class PieceReader final : public kc::BasicDB::Visitor {
 public:
  std::string value;
  size_t size = 0;  // of all of it; 0 if the record is gone, which expired ones go unnoted

 private:
  const char* visit_full(const char*, size_t, const char* bytes, size_t whole, size_t*) override {
    size = whole;
    // The first time there is no memory yet, and to find some takes long.
    if (value.capacity() < whole || value.size() >= whole) return NOP;
    value.append(bytes + value.size(), std::min(PIECE, whole - value.size()));
    return NOP;
  }
  const char* visit_empty(const char*, size_t, size_t*) override {
    size = 0;
    return NOP;
  }
};

// One attempt.
class Taking {
 public:
  Taking(Database& database, SnapshotWriter& writer, bool calm)
      : database_(database), writer_(writer), calm_(calm) {}
  ~Taking() { stop(); }
  Taking(const Taking&) = delete;
  Taking& operator=(const Taking&) = delete;

  // False if it has to be begun anew.
  bool run() {
    begin();
    NoRotation no_rotation(database_);
    pass();
    if (epoch_ != database_.epoch()) return false;
    for (const std::string& key : large_) copy_large(key);
    stop();
    if (epoch_ != database_.epoch()) return false;
    for (const auto& [key, stored] : old_.records()) {
      if (stored) put_old(key, *stored);
    }
    return true;
  }

  const SnapshotHeader& header() const { return header_; }

 private:
  void begin() {
    bool open = false;
    database_.between_transactions([&] {
      if (!(open = database_.is_open())) return;
      header_.stamp = database_.journal().stamp();
      header_.size = database_.engine().size();
      epoch_ = database_.epoch();
      database_.keep_old_records(&old_);
      keeping_ = true;
    });
    if (!open) fail(not_open());
  }

  void stop() {
    if (!keeping_) return;
    Isolation alone(database_.gate());
    database_.keep_old_records(nullptr);
    keeping_ = false;
  }

  void pass();
  void copy_large(const std::string& key);
  void put_old(const std::string& key, const std::string& stored) {
    writer_.put(key, stored);
    writer_.write_full();
  }

  Database& database_;
  SnapshotWriter& writer_;
  const bool calm_;
  SnapshotHeader header_;
  OldRecords old_;
  bool keeping_ = false;
  uint64_t epoch_ = 0;
  std::vector<std::string> large_;
};

// From the beginning to the end.
void Taking::pass() {
  Cursor cursor(database_);
  Collector collector(old_, writer_, &large_);
  Turns turns(database_.gate());
  kc::BasicDB::Cursor* place = cursor.engine_cursor();
  bool more = place != nullptr && place->jump();
  for (;;) {
    if (place == nullptr) fail(not_open());
    collector.begin(database_.terms());
    while (more && !turns.over()) more = place->accept(&collector, false, true);
    const Error error = more ? succeeded() : database_.engine().error();
    const bool waited = turns.pause();
    if (collector.out_of_memory()) throw std::runtime_error("out of memory");
    writer_.write_full();
    if (epoch_ != database_.epoch()) return;
    if (failed(error) && error.code() != Error::NOREC) fail(error);
    if (!more) return;
    if (calm_ && waited) std::this_thread::sleep_for(CALM);
    turns.resume();
    place = cursor.engine_cursor();
  }
}

void Taking::copy_large(const std::string& key) {
  PieceReader reader;
  do {
    if (reader.value.capacity() < reader.size) reader.value.reserve(reader.size);
    {
      Entry entry(database_);
      if (!entry.engine().accept(key.data(), key.size(), &reader, false)) fail(entry.engine().error());
    }
    database_.gate().give_way();
    if (old_.knows(key) || reader.size == 0) return;
  } while (reader.value.size() < reader.size);
  writer_.put(key, reader.value);
  writer_.write_full();
}

SnapshotHeader write_snapshot(Database& database, const std::string& path,
                              const std::string& compressor, bool calm) {
  constexpr int PATIENCE = 8;
  for (int attempt = 0;; attempt++) {
    SnapshotWriter writer(path, compressor);
    Taking taking(database, writer, calm);
    if (!taking.run()) {
      if (attempt < PATIENCE) continue;
      throw std::runtime_error("transactions are undone all the time, so there is no snapshot");
    }
    const Error error = database.journal().settle();  // it has nothing that the log does not have
    if (failed(error)) fail(error);
    SnapshotHeader header = taking.header();
    header.records = writer.records();
    writer.finish(header);
    return header;
  }
}

void verify(const std::string& path) {
  SnapshotReader reader(path);
  Bytes key;
  Bytes stored;
  while (reader.next(&key, &stored)) continue;
}

}  // namespace

SnapshotHeader take_snapshot(Database& database, const std::string& path,
                             const std::string& compressor, bool calm) {
  const auto turn = database.turn_of_snapshots();
  const std::string temporary = path + ".tmp";
  try {
    const SnapshotHeader header = write_snapshot(database, temporary, compressor, calm);
    verify(temporary);
    if (std::rename(temporary.c_str(), path.c_str()) != 0) {
      throw std::runtime_error(path + ": " + std::strerror(errno));
    }
    if (!synchronize_directory_of(path)) throw std::runtime_error(path + ": " + std::strerror(errno));
    return header;
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
}

}  // namespace kt
