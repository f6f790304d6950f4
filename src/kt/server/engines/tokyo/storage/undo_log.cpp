#include "tokyo/storage/undo_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "io/allocate.h"
#include "io/buffer.h"

namespace kt::tokyo {

namespace {

// With less room on the disk, what there is belongs to records.
constexpr int64_t ENOUGH = 256 << 20;
// A log of that length is reason for a point.
constexpr int64_t LONG = 32 << 20;

//     log    | size of the file 8 | entry ...
//     entry  | offset 8 | size 4 | what was there before
//
// The first entry is the file's header. Numbers are of whichever byte order the library was built for.
constexpr int64_t LOG_HEAD = 8, ENTRY_HEAD = 12, FILE_HEAD = 256;
constexpr size_t FLAGS = 33, FILE_SIZE = 56;  // in that

class Descriptor {
 public:
  Descriptor(const std::string& path, int mode) : number(::open(path.c_str(), mode | O_CLOEXEC)) {}
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  const int number;
};

// In what the library leaves to others of a file's header (it and its tables take 64 bytes of 128):
//
//     64  | number 8 | size 8 | first 8 | tail 8 | boot 8     of a LogPlace
//     104 | magic 8 | stamp 8
constexpr char MAGIC[] = "ktmark2";  // with its final zero
constexpr char WITHOUT_LOG[] = "ktmark1";
constexpr size_t LOG = 64, MARK = 104;

std::array<uint64_t*, 5> fields_of(LogPlace* place) {
  return {&place->number, &place->size, &place->first, &place->tail, &place->boot};
}

uint64_t number_in(const unsigned char* bytes, int size, bool big_endian) {
  uint64_t number = 0;
  for (int i = 0; i < size; i++) number = number << 8 | bytes[big_endian ? i : size - 1 - i];
  return number;
}

// Where the last entry ends that is whole and that there can be; 0 if not even the first is.
int64_t end_of_entries(int log, int64_t length) {
  unsigned char head[ENTRY_HEAD];
  if (::pread(log, head, LOG_HEAD, 0) != LOG_HEAD) return 0;
  unsigned char file_size[LOG_HEAD];
  std::memcpy(file_size, head, LOG_HEAD);
  if (::pread(log, head, ENTRY_HEAD, LOG_HEAD) != ENTRY_HEAD) return 0;
  const bool big_endian = number_in(head + 8, 4, true) == FILE_HEAD;
  if (number_in(head + 8, 4, big_endian) != FILE_HEAD || number_in(head, 8, true) != 0) return 0;
  const auto limit = static_cast<int64_t>(number_in(file_size, LOG_HEAD, big_endian));
  int64_t end = LOG_HEAD + ENTRY_HEAD + FILE_HEAD;
  if (end > length) return 0;
  while (::pread(log, head, ENTRY_HEAD, end) == ENTRY_HEAD) {
    const auto offset = static_cast<int64_t>(number_in(head, 8, big_endian));
    const auto size = static_cast<int64_t>(number_in(head + 8, 4, big_endian));
    if (size == 0 || offset < 0 || offset > limit - size) break;
    if (size > length - end - ENTRY_HEAD) break;
    end += ENTRY_HEAD + size;
  }
  return end;
}

bool lock(int file) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return ::fcntl(file, F_SETLK, &lock) == 0;
}

// The library reads the pool of free blocks from a file that it does not take for one left open, as
// it will be after the log was applied; but copying writes the pool of that moment.
bool empty_pool(const TCHDB* file) {
  const char nothing[2] = {0, 0};
  return ::pwrite(file->fd, nothing, sizeof nothing, static_cast<off_t>(file->msiz)) ==
         sizeof nothing;
}

}  // namespace

UndoLog::UndoLog(TCHDB* file, bool device) : file_(file) {
  if (device) file_->omode |= HDBOTSYNC;
}

bool UndoLog::has_room() const {
  struct statvfs status;
  return ::fstatvfs(file_->fd, &status) == 0 && size_limit() >= ENOUGH &&
         static_cast<int64_t>(status.f_bavail * status.f_frsize) >= ENOUGH;
}

void UndoLog::begin() {
  weight_ = 0;
  turn_ = ++turns_;
  if (file_->tran || file_->fatal) return;
  if (has_room() && open_log() && empty_pool(file_)) {
    tchdbtranbegin(file_);
  } else if (file_->walfd < 0) {
    ::unlink(path().c_str());  // belongs to another state of the file
  }
}

// The library would take it for a fatal error if it could not make the log.
bool UndoLog::open_log() const {
  int& log = file_->walfd;
  if (log < 0) log = ::open(path().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  return log >= 0;
}

bool UndoLog::end() {
  weight_ = 0;
  turn_ = ++turns_;
  if (!file_->tran) return true;
  return tchdbtrancommit(file_) && (!(file_->omode & HDBOTSYNC) || ::fsync(file_->walfd) == 0);
}

bool UndoLog::renew() {
  weight_ = 0;
  turn_ = ++turns_;
  if (file_->tran && !file_->fatal && has_room() &&
      tchdbmemsync(file_, file_->omode & HDBOTSYNC) && put_first_entry()) {
    return true;
  }
  const bool done = end();
  if (done) begin();
  return done;
}

// In the place of the old one. Behind it comes an entry of no bytes, at which `mend_log` stops: that is one
// write, within a page, so what is left of older entries is never taken for newer ones.
bool UndoLog::put_first_entry() const {
  constexpr size_t BEGIN = LOG_HEAD + ENTRY_HEAD, END = BEGIN + FILE_HEAD;
  char entry[END + ENTRY_HEAD] = {};
  const int log = file_->walfd;
  if (::pread(log, entry, BEGIN, 0) != static_cast<ssize_t>(BEGIN)) return false;
  std::memcpy(entry, file_->map + FILE_SIZE, LOG_HEAD);
  std::memcpy(entry + BEGIN, file_->map, FILE_HEAD);
  entry[BEGIN + FLAGS] = static_cast<char>(entry[BEGIN + FLAGS] & ~HDBFOPEN);
  if (::pwrite(log, entry, sizeof entry, 0) != static_cast<ssize_t>(sizeof entry)) return false;
  if (::ftruncate(log, END) != 0 || ::lseek(log, END, SEEK_SET) != static_cast<off_t>(END)) return false;
  if (file_->omode & HDBOTSYNC && ::fsync(log) != 0) return false;
  file_->walend = file_->fsiz;
  return true;
}

bool UndoLog::is_long() {
  weight_ = 0;
  return file_->tran && ::lseek(file_->walfd, 0, SEEK_CUR) > LONG;
}

Mark mark_of(TCHDB* file) {
  const char* const at = tchdbopaque(file) + MARK;
  const bool with_log = std::memcmp(at, MAGIC, sizeof MAGIC) == 0;
  if (!with_log && std::memcmp(at, WITHOUT_LOG, sizeof WITHOUT_LOG) != 0) return {};
  Mark mark{true, load_big_endian(at + sizeof MAGIC, 8), {}};
  const char* number = tchdbopaque(file) + LOG;
  for (uint64_t* field : fields_of(&mark.log)) {
    if (with_log) *field = load_big_endian(number, 8);
    number += 8;
  }
  return mark;
}

void set_mark(TCHDB* file, const Mark& mark) {
  char* at = tchdbopaque(file) + MARK;
  char* number = tchdbopaque(file) + LOG;
  std::memset(number, 0, MARK - LOG + sizeof MAGIC + 8);
  if (!mark.open) return;
  LogPlace log = mark.log;
  for (const uint64_t* field : fields_of(&log)) {
    store_big_endian(number, 8, *field);
    number += 8;
  }
  store_big_endian(at + sizeof MAGIC, 8, mark.stamp);
  std::memcpy(at, MAGIC, sizeof MAGIC);
}

bool mend_log(const std::string& path) {
  const Descriptor file(path, O_RDWR), log(path + ".wal", O_RDWR);
  struct stat status;
  if (file.number < 0 || log.number < 0 || !lock(file.number)) return false;
  if (::fstat(log.number, &status) != 0 || !S_ISREG(status.st_mode)) return false;
  const int64_t end = end_of_entries(log.number, status.st_size);
  return end > 0 && (end == status.st_size || ::ftruncate(log.number, end) == 0);
}

void forget_log(const std::string& path) {
  const std::string log = path + ".wal";
  if (::access(log.c_str(), F_OK) != 0) return;
  const Descriptor file(path, O_RDWR);
  if (file.number >= 0 && lock(file.number)) ::unlink(log.c_str());
}

bool log_was_applied(const std::string& path) {
  return ::access((path + ".wal").c_str(), F_OK) != 0;
}

}  // namespace kt::tokyo
