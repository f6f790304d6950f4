"""Changes out of log files: selected, decoded, resumed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import kt
from kt import (
    ArgumentError,
    Change,
    LogDamageError,
    LogGapError,
    Since,
    What,
    read_changes,
    read_snapshot,
)
from kt.wire.log import tycoon
from tests.wire.log_material import (
    DATA,
    load,
    tycoon_change,
    tyrant_entry,
    tyrant_expected,
)

from .test_files import KEYS, STAMP, material, records, write

RAW: dict[str, Any] = {"serializer": kt.KT_NONE, "decode_keys": False}
NAMES = [key.decode() for key in KEYS]


def test_recorded_log_of_tycoon() -> None:
    expected = list(map(tycoon_change, load("tycoon/all-kinds/expected.json")))
    assert list(read_changes(DATA / "tycoon/all-kinds", persistent={2}, **RAW)) == expected


@pytest.mark.parametrize("name", ["all-kinds", "table"])
def test_recorded_log_of_tyrant(name: str) -> None:
    expected = list(map(tyrant_expected, load(f"tyrant/{name}/expected.json")))
    changes = list(read_changes(DATA / "tyrant" / name, everything=True, **RAW))
    assert list(map(tyrant_entry, changes)) == expected


def test_a_database_without_expiry_is_named(tmp_path: Path) -> None:
    change: Change[bytes, bytes] = Change(What.SET, STAMP, 1, 2, b"key", b"v")
    write(tmp_path, "tycoon", tycoon.pack_change(change, persistent=True))
    with pytest.raises(LogDamageError, match=r"database 2 has ktopts=p"):
        list(read_changes(tmp_path, **RAW))
    assert list(read_changes(tmp_path, persistent=[2], **RAW)) == [change]


def test_what_is_selected() -> None:
    path = DATA / "tycoon/of-a-slave/ulog-b"
    assert {change.sid for change in read_changes(path)} == {1, 2}
    assert {change.sid for change in read_changes(path, sid=1)} == {1}
    assert {change.db for change in read_changes(path, db=[1])} == {1}
    chosen = list(read_changes(path, prefix="b"))
    assert {change.key for change in chosen} == {None, *(f"b{n}" for n in range(5))}
    assert [change.what for change in chosen if change.key is None] == [What.CLEAR]


def test_values_are_decoded(tmp_path: Path) -> None:
    write(tmp_path, "tycoon", records("tycoon", 1)[0])
    (change,) = read_changes(tmp_path)
    assert (change.key, change.value, change.expires) == ("key0", "vvvvv", None)
    assert change.time == datetime.fromtimestamp(STAMP // 10**9, UTC)
    changes = read_changes(tmp_path, serializer=kt.KT_JSON)
    with pytest.raises(kt.SerializationError):
        next(changes)
    assert list(changes) == []  # the change that does not decode is done


@pytest.mark.parametrize("server", ["tycoon", "tyrant"])
def test_going_on_from_every_position(tmp_path: Path, server: str) -> None:
    log = records(server, 10)
    for number in range(3):
        write(tmp_path, server, b"".join(log[number * 4 : number * 4 + 4]), number + 1)
    for count in range(11):
        changes = read_changes(tmp_path)
        before = [next(changes).key for _ in range(count)]
        rest = read_changes(tmp_path, since=changes.position)
        assert before + [change.key for change in rest] == NAMES


@pytest.mark.parametrize("server", ["tycoon", "tyrant"])
def test_beginning_at_a_time(tmp_path: Path, server: str) -> None:
    log = records(server, 10)  # a microsecond apart
    write(tmp_path, server, b"".join(log))
    moment = datetime.fromtimestamp(STAMP // 10**9, UTC) + timedelta(microseconds=7)
    assert [change.key for change in read_changes(tmp_path, since=moment)] == NAMES[7:]


@pytest.mark.parametrize("server", ["tycoon", "tyrant"])
def test_a_file_that_is_missing(tmp_path: Path, server: str) -> None:
    log = records(server, 10)
    files = [write(tmp_path, server, b"".join(log[n * 4 : n * 4 + 4]), n + 1) for n in range(3)]
    changes = read_changes(tmp_path)
    for _ in range(6):
        next(changes)
    Path(files[1].path).unlink()
    rest = read_changes(tmp_path)
    assert [next(rest).key for _ in range(4)] == NAMES[:4]
    with pytest.raises(LogGapError) as caught:
        next(rest)
    assert [change.key for change in read_changes(files[2].path, since=caught.value.oldest)] == (
        NAMES[8:]
    )
    Path(files[0].path).unlink()
    with pytest.raises(LogGapError) as caught:
        list(read_changes(tmp_path, since=changes.position))
    assert [change.key for change in read_changes(tmp_path, since=caught.value.oldest)] == NAMES[8:]
    assert [change.key for change in read_changes(tmp_path)] == NAMES[8:]


def test_damage(tmp_path: Path) -> None:
    file = material(tmp_path, "tycoon", "bad-record-magic")
    changes = read_changes(file.path)
    assert [next(changes).key for _ in range(5)] == NAMES[:5]
    with pytest.raises(LogDamageError) as caught:
        next(changes)
    assert (caught.value.path, caught.value.offset, caught.value.size) == (file.path, 192, 35)
    rest = [change.key for change in read_changes(file.path, skip_damage=True)]
    assert rest == NAMES[:5] + NAMES[6:]


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="no log files"):
        read_changes(tmp_path)
    with pytest.raises(ArgumentError, match="no log files"):
        read_changes()
    write(tmp_path, "tycoon", b"")
    with pytest.raises(ArgumentError, match="present"):
        read_changes(tmp_path, since=Since.NOW)
    with pytest.raises(ArgumentError, match="position"):
        read_changes(tmp_path, since="tyrant:1")
    with pytest.raises(ArgumentError, match="time zone"):
        read_changes(tmp_path, since=datetime(2026, 1, 1))
    write(tmp_path, "tyrant", b"")
    with pytest.raises(ArgumentError, match="both"):
        read_changes(tmp_path)
    with pytest.raises(ArgumentError, match="no snapshot"):
        list(read_snapshot(tmp_path / "0000000001.ulog"))


def test_a_snapshot(tmp_path: Path) -> None:
    path = DATA / "tycoon/snapshots/grass.ktss"
    contents = {change.key: change for change in read_snapshot(path, **RAW)}
    assert contents[b"key003"].value == b"value 9"
    assert contents[b"key003"].expiry == 2000000003
    (tmp_path / "00000000.ktss").write_bytes(path.read_bytes()[:-1])
    changes = read_snapshot(tmp_path / "00000000.ktss", **RAW)
    for _ in range(len(contents) - 1):
        next(changes)
    with pytest.raises(LogDamageError):
        next(changes)
