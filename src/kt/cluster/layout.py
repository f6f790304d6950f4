"""Where records lie in the engine, by names; see docs/cluster.md.

N is the prefix, T the tag of a bucket, xt5 the expiry in 5 bytes, big-endian; 2^40 - 1 for none.

=================  ========  ====================================================================
name               type      holds
=================  ========  ====================================================================
flat  ``N{}KEY``   string    xt5 and the value
tree  ``N{T}rKEY`` string    xt5 and the value
tree  ``N{T}i``    zset      every key of the bucket, all with score 0, so in the order of bytes
tree  ``N{T}x``    zset      keys that expire, by the first second in which they are gone
``{kt}meta``       hash      what is in this numbered database: prefix -> layout
=================  ========  ====================================================================

With an empty tag the whole name decides on the slot, also where the key has braces. A key's bucket
is the upper part of its CRC-32, and the tag of bucket i is the first decimal number whose slot is
i * 16384 / B, so that buckets are spread evenly over the slots.
"""

from __future__ import annotations

from binascii import crc_hqx
from functools import lru_cache
from typing import Final, Protocol
from zlib import crc32

SLOTS: Final = 16384
XT_WIDTH: Final = 5
XT_MAX: Final = 2**40 - 1
"""Stored expiry of a record that does not expire."""

FOREVER: Final = XT_MAX.to_bytes(XT_WIDTH, "big")
META: Final = b"{kt}meta"


def slot_of(name: bytes) -> int:
    """The slot of a name in the engine, by the engine's rule."""
    begin = name.find(b"{")
    if begin >= 0:
        end = name.find(b"}", begin + 1)
        if end > begin + 1:
            name = name[begin + 1 : end]
    return crc_hqx(name, 0) % SLOTS


def absolute_expiry(xt: int, now: int) -> int:
    """What is stored for an expiry as it is given: from now, or negative and since the epoch."""
    return min(-xt if xt < 0 else xt + now, XT_MAX)


def pack_value(value: bytes, xt: int) -> bytes:
    """What is stored."""
    return xt.to_bytes(XT_WIDTH, "big") + value


def unpack_value(raw: bytes | None, now: int) -> tuple[bytes, int] | None:
    """The value of what is stored and its expiry; None if it has expired."""
    if raw is None:
        return None
    xt = int.from_bytes(raw[:XT_WIDTH], "big")
    return None if xt < now else (raw[XT_WIDTH:], xt)


class Layout(Protocol):
    """The names of records.

    Attributes:
        ordered: whether keys have an order.
        text: of itself, as it is kept in ``{kt}meta``.
    """

    ordered: bool
    text: bytes

    @property
    def heads(self) -> list[bytes]:
        """What names of records begin with, in the order of the buckets; the key follows."""

    def place(self, key: bytes) -> tuple[list[bytes], int]:
        """The names that a script needs for a key, the record's own first, and their slot."""


class Flat:
    """Records only."""

    ordered = False
    text = b"flat"

    def __init__(self, prefix: bytes) -> None:
        self.head = prefix + b"{}"

    @property
    def heads(self) -> list[bytes]:
        return [self.head]

    def place(self, key: bytes) -> tuple[list[bytes], int]:
        name = self.head + key
        return [name], crc_hqx(name, 0) % SLOTS


@lru_cache
def tags(buckets: int) -> list[bytes]:
    """The tag of each bucket."""
    step = SLOTS // buckets
    wanted = {bucket * step for bucket in range(buckets)}
    found: dict[int, bytes] = {}
    number = 0
    while len(found) < buckets:
        tag = b"%d" % number
        slot = crc_hqx(tag, 0) % SLOTS
        if slot in wanted:
            found.setdefault(slot, tag)
        number += 1
    return [found[bucket * step] for bucket in range(buckets)]


class Bucket:
    """The names of a part of a tree."""

    __slots__ = ("expiries", "index", "record", "slot")

    def __init__(self, head: bytes, slot: int) -> None:
        self.record = head + b"r"
        self.index = head + b"i"
        self.expiries = head + b"x"
        self.slot = slot


class Tree:
    """Records, and an index of their keys in each bucket."""

    ordered = True

    def __init__(self, prefix: bytes, buckets: int) -> None:
        self.text = b"tree buckets=%d hash=crc32" % buckets
        step = SLOTS // buckets
        self.buckets = [
            Bucket(b"%b{%b}" % (prefix, tag), at * step) for at, tag in enumerate(tags(buckets))
        ]
        self._shift = 32 - (buckets.bit_length() - 1)

    @property
    def heads(self) -> list[bytes]:
        return [bucket.record for bucket in self.buckets]

    def bucket(self, key: bytes) -> Bucket:
        """The bucket of a key."""
        return self.buckets[crc32(key) >> self._shift]

    def place(self, key: bytes) -> tuple[list[bytes], int]:
        bucket = self.bucket(key)
        return [bucket.record + key, bucket.index, bucket.expiries], bucket.slot
