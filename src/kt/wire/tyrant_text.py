"""How Tokyo Tyrant's server reads HTTP.

::

    METHOD TARGET HTTP/1.x CR LF  header lines  CR LF  body

The first line is read as one of memcached's (`kt.wire.memcached`): its third word tells. The
original server reads leniently, and clients rely on it: a header's name ends exactly at its colon,
and only PUT and POST have a body, of as many bytes as Content-Length says.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Final

from kt.wire import faults
from kt.wire.http import HttpRequest, parse_number
from kt.wire.magic import SIZE_MAX
from kt.wire.reading import Buffer, Cutting, Incomplete, cut

HEAD_MAX: Final = 2**16
"""Longest headers of an HTTP request, in bytes."""

_NO_HEADERS = re.compile(rb"\r?\n")
_BLANK_LINE = re.compile(rb"\n\r?\n")
_WITH_BODY = frozenset((b"PUT", b"POST"))


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
