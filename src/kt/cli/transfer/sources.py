"""Where records come from: servers and files, both kinds.

Keys are asked for first, in slices, and values then by `get_bulk`, so that nothing is held for long
and memory stays bounded:

====================  ==============================================================================
keys of               come
====================  ==============================================================================
kt-tycoon, a file     from a cursor, a thousand at a time (``max``, which ktserver does not know)
ktserver              one by one from a cursor, many requests under way at once; all at once if
                      there are at most `AT_ONCE`, which is quicker
prefix or regex       all that match at once, from the server's own search
hash, table           all at once; they stay as the bytes that Tokyo Tyrant sent
other Tokyo Tyrants   as `TokyoTyrant.items` has them
====================  ==============================================================================

In a cache database, ``*``, a record that is read becomes the last one, so that all keys are fetched
before the first value, and memory is as much as they need.

After an interruption a cursor goes on at the last key; where there is none, keys up to the last one
are left out, and in a cache database those that are known to be done. A record that is stored or
removed meanwhile may be met or missed.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final

from kt.cli.faults import Usage
from kt.cli.searching import keys_of
from kt.cli.target import Target
from kt.cli.transfer.batches import (
    BATCH_BYTES,
    BATCH_MAX,
    BEGIN,
    Batch,
    Reached,
    next_size,
    packed,
)
from kt.client.expiry import NO_EXPIRY
from kt.client.tycoon.columns import MISSED, Columns, succeeded
from kt.client.tycoon.cursor import CURSOR, DELETE, STEP
from kt.client.tyrant.admin import FIXED, MEMORY_TREE, TREE
from kt.errors import ServerError
from kt.types import Key
from kt.wire.codec import decode_items, skip_items
from kt.wire.columns import PLACE_WIDTH
from kt.wire.tycoon import pack_get_bulk, read_get_bulk_reply
from kt.wire.tycoon_rpc import Field, RpcReply, decode_columns, pack_rpc, read_rpc_reply

if TYPE_CHECKING:
    from kt.cli.target import Tycoon, Tyrant
    from kt.net.blocking import Connection

AT_ONCE: Final = 500_000
CACHE: Final = 32
"""The type of a database ``*`` in its status."""
SLICE: Final = 1000
AHEAD: Final = 8
"""Requests for slices of keys that are under way at once."""
WINDOW: Final = 3
"""Requests for values that are under way at once."""
FIRST_SIZE: Final = 16
"""Keys in the first of them."""
SINGLES: Final = 500
"""The same for single keys."""
MAX: Final[tuple[Key, Field]] = ("max", SLICE)
BULK_HEAD: Final = 5
ORDERED: Final = (TREE, MEMORY_TREE, FIXED)
"""Types of Tokyo Tyrant whose keys need not be known before."""


class Source:
    """Records of a target that fit a prefix and a regular expression.

    Args:
        target: where they are.
        prefix: only keys that begin so.
        regex: only keys in which this is found.
    """

    def __init__(self, target: Target, prefix: bytes = b"", regex: str | None = None) -> None:
        self.target = target
        self.prefix = prefix
        self.regex = regex

    @property
    def filtered(self) -> bool:
        """Only some of the keys are wanted."""
        return bool(self.prefix) or self.regex is not None

    @property
    def filters(self) -> dict[str, str]:
        """Which records are wanted, for people and to compare."""
        found = {"prefix": os.fsdecode(self.prefix), "regex": self.regex or ""}
        return {name: text for name, text in found.items() if text}

    def databases(self) -> list[int]:
        """Indices of all databases that the target has."""
        if self.target.kind == "tyrant":
            return [0]
        names = self.target.tycoon.report()
        numbers = (name.removeprefix("db_") for name in names)
        return sorted(int(number) for number in numbers if number.isdecimal())

    def total(self, db: int) -> int | None:
        """How many records there are; None if only some of them are wanted."""
        if self.filtered:
            return None
        if self.target.kind == "tyrant":
            return self.target.tyrant.count()
        return self.target.tycoon.count(db)

    def is_table(self) -> bool:
        """Tell whether the target's records are rows."""
        return self.target.kind == "tyrant" and self.target.tyrant.stat().get("type", "") == "table"

    def is_cache(self, db: int) -> bool:
        """Tell whether reading changes the order of the records."""
        if self.target.kind == "tyrant":
            return False
        return self.target.tycoon.status(db).get("type") == CACHE

    def batches(self, db: int, reached: Reached = BEGIN) -> Generator[Batch, None, None]:
        """Yield the records of a database, those that are still to come."""
        if self.target.kind == "tyrant":
            yield from self._tyrant_batches(reached)
            return
        client = self.target.tycoon
        is_cache = self.is_cache(db)
        if self.filtered:
            named = Target(self.target.url, "tycoon", client.using(db=db))
            found = keys_of(named, self.prefix, self.regex)
            keys = iter(list(found)) if is_cache else skipped(found, reached.after)
        elif is_cache:
            # Every get moves a record to the end, where a cursor would meet it again.
            keys = all_at_once(tycoon_keys(client, db, None))
        else:
            keys = tycoon_keys(client, db, reached.after)
        if reached.done:
            keys = (key for key in keys if key not in reached.done)
        yield from tycoon_batches(client, db, keys)

    def _tyrant_batches(self, reached: Reached) -> Iterator[Batch]:
        batch: list[tuple[bytes, bytes, int]] = []
        size = 0
        for key, value in self._tyrant_records(reached):
            full = size >= BATCH_BYTES or len(batch) >= BATCH_MAX
            if full and key != batch[-1][0]:  # what a key has stays together
                yield packed(0, batch)
                batch, size = [], 0
            batch.append((key, value, NO_EXPIRY))
            size += len(key) + len(value)
        if batch:
            yield packed(0, batch)

    def _tyrant_records(self, reached: Reached) -> Iterator[tuple[bytes, bytes]]:
        client = self.target.tyrant
        if not self.filtered and client._database_type() in ORDERED:
            final = reached.after if reached.final is None else reached.final
            return skipped_records(client.items(), final, reached.same)
        found = keys_of(self.target, self.prefix, self.regex) if self.filtered else None
        keys = skipped(tyrant_keys(client) if found is None else found, reached.after)
        return tyrant_records(client, (key for key in keys if key not in reached.done))


def tyrant_keys(client: Tyrant) -> Iterator[bytes]:
    """Yield all keys of a hash or a table, from the bytes of the one reply that has them."""
    frame = client._fwmkeys(b"", -1)
    left, at = int.from_bytes(frame[1:BULK_HEAD]), BULK_HEAD
    while left:
        number = min(left, SLICE)
        yield from decode_items(frame, at, number, False)
        at = skip_items(frame, at, number)[0]
        left -= number


def tyrant_records(client: Tyrant, keys: Iterator[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the records of keys, asked for in bulks of about a batch each."""
    size = FIRST_SIZE
    while group := list(islice(keys, size)):
        found = client.get_bulk(group)
        yield from found.items()
        size = next_size(len(group), sum(map(len, found)) + sum(map(len, found.values())))


def skipped(keys: Iterable[bytes], after: bytes | None) -> Iterator[bytes]:
    """Yield the keys after one of them."""
    found = after is None
    for key in keys:
        if found:
            yield key
        found = found or key == after
    if not found:
        raise Usage(f"the transfer cannot go on: {after!r} is no longer there; begin anew")


def skipped_records(
    records: Iterable[tuple[bytes, bytes]], after: bytes | None, same: int | None
) -> Iterator[tuple[bytes, bytes]]:
    """Yield the records after so many of this key (or all), of those that follow each other."""
    if after is None:
        yield from records
        return
    found, past = 0, False
    for record in records:
        past = past or (found > 0 and (record[0] != after or found == same))
        found += record[0] == after
        if past:
            yield record
    if not found:
        raise Usage(f"the transfer cannot go on: {after!r} is no longer there; begin anew")


def all_at_once(keys: Iterator[bytes]) -> Iterator[bytes]:
    """Take all keys before the first one is given, in little more memory than their bytes need."""
    slices = []
    while group := list(islice(keys, SLICE)):
        slices.append((array("I", map(len, group)), b"".join(group)))
    slices.reverse()
    while slices:
        sizes, joined = slices.pop()
        at = 0
        for size in sizes:
            yield joined[at : at + size]
            at += size


def tycoon_batches(client: Tycoon, db: int, keys: Iterator[bytes]) -> Iterator[Batch]:
    """Yield the records of keys, as bytes."""
    size = FIRST_SIZE
    with client._pool.lease(client.timeout) as connection:
        while groups := [group for _ in range(WINDOW) if (group := list(islice(keys, size)))]:
            calls = ((pack_get_bulk(group, db), read_get_bulk_reply) for group in groups)
            replies = connection.call_many(calls, client.timeout)
            frames = (frame for several in replies for frame in several)
            for group, frame in zip(groups, frames, strict=True):
                if isinstance(frame, ServerError):
                    raise frame
                number = int.from_bytes(frame[1:BULK_HEAD])
                yield Batch(db, number, frame[BULK_HEAD:], group[-1])
                size = next_size(len(group), len(frame))


def tycoon_keys(client: Tycoon, db: int, after: bytes | None) -> Iterator[bytes]:
    """Yield all keys of a database, from a cursor of its own."""
    with client._pool.lease(client.timeout) as connection:
        cursor = _Cursor(connection, db, client.timeout)
        try:
            if not cursor.place(after):
                return
            first = cursor.call("cur_get_key", STEP, MAX)
            if first is None:
                return
            many = any(name[:1] == b"_" for name in first)
            if not many and after is None and client.count(db) <= AT_ONCE:
                yield from client.match_prefix(b"", db=db)
                return
            yield from names_of(first)
            yield from cursor.keys(AHEAD if many else SINGLES)
        finally:
            if not connection.closed:
                connection.call(DELETE, read_rpc_reply, client.timeout)


class _Cursor:
    """A cursor of the server, on its own connection."""

    def __init__(self, connection: Connection, db: int, timeout: float | None) -> None:
        self._connection = connection
        self._target: Columns = [CURSOR, ("DB", db)]
        self._timeout = timeout

    def call(self, procedure: str, *columns: tuple[Key, Field]) -> dict[bytes, bytes] | None:
        """Call a procedure; None if the cursor stands on no record."""
        request = pack_rpc(procedure, [*self._target, *columns])
        return columns_of(self._connection.call(request, read_rpc_reply, self._timeout))

    def place(self, after: bytes | None) -> bool:
        """Place the cursor on the first record, or on that after a key; False if there is none."""
        if after is None:
            return self.call("cur_jump") is not None
        if self.call("cur_jump", ("key", after)) is None:
            raise Usage(f"the transfer cannot go on: {after!r} is no longer there; begin anew")
        if (self.call("cur_get_key") or {}).get(b"key") != after:
            return True  # a tree goes to the next one
        return self.call("cur_step") is not None

    def keys(self, ahead: int) -> Iterator[bytes]:
        """Yield keys from there on, with so many requests under way at once."""
        ask = pack_rpc("cur_get_key", [*self._target, STEP, MAX])
        while True:
            calls = ((ask, read_rpc_reply) for _ in range(ahead))
            replies = self._connection.call_many(calls, self._timeout)
            found = [columns_of(reply) for batch in replies for reply in batch]
            for columns in found:
                if columns is None:
                    return
                yield from names_of(columns)


def names_of(columns: dict[bytes, bytes]) -> Iterator[bytes]:
    """Yield the keys of a reply: many, or one in the words of the original server."""
    for name, value in sorted(columns.items()):
        if name[:1] == b"_":
            yield name[PLACE_WIDTH:]
        elif name == b"key":
            yield value


def columns_of(reply: RpcReply) -> dict[bytes, bytes] | None:
    """The columns of a reply; None if the cursor stands on no record."""
    if reply.status == MISSED:
        return None
    return decode_columns(succeeded(reply).body, reply.encoding)


def indices_of(target: Target, columns: Iterable[str]) -> dict[str, str]:
    """Which of the columns of a table have an index, and of which kind.

    No command tells; but a search says how it was done. So each column is searched in the four ways
    that indices are for.
    """
    from kt.client.tyrant.table_query import Column
    from kt.wire.table import IndexKind, Operator

    ways = {
        IndexKind.LEXICAL: (Operator.STREQ, "asc (STREQ)"),
        IndexKind.DECIMAL: (Operator.NUMEQ, "asc (NUMEQ)"),
        IndexKind.TOKEN: (Operator.STRAND, "inverted (STRAND)"),
        IndexKind.QGRAM: (Operator.FTSPH, "inverted (FTS)"),
    }
    found = {}
    for name in columns:
        for kind, (operator, mark) in ways.items():
            query = target.tyrant.query().filter(Column(name).match(operator, "1")).limit(1)
            try:
                explained = query.explain()
            except ServerError:
                continue
            if f'"{name}" {mark}' in explained:
                found[name] = kind.name.lower()
    return found
