"""Connections to kt-tycoon: order, bounds, time-outs, fairness, and peers that misbehave."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kt.server.process.delegation import PLAIN_REQUESTS
from kt.wire.http import pack_http_request
from kt.wire.tycoon import (
    NEVER,
    NO_REPLY,
    pack_get,
    pack_get_bulk,
    pack_play_script,
    pack_set,
    pack_set_bulk,
)
from kt.wire.tycoon_rpc import pack_rpc

from ..conftest import StartServer
from ..http_client import Caller
from ..processes import ServerProcess

MANY = 400_000


def fill(call: Caller, count: int = MANY, db: int = 0) -> None:
    """Store records 0 to `count`."""
    records = {f"key-{number:08}": "v" for number in range(count)}
    call.socket.sendall(pack_set_bulk(records, db, NEVER, str.encode))
    assert int.from_bytes(call.take(5)[1:], "big") == count


def be_plain(call: Caller) -> Caller:
    """Have an I/O thread serve this connection from now on, if the server has some."""
    for _ in range(PLAIN_REQUESTS):
        call.socket.sendall(pack_get_bulk([], 0))
        assert call.take(5) == bytes.fromhex("ba00000000")
    return call


@pytest.fixture(params=["new", "delegated"])
def call(server: ServerProcess, request: pytest.FixtureRequest) -> Iterator[Caller]:
    """A connection to `server`; also one that an I/O thread serves."""
    with Caller(server) as caller:
        yield be_plain(caller) if request.param == "delegated" else caller


# Order


def test_binary_and_http_requests_are_answered_in_order(call: Caller) -> None:
    call.socket.sendall(
        pack_set(b"k", b"1", 0, NEVER)
        + pack_rpc("get", [("key", "k")])
        + pack_set(b"k", b"2", 0, NEVER, NO_REPLY)
        + pack_http_request(b"PUT", b"/l", (), b"3")
        + pack_rpc("match_prefix", [("prefix", "")])  # this one runs in a thread
        + pack_get(b"k", 0)
        + pack_http_request(b"GET", b"/l")
    )
    assert call.take(5) == bytes.fromhex("b800000001")
    assert call.receive() == (200, {"value": "1"})
    assert call.http_reply().status == 201
    status, columns = call.receive()
    assert status == 200
    assert columns.keys() == {"_k", "_l", "num"}
    assert call.take(5 + 18 + 2)[-2:] == b"k2"
    assert call.http_reply().body == b"3"


def test_requests_may_come_byte_by_byte(call: Caller) -> None:
    requests = (
        pack_set(b"k", b"v" * 9, 0, NEVER)
        + pack_rpc("get", [("key", "k")])
        + pack_http_request(b"PUT", b"/l", [(b"Transfer-Encoding", b"chunked")])
        + b"3\r\nabc\r\n0\r\n\r\n"
        + pack_get_bulk([b"k", b"l"], 0)
    )
    call.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for at in range(len(requests)):
        call.socket.sendall(requests[at : at + 1])
    assert call.take(5) == bytes.fromhex("b800000001")
    assert call.receive() == (200, {"value": "v" * 9})
    assert call.http_reply().status == 201
    assert call.take(5 + 18 + 10 + 18 + 4).endswith(b"labc")


def test_many_requests_in_one_go(call: Caller) -> None:
    count = 20_000
    call.socket.settimeout(60)
    requests = (pack_set(b"k", b"v", 0, NEVER) + pack_rpc("void", ())) * 10
    replies = 0
    for _ in range(count // 20):
        call.socket.sendall(requests)
    for _ in range(count // 2):
        assert call.take(5) == bytes.fromhex("b800000001")
        assert call.receive() == (200, {})
        replies += 2
    assert replies == count


def test_half_closed_connections_get_their_answers(call: Caller) -> None:
    call.socket.sendall(pack_rpc("match_regex", [("regex", "x")]) + pack_get(b"k", 0))
    call.socket.shutdown(socket.SHUT_WR)
    assert call.receive() == (200, {"num": "0"})
    assert call.take(5) == bytes.fromhex("ba00000000")
    assert call.has_ended()


# Others are served while one takes long


@pytest.mark.parametrize(
    ("procedure", "columns"),
    [
        ("match_regex", {"regex": "(a|b)*c+d"}),
        ("match_similar", {"origin": "kaeloeeomouo", "range": 5}),
        ("match_prefix", {"prefix": "key"}),
    ],
)
def test_others_are_served_during_a_search(
    server: ServerProcess, call: Caller, procedure: str, columns: dict[str, object]
) -> None:
    fill(call)
    call.socket.settimeout(60)
    with Caller(server) as other:
        call.send(procedure, **columns)
        while other("report")[1]["serv_task_count"] == "0":
            call.socket.setblocking(False)
            with pytest.raises(BlockingIOError):
                call.socket.recv(1, socket.MSG_PEEK)
            call.socket.settimeout(60)
        served = 0
        while other("report")[1]["serv_task_count"] == "1":
            assert other("get", key="key-00000001") == (200, {"value": "v"})
            served += 1
        assert served > 0
    assert call.receive()[0] == 200


def test_a_name_of_a_script_ends_at_a_zero_byte(start: StartServer, tmp_path: Path) -> None:
    (tmp_path / "f.lua").write_text("function f() return __kyototycoon__.RVSUCCESS end")
    with Caller(start(args=("-scr", str(tmp_path / "f.lua")))) as call:
        call.socket.sendall(pack_play_script(b"f\0g", {}, lambda value: value))
        assert call.take(5) == bytes.fromhex("b400000000")
        assert call("play_script", name="f\0g") == (200, {})


def test_a_command_without_an_interpreter_line_is_given_to_the_shell(start: StartServer) -> None:
    server = start("casket.kct", args=("-cmd", "."))
    script = server.directory / "plain"
    script.write_text('echo "$0 $1" >words\n')
    script.chmod(0o755)
    with Caller(server) as call:
        assert call("synchronize", command="plain") == (200, {})
    assert (server.directory / "words").read_text().endswith("/plain casket.kct\n")


@pytest.mark.parametrize("command", ["copy", "fail", "nosuch", "a/b", ".."])
def test_synchronize_runs_a_command(start: StartServer, command: str) -> None:
    server = start("casket.kct", args=("-cmd", "."))
    for name, status in (("copy", 0), ("fail", 1)):
        script = server.directory / name
        script.write_text(f'#!/bin/sh\ncp "$1" copy.kct\necho "$@" >words\nexit {status}\n')
        script.chmod(0o755)
    with Caller(server) as call:
        call("set", key="k", value="v")
        if command != "copy":
            error = "DB: 8: logical inconsistency: postprocessing failed"
            assert call("synchronize", command=command) == (500, {"ERROR": error})
            return
        assert call("synchronize", hard="", command=command) == (200, {})
    path, stamp = (server.directory / "words").read_text().split()
    assert path == "casket.kct"
    assert len(stamp) == 20
    with Caller(start(str(server.directory / "copy.kct"))) as call:
        assert call("get", key="k") == (200, {"value": "v"})


def test_others_are_served_while_a_command_holds_a_database(start: StartServer) -> None:
    server = start("casket.kct", "*", args=("-cmd", ".", "-th", "8"))
    pipe = server.directory / "pipe"
    os.mkfifo(pipe)
    script = server.directory / "hold"
    script.write_text("#!/bin/sh\ncat pipe >/dev/null\n")
    script.chmod(0o755)
    with Caller(server) as call, Caller(server) as writer, Caller(server) as other:
        call.send("synchronize", command="hold")
        with open(pipe, "wb"):  # opens when the command does
            writer.send("set", key="k", value="v")
            for number in range(100):
                assert other("set", DB=1, key=number, value="v") == (200, {})
                assert other.http(b"GET", b"/*/%d" % number).body == b"v"
                other.socket.sendall(pack_get(b"0", 1))
                assert other.take(5 + 18 + 2)[-2:] == b"0v"
        assert call.receive() == (200, {})
        assert writer.receive() == (200, {})


# Bounds


def test_a_peer_that_does_not_read_costs_little(server: ServerProcess, call: Caller) -> None:
    size = 1 << 20
    call("set", key="k", value="v" * size)
    before = server.memory()
    with Caller(server) as slow, Caller(server) as other:
        slow.socket.setblocking(False)
        request = pack_get(b"k", 0) + pack_rpc("get", [("key", "k")])
        sent = 0
        for _ in range(100):  # asks for 200 MB
            try:
                sent += slow.socket.send(request)
            except BlockingIOError:
                break
        for _ in range(100):
            assert other("get", key="k")[0] == 200
        assert server.memory() - before < 40 * size
        slow.socket.settimeout(30)
        for _ in range(sent // len(request)):
            assert slow.take(5 + 18 + 1 + size)[-1:] == b"v"
            assert slow.receive()[0] == 200


def test_a_bulk_request_is_not_kept_whole(server: ServerProcess, call: Caller) -> None:
    size, count = 1 << 20, 200
    before = server.memory()
    record = pack_set(b"k", b"v" * size, 0, NEVER)[9:]
    call.socket.sendall(bytes.fromhex("b800000000") + count.to_bytes(4, "big"))
    for _ in range(count):
        call.socket.sendall(record)
    assert call.take(5) == bytes.fromhex("b8") + count.to_bytes(4, "big")
    assert server.memory() - before < 40 * size


def test_lying_sizes_end_the_connection(server: ServerProcess) -> None:
    before = server.memory()
    for request in (
        bytes.fromhex("ba00000000 ffffffff 0000 ffffffff"),
        bytes.fromhex("b800000000 ffffffff 0000 00000001 ffffffff 0000000000000000"),
        bytes.fromhex("b400000000 ffffffff ffffffff"),
        b"PUT /k HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"PUT /k HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffff\r\n",
        b"GET /" + b"k" * 100_000,
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 100_000,
    ):
        with Caller(server) as call:
            try:
                call.socket.sendall(request)
                while call.socket.recv(1 << 16):
                    pass
            except ConnectionError:
                pass
    with Caller(server) as call:
        assert call("void") == (200, {})
    assert server.memory() - before < 20 << 20


def test_cursors_of_a_connection_are_bounded(call: Caller) -> None:
    call("set", key="k", value="v")
    for number in range(1000):
        assert call("cur_jump", CUR=number)[0] == 200
    assert call("cur_jump", CUR=1000) == (400, {"ERROR": "too many cursors"})
    assert call("cur_delete", CUR=5) == (200, {})
    assert call("cur_jump", CUR=1000)[0] == 200


def test_many_connections(server: ServerProcess) -> None:
    callers = [Caller(server) for _ in range(400)]
    for number, caller in enumerate(callers):
        caller.send("set", key=number, value=number)
    assert [caller.receive() for caller in callers] == [(200, {})] * 400
    assert callers[0]("report")[1]["serv_conn_count"] == "400"
    for caller in callers:
        caller.socket.close()


# Time


@pytest.mark.parametrize("delegated", [False, True])
@pytest.mark.parametrize(
    ("half", "answer"),
    [
        (b"GET /k HTT", b""),
        (b"PUT /k HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc", b"HTTP/1.1 400 Bad Request\r\n"),
        (pack_set(b"k", b"value", 0, NEVER)[:-1], b"\xbf"),
        (pack_set(b"k", b"value", 0, NEVER)[:5], b""),
    ],
)
def test_half_requests_time_out(
    start: StartServer, half: bytes, answer: bytes, delegated: bool
) -> None:
    server = start("*", args=("-tout", "0.5", "-ls"))
    with Caller(server) as idle, Caller(server) as call:
        if delegated:
            be_plain(idle)
            be_plain(call)
        call.socket.sendall(half)
        received = b""
        while data := call.socket.recv(1 << 16):
            received += data
        assert received.startswith(answer)
        assert bool(received) == bool(answer)
        assert idle("void") == (200, {})  # waiting for a next request is no offence


@pytest.mark.parametrize("delegated", [False, True])
def test_unread_replies_time_out(start: StartServer, delegated: bool) -> None:
    server = start("*", args=("-tout", "0.5", "-ls"))
    with Caller(server) as call, Caller(server) as other:
        call("set", key="k", value="v" * 10_000_000)
        if delegated:
            be_plain(call)
        call.send("get", key="k")
        while other("report")[1]["serv_conn_count"] != "1":
            pass
        with pytest.raises((EOFError, ConnectionError)):
            call.receive()


# Any bytes

PIECES = st.sampled_from(
    [
        b"GET /rpc/",
        b"echo?a=b",
        b" HTTP/1.1\r\n",
        b"\r\n",
        b"\r\n\r\n",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Type: text/tab-separated-values; colenc=U\r\n",
        b"PUT /k",
        b"abc",
        b"\xb8",
        b"\xb9",
        b"\xba",
        b"\xb4",
        b"\xb1",
        bytes(4),
        b"\0\0\0\1",
        bytes(8),
        pack_set(b"k", b"v", 0, NEVER),
        pack_rpc("cur_jump", [("CUR", 1)]),
        pack_rpc("increment", [("key", "k"), ("num", "x")]),
    ]
)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    directory: Path = tmp_path_factory.mktemp("fuzzed")
    with ServerProcess("kt-tycoon", "-le", databases=["*", "%"], directory=directory) as server:
        yield server


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.one_of(PIECES, st.binary(max_size=40)), max_size=12), st.booleans())
def test_any_bytes_are_answered_or_end_the_connection(
    fuzzed: ServerProcess, pieces: list[bytes], delegated: bool
) -> None:
    with Caller(fuzzed) as call, Caller(fuzzed) as other:
        if delegated:
            be_plain(call)
        try:
            call.socket.sendall(b"".join(pieces))
            call.socket.shutdown(socket.SHUT_WR)
            while call.socket.recv(1 << 16):
                pass
        except ConnectionError:
            pass
        assert other("void") == (200, {})
    assert "Traceback" not in fuzzed.printed()
