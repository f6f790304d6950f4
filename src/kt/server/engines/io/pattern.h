// Regular expressions of clients: which of them are refused before anything is made of them.
//
// They see bytes, as in the original servers, whatever the locale. `matcher.h` says whether one occurs
// in a text, `replacer.h` where, and puts something else there; nothing is left to the C library, whose
// functions cannot be ended, take time by the square of the text's length, use memory by the product of
// nested repetitions, and recurse for each parenthesis. `pattern_fault` refuses what would harm
// everybody:
//
//  - a long pattern, or deeply nested groups;
//  - repetitions that multiply to a large automaton, such as ((a{1,255}){1,255}){1,255};
//  - back-references. With them matching takes exponential time: (a*)(a*)(a*)(a*)\4\3\2\1c does not
//    come to an end on a key of 9 KB. POSIX's extended expressions do not have them, and a limit on the
//    text would make results depend on its length.

#ifndef KT_IO_PATTERN_H
#define KT_IO_PATTERN_H

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

namespace kt {

// Goes through a pattern and adds up what it is made of.
class PatternReader {
 public:
  static constexpr size_t LENGTH_LIMIT = 8192;
  static constexpr size_t DEPTH_LIMIT = 100;
  static constexpr uint64_t SIZE_LIMIT = 10'000;

  explicit PatternReader(std::string_view pattern)
      : pattern_(pattern.substr(0, pattern.find('\0'))) {}

  // Null if there is none.
  const char* fault() {
    if (pattern_.size() > LENGTH_LIMIT) return "the regular expression is too long";
    while (at_ < pattern_.size()) {
      if (const char* fault = step()) return fault;
    }
    uint64_t size = 0;
    for (const Group& group : open_) size += group.before + group.last;
    return size > SIZE_LIMIT ? TOO_LARGE : nullptr;
  }

 private:
  // How large its last part is, which a repetition is about, and all before that.
  struct Group {
    uint64_t before = 0, last = 0;
  };
  static constexpr const char* TOO_LARGE = "the regular expression repeats too much";

  const char* step() {
    switch (const char c = pattern_[at_++]) {
      case '\\': return escaped();
      case '[': skip_bracket(); break;
      case '(':
        open_.emplace_back();
        return open_.size() > DEPTH_LIMIT ? "the regular expression is nested too deeply" : nullptr;
      case ')':
        if (open_.size() > 1) return closed();
        break;
      case '{': return repeated();
      default:
        if (c == '*' || c == '+' || c == '?' || c == '|') return nullptr;
    }
    part(1);
    return nullptr;
  }

  void part(uint64_t size) {
    Group& group = open_.back();
    group.before += group.last;
    group.last = size;
  }

  const char* escaped() {
    const char c = at_ < pattern_.size() ? pattern_[at_++] : '\\';
    part(1);
    return '1' <= c && c <= '9' ? "regular expressions have no back-references here" : nullptr;
  }

  const char* closed() {
    const Group group = open_.back();
    open_.pop_back();
    part(group.before + group.last);
    return group.before + group.last > SIZE_LIMIT ? TOO_LARGE : nullptr;
  }

  void skip_bracket() {
    if (at_ < pattern_.size() && pattern_[at_] == '^') at_++;
    for (bool first = true; at_ < pattern_.size(); first = false) {
      const char c = pattern_[at_++];
      if (c == ']' && !first) return;
      const char kind = c == '[' && at_ < pattern_.size() ? pattern_[at_] : '\0';
      if (kind != ':' && kind != '.' && kind != '=') continue;
      const char end[] = {kind, ']'};
      const size_t found = pattern_.find(std::string_view(end, 2), at_ + 1);
      at_ = found == std::string_view::npos ? pattern_.size() : found + 2;
    }
  }

  // {3}, {3,}, {,3} or {3,5}, behind the brace; anything else is taken for one of them.
  const char* repeated() {
    uint64_t most = 0, number = 0;
    while (at_ < pattern_.size() && pattern_[at_] != '}') {
      const char c = pattern_[at_++];
      number = '0' <= c && c <= '9' ? std::min<uint64_t>(number * 10 + (c - '0'), 1 << 20) : 0;
      most = std::max(most, number);
    }
    at_ = std::min(at_ + 1, pattern_.size());
    Group& group = open_.back();
    group.last = std::max<uint64_t>(group.last, 1) * (most + 1);
    return group.last > SIZE_LIMIT ? TOO_LARGE : nullptr;
  }

  const std::string_view pattern_;
  size_t at_ = 0;
  std::vector<Group> open_{Group()};
};

// Why a pattern is refused before it is compiled; null if it is not.
inline const char* pattern_fault(std::string_view pattern) {
  return PatternReader(pattern).fault();
}

}  // namespace kt

#endif
