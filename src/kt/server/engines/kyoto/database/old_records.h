// What records were before they were changed, from one moment on: what a snapshot of that moment
// needs while everybody goes on.

#ifndef KT_KYOTO_OLD_RECORDS_H
#define KT_KYOTO_OLD_RECORDS_H

#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "kyoto/database/record.h"

namespace kt {

class OldRecords {
 public:
  // By their keys; nothing where there was no record. A tree never pauses to grow.
  using Records = std::map<std::string, std::optional<std::string>, std::less<>>;

  // With the record locked, before each change; `before` as it is stored, null if it is not there.
  // Only the first change counts.
  void note(Bytes key, const Bytes* before) {
    std::lock_guard<std::mutex> guard(lock_);
    if (records_.find(key) != records_.end()) return;
    auto old = before != nullptr ? std::optional<std::string>(*before) : std::nullopt;
    records_.emplace(std::string(key), std::move(old));
  }

  // Whether the record has been changed.
  bool knows(Bytes key) {
    std::lock_guard<std::mutex> guard(lock_);
    return records_.find(key) != records_.end();
  }

  // Once nobody notes anything any more.
  const Records& records() const { return records_; }

 private:
  std::mutex lock_;
  Records records_;
};

}  // namespace kt

#endif
