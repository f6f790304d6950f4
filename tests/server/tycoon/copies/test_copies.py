"""Slaves that need more than the log has: a full copy of the master comes first (``-copy``)."""

from __future__ import annotations

import http.client
import time
from contextlib import suppress
from pathlib import Path
from subprocess import run

import pytest

from kt import KTError, KyotoTycoon

from ...disks import mounted, small_disk
from ...processes import HOST, SECONDS, ServerProcess
from ..pairs import (
    BUNDLED,
    DATABASES,
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

ONE = ("%",)
MANY = 100_000
SLOW = ("-copy-rate", "4m")


def without_begin(kt: KyotoTycoon) -> None:
    """Take the first files of a master's log away, and write something into a later one."""
    kt.set_bulk({b"filler %d" % i: b"v" * 200 for i in range(1000)})
    kt.ulog_remove()
    assert int(Path(kt.ulog_list()[0].path).name.split(".")[0]) > 1


def master(directory: Path, *args: str, databases: tuple[str, ...] = ONE) -> ServerProcess:
    """A server with many small files of log."""
    return server(BUNDLED, 1, directory, "-ulim", "64k", *args, databases=databases)


def slave(
    master: ServerProcess, directory: Path, *args: str, databases: tuple[str, ...] = ONE
) -> ServerProcess:
    return server(BUNDLED, 2, directory, *following(master), "-copy", *args, databases=databases)


def fill(kt: KyotoTycoon, count: int = MANY) -> None:
    for begin in range(0, count, 10_000):
        kt.set_bulk({b"key %d" % i: b"value %d" % i for i in range(begin, begin + 10_000)})


def follows(first: ServerProcess, second: ServerProcess) -> None:
    """Wait until a slave has the same as its master, and is done with a copy."""
    wait_until_equal(first, second, 1)
    wait_until(lambda: facts(second)["repl_state"] == "following", "it is done with the copy")


def test_a_new_slave_gets_what_the_log_has_no_longer(tmp_path: Path) -> None:
    with master(tmp_path / "1", databases=DATABASES) as first, client(first) as kt:
        for number in range(len(DATABASES) - 1):
            kt.set_bulk({b"%d" % i: b"a%d" % i for i in range(3000)}, db=number)
            kt.set(b"short", b"v", expire_time=3600, db=number)
            kt.set(b"large", b"x" * (5 << 20), db=number)
            kt.set(b"", b"\0\xff", db=number)
        kt.set(b"plain", b"no expiry here", db=len(DATABASES) - 1)
        without_begin(kt)
        second = slave(first, tmp_path / "2", databases=DATABASES)
        with second, client(second) as other:
            wait_until_equal(first, second)
            kt.remove(b"1")
            kt.clear(db=1)
            kt.set(b"new", b"1", db=1)
            wait_until_equal(first, second)
            assert facts(second)["repl_state"] == "following"
            assert int(facts(second)["repl_copied"]) > 5 << 20
            assert not list((tmp_path / "2").glob("rts.copy*"))
            assert not list((tmp_path / "1" / "log").glob("copy*"))
            assert other.set(b"mine", b"1")
        assert "a copy of the databases of" in second.printed()
        assert "[ERROR]" not in second.printed()
        # who follows the slave gets it from the slave's log
        assert {change.server for change in log_of(second)} == {1, 2}


def test_a_slave_that_fell_off_the_log_says_so_and_takes_a_copy(tmp_path: Path) -> None:
    with master(tmp_path / "1") as first, client(first) as kt:
        kt.set_bulk({b"gone": b"1", b"kept": b"1"})
        second = slave(first, tmp_path / "2", databases=("a.kch",))
        with second:
            follows(first, second)
            second.stop()
        kt.remove(b"gone")
        without_begin(kt)
        with second:
            wait_until_equal(first, second, 1)
            second.wait_for_output("may be missing")
            with client(second) as other:
                assert other.get(b"gone") is None
                assert other.get(b"kept") == b"1"


def test_the_slave_of_a_slave_gets_it_too(tmp_path: Path) -> None:
    with master(tmp_path / "1") as first, client(first) as kt:
        without_begin(kt)
        with slave(first, tmp_path / "2") as second:
            wait_until_equal(first, second, 1)
            third = server(BUNDLED, 3, tmp_path / "3", *following(second), databases=ONE)
            with third, client(third) as last:
                wait_until(lambda: contents(last, 1) == contents(kt, 1), "the same")


def test_what_may_not_be_the_masters_is_not_replaced(tmp_path: Path) -> None:
    with master(tmp_path / "1") as first, client(first) as kt:
        without_begin(kt)
        alone = server(BUNDLED, 2, tmp_path / "2", databases=("a.kch",))
        with alone, client(alone) as other:
            other.set(b"mine", b"1")
        with slave(first, tmp_path / "2", databases=("a.kch",)) as second:
            wait_for_trouble(second, "records here that may not be the master's")
            with client(second) as other:
                assert contents(other, 1) == [{b"mine": (b"1", None)}]


def test_it_is_for_slaves_with_numbers_of_their_own(tmp_path: Path) -> None:
    with master(tmp_path / "1") as first, client(first) as kt:
        without_begin(kt)
        args = (*following(first), "-copy")
        with server(BUNDLED, 1, tmp_path / "2", *args, databases=ONE) as second:
            wait_for_trouble(second, "each server needs its own")


def wait_for(path: Path) -> None:
    wait_until(path.exists, f"{path.name} is there")


@pytest.mark.parametrize("durable", [(), ("-ro-slave", "-durable", "process")], ids=["", "durable"])
@pytest.mark.parametrize("phase", ["receiving", "applying", "late"])
def test_a_slave_that_is_killed_meanwhile_ends_up_whole(
    phase: str, durable: tuple[str, ...], tmp_path: Path
) -> None:
    """What it then serves is whole, also if the master is no longer there."""
    with master(tmp_path / "1", *(SLOW if phase == "receiving" else ())) as first:
        with client(first) as kt:
            fill(kt)
            without_begin(kt)
            whole = contents(kt, 1)
        second = slave(first, tmp_path / "2", *durable, databases=("a.kct",))
        second.start()
        try:
            if phase == "receiving":
                unfinished = tmp_path / "2" / "rts.copy.tmp"
                wait_until(lambda: unfinished.exists() and unfinished.stat().st_size > 0, "begun")
            else:
                wait_for(tmp_path / "2" / "rts.copy")
                time.sleep(0.1 if phase == "late" else 0)
        finally:
            second.kill()
        if phase != "receiving":
            first.stop()
        with second, client(second) as other:
            if phase == "receiving":
                wait_until_equal(first, second, 1)
            assert contents(other, 1) == whole
            assert not list((tmp_path / "2").glob("rts.copy"))


def test_nobody_is_served_half_a_copy(tmp_path: Path) -> None:
    """Reads and writes are refused while it is applied, by every protocol; the report is not."""
    with master(tmp_path / "1") as first, client(first) as kt:
        fill(kt)
        without_begin(kt)
        whole = kt.count()
        keys = [b"key %d" % i for i in range(0, MANY, 1000)]
        with slave(first, tmp_path / "2") as second:
            seen, states, refused = set(), set(), set()
            while max(seen, default=0) < len(keys):
                states.add(facts(second)["repl_state"])
                with suppress(KTError), client(second) as other:
                    seen.add(len(other.get_bulk(keys)))
                connection = http.client.HTTPConnection(HOST, second.port, timeout=30)
                connection.request("GET", "/key%200")
                reply = connection.getresponse()
                refused.add((reply.status, reply.headers["X-Kt-Error"]))
                connection.request("GET", "/rpc/get?key=x")
                connection.close()
            assert seen == {0, len(keys)}
            assert "applying" in states
            said = {status: words for status, words in refused if status != 404}
            assert "is being applied" in said[503]
            with client(second) as other:
                assert other.count() == whole


def test_a_master_that_is_killed_meanwhile_leaves_the_slave_as_it_was(tmp_path: Path) -> None:
    with master(tmp_path / "1", *SLOW, databases=("a.kch",)) as first:
        with client(first) as kt:
            kt.set(b"before", b"1")
        second = slave(first, tmp_path / "2", databases=("a.kch",))
        with second:
            follows(first, second)
            second.stop()
        with client(first) as kt:
            fill(kt)
            without_begin(kt)
            kt.synchronize()
        with second, client(second) as other:
            unfinished = tmp_path / "2" / "rts.copy.tmp"
            wait_until(lambda: unfinished.exists() and unfinished.stat().st_size > 0, "begun")
            first.kill()
            wait_until(lambda: facts(second)["repl_state"] == "waiting", "it is given up")
            assert contents(other, 1) == [{b"before": (b"1", None)}]
            first.start()
            wait_until_equal(first, second, 1)
            assert other.count() > MANY
            assert not list((tmp_path / "1" / "log").glob("copy*"))


def test_a_master_removes_what_it_has_left_of_snapshots(tmp_path: Path) -> None:
    """Nothing else, even if it is called alike."""
    first = master(tmp_path / "1")
    names = ("copy-0-0.ktss", "copy-3-1.ktss.tmp", "copy-of-mine.ktss")
    (tmp_path / "1" / "log").mkdir()
    for name in names:
        (tmp_path / "1" / "log" / name).touch()
    with first, client(first) as kt:
        assert kt.count() == 0
        assert [path.name for path in (tmp_path / "1" / "log").glob("copy*")] == [names[-1]]


def test_a_copy_whose_file_is_damaged_keeps_the_server_from_starting(tmp_path: Path) -> None:
    with master(tmp_path / "1") as first, client(first) as kt:
        fill(kt)
        without_begin(kt)
        second = slave(first, tmp_path / "2")
        second.start()
        wait_for(path := tmp_path / "2" / "rts.copy")
        second.kill()
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        second.spawn()
        assert second.process.wait(SECONDS) == 1
        assert "cannot be applied" in second.printed()
        assert path.exists()


@small_disk
@pytest.mark.parametrize("size", ["8m", "32m"], ids=["while it comes", "while it is applied"])
def test_a_full_disk_is_waited_for(size: str, tmp_path: Path) -> None:
    """Until there is room, a slave is as it was, or shut."""
    (disk := tmp_path / "2").mkdir()
    with master(tmp_path / "1", "-copy-rate", "0") as first, mounted(disk, f"size={size}"):
        with client(first) as kt:
            for number in range(100):
                kt.set(b"%d" % number, b"x" * 200_000)
            kt.ulog_remove()
        with slave(first, disk, databases=("a.kch",)) as second:
            if size == "8m":
                wait_for_trouble(second, "No space left on device")
                with client(second) as other:
                    assert contents(other, 1) == [{}]
                assert not list(disk.glob("rts.copy*"))
            else:
                second.wait_for_output("the copy cannot be stored")
                with client(second) as other, pytest.raises(KTError, match="being applied"):
                    other.count()
                assert facts(second)["repl_state"] == "applying"
            run(["mount", "-o", "remount,size=200m", str(disk)], check=True)
            wait_until_equal(first, second, 1)
