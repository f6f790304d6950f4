// The engine, with some members of its file trees replaced by ours.
//
// Kyoto Cabinet takes a changed page for clean, or drops it, even when it could not be written: on
// a full disk, records that had been acknowledged are gone. A half of a split that could not be
// written is committed with the other half. Its trees are templates in headers, so those members
// are specialized here, before anything uses them (tree.cpp has what they do instead): a page stays
// in memory, changed, until it is in the file; PageStore knows that there are such pages.
//
// This file is to be included instead of <kcpolydb.h>.

#ifndef KT_KYOTO_ENGINE_H
#define KT_KYOTO_ENGINE_H

#include <kcdirdb.h>
#include <kchashdb.h>

namespace kyotocabinet {

#define KT_OWN_MEMBERS(BASE, KIND)                                       \
  template <>                                                            \
  bool PlantDB<BASE, BasicDB::KIND>::save_leaf_node(LeafNode*);          \
  template <>                                                            \
  bool PlantDB<BASE, BasicDB::KIND>::flush_leaf_node(LeafNode*, bool);   \
  template <>                                                            \
  bool PlantDB<BASE, BasicDB::KIND>::flush_leaf_cache_part(LeafSlot*);   \
  template <>                                                            \
  bool PlantDB<BASE, BasicDB::KIND>::save_inner_node(InnerNode*);        \
  template <>                                                            \
  bool PlantDB<BASE, BasicDB::KIND>::flush_inner_node(InnerNode*, bool); \
  template <>                                                            \
  bool PlantDB<BASE, BasicDB::KIND>::begin_transaction_impl(bool);       \
  template <>                                                            \
  bool PlantDB<BASE, BasicDB::KIND>::commit_transaction();               \
  template <>                                                            \
  bool PlantDB<BASE, BasicDB::KIND>::fix_auto_transaction_tree();

KT_OWN_MEMBERS(HashDB, TYPETREE)
KT_OWN_MEMBERS(DirDB, TYPEFOREST)
#undef KT_OWN_MEMBERS

}  // namespace kyotocabinet

#include <kcpolydb.h>

#endif
