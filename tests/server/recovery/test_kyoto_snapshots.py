"""Snapshots of the engine: what is in them, whoever changes the database meanwhile."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from kt import read_snapshot
from kt.serializers import KT_NONE
from kt.server.engines import EngineError
from kt.server.engines.kyoto._engine import (
    LIBRARY_FEATURES,
    XT_MAX,
    Database,
    SnapshotLoader,
    restore_changes,
)

from ..engines.kyoto import FILES, FUTURE, PAST, TYPES, contents, opened

DATA = Path(__file__).parents[2] / "wire/data/log/tycoon/snapshots"
RECORDED = json.loads((DATA / "expected.json").read_text())["files"]
COMPRESSORS = ("none", "zlib", "lzo", "lzma")
MANY = 60_000
"""So many records take several turns."""


def load(database: Database, path: Path) -> int:
    loader = SnapshotLoader(database, str(path))
    total = 0
    while count := loader.load(1000):
        total += count
    return total


def need(compressor: str) -> None:
    if compressor != "none" and f"({compressor})" not in LIBRARY_FEATURES:
        pytest.skip(f"this Kyoto Cabinet was built without {compressor}")


def stored(path: Path) -> dict[bytes, bytes]:
    """What our other reader finds in a snapshot."""
    changes = read_snapshot(path, serializer=KT_NONE, decode_keys=False)
    return {change.key: change.value for change in changes}


@contextmanager
def writing(step: Callable[[int], None]) -> Iterator[None]:
    """Call `step` with rising numbers in another thread."""
    ends = threading.Event()
    failed: list[BaseException] = []

    def write() -> None:
        number = 0
        try:
            while not ends.is_set():
                step(number)
                number += 1
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join()
    assert not failed


@pytest.mark.parametrize("compressor", COMPRESSORS)
@pytest.mark.parametrize("spec", TYPES)
def test_what_is_taken_is_loaded(spec: str, compressor: str, tmp_path: Path) -> None:
    need(compressor)
    path = tmp_path / "00000000.ktss"
    large = bytes(range(256)) * 4096 * 6
    with opened(spec, tmp_path) as database:
        database.set_bulk({b"%d" % i: b"value %d" % (i * i) for i in range(3000)})
        database.set(b"", b"")
        database.set(b"large", large)
        database.set(b"later", b"x", FUTURE)
        database.set(b"gone", b"x", PAST)
        records = contents(database)
        header = database.take_snapshot(str(path), compressor)
        assert header.records == len(records) == 3003
    assert not path.with_suffix(".ktss.tmp").exists()
    (tmp_path / "other").mkdir()
    with opened(spec, tmp_path / "other") as database:
        loader = SnapshotLoader(database, str(path))
        assert loader.header == header
        assert load(database, path) == len(records)
        assert contents(database) == records
        assert database.get(b"large") == (large, XT_MAX)
        assert database.get(b"later") == (b"x", -FUTURE)


@pytest.mark.parametrize("compressor", ["none", "zlib", "lzma"])
def test_the_library_in_python_reads_it(compressor: str, tmp_path: Path) -> None:
    need(compressor)
    path = tmp_path / "00000000.ktss"
    with Database("%") as database:
        database.set_bulk({b"%d" % i: b"%d" % i for i in range(200_000)})
        database.take_snapshot(str(path), compressor)
        assert stored(path) == contents(database)


@pytest.mark.parametrize("name", RECORDED)
def test_what_the_original_has_written_is_loaded(name: str) -> None:
    need(RECORDED[name]["compressor"] or "none")
    path = DATA / f"{name}.ktss"
    spec = "%#ktopts=p" if "persistent" in name else "%"
    with Database(spec) as database:
        loader = SnapshotLoader(database, str(path))
        expected = RECORDED[name]
        assert loader.header == (expected["ts"], expected["count"], expected["size"])
        assert load(database, path) == expected["count"] == database.count()


@pytest.mark.parametrize("name", ["grass", "grass-zlib", "grass-lzo", "grass-lzma"])
def test_a_damaged_one_is_refused_and_never_ends_the_process(name: str, tmp_path: Path) -> None:
    """Cut at every byte; a flipped bit is found unless it is inside of a value."""
    whole = (DATA / f"{name}.ktss").read_bytes()
    path = tmp_path / "00000000.ktss"
    with Database("%") as database:
        for size in range(len(whole)):
            path.write_bytes(whole[:size])
            with pytest.raises(OSError, match=r"00000000\.ktss"):
                load(database, path)
        for at in range(len(whole)):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
            with suppress(OSError):
                load(database, path)
        path.write_bytes(whole)
        assert load(database, path) > 0


def test_too_few_records_are_noticed(tmp_path: Path) -> None:
    whole = (DATA / "grass.ktss").read_bytes()
    path = tmp_path / "00000000.ktss"
    count = int.from_bytes(whole[18:26], "big")
    path.write_bytes(whole[:18] + (count + 1).to_bytes(8, "big") + whole[26:])
    with Database("%") as database, pytest.raises(OSError, match=f"has {count} records, and says"):
        load(database, path)


@pytest.mark.parametrize("spec", TYPES)
def test_it_is_of_one_moment(spec: str, tmp_path: Path) -> None:
    """A writer sets 0, 1, 2 … and removes what is 500 behind: at any moment they are in a row."""
    path = tmp_path / "00000000.ktss"
    size = MANY if spec[0] in "*%:+-" else MANY // 4
    with opened(spec, tmp_path) as database:
        database.set_bulk({b"base%d" % i: b"x" * 20 for i in range(size)})

        def step(number: int) -> None:
            database.set(b"row%d" % number, b"y" * (number % 90))
            if number >= 500:
                database.remove(b"row%d" % (number - 500))
            database.set(b"base%d" % (number * 7919 % size), b"z" * (number % 90))
            database.increment(b"count", 1)

        with writing(step):
            for _ in range(5):
                database.take_snapshot(str(path), "none")
                records = stored(path)
                row = sorted(int(key[3:]) for key in records if key.startswith(b"row"))
                assert row == list(range(row[0], row[-1] + 1)) if row else True
                assert len(row) <= 501
                assert sum(key.startswith(b"base") for key in records) == size
                count = int.from_bytes(records.get(b"count", b""), "big")
                assert count in ({row[-1], row[-1] + 1} if row else {0})


def take_between_transactions(database: Database, path: Path) -> None:
    """Take one; on a busy machine there is not always a time when nothing is undone."""
    while True:
        try:
            database.take_snapshot(str(path), "none")
        except OSError as error:
            assert "undone all the time" in str(error)  # noqa: PT017 - any other one is an error
        else:
            return


@pytest.mark.parametrize("spec", ["*", "%", "-", "casket.kct"])
def test_clearing_and_undone_transactions_meanwhile(spec: str, tmp_path: Path) -> None:
    path = tmp_path / "00000000.ktss"
    with opened(spec, tmp_path) as database:
        database.set_bulk({b"%d" % i: b"old" for i in range(20_000)})

        def step(number: int) -> None:
            if number % 400 == 399:
                database.begin_transaction()
                database.set(b"never", b"seen")
                database.remove(b"kept")
                database.end_transaction(commit=False)
            if number % 5000 == 4999:
                database.clear()
            database.set(b"kept", b"%d" % number)

        with writing(step):
            for _ in range(8):
                take_between_transactions(database, path)
                records = stored(path)
                assert b"never" not in records
                assert len([key for key in records if key != b"kept"]) in (0, 20_000)


def test_a_transaction_that_is_open_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "00000000.ktss"
    with Database("%") as database:
        database.begin_transaction()
        database.set(b"a", b"1")
        taken: list[int] = []
        thread = threading.Thread(
            target=lambda: taken.append(database.take_snapshot(str(path), "none").records)
        )
        thread.start()
        database.set(b"b", b"2")
        database.end_transaction()
        thread.join()
        assert taken == [2]


def test_a_large_value_that_changes_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "00000000.ktss"
    with Database("*") as database:
        database.set(b"large", b"\0" * (20 << 20))

        def step(number: int) -> None:
            database.set(b"large", bytes([number % 256]) * ((20 << 20) + number))

        with writing(step):
            for _ in range(5):
                database.take_snapshot(str(path), "none")
                (value,) = stored(path).values()
                assert value == value[:1] * len(value)


def test_what_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "00000000.ktss"
    with Database("%") as database:
        database.set(b"a", b"1")
        database.take_snapshot(str(path), "none")
        before = path.read_bytes()
        (tmp_path / "00000000.ktss.tmp").mkdir()
        with pytest.raises(OSError, match="directory"):
            database.take_snapshot(str(path), "none")
        assert path.read_bytes() == before
        with pytest.raises(OSError, match="No such file"):
            database.take_snapshot(str(tmp_path / "none" / "x.ktss"), "none")
        database.set(b"a", b"2")  # nothing of the failed attempt is left


def test_a_closed_database_is_said(tmp_path: Path) -> None:
    database = Database("%")
    database.close()
    with pytest.raises(OSError, match="not opened"):
        database.take_snapshot(str(tmp_path / "x.ktss"), "none")
    assert not list(tmp_path.iterdir())


# Changes of the log


def frame(stamp: int, message: bytes) -> bytes:
    return b"\xb1" + stamp.to_bytes(8, "big") + len(message).to_bytes(4, "big") + message


def put(database: int, key: bytes, value: bytes) -> bytes:
    head = b"\0\1" + database.to_bytes(2, "big") + b"\xa1"
    return head + bytes([len(key), len(value) + 5]) + key + b"\xff" * 5 + value


def test_changes_are_carried_out_where_they_are_newer() -> None:
    with Database("%") as one, Database("*") as two, Database("+") as three:
        three.set(b"kept", b"x")
        one.set(b"old", b"x")
        frames = b"".join(
            [
                frame(5, put(0, b"before", b"1")),
                frame(6, b"\0\1\0\0\xa5"),
                frame(7, put(0, b"a", b"1")),
                frame(7, put(1, b"before", b"2")),
                frame(8, put(1, b"b", b"2")),
                frame(9, put(2, b"c", b"3")),
                frame(9, put(9, b"d", b"4")),
                frame(10, b""),
                frame(11, b"\0\1\0\0\xa0unknown"),
                frame(12, put(0, b"gone", b"")),
                frame(13, b"\0\1\0\0\xa2\x04gone"),
                frame(14, b"\0\1\0\0\xa2\x05never"),
            ]
        )
        stamps = [(one, 5), (two, 7), (three, None)]
        assert restore_changes(stamps, frames) == 6
        assert contents(one) == {b"a": b"1"}
        assert contents(two) == {b"b": b"2"}
        assert contents(three) == {b"kept": b"x"}


@pytest.mark.parametrize(
    "message",
    [b"\0", b"\0\1\0\0\xa1", b"\0\1\0\0\xa1\x05\x01a", b"\0\1\0\0\xa2\x05a", b"\0\1\0\0\xa2\xff"],
)
def test_what_is_no_change_is_refused(message: bytes) -> None:
    with Database("%") as database:
        with pytest.raises(OSError, match="cannot be read"):
            restore_changes([(database, 0)], frame(1, message))
        with pytest.raises(OSError, match="cannot be read"):
            restore_changes([(database, 0)], frame(1, put(0, b"a", b"1"))[:-1])


@pytest.mark.parametrize("spec", FILES)
def test_a_file_that_takes_nothing_is_said(spec: str, tmp_path: Path) -> None:
    with opened(spec, tmp_path):
        pass
    with (
        opened(spec, tmp_path, read_only=True) as database,
        pytest.raises(OSError, match="permission"),
    ):
        restore_changes([(database, 0)], frame(1, put(0, b"a", b"1")))
    with opened(spec, tmp_path) as database, pytest.raises(EngineError):
        database.get(b"a")
