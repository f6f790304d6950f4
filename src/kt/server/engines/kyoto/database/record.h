// A record as Kyoto Tycoon stores it: the value is preceded by its expiry.
//
//     | expiry: 5 bytes, big-endian seconds since the epoch, all ones for none | value ... |
//
// A database opened with "ktopts=p" (persistent) stores bare values. An operation on a record is a
// RecordVisitor: it sees the record without its expiry bytes, or its absence (an expired record is
// absent), and says what becomes of it. The engine runs it with the record locked.

#ifndef KT_KYOTO_RECORD_H
#define KT_KYOTO_RECORD_H

#include "kyoto/storage/engine.h"

#include <cstdint>
#include <string_view>

#include "io/buffer.h"

namespace kt {

namespace kc = kyotocabinet;
using Bytes = std::string_view;
using Error = kc::BasicDB::Error;

constexpr size_t XT_WIDTH = 5;
constexpr int64_t XT_MAX = (INT64_C(1) << (8 * XT_WIDTH)) - 1;  // stored: stays for ever
constexpr int64_t NEVER = INT64_MAX;                            // given: stays for ever

// A thread that serves many connections hurries: it leaves values of more bytes than LARGE to a
// thread that may take its time. To copy one takes as long as thousands of requests.
constexpr size_t LARGE = 4 << 20;
extern thread_local bool hurries;
extern const char* const NO_ROOM;    // why an operation failed: on the disk
extern const char* const TOO_LARGE;  // likewise: it must not be in a hurry

class Hurry {
 public:
  Hurry() : before_(hurries) { hurries = true; }
  ~Hurry() { hurries = before_; }
  Hurry(const Hurry&) = delete;
  Hurry& operator=(const Hurry&) = delete;

 private:
  const bool before_;
};

inline int64_t load_expiry(const char* value) {
  return static_cast<int64_t>(load32(value)) << 8 | static_cast<unsigned char>(value[4]);
}

inline void store_expiry(char* value, int64_t xt) {
  store32(value, static_cast<uint32_t>(xt >> 8));
  value[4] = static_cast<char>(xt);
}

// What is stored for an expiry as it is given: from now, or negative and since the epoch.
inline int64_t absolute_expiry(int64_t xt, int64_t now) {
  if (xt < 0) return xt < -XT_MAX ? XT_MAX : -xt;
  return xt > XT_MAX - now ? XT_MAX : xt + now;
}

// What becomes of a record.
struct Change {
  enum Kind { KEEP, REMOVE, STORE };
  Kind kind = KEEP;
  Bytes value{};        // STORE only; valid until the visitor is called again or destroyed
  int64_t xt = NEVER;   // STORE only; as given
  Bytes tail{};         // STORE only; the end of the value

  static Change keep() { return {}; }
  static Change remove() { return {REMOVE}; }
  static Change store(Bytes value, int64_t xt, Bytes tail = {}) {
    return {STORE, value, xt, tail};
  }
};

class Database;

// For which database a visitor works, how that stores records, and what time it is.
struct Terms {
  Database* database = nullptr;
  bool timed = true;
  int64_t now = 0;
};

class RecordVisitor : public kc::BasicDB::Visitor {
 public:
  void begin(const Terms& terms) {
    terms_ = terms;
    passed_expired_ = false;
    failure_ = nullptr;
    told_ = false;
  }

  // A large value is going to be stored. To find memory for it takes longer than to copy it, and
  // must not happen while the engine has something locked.
  void find_memory(size_t size) {
    stored_.truncate(0);
    if (size > LARGE) stored_.reserve(size + XT_WIDTH);
  }

  // Of many keys that are visited one after the other, the next one comes.
  virtual void advance() {}

  // Why the operation failed, null if it did not; the record is then as it was.
  const char* failure() const { return failure_; }

  // Whether the update log was told of a change.
  bool told() const { return told_; }

  // Whether an expired record was passed over; only when `skips_expired`.
  bool passed_expired() const { return passed_expired_; }

 protected:
  // A visitor that is moved from record to record skips expired ones instead of seeing an absence.
  explicit RecordVisitor(bool skips_expired = false) : skips_expired_(skips_expired) {}

  virtual Change on_record(Bytes key, Bytes value, int64_t xt) = 0;
  virtual Change on_absence(Bytes) { return Change::keep(); }

  // Whether so many bytes are not to be copied now: the operation has failed.
  bool leaves(size_t size) {
    if (size <= LARGE || !hurries) return false;
    leave();
    return true;
  }
  // Whether it lacks memory to store a large value of that size.
  bool lacks_memory(size_t size) const {
    return size > LARGE && stored_.size() + stored_.room() < size + XT_WIDTH;
  }
  Change leave() {
    failure_ = TOO_LARGE;
    return Change::keep();
  }

 private:
  const char* visit_full(const char* key, size_t key_size, const char* value, size_t value_size,
                         size_t* size) final;
  const char* visit_empty(const char* key, size_t key_size, size_t* size) final;
  const char* visit(Bytes key, const char* value, size_t value_size, size_t* size);
  const char* apply(Bytes key, const Change& change, size_t* size);

  Terms terms_;
  const bool skips_expired_;
  bool passed_expired_ = false;
  const char* failure_ = nullptr;
  bool told_ = false;
  Buffer stored_;
  Bytes before_;  // as it is stored
  bool existed_ = false;
};

}  // namespace kt

#endif
