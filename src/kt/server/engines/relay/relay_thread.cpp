// See the header.

#include "relay/relay_thread.h"

#include <stdexcept>

#ifdef __linux__

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <system_error>
#include <utility>

#include "io/patience.h"

namespace kt::relay {

namespace {

using std::chrono::milliseconds;

constexpr size_t READ_AT_ONCE = 256 << 10;
constexpr size_t INPUT_KEPT = 1 << 20;  // a request that is larger is for the event loop
constexpr size_t TOGETHER = 1000;       // requests of a client
constexpr size_t CAPACITY_KEPT = 64 << 10;
constexpr size_t TRACES_KEPT = 100'000;  // some 50 ms of everything that can be logged
constexpr int EVENTS_AT_ONCE = 64;
constexpr milliseconds LOOK{250};  // how often nodes that are waited for are looked after
constexpr milliseconds STOP_GRACE{1000};
constexpr int FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL;

int checked(int result) {
  if (result < 0) throw std::system_error(errno, std::generic_category());
  return result;
}

}  // namespace

struct RelayThread::Client : Source, Batch {
  const uint64_t number;
  const int socket;
  size_t need = 1;         // nothing happens before so much input is there
  Buffer output;           // to be sent; nothing is served meanwhile
  size_t sent = 0;         // of it
  uint32_t watched = 0;    // for which events
  bool queued = false;     // in again_
  bool broken = false;     // its end is waited for
  bool gone = false;
  bool still = false;      // has not moved since the last sweep
  std::list<Returned> back{1};  // for the way back, which must not need memory

  Client(uint64_t its_number, int its_socket)
      : Source(false), number(its_number), socket(its_socket) {}

  bool is_busy() const { return pending > 0 || queued || !output.empty(); }
};

bool RelayThread::supported() { return true; }

RelayThread::RelayThread(int spin, std::vector<Database> databases, std::vector<Link> links,
                         bool traces)
    : spin_(spin),
      traces_(traces),
      databases_(std::move(databases)),
      links_(std::move(links)),
      owners_(databases_.size()),
      nodes_(databases_.size()) {
  for (Owners& owners : owners_) owners.nodes.resize(SLOTS);
  round_.room.resize(READ_AT_ONCE);
  poll_ = checked(epoll_create1(EPOLL_CLOEXEC));
  told_event_ = checked(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  news_event_ = checked(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  epoll_event event{};
  event.events = EPOLLIN;
  checked(epoll_ctl(poll_, EPOLL_CTL_ADD, told_event_, &event));
  thread_ = std::thread([this] { run(); });
}

RelayThread::~RelayThread() {
  stop();
  nodes_.clear();
  close(poll_);
  close(told_event_);
  close(news_event_);
}

// From other threads

void RelayThread::add(uint64_t number, int socket) {
  auto client = std::make_unique<Client>(number, socket);
  Client* added = client.get();
  {
    std::lock_guard<std::mutex> guard(lock_);
    clients_.emplace(number, std::move(client));
  }
  order([this, added] { watch(*added, EPOLLIN); });
}

RelayThread::News RelayThread::take() {
  uint64_t count;
  if (read(news_event_, &count, sizeof count) < 0 && errno != EAGAIN) checked(-1);
  std::lock_guard<std::mutex> guard(lock_);
  traced_ = 0;
  return std::exchange(news_, {});
}

void RelayThread::set_stamp(const std::string& lines) {
  order([this, lines] { stamp_ = lines; });
}

void RelayThread::set_owners(size_t database, std::vector<std::string> nodes,
                             std::vector<int16_t> owners) {
  order([this, database, nodes, owners] {
    std::vector<Node*>& of_slots = owners_[database].nodes;
    std::fill(of_slots.begin(), of_slots.end(), nullptr);
    for (size_t slot = 0; slot < std::min(owners.size(), SLOTS); slot++) {
      if (owners[slot] >= 0) of_slots[slot] = &node(database, nodes.at(owners[slot]));
    }
  });
}

void RelayThread::trust(size_t database, const std::string& address) {
  order([=] { for_node(database, address, [](Node& node) { node.trust(); }); });
}

void RelayThread::cut_off(size_t database, const std::string& address, const std::string& reason) {
  order([=] { for_node(database, address, [&](Node& node) { node.cut_off(reason); }); });
}

void RelayThread::sweep() {
  order([this] { give_back_idle(false); });
}

void RelayThread::stop() {
  if (!thread_.joinable()) return;
  order([this] {
    stopping_ = true;
    end_ = Clock::now() + STOP_GRACE;
    give_back_idle(true);
  });
  thread_.join();
}

void RelayThread::order(Order what) {
  std::lock_guard<std::mutex> guard(lock_);
  orders_.push_back(std::move(what));
  if (orders_.size() == 1) tell(told_event_);
}

void RelayThread::tell(int event) {
  const uint64_t one = 1;
  if (write(event, &one, sizeof one) < 0 && errno != EAGAIN) checked(-1);
}

// The thread

void RelayThread::run() {
  epoll_event events[EVENTS_AT_ONCE];
  Patience patience{std::chrono::microseconds(spin_)};
  const int rest = static_cast<int>(LOOK.count());
  std::vector<Client*> again;
  while (!stopping_ || !is_over()) {
    const int count = patience.wait(poll_, events, EVENTS_AT_ONCE, !again_.empty(), rest);
    round_.now = Clock::now();
    round_.seconds = std::time(nullptr);
    bool told = false;
    for (int i = 0; i < count; i++) {
      auto* source = static_cast<Source*>(events[i].data.ptr);
      if (source == nullptr) {
        told = true;
      } else if (source->is_node) {
        on_ready(*static_cast<Node*>(source), events[i].events);
      } else {
        auto* client = static_cast<Client*>(source);
        attempt(*client, [&] { on_ready(*client); });
      }
    }
    if (told) obey();
    again.swap(again_);
    for (Client* client : again) {
      client->queued = false;
      attempt(*client, [&] { begin(*client); });
    }
    again.clear();
    for (Node* node : std::exchange(round_.dirty, {})) node->flush();
    if (round_.now - looked_ >= LOOK) look();
    settle();
    gone_.clear();
  }
}

void RelayThread::obey() {
  uint64_t count;
  if (read(told_event_, &count, sizeof count) < 0 && errno != EAGAIN) checked(-1);
  std::vector<Order> orders;
  {
    std::lock_guard<std::mutex> guard(lock_);
    orders.swap(orders_);
  }
  for (const Order& what : orders) what();
  settle();
}

// When it stops: whether nothing is under way any more, which is so after a while.
bool RelayThread::is_over() {
  if (Clock::now() > end_) {
    for (auto& nodes : nodes_) {
      for (auto& [_, node] : nodes) node->cut_off("was given up: the gateway stops");
    }
    settle();
    give_back_idle(true);
  }
  gone_.clear();
  std::lock_guard<std::mutex> guard(lock_);
  return clients_.empty();
}

// What fails, for want of memory as a rule, ends this connection and no other.
template <class Action>
void RelayThread::attempt(Client& client, Action action) {
  if (client.gone) return;
  try {
    action();
  } catch (const std::exception&) {
    hang_up(client);
  }
}

// The event loop finds a connection that has ended. What is missing of a reply stays missing.
void RelayThread::hang_up(Client& client) {
  if (client.gone) return;
  shutdown(client.socket, SHUT_RDWR);
  again_.erase(std::remove(again_.begin(), again_.end(), &client), again_.end());
  client.queued = false;
  client.broken = true;
  client.output.clear();
  client.sent = 0;
  if (client.pending == 0) give_back(client);
}

void RelayThread::on_ready(Node& node, uint32_t events) {
  try {
    node.on_ready(events);
  } catch (const std::exception&) {
    node.cut_off("sent a reply for which there is no memory");
  }
  settle();
}

void RelayThread::on_ready(Client& client) {
  client.still = false;
  if (!client.output.empty()) return send_output(client);
  if (client.is_busy()) return watch(client, 0);  // the socket keeps what it has
  const ssize_t got = recv(client.socket, round_.room.data(), round_.room.size(), FLAGS);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return give_back(client);  // the end, as the event loop will find
  client.input.append(round_.room.data(), static_cast<size_t>(got));
  if (client.input.size() >= client.need) begin(client);
}

// Begins with what is there. The client may be gone after that.
void RelayThread::begin(Client& client) {
  client.begin_anew();
  if (!read_requests(client)) return give_back(client);
  if (client.requests.empty()) return watch(client, EPOLLIN);  // for the rest of one
  send_commands(client);
  if (client.pending == 0) finish(client);
}

// False if what comes first is not served here.
bool RelayThread::read_requests(Client& client) {
  client.need = 1;
  Bytes rest = client.input;
  size_t commands = 0;
  while (!rest.empty() && client.requests.size() < TOGETHER) {
    Request request{};
    size_t need = 1;
    const Found found = read_request(rest, databases_, &request, &need);
    if (found == Found::MORE) client.need = need;
    if (found != Found::WHOLE) {
      const bool waits = found == Found::MORE && need <= INPUT_KEPT;
      return waits || !client.requests.empty();
    }
    rest.remove_prefix(request.size);
    client.size += request.size;
    client.writes = client.writes || request.kind != Kind::GET;
    commands += request.count;
    client.requests.push_back(request);
  }
  client.outcomes.reserve(commands);
  return true;
}

void RelayThread::send_commands(Batch& batch) {
  Bytes input = batch.input;
  for (const Request& request : batch.requests) {
    if (request.http) {
      send_command(batch, request, request.record);
    } else {
      Bytes rest = records_of(input.substr(0, request.size));
      for (uint32_t i = 0; i < request.count; i++) {
        send_command(batch, request, take_record(request.kind, &rest));
      }
    }
    input.remove_prefix(request.size);
  }
}

void RelayThread::send_command(Batch& batch, const Request& request, const Record& record) {
  const Place place = databases_[request.database].places.place(record.key);
  Node* node = owners_[request.database].nodes[place.slot];
  const size_t index = batch.outcomes.size();
  batch.outcomes.emplace_back();
  if (node != nullptr && node->take(batch, index, request.kind, place, record)) {
    batch.pending++;
  } else {
    batch.outcomes[index].state = Outcome::LEFT;
    batch.troubled = true;
  }
}

// Goes on with those of which nothing is under way any more.
void RelayThread::settle() {
  while (!round_.done.empty()) {
    for (Batch* batch : std::exchange(round_.done, {})) {
      auto* client = static_cast<Client*>(batch);
      attempt(*client, [&] { finish(*client); });
    }
  }
  if (round_.troubles.empty()) return;
  std::lock_guard<std::mutex> guard(lock_);
  for (Trouble& trouble : round_.troubles) news_.troubles.push_back(std::move(trouble));
  round_.troubles.clear();
  tell(news_event_);
}

// Answers a batch. The client may be gone after that.
void RelayThread::finish(Client& client) {
  client.still = false;
  if (client.broken || client.troubled) return give_back(client);
  if (!write_replies(client, stamp_, round_.seconds, &client.output)) return give_back(client);
  answered_ += client.requests.size();
  const bool keeps_up = !traces_ || note_trace(client);
  client.input.erase(0, client.size);
  if (client.input.empty() && client.input.capacity() > CAPACITY_KEPT) client.input.shrink_to_fit();
  client.begin_anew();
  if (!keeps_up) return give_back(client);
  send_output(client);
}

// Keeps what has been answered until it is taken; false if there is more than can be logged in time.
bool RelayThread::note_trace(const Client& client) {
  std::string requests;
  for (const Request& request : client.requests) {
    requests.push_back(static_cast<char>(static_cast<char>(request.kind) + request.http * HTTP));
  }
  const std::chrono::duration<double> time = std::chrono::system_clock::now().time_since_epoch();
  std::lock_guard<std::mutex> guard(lock_);
  traced_ += requests.size();
  news_.traces.push_back({client.number, time.count(), std::move(requests)});
  return traced_ < TRACES_KEPT;
}

void RelayThread::send_output(Client& client) {
  const size_t left = client.output.size() - client.sent;
  const ssize_t n =
      left == 0 ? 0 : send(client.socket, client.output.data() + client.sent, left, FLAGS);
  if (n < 0 && errno != EAGAIN && errno != EINTR) return give_back(client);
  if (n > 0) client.sent += static_cast<size_t>(n);
  if (client.sent < client.output.size()) {
    client.output.give_back(client.sent);
    if (stopping_) return give_back(client);
    return watch(client, EPOLLOUT);
  }
  client.output.clear();
  client.sent = 0;
  next(client);
}

// All is answered, and nothing kept.
void RelayThread::next(Client& client) {
  if (stopping_) return give_back(client);
  if (client.input.size() >= client.need && !client.input.empty()) {
    client.queued = true;
    again_.push_back(&client);
  } else {
    watch(client, EPOLLIN);
  }
}

void RelayThread::watch(Client& client, uint32_t events) {
  if (client.gone || client.watched == events) return;
  epoll_event event{};
  event.events = events;
  event.data.ptr = static_cast<Source*>(&client);
  const int how = events == 0            ? EPOLL_CTL_DEL
                  : client.watched == 0 ? EPOLL_CTL_ADD
                                        : EPOLL_CTL_MOD;
  client.watched = events;
  if (epoll_ctl(poll_, how, client.socket, &event) < 0 && events != 0) give_back(client);
}

// The client is gone after that.
void RelayThread::give_back(Client& client) {
  if (client.broken) {
    client.input.clear();
    client.begin_anew();
  }
  watch(client, 0);
  client.gone = true;
  Returned& back = client.back.front();
  back.number = client.number;
  back.output = std::move(client.output);
  back.sent = client.sent;
  back.batch = std::move(static_cast<Batch&>(client));
  std::lock_guard<std::mutex> guard(lock_);
  news_.returned.splice(news_.returned.end(), client.back);
  const auto found = clients_.find(client.number);
  gone_.push_back(std::move(found->second));
  clients_.erase(found);
  tell(news_event_);
}

// Those that stand still in the middle of something since the last time, or all that are not waiting
// for a node.
void RelayThread::give_back_idle(bool all) {
  std::vector<Client*> idle;
  {
    std::lock_guard<std::mutex> guard(lock_);
    for (auto& [_, client] : clients_) {
      const bool unfinished = !client->input.empty() || !client->output.empty();
      const bool stands = unfinished && client->still && !client->queued;
      if (client->pending == 0 && (all || stands)) idle.push_back(client.get());
      client->still = true;
    }
  }
  for (Client* client : idle) {
    again_.erase(std::remove(again_.begin(), again_.end(), client), again_.end());
    client->begin_anew();
    give_back(*client);
  }
}

void RelayThread::look() {
  looked_ = round_.now;
  for (auto& nodes : nodes_) {
    for (auto& [_, node] : nodes) node->look();
  }
}

Node& RelayThread::node(size_t database, const std::string& address) {
  std::unique_ptr<Node>& found = nodes_[database][address];
  if (!found) {
    found = std::make_unique<Node>(poll_, links_[database], static_cast<uint16_t>(database), address,
                                   round_);
  }
  return *found;
}

template <class Action>
void RelayThread::for_node(size_t database, const std::string& address, Action action) {
  const auto found = nodes_[database].find(address);
  if (found != nodes_[database].end()) action(*found->second);
}

}  // namespace kt::relay

#else  // without epoll: never used, see `supported`

namespace kt::relay {

struct RelayThread::Client {};

bool RelayThread::supported() { return false; }
RelayThread::RelayThread(int, std::vector<Database>, std::vector<Link>, bool)
    : spin_(0), traces_(false) {
  throw std::runtime_error("no such threads on this system");
}
RelayThread::~RelayThread() = default;
void RelayThread::add(uint64_t, int) {}
RelayThread::News RelayThread::take() { return {}; }
void RelayThread::set_stamp(const std::string&) {}
void RelayThread::set_owners(size_t, std::vector<std::string>, std::vector<int16_t>) {}
void RelayThread::trust(size_t, const std::string&) {}
void RelayThread::cut_off(size_t, const std::string&, const std::string&) {}
void RelayThread::sweep() {}
void RelayThread::stop() {}

}  // namespace kt::relay

#endif
