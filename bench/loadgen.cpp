// A load generator for Kyoto Tycoon and Tokyo Tyrant servers that checks every reply.
//
//     loadgen PORT LOAD CONNECTIONS DEPTH SECONDS [RECORDS [VALUE_SIZE [LIFETIME]]]
//
// A load is a table of exchanges, made before the clock starts: the bytes of a request and those
// that must come back. The records they ask for are written first. Then CONNECTIONS connections to
// this machine's PORT each keep DEPTH requests under way for SECONDS, taking exchanges in turn from
// the table. One thread does it all, so that a second core is the server's:
//
//     exchanges --> Client::top_up --> socket --> server --> socket --> Client::take: memcmp
//
// With a single connection the socket blocks (two system calls per exchange, as a client would);
// with several, epoll tells which of them to serve. A wrong or missing reply ends the program with
// status 1. With a LIFETIME, in seconds, the records that Kyoto Tycoon stores expire. The result is
// one line of JSON: requests and records per second, latency percentiles.

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fcntl.h>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "loadgen: %s\n", what.c_str());
  std::exit(1);
}

// ---- what is sent and what must come back

struct Exchange {
  std::string request;
  std::string reply;  // the whole reply, or the body of an HTTP one
  bool http = false;
};

struct Load {
  std::vector<Exchange> fill;       // writes the records
  std::vector<Exchange> exchanges;  // is measured
  size_t records_each = 1;
};

std::string number(uint64_t value, int width) {
  std::string bytes(width, '\0');
  for (int i = width; i > 0; value >>= 8) bytes[--i] = static_cast<char>(value & 0xFF);
  return bytes;
}

constexpr uint64_t NEVER = INT64_MAX;             // an expiry in a request
constexpr uint64_t STORED_NEVER = (1ULL << 40) - 1;  // and in a reply
constexpr size_t BULK = 1000;                     // records of a bulk request

// The records: key i is "key" and eight digits, value i is letters that depend on i.
class Records {
 public:
  Records(size_t count, size_t value_size, time_t expiry)
      : count_(count), value_size_(value_size), expiry_(expiry) {}
  size_t count() const { return count_; }
  // Absolute seconds at which they all expire, 0 for never.
  time_t expiry() const { return expiry_; }
  std::string key(size_t i) const {
    std::string digits = std::to_string(i % count_);
    return "key" + std::string(8 - std::min<size_t>(8, digits.size()), '0') + digits;
  }
  std::string value(size_t i) const {
    std::string text = key(i);
    while (text.size() < value_size_)
      text += static_cast<char>('a' + (i % count_ + text.size()) % 26);
    return text.substr(0, value_size_);
  }

 private:
  size_t count_, value_size_;
  time_t expiry_;
};

// Kyoto Tycoon, binary. A request has the negative of an absolute expiry, a reply the expiry.
uint64_t wanted_expiry(const Records& r) { return r.expiry() ? uint64_t(-r.expiry()) : NEVER; }
uint64_t stored_expiry(const Records& r) { return r.expiry() ? r.expiry() : STORED_NEVER; }

std::string tycoon_record(const Records& r, size_t i, uint64_t xt) {
  std::string key = r.key(i), value = r.value(i);
  return number(0, 2) + number(key.size(), 4) + number(value.size(), 4) + number(xt, 8) + key +
         value;
}

Exchange tycoon_set(const Records& r, size_t first, size_t n) {
  Exchange e;
  e.request = "\xB8" + number(0, 4) + number(n, 4);
  for (size_t i = first; i < first + n; i++) e.request += tycoon_record(r, i, wanted_expiry(r));
  e.reply = "\xB8" + number(n, 4);
  return e;
}

Exchange tycoon_get(const Records& r, size_t first, size_t n) {
  Exchange e;
  e.request = "\xBA" + number(0, 4) + number(n, 4);
  e.reply = "\xBA" + number(n, 4);
  for (size_t i = first; i < first + n; i++) {
    std::string key = r.key(i);
    e.request += number(0, 2) + number(key.size(), 4) + key;
    e.reply += tycoon_record(r, i, stored_expiry(r));
  }
  return e;
}

// Kyoto Tycoon, HTTP
Exchange http_get(const Records& r, size_t i) {
  std::string body = "key\t" + r.key(i);
  Exchange e;
  e.http = true;
  e.request = "POST /rpc/get HTTP/1.1\r\nHost: localhost\r\n"
              "Content-Type: text/tab-separated-values\r\nContent-Length: " +
              std::to_string(body.size()) + "\r\n\r\n" + body;
  e.reply = "value\t" + r.value(i) + "\n";
  if (r.expiry()) e.reply += "xt\t" + std::to_string(r.expiry()) + "\n";
  return e;
}

Exchange rest_get(const Records& r, size_t i) {
  Exchange e;
  e.http = true;
  e.request = "GET /" + r.key(i) + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
  e.reply = r.value(i);
  return e;
}

// Tokyo Tyrant, binary
std::string tyrant_head(uint8_t command) { return "\xC8" + number(command, 1); }

Exchange tyrant_put(const Records& r, size_t i) {
  std::string key = r.key(i), value = r.value(i);
  Exchange e;
  e.request = tyrant_head(0x10) + number(key.size(), 4) + number(value.size(), 4) + key + value;
  e.reply = number(0, 1);
  return e;
}

Exchange tyrant_get(const Records& r, size_t i) {
  std::string key = r.key(i), value = r.value(i);
  Exchange e;
  e.request = tyrant_head(0x30) + number(key.size(), 4) + key;
  e.reply = number(0, 1) + number(value.size(), 4) + value;
  return e;
}

Exchange tyrant_mget(const Records& r, size_t first, size_t n) {
  Exchange e;
  e.request = tyrant_head(0x31) + number(n, 4);
  e.reply = number(0, 1) + number(n, 4);
  for (size_t i = first; i < first + n; i++) {
    std::string key = r.key(i), value = r.value(i);
    e.request += number(key.size(), 4) + key;
    e.reply += number(key.size(), 4) + number(value.size(), 4) + key + value;
  }
  return e;
}

Exchange tyrant_putlist(const Records& r, size_t first, size_t n) {
  Exchange e;
  e.request = tyrant_head(0x90) + number(7, 4) + number(0, 4) + number(2 * n, 4) + "putlist";
  for (size_t i = first; i < first + n; i++) {
    std::string key = r.key(i), value = r.value(i);
    e.request += number(key.size(), 4) + key + number(value.size(), 4) + value;
  }
  e.reply = number(0, 1) + number(0, 4);
  return e;
}

// Lua functions that get a key and its value, and answer with the value
Exchange tycoon_script(const std::string& function, const Records& r, size_t i) {
  std::string value = r.value(i);
  auto pair = [](const std::string& name, const std::string& text) {
    return number(name.size(), 4) + number(text.size(), 4) + name + text;
  };
  Exchange e;
  e.request = "\xB4" + number(0, 4) + number(function.size(), 4) + number(2, 4) + function +
              pair("key", r.key(i)) + pair("value", value);
  e.reply = "\xB4" + number(1, 4) + pair("value", value);
  return e;
}

Exchange tyrant_script(const std::string& function, const Records& r, size_t i) {
  std::string key = r.key(i), value = r.value(i);
  Exchange e;
  e.request = tyrant_head(0x68) + number(function.size(), 4) + number(0, 4) +
              number(key.size(), 4) + number(value.size(), 4) + function + key + value;
  e.reply = number(0, 1) + number(value.size(), 4) + value;
  return e;
}

Load make_load(const std::string& name, const Records& r) {
  using Single = Exchange (*)(const Records&, size_t);
  using Several = Exchange (*)(const Records&, size_t, size_t);
  static const std::map<std::string, Single> singles = {
      {"tycoon-get", [](const Records& s, size_t i) { return tycoon_get(s, i, 1); }},
      {"tycoon-set", [](const Records& s, size_t i) { return tycoon_set(s, i, 1); }},
      {"tycoon-http-get", http_get},
      {"tycoon-rest-get", rest_get},
      {"tyrant-get", tyrant_get},
      {"tyrant-put", tyrant_put}};
  static const std::map<std::string, Several> bulks = {{"tycoon-get-bulk", tycoon_get},
                                                       {"tycoon-set-bulk", tycoon_set},
                                                       {"tyrant-mget", tyrant_mget},
                                                       {"tyrant-putlist", tyrant_putlist}};
  Load load;
  bool tyrant = name.compare(0, 6, "tyrant") == 0;
  size_t colon = name.find(':');  // tycoon-script:FUNCTION, tyrant-script:FUNCTION
  for (size_t i = 0; i < r.count(); i++)
    load.fill.push_back(tyrant ? tyrant_put(r, i) : tycoon_set(r, i, 1));
  if (colon != std::string::npos) {
    auto script = tyrant ? tyrant_script : tycoon_script;
    for (size_t i = 0; i < r.count(); i++)
      load.exchanges.push_back(script(name.substr(colon + 1), r, i * 7919));
  } else if (auto single = singles.find(name); single != singles.end()) {
    for (size_t i = 0; i < r.count(); i++)  // a stride visits all keys, out of order
      load.exchanges.push_back(single->second(r, i * 7919));
  } else if (auto bulk = bulks.find(name); bulk != bulks.end()) {
    load.records_each = std::min(BULK, r.count());
    for (size_t i = 0; i + load.records_each <= r.count(); i += load.records_each)
      load.exchanges.push_back(bulk->second(r, i, load.records_each));
  } else {
    fail("no load is called " + name);
  }
  return load;
}

// ---- one connection

class Client {
 public:
  Client(int port, bool blocking) : fd_(socket(AF_INET, SOCK_STREAM, 0)), input_(1 << 16) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address))
      fail("cannot connect to port " + std::to_string(port));
    int on = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (!blocking) fcntl(fd_, F_SETFL, O_NONBLOCK);
  }
  ~Client() { close(fd_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  int fd() const { return fd_; }
  size_t under_way() const { return waiting_.size(); }

  // Send the next exchanges until `depth` are under way.
  void top_up(const std::vector<Exchange>& exchanges, size_t depth, size_t& next) {
    Clock::time_point now = Clock::now();
    while (waiting_.size() < depth) {
      const Exchange& e = exchanges[next++ % exchanges.size()];
      output_ += e.request;
      waiting_.push_back({&e, now});
    }
    send_output();
  }

  // Write what the socket takes.
  void send_output() {
    while (sent_ < output_.size()) {
      ssize_t n = send(fd_, output_.data() + sent_, output_.size() - sent_, MSG_NOSIGNAL);
      if (n < 0 && errno == EAGAIN) return;
      if (n <= 0) fail("the server hung up while we sent");
      sent_ += static_cast<size_t>(n);
    }
    output_.clear();
    sent_ = 0;
  }

  // Read once and check the replies that are complete; their latencies go to `latencies`.
  void take(std::vector<float>& latencies) {
    if (end_ == input_.size()) make_room();
    ssize_t n = recv(fd_, input_.data() + end_, input_.size() - end_, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) fail("the server hung up while we waited for a reply");
    end_ += static_cast<size_t>(n);
    Clock::time_point now = Clock::now();
    while (!waiting_.empty()) {
      size_t length = complete(*waiting_.front().exchange);
      if (length == 0) break;
      begin_ += length;
      std::chrono::duration<float, std::micro> latency = now - waiting_.front().since;
      latencies.push_back(latency.count());
      waiting_.pop_front();
    }
    if (begin_ == end_) begin_ = end_ = 0;
    if (waiting_.empty() && end_ > 0) fail("the server sent more than it was asked for");
  }

 private:
  struct Waiting {
    const Exchange* exchange;
    Clock::time_point since;
  };

  void make_room() {
    if (begin_ > 0) {
      std::memmove(input_.data(), input_.data() + begin_, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
    } else {
      input_.resize(input_.size() * 2);
    }
  }

  // The length of the first reply, 0 if it is not complete; a wrong one is the end.
  size_t complete(const Exchange& e) const {
    const char* data = input_.data() + begin_;
    size_t size = end_ - begin_, head = 0;
    if (e.http && (head = http_head(data, size, e.reply.size())) == 0) return 0;
    if (size < head + e.reply.size()) return 0;
    if (std::memcmp(data + head, e.reply.data(), e.reply.size()) != 0)
      fail("a reply differs from what it must be");
    return head + e.reply.size();
  }

  // The length of the head of an HTTP reply of status 200 whose body has `length` bytes.
  static size_t http_head(const char* data, size_t size, size_t length) {
    const char* end = static_cast<const char*>(memmem(data, size, "\r\n\r\n", 4));
    if (end == nullptr) return 0;
    std::string head(data, end + 2);
    for (char& c : head) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (head.compare(0, 13, "http/1.1 200 ") != 0 ||
        head.find("content-length: " + std::to_string(length) + "\r\n") == std::string::npos)
      fail("an HTTP reply differs from what it must be: " + head);
    return static_cast<size_t>(end - data) + 4;
  }

  int fd_;
  std::string output_;
  size_t sent_ = 0;
  std::vector<char> input_;
  size_t begin_ = 0, end_ = 0;
  std::deque<Waiting> waiting_;
};

// ---- running and reporting

void fill(int port, const Load& load) {
  Client client(port, true);
  std::vector<float> latencies;
  size_t next = 0, done = 0;
  while (done < load.fill.size()) {
    client.top_up(load.fill, std::min<size_t>(64, load.fill.size() - done), next);
    while (client.under_way() > 0) client.take(latencies);
    done = latencies.size();
  }
}

using Clients = std::vector<std::unique_ptr<Client>>;

void run_one(Client& client, const Load& load, size_t depth, Clock::time_point end,
             std::vector<float>& latencies) {
  size_t next = 0;
  while (Clock::now() < end) {
    client.top_up(load.exchanges, depth, next);
    client.take(latencies);
  }
  while (client.under_way() > 0) client.take(latencies);
}

void run_many(Clients& clients, const Load& load, size_t depth, Clock::time_point end,
              std::vector<float>& latencies) {
  int poll = epoll_create1(0);
  size_t next = 0, under_way = 0;
  for (auto& client : clients) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLET;
    event.data.ptr = client.get();
    epoll_ctl(poll, EPOLL_CTL_ADD, client->fd(), &event);
    client->top_up(load.exchanges, depth, next);
    under_way += depth;
  }
  std::vector<epoll_event> events(clients.size());
  bool going_on = true;
  while (under_way > 0) {
    int n = epoll_wait(poll, events.data(), static_cast<int>(events.size()), 10'000);
    if (n == 0) fail("no reply for ten seconds");
    if (going_on) going_on = Clock::now() < end;
    for (int i = 0; i < n; i++) {
      Client& client = *static_cast<Client*>(events[i].data.ptr);
      size_t before = client.under_way();
      if (events[i].events & (EPOLLIN | EPOLLHUP)) client.take(latencies);
      if (going_on) client.top_up(load.exchanges, depth, next);
      else client.send_output();
      under_way = under_way + client.under_way() - before;
    }
  }
  close(poll);
}

void report(std::vector<float>& latencies, double seconds, size_t records_each) {
  std::sort(latencies.begin(), latencies.end());
  auto percentile = [&](double p) {
    return latencies[std::min(latencies.size() - 1, static_cast<size_t>(p * latencies.size()))];
  };
  double rate = latencies.size() / seconds;
  std::printf("{\"requests\": %zu, \"seconds\": %.3f, \"requests_per_second\": %.0f, "
              "\"records_per_second\": %.0f, \"latency_us\": {\"p50\": %.1f, \"p90\": %.1f, "
              "\"p99\": %.1f, \"p99.9\": %.1f, \"max\": %.1f}}\n",
              latencies.size(), seconds, rate, rate * records_each, percentile(0.5),
              percentile(0.9), percentile(0.99), percentile(0.999), latencies.back());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6) fail("usage: loadgen PORT LOAD CONNECTIONS DEPTH SECONDS [RECORDS [SIZE [LIFE]]]");
  int port = std::atoi(argv[1]);
  size_t connections = std::strtoul(argv[3], nullptr, 10);
  size_t depth = std::strtoul(argv[4], nullptr, 10);
  double limit = std::atof(argv[5]);
  Records records(argc > 6 ? std::strtoul(argv[6], nullptr, 10) : 10'000,
                  argc > 7 ? std::strtoul(argv[7], nullptr, 10) : 32,
                  argc > 8 && std::atol(argv[8]) > 0 ? time(nullptr) + std::atol(argv[8]) : 0);
  if (port <= 0 || connections == 0 || depth == 0 || limit <= 0 || records.count() == 0)
    fail("PORT, CONNECTIONS, DEPTH, SECONDS and RECORDS are positive numbers");
  Load load = make_load(argv[2], records);
  fill(port, load);
  Clients clients;
  for (size_t i = 0; i < connections; i++)
    clients.push_back(std::make_unique<Client>(port, connections == 1));
  std::vector<float> latencies;
  latencies.reserve(1 << 22);
  Clock::time_point begin = Clock::now();
  Clock::time_point end = begin + std::chrono::microseconds(static_cast<int64_t>(limit * 1e6));
  if (connections == 1) run_one(*clients[0], load, depth, end, latencies);
  else run_many(clients, load, depth, end, latencies);
  report(latencies, std::chrono::duration<double>(Clock::now() - begin).count(), load.records_each);
}
