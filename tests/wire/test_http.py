"""HTTP requests are read as leniently as the original reads them, replies strictly."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kt.errors import ProtocolError
from kt.wire import http
from kt.wire.http import HttpRefusal, HttpReply, HttpRequest, IncompleteBody
from kt.wire.reading import Incomplete

from .feeding import feed, read, read_all_ways
from .implementations import Wire

TOKEN = st.from_regex(rb"[a-z][a-z0-9-]{0,8}", fullmatch=True)
TARGET = st.from_regex(rb"/[!-~]{0,20}", fullmatch=True)
VALUE = st.from_regex(rb"([!-~]([ -~]{0,10}[!-~])?)?", fullmatch=True)
BODY = st.binary(max_size=40)
STEP = st.integers(1, 7)
SPECIAL = (b"connection", b"content-length", b"transfer-encoding", b"host")
HEADERS = st.dictionaries(TOKEN.filter(lambda name: name not in SPECIAL), VALUE, max_size=5)


def read_request(wire: Wire, message: bytes, step: int = 1) -> HttpRequest:
    """The request in `message`, however it arrives."""
    reader = wire.tycoon_rpc.read_http_request
    value, end = reader(message, 0)
    assert end == len(message)
    assert feed(reader, message, step, exact=False) == (value, end)
    assert reader(b"xy" + message + b"GET", 2) == (value, end + 2)
    assert isinstance(value, HttpRequest)
    return value


# ------------------------------------------------------------------------------------- requests


@given(
    method=st.sampled_from([b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"x"]),
    target=TARGET,
    headers=HEADERS,
    body=st.none() | BODY,
    step=STEP,
)
def test_a_request_is_read_as_packed(
    wire: Wire,
    method: bytes,
    target: bytes,
    headers: dict[bytes, bytes],
    body: bytes | None,
    step: int,
) -> None:
    if method in http.BODILESS:
        body = None
    if target[1:2] == b"?":
        target = b"/a" + target[1:]
    message = wire.tycoon_rpc.pack_http_request(method, target, headers.items(), body)
    request = read_request(wire, message, step)
    length = {} if body is None else {b"content-length": b"%d" % len(body)}
    assert request == (
        method,
        target,
        b"HTTP/1.1",
        {b"host": b"", **headers, **length},
        body or b"",
        True,
    )


@pytest.mark.parametrize(
    ("head", "headers"),
    [
        (b"GET / HTTP/1.1\n\n", {}),
        (b"GET / HTTP/1.1\r\n\n", {}),
        (b"G\rET / HTTP\r/1.1\r\r\n\r\n", {}),
        (b"GET / HTTP/1.1\0 junk\r\n\r\n", {}),
        (b"GET / HTTP/1.1\r\nHost:x\r\n\r\n", {b"host": b"x"}),
        (b"GET / HTTP/1.1\r\nA:B\r\nA:   C \r\n folded\r\n\r\n", {b"a": b"C "}),
        (b"GET / HTTP/1.1\r\n\t X  -\tY : z\r\n\r\n", {b"x - y": b"z"}),
        (b"GET / HTTP/1.1\r\nA: b\0c\r\nD\0: e\r\n\r\n", {b"a": b"b"}),
        (b"GET / HTTP/1.1\r\nno colon\r\n: empty name\r\n \t: blank\r\n\r\n", {}),
        (b"GET / HTTP/1.1\nA: b\r\r\nC: \td\n\r\n", {b"a": b"b", b"c": b"\td"}),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * 9000 + b"\r\n\r\n", {b"a": b"x" * 9000}),
        (b"GET / HTTP/1.1\r\nCaf\xc3\xa9: \xff\r\n\r\n", {b"caf\xc3\xa9": b"\xff"}),
    ],
)
def test_headers_are_read_leniently(wire: Wire, head: bytes, headers: dict[bytes, bytes]) -> None:
    assert read_request(wire, head, 7) == (b"GET", b"/", b"HTTP/1.1", headers, b"", True)


@pytest.mark.parametrize(
    ("version", "connection", "keep_alive"),
    [
        (b"1.1", None, True),
        (b"1.0", None, False),
        (b"1.1", b"Close", False),
        (b"1.0", b"Keep-Alive", True),
        (b"1.1", b"upgrade", True),
        (b"1.0", b"upgrade", False),
        (b"1.0", b"", False),
    ],
)
def test_keep_alive(wire: Wire, version: bytes, connection: bytes | None, keep_alive: bool) -> None:
    header = b"" if connection is None else b"Connection: " + connection + b"\r\n"
    request = read_request(wire, b"GET / HTTP/" + version + b"\r\n" + header + b"\r\n")
    assert (request.version, request.keep_alive) == (b"HTTP/" + version, keep_alive)


@pytest.mark.parametrize(
    ("header", "body"),
    [
        (b"", b""),
        (b"Content-Length: 3\r\n", b"abc"),
        (b"Content-Length: 3\r\nA: b\r\n", b"abc"),
        (b"content-length:\t +3 bytes\r\n", b"abc"),
        (b"Content-Length: 2\r\nContent-Length: 3\r\n", b"abc"),
        (b"Content-Length: -3\r\n", b""),
        (b"Content-Length: junk\r\n", b""),
        (b"Content-Length:\r\n", b""),
        (b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", b"abc"),
        (b"Transfer-Encoding: gzip\r\n", b""),
    ],
)
def test_lengths_are_read_leniently(wire: Wire, header: bytes, body: bytes) -> None:
    message = b"POST /k HTTP/1.1\r\n" + header + b"\r\n" + body
    assert read_request(wire, message).body == body


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"DELETE"])
def test_methods_without_a_body(wire: Wire, method: bytes) -> None:
    head = method + b" / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
    request, end = wire.tycoon_rpc.read_http_request(head + b"abc", 0)
    assert (request.body, end) == (b"", len(head))


CHUNKED = b"PUT /k HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("chunks", "body"),
    [
        (b"0\r\n\r\n", b""),
        (b"\r\n", b""),
        (b"\n", b""),
        (b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
        (b"3\nabc\r\n\n", b"abc"),
        (b"2\r\nab\r\n  0xA;name=value\r\n0123456789\r\n0\r\n\r\n", b"ab0123456789"),
        (b"junk\r\n\r\n", b""),
    ],
)
def test_chunked_bodies(wire: Wire, chunks: bytes, body: bytes) -> None:
    assert read_request(wire, CHUNKED + chunks).body == body


@given(pieces=st.lists(st.binary(min_size=1, max_size=20), max_size=6), step=STEP)
def test_chunks_are_joined(wire: Wire, pieces: list[bytes], step: int) -> None:
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""])
    assert read_request(wire, CHUNKED + chunks, step).body == b"".join(pieces)


def test_a_chunked_body_can_be_read_on_twice(wire: Wire) -> None:
    """Readers keep no state: what was returned once can be resumed any number of times."""
    message = CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    first = wire.tycoon_rpc.read_http_request(message[:-9], 0)
    assert isinstance(first, IncompleteBody)
    for _ in range(2):
        value, end = first.resume(message, 0)  # type: ignore[misc]
        assert (value.body, end) == (b"abcde", len(message))


@pytest.mark.parametrize(
    "line",
    [
        b"\r\n",
        b"GET\r\n",
        b"GET /\r\n",
        b"GET / HTTP/2.0\r\n",
        b"GET / HTTP/1.2\r\n",
        b"GET / http/1.1\r\n",
        b"GET  / HTTP/1.1\r\n",
        b"GET / HTTP/1.1 \r\n",
        b"GET ?a=b HTTP/1.1\r\n",
        b"hello world\n",
        b" GET / HTTP/1.1\r\n",
        b"GET /\0 HTTP/1.1\r\n",
        b"GET /" + b"a" * 8178 + b" HTTP/1.1\r\n",
        b"a" * 8192,
    ],
)
def test_malformed_request_lines_are_refused_at_once(wire: Wire, line: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        wire.tycoon_rpc.read_http_request(line, 0)
    assert not isinstance(caught.value, HttpRefusal)
    with pytest.raises(ProtocolError):
        feed(wire.tycoon_rpc.read_http_request, line + b"\r\n", 100, exact=False)


def test_the_longest_request_line(wire: Wire) -> None:
    line = b"GET /" + b"a" * 8177 + b" HTTP/1.1"
    assert len(line) == http.LINE_MAX
    assert len(read_request(wire, line + b"\n\n", 1000).target) == 8178


def test_heads_are_bounded(wire: Wire) -> None:
    head = b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * (http.HEAD_MAX // 6)
    for message in (head, head + b"\r\n"):
        with pytest.raises(ProtocolError, match="head"):
            wire.tycoon_rpc.read_http_request(message, 0)
    with pytest.raises(ProtocolError, match="head"):
        feed(wire.tycoon_rpc.read_http_request, head, 1000, exact=False)


@pytest.mark.parametrize(
    ("message", "status", "reason"),
    [
        (b"POST / HTTP/1.1\r\nContent-Length: 268435457\r\n\r\n", 413, "too large"),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n", 413, "too large"),
        (CHUNKED + b"10000001\r\n", 413, "too large"),
        (CHUNKED + b"2\r\nab\r\nFFFFFFF\r\n", 413, "too large"),
        (CHUNKED + b"FFFFFFFFFFFFFFFFFFFFFFFF\r\n", 413, "too large"),
        (CHUNKED + b"2\r\nabX", 400, "invalid chunk"),
        (CHUNKED + b"2\r\nab\n", 400, "invalid chunk"),
        (CHUNKED + b"2\r\nab\rX", 400, "invalid chunk"),
        (CHUNKED + b"0\r\nTrailer: x\r\n\r\n", 400, "invalid chunk"),
        (CHUNKED + b"1" * 8192, 400, "invalid chunk"),
    ],
)
def test_bodies_that_get_an_answer(wire: Wire, message: bytes, status: int, reason: str) -> None:
    for refused in (
        lambda: wire.tycoon_rpc.read_http_request(message, 0),
        lambda: feed(wire.tycoon_rpc.read_http_request, message, 1, exact=False),
    ):
        with pytest.raises(HttpRefusal, match=reason) as caught:
            refused()
        assert caught.value.status == status


@pytest.mark.parametrize(
    ("message", "need"),
    [
        (b"", None),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\n", None),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n", 41),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab", 41),
        (CHUNKED, len(CHUNKED) + 1),
        (CHUNKED + b"5\r\nabc", len(CHUNKED) + 9),
        (CHUNKED + b"1\r\na\r\n", len(CHUNKED) + 7),
    ],
)
def test_what_is_incomplete(wire: Wire, message: bytes, need: int | None) -> None:
    outcome = wire.tycoon_rpc.read_http_request(message, 0)
    assert isinstance(outcome, Incomplete)
    assert isinstance(outcome, IncompleteBody) == (need is not None)
    assert outcome.need == (len(message) + 1 if need is None else need)


@given(
    data=st.lists(
        st.sampled_from(
            [
                *(b"GET", b"PUT", b" ", b" / ", b"HTTP/1.1", b"\r\n", b"\n", b"\r", b":", b"a"),
                *(b"Content-Length: 2\r\n", b"Transfer-Encoding: chunked\r\n", b"2", b"\0"),
            ]
        ),
        max_size=20,
    ).map(b"".join)
    | st.binary(max_size=60),
    step=STEP,
)
def test_any_bytes_are_read_or_refused(wire: Wire, data: bytes, step: int) -> None:
    """... and in the same way, whole and in pieces."""
    reader = wire.tycoon_rpc.read_http_request
    try:
        whole = reader(data, 0)
    except ProtocolError as error:
        with pytest.raises(type(error)):
            feed(reader, data + b"\n" * 20, step, exact=False)
        return
    if isinstance(whole, Incomplete):
        assert whole.need > len(data)
    else:
        assert feed(reader, data, step, exact=False) == whole


def test_numbers() -> None:
    texts = [b"", b"12", b" -12x", b"+7", b"x", b"\x01 3", b"\0003", b"9" * 30, b"--1"]
    assert [http.parse_number(text) for text in texts] == [
        *(0, 12, -12, 7, 0, 3, 0, int("9" * 20), 0)
    ]


# -------------------------------------------------------------------------------------- replies


@given(
    status=st.sampled_from([200, 201, 204, 304, 400, 404, 450, 501, 299]),
    headers=HEADERS,
    body=BODY,
    keep_alive=st.booleans(),
    step=STEP,
)
def test_a_reply_is_read_as_packed(
    wire: Wire,
    status: int,
    headers: dict[bytes, bytes],
    body: bytes,
    keep_alive: bool,
    step: int,
) -> None:
    if status in (204, 304):
        body = b""
    packed = wire.tycoon_rpc.pack_http_reply(
        status, headers.items(), body, keep_alive=keep_alive, stamp=b"Date: today\r\n"
    )
    value, end = feed(wire.tycoon_rpc.read_http_reply, packed, step, exact=False)
    assert end == len(packed)
    close = {} if keep_alive else {b"connection": b"close"}
    length = {b"content-length": b"%d" % len(body)}
    assert value == HttpReply(
        status, {b"date": b"today", **close, **length, **headers}, body, keep_alive
    )


def test_a_reply_to_head(wire: Wire) -> None:
    packed = wire.tycoon_rpc.pack_http_reply(200, [(b"Content-Length", b"1000")], None)
    reply = read(wire.tycoon_rpc.read_http_head_reply, packed)
    assert reply == (200, {b"content-length": b"1000"}, b"", True)


def test_a_refusal(wire: Wire) -> None:
    packed = wire.tycoon_rpc.pack_http_refusal(400, "invalid chunk", b"Server: s\r\n")
    reply = read_all_ways(wire.tycoon_rpc.read_http_reply, packed, 5)
    assert (reply.status, reply.keep_alive) == (400, False)
    assert reply.headers[b"content-type"] == b"text/plain"
    assert reply.body == b"400 Bad Request (invalid chunk)\n"


@pytest.mark.parametrize(
    "reply",
    [
        b"\xba",
        b"HTTP/2",
        b"HTTP/1.1200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1073741825\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 11000,
    ],
)
def test_replies_that_lie_are_refused_at_once(wire: Wire, reply: bytes) -> None:
    readers: list[Any] = [wire.tycoon_rpc.read_http_reply, wire.tycoon_rpc.read_rpc_reply]
    for reader in readers:
        with pytest.raises(ProtocolError):
            reader(reply, 0)


@given(data=st.binary(max_size=60))
def test_any_bytes_after_a_status_line(wire: Wire, data: bytes) -> None:
    reply = b"HTTP/1.1 200 OK\r\n" + data
    for reader in (wire.tycoon_rpc.read_http_reply, wire.tycoon_rpc.read_rpc_reply):
        try:
            outcome = reader(reply, 0)
        except ProtocolError:
            continue
        if isinstance(outcome, Incomplete):
            assert outcome.need > len(reply)
        else:
            assert 0 < outcome[1] <= len(reply)
