// Reading plain HTTP requests.

#include "kyoto/protocol/http_request.h"

#include <algorithm>

namespace kt {

namespace {

// Much shorter than what is allowed; longer requests have more to do anyway.
constexpr size_t HEAD_AT_MOST = 4096;
constexpr int64_t BODY_AT_MOST = 64 << 10;
constexpr size_t DIGITS_AT_MOST = 18;
constexpr size_t PLAIN_AT_MOST = 255;  // bytes of a field; the original encodes longer ones

constexpr Bytes CALL = "POST /rpc/";
constexpr Bytes GET = "GET /";
constexpr Bytes VERSION = " HTTP/1.1";
constexpr Bytes TSV = "text/tab-separated-values";

constexpr std::array<Bytes, COLUMNS> NAMES = {"DB",   "key", "value", "num",
                                              "orig", "xt",  "oval",  "nval"};

bool starts_with(Bytes text, Bytes prefix) { return text.substr(0, prefix.size()) == prefix; }

bool contains(Bytes text, char byte) { return text.find(byte) != Bytes::npos; }

// ASCII only; `word` is in lower case.
bool equals_ignoring_case(Bytes text, Bytes word) {
  return std::equal(text.begin(), text.end(), word.begin(), word.end(), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? a + ('a' - 'A') : a) == b;
  });
}

bool is_token(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

// Whether it stands for itself in the path of a URL, and not between a database and a key.
bool is_plain_in_path(char c) {
  return c > ' ' && c < 0x7F && c != '%' && c != '+' && c != '?' && c != '/';
}

// Takes a line of the head off `input`.
bool take_line(Bytes* input, Bytes* line) {
  const size_t end = input->find('\n');
  if (end == Bytes::npos || end == 0 || (*input)[end - 1] != '\r') return false;
  *line = input->substr(0, end - 1);
  input->remove_prefix(end + 1);
  return !contains(*line, '\r') && !contains(*line, '\0');
}

bool read_request_line(Bytes line, PlainRequest* request) {
  if (line.size() < VERSION.size()) return false;
  const Bytes target = line.substr(0, line.size() - VERSION.size());
  if (line.substr(target.size()) != VERSION) return false;
  if (starts_with(target, CALL)) {
    request->procedure = target.substr(CALL.size());
    return std::all_of(request->procedure.begin(), request->procedure.end(), is_token) &&
           !request->procedure.empty();
  }
  if (!starts_with(target, GET)) return false;
  const Bytes key = target.substr(GET.size());
  request->columns[KEY] = key;
  return std::all_of(key.begin(), key.end(), is_plain_in_path) && !key.empty();
}

// What the headers say about the body.
struct Body {
  int64_t size = -1;
  bool has_columns = false;
};

bool read_header(Bytes line, Body* body) {
  const size_t colon = line.find(':');
  if (colon == Bytes::npos || colon == 0) return false;
  const Bytes name = line.substr(0, colon);
  if (!std::all_of(name.begin(), name.end(), is_token)) return false;
  const Bytes value = line.substr(std::min(line.find_first_not_of(' ', colon + 1), line.size()));
  if (equals_ignoring_case(name, "content-length")) {
    const std::optional<int64_t> size = plain_number(value);
    if (!size || *size < 0 || *size > BODY_AT_MOST || body->size >= 0) return false;
    body->size = *size;
  } else if (equals_ignoring_case(name, "content-type")) {
    body->has_columns = value == TSV;
    return body->has_columns;
  } else if (equals_ignoring_case(name, "connection")) {
    return equals_ignoring_case(value, "keep-alive");
  }
  return !equals_ignoring_case(name, "transfer-encoding") && !equals_ignoring_case(name, "expect");
}

bool read_column(Bytes line, Columns* columns) {
  const size_t tab = line.find('\t');
  if (tab == Bytes::npos) return false;
  const auto name = std::find(NAMES.begin(), NAMES.end(), line.substr(0, tab));
  if (name == NAMES.end()) return false;
  (*columns)[name - NAMES.begin()] = line.substr(tab + 1);  // the last of equal names counts
  return true;
}

bool read_columns(Bytes body, Columns* columns) {
  while (!body.empty()) {
    Bytes line = body.substr(0, body.find('\n'));
    body.remove_prefix(std::min(line.size() + 1, body.size()));
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (!line.empty() && !read_column(line, columns)) return false;
  }
  return true;
}

}  // namespace

std::optional<PlainRequest> read_plain_request(Bytes input) {
  PlainRequest request{};
  Body body;
  Bytes rest = input.substr(0, HEAD_AT_MOST);
  Bytes line;
  if (!take_line(&rest, &line) || !read_request_line(line, &request)) return {};
  do {
    if (!take_line(&rest, &line)) return {};
  } while (!line.empty() && read_header(line, &body));
  if (!line.empty()) return {};
  const size_t head = std::min(input.size(), HEAD_AT_MOST) - rest.size();
  const bool is_call = !request.procedure.empty();
  if (is_call != (body.size >= 0) || is_call != body.has_columns) return {};
  request.size = head + (is_call ? static_cast<size_t>(body.size) : 0);
  if (request.size > input.size()) return {};
  const Bytes columns = input.substr(head, request.size - head);
  if (!read_columns(columns, &request.columns)) return {};
  return request;
}

std::optional<int64_t> plain_number(Bytes digits) {
  const bool negative = !digits.empty() && digits.front() == '-';
  if (negative) digits.remove_prefix(1);
  if (digits.empty() || digits.size() > DIGITS_AT_MOST) return {};
  int64_t number = 0;
  for (char digit : digits) {
    if (digit < '0' || digit > '9') return {};
    number = 10 * number + (digit - '0');
  }
  return negative ? -number : number;
}

bool is_plain_field(Bytes field) {
  const auto is_plain = [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7F; };
  return field.size() <= PLAIN_AT_MOST && std::all_of(field.begin(), field.end(), is_plain);
}

}  // namespace kt
