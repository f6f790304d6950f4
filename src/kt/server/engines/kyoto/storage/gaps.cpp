#include "kyoto/storage/gaps.h"

#include "kyoto/database/internals.h"

namespace kt {

namespace {

template <typename Record>
Record record_of(bool (kc::HashDB::*)(Record*, char*));

using Block = decltype(record_of(reveal(ReadRecord{})));  // a record, or a gap

constexpr size_t BUFFER = 64;  // of the engine's own size at least

bool is_gap(const Block& block) { return block.psiz == UINT16_MAX; }

class Mover {
 public:
  Mover(kc::HashDB& file, LogRoom* room)
      : file_(file),
        room_(room),
        from_(file.*reveal(GapCursor{})),
        to_(from_),
        end_(file.*reveal(FileEnd{})) {}

  // Go on behind the next gap. False if the file is broken.
  bool find(int64_t* steps) {
    for (; from_ < end_ && *steps > 0; --*steps) {
      if (!read()) return false;
      from_ += block_.rsiz;
      if (is_gap(block_)) return true;
      to_ = from_;
      delete[] block_.bbuf;
    }
    return true;
  }

  // Move what is behind the gap.
  bool move(int64_t steps) {
    for (; from_ < end_ && steps > 0; steps--) {
      if (!read()) return false;
      if (!is_gap(block_) && room_ != nullptr && !room_->holds(block_.rsiz)) {
        delete[] block_.bbuf;
        break;
      }
      (file_.*reveal(EscapeCursors{}))(from_, to_);
      from_ += block_.rsiz;
      if (!is_gap(block_) && !shift()) return false;
    }
    return true;
  }

  // Tell the engine where the gap is now.
  bool finish() {
    kc::HashDB& file = file_;
    if (to_ < from_) (file.*reveal(ForgetGaps{}))(first_gap(), from_);
    file.*reveal(GapCursor{}) = from_ < end_ ? to_ : file.*reveal(FirstRecord{});
    if (to_ == from_) return true;
    if (from_ < end_) return put_gap();
    file.*reveal(FileEnd{}) = to_;
    file.*reveal(WrittenEnd{}) = to_;
    (file.*reveal(TrimCursors{}))();
    return true;
  }

 private:
  bool read() {
    block_.off = from_;
    return (file_.*reveal(ReadRecord{}))(&block_, buffer_) && block_.rsiz > 0;
  }

  bool shift() {
    const bool whole = block_.vbuf || (file_.*reveal(ReadBody{}))(&block_);
    const size_t spare = block_.psiz / file_.*reveal(Alignment{}) * file_.*reveal(Alignment{});
    block_.psiz -= spare;
    block_.rsiz -= spare;
    const bool moved = whole && (file_.*reveal(ShiftRecord{}))(&block_, to_);
    delete[] block_.bbuf;
    to_ += block_.rsiz;
    return moved;
  }

  int64_t first_gap() const { return file_.*reveal(GapCursor{}); }

  bool put_gap() {
    const auto size = static_cast<size_t>(from_ - to_);
    if (!(file_.*reveal(WriteGap{}))(to_, size, buffer_)) return false;
    (file_.*reveal(InsertGap{}))(to_, size);
    return true;
  }

  kc::HashDB& file_;
  LogRoom* const room_;
  int64_t from_;
  int64_t to_;
  const int64_t end_;
  Block block_;
  char buffer_[BUFFER];
};

}  // namespace

kc::HashDB* file_under(kc::BasicDB* engine) {
  if (auto* tree = dynamic_cast<kc::TreeDB*>(engine)) return &(tree->*reveal(PagesFile{}));
  return dynamic_cast<kc::HashDB*>(engine);
}

bool move_records(kc::HashDB& file, int64_t steps, LogRoom* room) {
  file.*reveal(Fragments{}) = 0;
  Mover mover(file, room);
  return mover.find(&steps) && mover.move(steps) && mover.finish();
}

void cut_tail(kc::HashDB& file) {
  const int64_t end = file.*reveal(FileEnd{});
  kc::File& below = file.*reveal(FileBelow{});
  if (below.size() > end) below.truncate(end);
}

}  // namespace kt
