"""Who may be the master, and where the others go on. No input or output.

With ``-ack N`` each acknowledged write is at N of the slaves in `State.sync` at least. So of these
all but N - 1 have to vote: one of them has it, and so has the one that has most, since each has all
up to some stamp. Without ``-ack``, the one that has most of those that are there is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from kt.failover.service import STATE, Ballot, State, View

PLACES: Final = 24
"""Pairs of stamps that are kept at most."""


class Copy(NamedTuple):
    """Begin with a full copy."""


class GoOn(NamedTuple):
    """Follow, behind this stamp of the master's log; None: where the server is."""

    ts: int | None


def winner(view: View) -> str | None:
    """Who of those that have voted is to be the next master; None: nobody yet.

    The last master itself is not among them: see `kt.failover.agent`.
    """
    state = view.state
    if state is None:
        return None
    if undecided(view):
        return None  # who lives votes soon
    slaves = {name: one.ballot for name, one in view.members.items() if name != state.master}
    ballots = {name: ballot for name, ballot in slaves.items() if ballot is not None}
    if state.ack:
        voters = {name: one for name, one in ballots.items() if name in state.sync and one.sure}
        needed = max(len(state.sync) - state.ack + 1, 1)
        return _most(voters) if len(voters) >= needed else None
    return _most({n: one for n, one in ballots.items() if view.whole.get(n) == state.epoch})


def undecided(view: View) -> list[str]:
    """Who lives, and has not voted yet."""
    assert view.state is not None
    last, now = view.state.master, view.revision(STATE)
    return [
        name
        for name, one in view.members.items()
        if name != last and (one.ballot is None or one.ballot.state != now)
    ]


def _most(ballots: Mapping[str, Ballot]) -> str | None:
    return max(ballots, key=lambda name: (ballots[name].ts, name), default=None)


def way_on(state: State, whole: int | None, sure: int | None, ts: int) -> Copy | GoOn:
    """How a server that follows nobody comes to follow the master.

    Args:
        state: of that master.
        whole: the last epoch in which it had everything, as etcd says.
        sure: the epoch of the master that it has followed in this run, with all that that had.
        ts: where it is in that one's log.
    """
    if state.epoch in (sure, whole):
        return GoOn(None)
    if sure == state.epoch - 1 and ts <= state.upto:
        for theirs, ours in state.places:
            if theirs <= ts:
                return GoOn(ours)
    return Copy()


def with_place(places: Sequence[tuple[int, int]], ts: int, log: int) -> tuple[tuple[int, int], ...]:
    """Add a pair of stamps (see `State.places`) to the newest ones first.

    If there are too many, one is left out that is far back for how close its neighbours are.
    """
    kept = [(ts, log), *places]
    if len(kept) > PLACES:
        del kept[
            min(
                range(1, PLACES),
                key=lambda at: (kept[at - 1][0] - kept[at + 1][0]) / (ts - kept[at][0] + 1),
            )
        ]
    return tuple(kept)


def counted(state: State, lost: Sequence[str]) -> dict[str, int]:
    """The slaves that count for the master's ``-ack``, and their numbers, but for those lost."""
    return {name: sid for name, sid in state.sync.items() if name not in lost}


def may_leave(
    state: State, rest: Mapping[str, int], following: Mapping[int, int], acked: int
) -> bool:
    """Whether what was acknowledged is at enough of the rest, so that no other slave needs to vote.

    Args:
        state: of the master.
        rest: the slaves that stay, which alone count already.
        following: up to which stamp each slave has confirmed to have everything, by its number.
        acked: up to this stamp writes may have been acknowledged.
    """
    stamps = sorted((following.get(sid, 0) for sid in rest.values()), reverse=True)
    return len(stamps) >= state.ack > 0 and stamps[state.ack - 1] >= acked
