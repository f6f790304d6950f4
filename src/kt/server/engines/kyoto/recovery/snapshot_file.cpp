#include "kyoto/recovery/snapshot_file.h"

#include <fcntl.h>
#include <kccompress.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace kt {

namespace {

constexpr char MAGIC[6] = {'K', 'T', 'S', 'S', '\n', '\0'};
constexpr size_t HEADER_SIZE = 34;
constexpr char RECORD = '\xCC';
constexpr size_t CHUNK = 1 << 20;

// What a library does that was built without lzo or lzma: two bytes, and the data as it is.
class PlainCompressor final : public kc::Compressor {
 public:
  explicit PlainCompressor(char mark) : mark_{mark, '\0'} {}

 private:
  char* compress(const void* data, size_t size, size_t* packed_size) override {
    char* packed = new char[sizeof mark_ + size];
    std::memcpy(packed, mark_, sizeof mark_);
    std::memcpy(packed + sizeof mark_, data, size);
    *packed_size = sizeof mark_ + size;
    return packed;
  }
  char* decompress(const void* data, size_t size, size_t* plain_size) override {
    if (size < sizeof mark_ || std::memcmp(data, mark_, sizeof mark_) != 0) return nullptr;
    *plain_size = size - sizeof mark_;
    char* plain = new char[*plain_size + 1];
    std::memcpy(plain, static_cast<const char*>(data) + sizeof mark_, *plain_size);
    return plain;
  }

  const char mark_[2];
};

const char* const READABLE[] = {"zlib", "lzo", "lzma", "without lzo", "without lzma"};

[[noreturn]] void fail_at(const std::string& path) {
  throw std::runtime_error(path + ": " + std::strerror(errno));
}

std::unique_ptr<kc::Compressor> made(const std::string& name) {
  if (name == "zlib") return std::make_unique<kc::ZLIBCompressor<kc::ZLIB::RAW>>();
  if (name == "lzo") return std::make_unique<kc::LZOCompressor<kc::LZO::RAW>>();
  if (name == "lzma") return std::make_unique<kc::LZMACompressor<kc::LZMA::RAW>>();
  if (name == "without lzo") return std::make_unique<PlainCompressor>('o');
  if (name == "without lzma") return std::make_unique<PlainCompressor>('x');
  return nullptr;
}

uint32_t check_of(kc::Compressor* compressor) {
  if (compressor == nullptr) return 0;
  size_t size;
  const std::unique_ptr<char[]> packed(compressor->compress(MAGIC, sizeof MAGIC, &size));
  if (!packed) throw std::runtime_error("a compressor fails");
  return static_cast<uint32_t>(kc::hashmurmur(packed.get(), size));
}

void add_number(std::string* to, uint64_t number) {
  char digits[kc::NUMBUFSIZ];
  to->append(digits, kc::writevarnum(digits, number));
}

// Takes a number off the begin of `bytes`; false if it is not whole.
bool take_number(Bytes* bytes, uint64_t* number) {
  const size_t size = kc::readvarnum(bytes->data(), bytes->size(), number);
  bytes->remove_prefix(size);
  return size > 0;
}

}  // namespace

std::unique_ptr<kc::Compressor> snapshot_compressor(const std::string& name) {
  if (name == "none") return nullptr;
  if (std::strstr(kc::FEATURES, ("(" + name + ")").c_str()) == nullptr) {
    throw std::runtime_error("this Kyoto Cabinet was built without " + name);
  }
  return made(name);
}

SnapshotWriter::SnapshotWriter(const std::string& path, const std::string& compressor)
    : path_(path),
      compressor_(snapshot_compressor(compressor)),
      file_(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)),
      end_(HEADER_SIZE) {
  if (file_ < 0) fail_at(path);
}

SnapshotWriter::~SnapshotWriter() { ::close(file_); }

void SnapshotWriter::put(Bytes key, Bytes stored) {
  block_.push_back(RECORD);
  add_number(&block_, key.size());
  add_number(&block_, stored.size());
  block_.append(key).append(stored);
  records_++;
}

void SnapshotWriter::write(const char* data, size_t size, uint64_t offset) {
  for (size_t done = 0; done < size;) {
    const ssize_t n = ::pwrite(file_, data + done, size - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) errno = ENOSPC;
    if (n <= 0) fail_at(path_);
    done += static_cast<size_t>(n);
  }
}

void SnapshotWriter::write_block() {
  if (!compressor_) {
    write(block_.data(), block_.size(), end_);
    end_ += block_.size();
  } else {
    size_t size;
    const std::unique_ptr<char[]> packed(
        compressor_->compress(block_.data(), block_.size(), &size));
    if (!packed) throw std::runtime_error(path_ + ": records cannot be compressed");
    char head[4];
    store_big_endian(head, sizeof head, size);
    write(head, sizeof head, end_);
    write(packed.get(), size, end_ + sizeof head);
    end_ += sizeof head + size;
  }
  block_.clear();
  if (block_.capacity() > 4 * BLOCK) std::string().swap(block_);
}

void SnapshotWriter::finish(SnapshotHeader header) {
  if (!block_.empty()) write_block();
  char bytes[HEADER_SIZE];
  std::memcpy(bytes, MAGIC, sizeof MAGIC);
  store_big_endian(bytes + 6, 4, check_of(compressor_.get()));
  store_big_endian(bytes + 10, 8, header.stamp);
  store_big_endian(bytes + 18, 8, static_cast<uint64_t>(records_));
  store_big_endian(bytes + 26, 8, static_cast<uint64_t>(header.size));
  write(bytes, sizeof bytes, 0);
  if (::fsync(file_) != 0) fail_at(path_);
}

SnapshotReader::SnapshotReader(const std::string& path)
    : path_(path), file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
  if (file_ < 0) fail_at(path);
  try {
    struct stat status;
    if (::fstat(file_, &status) != 0) fail_at(path);
    end_ = static_cast<uint64_t>(status.st_size);
    std::string bytes;
    read(std::min<uint64_t>(left(), HEADER_SIZE), &bytes);
    if (bytes.size() < HEADER_SIZE || std::memcmp(bytes.data(), MAGIC, sizeof MAGIC) != 0) {
      fail("it does not begin as a snapshot");
    }
    header_.check = load32(&bytes[6]);
    header_.stamp = load64(&bytes[10]);
    header_.records = static_cast<int64_t>(load64(&bytes[18]));
    header_.size = static_cast<int64_t>(load64(&bytes[26]));
    find_compressor();
  } catch (...) {
    ::close(file_);
    throw;
  }
}

SnapshotReader::SnapshotReader(const SnapshotReader& other, Place place)
    : path_(other.path_),
      file_(::fcntl(other.file_, F_DUPFD_CLOEXEC, 0)),
      end_(other.end_),
      offset_(place.offset),
      header_(other.header_),
      records_(place.records) {
  if (file_ < 0) fail_at(path_);
}

SnapshotReader::~SnapshotReader() { ::close(file_); }

void SnapshotReader::fail(const std::string& why) const {
  throw std::runtime_error(path_ + ": " + why);
}

void SnapshotReader::find_compressor() {
  if (header_.check == 0) return;
  for (const char* name : READABLE) {
    compressor_ = made(name);
    if (check_of(compressor_.get()) == header_.check) return;
  }
  fail("it is compressed by something that this server does not have");
}

bool SnapshotReader::next(Bytes* key, Bytes* stored) {
  while (!take(key, stored)) {
    if (refill()) continue;
    if (at_ < data_.size()) fail("it ends within a record");
    if (header_.records >= 0 && header_.records != records_) {
      fail("it has " + std::to_string(records_) + " records, and says " +
           std::to_string(header_.records));
    }
    return false;
  }
  records_++;
  return true;
}

// False if there is no whole record in memory.
bool SnapshotReader::take(Bytes* key, Bytes* stored) {
  Bytes rest(data_.data() + at_, data_.size() - at_);
  if (rest.empty()) return false;
  if (rest[0] != RECORD) fail("something in it is no record");
  rest.remove_prefix(1);
  uint64_t key_size;
  uint64_t size;
  if (!take_number(&rest, &key_size) || !take_number(&rest, &size)) return false;
  if (key_size > rest.size() || size > rest.size() - key_size) {
    const uint64_t more = rest.size() + (compressor_ ? 0 : left());
    if (key_size > more || size > more - key_size) fail("it ends within a record");
    return false;
  }
  *key = rest.substr(0, key_size);
  *stored = rest.substr(key_size, size);
  at_ = static_cast<size_t>(stored->data() + size - data_.data());
  return true;
}

// False at the end of the file.
bool SnapshotReader::refill() {
  if (left() == 0) return false;
  if (compressor_) {
    if (at_ < data_.size()) fail("it ends within a record");
    read_block();
    return true;
  }
  data_.erase(0, at_);
  at_ = 0;
  // Doubling: a large record must not be looked at once for each piece of it.
  read(std::min<uint64_t>(left(), std::max(CHUNK, data_.size())), &data_);
  return true;
}

void SnapshotReader::read_block() {
  std::string packed;
  if (left() < 4) fail("it ends within a block");
  read(4, &packed);
  const uint32_t size = load32(packed.data());
  if (size > left()) fail("it ends within a block");
  packed.clear();
  read(size, &packed);
  size_t plain_size;
  const std::unique_ptr<char[]> plain(
      compressor_->decompress(packed.data(), packed.size(), &plain_size));
  if (!plain) fail("a block cannot be decompressed");
  data_.assign(plain.get(), plain_size);
  at_ = 0;
}

// Appends the next bytes of the file.
void SnapshotReader::read(size_t size, std::string* to) {
  const size_t before = to->size();
  to->resize(before + size);
  for (size_t done = 0; done < size;) {
    const ssize_t n = ::pread(file_, &(*to)[before + done], size - done,
                              static_cast<off_t>(offset_ + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_at(path_);
    if (n == 0) fail("it has become shorter while it was read");
    done += static_cast<size_t>(n);
  }
  offset_ += size;
}

}  // namespace kt
