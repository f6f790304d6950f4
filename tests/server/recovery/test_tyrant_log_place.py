"""``kt-tyrant -durable`` with another update log than that which has a file's changes."""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from ..processes import ServerProcess, refused
from .test_tyrant_durable import DURABLE, KEPT, client, killed, server

LOG = Path("log/00000001.ulog")
MARK, BOOT = 128 + 104, 128 + 96
"""In the header of a file, and in the first entry of its undo log, which has that header."""
ENTRY = 8 + 12
OTHER = b"of another machine's start"[:8]


def other(directory: Path, database: str, log: str = "log") -> ServerProcess:
    (directory / log).mkdir(exist_ok=True)
    args = ("-durable", "process", "-ulog", log, "-sid", "7")
    return server(directory, *args, database=database)


def fill(directory: Path, log: str, size: int) -> None:
    """A log of another server, of so many commands at least."""
    with other(directory, f"{log}.tch", log) as process, client(process) as tt:
        tt.set_bulk({f"{n}": b"other" for n in range(size)})
        tt.remove_bulk([f"{n}" for n in range(size)])
        assert process.stop() == 0


def remove(directory: Path) -> None:
    (directory / LOG).unlink()


def empty_out(directory: Path) -> None:
    (directory / LOG).write_bytes(b"")


def shorten(directory: Path) -> None:
    """It has its first command still; of 100 that came later nothing, and not all before."""
    data = (directory / LOG).read_bytes()
    (size,) = struct.unpack_from(">I", data, 13)
    (directory / LOG).write_bytes(data[: 17 + size])


def take_a_longer_one(directory: Path) -> None:
    fill(directory, "long", 500)
    assert (directory / "long/00000001.ulog").stat().st_size > (directory / LOG).stat().st_size
    shutil.copyfile(directory / "long/00000001.ulog", directory / LOG)


def go_on_otherwise(directory: Path) -> None:
    """As one that was brought back from a copy, and written by another database since then."""
    shorten(directory)
    fill(directory, "log", 500)


def change(directory: Path, database: str, at: int, to: bytes) -> None:
    path = str(directory / database.partition("#")[0])
    for name, offset in ((path, at), (f"{path}.wal", ENTRY + at)):
        if name != path and not os.path.exists(name):
            continue  # a start has applied it
        with open(name, "r+b") as file:
            file.seek(offset)
            file.write(to)


def prepared(directory: Path, database: str) -> None:
    with server(directory, *DURABLE, database=database) as process, client(process) as tt:
        tt.misc("put", ["before", "c", "x"] if "tct" in database else ["before", "x"])
        assert process.stop() == 0
    killed(directory, database)


def check_all_there(directory: Path, database: str, count: int = 101) -> None:
    with server(directory, *DURABLE, database=database) as process, client(process) as tt:
        assert tt.count() == count
        assert process.stop() == 0


@pytest.mark.parametrize("database", KEPT)
@pytest.mark.parametrize(
    ("replace", "why"),
    [
        (remove, "it is empty"),
        (empty_out, "it is empty"),
        (shorten, "it lacks the last"),
        (take_a_longer_one, "is another one"),
        (go_on_otherwise, "gone on otherwise"),
    ],
)
def test_a_log_that_is_another_one(
    database: str, replace: Callable[[Path], None], why: str, tmp_path: Path
) -> None:
    prepared(tmp_path, database)
    shutil.copytree(tmp_path / "log", tmp_path / "kept")
    replace(tmp_path)
    for _ in range(2):
        said = refused(other(tmp_path, database))
        assert "log is not the one that has its changes" in said
        assert why in said
        assert "start once with -durable forget" in said
    shutil.rmtree(tmp_path / "log")
    (tmp_path / "kept").rename(tmp_path / "log")
    check_all_there(tmp_path, database)


@pytest.mark.parametrize("database", KEPT)
def test_an_empty_log_in_another_directory(database: str, tmp_path: Path) -> None:
    """Also if the first commands of all were the last."""
    with server(tmp_path, *DURABLE, database=database) as process:
        with client(process) as tt:
            tt.misc("put", ["a", "c", "x"] if "tct" in database else ["a", "x"])
        process.kill()
    for _ in range(2):
        assert "it is empty" in refused(other(tmp_path, database, "empty"))
    check_all_there(tmp_path, database, 1)


@pytest.mark.parametrize("database", KEPT)
def test_it_is_given_up_on_purpose(database: str, tmp_path: Path) -> None:
    path = killed(tmp_path, database)
    assert "it is empty" in refused(other(tmp_path, database, "empty"))
    with server(tmp_path, "-durable", "forget", database=path.name) as process:
        client(process).count()
        assert process.stop() == 0
    with other(tmp_path, database, "empty") as process, client(process) as tt:
        assert tt.count() <= 100
        process.kill()
    assert "another one" in refused(other(tmp_path, database))


@pytest.mark.parametrize("database", KEPT)
def test_a_closed_file_may_get_another_log(database: str, tmp_path: Path) -> None:
    killed(tmp_path, database)
    check_all_there(tmp_path, database, 100)
    with other(tmp_path, database, "empty") as process, client(process) as tt:
        assert tt.count() == 100


@pytest.mark.parametrize("database", KEPT)
def test_a_log_is_known_where_it_was_copied_to(database: str, tmp_path: Path) -> None:
    killed(tmp_path, database)
    copy = shutil.copytree(tmp_path, tmp_path / "copy")
    (copy / "log").rename(copy / "moved")
    (copy / "output").unlink()
    with other(copy, database, "moved") as process, client(process) as tt:
        assert tt.count() == 100
    check_all_there(tmp_path, database, 100)


def test_a_log_whose_newest_file_has_nothing_yet(tmp_path: Path) -> None:
    """With so small files, that is always so."""
    with server(tmp_path, *DURABLE, "-ulim", "1", database="casket.tch") as process:
        with client(process) as tt:
            for n in range(5):
                tt.set(f"{n}", b"x")
            tt.synchronize()
        process.kill()
    *_, newest = sorted((tmp_path / "log").glob("*.ulog"))
    assert newest.stat().st_size == 0
    assert "it is empty" in refused(other(tmp_path, "casket.tch", "empty"))
    assert "it has no file" in refused(_with_first_file_only(tmp_path))
    check_all_there(tmp_path, "casket.tch", 5)


def _with_first_file_only(directory: Path) -> ServerProcess:
    (directory / "part").mkdir()
    shutil.copy(directory / LOG, directory / "part")
    return other(directory, "casket.tch", "part")


@pytest.mark.parametrize("database", KEPT)
def test_a_mark_of_before_says_nothing_of_the_log(database: str, tmp_path: Path) -> None:
    killed(tmp_path, database)
    change(tmp_path, database, MARK, b"ktmark1\0")
    with server(tmp_path, *DURABLE, database=database) as process, client(process) as tt:
        assert tt.count() == 100
        process.kill()
    assert "it is empty" in refused(other(tmp_path, database, "empty"))
    check_all_there(tmp_path, database, 100)


@pytest.mark.parametrize("database", KEPT)
def test_after_a_loss_of_power_the_log_may_be_shorter(database: str, tmp_path: Path) -> None:
    """What was not brought to the device need not be there."""
    prepared(tmp_path, database)
    shorten(tmp_path)
    assert "it lacks the last" in refused(other(tmp_path, database))
    change(tmp_path, database, BOOT, OTHER)
    assert "it is empty" in refused(other(tmp_path, database, "empty"))
    with server(tmp_path, *DURABLE, database=database) as process, client(process) as tt:
        assert 1 <= tt.count() <= 100
