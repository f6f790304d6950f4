"""What the log says while a start takes long: how far it has come, once a second."""

from __future__ import annotations

import time
from typing import Final

from kt.server.session import Journal

PROGRESS: Final = 1.0
"""Seconds between two lines."""


class Progress:
    """Says now and then how far something has come.

    Args:
        log: the server's.
        what: is counted.
        total: how many there will be; negative if that is not known.
    """

    def __init__(self, log: Journal, what: str, total: int = -1) -> None:
        self._log = log
        self._what = what
        self._total = f" of {total}" if total >= 0 else ""
        self._count = 0
        self._began = self._said = time.monotonic()

    def add(self, count: int) -> None:
        """So many more are done."""
        self._count += count
        if time.monotonic() >= self._said + PROGRESS:
            self._said = time.monotonic()
            self._say()

    def end(self) -> None:
        """It is over: say how many there were, and how long it took."""
        self._say(f" time={time.monotonic() - self._began:.3f}")

    def _say(self, more: str = "") -> None:
        self._log.system(f"{self._what}: {self._count}{self._total}{more}")
