// A connection to one node of a cluster, of one I/O thread. What it does is what kt/cluster/node.py
// does, for single records.
//
//     take -->  out_ (commands)  -- flush, once a round -->  node
//               entries_ (who waits, in order)  <-- on_ready --  replies
//
// Where replicas must have what is written, one WAIT follows the writes of a round, and they are settled
// by its reply: the answered ones wait in unconfirmed_ until then.
//
// It settles the outcomes of batches. Whatever is not as usual leaves commands to others:
//
// - an error of the engine, which says that a command was not carried out: LEFT;
// - a connection that cannot be made or ends: LEFT what was not sent or only reads, UNKNOWN the rest;
// - a reply after a silence, from a node that may have been replaced meanwhile: it is not looked at
//   before somebody has told to `trust` the node, or to `cut_off` the connection.

#ifndef KT_RELAY_NODE_H
#define KT_RELAY_NODE_H

#include <chrono>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "io/buffer.h"
#include "relay/batch.h"

namespace kt::relay {

using Clock = std::chrono::steady_clock;

// What an event is for.
struct Source {
  const bool is_node;
  explicit Source(bool its_kind) : is_node(its_kind) {}
};

// What connections to the nodes of a database begin with, and when they are given up.
struct Link {
  std::string greeting;  // commands whose replies must be OK
  int greetings = 0;
  std::chrono::milliseconds patience{};  // with a node that does not answer
  int replicas = 0;        // that must have a write
  std::string wait;        // the command that waits for them
};

class Node;

// What others must know of a node.
struct Trouble {
  enum Kind { LOST, SILENT, DOUBTED };
  Kind kind;
  uint16_t database;
  std::string address;
};

// What there is to do in a round of the thread's loop.
struct Round {
  Clock::time_point now;
  int64_t seconds;  // since the epoch
  std::vector<char> room;  // to read into
  std::vector<Batch*> done;  // nothing of them is under way any more
  std::vector<Node*> dirty;  // have something to send
  std::vector<Trouble> troubles;
};

class Node : public Source {
 public:
  Node(int poll, const Link& link, uint16_t database, std::string address, Round& round);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  const std::string& address() const { return address_; }
  uint16_t database() const { return database_; }
  bool waits() const { return !entries_.empty(); }

  // Have a command carried out, which becomes outcome number `index`. False: it cannot be, here.
  bool take(Batch& batch, size_t index, Kind kind, const Place& place, const Record& record);
  void flush();
  void on_ready(uint32_t events);
  // Has to be called a few times a second while it waits.
  void look();
  void trust();
  // What `reason` says goes behind the address.
  void cut_off(const std::string& reason);

 private:
  enum class State : uint8_t { CLOSED, CONNECTING, GREETING, READY };
  struct Entry {
    Batch* batch;  // null: it waits for replicas
    size_t index;
    Kind kind;
    uint64_t begin;  // of the command, in all that has ever been to be sent
  };

  bool connect();
  void connected();
  void watch(uint32_t events);
  void receive();
  void read(Bytes data);
  bool read_line(Bytes line);
  bool read_reply(Entry& entry, char type, Bytes line, int64_t number);
  bool begin_value(Entry& entry, int64_t size);
  void read_body(Bytes* data);
  void settle(Outcome::State state, size_t number);
  void end(const Entry& entry, Outcome::State state);
  void put_wait();
  bool read_confirmed(char type, int64_t number);
  void resign(const Entry& entry, const std::string& why);

  const int poll_;
  const Link& link_;
  const uint16_t database_;
  const std::string address_;
  Round& round_;
  int socket_ = -1;
  State state_ = State::CLOSED;
  bool dirty_ = false, doubted_ = false;
  int ungreeted_ = 0;
  Clock::time_point heard_{}, again_{};  // when something has come; when to connect again
  std::deque<Entry> entries_;
  std::deque<std::pair<Entry, Outcome::State>> unconfirmed_;
  bool wrote_ = false;            // since the last time that it waited for replicas
  Buffer out_;
  size_t sent_ = 0;               // of out_
  uint64_t begun_ = 0;            // where out_ begins in all that has ever been to be sent
  std::string partial_;           // the begin of a line
  size_t body_left_ = 0;          // bytes of a value and of the end of its line
  size_t value_left_ = 0, value_at_ = 0;
  bool skips_ = false;            // the value
};

}  // namespace kt::relay

#endif
