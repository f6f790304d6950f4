"""Who of the slaves has what: a write is acknowledged when enough of them have it (``-ack``).

::

    session:  wait(stamp of its write) --------------------> told: it is there, or it never will be
    slaves:   confirm(slave, stamp), again and again -----^

A slave confirms a stamp of our log: it has applied all that has this stamp or an older one. The
newest stamp that so many slaves have confirmed, each counted once by its number, is `reached`, and
stays so: what was confirmed has been there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from typing import Final

from kt.server.engines.kyoto._engine import HELD, Database
from kt.server.history import History

TRANSACTION: Final = 0.005
"""Seconds between two looks whether the transactions have ended that keep back a write."""


class Quorum:
    """See the module's docstring. For the event loop's thread.

    Args:
        slaves: so many must have a write.
        seconds: so long is waited for them; 0 or less for no limit.
        databases: those that are written to.
        history: the update log.
        loop: the event loop.
        is_master: whether writes are taken at the moment; what is confirmed to who is no master any
            more is worth nothing, since the new one may not have it.

    Attributes:
        slaves: likewise.
        seconds: likewise.
        reached: the newest stamp that so many slaves have.
        late: how many writes were not confirmed in time.
    """

    def __init__(
        self,
        slaves: int,
        seconds: float,
        databases: Sequence[Database],
        history: History,
        loop: asyncio.AbstractEventLoop,
        *,
        is_master: Callable[[], bool] = lambda: True,
    ) -> None:
        self.slaves, self.seconds = slaves, seconds
        self.reached = 0
        self.late = 0
        self._databases, self._history, self._loop = databases, history, loop
        self._is_master = is_master
        self._ended = False
        self._confirmed: dict[object, tuple[int, int]] = {}  # number and stamp
        self._counted: frozenset[int] | None = None  # numbers; None: all
        self._waiting: dict[int, tuple[int, Callable[[bool], None]]] = {}
        self._tokens = count()

    # Slaves

    def join(self, slave: object, number: int, since: int) -> None:
        """This one follows from now on, a server of that number, behind a stamp.

        Who has our own number gets nothing of what is written here, and who believes to have what
        is yet to come does not get that: these have nothing to confirm.
        """
        if number != self._history.server and since <= self._history.log.stamp():
            self._confirmed[slave] = number, 0

    def confirm(self, slave: object, stamp: int) -> None:
        """It has everything up to this stamp."""
        if slave not in self._confirmed or not self._is_master():
            return
        self._confirmed[slave] = self._confirmed[slave][0], stamp
        self._look()

    def count_only(self, numbers: frozenset[int] | None) -> None:
        """From now on only the servers of these numbers count; None: all.

        Whoever decides about masters says so: who is not among these may miss what is confirmed.
        """
        self._counted = numbers
        if self._is_master():
            self._look()

    def _look(self) -> None:
        stamps = sorted(self._newest().values(), reverse=True)
        if len(stamps) >= self.slaves and stamps[self.slaves - 1] > self.reached:
            self.reached = stamps[self.slaves - 1]
            self._tell()

    def leave(self, slave: object) -> None:
        """It does not follow any more."""
        self._confirmed.pop(slave, None)

    def _newest(self) -> dict[int, int]:
        """What each has that counts, by its number."""
        newest: dict[int, int] = {}
        for number, stamp in self._confirmed.values():
            if self._counted is None or number in self._counted:
                newest[number] = max(stamp, newest.get(number, 0))
        return newest

    # Those who wait

    def wait(self, stamp: int, over: Callable[[bool], None]) -> Callable[[], None]:
        """Call `over` once so many slaves have what was written up to this stamp.

        Args:
            stamp: what `take_written` has said.
            over: gets True, or False if the server ends before, or becomes a slave.

        Returns:
            what gives up.
        """
        token = next(self._tokens)
        self._waiting[token] = stamp, over
        if self._ended:
            self._loop.call_soon(self._tell)
        elif stamp == HELD:
            self._find_stamp(token)
        elif stamp <= self.reached:
            self._loop.call_soon(self._tell)
        return partial(self._give_up, token)

    def _give_up(self, token: int) -> None:
        self._waiting.pop(token, None)

    def _find_stamp(self, token: int) -> None:
        """Find out what to wait for: what a transaction keeps back has a stamp when that ends."""
        waits = self._waiting.get(token)
        if waits is None:
            return
        if any(database.in_transaction for database in self._databases):
            self._loop.call_later(TRANSACTION, self._find_stamp, token)
        else:
            self._waiting[token] = self._history.log.stamp(), waits[1]

    def drop(self) -> None:
        """The server follows a master now: what it has written itself may be gone."""
        waiting, self._waiting = self._waiting, {}
        for _, over in waiting.values():
            over(False)

    def end(self) -> None:
        """The server stops: nobody confirms any more."""
        self._ended = True
        self._tell()

    def _tell(self) -> None:
        for token, (stamp, over) in tuple(self._waiting.items()):
            if self._ended or stamp <= self.reached:
                self._waiting.pop(token, None)
                over(stamp <= self.reached)

    # What is said of it

    def why_not(self) -> str:
        """Why a write is not confirmed: for the client."""
        self.late += not self._ended
        why = "the server ends" if self._ended else f"not within {self.seconds:g} seconds"
        why = why if self._ended or self._is_master() else "this is no master any more"
        return f"by {self.slaves} slaves: {why}, {len(self._newest())} follow"

    def facts(self) -> Iterator[tuple[str, object]]:
        """What the report says of it."""
        yield "ack", self.slaves
        yield "ack_slaves", len(self._newest())
        yield "ack_stamp", self.reached
        yield "ack_waiting", len(self._waiting)
        yield "ack_late", self.late
