// POSIX extended regular expressions: from their text to a program for a Matcher.
//
// The grammar is the one that regcomp of the GNU C library has in the locale "C", which is what the
// original servers are built on; `tests/server/engines/test_regular_expressions.py` compares the two. With
// its extensions (\w \W \s \S \b \B \< \> \` \'), an operator must have something before it, a `)`
// without `(` is a character, and ignoring case means: pattern and text are in upper case, except
// for a character behind a backslash.
//
//     text --Parser--> tree of parts --Emitter--> instructions
//
// An instruction is a set of bytes to pass, a choice, a condition on the place, a place to be kept (where
// a group begins or ends, for who asks for groups), or the end. Nested repetitions are written out;
// `pattern_fault` has seen to it that they are not too many.

#ifndef KT_IO_EXPRESSION_H
#define KT_IO_EXPRESSION_H

#include <algorithm>
#include <array>
#include <bitset>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kt {

using ByteSet = std::bitset<256>;

// What is next to a place in the text. A line's end counts as one only in the midst of a match: `\n^`
// and `$\n` occur in "a\nb", `^b` and `a$` do not. (So it is in the C library.)
// A CUT is an edge that `^` does not see: where a search goes on behind an earlier match.
enum Neighbour : uint8_t { EDGE = 1, WORD = 2, OTHER = 4, LINE_END = 8, CUT = 16 };
constexpr uint8_t NO_WORD = EDGE | OTHER | LINE_END | CUT;
constexpr uint8_t ANYTHING = NO_WORD | WORD;

struct Instruction {
  enum Kind : uint8_t { BYTE, CHOICE, PLACE, KEEP, END };

  Kind kind;
  uint8_t before = 0, after = 0;  // of a PLACE: the neighbours that may be there
  uint32_t next = 0;
  // Of a CHOICE: the second way; of a BYTE: the number of its set; of a KEEP: where the place is kept.
  uint32_t other = 0;
};

inline ByteSet word_bytes();

struct Program {
  Neighbour neighbour(uint8_t byte) const {
    if (knows_lines && byte == '\n') return LINE_END;
    return knows_words && word_bytes()[byte] ? WORD : OTHER;
  }

  std::vector<Instruction> instructions;
  std::vector<ByteSet> sets;
  uint32_t start = 0;
  uint32_t groups = 0;  // if they are asked for; the first one is 1
  bool knows_words = false;  // there is a condition on words
  bool knows_lines = false;  // there is `^` or `$`
  bool folds_case = false;
};

inline uint8_t upper_case(uint8_t c) { return 'a' <= c && c <= 'z' ? c - 'a' + 'A' : c; }

inline ByteSet ranges(std::string_view bounds) {
  ByteSet set;
  for (size_t i = 0; i + 1 < bounds.size(); i += 2) {
    for (int c = static_cast<uint8_t>(bounds[i]); c <= static_cast<uint8_t>(bounds[i + 1]); c++) {
      set.set(static_cast<size_t>(c));
    }
  }
  return set;
}

inline ByteSet word_bytes() {
  static const ByteSet bytes = ranges("09AZ__az");
  return bytes;
}

struct Part {
  enum Kind : uint8_t { EMPTY, SET, PLACE, SEQUENCE, CHOICE, REPEAT, GROUP };
  static constexpr int64_t NO_END = -1;

  Kind kind = EMPTY;
  uint8_t before = 0, after = 0;
  uint32_t set = 0;  // its number, or the group's
  int64_t least = 0, most = 0;
  std::vector<uint32_t> parts;
};

class Parser {
 public:
  Parser(std::string_view pattern, bool folds_case, bool keeps_groups = false)
      : pattern_(pattern.substr(0, pattern.find('\0'))),
        folds_case_(folds_case),
        keeps_groups_(keeps_groups) {}

  // False if it is no regular expression.
  bool parse(uint32_t* root) {
    *root = choice();
    return valid_ && at_ == pattern_.size();
  }

  const std::vector<Part>& parts() const { return parts_; }
  const std::vector<ByteSet>& sets() const { return sets_; }
  uint32_t groups() const { return groups_; }

 private:
  static constexpr size_t NAME_LIMIT = 32;

  struct Element {
    enum Kind { CHARACTER, CLASS, EQUIVALENCE } kind = CHARACTER;
    uint8_t character = 0;
  };

  bool ended() const { return at_ >= pattern_.size(); }
  uint8_t raw(size_t offset = 0) const {
    return at_ + offset < pattern_.size() ? static_cast<uint8_t>(pattern_[at_ + offset]) : 0;
  }
  uint8_t folded(uint8_t c) const { return folds_case_ ? upper_case(c) : c; }

  uint32_t add(Part part) {
    parts_.push_back(std::move(part));
    return static_cast<uint32_t>(parts_.size() - 1);
  }
  uint32_t fail() {
    valid_ = false;
    at_ = pattern_.size();
    return add({});
  }
  uint32_t set(const ByteSet& bytes) {
    uint32_t number = 0;
    while (number < sets_.size() && sets_[number] != bytes) number++;
    if (number == sets_.size()) sets_.push_back(bytes);
    Part part;
    part.kind = Part::SET;
    part.set = number;
    return add(std::move(part));
  }
  uint32_t character(uint8_t c) { return set(ByteSet().set(c)); }
  uint32_t place(int before, int after) {
    Part part;
    part.kind = Part::PLACE;
    part.before = static_cast<uint8_t>(before);
    part.after = static_cast<uint8_t>(after);
    return add(std::move(part));
  }
  uint32_t several(Part::Kind kind, std::vector<uint32_t> parts) {
    if (parts.size() == 1) return parts[0];
    Part part;
    part.kind = parts.empty() ? Part::EMPTY : kind;
    part.parts = std::move(parts);
    return add(std::move(part));
  }

  bool branch_ends() const { return ended() || raw() == '|' || (depth_ > 0 && raw() == ')'); }

  uint32_t choice() {
    std::vector<uint32_t> branches{branch()};
    while (!ended() && raw() == '|') {
      at_++;
      branches.push_back(branch());
    }
    return several(Part::CHOICE, std::move(branches));
  }

  uint32_t branch() {
    std::vector<uint32_t> parts;
    while (!branch_ends()) parts.push_back(expression());
    return several(Part::SEQUENCE, std::move(parts));
  }

  // One character, set, group or place. Behind a place there is no repetition.
  uint32_t expression() {
    const uint8_t c = raw();
    at_++;
    switch (c) {
      case '*':
      case '+':
      case '?':
      case '{': return fail();
      case '^': return place(EDGE | LINE_END, ANYTHING);
      case '$': return place(ANYTHING, EDGE | LINE_END);
      case '\\': return escaped();
      case '(': return repeated(group());
      case '[': return repeated(bracket());
      case '.': return repeated(set(ByteSet().set().reset(0)));
      default: return repeated(character(folded(c)));
    }
  }

  uint32_t group() {
    Part part;
    part.kind = Part::GROUP;
    if (keeps_groups_) part.set = ++groups_;
    depth_++;
    const uint32_t inner = choice();
    depth_--;
    if (raw() != ')') return fail();
    at_++;
    if (!keeps_groups_) return inner;
    part.parts = {inner};
    return add(std::move(part));
  }

  uint32_t escaped() {
    if (ended()) return fail();
    const uint8_t c = raw();
    at_++;
    switch (c) {
      case '<': return place(NO_WORD, WORD);
      case '>': return place(WORD, NO_WORD);
      case 'b': return several(Part::CHOICE, {place(NO_WORD, WORD), place(WORD, NO_WORD)});
      case 'B': return several(Part::CHOICE, {place(WORD, WORD), place(NO_WORD, NO_WORD)});
      case '`': return place(EDGE, ANYTHING);
      case '\'': return place(ANYTHING, EDGE);
      case 'w': return repeated(set(word_bytes()));
      case 'W': return repeated(set(~word_bytes()));
      case 's': return repeated(set(ranges("\t\r  ")));
      case 'S': return repeated(set(~ranges("\t\r  ")));
      default: return repeated(character(c));
    }
  }

  uint32_t repeated(uint32_t part) {
    while (!ended()) {
      int64_t least = 0, most = Part::NO_END;
      switch (raw()) {
        case '*': break;
        case '+': least = 1; break;
        case '?': most = 1; break;
        case '{': break;
        default: return part;
      }
      const bool interval = raw() == '{';
      at_++;
      if (interval && !bounds(&least, &most)) return fail();
      part = repetition(part, least, most);
    }
    return part;
  }

  uint32_t repetition(uint32_t part, int64_t least, int64_t most) {
    if (most == 0) return add({});
    Part& inner = parts_[part];
    const auto simple = [](int64_t from, int64_t to) { return from <= 1 && (to == 1 || to < 0); };
    if (inner.kind == Part::REPEAT && simple(inner.least, inner.most) && simple(least, most)) {
      inner.least *= least;  // a+?*: one loop
      if (most < 0) inner.most = Part::NO_END;
      return part;
    }
    Part outer;
    outer.kind = Part::REPEAT;
    outer.least = least;
    outer.most = most;
    outer.parts = {part};
    return add(std::move(outer));
  }

  // Behind the brace. A comma may have a backslash before it.
  bool bounds(int64_t* least, int64_t* most) {
    bool comma = false, closed = false;
    *least = number(&comma, &closed);
    if (*least == MISSING) {
      if (!comma) return false;
      *least = 0;
    }
    *most = *least;
    if (*least >= 0 && comma) *most = number(&comma, &closed);
    if (*least < 0 || *most == NONSENSE || !closed) return false;
    if (*most == MISSING) *most = Part::NO_END;
    return *most < 0 || *least <= *most;
  }

  static constexpr int64_t MISSING = -1, NONSENSE = -2;

  int64_t number(bool* comma, bool* closed) {
    *comma = *closed = false;
    for (int64_t number = MISSING;;) {
      if (ended()) return NONSENSE;
      const bool bare = raw() != '\\' || at_ + 1 == pattern_.size();
      if (!bare) at_++;
      const uint8_t c = raw();
      at_++;
      *closed = bare && c == '}';
      *comma = c == ',';
      if (*closed || *comma) return number;
      if (!bare || c < '0' || c > '9' || number == NONSENSE) {
        number = NONSENSE;
      } else {
        number = std::min<int64_t>(std::max<int64_t>(number, 0) * 10 + (c - '0'), 1 << 20);
      }
    }
  }

  // Behind the bracket.
  uint32_t bracket() {
    ByteSet bytes;
    const bool inverted = raw() == '^';
    if (inverted) at_++;
    for (bool first = true; first || raw() != ']'; first = false) {
      if (!member(first, &bytes) || ended()) return fail();
    }
    at_++;
    return set(inverted ? ~bytes : bytes);
  }

  // A character, a range, or a class.
  bool member(bool first, ByteSet* bytes) {
    Element begin, end;
    if (!element(first, &begin, bytes)) return false;
    if (begin.kind != Element::CHARACTER) return true;
    end = begin;
    if (raw() == '-' && at_ + 1 < pattern_.size() && raw(1) != ']') {
      at_++;
      if (!element(true, &end, bytes) || end.kind != Element::CHARACTER) return false;
    }
    if (begin.character > end.character) return false;
    for (size_t c = begin.character; c <= end.character; c++) bytes->set(c);
    return true;
  }

  bool element(bool hyphen, Element* element, ByteSet* bytes) {
    if (ended()) return false;
    const uint8_t c = raw(), kind = c == '[' ? raw(1) : 0;
    if (kind == '.' || kind == '=' || kind == ':') return symbol(kind, element, bytes);
    at_++;
    element->character = folded(c);
    return c != '-' || hyphen || raw() == ']';
  }

  bool symbol(uint8_t kind, Element* element, ByteSet* bytes) {
    const char end[] = {static_cast<char>(kind), ']'};
    // A class of no name is none, but ":" may be one of its letters.
    const size_t found = pattern_.find(std::string_view(end, 2), at_ + 2);
    if (found == std::string_view::npos || found - at_ - 2 >= NAME_LIMIT) return false;
    const std::string_view name = pattern_.substr(at_ + 2, found - at_ - 2);
    at_ = found + 2;
    if (kind == ':') {
      element->kind = Element::CLASS;
      return add_class(name, bytes);
    }
    if (name.size() != 1) return false;
    element->character = folded(static_cast<uint8_t>(name[0]));
    if (kind == '=') {
      element->kind = Element::EQUIVALENCE;
      bytes->set(element->character);
    }
    return true;
  }

  bool add_class(std::string_view name, ByteSet* bytes) const {
    struct Class {
      std::string_view name, bounds;
    };
    using namespace std::string_view_literals;
    static constexpr std::array<Class, 12> classes = {{{"alnum", "09AZaz"},
                                                       {"alpha", "AZaz"},
                                                       {"blank", "\t\t  "},
                                                       {"cntrl", "\0\x1f\x7f\x7f"sv},
                                                       {"digit", "09"},
                                                       {"graph", "!~"},
                                                       {"lower", "az"},
                                                       {"print", " ~"},
                                                       {"punct", "!/:@[`{~"},
                                                       {"space", "\t\r  "},
                                                       {"upper", "AZ"},
                                                       {"xdigit", "09AFaf"}}};
    if (folds_case_ && (name == "lower" || name == "upper")) name = "alpha";
    for (const Class& one : classes) {
      if (one.name != name) continue;
      *bytes |= ranges(one.bounds);
      return true;
    }
    return false;
  }

  const std::string_view pattern_;
  const bool folds_case_;
  const bool keeps_groups_;
  size_t at_ = 0;
  int depth_ = 0;
  uint32_t groups_ = 0;
  bool valid_ = true;
  std::vector<Part> parts_;
  std::vector<ByteSet> sets_;
};

// Writes instructions from the last to the first: each knows the one that follows.
class Emitter {
 public:
  Emitter(const std::vector<Part>& parts, Program* program) : parts_(parts), program_(program) {}

  // The number of the first instruction of this part, which goes on at `next`.
  uint32_t emit(uint32_t number, uint32_t next) {
    const Part& part = parts_[number];
    switch (part.kind) {
      case Part::EMPTY: return next;
      case Part::SET: return add({Instruction::BYTE, 0, 0, next, part.set});
      case Part::PLACE:
        program_->knows_words |= part.before == WORD || part.after == WORD;
        program_->knows_lines |= part.before == ANYTHING || part.after == ANYTHING;
        return add({Instruction::PLACE, part.before, part.after, next, 0});
      case Part::SEQUENCE:
        for (size_t i = part.parts.size(); i > 0; i--) next = emit(part.parts[i - 1], next);
        return next;
      case Part::CHOICE: return choice(part, next);
      case Part::REPEAT: return repeat(part, next);
      case Part::GROUP: return kept(2 * part.set, emit(part.parts[0], kept(2 * part.set + 1, next)));
    }
    return next;
  }

  uint32_t add(const Instruction& instruction) {
    program_->instructions.push_back(instruction);
    return static_cast<uint32_t>(program_->instructions.size() - 1);
  }

 private:
  uint32_t kept(uint32_t place, uint32_t next) { return add({Instruction::KEEP, 0, 0, next, place}); }

  uint32_t choice(const Part& part, uint32_t next) {
    uint32_t first = emit(part.parts.back(), next);
    for (size_t i = part.parts.size() - 1; i > 0; i--) {
      first = add({Instruction::CHOICE, 0, 0, emit(part.parts[i - 1], next), first});
    }
    return first;
  }

  uint32_t repeat(const Part& part, uint32_t next) {
    const uint32_t inner = part.parts[0];
    int64_t least = part.least;
    if (part.most < 0) {
      const uint32_t loop = add({Instruction::CHOICE, 0, 0, 0, next});
      program_->instructions[loop].next = emit(inner, loop);
      next = loop;
      if (least > 0) {
        next = program_->instructions[loop].next;
        least--;
      }
    }
    const uint32_t end = next;
    for (int64_t i = part.least; i < part.most; i++) {
      next = add({Instruction::CHOICE, 0, 0, emit(inner, next), end});
    }
    for (; least > 0; least--) next = emit(inner, next);
    return next;
  }

  const std::vector<Part>& parts_;
  Program* const program_;
};

// False if it is no regular expression. It must be one without a `pattern_fault`.
inline bool compile(std::string_view pattern, bool folds_case, Program* program,
                    bool keeps_groups = false) {
  Parser parser(pattern, folds_case, keeps_groups);
  uint32_t root;
  if (!parser.parse(&root)) return false;
  program->folds_case = folds_case;
  program->sets = parser.sets();
  program->groups = parser.groups();
  Emitter emitter(parser.parts(), program);
  program->start = emitter.emit(root, emitter.add({Instruction::END, 0, 0, 0, 0}));
  return true;
}

}  // namespace kt

#endif
