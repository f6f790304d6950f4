"""``-bgs``: databases that come back, whatever happens to the server, the disk or the files."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from kt import KyotoTycoon, read_snapshot
from kt.serializers import KT_NONE
from kt.server.engines.kyoto._engine import LIBRARY_FEATURES
from kt.server.log_place import LogPlace

from ..processes import HOST, SECONDS, ServerProcess, refused
from ..test_log_retention import wait_until
from ..update_logs import original

MEMORY = ("*", "%", ":", "+", "-")
FILES = ("casket.kch", "casket.kct", "casket.kcd", "casket.kcf")
COMPRESSORS = ("none", "zlib", "lzo", "lzma")
LOG = ("-ulog", "log", "-sid", "11")

SCRIPT = """
kt = __kyototycoon__
function commit(i, o) kt.db:begin_transaction() kt.db:set("t1", "a") kt.db:remove("gone")
  kt.db:end_transaction(true) return kt.RVSUCCESS end
function abort(i, o) kt.db:begin_transaction() kt.db:set("lost", "x")
  kt.db:end_transaction(false) return kt.RVSUCCESS end
"""


def server(
    directory: Path,
    *args: str,
    databases: Sequence[str] = ("*",),
    program: str = "kt-tycoon",
) -> ServerProcess:
    return ServerProcess(
        program, "-bgs", "snapshots", *args, "--", databases=databases, directory=directory
    )


def client(process: ServerProcess) -> KyotoTycoon:
    return KyotoTycoon(HOST, process.port, serializer=KT_NONE, decode_keys=False)


def contents(kt: KyotoTycoon, db: int = 0) -> dict[bytes, bytes]:
    return dict(kt.get_bulk(list(kt.match_prefix("", db=db)), db=db))


def snapshot(directory: Path, number: int = 0) -> Path:
    return directory / "snapshots" / f"{number:08d}.ktss"


# What comes back


@pytest.mark.parametrize("compressor", COMPRESSORS)
def test_everything_is_there_after_a_stop(compressor: str, tmp_path: Path) -> None:
    if compressor != "none" and f"({compressor})" not in LIBRARY_FEATURES:
        pytest.skip(f"this Kyoto Cabinet was built without {compressor}")
    databases = (*MEMORY, "%#ktopts=p")
    with server(tmp_path, "-bgsc", compressor, databases=databases) as process:
        with client(process) as kt:
            for db in range(len(databases)):
                kt.set_bulk({b"%d" % i: b"v%d" % db for i in range(2000)}, db=db)
                kt.set(b"later", b"x", db=db, expire_time=1000)
            before = [contents(kt, db) for db in range(len(databases))]
            expiry = kt.check(b"later")
        assert process.stop() == 0
        process.start()
        with client(process) as kt:
            assert [contents(kt, db) for db in range(len(databases))] == before
            assert kt.check(b"later") == expiry


@pytest.mark.parametrize("kind", MEMORY)
def test_every_kind_of_change_survives_a_kill(kind: str, tmp_path: Path) -> None:
    (tmp_path / "s.lua").write_text(SCRIPT)
    with server(tmp_path, *LOG, "-scr", "s.lua", databases=(kind, "%")) as process:
        with client(process) as kt:
            kt.set(b"before", b"x")
            kt.set(b"other", b"x", db=1)
            kt.clear()
            kt.set(b"a", b"1")
            kt.append(b"a", b"2")
            kt.incr(b"n", 5)
            kt.set(b"gone", b"x")
            kt.set(b"later", b"x", expire_time=1000)
            kt.set_bulk({b"m1": b"1", b"m2": b"2", b"m3": b"3"})
            kt.remove_bulk([b"m1"])
            kt.remove(b"m2")
            kt.script("commit")
            kt.script("abort")
            before = contents(kt), contents(kt, 1), kt.check(b"later")
            assert set(before[0]) == {b"a", b"n", b"later", b"m3", b"t1"}
        process.kill()
        process.start()
        with client(process) as kt:
            assert (contents(kt), contents(kt, 1), kt.check(b"later")) == before
            kt.set(b"more", b"y")
        process.kill()  # and once more, now with changes of two servers behind one snapshot
        process.start()
        with client(process) as kt:
            assert contents(kt) == {**before[0], b"more": b"y"}


class Writer:
    """Sets records of a database until the server is gone."""

    def __init__(self, db: int) -> None:
        self.db = db
        self.known: dict[bytes, bytes] = {}
        self.unsure: dict[bytes, bytes] = {}

    def begin(self, process: ServerProcess, round_: int) -> None:
        self.thread = threading.Thread(target=self.write, args=(process, round_))
        self.thread.start()

    def write(self, process: ServerProcess, round_: int) -> None:
        try:
            with client(process) as kt:
                for i in range(1_000_000):
                    self.unsure = {
                        b"%d-%d" % (i % 500, j): b"%d %d" % (round_, i) for j in range(3)
                    }
                    kt.set_bulk(self.unsure, db=self.db)
                    self.known.update(self.unsure)
                    self.unsure = {}
        except Exception:
            return

    def judge(self, found: dict[bytes, bytes]) -> None:
        """What was acknowledged is there, and nothing that was not written."""
        for key, value in self.known.items():
            assert found.get(key) in (value, self.unsure.get(key, value)), key
        assert set(found) <= set(self.known) | set(self.unsure)
        self.known = found


@pytest.mark.parametrize("seed", [1, 2])
def test_what_was_acknowledged_survives_kills_at_any_moment(seed: int, tmp_path: Path) -> None:
    """While it writes snapshots, begins new files of the log, and while it comes back."""
    moments = random.Random(seed)
    writers = [Writer(db) for db in range(len(MEMORY))]
    args = (*LOG, "-ulim", "64k", "-bgsi", "0.1", "-bgsc", "zlib")
    with server(tmp_path, *args, databases=MEMORY) as process:
        for round_ in range(6):
            for writer in writers:
                writer.begin(process, round_)
            time.sleep(moments.uniform(0, 0.8))
            process.kill()
            for writer in writers:
                writer.thread.join()
            process.spawn()
            time.sleep(moments.uniform(0, 0.4))
            process.kill()
            process.start()
            with client(process) as kt:
                for writer in writers:
                    writer.judge(contents(kt, writer.db))
    assert all(writer.known for writer in writers)


def test_the_log_before_the_first_snapshot_is_nobodys(tmp_path: Path) -> None:
    """A server without -bgs forgets its records at each stop, and its log does not say so."""
    without = ServerProcess("kt-tycoon", *LOG, databases=("*",), directory=tmp_path)
    with without as process:
        with client(process) as kt:
            kt.set(b"forgotten", b"x")
        process.stop()
    with server(tmp_path, *LOG) as process:
        with client(process) as kt:
            assert contents(kt) == {}
            kt.set(b"a", b"1")
        process.kill()
        process.start()
        with client(process) as kt:
            assert contents(kt) == {b"a": b"1"}


def test_snapshots_are_taken_every_so_often(tmp_path: Path) -> None:
    with server(tmp_path, "-bgsi", "0.05") as process:
        with client(process) as kt:
            kt.set(b"a", b"1")
        deadline = time.monotonic() + SECONDS
        while not any(change.key == b"a" for change in found(snapshot(tmp_path))):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.kill()
        process.start()
        with client(process) as kt:
            assert contents(kt) == {b"a": b"1"}


def found(path: Path) -> list:  # type: ignore[type-arg]
    return list(read_snapshot(path, serializer=KT_NONE, decode_keys=False))


# Files


@pytest.mark.parametrize("kind", FILES)
def test_a_file_is_not_overlaid(kind: str, tmp_path: Path) -> None:
    """The original brings back old values and removed records."""
    with server(tmp_path, databases=(kind,)) as process:
        with client(process) as kt:
            kt.set(b"a", b"old")
            kt.set(b"gone", b"x")
        assert process.stop() == 0
        assert len(found(snapshot(tmp_path))) == 2
    kept = snapshot(tmp_path).read_bytes()
    with server(tmp_path, databases=(kind,)) as process:
        with client(process) as kt:
            kt.set(b"a", b"new")
            kt.clear() if kind == "casket.kch" else kt.remove(b"gone")
            before = contents(kt)
        process.stop()
        snapshot(tmp_path).write_bytes(kept)
        process.start()
        with client(process) as kt:
            assert contents(kt) == before
        process.wait_for_output("its snapshot is not applied")


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_is_gone_is_restored(kind: str, tmp_path: Path) -> None:
    with server(tmp_path, *LOG, databases=(kind,)) as process:
        with client(process) as kt:
            kt.set_bulk({b"%d" % i: b"x" for i in range(100)})
        process.stop()
        process.start()
        with client(process) as kt:
            kt.set(b"later", b"y")
            kt.remove(b"5")
            before = contents(kt)
        process.kill()
        path = tmp_path / kind
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        for log in tmp_path.glob(f"{kind}.*"):
            shutil.rmtree(log) if log.is_dir() else log.unlink()
        process.start()
        with client(process) as kt:
            assert contents(kt) == before


# What keeps a server from starting


@pytest.mark.parametrize("damage", ["cut", "compressor", "empty", "foreign"])
def test_an_unreadable_snapshot_is_not_overwritten(damage: str, tmp_path: Path) -> None:
    with server(tmp_path) as process:
        with client(process) as kt:
            kt.set(b"a", b"1")
        process.stop()
        path = snapshot(tmp_path)
        whole = path.read_bytes()
        damaged = {
            "cut": whole[:-1],
            "compressor": whole[:6] + b"\1\2\3\4" + whole[10:],
            "empty": b"",
            "foreign": b"something else that is long enough to be a header",
        }[damage]
        path.write_bytes(damaged)
        assert "move it away" in refused(process)
        assert path.read_bytes() == damaged
        path.write_bytes(whole)
        process.start()
        with client(process) as kt:
            assert contents(kt) == {b"a": b"1"}


def test_changes_that_are_gone_from_the_log(tmp_path: Path) -> None:
    with server(tmp_path, *LOG, "-ulim", "100") as process:
        with client(process) as kt:
            for i in range(20):
                kt.set(b"%d" % i, b"v" * 50)
        process.kill()
        logs = sorted((tmp_path / "log").glob("*.ulog"))
        aside = tmp_path / "aside"
        aside.mkdir()
        for path in logs[:3]:
            path.rename(aside / path.name)
        assert "have been removed from it" in refused(process)
        for path in logs[1:3]:
            (aside / path.name).rename(path)
        assert "have been removed from it" in refused(process)
        (aside / logs[0].name).rename(logs[0])
        logs[5].rename(aside / "5")
        assert "file is missing" in refused(process)
        (aside / "5").rename(logs[5])
        process.start()
        with client(process) as kt:
            assert len(contents(kt)) == 20


def test_a_broken_log_is_not_passed_over(tmp_path: Path) -> None:
    with server(tmp_path, *LOG) as process:
        with client(process) as kt:
            kt.set_bulk({b"%d" % i: b"v" * 50 for i in range(20)})
        process.kill()
        path = tmp_path / "log" / "0000000001.ulog"
        whole = path.read_bytes()
        path.write_bytes(whole[:500] + bytes(100) + whole[600:])
        assert "the update log cannot be applied" in refused(process)
        assert snapshot(tmp_path).exists()


def take_away(log: Path, _: int) -> str:
    log.mkdir()
    return "it is empty"


def take_another(log: Path, _: int) -> str:
    args = ("-ulog", log.name, "-sid", "11")
    with ServerProcess("kt-tycoon", *args, databases=("%",), directory=log.parent) as process:
        with client(process) as kt:
            kt.set_bulk({b"%d" % i: b"other" for i in range(1000)})
        process.stop()
    return "its file 1 is another one"


def go_back(log: Path, size: int) -> str:
    """A copy from when it was so long, which has the same first record."""
    shutil.copytree(log.parent / "kept", log)
    for path in log.iterdir():
        if path.suffix == ".ulog":
            path.write_bytes(path.read_bytes()[:size])
        else:
            path.unlink()
    return "it lacks the last"


@pytest.mark.parametrize("durable", ["none", "process", "device"])
@pytest.mark.parametrize("exchange", [take_away, take_another, go_back])
def test_another_log_is_none_to_come_back_from(
    exchange: Callable[[Path, int], str], durable: str, tmp_path: Path
) -> None:
    kept, log = tmp_path / "kept", tmp_path / "log"
    with server(tmp_path, *LOG, "-durable", durable, "-bgsi", "0.1") as process:
        with client(process) as kt:
            kt.set(b"first", b"1")
            wait_until(lambda: place(tmp_path).first > 0)
            size = place(tmp_path).size
            kt.set(b"second", b"1")
            wait_until(lambda: place(tmp_path).size > size)
            kt.set(b"last", b"2")
        process.kill()
        log.rename(kept)
        why = exchange(log, size)
        for _ in range(2):
            said = refused(process)
            assert f"not the one that has its changes ({why}" in said
            assert "start with the same -ulog" in said
        shutil.rmtree(log)
        kept.rename(log)
        process.start()
        with client(process) as kt:
            assert contents(kt) == {b"first": b"1", b"second": b"1", b"last": b"2"}


def place(directory: Path) -> LogPlace:
    return LogPlace(*noted(directory)["place"])


def noted(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "snapshots/snapshots.durable").read_bytes())
    return found


def test_another_log_on_purpose(tmp_path: Path) -> None:
    """Without any, when it says so, and after a stop, when the snapshots have everything."""
    with server(tmp_path, *LOG) as process:
        with client(process) as kt:
            kt.set(b"a", b"1")
        assert process.stop() == 0
    assert noted(tmp_path)["state"] == "closed"
    other = ("-ulog", "other", "-sid", "11")
    with server(tmp_path, *other) as process:
        with client(process) as kt:
            assert contents(kt) == {b"a": b"1"}
            kt.set(b"b", b"2")
        process.kill()
    (tmp_path / "snapshots/snapshots.durable").unlink()
    with server(tmp_path, *LOG) as process:
        with client(process) as kt:
            assert contents(kt) == {b"a": b"1"}
        process.kill()
    with server(tmp_path) as process, client(process) as kt:
        assert contents(kt) == {b"a": b"1"}
        assert not (tmp_path / "snapshots/snapshots.durable").exists()


def test_the_log_is_known_though_its_files_are_removed(tmp_path: Path) -> None:
    """Those that the snapshots have outlived."""
    args = (*LOG, "-ulim", "64k", "-bgsi", "0.1", "-ulog-keep", "128k")
    log = tmp_path / "log"
    with server(tmp_path, *args) as process:
        with client(process) as kt:
            wrote = 0
            while not removed(log):
                kt.set_bulk({b"%d" % i: b"%d" % wrote * 100 for i in range(100)})
                wrote += 1
            before = contents(kt)
        process.kill()
        process.start()
        with client(process) as kt:
            assert contents(kt) == before


def removed(log: Path) -> bool:
    return not (log / "0000000001.ulog").exists()


def test_removing_files_of_the_log_leaves_what_a_start_needs(tmp_path: Path) -> None:
    with server(tmp_path, *LOG, "-ulim", "100") as process:
        with client(process) as kt:
            for i in range(20):
                kt.set(b"%d" % i, b"v" * 50)
            listed = kt.ulog_list()
            assert len(listed) > 3
            kt.ulog_remove()
            assert kt.ulog_list() == listed  # the snapshot is of the start
        process.stop()
        process.start()
        with client(process) as kt:
            kt.set(b"more", b"x")
            kt.ulog_remove()
            assert len(kt.ulog_list()) <= 2
        process.kill()
        process.start()
        with client(process) as kt:
            assert len(contents(kt)) == 21


def test_two_servers_do_not_share_a_directory(tmp_path: Path) -> None:
    with server(tmp_path) as process:
        with client(process) as kt:
            assert kt.count() == 0
        assert "another server" in refused(server(tmp_path))


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("-bgsc", "bz2"), "one of none, zlib, lzo, lzma"),
        (("-ord",), "-bgs needs databases that can be written"),
        (("-bgs", "output"), "cannot keep snapshots"),
    ],
)
def test_wrong_arguments(args: tuple[str, ...], says: str, tmp_path: Path) -> None:
    assert says in refused(server(tmp_path, *args))


def test_a_snapshot_without_a_database(tmp_path: Path) -> None:
    with server(tmp_path, databases=("*", "%")) as process:
        with client(process) as kt:
            kt.set(b"a", b"1", db=1)
        process.stop()
    with server(tmp_path) as process:
        process.wait_for_output("there is no database for a snapshot")
    assert len(found(snapshot(tmp_path, 1))) == 1
    shutil.copyfile(snapshot(tmp_path), snapshot(tmp_path).with_name("0.ktss"))
    assert "two snapshots of one database" in refused(server(tmp_path))


# A disk without room


def test_a_full_disk_leaves_the_old_snapshot(tmp_path: Path) -> None:
    with server(tmp_path, "-bgsi", "0.05") as process:
        with client(process) as kt:
            kt.set(b"a", b"1")
            pid = process.process.pid
            limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            size = max(1 << 16, os.stat(tmp_path / "output").st_size + (1 << 15))
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, limits[1]))
            kt.set_bulk({b"%d" % i: b"v" * 1000 for i in range(1000)})
            process.wait_for_output("a snapshot was not taken")
            kt.set(b"after", b"1")
            before = contents(kt)
            assert len(found(snapshot(tmp_path))) <= 1
            assert not list((tmp_path / "snapshots").glob("*.tmp"))
            resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
        assert process.stop() == 0
        process.start()
        with client(process) as kt:
            assert contents(kt) == before


def test_a_last_snapshot_that_fails_is_a_failure(tmp_path: Path) -> None:
    with server(tmp_path) as process:
        with client(process) as kt:
            kt.set(b"a", b"1")
        snapshot(tmp_path).with_suffix(".ktss.tmp").mkdir()
        assert process.stop() == 1
        assert "a snapshot was not taken" in process.printed()


def test_what_a_killed_server_leaves_is_removed(tmp_path: Path) -> None:
    (tmp_path / "snapshots").mkdir()
    snapshot(tmp_path).with_suffix(".ktss.tmp").write_bytes(b"half")
    with server(tmp_path) as process, client(process) as kt:
        assert kt.count() == 0
        assert [path.name for path in (tmp_path / "snapshots").iterdir()] == ["00000000.ktss"]


# The original programs


def need_original(kt: KyotoTycoon, compressor: str) -> None:
    if compressor != "none" and f"({compressor})" not in kt.report()["conf_kc_features"]:
        pytest.skip(f"this ktserver was built without {compressor}")


@pytest.mark.parametrize("compressor", COMPRESSORS)
def test_the_original_starts_from_ours(compressor: str, tmp_path: Path) -> None:
    program = original("ktserver")
    with server(tmp_path, "-bgsc", compressor, databases=("%", "*")) as process:
        with client(process) as kt:
            for db in range(2):
                kt.set_bulk({b"%d" % i: b"v%d" % i for i in range(50_000)}, db=db)
            kt.set(b"later", b"x", expire_time=1000)
            before = contents(kt), contents(kt, 1), kt.check(b"later")
        process.stop()
    with (
        server(tmp_path, "-bgsc", compressor, databases=("%", "*"), program=program) as process,
        client(process) as kt,
    ):
        need_original(kt, compressor)
        assert (contents(kt), contents(kt, 1), kt.check(b"later")) == before


@pytest.mark.parametrize("compressor", COMPRESSORS)
def test_we_start_from_the_originals(compressor: str, tmp_path: Path) -> None:
    """Of a file, for its snapshots of databases in memory do not work with today's C library."""
    program = original("ktserver")
    with server(
        tmp_path, "-bgsc", compressor, databases=("casket.kct",), program=program
    ) as process:
        with client(process) as kt:
            kt.set_bulk({b"%d" % i: b"v%d" % i for i in range(50_000)})
            kt.set(b"later", b"x", expire_time=1000)
            before = contents(kt), kt.check(b"later")
        process.stop()
    with server(tmp_path, databases=("*",)) as process, client(process) as kt:
        assert (contents(kt), kt.check(b"later")) == before


def test_the_originals_tool_knows_ours(tmp_path: Path) -> None:
    program = original("kttimedmgr")
    with server(tmp_path) as process:
        with client(process) as kt:
            kt.set(b"a", b"1")
        process.stop()
    told = subprocess.run(
        [program, "bgsinform", str(tmp_path / "snapshots")],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    index, stamp, count, _size = told.split("\t")
    assert (index, count) == ("0", "1")
    assert abs(time.time_ns() - int(stamp)) < 60e9
