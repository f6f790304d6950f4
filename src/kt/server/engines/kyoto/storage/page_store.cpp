// Which store serves which tree is looked up by the tree's address: the engine's members know no more.

#include "kyoto/storage/page_store.h"

#include <map>
#include <mutex>
#include <shared_mutex>

namespace kt {

namespace {

std::shared_mutex stores_lock;
std::map<const void*, PageStore*> stores;

}  // namespace

thread_local PageStore::Attempt* PageStore::attempt_ = nullptr;

PageStore::Attempt::Attempt(PageStore& store) : store_(store) { attempt_ = this; }

PageStore::Attempt::~Attempt() { attempt_ = nullptr; }

void PageStore::serve(const void* tree, std::shared_ptr<File> file) {
  std::unique_lock<std::shared_mutex> lock(stores_lock);
  stores.erase(tree_);
  tree_ = tree;
  file_ = std::move(file);
  failing_ = false;
  if (tree_ != nullptr) stores[tree_] = this;
}

PageStore* PageStore::of(const void* tree) {
  std::shared_lock<std::shared_mutex> lock(stores_lock);
  auto place = stores.find(tree);
  return place == stores.end() ? nullptr : place->second;
}

void PageStore::fail() {
  failing_ = true;
  if (file_) file_->forget_room();  // what was undone for it has cut the file off
  if (attempt_ != nullptr && &attempt_->store_ == this) attempt_->failed_ = true;
}

bool PageStore::admits(int64_t end, size_t size) {
  if (failing_) {
    const bool tried = attempt_ != nullptr && &attempt_->store_ == this && !attempt_->failed_;
    if (!tried) return false;
  }
  return !file_ || file_->has_room(end, static_cast<int64_t>(size));
}

}  // namespace kt
