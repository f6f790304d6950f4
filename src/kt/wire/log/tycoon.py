"""Kyoto Tycoon's update log: files, records and messages. All integers are big-endian.

A file is a header and records, nothing between them and nothing behind. `size` is how many bytes of
the file are valid, header included; what follows was being written when the server died::

    HEADER   A0 size:u64 newest:u64
    RECORD   A1 stamp:u64 size:u32 MESSAGE[size] A2

    MESSAGE  sid:u16 db:u16 A1 ksiz:varnum vsiz:varnum key[ksiz] stored[vsiz]     set
                            A2 ksiz:varnum key[ksiz]                              remove
                            A5                                                    clear

A *varnum* has seven bits in each byte, the most significant first; all bytes but the last have
their high bit set. What is *stored* begins with five bytes of expiry (seconds since the epoch, all
bits set for never), except in a database that was opened with ``ktopts=p``; the log does not say
which.

Stamps are nanoseconds since the epoch and rise strictly. Other codes than these three are not
written by the original and not applied by its slaves: they are `What.OTHER` here.

Replication sends the same messages, framed as `kt.wire.tycoon` describes. The slave answers each
message that says there is nothing more with `ACKNOWLEDGEMENT`. Who asks for that (`TELLS`) is told
now and then, before such a message, how much of the log has not been sent; that is in no file::

    MESSAGE  sid:u16 0:u16 E1 bytes:u64 changes:u64
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from kt.errors import ArgumentError, ProtocolError
from kt.types import Change, What
from kt.wire import faults
from kt.wire.magic import REPLICATION, SIZE_MAX
from kt.wire.reading import Buffer, Incomplete

HEADER_MAGIC: Final = 0xA0
RECORD_MAGIC: Final = 0xA1
RECORD_END: Final = 0xA2
SET: Final = 0xA1
REMOVE: Final = 0xA2
CLEAR: Final = 0xA5
BEHIND: Final = 0xE1

ONLY_SERVER: Final = 1
"""Flag of replication: send only what the server of that id has done."""

LOOK: Final = 0x200
"""Flag of replication: to find out what is there, not to follow. An original server ignores it."""

CONFIRMS: Final = 0x400
"""Flag of replication: what is confirmed has been applied; others may only have read it."""

EVERYTHING: Final = 0x800
"""Flag of replication: send what the server of that id has done, too. Only our servers know it."""

TELLS: Final = 0x1000
"""Flag of replication: tell how much has not been sent. An original server ignores it."""

ACKNOWLEDGEMENT: Final = bytes([REPLICATION])
"""The slave's answer to a message that says there is nothing more."""

EXPIRY_SIZE: Final = 5
NO_EXPIRY: Final = 2**40 - 1
STAMP_MAX: Final = 2**64 - 1

MESSAGE_MAX: Final = 2 * SIZE_MAX + 64
"""Longest message: a key, a value, and what says which they are."""

_HEADER: Final = struct.Struct(">BQQ")
_RECORD: Final = struct.Struct(">BQI")
_MESSAGE: Final = struct.Struct(">HHB")
_BEHIND: Final = struct.Struct(">HHBQQ")

HEADER_SIZE: Final = _HEADER.size
RECORD_OVERHEAD: Final = _RECORD.size + 1


class Header(NamedTuple):
    """Begin of a file.

    Attributes:
        size: how many of its bytes are valid, these included.
        newest: stamp of the newest record; 0 if there is none.
    """

    size: int
    newest: int


class Record(NamedTuple):
    """A message and when the server logged it."""

    stamp: int
    message: bytes


# ----------------------------------------------------------------------------------------- files


def pack_header(header: Header) -> bytes:
    """The first bytes of a file."""
    return _HEADER.pack(HEADER_MAGIC, *header)


def read_header(data: Buffer, pos: int) -> tuple[Header, int] | Incomplete[Header]:
    """What `pack_header` packs."""
    _expect(HEADER_MAGIC, data, pos)
    if len(data) < pos + _HEADER.size:
        return Incomplete(_HEADER.size, read_header)
    _, size, newest = _HEADER.unpack_from(data, pos)
    if size < _HEADER.size:
        raise ProtocolError(f"a header says that {size} bytes of the file are valid")
    return Header(size, newest), pos + _HEADER.size


def pack_record(record: Record) -> bytes:
    """A record as it is in a file."""
    head = _RECORD.pack(RECORD_MAGIC, record.stamp, len(record.message))
    return b"%b%b%c" % (head, record.message, RECORD_END)


def read_record(data: Buffer, pos: int) -> tuple[Record, int] | Incomplete[Record]:
    """What `pack_record` packs."""
    _expect(RECORD_MAGIC, data, pos)
    if len(data) < pos + _RECORD.size:
        return Incomplete(_RECORD.size, read_record)
    _, stamp, size = _RECORD.unpack_from(data, pos)
    if size > MESSAGE_MAX:
        raise faults.impossible_size(size)
    end = pos + _RECORD.size + size
    if len(data) <= end:
        return Incomplete(end + 1 - pos, read_record)
    if data[end] != RECORD_END:
        raise ProtocolError(
            f"a record ends with byte {data[end]:#04x} instead of {RECORD_END:#04x}"
        )
    return Record(stamp, bytes(data[pos + _RECORD.size : end])), end + 1


def _expect(magic: int, data: Buffer, pos: int) -> None:
    if len(data) > pos and data[pos] != magic:
        raise faults.wrong_magic(data[pos], magic)


# -------------------------------------------------------------------------------------- messages


def pack_behind(server: int, size: int, changes: int) -> bytes:
    """A message of this server that tells how much of its log has not been sent; see `TELLS`."""
    return _BEHIND.pack(server, 0, BEHIND, size, changes)


def pack_message(change: Change[bytes, bytes], *, persistent: bool = False) -> bytes:
    """A change as a message.

    Args:
        change: what to pack; its stamp travels beside the message.
        persistent: the database was opened with ``ktopts=p``: no expiry is stored.

    Raises:
        ArgumentError: Kyoto Tycoon has no such change, or a number does not fit.
    """
    what, key, value = change.what, change.key or b"", change.value or b""
    if what is What.SET:
        expiry = NO_EXPIRY if change.expiry is None else min(max(change.expiry, 0), NO_EXPIRY)
        stored = value if persistent else expiry.to_bytes(EXPIRY_SIZE) + value
        code = SET
        body = pack_varnum(len(key)) + pack_varnum(len(stored)) + key + stored
    elif what is What.REMOVE:
        code, body = REMOVE, pack_varnum(len(key)) + key
    elif what is What.CLEAR:
        code, body = CLEAR, b""
    elif what is What.OTHER and isinstance(change.number, int):
        code, body = change.number, b"".join(change.items)
    else:
        raise ArgumentError(f"Kyoto Tycoon's log has no {what.value}")
    try:
        return _MESSAGE.pack(change.sid, change.db, code) + body
    except struct.error as error:
        raise ArgumentError(f"a number does not fit its field: {change!r} ({error})") from error


def decode_message(record: Record, *, persistent: bool = False) -> Change[bytes, bytes]:
    """The change that a message describes.

    Args:
        record: message and time stamp.
        persistent: the database was opened with ``ktopts=p``: no expiry is stored.

    Raises:
        ProtocolError: it is no message, or not of such a database.
    """
    stamp, message = record
    if len(message) < _MESSAGE.size:
        raise ProtocolError(f"a message of {len(message)} bytes is too short")
    sid, db, code = _MESSAGE.unpack_from(message)
    if code == SET:
        return _decode_set(record, sid, db, persistent)
    if code == REMOVE:
        size, at = read_varnum(message, _MESSAGE.size)
        _expect_end(message, at + size)
        return Change(What.REMOVE, stamp, sid, db, message[at:])
    if code == CLEAR:
        _expect_end(message, _MESSAGE.size)
        return Change(What.CLEAR, stamp, sid, db)
    items = (message[_MESSAGE.size :],)
    return Change(What.OTHER, stamp, sid, db, number=code, items=items)


def _decode_set(record: Record, sid: int, db: int, persistent: bool) -> Change[bytes, bytes]:
    stamp, message = record
    key_size, at = read_varnum(message, _MESSAGE.size)
    stored_size, at = read_varnum(message, at)
    _expect_end(message, at + key_size + stored_size)
    key, stored = message[at : at + key_size], message[at + key_size :]
    if persistent:
        return Change(What.SET, stamp, sid, db, key, stored)
    expiry, value = split_stored(stored, db)
    return Change(What.SET, stamp, sid, db, key, value, expiry)


def split_stored(stored: bytes, db: int) -> tuple[int | None, bytes]:
    """Expiry and value of what is stored in a database without ``ktopts=p``."""
    if len(stored) < EXPIRY_SIZE:
        raise ProtocolError(
            f"a value of {len(stored)} bytes has no expiry: database {db} has ktopts=p, it seems"
        )
    expiry = int.from_bytes(stored[:EXPIRY_SIZE])
    return (None if expiry == NO_EXPIRY else expiry), stored[EXPIRY_SIZE:]


def _expect_end(message: bytes, end: int) -> None:
    if len(message) != end:
        raise ProtocolError(f"a message has {len(message)} bytes and describes {end}")


def pack_varnum(number: int) -> bytes:
    """A number in as few bytes as it needs, seven bits in each."""
    groups = [number & 0x7F]
    while number := number >> 7:
        groups.append(number & 0x7F | 0x80)
    return bytes(reversed(groups))


def read_varnum(data: Buffer, at: int) -> tuple[int, int]:
    """What `pack_varnum` packs, and where it ends. Raises `ProtocolError`."""
    number = 0
    for end in range(at, min(at + 10, len(data))):
        number = number << 7 | data[end] & 0x7F
        if data[end] < 0x80:
            return number, end + 1
    raise ProtocolError("a size has no end")


# ------------------------------------------------------------------------------ streams: the master


def read_acknowledgement(data: Buffer, pos: int) -> tuple[None, int] | Incomplete[None]:
    """The slave's answer to a message that says there is nothing more."""
    _expect(REPLICATION, data, pos)
    return (None, pos + 1) if len(data) > pos else Incomplete(1, read_acknowledgement)


def pack_change(change: Change[bytes, bytes], *, persistent: bool = False) -> bytes:
    """A change as a record of a file."""
    return pack_record(Record(change.stamp, pack_message(change, persistent=persistent)))
