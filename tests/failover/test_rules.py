"""Who may be the master, and where the others go on, without any server."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from kt.failover.rules import PLACES, Copy, GoOn, may_leave, way_on, winner, with_place
from kt.failover.service import Ballot, Member, State, View

NOW = 17
"""The revision of the state."""


def view(state: State, whole: int | None = None, **ballots: Ballot | None) -> View:
    """What etcd has when these agents live; their servers had everything in that epoch."""
    members = {name: Member("h", 1, 1, ballot) for name, ballot in ballots.items()}
    known = dict.fromkeys(ballots, state.epoch if whole is None else whole)
    return View({"state": NOW}, None, 0, ("", 0), members, known, state)


def vote(ts: int, *, sure: bool = True, state: int = NOW) -> Ballot:
    return Ballot(state, ts, sure)


PLAIN = State(3, "a", 0)
ACK = State(3, "a", 1, {"b": 2, "c": 3})


def test_who_has_most_is_the_next_one() -> None:
    for state in (PLAIN, ACK):
        assert winner(view(state, b=vote(5), c=vote(7))) == "c"
        assert winner(view(state, b=vote(7), c=vote(5))) == "b"
        assert winner(view(state, b=vote(5), c=vote(5))) == "c"
        assert winner(view(state)) is None


def test_nobody_is_it_before_all_that_live_have_voted() -> None:
    for state in (PLAIN, ACK):
        assert winner(view(state, b=vote(5), c=None)) is None
        assert winner(view(state, b=vote(5), c=vote(7, state=NOW - 1))) is None
        assert winner(view(state, a=None, b=vote(5), c=vote(3))) == "b"  # the last one does not


def test_without_ack_who_lives_and_was_whole_is_enough() -> None:
    assert winner(view(PLAIN, b=vote(5))) == "b"
    assert winner(view(PLAIN, b=vote(5, sure=False))) == "b"
    assert winner(view(PLAIN, 2, b=vote(5))) is None


def test_with_ack_somebody_who_has_all_that_was_acknowledged_has_voted() -> None:
    assert winner(view(ACK, b=vote(5))) is None
    assert winner(view(ACK, b=vote(5), c=vote(7, sure=False))) is None
    assert winner(view(ACK, b=vote(5), c=vote(4), d=vote(9))) == "b"  # d never counted
    assert winner(view(replace(ACK, sync={"b": 2}), b=vote(5))) == "b"
    assert winner(view(replace(ACK, sync={}), b=vote(5))) is None
    two = replace(ACK, ack=2)
    assert winner(view(two, b=vote(5))) == "b"
    assert winner(view(two, d=vote(5))) is None


def test_where_a_slave_goes_on() -> None:
    state = State(4, "b", 0, {}, upto=50, places=((50, 150), (40, 140), (10, 110)))
    assert way_on(state, None, 3, 50) == GoOn(150)
    assert way_on(state, None, 3, 49) == GoOn(140)
    assert way_on(state, None, 3, 10) == GoOn(110)
    assert way_on(state, None, 3, 9) == Copy()
    assert way_on(state, None, 3, 51) == Copy()  # it has more than the new master
    assert way_on(state, None, 2, 45) == Copy()
    assert way_on(state, 3, None, 45) == Copy()
    assert way_on(state, 4, None, 45) == GoOn(None)
    assert way_on(state, None, 4, 999) == GoOn(None)


def test_places_are_kept_ever_more_sparsely() -> None:
    places: tuple[tuple[int, int], ...] = ()
    for stamp in range(1, 10_001):
        places = with_place(places, stamp, 2 * stamp)
    stamps = [theirs for theirs, ours in places]
    assert stamps[0] == 10_000
    assert stamps == sorted(stamps, reverse=True)
    assert all(ours == 2 * theirs for theirs, ours in places)
    assert stamps[-1] == 1
    assert len(places) <= PLACES
    gaps = [(one - other) / (10_000 - other) for one, other in pairwise(stamps)]
    assert max(gaps[1:]) < 0.7


def test_a_slave_may_leave_when_the_others_have_what_is_acknowledged() -> None:
    assert may_leave(ACK, {"b": 2}, {2: 7}, 7)
    assert not may_leave(ACK, {"b": 2}, {2: 6}, 7)
    assert not may_leave(ACK, {}, {2: 7}, 7)
    assert not may_leave(replace(ACK, ack=2), {"b": 2}, {2: 7}, 7)
