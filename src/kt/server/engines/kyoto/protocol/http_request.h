// The most frequent HTTP requests, read in place where they have their plainest form.
//
//     POST /rpc/NAME HTTP/1.1                       GET /KEY HTTP/1.1
//     Content-Type: text/tab-separated-values
//     Content-Length: 7
//
//     key TAB k
//
// Any other headers may be there. Nothing is refused here: a request that is not whole, or that
// takes more thought (other methods and headers, encoded or unknown columns, a query, ...), is not
// plain, and left to the caller's own reader. So this one only has to agree with that one on what
// both take.

#ifndef KT_KYOTO_HTTP_REQUEST_H
#define KT_KYOTO_HTTP_REQUEST_H

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace kt {

using Bytes = std::string_view;

// The columns that plain calls have.
enum Column { DB, KEY, VALUE, NUM, ORIG, XT, OVAL, NVAL, COLUMNS };
using Columns = std::array<std::optional<Bytes>, COLUMNS>;

struct PlainRequest {
  size_t size;      // of all of it
  Bytes procedure;  // empty: GET of the record whose key is in `columns`
  Columns columns;

  bool only_reads() const { return procedure.empty() || procedure == "get" || procedure == "check"; }
};

// Nothing if `input` does not begin with a plain request. What is found points into `input`.
std::optional<PlainRequest> read_plain_request(Bytes input);

// A decimal number that cannot overflow, without leniency.
std::optional<int64_t> plain_number(Bytes digits);

// Whether a field needs no encoding in a reply.
bool is_plain_field(Bytes field);

}  // namespace kt

#endif
