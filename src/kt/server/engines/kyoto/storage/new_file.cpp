#include "kyoto/storage/new_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>
#include <vector>

#include "kyoto/database/internals.h"
#include "kyoto/storage/directory.h"

namespace kt {

namespace {

constexpr mode_t PERMISSIONS = 0644;  // as the engine's, before the umask

// The parameters that a file keeps, or that it can be read with only.
const std::set<std::string> SHAPE{"bnum", "buckets", "apow",  "alignment", "fpow",       "fbp",
                                  "opts", "options", "psiz",  "page",      "rcomp",      "comparator",
                                  "zcomp", "zkey",   "pass", "password",   "compressor"};

std::vector<std::string> parts_of(const std::string& spec) {
  std::vector<std::string> parts;
  kc::strsplit(spec, '#', &parts);
  return parts;
}

// Of a file that the engine maps, by the names that it knows for it; empty if it is something else.
std::string mapped_type(const std::string& spec) {
  static const std::map<std::string, std::string> ENDINGS{
      {".kch", "kch"}, {".hdb", "kch"}, {".kct", "kct"}, {".tdb", "kct"}};
  static const std::map<std::string, std::string> NAMES{{"kch", "kch"},  {"hdb", "kch"},
                                                        {"hash", "kch"}, {"kct", "kct"},
                                                        {"tdb", "kct"},  {"tree", "kct"}};
  const auto found = [](const auto& names, const std::string& name) {
    const auto place = names.find(name);
    return place == names.end() ? "" : place->second;
  };
  const std::vector<std::string> parts = parts_of(spec);
  const std::string name = parts[0].substr(parts[0].rfind('/') + 1);
  std::string type = found(ENDINGS, name.substr(std::min(name.rfind('.'), name.size())));
  for (const std::string& part : parts) {
    if (kc::strfwm(part.c_str(), "type=")) type = found(NAMES, part.substr(sizeof("type=") - 1));
  }
  return type;
}

std::string shape(const std::string& spec) {
  std::string parameters;
  for (const std::string& part : parts_of(spec)) {
    if (SHAPE.count(part.substr(0, part.find('='))) > 0) parameters += "#" + part;
  }
  return parameters;
}

bool is_nothing(const std::string& path) {
  struct stat status;
  return ::lstat(path.c_str(), &status) != 0 && errno == ENOENT;
}

bool complete(const std::string& spec) {
  kc::PolyDB engine;
  return engine.open(spec, kc::PolyDB::OWRITER | kc::PolyDB::OCREATE | kc::PolyDB::OTRYLOCK) &&
         engine.close();
}

// By its descriptor, since another process may have removed the name, and made a file of its own there.
bool give_name(int descriptor, const std::string& path) {
  const std::string present = "/proc/self/fd/" + std::to_string(descriptor);
  return ::linkat(AT_FDCWD, present.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) == 0;
}

}  // namespace

std::string path_in(const std::string& spec) { return spec.substr(0, spec.find('#')); }

std::string new_file_of(const std::string& path) { return path + ".kt-new"; }

bool lacks_room_for_new_file(const std::string& spec) {
  constexpr int64_t ENOUGH = 1 << 20;
  if (mapped_type(spec).empty()) return false;
  const std::string path = path_in(spec);
  struct stat status;
  struct statvfs system;
  if (::stat(path.c_str(), &status) == 0 && status.st_size > 0) return false;
  const std::string directory = path.substr(0, path.rfind('/') + 1);
  if (::statvfs(directory.empty() ? "." : directory.c_str(), &system) != 0) return false;
  return static_cast<int64_t>(system.f_bavail * system.f_frsize) < ENOUGH;
}

void make_file(const std::string& spec, bool on_device) {
  const std::string type = mapped_type(spec);
  const std::string path = path_in(spec);
  if (type.empty() || !is_nothing(path) || lacks_room_for_new_file(spec)) return;
  const std::string aside = new_file_of(path);
  ::unlink(aside.c_str());
  const int descriptor = ::open(aside.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, PERMISSIONS);
  if (descriptor < 0) return;
  bool made = complete(aside + "#type=" + type + shape(spec));
  if (on_device) made = made && ::fsync(descriptor) == 0;
  if (made && give_name(descriptor, path) && on_device) synchronize_directory_of(path);
  ::unlink(aside.c_str());
  ::close(descriptor);
}

}  // namespace kt
