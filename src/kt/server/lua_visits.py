"""How the event loop keeps out of the way of scripts that hold an engine lock.

A script's visitor runs while the engine has its record locked, and may take any time. The event
loop calls the engine itself, so it could come to wait for that record, and everybody with it.
Hence::

    worker:  hold, wait until the loop is outside --> accept: lock, visitor, unlock --> release
    loop:    take `turn`; nothing held?  call the engine     give `turn` back
                          something is?  let a worker thread call it

Whoever needs the engine while a visitor runs waits for a lock at worst, in a thread, as in the
original server.
"""

from __future__ import annotations

import threading


class Visits:
    """See the module's docstring.

    Args:
        held: what holds a database's locks for long, at the moment; everybody's.
        turn: held by the event loop while it calls the engine.
    """

    def __init__(self, held: set[object], turn: threading.Lock) -> None:
        self._held = held
        self._turn = turn

    def begin(self, visit: object) -> None:
        """To be called in a worker thread, before the engine is."""
        self._held.add(visit)
        with self._turn:
            pass  # the loop, if it was inside, has left; it finds `visit` when it comes again

    def end(self, visit: object) -> None:
        self._held.discard(visit)
