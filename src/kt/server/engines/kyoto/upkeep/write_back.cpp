// The thread; what it does is in pages.cpp.

#include "kyoto/upkeep/write_back.h"

#include "kyoto/database/database.h"
#include "kyoto/upkeep/pages.h"

namespace kt {

void WriteBack::start() {
  ticker_.start(PERIOD, [this] { write(); });
}

void WriteBack::write() {
  if (!changed_.exchange(false) && !database_.refuses_writes()) return;
  if (failed(clean_pages(database_, Pace::GENTLE))) changed_ = true;
}

}  // namespace kt
