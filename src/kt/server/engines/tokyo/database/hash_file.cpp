#include "tokyo/database/hash_file.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <new>

namespace kt::tokyo {

namespace {

constexpr uint64_t HEADER = 256;
constexpr uint64_t FIRST_FIELD = 64;  // in the header: the offset of the first record
constexpr uint8_t RECORD = 0xC8, FREE_BLOCK = 0xB0;
constexpr int PADDING_SIZE = 2;

uint64_t file_size(const TCHDB* database) {
  struct stat status;
  if (fstat(database->fd, &status) != 0) return 0;
  return std::min<uint64_t>(database->fsiz, static_cast<uint64_t>(status.st_size));
}

}  // namespace

HashFile::HashFile(const TCHDB* database)
    : size_(file_size(database)),
      first_(database->frec),
      buckets_(database->bnum),
      align_(uint64_t{1} << database->apow),
      shift_(database->apow),
      link_size_(database->opts & HDBTLARGE ? 8 : 4) {
  if (size_ == 0) return;
  void* map = mmap(nullptr, size_, PROT_READ, MAP_SHARED, database->fd, 0);
  if (map == MAP_FAILED) throw std::bad_alloc();
  map_ = static_cast<const char*>(map);
  big_endian_ = size_ >= HEADER && number(FIRST_FIELD, 8) != first_;
}

HashFile::~HashFile() {
  if (map_ != nullptr) munmap(const_cast<char*>(map_), size_);
}

void HashFile::Tally::add(uint64_t offset) {
  count++;
  uint64_t mixed = offset * 0x9E3779B97F4A7C15;
  mixed = (mixed ^ (mixed >> 31)) * 0xBF58476D1CE4E5B9;
  sum += mixed ^ (mixed >> 29);
}

uint64_t HashFile::number(uint64_t at, int size) const {
  uint64_t number = 0;
  for (int i = 0; i < size; i++) {
    number = number << 8 | byte(at + static_cast<uint64_t>(big_endian_ ? i : size - 1 - i));
  }
  return number;
}

uint64_t HashFile::bucket(Bytes key) const {
  uint64_t hash = 19780211;
  for (const char c : key) hash = hash * 37 + static_cast<uint8_t>(c);
  return hash % buckets_;
}

uint8_t HashFile::second_hash(Bytes key) {
  uint32_t hash = 751;
  for (size_t i = key.size(); i > 0; i--) hash = (hash * 31) ^ static_cast<uint8_t>(key[i - 1]);
  return static_cast<uint8_t>(hash);
}

// The end of the free block at `offset`; 0 if there is none.
uint64_t HashFile::free_block_end(uint64_t offset) const {
  if (offset + 5 > size_ || byte(offset) != FREE_BLOCK) return 0;
  const uint64_t size = number(offset + 1, 4), end = offset + size;
  return size != 0 && end <= size_ && end % align_ == 0 ? end : 0;
}

bool HashFile::begins_something(uint64_t offset) const {
  return offset == size_ ||
         (offset < size_ && (byte(offset) == RECORD || byte(offset) == FREE_BLOCK));
}

// Reads the record at `offset`, its first byte left aside; false if there can be none.
bool HashFile::parse(uint64_t offset, Record* record) const {
  const auto links = static_cast<uint64_t>(2 * link_size_);
  uint64_t at = offset + 2 + links;
  if (offset < first_ || offset % align_ != 0 || at + PADDING_SIZE + 2 > size_) return false;
  record->offset = offset;
  record->intact = byte(offset) == RECORD;
  record->left = link(offset + 2);
  record->right = link(offset + 2 + links / 2);
  const uint64_t padding = number(at, PADDING_SIZE);
  at += PADDING_SIZE;
  uint64_t sizes[2] = {0, 0};
  for (uint64_t& number : sizes) {
    for (int shift = 0;; shift += 7) {
      if (at >= size_ || shift > 28) return false;
      const auto next = static_cast<int8_t>(byte(at++));
      number |= static_cast<uint64_t>((next < 0 ? ~next : next) & 0x7F) << shift;
      if (next >= 0) break;
    }
  }
  record->end = at + sizes[0] + sizes[1] + padding;
  if (record->end > size_ || record->end % align_ != 0) return false;
  record->key = Bytes(map_ + at, sizes[0]);
  record->value = Bytes(map_ + at + sizes[0], sizes[1]);
  return true;
}

bool HashFile::follow_bucket(uint64_t number, bool strict, uint64_t* steps,
                             const std::function<bool(const Record&)>& visit) const {
  std::vector<uint64_t> open{link(HEADER + number * static_cast<uint64_t>(link_size_))};
  while (!open.empty()) {
    const uint64_t offset = open.back();
    open.pop_back();
    if (offset == 0) continue;
    Record record;
    // A circle has no end; a record that is being moved, or removed, may already be a free block.
    const bool found = *steps > 0 && parse(offset, &record) && bucket(record.key) == number;
    if (strict && (!found || !record.intact || byte(offset + 1) != second_hash(record.key))) {
      return false;
    }
    if (!found) continue;
    --*steps;
    if (!visit(record)) return false;
    open.push_back(record.right);
    if (record.intact) open.push_back(record.left);
  }
  return true;
}

bool HashFile::follow(bool strict, const std::function<bool(const Record&)>& visit) const {
  uint64_t steps = (size_ - std::min(first_, size_)) / align_ + 1;
  const uint64_t end = HEADER + buckets_ * static_cast<uint64_t>(link_size_);
  if (end > size_) return !strict;
  for (uint64_t number = 0; number < buckets_; number++) {
    if (!follow_bucket(number, strict, &steps, visit)) return false;
  }
  return true;
}

bool HashFile::walk(bool strict, const std::function<bool(const Record&)>& visit) const {
  uint64_t offset = first_;
  while (offset < size_) {
    Record record;
    const bool here = parse(offset, &record) && record.intact &&
                      byte(offset + 1) == second_hash(record.key) && begins_something(record.end);
    if (here) {
      if (!visit(record)) return false;
      offset = record.end;
    } else if (const uint64_t end = free_block_end(offset); end != 0 && begins_something(end)) {
      offset = end;
    } else if (strict) {
      return false;
    } else {
      offset += align_;
    }
  }
  return true;
}

bool HashFile::sound(uint64_t* count) const {
  Tally in_a_row, linked;
  const bool whole = walk(true, [&](const Record& record) {
    in_a_row.add(record.offset);
    return true;
  });
  const auto tally = [&](const Record& record) {
    linked.add(record.offset);
    return linked.count <= in_a_row.count;
  };
  *count = in_a_row.count;
  return whole && follow(true, tally) && in_a_row == linked;
}

bool HashFile::each(const Visitor& visit) const {
  const auto show = [&](const Record& record) { return visit(record.key, record.value); };
  return follow(false, show) && walk(false, show);
}

}  // namespace kt::tokyo
