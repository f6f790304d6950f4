"""What Tokyo Tyrant's server reads as text: the commands of memcached, and HTTP.

::

    set KEY FLAGS EXPIRY SIZE [noreply] CR LF  data[SIZE] CR LF         memcached, with data
    get KEY ... CR LF                                                   without
    METHOD TARGET HTTP/1.x CR LF  header lines  CR LF  body             HTTP: a third word tells

The original server reads both leniently, and clients rely on it: a carriage return in a line counts
for nothing, words are parted by any spaces and tabs, a header's name ends exactly at its colon, and
only PUT and POST have a body, of as many bytes as Content-Length says.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Final

from kt.wire import faults
from kt.wire.http import HttpRequest, parse_number
from kt.wire.magic import SIZE_MAX
from kt.wire.reading import Buffer, Cutting, Incomplete, cut

LINE_MAX: Final = 2**24
"""Longest line of a command, in bytes."""
HEAD_MAX: Final = 2**16
"""Longest headers of an HTTP request, in bytes."""

_WORDS = re.compile(rb"[^ \t]+")
_NO_HEADERS = re.compile(rb"\r?\n")
_BLANK_LINE = re.compile(rb"\n\r?\n")
_WITH_BODY = frozenset((b"PUT", b"POST"))


def read_words(data: Buffer, pos: int) -> tuple[list[bytes], int] | Incomplete[list[bytes]]:
    """The words of a line."""
    return _read_words(0, data, pos)


def _read_words(
    scanned: int, data: Buffer, pos: int
) -> tuple[list[bytes], int] | Incomplete[list[bytes]]:
    end = data.find(b"\n", pos + scanned)
    size = (len(data) if end < 0 else end) - pos
    if size > LINE_MAX:
        raise faults.impossible_size(size)
    if end < 0:
        return Incomplete(size + 1, partial(_read_words, size))
    line = bytes(data[pos:end]).replace(b"\r", b"").partition(b"\0")[0]
    return _WORDS.findall(line), end + 1


def read_data(
    size: int, data: Buffer, pos: int
) -> tuple[bytes | None, int] | Incomplete[bytes | None]:
    """The data of a memcached command, without the line's end; None if that is not there."""
    if size > SIZE_MAX:
        raise faults.impossible_size(size)
    end = pos + size
    if data[end : end + 1] not in (b"", b"\r"):
        return None, end + 1
    if len(data) < end + 2:
        need = size + 1 if len(data) <= end else size + 2
        return Cutting(need, partial(read_data, size))
    if data[end + 1 : end + 2] != b"\n":
        return None, end + 2
    return cut(data, pos, end), end + 2


def is_http(words: list[bytes]) -> bool:
    """Whether a line begins an HTTP request."""
    return len(words) > 2 and words[2].startswith(b"HTTP/1.")


def read_http_rest(
    words: list[bytes], data: Buffer, pos: int
) -> tuple[HttpRequest, int] | Incomplete[HttpRequest]:
    """The request whose first line had these words; `pos` is behind that line."""
    return _read_headers(words, 0, data, pos)


def _read_headers(
    words: list[bytes], scanned: int, data: Buffer, pos: int
) -> tuple[HttpRequest, int] | Incomplete[HttpRequest]:
    found = _NO_HEADERS.match(data, pos) or _BLANK_LINE.search(data, pos + scanned)
    size = (found.end() if found else len(data)) - pos
    if size > HEAD_MAX:
        raise faults.impossible_size(size)
    if found is None:
        return Incomplete(size + 1, partial(_read_headers, words, max(0, size - 2)))
    headers = _parse_headers(bytes(data[pos : pos + size]))
    method, target, version = words[:3]
    keep_alive = parse_number(version[7:]) >= 1
    if (connection := headers.get(b"connection", b"").lower()) in (b"close", b"keep-alive"):
        keep_alive = connection == b"keep-alive"
    request = HttpRequest(method, target, version, headers, b"", keep_alive)
    length = parse_number(headers.get(b"content-length", b"")) if method in _WITH_BODY else 0
    if not 0 <= length <= SIZE_MAX:
        raise faults.impossible_size(length)
    return _read_body(request, size, length, data, pos)


def _parse_headers(head: bytes) -> dict[bytes, bytes]:
    headers = {}
    for line in head.replace(b"\r", b"").split(b"\n"):
        name, colon, value = line.partition(b"\0")[0].partition(b":")
        if colon:
            headers[name.lower()] = value.lstrip(b" \t")
    return headers


def _read_body(
    request: HttpRequest, begin: int, length: int, data: Buffer, pos: int
) -> tuple[HttpRequest, int] | Incomplete[HttpRequest]:
    begin, end = pos + begin, pos + begin + length
    if len(data) < end:
        return Cutting(end - pos, partial(_read_body, request, begin - pos, length))
    return request._replace(body=cut(data, begin, end)), end
