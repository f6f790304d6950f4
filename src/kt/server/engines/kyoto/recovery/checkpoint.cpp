#include "kyoto/recovery/checkpoint.h"

#include <stdexcept>
#include <string>

#include "kyoto/upkeep/maintenance.h"

namespace kt {

// What is changed while the file is written has a later stamp. It may be in the file or not: the log
// says what a record becomes, not how it changes, so it may be applied twice.
uint64_t checkpoint(Database& database) {
  uint64_t stamp = 0;
  database.between_transactions([&] { stamp = database.journal().stamp(); });
  const Error error = synchronize(database, false, nullptr);
  if (!failed(error)) return stamp;
  throw std::runtime_error(std::string(error.name()) + ": " + error.message());
}

}  // namespace kt
