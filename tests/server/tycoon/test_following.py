"""kt-tycoon as a slave and as a master, with itself and with the original."""

from __future__ import annotations

import resource
import subprocess
import threading
import time
from pathlib import Path

import pytest

from kt import KyotoTycoon, Moment, ServerError
from tests.ports import free_port

from ..processes import HOST, ServerProcess
from ..update_logs import change, original, records
from .pairs import (
    BUNDLED,
    client,
    contents,
    facts,
    following,
    log_of,
    server,
    wait_for_trouble,
    wait_until,
    wait_until_equal,
)

ORIGINAL = "ktserver"
MIXED = [(BUNDLED, BUNDLED), (BUNDLED, ORIGINAL), (ORIGINAL, BUNDLED)]
matrix = pytest.mark.parametrize(("master", "slave"), MIXED)
FILES = ("a.kch", "b.kch")
SAFE = "-oat"
"""By which files survive that their server is killed."""

SCRIPT = """
kt = __kyototycoon__
function commit(i, o) kt.db:begin_transaction() kt.db:set("t1", "a") kt.db:remove("t1")
  kt.db:set("t2", "b") kt.db:end_transaction(true) return kt.RVSUCCESS end
function abort(i, o) kt.db:begin_transaction() kt.db:set("lost", "x")
  kt.db:end_transaction(false) return kt.RVSUCCESS end
function visit(i, o) kt.db:accept("visited", function(k, v, xt) return "seen", 1000 end)
  return kt.RVSUCCESS end
"""


def change_everything(kt: KyotoTycoon) -> None:
    """Every operation that changes something, in several databases."""
    binary = bytes(range(256))
    for db in range(5):
        kt.set(b"set", b"1", db)
        kt.set(binary, binary * 3, db)
        kt.set(b"empty", b"", db)
        kt.set(b"", b"no key", db)
        kt.set(b"for an hour", b"v", db, expire_time=3600)
        kt.set(b"gone", b"v", db, expire_time=1)
        kt.add(b"added", b"a", db)
        kt.add(b"added", b"b", db)
        kt.replace(b"added", b"c", db)
        kt.append(b"added", b"d", db)
        kt.cas(b"added", b"cd", b"swapped", db)
        kt.set(b"seized", b"s", db)
        kt.seize(b"seized", db)
        kt.set(b"removed", b"r", db)
        kt.remove(b"removed", db)
        kt.remove(b"never there", db)
        kt.incr(b"number", 7, db=db)
        kt.incr_double(b"double", 1.5, db=db)
        kt.set_bulk({b"bulk%d" % i: b"%d" % i for i in range(500)}, db)
        kt.remove_bulk([b"bulk%d" % i for i in range(0, 500, 3)], db)
    kt.set(b"large", b"x" * (5 << 20), 1)
    kt.set(b"the end", b"%d" % time.time_ns())
    if "(lua)" in str(kt.report()["conf_kt_features"]):
        for name in ("commit", "abort", "visit"):
            kt.script(name)


@matrix
def test_everything_that_a_master_does(master: str, slave: str, tmp_path: Path) -> None:
    (tmp_path / "s.lua").write_text(SCRIPT)
    first = server(master, 1, tmp_path / "master", "-scr", str(tmp_path / "s.lua"))
    with first:
        with client(first) as kt:
            change_everything(kt)
        second = server(slave, 2, tmp_path / "slave", *following(first))
        with second:
            wait_until_equal(first, second)
            with client(first) as kt, client(second) as follower:
                expires = kt.check(b"for an hour")
                assert expires is not None
                assert follower.check(b"for an hour") == expires
                kt.clear(2)
                kt.set(b"after", b"1", 2)
                wait_until(lambda: contents(follower)[2] == {b"after": (b"1", None)}, "cleared")
                change_everything(kt)
            wait_until_equal(first, second)
            second.stop()
        first.stop()
    assert log_of(second) == log_of(first)
    assert len(log_of(first)) > 6000


@matrix
def test_a_slave_that_was_killed_goes_on(master: str, slave: str, tmp_path: Path) -> None:
    first = server(master, 1, tmp_path / "master", databases=FILES)
    with first:
        args = (SAFE, "-riv", "0", *following(first))
        second = server(slave, 2, tmp_path / "slave", *args, databases=FILES)
        with client(first) as kt:
            for turn in range(3):
                with second:
                    wait_until(lambda: bool(facts(second).get("repl_timestamp")), "it follows")
                    for db in (0, 1):
                        for i in range(2000):
                            kt.set(b"%d-%d" % (turn, i), b"v%d" % i, db)
                            kt.remove(b"%d-%d" % (turn - 1, i), db)
                    second.kill()
        with second:
            wait_until_equal(first, second, len(FILES))
            with client(second) as follower:
                assert [len(found) for found in contents(follower, 2)] == [2000, 2000]


@matrix
def test_a_master_that_was_killed_is_found_again(master: str, slave: str, tmp_path: Path) -> None:
    first = server(master, 1, tmp_path / "master", SAFE, databases=FILES)
    with first:
        second = server(slave, 2, tmp_path / "slave", *following(first), databases=FILES)
        with second:
            for turn in range(3):
                with client(first) as kt:
                    kt.set_bulk({b"%d-%d" % (turn, i): b"v" for i in range(1000)})
                    kt.synchronize(hard=True)
                    time.sleep(0.2 * (master == ORIGINAL))  # it writes its log ten times a second
                first.kill()
                first.start()
            wait_until_equal(first, second, len(FILES))
            with client(second) as follower:
                assert follower.count(0) == 3000


@matrix
def test_two_masters(master: str, slave: str, tmp_path: Path) -> None:
    """Each has everything, each change is in each log once, under the number of its origin."""
    ports = free_port(), free_port()
    one, other = (
        server(
            name,
            number,
            tmp_path / str(number),
            *("-mhost", HOST, "-mport", str(ports[2 - number]), "-rts", "rts"),
            port=ports[number - 1],
        )
        for name, number in ((master, 1), (slave, 2))
    )
    with one, other:
        for process, prefix in ((one, b"one"), (other, b"other")):
            with client(process) as kt:
                kt.set_bulk({prefix + b"%d" % i: b"v" for i in range(1000)})
                kt.set(prefix, b"v", 2)
                kt.remove(prefix + b"7")
        wait_until_equal(one, other)
        with client(one) as kt:
            assert kt.count(0) == 1998
            kt.set(b"the end", b"v")
        wait_until_equal(one, other)
        one.stop()
        other.stop()
    for process in (one, other):
        logged = log_of(process)
        assert len(logged) == len(set(logged)) == 2005
        assert {change.server for change in logged if change.key.startswith(b"one")} == {1}
        assert {change.server for change in logged if change.key.startswith(b"other")} == {2}


def test_a_chain(tmp_path: Path) -> None:
    first = server(BUNDLED, 1, tmp_path / "1")
    with first:
        second = server(BUNDLED, 2, tmp_path / "2", *following(first))
        with second:
            third = server(BUNDLED, 3, tmp_path / "3", *following(second))
            with third, client(first) as kt:
                kt.set_bulk({b"%d" % i: b"v" for i in range(1000)}, 3)
                kt.clear(1)
                wait_until_equal(first, third)
                wait_until(lambda: len(log_of(third)) == 1001, "all is logged")
                assert {change.server for change in log_of(third)} == {1}


def test_the_stamp_is_never_ahead_of_files(tmp_path: Path) -> None:
    """A killed slave's databases have all that its stamp speaks of."""
    first = server(BUNDLED, 1, tmp_path / "master", databases=FILES)
    with first:
        args = (SAFE, *following(first))
        second = server(BUNDLED, 2, tmp_path / "slave", *args, databases=FILES)
        with second, client(first) as kt:
            stamp = tmp_path / "slave" / "rts"
            kt.set(b"begin", b"v")
            number = 0
            wait_until_equal(first, second, len(FILES))
            before = stamp.read_text()
            while stamp.read_text() == before:
                number += 1
                kt.set(b"%d" % number, b"v")
            second.kill()
            before = stamp.read_text()
        lost = ServerProcess(BUNDLED, databases=FILES, directory=tmp_path / "slave")
        with lost, client(lost) as kt, client(first) as whole:
            assert whole.count() >= number
            logged = _stamps(tmp_path / "master" / "log" / "0000000001.ulog")
            assert logged
            for when, key in logged:
                assert when > int(before) or kt.get(key) is not None


def _stamps(path: Path) -> list[tuple[int, bytes]]:
    return [(stamp, change(message).key) for stamp, message in records(path)]


def test_databases_in_memory_begin_anew(tmp_path: Path) -> None:
    first = server(BUNDLED, 1, tmp_path / "master")
    with first, client(first) as kt:
        kt.set(b"a", b"1")
        second = server(BUNDLED, 2, tmp_path / "slave", *following(first))
        for _ in range(2):
            with second:
                wait_until_equal(first, second)
                second.stop()
        assert int((tmp_path / "slave" / "rts").read_text()) > 0
        assert "following begins at 0 instead of" in second.printed()


def test_databases_that_come_back_go_on_where_they_were(tmp_path: Path) -> None:
    """From a snapshot and the slave's own log."""
    first = server(BUNDLED, 1, tmp_path / "master", databases=("*",))
    with first, client(first) as kt:
        kt.set(b"a", b"1")
        args = (*following(first), "-bgs", "snapshots")
        second = server(BUNDLED, 2, tmp_path / "slave", *args, databases=("*",))
        with second:
            wait_until_equal(first, second, 1)
            second.stop()
        stamp = int((tmp_path / "slave" / "rts").read_text())
        kt.set(b"b", b"2")
        with second:
            wait_until_equal(first, second, 1)
            second.wait_for_output(
                f"replication started: host={HOST} port={first.port} rts={stamp}"
            )
        assert stamp > 0


def test_a_file_that_is_gone_is_filled_anew(tmp_path: Path) -> None:
    first = server(BUNDLED, 1, tmp_path / "master", databases=("a.kch",))
    with first, client(first) as kt:
        kt.set(b"a", b"1")
        second = server(BUNDLED, 2, tmp_path / "slave", *following(first), databases=("a.kch",))
        with second:
            wait_until_equal(first, second, 1)
            second.stop()
        (tmp_path / "slave" / "a.kch").unlink()
        with second:
            wait_until_equal(first, second, 1)
            assert contents_of(second) == {b"a": (b"1", None)}


def contents_of(process: ServerProcess) -> object:
    with client(process) as kt:
        return contents(kt, 1)[0]


@pytest.mark.parametrize("kind", ["*", "+", "-", ":", "%", "a.kch", "b.kct", "c.kcd", "d.kcf"])
def test_every_type_of_database(kind: str, tmp_path: Path) -> None:
    first = server(BUNDLED, 1, tmp_path / "master", databases=("*",))
    with first:
        second = server(BUNDLED, 2, tmp_path / "slave", *following(first), "--", databases=(kind,))
        with second, client(first) as kt:
            kt.set_bulk({b"%d" % i: b"v" for i in range(1000)})
            kt.set(b"x", b"y" * (5 << 20), expire_time=1000)
            kt.remove(b"7")
            wait_until_equal(first, second, 1)
            kt.clear()
            kt.set(b"after", b"1")
            wait_until_equal(first, second, 1)


def test_it_is_tuned_while_it_runs(tmp_path: Path) -> None:
    one = server(BUNDLED, 1, tmp_path / "1")
    other = server(BUNDLED, 2, tmp_path / "2")
    slave = server(BUNDLED, 3, tmp_path / "3", "-rts", "rts")
    with one, other, slave, client(one) as first, client(other) as second, client(slave) as kt:
        first.set(b"first", b"1")
        second.set(b"second", b"2")
        assert facts(slave) == {"repl_epoch": 0}
        kt.tune_replication(HOST, one.port, interval=0.5)
        wait_until(lambda: kt.get(b"first") == b"1", "it follows the first")
        # What it gets first is a copy; it connects once more for what comes then.
        wait_until(lambda: facts(slave)["repl_connected"] == 1, "it is connected")
        said = facts(slave)
        assert (said["repl_master_host"], said["repl_master_port"]) == (HOST, one.port)
        assert (said["repl_interval"], said["repl_connected"]) == (0.5, 1)
        kt.tune_replication(HOST, other.port, ts=0)
        wait_until(lambda: kt.get(b"second") == b"2", "it follows the second")
        kt.tune_replication()
        assert facts(slave) == {"repl_epoch": 0}
        first.set(b"later", b"1")
        second.set(b"later", b"2")
        time.sleep(
            0.005
        )  # a stamp is that of its millisecond, and the present one is followed whole
        kt.tune_replication(HOST, other.port, ts=Moment.NOW)
        second.set(b"last", b"2")
        wait_until(lambda: kt.get(b"last") == b"2", "it follows again")
        assert kt.get(b"later") is None
        with pytest.raises(ServerError, match="future"):
            kt.tune_replication(HOST, other.port, ts=time.time_ns() + 10**18)
        with pytest.raises(ServerError, match="no such port"):
            kt.tune_replication(HOST, 70000)
    assert len((tmp_path / "3" / "rts").read_text()) == 21


def test_without_a_file_for_the_stamp_it_cannot_be_tuned(tmp_path: Path) -> None:
    with server(BUNDLED, 1, tmp_path / "1") as process, client(process) as kt:
        with pytest.raises(ServerError, match="the RTS file is not set"):
            kt.tune_replication(HOST, process.port)
        assert kt.set(b"a", b"1")


def test_the_original_tool_tunes_it(tmp_path: Path) -> None:
    tool = original("ktremotemgr")
    first = server(BUNDLED, 1, tmp_path / "1")
    second = server(BUNDLED, 2, tmp_path / "2", "-rts", "rts")
    with first, second, client(first) as kt:
        kt.set(b"a", b"1")
        at = ("-host", HOST, "-port", str(second.port))
        subprocess.run(
            [tool, "tunerepl", *at, "-mport", str(first.port), "-ts", "0", HOST], check=True
        )
        wait_until_equal(first, second)
        subprocess.run([tool, "tunerepl", *at], check=True)
        assert facts(second) == {"repl_epoch": 0}


def test_an_open_transaction_is_waited_for(tmp_path: Path) -> None:
    """Or its abort would undo what the master has sent."""
    script = tmp_path / "s.lua"
    script.write_text(
        """kt = __kyototycoon__
        function open(i, o) kt.db:begin_transaction() kt.db:set("mine", "1")
          local till = kt.time() + 1 while kt.time() < till do end
          kt.db:end_transaction(false) return kt.RVSUCCESS end"""
    )
    first = server(BUNDLED, 1, tmp_path / "1", databases=("%",))
    with first:
        second = server(
            BUNDLED, 2, tmp_path / "2", *following(first), "-scr", str(script), databases=("%",)
        )
        with second, client(first) as kt, client(second) as follower, client(second) as other:
            kt.set(b"before", b"1")
            wait_until_equal(first, second, 1)
            thread = threading.Thread(target=lambda: other.script("open"))
            for i in range(2000):
                kt.set(b"%d" % i, b"v")
                if i == 100:
                    thread.start()
            thread.join()
            wait_until_equal(first, second, 1)
            assert follower.get(b"mine") is None
            assert follower.count() == 2001


def test_a_slower_pace_is_kept(tmp_path: Path) -> None:
    first = server(BUNDLED, 1, tmp_path / "1")
    with first, client(first) as kt:
        kt.set_bulk({b"%d" % i: b"v" for i in range(1000)})
        second = server(BUNDLED, 2, tmp_path / "2", *following(first), "-riv", "1")
        with second, client(second) as follower:
            begin = time.monotonic()
            wait_until(lambda: follower.count(0) == 1000, "all is there")
            wait_until(lambda: len(log_of(second)) == 1000, "all is logged")
            kt.set(b"last", b"v")
            wait_until(lambda: follower.get(b"last") is not None, "the last one, too")
            assert time.monotonic() - begin > 0.9  # at least: it may take longer


# What cannot be followed


def test_databases_that_store_otherwise_are_not_filled(tmp_path: Path) -> None:
    first = server(BUNDLED, 1, tmp_path / "1", databases=("*", "*"))
    with first, client(first) as kt:
        kt.set(b"a", b"1", 1)
        second = server(
            BUNDLED, 2, tmp_path / "2", *following(first), databases=("*", "*#ktopts=p")
        )
        with second, client(second) as follower:
            wait_for_trouble(second, "database 1 has ktopts=0, ours 2")
            assert follower.count(1) == 0


def test_a_stamp_of_the_future_is_refused(tmp_path: Path) -> None:
    first = server(BUNDLED, 1, tmp_path / "1", databases=("a.kct",))
    with first, client(first) as kt:
        kt.set(b"a", b"1")
        second = server(BUNDLED, 2, tmp_path / "2", "-rts", "rts", databases=("a.kct",))
        with second, client(second) as follower:
            follower.tune_replication(HOST, first.port, ts=time.time_ns() + 3600 * 10**9)
            wait_for_trouble(second, "seconds ahead of its clock")
            assert follower.count() == 0
            follower.tune_replication(HOST, first.port, ts=0)
            wait_until_equal(first, second, 1)


def test_a_gap_is_not_passed_over(tmp_path: Path) -> None:
    first = server(BUNDLED, 1, tmp_path / "1", "-ulim", "1k")
    with first, client(first) as kt:
        for i in range(200):
            kt.set(b"%d" % i, b"v")
        kt.ulog_remove()
        assert len(kt.ulog_list()) == 1
        second = server(BUNDLED, 2, tmp_path / "2", *following(first))
        with second, client(second) as follower:
            wait_for_trouble(second, "its update log begins with file")
            assert follower.count() == 0
            text = str(facts(second)["repl_error"])
            stamp = int(text.partition(" from ")[2].split()[0])
            follower.tune_replication(HOST, first.port, ts=stamp)
            kt.set(b"later", b"v")
            wait_until(lambda: follower.get(b"later") is not None, "it goes on")
            assert 0 < follower.count(0) < 201


def test_a_slave_that_has_all_does_not_need_files_that_were_removed(tmp_path: Path) -> None:
    first = server(BUNDLED, 1, tmp_path / "1", "-ulim", "1k", databases=("a.kct",))
    with first, client(first) as kt:
        second = server(BUNDLED, 2, tmp_path / "2", *following(first), databases=("a.kct",))
        with second:
            for i in range(200):
                kt.set(b"%d" % i, b"v")
            wait_until_equal(first, second, 1)
            second.stop()
        kt.ulog_remove()
        kt.set(b"later", b"v")
        with second:
            wait_until_equal(first, second, 1)


def test_without_a_log_there_is_nothing_to_follow(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    first = ServerProcess(BUNDLED, databases=("*",), directory=tmp_path / "1")
    with first:
        second = server(BUNDLED, 2, tmp_path / "2", *following(first), databases=("*",))
        with second:
            wait_for_trouble(second, "it keeps no update log")


def test_databases_that_are_not_there_are_named(tmp_path: Path) -> None:
    first = server(BUNDLED, 1, tmp_path / "1", databases=("*", "*"))
    with first, client(first) as kt:
        kt.set(b"a", b"1", 1)
        kt.set(b"b", b"1", 0)
        second = server(BUNDLED, 2, tmp_path / "2", *following(first), databases=("*",))
        with second, client(second) as follower:
            wait_until(lambda: follower.count() == 1, "the rest comes")
            second.wait_for_output("changes of databases that are not here are left out: numbers 1")


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """What the database does not take is tried again, and the stamp waits for it."""
    first = server(BUNDLED, 1, tmp_path / "1", databases=("*",))
    with first, client(first) as kt:
        (tmp_path / "2").mkdir()
        args = ("-ls", "-sid", "2", *following(first))
        second = ServerProcess(BUNDLED, *args, databases=("a.kch",), directory=tmp_path / "2")
        with second:
            kt.set(b"begin", b"v")
            wait_until_equal(first, second, 1)
            pid = second.process.pid
            unlimited = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            size = (tmp_path / "2" / "a.kch").stat().st_size
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size + 100_000, unlimited[1]))
            kt.set_bulk({b"%d" % i: b"v" * 100_000 for i in range(300)})
            wait_until(
                lambda: "cannot be applied" in str(facts(second)["repl_error"]), "it is full"
            )
            resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
            wait_until_equal(first, second, 1)
            wait_until(lambda: facts(second)["repl_error"] == "", "all is well again")
