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

inline int64_t load_expiry(const char* value) {
  return static_cast<int64_t>(load_big_endian(value, XT_WIDTH));
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

  static Change keep() { return {}; }
  static Change remove() { return {REMOVE}; }
  static Change store(Bytes value, int64_t xt) { return {STORE, value, xt}; }
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
};

}  // namespace kt

#endif
