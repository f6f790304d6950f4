"""Plain HTTP requests, which the engine's stream serves by itself.

It must answer as the general handlers do, and leave to them what is not plain. A server that logs
every request does not use it, so the two ways can be compared: a server of each kind gets the same
requests.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kt.server.engines.kyoto._engine import NEVER, BinaryCore, Database, State, Stream
from kt.wire.http import pack_http_request, read_http_reply
from kt.wire.tycoon import pack_get, pack_get_bulk, pack_set
from kt.wire.tycoon_rpc import pack_rpc

from ..http_client import Caller
from ..processes import HOST, ServerProcess
from ..replay import Json, Replay, scenarios
from ..test_wire_replay import RECORDINGS, is_left_out

STAMP = b"Server: a\r\nDate: b\r\n"
TSV = b"Content-Type: text/tab-separated-values\r\n"


# What the stream takes, and what it leaves


@pytest.fixture
def stream() -> Iterator[Stream]:
    with Database("*") as first, Database("%") as second:
        first.set(b"k", b"1", NEVER)
        first.set(b"long", b"v" * 256, NEVER)
        first.set(b"binary", b"\0\1", NEVER)
        second.set(b"k", b"2", -4102444800)
        core = BinaryCore([first, second])
        core.set_stamp(STAMP)
        yield core.stream()


def call(procedure: bytes, body: bytes, headers: bytes = TSV) -> bytes:
    head = b"POST /rpc/%b HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n" % (
        procedure,
        headers,
        len(body),
    )
    return head + body


@pytest.mark.parametrize(
    ("request_", "status", "body"),
    [
        (pack_rpc("get", [("key", "k")]), 200, b"value\t1\n"),
        (pack_rpc("get", [("key", "k"), ("DB", 1)]), 200, b"value\t2\nxt\t4102444800\n"),
        (pack_rpc("get", [("key", "none")]), 450, b"ERROR\tDB: 7: no record: no record\n"),
        (pack_rpc("check", [("key", "long")]), 200, b"vsiz\t256\n"),
        (pack_rpc("set", [("key", "n"), ("value", "v"), ("xt", 10)]), 200, b""),
        (pack_rpc("add", [("key", "k"), ("value", "v")]), 450, None),
        (pack_rpc("replace", [("key", "none"), ("value", "v")]), 450, None),
        (pack_rpc("append", [("key", "k"), ("value", "v")]), 200, b""),
        (pack_rpc("increment", [("key", "i"), ("num", -5), ("orig", 2)]), 200, b"num\t-3\n"),
        (pack_rpc("increment", [("key", "k"), ("num", 1)]), 450, None),
        (pack_rpc("cas", [("key", "k"), ("oval", "1"), ("nval", "3")]), 200, b""),
        (pack_rpc("cas", [("key", "k"), ("nval", "3")]), 450, None),
        (pack_rpc("remove", [("key", "k")]), 200, b""),
        (call(b"get", b"key\tk\r\n\nkey\tlong\nkey\tk"), 200, b"value\t1\n"),
        (call(b"get", b"key\tk", b"HOST:x\r\ncontent-TYPE:" + TSV[13:]), 200, b"value\t1\n"),
        (pack_http_request(b"GET", b"/k"), 200, b"1"),
        (pack_http_request(b"GET", b"/binary"), 200, b"\0\1"),
        (pack_http_request(b"GET", b"/none"), 404, b""),
        (pack_http_request(b"GET", b"/k", [(b"Connection", b"Keep-Alive")]), 200, b"1"),
    ],
)
def test_plain_requests_are_served(
    stream: Stream, request_: bytes, status: int, body: bytes | None
) -> None:
    for end in range(len(request_)):
        assert stream.feed(request_[:end])[1:] == (0, b"")
    state, consumed, reply = stream.feed(request_ + b"P")
    assert (state, consumed) == (State.HTTP, len(request_))
    assert reply.partition(b"\r\n")[2].startswith(STAMP)
    result, end = read_http_reply(reply, 0)  # type: ignore[misc]
    assert (result.status, end) == (status, len(reply))
    if body is not None:
        assert result.body == body


@pytest.mark.parametrize(
    "request_",
    [
        pack_rpc("get", [("key", "long")]),  # the reply is encoded
        pack_rpc("get", [("key", "binary")]),
        pack_rpc("get", [("key", b"\0")]),  # the request is
        pack_rpc("get", [("key", "k"), ("WAIT", "c")]),
        pack_rpc("get", [("key", "k"), ("SIGNAL", "c")]),
        pack_rpc("get", [("key", "k"), ("DB", "*")]),
        pack_rpc("get", [("key", "k"), ("DB", 2)]),
        pack_rpc("get", [("key", "k"), ("DB", "-0")]),
        pack_rpc("get", ()),
        pack_rpc("set", [("key", "k")]),
        pack_rpc("set", [("key", "k"), ("value", "v"), ("xt", "1x")]),
        pack_rpc("set", [("key", "k"), ("value", "v"), ("xt", "9" * 19)]),
        pack_rpc("increment", [("key", "k"), ("num", "")]),
        pack_rpc("increment", [("key", "k"), ("num", 1), ("orig", "try")]),
        pack_rpc("void", ()),
        pack_rpc("match_prefix", [("prefix", "")]),
        call(b"get", b"key\tk\nodd"),
        call(b"get", b"key\tk", b""),
        call(b"get", b"key\tk", TSV + b"Content-Length: 5\r\n"),
        call(b"get", b"key\tk", TSV + b"Connection: close\r\n"),
        call(b"get", b"key\tk", TSV + b"Transfer-Encoding: chunked\r\n"),
        call(b"get", b"key\tk", TSV + b"Expect: 100-continue\r\n"),
        call(b"get", b"key\tk", TSV + b"odd\r\n"),
        call(b"get", b"key\tk", TSV + b"odd name: 1\r\n"),
        call(b"get", b"key\tk", TSV + b"odd: \r1\r\n"),
        call(b"get", b"key\tk", TSV + b"odd: \0\r\n"),
        call(b"get", b"key\tk", TSV + b"long: " + b"x" * 5000 + b"\r\n"),
        call(b"get?key=k", b"key\tk"),
        call(b"get", b"key\tk").replace(b"1.1", b"1.0"),
        call(b"get", b"key\tk").replace(b"\r\n", b"\n"),
        call(b"set", b"key\tk\nvalue\t" + b"v" * (1 << 16)),
        pack_http_request(b"HEAD", b"/k"),
        pack_http_request(b"PUT", b"/k", (), b"v"),
        pack_http_request(b"GET", b"/*/k"),
        pack_http_request(b"GET", b"/%6b"),
        pack_http_request(b"GET", b"/k?x"),
        pack_http_request(b"GET", b"/"),
        pack_http_request(b"GET", b"k"),
        pack_http_request(b"GET", b"/k", (), b"body"),
    ],
)
def test_other_requests_are_left(stream: Stream, request_: bytes) -> None:
    assert stream.feed(request_ + b"\xb8") == (State.HTTP, 0, b"")


def test_nothing_is_served_without_a_stamp() -> None:
    with Database("*") as database:
        request = pack_rpc("get", [("key", "k")])
        assert BinaryCore([database]).stream().feed(request) == (State.HTTP, 0, b"")


def test_both_protocols_in_one_go(stream: Stream) -> None:
    request = (
        pack_set(b"k", b"v", 0, NEVER)
        + pack_rpc("get", [("key", "k")])
        + pack_get(b"k", 0)
        + pack_http_request(b"GET", b"/k")
        + pack_rpc("remove", [("key", "k")])
        + pack_get(b"k", 0)
    )
    state, consumed, reply = stream.feed(request * 200)
    for _ in range(200):
        while state == State.AGAIN:
            state, more, rest = stream.feed(request * 200, consumed)
            consumed, reply = consumed + more, reply + rest
    assert (state, consumed) == (State.MORE, len(request) * 200)
    assert reply.count(b"HTTP/1.1 200 OK") == 3 * 200
    assert reply.count(b"value\tv\n") == 200


def test_they_are_counted() -> None:
    with Database("*") as database:
        core = BinaryCore([database])
        core.set_stamp(STAMP)
        core.stream().feed(
            pack_rpc("set", [("key", "k"), ("value", "v")])
            + pack_rpc("add", [("key", "k"), ("value", "v")])
            + pack_rpc("check", [("key", "k")])
            + pack_http_request(b"GET", b"/none")
            + pack_rpc("remove", [("key", "none")])
        )
        assert core.counts() == {
            "set": 2,
            "set_misses": 1,
            "remove": 1,
            "remove_misses": 1,
            "get": 2,
            "get_misses": 1,
        }


# Both ways compared

KEYS = ("a", "b", "c d", "%61", "\0", "é", "")
DATABASES = ("*", "%")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ServerProcess]]:
    """One that serves plain requests in the stream, one that does not."""
    directory = tmp_path_factory.mktemp("http")
    for level in ("-ls", "-li"):
        (directory / level).mkdir()
    with (
        ServerProcess("kt-tycoon", "-ls", databases=DATABASES, directory=directory / "-ls") as one,
        ServerProcess("kt-tycoon", "-li", databases=DATABASES, directory=directory / "-li") as two,
    ):
        yield [one, two]


def replies(server: ServerProcess, requests: bytes) -> bytes:
    """All that a connection answers, but for the dates and the port."""
    with socket.create_connection((HOST, server.port), 30) as peer:
        peer.sendall(requests)
        peer.shutdown(socket.SHUT_WR)
        received = b""
        while data := peer.recv(1 << 16):
            received += data
    received = re.sub(rb"\r\nDate: [^\r]*", b"", received)
    return received.replace(b":%d/" % server.port, b"/")


def state(server: ServerProcess) -> tuple[bytes, dict[str, str]]:
    """The records with their expiry, and what the server has counted."""
    requests = b"".join(pack_get_bulk(KEYS, db) for db in range(len(DATABASES)))
    records = replies(server, requests)
    with Caller(server) as caller:
        report = caller("report")[1]
    return records, {name: count for name, count in report.items() if name.startswith("cnt_")}


names = st.sampled_from(
    [
        "key",
        "key",
        "key",
        "value",
        "value",
        "num",
        "orig",
        "oval",
        "nval",
        "DB",
        "WAITTIME",
        "odd",
    ]
)
values = st.sampled_from(
    [*KEYS, "1", "-1", "7", "12x", "try", "set", "-4102444800", "9" * 18, "9" * 30, "v" * 300, "\t"]
)
# Nothing that expires a moment later, as 0 does: the servers are asked one after the other.
expiries = st.sampled_from(["-4102444800", "-1", "-1odd", " -1", "9" * 18, "9" * 30])
column = st.one_of(st.tuples(names, values), st.tuples(st.just("xt"), expiries))
columns = st.lists(column, max_size=5).map(dict)
record = st.tuples(st.sampled_from(KEYS), values).map(lambda kv: {"key": kv[0], "value": kv[1]})
parameters = st.builds(lambda first, more: {**first, **more}, record, columns)
procedures = st.sampled_from(
    [
        "get",
        "check",
        "set",
        "add",
        "replace",
        "append",
        "remove",
        "increment",
        "cas",
        "seize",
        "void",
        "increment_double",
    ]
)
headers = st.lists(
    st.sampled_from(
        [
            *[b"Host: x\r\n", b"Connection: Keep-Alive\r\n", b"Connection: close\r\n"],
            *[b"connection: odd\r\n", b"Expect: 100-continue\r\n", b"X-Odd:\r\n", b"Odd\r\n"],
            *[b"Content-Type: text/plain\r\n", b"Content-Length: 3\r\n", b"Lf: 1\n", b": x\r\n"],
        ]
    ),
    max_size=2,
)


def body_of(columns: dict[str, str]) -> bytes:
    return b"".join(b"%b\t%b\n" % (k.encode(), v.encode()) for k, v in columns.items())


requests = st.one_of(
    st.builds(lambda name, columns: pack_rpc(name, columns.items()), procedures, parameters),
    st.builds(
        lambda name, columns, more: call(name.encode(), body_of(columns), TSV + b"".join(more)),
        procedures,
        parameters,
        headers,
    ),
    st.builds(
        lambda method, key, more: b"%b /%b HTTP/1.1\r\n%b\r\n" % (method, key, b"".join(more)),
        st.sampled_from([b"GET", b"GET", b"HEAD", b"DELETE", b"OPTIONS"]),
        st.sampled_from([b"a", b"b", b"c%20d", b"c+d", b"%2561", b"*/a", b"%25/b", b"", b"a?b"]),
        headers,
    ),
    st.builds(
        lambda key, more: (
            b"PUT /%b HTTP/1.1\r\n%bContent-Length: 1\r\n\r\n7" % (key, b"".join(more))
        ),
        st.sampled_from([b"a", b"b", b"%25/b"]),
        st.lists(st.sampled_from([b"X-Kt-Xt: 4102444800\r\n", b"X-Kt-Mode: add\r\n"]), max_size=2),
    ),
    st.sampled_from([pack_set(b"a", b"1", 0, NEVER), pack_get(b"a", 1)]),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(requests, min_size=1, max_size=8))
def test_both_ways_come_to_the_same(servers: list[ServerProcess], requests: list[bytes]) -> None:
    quick, general = (replies(server, b"".join(requests)) for server in servers)
    assert quick == general
    assert state(servers[0]) == state(servers[1])


@pytest.mark.parametrize(
    "scenario",
    [s for s in scenarios(RECORDINGS["ktserver"]) if not is_left_out(s)],
    ids=lambda scenario: scenario["name"],
)
def test_recorded_traffic(scenario: Json, tmp_path: Path) -> None:
    quiet = {**scenario, "args": ["-ls", *scenario["args"]]}
    Replay(quiet, "kt-tycoon", tmp_path).run()
