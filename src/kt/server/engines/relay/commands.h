// What is sent to a node, in RESP.

#ifndef KT_RELAY_COMMANDS_H
#define KT_RELAY_COMMANDS_H

#include "io/buffer.h"
#include "relay/batch.h"

namespace kt::relay {

// Append the command for a record. `now` is in seconds since the epoch.
void put_command(Kind kind, const Place& place, const Record& record, int64_t now, Buffer* out);

}  // namespace kt::relay

#endif
