// A thread that serves connections without Python, for as long as their requests are of the kind
// that a Servant runs by itself.
//
//     event loop   -- add(number, socket, servant) -->   I/O thread:  epoll, recv, Servant::step,
//                                                                     send
//     event loop   <-- descriptor() is readable, -----   the first request that needs Python, the
//                      take()                            end of the input, anything unusual
//
// A connection belongs to one side at a time. When it comes back, what it had received and not
// served, and what it has not been able to send, come with it: nothing is lost or out of order.
// Replies are moved and sent piece by piece, so that a large one holds up nobody, and lies in memory
// once. A connection for which there is no memory is hung up; the others go on.
//
// Hold: whoever is going to keep the engine's locks for long calls `hold`. When that returns, the
// thread is outside of every Servant and does not enter one until `release`; connections with new
// requests go back to the event loop meanwhile, which knows what to do.
//
// What a step owes (Step::owes) is settled once for all connections that were ready at the same time:
// their replies are kept back until then. Who cannot be settled is hung up, without a reply.
//
// How it waits for events is told in patience.h.

#ifndef KT_IO_THREAD_H
#define KT_IO_THREAD_H

#include <atomic>
#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "io/buffer.h"

namespace kt {

// What an I/O thread serves a connection with.
class Servant {
 public:
  enum class Verdict : uint8_t {
    MORE,   // what is left is the begin of a request
    AGAIN,  // it is the turn of others
    LEAVE   // the event loop must go on
  };

  struct Step {
    Verdict verdict;
    int state;        // with LEAVE: why, in the words of the servant
    size_t consumed;  // of the input
    size_t need;      // with MORE: how much must be there for the next call to get on
    std::string_view reply;  // to be sent; valid until drop_reply or take_reply
    bool owes = false;       // the reply must not be sent before `settle`
  };

  virtual ~Servant() = default;
  virtual Step step(std::string_view input) = 0;
  // Makes sure of all that was done in steps that owe it, also those of the thread's other servants;
  // false if that is not possible. May wait for the device.
  virtual bool settle() { return true; }
  virtual void drop_reply() = 0;
  // Move the reply into an empty buffer, instead of dropping it.
  virtual void take_reply(Buffer* into) = 0;
  // Whether it has begun with something of which more must come.
  virtual bool pending() const = 0;
  // What is to be logged of the requests run, to be emptied; null if nothing ever is.
  virtual std::string* traced() { return nullptr; }
};

class IoThread {
 public:
  // A connection on its way back. `state` is that of the servant, or one of those below.
  struct Returned {
    uint64_t number;
    int state;
    std::string input;
    Buffer output;
    size_t sent;  // of the output
  };
  // What a servant has traced; `time` is in seconds since the epoch.
  struct Trace {
    uint64_t number;
    double time;
    std::string traced;
  };
  // Everything there is for the event loop. The numbers of traces are those of connections that
  // are still here or come back in the same News.
  struct News {
    std::vector<Trace> traces;
    std::list<Returned> returned;
  };
  static constexpr int NOTHING = -1;  // go on as ever
  static constexpr int FAILED = -2;   // serving it threw an exception

  static bool supported();

  explicit IoThread(int spin_microseconds);
  ~IoThread();
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;

  // The socket does not block, and nobody else reads or writes it until the connection is back.
  void add(uint64_t number, int socket, Servant* servant);

  // Readable when connections have come back. Traces wait until they are taken.
  int descriptor() const { return returned_event_; }
  News take();

  void hold();
  void release() { held_--; }

  // Send back connections that stand still in the middle of something since the last call.
  void sweep();
  // Send back all connections, and end the thread.
  void stop();

 private:
  struct Client;

  void run();
  void tell(int event);
  void on_ready(Client& client);
  template <class Action>
  void attempt(Client& client, Action action);
  void hang_up(Client& client);
  void serve(Client& client, std::string_view input);
  void send_reply(Client& client, std::string_view reply);
  void settle();
  void pay(Client& client);
  void go_on(Client& client);
  int enter(Servant& servant, std::string_view input, Servant::Step* step);
  bool send_output(Client& client);
  void watch(Client& client, bool output);
  bool note_trace(Client& client);
  void give_back(Client& client, int state);
  void give_back_all();
  void give_back_idle();

  const std::chrono::microseconds spin_;
  int poll_ = -1, told_event_ = -1, returned_event_ = -1;
  std::atomic<int> held_{0};
  std::atomic<bool> told_{false}, stopped_{false};
  std::mutex turn_;  // held while inside a servant
  std::mutex lock_;  // of what follows
  std::unordered_map<uint64_t, std::unique_ptr<Client>> clients_;
  News news_;
  size_t traced_ = 0;  // bytes in the traces

  // The thread's own.
  std::vector<char> buffer_;
  std::vector<Client*> again_;  // those that have had their turn, but not enough
  std::vector<Client*> owed_;   // those whose replies are kept back

  std::thread thread_;
};

}  // namespace kt

#endif
