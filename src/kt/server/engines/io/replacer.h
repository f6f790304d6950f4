// Where a regular expression occurs in a text, and something else put there: in bounded memory and work.
//
// Of all matches the leftmost counts, of these the longest. All that could begin anywhere are followed
// at once, byte by byte; at an instruction that several of them have reached, the one that began first
// stays.
//
// What the groups have matched is asked for less often, and found afterwards, within the match: the first
// way through the program that ends where the match ends, where an instruction prefers its first choice.
// That is what the GNU C library does; `tests/server/engines/test_regular_expressions.py` compares. No
// instruction is tried twice at the same byte.
//
// `^` and `$` are the begin and the end of the text. (The C library takes a line's end for one in some
// expressions, such as `$.`, and not in others, such as `($.)`.)
//
// As in the originals, what comes behind a match is searched as a text of its own, where `^` does not
// occur, and a match at the very begin of that which is empty ends it.

#ifndef KT_IO_REPLACER_H
#define KT_IO_REPLACER_H

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/effort.h"
#include "io/expression.h"
#include "io/pattern.h"

namespace kt {

// What is to be put in the place of a match: texts, and groups of it (0: the whole match).
class Replacement {
 public:
  static constexpr int NONE = -1;
  struct Part {
    std::string text;
    int group = NONE;
  };

  // Kyoto Cabinet's `$0` to `$9` and `$&`.
  static Replacement with_dollars(std::string_view text) { return Replacement(text, '$'); }
  // Tokyo Cabinet's `\0` to `\9` and `&`.
  static Replacement with_backslashes(std::string_view text) { return Replacement(text, '\\'); }

  const std::vector<Part>& parts() const { return parts_; }
  bool needs_groups() const {
    return std::any_of(parts_.begin(), parts_.end(), [](const Part& part) { return part.group > 0; });
  }

 private:
  Replacement(std::string_view text, char escape) {
    for (size_t at = 0; at < text.size(); at++) {
      const char c = text[at];
      if (c == '&' && escape == '\\') {
        add_group(0);
      } else if (c != escape) {
        add_character(c);
      } else if (++at < text.size()) {
        add_escaped(text[at], escape);
      }
    }
  }
  void add_escaped(char c, char escape) {
    if ('0' <= c && c <= '9') return add_group(c - '0');
    if (c == '&' && escape == '$') return add_group(0);
    add_character(c);
  }
  void add_group(int group) { parts_.push_back({"", group}); }
  void add_character(char c) {
    if (parts_.empty() || parts_.back().group != NONE) parts_.emplace_back();
    parts_.back().text += c;
  }

  std::vector<Part> parts_;
};

class Replacer {
 public:
  static constexpr uint64_t STEPS_LIMIT = 100'000'000;
  static constexpr size_t RESULT_LIMIT = 256 << 20;

  // Invalid if the pattern is refused, or no regular expression.
  Replacer(std::string_view pattern, bool folds_case)
      : valid_(!pattern_fault(pattern) && compile(pattern, folds_case, &program_, true)),
        marks_(program_.instructions.size()) {
    program_.knows_lines = false;
  }

  bool valid() const { return valid_; }

  // Every match replaced. Throws MatchEnded.
  std::string replace(std::string_view text, const Replacement& replacement) {
    text_ = text.substr(0, text.find('\0'));
    const bool needs_groups = replacement.needs_groups();
    std::string result;
    size_t at = 0;
    while (at < text_.size() && find(at)) {
      result.append(text_, at, begin_ - at);
      if (needs_groups) find_groups(at);
      for (const Replacement::Part& part : replacement.parts()) {
        result += part.group == Replacement::NONE ? std::string_view(part.text) : group(part.group);
      }
      if (result.size() > RESULT_LIMIT) throw MatchEnded("the text with replacements is too long");
      if (end_ == at) break;
      at = end_;
    }
    return result.append(text_, at, std::string_view::npos);
  }

 private:
  static constexpr size_t NOWHERE = std::string_view::npos;
  static constexpr size_t VISITS_LIMIT = size_t{1} << 29;

  // A match that may come to be: it began there and stands at an instruction.
  struct Follower {
    uint32_t instruction;
    size_t begin;
  };
  // To be done: go to an instruction, or, if `restores`, put back where `number` was kept.
  struct Visit {
    uint32_t number;
    size_t at;
    bool restores;
  };

  uint8_t byte(size_t at) const {
    const auto c = static_cast<uint8_t>(text_[at]);
    return program_.folds_case ? upper_case(c) : c;
  }
  uint8_t before(size_t at, size_t from) const {
    if (at == from) return from == 0 ? EDGE : CUT;
    return program_.neighbour(byte(at - 1));
  }
  uint8_t after(size_t at) const {
    return at == text_.size() ? EDGE : program_.neighbour(byte(at));
  }

  std::string_view group(int number) const {
    if (number == 0) return text_.substr(begin_, end_ - begin_);
    const size_t end = 3 * static_cast<size_t>(number) + 2;
    if (end >= kept_.size() || kept_[end] == NOWHERE) return {};
    return text_.substr(kept_[end - 1], kept_[end] - kept_[end - 1]);
  }

  // The next match from there on, as `begin_` and `end_`.
  bool find(size_t from) {
    std::vector<Follower> followers, passed;
    begin_ = end_ = NOWHERE;
    for (size_t at = from;; at++) {
      passed.clear();
      go_on(followers, at, from, &passed);
      if (at == text_.size() || (passed.empty() && begin_ != NOWHERE)) return begin_ != NOWHERE;
      followers.swap(passed);
    }
  }

  // Lets those that have come here, and one that begins here, pass a byte.
  void go_on(const std::vector<Follower>& followers, size_t at, size_t from,
             std::vector<Follower>* passed) {
    round_++;
    const uint8_t last = before(at, from), next = after(at);
    for (const Follower& one : followers) {
      if (one.begin <= begin_) walk(one, at, last, next, passed);
    }
    if (begin_ == NOWHERE) walk({program_.start, at}, at, last, next, passed);
  }

  void walk(const Follower& one, size_t at, uint8_t last, uint8_t next,
            std::vector<Follower>* passed) {
    stack_.assign(1, one.instruction);
    while (!stack_.empty()) {
      const uint32_t number = stack_.back();
      stack_.pop_back();
      if (marks_[number] == round_) continue;
      marks_[number] = round_;
      effort_.spend();
      const Instruction& instruction = program_.instructions[number];
      switch (instruction.kind) {
        case Instruction::END:
          begin_ = one.begin;
          end_ = at;
          break;
        case Instruction::BYTE:
          if (at < text_.size() && program_.sets[instruction.other][byte(at)]) {
            passed->push_back({instruction.next, one.begin});
          }
          break;
        case Instruction::CHOICE: stack_.push_back(instruction.other); [[fallthrough]];
        case Instruction::KEEP: stack_.push_back(instruction.next); break;
        case Instruction::PLACE:
          if ((instruction.before & last) && (instruction.after & next)) {
            stack_.push_back(instruction.next);
          }
      }
    }
  }

  // Where the groups of this match are. The search for it began at `from`.
  void find_groups(size_t from) {
    const size_t count = program_.instructions.size();
    if ((end_ - begin_ + 1) > VISITS_LIMIT / count) {
      throw MatchEnded("the match of a regular expression with groups is too long");
    }
    visited_.assign((end_ - begin_ + 1) * count, false);
    kept_.assign(3 * (size_t{program_.groups} + 1), NOWHERE);
    visits_.assign(1, {program_.start, begin_, false});
    while (!visits_.empty()) {
      const Visit visit = visits_.back();
      visits_.pop_back();
      if (visit.restores) {
        kept_[visit.number] = visit.at;
      } else if (go_to(visit, from)) {
        return;
      }
    }
  }

  // True at the end.
  bool go_to(const Visit& visit, size_t from) {
    const size_t at = visit.at;
    const size_t place = (at - begin_) * program_.instructions.size() + visit.number;
    if (visited_[place]) return false;
    visited_[place] = true;
    effort_.spend();
    const Instruction& instruction = program_.instructions[visit.number];
    switch (instruction.kind) {
      case Instruction::END: return at == end_;
      case Instruction::BYTE:
        if (at < end_ && program_.sets[instruction.other][byte(at)]) {
          visits_.push_back({instruction.next, at + 1, false});
        }
        return false;
      case Instruction::CHOICE: visits_.push_back({instruction.other, at, false}); break;
      case Instruction::KEEP: keep_group(instruction.other / 2, instruction.other % 2 == 1, at); break;
      case Instruction::PLACE: {
        if (!(instruction.before & before(at, from)) || !(instruction.after & after(at))) return false;
      }
    }
    visits_.push_back({instruction.next, at, false});
    return false;
  }

  // A repetition that has matched nothing does not count if an earlier one has matched something.
  void keep_group(uint32_t number, bool ends, size_t at) {
    const uint32_t begun = 3 * number, begin = begun + 1, end = begun + 2;
    if (!ends) {
      keep(begun, at);
    } else if (kept_[begun] < at || kept_[end] == NOWHERE) {
      keep(begin, kept_[begun]);
      keep(end, at);
    }
  }
  void keep(uint32_t number, size_t at) {
    visits_.push_back({number, kept_[number], true});
    kept_[number] = at;
  }

  Program program_;
  const bool valid_;
  std::string_view text_;
  size_t begin_ = NOWHERE, end_ = NOWHERE;  // of the match
  std::vector<uint64_t> marks_;             // the last round in which an instruction was met
  uint64_t round_ = 0;
  Effort effort_{nullptr, STEPS_LIMIT};
  std::vector<uint32_t> stack_;
  std::vector<bool> visited_;
  std::vector<Visit> visits_;
  std::vector<size_t> kept_;  // of each group: where it has begun last; where it begins and ends
};

}  // namespace kt

#endif
