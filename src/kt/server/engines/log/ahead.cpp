#include "log/ahead.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <stdexcept>

namespace kt {

namespace {

constexpr uint64_t ROOM = 4 << 20;        // that there is always
constexpr uint64_t ROOM_KEPT = 64 << 20;  // more is given back

struct Head {
  char magic[8];
  uint64_t turn;
  Ahead::Place place;
  uint64_t check;
  uint64_t boot;
};

struct Piece {
  uint64_t size;
  uint64_t stamp;
  uint64_t check;
};

constexpr char MAGIC[] = "KTAHEAD1";
constexpr uint64_t BEGIN = 64;
static_assert(sizeof(Head) <= BEGIN && sizeof MAGIC == sizeof Head::magic + 1);

uint64_t mixed(uint64_t sum, uint64_t word) {
  sum = (sum ^ word) * 0x9E3779B97F4A7C15u;
  return sum ^ sum >> 29;
}

uint64_t check_of(uint64_t turn, uint64_t stamp, std::string_view bytes) {
  uint64_t sum = mixed(mixed(turn, stamp), bytes.size());
  uint64_t word;
  for (; bytes.size() >= sizeof word; bytes.remove_prefix(sizeof word)) {
    std::memcpy(&word, bytes.data(), sizeof word);
    sum = mixed(sum, word);
  }
  word = 0;
  std::memcpy(&word, bytes.data(), bytes.size());
  return mixed(sum, word);
}

uint64_t check_of(uint64_t turn, const Ahead::Place& place) {
  return mixed(mixed(mixed(1, turn), place.number), place.offset);
}

[[noreturn]] void fail(const std::string& path) {
  throw std::runtime_error(path + ": " + std::strerror(errno));
}

// Calls `action` with a file's contents.
template <typename Action>
void with_contents(const std::string& path, int file, Action action) {
  struct stat status;
  if (fstat(file, &status) != 0) fail(path);
  const size_t size = static_cast<size_t>(status.st_size);
  if (size < BEGIN) return;
  void* at = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
  if (at == MAP_FAILED) fail(path);
  action(std::string_view(static_cast<char*>(at), size));
  munmap(at, size);
}

void read_pieces(std::string_view bytes, Ahead::Left* left) {
  Head head;
  std::memcpy(&head, bytes.data(), sizeof head);
  if (std::memcmp(head.magic, MAGIC, sizeof head.magic) != 0) return;
  if (head.boot != 0 && present_boot() != 0 && head.boot != present_boot()) return;
  left->turn = head.turn;
  if (head.check == check_of(head.turn, head.place)) left->place = head.place;
  bytes.remove_prefix(BEGIN);
  Piece piece;
  while (bytes.size() >= sizeof piece) {
    std::memcpy(&piece, bytes.data(), sizeof piece);
    bytes.remove_prefix(sizeof piece);
    if (piece.size == 0 || piece.size > bytes.size()) return;
    const std::string_view records = bytes.substr(0, piece.size);
    if (piece.check != check_of(head.turn, piece.stamp, records)) return;
    left->records += records;
    left->stamp = piece.stamp;
    bytes.remove_prefix(piece.size);
  }
}

}  // namespace

uint64_t present_boot() {
  static const uint64_t boot = [] {
    char id[64];
    const int file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    const ssize_t size = file < 0 ? 0 : read(file, id, sizeof id);
    if (file >= 0) close(file);
    return size > 0 ? check_of(0, 0, {id, static_cast<size_t>(size)}) : 0;
  }();
  return boot;
}

Ahead::Ahead(const std::string& path)
    : path_(path),
      file_(open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)),
      end_(BEGIN) {
  if (file_ < 0) fail(path);
  if (resize(ROOM)) return;
  const int why = errno;
  close(file_);
  unlink(path.c_str());
  errno = why;
  fail(path);
}

Ahead::~Ahead() {
  munmap(bytes_, room_);
  close(file_);
  if (end_ == BEGIN) unlink(path_.c_str());
}

std::optional<Ahead::Left> Ahead::left(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0 && errno == ENOENT) return {};
  if (file < 0) fail(path);
  Left left;
  try {
    with_contents(path, file, [&](std::string_view bytes) { read_pieces(bytes, &left); });
  } catch (...) {
    close(file);
    throw;
  }
  close(file);
  if (left.records.empty()) return {};
  return left;
}

void Ahead::claim(const std::string& path, uint64_t turn, const Place& place) {
  const int file = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (file < 0) fail(path);
  const uint64_t claim[] = {place.number, place.offset, check_of(turn, place)};
  const bool done = pwrite(file, claim, sizeof claim, offsetof(Head, place)) == sizeof claim;
  const int why = done ? 0 : errno;
  close(file);
  errno = why;
  if (!done) fail(path);
}

// With blocks behind all of it: a full disk must not be noticed by a store.
bool Ahead::resize(uint64_t size) {
  const int failure = size > room_ ? posix_fallocate(file_, 0, static_cast<off_t>(size)) : 0;
  errno = failure;
  if (failure != 0) return false;
  void* bytes = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
  if (bytes == MAP_FAILED) return false;
  if (bytes_ != nullptr) munmap(bytes_, room_);
  bytes_ = static_cast<char*>(bytes);
  room_ = size;
  return true;
}

bool Ahead::add(std::string_view records, uint64_t stamp) {
  const uint64_t end = end_ + sizeof(Piece) + records.size();
  if (end > room_ && !resize(std::max(2 * room_, end))) return false;
  const Piece piece{records.size(), stamp, check_of(turn_, stamp, records)};
  std::memcpy(bytes_ + end_ + sizeof piece, records.data(), records.size());
  std::memcpy(bytes_ + end_, &piece, sizeof piece);
  end_ = end;
  return true;
}

void Ahead::begin(uint64_t turn) {
  const Head head{{MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3], MAGIC[4], MAGIC[5], MAGIC[6], MAGIC[7]},
                  turn, {0, 0}, 0, present_boot()};
  std::memcpy(bytes_, &head, sizeof head);
  turn_ = turn;
  end_ = BEGIN;
  if (room_ <= ROOM_KEPT || !resize(ROOM)) return;
  if (ftruncate(file_, static_cast<off_t>(ROOM)) != 0) {
    // Then it stays as large as it is.
  }
}

void Ahead::belongs(const Place& place) {
  Head head;
  std::memcpy(&head, bytes_, sizeof head);
  head.place = place;
  head.check = check_of(turn_, place);
  std::memcpy(bytes_, &head, sizeof head);
}

}  // namespace kt
