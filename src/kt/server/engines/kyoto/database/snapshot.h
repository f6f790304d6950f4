// Records in a stream of their own, and copies of database files.
//
//     "KCSS\n"  then records  | 0 | key size | value size | key | value |  then | 0xFF |
//
// The sizes are the engine's variable-length numbers. Values carry their expiry. This is the format
// of Kyoto Cabinet's own dumps.

#ifndef KT_KYOTO_SNAPSHOT_H
#define KT_KYOTO_SNAPSHOT_H

#include <string>

#include "kyoto/database/database.h"

namespace kt {

// Every record that exists all the time is in it; each as it was at some moment.
Error dump_snapshot(Database& database, const std::string& destination);

// Set the records of a dump, beside those that there are.
Error load_snapshot(Database& database, const std::string& source);

// Copy the database file. Nobody can write meanwhile.
Error copy(Database& database, const std::string& destination);

// Visit every record that exists all the time, each by itself.
Error iterate(Database& database, RecordVisitor& visitor, bool writable);

}  // namespace kt

#endif
