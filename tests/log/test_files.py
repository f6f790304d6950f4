"""Log files: what is damaged is named, and everything else is read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kt.errors import ArgumentError
from kt.log.files import CHUNK, Damage, Entry, Kind, LogFile, find_files
from kt.types import Change, What
from kt.wire.log import snapshots, tycoon, tyrant
from tests.wire.log_material import DATA, load, tycoon_change, unpacked

STAMP = 1_795_000_000_000_000_000


def records(server: str, count: int, size: int = 5) -> list[bytes]:
    """Records of a log, whose values have no byte that may begin a record."""
    changes = [
        Change(What.SET, STAMP + n * 1000, 1, 0, b"key%d" % n, b"v" * size) for n in range(count)
    ]
    if server == "tycoon":
        return [tycoon.pack_change(change) for change in changes]
    return [
        tyrant.pack_record(tyrant.Record(change.stamp // 1000, 1, 0, tyrant.pack_command(change)))
        for change in changes
    ]


def write(folder: Path, server: str, data: bytes, number: int = 1) -> LogFile:
    if server == "tycoon":
        path = folder / f"{number:010}.ulog"
        data = tycoon.pack_header(tycoon.Header(17 + len(data), STAMP)) + data
    else:
        path = folder / f"{number:08}.ulog"
    path.write_bytes(data)
    return LogFile(path)


def shown(file: LogFile) -> list[bytes | tuple[int, int] | None]:
    """The keys, and (offset, size) of what is damaged."""
    return [
        (entry.offset, entry.size) if isinstance(entry, Damage) else entry.change.key
        for entry in file.entries()
    ]


def material(tmp_path: Path, server: str, name: str) -> LogFile:
    path = tmp_path / f"{1:0{10 if server == 'tycoon' else 8}}.ulog"
    shutil.copy(DATA / server / "damaged" / f"{name}.ulog", path)
    return LogFile(path)


KEYS = [b"key%d" % n for n in range(10)]


@pytest.mark.parametrize(
    ("server", "name", "expected"),
    [
        ("tycoon", "bad-magic", [(0, 17), *KEYS]),
        ("tycoon", "bad-record-magic", [*KEYS[:5], (192, 35), *KEYS[6:]]),
        ("tycoon", "empty", []),
        ("tycoon", "flipped-value-byte", KEYS),
        ("tycoon", "half-record", KEYS),
        ("tycoon", "header-only", [(17, 350)]),
        ("tycoon", "short", [*KEYS[:9], (332, 30)]),
        ("tycoon", "tail", KEYS),
        ("tyrant", "bad-magic", [*KEYS[:4], (148, 37), *KEYS[5:]]),
        ("tyrant", "empty", []),
        ("tyrant", "half-record", [*KEYS, (370, 20)]),
        ("tyrant", "short", [*KEYS[:9], (333, 32)]),
        ("tyrant", "tail", [*KEYS, (370, 8)]),
    ],
)
def test_damaged_material(
    tmp_path: Path, server: str, name: str, expected: list[bytes | tuple[int, int]]
) -> None:
    file = material(tmp_path, server, name)
    assert file.kind.name.lower() == server
    assert shown(file) == expected


@pytest.mark.parametrize("name", ["half-record", "tail"])
def test_what_the_header_does_not_count_is_not_read(tmp_path: Path, name: str) -> None:
    file = material(tmp_path, "tycoon", name)
    assert file.end == 367 < file.size


@pytest.mark.parametrize("server", ["tycoon", "tyrant"])
@given(data=st.data())
def test_a_stretch_that_is_overwritten(
    tmp_path_factory: pytest.TempPathFactory, server: str, data: st.DataObject
) -> None:
    """All records that it does not touch are read, and the damage is where it is."""
    log = records(server, 12)
    whole = b"".join(log)
    begin = data.draw(st.integers(0, len(whole) - 1))
    size = data.draw(st.integers(1, min(80, len(whole) - begin)))
    stretch = bytes(byte ^ 0x5A for byte in whole[begin : begin + size])
    damaged = whole[:begin] + stretch + whole[begin + size :]
    file = write(tmp_path_factory.mktemp("log"), server, damaged)
    entries = list(file.entries())
    assert sum(e.size if isinstance(e, Damage) else len(e.raw) for e in entries) == len(whole)
    at, untouched = 0, []
    for record in log:
        if at + len(record) <= begin or at >= begin + size:
            untouched.append(record)
        at += len(record)
    found = [entry.raw for entry in entries if isinstance(entry, Entry)]
    assert [record for record in found if record in log] == untouched


@pytest.mark.parametrize("server", ["tycoon", "tyrant"])
def test_a_log_that_is_cut_anywhere(tmp_path: Path, server: str) -> None:
    log = records(server, 3)
    whole = b"".join(log)
    head = 17 if server == "tycoon" else 0
    path = Path(write(tmp_path, server, whole).path)
    data = path.read_bytes()
    ends = [head + len(b"".join(log[:n])) for n in range(4)]
    for size in range(head, len(data)):
        path.write_bytes(data[:size])
        entries = list(LogFile(path).entries())
        damage = [entry for entry in entries if isinstance(entry, Damage)]
        complete = sum(end <= size for end in ends[1:])
        assert [entry.raw for entry in entries if isinstance(entry, Entry)] == log[:complete]
        if size not in ends:
            assert damage == [entries[-1]]
            assert (damage[0].offset, damage[0].size) == (ends[complete], size - ends[complete])
        elif server == "tycoon":
            assert damage[0].offset == size


def test_a_record_that_was_written_over_half_of_another(tmp_path: Path) -> None:
    """A crash leaves half a record, and the next start appends to it."""
    log = records("tyrant", 6, size=40)
    file = write(tmp_path, "tyrant", b"".join([*log[:2], log[2][:-25], *log[3:]]))
    begin = len(log[0]) * 2
    assert shown(file) == [KEYS[0], KEYS[1], (begin, len(log[2]) - 25), *KEYS[3:6]]


@pytest.mark.parametrize("server", ["tycoon", "tyrant"])
def test_large_records_and_many(tmp_path: Path, server: str) -> None:
    log = [*records(server, 2, CHUNK * 2), *records(server, 5000), *records(server, 1, CHUNK)]
    file = write(tmp_path, server, b"".join(log))
    raw, at = [], file.size - sum(map(len, log))
    for entry in file.entries():
        assert isinstance(entry, Entry)
        assert entry.offset == at
        at += len(entry.raw)
        raw.append(entry.raw)
    assert raw == log


SNAPSHOTS = load("tycoon/snapshots/expected.json")


@pytest.mark.parametrize("name", SNAPSHOTS["files"])
def test_recorded_snapshots(name: str) -> None:
    if name.endswith("lzo"):
        pytest.importorskip("lzallright", reason="the package lzallright is not installed")
    expected = SNAPSHOTS["files"][name]
    file = LogFile(DATA / "tycoon/snapshots" / f"{name}.ktss")
    assert isinstance(file.header, snapshots.Header)
    assert file.kind is Kind.SNAPSHOT
    compressor = expected["compressor"].upper() or "NONE"
    assert (file.header.compressor.name, *file.header[1:]) == (
        compressor,
        expected["ts"],
        expected["count"],
        expected["size"],
    )
    changes = [entry.change for entry in file.entries(persistent={0} if "pers" in name else ())]
    assert len(changes) == expected["count"]
    live = next(group["records"] for group in SNAPSHOTS["contents"] if name in group["of"])
    found = {change.key: (change.value, change.expiry) for change in changes}
    for record in live:
        change = tycoon_change({**record, "op": "set", "ts": 0, "sid": 0})
        assert found.pop(change.key) == (change.value, change.expiry)
    assert set(found) <= {b"soon gone"}  # as it was when the contents were read


def test_a_snapshot_that_is_cut_anywhere(tmp_path: Path) -> None:
    for name in ("grass.ktss", "grass-zlib.ktss"):
        data = (DATA / "tycoon/snapshots" / name).read_bytes()
        path = tmp_path / "00000007.ktss"
        for size in range(1, len(data), 7):
            path.write_bytes(data[:size])
            *before, last = LogFile(path).entries()
            assert isinstance(last, Damage)
            assert all(isinstance(entry, Entry) and entry.change.db == 7 for entry in before)


def test_find_files(tmp_path: Path) -> None:
    for number in (10, 9, 1):
        write(tmp_path, "tycoon", b"", number)
    (tmp_path / "notes.txt").write_text("no log")
    assert [file.number for file in find_files([tmp_path])] == [1, 9, 10]
    with pytest.raises(ArgumentError, match="no update log"):
        find_files([tmp_path / "notes.txt"])
    with pytest.raises(FileNotFoundError):
        find_files([tmp_path / "nothing"])


def test_material_is_what_it_says() -> None:
    assert unpacked({"repeat": "A", "size": 3}) == b"AAA"
