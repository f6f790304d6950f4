// A search of a table whose conditions, or some of them, are regular expressions.
//
// If all are, it goes through the rows as the library would: along an index of the first column that has
// one, or along one in whose order few rows are wanted, or through all. Else the library is asked for the
// rows that meet the other conditions, and of these the ones are taken that match.

#include <tcbdb.h>
#include <tchdb.h>
#include <tcutil.h>

#include <algorithm>
#include <climits>
#include <cmath>
#include <cstring>
#include <functional>
#include <utility>

#include "tokyo/database/search.h"

namespace kt::tokyo {

namespace {

// The library follows an index for its order only to find this part of a table.
constexpr double PART_BY_ORDER = 0.2;
// Digits of a number that are looked at, if some are behind the point.
constexpr int DIGITS = 16;

bool is_pattern(int operation) {
  return (operation & ~(TDBQCNEGATE | TDBQCNOIDX)) == TDBQCSTRRX;
}

// Puts a number, if it is smaller, in the place of the one behind these words.
void renumber(const char* words, int64_t number, std::string* hint) {
  const size_t found = hint->find(words);
  if (found == std::string::npos) return;
  const size_t begin = found + std::strlen(words);
  const std::string old = hint->substr(begin, hint->find('\n', begin) - begin);
  if (number < tcatoi(old.c_str())) hint->replace(begin, old.size(), std::to_string(number));
}

// The number at the begin of a text, as the library reads it for conditions; none comes before all.
long double number_in(const char* text) {
  while (*text > '\0' && *text <= ' ') text++;
  const bool negative = *text == '-';
  if (*text == '-' || *text == '+') text++;
  if (tcstrifwm(text, "inf")) return negative ? -HUGE_VALL : HUGE_VALL;
  if (tcstrifwm(text, "nan")) return -HUGE_VALL;
  long double number = 0, unit = 1;
  int digits = 0;
  const auto is_digit = [&text] { return '0' <= *text && *text <= '9'; };
  for (; is_digit(); text++) {
    number = number * 10 + (*text - '0');
    if (number > 0) digits++;
  }
  if (*text == '.') text++;
  for (; is_digit() && digits < DIGITS; text++, digits++) {
    unit /= 10;
    number += (*text - '0') * unit;
  }
  return negative ? -number : number;
}

// What a row is ordered by.
struct Ordered {
  std::string key, value;
  bool has_value = true;
  long double number = 0;

  int compare(const Ordered& other, bool by_number) const {
    if (!has_value || !other.has_value) return other.has_value - has_value;
    if (!by_number) return value.compare(other.value);
    return number < other.number ? -1 : number > other.number ? 1 : 0;
  }
};

int compare_keys(const Ordered& a, const Ordered& b, bool by_number) {
  if (!by_number) return a.key.compare(b.key);
  return tccmpdecimal(a.key.data(), length(a.key), b.key.data(), length(b.key), nullptr);
}

}  // namespace

void sort_rows(TCTDB* table, const std::string& column, int type, size_t first,
               std::vector<std::string>* keys) {
  if (type < TDBQOSTRASC || type > TDBQONUMDESC) return;
  const bool by_number = type == TDBQONUMASC || type == TDBQONUMDESC;
  const bool down = type == TDBQOSTRDESC || type == TDBQONUMDESC;
  std::vector<Ordered> rows(keys->size());
  for (size_t i = 0; i < rows.size(); i++) {
    Ordered& row = rows[i];
    row.key = std::move((*keys)[i]);
    if (column.empty()) continue;
    int size = 0;
    void* const found = tctdbget4(table, row.key.data(), length(row.key), column.data(),
                                  length(column), &size);
    row.has_value = found != nullptr;
    if (!row.has_value) continue;
    row.value = Block(found, size).bytes();
    if (by_number) row.number = number_in(row.value.c_str());
  }
  const auto less = [&](const Ordered* a, const Ordered* b) {
    int order = column.empty() ? compare_keys(*a, *b, by_number) : a->compare(*b, by_number);
    if (down && a->has_value && b->has_value) order = -order;
    return order != 0 ? order < 0 : a < b;
  };
  std::vector<Ordered*> places(rows.size());
  std::transform(rows.begin(), rows.end(), places.begin(), [](Ordered& row) { return &row; });
  const auto end = places.begin() + static_cast<std::ptrdiff_t>(std::min(first, places.size()));
  std::partial_sort(places.begin(), end, places.end(), less);
  for (size_t i = 0; i < rows.size(); i++) (*keys)[i] = std::move(places[i]->key);
}

Bytes pattern_of(Bytes argument) {
  Bytes words[4];
  for (Bytes& word : words) {
    const size_t end = std::min(argument.find('\0'), argument.size());
    word = argument.substr(0, end);
    argument.remove_prefix(std::min(end + 1, argument.size()));
  }
  if (words[0] != "addcond" && words[0] != "cond") return Bytes();
  return is_pattern(tctdbqrystrtocondop(std::string(words[2]).c_str())) ? words[3] : Bytes();
}

bool has_pattern(const Arguments& arguments) {
  return std::any_of(arguments.begin(), arguments.end(),
                     [](Bytes argument) { return !pattern_of(argument).empty(); });
}

Matcher matcher_of(Bytes pattern, std::shared_ptr<Effort> effort) {
  const bool folds_case = pattern.substr(0, 1) == "*";
  return Matcher(pattern.substr(folds_case ? 1 : 0), folds_case, std::move(effort));
}

bool Pattern::holds(Bytes key, Bytes row) {
  if (is_about_key()) return occurs(key) == wanted_;
  int size;
  void* value = tcmaploadone(row.data(), length(row), column_.data(), length(column_), &size);
  if (value == nullptr) return !wanted_;
  return occurs(Block(value, size).bytes()) == wanted_;
}

bool Pattern::occurs(Bytes value) {
  effort_->look();
  if (!matcher_.valid()) return false;
  if (!known_.empty()) {
    const auto known = known_.find(std::string(value));
    if (known != known_.end()) return known->second;
  }
  const uint64_t before = effort_->left();
  const bool found = matcher_.matches(value);
  const bool long_way = before - effort_->left() > value.size() + FEW_STEPS;
  if (learns_ && long_way && known_size_ + value.size() < KNOWN_LIMIT) {
    known_.emplace(value, found);
    known_size_ += value.size();
  }
  return found;
}

void Query::add_condition(const std::string& column, int operation, const std::string& operand) {
  const bool led = (operation & (TDBQCNEGATE | TDBQCNOIDX)) == 0 && index_of(column) != nullptr;
  if (is_pattern(operation)) {
    const bool wanted = (operation & TDBQCNEGATE) == 0;
    patterns_.emplace_back(column, wanted, operand, effort_);
    if (led && leader_ == NO_LEADER) leader_ = patterns_.size() - 1;
    // Where there is an index the library goes along it, as it would with the pattern itself.
    if (led) tctdbqryaddcond(query_.get(), column.c_str(), TDBQCSTRINC, "");
  } else {
    tctdbqryaddcond(query_.get(), column.c_str(), operation, operand.c_str());
    only_patterns_ = false;
  }
  if (led) led_columns_.push_back(column);
}

void Query::set_order(const std::string& column, int type) {
  order_ = column;
  order_type_ = type;
  ordered_ = true;
}

void Query::set_limit(int most, int skip) {
  most_ = most >= 0 ? most : INT_MAX;
  skip_ = std::max(skip, 0);
}

void Query::learn() {
  for (Pattern& pattern : patterns_) pattern.learn();
}

ListPointer Query::search_beyond_limit(bool all) {
  return all ? search(INT_MAX, 0) : search(most_ < INT_MAX - skip_ ? most_ + skip_ : most_, 0);
}

ListPointer Query::search(int most, int skip) {
  if (patterns_.empty()) {
    if (ordered_) tctdbqrysetorder(query_.get(), order_.c_str(), order_type_);
    ListPointer found = candidates(most, skip);
    hint_ = tctdbqryhint(query_.get());
    return found;
  }
  const int64_t wanted = int64_t{most} + skip;
  keys_.clear();
  sorted_ = !ordered_;
  hint_.clear();
  if (only_patterns_) {
    go_through(static_cast<int>(std::min<int64_t>(wanted, INT_MAX)));
    hint_ += "result set size: " + std::to_string(keys_.size()) + "\n";
    hint_ += !sorted_ ? "sorting the result set: \"" + order_ + "\"\n"
             : ordered_ ? "leaving the index order\n"
                        : "leaving the natural order\n";
  } else {
    filter(wanted);
  }
  if (!sorted_) sort_rows(table_, order_, order_type_, static_cast<size_t>(wanted), &keys_);
  ListPointer found(tclistnew());
  for (size_t i = static_cast<size_t>(skip); i < keys_.size() && tclistnum(found.get()) < most; i++) {
    tclistpush(found.get(), keys_[i].data(), length(keys_[i]));
  }
  return found;
}

// As the library would.
void Query::go_through(int wanted) {
  const TDBIDX* const order = ordered_ ? index_of(order_) : nullptr;
  const bool follows = order != nullptr && follows_order(*order);
  const bool led = leader_ != NO_LEADER;
  if (const TDBIDX* const leader = led ? index_of(patterns_[leader_].column()) : nullptr) {
    sorted_ = !ordered_ || (follows && leader == order);
    go_along(*leader, sorted_ && goes_down(), &patterns_[leader_], "all", sorted_ ? wanted : INT_MAX);
    return;
  }
  const auto rows = tctdbrnum(table_);
  if (follows && wanted < static_cast<double>(rows) * PART_BY_ORDER) {
    go_along(*order, goes_down(), nullptr, "order", wanted);
    const bool covers = tcbdbrnum(static_cast<TCBDB*>(order->db)) >= rows;
    sorted_ = covers || static_cast<int>(keys_.size()) >= wanted;
    if (sorted_) return;
    hint_ += "abort the result: " + std::to_string(keys_.size()) + "\n";
    keys_.clear();
  }
  go_through_all(ordered_ ? INT_MAX : wanted);
}

void Query::go_through_all(int wanted) {
  hint_ += "scanning the whole table\n";
  if (wanted < INT_MAX) hint_ += "limited matching: " + std::to_string(wanted) + "\n";
  Block last;
  while (static_cast<int>(keys_.size()) < wanted) {
    const char* row;
    int size, row_size;
    char* const key = tchdbgetnext3(table_->hdb, last ? last.bytes().data() : nullptr,
                                    length(last.bytes()), &size, &row, &row_size);
    if (key == nullptr) return;
    last = Block(key, size);
    take(last.bytes(), Bytes(row, static_cast<size_t>(row_size)), nullptr);
  }
}

// Keys of the index are values of its column, but for the empty one with a mark behind them.
void Query::go_along(const TDBIDX& index, bool down, Pattern* leader, const char* reason, int wanted) {
  constexpr int MARK = 3;
  hint_ += std::string("using an index: \"") + index.name + (down ? "\" desc (" : "\" asc (") + reason +
           ")\n";
  if (wanted < INT_MAX || leader == nullptr) {
    hint_ += "limited matching: " + std::to_string(wanted) + "\n";
  }
  struct Delete {
    void operator()(BDBCUR* cursor) const { tcbdbcurdel(cursor); }
  };
  const std::unique_ptr<BDBCUR, Delete> cursor(tcbdbcurnew(static_cast<TCBDB*>(index.db)));
  (down ? tcbdbcurlast : tcbdbcurfirst)(cursor.get());
  while (static_cast<int>(keys_.size()) < wanted) {
    int size, key_size;
    const void* const value = tcbdbcurkey3(cursor.get(), &size);
    if (value == nullptr) return;
    if (*index.name != '\0') size -= MARK;
    if (size < 0) return;
    if (leader == nullptr || leader->occurs({static_cast<const char*>(value),
                                             static_cast<size_t>(size)})) {
      const void* const key = tcbdbcurval3(cursor.get(), &key_size);
      const std::string kept(static_cast<const char*>(key), static_cast<size_t>(key_size));
      if (matches(kept, leader)) keys_.push_back(kept);
    }
    (down ? tcbdbcurprev : tcbdbcurnext)(cursor.get());
  }
}

void Query::take(Bytes key, Bytes row, const Pattern* met) {
  const bool all = std::all_of(patterns_.begin(), patterns_.end(), [&](Pattern& pattern) {
    return &pattern == met || pattern.holds(key, row);
  });
  if (all) keys_.emplace_back(key);
}

// Whether the row with this key meets all patterns but the one that it is known to meet.
bool Query::matches(Bytes key, const Pattern* met) {
  const bool needs_row = std::any_of(patterns_.begin(), patterns_.end(), [&](const Pattern& pattern) {
    return &pattern != met && !pattern.is_about_key();
  });
  Block row;
  if (needs_row) {
    int size = 0;
    void* found = tchdbget(table_->hdb, key.data(), length(key), &size);
    if (found == nullptr) return false;
    row = Block(found, size);
  }
  return std::all_of(patterns_.begin(), patterns_.end(), [&](Pattern& pattern) {
    return &pattern == met || pattern.holds(key, row.bytes());
  });
}

// Where few are wanted, a part of the candidates is looked at, then a larger one.
void Query::filter(int64_t wanted) {
  const bool by_library = ordered_ && follows_index(wanted);
  if (by_library) tctdbqrysetorder(query_.get(), order_.c_str(), order_type_);
  sorted_ = !ordered_ || by_library;
  int judged = 0;
  for (int asked = sorted_ ? first_part(wanted) : INT_MAX;;) {
    if (by_library && asked == INT_MAX) {  // in another order than before
      judged = 0;
      keys_.clear();
    }
    const ListPointer rows = candidates(asked, 0);
    const bool in_parts = ended_early();
    if (asked < INT_MAX && !in_parts) {  // sorted, and equal ones in any order
      asked = INT_MAX;
      continue;
    }
    for (const int count = tclistnum(rows.get()); judged < count; judged++) {
      const bool enough = sorted_ && static_cast<int64_t>(keys_.size()) >= wanted;
      if (enough && (in_parts || !counts_all_)) break;
      const Bytes key = element(rows.get(), judged);
      if (matches(key, nullptr)) keys_.emplace_back(key);
    }
    hint_ = tctdbqryhint(query_.get());
    if (static_cast<int64_t>(keys_.size()) >= wanted || tclistnum(rows.get()) < asked) break;
    asked = next_part(asked);
  }
  renumber("result set size: ", static_cast<int64_t>(keys_.size()), &hint_);
  renumber("limited matching: ", wanted, &hint_);
  if (sorted_) return;
  const std::string unsorted = "leaving the natural order", sorting = "sorting the result set: \"";
  const size_t place = hint_.find(unsorted);
  if (place != std::string::npos) hint_.replace(place, unsorted.size(), sorting + order_ + "\"");
}

int Query::first_part(int64_t wanted) const {
  constexpr int FEWEST = 1024, MANY = 1 << 24;
  if (wanted > MANY) return INT_MAX;
  const int first = std::max(FEWEST, static_cast<int>(wanted) * 4);
  return ordered_ && wanted <= part_by_order() ? std::min(first, part_by_order()) : first;
}

int Query::next_part(int asked) const {
  constexpr int MORE = 16;
  if (asked > INT_MAX / MORE) return INT_MAX;
  if (!ordered_) return asked * MORE;
  return asked < part_by_order() ? std::min(asked * MORE, part_by_order()) : INT_MAX;
}

int Query::part_by_order() const {
  return static_cast<int>(static_cast<double>(tctdbrnum(table_)) * PART_BY_ORDER) - 1;
}

// Whether the library has stopped where it had found as many as it was asked for.
bool Query::ended_early() const {
  const Bytes hint = tctdbqryhint(query_.get());
  return hint.find("limited matching") != Bytes::npos &&
         hint.find("abort the result") == Bytes::npos;
}

// The first index of values as they are; null if there is none.
const TDBIDX* Query::index_of(const std::string& column) const {
  const TDBIDX* const begin = table_->idxs;
  const TDBIDX* const end = begin + table_->inum;
  const TDBIDX* const found = std::find_if(begin, end, [&](const TDBIDX& index) {
    return column == index.name && (index.type == TDBITLEXICAL || index.type == TDBITDECIMAL);
  });
  return found == end ? nullptr : found;
}

bool Query::follows_order(const TDBIDX& index) const {
  const bool by_number = order_type_ == TDBQONUMASC || order_type_ == TDBQONUMDESC;
  return by_number == (index.type == TDBITDECIMAL);
}

// Whether the library may take the order from an index.
bool Query::follows_index(int64_t wanted) const {
  const bool led = std::find(led_columns_.begin(), led_columns_.end(), order_) != led_columns_.end();
  return index_of(order_) != nullptr && (led || wanted < INT_MAX);
}

ListPointer Query::candidates(int most, int skip) {
  tctdbqrysetlimit(query_.get(), most, skip);
  return ListPointer(tctdbqrysearch(query_.get()));
}

}  // namespace kt::tokyo
