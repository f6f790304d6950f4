"""What goes over connections to kt-tyrant: three protocols in any pieces, bounds, and nonsense."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kt.wire import tyrant_commands as codes

from ..conftest import StartServer
from ..engines.tokyo import key_request, mget_request, misc_request, record_request, sized
from ..processes import SECONDS, ServerProcess
from ..replay import Peer, take_reply
from .test_process import ask, connected, count, get, put

RNUM = b"\xc8\x80"
VANISH = b"\xc8\x72"


@pytest.fixture
def server(start_kt_tyrant: StartServer) -> ServerProcess:
    return start_kt_tyrant("*", args=("-le",))


@pytest.fixture(params=["new", "delegated"])
def peer(server: ServerProcess, request: pytest.FixtureRequest) -> Iterator[Peer]:
    """A connection; also one that an I/O thread serves."""
    with connected(server) as peer:
        if request.param == "delegated":
            peer.be_plain(RNUM, 9)
        yield peer


def putlist(peer: Peer, numbers: range, value: bytes = b"v") -> None:
    """Store records ``key-N``."""
    for begin in range(numbers.start, numbers.stop, 100_000):
        some = range(begin, min(begin + 100_000, numbers.stop))
        pairs = [part for number in some for part in (b"key-%d" % number, value)]
        assert ask(peer, misc_request(b"putlist", pairs), 5) == b"\0\0\0\0\0"


def has_answer(peer: Peer) -> bool:
    """Whether something has come from the server."""
    peer.socket.setblocking(False)
    try:
        return bool(peer.socket.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
    finally:
        peer.socket.settimeout(SECONDS)


# Order and pieces

CONVERSATION = [
    (record_request(codes.PUT, b"k", b"one"), b"\0"),
    (b"get k\r\n", b"VALUE k 0 3\r\none\r\nEND\r\n"),
    (b"set k 0 0 3\r\ntwo\r\n", b"STORED\r\n"),
    (
        b"HEAD /k HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 3\r\n\r\n",
    ),
    (key_request(codes.GET, b"k"), b"\0" + sized(b"two")),
    (
        b"PUT /k HTTP/1.1\nContent-Length: 5\n\nthree",
        b"HTTP/1.1 201 Created\r\nContent-Length: 8\r\nContent-Type: text/plain\r\n\r\nCreated\n",
    ),
    (misc_request(b"sync"), b"\0\0\0\0\0"),
    (b"append k 0 0 1\r\n!\r\n", b"STORED\r\n"),
    (mget_request([b"k", b"nosuch"]), b"\0\0\0\0\1\0\0\0\1\0\0\0\6kthree!"),
    (b"delete k noreply\r\n", b""),
    (VANISH, b"\0"),
    (RNUM, b"\0" + bytes(8)),
    (b"version\r\n", b"VERSION 1.1.41\r\n"),
]


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_protocols_in_any_order_and_pieces(peer: Peer, size: int) -> None:
    data = b"".join(request for request, _ in CONVERSATION) * 3
    for begin in range(0, len(data), size):
        peer.send(data[begin : begin + size])
    expected = b"".join(reply for _, reply in CONVERSATION) * 3
    assert peer.take(len(expected)) == expected


def test_many_requests_in_one_go(peer: Peer) -> None:
    request = record_request(codes.PUT, b"k", b"v") + key_request(codes.GET, b"k")
    sender = threading.Thread(target=peer.send, args=(request * 50_000,))
    sender.start()
    assert peer.take(50_000 * 7) == (b"\0\0" + sized(b"v")) * 50_000
    sender.join()


def test_half_closed_connections_get_their_answers(peer: Peer) -> None:
    peer.send(misc_request(b"sync") + VANISH + b"version\r\n" + key_request(codes.GET, b"k"))
    peer.socket.shutdown(socket.SHUT_WR)
    assert peer.take(5 + 1 + 16 + 1) == b"\0\0\0\0\0\0VERSION 1.1.41\r\n\1"
    peer.assert_ended()


@pytest.mark.parametrize(
    "cut",
    [
        record_request(codes.PUT, b"k", b"v")[:-1],
        mget_request([b"k"])[:-1],
        misc_request(b"putlist", [b"k", b"v"])[:-1],
        b"set k 0 0 1\r\nv\r",
        b"version",
        b"PUT /k HTTP/1.1\r\nContent-Length: 2\r\n\r\nv",
    ],
)
def test_cut_requests_are_dropped(server: ServerProcess, peer: Peer, cut: bytes) -> None:
    peer.send(cut)
    peer.socket.shutdown(socket.SHUT_WR)
    peer.assert_ended()
    with connected(server) as other:
        assert count(other) == 0


@pytest.mark.parametrize(
    ("bad", "answer"),
    [
        (b"\xc8\xff", b""),
        (b"nonsense\r\n", b""),
        (b"quit\r\n", b""),
        (b"set k\r\n", b"CLIENT_ERROR error\r\n"),
        (b"set k 0 0 1\r\nvv", b""),
        (b"PATCH / HTTP/1.1\r\n\r\n", b""),
        (
            b"GET / HTTP/1.0\r\n\r\n",
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 10\r\n"
            b"Content-Type: text/plain\r\n\r\nNot Found\n",
        ),
    ],
)
def test_what_follows_a_bad_request_in_the_same_read_is_served(
    server: ServerProcess, bad: bytes, answer: bytes
) -> None:
    with connected(server) as peer:
        peer.send(bad + b"version\r\n")
        assert peer.take(len(answer)) == answer
        assert peer.take(16) == b"VERSION 1.1.41\r\n"
        assert ask(peer, RNUM, 9) == b"\0" + bytes(8)
    with connected(server) as peer:
        peer.send(bad)
        assert peer.take(len(answer)) == answer
        peer.assert_ended()


# Others are served while one takes long


@pytest.mark.parametrize("database", ["*", "casket.tch"])
@pytest.mark.parametrize(
    "request_",
    [
        misc_request(b"regex", [b"(a|b)*c+d"]),
        b"\xc8\x58" + struct.pack(">Ii", 3, -1) + b"kay",
        VANISH,
        b"\xc8\x70",
        b"\xc8\x71\0\0\0\0",
    ],
    ids=["regex", "fwmkeys", "vanish", "sync", "optimize"],
)
def test_others_are_served_meanwhile(
    start_kt_tyrant: StartServer, database: str, request_: bytes
) -> None:
    server = start_kt_tyrant(database, args=("-le",))
    with connected(server) as peer, connected(server) as other:
        putlist(peer, range(200_000))
        peer.send(request_)
        longest = 0.0
        while not has_answer(peer):
            begin = monotonic()
            assert ask(other, b"version\r\n", 16) == b"VERSION 1.1.41\r\n"
            longest = max(longest, monotonic() - begin)
        assert longest < 1.0  # machines that test are busy
        assert put(other, b"k", b"v") is None


def test_a_search_of_a_table_holds_up_writers_only(start_kt_tyrant: StartServer) -> None:
    server = start_kt_tyrant("casket.tct#bnum=500000", args=("-le",))
    conditions = [b"addcond\0n\0STRRX\0(1|2).*7.*7", b"count"]
    with connected(server) as peer, connected(server) as reader, connected(server) as writer:
        putlist(peer, range(200_000), b"n\x00177")
        peer.send(misc_request(b"search", conditions) * 3)
        writer.send(record_request(codes.PUT, b"new", b"n\x001") + b"set k 0 0 0\r\n\r\n")
        reads = 0
        while not has_answer(peer):
            assert get(reader, b"key-7") == b"n\x00177"
            reads += 1
        assert reads > 10
        answer = b"\0\0\0\0\1" + sized(b"200000")
        assert peer.take(len(answer))[:5] == answer[:5]
        assert writer.take(1) == b"\0"
        assert writer.take_line() == b"STORED"


def test_commands_wait_for_what_is_exclusive(start_kt_tyrant: StartServer) -> None:
    """Everything goes on, in order, while one connection after another holds the database."""
    server = start_kt_tyrant("casket.tch", args=("-le",))
    optimize = b"\xc8\x71\0\0\0\0"
    with connected(server) as peer:
        putlist(peer, range(20_000))

    def work(number: int) -> bool:
        with connected(server) as peer:
            for turn in range(30):
                key = b"%d-%d" % (number, turn)
                peer.send(record_request(codes.PUT, key, key) + key_request(codes.GET, key))
                peer.send(b"get %b\r\n" % key if number % 2 else optimize)
                assert peer.take(6 + len(key)) == b"\0\0" + sized(key)
                if number % 2:
                    assert peer.take_line() == b"VALUE %b 0 %d" % (key, len(key))
                    assert peer.take(len(key) + 7) == key + b"\r\nEND\r\n"
                else:
                    assert peer.take(1) == b"\0"
        return True

    with ThreadPoolExecutor(12) as threads:
        assert all(threads.map(work, range(12)))


# Bounds


def test_a_peer_that_does_not_read_costs_little(server: ServerProcess, peer: Peer) -> None:
    size = 1 << 20
    put(peer, b"k", b"v" * size)
    before = server.memory()
    request = key_request(codes.GET, b"k") + b"get k\r\n" + b"GET /k HTTP/1.1\r\n\r\n"
    with connected(server) as slow:
        slow.socket.setblocking(False)
        sent = 0
        for _ in range(1_000):  # asks for 3 GB
            try:
                sent += slow.socket.send(request)
            except BlockingIOError:
                break
        for _ in range(100):
            assert get(peer, b"k") == b"v" * size
        assert server.memory() - before < 40 * size
        slow.socket.settimeout(SECONDS)
        for _ in range(10):
            assert slow.take(5 + size)[-1:] == b"v"
            assert slow.take(len(b"VALUE k 0 1048576\r\n") + size + 7)[-7:] == b"\r\nEND\r\n"
            assert take_reply(slow, False)["body"] == b"v" * size


def test_a_list_is_not_kept_whole(server: ServerProcess, peer: Peer) -> None:
    size, number = 1 << 20, 300
    before = server.memory()
    peer.send(b"\xc8\x90" + struct.pack(">III", 7, 0, 2 * number) + b"putlist")
    for _ in range(number):
        peer.send(sized(b"k", b"v" * size))
    assert peer.take(5) == b"\0\0\0\0\0"
    assert server.memory() - before < 40 * size


@pytest.mark.parametrize(
    "lie",
    [
        record_request(codes.PUT, b"k", b"v")[:6] + b"\x10\0\0\1",
        b"\xc8\x31" + struct.pack(">II", 1, 2**28 + 1),
        b"set k 0 0 999999999999\r\n",
        b"PUT /k HTTP/1.1\r\nContent-Length: 999999999999\r\n\r\n",
        b"PUT /k HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"x" * (2**24 + 2),
        b"GET /k HTTP/1.1\r\n" + b"a: b\r\n" * 20_000,
    ],
)
def test_lying_sizes_end_the_connection(server: ServerProcess, lie: bytes) -> None:
    before = server.memory()
    with connected(server) as peer:
        peer.send(lie)
        peer.assert_ended()
    assert server.memory() - before < 64 << 20


@pytest.mark.parametrize("delegated", [False, True])
def test_half_requests_time_out(start_kt_tyrant: StartServer, delegated: bool) -> None:
    server = start_kt_tyrant("*", args=("-tout", "0.5", "-le"))
    for half in (b"\xc8", record_request(codes.PUT, b"k", b"v")[:-1], b"get", b"set k 0 0 1\r\n"):
        with connected(server) as peer:
            if delegated:
                peer.be_plain(RNUM, 9)
            peer.send(half)
            peer.assert_ended()
    with connected(server) as idle, connected(server) as peer:
        peer.send(b"\xc8")
        peer.assert_ended()
        assert ask(idle, RNUM, 9) == b"\0" + bytes(8)


def test_many_connections(server: ServerProcess) -> None:
    peers = [Peer(server.port) for _ in range(300)]
    for number, peer in enumerate(peers):
        peer.send(record_request(codes.PUT, b"%d" % number, b"v"))
    assert all(peer.take(1) == b"\0" for peer in peers)
    assert count(peers[0]) == 300
    for peer in peers:
        peer.socket.close()


def test_a_large_value(peer: Peer) -> None:
    value = b"0123456789abcdef" * (1 << 20)
    sender = threading.Thread(target=peer.send, args=(record_request(codes.PUT, b"k", value),))
    sender.start()
    assert peer.take(1) == b"\0"
    sender.join()
    assert get(peer, b"k") == value


# The protocols' own


def test_counters_of_memcached_do_not_lose_updates(server: ServerProcess) -> None:
    with connected(server) as peer:
        assert ask(peer, b"set n 0 0 1\r\n0\r\n", 8) == b"STORED\r\n"

    def add(_: int) -> None:
        with connected(server) as peer:
            peer.send(b"incr n 1 noreply\r\n" * 500 + b"version\r\n")
            assert peer.take_line() == b"VERSION 1.1.41"

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(add, range(4)))
    with connected(server) as peer:
        assert get(peer, b"n") == b"2000"


def test_counters_of_memcached_wrap_around(peer: Peer) -> None:
    largest = b"18446744073709551615"
    assert ask(peer, b"set n 0 0 20\r\n" + largest + b"\r\n", 8) == b"STORED\r\n"
    assert ask(peer, b"incr n 1\r\n", 3) == b"0\r\n"
    peer.send(b"incr n 9223372036854775807\r\n")
    assert peer.take_line() == b"9223372036854775807"
    assert ask(peer, b"incr n 1\r\n", 3) == b"0\r\n"
    assert ask(peer, b"decr n 1\r\n", 3) == b"0\r\n"


def test_functions_over_http(peer: Peer) -> None:
    def post(name: str, body: bytes) -> tuple[int, bytes]:
        head = f"POST / HTTP/1.1\r\nX-TT-MNAME: {name}\r\nContent-Length: {len(body)}\r\n\r\n"
        peer.send(head.encode() + body)
        reply = take_reply(peer, False)
        return reply["status"], reply["body"]

    assert post("putlist", b"a=k%201&b=v%262;c=k2&d=%00&e=odd") == (200, b"")
    assert post("getlist", b"a=k+1&b=k2") == (200, b"res1=k%201&res2=v%262&res3=k2&res4=%00")
    assert post("getlist", b"a=k2&a=nosuch") == (200, b"res1=k2&res2=%00")
    assert post("regex", b"a=.")[0] == 200
    assert post("nosuch", b"") == (500, b"Internal Server Error\n")


PIECES = st.sampled_from(
    [
        *(b"\xc8", b"\r\n", b"get ", b"set k 0 0 3\r\n", b"abc\r\n", b"incr k 1\r\n", b"stats\r\n"),
        *(b"GET /k HTTP/1.1\r\n", b"PUT /k HTTP/1.1\r\n", b"Content-Length: 3\r\n\r\n"),
        *(b"Connection: close\r\n", b"OPTIONS / HTTP/1.1\r\n\r\n", b"POST /k HTTP/1.1\r\n"),
        *(b"X-TT-MNAME: put\r\n\r\n", b"flush_all\r\n", b"quit\r\n", b"delete k\r\n", b"\x80\0\n"),
        *(bytes(4), b"\0\0\0\1", b"\xff\xff\xff\xff", b"\xc8\x90", b"\xc8\x31\0\0\0\2"),
        *(b"\xc8\x88", VANISH, b"\xc8\x70", b"\xc8\x71\0\0\0\0", b"\xc8\xa0" + bytes(12)),
        *(b"\xc8\x78" + bytes(20), b"\xc8\x68" + bytes(16), record_request(codes.PUT, b"k", b"v")),
        *(misc_request(b"range", [b""]), misc_request(b"putlist", [b"k", b"v"])),
    ]
)


@pytest.fixture(scope="module", params=["*", "casket.tct"])
def fuzzed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    directory: Path = tmp_path_factory.mktemp("fuzzed")
    with ServerProcess(
        "kt-tyrant", "-le", databases=[request.param], directory=directory
    ) as server:
        yield server


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.one_of(PIECES, st.binary(max_size=40)), max_size=12))
def test_any_bytes_are_answered_or_end_the_connection(
    fuzzed: ServerProcess, pieces: list[bytes]
) -> None:
    with connected(fuzzed) as peer, connected(fuzzed) as other:
        peer.send(b"".join(pieces))
        try:
            peer.socket.shutdown(socket.SHUT_WR)
            while peer.socket.recv(1 << 16):
                pass
        except ConnectionError:
            pass
        assert ask(other, b"version\r\n", 16) == b"VERSION 1.1.41\r\n"
    assert "Traceback" not in fuzzed.printed()
