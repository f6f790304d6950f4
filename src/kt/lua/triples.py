# Generated from triples_async.py by tools/async_to_sync.py: edit that one.
"""Triples of subject, predicate and object, found by any of these. It needs no script.

A triple is three records without value, whose keys are its parts in three orders; whatever is asked
for is a prefix in one of them::

    KEY 0 s | Ada | knows | Bob      all of a subject, of a subject and a predicate
    KEY 0 p | knows | Bob | Ada      all of a predicate, of a predicate and an object
    KEY 0 o | Bob | Ada | knows      all of an object, of an object and a subject

A part ends with the bytes 0 1, and a byte 0 in it is followed by 255: so no part is the prefix of
another, and the order of keys is that of parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final, Generic

from kt.client.arguments import checked_db
from kt.client.tycoon.client import KyotoTycoon
from kt.client.tyrant.client import TokyoTyrant
from kt.errors import ArgumentError
from kt.lua.arguments import several
from kt.lua.calls import Database
from kt.lua.operators import Operators
from kt.lua.shapes import Triple, Var
from kt.serializers import KT_NONE
from kt.types import K, Key
from kt.wire.codec import decode_key, encode_key

ORDERS: Final = {b"s": (0, 1, 2), b"p": (1, 2, 0), b"o": (2, 0, 1)}
"""Letter of an order -> which part comes first, second and third."""

END: Final = b"\0\x01"


class Triples(Operators, Generic[K]):
    """A set of triples, in a database of which it takes the keys that begin with its own.

    ::

        friends = Triples(db, "friends")
        friends.add("Ada", "knows", "Bob")
        friends.match(predicate="knows", object="Bob")    # who knows Bob

    Searches are quick in trees, and look at every key in other databases. On Kyoto Tycoon all three
    records of a triple come and go at once.

    Args:
        client: client of a server of either kind; the database is no table.
        key: what the keys of the records begin with.
        db: index of the database; None for the client's default.
    """

    def __init__(self, client: Database[K, Any], key: Key, db: int | None = None) -> None:
        if not isinstance(client, KyotoTycoon | TokyoTyrant):
            raise ArgumentError(f"not a client of this kind: {client!r}")
        if db is not None and not isinstance(client, KyotoTycoon):
            raise ArgumentError("Tokyo Tyrant has one database only: leave out db")
        self.key = key
        self._prefix = encode_key(key) + b"\0"
        self._text = client._decode_keys
        self._client: Database[Any, Any] = client._view(KT_NONE, ...)
        self._client._decode_keys = False
        if db is not None and isinstance(self._client, KyotoTycoon):
            self._client.set_database(checked_db(db))

    def add(self, subject: Key, predicate: Key, object: Key) -> None:  # noqa: A002
        """Add a triple, whether it is there or not."""
        self.update([(subject, predicate, object)])

    def update(self, triples: Iterable[tuple[Key, Key, Key]]) -> None:
        """Add many triples, with few requests."""
        keys = chain.from_iterable(self._keys(triple) for triple in several(triples))
        records = dict.fromkeys(keys, b"")
        if isinstance(self._client, KyotoTycoon):
            self._client.set_bulk(records, atomic=True)
        else:
            self._client.set_bulk(records)

    def remove(self, subject: Key, predicate: Key, object: Key) -> bool:  # noqa: A002
        """Remove a triple. Returns whether it was there."""
        keys = self._keys((subject, predicate, object))
        if not self._client.exists(keys[0]):
            return False
        if isinstance(self._client, KyotoTycoon):
            self._client.remove_bulk(keys, atomic=True)
        else:
            self._client.remove_bulk(keys)
        return True

    def match(
        self,
        subject: Key | None = None,
        predicate: Key | None = None,
        object: Key | None = None,  # noqa: A002
        limit: int | None = None,
    ) -> list[Triple[K]]:
        """Return the triples that have these parts; None is any. In trees they are in order.

        Args:
            subject, predicate, object: the parts.
            limit: how many triples at most; None: all.
        """
        parts = (subject, predicate, object)
        letter = _order(parts)
        order = ORDERS[letter]
        known = [_part(parts[at]) for at in order if parts[at] is not None]
        prefix = self._prefix + letter + b"".join(known)
        keys = self._client.match_prefix(prefix, limit)
        return [self._triple(key, order) for key in keys]

    def search(self, *patterns: tuple[Key | Var, Key | Var, Key | Var]) -> list[dict[str, K]]:
        """Return what the variables of patterns can be, so that all patterns are triples here.

        Each pattern takes a request for everything that those before it have found: begin with the
        one that finds least.

        ::

            friends.search(("Ada", "knows", Var("x")), (Var("x"), "lives in", "Rome"))

        Args:
            patterns: three parts each, of which any may be a `Var`.
        """
        found: list[dict[str, K]] = [{}]
        for pattern in patterns:
            if not isinstance(pattern, tuple | list) or len(pattern) != 3:
                raise ArgumentError(f"a pattern has three parts: {pattern!r}")
            found = [each for known in found for each in self._extended(known, pattern)]
        return found

    def _extended(
        self, known: dict[str, K], pattern: tuple[Key | Var, Key | Var, Key | Var]
    ) -> list[dict[str, K]]:
        """What variables are, given what some are already."""
        subject, predicate, object_ = (
            known.get(part.name) if isinstance(part, Var) else part for part in pattern
        )
        found = []
        for triple in self.match(subject, predicate, object_):
            values = dict(known)
            if all(
                values.setdefault(part.name, value) == value
                for part, value in zip(pattern, triple, strict=True)
                if isinstance(part, Var)
            ):
                found.append(values)
        return found

    def contains(self, triple: tuple[Key, Key, Key]) -> bool:
        """Return whether there is such a triple."""
        return self._client.exists(self._keys(triple)[0])

    def length(self) -> int:
        """Return the number of triples. O(their number)."""
        return len(self._client.match_prefix(self._prefix + b"s", None))

    def clear(self) -> None:
        """Remove everything."""
        self._client.remove_bulk(self._client.match_prefix(self._prefix, None))

    def __iter__(self) -> Iterator[Triple[K]]:
        yield from self.match()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.key!r}>"

    def _keys(self, triple: tuple[Key, Key, Key]) -> list[bytes]:
        if not isinstance(triple, tuple | list) or len(triple) != 3:
            raise ArgumentError(f"a triple has three parts: {triple!r}")
        parts = [_part(part) for part in triple]
        return [
            self._prefix + letter + b"".join(parts[at] for at in order)
            for letter, order in ORDERS.items()
        ]

    def _triple(self, key: bytes, order: tuple[int, int, int]) -> Triple[K]:
        parts: list[Any] = [None] * 3
        words = key[len(self._prefix) + 1 :].split(END)
        for at, word in zip(order, words, strict=False):
            parts[at] = decode_key(word.replace(b"\0\xff", b"\0"), self._text)
        return Triple(*parts)


def _order(parts: tuple[Key | None, Key | None, Key | None]) -> bytes:
    """The order in which the parts that are known come first."""
    subject, predicate, object_ = (part is not None for part in parts)
    if object_ and not predicate:
        return b"o"
    return b"p" if predicate and not subject else b"s"


def _part(value: Key | None) -> bytes:
    """A part of a triple within a key."""
    return encode_key(value).replace(b"\0", b"\0\xff") + END  # type: ignore[arg-type]
