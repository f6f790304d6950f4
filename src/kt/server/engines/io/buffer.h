// Bytes on their way in and out: big-endian numbers, and a buffer in which replies are built.
//
// A Buffer grows by doubling and never fills what it gives out, so a value is copied once, from the
// engine's memory into the reply. An empty buffer does not keep much memory. A large one is moved
// instead of copied, and gives its memory back as its bytes leave: to copy, to shift or to free
// hundreds of MiB in one go takes as long as thousands of requests.

#ifndef KT_BUFFER_H
#define KT_BUFFER_H

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace kt {

// An unsigned big-endian number of `width` bytes.
inline uint64_t load_big_endian(const char* at, size_t width) {
  uint64_t number = 0;
  for (size_t i = 0; i < width; i++) number = number << 8 | static_cast<unsigned char>(at[i]);
  return number;
}

inline void store_big_endian(char* at, size_t width, uint64_t number) {
  for (size_t i = width; i > 0; number >>= 8) at[--i] = static_cast<char>(number & 0xFF);
}

// The same of the usual widths, which compilers make one or two instructions of.
inline uint16_t load16(const char* at) {
  return static_cast<uint16_t>(static_cast<unsigned char>(at[0]) << 8 |
                               static_cast<unsigned char>(at[1]));
}

inline uint32_t load32(const char* at) {
  return static_cast<uint32_t>(load16(at)) << 16 | load16(at + 2);
}

inline uint64_t load64(const char* at) {
  return static_cast<uint64_t>(load32(at)) << 32 | load32(at + 4);
}

inline void store16(char* at, uint16_t number) {
  at[0] = static_cast<char>(number >> 8);
  at[1] = static_cast<char>(number);
}

inline void store32(char* at, uint32_t number) {
  at[0] = static_cast<char>(number >> 24);
  at[1] = static_cast<char>(number >> 16);
  at[2] = static_cast<char>(number >> 8);
  at[3] = static_cast<char>(number);
}

// Have the system find the memory of a large region that has not been written yet.
inline void fetch_memory(char* at, size_t length) {
  constexpr size_t STEP = 4096;
  for (size_t i = 0; i < length; i += STEP) const_cast<volatile char*>(at)[i] = 0;
}

class Buffer {
 public:
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Buffer() { std::free(begin_); }

  void swap(Buffer& other) noexcept {
    std::swap(begin_, other.begin_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
    std::swap(given_back_, other.given_back_);
  }

  const char* data() const { return begin_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // Room for `length` more bytes, which the caller writes; they count as written.
  char* extend(size_t length) {
    if (capacity_ - size_ < length) grow(length);
    char* at = begin_ + size_;
    size_ += length;
    return at;
  }

  // How much can be written without growing.
  size_t room() const { return capacity_ - size_; }

  // Room for `length` bytes more, and the memory is there already.
  void reserve(size_t length) {
    if (room() < length) grow(length);
    fetch_memory(begin_ + size_, length);
  }

  // As `extend`, and the memory is there already: whoever writes need not wait for it.
  char* extend_with_memory(size_t length) {
    char* at = extend(length);
    fetch_memory(at, length);
    return at;
  }

  void append(const void* bytes, size_t length) {
    if (length > 0) std::memcpy(extend(length), bytes, length);
  }

  void put8(uint8_t number) { *extend(1) = static_cast<char>(number); }
  void put16(uint16_t number) { store16(extend(2), number); }
  void put32(uint32_t number) { store32(extend(4), number); }
  void put64(uint64_t number) { store_big_endian(extend(8), 8, number); }

  // Write again what was written at `offset`, such as a count that is known now.
  void patch32(size_t offset, uint32_t number) { store32(begin_ + offset, number); }
  void overwrite(size_t offset, const void* bytes, size_t length) {
    if (length > 0) std::memcpy(begin_ + offset, bytes, length);
  }

  // Forget what was written from `length` on.
  void truncate(size_t length) { size_ = length; }

  // Forget the first `length` bytes.
  void discard(size_t length) {
    if (length < size_) std::memmove(begin_, begin_ + length, size_ - length);
    size_ -= length;
    if (size_ == 0) release();
  }

  void clear() { discard(size_); }

  // The first `length` bytes are not needed any more: their memory goes back to the system now and
  // then, while the others stay where they are. Nothing may be written any more.
  void give_back(size_t length) {
#ifdef __linux__
    if (length < given_back_ + GIVEN_BACK_AT_ONCE) return;
    static const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    const uintptr_t from = (reinterpret_cast<uintptr_t>(begin_) + given_back_ + page - 1) & -page;
    const uintptr_t to = (reinterpret_cast<uintptr_t>(begin_) + length) & -page;
    if (to > from) madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
    given_back_ = length;
#endif
  }

 private:
  static constexpr size_t KEPT = 1 << 16;
  static constexpr size_t GIVEN_BACK_AT_ONCE = 4 << 20;

  void grow(size_t length) {
    size_t wanted = capacity_ < 256 ? 512 : capacity_ * 2;
    if (wanted - size_ < length) wanted = size_ + length;
    char* moved = static_cast<char*>(std::realloc(begin_, wanted));
    if (moved == nullptr) throw std::bad_alloc();
    begin_ = moved;
    capacity_ = wanted;
  }

  void release() {
    if (capacity_ <= KEPT) return;
    std::free(begin_);
    begin_ = nullptr;
    capacity_ = given_back_ = 0;
  }

  char* begin_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
  size_t given_back_ = 0;
};

}  // namespace kt

#endif
