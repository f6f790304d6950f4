"""Large values and replies: served right, once in memory, and by nobody who serves others."""

from __future__ import annotations

import resource
import socket
import struct
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from kt.server.engines import LargeValue
from kt.server.engines.kyoto import _engine as kyoto
from kt.server.engines.tokyo import _engine as tokyo
from kt.server.session import InThread, Session
from kt.wire import tyrant_commands as codes
from kt.wire.tycoon import NEVER, pack_get, pack_get_bulk, pack_set

from ..engines.tokyo import key_request, mget_request, misc_request, record_request
from ..processes import SECONDS, ServerProcess
from ..test_sessions import tycoon_sessions, tyrant_sessions

MIB: Final = 1 << 20
LARGE: Final = bytes(range(256)) * (6 * MIB // 256) + b"end"
PEAK: Final = 1.5
"""How much more memory than the bytes themselves a reply may take, at most."""


def tsv(procedure: bytes, body: bytes, encoding: bytes = b"") -> bytes:
    head = b"POST /rpc/%b HTTP/1.1\r\nContent-Type: text/tab-separated-values%b\r\n"
    return head % (procedure, encoding) + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def put(key: bytes) -> bytes:
    return b"PUT /%b HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (key, len(LARGE), LARGE)


def get(key: bytes) -> bytes:
    return b"GET /%b HTTP/1.1\r\n\r\n" % key


def body_of(reply: bytes) -> bytes:
    head, _, body = reply.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 20"), head
    assert b"Content-Length: %d" % len(body) in head
    return body


def line(name: bytes, value: bytes) -> bytes:
    return b64encode(name) + b"\t" + b64encode(value) + b"\n"


RECORD: Final = struct.pack(">HIIq", 0, 1, len(LARGE), (1 << 40) - 1) + b"v" + LARGE


class Case(NamedTuple):
    """A request that is large, or whose reply is: what stores, what asks, and what is answered."""

    program: str
    store: bytes
    ask: bytes
    expected: bytes
    seen: Callable[[bytes], bytes] = lambda reply: reply


BINARY: Final = pack_set(b"v", LARGE, 0, NEVER)
STORED: Final = record_request(codes.PUT, b"v", LARGE)

CASES: Final = {
    "tycoon, binary": Case("kt-tycoon", BINARY, pack_get(b"v", 0), b"\xba\0\0\0\1" + RECORD),
    "tycoon, REST": Case("kt-tycoon", put(b"v"), get(b"v"), LARGE, body_of),
    "tycoon, RPC": Case(
        "kt-tycoon",
        tsv(b"set", line(b"key", b"v") + line(b"value", LARGE), b"; colenc=B"),
        tsv(b"get", b"key\tv"),
        line(b"value", LARGE),
        body_of,
    ),
    "tycoon, RPC get_bulk": Case(
        "kt-tycoon",
        BINARY,
        tsv(b"get_bulk", b"_v\t"),
        line(b"_v", LARGE) + line(b"num", b"1"),
        body_of,
    ),
    "tyrant, binary": Case(
        "kt-tyrant",
        STORED,
        key_request(codes.GET, b"v"),
        b"\0" + struct.pack(">I", len(LARGE)) + LARGE,
    ),
    "tyrant, mget": Case(
        "kt-tyrant",
        STORED,
        mget_request([b"v"]),
        struct.pack(">BIII", 0, 1, 1, len(LARGE)) + b"v" + LARGE,
    ),
    "tyrant, getlist": Case(
        "kt-tyrant",
        STORED,
        misc_request(b"getlist", [b"v"]),
        struct.pack(">BII", 0, 2, 1) + b"v" + struct.pack(">I", len(LARGE)) + LARGE,
    ),
    "tyrant, misc get": Case(
        "kt-tyrant",
        STORED,
        misc_request(b"get", [b"v"]),
        struct.pack(">BII", 0, 1, len(LARGE)) + LARGE,
    ),
    "tyrant, memcached": Case(
        "kt-tyrant",
        b"set v 0 0 %d\r\n%b\r\n" % (len(LARGE), LARGE),
        b"get v\r\n",
        b"VALUE v 0 %d\r\n%b\r\nEND\r\n" % (len(LARGE), LARGE),
    ),
    "tyrant, HTTP": Case("kt-tyrant", put(b"v"), get(b"v"), LARGE, body_of),
}

SMALL: Final = {
    "kt-tycoon": (pack_get(b"nothing", 0), b"\xba\0\0\0\0"),
    "kt-tyrant": (key_request(codes.GET, b"nothing"), b"\1"),
}
"""A small request, and what is answered."""

SESSIONS: Final[dict[str, Any]] = {"kt-tycoon": tycoon_sessions, "kt-tyrant": tyrant_sessions}
ENGINES: Final[dict[str, Any]] = {"kt-tycoon": kyoto, "kt-tyrant": tokyo}

both = pytest.mark.parametrize("program", ["kt-tycoon", "kt-tyrant"])
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


@contextmanager
def in_a_hurry(program: str) -> Iterator[None]:
    """As on the event loop."""
    ENGINES[program].hurry(True)
    try:
        yield
    finally:
        ENGINES[program].hurry(False)


class Driver:
    """Drives a session as the event loop does, and counts what it leaves to worker threads."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.input = bytearray()
        self.left = 0

    def ask(self, data: bytes) -> bytes:
        """The replies to what has come so far."""
        session = self.session
        self.input += data
        while len(self.input) >= max(session.need, 1):
            session.need = 1
            given = self.input
            used = session.step(given, 0)
            self.input = given[used:]
            if isinstance(session.work, InThread):
                assert not session.output, "something was done at once"
                self._work(session.work)
            elif not used:
                break
        replies = b"".join(session.output)
        session.output.clear()
        return replies

    def _work(self, work: InThread) -> None:
        """In a thread that does not hurry; what is done may leave more."""
        self.session.work = None
        self.left += 1
        self.session.behind = bool(self.input)
        with ThreadPoolExecutor(1) as worker:
            result = worker.submit(work.run).result()
        work.then(result)
        self.input = bytearray(self.session.unserved) + self.input
        self.session.unserved = b""
        if isinstance(self.session.work, InThread):
            self._work(self.session.work)


@every_case
def test_who_serves_others_leaves_it_to_a_worker_thread(case: Case) -> None:
    """Nothing of the reply is made in a step, so whoever comes meanwhile is served."""
    with SESSIONS[case.program]() as make, in_a_hurry(case.program):
        driver = Driver(make())
        small, answer = SMALL[case.program]
        for begin in range(0, len(case.store), MIB):
            assert driver.left == 0
            stored = driver.ask(case.store[begin : begin + MIB])
        assert stored
        assert driver.left >= 1
        before = driver.left
        reply = driver.ask(case.ask)
        assert driver.left > before
        assert case.seen(reply) == case.expected
        before = driver.left
        assert driver.ask(small) == answer
        assert driver.left == before


@both
def test_engines_do_nothing_large_in_a_hurry(program: str) -> None:
    database = ENGINES[program].Database("*")
    database.set(b"v", LARGE) if program == "kt-tycoon" else database.put(b"v", LARGE)
    with in_a_hurry(program), pytest.raises(LargeValue):
        database.get(b"v")
    found = database.get(b"v")
    assert (found[0] if program == "kt-tycoon" else found) == LARGE
    database.close()


def test_a_cursor_stays_at_what_it_leaves() -> None:
    with kyoto.Database("*") as database:
        database.set(b"v", LARGE)
        cursor = database.cursor()
        cursor.jump()
        with in_a_hurry("kt-tycoon"):
            for _ in range(2):
                with pytest.raises(LargeValue):
                    cursor.get(step=True)
            with pytest.raises(LargeValue):
                cursor.seize()
        assert cursor.get(step=True)[:2] == (b"v", LARGE)


def test_what_is_to_be_changed_is_left_as_it_is() -> None:
    with kyoto.Database("*") as database:
        database.set(b"v", LARGE)
        with in_a_hurry("kt-tycoon"):
            for change in (database.seize, lambda key: database.append(key, b"x")):
                with pytest.raises(LargeValue):
                    change(b"v")
        assert database.check(b"v")[0] == len(LARGE)
        database.append(b"v", b"x")
        assert database.get(b"v")[0] == LARGE + b"x"
        assert database.seize(b"v")[0] == LARGE + b"x"
        assert database.count() == 0


class Client:
    """A connection to a server."""

    def __init__(self, server: ServerProcess) -> None:
        self.socket = socket.create_connection((server.host, server.port), SECONDS)

    def take(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            more = self.socket.recv(min(size - len(data), MIB))
            assert more, f"the end after {len(data)} bytes"
            data += more
        return bytes(data)

    def ask(self, request: bytes, reply: bytes) -> None:
        self.socket.sendall(request)
        assert self.take(len(reply)) == reply


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServerProcess]:
    program = request.node.callspec.params.get("program")
    with ServerProcess(
        program or request.node.callspec.params["case"].program, databases=["*"], directory=tmp_path
    ) as server:
        yield server


@every_case
def test_what_comes_behind_is_answered_behind(server: ServerProcess, case: Case) -> None:
    """Large and small requests in one go, on a connection that an I/O thread may have."""
    small, answer = SMALL[case.program]
    client = Client(server)
    for _ in range(100):
        client.ask(small, answer)
    sender = threading.Thread(
        target=client.socket.sendall, args=(case.store + small + case.ask + small,)
    )
    sender.start()
    client.socket.settimeout(SECONDS)
    received = bytearray()
    while not (len(received) > len(case.expected) and received.endswith(answer)):
        more = client.socket.recv(MIB)
        assert more
        received += more
    sender.join()
    assert received.count(answer) >= 2
    assert case.expected in received
    client.ask(small, answer)
    client.socket.close()


@both
def test_replies_that_nobody_reads_lie_in_memory_once(server: ServerProcess, program: str) -> None:
    """The first byte of a reply comes when all of it is there."""
    part, count, clients = b"p" * MIB, 48, 3
    if program == "kt-tycoon":
        store, stored = pack_set(b"p", part, 0, NEVER), b"\xb8\0\0\0\1"
        ask = pack_get_bulk([b"p"] * count, 0)
        size = 5 + count * (19 + MIB)
    else:
        store, stored = record_request(codes.PUT, b"p", part), b"\0"
        ask = mget_request([b"p"] * count)
        size = 5 + count * (9 + MIB)
    with ExitStack() as stack:
        connected = [Client(server) for _ in range(clients)]
        for client in connected:
            stack.callback(client.socket.close)
        connected[0].ask(store, stored)
        before = server.memory()
        for client in connected:
            client.socket.sendall(ask)
        for client in connected:
            client.take(1)
        assert server.memory() - before < PEAK * clients * size
        for client in connected:
            assert client.take(size - 1).count(part) == count
        connected[0].ask(*SMALL[program])
        assert server.memory() - before < size


@pytest.mark.parametrize("program", ["kt-tycoon"])
@pytest.mark.parametrize("call", [tsv(b"get", b"key\tv"), tsv(b"get_bulk", b"_v\t")])
def test_an_encoded_reply_and_its_value_are_all_there_is(
    server: ServerProcess, program: str, call: bytes
) -> None:
    """The value, and four bytes for each three of it."""
    value = bytes(range(256)) * (64 * MIB // 256)
    client = Client(server)
    client.ask(pack_set(b"v", value, 0, NEVER), b"\xb8\0\0\0\1")
    client.ask(*SMALL[program])
    before = server.memory()
    server.forget_peak()
    client.socket.sendall(call)
    reply = client.take(4 * len(value) // 3)
    assert b"colenc=B" in reply[:1000]
    assert server.peak_memory() - before < 3 * len(value)
    client.socket.close()


@both
def test_a_connection_without_memory_ends_and_the_server_lives(
    server: ServerProcess, program: str
) -> None:
    small, answer = SMALL[program]
    part = b"p" * MIB
    if program == "kt-tycoon":
        store, stored = pack_set(b"p", part, 0, NEVER), b"\xb8\0\0\0\1"
        ask = pack_get_bulk([b"p"] * 900, 0)
    else:
        store, stored = record_request(codes.PUT, b"p", part), b"\0"
        ask = mget_request([b"p"] * 900)
    client, other = Client(server), Client(server)
    client.ask(store, stored)
    for _ in range(100):
        client.ask(small, answer)
        other.ask(small, answer)
    limit_memory(server, 200 * MIB)
    client.socket.sendall(ask)
    received = 0
    try:
        while more := client.socket.recv(MIB):
            received += len(more)
    except ConnectionError:
        pass
    assert received < 900 * MIB
    other.ask(small, answer)
    again = Client(server)
    again.ask(small, answer)
    for one in (client, other, again):
        one.socket.close()


def limit_memory(server: ServerProcess, more: int) -> None:
    """Let the server have so much more than it has."""
    status = Path(f"/proc/{server.process.pid}/status")
    if not status.exists() or not hasattr(resource, "prlimit"):
        pytest.skip("the memory of another process cannot be limited here")
    [size] = [line.split()[1] for line in status.read_text().splitlines() if "VmSize" in line]
    limit = int(size) * 1024 + more
    resource.prlimit(server.process.pid, resource.RLIMIT_AS, (limit, limit))
