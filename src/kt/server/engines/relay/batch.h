// The requests that a client has sent at once, and what has become of them.
//
//     input     | request 0 | request 1 ... | the begin of another one |
//     outcomes  | of the commands of request 0 | of request 1 | ...     values are in `values`
//
// All are read before the first command leaves, and all are answered together.

#ifndef KT_RELAY_BATCH_H
#define KT_RELAY_BATCH_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "io/buffer.h"
#include "relay/places.h"

namespace kt::relay {

enum class Kind : uint8_t { GET, SET, REMOVE };

// What one command came to.
struct Outcome {
  enum State : uint8_t {
    UNDER_WAY,
    NOTHING,  // there is no such record
    VALUE,    // `size` bytes of `values` from `begin` on
    STORED,
    NUMBER,   // `size`
    LEFT,     // it was not carried out, or only reads: to be carried out by others
    UNKNOWN   // it may have been carried out
  };
  State state = UNDER_WAY;
  size_t begin = 0, size = 0;
};

struct Record {
  Bytes key, value;
  int64_t xt;
};

struct Request {
  Kind kind;
  bool silent;     // there is no reply
  bool http;       // it is a remote procedure call, of this record
  uint16_t database;
  uint32_t count;  // of its commands
  size_t size;     // of all of it, in the input
  Record record;
};

struct Batch {
  std::string input;
  size_t size = 0;  // of the requests
  std::vector<Request> requests;
  std::vector<Outcome> outcomes;
  Buffer values;
  size_t pending = 0;     // commands under way
  bool writes = false;    // some do
  bool troubled = false;  // a command is LEFT or UNKNOWN
  std::string trouble;    // why one is UNKNOWN

  // Be ready for the next ones; what is left of the input stays.
  void begin_anew() {
    size = 0;
    requests.clear();
    outcomes.clear();
    values.clear();
    writes = troubled = false;
    trouble.clear();
  }
};

// What may be asked of a database here.
struct Database {
  Places places;
  bool reads = false, writes = false;
};

enum class Found : uint8_t { WHOLE, MORE, OTHER };

// Read the request at the begin of `input`. With MORE nothing is to be hoped for before `*need` bytes
// are there; OTHER is anything that is not served here.
Found read_request(Bytes input, const std::vector<Database>& databases, Request* request,
                   size_t* need);

// The next record of a request of the binary protocol, taken off `rest`, which begins as `records_of`
// says.
Record take_record(Kind kind, Bytes* rest);
Bytes records_of(Bytes request);

// Append the replies to a batch that is not troubled. False, and nothing is appended, if one is
// beyond what is written here. `stamp` are the lines that replies by HTTP begin with.
bool write_replies(const Batch& batch, Bytes stamp, int64_t now, Buffer* reply);

}  // namespace kt::relay

#endif
