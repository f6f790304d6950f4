"""Full copies that are cut off, and go on where they were."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kt import KyotoTycoon

from ...disks import mounted, small_disk
from ...processes import HOST, ServerProcess
from ..pairs import (
    BUNDLED,
    client,
    contents,
    facts,
    following,
    server,
    wait_until,
    wait_until_equal,
)
from .cut_lines import CutLine
from .test_copies import SLOW, fill, master, without_begin

BLOCK = 1 << 18
"""Bytes that a master sends at once."""


def slave(port: int, directory: Path, *, databases: tuple[str, ...] = ("%",)) -> ServerProcess:
    follow = ("-mhost", HOST, "-mport", str(port), "-rts", "rts", "-copy")
    return server(BUNDLED, 2, directory, *follow, databases=databases)


def resumed(first: ServerProcess) -> list[int]:
    """After how many bytes copies have gone on."""
    return [int(size) for size in re.findall(r"goes on with its copy: size=(\d+)", first.printed())]


def go_on_logging(kt: KyotoTycoon) -> str:
    """Write until the present file of the log, which is never removed, is an old one; its path."""
    present = kt.ulog_list()[-1].path
    while kt.ulog_list()[-1].path == present:
        kt.set_bulk({b"more %d" % i: b"v" * 200 for i in range(1000)})
    return present


def removable(kt: KyotoTycoon, path: str) -> bool:
    """Whether nobody needs this file of the log, which is removed then."""
    kt.ulog_remove()
    return all(file.path != path for file in kt.ulog_list())


CUTS = {
    "in the first block": ((BLOCK // 2,), 0),
    "later": ((3 * BLOCK,), 1),
    "again and again": ((3 * BLOCK, 2 * BLOCK, 2 * BLOCK), 3),
}


@pytest.mark.parametrize(("cuts", "count"), CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("half", [False, True], ids=["", "unnoticed"])
def test_it_goes_on_where_it_was_cut(
    cuts: tuple[int, ...], count: int, half: bool, tmp_path: Path
) -> None:
    databases = ("%", "*")
    with master(tmp_path / "1", databases=databases) as first, client(first) as kt:
        fill(kt)
        kt.set(b"other", b"1", db=1)
        without_begin(kt)
        with (
            CutLine(first.port, *cuts, half=half) as line,
            slave(line.port, tmp_path / "2", databases=databases) as second,
        ):
            wait_until_equal(first, second, 2)
            places = resumed(first)
            assert len(places) == count
            assert places == sorted(set(places))
            assert all(0 < place < int(facts(second)["repl_copied"]) for place in places)
            second.wait_for_output("the copy has been applied")
            assert not list((tmp_path / "2").glob("rts.copy*"))


def cut_off(first: ServerProcess, directory: Path, blocks: int = 4) -> Path:
    """Kill a slave that has got some blocks of a copy; the file with these."""
    second = slave(first.port, directory)
    unfinished = directory / "rts.copy.tmp"
    second.start()
    try:
        wait_until(
            lambda: unfinished.exists() and unfinished.stat().st_size > blocks * BLOCK, "begun"
        )
    finally:
        second.kill()
    return unfinished


DAMAGE = {
    "none": lambda data: None,
    "cut within a block": lambda data: data.__delitem__(slice(-1000, None)),
    "a byte": lambda data: data.__setitem__(-BLOCK, data[-BLOCK] ^ 1),
    "something behind it": lambda data: data.extend(b"\xb2" + bytes(100)),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_it_goes_on_after_the_slave_was_killed(damage: str, tmp_path: Path) -> None:
    """Behind what is whole of that which it has got."""
    with master(tmp_path / "1", *SLOW) as first, client(first) as kt:
        fill(kt)
        without_begin(kt)
        unfinished = cut_off(first, tmp_path / "2")
        data = bytearray(unfinished.read_bytes())
        size = len(data)
        DAMAGE[damage](data)
        unfinished.write_bytes(data)
        with slave(first.port, tmp_path / "2") as second:
            wait_until_equal(first, second, 1)
        [place] = resumed(first)
        assert size - 3 * BLOCK < place < size


def test_it_begins_anew_where_nothing_fits(tmp_path: Path) -> None:
    """The file is of something else, or of another slave."""
    with master(tmp_path / "1", *SLOW) as first, client(first) as kt:
        fill(kt)
        without_begin(kt)
        unfinished = cut_off(first, tmp_path / "2")
        unfinished.write_bytes(b"something else" * 100_000)
        with slave(first.port, tmp_path / "2") as second:
            wait_until_equal(first, second, 1)
        cut_off(first, tmp_path / "3").rename(tmp_path / "4")
        (directory := tmp_path / "5").mkdir()
        (tmp_path / "4").rename(directory / "rts.copy.tmp")
        follow = (*following(first), "-copy")
        with server(BUNDLED, 3, directory, *follow, databases=("%",)) as third:
            wait_until_equal(first, third, 1)
        assert resumed(first) == []


def test_a_master_keeps_it_only_for_a_while(tmp_path: Path) -> None:
    """Meanwhile the log is kept, too, from where the slave will go on."""
    with master(tmp_path / "1", *SLOW, "-copy-keep", "0") as first, client(first) as kt:
        fill(kt)
        without_begin(kt)
        cut_off(first, tmp_path / "2")
        wait_until(lambda: "slave_lost_2" in kt.report(), "the master has heard of it")
        needed = go_on_logging(kt)
        wait_until(lambda: removable(kt, needed), "it is given up")
        with slave(first.port, tmp_path / "2") as second:
            wait_until_equal(first, second, 1)
        assert resumed(first) == []


def test_a_master_keeps_the_log_for_it(tmp_path: Path) -> None:
    with master(tmp_path / "1", *SLOW) as first, client(first) as kt:
        fill(kt)
        without_begin(kt)
        cut_off(first, tmp_path / "2")
        wait_until(lambda: "slave_lost_2" in kt.report(), "the master has heard of it")
        kt.remove(b"key 1")
        needed = go_on_logging(kt)
        assert not removable(kt, needed)
        with slave(first.port, tmp_path / "2") as second:
            wait_until_equal(first, second, 1)
            wait_until(lambda: facts(second)["repl_state"] == "following", "it is done with it")
            with client(second) as other:
                assert other.get(b"key 1") is None
        assert len(resumed(first)) == 1
        assert removable(kt, needed)


def test_what_is_not_wanted_any_more_is_removed(tmp_path: Path) -> None:
    with master(tmp_path / "1", *SLOW) as first, client(first) as kt:
        fill(kt)
        without_begin(kt)
        unfinished = cut_off(first, tmp_path / "2")
        with slave(first.port, tmp_path / "2") as second, client(second) as other:
            wait_until(lambda: facts(second)["repl_state"] == "copying", "it goes on")
            other.tune_replication()
            assert not unfinished.exists()
            assert contents(other, 1) == [{}]


@small_disk
def test_it_makes_room_for_another_one(tmp_path: Path) -> None:
    """For one snapshot and what a log needs there is room, but not for two."""
    (disk := tmp_path / "1").mkdir()
    with mounted(disk, "size=100m"), master(disk, *SLOW) as first, client(first) as kt:
        for number in range(100):
            kt.set(b"%d" % number, b"x" * 200_000)
        kt.ulog_remove()
        cut_off(first, tmp_path / "2")
        wait_until(lambda: "slave_lost_2" in kt.report(), "the master has heard of it")
        follow = (*following(first), "-copy")
        with server(BUNDLED, 3, tmp_path / "3", *follow, databases=("%",)) as third:
            wait_until_equal(first, third, 1)
        assert "no room" not in first.printed()
