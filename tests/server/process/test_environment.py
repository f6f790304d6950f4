"""Servers in surroundings that are not those of a developer: whatever starts them, they serve.

Every type of file, on both servers: locales, no environment at all, paths that are not ASCII or no
text at all, a strict umask, few descriptors, a directory that cannot be written to, a limit on the
size of files, a full disk. Standard streams and locked files are in `test_start.py`.
"""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count, islice
from pathlib import Path
from time import monotonic

import pytest

import kt
from kt import KT_NONE, KyotoTycoon, ServerError, TokyoTyrant

from ..disks import fill_up, mounted, small_disk
from ..processes import HOST, SECONDS
from .served import FILES, TYRANT_FILES, VALUE, Served, both, every_file, file_of, program_of

LOCALES = {
    "UTF-8": {"LANG": "C.UTF-8"},
    "C": {"LANG": "C", "LC_ALL": "C"},
    "unknown": {"LANG": "xx_YY.ISO-8859-15", "LC_ALL": ""},
    "mixed": {"LANG": "C.UTF-8", "LC_NUMERIC": "de_DE", "LC_CTYPE": "POSIX"},
}


# Locales and environments


@pytest.mark.parametrize(
    ("locale", "file"),
    [(locale, file) for number, locale in enumerate(LOCALES) for file in FILES[number % 2 :: 2]],
)
def test_locales(locale: str, file: str, tmp_path: Path) -> None:
    Served(program_of(file), file=file, directory=tmp_path, environment=LOCALES[locale]).serves()


@both
def test_no_environment(program: str, tmp_path: Path) -> None:
    Served(program, file=file_of(program), directory=tmp_path, prefix=["env", "-i"]).serves()


@pytest.mark.parametrize("name", ["ä 漢字".encode(), b"\xff\xfe", b"a\nb"])
@pytest.mark.parametrize("locale", ["UTF-8", "C"])
@both
def test_paths_that_are_not_ascii(program: str, locale: str, name: bytes, tmp_path: Path) -> None:
    directory = tmp_path / os.fsdecode(name)
    directory.mkdir()
    paths = [str(directory / one) for one in ("pid", "log")]
    file = os.fsdecode(name) + Path(file_of(program)).suffix
    server = Served(
        program,
        *("-pid", paths[0], "-log", paths[1]),
        file=str(directory / file),
        directory=tmp_path,
        environment=LOCALES[locale],
    )
    server.serves()
    assert sorted(os.listdir(directory)) == sorted([file, "log"])


@every_file
def test_strict_umask(file: str, tmp_path: Path) -> None:
    server = Served(
        program_of(file),
        *("-log", "log"),
        file=file,
        directory=tmp_path,
        shell='umask 077; exec "$@"',
    )
    server.serves()
    for path in (tmp_path / file, tmp_path / "log"):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077


@every_file
def test_much_at_once(file: str, tmp_path: Path) -> None:
    """No streams, no environment, few descriptors, a strict umask, and a path in no locale."""
    directory = tmp_path / os.fsdecode(b"\xff \xe6\xbc\xa2")
    directory.mkdir()
    server = Served(
        program_of(file),
        *("-log", str(directory / "log"), "-pid", str(directory / "pid")),
        file=str(directory / file),
        directory=tmp_path,
        shell='umask 077; ulimit -n 64; exec env -i "$@" <&- >&- 2>&-',
    )
    server.serves()
    assert sorted(os.listdir(directory)) == sorted([file, "log"])
    assert not stat.S_IMODE((directory / file).stat().st_mode) & 0o077


# Limits


@both
def test_few_descriptors(program: str, tmp_path: Path) -> None:
    """Who is too many is not served, and harms nobody; others are, when these have left."""
    server = Served(
        program, file=file_of(program), directory=tmp_path, shell='ulimit -n 40; exec "$@"'
    )
    with server:
        assert server.put()
        with ExitStack() as others:
            for _ in range(60):
                others.enter_context(server.connect())
        deadline = monotonic() + SECONDS
        while not is_served(server):
            assert monotonic() < deadline
        assert server.stop() == 0
    server.serves()


def is_served(server: Served) -> bool:
    try:
        return server.get() == VALUE
    except (OSError, EOFError, AssertionError):  # closed before there was an answer
        return False


@every_file
def test_a_limit_on_the_size_of_files(file: str, tmp_path: Path) -> None:
    """Writes fail; the server goes on and ends in order, and other files are not harmed."""
    with Served(program_of(file), file=file, directory=tmp_path) as server:
        assert server.put()
        assert server.stop() == 0
    limited = Served(
        program_of(file),
        file=file,
        directory=tmp_path,
        shell=f'ulimit -f {(8 << 20) // 512}; exec "$@"',
    )
    with limited:
        large = b"column\0" + b"x" * (1 << 20)
        taken = [limited.put(b"%d" % number, large) for number in range(2, 30)]
        assert limited.get() == VALUE
        assert limited.process.poll() is None
        limited.stop()
    assert limited.process.returncode in (0, 1)
    many = file in ("casket.kcd", "casket.kcf", "casket.tcf")  # many files, or short records
    assert all(taken) == many


# Directories


@pytest.fixture
def unwritable(tmp_path: Path) -> Iterator[Path]:
    """A directory that nobody may write to, root neither."""
    directory = tmp_path / "unwritable"
    directory.mkdir()
    with mounted(directory, "ro") if os.geteuid() == 0 else ExitStack():
        directory.chmod(0o555) if os.geteuid() else None
        yield directory
        directory.chmod(0o755) if os.geteuid() else None


@every_file
def test_a_directory_that_cannot_be_written_to(file: str, tmp_path: Path, unwritable: Path) -> None:
    server = Served(program_of(file), file=str(unwritable / file), directory=tmp_path)
    status, printed = server.ended()
    assert status == 1
    assert printed.splitlines()[-1].startswith(f"{program_of(file)}: ")
    assert "Traceback" not in printed


@both
@pytest.mark.parametrize("flag", ["-log", "-pid"])
def test_files_that_cannot_be_written(
    program: str, flag: str, tmp_path: Path, unwritable: Path
) -> None:
    server = Served(program, flag, str(unwritable / "x"), file=file_of(program), directory=tmp_path)
    status, printed = server.ended()
    assert status == 1
    assert str(unwritable / "x") in printed.splitlines()[-1]
    assert "Traceback" not in printed


INDEXED = [f"casket.tct#idx=column:{kind}" for kind in ("lex", "tok")]
"""Tables with an index, which is a file of its own."""


@small_disk
@pytest.mark.parametrize(
    ("file", "large"),
    [(file, large) for file in FILES for large in (False, True)]
    + [(file, False) for file in INDEXED],
)
def test_a_full_disk(file: str, large: bool, tmp_path: Path) -> None:
    """Writes are refused and reads go on; what was acknowledged is there after the end, too, though
    the disk is full all the time; and with room again there are writes."""
    disk = tmp_path / "disk"
    value = b"column\0" + b"x" * (300_000 if large else 2_000)
    with mounted(disk, "size=24m"):
        log = ("-log", str(tmp_path / "log"))
        server = Served(program_of(file), *log, file=str(disk / file), directory=tmp_path)
        with server:
            assert server.put()
            keys = map(b"%d".__mod__, count(2))
            taken = [key for key in islice(keys, 100 if large else 2_000) if server.put(key, value)]
            fill_up(disk / "filler")
            refused = 0
            while refused < 100:
                key = next(keys)
                if server.put(key, value):
                    taken.append(key)
                else:
                    refused += 1
            assert server.get() == VALUE
            assert all(server.get(key) for key in taken)
            assert server.stop() == 0
        with server:
            assert server.get() == VALUE
            assert all(server.get(key) for key in taken)
            (disk / "filler").unlink()
            wait_until_put(server, next(keys))
            assert server.stop() == 0


@small_disk
@pytest.mark.parametrize("file", ["casket.kch", "casket.kct", "casket.tcb", INDEXED[0]])
def test_a_torn_file_on_a_full_disk(file: str, tmp_path: Path) -> None:
    """There is no space to put it right: it stays as it is, and is not served."""
    disk = tmp_path / "disk"
    with mounted(disk, "size=24m"):
        server = Served(program_of(file), file=str(disk / file), directory=tmp_path)
        with server:
            assert server.put()
            assert server.stop() == 0
        with server:
            assert server.put(b"2")
            assert server.stop(signal.SIGKILL) == -signal.SIGKILL
        fill_up(disk / "filler")
        status, printed = server.ended()
        assert status == 1
        assert "it was not closed" in printed.splitlines()[-1]
        (disk / "filler").unlink()
        with server:
            assert server.get() == VALUE
            assert server.stop() == 0


def wait_until_put(server: Served, key: bytes) -> None:
    deadline = monotonic() + SECONDS
    while not server.put(key):
        assert monotonic() < deadline


@small_disk
@pytest.mark.parametrize("file", [*TYRANT_FILES, *INDEXED])
def test_what_was_acknowledged_while_the_disk_ran_full(file: str, tmp_path: Path) -> None:
    """It is all there when the server has ended on the full disk, and changes go on with room."""
    disk = tmp_path / "disk"
    stored: dict[str, bytes] = {}
    with mounted(disk, "size=12m"):
        filler = disk / "filler"
        filler.write_bytes(bytes(1 << 20))
        with Served("kt-tyrant", file=str(disk / file), directory=tmp_path) as server:
            with TokyoTyrant(HOST, server.port, serializer=KT_NONE) as db:
                refusals = fill(db, stored)
                assert refusals == 100
                assert {key: db.get(key) for key in stored} == stored
            assert server.stop() == 0, server.printed()
        filler.unlink()
        with (
            Served("kt-tyrant", file=str(disk / file), directory=tmp_path) as server,
            TokyoTyrant(HOST, server.port, serializer=KT_NONE) as db,
        ):
            assert {key: db.get(key) for key in stored} == stored
            assert len(db) == len(stored)
            db.set("1", VALUE)
            assert db.get("1") == VALUE


def fill(db: TokyoTyrant[str, bytes] | KyotoTycoon[str, bytes], stored: dict[str, bytes]) -> int:
    """Store records until the disk is full and 100 have been refused; how many were."""
    refusals = 0
    for number in range(1, 100_000):
        value = b"column\0" + os.urandom(100).hex().encode()
        if stores(db, str(number), value):
            stored[str(number)] = value
        elif (refusals := refusals + 1) == 100:
            break
    return refusals


def stores(db: TokyoTyrant[str, bytes] | KyotoTycoon[str, bytes], key: str, value: bytes) -> bool:
    try:
        db.set(key, value)
    except ServerError:
        return False
    return True


@small_disk
@pytest.mark.parametrize("file", [*FILES, *INDEXED])
def test_a_full_disk_in_ones_own_process(file: str, tmp_path: Path) -> None:
    """As with servers: what was stored is there after the database was closed, and reads go on."""
    disk = tmp_path / "disk"
    stored: dict[str, bytes] = {}
    with mounted(disk, "size=12m"):
        filler = disk / "filler"
        filler.write_bytes(bytes(1 << 20))
        with kt.open(disk / file, serializer=KT_NONE) as db:
            refusals = fill(db, stored)
            assert refusals == 100
            assert {key: db.get(key) for key in stored} == stored
        with kt.open(disk / file, serializer=KT_NONE) as db:
            assert {key: db.get(key) for key in stored} == stored
            filler.unlink()
            deadline = monotonic() + SECONDS
            while not stores(db, "1", VALUE):
                assert monotonic() < deadline
            stored["1"] = VALUE
        with kt.open(disk / file, serializer=KT_NONE) as db:
            assert {key: db.get(key) for key in stored} == stored
