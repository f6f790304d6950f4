// A database of somebody else's making: a shared library for `ttserver -skel`, by the C interface of
// Tokyo Cabinet (ADBSKEL in tcadb.h). It exports
//
//     bool initialize(ADBSKEL*)     fills a table of functions, and the object that they get; or fails
//
// Whatever function is not in the table fails. One that can be put together from others is.

#ifndef KT_TOKYO_PLUGIN_H
#define KT_TOKYO_PLUGIN_H

#include <tcadb.h>

#include <string>
#include <string_view>

namespace kt::tokyo {

class Plugin {
 public:
  // Loads the library. Throws std::runtime_error.
  explicit Plugin(const std::string& path);
  ~Plugin();
  Plugin(const Plugin&) = delete;
  Plugin& operator=(const Plugin&) = delete;

  // From now on the database is the library's, once it is opened. Throws std::runtime_error.
  void serve(TCADB* database);

  // The keys that begin so, at most `limit` if that is not negative.
  TCLIST* keys(std::string_view prefix, int limit) const;
  // How long a value is; negative if there is none.
  int value_size(std::string_view key) const;

 private:
  void* library_;
  ADBSKEL functions_{};
};

}  // namespace kt::tokyo

#endif
