"""Options with more than two states."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from itertools import count
from typing import NamedTuple

from kt.errors import ArgumentError


class Origin(Enum):
    """What `incr` does other than to start from a number where there is no record."""

    TRY = "try"
    """Fail (ServerError) if there is no record."""
    SET = "set"
    """Store the number itself, whatever the record is."""


class Moment(Enum):
    """A time that is not known as a number."""

    NOW = "now"
    """The present time, by the server's clock."""


class Since(Enum):
    """Where to begin to read changes, other than at a position or a time."""

    NOW = "now"
    """With what is done from now on."""
    OLDEST = "oldest"
    """With the oldest change that the log has."""


class Synchronize(Enum):
    """What a write to a database in this process survives, once the call has returned."""

    NONE = "none"
    """What a write to the servers survives that are started without such options."""
    COMMIT = "commit"
    """The end of the process: each write is a transaction of the engine, as with ``-oat``."""
    DEVICE = "device"
    """Loss of power: each of them is brought to the device, as with ``-oat -oas``."""


class ScriptLock(Enum):
    """What a call of a Lua function in Tokyo Tyrant keeps others from doing meanwhile."""

    NONE = 0
    """Nothing."""
    RECORD = 1
    """Calls with a lock and the same key."""
    GLOBAL = 2
    """Calls with a lock."""


class Wait(NamedTuple):
    """Wait for a signal before a procedure is carried out.

    Attributes:
        name: of the signal.
        timeout: seconds; None to wait for ever.
    """

    name: str | bytes
    timeout: float | None = None


class Signal(NamedTuple):
    """Send a signal after a procedure has been carried out.

    Attributes:
        name: of the signal.
        broadcast: to all who wait for it, instead of to one of them.
    """

    name: str | bytes
    broadcast: bool = False


class Retry:
    """How often a client tries, and how long it waits before it tries again.

    What is tried again is connecting, and requests that do no harm when they are carried out twice,
    if the connection broke before their reply came. Before attempt *n* the client waits for a
    random time, the same chance for each between 0 and ``backoff * 2 ** (n - 2)`` seconds, at most
    `longest` ("full jitter": many clients do not come back at the same moment). All attempts
    together stay within the client's `timeout`.

    Args:
        attempts: how often in all, 1 at least; None for no end but that of `timeout`.
        backoff: seconds, positive.
        longest: seconds, positive.

    Raises:
        ArgumentError: an argument is none of these.
    """

    __slots__ = ("attempts", "backoff", "longest")

    def __init__(
        self, attempts: int | None = 5, *, backoff: float = 0.05, longest: float = 1.0
    ) -> None:
        if attempts is not None and (type(attempts) is not int or attempts < 1):
            raise ArgumentError(f"attempts is an int, at least 1, or None, not {attempts!r}")
        for name, seconds in (("backoff", backoff), ("longest", longest)):
            if type(seconds) not in (int, float) or not 0 < seconds < float("inf"):
                raise ArgumentError(f"{name} is a positive number of seconds, not {seconds!r}")
        self.attempts = attempts
        self.backoff = backoff
        self.longest = longest

    def __repr__(self) -> str:
        return f"Retry({self.attempts}, backoff={self.backoff}, longest={self.longest})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Retry) and self._all() == other._all()

    def __hash__(self) -> int:
        return hash(self._all())

    def waits(self) -> Iterator[float]:
        """Yield how long to wait before each further attempt, as long as there is one."""
        from random import random  # not before it is needed: it takes longer than all else here

        bound = self.backoff
        for _ in count() if self.attempts is None else range(self.attempts - 1):
            bound = min(bound, self.longest)
            yield random() * bound  # noqa: S311 - nothing secret
            bound *= 2

    def _all(self) -> tuple[object, ...]:
        return self.attempts, self.backoff, self.longest
