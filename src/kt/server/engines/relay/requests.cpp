// Reading requests. The binary protocol's are described in kyoto/protocol/core.h.

#include "kyoto/protocol/http_request.h"
#include "relay/batch.h"

namespace kt::relay {

namespace {

constexpr uint8_t SET_BULK = 0xB8, REMOVE_BULK = 0xB9, GET_BULK = 0xBA;
constexpr uint32_t NO_REPLY = 1;
constexpr size_t HEAD = 9;
constexpr size_t SET_HEAD = 18, KEY_HEAD = 6;
constexpr uint32_t LARGEST = 1u << 28;
constexpr int64_t NEVER = INT64_MAX;

bool serves(const std::vector<Database>& databases, size_t number, Kind kind) {
  if (number >= databases.size()) return false;
  return kind == Kind::GET ? databases[number].reads : databases[number].writes;
}

Found read_call(Bytes input, const std::vector<Database>& databases, Request* request) {
  const std::optional<PlainRequest> call = read_plain_request(input);
  if (!call || !call->columns[KEY]) return Found::OTHER;
  if (call->procedure == "get") {
    request->kind = Kind::GET;
  } else if (call->procedure == "set") {
    request->kind = Kind::SET;
  } else if (call->procedure == "remove") {
    request->kind = Kind::REMOVE;
  } else {
    return Found::OTHER;
  }
  const Columns& columns = call->columns;
  const bool named = columns[DB] && columns[DB]->substr(0, 1) == "-";
  const auto number = columns[DB] ? plain_number(*columns[DB]) : 0;
  const auto xt = columns[XT] ? plain_number(*columns[XT]) : NEVER;
  if (!number || named || !xt || (request->kind == Kind::SET && !columns[VALUE])) {
    return Found::OTHER;
  }
  if (!serves(databases, static_cast<size_t>(*number), request->kind)) return Found::OTHER;
  request->http = true;
  request->silent = false;
  request->database = static_cast<uint16_t>(*number);
  request->count = 1;
  request->size = call->size;
  request->record = {*columns[KEY], columns[VALUE].value_or(Bytes()), *xt};
  return Found::WHOLE;
}

// Measures the records of a bulk, which must all be for one database.
Found measure(Bytes input, Request* request, size_t* need) {
  const size_t header = request->kind == Kind::SET ? SET_HEAD : KEY_HEAD;
  size_t at = HEAD;
  for (uint32_t left = request->count; left > 0; left--) {
    *need = at + left * header;  // in 64 bits, which that fits into
    if (input.size() < *need) return Found::MORE;
    const char* record = input.data() + at;
    const uint32_t key_size = load32(record + 2);
    const uint32_t value_size = request->kind == Kind::SET ? load32(record + 6) : 0;
    if (key_size > LARGEST || value_size > LARGEST) return Found::OTHER;
    if (left == request->count) request->database = load16(record);
    if (request->database != load16(record)) return Found::OTHER;
    at += header + key_size + value_size;
  }
  *need = request->size = at;
  return input.size() < at ? Found::MORE : Found::WHOLE;
}

}  // namespace

Found read_request(Bytes input, const std::vector<Database>& databases, Request* request,
                   size_t* need) {
  const uint8_t magic = static_cast<uint8_t>(input.front());
  if (magic == SET_BULK) {
    request->kind = Kind::SET;
  } else if (magic == REMOVE_BULK) {
    request->kind = Kind::REMOVE;
  } else if (magic == GET_BULK) {
    request->kind = Kind::GET;
  } else {
    return read_call(input, databases, request);
  }
  *need = HEAD;
  if (input.size() < HEAD) return Found::MORE;
  request->http = false;
  request->silent = (load32(input.data() + 1) & NO_REPLY) != 0 && request->kind != Kind::GET;
  request->count = load32(input.data() + 5);
  const Found found = measure(input, request, need);
  if (found != Found::WHOLE) return found;
  const bool served = request->count == 0 || serves(databases, request->database, request->kind);
  return served ? Found::WHOLE : Found::OTHER;
}

Bytes records_of(Bytes request) { return request.substr(HEAD); }

Record take_record(Kind kind, Bytes* rest) {
  const char* at = rest->data();
  const size_t key_size = load32(at + 2);
  if (kind != Kind::SET) {
    rest->remove_prefix(KEY_HEAD + key_size);
    return {Bytes(at + KEY_HEAD, key_size), {}, NEVER};
  }
  const size_t value_size = load32(at + 6);
  rest->remove_prefix(SET_HEAD + key_size + value_size);
  return {Bytes(at + SET_HEAD, key_size), Bytes(at + SET_HEAD + key_size, value_size),
          static_cast<int64_t>(load64(at + 10))};
}

}  // namespace kt::relay
