// A cursor goes through the database in turns; between two turns the keys of the last one are judged.
//
// What could go wrong meanwhile, and what is done about it:
//
// - A cache database moves a record to the end of its list when it is read: it would be met twice.
//   So the rotation is switched off as long as a search runs.
// - A file hash database may write a record that has grown into a gap behind the cursor, or past the
//   end that the cursor goes to: it would be missed, or met twice. So the keys that are written
//   meanwhile are remembered. The search skips them and looks them up one by one at its end.
// - An aborted transaction makes cursors forget their places: the search begins again. If that goes
//   on, it keeps transactions from beginning while it runs.
// - Clearing ends it: at that moment there was nothing to be found.

#include "kyoto/database/scan.h"

#include <algorithm>
#include <cstring>

#include "io/distance.h"
#include "io/effort.h"
#include "io/matcher.h"
#include "kyoto/database/cursor.h"

namespace kt {

namespace {

// Which keys are wanted.
class Filter {
 public:
  explicit Filter(const std::string& prefix = {}) : prefix_(prefix) {}
  virtual ~Filter() = default;

  // All wanted keys begin with this.
  const std::string& prefix() const { return prefix_; }

  bool begins_right(Bytes key) const {
    return key.size() >= prefix_.size() &&
           std::memcmp(key.data(), prefix_.data(), prefix_.size()) == 0;
  }
  virtual bool wants(const std::string& key) { return begins_right(key); }
  // Whether that is all there is to it.
  virtual bool is_prefix() const { return true; }

 private:
  const std::string prefix_;
};

class RegexFilter final : public Filter {
 public:
  RegexFilter(const std::string& regex, const std::atomic<bool>& stopped)
      : matcher_(regex, false, std::make_shared<Effort>(&stopped)) {}

  bool valid() const { return matcher_.valid(); }
  bool wants(const std::string& key) override { return matcher_.matches(key); }
  bool is_prefix() const override { return false; }

 private:
  Matcher matcher_;
};

// Levenshtein distance of at most so much.
class SimilarFilter final : public Filter {
 public:
  SimilarFilter(const std::string& origin, size_t most, bool utf8, const std::atomic<bool>& stopped)
      : origin_(origin), most_(most), utf8_(utf8), effort_(&stopped) {
    if (utf8_) decode(origin_, &origin_characters_);
  }

  // FAR if it is more than `most`. Throws MatchEnded.
  size_t distance(const std::string& key) {
    effort_.look();
    effort_.set_left(Effort::LIMIT);  // for each key
    if (!utf8_) return distance_of(origin_, key, most_, &effort_);
    decode(key, &key_characters_);
    return distance_of(origin_characters_, key_characters_, most_, &effort_);
  }

  bool wants(const std::string& key) override { return distance(key) != FAR; }
  bool is_prefix() const override { return false; }

 private:
  static void decode(const std::string& text, std::vector<uint32_t>* characters) {
    size_t count;
    characters->resize(text.size() + 1);
    kc::strutftoucs(text.data(), text.size(), characters->data(), &count);
    characters->resize(count);
  }

  const std::string origin_;
  const size_t most_;
  const bool utf8_;
  Effort effort_;
  std::vector<uint32_t> origin_characters_;
  std::vector<uint32_t> key_characters_;
};

// Notes the keys that the cursor passes, but for those that are not wanted as is seen at once.
class Collector final : public RecordVisitor {
 public:
  // If `sorted`, no wanted key comes behind one that does not begin right.
  Collector(const Filter& filter, bool sorted, Keys* keys)
      : RecordVisitor(true), filter_(filter), sorted_(sorted), keys_(keys) {}

  // `most`: how many are wanted; all if negative.
  void begin(const Terms& terms, int64_t most) {
    RecordVisitor::begin(terms);
    most_ = most;
    done_ = false;
  }
  // There is no need to go on: the last key is behind all that are wanted, or there are enough.
  bool done() const { return done_; }

 private:
  Change on_record(Bytes key, Bytes, int64_t) override {
    if (!filter_.begins_right(key)) {
      if (!sorted_) return Change::keep();
      done_ = true;
    }
    keys_->emplace_back(key);
    if (most_ >= 0 && filter_.is_prefix() && static_cast<int64_t>(keys_->size()) >= most_) {
      done_ = true;
    }
    return Change::keep();
  }

  const Filter& filter_;
  const bool sorted_;
  Keys* const keys_;
  int64_t most_ = -1;
  bool done_ = false;
};

class Existence final : public RecordVisitor {
 public:
  bool exists = false;

 private:
  Change on_record(Bytes, Bytes, int64_t) override {
    exists = true;
    return Change::keep();
  }
};

// One search.
class Scan {
 public:
  Scan(Database& database, Filter& filter, int64_t limit, Keys* keys)
      : database_(database), filter_(filter), limit_(limit), keys_(keys), no_rotation_(database) {}

  Error run() {
    constexpr int PATIENCE = 8;
    for (int attempt = 0;; attempt++) {
      std::unique_lock<std::mutex> no_transactions;
      if (attempt > PATIENCE) no_transactions = database_.keep_transactions_away();
      const uint64_t epoch = database_.epoch();
      const uint64_t clearings = database_.clearings();
      keys_->clear();
      if (enough()) return succeeded();
      if (database_.kind().moves_records) watch_.emplace(database_);
      Error error = pass();
      if (failed(error) && error.code() != Error::NOREC) return error;
      if (clearings != database_.clearings()) {
        keys_->clear();
        return succeeded();
      }
      if (epoch == database_.epoch()) return watch_ ? look_up_written() : succeeded();
    }
  }

 private:
  // How many more are wanted; negative if all are.
  int64_t left() const { return limit_ < 0 ? -1 : limit_ - static_cast<int64_t>(keys_->size()); }
  bool enough() const { return limit_ >= 0 && left() <= 0; }
  bool ends_after_prefix() const { return database_.kind().lexical && !filter_.prefix().empty(); }

  Error pass();
  bool judge(const Keys& passed);
  Error look_up_written();

  Database& database_;
  Filter& filter_;
  const int64_t limit_;
  Keys* const keys_;
  NoRotation no_rotation_;
  std::optional<KeyWatch> watch_;
};

// From the beginning to the end; NOREC is the normal end.
Error Scan::pass() {
  Cursor cursor(database_);
  Keys passed;
  Collector collector(filter_, ends_after_prefix(), &passed);
  Turns turns(database_.gate());
  kc::BasicDB::Cursor* place = cursor.engine_cursor();
  if (place == nullptr) return not_open();
  bool more = ends_after_prefix() ? place->jump(filter_.prefix()) : place->jump();
  for (;;) {
    collector.begin(database_.terms(), left());
    while (more && !collector.done() && !turns.over()) {
      more = place->accept(&collector, false, true);
    }
    Error error = more ? succeeded() : database_.engine().error();
    turns.pause();
    more = judge(passed) && more;
    passed.clear();
    if (!more) return error;
    turns.resume();
    place = cursor.engine_cursor();
    if (place == nullptr) return not_open();
  }
}

// Takes the keys that are wanted; false if there is no point in going on.
bool Scan::judge(const Keys& passed) {
  for (const std::string& key : passed) {
    if (ends_after_prefix() && !filter_.begins_right(key)) return false;
    if (!filter_.wants(key) || (watch_ && watch_->knows(key))) continue;
    keys_->push_back(key);
    if (enough()) return false;
  }
  return true;
}

Error Scan::look_up_written() {
  KeyWatch::Keys written = watch_->take();
  for (const std::string& key : *keys_) written.erase(key);
  for (const std::string& key : written) {
    if (enough()) break;
    if (!filter_.wants(key)) continue;
    Existence visitor;
    Error error = database_.accept(key, visitor, false);
    if (failed(error)) return error;
    if (visitor.exists) keys_->push_back(key);
  }
  return succeeded();
}

}  // namespace

Error match_prefix(Database& database, const std::string& prefix, int64_t limit, Keys* keys) {
  Filter filter(prefix);
  return Scan(database, filter, limit, keys).run();
}

Error match_regex(Database& database, const std::string& regex, int64_t limit, Keys* keys) {
  if (const char* fault = pattern_fault(regex)) return Error(Error::LOGIC, fault);
  RegexFilter filter(regex, database.matching_stopped());
  if (!filter.valid()) return Error(Error::LOGIC, "compilation failed");
  try {
    return Scan(database, filter, limit, keys).run();
  } catch (const MatchEnded& ended) {
    return Error(Error::LOGIC, ended.what());
  }
}

Error match_similar(Database& database, const std::string& origin, size_t distance, bool utf8,
                    int64_t limit, Keys* keys) try {
  SimilarFilter filter(origin, distance, utf8, database.matching_stopped());
  Keys found;
  Error error = Scan(database, filter, -1, &found).run();
  if (failed(error)) return error;
  std::vector<std::pair<size_t, std::string>> ranked;
  for (std::string& key : found) ranked.emplace_back(filter.distance(key), std::move(key));
  std::sort(ranked.begin(), ranked.end());
  if (limit >= 0 && ranked.size() > static_cast<size_t>(limit)) ranked.resize(limit);
  keys->clear();
  for (auto& [rank, key] : ranked) keys->push_back(std::move(key));
  return succeeded();
} catch (const MatchEnded& ended) {
  return Error(Error::LOGIC, ended.what());
}

}  // namespace kt
