"""Options with more than two states."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


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
    """Loss of power: each write is brought to the device, as with ``-oas``."""


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
