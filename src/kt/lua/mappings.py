# Generated from mappings_async.py by tools/async_to_sync.py: edit that one.
"""A mapping and a sorted set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, Generic, TypeVar, cast

from kt.client.arguments import listed
from kt.lua.arguments import pairs_of, several
from kt.lua.calls import Container, Database
from kt.lua.numbers import dump_count, dump_number, dump_slice, load_number
from kt.lua.operators import ItemOperators
from kt.types import K, Key, V
from kt.wire.codec import decode_key, encode_key

D = TypeVar("D")


class Hash(Container[V], ItemOperators, Generic[K, V]):
    """A mapping from text (or bytes, with ``decode_keys=False``) to values, in one record.

    It has the methods of `dict`, and its order. Every operation costs O(n) in the server for a hash
    of n fields, of which only what is asked for is transferred.
    """

    def __init__(self, client: Database[K, V], key: Key, db: int | None = None) -> None:
        super().__init__(client, key, db)
        self._decode_keys = client._decode_keys

    def get(self, field: Key, default: D | None = None) -> V | D | None:
        """Return the value of `field`, or `default`. O(n)."""
        found = self._call("hashGet", encode_key(field))
        return self._load(found[1]) if found else default

    def get_bulk(self, fields: Iterable[Key]) -> dict[K, V]:
        """Return the values of those fields that are there. O(n + the number asked for)."""
        return self._dict(self._call("hashGet", *map(encode_key, several(listed(fields)))))

    def set(self, field: Key, value: Any) -> bool:
        """Store a value. Returns whether the field is new. O(n)."""
        return self._count("hashSet", encode_key(field), self._dump(value)) > 0

    def update(
        self, other: Mapping[Any, Any] | Iterable[tuple[Key, Any]] = (), /, **fields: Any
    ) -> int:
        """Store many values at once. Returns how many fields are new. O(n + their number)."""
        pairs = [*pairs_of(other), *fields.items()]
        args = {encode_key(field): self._dump(value) for field, value in pairs}
        return self._count("hashSet", *chain.from_iterable(args.items()))

    def setnx(self, field: Key, value: Any) -> bool:
        """Store a value if the field is not there. Returns whether it was stored. O(n)."""
        return self._test("hashAdd", encode_key(field), self._dump(value))

    def setdefault(self, field: Key, default: Any) -> V:
        """Store a value if the field is not there. Returns the value that it has now. O(n)."""
        found = self._call("hashSetDefault", encode_key(field), self._dump(default))
        return self._load(found[0])

    def pop(self, field: Key, *default: D) -> V | D:
        """Remove a field and return its value, or `default`. O(n).

        Raises:
            KeyError: it is not there, and no default was given.
        """
        found = self._call("hashRemove", encode_key(field))
        if found:
            return self._load(found[1])
        if not default:
            raise KeyError(field)
        return default[0]

    def popitem(self) -> tuple[K, V]:
        """Remove the field inserted last and return it with its value. O(n).

        Raises:
            KeyError: the hash is empty.
        """
        found = self._dict(self._call("hashPopItem"))
        if not found:
            raise KeyError("the hash is empty")
        return found.popitem()

    def remove(self, *fields: Key) -> int:
        """Remove fields. Returns how many were there. O(n)."""
        return len(self._call("hashRemove", *map(encode_key, fields))) // 2

    def delete(self, field: Key) -> None:
        """Remove a field; raises KeyError if it is not there. O(n)."""
        if not self.remove(field):
            raise KeyError(field)

    def increment(self, field: Key, n: float = 1) -> int | float:
        """Add to a number, kept as decimal text; a missing one is 0. Returns the sum. O(n).

        Needs a serializer that writes numbers so: KT_BINARY or KT_JSON.

        Raises:
            ServerError: the value is no such number.
        """
        found = self._call("hashIncrement", encode_key(field), dump_number(n))
        return load_number(found[0])

    def copy(self) -> dict[K, V]:
        """Return everything. O(n)."""
        return self._dict(self._call("hashItems"))

    def items(self) -> list[tuple[K, V]]:
        """Return fields with their values, in order of insertion. O(n)."""
        return list(self.copy().items())

    def keys(self) -> list[K]:
        """Return the fields. O(n)."""
        return [self._field(field) for field in self._call("hashFields")]

    def values(self) -> list[V]:
        """Return the values. O(n)."""
        return list(self.copy().values())

    def length(self) -> int:
        """Return the number of fields. O(n)."""
        return self._count("hashLength")

    def contains(self, field: Key) -> bool:
        """Return whether there is such a field. O(n)."""
        return bool(self._call("hashGet", encode_key(field)))

    def clear(self) -> None:
        """Remove everything. O(n)."""
        self._call("hashClear")

    def __getitem__(self, field: Key) -> V:
        found = self._call("hashGet", encode_key(field))
        if not found:
            raise KeyError(field)
        return self._load(found[1])

    def __iter__(self) -> Iterator[K]:
        yield from self.keys()

    def _field(self, data: bytes) -> K:
        return cast(K, decode_key(data, self._decode_keys))

    def _dict(self, flat: list[bytes]) -> dict[K, V]:
        pairs = zip(flat[::2], flat[1::2], strict=True)
        return {self._field(field): self._load(value) for field, value in pairs}


class SortedSet(Container[V], ItemOperators):
    """Members, each with a score, ordered by score and then by the members' bytes; in one record.

    Also a priority queue: `pop` takes the members with the lowest scores. It has the methods of a
    mapping from members to scores; `slice` and `rank` know it as a sequence.
    Every operation costs O(n) in the server for n members; one that changes scores O(n log n).

    Equal members are those that the client's serializer writes as equal bytes.
    """

    def set(self, member: Any, score: float) -> bool:
        """Add a member, or change its score. Returns whether it is new. O(n log n)."""
        return self.update([(member, score)]) > 0

    def update(self, scores: Mapping[Any, float] | Iterable[tuple[Any, float]]) -> int:
        """Add members, or change their scores. Returns how many are new. O(n log n)."""
        args = [(self._dump(member), dump_number(score)) for member, score in pairs_of(scores)]
        return self._count("sortedAdd", *chain.from_iterable(args))

    def increment(self, member: Any, n: float = 1) -> int | float:
        """Add to a score; a missing member has 0. Returns the score. O(n log n)."""
        found = self._call("sortedIncrement", self._dump(member), dump_number(n))
        return load_number(found[0])

    def get(self, member: Any, default: D | None = None) -> int | float | D | None:
        """Return the score of `member`, or `default`. O(n)."""
        found = self._call("sortedScore", self._dump(member))
        return load_number(found[1]) if found else default

    def rank(self, member: Any) -> int | None:
        """Return how many come before `member`; None if it is not there. O(n)."""
        found = self._call("sortedRank", self._dump(member))
        return int(found[0]) if found else None

    def slice(
        self, start: int | None = None, stop: int | None = None, step: int | None = None
    ) -> list[tuple[V, int | float]]:
        """Return members with their scores by rank, as a slice of a list. O(n)."""
        part = dump_slice(slice(start, stop, step))
        return self._pairs(self._call("sortedSlice", *part))

    def range(
        self, low: float | None = None, high: float | None = None
    ) -> list[tuple[V, int | float]]:
        """Return members with their scores by score, from `low` to `high`, inclusive. O(n)."""
        bounds = [b"" if limit is None else dump_number(limit) for limit in (low, high)]
        return self._pairs(self._call("sortedRange", *bounds))

    def pop(self, count: int = 1, *, highest: bool = False) -> list[tuple[V, int | float]]:
        """Remove the members with the lowest scores, or the highest. O(n).

        Args:
            count: how many at most.
            highest: the highest, beginning with the very highest.

        Returns:
            the members with their scores.
        """
        args = dump_count(count), b"1" if highest else b"0"
        return self._pairs(self._call("sortedPop", *args))

    def remove(self, *members: Any) -> int:
        """Remove members. Returns how many were there. O(n)."""
        return len(self._call("sortedRemove", *map(self._dump, members))) // 2

    def delete(self, member: Any) -> None:
        """Remove a member; raises KeyError if it is not there. O(n)."""
        if not self.remove(member):
            raise KeyError(member)

    def items(self) -> list[tuple[V, int | float]]:
        """Return all members with their scores, in order. O(n)."""
        return self.slice()

    def keys(self) -> list[V]:
        """Return all members, in order. O(n)."""
        return [member for member, _ in self.slice()]

    def values(self) -> list[int | float]:
        """Return all scores, in order. O(n)."""
        return [score for _, score in self.slice()]

    def length(self) -> int:
        """Return the number of members. O(n)."""
        return self._count("sortedLength")

    def contains(self, member: Any) -> bool:
        """Return whether there is such a member. O(n)."""
        return bool(self._call("sortedScore", self._dump(member)))

    def clear(self) -> None:
        """Remove everything. O(n)."""
        self._call("sortedClear")

    def __getitem__(self, member: Any) -> int | float:
        found = self._call("sortedScore", self._dump(member))
        if not found:
            raise KeyError(member)
        return load_number(found[1])

    def __iter__(self) -> Iterator[V]:
        yield from self.keys()

    def _pairs(self, flat: list[bytes]) -> list[tuple[V, int | float]]:
        pairs = zip(flat[::2], flat[1::2], strict=True)
        return [(self._load(member), load_number(score)) for member, score in pairs]
