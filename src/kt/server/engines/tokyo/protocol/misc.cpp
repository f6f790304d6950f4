// The functions of `misc`, and the other ways to look at many records.

#include <algorithm>
#include <climits>
#include <cstring>
#include <stdexcept>
#include <thread>
#include <unordered_map>

#include "io/effort.h"
#include "io/matcher.h"
#include "tokyo/database/database.h"
#include "tokyo/database/search.h"

namespace kt::tokyo {

namespace {

// Looking at so many records is quick.
constexpr int QUICK_COUNT = 1000;
// Steps of defragmentation in one slice.
constexpr int64_t DEFRAG_STEPS = 255;

enum class Kind {
  UNKNOWN,
  READ,     // one record, found by its key
  WRITE,    // likewise
  ITERATE,  // the clients' iterator
  UID,
  ERROR,
  LISTED,  // many records, found by their keys
  SCAN,    // many records, found by looking through them
  MANAGE,  // the database as a whole
  TABLE,   // indices and searches
  EACH,    // another function, for each key
};

Kind kind_of(Bytes name) {
  static const std::unordered_map<Bytes, Kind> kinds = {
      {"put", Kind::WRITE},         {"putkeep", Kind::WRITE},    {"putcat", Kind::WRITE},
      {"putdup", Kind::WRITE},      {"putdupback", Kind::WRITE}, {"out", Kind::WRITE},
      {"get", Kind::READ},          {"getpart", Kind::READ},     {"putlist", Kind::LISTED},
      {"outlist", Kind::LISTED},    {"getlist", Kind::LISTED},   {"iterinit", Kind::ITERATE},
      {"iternext", Kind::ITERATE},  {"genuid", Kind::UID},       {"error", Kind::ERROR},
      {"regex", Kind::SCAN},        {"range", Kind::SCAN},       {"sync", Kind::MANAGE},
      {"optimize", Kind::MANAGE},   {"vanish", Kind::MANAGE},    {"defrag", Kind::MANAGE},
      {"cacheclear", Kind::MANAGE}, {"setindex", Kind::TABLE},   {"search", Kind::TABLE},
      {"metasearch", Kind::TABLE},
  };
  if (!name.empty() && (name[0] == '@' || name[0] == '%')) return Kind::EACH;
  const auto found = kinds.find(name);
  return found == kinds.end() ? Kind::UNKNOWN : found->second;
}

// The integer at the begin of an argument, as the library reads it; `missing` if there is none.
int64_t number(const Arguments& arguments, size_t i, int64_t missing) {
  return i < arguments.size() ? tcatoi(std::string(arguments[i]).c_str()) : missing;
}

int64_t limit_of(const Arguments& arguments) {
  const int64_t limit = number(arguments, 1, 0);
  return limit < 1 ? -1 : limit;
}

void add_all(const TCLIST* list, List* result) {
  for (int i = 0; i < tclistnum(list) && !result->too_long(); i++) result->add(element(list, i));
}

// False if it becomes too long.
bool add_all(const std::vector<ListPointer>& found, List* result) {
  for (const ListPointer& list : found) add_all(list.get(), result);
  return !result->too_long();
}

size_t bytes_of(const Arguments& arguments) {
  size_t bytes = 0;
  for (const Bytes argument : arguments) bytes += argument.size();
  return bytes;
}

// False if that takes more steps.
bool choose_soon(const std::vector<std::unique_ptr<Search>>& searches, Effort* effort,
                 uint64_t steps) {
  const uint64_t left = effort->left(), some = std::min(left, steps);
  effort->set_left(some);
  bool done = true;
  try {
    for (const auto& search : searches) search->choose();
  } catch (const MatchEnded&) {
    effort->look();
    done = false;
  }
  effort->set_left(left - (some - effort->left()));
  return done;
}

// Numbers of a fixed-length database, such as "[3,20)" or "(min,max]".
struct Interval {
  int64_t lower = 0, upper = 0;

  static int64_t bound(const TCFDB* database, Bytes text) {
    while (!text.empty() && text.front() <= ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() <= ' ') text.remove_suffix(1);
    switch (const int64_t id = tcfdbkeytoid(text.data(), length(text))) {
      case FDBIDMIN: return static_cast<int64_t>(database->min);
      case FDBIDPREV: return static_cast<int64_t>(database->min) - 1;
      case FDBIDMAX: return static_cast<int64_t>(database->max);
      case FDBIDNEXT: return static_cast<int64_t>(database->max) + 1;
      default: return id;
    }
  }

  // False if the text is no interval, or has no valid bounds.
  bool read(const TCFDB* database, Bytes text) {
    while (!text.empty() && text.front() <= ' ' && text.front() != '\0') text.remove_prefix(1);
    const size_t comma = text.find(',');
    if (text.empty() || (text[0] != '[' && text[0] != '(') || comma == Bytes::npos) return false;
    size_t end = text.find(']', comma);
    const bool with_upper = end != Bytes::npos;
    if (!with_upper) end = text.find(')', comma);
    if (end == Bytes::npos) return false;
    lower = bound(database, text.substr(1, comma - 1)) + (text[0] == '(' ? 1 : 0);
    upper = bound(database, text.substr(comma + 1, end - comma - 1)) - (with_upper ? 0 : 1);
    const int64_t last = static_cast<int64_t>(database->limid);
    return lower >= 1 && lower <= last && upper >= 1 && upper <= last;
  }
};

}  // namespace

bool Database::quick_fwmkeys(int limit) const {
  if (is_plugin()) return false;
  const bool few = limit >= 0 && limit <= QUICK_COUNT;
  return (few && stores_[0]->ordered()) || count() <= QUICK_COUNT;
}

bool Database::quick_misc(Bytes name, const Arguments& arguments) const {
  switch (kind_of(name)) {
    case Kind::UNKNOWN: return !is_plugin();
    case Kind::READ:
    case Kind::WRITE:
    case Kind::ITERATE:
    case Kind::UID:
    case Kind::ERROR: return true;
    case Kind::LISTED: return arguments.size() <= QUICK_COUNT && bytes_of(arguments) <= LARGE;
    case Kind::SCAN: {
      if (name == "regex" || is_plugin()) return false;  // matching may take long, with a single key
      const int64_t limit = limit_of(arguments);
      return quick_fwmkeys(static_cast<int>(std::min<int64_t>(limit, INT_MAX)));
    }
    case Kind::TABLE:
      return name != "setindex" && !is_plugin() && count() <= QUICK_COUNT && scans_.empty() &&
             !has_pattern(arguments) && record_bytes() <= LARGE;
    default: return false;
  }
}

bool Database::only_reads(Bytes name) {
  return kind_of(name) == Kind::READ || kind_of(name) == Kind::ERROR || name == "getlist";
}

// How much the rows of tables take in their files.
uint64_t Database::record_bytes() const {
  uint64_t bytes = 0;
  for (const auto& store : stores_) {
    if (store->type() != Store::Type::TABLE) continue;
    const TCHDB* const rows = static_cast<TCTDB*>(store->library())->hdb;
    bytes += rows->fsiz - rows->frec;
  }
  return bytes;
}

bool Database::logs(Bytes name, bool asks) const {
  if (asks || !journal.logs_every_change()) return asks;
  const Kind kind = kind_of(name);
  return !only_reads(name) && kind != Kind::ITERATE && kind != Kind::SCAN;
}

uint8_t Database::rights_for(Bytes name, const Arguments& arguments) {
  switch (kind_of(name)) {
    case Kind::UNKNOWN: return READ | WRITE | ADMIN;  // a plug-in may have it
    case Kind::WRITE:
    case Kind::UID: return WRITE;
    case Kind::LISTED: return name == "getlist" ? READ : WRITE;
    case Kind::MANAGE: return name == "vanish" ? WRITE : ADMIN;
    case Kind::TABLE:
      if (name == "setindex") return ADMIN;
      return hold_of(name, arguments) == Hold::ALL ? READ | WRITE : READ;
    case Kind::EACH: {
      Bytes each = name;
      while (!each.empty() && (each[0] == '@' || each[0] == '%')) each.remove_prefix(1);
      return READ | rights_for(each, arguments);
    }
    default: return READ;
  }
}

Database::Hold Database::hold_of(Bytes name, const Arguments& arguments) {
  if (name == "optimize") return Hold::ALL;
  if (kind_of(name) != Kind::TABLE) return Hold::NONE;
  const bool removes = std::any_of(arguments.begin(), arguments.end(), [](Bytes argument) {
    const Bytes word = argument.substr(0, argument.find('\0'));
    return word == "out" || word == "remove";
  });
  return name == "setindex" || removes ? Hold::ALL : Hold::WRITERS;
}

bool Database::misc(const std::string& name, const Arguments& arguments, List* result,
                    bool logged) {
  if (!logs(name, logged)) return call(name, arguments, result);
  const bool ready = journal.admits();
  if (!ready && !only_reads(name)) return refused();
  if (kind_of(name) == Kind::LISTED && !is_plugin()) {
    const size_t end = listed(name, arguments, 0, arguments.size(), result);
    const bool done = end == arguments.size();
    return ready ? tell_listed(name, arguments, 0, end, done) : done;
  }
  const bool done = call(name, arguments, result);
  return ready ? journal.misc(name, arguments, done) : done;
}

bool Database::call(const std::string& name, const Arguments& arguments, List* result) {
  if (is_plugin()) return everywhere(name, arguments, result);
  switch (kind_of(name)) {
    case Kind::READ:
    case Kind::WRITE: return at_key(name, arguments, result);
    case Kind::ITERATE: return iterate(name, arguments, result);
    case Kind::LISTED:
      return listed(name, arguments, 0, arguments.size(), result) == arguments.size();
    case Kind::UID:
    case Kind::TABLE: return everywhere(name, arguments, result);
    case Kind::ERROR:
      if (in_memory()) return false;
      result->add(error_text());
      if (fatal()) result->add("fatal");
      return true;
    case Kind::SCAN: {
      const auto scan = this->scan(name, arguments, result);
      if (!scan) return false;
      if (!scan->whole()) throw NotQuick();
      return true;
    }
    default: return false;
  }
}

bool Database::long_misc(const std::string& name, const Arguments& arguments, List* result,
                         bool asks) {
  const bool logged = logs(name, asks);
  if (is_plugin()) {
    Gate::Writing writing(gate);
    return misc(name, arguments, result, asks);
  }
  if (kind_of(name) == Kind::TABLE) return tabular(name, arguments, result, logged);
  if (fetch(name, arguments, result)) {
    Gate::Turn turn(gate);
    return logged && journal.admits() ? journal.misc(name, arguments, true) : true;
  }
  if (name == "getlist") return long_getlist(arguments, result, logged);
  if (only_reads(name)) {
    Gate::Turn turn(gate);
    if (quick_misc(name, arguments)) return misc(name, arguments, result, logged);
  } else if (kind_of(name) != Kind::SCAN) {
    Gate::Writing writing(gate);
    if (quick_misc(name, arguments)) return misc(name, arguments, result, logged);
  }
  switch (kind_of(name)) {
    case Kind::LISTED: return long_listed(name, arguments, result, logged);
    case Kind::SCAN: {
      const auto scan = this->scan(name, arguments, result);
      bool done = scan != nullptr;
      try {
        if (scan) run(scan.get());
      } catch (const MatchEnded&) {
        done = false;
      }
      done = done && !result->too_long();
      return logged && journal.admits() ? journal.misc(name, arguments, done) : done;
    }
    case Kind::MANAGE: return managed(name, arguments, logged);
    default: return each(name, arguments, result, logged);
  }
}

bool Database::at_key(const std::string& name, const Arguments& arguments, List* result) {
  if (arguments.empty()) return false;
  const Bytes key = arguments[0];
  Store& store = kind_of(name) == Kind::WRITE ? to_write(key) : this->store(key);
  const ListPointer found = store.misc(name.c_str(), arguments);
  if (!noted(found != nullptr, store)) return false;
  add_all(found.get(), result);
  return true;
}

bool Database::everywhere(const std::string& name, const Arguments& arguments, Found* found) {
  for (const auto& store : stores_) {
    found->emplace_back(store->misc(name.c_str(), arguments));
    if (!noted(found->back() != nullptr, *store)) return false;
    if (kind_of(name) == Kind::UID) break;
  }
  return true;
}

bool Database::everywhere(const std::string& name, const Arguments& arguments, List* result) {
  Found found;
  return everywhere(name, arguments, &found) && add_all(found, result);
}

bool Database::iterate(const std::string& name, const Arguments& arguments, List* result) {
  if (name == "iterinit") {
    iterator_ = arguments.empty() ? 0 : index(arguments[0]);
    for (size_t i = iterator_ + 1; i < stores_.size(); i++) stores_[i]->iterinit();
    Store& store = *stores_[iterator_];
    return noted(store.misc("iterinit", arguments) != nullptr, store);
  }
  for (; iterator_ < stores_.size(); iterator_++) {
    if (const ListPointer found = stores_[iterator_]->misc("iternext", {})) {
      add_all(found.get(), result);
      return true;
    }
  }
  return noted(false, *stores_.back());
}

size_t Database::listed(const std::string& name, const Arguments& arguments, size_t begin,
                        size_t end, List* result) {
  const size_t step = name == "putlist" ? 2 : 1;
  for (size_t i = begin; i + step <= end; i += step) {
    const bool done = name == "putlist"   ? put_listed(arguments[i], arguments[i + 1])
                      : name == "outlist" ? out_listed(arguments[i])
                                          : get_listed(arguments[i], result);
    if (!done) return i;
  }
  return end;
}

bool Database::tell_listed(const std::string& name, const Arguments& arguments, size_t begin,
                           size_t end, bool done) {
  const auto tell = [&](size_t first, size_t last, bool outcome) {
    const auto at = [&](size_t i) { return arguments.begin() + static_cast<std::ptrdiff_t>(i); };
    return journal.misc(name, Arguments(at(first), at(last)), outcome);
  };
  if (!journal.connected()) return done;
  if (done || end > begin) tell(begin, end, true);
  return done || tell(end, std::min(end + (name == "putlist" ? 2 : 1), arguments.size()), false);
}

bool Database::long_listed(const std::string& name, const Arguments& arguments, List* result,
                           bool logged) {
  using Clock = std::chrono::steady_clock;
  constexpr size_t AT_ONCE = 2;  // `putlist` takes pairs
  for (size_t i = 0; i < arguments.size();) {
    Gate::Slice slice(gate);
    const bool ready = !logged || journal.admits();
    if (!ready) return refused();
    const size_t begin = i;
    const auto over = Clock::now() + Scan::SLICE_TIME;
    bool done;
    do {
      const size_t end = std::min(i + AT_ONCE, arguments.size());
      i = listed(name, arguments, i, end, result);
      done = i == end;
    } while (done && i < arguments.size() && Clock::now() < over);
    if (logged && ready) tell_listed(name, arguments, begin, i, done);
    if (!done) return false;
  }
  return true;
}

// As `long_listed`; large values are copied to memory that was found outside of the gate.
bool Database::long_getlist(const Arguments& arguments, List* result, bool logged) {
  using Clock = std::chrono::steady_clock;
  bool done = true;
  for (size_t i = 0; done && i < arguments.size();) {
    const size_t begin = i;
    if (fetch_listed(arguments[i], true, result)) i++;
    Gate::Turn turn(gate);
    const bool ready = !logged || journal.admits();
    const auto over = Clock::now() + Scan::SLICE_TIME;
    while (done && i < arguments.size() && Clock::now() < over) {
      if (i > begin && is_large_list(arguments[i])) break;
      done = get_listed(arguments[i], result);
      if (done) i++;
    }
    if (logged && ready) tell_listed("getlist", arguments, begin, i, done);
  }
  return done && !result->too_long();
}

// Where there are many stores, `@name` calls a function of one record once for each argument,
// `%name` once for each pair; the results are strung together, failures left out.
bool Database::each(const std::string& name, const Arguments& arguments, List* result,
                    bool logged) {
  const std::string function = name.substr(1);
  const Kind kind = kind_of(function);
  if (stores_.size() == 1 || (kind != Kind::READ && kind != Kind::WRITE)) return false;
  const size_t step = name[0] == '%' ? 2 : 1;
  for (size_t i = 0; i + step <= arguments.size(); i += step) {
    const auto first = arguments.begin() + static_cast<std::ptrdiff_t>(i);
    Gate::Slice slice(gate);
    misc(function, Arguments(first, first + static_cast<std::ptrdiff_t>(step)), result, logged);
  }
  return !result->too_long();
}

bool Database::managed(const std::string& name, const Arguments& arguments, bool logged) {
  const bool ready = !logged || journal.admits();
  if (!ready) return refused();
  const auto tell = [&](bool done) { return logged ? journal.misc(name, arguments, done) : done; };
  if (name == "vanish") return vanish_all(tell);
  if (name == "sync") return tell(sync_all());
  if (name == "optimize") {
    return tell(optimize_all(arguments.empty() ? "" : std::string(arguments[0])));
  }
  if (name == "defrag") return tell(defrag(number(arguments, 0, -1)));
  Gate::Slice slice(gate);
  List nothing;
  return tell(everywhere(name, arguments, &nothing));
}

bool Database::tabular(const std::string& name, const Arguments& arguments, List* result,
                       bool logged) {
  if (name != "setindex" && stores_[0]->type() == Store::Type::TABLE && has_pattern(arguments)) {
    try {
      return hold_of(name, arguments) == Hold::WRITERS
                 ? searched(name, arguments, result, logged)
                 : search_and_remove(name, arguments, result, logged);
    } catch (const MatchEnded&) {
      return logged && journal.admits() ? journal.misc(name, arguments, false) : false;
    }
  }
  if (hold_of(name, arguments) == Hold::WRITERS) {
    Found found;
    bool done;
    {
      Gate::Reading reading(gate);
      done = everywhere(name, arguments, &found);
      if (logged && journal.admits()) done = journal.misc(name, arguments, done);
    }
    return done && add_all(found, result);
  }
  // It may write records that it does not name: not while a scan is under way.
  for (;;) {
    {
      Gate::Slice slice(gate);
      if (scans_.empty()) return misc(name, arguments, result, logged);
    }
    std::this_thread::sleep_for(Scan::SLICE_TIME);
  }
}

std::vector<std::unique_ptr<Search>> Database::searches(
    const Arguments& arguments, const std::shared_ptr<Effort>& effort) const {
  std::vector<std::unique_ptr<Search>> searches;
  for (const auto& store : stores_) {
    auto* const table = static_cast<TCTDB*>(store->library());
    searches.push_back(std::make_unique<Search>(table, arguments, effort));
  }
  return searches;
}

bool Database::finish_all(const std::vector<std::unique_ptr<Search>>& searches,
                          const std::string& name, const Arguments& arguments, Found* found) {
  for (size_t i = 0; i < stores_.size(); i++) {
    found->emplace_back(stores_[i]->finish(searches[i].get(), name.c_str(), arguments));
    if (!noted(found->back() != nullptr, *stores_[i])) return false;
  }
  return true;
}

bool Database::searched(const std::string& name, const Arguments& arguments, List* result,
                        bool logged) {
  Found found;
  bool done;
  {
    Gate::Reading reading(gate);
    const auto searches = this->searches(arguments, std::make_shared<Effort>(&stopped_));
    for (const auto& search : searches) search->choose();
    done = finish_all(searches, name, arguments, &found);
    if (logged && journal.admits()) done = journal.misc(name, arguments, done);
  }
  return done && add_all(found, result);
}

// What takes long is found out while others read; inside the gate, little of that is left to do.
bool Database::search_and_remove(const std::string& name, const Arguments& arguments, List* result,
                                 bool logged) {
  constexpr int ATTEMPTS = 8;
  constexpr uint64_t FEW_STEPS = 2'000'000;
  const auto effort = std::make_shared<Effort>(&stopped_);
  std::vector<std::unique_ptr<Search>> searches;
  for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
    {
      Gate::Reading reading(gate);
      if (searches.empty()) searches = this->searches(arguments, effort);
      for (const auto& search : searches) search->learn();
    }
    for (bool scanned = true; scanned;) {
      Found found;
      bool done = false, tried = false;
      {
        Gate::Slice slice(gate);
        scanned = !scans_.empty();
        if (!scanned && choose_soon(searches, effort.get(), FEW_STEPS)) {
          const bool ready = !logged || journal.admits();
          if (!ready) return refused();
          done = finish_all(searches, name, arguments, &found);
          if (logged) done = journal.misc(name, arguments, done);
          tried = true;
        }
      }
      if (tried) return done && add_all(found, result);
      if (scanned) std::this_thread::sleep_for(Scan::SLICE_TIME);
    }
  }
  throw MatchEnded("rows change faster than the regular expression can be matched");
}

bool Database::defrag(int64_t steps) {
  bool any = false;
  for (const auto& store : stores_) {
    size_t files;
    {
      Gate::Turn turn(gate);
      files = store->hash_files().size();
    }
    for (size_t i = 0; i < files; i++) {
      if (!defrag_file(store.get(), i, steps)) return false;
      any = true;
    }
  }
  return any;
}

// The whole file if `steps` is not positive. A file is looked up again in each slice: indices,
// which have files, may be removed meanwhile.
bool Database::defrag_file(Store* store, size_t number, int64_t steps) {
  const bool whole = steps < 1;
  uint64_t place = 0;
  for (bool first = true;; first = false) {
    Gate::Slice slice(gate);
    const std::vector<TCHDB*> files = store->hash_files();
    if (number >= files.size()) return true;
    TCHDB* file = files[number];
    if (first && whole) file->dfcur = file->frec;
    if (!first && (file->dfcur <= place || (!whole && steps < 1))) return true;
    place = file->dfcur;
    const int64_t now = whole ? DEFRAG_STEPS : std::min(steps, DEFRAG_STEPS);
    if (!store->defragment(file, now)) return noted(false, *store);
    steps -= now;
  }
}

std::unique_ptr<Scan> Database::prefix_scan(Bytes prefix, int limit, List* result) const {
  if (stores_[0]->type() == Store::Type::FIXED) {
    Interval interval;
    if (!interval.read(static_cast<TCFDB*>(stores_[0]->library()), prefix)) limit = 0;
    const auto judge = [last = interval.upper](Bytes key, Bytes) {
      const bool inside = tcfdbkeytoid(key.data(), length(key)) <= last;
      return inside ? Scan::Verdict::TAKE : Scan::Verdict::STOP;
    };
    const std::string first = std::to_string(interval.lower);
    const Bytes begin(first);
    return std::make_unique<Scan>(all(), judge, &begin, false, limit, result);
  }
  const bool ordered = stores_[0]->ordered();
  const auto judge = [ordered, prefix = std::string(prefix), last = std::string(), first = true](
                         Bytes key, Bytes) mutable {
    if (key.compare(0, prefix.size(), prefix) != 0) {
      return ordered ? Scan::Verdict::STOP : Scan::Verdict::PASS;
    }
    if (!ordered) return Scan::Verdict::TAKE;
    if (!first && key == last) return Scan::Verdict::PASS;
    first = false;
    last.assign(key);
    return Scan::Verdict::TAKE;
  };
  return std::make_unique<Scan>(all(), judge, &prefix, false, limit, result);
}

bool Database::fwmkeys(Bytes prefix, int limit, List* result) {
  return prefix_scan(prefix, limit, result)->whole();
}

void Database::long_fwmkeys(Bytes prefix, int limit, List* result) {
  std::unique_ptr<Scan> scan;
  if (is_plugin()) {
    Gate::Turn turn(gate);
    add_all(stores_[0]->plugin_keys(prefix, limit).get(), result);
  } else {
    Gate::Turn turn(gate);
    scan = prefix_scan(prefix, limit, result);
  }
  if (scan) run(scan.get());
  if (result->too_long()) throw std::overflow_error("more keys than a list may have");
}

std::unique_ptr<Scan> Database::scan(const std::string& name, const Arguments& arguments,
                                     List* result) const {
  return name == "regex" ? regex_scan(arguments, result) : range_scan(arguments, result);
}

std::unique_ptr<Scan> Database::regex_scan(const Arguments& arguments, List* result) const {
  if (arguments.empty()) return nullptr;
  const auto regex = std::make_shared<Matcher>(
      matcher_of(arguments[0], std::make_shared<Effort>(&stopped_)));
  if (!regex->valid()) return nullptr;
  const auto judge = [regex](Bytes key, Bytes) {
    return regex->matches(key) ? Scan::Verdict::TAKE : Scan::Verdict::PASS;
  };
  return std::make_unique<Scan>(all(), judge, nullptr, true, limit_of(arguments), result,
                                Scan::Judging::APART);
}

std::unique_ptr<Scan> Database::range_scan(const Arguments& arguments, List* result) const {
  Store* const store = stores_[0].get();
  if (!store->ordered()) return nullptr;
  const bool bounded = arguments.size() > 2;
  const std::string end(bounded ? arguments[2] : Bytes());
  const int64_t end_id = tcfdbkeytoid(end.data(), length(end));
  const auto judge = [=](Bytes key, Bytes) {
    const bool inside =
        !bounded || (store->type() == Store::Type::FIXED
                         ? end_id <= 0 || tcfdbkeytoid(key.data(), length(key)) < end_id
                         : store->compare(key, end) < 0);
    return inside ? Scan::Verdict::TAKE : Scan::Verdict::STOP;
  };
  const Bytes* begin = arguments.empty() ? nullptr : &arguments[0];
  return std::make_unique<Scan>(all(), judge, begin, true, limit_of(arguments), result);
}

}  // namespace kt::tokyo
