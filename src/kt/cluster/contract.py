"""What every engine has in common: a database as those see it who answer requests of clients.

An engine brings a `Database`, whose operations are generators (see `kt.cluster.commands`), its
`Cursor`, and an `Engine`, which carries out what these yield. `kt.cluster.engines` knows them all.
"""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isnan
from typing import Any, Final, NamedTuple, Protocol

from kt.cluster.commands import Failure, Steps, illogical, no_record
from kt.cluster.numbers import added
from kt.cluster.walks import PAGE_MAX, Bounds, Walk

SWAPS: Final = 100
"""How often a record is read and written again that somebody else changes meanwhile."""

_LITERAL: Final = re.compile(rb"\^([\w /:,;@=-]+)(?![*?{|+])")


class Settings(Protocol):
    """What a URL says that concerns more than its engine; as text, it is without passwords."""

    @property
    def ordered(self) -> bool:
        """Whether keys have an order."""

    @property
    def scan_limit(self) -> int:
        """Keys that a search may look at."""


class Engine(Protocol):
    """The connections to what has a database, in one event loop."""

    async def open(self) -> None:
        """Find out whether it answers. Raises `ServerConnectionError`."""

    async def run(
        self, commands: list[Any], origin: object = None, *, refused: bool = False
    ) -> list[Any]:
        """The replies to what an operation has yielded.

        Args:
            commands: these.
            origin: the same for those of several calls that are to be in their order.
            refused: whether they have been tried in vain before.

        Raises:
            OutcomeUnknown: it is not known whether one was carried out.
            ServerTimeoutError: nobody served one in time.
            Failure: it was refused for good.
        """

    async def close(self) -> None:
        """Cut all connections; what waits fails."""

    def facts(self) -> str:
        """What `report` tells of it: ``NAME=NUMBER``, with spaces between."""


def retries_text(retries: Mapping[str, int]) -> str:
    """How often something was tried again, and of which kinds, as a part of `Engine.facts`."""
    kinds = "".join(f" retries_{name}={n}" for name, n in sorted(retries.items()))
    return f"retries={sum(retries.values())}{kinds}"


class Seen(NamedTuple):
    """What a record was, for who wants to change it if it is still so.

    Attributes:
        value: None if there is no record.
        stored: what the engine has there.
    """

    value: bytes | None
    stored: Any


class Cursor(Protocol):
    """A position in a database. What there is not raises `Failure`."""

    def jump(self, key: bytes | None) -> Steps[None]: ...
    def jump_back(self, key: bytes | None) -> Steps[None]: ...
    def step(self) -> Steps[None]: ...
    def step_back(self) -> Steps[None]: ...
    def get(self, step: bool) -> Steps[tuple[bytes, bytes, int]]: ...
    def get_key(self, step: bool) -> Steps[bytes]: ...
    def set_value(self, value: bytes, xt: int, step: bool) -> Steps[None]: ...
    def remove(self) -> Steps[None]: ...
    def seize(self) -> Steps[tuple[bytes, bytes, int]]: ...

    def ahead(self, limit: int, size: int, values: bool) -> Steps[list[tuple[bytes, bytes]]]:
        """Records from here on, so many at most and about so many bytes; the cursor passes them.

        Raises `Failure` if there is none. Without values, they are empty.
        """


class Database(ABC):
    """A database.

    Args:
        settings: what its URL says.
        clock: Unix time in seconds.
    """

    atomic = False
    """Whether a bulk operation is carried out as a whole."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self.settings = settings
        self._clock = clock

    def now(self) -> int:
        """Unix time in whole seconds."""
        return int(self._clock())

    @abstractmethod
    def claim(self) -> Steps[None]:
        """Make sure that what is there is ours and laid out so; `ImproperlyConfigured` if not."""

    @abstractmethod
    def cursor(self) -> Cursor:
        """A cursor that stands nowhere."""

    # One record. Operations that need it, or need that it is not there, raise `Failure`.

    def get(self, key: bytes) -> Steps[tuple[bytes, int]]:
        """Value and expiry."""
        [record] = yield from self.get_many([key])
        if record is None:
            raise no_record()
        return record

    @abstractmethod
    def check(self, key: bytes) -> Steps[tuple[int, int]]:
        """Size of the value, and expiry."""

    def set(self, key: bytes, value: bytes, xt: int) -> Steps[None]:
        yield from self.set_many([(key, value, xt)])

    @abstractmethod
    def add(self, key: bytes, value: bytes, xt: int) -> Steps[None]: ...
    @abstractmethod
    def replace(self, key: bytes, value: bytes, xt: int) -> Steps[None]: ...
    @abstractmethod
    def append(self, key: bytes, value: bytes, xt: int) -> Steps[None]: ...

    def remove(self, key: bytes) -> Steps[None]:
        if not (yield from self.remove_many([key])):
            raise no_record()

    @abstractmethod
    def seize(self, key: bytes) -> Steps[tuple[bytes, int]]: ...
    @abstractmethod
    def cas(self, key: bytes, old: bytes | None, new: bytes | None, xt: int) -> Steps[None]: ...
    @abstractmethod
    def increment(self, key: bytes, number: int, origin: int, xt: int) -> Steps[int]: ...

    @abstractmethod
    def add_int(self, key: bytes, number: int) -> Steps[int]:
        """The sum, to a number of 32 bits that Tokyo Cabinet has stored; without an expiry."""

    @abstractmethod
    def look(self, key: bytes) -> Steps[Seen]:
        """What a record is now."""

    @abstractmethod
    def swap(self, key: bytes, seen: Seen, new: bytes, xt: int) -> Steps[bool]:
        """Store a value if the record is what it was; False if it is not."""

    def rewrite(
        self, key: bytes, change: Callable[[bytes | None], bytes | None], xt: int
    ) -> Steps[None]:
        """Store what `change` makes of the value (None for none), unless that is None."""
        for _ in range(SWAPS):
            seen = yield from self.look(key)
            new = change(seen.value)
            if new is None or (yield from self.swap(key, seen, new, xt)):
                return
        raise illogical("the record changes all the time")

    def increment_double(self, key: bytes, number: float, origin: float, xt: int) -> Steps[float]:
        total = 0.0

        def change(value: bytes | None) -> bytes | None:
            nonlocal total
            total, new = added(value, number, origin)
            if isnan(total):
                raise illogical()
            return new

        yield from self.rewrite(key, change, xt)
        return total

    # Many records

    @abstractmethod
    def get_many(self, keys: Sequence[bytes]) -> Steps[list[tuple[bytes, int] | None]]:
        """Value and expiry of each, or None."""

    @abstractmethod
    def set_many(self, records: Sequence[tuple[bytes, bytes, int]]) -> Steps[int]:
        """Store keys and values with expiries as they are given; how many these are."""

    @abstractmethod
    def remove_many(self, keys: Sequence[bytes]) -> Steps[int]:
        """How many there were."""

    def get_bulk(self, keys: Iterable[bytes]) -> Steps[dict[bytes, tuple[bytes, int]]]:
        """Key -> value and expiry of those that exist."""
        wanted = list(dict.fromkeys(keys))
        found = yield from self.get_many(wanted)
        pairs = zip(wanted, found, strict=True)
        return {key: record for key, record in pairs if record is not None}

    def set_bulk(self, records: Mapping[bytes, bytes], xt: int) -> Steps[int]:
        return (yield from self.set_many([(key, value, xt) for key, value in records.items()]))

    def remove_bulk(self, keys: Iterable[bytes]) -> Steps[int]:
        return (yield from self.remove_many(list(keys)))

    # Searches

    @abstractmethod
    def walk(self, bounds: Bounds = Bounds(), prefix: bytes = b"") -> Walk:  # noqa: B008 - a value
        """All keys within bounds, in order; those with the prefix, where there is no order."""

    def existing(self, keys: list[bytes]) -> Steps[list[bytes]]:
        """Of the keys that a walk has given, those of which there is a record."""
        yield from ()
        return keys

    def match_prefix(self, prefix: bytes, limit: int) -> Steps[list[bytes]]:
        return (yield from self._search(prefix, lambda key: True, limit))

    def match_regex(self, text: bytes, limit: int) -> Steps[list[bytes]]:
        try:
            pattern = re.compile(text, re.DOTALL)
        except re.error as error:
            raise illogical(f"compilation failed: {error}") from None
        literal = _LITERAL.match(text)
        prefix = literal[1] if literal and b"|" not in text else b""
        return (yield from self._search(prefix, lambda key: bool(pattern.search(key)), limit))

    def match_similar(
        self, origin: bytes, distance: int, is_text: bool, limit: int
    ) -> Steps[list[bytes]]:
        """Keys that differ by so many letters at most, the most similar ones first."""
        wanted = _letters(origin, is_text)
        found: dict[bytes, int] = {}

        def is_similar(key: bytes) -> bool:
            letters = _letters(key, is_text)
            if abs(len(letters) - len(wanted)) > distance:
                return False
            differ = edit_distance(wanted, letters)
            if differ <= distance:
                found[key] = differ
            return differ <= distance

        keys = yield from self._search(b"", is_similar, -1)
        keys.sort(key=found.__getitem__)
        return keys if limit < 0 else keys[:limit]

    def _search(
        self, prefix: bytes, wanted: Callable[[bytes], bool], limit: int
    ) -> Steps[list[bytes]]:
        """Keys of records that are there."""
        walk = self.walk(prefix=prefix)
        found: list[bytes] = []
        looked_at = 0
        while limit < 0 or len(found) < limit:
            page = PAGE_MAX if limit < 0 else min(max(limit - len(found), 16), PAGE_MAX)
            keys = yield from walk.more(page)
            if not keys:
                break
            looked_at += len(keys)
            if looked_at > self.settings.scan_limit:
                most = self.settings.scan_limit
                raise Failure(500, f"DB: 9: system error: more than {most} keys to look at")
            found += yield from self.existing([key for key in keys if wanted(key)])
        return found if limit < 0 else found[:limit]

    # All of it

    @abstractmethod
    def count(self) -> Steps[int]:
        """How many records there are."""

    @abstractmethod
    def clear(self) -> Steps[None]:
        """Remove all records."""

    @abstractmethod
    def vacuum(self) -> Steps[None]:
        """Forget what has expired."""

    @abstractmethod
    def sweep(self) -> Steps[None]:
        """The same for some of it, now and then."""

    @abstractmethod
    def synchronize(self, hard: bool) -> Steps[None]:
        """Wait until what was written is safe, as far as the engine has more to do for that."""

    @abstractmethod
    def status(self) -> Steps[dict[bytes, bytes]]:
        """Among others ``count``, ``size`` and ``path``."""


def _letters(key: bytes, is_text: bool) -> str | bytes:
    return key.decode("utf-8", "surrogateescape") if is_text else key


def edit_distance(one: str | bytes, other: str | bytes) -> int:
    """How many letters must be put in, taken out or replaced to make the one the other."""
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one, 1):
        before, row[0] = row[0], at
        for index, second in enumerate(other, 1):
            cost = before if letter == second else 1 + min(before, row[index], row[index - 1])
            before, row[index] = row[index], cost
    return row[-1]
