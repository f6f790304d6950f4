// A thread that does something again and again, for whoever would otherwise need somebody to ask.

#ifndef KT_IO_TICKER_H
#define KT_IO_TICKER_H

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

namespace kt {

class Ticker {
 public:
  Ticker() = default;
  ~Ticker() { stop(); }
  Ticker(const Ticker&) = delete;
  Ticker& operator=(const Ticker&) = delete;

  // From now on, with so much time between the end of one and the begin of the next.
  void start(std::chrono::milliseconds period, std::function<void()> action) {
    thread_ = std::thread([this, period, action = std::move(action)] {
      std::unique_lock<std::mutex> lock(lock_);
      while (!wake_.wait_for(lock, period, [this] { return stopping_; })) {
        lock.unlock();
        action();
        lock.lock();
      }
    });
  }

  // Waits for the end of what is being done. Nothing happens if it was never started.
  void stop() {
    {
      std::lock_guard<std::mutex> lock(lock_);
      stopping_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::mutex lock_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace kt

#endif
