"""A slave gets what it has changed itself, too, where it would have less than its master."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from kt import KyotoTycoon

from ..processes import HOST, ServerProcess
from .pairs import (
    BUNDLED,
    client,
    contents,
    facts,
    following,
    log_of,
    server,
    wait_until,
    wait_until_equal,
)

FILES = ("a.kch", "b.kct", "c.kcd", "*", "%", "%#ktopts=p")


@pytest.fixture(params=FILES)
def servers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[ServerProcess]]:
    """Three that follow nobody yet, of which the second one takes copies."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                server(
                    *(BUNDLED, number, tmp_path / str(number), "-rts", "rts"),
                    *(("-copy",) if number == 2 else ()),
                    databases=(request.param,),
                )
            )
            for number in (1, 2, 3)
        ]


def change(process: ServerProcess, slaves: list[ServerProcess], key: str, value: str) -> None:
    """Set a record, and wait until all have it."""
    with client(process) as kt:
        kt.set(key, value.encode())
        for slave in slaves:
            with client(slave) as other:
                wait_until(lambda: other.get(key) == value.encode(), "it is there")


def follow(slave: ServerProcess, master: ServerProcess, ts: int | None = None) -> None:
    with client(slave) as kt:
        kt.tune_replication(HOST, master.port, ts=ts, read_only=True)
        wait_until(lambda: facts(slave).get("repl_connected") == 1, "it follows")


def exchange(master: ServerProcess, slave: ServerProcess) -> None:
    """Let the slave be the master, and the other way round."""
    with client(slave) as kt:
        stamp = kt.promote()
    follow(master, slave, stamp)


def demote_from_the_beginning(master: ServerProcess, slave: ServerProcess) -> None:
    """The same, but it begins with the new master's first change."""
    with client(slave) as kt:
        kt.promote()
        follow(master, slave, 0)
        change(slave, [master], "last", "1")
    wait_until_equal(slave, master, 1)


def test_a_former_master_gets_what_it_wrote_over(servers: list[ServerProcess]) -> None:
    first, second, _ = servers
    follow(second, first)
    change(first, [second], "a", "1")
    exchange(first, second)
    change(second, [first], "a", "2")
    exchange(second, first)
    change(first, [second], "a", "3")
    demote_from_the_beginning(first, second)
    with client(first) as kt:
        assert kt.get("a") == b"3"


def test_a_former_master_gets_what_it_wrote_after_a_clearing(servers: list[ServerProcess]) -> None:
    first, second, third = servers
    follow(second, first)
    change(first, [second], "a", "1")
    exchange(first, second)
    with client(second) as kt:
        kt.clear()
    change(second, [first], "b", "1")
    exchange(second, first)
    follow(third, second)  # a chain
    change(first, [second, third], "c", "1")
    demote_from_the_beginning(first, second)
    wait_until_equal(second, third, 1)
    with client(first) as kt:
        assert kt.get_bulk(["a", "b", "c"]) == {b"b": b"1", b"c": b"1"}


def test_a_former_master_gets_what_it_wrote_after_a_copy(servers: list[ServerProcess]) -> None:
    first, second, third = servers
    follow(third, first)
    change(first, [third], "a", "1")
    exchange(first, third)
    follow(second, third)  # takes a copy, whose changes are the third one's
    change(third, [first, second], "b", "1")
    with client(first) as kt:
        kt.promote()
    for slave in (second, third):
        follow(slave, first, 0 if slave is third else None)
    change(first, [second, third], "c", "1")
    demote_from_the_beginning(first, second)
    with client(first) as kt:
        assert kt.get_bulk(["a", "b", "c"]) == {b"a": b"1", b"b": b"1", b"c": b"1"}


def two_masters(tmp_path: Path, stack: ExitStack, database: str) -> list[ServerProcess]:
    """Two that follow each other and are both written to."""
    one, two = (
        server(BUNDLED, number, tmp_path / str(number), databases=(database,)) for number in (1, 2)
    )
    one.command[-1:-1] = following(two)
    two.command[-1:-1] = following(one)
    for process in (one, two):
        stack.enter_context(process)
    return [one, two]


def set_own(kt: KyotoTycoon, name: str) -> None:
    for number in range(10):
        kt.set(f"{name}{number}", name.encode())
        kt.set(f"{name}{number}", name.encode() * 2)


@pytest.mark.parametrize("database", ["%", "*", "a.kch"])
def test_one_of_two_masters_that_has_lost_everything_gets_it_back(
    database: str, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        one, two = two_masters(tmp_path, stack, database)
        with client(one) as kt, client(two) as other:
            set_own(kt, "one")
            set_own(other, "two")
        wait_until_equal(one, two, 1)
        wait_until_equal(two, one, 1)
        expected = contents(client(two), 1)
        one.stop()
        for path in one.directory.glob("a.kch*"):
            path.unlink()
        one.start()
        wait_until(lambda: contents(client(one), 1) == expected, "it has everything")
        change(one, [two], "new", "1")
        change(two, [one], "new", "2")
        assert contents(client(one), 1) == contents(client(two), 1)
        assert len(log_of(two)) == 42  # what it has got back is not sent on to where it is from


def test_one_of_two_masters_gets_back_what_it_wrote_after_a_clearing(tmp_path: Path) -> None:
    with ExitStack() as stack:
        one, two = two_masters(tmp_path, stack, "a.kch")
        with client(one) as kt, client(two) as other:
            other.clear()
            other.set("a", b"1")
            wait_until(lambda: kt.get("a") == b"1", "it has it")
            set_own(kt, "one")
            wait_until_equal(one, two, 1)
            expected = contents(other, 1)
            kt.tune_replication(HOST, two.port, ts=0)
            other.set("b", b"1")
            wait_until(lambda: kt.get("b") == b"1", "it has caught up")
            expected[0][b"b"] = (b"1", None)
            assert contents(kt, 1) == contents(other, 1) == expected
