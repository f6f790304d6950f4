// Serving plain HTTP requests (kyoto_http_request.h), without an object per request.
//
// A reply is byte for byte what the server's general handlers would answer. A request turns out not
// to be plain also when it comes to parameters that are missing or odd, a database given by its
// name, a value that is to be encoded, or a failure of the engine itself; nothing has changed then.

#ifndef KT_KYOTO_HTTP_H
#define KT_KYOTO_HTTP_H

#include <vector>

#include "io/buffer.h"
#include "kyoto/protocol/counts.h"
#include "kyoto/database/database.h"
#include "kyoto/protocol/http_request.h"

namespace kt {

// Run a request outside of any Entry, append the reply and count; false if it is not plain.
// `stamp` are header lines to begin with.
bool serve_plain_request(const PlainRequest& request, const std::vector<Database*>& databases,
                         Bytes stamp, Buffer* reply, Counts* counts);

}  // namespace kt

#endif
