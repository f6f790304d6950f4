"""How the event loop keeps out of the way of scripts that hold an engine lock.

A script's visitor runs while the engine has its record locked, and may take any time. The event
loop calls the engine itself, so it could come to wait for that record, and everybody with it.
Hence::

    worker:  hold, wait until the loop is outside --> accept: lock, visitor, unlock --> release
    loop:    take `turn`; nothing held?  call the engine     give `turn` back
                          something is?  let a worker thread call it

(I/O threads do the same as the loop; `held` sees to that.)

Whoever needs the engine while a visitor runs waits for a lock at worst, in a thread, as in the
original server.

Two visitors that use each other's database would wait for each other's record for ever, in the
engine, where nothing can end them. Hence `Crossing`: one script at a time uses other databases
while its visitor runs. The next one waits here, where it can be ended, and is ended if the first
one uses a database that it holds a record of.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager

from kt.server.holders import Holders


class Crossing:
    """The right to use further databases while a visitor runs; one script has it at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._used: set[object] = set()

    def begin(self, seconds: float) -> bool:
        """Wait for it up to so many seconds; returns whether the caller has it now."""
        return self._lock.acquire(timeout=seconds)

    def use(self, database: object) -> None:
        """Who has it is about to use a database."""
        self._used.add(database)

    def needs(self, databases: Iterable[object]) -> bool:
        """Whether who has it uses any of these, and so may wait for who visits them."""
        return not self._used.isdisjoint(databases)

    def end(self) -> None:
        self._used.clear()
        self._lock.release()


class Visits:
    """See the module's docstring.

    Args:
        held: what holds a database's locks for long, at the moment; everybody's.
        turn: held by the event loop while it calls the engine.

    Attributes:
        crossing: for all scripts.
    """

    def __init__(self, held: Holders, turn: AbstractContextManager[object]) -> None:
        self._held = held
        self._turn = turn
        self.crossing = Crossing()

    def begin(self, visit: object) -> None:
        """To be called in a worker thread, before the engine is."""
        self._held.add(visit)
        with self._turn:
            pass  # the loop, if it was inside, has left; it finds `visit` when it comes again

    def end(self, visit: object) -> None:
        self._held.discard(visit)
