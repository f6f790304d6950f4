"""``-ulog-keep``: old files of the update log go, but never what somebody needs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kt import KyotoTycoon, TokyoTyrant
from kt.serializers import KT_NONE
from kt.server.engines.log._log import UpdateLog
from kt.server.history import begins_after

from .processes import HOST, SECONDS, ServerProcess, refused
from .tyrant import test_update_log as tyrant
from .update_logs import Follower

if TYPE_CHECKING:
    from kt.server.engines.log._log import Kind

PROGRAMS = ["kt-tycoon", "kt-tyrant"]
REMOVED = "an old file of the update log is removed"


def server(
    program: str, directory: Path, *args: str, database: str = "*", log: bool = True
) -> ServerProcess:
    (directory / "log").mkdir(exist_ok=True)
    logging = ("-ulog", "log", "-sid", "11") if log else ()
    return ServerProcess(program, *logging, *args, databases=(database,), directory=directory)


def client(process: ServerProcess, program: str) -> KyotoTycoon | TokyoTyrant:
    kind = KyotoTycoon if program == "kt-tycoon" else TokyoTyrant
    return kind(HOST, process.port, serializer=KT_NONE, timeout=60)


def write(process: ServerProcess, program: str, count: int, size: int) -> None:
    with client(process, program) as db:
        for number in range(count):
            db.set(f"{number}", b"v" * size)


def files(directory: Path) -> list[Path]:
    return sorted((directory / "log").glob("*.ulog"))


def total(directory: Path) -> int:
    size = 0
    for path in files(directory):
        with suppress(FileNotFoundError):  # it is removed just now
            size += path.stat().st_size
    return size


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_newest_files_are_kept(program: str, tmp_path: Path) -> None:
    with server(program, tmp_path, "-ulim", "4k", "-ulog-keep", "20k") as process:
        write(process, program, 300, 500)
        newest = files(tmp_path)[-1]
        wait_until(lambda: total(tmp_path) <= 20 << 10)
        assert total(tmp_path) > 15 << 10
        assert files(tmp_path)[-1] == newest
        process.wait_for_output(REMOVED)
        write(process, program, 300, 500)
        wait_until(lambda: total(tmp_path) <= 20 << 10)
        assert process.stop() == 0


@pytest.mark.parametrize("program", PROGRAMS)
def test_files_without_late_changes_go(program: str, tmp_path: Path) -> None:
    with server(program, tmp_path, "-ulim", "4k", "-ulog-keep", "36h") as process:
        write(process, program, 100, 500)
        old, *young = files(tmp_path)
        long_ago = time.time() - 37 * 3600
        os.utime(old, (long_ago, long_ago))
        process.wait_for_output(REMOVED)
        assert files(tmp_path) == young


def sizes(program: str, process: ServerProcess) -> Generator[int, None, None]:
    """Bytes of each change that a follower is sent."""
    if program == "kt-tycoon":
        with closing(Follower(process.port)) as follower:
            while True:
                yield len(follower.frame()[1] or b"")
    with tyrant.Follower(process.port) as slave:
        slave.number()
        while True:
            yield len(slave.command().command)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_slow_follower_gets_everything(program: str, tmp_path: Path) -> None:
    count, size = 64, 1 << 20  # a file each, and more than sockets hold
    with server(program, tmp_path, "-ulim", "1m", "-ulog-keep", "36h", "-tout", "600") as process:
        write(process, program, count, size)
        with closing(sizes(program, process)) as follower:
            received = [next(follower) for _ in range(3)]
            for path in files(tmp_path):
                os.utime(path, (0, 0))
            process.wait_for_output(REMOVED)
            received += [next(follower) for _ in range(count - 3)]
        assert all(size < one < size + 100 for one in received)
        wait_until(lambda: total(tmp_path) <= 2 * size)


def test_what_a_start_needs_is_kept(tmp_path: Path) -> None:
    args = ("-ulim", "4k", "-ulog-keep", "8k", "-bgs", "snapshots", "-bgsi", "0")
    with server("kt-tycoon", tmp_path, *args) as process:
        write(process, "kt-tycoon", 100, 500)
        before = files(tmp_path)
        os.utime(before[0], (0, 0))
        process.kill()
        process.start()
        with client(process, "kt-tycoon") as kt:
            assert kt.count() == 100
        assert files(tmp_path)[: len(before)] == before
        process.stop()
        process.start()
        process.wait_for_output(REMOVED)
        wait_until(lambda: total(tmp_path) <= 8 << 10)


def test_what_the_last_snapshot_of_a_file_needs_is_kept(tmp_path: Path) -> None:
    args = ("-ulim", "4k", "-ulog-keep", "8k", "-bgs", "snapshots", "-bgsi", "0")
    with server("kt-tycoon", tmp_path, *args, database="casket.kch") as process:
        write(process, "kt-tycoon", 100, 500)
        wait_until(lambda: total(tmp_path) <= 8 << 10)  # no snapshot, so nothing needs it
        process.stop()  # which takes one
        process.start()
        write(process, "kt-tycoon", 200, 500)
        kept = total(tmp_path)
        write(process, "kt-tycoon", 1, 1)
        process.kill()
        (tmp_path / "casket.kch").unlink()
        process.start()
        with client(process, "kt-tycoon") as kt:
            assert kt.count() == 200
        assert kept > 200 * 500


@pytest.mark.parametrize("kind", ["tycoon", "tyrant"])
def test_what_a_start_needs_of_a_file_is_seen(kind: Kind, tmp_path: Path) -> None:
    log = UpdateLog(str(tmp_path), kind=kind, server=1)
    log.append(1, 1, b"\0\1\0\0\xa2\1k")
    assert log.flush()
    [path] = log.files().values()
    half_a_minute = 30 * 10 ** (9 if kind == "tycoon" else 6)
    assert begins_after(path, log.stamp() - half_a_minute - 10**9, kind)
    assert not begins_after(path, log.stamp() + half_a_minute, kind)


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_it_needs_is_said(program: str, tmp_path: Path) -> None:
    def said(*args: str, log: bool = True) -> str:
        return refused(server(program, tmp_path, *args, log=log))

    assert "-ulog-keep needs an update log" in said("-ulog-keep", "1g", log=False)
    assert "needs files that end: -ulim is 0" in said("-ulog-keep", "1g", "-ulim", "0")
    for word in ("7w", "0", "-1", "h", "x"):
        assert "it is a number of bytes (10g), or of hours (72h)" in said("-ulog-keep", word)
