#include "tokyo/database/search.h"

#include <algorithm>
#include <climits>
#include <unordered_set>
#include <utility>

namespace kt::tokyo {

namespace {

std::vector<std::string> words_of(Bytes argument) {
  std::vector<std::string> words;
  for (size_t begin = 0, end = 0; end != Bytes::npos; begin = end + 1) {
    end = argument.find('\0', begin);
    words.emplace_back(argument.substr(begin, end == Bytes::npos ? end : end - begin));
  }
  return words;
}

bool is_one_of(const std::string& word, std::initializer_list<const char*> names) {
  return std::find(names.begin(), names.end(), word) != names.end();
}

ListPointer list_of(const std::vector<std::string>& elements, size_t skip, int most) {
  ListPointer list(tclistnew());
  for (size_t i = skip; i < elements.size() && tclistnum(list.get()) < most; i++) {
    tclistpush(list.get(), elements[i].data(), length(elements[i]));
  }
  return list;
}

}  // namespace

Search::Search(TCTDB* table, const Arguments& arguments, std::shared_ptr<Effort> effort)
    : table_(table), effort_(std::move(effort)) {
  queries_.push_back(std::make_unique<Query>(table, effort_));
  for (const Bytes argument : arguments) read(words_of(argument));
  if (!hints_) return;
  for (const auto& query : queries_) query->count_all();
}

void Search::read(const std::vector<std::string>& words) {
  const std::string& word = words[0];
  Query& query = *queries_.back();
  if (is_one_of(word, {"addcond", "cond"}) && words.size() > 3) {
    const int operation = tctdbqrystrtocondop(words[2].c_str());
    if (operation >= 0) query.add_condition(words[1], operation, words[3]);
  } else if (is_one_of(word, {"setorder", "order"}) && words.size() > 2) {
    const int type = tctdbqrystrtoordertype(words[2].c_str());
    if (type >= 0) query.set_order(words[1], type);
  } else if (is_one_of(word, {"setlimit", "limit", "setmax", "max"}) && words.size() > 1) {
    const int64_t skip = words.size() > 2 ? tcatoi(words[2].c_str()) : 0;
    query.set_limit(static_cast<int>(tcatoi(words[1].c_str())), static_cast<int>(skip));
  } else if (is_one_of(word, {"get", "columns"})) {
    wants_columns_ = true;
    columns_.insert(columns_.end(), words.begin() + 1, words.end());
  } else if (word == "next") {
    queries_.push_back(std::make_unique<Query>(table_, effort_));
  } else if (word == "mstype" && words.size() > 1) {
    const int kind = tctdbstrtometasearcytype(words[1].c_str());
    kind_ = kind < 0 ? static_cast<int>(TDBMSUNION) : kind;
  } else {
    removes_ |= is_one_of(word, {"out", "remove"});
    counts_ |= word == "count";
    hints_ |= word == "hint";
  }
}

void Search::choose() {
  queries_run_ = 0;
  const bool several = queries_.size() > 1 && !removes_;
  if (!several) {
    chosen_ = queries_.back()->search();  // where rows are removed, the others do not count
  } else if (kind_ == TDBMSUNION) {
    chosen_ = united();
  } else if (kind_ == TDBMSISECT || kind_ == TDBMSDIFF) {
    chosen_ = reduced();
  } else {
    chosen_ = ListPointer(tclistnew());
  }
}

void Search::learn() {
  for (const auto& query : queries_) query->learn();
  choose();
}

ListPointer Search::finish() {
  const bool several = queries_.size() > 1 && !removes_;
  ListPointer found = std::move(chosen_);
  // As the library has it: of several queries the count is that of the last one, which has none.
  const int count = several ? 0 : tclistnum(found.get());
  if (removes_ || wants_columns_) {
    ListPointer rows(tclistnew());
    if (!go_through(found.get(), rows.get())) return nullptr;
    found = std::move(rows);
  }
  if (counts_) found = list_of({std::to_string(count)}, 0, 1);
  if (hints_) {
    const std::string hint = std::string("\0\0[[HINT]]\n", 11) + this->hint();
    tclistpush(found.get(), hint.data(), length(hint));
  }
  return found;
}

std::string Search::hint() const {
  if (queries_.size() == 1) {
    if (!removes_) return queries_[0]->hint();
    return queries_[0]->hint() + "post treatment: get=" + std::to_string(fetched_) +
           ", put=0, out=" + std::to_string(removed_) + "\n";
  }
  if (removes_) return queries_[0]->hint();
  std::string all;
  for (size_t i = 0; i < queries_.size(); i++) {
    const std::string number = "[" + std::to_string(i) + "] ";
    const std::string hint = i < queries_run_ ? queries_[i]->hint() : i == 0 ? "" : "omitted\n";
    for (size_t begin = 0, end; begin < hint.size(); begin = end + 1) {
      end = std::min(hint.find('\n', begin), hint.size());
      if (end > begin) all += number + hint.substr(begin, end - begin) + "\n";
    }
  }
  return all;
}

// Rows of at least one of the queries, in the order of the first.
ListPointer Search::united() {
  const Query& first = *queries_[0];
  std::unordered_set<std::string> known;
  std::vector<std::string> keys;
  for (const auto& query : queries_) {
    const ListPointer found = query->search_beyond_limit(false);
    queries_run_++;
    for (int i = 0; i < tclistnum(found.get()); i++) {
      const std::string key(element(found.get(), i));
      if (known.insert(key).second) keys.push_back(key);
    }
  }
  // Keys are no order here: no row has a column without a name.
  if (first.ordered() && !first.order().empty()) {
    sort_rows(table_, first.order(), first.order_type(), keys.size(), &keys);
  }
  return list_of(keys, static_cast<size_t>(first.skip()), first.most());
}

// Rows of the first query which are in each of the others, or in none.
ListPointer Search::reduced() {
  const bool common = kind_ == TDBMSISECT;
  const auto keys_of = [this](Query& query) {
    std::vector<std::string> keys;
    queries_run_++;
    const ListPointer found = query.search_beyond_limit(true);
    for (int i = 0; i < tclistnum(found.get()); i++) keys.emplace_back(element(found.get(), i));
    return keys;
  };
  std::vector<std::string> left = keys_of(*queries_[0]);
  for (size_t i = 1; i < queries_.size() && !left.empty(); i++) {
    std::vector<std::string> right = keys_of(*queries_[i]);
    if (common) left.swap(right);
    const std::unordered_set<std::string> others(right.begin(), right.end());
    const auto dropped = [&](const std::string& key) { return (others.count(key) > 0) != common; };
    left.erase(std::remove_if(left.begin(), left.end(), dropped), left.end());
  }
  return list_of(left, static_cast<size_t>(queries_[0]->skip()), queries_[0]->most());
}

// Adds the columns of rows to `rows`, if they are asked for, and removes them, likewise. One that cannot
// be removed keeps no other from it.
bool Search::go_through(const TCLIST* keys, TCLIST* rows) {
  bool done = true;
  for (int i = 0; i < tclistnum(keys); i++) {
    const Bytes key = element(keys, i);
    if (wants_columns_) {
      const MapPointer columns(tctdbget(table_, key.data(), length(key)));
      if (columns) add_columns(key, columns.get(), rows);
    }
    if (!removes_) continue;
    fetched_++;
    if (tctdbout(table_, key.data(), length(key))) {
      removed_++;
    } else {
      done = false;
    }
  }
  return done;
}

void Search::add_columns(Bytes key, TCMAP* columns, TCLIST* rows) const {
  tcmapput(columns, "", 0, key.data(), length(key));
  tcmapmove(columns, "", 0, true);
  const MapPointer chosen(tcmapnew());
  for (const std::string& name : columns_) {
    int size;
    const void* value = tcmapget(columns, name.data(), length(name), &size);
    if (value != nullptr) tcmapput(chosen.get(), name.data(), length(name), value, size);
  }
  int size;
  void* joined = tcstrjoin4(columns_.empty() ? columns : chosen.get(), &size);
  const Block row(joined, size);
  tclistpush(rows, row.bytes().data(), length(row.bytes()));
}

}  // namespace kt::tokyo
