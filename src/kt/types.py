"""Types that callers meet: what they may pass, and the records that they get."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeAlias

if TYPE_CHECKING:
    # Defaults of type variables are in Python's own typing from 3.13 on; checkers know them.
    from typing_extensions import TypeVar

    K = TypeVar("K", bound=str | bytes, default=str)
    V = TypeVar("V", default=str)
    V2 = TypeVar("V2", default=str)
    V_co = TypeVar("V_co", covariant=True)
else:
    from typing import TypeVar

    K = TypeVar("K")
    V = TypeVar("V")
    V2 = TypeVar("V2")
    V_co = TypeVar("V_co", covariant=True)

Key: TypeAlias = str | bytes
"""A key as it may be passed: text is sent as UTF-8.

Keys come back as str unless the client has ``decode_keys=False``. Bytes of a key that are not UTF-8
then appear as lone surrogates (PEP 383, "surrogateescape"), and are sent as those bytes again.
"""

ExpireTime: TypeAlias = int | float | timedelta | datetime
"""When a record expires.

- A positive number or a timedelta: seconds from now. Fractions are rounded up, for the server
  counts in whole seconds.
- An aware datetime: that moment.
- A negative number: seconds since the epoch, negated, as in the protocol.
"""


class Record(NamedTuple):
    """A record with everything that the server keeps of it.

    Attributes:
        db: index of its database.
        key: the key.
        value: the value, deserialized.
        expires: when it expires (UTC), or None; for writing, any `ExpireTime`.
    """

    db: int
    key: Any
    value: Any
    expires: ExpireTime | None = None


class Check(NamedTuple):
    """What the server tells about a record without sending its value.

    Attributes:
        size: length of the value in bytes.
        expires: when it expires (UTC), or None.
    """

    size: int
    expires: datetime | None


class UpdateLogFile(NamedTuple):
    """One file of a server's update log.

    Attributes:
        path: where it is, on the server.
        size: its length in bytes.
        timestamp: of its last entry, in nanoseconds since the epoch.
    """

    path: str
    size: int
    timestamp: int


class What(Enum):
    """What a change did. The words of Tokyo Tyrant's commands are in brackets."""

    SET = "set"
    """Stored `value` (put)."""
    REMOVE = "remove"
    """Removed the record, if there was one (out)."""
    CLEAR = "clear"
    """Removed all records of the database (vanish)."""
    KEEP = "keep"
    """Stored `value` if there was no record (putkeep)."""
    APPEND = "append"
    """Appended `value` (putcat)."""
    SHIFT = "shift"
    """Appended `value` and kept the last `number` bytes (putshl)."""
    ADD_INT = "add_int"
    """Added `number`, an int (addint)."""
    ADD_DOUBLE = "add_double"
    """Added `number`, a float (adddouble)."""
    CALL = "call"
    """Called the database's function `name` with `items` (misc)."""
    OPTIMIZE = "optimize"
    """Rebuilt the database's storage with the parameters `items` (optimize)."""
    SYNC = "sync"
    """Wrote the database to its file (sync)."""
    OTHER = "other"
    """Something not known here: `number` is its code, `items` the bytes that belong to it."""


class Change(NamedTuple, Generic[K, V]):
    """One entry of a server's update log.

    Kyoto Tycoon logs states: every change is SET with the value that resulted, REMOVE or CLEAR.
    Tokyo Tyrant logs commands, those that failed too.

    Attributes:
        what: what was done.
        stamp: when, in nanoseconds since the epoch by the server's clock.
        sid: id of the server where it was done first.
        db: index of the database; 0 for Tokyo Tyrant.
        key: the key, None where none belongs to it.
        value: the value, None where none belongs to it.
        expiry: when the record expires, in seconds since the epoch; None: never.
        number: see `What`.
        name: see `What`.
        items: see `What`.
        mid: id of the server that it came from, 0 if it was done there first; Tokyo Tyrant only.
        failed: the command failed; Tokyo Tyrant only.
    """

    what: What
    stamp: int
    sid: int
    db: int = 0
    key: K | None = None
    value: V | None = None
    expiry: int | None = None
    number: int | float | None = None
    name: bytes | None = None
    items: tuple[bytes, ...] = ()
    mid: int = 0
    failed: bool = False

    @property
    def time(self) -> datetime:
        """When it was done (UTC)."""
        return _moment(self.stamp // 1000)

    @property
    def expires(self) -> datetime | None:
        """When the record expires (UTC), or None."""
        return None if self.expiry is None else _moment(self.expiry * 10**6)


def _moment(microseconds: int) -> datetime:
    """Return that moment; what is beyond the last year that Python knows is its end."""
    try:
        return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=microseconds)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)
