// The thread; what it does is in pages.cpp.

#include "kyoto/upkeep/write_back.h"

#include "kyoto/database/database.h"
#include "kyoto/upkeep/pages.h"

namespace kt {

void WriteBack::start() {
  thread_ = std::thread([this] { run(); });
}

void WriteBack::stop() {
  {
    std::lock_guard<std::mutex> lock(lock_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void WriteBack::run() {
  std::unique_lock<std::mutex> lock(lock_);
  while (!wake_.wait_for(lock, PERIOD, [this] { return stopping_; })) {
    if (!changed_.exchange(false) && !database_.refuses_writes()) continue;
    lock.unlock();
    if (failed(clean_pages(database_, Pace::GENTLE))) changed_ = true;
    lock.lock();
  }
}

}  // namespace kt
