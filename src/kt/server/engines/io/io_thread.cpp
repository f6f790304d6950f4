// See the header.

#include "io/io_thread.h"

#include <stdexcept>

#ifdef __linux__

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "io/patience.h"

namespace kt {

namespace {

constexpr size_t READ_AT_ONCE = 256 << 10;
constexpr size_t SENT_AT_ONCE = 1 << 20;  // the socket may take more and more: its reader is fast
constexpr size_t INPUT_KEPT = 64 << 10;  // a request that is larger is for the event loop
constexpr size_t TRACES_KEPT = 100'000;  // some 50 ms of everything that can be logged
constexpr int EVENTS_AT_ONCE = 64;
constexpr int ENTERED = 0;
constexpr int FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL;

int checked(int result) {
  if (result < 0) throw std::system_error(errno, std::generic_category());
  return result;
}

}  // namespace

struct IoThread::Client {
  const uint64_t number;
  const int socket;
  Servant* const servant;
  std::string input;   // received and not served
  size_t need = 1;     // nothing happens before so much of it is there
  Buffer output;    // to be sent; nothing is served meanwhile
  size_t sent = 0;  // of it
  bool sending = false;  // waits until the socket takes more
  bool queued = false;   // in again_ or owed_
  Servant::Step step{};  // the last one
  int entered = 0;       // how that went
  bool keeps_up = true;  // whether its traces can be logged in time
  bool still = false;    // has not moved since the last sweep
  std::list<Returned> back{1};  // for the way back, which must not need memory

  Client(uint64_t its_number, int its_socket, Servant* its_servant)
      : number(its_number), socket(its_socket), servant(its_servant) {}

  // What is left of the input, which may be the end of `input` itself.
  void keep(std::string_view left) {
    const char* begin = input.data();
    if (begin <= left.data() && left.data() < begin + input.size())
      input.erase(0, input.size() - left.size());
    else
      input = left;
  }
};

bool IoThread::supported() { return true; }

IoThread::IoThread(int spin_microseconds) : spin_(spin_microseconds), buffer_(READ_AT_ONCE) {
  poll_ = checked(epoll_create1(EPOLL_CLOEXEC));
  told_event_ = checked(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  returned_event_ = checked(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  epoll_event event{};
  event.events = EPOLLIN;
  checked(epoll_ctl(poll_, EPOLL_CTL_ADD, told_event_, &event));
  thread_ = std::thread([this] { run(); });
}

IoThread::~IoThread() {
  stop();
  close(poll_);
  close(told_event_);
  close(returned_event_);
}

void IoThread::add(uint64_t number, int socket, Servant* servant) {
  auto client = std::make_unique<Client>(number, socket, servant);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = client.get();
  std::lock_guard<std::mutex> guard(lock_);
  clients_.emplace(number, std::move(client));
  if (epoll_ctl(poll_, EPOLL_CTL_ADD, socket, &event) < 0) {
    clients_.erase(number);
    news_.returned.push_back(Returned{number, NOTHING, {}, {}, 0});
    tell(returned_event_);
  }
}

IoThread::News IoThread::take() {
  uint64_t count;
  if (read(returned_event_, &count, sizeof count) < 0 && errno != EAGAIN) checked(-1);
  std::lock_guard<std::mutex> guard(lock_);
  traced_ = 0;
  return std::exchange(news_, {});
}

void IoThread::hold() {
  held_++;
  std::lock_guard<std::mutex> outside(turn_);
}

void IoThread::sweep() {
  told_ = true;
  tell(told_event_);
}

void IoThread::stop() {
  if (!thread_.joinable()) return;
  stopped_ = true;
  tell(told_event_);
  thread_.join();
}

void IoThread::tell(int event) {
  const uint64_t one = 1;
  if (write(event, &one, sizeof one) < 0 && errno != EAGAIN) checked(-1);
}

void IoThread::run() {
  epoll_event events[EVENTS_AT_ONCE];
  Patience patience(spin_);
  std::vector<Client*> again;
  while (!stopped_) {
    const int count = patience.wait(poll_, events, EVENTS_AT_ONCE, !again_.empty(), -1);
    for (int i = 0; i < count; i++) {
      if (auto* client = static_cast<Client*>(events[i].data.ptr)) {
        attempt(*client, [&] { on_ready(*client); });
      }
    }
    again.swap(again_);
    for (Client* client : again) {
      client->queued = false;
      attempt(*client, [&] { serve(*client, client->input); });
    }
    again.clear();
    settle();
    uint64_t times;
    if (told_ && read(told_event_, &times, sizeof times) > 0) give_back_idle();
  }
  give_back_all();
}

// What fails, for want of memory as a rule, ends this connection and no other. Nothing throws any
// more once a client is gone.
template <class Action>
void IoThread::attempt(Client& client, Action action) {
  try {
    action();
  } catch (const std::exception&) {
    hang_up(client);
  }
}

// The event loop finds a connection that has ended. What is missing of a reply stays missing.
void IoThread::hang_up(Client& client) {
  shutdown(client.socket, SHUT_RDWR);
  client.input.clear();
  client.output.clear();
  client.sent = 0;
  for (auto* clients : {&again_, &owed_}) {
    clients->erase(std::remove(clients->begin(), clients->end(), &client), clients->end());
  }
  give_back(client, NOTHING);
}

// The socket has something, or takes something.
void IoThread::on_ready(Client& client) {
  client.still = false;
  if (client.sending) {
    if (!send_output(client) || client.sending) return;
    if (!client.input.empty()) serve(client, client.input);
    return;
  }
  if (client.queued) return;  // it is to come, and the socket keeps what it has
  const ssize_t got = recv(client.socket, buffer_.data(), buffer_.size(), FLAGS);
  if (got <= 0) {
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    return give_back(client, NOTHING);  // the end, as the event loop will find
  }
  const std::string_view received(buffer_.data(), static_cast<size_t>(got));
  if (client.input.empty()) {
    serve(client, received);
  } else {
    client.input += received;
    if (client.input.size() >= client.need) serve(client, client.input);
  }
}

// Runs one step on `input`, which may be client.input. The client may be gone after that.
void IoThread::serve(Client& client, std::string_view input) {
  Servant::Step step{};
  client.entered = enter(*client.servant, input, &step);
  if (step.owes) {
    client.servant->take_reply(&client.output);
  } else if (!step.reply.empty()) {
    send_reply(client, step.reply);
  }
  input.remove_prefix(step.consumed);
  client.keep(input);
  client.keeps_up = note_trace(client);
  client.step = step;
  if (!step.owes) return go_on(client);
  client.queued = true;
  owed_.push_back(&client);
}

// Ends a round: all that is owed, at once.
void IoThread::settle() {
  if (owed_.empty()) return;
  bool settled = false;
  try {
    settled = owed_.front()->servant->settle();
  } catch (const std::exception&) {
    // As if it had said no.
  }
  const std::vector<Client*> owed = std::exchange(owed_, {});
  for (Client* client : owed) {
    client->queued = false;
    attempt(*client, [&] { settled ? pay(*client) : hang_up(*client); });
  }
}

// Sends what was kept back.
void IoThread::pay(Client& client) {
  const size_t size = client.output.size();
  if (size > 0) {
    const ssize_t n = send(client.socket, client.output.data(), std::min(size, SENT_AT_ONCE), FLAGS);
    client.sent = n > 0 ? static_cast<size_t>(n) : 0;
    if (client.sent == size) {
      client.output.clear();
      client.sent = 0;
    }
  }
  go_on(client);
}

// After a step, and what was sent of its reply. The client may be gone after that.
void IoThread::go_on(Client& client) {
  const Servant::Step& step = client.step;
  if (client.entered != ENTERED) return give_back(client, client.entered);
  if (step.verdict == Servant::Verdict::LEAVE) return give_back(client, step.state);
  if (!client.keeps_up) return give_back(client, NOTHING);
  const bool more = step.verdict == Servant::Verdict::MORE;
  if (more && client.input.size() > INPUT_KEPT) return give_back(client, NOTHING);
  client.need = more ? step.need : 1;
  if (!client.output.empty()) {
    watch(client, true);
  } else if (!more) {
    client.queued = true;
    again_.push_back(&client);
  }
}

// What the socket does not take is moved to the output. An error shows again when that is sent.
void IoThread::send_reply(Client& client, std::string_view reply) {
  const ssize_t n =
      send(client.socket, reply.data(), std::min(reply.size(), SENT_AT_ONCE), FLAGS);
  const size_t sent = n > 0 ? static_cast<size_t>(n) : 0;
  if (sent == reply.size()) return client.servant->drop_reply();
  client.servant->take_reply(&client.output);
  client.sent = sent;
}

// ENTERED, or why the connection must go back.
int IoThread::enter(Servant& servant, std::string_view input, Servant::Step* step) {
  std::lock_guard<std::mutex> inside(turn_);
  if (held_ > 0) return NOTHING;
  try {
    *step = servant.step(input);
    return ENTERED;
  } catch (const std::exception&) {
    return FAILED;
  }
}

// False if the client is gone.
bool IoThread::send_output(Client& client) {
  const size_t left = client.output.size() - client.sent;
  const ssize_t n = send(client.socket, client.output.data() + client.sent,
                         std::min(left, SENT_AT_ONCE), FLAGS);
  if (n < 0 && errno != EAGAIN && errno != EINTR) {
    give_back(client, NOTHING);
    return false;
  }
  if (n > 0) client.sent += static_cast<size_t>(n);
  client.output.give_back(client.sent);
  if (client.sent == client.output.size()) {
    client.output.clear();
    client.sent = 0;
    watch(client, false);
  }
  return true;
}

// Keeps what has been traced until it is taken; false if there is more than can be logged in time.
bool IoThread::note_trace(Client& client) {
  std::string* traced = client.servant->traced();
  if (traced == nullptr || traced->empty()) return true;
  const std::chrono::duration<double> time = std::chrono::system_clock::now().time_since_epoch();
  std::lock_guard<std::mutex> guard(lock_);
  traced_ += traced->size();
  news_.traces.push_back(Trace{client.number, time.count(), std::exchange(*traced, {})});
  return traced_ < TRACES_KEPT;
}

// Wait until the socket takes more output, or until it has input.
void IoThread::watch(Client& client, bool output) {
  client.sending = output;
  epoll_event event{};
  event.events = output ? EPOLLOUT : EPOLLIN;
  event.data.ptr = &client;
  checked(epoll_ctl(poll_, EPOLL_CTL_MOD, client.socket, &event));
}

// The client is gone after that.
void IoThread::give_back(Client& client, int state) {
  epoll_ctl(poll_, EPOLL_CTL_DEL, client.socket, nullptr);
  const uint64_t number = client.number;
  client.back.front() =
      Returned{number, state, std::move(client.input), std::move(client.output), client.sent};
  std::lock_guard<std::mutex> guard(lock_);
  news_.returned.splice(news_.returned.end(), client.back);
  clients_.erase(number);
  if (news_.returned.size() == 1) tell(returned_event_);
}

void IoThread::give_back_all() {
  std::vector<Client*> all;
  {
    std::lock_guard<std::mutex> guard(lock_);
    for (auto& [_, client] : clients_) all.push_back(client.get());
  }
  for (Client* client : all) give_back(*client, NOTHING);
}

// Those that stand still in the middle of something since the last time.
void IoThread::give_back_idle() {
  told_ = false;
  std::vector<Client*> idle;
  {
    std::lock_guard<std::mutex> guard(lock_);
    for (auto& [_, client] : clients_) {
      const bool unfinished = !client->input.empty() || !client->output.empty() ||
                              client->servant->pending();
      if (unfinished && client->still && !client->queued) idle.push_back(client.get());
      client->still = true;
    }
  }
  for (Client* client : idle) give_back(*client, NOTHING);
}

}  // namespace kt

#else  // without epoll: never used, see `supported`

namespace kt {

struct IoThread::Client {};

bool IoThread::supported() { return false; }
IoThread::IoThread(int) : spin_(0) { throw std::runtime_error("no I/O threads on this system"); }
IoThread::~IoThread() = default;
void IoThread::add(uint64_t, int, Servant*) {}
IoThread::News IoThread::take() { return {}; }
void IoThread::hold() {}
void IoThread::sweep() {}
void IoThread::stop() {}

}  // namespace kt

#endif
