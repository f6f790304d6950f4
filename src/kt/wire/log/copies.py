"""A full copy of a master's databases, as a kt-tycoon sends it to another one.

It is asked for as the update log is, with the flag `COPY`. All integers are big-endian::

    BLOCK     B2 size:u32 check:u32 changes[size]
    DONE      B3 stamp:u64 check:u32
    RESUMED   B4 blocks:u32
    FAILURE   BF size:u32 why[size]

All blocks together hold changes as the update log's stream has them (`kt.wire.tycoon.read_update`),
with the stamp 0: for each database that it is cleared, then its records. A change may begin in one
block and end in a later one; one without bytes says only that there is more to come. `check` is
the CRC-32 of all changes so far, so no block can be missing. `stamp` (nanoseconds) is that of the
update log behind which to go on.

Who has got some of a copy says in the request, instead of a stamp, how many blocks with changes
these were, and the check of the last one (`pack_place`). `RESUMED` then says first that what comes
goes on behind these. Without that, all of a copy comes, from its beginning: the old one is not
there any more, or the master is of a version that knows no other way.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple, TypeAlias

from kt.wire import faults
from kt.wire.magic import ERROR
from kt.wire.reading import Buffer, Incomplete, cut

COPY: Final = 0x100
"""The flag of replication that asks for a copy; an original server does not know it."""

BLOCK: Final = 0xB2
DONE: Final = 0xB3
RESUMED: Final = 0xB4
BLOCK_MAX: Final = 1 << 29
"""Bytes of the longest block: one record of the greatest size, and a little more."""

_BLOCK: Final = struct.Struct(">BII")
BLOCK_HEAD: Final = _BLOCK.size
"""Bytes of a block before its changes."""
_DONE: Final = struct.Struct(">BQI")
_RESUMED: Final = struct.Struct(">BI")
_FAILURE: Final = struct.Struct(">BI")
_HEADS: Final = {BLOCK: _BLOCK, DONE: _DONE, RESUMED: _RESUMED, ERROR: _FAILURE}
_WORDS_MAX: Final = 1 << 16


class Block(NamedTuple):
    """Some of the changes, and the CRC-32 of these and all before."""

    changes: bytes
    check: int


class Done(NamedTuple):
    """The end: the stamp behind which to go on, and the CRC-32 of all changes."""

    stamp: int
    check: int


class Resumed(NamedTuple):
    """What follows goes on behind so many blocks."""

    blocks: int


class Failure(NamedTuple):
    """There is no copy, or no more of it."""

    why: str


Message: TypeAlias = Block | Done | Resumed | Failure


def pack_place(blocks: int, check: int) -> int:
    """Instead of a stamp in a request: what has come of a copy; 0 if nothing has."""
    return blocks << 32 | check


def read_place(stamp: int) -> tuple[int, int]:
    """What `pack_place` packs."""
    return stamp >> 32, stamp & 0xFFFF_FFFF


def pack_copy_message(message: Message) -> bytes:
    """A message as it is sent."""
    if isinstance(message, Block):
        return _BLOCK.pack(BLOCK, len(message.changes), message.check) + message.changes
    if isinstance(message, Done):
        return _DONE.pack(DONE, *message)
    if isinstance(message, Resumed):
        return _RESUMED.pack(RESUMED, message.blocks)
    why = message.why.encode("utf-8", "replace")[:_WORDS_MAX]
    return _FAILURE.pack(ERROR, len(why)) + why


def read_copy_message(data: Buffer, pos: int) -> tuple[Message, int] | Incomplete[Message]:
    """What `pack_copy_message` packs."""
    if len(data) <= pos:
        return Incomplete(1, read_copy_message)
    first = data[pos]
    if first not in _HEADS:
        raise faults.wrong_magic(first, BLOCK)
    head = _HEADS[first]
    if len(data) < pos + head.size:
        return Incomplete(head.size, read_copy_message)
    _, number, *check = head.unpack_from(data, pos)
    begin = pos + head.size
    if first == DONE:
        return Done(number, *check), begin
    if first == RESUMED:
        return Resumed(number), begin
    if number > (BLOCK_MAX if first == BLOCK else _WORDS_MAX):
        raise faults.too_long_a_block(number)
    if len(data) < begin + number:
        return Incomplete(head.size + number, read_copy_message)
    body = cut(data, begin, begin + number)
    end = begin + number
    return (
        Block(body, *check) if first == BLOCK else Failure(body.decode("utf-8", "replace"))
    ), end
