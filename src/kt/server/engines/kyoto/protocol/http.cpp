// The procedures that plain calls may name, and GET of a record.

#include "kyoto/protocol/http.h"

#include <cstdio>
#include <ctime>

#include "kyoto/protocol/operations.h"

namespace kt {

namespace {

// What an operation came to; nothing if the request is not plain.
using Outcome = std::optional<Error>;

// What a call counts as.
struct Kind {
  uint64_t Counts::*total;
  uint64_t Counts::*misses;
};

constexpr Kind SET = {&Counts::set, &Counts::set_misses};
constexpr Kind REMOVE = {&Counts::remove, &Counts::remove_misses};
constexpr Kind GET = {&Counts::get, &Counts::get_misses};

void put_column(std::string* body, Bytes name, Bytes value) {
  body->append(name).append(1, '\t').append(value).append(1, '\n');
}

void put_expiry(std::string* body, int64_t xt) {
  if (xt < XT_MAX) put_column(body, "xt", std::to_string(xt));
}

Outcome run_get(Database& database, const Columns& columns, std::string* body) {
  std::string value;
  int64_t xt = XT_MAX;
  const Error error = get(database, *columns[KEY], &value, &xt);
  if (!is_plain_field(value)) return {};
  put_column(body, "value", value);
  put_expiry(body, xt);
  return error;
}

Outcome run_check(Database& database, const Columns& columns, std::string* body) {
  int64_t size = 0;
  int64_t xt = XT_MAX;
  const Error error = check(database, *columns[KEY], &size, &xt);
  put_column(body, "vsiz", std::to_string(size));
  put_expiry(body, xt);
  return error;
}

Outcome run_remove(Database& database, const Columns& columns, std::string*) {
  return remove(database, *columns[KEY]);
}

template <Store how>
Outcome run_store(Database& database, const Columns& columns, std::string*) {
  const auto xt = columns[XT] ? plain_number(*columns[XT]) : NEVER;
  if (!columns[VALUE] || !xt) return {};
  return store(database, how, *columns[KEY], *columns[VALUE], *xt);
}

Outcome run_increment(Database& database, const Columns& columns, std::string* body) {
  const auto xt = columns[XT] ? plain_number(*columns[XT]) : NEVER;
  const auto origin = columns[ORIG] ? plain_number(*columns[ORIG]) : 0;
  auto number = columns[NUM] ? plain_number(*columns[NUM]) : std::nullopt;
  if (!xt || !origin || !number) return {};
  const Error error = increment(database, *columns[KEY], &*number, *origin, *xt);
  put_column(body, "num", std::to_string(*number));
  return error;
}

Outcome run_cas(Database& database, const Columns& columns, std::string*) {
  const auto xt = columns[XT] ? plain_number(*columns[XT]) : NEVER;
  if (!xt) return {};
  return compare_and_swap(database, *columns[KEY], columns[OVAL], columns[NVAL], *xt);
}

struct Procedure {
  Bytes name;
  Outcome (*run)(Database&, const Columns&, std::string* body);
  Kind kind;
  Command command;
};

constexpr Procedure PROCEDURES[] = {
    {"get", run_get, GET, RPC_GET},
    {"check", run_check, GET, RPC_CHECK},
    {"set", run_store<Store::SET>, SET, RPC_SET},
    {"add", run_store<Store::ADD>, SET, RPC_ADD},
    {"replace", run_store<Store::REPLACE>, SET, RPC_REPLACE},
    {"append", run_store<Store::APPEND>, SET, RPC_APPEND},
    {"increment", run_increment, SET, RPC_INCREMENT},
    {"cas", run_cas, SET, RPC_CAS},
    {"remove", run_remove, REMOVE, RPC_REMOVE},
};

const Procedure* find_procedure(Bytes name) {
  for (const Procedure& procedure : PROCEDURES) {
    if (procedure.name == name) return &procedure;
  }
  return nullptr;
}

// Whether the record, and not the engine, is the reason for a failure.
bool is_logical(const Error& error) {
  return error.code() == Error::DUPREC || error.code() == Error::NOREC ||
         error.code() == Error::LOGIC;
}

std::string words(const Error& error) {
  return "DB: " + std::to_string(error.code()) + ": " + error.name() + ": " + error.message();
}

// `Fri, 01 Jan 2100 00:00:00 GMT`, whatever the locale.
std::string http_date(int64_t seconds) {
  static constexpr char DAYS[] = "SunMonTueWedThuFriSat";
  static constexpr char MONTHS[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  const std::time_t time = seconds;
  std::tm date{};
  gmtime_r(&time, &date);
  char text[64];
  std::snprintf(text, sizeof(text), "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
                DAYS + 3 * date.tm_wday, date.tm_mday, MONTHS + 3 * date.tm_mon,
                date.tm_year + 1900, date.tm_hour, date.tm_min, date.tm_sec);
  return text;
}

// `headers` are lines, ready to send.
void put_reply(Buffer* reply, Bytes status, Bytes stamp, Bytes headers, Bytes body) {
  const std::string size = "Content-Length: " + std::to_string(body.size()) + "\r\n";
  for (Bytes part : {Bytes("HTTP/1.1 "), status, Bytes("\r\n"), stamp, Bytes(size), headers,
                     Bytes("\r\n"), body}) {
    reply->append(part.data(), part.size());
  }
}

void count(Counts* counts, Command command, const Kind& kind, bool missed) {
  counts->answer(command);
  counts->*kind.total += 1;
  counts->*kind.misses += missed;
}

bool serve_call(const PlainRequest& request, Database& database, Bytes stamp, Buffer* reply,
                Counts* counts) {
  const Procedure* procedure = find_procedure(request.procedure);
  if (procedure == nullptr || !request.columns[KEY]) return false;
  std::string body;
  const Outcome error = procedure->run(database, request.columns, &body);
  if (!error || (failed(*error) && !is_logical(*error))) return false;
  if (failed(*error)) {
    body.clear();
    put_column(&body, "ERROR", words(*error));
  }
  count(counts, procedure->command, procedure->kind, failed(*error));
  put_reply(reply, failed(*error) ? "450 Logical Inconsistency" : "200 OK", stamp,
            "Content-Type: text/tab-separated-values\r\n", body);
  return true;
}

bool serve_record(Bytes key, Database& database, Bytes stamp, Buffer* reply, Counts* counts) {
  std::string value;
  int64_t xt = XT_MAX;
  const Error error = get(database, key, &value, &xt);
  if (failed(error) && error.code() != Error::NOREC) return false;
  count(counts, REST_GET, GET, failed(error));
  if (failed(error)) {
    put_reply(reply, "404 Not Found", stamp, "X-Kt-Error: " + words(error) + "\r\n", "");
  } else {
    const std::string expiry = xt < XT_MAX ? "X-Kt-Xt: " + http_date(xt) + "\r\n" : "";
    put_reply(reply, "200 OK", stamp, expiry, value);
  }
  return true;
}

}  // namespace

bool serve_plain_request(const PlainRequest& request, const std::vector<Database*>& databases,
                         Bytes stamp, Buffer* reply, Counts* counts) {
  const auto& number = request.columns[DB];
  if (number && number->substr(0, 1) == "-") return false;  // that would be a name
  const auto index = number ? plain_number(*number) : 0;
  if (!index || static_cast<size_t>(*index) >= databases.size()) return false;
  Database& database = *databases[*index];
  if (request.procedure.empty()) {
    return serve_record(*request.columns[KEY], database, stamp, reply, counts);
  }
  return serve_call(request, database, stamp, reply, counts);
}

}  // namespace kt
