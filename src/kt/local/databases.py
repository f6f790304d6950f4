"""Databases that are open in this process: opened, tended, closed, left alone after a fork.

**Tending.** A thread removes expired records and writes pages back, as the servers do ten times a
second. While nothing is written it looks once a second only.

**Fork.** The child has its parent's databases in memory, but not to itself: whatever it wrote would
meet what its parent writes. So it leaves them alone; not even closing them would be right.

**The end.** Databases that are open when the interpreter exits are closed in order.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol

from kt.errors import ImproperlyConfigured

TICK = 0.1
"""Seconds between two looks while something is written."""

IN_MEMORY = frozenset("-+:*%")
"""Names of databases that are in no file."""

QUIET_TICK = 1.0
"""Seconds between two looks while nothing is."""

_LOG = logging.getLogger("kt.local")


class Engine(Protocol):
    """An open database of either library."""

    def close(self) -> object: ...
    def abandon(self) -> None: ...


class Tended(Protocol):
    """An open database that wants to be tended."""

    def tick(self) -> bool:
        """Do a little; returns whether there may be more to do."""


class Journal:
    """The log of sessions and engines: Python's ``kt.local``."""

    info_wanted = False

    def debug(self, message: str) -> None:
        _LOG.debug(message)

    def info(self, message: str, when: float | None = None) -> None:
        _LOG.debug(message)

    def system(self, message: str) -> None:
        _LOG.info(message)

    def error(self, message: str) -> None:
        _LOG.error(message)


class Places:
    """Files that are open in this process, so that none is opened twice.

    It would harm the lock: the system takes a file's locks away from a process that closes the file
    anywhere.

    Args:
        specs: the databases to be opened: names, then any ``#name=value``.

    Raises:
        ImproperlyConfigured: one is open in this process.
    """

    _lock: ClassVar[threading.Lock] = threading.Lock()
    _taken: ClassVar[set[str]] = set()

    def __init__(self, specs: Sequence[str]) -> None:
        paths = [spec.partition("#")[0] for spec in specs]
        self._mine: set[str] = set()
        with self._lock:
            for path in paths:
                if path in IN_MEMORY:
                    continue
                place = os.path.realpath(path)
                if place in self._taken or place in self._mine:
                    raise ImproperlyConfigured(f"{path} is open in this process already")
                self._mine.add(place)
            self._taken.update(self._mine)

    def leave(self) -> None:
        """The files are closed."""
        with self._lock:
            self._taken.difference_update(self._mine)

    def forget(self) -> None:
        """In a process that was forked off: it has none of them open."""
        Places._lock = threading.Lock()  # whoever held it is not here
        self.leave()


class Open:
    """Databases that are open; closing them twice is harmless.

    Args:
        engines: in the order in which they are to be closed.
        tended: those that want to be tended.
        places: where they are; free again when they are closed.

    Attributes:
        before_close: lets those go who wait.
    """

    def __init__(self, engines: Sequence[Engine], tended: Sequence[Tended], places: Places) -> None:
        self.before_close: Callable[[], None] | None = None
        self._engines = list(engines)
        self._tended = list(tended)
        self._places = places
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        _OPEN.add(self)
        if tended:
            self._thread = threading.Thread(target=self._tend, name="kt-tend", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Flush and close; raises what the first engine that fails raises, after closing all."""
        _OPEN.discard(self)
        self._end.set()
        if self.before_close is not None:
            self.before_close()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        engines, self._engines = self._engines, []
        failures: list[Exception] = []
        for engine in engines:
            try:
                if engine.close() is False:
                    failures.append(OSError("a database was not closed properly"))
            except Exception as failure:  # noqa: BLE001 - raised when all are closed
                failures.append(failure)
        self._places.leave()
        if failures:
            raise failures[0]

    def abandon(self) -> None:
        """Leave everything as it is, in a process that was forked off."""
        for engine in self._engines:
            engine.abandon()
        self._engines = []
        self._places.forget()
        _OPEN.discard(self)

    def _tend(self) -> None:
        pause = TICK
        while not self._end.wait(pause):
            busy = [database.tick() for database in self._tended]
            pause = TICK if any(busy) else min(QUIET_TICK, pause * 2)


_OPEN: weakref.WeakSet[Open] = weakref.WeakSet()


def _close_all() -> None:
    for databases in list(_OPEN):
        try:
            databases.close()
        except Exception:  # noqa: BLE001 - the others are to be closed, too
            _LOG.exception("a database was not closed properly")


atexit.register(_close_all)
