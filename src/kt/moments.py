"""Times as numbers: nanoseconds since the epoch."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from kt.errors import ArgumentError

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def nanoseconds(moment: datetime) -> int:
    """Return `moment` in nanoseconds since the epoch; raises ArgumentError without a time zone."""
    if moment.tzinfo is None:
        raise ArgumentError(f"{moment!r} has no time zone: which moment is it?")
    since = moment - _EPOCH
    return ((since.days * 86400 + since.seconds) * 10**6 + since.microseconds) * 1000


def read_moment(text: str) -> int:
    """A time in nanoseconds: ISO 8601, in local time unless it says else, or the number itself.

    Raises:
        ValueError: it is neither.
    """
    if text.isascii() and text.isdigit():
        return int(text)
    return nanoseconds(datetime.fromisoformat(text).astimezone())


def show_moment(stamp: int) -> str:
    """Nanoseconds since the epoch as a text that `read_moment` reads, in local time.

    It is never later than `stamp`: what is less than a microsecond is left out.
    """
    moment = datetime.fromtimestamp(stamp // 10**9).astimezone()
    return moment.replace(microsecond=stamp % 10**9 // 1000).isoformat(" ")
