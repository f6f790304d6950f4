"""Writes that are acknowledged when slaves have them (``-ack``)."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from kt import KT_NONE, AsyncKyotoTycoon, KyotoTycoon, OutcomeUnknown, UnconfirmedError
from kt.wire.tycoon import NO_REPLY, pack_set_bulk
from kt.wire.tycoon_rpc import pack_rpc

from ..http_client import Caller
from ..processes import HOST, SECONDS, ServerProcess
from .pairs import BUNDLED, following, server, wait_until

ONE = ("%",)
FILE = ("a.kct",)
SOON = ("-ack-timeout", "0.2")
LATE = ("-ack-timeout", str(SECONDS))
WORDS = "stored here, but not confirmed by . slaves"
SCRIPT = """kt = __kyototycoon__
function set(i, o) kt.db:set("by script", "1") return kt.RVSUCCESS end
function visit(i, o) kt.db:accept("a", function(k, v, xt) return "seen" end)
  return kt.RVSUCCESS end
function cursor(i, o) local c = kt.db:cursor() c:jump() c:set_value("x") return kt.RVSUCCESS end
function commit(i, o) kt.db:begin_transaction() kt.db:set("t", "1")
  kt.db:end_transaction(true) return kt.RVSUCCESS end
function get(i, o) kt.db:get("a") return kt.RVSUCCESS end
function hold(i, o) kt.db:begin_transaction() kt.db:set("held", "1")
  while not kt.db:get("release") do end
  kt.db:end_transaction(true) return kt.RVSUCCESS end
"""


def master_of(tmp_path: Path, slaves: int, *args: str, number: int = 1) -> ServerProcess:
    (tmp_path / "s.lua").write_text(SCRIPT)
    scripts = ("-scr", str(tmp_path / "s.lua"), "-th", "4")
    return server(
        BUNDLED, number, tmp_path / "master", "-ack", str(slaves), *scripts, *args, databases=FILE
    )


def slave_of(master: ServerProcess, number: int, tmp_path: Path) -> ServerProcess:
    directory = tmp_path / f"slave{number}"
    return server(BUNDLED, number, directory, *following(master), databases=FILE)


def client(process: ServerProcess) -> KyotoTycoon:
    return KyotoTycoon(HOST, process.port, serializer=KT_NONE, decode_keys=False, timeout=SECONDS)


def fact(process: ServerProcess, name: str) -> int:
    with client(process) as kt:
        return int(kt.report()[name])


def wait_for_slaves(master: ServerProcess, count: int) -> None:
    wait_until(lambda: fact(master, "ack_slaves") == count, f"{count} slaves follow")


@contextmanager
def followed(tmp_path: Path, *args: str, slaves: int = 1) -> Iterator[list[ServerProcess]]:
    """A master with `-ack`, and so many slaves as it needs."""
    with ExitStack() as stack:
        master = stack.enter_context(master_of(tmp_path, slaves, *args))
        servers = [
            stack.enter_context(slave_of(master, 2 + index, tmp_path)) for index in range(slaves)
        ]
        wait_for_slaves(master, slaves)
        yield [master, *servers]


def writes(kt: KyotoTycoon) -> dict[str, Callable[[], object]]:
    """Every way to write, by the name of what it leaves in the report's count of commands."""
    cursor = kt.cursor()
    return {
        "set": lambda: kt.set(b"a", b"1"),
        "remove": lambda: kt.remove(b"gone"),
        "set_bulk": lambda: kt.set_bulk({b"k%d" % i: b"v" for i in range(100)}),
        "remove_bulk": lambda: kt.remove_bulk([b"k%d" % i for i in range(50)]),
        "large": lambda: kt.set(b"large", b"x" * (5 << 20)),
        "play_script": lambda: kt.script("set"),
        "visit": lambda: kt.script("visit"),
        "cursor by script": lambda: kt.script("cursor"),
        "transaction": lambda: kt.script("commit"),
        "rpc set": lambda: kt.rpc("set", {"key": b"a", "value": b"1"}),
        "rpc large": lambda: kt.rpc("set", {"key": b"a", "value": b"x" * (5 << 20)}),
        "rpc add": lambda: kt.add(b"new%d" % time.time_ns(), b"1"),
        "rpc replace": lambda: kt.replace(b"a", b"2"),
        "rpc append": lambda: kt.append(b"a", b"3"),
        "rpc increment": lambda: kt.incr(b"number"),
        "rpc increment_double": lambda: kt.incr_double(b"double"),
        "rpc cas": lambda: kt.cas(b"cas", None, b"%d" % time.time_ns()),
        "rpc remove": lambda: kt.rpc("remove", {"key": b"a"}),
        "rpc seize": lambda: kt.seize(b"number"),
        "rpc set_bulk": lambda: kt.rpc("set_bulk", {"_a": b"1", "_b": b"2"}),
        "rpc atomic": lambda: kt.rpc("set_bulk", {"_a": b"1", "_b": b"2", "atomic": b""}),
        "rpc remove_bulk": lambda: kt.rpc("remove_bulk", {"_b": b""}),
        "rpc play_script": lambda: kt.rpc("play_script", {"name": b"set"}),
        "cur_set_value": lambda: cursor.jump() and cursor.set_value(b"c"),
        "cur_remove": lambda: cursor.jump() and cursor.remove(),
        "cur_seize": lambda: cursor.jump() and cursor.seize(),
        "clear": lambda: kt.clear(),
        "pipeline": lambda: pipelined(kt),
    }


def pipelined(kt: KyotoTycoon) -> None:
    with kt.pipeline() as pipe:
        for i in range(2000):
            pipe.set(b"p%d" % i, b"v")


def counted(kt: KyotoTycoon) -> None:
    with kt.pipeline() as pipe:
        for _ in range(100):
            pipe.incr(b"number")


def is_unknown(call: Callable[[], object]) -> bool:
    """Whether a call ends so that the client does not know what came of it."""
    try:
        call()
    except OutcomeUnknown:
        return True
    return False


def reads(kt: KyotoTycoon) -> None:
    """What never waits; more often than a connection stays on the event loop."""
    for _ in range(50):
        assert kt.get(b"seen") == b"1"
        kt.check(b"seen")
        kt.rpc("get", {"key": b"seen"})
    kt.script("get")
    kt.match_prefix(b"s")
    kt.count()


def prepare(kt: KyotoTycoon) -> None:
    """Make what the calls of `writes` need, without waiting for slaves."""
    records = {b"a": b"0", b"b": b"0", b"gone": b"0", b"number": b"\0" * 7 + b"\1", b"seen": b"1"}
    kt.set_bulk(records, no_reply=True)
    kt.remove(b"cas", no_reply=True)
    kt.get(b"a")  # all of that has been done


def test_every_write_is_answered_when_a_slave_has_it(tmp_path: Path) -> None:
    with followed(tmp_path, *LATE) as (master, slave), client(master) as kt:
        for name in writes(kt):
            prepare(kt)
            with client(master) as other:
                writes(other)[name]()
            kt.set(b"last", name.encode())
            with client(slave) as follower:
                assert follower.get(b"last") == name.encode()
        assert fact(master, "ack_late") == 0


def test_every_write_waits_for_a_slave_and_no_read_does(tmp_path: Path) -> None:
    with master_of(tmp_path, 1, "-ack-timeout", "0.05") as master, client(master) as kt:
        names = list(writes(kt))
        waited = []
        for name in names:
            prepare(kt)
            with client(master) as other:
                reads(other)
                if is_unknown(writes(other)[name]):
                    waited.append(name)
        assert waited == names
        assert fact(master, "ack_late") == len(names)


def test_without_a_slave_a_write_is_stored_and_the_client_told_so(tmp_path: Path) -> None:
    with master_of(tmp_path, 1, *SOON) as master, client(master) as kt:
        with pytest.raises(UnconfirmedError, match=f"{WORDS}: not within 0.2 seconds, 0 follow"):
            kt.incr(b"number")
        with pytest.raises(UnconfirmedError):
            kt.incr(b"number")
        assert kt.get(b"number") == b"\0" * 7 + b"\2"
        with pytest.raises(OutcomeUnknown):
            kt.set(b"a", b"1")
        assert kt.get(b"a") == b"1"
        kt.set(b"quiet", b"1", no_reply=True)
        wait_until(lambda: kt.get(b"quiet") == b"1", "it is set")
        report = kt.report()
        assert (report["ack"], report["ack_slaves"], report["ack_late"]) == (1, 0, 3)
        assert report["ack_waiting"] == 0
        with Caller(master) as caller:
            reply = caller.http(b"PUT", b"/key", body=b"value")
            assert reply.status == 500
            assert b"not confirmed" in reply.body
            assert caller("get", key="key") == (200, {"value": "value"})
            one = pack_rpc("set", {"key": b"a", "value": b"1"}.items())
            caller.socket.sendall(one + one)
            assert caller.receive()[0] == 500
            assert caller.has_ended()


@contextmanager
def waiting_set(master: ServerProcess, key: bytes) -> Iterator[None]:
    """While somebody sets a key, and waits for slaves; in the end it is acknowledged."""
    answered: list[int] = []

    def write() -> None:
        with client(master) as kt:
            answered.append(kt.set(key, b"v"))

    thread = threading.Thread(target=write)
    thread.start()
    wait_until(lambda: fact(master, "ack_waiting") == 1, "it waits")
    yield
    thread.join(SECONDS)
    assert answered == [1]


def test_pipelines_and_asyncio_are_told_so(tmp_path: Path) -> None:
    async def write(port: int) -> bytes | None:
        async with AsyncKyotoTycoon(HOST, port, serializer=KT_NONE, timeout=SECONDS) as kt:
            with pytest.raises(UnconfirmedError, match=WORDS):
                await kt.append(b"a", b"1")
            with pytest.raises(OutcomeUnknown):
                await kt.set(b"b", b"1")
            return await kt.get(b"a")

    with master_of(tmp_path, 1, *SOON) as master, client(master) as kt:
        assert asyncio.run(write(master.port)) == b"1"
        assert is_unknown(lambda: pipelined(kt))
        assert is_unknown(lambda: counted(kt))
        assert kt.get(b"number") is not None
        assert kt.get(b"p0") == b"v"


def test_two_slaves_are_needed(tmp_path: Path) -> None:
    with followed(tmp_path, *LATE, slaves=2) as (master, one, two), client(master) as kt:
        with client(one) as first, client(two) as second:
            for i in range(200):
                kt.set(b"%d" % i, b"v")
            assert first.count() == second.count() == 200
            os.kill(two.process.pid, signal.SIGSTOP)
            with waiting_set(master, b"stopped"):
                wait_until(lambda: first.get(b"stopped") == b"v", "one has it")
                assert fact(master, "ack_waiting") == 1
                os.kill(two.process.pid, signal.SIGCONT)
            assert second.get(b"stopped") == b"v"
            two.kill()
            wait_for_slaves(master, 1)
            with waiting_set(master, b"killed"):
                wait_until(lambda: first.get(b"killed") == b"v", "one has it")
                assert fact(master, "ack_waiting") == 1
                two.start()
        with client(two) as second:
            assert second.get(b"killed") == b"v"


def test_two_connections_of_one_slave_count_once(tmp_path: Path) -> None:
    with (
        master_of(tmp_path, 2, *SOON) as master,
        client(master) as kt,
        slave_of(master, 2, tmp_path),
        slave_of(master, 2, tmp_path / "master"),
    ):
        wait_until(lambda: "slave_1" in kt.report(), "both follow")
        with pytest.raises(UnconfirmedError, match=r"by 2 slaves: .*, 1 follow"):
            kt.append(b"a", b"v")


def test_a_write_into_another_transaction_waits_for_its_end(tmp_path: Path) -> None:
    with followed(tmp_path, *LATE) as (master, slave), client(master) as kt:

        def hold() -> None:
            with client(master) as other:
                other.script("hold")

        holding = threading.Thread(target=hold)
        holding.start()
        wait_until(lambda: kt.get(b"held") == b"1", "a transaction is open")
        with client(slave) as follower:
            with waiting_set(master, b"a"):
                assert follower.get(b"a") is None
                kt.set(b"release", b"1", no_reply=True)
            assert follower.get(b"a") == b"v"
        holding.join(SECONDS)


def test_who_only_reads_changes_is_no_slave(tmp_path: Path) -> None:
    with master_of(tmp_path, 1, *SOON) as master, client(master) as kt:
        seen: list[bytes] = []

        def read() -> None:
            with client(master) as reader, reader.changes() as changes:
                for change in changes:
                    seen.append(change.key or b"")
                    if change.key == b"end":
                        return

        reading = threading.Thread(target=read)
        reading.start()
        wait_until(lambda: "slave_0" in kt.report(), "changes are read")
        for key in (b"a", b"end"):
            with pytest.raises(OutcomeUnknown):
                kt.set(key, b"1")
        reading.join(SECONDS)
        assert seen == [b"a", b"end"]


class Writer(threading.Thread):
    """Writes keys of its own, one or some at once, and keeps what was acknowledged."""

    def __init__(self, master: ServerProcess, number: int, at_once: int = 1) -> None:
        super().__init__()
        self.acknowledged: list[bytes] = []
        self.sent = 0
        self.failure: Exception | None = None
        self.end = threading.Event()
        self._master, self._number, self._at_once = master, number, at_once

    def run(self) -> None:
        try:
            with client(self._master) as kt:
                while not self.end.is_set():
                    keys = [b"%d-%d" % (self._number, self.sent + i) for i in range(self._at_once)]
                    self.sent += len(keys)
                    kt.set_bulk(dict.fromkeys(keys, b"v"))
                    self.acknowledged += keys
        except Exception as error:
            self.failure = error


@contextmanager
def writing(master: ServerProcess, count: int) -> Iterator[list[Writer]]:
    writers = [Writer(master, number, 1 + number % 3) for number in range(count)]
    for writer in writers:
        writer.start()
    try:
        yield writers
    finally:
        for writer in writers:
            writer.end.set()
        for writer in writers:
            writer.join(SECONDS)
            assert not writer.is_alive()


def test_writes_that_wait_for_a_stopped_slave_succeed_when_it_goes_on(tmp_path: Path) -> None:
    with followed(tmp_path, *LATE) as (master, slave):
        with writing(master, 8) as writers:
            wait_until(lambda: all(w.acknowledged for w in writers), "they write")
            os.kill(slave.process.pid, signal.SIGSTOP)
            try:
                wait_until(lambda: fact(master, "ack_waiting") == 8, "all of them wait")
                with client(master) as kt:
                    assert kt.get(writers[0].acknowledged[0]) == b"v"
            finally:
                os.kill(slave.process.pid, signal.SIGCONT)
            before = [len(w.acknowledged) for w in writers]
            wait_until(
                lambda: all(len(w.acknowledged) > n for w, n in zip(writers, before, strict=True)),
                "they go on",
            )
        assert [w.failure for w in writers] == [None] * 8
        assert fact(master, "ack_late") == 0


def test_a_slave_that_is_killed_while_writes_wait_comes_back(tmp_path: Path) -> None:
    with followed(tmp_path, *LATE) as (master, slave):
        with writing(master, 4) as writers:
            wait_until(lambda: all(w.acknowledged for w in writers), "they write")
            slave.kill()
            wait_until(lambda: fact(master, "ack_waiting") == 4, "all of them wait")
            wait_for_slaves(master, 0)
            before = [len(w.acknowledged) for w in writers]
            slave.start()
            wait_until(
                lambda: all(len(w.acknowledged) > n for w, n in zip(writers, before, strict=True)),
                "they go on",
            )
        assert [w.failure for w in writers] == [None] * 4


@pytest.mark.parametrize(
    "durable", [(), ("-durable", "process"), ("-durable", "device", "-bgs", ".")], ids=len
)
def test_what_a_killed_master_has_acknowledged_is_on_its_slave(
    durable: tuple[str, ...], tmp_path: Path
) -> None:
    with followed(tmp_path, *LATE, *durable) as (master, slave):
        with writing(master, 6) as writers:
            wait_until(lambda: all(len(w.acknowledged) > 20 for w in writers), "they write")
            master.kill()
            wait_until(lambda: not any(w.is_alive() for w in writers), "they notice")
        acknowledged = [key for writer in writers for key in writer.acknowledged]
        with client(slave) as kt:
            found = kt.get_bulk(acknowledged)
        assert set(found) == set(acknowledged)
        assert all(isinstance(writer.failure, Exception) for writer in writers)


def test_much_at_once_does_not_keep_others_waiting_for_ever(tmp_path: Path) -> None:
    """The log is sent without an end; what is confirmed in between counts."""
    with followed(tmp_path, *LATE) as (master, slave), client(master) as kt:
        end = threading.Event()

        def flood() -> None:
            records = {b"f%d" % i: b"x" * 500 for i in range(500)}
            with client(master) as other:
                while not end.is_set():
                    other.set_bulk(records)

        flooding = [threading.Thread(target=flood) for _ in range(4)]
        for thread in flooding:
            thread.start()
        try:
            for i in range(20):
                kt.set(b"%d" % i, b"v")
        finally:
            end.set()
            for thread in flooding:
                thread.join(SECONDS)
        assert fact(master, "ack_late") == 0
        with client(slave) as follower:
            assert follower.get(b"19") == b"v"


def test_a_client_that_ends_its_side_gets_its_reply(tmp_path: Path) -> None:
    request = pack_set_bulk({b"a": b"1"}, 0, 2**63 - 1, lambda value: value)
    quiet = pack_set_bulk({b"b": b"1"}, 0, 2**63 - 1, lambda value: value, NO_REPLY)
    with followed(tmp_path, *LATE) as (master, slave):
        for sent, replies in ((request, 1), (quiet + request * 3, 3), (quiet, 0)):
            with master.connect() as peer:
                peer.sendall(sent)
                peer.shutdown(socket.SHUT_WR)
                received = b""
                while data := peer.recv(100):
                    received += data
                assert received == b"\xb8\0\0\0\1" * replies
        with client(slave) as kt:
            assert kt.get(b"a") == b"1"


def test_a_master_that_ends_tells_those_who_wait(tmp_path: Path) -> None:
    with master_of(tmp_path, 1, *LATE) as master:
        failures: list[Exception] = []

        def write() -> None:
            with client(master) as kt:
                try:
                    kt.append(b"a", b"1")
                except OutcomeUnknown as error:
                    failures.append(error)

        thread = threading.Thread(target=write)
        thread.start()
        wait_until(lambda: fact(master, "ack_waiting") == 1, "it waits")
        assert master.stop() == 0
        thread.join(SECONDS)
        assert ["the server ends" in str(error) for error in failures] == [True]
        master.start()
        with client(master) as kt:
            assert kt.get(b"a") == b"1"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("-ack", "1"), "-ack needs an update log: -ulog and -sid"),
        (("-ack-timeout", "1", "-ulog", "log", "-sid", "1"), "-ack is missing"),
        (("-ack", "-1"), "from 0 to 100"),
        (("-ack", "x"), "-ack"),
    ],
)
def test_what_cannot_be_is_refused(args: tuple[str, ...], words: str, tmp_path: Path) -> None:
    process = ServerProcess(BUNDLED, *args, databases=ONE, directory=tmp_path)
    process.spawn()
    assert process.process.wait(SECONDS) != 0
    assert words in process.printed()
