# RPC messages and HTTP requests.

from kt.wire import http as _http

cdef object RpcReply = _columns.RpcReply
cdef object HttpRequest = _http.HttpRequest
cdef Py_ssize_t REPLY_PLAIN_MAX = _columns.REPLY_PLAIN_MAX
cdef Py_ssize_t LINE_MAX = _http.LINE_MAX
cdef Py_ssize_t HEAD_MAX = _http.HEAD_MAX
cdef Py_ssize_t BODY_MAX = _http.BODY_MAX
cdef object BODILESS = _http.BODILESS

cdef enum:
    LENGTH_DIGITS = 9  # most digits of a Content-Length that is read here


# -------------------------------------------------------------------------------------- packing


cdef int put(Output output, bytes text) except -1:
    cdef View seen
    view(text, &seen)
    put_view(output.extend(seen.size), &seen)
    return 0


cdef int put_number(Output output, Py_ssize_t number) except -1:
    cdef char[20] digits
    cdef int at = 20
    while True:
        at -= 1
        digits[at] = <char> (c'0' + number % 10)
        number //= 10
        if number == 0:
            break
    memcpy(output.extend(20 - at), &digits[at], 20 - at)
    return 0


cdef int put_type(Output output, char letter) except -1:
    put(output, b"Content-Type: text/tab-separated-values")
    if letter:
        put(output, b"; colenc=")
        output.extend(1)[0] = letter
    put(output, b"\r\n")
    return 0


cdef bint in_order(Output body) noexcept:
    # True if each line is no less than the one before.
    cdef const char* at = body.begin
    cdef const char* end = at + body.size
    cdef const char* next
    cdef View before = View(at, 0)
    cdef int difference
    while at < end:
        next = <const char*> memchr(at, c'\n', end - at) + 1
        difference = memcmp(before.data, at, min(before.size, next - at))
        if difference > 0 or (difference == 0 and before.size > next - at):
            return False
        before = View(at, next - at)
        at = next
    return True


cdef int put_body(Output output, char letter, Output body, bint ordered) except -1:
    # The headers that tell what the body is, and the body, its lines in order if asked for.
    put(output, b"Content-Length: ")
    put_number(output, body.size)
    put(output, b"\r\n")
    put_type(output, letter)
    put(output, b"\r\n")
    if ordered and not in_order(body):
        put(output, b"".join(sorted(body.finish().splitlines(keepends=True))))
    else:
        memcpy(output.extend(body.size), body.begin, body.size)
    return 0


cdef bint is_token(View* name) noexcept:
    # True if a procedure or a header may have this name.
    cdef Py_ssize_t i
    for i in range(name.size):
        if not KIND[<uint8_t> name.data[i]] & TOKEN:
            return False
    return name.size > 0


def pack_rpc(str procedure, columns):
    cdef View name
    owner = view_key(procedure, &name)
    if not is_token(&name):
        raise faults.not_a_procedure(procedure)
    cdef Fields fields = Fields(columns)
    cdef char letter = fields.choose_encoding(ANY_LENGTH)
    cdef Output body = fields.encode(letter)
    cdef Output output = Output(256 + body.size)
    put(output, b"POST /rpc/")
    put_view(output.extend(name.size), &name)
    put(output, b" HTTP/1.1\r\nHost:\r\n")
    put_body(output, letter, body, False)
    return output.finish()


def pack_rpc_reply(status, columns, *, bint keep_alive=True, bytes stamp=b"", bint bodiless=False):
    cdef Fields fields = Fields(columns)
    cdef char letter = fields.choose_encoding(REPLY_PLAIN_MAX)
    cdef Output body = fields.encode(letter)
    cdef Output output = Output(256 + len(stamp) + body.size)
    put(output, b"HTTP/1.1 ")
    put_number(output, status)
    put(output, b" ")
    put(output, _http.status_name(status))
    put(output, b"\r\n")
    put(output, stamp)
    if not keep_alive:
        put(output, b"Connection: close\r\n")
    if bodiless:
        put_type(output, letter)
        put(output, b"\r\n")
    else:
        put_body(output, letter, body, fields.count > 2)
    return output.finish()


# ----------------------------------------------------------------------------------------- heads


cdef inline bint begins(View* line, const char* text, Py_ssize_t size) noexcept:
    # True if the line begins with `text`, which is then taken off.
    if line.size < size or memcmp(line.data, text, size) != 0:
        return False
    line.data += size
    line.size -= size
    return True


cdef inline bint next_line(const char** at, const char* end, View* line) noexcept:
    # A line that ends with CR LF and has no other CR; False if there is none.
    cdef const char* lf = <const char*> memchr(at[0], c'\n', end - at[0])
    if lf is NULL or lf == at[0] or (lf - 1)[0] != c'\r':
        return False
    line.data = at[0]
    line.size = lf - 1 - at[0]
    at[0] = lf + 1
    return memchr(line.data, c'\r', line.size) is NULL


cdef Py_ssize_t take_length(View* digits) noexcept:
    # The decimal number that is the whole view; -1 if it is none, or long.
    cdef Py_ssize_t length = 0
    cdef Py_ssize_t i
    if not 0 < digits.size <= LENGTH_DIGITS:
        return -1
    for i in range(digits.size):
        if not c'0' <= digits.data[i] <= c'9':
            return -1
        length = 10 * length + (digits.data[i] - c'0')
    return length


cdef struct ReplyHead:
    long status
    Py_ssize_t length
    char letter


cdef bint read_reply_head(const char** at, const char* end, ReplyHead* head) noexcept:
    # True if this is the head of a reply with columns, with the headers that the servers send.
    cdef View line
    head.length = -1
    head.letter = -1
    if not next_line(at, end, &line) or not begins(&line, b"HTTP/1.1 ", 9) or line.size < 4:
        return False
    if line.data[3] != c' ':
        return False
    line.size = 3
    head.status = take_length(&line)
    while next_line(at, end, &line):
        if line.size == 0:
            return head.status >= 100 and head.length >= 0 and head.letter >= 0
        if begins(&line, b"Content-Length: ", 16) and head.length < 0:
            head.length = take_length(&line)
            if head.length < 0:
                return False
        elif begins(&line, b"Content-Type: text/tab-separated-values", 39) and head.letter < 0:
            head.letter = 0
            if line.size == 10 and begins(&line, b"; colenc=", 9):
                head.letter = line.data[0]
            elif line.size:
                return False
            if head.letter not in (0, c'B', c'Q', c'U'):
                return False
        elif not begins(&line, b"Server: ", 8) and not begins(&line, b"Date: ", 6):
            return False
    return False


def read_rpc_reply(data, Py_ssize_t pos):
    cdef Py_ssize_t size, offset
    cdef ReplyHead head
    cdef const char* begin = <const char*> buffer_at(data, pos, &size)
    cdef const char* at = begin
    if not read_reply_head(&at, begin + size, &head):
        return _columns.read_any_rpc_reply(data, pos)
    offset = at - begin
    if size - offset < head.length:
        return Incomplete(offset + head.length, read_rpc_reply)
    body = PyBytes_FromStringAndSize(at, head.length)
    reply = RpcReply(head.status, body, encoding_of(head.letter), True)
    return reply, pos + offset + head.length


cdef struct RequestHead:
    View method
    View target
    View version
    bint keep_alive
    Py_ssize_t length


cdef bint read_request_line(const char** at, const char* end, RequestHead* head) noexcept:
    # True if the request line is as it should be.
    cdef View line
    cdef const char* space
    if not next_line(at, end, &line) or line.size > LINE_MAX or memchr(line.data, 0, line.size):
        return False
    space = <const char*> memchr(line.data, c' ', line.size)
    if space is NULL:
        return False
    head.method = View(line.data, space - line.data)
    begins(&line, line.data, space + 1 - line.data)
    space = <const char*> memchr(line.data, c' ', line.size)
    if space is NULL or space == line.data or line.data[0] == c'?':
        return False
    head.target = View(line.data, space - line.data)
    begins(&line, line.data, space + 1 - line.data)
    head.version = line
    if line.size != 8 or memcmp(line.data, b"HTTP/1.", 7) != 0:
        return False
    head.keep_alive = line.data[7] == c'1'
    return line.data[7] in (c'0', c'1')


cdef bytes header_name(View* line):
    # The name of a header in lower case, taken off the line with its colon; None if it is odd.
    cdef const char* colon = <const char*> memchr(line.data, c':', line.size)
    cdef View seen
    cdef Py_ssize_t size = 0 if colon is NULL else colon - line.data
    cdef Py_ssize_t i
    cdef char* to
    seen = View(line.data, size)
    if not is_token(&seen) or memchr(line.data, 0, line.size):
        return None
    name = PyBytes_FromStringAndSize(NULL, size)
    to = PyBytes_AS_STRING(name)
    for i in range(size):
        to[i] = line.data[i]
        if c'A' <= to[i] <= c'Z':
            to[i] += c'a' - c'A'
    line.data += size + 1
    line.size -= size + 1
    while line.size and line.data[0] == c' ':
        line.data += 1
        line.size -= 1
    return name


cdef dict read_headers(const char** at, const char* end, RequestHead* head):
    # The headers up to the empty line; None if any is missing or odd.
    cdef View line
    cdef dict headers = {}
    head.length = -1
    while next_line(at, end, &line):
        if line.size == 0:
            return headers
        name = header_name(&line)
        if name is None:
            return None
        value = PyBytes_FromStringAndSize(line.data, line.size)
        headers[name] = value
        if name == b"content-length":
            head.length = take_length(&line)
            if head.length < 0:
                return None
        elif name == b"connection":
            value = value.lower()
            head.keep_alive = value == b"keep-alive" or head.keep_alive and value != b"close"
        elif name == b"transfer-encoding":
            return None
    return None


def read_http_request(data, Py_ssize_t pos):
    cdef Py_ssize_t size, offset
    cdef RequestHead head
    cdef const char* begin = <const char*> buffer_at(data, pos, &size)
    cdef const char* at = begin
    headers = read_headers(&at, begin + size, &head) if (
        read_request_line(&at, begin + size, &head)
    ) else None
    if headers is None:
        return _http.read_http_request(data, pos)
    method = PyBytes_FromStringAndSize(head.method.data, head.method.size)
    offset = at - begin
    if head.length < 0 or method in BODILESS:
        head.length = 0
    if offset > HEAD_MAX or head.length > min(BODY_MAX, size - offset):
        return _http.read_http_request(data, pos)
    request = HttpRequest(
        method,
        PyBytes_FromStringAndSize(head.target.data, head.target.size),
        PyBytes_FromStringAndSize(head.version.data, head.version.size),
        headers,
        PyBytes_FromStringAndSize(at, head.length),
        head.keep_alive,
    )
    return request, pos + offset + head.length
