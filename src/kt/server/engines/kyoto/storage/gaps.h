// Gaps in a file, closed piece by piece.
//
//     | records | gap | record | record | gap | record |   end
//                  <----- move down, a few at a time
//
// A record on its way is in two places, or half in one, so this is to be done in a transaction of
// the file. The engine's own way cuts the file off as soon as there is nothing behind the gap, and
// in a transaction everything that is cut off goes into the log, through memory. Here the file's
// end is moved in the transaction, and the file is cut off after it.

#ifndef KT_KYOTO_GAPS_H
#define KT_KYOTO_GAPS_H

#include "kyoto/storage/log_room.h"

namespace kt {

// The file that the engine keeps its records or pages in; null if there is no such file.
kyotocabinet::HashDB* file_under(kyotocabinet::BasicDB* engine);

// Look at so many records and gaps, from wherever the last call stopped, or at fewer if the log of
// the transaction holds no more (null: it does); alone, in a transaction. False if the file is broken.
bool move_records(kyotocabinet::HashDB& file, int64_t steps, LogRoom* room);

// Give back what is behind the last record; alone, and in no transaction.
void cut_tail(kyotocabinet::HashDB& file);

}  // namespace kt

#endif
