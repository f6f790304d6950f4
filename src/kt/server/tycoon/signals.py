"""Named conditions: a request may wait for one before it runs (``WAIT``), and signal one after
(``SIGNAL``). A signal that nobody waits for is lost.

Whoever has waited longest is woken first. The original counts those that wait, and so do we: the
number that a signal reports is how many waited, even if it wakes one of them only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

Woken = Callable[[bool], None]
"""Called with True after a signal, False when the time is up."""


class _Waiter:
    __slots__ = ("timer", "woken")

    def __init__(self, woken: Woken, timer: asyncio.TimerHandle) -> None:
        self.woken = woken
        self.timer = timer


class Signals:
    """The conditions of one server.

    Args:
        loop: its event loop, on which everything here happens.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: dict[bytes, dict[int, _Waiter]] = {}  # in order of arrival
        self._next = 0

    def wait(self, name: bytes, seconds: float, woken: Woken) -> Callable[[], None]:
        """Call `woken` when `name` is signalled or `seconds` are over.

        Returns:
            a function that ends the wait: `woken` is then never called.
        """
        ticket = self._next
        self._next += 1
        timer = self._loop.call_later(seconds, self._leave, name, ticket, False)
        self._waiting.setdefault(name, {})[ticket] = _Waiter(woken, timer)
        return lambda: self._leave(name, ticket, None)

    def send(self, name: bytes, *, everyone: bool) -> int:
        """Wake who waits longest for `name`, or everyone; returns how many waited."""
        tickets = list(self._waiting.get(name, ()))
        for ticket in tickets if everyone else tickets[:1]:
            self._leave(name, ticket, True)
        return len(tickets)

    def end(self) -> None:
        """Time is up for all."""
        for name, waiters in list(self._waiting.items()):
            for ticket in list(waiters):
                self._leave(name, ticket, False)

    def _leave(self, name: bytes, ticket: int, outcome: bool | None) -> None:
        waiters = self._waiting.get(name, {})
        waiter = waiters.pop(ticket, None)
        if waiter is None:
            return
        if not waiters:
            del self._waiting[name]
        waiter.timer.cancel()
        if outcome is not None:
            # In a turn of its own: who is woken may signal the next one, and so on.
            self._loop.call_soon(waiter.woken, outcome)
