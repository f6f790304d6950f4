// Whether the changed pages of a tree can be written to its file.
//
// When one cannot (a full disk, a limit), it stays in memory and the store is *failing*: writes are
// refused, reads go on, nothing is tried again but by an Attempt, which write_back() makes now and
// then. When an attempt has written everything, writes are taken again.

#ifndef KT_KYOTO_PAGE_STORE_H
#define KT_KYOTO_PAGE_STORE_H

#include <atomic>
#include <memory>
#include <string>

#include "kyoto/storage/file.h"

namespace kt {

class PageStore {
 public:
  PageStore() = default;
  ~PageStore() { serve(nullptr, nullptr); }
  PageStore(const PageStore&) = delete;
  PageStore& operator=(const PageStore&) = delete;

  // For this tree (null: for none), which is in this file (null: in a directory).
  void serve(const void* tree, std::shared_ptr<File> file);

  // The one that serves a tree; null for trees that are opened for a moment only.
  static PageStore* of(const void* tree);

  bool failing() const { return failing_; }
  void fail();
  void recover() { failing_ = false; }

  // Whether a page of this size may be written now: there is room, and it is to be tried at all.
  bool admits(int64_t end, size_t size);

  // What may still be written to the file system; no end of it where that is not known.
  int64_t free_space() const { return file_ ? file_->free_space() : INT64_MAX; }

  // While it lives, its thread tries to write pages although the store is failing, up to the first
  // that cannot be written.
  class Attempt {
   public:
    explicit Attempt(PageStore& store);
    ~Attempt();
    Attempt(const Attempt&) = delete;
    Attempt& operator=(const Attempt&) = delete;
    bool failed() const { return failed_; }

   private:
    friend class PageStore;
    PageStore& store_;
    bool failed_ = false;
  };

 private:
  static thread_local Attempt* attempt_;

  const void* tree_ = nullptr;
  std::shared_ptr<File> file_;
  std::atomic<bool> failing_{false};
};

}  // namespace kt

#endif
