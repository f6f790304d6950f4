"""Where a reader of changes is, so that it can stop and go on: at least once, in order.

A *follower* counts what it is given and says which records are new. Its position is a short text
that can be kept anywhere; a follower made of it asks for a little more than it needs, and checks
with that that the log still has what comes next. Where it has not, `LogGapError` carries the
position from which on there is something::

    tycoon:STAMP          the record of that stamp is done
    tycoon:>STAMP         begin after that stamp
    tyrant:STAMP          begin at that stamp
    tyrant:STAMP+N@LAST   of the records from STAMP on, N are done, the last of stamp LAST

Kyoto Tycoon's stamps (ns) rise strictly, so one of them is a place. A server is asked for what
came after STAMP - 1: the first that it sends must be the record of STAMP, which is left out.

Tokyo Tyrant's stamps (µs) may repeat, and step back a little (`SLACK` is far more than was ever
seen). But the records from a stamp on are always the same ones in the same order, if that stamp is
so old that nothing of that age comes any more. So a place is such an *anchor*, and how many records
follow it. The anchor moves on every now and then: the stamp after the newest one becomes a
candidate, whose records are counted from then on, and takes over when it is old enough.

A slave's log has the same changes by its own clock: those that are done are not known by their
stamps there. Who goes on in such a log begins `SKEW` before the newest that is done (`elsewhere`).
"""

from __future__ import annotations

import re
from typing import Final

from kt.errors import ArgumentError, LogGapError

SLACK: Final = 10**6
"""Microseconds by which a record may be older than one before it."""

SKEW: Final = 10
"""Seconds by which the clock of a slave may be behind that of its master."""

PATIENCE: Final = 3
"""Signs of life of a Tokyo Tyrant before it has sent everything that it has, at the latest."""

_TYCOON: Final = re.compile(r"tycoon:(>?)(\d{1,20})")
_TYRANT: Final = re.compile(r"tyrant:(\d{1,20})(?:\+(\d+)@(\d{1,20}))?")


class TycoonFollower:
    """Follows Kyoto Tycoon's log."""

    def __init__(self, position: str) -> None:
        """Go on from `position`; raises ArgumentError if it is none of Kyoto Tycoon's."""
        match = _TYCOON.fullmatch(position)
        if match is None:
            raise ArgumentError(f"not a position in a log of Kyoto Tycoon: {position!r}")
        self._stamp = int(match[2])
        self._done = not match[1]
        self._check = self._done

    @classmethod
    def after(cls, stamp: int) -> TycoonFollower:
        """Begin with what came after `stamp` (ns)."""
        return cls(f"tycoon:>{max(stamp, 0)}")

    @property
    def position(self) -> str:
        """Where it is."""
        return f"tycoon:{'' if self._done else '>'}{self._stamp}"

    def elsewhere(self) -> TycoonFollower:
        """Return one that goes on in the log of a slave, where some of what is done comes again."""
        return TycoonFollower.after(self._stamp - SKEW * 10**9)

    def begin(self) -> int:
        """Say what to ask for: records after this stamp (ns)."""
        self._check = self._done
        return self._stamp - 1 if self._done else self._stamp

    def take(self, stamp: int) -> bool:
        """Tell whether the next record, of this stamp, is new. Raises `LogGapError`."""
        if self._check:
            if stamp != self._stamp:
                raise gap(self.position, f"tycoon:>{stamp - 1}")
            self._check = False
            return False
        self._stamp, self._done = stamp, True
        return True

    def rest(self) -> None:
        """Take note that there is nothing more for now. Raises `LogGapError`."""
        if self._check:
            raise gap(self.position, f"tycoon:>{self._stamp}")

    def end(self) -> None:
        """Take note that the log ends here, perhaps before the position."""


class TyrantFollower:
    """Follows Tokyo Tyrant's log."""

    def __init__(self, position: str) -> None:
        """Go on from `position`; raises ArgumentError if it is none of Tokyo Tyrant's."""
        match = _TYRANT.fullmatch(position)
        if match is None:
            raise ArgumentError(f"not a position in a log of Tokyo Tyrant: {position!r}")
        self._anchor = self._newest = int(match[1])
        self._count = int(match[2] or 0)
        self._last = int(match[3] or 0)
        self._first: int | None = None
        self._candidate: int | None = None
        self._candidate_count = 0
        self.begin()

    @classmethod
    def at(cls, stamp: int) -> TyrantFollower:
        """Begin with what came at `stamp` (µs)."""
        return cls(f"tyrant:{max(stamp, 1)}")

    @property
    def position(self) -> str:
        """Where it is."""
        done = f"+{self._count}@{self._last}" if self._count else ""
        return f"tyrant:{self._anchor}{done}"

    def elsewhere(self) -> TyrantFollower:
        """Return one that goes on in the log of a slave, where some of what is done comes again."""
        return TyrantFollower.at((self._last or self._anchor) - SKEW * 10**6)

    def begin(self) -> int:
        """Say what to ask for: records from this stamp on (µs)."""
        self._left = self._count
        self._rests = 0
        self._first = None
        return max(self._anchor, 1)

    def take(self, stamp: int) -> bool:
        """Tell whether the next record, of this stamp, is new. Raises `LogGapError`."""
        if self._left:
            self._first = stamp if self._first is None else self._first
            self._newest = max(self._newest, stamp)
            self._left -= 1
            too_new = stamp > self._last + SLACK
            if too_new or (not self._left and stamp != self._last):
                raise gap(self.position, f"tyrant:{self._first}")
            return False
        self._count += 1
        self._last = stamp
        self._newest = max(self._newest, stamp)
        self._move(stamp)
        return True

    def rest(self) -> None:
        """Take note of a sign of life of the server. Raises `LogGapError`."""
        self._rests += 1
        if self._left and self._rests >= PATIENCE:
            oldest = self._last + 1 if self._first is None else self._first
            raise gap(self.position, f"tyrant:{oldest}")

    def end(self) -> None:
        """Take note that the log ends here. Raises `LogGapError`."""
        if self._left and self._first is not None and self._newest > self._last:
            raise gap(self.position, f"tyrant:{self._first}")

    def _move(self, stamp: int) -> None:
        """Count for the candidate, and let it take over if it is old enough."""
        if self._candidate is not None:
            self._candidate_count += stamp >= self._candidate
            if stamp < self._candidate + SLACK:
                return
            self._anchor, self._count = self._candidate, self._candidate_count
        self._candidate, self._candidate_count = self._newest + 1, 0


def gap(position: str, oldest: str) -> LogGapError:
    """What is raised where a log lacks what comes after `position`; it has what is at `oldest`."""
    return LogGapError(
        f"the log no longer has what comes after {position}; what it has begins at {oldest}",
        oldest=oldest,
    )
