// A process that is killed in the middle of write() leaves its data half written, up to a page of
// memory. The engine notices an entry of its log that is too short; but a log that was longer before
// is full of zeros behind the present entries, so the rest of the torn one reads as zeros, and these
// would be put into the file: "invalid magic data of a record". (2 to 3 % of all kills of a tree
// whose every write is a transaction.)
//
//     log    | "KW\n\0" | size of the file 8 | entry ... | zeros ... |
//     entry  | 0xEE | offset 8 | size 8 | what was there before |          integers are big-endian
//
// A torn entry ends at a page's boundary and what it saves has not been overwritten: that comes
// after. So it is one whose end, from a boundary on, is zeros, and whose beginning is in the file.

#include "kyoto/storage/log_check.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "io/buffer.h"

namespace kt {

namespace {

constexpr int64_t PAGE = 4096;
constexpr char MAGIC[] = "KW\n";  // with its final zero
constexpr int64_t HEADER = sizeof(MAGIC) + 8;
constexpr int64_t ENTRY_HEADER = 17;
constexpr char ENTRY_MAGIC = '\xee';

struct Entry {
  int64_t place;   // in the log
  int64_t offset;  // in the file
  int64_t size;
  int64_t begin() const { return place + ENTRY_HEADER; }
  int64_t end() const { return begin() + size; }
};

class Descriptor {
 public:
  explicit Descriptor(const std::string& path) : number(::open(path.c_str(), O_RDWR | O_CLOEXEC)) {}
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
  const int number;
};

bool read_at(int descriptor, int64_t place, int64_t size, std::string* bytes) {
  bytes->resize(size);
  return ::pread(descriptor, bytes->data(), size, place) == size;
}

// The last entry; none if it is too short, which the engine sees itself.
bool find_last(int log, int64_t length, Entry* last) {
  std::string header;
  if (!read_at(log, 0, HEADER, &header) || std::memcmp(header.data(), MAGIC, sizeof(MAGIC)) != 0) {
    return false;
  }
  bool found = false;
  for (int64_t place = HEADER; read_at(log, place, ENTRY_HEADER, &header);) {
    if (header[0] != ENTRY_MAGIC) break;
    const Entry entry{place, static_cast<int64_t>(load64(&header[1])),
                      static_cast<int64_t>(load64(&header[9]))};
    if (entry.size < 0 || entry.size > length - entry.begin()) return false;
    *last = entry;
    found = true;
    place = entry.end();
  }
  return found;
}

// Where the zeros at the end of the entry begin, rounded up to a page; its end if nowhere.
int64_t end_of_contents(int log, const Entry& entry) {
  std::string bytes;
  if (!read_at(log, entry.place, entry.end() - entry.place, &bytes)) return entry.end();
  const int64_t contents = entry.place + static_cast<int64_t>(bytes.find_last_not_of('\0')) + 1;
  return std::min((contents + PAGE - 1) / PAGE * PAGE, entry.end());
}

bool is_torn(int log, int file, const Entry& entry) {
  const int64_t end = end_of_contents(log, entry);
  if (end >= entry.end()) return false;
  if (end <= entry.begin()) return true;
  std::string saved;
  std::string present;
  const int64_t size = end - entry.begin();
  return read_at(log, entry.begin(), size, &saved) &&
         read_at(file, entry.offset, size, &present) && saved == present;
}

}  // namespace

bool cut_torn_entry(const File& file, const std::string& log_path) {
  const Descriptor log(log_path);
  struct stat status;
  if (log.number < 0 || ::fstat(log.number, &status) != 0 || !S_ISREG(status.st_mode)) return true;
  Entry last{};
  if (!find_last(log.number, status.st_size, &last)) return true;
  if (!is_torn(log.number, file.descriptor(), last)) return true;
  return ::ftruncate(log.number, last.place) == 0;
}

}  // namespace kt
