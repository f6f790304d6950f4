// The operations on records by key. Each is one visit, so it is atomic.

#ifndef KT_KYOTO_OPERATIONS_H
#define KT_KYOTO_OPERATIONS_H

#include <map>
#include <string>
#include <vector>

#include "kyoto/database/database.h"

namespace kt {

// NOREC if there is no record. Any of the results may be null.
Error get(Database& database, Bytes key, std::string* value, int64_t* xt);
// `get` or `seize`, in a hurry whatever the thread.
Error fetch(Database& database, Bytes key, std::string* value, int64_t* xt, bool removes);
// Likewise, into a region of `room` bytes; nothing happens to a value of another size.
Error get_into(Database& database, Bytes key, char* at, size_t room, size_t* size, int64_t* xt,
               bool removes);
Error check(Database& database, Bytes key, int64_t* size, int64_t* xt);
Error seize(Database& database, Bytes key, std::string* value, int64_t* xt);
Error remove(Database& database, Bytes key);

enum class Store { SET, ADD, REPLACE, APPEND };

// ADD: DUPREC if there is a record. REPLACE: NOREC if there is none.
Error store(Database& database, Store how, Bytes key, Bytes value, int64_t xt);

// A counter: 8 bytes, big-endian. `number` is added to it and becomes the sum. What a missing
// counter begins with is `origin`: INT64_MIN for LOGIC instead, INT64_MAX to set in any case.
// LOGIC if the value is no counter.
Error increment(Database& database, Bytes key, int64_t* number, int64_t origin, int64_t xt);

// A counter with a fraction: 16 bytes, the integer part and 10^15 times the fraction. As above, with
// minus and plus infinity.
Error increment_double(Database& database, Bytes key, double* number, double origin, int64_t xt);

// LOGIC unless the record is `old`; nothing stands for no record.
Error compare_and_swap(Database& database, Bytes key, const std::optional<Bytes>& old_value,
                       const std::optional<Bytes>& new_value, int64_t xt);

// The number of records set, removed or found; if `atomic`, nobody sees it half done.
Error set_bulk(Database& database, const std::vector<std::string>& keys,
               const std::vector<Bytes>& values, int64_t xt, bool atomic, int64_t* count);
Error remove_bulk(Database& database, const std::vector<std::string>& keys, bool atomic,
                  int64_t* count);
// If not `atomic`, large values are left, and their keys are in `large`.
Error get_bulk(Database& database, const std::vector<std::string>& keys, bool atomic,
               std::map<std::string, std::string>* records, std::vector<std::string>* large);

}  // namespace kt

#endif
