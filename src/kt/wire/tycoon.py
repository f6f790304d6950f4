"""Kyoto Tycoon's binary protocol: both directions of every command.

All integers are big-endian. A message begins with a byte that names the command; any number of
messages follow each other on a connection, and replies come in the order of their requests::

    request                                             reply
    get_bulk     BA flags:u32 count:u32 KEY...          BA count:u32 RECORD...
    set_bulk     B8 flags:u32 count:u32 RECORD...       B8 stored:u32
    remove_bulk  B9 flags:u32 count:u32 KEY...          B9 removed:u32
    play_script  B4 flags:u32 size:u32 count:u32        B4 count:u32 PAIR...
                    name[size] PAIR...
    replication  B1 flags:u32 since:u64 server:u16      B1 UPDATE...

    KEY     db:u16 ksiz:u32 key[ksiz]
    RECORD  db:u16 ksiz:u32 vsiz:u32 xt:i64 key[ksiz] value[vsiz]
    PAIR           ksiz:u32 vsiz:u32        key[ksiz] value[vsiz]
    UPDATE  B1 stamp:u64 size:u32 message[size], or B0 stamp:u64 where there is none

Instead of its reply a failed command is answered by the single byte BF. With the flag `NO_REPLY`
nothing is answered, except by get_bulk, which ignores flags.

`xt`, the expiry, is positive in a request for seconds from now, negative for seconds since the
epoch, and `NEVER` for none. In a reply it is always seconds since the epoch, and 2**40 - 1 for
none. Updates come for as long as the connection lasts; each B0 is answered by the byte B1.

Single records have kernels of their own (`pack_get`, `read_get_reply`...). Bulk replies are read
as *frames*, the reply's own bytes, and decoded in a second step, so that a value that does not
decode leaves the connection in step.

Source: the original server's ktserver.cc and client's ktremotedb.h, and recorded traffic.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from functools import partial, wraps
from typing import Any, NamedTuple, TypeVar, cast

from kt.errors import ArgumentError, KTError, ServerError
from kt.wire import faults
from kt.wire.codec import (
    cut,
    decode_details,
    decode_pairs,
    decode_records,
    encode_key,
    pack_details,
    pack_get,
    pack_key_details,
    pack_keys,
    pack_pairs,
    pack_records,
    pack_remove,
    pack_set,
    read_get_reply,
    read_remove_bulk_reply,
    read_set_bulk_reply,
    skip_records,
)
from kt.wire.magic import (
    ERROR,
    GET_BULK,
    KEY_HEAD,
    NEVER,
    NO_REPLY,
    NOP,
    PAIR_HEAD,
    PLAY_SCRIPT,
    RECORD_HEAD,
    REMOVE_BULK,
    REPLICATION,
    SET_BULK,
    SIZE_MAX,
)
from kt.wire.reading import Buffer, Incomplete, Reader
from kt.wire.values import Dumps, Key, Loads

__all__ = [
    # what every message is made of
    "NOP",
    "REPLICATION",
    "PLAY_SCRIPT",
    "SET_BULK",
    "REMOVE_BULK",
    "GET_BULK",
    "ERROR",
    "NO_REPLY",
    "NEVER",
    "SIZE_MAX",
    # the client's side: one record
    "pack_get",
    "read_get_reply",
    "pack_set",
    "pack_remove",
    # the client's side: many records
    "pack_get_bulk",
    "pack_get_bulk_details",
    "read_get_bulk_reply",
    "decode_get_bulk",
    "decode_get_bulk_details",
    "pack_set_bulk",
    "pack_set_bulk_details",
    "read_set_bulk_reply",
    "records_of",
    "pack_remove_bulk",
    "pack_remove_bulk_details",
    "read_remove_bulk_reply",
    "pack_play_script",
    "read_play_script_reply",
    "decode_play_script",
    "pack_replication",
    "read_replication_reply",
    "Update",
    "read_update",
    # the server's side
    "GetBulk",
    "SetBulk",
    "RemoveBulk",
    "PlayScript",
    "Replication",
    "read_get_bulk",
    "read_set_bulk",
    "read_remove_bulk",
    "read_play_script",
    "read_replication",
    "pack_get_bulk_reply",
    "pack_set_bulk_reply",
    "pack_remove_bulk_reply",
    "pack_play_script_reply",
    "REPLICATION_REPLY",
    "pack_update",
    "ERROR_REPLY",
]

T = TypeVar("T")

ERROR_REPLY = bytes([ERROR])
REPLICATION_REPLY = bytes([REPLICATION])

_U32 = struct.Struct(">I")
_HEAD = struct.Struct(">BI")
_BULK = struct.Struct(">BII")
_KEY = struct.Struct(">HI")
_SCRIPT = struct.Struct(">BIII")
_REPLICATION = struct.Struct(">BIQH")
_NO_UPDATE = struct.Struct(">BQ")
_UPDATE = struct.Struct(">BQI")
_UPDATE_MAX = 2 * SIZE_MAX + 64  # a key, a value, and what says which they are
_NOP_BYTE = bytes([NOP])


def _head(magic: int, flags: int) -> bytes:
    try:
        return _HEAD.pack(magic, flags)
    except struct.error as error:
        raise ArgumentError(f"flags must be in 0..{0xFFFFFFFF}, not {flags!r}") from error


Packer = TypeVar("Packer", bound=Callable[..., bytes])


def of_items(what: str) -> Callable[[Packer], Packer]:
    """Let what packs an iterable of these say so where it gets something else."""

    def decorate(pack: Packer) -> Packer:
        @wraps(pack)
        def packed(*arguments: Any) -> bytes:
            try:
                return pack(*arguments)
            except KTError:
                raise
            except (TypeError, ValueError) as error:
                raise faults.wrong_items(what, error) from error

        return cast("Packer", packed)

    return decorate


# ----------------------------------------------------------------------------- client: requests

_GET_BULK_HEAD = _head(GET_BULK, 0)


def pack_get_bulk(keys: Iterable[Key], db: int) -> bytes:
    """Request for the records of some keys of one database."""
    return pack_keys(_GET_BULK_HEAD, keys, db)


@of_items("(db, key)")
def pack_get_bulk_details(keys: Iterable[tuple[int, Key]]) -> bytes:
    """Request for the records of some (database, key)."""
    return pack_key_details(_GET_BULK_HEAD, keys)


def pack_set_bulk(
    records: Mapping[Any, Any], db: int, xt: int, dumps: Dumps, flags: int = 0
) -> bytes:
    """Request to store records, key to value, with the same expiry."""
    return pack_records(_head(SET_BULK, flags), records, db, xt, dumps)


@of_items("(db, key, value, expire_time)")
def pack_set_bulk_details(
    records: Iterable[tuple[int, Key, Any, int]], dumps: Dumps, flags: int = 0
) -> bytes:
    """Request to store some (database, key, value, expiry)."""
    return pack_details(_head(SET_BULK, flags), records, dumps)


def records_of(request: bytes) -> int:
    """How many records a request to store records has."""
    count: int = _U32.unpack_from(request, 5)[0]
    return count


def database_of(request: bytes) -> int:
    """The database of the first record of a request to store records."""
    return int.from_bytes(request[9:11])


def pack_remove_bulk(keys: Iterable[Key], db: int, flags: int = 0) -> bytes:
    """Request to remove some keys from one database."""
    return pack_keys(_head(REMOVE_BULK, flags), keys, db)


@of_items("(db, key)")
def pack_remove_bulk_details(keys: Iterable[tuple[int, Key]], flags: int = 0) -> bytes:
    """Request to remove some (database, key)."""
    return pack_key_details(_head(REMOVE_BULK, flags), keys)


def pack_play_script(name: Key, records: Mapping[Any, Any], dumps: Dumps, flags: int = 0) -> bytes:
    """Request to call the Lua function `name` with a map of parameters."""
    function = encode_key(name)
    count, pairs = pack_pairs(records, dumps)
    return b"%b%b%b%b%b" % (
        _head(PLAY_SCRIPT, flags),
        _U32.pack(len(function)),
        _U32.pack(count),
        function,
        pairs,
    )


def pack_replication(since: int, server: int, flags: int = 0) -> bytes:
    """Request for the updates since a time stamp (ns) that `server` has not made itself."""
    try:
        return _REPLICATION.pack(REPLICATION, flags, since, server)
    except struct.error as error:
        raise ArgumentError(f"replication cannot be asked for: {error}") from error


# -------------------------------------------------------------------------------------- framing


def _expect(magic: int, data: Buffer, pos: int) -> None:
    if len(data) > pos and data[pos] != magic:
        raise faults.wrong_magic(data[pos], magic)


def _frame(frame: bytes) -> bytes:
    return frame


def _read_records(
    layout: int,
    build: Callable[[bytes], T],
    progress: tuple[int, int],
    data: Buffer,
    pos: int,
) -> tuple[T, int] | Incomplete[T]:
    """Read on at `progress`, (offset of a record, records left), and build a value at the end."""
    at, left, need = skip_records(data, pos + progress[0], progress[1], layout)
    if left:
        resume = partial(_read_records, layout, build, (at - pos, left))
        return Incomplete(at - pos + need, resume)
    return build(cut(data, pos, at)), at


def _read_bulk(
    head: struct.Struct, layout: int, build: Callable[[bytes], T], data: Buffer, pos: int
) -> tuple[T, int] | Incomplete[T]:
    """A message with a fixed `head`, whose last field is the number of the records after it."""
    if len(data) < pos + head.size:
        return Incomplete(head.size, partial(_read_bulk, head, layout, build))
    count = head.unpack_from(data, pos)[-1]
    return _read_records(layout, build, (head.size, count), data, pos)


# ------------------------------------------------------------------------------ client: replies


def _read_reply(
    magic: int, layout: int, resume: Reader[bytes | ServerError], data: Buffer, pos: int
) -> tuple[bytes | ServerError, int] | Incomplete[bytes | ServerError]:
    """A frame of records, or an error."""
    if len(data) == pos:
        return Incomplete(1, resume)
    if data[pos] == magic:
        return _read_bulk(_HEAD, layout, _frame, data, pos)
    if data[pos] == ERROR:
        return faults.request_failed(), pos + 1
    raise faults.wrong_magic(data[pos], magic)


def _count(frame: bytes) -> int:
    count: int = _U32.unpack_from(frame, 1)[0]
    return count


def read_get_bulk_reply(
    data: Buffer, pos: int
) -> tuple[bytes | ServerError, int] | Incomplete[bytes | ServerError]:
    """A frame for `decode_get_bulk` or `decode_get_bulk_details`."""
    return _read_reply(GET_BULK, RECORD_HEAD, read_get_bulk_reply, data, pos)


def decode_get_bulk(frame: bytes, decode_keys: bool, loads: Loads) -> dict[Any, Any]:
    """Key to value of the records that were found. Raises `ValueFailure`."""
    return decode_records(frame, _HEAD.size, _count(frame), decode_keys, loads)


def decode_get_bulk_details(
    frame: bytes, decode_keys: bool, loads: Loads
) -> list[tuple[int, Any, Any, int]]:
    """(database, key, value, expiry) of the records that were found. Raises `ValueFailure`."""
    return decode_details(frame, _HEAD.size, _count(frame), decode_keys, loads)


def read_play_script_reply(
    data: Buffer, pos: int
) -> tuple[bytes | ServerError, int] | Incomplete[bytes | ServerError]:
    """A frame for `decode_play_script`."""
    return _read_reply(PLAY_SCRIPT, PAIR_HEAD, read_play_script_reply, data, pos)


def decode_play_script(frame: bytes, decode_keys: bool, loads: Loads) -> dict[Any, Any]:
    """The map that the Lua function returned. Raises `ValueFailure`."""
    return decode_pairs(frame, _HEAD.size, _count(frame), decode_keys, loads)


def read_replication_reply(
    data: Buffer, pos: int
) -> tuple[bool | ServerError, int] | Incomplete[bool | ServerError]:
    """True if updates follow: `read_update` reads each."""
    if data[pos : pos + 1] == ERROR_REPLY:
        return faults.request_failed(), pos + 1
    _expect(REPLICATION, data, pos)
    return (True, pos + 1) if len(data) > pos else Incomplete(1, read_replication_reply)


class Update(NamedTuple):
    """What a server did up to `stamp` (nanoseconds); no message if it did nothing."""

    stamp: int
    message: bytes | None


def read_update(data: Buffer, pos: int) -> tuple[Update, int] | Incomplete[Update]:
    """What `pack_update` packs."""
    if data[pos : pos + 1] != _NOP_BYTE:
        _expect(REPLICATION, data, pos)
    if len(data) < pos + _NO_UPDATE.size:
        return Incomplete(_NO_UPDATE.size, read_update)
    magic, stamp = _NO_UPDATE.unpack_from(data, pos)
    if magic == NOP:
        return Update(stamp, None), pos + _NO_UPDATE.size
    if len(data) < pos + _UPDATE.size:
        return Incomplete(_UPDATE.size, read_update)
    size = _UPDATE.unpack_from(data, pos)[2]
    if size > _UPDATE_MAX:
        raise faults.impossible_sizes(size)
    begin = pos + _UPDATE.size
    if len(data) < begin + size:
        return Incomplete(_UPDATE.size + size, read_update)
    return Update(stamp, cut(data, begin, begin + size)), begin + size


# ----------------------------------------------------------------------------- server: requests


class GetBulk(NamedTuple):
    """Keys to look up, as (database, key)."""

    flags: int
    keys: list[tuple[int, bytes]]


class SetBulk(NamedTuple):
    """Records to store, as (database, key, value, expiry)."""

    flags: int
    records: list[tuple[int, bytes, bytes, int]]


class RemoveBulk(NamedTuple):
    """Keys to remove, as (database, key)."""

    flags: int
    keys: list[tuple[int, bytes]]


class PlayScript(NamedTuple):
    """Lua function to call, and its parameters."""

    flags: int
    name: bytes
    records: dict[bytes, bytes]


class Replication(NamedTuple):
    """Updates to send: those since `since` (nanoseconds) that `server` has not made itself."""

    flags: int
    since: int
    server: int


def _decode_keys(frame: bytes, count: int) -> list[tuple[int, bytes]]:
    keys = []
    at = _BULK.size
    for _ in range(count):
        db, size = _KEY.unpack_from(frame, at)
        at += KEY_HEAD + size
        keys.append((db, frame[at - size : at]))
    return keys


def _build_get_bulk(frame: bytes) -> GetBulk:
    _, flags, count = _BULK.unpack_from(frame)
    return GetBulk(flags, _decode_keys(frame, count))


def read_get_bulk(data: Buffer, pos: int) -> tuple[GetBulk, int] | Incomplete[GetBulk]:
    """What `pack_get`, `pack_get_bulk` and `pack_get_bulk_details` pack."""
    _expect(GET_BULK, data, pos)
    return _read_bulk(_BULK, KEY_HEAD, _build_get_bulk, data, pos)


def _build_set_bulk(frame: bytes) -> SetBulk:
    _, flags, count = _BULK.unpack_from(frame)
    return SetBulk(flags, decode_details(frame, _BULK.size, count, False, None))


def read_set_bulk(data: Buffer, pos: int) -> tuple[SetBulk, int] | Incomplete[SetBulk]:
    """What `pack_set`, `pack_set_bulk` and `pack_set_bulk_details` pack."""
    _expect(SET_BULK, data, pos)
    return _read_bulk(_BULK, RECORD_HEAD, _build_set_bulk, data, pos)


def _build_remove_bulk(frame: bytes) -> RemoveBulk:
    _, flags, count = _BULK.unpack_from(frame)
    return RemoveBulk(flags, _decode_keys(frame, count))


def read_remove_bulk(data: Buffer, pos: int) -> tuple[RemoveBulk, int] | Incomplete[RemoveBulk]:
    """What `pack_remove`, `pack_remove_bulk` and `pack_remove_bulk_details` pack."""
    _expect(REMOVE_BULK, data, pos)
    return _read_bulk(_BULK, KEY_HEAD, _build_remove_bulk, data, pos)


def _build_play_script(frame: bytes) -> PlayScript:
    _, flags, size, count = _SCRIPT.unpack_from(frame)
    name_end = _SCRIPT.size + size
    records = decode_pairs(frame, name_end, count, False, None)
    return PlayScript(flags, frame[_SCRIPT.size : name_end], records)


def read_play_script(data: Buffer, pos: int) -> tuple[PlayScript, int] | Incomplete[PlayScript]:
    """What `pack_play_script` packs."""
    _expect(PLAY_SCRIPT, data, pos)
    if len(data) < pos + _SCRIPT.size:
        return Incomplete(_SCRIPT.size, read_play_script)
    _, _, size, count = _SCRIPT.unpack_from(data, pos)
    if size > SIZE_MAX:
        raise faults.impossible_sizes(size)
    offset = _SCRIPT.size + size
    if len(data) < pos + offset:
        return Incomplete(offset, read_play_script)
    return _read_records(PAIR_HEAD, _build_play_script, (offset, count), data, pos)


def read_replication(data: Buffer, pos: int) -> tuple[Replication, int] | Incomplete[Replication]:
    """What `pack_replication` packs."""
    _expect(REPLICATION, data, pos)
    if len(data) < pos + _REPLICATION.size:
        return Incomplete(_REPLICATION.size, read_replication)
    _, *fields = _REPLICATION.unpack_from(data, pos)
    return Replication._make(fields), pos + _REPLICATION.size


# ------------------------------------------------------------------------------ server: replies


def pack_get_bulk_reply(records: Iterable[tuple[int, bytes, bytes, int]]) -> bytes:
    """Reply with some (database, key, value, expiry)."""
    return pack_details(bytes([GET_BULK]), records, None)


def pack_set_bulk_reply(stored: int) -> bytes:
    """Reply with the number of records that were stored."""
    return _HEAD.pack(SET_BULK, stored)


def pack_remove_bulk_reply(removed: int) -> bytes:
    """Reply with the number of records that were removed."""
    return _HEAD.pack(REMOVE_BULK, removed)


def pack_update(update: Update) -> bytes:
    """A message of the stream of updates."""
    if update.message is None:
        return _NO_UPDATE.pack(NOP, update.stamp)
    return _UPDATE.pack(REPLICATION, update.stamp, len(update.message)) + update.message


def pack_play_script_reply(records: Mapping[bytes, bytes]) -> bytes:
    """Reply with the map that the Lua function returned, in the order of its keys."""
    count, pairs = pack_pairs(dict(sorted(records.items())), None)
    return _HEAD.pack(PLAY_SCRIPT, count) + pairs
