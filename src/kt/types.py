"""Types that callers meet: what they may pass, and the records that they get."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    # Defaults of type variables are in Python's own typing from 3.13 on; checkers know them.
    from typing_extensions import TypeVar

    K = TypeVar("K", bound=str | bytes, default=str)
    V = TypeVar("V", default=str)
    V_co = TypeVar("V_co", covariant=True)
else:
    from typing import TypeVar

    K = TypeVar("K")
    V = TypeVar("V")
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
