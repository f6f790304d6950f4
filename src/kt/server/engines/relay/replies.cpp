// Writing replies, byte for byte as kt/cluster/answers.py does.

#include <string>

#include "kyoto/protocol/http_request.h"
#include "relay/batch.h"

namespace kt::relay {

namespace {

constexpr uint8_t MAGIC[] = {0xBA, 0xB8, 0xB9};  // of each kind
constexpr size_t XT_WIDTH = 5;
constexpr int64_t XT_MAX = (int64_t{1} << 40) - 1;

constexpr Bytes OK = "HTTP/1.1 200 OK\r\n";
constexpr Bytes LOGICAL = "HTTP/1.1 450 Logical Inconsistency\r\n";
constexpr Bytes COLUMNS_FOLLOW = "\r\nContent-Type: text/tab-separated-values\r\n\r\n";
constexpr Bytes NO_RECORD = "ERROR\tDB: 7: no record: no record\n";

struct Stored {
  bool exists;  // and has not expired
  Bytes value;
  int64_t xt;
};

Stored stored(const Batch& batch, const Outcome& outcome, int64_t now) {
  if (outcome.state != Outcome::VALUE) return {false, {}, 0};
  const Bytes raw(batch.values.data() + outcome.begin, outcome.size);
  const Bytes stamp = raw.substr(0, XT_WIDTH);
  const auto xt = static_cast<int64_t>(load_big_endian(stamp.data(), stamp.size()));
  return {xt >= now, raw.substr(stamp.size()), xt};
}

void put(Buffer* reply, Bytes bytes) { reply->append(bytes.data(), bytes.size()); }

void put_http(Buffer* reply, Bytes status, Bytes stamp, Bytes body) {
  put(reply, status);
  put(reply, stamp);
  put(reply, "Content-Length: ");
  put(reply, std::to_string(body.size()));
  put(reply, COLUMNS_FOLLOW);
  put(reply, body);
}

// The reply to a call; false if it takes more thought.
bool put_call(const Batch& batch, const Request& request, const Outcome& outcome, Bytes stamp,
              int64_t now, Buffer* reply) {
  std::string body;
  bool done = true;
  if (request.kind == Kind::GET) {
    const Stored record = stored(batch, outcome, now);
    done = record.exists;
    if (!is_plain_field(record.value)) return false;
    body.append("value\t").append(record.value).append("\n");
    if (record.xt < XT_MAX) body.append("xt\t").append(std::to_string(record.xt)).append("\n");
  } else if (request.kind == Kind::REMOVE) {
    done = outcome.size > 0;
  }
  put_http(reply, done ? OK : LOGICAL, stamp, done ? Bytes(body) : NO_RECORD);
  return true;
}

void put_record(const Request& request, Bytes key, const Stored& record, Buffer* reply) {
  reply->put16(request.database);
  reply->put32(static_cast<uint32_t>(key.size()));
  reply->put32(static_cast<uint32_t>(record.value.size()));
  reply->put64(static_cast<uint64_t>(record.xt));
  put(reply, key);
  put(reply, record.value);
}

void put_bulk(const Batch& batch, const Request& request, Bytes text, const Outcome* outcomes,
              int64_t now, Buffer* reply) {
  if (request.silent) return;
  reply->put8(MAGIC[static_cast<size_t>(request.kind)]);
  const size_t place = reply->size();
  reply->put32(0);
  uint32_t hits = 0;
  Bytes rest = records_of(text);
  for (uint32_t i = 0; i < request.count; i++) {
    if (request.kind == Kind::GET) {
      const Bytes key = take_record(request.kind, &rest).key;
      const Stored record = stored(batch, outcomes[i], now);
      if (record.exists) put_record(request, key, record, reply);
      hits += record.exists;
    } else {
      hits += request.kind == Kind::SET ? 1 : static_cast<uint32_t>(outcomes[i].size);
    }
  }
  reply->patch32(place, hits);
}

}  // namespace

bool write_replies(const Batch& batch, Bytes stamp, int64_t now, Buffer* reply) {
  const size_t begin = reply->size();
  const Outcome* outcomes = batch.outcomes.data();
  Bytes rest = batch.input;
  for (const Request& request : batch.requests) {
    if (!request.http) {
      put_bulk(batch, request, rest.substr(0, request.size), outcomes, now, reply);
    } else if (!put_call(batch, request, *outcomes, stamp, now, reply)) {
      reply->truncate(begin);
      return false;
    }
    outcomes += request.count;
    rest.remove_prefix(request.size);
  }
  return true;
}

}  // namespace kt::relay
