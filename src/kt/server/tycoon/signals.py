"""Named conditions: a request may wait for one before it runs (``WAIT``), and signal one after
(``SIGNAL``). A signal that nobody waits for is lost.

Whoever has waited longest is woken first. The original counts those that wait, and so do we: the
number that a signal reports is how many waited, even if it wakes one of them only.

How long anybody waits is not decided here: see `kt.server.session.Await`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

Woken = Callable[[bool], None]
"""Called with True after a signal, False when no signal will come any more."""


class Signals:
    """The conditions of one server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[bytes, dict[int, Woken]] = {}  # in order of arrival
        self._next = 0

    def wait(self, name: bytes, woken: Woken) -> Callable[[], None]:
        """Call `woken` when `name` is signalled.

        Returns:
            a function that ends the wait: `woken` is then never called.
        """
        with self._lock:
            ticket = self._next
            self._next += 1
            self._waiting.setdefault(name, {})[ticket] = woken

        def leave() -> None:
            self._take(name, ticket)

        return leave

    def send(self, name: bytes, *, everyone: bool) -> int:
        """Wake who waits longest for `name`, or everyone; returns how many waited."""
        with self._lock:
            tickets = list(self._waiting.get(name, ()))
        self._wake(name, tickets if everyone else tickets[:1], True)
        return len(tickets)

    def end(self) -> None:
        """No signal will come any more."""
        with self._lock:
            everyone = [(name, list(waiters)) for name, waiters in self._waiting.items()]
        for name, tickets in everyone:
            self._wake(name, tickets, False)

    def _wake(self, name: bytes, tickets: list[int], outcome: bool) -> None:
        for ticket in tickets:
            woken = self._take(name, ticket)
            if woken is not None:
                woken(outcome)

    def _take(self, name: bytes, ticket: int) -> Woken | None:
        with self._lock:
            waiters = self._waiting.get(name, {})
            woken = waiters.pop(ticket, None)
            if woken is not None and not waiters:
                del self._waiting[name]
            return woken
