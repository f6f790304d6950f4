"""HTTP/1.1 messages, as far as the two servers and their clients speak it.

Requests are read as leniently as the original Kyoto Tycoon server reads them, because old clients
rely on it: carriage returns are ignored, header names may be folded in white space, numbers may be
followed by junk, GET, HEAD and DELETE have no body whatever their headers say, and a body may be
chunked. What it refuses is refused alike:

===============================================  =============================================
the request                                      what happens
===============================================  =============================================
has a malformed request line                     `ProtocolError`: close without an answer
announces a body longer than BODY_MAX            `HttpRefusal` 413: answer, then close
has a chunk that does not end with CR LF         `HttpRefusal` 400
ends (end of file) within the body               the reader had returned `IncompleteBody`: 400
===============================================  =============================================

Replies are read strictly: a status line, headers with a colon, one decimal Content-Length.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from typing import Final, NamedTuple

from kt.errors import ProtocolError
from kt.wire.reading import Buffer, Cutting, Incomplete, cut

LINE_MAX: Final = 8191
"""Longest request line in bytes."""
HEAD_MAX: Final = 65536
"""Longest head (first line and headers) in bytes."""
BODY_MAX: Final = 2**28
"""Longest body of a request in bytes."""
REPLY_BODY_MAX: Final = 2**30
"""Longest body of a reply in bytes: a value of BODY_MAX bytes fits in any column encoding."""

BODILESS: Final = frozenset((b"GET", b"HEAD", b"DELETE"))
"""Methods whose requests have no body."""

_BLANK_LINE = re.compile(rb"\n\r?\n")
_NUMBER = re.compile(rb"[\x01-\x20]*([+-]?)([0-9]*)")
_HEX_NUMBER = re.compile(rb"[\x01-\x20]*(?:0[xX])?([0-9a-fA-F]*)")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: [^\r\n]*)?\r?\n")

_STATUS_NAMES: Final = {
    200: b"OK",
    201: b"Created",
    204: b"No Content",
    304: b"Not Modified",
    400: b"Bad Request",
    403: b"Forbidden",
    404: b"Not Found",
    409: b"Conflict",
    411: b"Length Required",
    413: b"Request Entity Too Large",
    450: b"Logical Inconsistency",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    503: b"Service Unavailable",
}


def status_name(status: int) -> bytes:
    """The words that go with a status."""
    return _STATUS_NAMES.get(status, b"Unknown Status")


class HttpRequest(NamedTuple):
    """A request.

    Attributes:
        method: as it was sent.
        target: path and query, as they were sent.
        version: ``b"HTTP/1.1"`` or ``b"HTTP/1.0"``.
        headers: by lower-case name; the last of equal names counts.
        body: empty if there is none.
        keep_alive: whether the client wants to go on using the connection.
    """

    method: bytes
    target: bytes
    version: bytes
    headers: dict[bytes, bytes]
    body: bytes
    keep_alive: bool


class HttpReply(NamedTuple):
    """A reply; the attributes are those of `HttpRequest`."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes
    keep_alive: bool


class HttpRefusal(ProtocolError):
    """A request that is answered with an error before the connection is closed.

    Attributes:
        status: of the answer.
        reason: why, in words.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status
        self.reason = reason


class IncompleteBody(Incomplete[HttpRequest]):
    """The head is complete: if the client sends no more, it gets an answer."""

    __slots__ = ()

    refusal = (400, "receiving data failed")


class MissingBody(IncompleteBody, Cutting[HttpRequest]):
    """Likewise, and nothing of the body has to be looked at."""

    __slots__ = ()


def parse_number(text: bytes) -> int:
    """The decimal number at the begin of `text`, as leniently as C's atoi; 0 if there is none."""
    found = _NUMBER.match(text)
    assert found is not None
    digits = found[2][:20] or b"0"
    return -int(digits) if found[1] == b"-" else int(digits)


# -------------------------------------------------------------------------------------- requests


def read_http_request(data: Buffer, pos: int) -> tuple[HttpRequest, int] | Incomplete[HttpRequest]:
    """A request. Raises `ProtocolError`, and `HttpRefusal` where the client gets an answer."""
    return _read_request_line(0, data, pos)


def _read_request_line(
    scanned: int, data: Buffer, pos: int
) -> tuple[HttpRequest, int] | Incomplete[HttpRequest]:
    end = data.find(b"\n", pos + scanned)
    size = (end if end >= 0 else len(data)) - pos
    if size > LINE_MAX:
        raise ProtocolError(f"a request line has more than {LINE_MAX} bytes")
    if end < 0:
        return Incomplete(size + 1, partial(_read_request_line, size))
    line = bytes(data[pos:end]).replace(b"\r", b"").partition(b"\0")[0]
    method, _, rest = line.partition(b" ")
    target, _, version = rest.partition(b" ")
    if version not in (b"HTTP/1.1", b"HTTP/1.0") or target[:1] in (b"", b"?"):
        raise ProtocolError(f"not a request line: {line[:80]!r}")
    return _read_headers((method, target, version), size, size, data, pos)


def _read_headers(
    request_line: tuple[bytes, bytes, bytes], begin: int, scanned: int, data: Buffer, pos: int
) -> tuple[HttpRequest, int] | Incomplete[HttpRequest]:
    found = _BLANK_LINE.search(data, pos + scanned)
    size = (found.end() if found else len(data)) - pos
    if size > HEAD_MAX:
        raise ProtocolError(f"a request's head has more than {HEAD_MAX} bytes")
    if found is None:
        scanned = max(scanned, size - 2)
        return Incomplete(size + 1, partial(_read_headers, request_line, begin, scanned))
    method, target, version = request_line
    headers = _parse_request_headers(bytes(data[pos + begin : pos + size]))
    keep_alive = version == b"HTTP/1.1"
    if connection := headers.get(b"connection", b"").lower():
        keep_alive = connection == b"keep-alive" or (keep_alive and connection != b"close")
    request = HttpRequest(method, target, version, headers, b"", keep_alive)
    if method in BODILESS:
        return request, pos + size
    length = parse_number(headers.get(b"content-length", b"-1"))
    if length >= 0:
        if length > BODY_MAX:
            raise HttpRefusal(413, "request entity too large")
        return _read_body(request, size, size + length, data, pos)
    if headers.get(b"transfer-encoding", b"").lower() == b"chunked":
        return _read_chunk(request, bytearray(), 0, size, data, pos)
    return request, pos + size


def _parse_request_headers(head: bytes) -> dict[bytes, bytes]:
    headers = {}
    for line in head.replace(b"\r", b"").split(b"\n"):
        name, colon, value = line.partition(b"\0")[0].partition(b":")
        if colon and (name := b" ".join(name.split()).lower()):
            headers[name] = value.lstrip(b" ")
    return headers


def _read_body(
    request: HttpRequest, begin: int, end: int, data: Buffer, pos: int
) -> tuple[HttpRequest, int] | Incomplete[HttpRequest]:
    if len(data) < pos + end:
        return MissingBody(end, partial(_read_body, request, begin, end))
    return request._replace(body=cut(data, pos + begin, pos + end)), pos + end


def _read_chunk(
    request: HttpRequest, body: bytearray, size: int, offset: int, data: Buffer, pos: int
) -> tuple[HttpRequest, int] | Incomplete[HttpRequest]:
    """Read on at a chunk's first byte; `size` bytes of the body are in `body`."""
    del body[size:]
    while True:
        resume = partial(_read_chunk, request, body, len(body), offset)
        begin = data.find(b"\n", pos + offset, pos + offset + LINE_MAX + 1) + 1
        if begin == 0:
            if len(data) > pos + offset + LINE_MAX:
                raise HttpRefusal(400, "invalid chunk")
            return IncompleteBody(len(data) - pos + 1, resume)
        line = bytes(data[pos + offset : begin]).replace(b"\r", b"")
        if line == b"\n":
            return request._replace(body=bytes(body)), begin
        found = _HEX_NUMBER.match(line)
        assert found is not None
        end = begin + int(found[1] or b"0", 16)
        if len(body) + end - begin > BODY_MAX or end - pos > 2 * BODY_MAX:
            raise HttpRefusal(413, "request entity too large")
        if data[end : end + 2] != b"\r\n"[: max(0, len(data) - end)]:
            raise HttpRefusal(400, "invalid chunk")
        if len(data) < end + 2:
            return IncompleteBody(max(len(data), end) + 1 - pos, resume)
        if end == begin:
            return request._replace(body=bytes(body)), end + 2
        body += data[begin:end]
        offset = end + 2 - pos


def pack_http_request(
    method: bytes,
    target: bytes,
    headers: Iterable[tuple[bytes, bytes]] = (),
    body: bytes | None = None,
) -> bytes:
    """A request with these headers; Host and Content-Length are added."""
    lines = [b"%b %b HTTP/1.1\r\nHost:\r\n" % (method, target)]
    lines += [b"%b: %b\r\n" % header for header in headers]
    if body is not None:
        lines.append(b"Content-Length: %d\r\n" % len(body))
    return b"%b\r\n%b" % (b"".join(lines), body or b"")


# --------------------------------------------------------------------------------------- replies


def read_http_reply(data: Buffer, pos: int) -> tuple[HttpReply, int] | Incomplete[HttpReply]:
    """A reply to any request except HEAD."""
    return _read_reply_head(False, 0, data, pos)


def read_http_head_reply(data: Buffer, pos: int) -> tuple[HttpReply, int] | Incomplete[HttpReply]:
    """A reply to a HEAD request: its Content-Length announces no body."""
    return _read_reply_head(True, 0, data, pos)


def _read_reply_head(
    bodiless: bool, scanned: int, data: Buffer, pos: int
) -> tuple[HttpReply, int] | Incomplete[HttpReply]:
    found = _BLANK_LINE.search(data, pos + scanned)
    size = (found.end() if found else len(data)) - pos
    begin = b"HTTP/1."[: size if found is None else None]
    if data[pos : pos + len(begin)] != begin or size > HEAD_MAX:
        raise ProtocolError(f"not the head of an HTTP reply: {bytes(data[pos : pos + 40])!r}")
    if found is None:
        scanned = max(scanned, size - 2)
        return Incomplete(size + 1, partial(_read_reply_head, bodiless, scanned))
    head = bytes(data[pos : pos + size])
    status_line = _STATUS_LINE.match(head)
    if status_line is None:
        raise ProtocolError(f"not a status line: {head[:80]!r}")
    headers = _parse_reply_headers(head[status_line.end() :])
    keep_alive = status_line[1] == b"1"
    if connection := headers.get(b"connection", b"").lower():
        keep_alive = connection == b"keep-alive" or (keep_alive and connection != b"close")
    reply = HttpReply(int(status_line[2]), headers, b"", keep_alive)
    if bodiless or reply.status in (204, 304):
        return reply, pos + size
    return _read_reply_body(reply, size, size + _reply_length(headers), data, pos)


def _parse_reply_headers(head: bytes) -> dict[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    for line in head.splitlines():
        if not line:
            break
        name, colon, value = line.partition(b":")
        name = name.lower()
        if not colon or not name or name != name.strip():
            raise ProtocolError(f"not a header: {line[:80]!r}")
        value = value.strip()
        if name == b"content-length" and headers.get(name, value) != value:
            raise ProtocolError("an HTTP reply has two lengths")
        headers[name] = value
    return headers


def _reply_length(headers: dict[bytes, bytes]) -> int:
    text = headers.get(b"content-length")
    if text is None or b"transfer-encoding" in headers:
        raise ProtocolError("an HTTP reply does not say how long its body is")
    if not text.isdigit() or len(text) > 18 or int(text) > REPLY_BODY_MAX:
        raise ProtocolError(f"an HTTP reply has a body of {text[:40]!r} bytes")
    return int(text)


def _read_reply_body(
    reply: HttpReply, begin: int, end: int, data: Buffer, pos: int
) -> tuple[HttpReply, int] | Incomplete[HttpReply]:
    if len(data) < pos + end:
        return Incomplete(end, partial(_read_reply_body, reply, begin, end))
    return reply._replace(body=bytes(data[pos + begin : pos + end])), pos + end


def pack_http_reply(
    status: int,
    headers: Iterable[tuple[bytes, bytes]] = (),
    body: bytes | None = b"",
    *,
    keep_alive: bool = True,
    stamp: bytes = b"",
) -> bytes:
    """A reply with these headers; Connection and Content-Length are added.

    Args:
        body: None for the reply to HEAD, which has neither body nor, unless it is in `headers`,
            Content-Length.
        stamp: header lines to begin with, ready to send (Server and Date).
    """
    lines = [b"HTTP/1.1 %d %b\r\n%b" % (status, status_name(status), stamp)]
    if not keep_alive:
        lines.append(b"Connection: close\r\n")
    if body is not None:
        lines.append(b"Content-Length: %d\r\n" % len(body))
    lines += [b"%b: %b\r\n" % header for header in headers]
    return b"%b\r\n%b" % (b"".join(lines), body or b"")


def pack_http_refusal(status: int, reason: str, stamp: bytes = b"") -> bytes:
    """What a client gets whose request is refused before anything looks at it."""
    body = b"%d %b (%b)\n" % (status, status_name(status), reason.encode())
    headers = [(b"Content-Type", b"text/plain")]
    return pack_http_reply(status, headers, body, keep_alive=False, stamp=stamp)
