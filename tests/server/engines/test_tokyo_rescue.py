"""Files of Tokyo Cabinet whose server was killed: they open, and hold what was synchronized."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ..processes import SECONDS
from .test_tokyo_files import tool
from .tokyo import every_key, items, opened

STABLE = 2_000
"""Keys up to this are synchronized, and not touched later."""

WRITER = """
import os, random, sys
from kt.server.engines.tokyo._engine import Database

name, seed = sys.argv[1], int(sys.argv[2])
random.seed(seed)
database = Database(name)
for number in range(1, {stable} + 1):
    database.put(b"%d" % number, b"c\\0stable%d" % number)
database.sync()
for turn in range(20_000):
    key = b"%d" % random.randrange({stable} + 1, 20_000)
    if random.random() < 0.2:
        database.out(key)
    else:
        database.put(key, b"c\\0" + b"v" * random.randrange(1, 60))
os.kill(os.getpid(), 9)
"""


def write_and_die(name: str, directory: Path, seed: int = 0) -> None:
    """Make a database in a process that is killed while it has the file open."""
    command = [sys.executable, "-c", WRITER.format(stable=STABLE), name, str(seed)]
    ended = subprocess.run(command, cwd=directory, timeout=SECONDS)
    assert ended.returncode == -signal.SIGKILL


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    "name",
    [
        "casket.tch",
        "casket.tcb",
        "casket.tcb#lmemb=8#nmemb=8#lcnum=64#ncnum=64",
        "casket.tcb#opts=ld#lmemb=16#lcnum=64",
        "casket.tcf",
        "casket.tct#idx=c:lex",
    ],
)
def test_killed_files_hold_what_was_synchronized(tmp_path: Path, name: str, seed: int) -> None:
    write_and_die(name, tmp_path, seed)
    with opened(name, tmp_path) as database:
        assert database.rebuilt == (not name.endswith("h"))
        for number in range(1, STABLE + 1):
            assert database.get(b"%d" % number) == b"c\0stable%d" % number
        keys = items(database.fwmkeys(every_key(database)))
        assert len(set(keys)) == len(keys) == database.count()
        assert all(database.get(one) is not None for one in keys)
        for one in keys[::7]:
            assert database.put(one, b"c\0again")
        assert database.out(b"1")
        assert database.optimize()
        if database.type_name == "table":
            found = database.misc(b"search", [b"addcond\0c\0STREQ\0again", b"count"])
            assert items(found) == [b"%d" % (len(keys[::7]) - (b"1" in keys[::7]))]
        assert database.fatal_error is None
    with opened(name, tmp_path) as database:
        assert not database.rebuilt
        assert database.count() == len(keys) - 1


def test_the_library_accepts_what_was_rescued(tmp_path: Path) -> None:
    write_and_die("casket.tcb#lmemb=8#nmemb=8#lcnum=64#ncnum=64", tmp_path)
    with opened("casket.tcb", tmp_path) as database:
        count = database.count()
    informed = tool("tcbmgr", "inform", tmp_path / "casket.tcb")
    assert f"record number: {count}\n" in informed
    assert "max leaf member: 8\n" in informed
    assert len(tool("tcbmgr", "list", tmp_path / "casket.tcb").splitlines()) == count
    assert [path.name for path in tmp_path.iterdir()] == ["casket.tcb"]


def test_duplicates_are_rescued(tmp_path: Path) -> None:
    code = """
import os
from kt.server.engines.tokyo._engine import Database
database = Database("casket.tcb")
for number in range(300):
    database.misc(b"putlist", [b"%d" % (number % 3), b"%d" % number])
database.sync()
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, timeout=SECONDS)
    with opened("casket.tcb", tmp_path) as database:
        assert database.rebuilt
        for key in range(3):
            values = items(database.misc(b"get", [b"%d" % key]))
            assert values == [b"%d" % number for number in range(key, 300, 3)]


@pytest.mark.parametrize("name", ["casket.tcb", "casket.tcf", "casket.tct"])
def test_a_reader_changes_nothing(tmp_path: Path, name: str) -> None:
    write_and_die(name, tmp_path)
    before = (tmp_path / name).read_bytes()
    with opened(f"{name}#mode=r", tmp_path) as database:
        assert not database.rebuilt
        assert database.get(b"7") == b"c\0stable7"
    assert (tmp_path / name).read_bytes() == before
