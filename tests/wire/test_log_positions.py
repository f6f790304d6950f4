from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kt.errors import ArgumentError, LogGapError
from kt.types import Change, What
from kt.wire.log.positions import PATIENCE, SLACK, TycoonFollower, TyrantFollower
from kt.wire.log.selection import Selection

BREAKS = st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=20)
"""After how many records a connection ends, and whether the program ends too."""


@st.composite
def tyrant_logs(draw: st.DrawFn) -> list[tuple[int, int]]:
    """(stamp, number) of records whose stamps repeat, jump and step back a little."""
    now, log = 10 * SLACK, []
    for number, step in enumerate(
        draw(st.lists(st.sampled_from((0, 0, 1, 7, SLACK // 3, 2 * SLACK, -3, -40_000))))
    ):
        newest = max((stamp for stamp, _ in log), default=now)
        now = max(now + step, newest - SLACK // 2)
        log.append((now, number))
    return log


def follow(
    follower: TycoonFollower | TyrantFollower,
    log: list[tuple[int, int]],
    breaks: list[tuple[int, bool]],
    inclusive: bool,
) -> Iterator[int]:
    """The numbers of the records that are new, over connections that break."""
    for left, restart in [*breaks, (len(log) + 1000, False)]:
        since = follower.begin()
        for stamp, number in log:
            if stamp > since or (inclusive and stamp == since):
                left -= 1
                if left < 0:
                    break
                if follower.take(stamp):
                    yield number
        if restart:
            follower = type(follower)(follower.position)


@given(tyrant_logs(), BREAKS)
def test_tyrant_gets_everything_once(
    log: list[tuple[int, int]], breaks: list[tuple[int, bool]]
) -> None:
    found = list(follow(TyrantFollower.at(1), log, breaks, inclusive=True))
    assert found == [number for _, number in log]


@given(st.lists(st.integers(1, 3)), BREAKS)
def test_tycoon_gets_everything_once(steps: list[int], breaks: list[tuple[int, bool]]) -> None:
    log, stamp = [], 0
    for number, step in enumerate(steps):
        stamp += step
        log.append((stamp, number))
    found = list(follow(TycoonFollower.after(0), log, breaks, inclusive=False))
    assert found == [number for _, number in log]


def test_what_a_tyrant_sends_again_is_bounded() -> None:
    """The anchor follows: the last two seconds and what is as old as that, not the whole log."""
    follower = TyrantFollower.at(1)
    for stamp in range(SLACK, 100 * SLACK, SLACK // 100):
        follower.take(stamp)
    assert follower.begin() > 97 * SLACK


def test_tycoon_finds_a_gap() -> None:
    follower = TycoonFollower("tycoon:50")
    assert follower.begin() == 49
    with pytest.raises(LogGapError) as caught:
        follower.take(70)
    assert caught.value.oldest == "tycoon:>69"
    assert TycoonFollower(caught.value.oldest).take(70)


def test_tycoon_finds_an_empty_log() -> None:
    follower = TycoonFollower("tycoon:50")
    with pytest.raises(LogGapError):
        follower.rest()
    follower = TycoonFollower("tycoon:>50")
    follower.rest()
    assert follower.position == "tycoon:>50"


def test_tyrant_finds_a_gap() -> None:
    follower = TyrantFollower("tyrant:50+2@60")
    assert follower.begin() == 50
    assert not follower.take(70)
    with pytest.raises(LogGapError) as caught:
        follower.take(80)
    assert caught.value.oldest == "tyrant:70"
    assert TyrantFollower(caught.value.oldest).take(70)


def test_tyrant_finds_an_empty_log() -> None:
    follower = TyrantFollower("tyrant:50+2@60")
    for _ in range(PATIENCE - 1):
        follower.rest()
    with pytest.raises(LogGapError) as caught:
        follower.rest()
    assert caught.value.oldest == "tyrant:61"


@pytest.mark.parametrize("text", ["", "1", "tyrant:1", "tycoon:", "tycoon:-1", "tycoon:1 "])
def test_no_position_of_tycoon(text: str) -> None:
    with pytest.raises(ArgumentError, match="Kyoto Tycoon"):
        TycoonFollower(text)


@pytest.mark.parametrize("text", ["", "tycoon:1", "tyrant:1+2", "tyrant:1@2", "tyrant:>1"])
def test_no_position_of_tyrant(text: str) -> None:
    with pytest.raises(ArgumentError, match="Tokyo Tyrant"):
        TyrantFollower(text)


def test_elsewhere() -> None:
    """What is done is not looked for in another server's log, which may be a little behind."""
    tycoon = TycoonFollower("tycoon:100000000000")
    assert tycoon.elsewhere().position == "tycoon:>90000000000"
    assert TycoonFollower.after(5).elsewhere().begin() == 0
    tyrant = TyrantFollower("tyrant:100000000+3@120000000").elsewhere()
    assert tyrant.position == "tyrant:110000000"
    assert tyrant.take(115000000)
    assert TyrantFollower.at(5).elsewhere().begin() == 1


SET = Change(What.SET, 1, 7, 3, b"key", b"value")


@pytest.mark.parametrize(
    ("selection", "change", "taken"),
    [
        (Selection(), SET, True),
        (Selection(sids={7}), SET, True),
        (Selection(sids={8}), SET, False),
        (Selection(dbs={3}), SET, True),
        (Selection(dbs={2}), SET, False),
        (Selection(prefix=b"ke"), SET, True),
        (Selection(prefix=b"x"), SET, False),
        (Selection(prefix=b"x"), Change(What.CLEAR, 1, 7), True),
        (Selection(prefix=b"x"), Change(What.CALL, 1, 7, name=b"putlist"), True),
        (Selection(prefix=b"x", everything=True), Change(What.SYNC, 1, 7), False),
        (Selection(), Change(What.SYNC, 1, 7), False),
        (Selection(everything=True), Change(What.SYNC, 1, 7), True),
        (Selection(), Change(What.CALL, 1, 7, name=b"getlist"), False),
        (Selection(everything=True), Change(What.CALL, 1, 7, name=b"getlist"), True),
        (Selection(), SET._replace(failed=True), False),
        (Selection(), Change(What.CALL, 1, 7, name=b"putlist", failed=True), True),
    ],
)
def test_selection(selection: Selection, change: Change[bytes, bytes], taken: bool) -> None:
    assert selection.takes(change) is taken
