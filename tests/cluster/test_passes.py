"""When somebody who asks all masters has to ask them again; no sockets."""

from __future__ import annotations

from typing import Any

import pytest

from kt.cluster.commands import EVERY, FRESH, Command, Failure
from kt.cluster.database import Database
from kt.cluster.settings import parse_valkey_url
from kt.cluster.walks import PASSES_MAX

ADDRESS = {"a": "h:1", "b": "h:2", "c": "h:3"}


def says(name: str, *slots: str, epoch: int = 1) -> tuple[str, bytes]:
    """What the master of this name says of itself, and wrongly of another one."""
    own = f"{name} {ADDRESS[name]}@1 myself,master - 0 0 {epoch} connected {' '.join(slots)}"
    return ADDRESS[name], f"z h:9@1 master - 0 0 9 connected 0-16383\n{own}\n".encode()


class Masters:
    """Answers the commands of an operation, by a list of what masters say and have."""

    def __init__(self, *rounds: list[tuple[str, Any]]) -> None:
        self.rounds = list(rounds)
        self.slots: list[int] = []

    def carry_out(self, steps: Any) -> Any:
        try:
            commands: list[Command] = next(steps)
            while True:
                self.slots += [command.slot for command in commands]
                replies = [self.rounds.pop(0) for _ in commands]
                commands = steps.send(replies)
        except StopIteration as stop:
            assert not self.rounds
            return stop.value


def keys(*names: str) -> tuple[bytes, list[bytes]]:
    """A page of SCAN that is the last one."""
    return b"0", [b"k{}" + name.encode() for name in names]


STILL = [says("a", "0-8000"), says("b", "8001-16383", epoch=2)]
UNDER_WAY = [
    says("a", "0-8000", "[8001-<-b]"),
    says("b", "8001-16383", "[8001->-a]", epoch=2),
]
MOVED = [says("a", "0-8001", epoch=3), says("b", "8002-16383", epoch=2)]
BOTH_CLAIM = [says("a", "0-8001", epoch=3), says("b", "8001-16383", epoch=2)]
PAGES = [("h:1", keys("x")), ("h:2", keys("y"))]
LATER = [("h:1", keys("x", "z")), ("h:2", keys("y"))]


def search(masters: Masters) -> list[bytes]:
    database = Database(parse_valkey_url("valkey://h:1/0?layout=flat"))
    found: list[bytes] = masters.carry_out(database.match_prefix(b"", -1))
    return sorted(found)


def test_one_pass_is_enough_where_nothing_moves() -> None:
    masters = Masters(STILL, PAGES, STILL)
    assert search(masters) == [b"x", b"y"]
    assert masters.slots == [EVERY] * 3


@pytest.mark.parametrize(
    "states",
    [
        (STILL, MOVED, MOVED),
        (STILL, UNDER_WAY, UNDER_WAY),
        (STILL, UNDER_WAY, MOVED),
        (UNDER_WAY, UNDER_WAY, UNDER_WAY),
        (UNDER_WAY, UNDER_WAY, BOTH_CLAIM),
        (UNDER_WAY, BOTH_CLAIM, MOVED),
    ],
)
def test_two_passes_see_what_moves_once(states: Any) -> None:
    before, between, after = states
    masters = Masters(before, PAGES, between, LATER, after)
    assert search(masters) == [b"x", b"y", b"z"]


def test_a_slot_that_was_away_is_noticed_by_the_epoch() -> None:
    back = [says("a", "0-8000", epoch=3), says("b", "8001-16383", epoch=4)]
    masters = Masters(STILL, PAGES, back, LATER, back)
    assert search(masters) == [b"x", b"y", b"z"]


def test_what_moves_in_both_passes_takes_a_third_one() -> None:
    back = [says("a", "0-8000", epoch=3), says("b", "8001-16383", epoch=4)]
    masters = Masters(STILL, PAGES, MOVED, PAGES, back, LATER, back)
    assert search(masters) == [b"x", b"y", b"z"]


def test_slots_that_never_rest_end_the_search() -> None:
    back = [says("a", "0-8000", epoch=3), says("b", "8001-16383", epoch=4)]
    passes = [PAGES, MOVED, PAGES, back] * (PASSES_MAX // 2)
    with pytest.raises(Failure, match="to and fro"):
        search(Masters(back, *passes))


def test_a_master_that_nobody_knew_is_asked() -> None:
    """Its slots are missing; those who gave them away know who has them."""
    less = [says("a", "0-7000"), says("b", "8001-16383", epoch=2)]
    more = [*less, says("c", "7001-8000", epoch=3)]
    pages = [*PAGES, ("h:3", keys("z"))]
    masters = Masters(less, PAGES, less, more, pages, more)
    assert search(masters) == [b"x", b"y", b"z"]
    assert masters.slots == [EVERY] * 3 + [FRESH] * 2 + [EVERY]
    masters = Masters(STILL, PAGES, more, LATER, more, more, pages, more)
    assert search(masters) == [b"x", b"y", b"z"]


def test_a_former_master_has_no_slots() -> None:
    address, text = STILL[1]
    replica = [STILL[0], (address, text.replace(b"myself,master", b"myself,slave"))]
    assert search(Masters(replica, PAGES, STILL, STILL, LATER, STILL)) == [b"x", b"y", b"z"]


def test_a_count_is_taken_while_no_slot_changes_hands() -> None:
    database = Database(parse_valkey_url("valkey://h:1/0?layout=flat"))
    less, right = [("h:1", 4), ("h:2", 2)], [("h:1", 6), ("h:2", 5)]
    assert Masters(STILL, right, STILL).carry_out(database.count()) == 10
    assert Masters(UNDER_WAY, right, UNDER_WAY).carry_out(database.count()) == 10
    assert Masters(STILL, less, MOVED, right, MOVED).carry_out(database.count()) == 10


def test_clearing_reaches_what_has_moved() -> None:
    database = Database(parse_valkey_url("valkey://h:1/0?layout=flat"))
    done = [("h:1", b"OK"), ("h:2", b"OK")]
    masters = Masters(STILL, done, MOVED, done, MOVED, 0)  # type: ignore[arg-type]
    masters.carry_out(database.clear())
