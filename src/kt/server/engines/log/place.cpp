#include "log/place.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "io/buffer.h"
#include "log/ahead.h"

namespace kt {

namespace {

constexpr uint64_t TAIL = 64;  // bytes: of most records all, with their stamps

// FNV-1a.
uint64_t sum_of(std::string_view bytes) {
  uint64_t sum = 0xCBF29CE484222325u;
  for (const char byte : bytes) sum = (sum ^ static_cast<unsigned char>(byte)) * 0x100000001B3u;
  return sum;
}

bool read_at(int file, char* to, size_t size, uint64_t offset) {
  return pread(file, to, size, static_cast<off_t>(offset)) == static_cast<ssize_t>(size);
}

void look(Format format, int file, LogPlace* place) {
  const uint64_t begin = header_size(format);
  char head[9], tail[TAIL];
  if (place->size < begin + sizeof head || !read_at(file, head, sizeof head, begin)) return;
  const uint64_t size = std::min(TAIL, place->size - begin);
  if (!read_at(file, tail, size, place->size - size)) return;
  place->first = load_big_endian(head + 1, 8);
  place->tail = sum_of({tail, size});
}

}  // namespace

LogPlace place_in(Format format, const std::string& path, uint64_t number, uint64_t size) {
  LogPlace place{number, 0, 0, 0, present_boot()};
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return place;
  struct stat status;
  if (fstat(file, &status) == 0) {
    place.size = std::min(size, static_cast<uint64_t>(status.st_size));
    look(format, file, &place);
  }
  close(file);
  return place;
}

}  // namespace kt
