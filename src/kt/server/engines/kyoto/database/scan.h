// Searches through all keys.
//
// The database changes while a search runs, and the search holds nobody up (see Turns). Still, a
// record that exists from its beginning to its end is found exactly once.

#ifndef KT_KYOTO_SCAN_H
#define KT_KYOTO_SCAN_H

#include <string>
#include <vector>

#include "kyoto/database/database.h"

namespace kt {

using Keys = std::vector<std::string>;

// While it lives, reading does not move records.
class NoRotation {
 public:
  explicit NoRotation(Database& database) : database_(database) {
    if (database_.kind().rotates) database_.hold_rotation(true);
  }
  ~NoRotation() {
    if (database_.kind().rotates) database_.hold_rotation(false);
  }
  NoRotation(const NoRotation&) = delete;
  NoRotation& operator=(const NoRotation&) = delete;

 private:
  Database& database_;
};

// At most `limit` keys, all if negative. In the order of the database, except match_similar.
Error match_prefix(Database& database, const std::string& prefix, int64_t limit, Keys* keys);

// POSIX extended regular expression, found anywhere in the key. LOGIC if it is none.
Error match_regex(Database& database, const std::string& regex, int64_t limit, Keys* keys);

// Within a Levenshtein distance, in bytes or in UTF-8 characters; nearest first.
Error match_similar(Database& database, const std::string& origin, size_t distance, bool utf8,
                    int64_t limit, Keys* keys);

}  // namespace kt

#endif
