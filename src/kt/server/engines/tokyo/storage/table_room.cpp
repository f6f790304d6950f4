#include "tokyo/storage/table_room.h"

#include <algorithm>

namespace kt::tokyo {

namespace {

constexpr int64_t MOST_MOVED = 64 << 20;

struct MapDeleter {
  void operator()(TCMAP* map) const { tcmapdel(map); }
};
using MapPointer = std::unique_ptr<TCMAP, MapDeleter>;

// What the library adds to a value to tell rows apart.
std::string indexed(std::string_view key, std::string_view value) {
  uint32_t hash = 19780211;
  for (const char byte : key) hash = hash * 37 + static_cast<unsigned char>(byte);
  std::string whole(value);
  whole += '\0';
  whole += static_cast<char>(hash >> 8 & 0xFF);
  whole += static_cast<char>(hash & 0xFF);
  return whole;
}

// The value of a column. The library compares names up to the first zero byte.
bool value_of(TCMAP* columns, const std::string& column, std::string_view* value) {
  if (columns == nullptr) return false;
  int size;
  const void* found =
      tcmapget(columns, column.data(), static_cast<int>(column.size()), &size);
  if (found == nullptr) return false;
  *value = std::string_view(static_cast<const char*>(found), static_cast<size_t>(size));
  return true;
}

}  // namespace

TableRoom::TableRoom(TCTDB* table) : table_(table), rows_(table->hdb) {
  for (int i = 0; i < table->inum; i++) {
    const TDBIDX& index = table->idxs[i];
    const bool full_text = index.type == TDBITTOKEN || index.type == TDBITQGRAM;
    indices_.push_back({index.name, full_text,
                        full_text ? static_cast<const TCMAP*>(index.cc) : nullptr,
                        std::make_unique<TreeRoom>(static_cast<TCBDB*>(index.db))});
    if (full_text) indices_.back().seen = static_cast<int64_t>(tcmapmsiz(indices_.back().gathered));
  }
}

bool TableRoom::admits(Bytes key, size_t size) {
  return rows_.has(rows_.record(key.size(), size));
}

bool TableRoom::admits_value(Index* index, Bytes key, Bytes value, bool removed) {
  if (index->full_text) return admits_words(index, key, value.size());
  const std::string whole = index->column.empty() ? std::string(key) : indexed(key, value);
  return removed ? index->tree->admits_removal(whole) : index->tree->admits(whole, key.size());
}

// A word takes three bytes of the text at least, or one in the worst case.
bool TableRoom::admits_words(Index* index, Bytes key, size_t bytes) {
  const auto now = static_cast<int64_t>(tcmapmsiz(index->gathered));
  if (now < index->seen) index->moved += index->seen - now;
  if (index->moved > MOST_MOVED) {
    if (!index->tree->settles()) return false;
    index->moved = 0;
  }
  const auto more = static_cast<int64_t>(bytes * (key.size() + 64));
  index->seen = now + more;
  return index->tree->admits_anywhere(index->moved + now + more);
}

bool TableRoom::admits_column(Index* index, Bytes key, TCMAP* columns, bool removed) {
  if (columns == nullptr) return true;
  Bytes value = key;
  if (!index->column.empty() && !value_of(columns, index->column, &value)) return true;
  return admits_value(index, key, value, removed);
}

bool TableRoom::admits_row(Bytes key, TCMAP* columns) {
  if (indices_.empty()) return true;
  const MapPointer before(tctdbget(table_, key.data(), static_cast<int>(key.size())));
  return std::all_of(indices_.begin(), indices_.end(), [&](Index& index) {
    return admits_column(&index, key, before.get(), true) &&
           admits_column(&index, key, columns, false);
  });
}

bool TableRoom::admits_removal(Bytes key) { return admits_row(key, nullptr); }

bool TableRoom::admits_changed(Index* index, size_t bytes) {
  if (index->full_text) return admits_words(index, Bytes(), bytes);
  return index->tree->settles() && index->tree->admits_anywhere(static_cast<int64_t>(bytes));
}

bool TableRoom::admits_number(Bytes key) {
  constexpr size_t ENOUGH = 512;
  return std::all_of(indices_.begin(), indices_.end(), [&](Index& index) {
    if (index.column.empty()) return admits_value(&index, key, key, false);
    return index.column != "_num" || admits_changed(&index, ENOUGH + 2 * key.size());
  });
}

bool TableRoom::admits_changes(size_t bytes) {
  return std::all_of(indices_.begin(), indices_.end(),
                     [&](Index& index) { return admits_changed(&index, bytes); });
}

bool TableRoom::settles() {
  return std::all_of(indices_.begin(), indices_.end(),
                     [](Index& index) { return index.tree->settles(); });
}

void TableRoom::forget() {
  rows_.forget();
  for (Index& index : indices_) index.tree->forget();
}

}  // namespace kt::tokyo
