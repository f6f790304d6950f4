// Operations so far, by what the server's report calls them, and commands.

#ifndef KT_KYOTO_COUNTS_H
#define KT_KYOTO_COUNTS_H

#include <array>
#include <cstddef>
#include <cstdint>

namespace kt {

// What is counted as a command; each has a name below.
enum Command : size_t {
  BINARY_SET_BULK,
  BINARY_REMOVE_BULK,
  BINARY_GET_BULK,
  REST_GET,
  RPC_GET,
  RPC_CHECK,
  RPC_SET,
  RPC_ADD,
  RPC_REPLACE,
  RPC_APPEND,
  RPC_INCREMENT,
  RPC_CAS,
  RPC_REMOVE,
  COMMANDS,
};

constexpr const char* COMMAND_NAMES[COMMANDS] = {
    "binary_set_bulk", "binary_remove_bulk", "binary_get_bulk", "rest_get",   "rpc_get",
    "rpc_check",       "rpc_set",            "rpc_add",         "rpc_replace", "rpc_append",
    "rpc_increment",   "rpc_cas",            "rpc_remove",
};

struct Counts {
  uint64_t set = 0;
  uint64_t set_misses = 0;
  uint64_t remove = 0;
  uint64_t remove_misses = 0;
  uint64_t get = 0;
  uint64_t get_misses = 0;
  uint64_t answered = 0;  // commands, all together
  std::array<uint64_t, COMMANDS> commands{};

  void answer(Command command) {
    answered++;
    commands[command]++;
  }
};

}  // namespace kt

#endif
