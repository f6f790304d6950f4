// One small visitor per operation.

#include "kyoto/protocol/operations.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace kt {

namespace {

// Copies what it finds, and removes it if told so.
class Reader final : public RecordVisitor {
 public:
  Reader(std::string* value, int64_t* size, int64_t* xt, bool removes)
      : value_(value), size_(size), xt_(xt), removes_(removes) {}

  bool found = false;

 private:
  Change on_record(Bytes, Bytes value, int64_t xt) override {
    if (value_ != nullptr && leaves(value.size())) return Change::keep();
    found = true;
    if (value_ != nullptr) value_->assign(value);
    if (size_ != nullptr) *size_ = static_cast<int64_t>(value.size());
    if (xt_ != nullptr) *xt_ = xt;
    return removes_ ? Change::remove() : Change::keep();
  }
  Change on_absence(Bytes) override { return removes_ ? Change::remove() : Change::keep(); }

  std::string* const value_;
  int64_t* const size_;
  int64_t* const xt_;
  const bool removes_;
};

// Copies a value that has exactly the size of the room.
class Placer final : public RecordVisitor {
 public:
  Placer(char* at, size_t room, bool removes) : at_(at), room_(room), removes_(removes) {}

  bool found = false;
  size_t size = 0;
  int64_t xt = XT_MAX;

 private:
  Change on_record(Bytes, Bytes value, int64_t its_xt) override {
    found = true;
    size = value.size();
    xt = its_xt;
    if (size != room_) return Change::keep();
    std::memcpy(at_, value.data(), size);
    return removes_ ? Change::remove() : Change::keep();
  }

  char* const at_;
  const size_t room_;
  const bool removes_;
};

Error read(Database& database, Bytes key, Reader& reader, bool removes) {
  Error error = database.accept(key, reader, removes);
  if (failed(error)) return error;
  return reader.found ? succeeded() : no_record();
}

class Writer final : public RecordVisitor {
 public:
  Writer(Store how, Bytes value, int64_t xt)
      : size(value.size()), how_(how), value_(value), xt_(xt) {}

  bool stored = false;
  size_t size;  // of what is to be stored, as far as it is known

 private:
  Change on_record(Bytes, Bytes value, int64_t) override {
    if (how_ == Store::ADD) return Change::keep();
    if (how_ == Store::APPEND) return append(value);
    stored = true;
    return Change::store(value_, xt_);
  }
  Change on_absence(Bytes) override {
    if (how_ == Store::REPLACE) return Change::keep();
    stored = true;
    return Change::store(value_, xt_);
  }
  Change append(Bytes value) {
    size = value.size() + value_.size();
    if (leaves(size)) return Change::keep();
    if (lacks_memory(size)) return leave();
    stored = true;
    return Change::store(value, xt_, value_);
  }

  const Store how_;
  const Bytes value_;
  const int64_t xt_;
};

class Adder final : public RecordVisitor {
 public:
  static constexpr int64_t FAIL = std::numeric_limits<int64_t>::min();
  static constexpr int64_t SET = std::numeric_limits<int64_t>::max();

  Adder(int64_t number, int64_t origin, int64_t xt)
      : number(number), by_(number), origin_(origin), xt_(xt) {}

  int64_t number;
  bool failed = false;

 private:
  Change on_record(Bytes, Bytes value, int64_t) override {
    number = by_;  // it comes again if there has been no room
    if (value.size() != sizeof(stored_)) return fail();
    if (origin_ == SET) return store();
    int64_t old = static_cast<int64_t>(load64(value.data()));
    bool unchanged = number == 0;
    add(old);
    return unchanged ? Change::keep() : store();
  }
  Change on_absence(Bytes) override {
    number = by_;
    if (origin_ == FAIL) return fail();
    if (origin_ != SET) add(origin_);
    return store();
  }

  // Counters go round: adding to the largest one gives the smallest.
  void add(int64_t old) {
    number = static_cast<int64_t>(static_cast<uint64_t>(number) + static_cast<uint64_t>(old));
  }
  Change store() {
    store_big_endian(stored_, sizeof(stored_), static_cast<uint64_t>(number));
    return Change::store(Bytes(stored_, sizeof(stored_)), xt_);
  }
  Change fail() {
    failed = true;
    return Change::keep();
  }

  const int64_t by_;
  const int64_t origin_;
  const int64_t xt_;
  char stored_[8];
};

// A number in fixed point, as increment_double stores it. The largest and the smallest integer part
// stand for the infinities; the smallest twice is no number.
struct FixedPoint {
  static constexpr int64_t UNIT = INT64_C(1000000000000000);
  static constexpr int64_t LEAST = std::numeric_limits<int64_t>::min();
  static constexpr int64_t LARGEST = std::numeric_limits<int64_t>::max();
  static constexpr size_t WIDTH = 16;

  int64_t integer = 0;
  int64_t fraction = 0;

  static FixedPoint load(const char* at) {
    return {static_cast<int64_t>(load64(at)), static_cast<int64_t>(load64(at + 8))};
  }

  static FixedPoint of(double number) {
    if (std::isnan(number)) return {LEAST, LEAST};
    constexpr double BOUND = 9223372036854775807.0;
    if (number >= BOUND) return {LARGEST, 0};
    if (number <= -BOUND) return {LEAST, 0};
    long double integer;  // as wide as the original servers compute
    long double fraction = std::modf(static_cast<long double>(number), &integer);
    return {static_cast<int64_t>(integer), static_cast<int64_t>(fraction * UNIT)};
  }

  bool finite() const { return integer != LEAST && integer != LARGEST; }

  FixedPoint plus(const FixedPoint& other) const {
    if (!finite()) return *this;
    if (!other.finite()) return other;
    FixedPoint sum{integer + other.integer, fraction + other.fraction};
    if (sum.fraction >= UNIT) {
      sum.integer++;
      sum.fraction -= UNIT;
    }
    return sum;
  }

  double value() const {
    if (integer == LEAST && fraction == LEAST) return std::nan("");
    if (integer == LEAST) return -std::numeric_limits<double>::infinity();
    if (integer == LARGEST) return std::numeric_limits<double>::infinity();
    return static_cast<double>(integer) + static_cast<double>(fraction) / UNIT;
  }

  void store(char* at) const {
    store_big_endian(at, 8, static_cast<uint64_t>(integer));
    store_big_endian(at + 8, 8, static_cast<uint64_t>(fraction));
  }
};

class DoubleAdder final : public RecordVisitor {
 public:
  DoubleAdder(double number, double origin, int64_t xt)
      : number_(number), origin_(origin), xt_(xt) {}

  double sum = std::nan("");  // no number: there is no such counter

 private:
  bool sets() const { return std::isinf(origin_) && origin_ > 0; }

  Change on_record(Bytes, Bytes value, int64_t) override {
    if (value.size() != FixedPoint::WIDTH) return Change::keep();
    FixedPoint old = sets() ? FixedPoint() : FixedPoint::load(value.data());
    if (!old.finite() || (number_ == 0 && !sets())) {
      sum = old.value();
      return Change::keep();
    }
    return store(old.plus(FixedPoint::of(number_)));
  }
  Change on_absence(Bytes) override {
    if (std::isnan(origin_) || (std::isinf(origin_) && origin_ < 0)) return Change::keep();
    const double number = sets() ? number_ : number_ + origin_;
    Change change = store(FixedPoint::of(number));
    sum = number;  // not what is left of it in fixed point
    return change;
  }
  Change store(const FixedPoint& number) {
    sum = number.value();
    number.store(stored_);
    return Change::store(Bytes(stored_, sizeof(stored_)), xt_);
  }

  const double number_;
  const double origin_;
  const int64_t xt_;
  char stored_[FixedPoint::WIDTH];
};

class Swapper final : public RecordVisitor {
 public:
  Swapper(const std::optional<Bytes>& old_value, const std::optional<Bytes>& new_value, int64_t xt)
      : old_(old_value), new_(new_value), xt_(xt) {}

  bool swapped = false;

 private:
  Change on_record(Bytes, Bytes value, int64_t) override {
    if (!old_ || *old_ != value) return Change::keep();
    swapped = true;
    return new_ ? Change::store(*new_, xt_) : Change::remove();
  }
  Change on_absence(Bytes) override {
    if (old_) return Change::keep();
    swapped = true;
    return new_ ? Change::store(*new_, xt_) : Change::keep();
  }

  const std::optional<Bytes> old_;
  const std::optional<Bytes> new_;
  const int64_t xt_;
};

// For accept_bulk, which visits the keys in the order in which they are given; or for one after the
// other, which is visited again if there has been no room for its record.
class BulkWriter final : public RecordVisitor {
 public:
  BulkWriter(const std::vector<Bytes>& values, int64_t xt) : values_(values), xt_(xt) {}

  void advance() override { aimed_ = next_++; }

 private:
  Change on_record(Bytes key, Bytes, int64_t) override { return on_absence(key); }
  Change on_absence(Bytes) override {
    return Change::store(values_[aimed_ ? *aimed_ : next_++], xt_);
  }

  const std::vector<Bytes>& values_;
  const int64_t xt_;
  size_t next_ = 0;
  std::optional<size_t> aimed_;
};

class BulkRemover final : public RecordVisitor {
 public:
  int64_t removed = 0;

 private:
  Change on_record(Bytes, Bytes, int64_t) override {
    removed++;
    return Change::remove();
  }
  Change on_absence(Bytes) override { return Change::remove(); }
};

// A large value is left where it is, if there is a place to note its key.
class BulkReader final : public RecordVisitor {
 public:
  BulkReader(std::map<std::string, std::string>* records, std::vector<std::string>* large)
      : records_(records), large_(large) {}

 private:
  Change on_record(Bytes key, Bytes value, int64_t) override {
    size_ += value.size();
    if (leaves(size_)) return Change::keep();
    if (value.size() > LARGE && large_ != nullptr) {
      large_->emplace_back(key);
      return Change::keep();
    }
    (*records_)[std::string(key)].assign(value);
    return Change::keep();
  }

  std::map<std::string, std::string>* const records_;
  std::vector<std::string>* const large_;
  size_t size_ = 0;
};

Error logical_inconsistency() { return Error(Error::LOGIC, "logical inconsistency"); }

// Apply one visitor to all keys, at once or one after the other.
Error accept_each(Database& database, const std::vector<std::string>& keys, RecordVisitor& visitor,
                  bool writable) {
  LogBatch batch;
  for (const std::string& key : keys) {
    visitor.advance();
    Error error = database.accept(key, visitor, writable);
    if (failed(error)) return error;
  }
  return succeeded();
}

Error accept_all(Database& database, const std::vector<std::string>& keys, RecordVisitor& visitor,
                 bool writable, bool atomic, size_t size = 0) {
  if (atomic) return database.accept_bulk(keys, visitor, writable, size);
  Error error = accept_each(database, keys, visitor, writable);
  return writable && !failed(error) ? database.journal().settle() : error;
}

}  // namespace

Error get(Database& database, Bytes key, std::string* value, int64_t* xt) {
  Reader reader(value, nullptr, xt, false);
  return read(database, key, reader, false);
}

Error fetch(Database& database, Bytes key, std::string* value, int64_t* xt, bool removes) {
  Hurry hurry;
  return removes ? seize(database, key, value, xt) : get(database, key, value, xt);
}

Error get_into(Database& database, Bytes key, char* at, size_t room, size_t* size, int64_t* xt,
               bool removes) {
  fetch_memory(at, room);  // not while the record is locked
  Placer placer(at, room, removes);
  Error error = database.accept(key, placer, removes);
  if (failed(error)) return error;
  *size = placer.size;
  *xt = placer.xt;
  return placer.found ? succeeded() : no_record();
}

Error check(Database& database, Bytes key, int64_t* size, int64_t* xt) {
  Reader reader(nullptr, size, xt, false);
  return read(database, key, reader, false);
}

Error seize(Database& database, Bytes key, std::string* value, int64_t* xt) {
  Reader reader(value, nullptr, xt, true);
  return read(database, key, reader, true);
}

Error remove(Database& database, Bytes key) { return seize(database, key, nullptr, nullptr); }

Error store(Database& database, Store how, Bytes key, Bytes value, int64_t xt) {
  Writer writer(how, value, xt);
  Error error;
  do {
    writer.find_memory(writer.size);
    error = database.accept(key, writer, true);
  } while (writer.failure() == TOO_LARGE && !hurries);
  if (failed(error) || writer.stored) return error;
  return how == Store::ADD ? Error(Error::DUPREC, "record duplication") : no_record();
}

Error increment(Database& database, Bytes key, int64_t* number, int64_t origin, int64_t xt) {
  Adder adder(*number, origin, xt);
  bool writable = *number != 0 || origin != Adder::FAIL;
  Error error = database.accept(key, adder, writable);
  if (failed(error)) return error;
  *number = adder.number;
  // The smallest number is what the protocol's servers take for a failure.
  return adder.failed || *number == Adder::FAIL ? logical_inconsistency() : succeeded();
}

Error increment_double(Database& database, Bytes key, double* number, double origin, int64_t xt) {
  DoubleAdder adder(*number, origin, xt);
  Error error = database.accept(key, adder, true);
  if (failed(error)) return error;
  *number = adder.sum;
  return std::isnan(adder.sum) ? logical_inconsistency() : succeeded();
}

Error compare_and_swap(Database& database, Bytes key, const std::optional<Bytes>& old_value,
                       const std::optional<Bytes>& new_value, int64_t xt) {
  Swapper swapper(old_value, new_value, xt);
  Error error = database.accept(key, swapper, true);
  if (failed(error) || swapper.swapped) return error;
  return Error(Error::LOGIC, "status conflict");
}

Error set_bulk(Database& database, const std::vector<std::string>& keys,
               const std::vector<Bytes>& values, int64_t xt, bool atomic, int64_t* count) {
  BulkWriter writer(values, xt);
  size_t size = 0;
  for (const std::string& key : keys) size += 2 * (key.size() + XT_WIDTH + 64);
  size_t longest = 0;
  for (Bytes value : values) {
    size += 2 * value.size();
    longest = std::max(longest, value.size());
  }
  writer.find_memory(longest);
  Error error = accept_all(database, keys, writer, true, atomic, size);
  *count = static_cast<int64_t>(keys.size());
  return error;
}

Error remove_bulk(Database& database, const std::vector<std::string>& keys, bool atomic,
                  int64_t* count) {
  BulkRemover remover;
  Error error = accept_all(database, keys, remover, true, atomic);
  *count = remover.removed;
  return error;
}

Error get_bulk(Database& database, const std::vector<std::string>& keys, bool atomic,
               std::map<std::string, std::string>* records, std::vector<std::string>* large) {
  BulkReader reader(records, atomic ? nullptr : large);
  return accept_all(database, keys, reader, false, atomic);
}

}  // namespace kt
