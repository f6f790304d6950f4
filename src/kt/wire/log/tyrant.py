"""Tokyo Tyrant's update log: files, records and commands. All integers are big-endian.

A file is records, nothing before them and nothing between them::

    RECORD   C9 stamp:u64 sid:u16 mid:u16 size:u32 COMMAND[size]
    COMMAND  C8 code:u8 body... failed:u8

`stamp` is in microseconds since the epoch; it may repeat, and step back by some milliseconds where
the log is written asynchronously. `sid` is the server where the command was given, `mid` the master
it came from, 0 if it was given here. The body is that of the request of the same code in
`kt.wire.tyrant`, except that misc has no flags::

    put 10, putkeep 11, putcat 12   ksiz:u32 vsiz:u32 key value
    putshl 13                       ksiz:u32 vsiz:u32 width:i32 key value
    out 20                          ksiz:u32 key
    addint 60                       ksiz:u32 n:i32 key
    adddouble 61                    ksiz:u32 REAL key
    sync 70, vanish 72
    optimize 71                     size:u32 parameters
    misc 90                         nsiz:u32 count:u32 name ITEM...

Replication sends the same commands, framed as `kt.wire.tyrant` describes, with a sid of four bytes
and without mid.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, NamedTuple, TypeAlias, TypeVar

from kt.errors import ArgumentError, ProtocolError
from kt.types import Change, What
from kt.wire import faults, tyrant, tyrant_server
from kt.wire import tyrant_commands as commands
from kt.wire.codec import decode_items, pack_items, pack_record_command, skip_items
from kt.wire.reading import Buffer, Incomplete, Reader

T = TypeVar("T")
Bytes: TypeAlias = Change[bytes, bytes]

RECORD_MAGIC: Final = commands.UPDATE
STAMP_MAX: Final = 2**64 - 1
NANOSECONDS: Final = 1000
"""In the unit of a stamp."""

READING: Final = frozenset(
    (
        b"get",
        b"getlist",
        b"getpart",
        b"iterinit",
        b"iternext",
        b"range",
        b"regex",
        b"fwmkeys",
        b"vsiz",
        b"rnum",
        b"size",
        b"error",
        b"cacheclear",
    )
)
"""Functions that change no record; the log has them all the same. (search may remove: "out".)"""

_RECORD: Final = struct.Struct(">BQHHI")
_MISC: Final = struct.Struct(">II")
_HEAD: Final = 2  # magic and code
_MISC_HEAD: Final = bytes((commands.MAGIC, commands.MISC))

RECORD_OVERHEAD: Final = _RECORD.size


class Record(NamedTuple):
    """A command, and when it was given where.

    Attributes:
        stamp: microseconds since the epoch.
        sid: id of the server where it was given.
        mid: id of the master it came from; 0 if it was given here.
        command: the request, and one byte that is 1 if it failed.
    """

    stamp: int
    sid: int
    mid: int
    command: bytes


# ----------------------------------------------------------------------------------------- files


def pack_record(record: Record) -> bytes:
    """A record as it is in a file."""
    stamp, sid, mid, command = record
    try:
        return _RECORD.pack(RECORD_MAGIC, stamp, sid, mid, len(command)) + command
    except struct.error as error:
        raise ArgumentError(f"a number does not fit its field: {record!r} ({error})") from error


def read_record(data: Buffer, pos: int) -> tuple[Record, int] | Incomplete[Record]:
    """What `pack_record` packs."""
    if len(data) > pos and data[pos] != RECORD_MAGIC:
        raise faults.wrong_magic(data[pos], RECORD_MAGIC)
    if len(data) < pos + _RECORD.size:
        return Incomplete(_RECORD.size, read_record)
    _, stamp, sid, mid, size = _RECORD.unpack_from(data, pos)
    if size > commands.UPDATE_MAX:
        raise faults.impossible_size(size)
    begin = pos + _RECORD.size
    if len(data) < begin + size:
        return Incomplete(_RECORD.size + size, read_record)
    return Record(stamp, sid, mid, bytes(data[begin : begin + size])), begin + size


# --------------------------------------------------------------------------------------- commands


def pack_command(change: Bytes) -> bytes:
    """A change as a command. Raises `ArgumentError` if Tokyo Tyrant has none for it."""
    pack = _PACK.get(change.what)
    if pack is None or (change.number is None and change.what in _NUMBERED):
        raise ArgumentError(f"Tokyo Tyrant's log cannot have {change!r}")
    return pack(change) + bytes((change.failed,))


def decode_command(record: Record) -> Bytes:
    """The change that a command describes; `ProtocolError` if it describes none."""
    stamp, sid, mid, command = record
    if len(command) <= _HEAD or command[0] != commands.MAGIC:
        raise ProtocolError(f"{len(command)} bytes that are no command: {command[:20]!r}")
    if command[-1] > 1:
        raise ProtocolError(f"a command ends with {command[-1]:#04x}, neither success nor failure")
    decode = _DECODE.get(command[1], _decode_other)
    return decode(command[:-1])._replace(
        stamp=stamp * NANOSECONDS, sid=sid, mid=mid, failed=bool(command[-1])
    )


_NUMBERED: Final = (What.SHIFT, What.ADD_INT, What.ADD_DOUBLE, What.OTHER)


def _key(change: Bytes) -> bytes:
    return change.key or b""


def _put(code: int, change: Bytes) -> bytes:
    return pack_record_command(code, _key(change), change.value or b"")


def _pack_call(change: Bytes) -> bytes:
    name = change.name or b""
    return pack_items(_MISC_HEAD + commands.U32.pack(len(name)), name, change.items)


def _pack_other(change: Bytes) -> bytes:
    return bytes((commands.MAGIC, int(change.number or 0))) + b"".join(change.items)


_PACK: Final[Mapping[What, Callable[[Bytes], bytes]]] = {
    What.SET: partial(_put, commands.PUT),
    What.KEEP: partial(_put, commands.PUTKEEP),
    What.APPEND: partial(_put, commands.PUTCAT),
    What.SHIFT: lambda change: tyrant.pack_putshl(
        _key(change), change.value or b"", int(change.number or 0)
    ),
    What.REMOVE: lambda change: tyrant.pack_out(_key(change)),
    What.ADD_INT: lambda change: tyrant.pack_addint(_key(change), int(change.number or 0)),
    What.ADD_DOUBLE: lambda change: tyrant.pack_adddouble(_key(change), change.number or 0),
    What.SYNC: lambda change: tyrant.SYNC_REQUEST,
    What.OPTIMIZE: lambda change: tyrant.pack_optimize(b"".join(change.items)),
    What.CLEAR: lambda change: tyrant.VANISH_REQUEST,
    What.CALL: _pack_call,
    What.OTHER: _pack_other,
}


def _whole(read: Reader[T], request: bytes) -> T:
    """What `read` makes of a request; raises `ProtocolError` unless it is all of it."""
    reading = read(request, 0)
    if isinstance(reading, Incomplete) or reading[1] != len(request):
        raise ProtocolError(f"a command does not fit its {len(request)} bytes: {request[:20]!r}")
    return reading[0]


def _change(what: What, key: bytes | None = None, value: bytes | None = None) -> Bytes:
    return Change(what, 0, 0, 0, key, value)


def _decode_put(what: What, read: Reader[tyrant_server.Record], request: bytes) -> Bytes:
    return _change(what, *_whole(read, request))


def _decode_shift(request: bytes) -> Bytes:
    key, value, width = _whole(tyrant_server.read_putshl, request)
    return _change(What.SHIFT, key, value)._replace(number=width)


def _decode_addint(request: bytes) -> Bytes:
    key, n = _whole(tyrant_server.read_addint, request)
    return _change(What.ADD_INT, key)._replace(number=n)


def _decode_adddouble(request: bytes) -> Bytes:
    key, n = _whole(tyrant_server.read_adddouble, request)
    return _change(What.ADD_DOUBLE, key)._replace(number=n)


def _decode_bare(what: What, request: bytes) -> Bytes:
    if len(request) != _HEAD:
        raise ProtocolError(f"{what.value} has no body: {request[:20]!r}")
    return _change(what)


def _decode_optimize(request: bytes) -> Bytes:
    return _change(What.OPTIMIZE)._replace(items=(_whole(tyrant_server.read_optimize, request),))


def _decode_call(request: bytes) -> Bytes:
    if len(request) < _HEAD + _MISC.size:
        raise ProtocolError(f"misc does not fit its {len(request)} bytes: {request!r}")
    size, count = _MISC.unpack_from(request, _HEAD)
    begin = _HEAD + _MISC.size + size
    at, left, _ = skip_items(request, begin, count) if begin <= len(request) else (0, 1, 0)
    if left or at != len(request):
        raise ProtocolError(f"misc does not fit its {len(request)} bytes: {request[:20]!r}")
    items = decode_items(request, begin, count, False)
    name = request[begin - size : begin]
    return _change(What.CALL)._replace(name=name, items=tuple(items))


def _decode_other(request: bytes) -> Bytes:
    return _change(What.OTHER)._replace(number=request[1], items=(request[_HEAD:],))


_DECODE: Final[Mapping[int, Callable[[bytes], Bytes]]] = {
    commands.PUT: partial(_decode_put, What.SET, tyrant_server.read_put),
    commands.PUTKEEP: partial(_decode_put, What.KEEP, tyrant_server.read_putkeep),
    commands.PUTCAT: partial(_decode_put, What.APPEND, tyrant_server.read_putcat),
    commands.PUTSHL: _decode_shift,
    commands.OUT: lambda request: _change(What.REMOVE, _whole(tyrant_server.read_out, request)),
    commands.ADDINT: _decode_addint,
    commands.ADDDOUBLE: _decode_adddouble,
    commands.SYNC: partial(_decode_bare, What.SYNC),
    commands.OPTIMIZE: _decode_optimize,
    commands.VANISH: partial(_decode_bare, What.CLEAR),
    commands.MISC: _decode_call,
}
