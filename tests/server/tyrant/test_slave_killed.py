"""kt-tyrant as a slave, and its master, killed and started anew: nothing twice, nothing missing."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from kt.server.engines.tokyo._engine import Database, Next, Replay
from kt.server.tyrant.position import Kind, Place, Position
from kt.wire.log.tyrant import Record

from ..processes import HOST
from .slaves import (
    GREETING,
    HASH,
    Client,
    ScriptedMaster,
    client,
    contents,
    frame,
    put,
    server,
    settle,
    wait_until,
)
from .test_update_log import records

INTERRUPTED = [
    Record(11, 1, 0, put(b"k", b"x", 0x12)),
    Record(12, 1, 0, put(b"plain", b"1")),
    Record(12, 1, 0, b"\xc8\x60\0\0\0\1\0\0\0\5n\0"),
    Record(12, 1, 0, b"\xc8\x13\0\0\0\1\0\0\0\2\0\0\0\3sde\0"),
]


def interrupt(directory: Path, done: int) -> None:
    """Leave what a slave leaves that was killed when `done` of these commands were done."""
    database = Database(str(directory / "c.tch"))
    for key, value in ((b"k", b"a"), (b"s", b"abc")):
        database.put(key, value)
    keys = ((0x12, b"k"), (0x60, b"n"), (0x13, b"s"))
    marks = b"".join(Replay.mark(database, code, key) for code, key in keys)
    position = Position(str(directory / "slave.rts"), in_memory=False)
    position.set(10)
    position.begin(Kind.BATCH, Place(12, 3), marks)
    operations: list[Callable[[], object]] = [
        lambda: database.putcat(b"k", b"x"),
        lambda: database.put(b"plain", b"1"),
        lambda: database.addint(b"n", 5),
        lambda: database.putshl(b"s", b"de", 3),
    ]
    for operation in operations[:done]:
        assert operation()
    assert database.close()


@pytest.mark.parametrize("done", range(5))
def test_a_batch_that_was_interrupted(done: int, scripted: ScriptedMaster, tmp_path: Path) -> None:
    """However much of it was done, of one stamp or several: each command takes effect once."""
    interrupt(tmp_path, done)
    args = ("-mhost", HOST, "-mport", str(scripted.port), "-rts", "slave.rts", "-rcc")
    with server(tmp_path, 2, *args, database="c.tch") as b, client(b) as follower:
        assert scripted.accept() == (11, 2)
        later = Record(12, 1, 0, put(b"k", b"y", 0x12))
        scripted.send(GREETING + b"".join(map(frame, [*INTERRUPTED, later])))
        wait_until(lambda: follower.get(b"k") == b"axy")
        assert follower.get(b"plain") == b"1"
        assert follower.get_int(b"n") == 5
        assert follower.get(b"s") == b"cde"
        scripted.hang_up()
        assert scripted.accept() == (12, 2)
        scripted.send(GREETING + b"".join(map(frame, [*INTERRUPTED[1:], later])) + b"\xca")
        scripted.send(frame(Record(13, 1, 0, put(b"end", b"1"))))
        wait_until(lambda: follower.exists(b"end"))
        assert follower.get(b"k") == b"axy"
        assert follower.get_int(b"n") == 5


def test_other_keys_of_one_record(tmp_path: Path) -> None:
    """In an array of fixed length "01" is the record "1": its mark would say nothing."""
    database = Database(str(tmp_path / "c.tcf"))
    replay = Replay(database, 2)
    plain = frame(Record(11, 1, 0, put(b"1", b"b")))
    data = plain + frame(Record(12, 1, 0, put(b"01", b"x", 0x12)))
    assert replay.plan(data, 0, (10, 0)) == (Next.OTHER, len(plain), 1, (11, 1), b"")
    assert database.close()


def test_no_more_marks_than_a_page_holds(tmp_path: Path) -> None:
    """A process that is killed has written a page, or not."""
    replay = Replay(Database("*"), 2, milliseconds=60_000)  # no machine is so busy
    data = b"".join(frame(Record(11, 1, 0, put(b"%d" % i, b"x", 0x12))) for i in range(1000))
    position = Position(str(tmp_path / "slave.rts"), in_memory=False)
    position.set(10)
    following, _, _, until, marks = replay.plan(data, 0, (10, 0))
    assert following == Next.BATCH
    position.begin(Kind.BATCH, Place(*until), marks)
    assert 2048 < (tmp_path / "slave.rts.position").stat().st_size <= 4096


def test_killed_before_the_rest_of_a_longer_file_is_cut_off(tmp_path: Path) -> None:
    position = Position(str(tmp_path / "slave.rts"), in_memory=False)
    position.set(10)
    position.begin(Kind.BATCH, Place(12, 3), bytes(80))
    longer = (tmp_path / "slave.rts.position").read_bytes()
    position.finish(Place(10, 2))
    shorter = (tmp_path / "slave.rts.position").read_bytes()
    (tmp_path / "slave.rts.position").write_bytes(shorter + longer[len(shorter) :])
    again = Position(str(tmp_path / "slave.rts"), in_memory=False)
    again.load()
    assert (again.done, again.kind) == (Place(10, 2), Kind.NOTHING)


def write_some(tt: Client, numbers: range, *, additions: bool) -> None:
    with tt.pipeline() as pipeline:
        for i in numbers:
            if additions:
                pipeline.append(b"k%d" % (i % 5), b"%d," % i)
                pipeline.incr(b"sum", i)
                pipeline.addshl(b"shifted", b"%d" % i, 20)
            pipeline.set(b"s%d" % (i % 50), b"%d" % i)
            pipeline.add(b"new%d" % i, b"1")
            pipeline.remove(b"new%d" % (i - 1))


@pytest.mark.parametrize(
    ("database", "additions"),
    [(HASH, True), ("c.tcf#width=4000", False), ("c.tcb", False), ("*", True)],
)
def test_a_slave_killed_again_and_again(database: str, additions: bool, tmp_path: Path) -> None:
    """Contents are equal in the end: every command was carried out once."""
    with server(tmp_path / "a", 1) as a, client(a) as tt:
        slave = server(tmp_path / "b", 2, of=a, database=database)
        for round_ in range(8):
            with slave:
                with client(slave) as follower:
                    wait_until(lambda: follower.status()["repl_connected"] == 1)
                    if database.endswith("tcf#width=4000"):
                        tt.set_bulk({b"%d" % i: b"%d" % round_ for i in range(1, 500)})
                    else:
                        write_some(tt, range(round_ * 200, round_ * 200 + 200), additions=additions)
                slave.kill()
        with slave, client(slave) as follower:
            key = "1000" if "tcf" in database else "settled"
            settle(tt, follower, key=key)
            assert contents(follower) == contents(tt)


def test_a_master_killed_again_and_again(tmp_path: Path) -> None:
    master = server(tmp_path / "a", 1, database=HASH)
    with master, server(tmp_path / "b", 2, of=master, database=HASH) as b, client(b) as follower:
        for round_ in range(4):
            with client(master) as tt:
                write_some(tt, range(round_ * 200, round_ * 200 + 200), additions=True)
                settle(tt, follower)
            master.kill()
            master.start()
        with client(master) as tt:
            settle(tt, follower)
            assert contents(follower) == contents(tt)


def test_a_database_in_memory_is_filled_again(tmp_path: Path) -> None:
    with server(tmp_path / "a", 1) as a, client(a) as tt:
        slave = server(tmp_path / "b", 2, of=a)
        for end in (signal.SIGKILL, signal.SIGTERM, signal.SIGTERM):
            tt.append(b"k", b"v")
            with slave, client(slave) as follower:
                settle(tt, follower)
                assert contents(follower) == contents(tt)
                slave.stop(end)
        newest = records(tmp_path / "a" / "log")[-1].stamp
        tt.set(b"later", b"1")
        (tmp_path / "b" / "slave.rts").write_text(f"{newest}\n1")
        with slave, client(slave) as follower:
            wait_until(lambda: follower.get(b"later") == b"1")


def test_a_slave_stops_at_once(tmp_path: Path) -> None:
    """While it follows, and while nobody is there to be followed."""
    with server(tmp_path / "a", 1) as a, client(a) as tt:
        with server(tmp_path / "b", 2, of=a) as b, client(b) as follower:
            settle(tt, follower)
            assert b.stop() == 0
        a.kill()
        with server(tmp_path / "b", 2, of=a) as b:
            b.wait_for_output("is not followed")
            assert b.stop() == 0
