"""Files of Kyoto Cabinet: those of the original server are read, ours pass its tools, and both
survive clearing, crashes and other processes.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kt.server.engines import EngineError
from kt.server.engines.kyoto._engine import XT_MAX, Database

from .kyoto import FILES, FUTURE, contents, opened

DATA = Path(__file__).parent.parent / "data" / "files"
MANIFEST = json.loads((DATA / "manifest.json").read_text())
KYOTO = [name for name, entry in MANIFEST.items() if entry["server"] == "ktserver"]
RECORDS = {b"key%d" % number: b"value" * number for number in range(200)}


@pytest.mark.parametrize("name", KYOTO)
def test_files_of_the_original_are_read(tmp_path: Path, name: str) -> None:
    source = DATA / name
    (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    entry = MANIFEST[name]
    records = {
        base64.b64decode(key): (base64.b64decode(value), XT_MAX if xt is None else xt)
        for key, value, xt in entry["records"]
    }
    with opened(entry["open"], tmp_path) as database:
        assert database.count() == len(records)
        assert {key: database.get(key) for key in records} == records
        assert sorted(database.match_prefix(b"")) == sorted(records)


def tool(*words: str | Path) -> str:
    """Run one of Kyoto Cabinet's own tools; what it prints."""
    if shutil.which(str(words[0])) is None:
        pytest.skip(f"{words[0]} is not installed (Debian: kyotocabinet-utils)")
    ended = subprocess.run(list(map(str, words)), capture_output=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.decode()


@pytest.mark.parametrize(
    ("spec", "manager"),
    [
        ("casket.kch", "kchashmgr"),
        ("casket.kch#bnum=50#apow=2#opts=sl", "kchashmgr"),
        ("casket.kct", "kctreemgr"),
        ("casket.kct#psiz=500#opts=c#pccap=10000", "kctreemgr"),
        ("casket.kcd", "kcdirmgr"),
        ("casket.kcf", "kcforestmgr"),
    ],
)
@pytest.mark.parametrize("way", ["filled", "cleared and filled", "vacuumed"])
def test_our_files_pass_its_tools(tmp_path: Path, spec: str, manager: str, way: str) -> None:
    with opened(spec, tmp_path) as database:
        if way != "filled":
            database.set_bulk({b"old%d" % number: b"o" * 500 for number in range(500)})
        if way == "vacuumed":
            database.remove_bulk(database.match_prefix(b"old"))
            database.vacuum()
        if way == "cleared and filled":
            database.clear()
        database.set_bulk(RECORDS)
        database.set(b"expires", b"later", FUTURE)
    path = tmp_path / spec.partition("#")[0]
    tool(manager, "check", path)
    assert sorted(tool(manager, "list", path).split()) == sorted(
        key.decode() for key in [*RECORDS, b"expires"]
    )
    stored = bytes.fromhex(tool(manager, "get", "-px", path, "expires"))
    assert stored == (-FUTURE).to_bytes(5, "big") + b"later"
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


class TestClear:
    @pytest.mark.parametrize("spec", FILES)
    @pytest.mark.parametrize("auto_transaction", [False, True])
    def test_survives_reopening(self, tmp_path: Path, spec: str, auto_transaction: bool) -> None:
        with opened(spec, tmp_path, auto_transaction=auto_transaction) as database:
            database.set_bulk(RECORDS)
            database.clear()
            assert database.count() == 0
            assert contents(database) == {}
            database.set(b"new", b"record")
            database.synchronize(hard=True)
            database.begin_transaction()
            database.end_transaction()
        with opened(spec, tmp_path) as database:
            assert contents(database) == {b"new": b"record"}
        assert [entry.name for entry in tmp_path.iterdir()] == [spec]

    @pytest.mark.parametrize(
        ("created", "kept"),
        [
            ("casket.kch#bnum=77#apow=5#fpow=3#opts=l", [b"bnum", b"apow", b"fpow", b"opts"]),
            ("casket.kct#bnum=77#psiz=500#rcomp=dec#opts=c", [b"psiz", b"rcomp", b"opts"]),
        ],
    )
    def test_keeps_what_the_file_was_made_with(
        self, tmp_path: Path, created: str, kept: list[bytes]
    ) -> None:
        with opened(created + "#ktopts=p", tmp_path) as database:
            database.set(b"key", b"value")
        path = tmp_path / created.partition("#")[0]
        path.chmod(0o600)
        with Database(f"{path}#bnum=1000#ktcapcnt=50") as database:
            before = database.status()
            assert before[b"ktopts"] == b"2"
            database.clear()
            after = database.status()
            assert [after[name] for name in kept] == [before[name] for name in kept]
            assert after[b"ktcapcnt"] == b"50"
        assert path.stat().st_mode & 0o777 == 0o600
        with Database(str(path)) as database:
            assert database.status()[b"ktopts"] == b"2"

    def test_links_are_followed(self, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        link = tmp_path / "link.kch"
        link.symlink_to(tmp_path / "data" / "real.kch")
        with Database(str(link)) as database:
            database.set(b"key", b"value")
            database.clear()
            database.set(b"new", b"value")
        assert link.is_symlink()
        with Database(str(tmp_path / "data" / "real.kch")) as database:
            assert contents(database) == {b"new": b"value"}

    @pytest.mark.parametrize("name", ["casket.kch.kt-cleared", "casket.kch.kt-new"])
    def test_what_a_crash_has_left_is_removed(self, tmp_path: Path, name: str) -> None:
        with opened("casket.kch", tmp_path) as database:
            database.set(b"key", b"value")
        (tmp_path / name).write_bytes(bytes(1000))
        with opened("casket.kch", tmp_path) as database:
            assert contents(database) == {b"key": b"value"}
        assert [entry.name for entry in tmp_path.iterdir()] == ["casket.kch"]

    @pytest.mark.parametrize("beginning", [None, b"", bytes(6 << 20)])
    @pytest.mark.parametrize("spec", ["casket.kch", "casket.kct"])
    def test_what_an_older_version_has_left_is_undone(
        self, tmp_path: Path, spec: str, beginning: bytes | None
    ) -> None:
        with opened(spec, tmp_path) as database:
            database.set(b"key", b"value")
        (tmp_path / spec).rename(tmp_path / f"{spec}.kt-cleared")
        if beginning is not None:
            (tmp_path / spec).write_bytes(beginning)
        with opened(spec, tmp_path) as database:
            assert contents(database) == {b"key": b"value"}
        assert [entry.name for entry in tmp_path.iterdir()] == [spec]

    CODE = """
import os, sys
from kt.server.engines.kyoto._engine import Database
path, way = sys.argv[1:]
database = Database(path, auto_transaction="t" in way, auto_synchronize="s" in way)
while True:
    database.set(b"key", b"value")
    database.clear()
    os.write(1, b"\\n")
"""

    @pytest.mark.parametrize("way", ["", "t", "s", "ts"])
    @pytest.mark.parametrize("spec", ["casket.kch", "casket.kct"])
    def test_a_crash_meanwhile(self, tmp_path: Path, spec: str, way: str) -> None:
        for attempt in range(3):
            command = [sys.executable, "-c", self.CODE, str(tmp_path / spec), way]
            process = subprocess.Popen(command, stdout=subprocess.PIPE)
            assert process.stdout is not None
            with process, process.stdout as cleared:
                for _ in range(3 + 2 * attempt):
                    cleared.readline()
                process.send_signal(signal.SIGKILL)
            with opened(spec, tmp_path) as database:
                assert contents(database) in ({}, {b"key": b"value"})
                database.set(b"alive", b"")
                database.clear()
            assert [entry.name for entry in tmp_path.iterdir()] == [spec]


class TestOtherProcesses:
    CODE = (
        "import sys; from kt.server.engines.kyoto._engine import Database\n"
        "Database(sys.argv[1], try_lock=True)"
    )

    @pytest.mark.parametrize("spec", ["casket.kch", "casket.kct"])
    def test_the_lock_is_kept(self, tmp_path: Path, spec: str) -> None:
        def locked() -> bool:
            path = str(tmp_path / spec)
            ended = subprocess.run([sys.executable, "-c", self.CODE, path], capture_output=True)
            return b"another process has locked the file" in ended.stderr

        with opened(spec, tmp_path) as database:
            assert locked()
            database.set_bulk(RECORDS)
            database.synchronize(hard=True)
            database.vacuum()
            assert locked()
            database.clear()
            assert locked()
        assert not locked()


def torn(data: bytes, log: bytes) -> Iterator[tuple[bytes, bytes]]:
    """File and log as they were while an entry that crosses a page was written to the log.

    The log had been longer, so there are zeros behind.
    """
    (size,) = struct.unpack_from(">q", log, 4)
    place, entries = 12, []
    while log[place : place + 1] == b"\xee":
        offset, length = struct.unpack_from(">qq", log, place + 1)
        entries.append((place, offset, log[place + 17 : place + 17 + length]))
        place += 17 + length
    for place, offset, saved in reversed(entries):
        data = data[:offset] + saved + data[offset + len(saved) :]
        for page in range(4096 * (place // 4096 + 1), place + 17 + len(saved), 4096):
            yield data[:size], log[:page] + bytes(len(log) - page)


class TestCrash:
    """A process is killed while it writes; the engine repairs the file when it is opened."""

    CODE = """
import os, sys
from kt.server.engines.kyoto._engine import Database
path, way = sys.argv[1:]
database = Database(path, auto_transaction="t" in way, auto_synchronize="s" in way)
database.set(b"before", b"cleared")
if "c" in way:
    database.clear()
number = 0
while True:
    database.set(b"key%d" % number, b"value%d" % number)
    if "y" in way:
        database.synchronize(hard=True)
    number += 1
    os.write(1, b"%d\\n" % number)
"""

    # Directories are not synchronized here: the engine synchronizes the whole machine then.
    @pytest.mark.parametrize(
        ("spec", "way"),
        [(spec, way) for spec in FILES[:2] for way in ("t", "ts", "s", "y", "tc", "yc")]
        + [(spec, way) for spec in FILES[2:] for way in ("t", "tc")],
    )
    def test_what_was_promised_is_there(self, tmp_path: Path, spec: str, way: str) -> None:
        process = subprocess.Popen(
            [sys.executable, "-c", self.CODE, str(tmp_path / spec), way], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        with process, process.stdout as written:
            for _ in range(40):
                written.readline()
            process.send_signal(signal.SIGKILL)
            promised = 40 + len(written.readlines())
        log: list[tuple[str, str]] = []
        with opened(spec, tmp_path, logger=lambda *entry: log.append(entry)) as database:
            found = contents(database)
            for number in range(promised):
                assert found[b"key%d" % number] == b"value%d" % number
            assert len(found) <= promised + 2
            assert (b"before" in found) == ("c" not in way)
            database.set(b"alive", b"")
        assert not any(entry.name.endswith("cleared") for entry in os.scandir(tmp_path))

    @pytest.mark.parametrize("spec", ["casket.kch", "casket.kct"])
    def test_a_torn_log(self, tmp_path: Path, spec: str) -> None:
        """Killed while an entry was written to the log: what it guards is still untouched."""
        records = {b"key%d" % number: b"old" * 2000 for number in range(20)}
        with opened(spec, tmp_path, auto_transaction=True) as database:
            database.set_bulk(records)
            database.begin_transaction()
            database.set_bulk(dict.fromkeys(records, b"new" * 2000))
            database.synchronize()
            data, log = (tmp_path / name for name in (spec, f"{spec}.wal"))
            moments = list(torn(data.read_bytes(), log.read_bytes()))
        assert len(moments) > 10
        for number, moment in enumerate(moments):
            directory = tmp_path / str(number)
            directory.mkdir()
            (directory / spec).write_bytes(moment[0])
            (directory / f"{spec}.wal").write_bytes(moment[1])
            with opened(spec, directory) as database:
                assert contents(database) == records

    def test_repairs_are_logged(self, tmp_path: Path) -> None:
        path = tmp_path / "casket.kch"
        with Database(str(path)) as database:
            database.set(b"key", b"value")
            shutil.copy(path, tmp_path / "crashed.kch")
        log: list[tuple[str, str]] = []
        with opened("crashed.kch", tmp_path, logger=lambda *entry: log.append(entry)) as database:
            assert contents(database) == {b"key": b"value"}
            assert database.status()[b"reorganized"] == b"1"
        assert {kind for kind, _message in log} == {"WARN"}
        assert any("reorganiz" in message for _kind, message in log)
        with pytest.raises(EngineError):
            Database(str(tmp_path), logger=lambda *entry: log.append(entry))


@pytest.mark.parametrize("spec", ["casket.kch", "casket.kct"])
def test_copies(tmp_path: Path, spec: str) -> None:
    with opened(spec, tmp_path) as database:
        database.set_bulk(RECORDS)
        database.synchronize()
        database.copy(str(tmp_path / f"copy-{spec}"))
    with opened(f"copy-{spec}", tmp_path) as database:
        assert contents(database) == RECORDS
