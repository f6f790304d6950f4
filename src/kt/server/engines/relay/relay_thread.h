// A thread that serves clients of a gateway without Python, for as long as they ask for nothing but
// single records and small bulks of them.
//
//     clients                        thread                        nodes
//     requests  -- recv, read_request -->  commands  -- Node, one write for all clients -->
//     replies   <-- write_replies, send --  Batch   <-- outcomes, in any order --
//
// All whole requests of a client are one Batch; nothing more of it is read until that is answered. So
// replies are in the order of requests, and commands for a slot in that of the client, as they take the
// same connection.
//
// A client that sends anything else goes back to the event loop, as with an IoThread. So does one with
// a batch in which something is not as usual: the batch goes with it, and what is known of its
// outcomes. The event loop answers it then, and sees to the rest; that keeps all that is rare, such as
// redirections and failovers, in one place. Which node has which slot, and which can be believed, it
// tells the thread, which tells it of silent and lost ones.

#ifndef KT_RELAY_THREAD_H
#define KT_RELAY_THREAD_H

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "io/buffer.h"
#include "relay/batch.h"
#include "relay/node.h"

namespace kt::relay {

class RelayThread {
 public:
  // A connection on its way back, and the batch under way, if it has requests.
  struct Returned {
    uint64_t number;
    Batch batch;
    Buffer output;
    size_t sent;  // of the output
  };
  // Requests of a connection that have been answered: for each its kind, and HTTP if it was a call.
  struct Trace {
    uint64_t number;
    double when;  // in seconds since the epoch
    std::string requests;
  };
  static constexpr char HTTP = 3;
  struct News {
    std::vector<Trace> traces;
    std::list<Returned> returned;
    std::vector<Trouble> troubles;
  };

  static bool supported();

  // `links` of each database.
  RelayThread(int spin_microseconds, std::vector<Database> databases, std::vector<Link> links,
              bool traces);
  ~RelayThread();
  RelayThread(const RelayThread&) = delete;
  RelayThread& operator=(const RelayThread&) = delete;

  // The socket does not block, and nobody else reads or writes it until the connection is back.
  void add(uint64_t number, int socket);

  // Readable when there are news; traces wait until they are taken.
  int descriptor() const { return news_event_; }
  News take();
  // Requests answered since the last time.
  uint64_t take_count() { return answered_.exchange(0); }

  // What replies by HTTP begin with.
  void set_stamp(const std::string& lines);
  // Which of the nodes has a slot; -1 for none.
  void set_owners(size_t database, std::vector<std::string> nodes, std::vector<int16_t> owners);
  void trust(size_t database, const std::string& address);
  void cut_off(size_t database, const std::string& address, const std::string& reason);

  // Send back connections that stand still in the middle of something since the last call.
  void sweep();
  // Send back all connections, and end the thread. What does not answer soon is given up.
  void stop();

 private:
  struct Client;
  struct Owners {
    std::vector<Node*> nodes;  // of each slot; null for none
  };
  using Order = std::function<void()>;

  void run();
  void order(Order what);
  void obey();
  void tell(int event);
  template <class Action>
  void attempt(Client& client, Action action);
  void on_ready(Client& client);
  void on_ready(Node& node, uint32_t events);
  void begin(Client& client);
  bool read_requests(Client& client);
  void send_commands(Batch& batch);
  void send_command(Batch& batch, const Request& request, const Record& record);
  void settle();
  void finish(Client& client);
  bool note_trace(const Client& client);
  void next(Client& client);
  void send_output(Client& client);
  void hang_up(Client& client);
  void watch(Client& client, uint32_t events);
  void give_back(Client& client);
  void give_back_idle(bool all);
  void look();
  Node& node(size_t database, const std::string& address);
  template <class Action>
  void for_node(size_t database, const std::string& address, Action action);
  bool is_over();

  const int spin_;
  const bool traces_;
  const std::vector<Database> databases_;
  const std::vector<Link> links_;
  int poll_ = -1, told_event_ = -1, news_event_ = -1;
  std::atomic<uint64_t> answered_{0};
  std::mutex lock_;  // of what follows
  std::unordered_map<uint64_t, std::unique_ptr<Client>> clients_;
  News news_;
  size_t traced_ = 0;  // requests in the traces
  std::vector<Order> orders_;

  // The thread's own.
  Round round_;
  std::vector<Owners> owners_;
  std::vector<std::map<std::string, std::unique_ptr<Node>>> nodes_;
  std::string stamp_;
  std::vector<Client*> again_;  // those that have had their turn, but not enough
  std::vector<std::unique_ptr<Client>> gone_;  // in this round, in which others may still name them
  Clock::time_point looked_{}, end_{};
  bool stopping_ = false;

  std::thread thread_;
};

}  // namespace kt::relay

#endif
