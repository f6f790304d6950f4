// The few private members of the engine that are needed to do long work in small pieces.
//
// Kyoto Cabinet cleans all changed pages of a tree, or gives a file's whole tail back to the file
// system, in one go and with its locks held. Its public interface has nothing smaller, its classes
// are templates in headers, and it has not changed since 2012; so we take hold of the members that
// do the pieces. C++ checks no access in an explicit instantiation: each line at the end of this
// file names one member and makes reveal() return a pointer to it. A library that lacks one of them
// fails to compile here, and nowhere else.

#ifndef KT_KYOTO_INTERNALS_H
#define KT_KYOTO_INTERNALS_H

#include <type_traits>

#include "kyoto/storage/engine.h"

namespace kt {

namespace kc = kyotocabinet;

// Tags, by which a member is asked for. That each of their friends is a function of its own, and no
// template, is meant; g++ asks whether it is.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-template-friend"
#endif
template <typename Tree>
struct LeafSlots {  // the cached leaf pages, in 16 slots of two lists each
  friend constexpr auto reveal(LeafSlots);
};
template <typename Tree>
struct SaveLeaf {  // writes one page, if it has been changed
  friend constexpr auto reveal(SaveLeaf);
};
template <typename Tree>
struct FlushLeaf {  // drops one page from the cache, after saving it if told so
  friend constexpr auto reveal(FlushLeaf);
};
template <typename Tree>
struct CleanInner {  // writes all changed inner pages, which are few
  friend constexpr auto reveal(CleanInner);
};
template <typename Tree>
struct CleanLeaves {  // writes all changed leaf pages
  friend constexpr auto reveal(CleanLeaves);
};
template <typename Tree>
struct DumpMeta {  // writes what the tree knows about itself
  friend constexpr auto reveal(DumpMeta);
};
template <typename Tree>
struct CommitAll {  // writes everything as one transaction
  friend constexpr auto reveal(CommitAll);
};
struct PagesFile {  // the file under a file tree
  friend constexpr auto reveal(PagesFile);
};
template <typename Tree>
struct CacheUse {  // bytes of all cached pages, in their form in the file
  friend constexpr auto reveal(CacheUse);
};
struct FileEnd {  // where the file's last record ends
  friend constexpr auto reveal(FileEnd);
};
struct FreeBlocks {  // the gaps that a file knows of, the largest last
  friend constexpr auto reveal(FreeBlocks);
};
struct PagesDirectory {  // the directory under a tree that is in one
  friend constexpr auto reveal(PagesDirectory);
};
struct FileMarks {  // whether a file is open, or broken, as it will be written into it
  friend constexpr auto reveal(FileMarks);
};
struct RenamesFiles {  // whether a directory's record is a new file that gets its name when whole
  friend constexpr auto reveal(RenamesFiles);
};

// What closing gaps in a file is made of; see gaps.cpp.
struct GapUnit {  // how many gaps make the engine close some by itself
  friend constexpr auto reveal(GapUnit);
};
struct GapCursor {  // up to where there are none
  friend constexpr auto reveal(GapCursor);
};
struct Fragments {  // how many have been made since
  friend constexpr auto reveal(Fragments);
};
struct FirstRecord {
  friend constexpr auto reveal(FirstRecord);
};
struct WrittenEnd {  // where the last record ends that has been written
  friend constexpr auto reveal(WrittenEnd);
};
struct Alignment {
  friend constexpr auto reveal(Alignment);
};
struct FileBelow {
  friend constexpr auto reveal(FileBelow);
};
struct ReadRecord {
  friend constexpr auto reveal(ReadRecord);
};
struct ReadBody {  // what of a record does not fit into a small buffer
  friend constexpr auto reveal(ReadBody);
};
struct ShiftRecord {
  friend constexpr auto reveal(ShiftRecord);
};
struct WriteGap {
  friend constexpr auto reveal(WriteGap);
};
struct InsertGap {
  friend constexpr auto reveal(InsertGap);
};
struct ForgetGaps {
  friend constexpr auto reveal(ForgetGaps);
};
struct EscapeCursors {  // moves cursors with a record
  friend constexpr auto reveal(EscapeCursors);
};
struct TrimCursors {  // ends those behind the end
  friend constexpr auto reveal(TrimCursors);
};

template <typename Engine>
struct CursorsOf {  // an engine's list of its cursors
  friend constexpr auto reveal(CursorsOf);
};
template <typename Engine>
struct CursorHome {  // the engine that a cursor belongs to
  friend constexpr auto reveal(CursorHome);
};
template <typename Tree>
struct CursorKey {  // the key that a tree's cursor is at
  friend constexpr auto reveal(CursorKey);
};
template <typename Tree>
struct ForgetPlace {  // frees that
  friend constexpr auto reveal(ForgetPlace);
};

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

template <typename Tag, auto Member>
struct Reveal {
  friend constexpr auto reveal(Tag) { return Member; }
};

#define KT_REVEAL_TREE(Tree)                                              \
  template struct Reveal<LeafSlots<kc::Tree>, &kc::Tree::lslots_>;        \
  template struct Reveal<SaveLeaf<kc::Tree>, &kc::Tree::save_leaf_node>;  \
  template struct Reveal<FlushLeaf<kc::Tree>, &kc::Tree::flush_leaf_node>; \
  template struct Reveal<CleanInner<kc::Tree>, &kc::Tree::clean_inner_cache>; \
  template struct Reveal<CleanLeaves<kc::Tree>, &kc::Tree::clean_leaf_cache>; \
  template struct Reveal<CacheUse<kc::Tree>, &kc::Tree::cusage_>;         \
  template struct Reveal<DumpMeta<kc::Tree>, &kc::Tree::dump_meta>;           \
  template struct Reveal<CommitAll<kc::Tree>, &kc::Tree::fix_auto_transaction_tree>;

KT_REVEAL_TREE(TreeDB)
KT_REVEAL_TREE(GrassDB)
KT_REVEAL_TREE(ForestDB)
#undef KT_REVEAL_TREE

template <typename Engine>
constexpr bool has_pages = std::is_same_v<Engine, kc::TreeDB> || std::is_same_v<Engine, kc::GrassDB> ||
                           std::is_same_v<Engine, kc::ForestDB>;

#define KT_REVEAL_CURSORS(Engine)                                    \
  template struct Reveal<CursorsOf<kc::Engine>, &kc::Engine::curs_>; \
  template struct Reveal<CursorHome<kc::Engine>, &kc::Engine::Cursor::db_>;
#define KT_REVEAL_PLACES(Tree)                                       \
  template struct Reveal<CursorKey<kc::Tree>, &kc::Tree::Cursor::kbuf_>; \
  template struct Reveal<ForgetPlace<kc::Tree>, &kc::Tree::Cursor::clear_position>;

KT_REVEAL_CURSORS(ProtoHashDB)
KT_REVEAL_CURSORS(ProtoTreeDB)
KT_REVEAL_CURSORS(StashDB)
KT_REVEAL_CURSORS(CacheDB)
KT_REVEAL_CURSORS(GrassDB)
KT_REVEAL_CURSORS(HashDB)
KT_REVEAL_CURSORS(TreeDB)
KT_REVEAL_CURSORS(DirDB)
KT_REVEAL_CURSORS(ForestDB)
KT_REVEAL_PLACES(GrassDB)
KT_REVEAL_PLACES(TreeDB)
KT_REVEAL_PLACES(ForestDB)
#undef KT_REVEAL_CURSORS
#undef KT_REVEAL_PLACES

template struct Reveal<PagesFile, &kc::TreeDB::db_>;
template struct Reveal<FileEnd, &kc::HashDB::lsiz_>;
template struct Reveal<FileMarks, &kc::HashDB::flags_>;
template struct Reveal<FreeBlocks, &kc::HashDB::fbp_>;
template struct Reveal<PagesDirectory, &kc::ForestDB::db_>;
template struct Reveal<RenamesFiles, &kc::DirDB::autotran_>;

template struct Reveal<GapUnit, &kc::HashDB::dfunit_>;
template struct Reveal<GapCursor, &kc::HashDB::dfcur_>;
template struct Reveal<Fragments, &kc::HashDB::frgcnt_>;
template struct Reveal<FirstRecord, &kc::HashDB::roff_>;
template struct Reveal<WrittenEnd, &kc::HashDB::psiz_>;
template struct Reveal<Alignment, &kc::HashDB::align_>;
template struct Reveal<FileBelow, &kc::HashDB::file_>;
template struct Reveal<ReadRecord, &kc::HashDB::read_record>;
template struct Reveal<ReadBody, &kc::HashDB::read_record_body>;
template struct Reveal<ShiftRecord, &kc::HashDB::shift_record>;
template struct Reveal<WriteGap, &kc::HashDB::write_free_block>;
template struct Reveal<InsertGap, &kc::HashDB::insert_free_block>;
template struct Reveal<ForgetGaps, &kc::HashDB::trim_free_blocks>;
template struct Reveal<EscapeCursors, &kc::HashDB::escape_cursors>;
template struct Reveal<TrimCursors, &kc::HashDB::trim_cursors>;

}  // namespace kt

#endif
