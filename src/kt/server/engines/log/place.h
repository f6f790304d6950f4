// How a place in a log is known again: LogPlace, in change_log.h.

#ifndef KT_LOG_PLACE_H
#define KT_LOG_PLACE_H

#include <cstdint>
#include <string>

#include "log/format.h"

namespace kt {

// The place of so many bytes of a file, or of all that it has; without a first record if it cannot be read.
LogPlace place_in(Format format, const std::string& path, uint64_t number, uint64_t size = UINT64_MAX);

}  // namespace kt

#endif
