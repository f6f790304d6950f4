// See the header.

#ifdef __linux__

#include "relay/node.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <exception>
#include <memory>
#include <utility>

#include "relay/commands.h"

namespace kt::relay {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds SILENCE{500};  // after which a node may have been replaced
constexpr milliseconds CONNECT_TIMEOUT{1000};
constexpr milliseconds PAUSE{50};
constexpr size_t LINE_MAX_SIZE = 64 << 10;
constexpr int64_t VALUE_MAX = 1 << 20;   // who reads larger ones gets them elsewhere
constexpr size_t VALUES_MAX = 16 << 20;  // of one batch; likewise
constexpr int FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL;

// A socket that connects to HOST:PORT, a numeric address; -1 if there is none.
int socket_to(const std::string& address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) return -1;
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  const std::string host = address.substr(0, colon), port = address.substr(colon + 1);
  if (getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) return -1;
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(found, freeaddrinfo);
  const int made = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (made < 0) return -1;
  const int on = 1;
  setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(made, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  if (::connect(made, found->ai_addr, found->ai_addrlen) < 0 && errno != EINPROGRESS) {
    close(made);
    return -1;
  }
  return made;
}

}  // namespace

Node::Node(int poll, const Link& link, uint16_t database, std::string address, Round& round)
    : Source(true),
      poll_(poll),
      link_(link),
      database_(database),
      address_(std::move(address)),
      round_(round) {}

Node::~Node() {
  if (socket_ >= 0) close(socket_);
}

bool Node::take(Batch& batch, size_t index, Kind kind, const Place& place, const Record& record) {
  if (state_ == State::CLOSED && !connect()) return false;
  if (entries_.empty()) heard_ = round_.now;
  entries_.push_back({&batch, index, kind, begun_ + out_.size()});
  try {
    put_command(kind, place, record, round_.seconds, &out_);
  } catch (...) {
    entries_.pop_back();
    throw;
  }
  wrote_ = wrote_ || kind != Kind::GET;
  if (!dirty_) round_.dirty.push_back(this);
  dirty_ = true;
  return true;
}

// Making the connection, and ending it.

bool Node::connect() {
  if (round_.now < again_) return false;
  again_ = round_.now + PAUSE;
  socket_ = socket_to(address_);
  if (socket_ < 0) return false;
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT;
  event.data.ptr = static_cast<Source*>(this);
  if (epoll_ctl(poll_, EPOLL_CTL_ADD, socket_, &event) < 0) {
    close(std::exchange(socket_, -1));
    return false;
  }
  state_ = State::CONNECTING;
  heard_ = round_.now;
  return true;
}

void Node::connected() {
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return cut_off("cannot be reached: " + std::string(std::strerror(error)));
  const std::string& greeting = link_.greeting;
  const ssize_t n = send(socket_, greeting.data(), greeting.size(), FLAGS);
  if (n != static_cast<ssize_t>(greeting.size())) return cut_off("closed the connection");
  ungreeted_ = link_.greetings;
  state_ = ungreeted_ > 0 ? State::GREETING : State::READY;
  watch(EPOLLIN);
  flush();
}

void Node::watch(uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = static_cast<Source*>(this);
  epoll_ctl(poll_, EPOLL_CTL_MOD, socket_, &event);
}

void Node::cut_off(const std::string& reason) {
  if (state_ == State::CLOSED) return;
  close(std::exchange(socket_, -1));  // which ends the events, too
  state_ = State::CLOSED;
  again_ = round_.now + PAUSE;
  const std::deque<Entry> entries = std::exchange(entries_, {});
  if (!entries.empty()) round_.troubles.push_back({Trouble::LOST, database_, address_});
  for (const auto& [entry, _] : std::exchange(unconfirmed_, {})) resign(entry, reason);
  for (const Entry& entry : entries) resign(entry, reason);
  wrote_ = false;
  begun_ += out_.size();
  out_.clear();
  sent_ = body_left_ = 0;
  doubted_ = false;
  partial_.clear();
}

// Whoever waits for it must turn to others.
void Node::resign(const Entry& entry, const std::string& why) {
  if (entry.batch == nullptr) return;
  const bool unsent = entry.begin >= begun_ + sent_;
  const bool undone = unsent || entry.kind == Kind::GET;
  if (!undone) entry.batch->trouble = address_ + " " + why;
  end(entry, undone ? Outcome::LEFT : Outcome::UNKNOWN);
}

// That is what it came to.
void Node::end(const Entry& entry, Outcome::State state) {
  Batch& batch = *entry.batch;
  batch.outcomes[entry.index].state = state;
  batch.troubled = batch.troubled || state == Outcome::LEFT || state == Outcome::UNKNOWN;
  if (--batch.pending == 0) round_.done.push_back(&batch);
}

void Node::look() {
  if (state_ == State::CLOSED || entries_.empty()) return;
  const Clock::duration silent = round_.now - heard_;
  if (state_ != State::READY) {
    if (silent > CONNECT_TIMEOUT) cut_off("cannot be reached: no answer");
  } else if (silent > link_.patience) {
    cut_off("did not answer");
  } else if (silent > SILENCE) {
    round_.troubles.push_back({Trouble::SILENT, database_, address_});
  }
}

void Node::trust() {
  if (!doubted_) return;
  doubted_ = false;
  heard_ = round_.now;
  watch(EPOLLIN | EPOLLOUT);
}

// Sending

void Node::flush() {
  dirty_ = false;
  if (state_ != State::READY || doubted_ || out_.empty()) return;
  if (wrote_ && link_.replicas > 0) {
    try {
      put_wait();
    } catch (const std::exception&) {
      return cut_off("was sent what there is no memory for");
    }
  }
  wrote_ = false;
  const ssize_t n = send(socket_, out_.data() + sent_, out_.size() - sent_, FLAGS);
  if (n < 0 && errno != EAGAIN && errno != EINTR) return cut_off("closed the connection");
  if (n > 0) sent_ += static_cast<size_t>(n);
  if (sent_ < out_.size()) return watch(EPOLLIN | EPOLLOUT);
  begun_ += out_.size();
  sent_ = 0;
  out_.clear();
}

void Node::put_wait() {
  entries_.push_back({nullptr, 0, Kind::GET, begun_ + out_.size()});
  out_.append(link_.wait.data(), link_.wait.size());
}

// Receiving

void Node::on_ready(uint32_t events) {
  if (state_ == State::CLOSED || doubted_) return;
  if (state_ == State::CONNECTING) {
    if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) connected();
    return;
  }
  if (events & EPOLLOUT) {
    watch(EPOLLIN);
    flush();
  }
  if ((events & ~EPOLLOUT) == 0 || state_ == State::CLOSED) return;
  if (state_ == State::READY && !entries_.empty() && round_.now - heard_ > SILENCE) {
    doubted_ = true;
    heard_ = round_.now;
    watch(EPOLLET);  // whatever comes stays where it is, and its end is told once
    round_.troubles.push_back({Trouble::DOUBTED, database_, address_});
    return;
  }
  receive();
}

void Node::receive() {
  const ssize_t got = recv(socket_, round_.room.data(), round_.room.size(), FLAGS);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return cut_off("closed the connection");
  heard_ = round_.now;
  const Bytes data(round_.room.data(), static_cast<size_t>(got));
  if (partial_.empty()) return read(data);
  std::string whole = std::exchange(partial_, {});
  whole += data;
  read(whole);
}

void Node::read(Bytes data) {
  while (!data.empty()) {
    if (body_left_ > 0) {
      read_body(&data);
      continue;
    }
    const size_t end = data.find('\n');
    if (end == Bytes::npos) {
      if (data.size() > LINE_MAX_SIZE) return cut_off("spoke no RESP: a line has no end");
      partial_ = data;
      return;
    }
    const Bytes line = data.substr(0, end > 0 ? end - 1 : 0);
    data.remove_prefix(end + 1);
    if (!read_line(line)) return;
  }
}

// False if the connection has ended.
bool Node::read_line(Bytes line) {
  if (state_ == State::GREETING) {
    if (line.substr(0, 1) == "+") {
      if (--ungreeted_ == 0) {
        state_ = State::READY;
        flush();
      }
      return state_ != State::CLOSED;
    }
    cut_off("said: " + std::string(line));
    return false;
  }
  int64_t number = 0;
  const char type = line.empty() ? '\0' : line.front();
  if (type == '$' || type == ':') {
    const char* end = line.data() + line.size();
    if (std::from_chars(line.data() + 1, end, number).ptr != end) number = INT64_MIN;
  }
  if (entries_.empty() || !read_reply(entries_.front(), type, line, number)) {
    cut_off("sent a reply that nobody asked for");
    return false;
  }
  return true;
}

// False if it is none to that command.
bool Node::read_reply(Entry& entry, char type, Bytes line, int64_t number) {
  if (entry.batch == nullptr) return read_confirmed(type, number);
  if (type == '-') {
    settle(Outcome::LEFT, 0);
    return true;
  }
  switch (entry.kind) {
    case Kind::GET:
      if (type != '$' || number < -1) return false;
      if (number >= 0) return begin_value(entry, number);
      settle(Outcome::NOTHING, 0);
      return true;
    case Kind::SET:
      if (line != "+OK") return false;
      settle(Outcome::STORED, 0);
      return true;
    default:
      if (type != ':' || number < 0) return false;
      settle(Outcome::NUMBER, static_cast<size_t>(number));
      return true;
  }
}

// So many replicas have all that was written before.
bool Node::read_confirmed(char type, int64_t number) {
  if (type != ':' && type != '-') return false;
  const int64_t count = type == ':' ? number : 0;
  const bool enough = count >= link_.replicas;
  const auto confirmed = std::exchange(unconfirmed_, {});
  entries_.pop_front();
  for (const auto& [entry, state] : confirmed) {
    if (!enough) {
      entry.batch->trouble = "confirmed by " + std::to_string(count) + " of " +
                             std::to_string(link_.replicas) + " replicas";
    }
    end(entry, enough ? state : Outcome::UNKNOWN);
  }
  return true;
}

// The value's memory is there before its bytes are.
bool Node::begin_value(Entry& entry, int64_t size) {
  Batch& batch = *entry.batch;
  skips_ = !batch.writes && (size > VALUE_MAX || batch.values.size() > VALUES_MAX);
  value_left_ = static_cast<size_t>(size);
  body_left_ = value_left_ + 2;
  value_at_ = batch.values.size();
  if (!skips_) batch.values.extend(value_left_);
  batch.outcomes[entry.index].begin = value_at_;
  batch.outcomes[entry.index].size = value_left_;
  return true;
}

void Node::read_body(Bytes* data) {
  const size_t length = std::min(data->size(), body_left_);
  const size_t of_value = std::min(length, value_left_);
  Batch& batch = *entries_.front().batch;
  if (!skips_) batch.values.overwrite(value_at_, data->data(), of_value);
  value_at_ += of_value;
  value_left_ -= of_value;
  body_left_ -= length;
  data->remove_prefix(length);
  if (body_left_ > 0) return;
  settle(skips_ ? Outcome::LEFT : Outcome::VALUE, batch.outcomes[entries_.front().index].size);
}

void Node::settle(Outcome::State state, size_t number) {
  const Entry entry = entries_.front();
  entry.batch->outcomes[entry.index].size = number;
  const bool waits = link_.replicas > 0 && entry.kind != Kind::GET && state != Outcome::LEFT;
  if (waits) unconfirmed_.push_back({entry, state});
  entries_.pop_front();
  if (!waits) end(entry, state);
}

}  // namespace kt::relay

#endif
