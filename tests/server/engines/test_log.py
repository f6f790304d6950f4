"""The directory of an update log, where the disk does not take what there is to write."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kt.server.engines.log._log import BROKEN, MORE, WAITING, UpdateLog

if TYPE_CHECKING:
    from kt.server.engines.log._log import Kind

WITH_LIMIT = """
import resource, sys
from kt.server.engines.log._log import UpdateLog

_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), hard))
try:
    UpdateLog(sys.argv[1], kind="tyrant", server=1)
except OSError as error:
    print(error)
"""
RECORD = b"\xc8\x10" + bytes(600)
"""The begin of a command and a part of its text: half a record, when the end is cut off."""


@pytest.fixture
def torn(tmp_path: Path) -> Path:
    """A log file that ends within a record."""
    log = UpdateLog(str(tmp_path), kind="tyrant", server=1)
    for _ in range(2):
        log.append(1, 1, RECORD)
    assert log.flush()
    (path,) = map(Path, log.files().values())
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    return path


def test_nothing_is_cut_off_that_cannot_be_kept(torn: Path) -> None:
    before = torn.read_bytes()
    beside = torn.with_name(torn.name + ".cut")
    command = [sys.executable, "-c", WITH_LIMIT, str(torn.parent), "300"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert str(beside) in said
    assert "File too large" in said
    assert torn.read_bytes() == before
    assert beside.read_bytes() == b""
    log = UpdateLog(str(torn.parent), kind="tyrant", server=1)
    assert str(beside) in log.findings
    assert torn.read_bytes() + beside.read_bytes() == before


# What is said of the time up to which everything has been read

REMOVED = b"\0\1\0\0\xa2\1k"
"""Kyoto Tycoon's log: server 1 has removed the record "k" of its first database."""


@pytest.mark.parametrize("limit", [0, 20], ids=["one file", "a file for each"])
def test_a_reader_does_not_speak_for_what_it_has_not_read(limit: int, tmp_path: Path) -> None:
    log = UpdateLog(str(tmp_path), kind="tycoon", server=1, limit=limit)
    reader = log.reader(0, 2)
    stamps = []
    for _ in range(3):
        log.append(1, 1, REMOVED)
        assert log.flush()
        state, frames = reader.read(1 << 20)
        while state == MORE:
            state, _ = reader.read(1 << 20)
        assert state == WAITING
        stamps.append(int.from_bytes(frames[1:9], "big"))
        log.append(1, 1, REMOVED)  # after it has looked
        assert log.flush()
        said = reader.stamp()
        _, frames = reader.read(1 << 20)
        stamps.append(int.from_bytes(frames[1:9], "big"))
        assert stamps[-2] <= said < stamps[-1]
    assert stamps == sorted(set(stamps))


# What a killed process has taken over

AHEAD = """
import os, sys
from kt.server.engines.log._log import UpdateLog
log = UpdateLog(sys.argv[1], kind="tycoon", server=1, limit=2000, durable="process")
for number in range(int(sys.argv[2])):
    log.append(1, 1, b"%03d" % number + b"x" * 97)
    if number % 7 == 6:
        log.flush()
os.kill(os.getpid(), 9)
"""


def test_what_was_taken_over_is_written_at_the_next_start(tmp_path: Path) -> None:
    for count in (1, 6, 7, 30):
        directory = tmp_path / str(count)
        directory.mkdir()
        killed = subprocess.run([sys.executable, "-c", AHEAD, str(directory), str(count)])
        assert killed.returncode == -signal.SIGKILL
        for _ in range(2):  # and not once more
            log = UpdateLog(str(directory), kind="tycoon", server=1)
            found = [log.files()[number] for number in sorted(log.files())]
            data = b"".join(Path(path).read_bytes() for path in found)
            assert [int(n) for n in re.findall(rb"(\d{3})x{97}", data)] == [*range(count)]
            assert log.reader(0, 99).read(1 << 20)[0] != BROKEN
            del log
        assert not list(directory.glob("ahead*"))


def test_what_another_start_of_the_machine_has_taken_over_is_old(tmp_path: Path) -> None:
    """A loss of power leaves it as it was at any time: the log has it, and more behind."""
    killed = subprocess.run([sys.executable, "-c", AHEAD, str(tmp_path), "5"])
    assert killed.returncode == -signal.SIGKILL
    [log] = tmp_path.glob("*.ulog")
    before = log.read_bytes()
    for path in tmp_path.glob("ahead*"):
        data = bytearray(path.read_bytes())
        data[40:48] = b"another!"
        path.write_bytes(data)
    UpdateLog(str(tmp_path), kind="tycoon", server=1)
    assert log.read_bytes() == before
    assert not list(tmp_path.glob("ahead*"))


@pytest.mark.parametrize("kind", ["tycoon", "tyrant"])
def test_zeros_at_the_end_are_cut_off(kind: Kind, tmp_path: Path) -> None:
    """A loss of power may leave them where nothing had come to the device yet."""
    log = UpdateLog(str(tmp_path), kind=kind, server=1)
    log.append(1, 1, REMOVED)
    assert log.flush()
    [path] = log.files().values()
    del log
    before = Path(path).read_bytes()
    Path(path).write_bytes(before + bytes(5000))
    log = UpdateLog(str(tmp_path), kind=kind, server=1)
    assert "cut off: 5000 bytes" in log.findings
    assert Path(path).read_bytes() == before
    assert list(log.files().values()) == [path]


def test_damage_ahead_is_not_taken_for_records(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", AHEAD, str(tmp_path), "5"])
    assert killed.returncode == -signal.SIGKILL
    for path in tmp_path.glob("ahead*"):
        data = bytearray(path.read_bytes())
        if (at := data.find(b"003x")) >= 0:
            data[at + 50] ^= 1
            path.write_bytes(data)
    log = UpdateLog(str(tmp_path), kind="tycoon", server=1)
    assert re.findall(rb"(\d{3})x{97}", Path(log.files()[1]).read_bytes()) == [
        b"000",
        b"001",
        b"002",
    ]


ROTATING = """
import sys
from kt.server.engines.log._log import UpdateLog

directory, kind = sys.argv[1:]
log = UpdateLog(directory, kind=kind, server=1, limit=2000, durable="device")
for number in range(40):
    log.append(1, 1, b"x" * 300)
    assert log.flush()
"""


@pytest.mark.parametrize("kind", ["tycoon", "tyrant"])
def test_a_file_is_on_the_device_before_the_next_one_is_there(
    kind: str, tmp_path: Path, last_call: str
) -> None:
    """A start looks for what a loss of power has torn at the end of the newest file only."""
    rotated = 0
    for call in range(1, 60):
        log, device = tmp_path / f"log{call}", tmp_path / f"device{call}"
        log.mkdir()
        device.mkdir()
        killing = {"KT_KILL_AT": str(call), "KT_FILES": ".ulog", "KT_DEVICE": str(device)}
        subprocess.run(
            [sys.executable, "-c", ROTATING, str(log), kind],
            env={**os.environ, **killing, "LD_PRELOAD": last_call},
            timeout=60,
        )
        *before, _newest = sorted(log.glob("*.ulog")) or [log]
        rotated += len(before)
        for path in before:
            assert (device / path.name).read_bytes() == path.read_bytes(), call
    assert rotated
