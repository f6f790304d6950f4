"""``-restore-to``: databases as they were at a time."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest

import kt
from kt import KyotoTycoon, TokyoTyrant
from kt.moments import show_moment
from kt.serializers import KT_NONE

from ..processes import BUNDLED, HOST, SECONDS, ServerProcess

LOG = ("-ulog", "log", "-sid", "1")
KYOTO_FILES = ("casket.kch", "casket.kct", "casket.kcd", "casket.kcf")
TOKYO_FILES = ("casket.tch", "casket.tcb", "casket.tct", "casket.tcf")


def run(
    program: str, *words: str, directory: Path, fails: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run a server that does not serve; what it printed is in ``stdout``."""
    done = subprocess.run(
        [*BUNDLED[program], *words],
        cwd=directory,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == int(fails), done.stdout
    return done


def moment() -> str:
    """A time between what was done before and what is done after it."""
    time.sleep(0.01)
    now = show_moment(time.time_ns())
    time.sleep(0.01)
    return now


def tycoon(process: ServerProcess) -> KyotoTycoon[str, bytes]:
    return KyotoTycoon(HOST, process.port, serializer=KT_NONE)


def tyrant(process: ServerProcess) -> TokyoTyrant[str, bytes]:
    return TokyoTyrant(HOST, process.port, serializer=KT_NONE)


def contents(path: Path) -> dict[bytes, bytes]:
    with kt.open(str(path), serializer=KT_NONE, decode_keys=False) as db:
        return dict(db.items())


# Kyoto Tycoon


@pytest.mark.parametrize("name", KYOTO_FILES)
def test_files_as_they_were(name: str, tmp_path: Path) -> None:
    with ServerProcess("kt-tycoon", *LOG, databases=["*", "%"], directory=tmp_path) as process:
        with tycoon(process) as client:
            client.set_bulk({f"k{i}": b"%d" % i for i in range(1000)})
            client.remove("k7")
            client.set("other", b"x", db=1)
            before = moment()
            client.clear()
            client.set("k7", b"late")
            client.set("other", b"late", db=1)
        # The server runs on: its log is only read.
        second = "second" + name.removeprefix("casket")
        options = ("-restore-to", before, *LOG)
        printed = run("kt-tycoon", *options, name, second, directory=tmp_path).stdout
        with tycoon(process) as client:
            assert client.get("k7") == b"late"
    assert f"restored to {before}: path={name}" in printed
    assert contents(tmp_path / name) == {b"k%d" % i: b"%d" % i for i in range(1000) if i != 7}
    assert contents(tmp_path / second) == {b"other": b"x"}
    assert not list(tmp_path.glob("restoring-*"))


def test_a_snapshot_is_gone_on_from(tmp_path: Path) -> None:
    options = (*LOG, "-ulim", "4096", "-bgs", "snapshots")
    with ServerProcess("kt-tycoon", *options, databases=["*"], directory=tmp_path) as process:
        with tycoon(process) as client:
            client.set_bulk({f"k{i}": b"old" for i in range(1000)})
        process.stop()
        shutil.copytree(tmp_path / "snapshots", tmp_path / "kept")
        process.start()
        with tycoon(process) as client:
            client.set("k1", b"new")
            client.set("expires", b"v", expire_time=1000)
            before = moment()
            client.set("k2", b"late")
        process.stop()
    os.remove(tmp_path / "log" / "0000000001.ulog")
    words = ("-restore-to", before, *LOG, "-bgs")
    # The newest snapshot is of a later time, and without one the log does not suffice.
    late = run("kt-tycoon", *words, "snapshots", "a.kct", directory=tmp_path, fails=True).stdout
    assert "which is later than that: put an older one" in late
    short = run("kt-tycoon", *words[:-1], "b.kct", directory=tmp_path, fails=True).stdout
    assert "changes of a database that begins empty are needed" in short
    run("kt-tycoon", *words, "kept", "casket.kct", directory=tmp_path)
    with kt.open(str(tmp_path / "casket.kct"), serializer=KT_NONE) as db:
        assert db.count() == 1001
        assert (db.get("k1"), db.get("k2")) == (b"new", b"old")
        assert 900 < (db.ttl("expires") or 0) <= 1000
    assert not [*tmp_path.glob("*a.kct"), *tmp_path.glob("*b.kct")]


def test_a_copy_is_brought_on(tmp_path: Path) -> None:
    with ServerProcess("kt-tycoon", *LOG, databases=["live.kch"], directory=tmp_path) as process:
        with tycoon(process) as client:
            client.set("a", b"1")
            client.incr("counter", 5)
            process.stop()
            copied = moment()
            shutil.copy(tmp_path / "live.kch", tmp_path / "casket.kch")
            process.start()
        with tycoon(process) as client:
            client.incr("counter", 5)
            before = moment()
            client.remove("a")
    words = ("-restore-to", before, "-restore-from", copied, *LOG)
    run("kt-tycoon", *words, "casket.kch", directory=tmp_path)
    with kt.open(str(tmp_path / "casket.kch"), serializer=KT_NONE) as db:
        assert db.get("a") == b"1"
        assert db.incr("counter", 0) == 10
    missing = run("kt-tycoon", *words, "casket.kct", directory=tmp_path, fails=True).stdout
    assert "casket.kct is not there: -restore-from is for a copy of that time" in missing


def test_a_time_after_the_end_of_the_log(tmp_path: Path) -> None:
    with ServerProcess("kt-tycoon", *LOG, databases=["*"], directory=tmp_path) as process:
        with tycoon(process) as client:
            client.set("a", b"1")
        process.kill()
    with open(tmp_path / "log" / "0000000001.ulog", "ab") as file:
        file.write(b"\xa1half")  # behind what the header says is valid
    printed = run("kt-tycoon", "-restore-to", moment(), *LOG, "a.kch", directory=tmp_path).stdout
    assert "the update log ends before that time, at " in printed
    assert contents(tmp_path / "a.kch") == {b"a": b"1"}


def test_what_is_written_ahead_is_not_missed(tmp_path: Path) -> None:
    options = (*LOG, "-durable", "process")
    with ServerProcess("kt-tycoon", *options, databases=["a.kch"], directory=tmp_path) as process:
        with tycoon(process) as client:
            client.set("a", b"1")
            words = ("-restore-to", moment(), *LOG, "b.kch")
            client.set("b", b"1")
            process.kill()  # so that what is written ahead is there in any case
        printed = run("kt-tycoon", *words, directory=tmp_path, fails=True).stdout
        assert "not all of it is in its files yet" in printed or "no changes in log" in printed
        process.start()
        with tycoon(process) as client:
            assert client.get("b") == b"1"
        process.stop()
    run("kt-tycoon", *words, directory=tmp_path)
    assert contents(tmp_path / "b.kch") == {b"a": b"1"}


# Tokyo Tyrant


@pytest.mark.parametrize("name", TOKYO_FILES)
def test_a_file_as_it_was(name: str, tmp_path: Path) -> None:
    live = "live" + name.removeprefix("casket")
    (tmp_path / "log").mkdir()
    with ServerProcess("kt-tyrant", *LOG, databases=[live], directory=tmp_path) as process:
        with tyrant(process) as client:
            fill(client, name)
            before = moment()
            client.clear()
        options = ("-restore-to", before, *LOG, name)
        printed = run("kt-tyrant", *options, directory=tmp_path).stdout
    assert f"restored to {before}: path={name}" in printed
    assert not list(tmp_path.glob("restoring-*"))
    with kt.open(str(tmp_path / name), server="tyrant", serializer=KT_NONE) as db:
        assert db.count() == 20
        if name.endswith(".tct"):
            assert (tmp_path / (name + ".idx.n.dec")).exists()
            found = db.misc("search", ["addcond\0n\00010\00015"])  # n >= 15, by the index
            assert sorted(found) == ["15", "16", "17", "18", "19", "20"]
        else:
            assert db.get("7") == b"seven"
            assert db.get("8") == b"v8"


def fill(client: TokyoTyrant[str, bytes], name: str) -> None:
    if name.endswith(".tct"):
        client.misc("setindex", ["n", "1"])
        for i in range(1, 21):
            client.misc("put", [str(i), "n", str(i)])
        return
    client.set_bulk({str(i): b"v%d" % i for i in range(1, 21)})
    client.set("7", b"seven")
    client.set("30", b"gone")
    client.remove("30")


def test_a_copy_of_tyrant_is_brought_on(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    process = ServerProcess("kt-tyrant", *LOG, databases=["live.tch"], directory=tmp_path)
    with process, tyrant(process) as client:
        client.incr("n", 5)
        copied = moment()
        assert client.copy(str(tmp_path / "casket.tch"))
        client.incr("n", 5)
        before = moment()
        client.incr("n", 5)
    words = ("-restore-to", before, "-restore-from", copied, *LOG)
    run("kt-tyrant", *words, "casket.tch", directory=tmp_path)
    with kt.open(str(tmp_path / "casket.tch"), serializer=KT_NONE) as db:
        assert db.incr("n", 0) == 10


# Both


@pytest.mark.parametrize(
    ("program", "words", "complaint"),
    [
        ("kt-tycoon", ("-restore-to", "2026-11-01", "a.kct"), "needs the update log"),
        ("kt-tyrant", ("-restore-to", "2026-11-01", "a.tcb"), "needs the update log"),
        ("kt-tycoon", ("-restore-to", "noon", "a.kct"), "no time like '2026-11-01 12:00:00'"),
        ("kt-tycoon", ("-restore-from", "2026-11-01", "a.kct"), "-restore-to is missing"),
        ("kt-tyrant", ("-restore-from", "2026-11-01", "a.tcb"), "-restore-to is missing"),
        ("kt-tycoon", ("-restore-to", "2026-11-01", *LOG, "there.kct"), "there.kct is there"),
        ("kt-tyrant", ("-restore-to", "2026-11-01", *LOG, "there.kct"), "there.kct is there"),
        ("kt-tycoon", ("-restore-to", "2026-11-01", *LOG, "--", "%"), "restore into a file"),
        ("kt-tyrant", ("-restore-to", "2026-11-01", *LOG, "--", "+"), "restore into a file"),
        ("kt-tycoon", ("-restore-to", "2026-11-01", *LOG, "a.kct"), "there are no changes in log"),
        ("kt-tyrant", ("-restore-to", "2026-11-01", *LOG, "a.tcb"), "there are no changes in log"),
    ],
)
def test_refused(program: str, words: Sequence[str], complaint: str, tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "there.kct").write_bytes(b"mine")
    printed = run(program, *words, directory=tmp_path, fails=True).stdout
    assert complaint in printed
    assert (tmp_path / "there.kct").read_bytes() == b"mine"
    assert not list(tmp_path.glob("*a.*"))


def test_times_are_shown_as_they_are_read() -> None:
    stamp = 1_790_000_000_123_456_000
    assert kt.moments.read_moment(show_moment(stamp)) == stamp
    assert kt.moments.read_moment(str(stamp)) == stamp
    local = datetime.fromtimestamp(1_790_000_000)
    assert kt.moments.read_moment(str(local)) == 1_790_000_000 * 10**9
