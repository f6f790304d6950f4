// The Levenshtein distance of two texts: how many units (bytes, characters) to insert, to remove or to
// replace make one of them the other.
//
// The library's functions keep a table of the product of both lengths: two texts of 64 KiB take 16 GiB.
// Here there is one row of it, and of that only the part which can lead to a distance of at most `most`.

#ifndef KT_IO_DISTANCE_H
#define KT_IO_DISTANCE_H

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "io/effort.h"

namespace kt {

constexpr size_t FAR = SIZE_MAX;

// FAR if it is more than `most`. Texts are strings or vectors. Throws MatchEnded; a step is a place in the
// table.
template <typename Text>
size_t distance_of(const Text& one, const Text& other, size_t most, Effort* effort) {
  const Text& longer = one.size() < other.size() ? other : one;
  const Text& shorter = one.size() < other.size() ? one : other;
  if (longer.size() - shorter.size() > most) return FAR;
  most = std::min(most, longer.size());
  std::vector<size_t> row(shorter.size() + 1);  // at first, of nothing to the begins of `shorter`
  for (size_t j = 0; j < row.size(); j++) row[j] = j;
  for (size_t i = 1; i <= longer.size(); i++) {
    const size_t first = i > most ? i - most : 1, last = std::min(shorter.size(), i + most);
    effort->spend(last - std::min(first, last) + 1);
    size_t before = row[first - 1];  // in the row above
    row[first - 1] = first == 1 ? i : most + 1;
    size_t least = row[first - 1];
    for (size_t j = first; j <= last; j++) {
      const size_t replaced = before + (longer[i - 1] == shorter[j - 1] ? 0 : 1);
      before = row[j];
      row[j] = std::min(std::min(row[j], row[j - 1]) + 1, replaced);
      least = std::min(least, row[j]);
    }
    if (least > most) return FAR;
  }
  return row.back() > most ? FAR : row.back();
}

}  // namespace kt

#endif
