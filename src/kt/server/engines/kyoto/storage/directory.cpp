// A process that is killed while it makes a directory database leaves one that the engine does not
// open any more, neither as what it is ("invalid meta data file") nor anew. There is no record in it:
//
//     mkdir CASKET.kcd
//     CASKET.kcd/__KCDIR__   made and locked, empty as long as the database is open
//     CASKET.kcd/__meta__    made, then written; its last line is _EOF_
//     CASKET.kcd/...         records; what belongs to the engine itself begins with _

#include "kyoto/storage/directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "kyoto/storage/file.h"

namespace kt {

namespace {

constexpr char LAST_LINE[] = "_EOF_\n";

bool is_whole(const std::string& meta) {
  std::ifstream file(meta, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  return text.find(LAST_LINE) != std::string::npos;
}

// Whether somebody began to make a database there and did not come to its first record.
bool is_unfinished(const std::string& path) {
  struct stat status;
  if (::lstat(path.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) return false;
  if (is_whole(path + "/__meta__")) return false;
  std::error_code failure;
  for (const auto& entry : std::filesystem::directory_iterator(path, failure)) {
    if (entry.path().filename().native()[0] != '_') return false;
  }
  return !failure;
}

}  // namespace

void undo_making(const std::string& path, bool waits) {
  if (!is_unfinished(path)) return;
  const std::string magic = path + "/__KCDIR__";
  const File file(magic, false);
  if (file.is_open() && (!file.lock(!waits) || !is_unfinished(path))) return;
  ::unlink((path + "/__meta__").c_str());
  ::unlink((path + "/__opq__").c_str());
  ::unlink(magic.c_str());
  ::rmdir(path.c_str());
}

bool synchronize_directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return false;
  const bool done = ::fsync(descriptor) == 0;
  const int error = errno;
  ::close(descriptor);
  errno = error;
  return done;
}

}  // namespace kt
