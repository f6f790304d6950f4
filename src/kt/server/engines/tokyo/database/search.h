// Searches of tables with conditions that are regular expressions.
//
// The library has the C library match these, which cannot be ended and takes time by the square of a
// text's length; here our own matcher does (query.cpp). What a search is made of, and what becomes of
// its rows, is told by arguments, as the library reads them:
//
//     addcond (cond)  column, operator, operand   |  next    another query, for a search of several
//     setorder (order)            column, type    |  mstype  union, isect, diff
//     setlimit (limit, setmax, max)   max, skip   |  out (remove), count, hint
//     get (columns)                   columns...  |
//
// Rows, their order and the hint are the library's, but rows of equal value in the column that orders
// them may come in another order than there if a limit takes a small part of them.

#ifndef KT_TOKYO_SEARCH_H
#define KT_TOKYO_SEARCH_H

#include <tctdb.h>

#include <climits>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "io/effort.h"
#include "io/matcher.h"
#include "tokyo/database/store.h"

namespace kt::tokyo {

// The regular expression in an argument of a search; empty if there is none.
Bytes pattern_of(Bytes argument);
bool has_pattern(const Arguments& arguments);

// Puts the keys in the order of a column of their rows, or of the keys if it has no name. Only so many
// need to be in order, the first ones; rows of equal value stay as they were, as do all if there is no
// such type.
void sort_rows(TCTDB* table, const std::string& column, int type, size_t first,
               std::vector<std::string>* keys);

// A pattern that begins with `*` does not distinguish upper and lower case.
Matcher matcher_of(Bytes pattern, std::shared_ptr<Effort> effort);

// One condition that is a regular expression.
class Pattern {
 public:
  Pattern(const std::string& column, bool wanted, const std::string& pattern,
          const std::shared_ptr<Effort>& effort)
      : column_(column),
        wanted_(wanted),
        effort_(effort.get()),
        matcher_(matcher_of(pattern, effort)) {}

  // Whether the row with this key meets it; `row` as the library has it. Throws MatchEnded.
  bool holds(Bytes key, Bytes row);
  // From now on the answers are kept which took long to find.
  void learn() { learns_ = true; }
  bool is_about_key() const { return column_.empty(); }
  const std::string& column() const { return column_; }
  // Whether it is found in this value. Throws MatchEnded.
  bool occurs(Bytes value);

 private:
  static constexpr uint64_t FEW_STEPS = 1000;
  static constexpr size_t KNOWN_LIMIT = 64 << 20;  // bytes

  std::string column_;
  bool wanted_;
  Effort* effort_;
  Matcher matcher_;
  bool learns_ = false;
  std::unordered_map<std::string, bool> known_;
  size_t known_size_ = 0;
};

// What stands between two `next`.
class Query {
 public:
  Query(TCTDB* table, std::shared_ptr<Effort> effort)
      : table_(table), effort_(std::move(effort)), query_(tctdbqrynew(table)) {}

  void add_condition(const std::string& column, int operation, const std::string& operand);
  void set_order(const std::string& column, int type);
  void set_limit(int most, int skip);
  // Keys of rows. Throws MatchEnded.
  ListPointer search() { return search(most_, skip_); }
  // Likewise, but with those which the limit skips, or all.
  ListPointer search_beyond_limit(bool all);
  void learn();
  // The hint is to tell of all rows that match, even of those that the limit leaves out.
  void count_all() { counts_all_ = true; }

  bool ordered() const { return ordered_; }
  const std::string& order() const { return order_; }
  int order_type() const { return order_type_; }
  int most() const { return most_; }
  int skip() const { return skip_; }
  // What the library would say of the last search.
  const std::string& hint() const { return hint_; }

 private:
  static constexpr size_t NO_LEADER = SIZE_MAX;
  struct Delete {
    void operator()(TDBQRY* query) const { tctdbqrydel(query); }
  };

  ListPointer search(int most, int skip);
  // Both fill `keys_`, with so many in order, or with all.
  void go_through(int wanted);
  void filter(int64_t wanted);
  void go_through_all(int wanted);
  void go_along(const TDBIDX& index, bool down, Pattern* leader, const char* reason, int wanted);
  void take(Bytes key, Bytes row, const Pattern* met);
  bool matches(Bytes key, const Pattern* met);
  ListPointer candidates(int most, int skip);
  int first_part(int64_t wanted) const;
  int next_part(int asked) const;
  int part_by_order() const;
  bool ended_early() const;
  const TDBIDX* index_of(const std::string& column) const;
  bool follows_order(const TDBIDX& index) const;
  bool follows_index(int64_t wanted) const;
  bool goes_down() const { return order_type_ == TDBQOSTRDESC || order_type_ == TDBQONUMDESC; }

  TCTDB* const table_;
  const std::shared_ptr<Effort> effort_;
  std::unique_ptr<TDBQRY, Delete> query_;  // without the patterns
  std::vector<Pattern> patterns_;
  bool only_patterns_ = true;
  size_t leader_ = NO_LEADER;  // the pattern along whose index to go
  std::vector<std::string> led_columns_;  // those with a condition for which their index is used
  bool ordered_ = false;
  std::string order_;
  int order_type_ = TDBQOSTRASC;
  int most_ = INT_MAX, skip_ = 0;
  bool counts_all_ = false;
  std::vector<std::string> keys_;
  bool sorted_ = false;  // whether the keys are in order
  std::string hint_;
};

// What `search` and `metasearch` are asked for.
class Search {
 public:
  Search(TCTDB* table, const Arguments& arguments, std::shared_ptr<Effort> effort);

  // Finds the rows. Throws MatchEnded.
  void choose();
  // Makes a later `choose` quick for rows that stay as they are. Throws MatchEnded.
  void learn();
  // What becomes of the rows: keys, columns, or a number, as asked for; null if it failed.
  ListPointer finish();

 private:
  void read(const std::vector<std::string>& words);
  ListPointer united();
  ListPointer reduced();
  bool go_through(const TCLIST* keys, TCLIST* rows);
  void add_columns(Bytes key, TCMAP* columns, TCLIST* rows) const;
  std::string hint() const;

  TCTDB* const table_;
  const std::shared_ptr<Effort> effort_;
  std::vector<std::unique_ptr<Query>> queries_;
  ListPointer chosen_;
  int kind_ = TDBMSUNION;
  bool wants_columns_ = false, removes_ = false, counts_ = false, hints_ = false;
  std::vector<std::string> columns_;
  size_t queries_run_ = 0;  // of several; the others were left out
  int fetched_ = 0, removed_ = 0;
};

}  // namespace kt::tokyo

#endif
