// Included by tree.cpp once for each type of tree that has a file, with KT_TREE as its name.
//
// A page that cannot be written stays changed and in memory. That is no failure of whatever had it
// written, which may have been a reader in need of room; PageStore tells those who must know.

namespace kyotocabinet {

template <>
bool KT_TREE::save_leaf_node(LeafNode* node) {
  ScopedRWLock lock(&node->lock, false);
  if (!node->dirty) return true;
  kt::PageStore* store = kt::PageStore::of(this);
  char key[NUMBUFSIZ];
  const size_t size = write_key(key, LNPREFIX, node->id);
  std::string page;
  if (!node->dead) page = kt::leaf_page(*node);
  node->dirty = !kt::write_page(store, db_, key, size, node->dead ? nullptr : &page);
  return !node->dirty || store != nullptr;
}

template <>
bool KT_TREE::flush_leaf_node(LeafNode* node, bool save) {
  const bool saved = !save || save_leaf_node(node);
  if (save && node->dirty && saved) return true;
  for (Record* record : node->recs) xfree(record);
  LeafSlot& slot = lslots_[node->id % SLOTNUM];
  (node->hot ? slot.hot : slot.warm)->remove(node->id);
  cusage_ -= node->size;
  delete node;
  return saved;
}

// Drops the first page that can be.
template <>
bool KT_TREE::flush_leaf_cache_part(LeafSlot* slot) {
  for (LeafCache* list : {slot->warm, slot->hot}) {
    for (LeafCache::Iterator place = list->begin(); place != list->end(); ++place) {
      LeafNode* node = place.value();
      if (!save_leaf_node(node)) return false;
      if (!node->dirty) return flush_leaf_node(node, false);
    }
  }
  return true;
}

template <>
bool KT_TREE::save_inner_node(InnerNode* node) {
  if (!node->dirty) return true;
  kt::PageStore* store = kt::PageStore::of(this);
  char key[NUMBUFSIZ];
  const size_t size = write_key(key, INPREFIX, node->id - INIDBASE);
  std::string page;
  if (!node->dead) page = kt::inner_page(*node);
  node->dirty = !kt::write_page(store, db_, key, size, node->dead ? nullptr : &page);
  return !node->dirty || store != nullptr;
}

template <>
bool KT_TREE::flush_inner_node(InnerNode* node, bool save) {
  const bool saved = !save || save_inner_node(node);
  if (save && node->dirty && saved) return true;
  for (Link* link : node->links) xfree(link);
  islots_[node->id % SLOTNUM].warm->remove(node->id);
  cusage_ -= node->size;
  delete node;
  return saved;
}

// What an abort brings back is in the file, so all pages must be.
template <>
bool KT_TREE::begin_transaction_impl(bool hard) {
  if (!clean_leaf_cache() || !clean_inner_cache()) return false;
  if (kt::is_failing(this)) {
    set_error(_KCCODELINE_, Error::SYSTEM, "changed pages cannot be written");
    return false;
  }
  if ((trlcnt_ != lcnt_ || count_ != trcount_) && !dump_meta()) return false;
  return db_.begin_transaction(hard);
}

// All or nothing: if a page cannot be written, the transaction is undone.
template <>
bool KT_TREE::commit_transaction() {
  bool saved = clean_leaf_cache() && clean_inner_cache() && !kt::is_failing(this);
  if (saved && (trlcnt_ != lcnt_ || count_ != trcount_)) saved = dump_meta();
  if (saved) return db_.end_transaction(true);
  abort_transaction();
  if (kt::PageStore* store = kt::PageStore::of(this)) store->recover();  // nothing is left to write
  set_error(_KCCODELINE_, Error::SYSTEM, "changed pages cannot be written");
  return false;
}

// Likewise, where every write is a transaction of its own; but what is undone is written later.
template <>
bool KT_TREE::fix_auto_transaction_tree() {
  const std::vector<bool*> changed = kt::changed_pages(lslots_, islots_, SLOTNUM);
  bool saved = kt::begins(kt::file_under(&db_), [&] { return db_.begin_transaction(autosync_); });
  if (saved) {
    saved = clean_leaf_cache() && clean_inner_cache();
    for (const bool* dirty : changed) saved = saved && !*dirty;
    saved = saved && dump_meta();
    saved = db_.end_transaction(saved) && saved;
  }
  if (!saved) {
    for (bool* dirty : changed) *dirty = true;
    if (kt::PageStore* store = kt::PageStore::of(this)) store->fail();
    return false;
  }
  const size_t most = ATRANCNUM / SLOTNUM;
  const int32_t turn = trclock_++ % SLOTNUM;
  LeafSlot* leaves = lslots_ + turn;
  if (leaves->warm->count() + leaves->hot->count() > most) flush_leaf_cache_part(leaves);
  InnerSlot* inners = islots_ + turn;
  if (inners->warm->count() > most) flush_inner_cache_part(inners);
  return true;
}

}  // namespace kyotocabinet
