"""What holds a database's locks for long, and who must keep out of the engine meanwhile.

While something does, nobody may enter the engine who must not wait: I/O threads stay outside, and
sessions leave to worker threads what they would do themselves otherwise.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Holdable(Protocol):
    """Whoever can be kept out of the engine: an I/O thread, or one with the interpreter's lock."""

    def hold(self) -> None: ...
    def release(self) -> None: ...


class Holders:
    """What holds a database's locks for long, at the moment: true if there is anything."""

    def __init__(self) -> None:
        self._tokens: set[object] = set()
        self._lock = threading.Lock()
        self._threads: tuple[Holdable, ...] = ()

    def __bool__(self) -> bool:
        return bool(self._tokens)

    def watch(self, threads: tuple[Holdable, ...]) -> None:
        """Keep these outside from now on."""
        with self._lock:
            self._threads = threads
            if self._tokens:
                self._hold()

    def add(self, token: object) -> None:
        """Begin; when that returns, no I/O thread is inside. For any thread."""
        with self._lock:
            if not self._tokens:
                self._hold()
            self._tokens.add(token)

    def discard(self, token: object) -> None:
        """End what began with this token. For any thread."""
        with self._lock:
            self._tokens.discard(token)
            if not self._tokens:
                for thread in self._threads:
                    thread.release()

    def _hold(self) -> None:
        for thread in self._threads:
            thread.hold()


def holding(holders: Holders | set[object], work: Callable[[], T]) -> Callable[[], T]:
    """`work`, to be run soon; until it is done there is one holder more."""
    token = object()
    holders.add(token)

    def run() -> T:
        try:
            return work()
        finally:
            holders.discard(token)

    return run
