"""Batches of records, as bytes.

A record is laid out as in Kyoto Tycoon's binary protocol, big-endian::

    db:u16 ksiz:u32 vsiz:u32 xt:i64 key[ksiz] value[vsiz]

`xt` is the expiry in seconds since the epoch, `NO_EXPIRY` for none, as a server sends it. A request
to store records has it negative instead (`request`).
"""

from __future__ import annotations

import struct
from collections.abc import Container, Iterable, Iterator
from typing import Final, NamedTuple, TypeAlias

from kt.client.expiry import NO_EXPIRY
from kt.wire.codec import decode_details, pack_details
from kt.wire.magic import NEVER, SET_BULK

HEAD: Final = struct.Struct(">HIIq")
REQUEST: Final = struct.Struct(">BII")

Rec: TypeAlias = tuple[int, bytes, bytes, int]
"""Database, key, value, expiry (NO_EXPIRY for none)."""

BATCH_BYTES: Final = 256 * 1024
BATCH_MAX: Final = 4000


class Batch(NamedTuple):
    """Records of one database.

    Attributes:
        db: its index.
        number: how many records.
        body: the records.
        last: the last key that has been looked at, whether its record is still there or not.
    """

    db: int
    number: int
    body: bytes
    last: bytes

    def records(self) -> list[Rec]:
        """Return the records."""
        return decode_details(self.body, 0, self.number, False, None)


class Reached(NamedTuple):
    """How far a transfer of a database has come.

    Attributes:
        after: a key; records after it are still to come. None to begin.
        done: keys after that one whose records have come all the same: within a batch they come in
            any order.
        final: the key of the last record that has come, where they come in the order of their keys.
        same: how many records of that key have come; None for all.
    """

    after: bytes | None = None
    done: Container[bytes] = ()
    final: bytes | None = None
    same: int | None = None


BEGIN: Final = Reached()


def packed(db: int, records: Iterable[tuple[bytes, bytes, int]], last: bytes = b"") -> Batch:
    """Make a batch of keys, values and expiries."""
    full = [(db, key, value, xt) for key, value, xt in records]
    body = pack_details(b"", full, None)[4:]
    return Batch(db, len(full), body, full[-1][1] if full else last)


def heads(body: bytes, count: int) -> Iterator[tuple[int, int]]:
    """Where each record begins, and its expiry."""
    at = 0
    unpack = HEAD.unpack_from
    for _ in range(count):
        _, ksiz, vsiz, xt = unpack(body, at)
        yield at, xt
        at += 18 + ksiz + vsiz


def request(batch: Batch, db: int) -> bytes:
    """Return a request of Kyoto Tycoon to store the records in this database."""
    head = REQUEST.pack(SET_BULK, 0, batch.number)
    if db == batch.db and all(xt == NO_EXPIRY for _, xt in heads(batch.body, batch.number)):
        return head + batch.body  # seconds from now so far off that they are never
    body = bytearray(batch.body)
    for at, xt in heads(batch.body, batch.number):
        struct.pack_into(">H", body, at, db)
        struct.pack_into(">q", body, at + 10, NEVER if xt >= NO_EXPIRY else -max(xt, 1))
    return head + bytes(body)


def expiring(batch: Batch) -> int:
    """How many of the records expire."""
    return sum(xt < NO_EXPIRY for _, xt in heads(batch.body, batch.number))


def next_size(count: int, size: int) -> int:
    """How many records to ask for after so many in so many bytes."""
    return max(1, min(BATCH_MAX, count * 4, count * BATCH_BYTES // (size + 1)))
