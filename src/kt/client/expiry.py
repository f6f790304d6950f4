"""Expiry: what callers say, as the number that the protocol has for it, and back.

On the wire, a positive number is seconds from now, a negative one seconds since the epoch
(negated), and `NEVER` no expiry. What the server sends is always seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from math import ceil, inf
from typing import Any, Final

from kt.errors import ArgumentError
from kt.types import ExpireTime, Key
from kt.wire.magic import NEVER

NO_EXPIRY: Final = 2**40 - 1
"""What a server sends for no expiry."""

PAST: Final = -1
"""One second after the epoch."""

_FIRST: Final = datetime.fromtimestamp(0, UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)


def pack_expiry(expire_time: ExpireTime | None) -> int:
    """Return `expire_time` as the protocol has it.

    Raises:
        ArgumentError: it has no number: a naive datetime, or not a time at all.
    """
    if expire_time is None:
        return NEVER
    if type(expire_time) is int:
        return expire_time
    if isinstance(expire_time, datetime):
        if expire_time.tzinfo is None:
            raise ArgumentError(f"{expire_time!r} has no time zone: which moment is it?")
        return min(-ceil(expire_time.timestamp()), PAST)
    if isinstance(expire_time, timedelta):
        seconds = ceil(expire_time.total_seconds())
        return seconds if seconds >= 0 else PAST
    if isinstance(expire_time, int | float) and not isinstance(expire_time, bool):
        try:
            return ceil(expire_time)
        except (ValueError, OverflowError) as error:
            raise ArgumentError(f"expire_time is {expire_time!r} seconds") from error
    raise ArgumentError(
        f"expire_time is seconds, a timedelta or an aware datetime, not {expire_time!r}"
    )


def with_packed_expiry(
    records: Iterable[tuple[int, Key, Any, ExpireTime | None]],
) -> Iterator[tuple[int, Key, Any, int]]:
    """The same (database, key, value, expiry), with expiries as the protocol has them."""
    for db, key, value, xt in records:
        yield db, key, value, pack_expiry(xt)


def unpack_expiry(seconds: int) -> datetime | None:
    """Return the moment that the server sent, None if there is no expiry.

    What is beyond the last year that Python knows comes back as its end.
    """
    if seconds >= NO_EXPIRY:
        return None
    try:
        return _FIRST + timedelta(seconds=seconds)
    except OverflowError:
        return _LAST


def seconds_until(expires: datetime | None) -> float:
    """Return how long it is until a moment: 0 if it is over, infinity if there is none."""
    if expires is None:
        return inf
    return max((expires - datetime.now(UTC)).total_seconds(), 0.0)
