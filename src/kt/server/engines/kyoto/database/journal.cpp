#include "kyoto/database/journal.h"

#include <chrono>

namespace kt {

namespace {

enum What : uint8_t { SET = 0xA1, REMOVE = 0xA2, CLEAR = 0xA5 };

// The begin of a message.
class Head {
 public:
  Head(const ChangeLog& log, uint16_t database, What what) {
    store_big_endian(bytes_, 2, MadeElsewhere::or_here(log.server()));
    store_big_endian(bytes_ + 2, 2, database);
    bytes_[4] = static_cast<char>(what);
  }
  void add(size_t number) { size_ += kc::writevarnum(bytes_ + size_, number); }
  Bytes bytes() const { return Bytes(bytes_, size_); }

 private:
  char bytes_[5 + 2 * 10];
  size_t size_ = 5;
};

class Teller final : public kc::BasicDB::Visitor {
 public:
  explicit Teller(Journal& journal) : journal_(journal) {}

 private:
  const char* visit_full(const char* key, size_t key_size, const char* value, size_t size,
                         size_t*) override {
    return tell([&] { journal_.stored(Bytes(key, key_size), Bytes(value, size)); });
  }
  const char* visit_empty(const char* key, size_t key_size, size_t*) override {
    return tell([&] { journal_.removed(Bytes(key, key_size)); });
  }
  template <typename Telling>
  const char* tell(Telling telling) {
    try {
      telling();
    } catch (const std::bad_alloc&) {
      // No exception may leave a visitor, and there is nobody to be told.
    }
    return NOP;
  }

  Journal& journal_;
};

}  // namespace

void Journal::refuse(const std::string& why) {
  std::lock_guard<std::mutex> lock(lock_);
  refusal_ = why.empty() ? nullptr : refusals_.insert(why).first->c_str();
}

void Journal::refuse_from(int64_t time, const std::string& why) {
  std::lock_guard<std::mutex> lock(lock_);
  late_ = refusals_.insert(why).first->c_str();
  lease_end_ = time;
}

void Journal::log_stored(Bytes key, Bytes stored) {
  Head head(*log_, index_, SET);
  head.add(key.size());
  head.add(stored.size());
  tell(head.bytes(), key, stored);
}

void Journal::log_removed(Bytes key) {
  Head head(*log_, index_, REMOVE);
  head.add(key.size());
  tell(head.bytes(), key, Bytes());
}

void Journal::cleared() {
  if (log_ != nullptr) tell(Head(*log_, index_, CLEAR).bytes(), Bytes(), Bytes());
}

void Journal::tell(Bytes head, Bytes key, Bytes value) {
  LogBatch::use();
  if (!holds()) return Written::note(log_->append({log_->server(), 0}, {head, key, value}));
  std::string message;
  message.reserve(head.size() + key.size() + value.size());
  message.append(head).append(key).append(value);
  std::lock_guard<std::mutex> guard(lock_);
  held_.push_back(std::move(message));
  Written::hold(this);
}

void Journal::hold() { in_transaction_ = log_ != nullptr; }

void Journal::release(bool commit) {
  if (!in_transaction_) return;
  in_transaction_ = false;
  give_away(commit);
}

void Journal::give_away(bool commit) {
  std::lock_guard<std::mutex> guard(lock_);
  if (commit && !held_.empty()) Written::note(log_->append_together({log_->server(), 0}, held_));
  Written::let_go(this);
  held_.clear();
}

Error Journal::ask_log() {
  if (log_->ready()) return Error();
  return Error(Error::SYSTEM, "the update log cannot be written");
}

Error Journal::write_log() {
  if (LogBatch::open() || log_->flush()) return Error();
  return Error(Error::SYSTEM, "the update log could not be written");
}

uint64_t Journal::stamp() {
  if (log_ != nullptr) return log_->stamp();
  using namespace std::chrono;
  const auto now = system_clock::now().time_since_epoch();
  return static_cast<uint64_t>(duration_cast<milliseconds>(now).count()) * 1000000;
}

void Journal::correct(kc::PolyDB& engine, Bytes key) {
  Teller teller(*this);
  engine.accept(key.data(), key.size(), &teller, false);
}

}  // namespace kt
