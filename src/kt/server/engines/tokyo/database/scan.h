// Looking through a whole database while others work with it.
//
// A scan goes through its databases a slice at a time (about SLICE_TIME, inside the gate) and shows
// each record to a judge, who takes it into the result, passes it, or stops. What is taken does not
// depend on the slices: a record that exists from begin to end is judged, exactly once.
//
// A judge that may take long (`regex`) sees copies of the records of a slice, outside of the gate:
// `outside` after each slice.
//
// A slice ends at a value of more than LARGE bytes. Memory for it is found outside, if it is wanted;
// the next slice begins with copying it there. If the record has changed meanwhile, it is judged anew.
//
// In ordered databases that follows from the order. In hash databases a record may move when it is
// written: from before the place to behind it (seen twice) or the other way (never seen). So while
// a scan is under way every writer tells it the key first (`written`). Such a key is not judged
// where it stands any more; at the end (`settle`) those of them that had not been taken before are
// looked up and judged by themselves.

#ifndef KT_TOKYO_SCAN_H
#define KT_TOKYO_SCAN_H

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "tokyo/database/cursor.h"
#include "tokyo/database/gate.h"
#include "tokyo/database/list.h"
#include "tokyo/database/store.h"

namespace kt::tokyo {

class Scan {
 public:
  enum class Verdict { TAKE, PASS, STOP };
  // Sees key and value (empty unless it is said to judge by it).
  using Judge = std::function<Verdict(Bytes, Bytes)>;
  enum class Judging {
    INSIDE,  // by the key, in the gate
    APART,   // by the key, outside
    WHOLE,   // by key and value, outside
  };

  static constexpr auto SLICE_TIME = std::chrono::milliseconds(1);

  // `result` gets the keys, or keys and values, that are taken. `begin`: in ordered databases, the
  // key to begin at, or null. `values`: whether the result has them. Negative `limit`: take all.
  Scan(const std::vector<Store*>& stores, Judge judge, const Bytes* begin, bool values,
       int64_t limit, List* result, Judging judging = Judging::INSIDE);

  // Inside the gate: go on for a while; false when the end is reached.
  bool slice();
  // Instead of slices: go on to the end; false if there is more to copy than may be at once.
  bool whole();
  // Outside the gate, after a slice: whatever takes long; false when nothing more is wanted.
  bool outside();
  // Inside the gate, between slices: this record is about to be written or removed.
  void written(Bytes key);
  // Inside the gate, between slices: all records are gone.
  void vanished();
  // Outside the gate, after the last slice. `find` gives the store of a key.
  void settle(Gate& gate, const std::function<Store&(Bytes)>& find);

 private:
  // A record with a value of more than LARGE bytes, at which a slice has ended.
  struct Large {
    enum { NONE, SEEN, PASSED, WANTED, COPIED } state = NONE;
    std::string key;
    size_t size = 0;
    char* at = nullptr;  // its memory: in the result, or in `apart`
    size_t before = 0;   // of the result, without it
    uint32_t count = 0;
    Buffer apart;
  };

  bool show();
  bool show_large();
  bool judge(Bytes key, Bytes value);
  void take(Bytes key, Bytes value);
  bool counted();
  bool slice_store(bool whole);
  bool go_on_with_large();
  void find_memory();
  void drop_large();
  void settle_one(Gate& gate, const std::string& key, const std::function<Store&(Bytes)>& find);
  void add_value(Bytes value);
  bool apart() const { return judging_ != Judging::INSIDE; }
  bool is_table() const { return stores_[0]->type() == Store::Type::TABLE; }

  static constexpr size_t COPIED_AT_ONCE = 1 << 20;

  const std::vector<Store*> stores_;
  const Judge judge_;
  std::string begin_;
  const bool has_begin_;
  const bool values_;
  int64_t left_;
  size_t store_ = 0;
  std::unique_ptr<Cursor> cursor_;
  bool done_;
  List* const result_;
  const Judging judging_;
  std::vector<std::pair<std::string, std::string>> copied_;
  size_t copied_bytes_ = 0;
  Large large_;
  std::unordered_set<std::string> written_;
};

}  // namespace kt::tokyo

#endif
