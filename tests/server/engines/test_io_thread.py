"""I/O threads: what they serve by themselves, and what comes back, on both engines' streams."""

from __future__ import annotations

import select
import socket
import struct
import threading
from collections.abc import Iterator
from time import monotonic
from typing import Any, NamedTuple

import pytest

from kt.server.engines.io._io import NOTHING, SUPPORTED, IoThread
from kt.server.engines.kyoto import _engine as _kyoto
from kt.server.engines.tokyo import _engine as _tokyo
from kt.server.process.delegation import Holders
from kt.wire.tycoon import NEVER, pack_get, pack_get_bulk, pack_set
from kt.wire.tycoon_rpc import pack_rpc

from ..processes import SECONDS
from .tokyo import key_request, mget_request, record_request

pytestmark = pytest.mark.skipif(not SUPPORTED, reason="there are no I/O threads on this system")


class Engine(NamedTuple):
    """A server engine, and what to send to it."""

    core: Any
    set: bytes
    set_reply: bytes
    get: bytes
    get_reply: bytes
    large_get: bytes
    large_reply: bytes
    rare: bytes
    rare_state: int
    broken: bytes
    broken_state: int
    large_begin: bytes
    opening: bytes  # the begin of a request, which the stream takes


def kyoto() -> Iterator[Engine]:
    with _kyoto.Database("*") as database:
        record = struct.pack(">HIIq", 0, 1, 9, (1 << 40) - 1) + b"k" + b"v" * 9
        yield Engine(
            _kyoto.BinaryCore([database]),
            set=pack_set(b"k", b"v" * 9, 0, NEVER),
            set_reply=bytes.fromhex("b800000001"),
            get=pack_get(b"k", 0),
            get_reply=bytes.fromhex("ba00000001") + record,
            large_get=pack_get_bulk([b"k"] * 1000, 0),
            large_reply=bytes.fromhex("ba000003e8") + record * 1000,
            rare=pack_rpc("match_prefix", [("prefix", "")]),
            rare_state=_kyoto.State.HTTP,
            broken=b"\x81 is no command",
            broken_state=_kyoto.State.CLOSE,
            opening=pack_get(b"k", 0)[:9],
            large_begin=b"\xb8" + struct.pack(">IIHIIq", 0, 1, 0, 1, 1 << 27, NEVER) + b"k",
        )


def tokyo() -> Iterator[Engine]:
    database = _tokyo.Database("*")
    record = struct.pack(">II", 1, 9) + b"k" + b"v" * 9
    yield Engine(
        _tokyo.BinaryCore(database),
        set=record_request(0x10, b"k", b"v" * 9),
        set_reply=b"\0",
        get=key_request(0x30, b"k"),
        get_reply=b"\0\0\0\0\x09" + b"v" * 9,
        large_get=mget_request([b"k"] * 1000),
        large_reply=struct.pack(">BI", 0, 1000) + record * 1000,
        rare=b"\xc8\x88",
        rare_state=_tokyo.State.COMMAND,
        broken=b"\xc8\xff",
        broken_state=_tokyo.State.BROKEN,
        opening=mget_request([b"k"] * 1000)[:6],
        large_begin=struct.pack(">BBII", 0xC8, 0x10, 1, 1 << 27) + b"k",
    )
    database.close()


@pytest.fixture(params=[kyoto, tokyo])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    yield from request.param()


@pytest.fixture(params=[0, 50])
def thread(request: pytest.FixtureRequest) -> Iterator[IoThread]:
    """With and without waiting awake."""
    thread = IoThread(request.param)
    yield thread
    thread.stop()


class Line:
    """A connection whose far end an I/O thread serves."""

    def __init__(self, thread: IoThread, engine: Engine) -> None:
        self.near, self.far = socket.socketpair()
        self.near.settimeout(SECONDS)
        self.far.setblocking(False)
        self.stream = engine.core.stream()
        thread.add(self.far.fileno(), self.stream, self)

    def ask(self, request: bytes, reply: bytes) -> None:
        self.near.sendall(request)
        assert self.take(len(reply)) == reply

    def take(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            more = self.near.recv(size - len(data))
            assert more, f"the end after {len(data)} bytes"
            data += more
        return bytes(data)


@pytest.fixture
def line(thread: IoThread, engine: Engine) -> Iterator[Line]:
    line = Line(thread, engine)
    yield line
    thread.stop()
    line.near.close()
    line.far.close()


def returned(thread: IoThread) -> tuple[Any, int, bytes, bytes]:
    """Wait for a connection that comes back."""
    assert select.select([thread.fileno()], [], [], SECONDS)[0]
    traces, [back] = thread.take()
    assert traces == []
    return back


def test_plain_requests_never_come_back(thread: IoThread, engine: Engine, line: Line) -> None:
    line.ask(engine.set, engine.set_reply)
    for _ in range(100):
        line.ask(engine.get, engine.get_reply)
    line.ask(engine.get * 5000, engine.get_reply * 5000)
    for byte in engine.set + engine.get:
        line.near.send(bytes([byte]))
    assert line.take(len(engine.set_reply + engine.get_reply)) == (
        engine.set_reply + engine.get_reply
    )
    assert thread.take() == ([], [])
    assert len(thread) == 1


def test_a_rare_request_comes_back_behind_the_replies(
    thread: IoThread, engine: Engine, line: Line
) -> None:
    rest = engine.rare + engine.get
    line.ask(engine.set + engine.get + rest, engine.set_reply + engine.get_reply)
    assert returned(thread) == (line, engine.rare_state, rest, b"")
    assert len(thread) == 0
    thread.add(line.far.fileno(), line.stream, line)
    line.ask(engine.get, engine.get_reply)


def test_the_end_comes_back(thread: IoThread, engine: Engine, line: Line) -> None:
    line.near.sendall(engine.get[:5])
    line.near.shutdown(socket.SHUT_WR)
    assert returned(thread) == (line, NOTHING, engine.get[:5], b"")


def test_a_bad_request_comes_back(thread: IoThread, engine: Engine, line: Line) -> None:
    line.near.sendall(engine.broken)
    owner, state, _, unsent = returned(thread)
    assert (owner, state, unsent) == (line, engine.broken_state, b"")


def test_a_large_request_comes_back(thread: IoThread, engine: Engine, line: Line) -> None:
    """The thread keeps little of what it cannot serve yet."""
    sender = threading.Thread(target=lambda: line.near.sendall(engine.large_begin + bytes(1 << 18)))
    sender.start()
    owner, state, received, _ = returned(thread)
    assert (owner, state) == (line, NOTHING)
    assert 1 << 16 < len(received) <= 1 << 19
    while sender.is_alive():
        select.select([line.far], [], [], 0.01)
        try:
            received += line.far.recv(1 << 20)
        except BlockingIOError:
            continue
    assert bytes(1 << 16) in received


def test_who_does_not_read_gets_everything_later(
    thread: IoThread, engine: Engine, line: Line
) -> None:
    line.ask(engine.set, engine.set_reply)
    line.far.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    requests = threading.Thread(target=lambda: line.near.sendall(engine.large_get * 300))
    requests.start()
    other = Line(thread, engine)
    other.ask(engine.get, engine.get_reply)
    for _ in range(300):
        assert line.take(len(engine.large_reply)) == engine.large_reply
    requests.join()
    line.ask(engine.get, engine.get_reply)
    assert thread.take() == ([], [])
    other.near.close()
    assert returned(thread)[0] is other
    other.far.close()


@pytest.mark.parametrize("half", ["first byte", "all but one", "opening"])
def test_half_requests_come_back_at_the_second_sweep(
    thread: IoThread, engine: Engine, line: Line, half: str
) -> None:
    begin = {
        "first byte": engine.get[:1],
        "all but one": engine.get[:-1],
        "opening": engine.opening,
    }[half]
    idle = Line(thread, engine)
    idle.ask(engine.set, engine.set_reply)
    line.near.sendall(engine.set + begin)
    assert line.take(len(engine.set_reply)) == engine.set_reply
    thread.sweep()
    for _ in range(2):  # the first answer may come just before the thread is told
        idle.ask(engine.get, engine.get_reply)
    assert thread.take() == ([], [])
    thread.sweep()
    owner, state, received, unsent = returned(thread)
    assert (owner, state, unsent) == (line, NOTHING, b"")
    assert begin.endswith(received)
    idle.ask(engine.get, engine.get_reply)
    assert len(thread) == 1
    thread.stop()
    idle.near.close()
    idle.far.close()


def test_unread_replies_come_back_at_the_second_sweep(
    thread: IoThread, engine: Engine, line: Line
) -> None:
    line.ask(engine.set, engine.set_reply)
    line.far.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    line.near.sendall(engine.large_get * 20)
    deadline = monotonic() + SECONDS
    back: list[Any] = []
    while not back and monotonic() < deadline:
        thread.sweep()
        _, back = thread.take()
    [(owner, _, _, unsent)] = back
    assert owner is line
    assert unsent
    line.far.setblocking(True)
    sender = threading.Thread(target=lambda: (line.far.sendall(unsent), line.far.close()))
    sender.start()
    data = b"".join(iter(lambda: line.near.recv(1 << 20), b""))
    sender.join()
    assert data
    assert data == engine.large_reply * (len(data) // len(engine.large_reply))


def test_hold_keeps_the_thread_outside(thread: IoThread, engine: Engine, line: Line) -> None:
    line.ask(engine.set, engine.set_reply)
    holders = Holders()
    holders.watch((thread,))
    holders.add("one")
    holders.add("two")
    line.near.sendall(engine.get)
    assert returned(thread) == (line, NOTHING, engine.get, b"")
    holders.discard("one")
    assert holders
    thread.add(line.far.fileno(), line.stream, line)
    line.near.sendall(engine.get)
    assert returned(thread) == (line, NOTHING, engine.get, b"")
    holders.discard("two")
    assert not holders
    thread.add(line.far.fileno(), line.stream, line)
    line.ask(engine.get, engine.get_reply)


def test_what_holds_already_keeps_new_threads_outside(
    thread: IoThread, engine: Engine, line: Line
) -> None:
    line.ask(engine.set, engine.set_reply)
    holders = Holders()
    holders.add("early")
    holders.watch((thread,))
    line.near.sendall(engine.get)
    assert returned(thread) == (line, NOTHING, engine.get, b"")
    holders.discard("early")
    thread.add(line.far.fileno(), line.stream, line)
    line.ask(engine.get, engine.get_reply)
    holders.add("late")
    line.near.sendall(engine.get)
    assert returned(thread) == (line, NOTHING, engine.get, b"")
    holders.discard("late")


def test_stop_sends_all_back(thread: IoThread, engine: Engine) -> None:
    lines = [Line(thread, engine) for _ in range(10)]
    for line in lines:
        line.ask(engine.set, engine.set_reply)
    thread.stop()
    thread.stop()
    _, back = thread.take()
    assert {id(owner) for owner, *_ in back} == {id(line) for line in lines}
    assert {(state, received, unsent) for _, state, received, unsent in back} == {
        (NOTHING, b"", b"")
    }
    for line in lines:
        line.near.close()
        line.far.close()


def test_what_cannot_be_watched_comes_back(thread: IoThread, engine: Engine) -> None:
    """The standard null device cannot be waited for."""
    stream = engine.core.stream()
    with open("/dev/null", "rb") as null:
        thread.add(null.fileno(), stream, "owner")
        assert returned(thread) == ("owner", NOTHING, b"", b"")


def test_many_connections_at_once(thread: IoThread, engine: Engine) -> None:
    lines = [Line(thread, engine) for _ in range(100)]
    for _ in range(20):
        for line in lines:
            line.near.sendall(engine.set + engine.get)
        for line in lines:
            assert line.take(len(engine.set_reply)) == engine.set_reply
            assert line.take(len(engine.get_reply)) == engine.get_reply
    assert thread.take() == ([], [])
    thread.stop()
    for line in lines:
        line.near.close()
        line.far.close()
