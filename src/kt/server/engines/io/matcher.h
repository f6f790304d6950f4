// Whether a regular expression occurs in a text: in one pass, with bounded memory and work.
//
// The C library's matcher begins anew at every byte of the text, which takes time by the square of
// its length, keeps each state that it meets, and nobody can end it. Where only "yes" or "no" is
// asked for, neither is necessary: a state here is the set of all instructions at which any match
// that began anywhere before may stand, so one pass decides.
//
//     state --byte--> state: looked up in a table, made when it is needed for the first time
//
// A state is what has been reached behind a byte, with the kind of that byte if the expression asks
// for words. What follows without passing a byte depends on the next one, too, and is found when a
// transition is made. Bytes that no set of the expression tells apart share a column. When the
// table has grown to MEMORY_LIMIT it is begun anew. A zero byte ends the text, as in the original.
//
// Making a transition takes time by the size of the program. An expression that needs a new one for
// nearly every byte of a long text is given up after so many steps (effort.h: MatchEnded), some
// seconds; no other one ever comes near.

#ifndef KT_IO_MATCHER_H
#define KT_IO_MATCHER_H

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "io/effort.h"
#include "io/expression.h"
#include "io/pattern.h"

namespace kt {

class Matcher {
 public:
  static constexpr size_t MEMORY_LIMIT = 4 << 20;

  // Invalid if the pattern is refused, or no regular expression.
  explicit Matcher(std::string_view pattern, bool folds_case = false,
                   std::shared_ptr<Effort> effort = std::make_shared<Effort>())
      : effort_(std::move(effort)),
        valid_(!pattern_fault(pattern) && compile(pattern, folds_case, &program_)) {
    if (!valid_) return;
    classify();
    marks_.resize(program_.instructions.size());
    anchored_ = !can_begin_later();
  }

  bool valid() const { return valid_; }

  // Throws MatchEnded.
  bool matches(std::string_view text) {
    effort_->look();
    const int32_t state = go_through(text, states_.empty() ? begin() : 0);
    return (state < 0 ? state : next(state, columns_ - 1)) == MATCH;
  }

 private:
  using Reached = std::vector<uint32_t>;  // instructions, and the neighbour behind them

  struct Hash {
    size_t operator()(const Reached& reached) const {
      uint64_t hash = 14695981039346656037ULL;
      for (const uint32_t part : reached) hash = (hash ^ part) * 1099511628211ULL;
      return static_cast<size_t>(hash ^ (hash >> 32));
    }
  };
  static constexpr int32_t UNKNOWN = -1, MATCH = -2, NO_MATCH = -3;

  // A state is the place of its row in the table.
  int32_t go_through(std::string_view piece, int32_t state) {
    const int32_t* table = table_.data();
    const char* at = piece.data();
    const char* const end = at + piece.size();
    while (at < end) {
      const uint32_t column = column_[static_cast<uint8_t>(*at++)];
      int32_t after = table[static_cast<uint32_t>(state) + column];
      if (after == state) {  // what begins nowhere: bytes that need not wait for each other
        const int32_t* const row = table + state;
        while (at < end && row[column_[static_cast<uint8_t>(*at)]] == state) at++;
        continue;
      }
      if (after < 0) {
        if (after == UNKNOWN) after = make(state, column);
        if (after < 0) return after;
        table = table_.data();
      }
      state = after;
    }
    return state;
  }

  int32_t next(int32_t state, uint32_t column) {
    const int32_t after = table_[static_cast<uint32_t>(state) + column];
    return after == UNKNOWN ? make(state, column) : after;
  }

  // Gives each byte a column; the last one is the end of the text.
  void classify() {
    std::vector<ByteSet> sets = program_.sets;
    if (program_.knows_words) sets.push_back(word_bytes());
    if (program_.knows_lines) sets.push_back(ByteSet().set('\n'));
    columns_ = 1;
    for (const ByteSet& set : sets) {
      std::vector<int32_t> split(static_cast<size_t>(columns_) * 2, -1);
      columns_ = 0;
      for (size_t c = 0; c < 256; c++) {
        int32_t& column = split[column_[c] * 2 + (set[c] ? 1 : 0)];
        if (column < 0) column = static_cast<int32_t>(columns_++);
        column_[c] = static_cast<uint32_t>(column);
      }
    }
    sample_.resize(columns_);
    for (size_t c = 0; c < 256; c++) sample_[column_[c]] = static_cast<uint8_t>(c);
    if (program_.folds_case) {
      for (size_t c = 'a'; c <= 'z'; c++) column_[c] = column_[upper_case(static_cast<uint8_t>(c))];
    }
    column_[0] = columns_++;
  }

  // The state before the first byte.
  int32_t begin() { return add({EDGE}); }

  int32_t add(Reached reached) {
    const auto found = numbers_.find(reached);
    if (found != numbers_.end()) return found->second;
    const auto number = static_cast<int32_t>(table_.size());
    memory_ += columns_ * sizeof(int32_t) + reached.size() * sizeof(uint32_t) + 128;
    table_.resize(table_.size() + columns_, UNKNOWN);
    states_.push_back(&numbers_.emplace(std::move(reached), number).first->first);
    return number;
  }

  void begin_anew() {
    numbers_.clear();
    states_.clear();
    table_.clear();
    memory_ = 0;
    begin();
  }

  // What follows this state where the text goes on with this column.
  int32_t make(int32_t state, uint32_t column) {
    const bool at_end = column == columns_ - 1;
    const uint8_t byte = at_end ? 0 : sample_[column];
    const Neighbour after = at_end ? EDGE : program_.neighbour(byte);
    int32_t result = NO_MATCH;
    Reached reached;
    if (follow(*states_[static_cast<uint32_t>(state) / columns_], after, byte, &reached)) {
      result = MATCH;
    } else if (!at_end && !(reached.empty() && anchored_)) {
      std::sort(reached.begin(), reached.end());
      reached.push_back(after);
      if (memory_ > MEMORY_LIMIT) {
        begin_anew();
        return add(std::move(reached));
      }
      result = add(std::move(reached));
    }
    return table_[static_cast<uint32_t>(state) + column] = result;
  }

  // From a state, and from a match that begins here: what is reached by passing the byte. True if
  // the end of the program is reached before it.
  bool follow(const Reached& from, Neighbour after, uint8_t byte, Reached* reached) {
    const uint8_t before = static_cast<uint8_t>(from.back());
    Reached passed;
    for (const bool ends : {true, false}) {
      // At a line's end, a match that ends here and one that goes on see different things.
      const Neighbour seen = after == LINE_END && ends ? OTHER : after;
      if (!ends && after != LINE_END) break;
      round_++;
      stack_.assign(from.begin(), from.end() - 1);
      if (walk(before, seen, byte, &passed) && ends) return true;
      stack_.push_back(program_.start);
      if (walk(before == LINE_END ? uint8_t{OTHER} : before, seen, byte, &passed) && ends) return true;
    }
    round_++;
    for (const uint32_t number : passed) {
      if (marks_[number] == round_) continue;
      marks_[number] = round_;
      reached->push_back(number);
    }
    return false;
  }

  // Goes on from what is on the stack until a byte must be passed; true if it reaches the end.
  bool walk(uint8_t before, uint8_t after, uint8_t byte, Reached* passed) {
    bool ended = false;
    while (!stack_.empty()) {
      const uint32_t number = stack_.back();
      stack_.pop_back();
      if (marks_[number] == round_) continue;
      marks_[number] = round_;
      effort_->spend();
      const Instruction& instruction = program_.instructions[number];
      switch (instruction.kind) {
        case Instruction::END: ended = true; break;
        case Instruction::BYTE:
          if (after != EDGE && program_.sets[instruction.other][byte]) {
            passed->push_back(instruction.next);
          }
          break;
        case Instruction::CHOICE:
          stack_.push_back(instruction.other);
          stack_.push_back(instruction.next);
          break;
        case Instruction::KEEP: stack_.push_back(instruction.next); break;
        case Instruction::PLACE:
          if ((instruction.before & before) && (instruction.after & after)) {
            stack_.push_back(instruction.next);
          }
      }
    }
    return ended;
  }

  // Whether a match may begin behind the begin of the text.
  bool can_begin_later() {
    std::vector<bool> seen(program_.instructions.size());
    std::vector<uint32_t> left{program_.start};
    while (!left.empty()) {
      const uint32_t number = left.back();
      left.pop_back();
      if (seen[number]) continue;
      seen[number] = true;
      const Instruction& instruction = program_.instructions[number];
      if (instruction.kind == Instruction::END || instruction.kind == Instruction::BYTE) return true;
      if (instruction.kind == Instruction::PLACE && !(instruction.before & (WORD | OTHER))) {
        continue;
      }
      left.push_back(instruction.next);
      if (instruction.kind == Instruction::CHOICE) left.push_back(instruction.other);
    }
    return false;
  }

  const std::shared_ptr<Effort> effort_;
  Program program_;
  const bool valid_;
  bool anchored_ = false;
  uint32_t columns_ = 0;  // in a row of the table
  uint32_t column_[256] = {};
  std::vector<uint8_t> sample_;  // a byte of each column
  std::unordered_map<Reached, int32_t, Hash> numbers_;
  std::vector<const Reached*> states_;
  std::vector<int32_t> table_;
  size_t memory_ = 0;
  std::vector<uint64_t> marks_;
  uint64_t round_ = 0;
  std::vector<uint32_t> stack_;
};

}  // namespace kt

#endif
