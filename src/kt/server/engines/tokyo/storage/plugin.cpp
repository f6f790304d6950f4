#include "tokyo/storage/plugin.h"

#include <dlfcn.h>

#include <cstdlib>
#include <stdexcept>

namespace kt::tokyo {

namespace {

// Libraries are often linked without Tokyo Cabinet, which ttserver has for them.
void share_tokyo_cabinet() {
  Dl_info found;
  if (dladdr(reinterpret_cast<void*>(tcadbnew), &found) == 0 || found.dli_fname == nullptr) return;
  void* library = dlopen(found.dli_fname, RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD);
  if (library != nullptr) dlclose(library);  // it stays what it is now
}

// What `foreach` is given.
struct Wanted {
  std::string_view prefix;
  int limit;
  TCLIST* keys;

  static bool look(const void* key, int size, const void*, int, void* operation) {
    const Wanted& wanted = *static_cast<Wanted*>(operation);
    const std::string_view bytes(static_cast<const char*>(key), static_cast<size_t>(size));
    if (bytes.substr(0, wanted.prefix.size()) == wanted.prefix) tclistpush(wanted.keys, key, size);
    return wanted.limit < 0 || tclistnum(wanted.keys) < wanted.limit;
  }
};

}  // namespace

Plugin::Plugin(const std::string& path) {
  share_tokyo_cabinet();
  library_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library_ == nullptr) throw std::runtime_error(std::string("it cannot be loaded: ") + dlerror());
}

Plugin::~Plugin() { dlclose(library_); }

void Plugin::serve(TCADB* database) {
  auto* const initialize = reinterpret_cast<bool (*)(ADBSKEL*)>(dlsym(library_, "initialize"));
  if (initialize == nullptr) throw std::runtime_error("it has no function `initialize`");
  if (initialize(&functions_) && tcadbsetskel(database, &functions_)) return;
  if (functions_.opq != nullptr && functions_.del != nullptr) functions_.del(functions_.opq);
  throw std::runtime_error("its function `initialize` has failed");
}

TCLIST* Plugin::keys(std::string_view prefix, int limit) const {
  const int size = static_cast<int>(prefix.size());
  if (functions_.fwmkeys != nullptr) {
    TCLIST* const keys = functions_.fwmkeys(functions_.opq, prefix.data(), size, limit);
    return keys != nullptr ? keys : tclistnew();
  }
  Wanted wanted{prefix, limit, tclistnew()};
  if (functions_.foreach != nullptr && limit != 0) {
    functions_.foreach(functions_.opq, Wanted::look, &wanted);
  }
  return wanted.keys;
}

int Plugin::value_size(std::string_view key) const {
  int size = static_cast<int>(key.size());
  if (functions_.vsiz != nullptr) return functions_.vsiz(functions_.opq, key.data(), size);
  if (functions_.get == nullptr) return -1;
  void* const value = functions_.get(functions_.opq, key.data(), size, &size);
  const bool found = value != nullptr;
  std::free(value);
  return found ? size : -1;
}

}  // namespace kt::tokyo
