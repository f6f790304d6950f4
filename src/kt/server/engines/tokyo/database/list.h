// A list of byte strings, built as it goes over the wire:
//
//     u32 count | u32 size, bytes | u32 size, bytes | ...          (big-endian)
//
// In its buffer there is room for the reply's code before it, so that it need not be copied.

#ifndef KT_TOKYO_LIST_H
#define KT_TOKYO_LIST_H

#include <string_view>

#include "io/buffer.h"

namespace kt::tokyo {

class List {
 public:
  // No reply may become longer than this.
  static constexpr size_t LIMIT = size_t{1} << 30;

  List() { clear(); }

  void add(std::string_view element) {
    buffer_.put32(static_cast<uint32_t>(element.size()));
    buffer_.append(element.data(), element.size());
    buffer_.patch32(CODE, ++count_);
  }
  // As `mget` answers: both sizes, then both.
  void add_record(std::string_view key, std::string_view value) {
    buffer_.put32(static_cast<uint32_t>(key.size()));
    buffer_.put32(static_cast<uint32_t>(value.size()));
    buffer_.append(key.data(), key.size());
    buffer_.append(value.data(), value.size());
    buffer_.patch32(CODE, ++count_);
  }
  // As these, for a large value that is still to be copied to where this points. Its memory is there
  // already.
  char* place(size_t size) {
    buffer_.put32(static_cast<uint32_t>(size));
    char* at = buffer_.extend_with_memory(size);
    buffer_.patch32(CODE, ++count_);
    return at;
  }
  char* place_record(std::string_view key, size_t size) {
    buffer_.put32(static_cast<uint32_t>(key.size()));
    buffer_.put32(static_cast<uint32_t>(size));
    buffer_.append(key.data(), key.size());
    char* at = buffer_.extend_with_memory(size);
    buffer_.patch32(CODE, ++count_);
    return at;
  }
  // Room for so many bytes more: until they are used up, what is placed stays where it is.
  void reserve(size_t size) { buffer_.reserve(size); }
  // Back to what it was.
  void take_back(size_t frame_size, uint32_t count) {
    buffer_.truncate(CODE + frame_size);
    buffer_.patch32(CODE, count_ = count);
  }
  void clear() {
    buffer_.clear();
    buffer_.put8(0);
    buffer_.put32(count_ = 0);
  }

  uint32_t count() const { return count_; }
  bool too_long() const { return buffer_.size() > LIMIT; }
  std::string_view frame() const {
    return std::string_view(buffer_.data() + CODE, buffer_.size() - CODE);
  }
  // Appends it as a reply that says `done`; moves it if nothing comes before. It is empty then.
  void reply(Buffer* reply) {
    if (reply->empty()) {
      reply->swap(buffer_);
    } else {
      reply->append(buffer_.data(), buffer_.size());
    }
    clear();
  }

  // The element at `*at`, which goes on to the next one; begin with HEADER.
  static constexpr size_t HEADER = 5;
  std::string_view next(size_t* at) const {
    const size_t size = load32(buffer_.data() + *at), begin = *at + 4;
    *at = begin + size;
    return std::string_view(buffer_.data() + begin, size);
  }
  bool is_end(size_t at) const { return at == buffer_.size(); }

 private:
  static constexpr size_t CODE = 1;

  Buffer buffer_;
  uint32_t count_ = 0;
};

}  // namespace kt::tokyo

#endif
