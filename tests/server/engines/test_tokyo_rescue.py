"""Files of Tokyo Cabinet whose server was killed: they open, and hold what was synchronized."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kt.errors import ImproperlyConfigured
from kt.server.engines.tokyo._engine import Database

from .test_tokyo_files import tool
from .tokyo import every_key, items, opened

STABLE = 2_000
"""Keys up to this are synchronized, and not touched later."""

# The library gives up its time slice now and then while it writes, so beside other work a writer
# takes as long as they let it.
pytestmark = pytest.mark.timeout(900)

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
    ended = subprocess.run(command, cwd=directory)
    assert ended.returncode == -signal.SIGKILL


def lose_log(path: Path) -> None:
    """As if the file had been left by a server that keeps no log of a tree."""
    Path(f"{path}.wal").unlink()


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


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    "tuning", ["", "#lmemb=8#nmemb=8#lcnum=64#ncnum=64", "#opts=ld#lmemb=16#lcnum=64"]
)
def test_a_killed_tree_without_a_log_holds_what_was_synchronized(
    tmp_path: Path, tuning: str, seed: int
) -> None:
    write_and_die(f"casket.tcb{tuning}", tmp_path, seed)
    lose_log(tmp_path / "casket.tcb")
    with opened("casket.tcb", tmp_path) as database:
        assert database.rebuilt
        for number in range(1, STABLE + 1):
            assert database.get(b"%d" % number) == b"c\0stable%d" % number
        keys = items(database.fwmkeys(every_key(database)))
        assert len(set(keys)) == len(keys) == database.count()
        assert all(database.get(one) is not None for one in keys)


def test_the_library_accepts_what_was_rescued(tmp_path: Path) -> None:
    write_and_die("casket.tcb#lmemb=8#nmemb=8#lcnum=64#ncnum=64", tmp_path)
    lose_log(tmp_path / "casket.tcb")
    with opened("casket.tcb", tmp_path) as database:
        count = database.count()
    informed = tool("tcbmgr", "inform", tmp_path / "casket.tcb")
    assert f"record number: {count}\n" in informed
    assert "max leaf member: 8\n" in informed
    assert len(tool("tcbmgr", "list", tmp_path / "casket.tcb").splitlines()) == count
    assert sorted(path.name for path in tmp_path.iterdir()) == ["casket.tcb", "casket.tcb.torn"]


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
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path)
    lose_log(tmp_path / "casket.tcb")
    with opened("casket.tcb", tmp_path) as database:
        assert database.rebuilt
        for key in range(3):
            values = items(database.misc(b"get", [b"%d" % key]))
            assert values == [b"%d" % number for number in range(key, 300, 3)]


@pytest.mark.parametrize("name", ["casket.tcb", "casket.tcf", "casket.tct"])
def test_a_reader_changes_nothing(tmp_path: Path, name: str) -> None:
    write_and_die(name, tmp_path)
    if name.endswith("b"):
        lose_log(tmp_path / name)
    before = (tmp_path / name).read_bytes()
    with opened(f"{name}#mode=r", tmp_path) as database:
        assert not database.rebuilt
        assert database.get(b"7") == b"c\0stable7"
    assert (tmp_path / name).read_bytes() == before


FILLER = """
import os, sys
from kt.server.engines.tokyo._engine import Database

database = Database(sys.argv[1])
for number in range(1, 1001):
    assert database.put(b"%d" % number, b"c\\0value%d" % number)
    if sys.argv[2] == "early" and number == 1:
        database.sync()
if sys.argv[2] == "late":
    database.sync()
os.kill(os.getpid(), 9)
"""


def fill_and_die(name: str, directory: Path, sync: str = "late") -> Path:
    """A file with a thousand records, left open."""
    subprocess.run([sys.executable, "-c", FILLER, name, sync], cwd=directory)
    return directory / name.partition("#")[0]


def found(database: Database) -> set[int]:
    """Which of the thousand can be got."""
    return {
        number
        for number in range(1, 1001)
        if database.get(b"%d" % number) == b"c\0value%d" % number
    }


def assert_consistent(database: Database) -> None:
    """Count, scan and get agree."""
    keys = items(database.fwmkeys(every_key(database)))
    assert len(keys) == len(set(keys)) == database.count()
    assert {int(one) for one in keys} == found(database)


@pytest.mark.parametrize("sync", ["never", "early", "late"])
def test_numbers_outside_of_the_header_are_kept(tmp_path: Path, sync: str) -> None:
    """Nothing of a fixed-length file depends on the last synchronization."""
    path = fill_and_die("casket.tcf#width=64", tmp_path, sync)
    with opened("casket.tcf#mode=r", tmp_path) as database:
        assert len(found(database)) == database.count() == 1000
    with opened("casket.tcf", tmp_path) as database:
        assert database.rebuilt
        assert database.kept_files == []
        assert len(found(database)) == 1000
        assert_consistent(database)
        assert database.put(b"1001", b"more")
        assert database.optimize()
        assert database.count() == 1001
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def break_magic(data: bytearray, at: int) -> None:
    """The first byte of a record."""
    data[data.rindex(b"\xc8", 0, at)] = 0


def break_links(data: bytearray, at: int) -> None:
    """What a record that is being moved looks like: a free block, still linked."""
    begin = data.rindex(b"\xc8", 0, at)
    data[begin : begin + 5] = b"\xb0\0\0\0\x20"


def break_row(data: bytearray, at: int) -> None:
    """The whole begin of a record."""
    begin = data.rindex(b"\xc8", 0, at)
    data[begin:at] = bytes(at - begin)


def tear(path: Path, tearing: Callable[[bytearray, int], None]) -> bytes:
    """Break one record of a thousand; the bytes of the file after that."""
    data = bytearray(path.read_bytes())
    tearing(data, data.index(b"500c" if b"500c" in data else b"500\x01c"))
    path.write_bytes(data)
    return bytes(data)


@pytest.mark.parametrize(
    ("tearing", "lost"), [(break_magic, set()), (break_links, set()), (break_row, {500})]
)
@pytest.mark.parametrize("name", ["casket.tch", "casket.tch#opts=ld", "casket.tct#idx=c:lex"])
def test_one_broken_record_costs_no_other(
    tmp_path: Path, name: str, tearing: Callable[[bytearray, int], None], lost: set[int]
) -> None:
    path = fill_and_die(name, tmp_path)
    if "opts" in name:
        pytest.importorskip("zlib")
        data = bytearray(path.read_bytes())
        tearing(data, data.index(b"500", data.index(b"499") + 3))
        path.write_bytes(data)
        torn = bytes(data)
    else:
        torn = tear(path, tearing)
    with opened(name, tmp_path) as database:
        assert database.rebuilt
        assert found(database) == set(range(1, 1001)) - lost
        assert_consistent(database)
        [kept] = database.kept_files
        if "idx" in name:
            hits = database.misc(b"search", [b"addcond\0c\0STRBW\0value", b"setlimit\0-1"])
            assert len(items(hits)) == database.count()
        assert database.put(b"500", b"c\0value500")
        assert database.optimize()
    assert Path(kept).read_bytes()[256:] == torn[256:]  # as it was torn
    with opened(name, tmp_path) as database:
        assert not database.rebuilt
        assert len(found(database)) == 1000


def test_a_torn_page_costs_no_other(tmp_path: Path) -> None:
    """Records of the hash file below a tree are its pages."""
    path = fill_and_die("casket.tcb#lmemb=8", tmp_path)
    lose_log(path)
    data = bytearray(path.read_bytes())
    at = data.index(b"value500")
    begin = data.rindex(b"\xc8", 0, at)
    data[begin : begin + 1] = b"\0"
    path.write_bytes(data)
    with opened("casket.tcb", tmp_path) as database:
        assert database.rebuilt
        assert len(found(database)) >= 1000 - 8
        assert_consistent(database)
    names = sorted(one.name for one in tmp_path.iterdir())
    assert names == ["casket.tcb", "casket.tcb.torn"]


def test_what_is_behind_the_torn_place_of_a_page_is_no_record(tmp_path: Path) -> None:
    """As when it was being written over: its begin is new, and of another length than before."""
    path = fill_and_die("casket.tcb#lmemb=64", tmp_path)
    lose_log(path)
    data = bytearray(path.read_bytes())
    at = data.index(b"value500") + len("value500")
    data[at : at + 40] = data[at + 3 : at + 43]
    path.write_bytes(data)
    with opened("casket.tcb", tmp_path) as database:
        assert database.rebuilt
        assert len(found(database)) >= 1000 - 64
        assert database.get(b"500") == b"c\0value500"
        assert_consistent(database)


def test_every_torn_file_is_kept(tmp_path: Path) -> None:
    kept = []
    for _ in range(3):
        lose_log(fill_and_die("casket.tcb", tmp_path))
        with opened("casket.tcb", tmp_path) as database:
            kept += [Path(one).name for one in database.kept_files]
            assert len(found(database)) == 1000
    assert kept == ["casket.tcb.torn", "casket.tcb.torn2", "casket.tcb.torn3"]


def test_a_file_that_cannot_be_replaced_is_not_served(tmp_path: Path) -> None:
    path = fill_and_die("casket.tcb", tmp_path)
    lose_log(path)
    before = path.read_bytes()
    (tmp_path / "casket.tcb.rescued").mkdir()
    with pytest.raises(ImproperlyConfigured, match="cannot be rebuilt"):
        Database(str(path))
    assert path.read_bytes()[256:] == before[256:]


def test_a_sound_hash_file_stays(tmp_path: Path) -> None:
    fill_and_die("casket.tch", tmp_path)
    with opened("casket.tch", tmp_path) as database:
        assert not database.rebuilt
        assert_consistent(database)
    assert [one.name for one in tmp_path.iterdir()] == ["casket.tch"]
