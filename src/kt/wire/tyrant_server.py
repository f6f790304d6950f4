"""Tokyo Tyrant's binary protocol, the server's side: requests are read and replies are packed.

`kt.wire.tyrant` has the client's side and describes the messages. A server that finds bytes which
begin no request gets a `ProtocolError` from every reader; the original hangs up then.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from kt.wire import faults
from kt.wire import tyrant_commands as commands
from kt.wire.codec import cut, decode_items, pack_items, skip_items
from kt.wire.magic import SIZE_MAX
from kt.wire.reading import Buffer, Incomplete, Reader
from kt.wire.tyrant import Update
from kt.wire.values import Key

T = TypeVar("T")

_TWO_SIZES = struct.Struct(">II")
_MISC_HEAD = struct.Struct(">III")

# ----------------------------------------------------------------------------- server: requests


class Record(NamedTuple):
    """What put, putkeep, putcat and putnr ask to store."""

    key: bytes
    value: bytes


class PutShl(NamedTuple):
    """What to append, and how many bytes to keep."""

    key: bytes
    value: bytes
    width: int


class FwmKeys(NamedTuple):
    """Which keys to find; a negative `maximum` is none."""

    prefix: bytes
    maximum: int


class AddInt(NamedTuple):
    """What to add to an integer."""

    key: bytes
    n: int


class AddDouble(NamedTuple):
    """What to add to a double."""

    key: bytes
    n: float


class Ext(NamedTuple):
    """Lua function to call."""

    name: bytes
    key: bytes
    value: bytes
    flags: int


class Restore(NamedTuple):
    """Update log to apply."""

    path: bytes
    since: int
    flags: int


class SetMaster(NamedTuple):
    """Master to replicate from; none if `host` is empty."""

    host: bytes
    port: int
    since: int
    flags: int


class Misc(NamedTuple):
    """Function of the database to call."""

    name: bytes
    items: list[bytes]
    flags: int


class Repl(NamedTuple):
    """Updates to send: those since `since` that `server` has not made itself."""

    since: int
    server: int


class _Layout(NamedTuple):
    """What a request is made of.

    Attributes:
        command: its number.
        numbers: the numbers that come first.
        sizes: which of them are the sizes of the data that follows.
    """

    command: int
    numbers: struct.Struct
    sizes: tuple[int, ...] = ()


def _read_request(
    layout: _Layout, value: Callable[..., T], data: Buffer, pos: int
) -> tuple[T, int] | Incomplete[T]:
    """A request of numbers and data; `value` makes the result of the data and the other numbers."""
    command, fields, positions = layout
    _expect(command, data, pos)
    begin = pos + 2 + fields.size
    if len(data) < begin:
        return Incomplete(2 + fields.size, partial(_read_request, layout, value))
    numbers = fields.unpack_from(data, pos + 2)
    sizes = [numbers[position] for position in positions]
    if max(sizes, default=0) > SIZE_MAX:
        raise faults.impossible_size(max(sizes))
    if len(data) < begin + sum(sizes):
        return Incomplete(begin - pos + sum(sizes), partial(_read_request, layout, value))
    blobs = []
    for size in sizes:
        blobs.append(cut(data, begin, begin + size))
        begin += size
    others = [number for index, number in enumerate(numbers) if index not in positions]
    return value(*blobs, *others), begin


def _read_list(
    command: int,
    value: Callable[[bytes], T],
    seen: tuple[int, int] | None,
    data: Buffer,
    pos: int,
) -> tuple[T, int] | Incomplete[T]:
    """A request that ends with a list; `seen` is the offset in it and how many items are left."""
    head = 14 if command == commands.MISC else 6
    _expect(command, data, pos)
    if seen is None:
        if len(data) < pos + head:
            return Incomplete(head, partial(_read_list, command, value, None))
        (left,) = commands.U32.unpack_from(data, pos + head - 4)
        if left > commands.ITEMS_MAX:
            raise faults.too_many_items(left, commands.ITEMS_MAX)
        seen = head + (_name_size(data, pos) if command == commands.MISC else 0), left
    offset, left = seen
    if len(data) < pos + offset:
        return Incomplete(offset, partial(_read_list, command, value, seen))
    at, left, need = skip_items(data, pos + offset, left)
    if left:
        seen = at - pos, left
        return Incomplete(at - pos + need, partial(_read_list, command, value, seen))
    return value(cut(data, pos, at)), at


def _name_size(data: Buffer, pos: int) -> int:
    """Size of the name between the numbers of misc and its list."""
    size: int = commands.U32.unpack_from(data, pos + 2)[0]
    if size > commands.NAME_MAX:
        raise faults.impossible_size(size)
    return size


def _expect(command: int, data: Buffer, pos: int) -> None:
    for index, byte in enumerate((commands.MAGIC, command)):
        if len(data) > pos + index and data[pos + index] != byte:
            raise faults.wrong_magic(data[pos + index], byte)


def _nothing() -> None:
    return None


def _request(layout: _Layout, value: Callable[..., T]) -> Reader[T]:
    return partial(_read_request, layout, value)


def _list(command: int, value: Callable[[bytes], T]) -> Reader[T]:
    return partial(_read_list, command, value, None)


def _bare(command: int) -> Reader[None]:
    return _request(_Layout(command, commands.NO_NUMBERS), _nothing)


def _one(command: int) -> Reader[bytes]:
    return _request(_Layout(command, commands.U32, (0,)), bytes)


def _record(command: int) -> Reader[Record]:
    return _request(_Layout(command, _TWO_SIZES, (0, 1)), Record)


def _make_putshl(key: bytes, value: bytes, width: int) -> PutShl:
    if width < 0:
        raise faults.impossible_size(width)
    return PutShl(key, value, width)


def _make_adddouble(key: bytes, integral: int, fraction: int) -> AddDouble:
    return AddDouble(key, commands.join_real(integral, fraction))


def _make_mget(request: bytes) -> list[bytes]:
    return decode_items(request, 6, commands.U32.unpack_from(request, 2)[0], False)


def _make_misc(request: bytes) -> Misc:
    size, flags, count = _MISC_HEAD.unpack_from(request, 2)
    end = 14 + size
    return Misc(request[14:end], decode_items(request, end, count, False), flags)


read_put = _record(commands.PUT)
read_putkeep = _record(commands.PUTKEEP)
read_putcat = _record(commands.PUTCAT)
read_putshl: Reader[PutShl] = _request(
    _Layout(commands.PUTSHL, commands.PUTSHL_NUMBERS, (0, 1)), _make_putshl
)
read_putnr = _record(commands.PUTNR)
read_out = _one(commands.OUT)
read_get = _one(commands.GET)
read_mget: Reader[list[bytes]] = _list(commands.MGET, _make_mget)
read_vsiz = _one(commands.VSIZ)
read_iterinit = _bare(commands.ITERINIT)
read_iternext = _bare(commands.ITERNEXT)
read_fwmkeys: Reader[FwmKeys] = _request(
    _Layout(commands.FWMKEYS, commands.FWMKEYS_NUMBERS, (0,)), FwmKeys
)
read_addint: Reader[AddInt] = _request(
    _Layout(commands.ADDINT, commands.ADDINT_NUMBERS, (0,)), AddInt
)
read_adddouble: Reader[AddDouble] = _request(
    _Layout(commands.ADDDOUBLE, commands.ADDDOUBLE_NUMBERS, (0,)), _make_adddouble
)
read_ext: Reader[Ext] = _request(_Layout(commands.EXT, commands.EXT_NUMBERS, (0, 2, 3)), Ext)
read_sync = _bare(commands.SYNC)
read_optimize = _one(commands.OPTIMIZE)
read_vanish = _bare(commands.VANISH)
read_copy = _one(commands.COPY)
read_restore: Reader[Restore] = _request(
    _Layout(commands.RESTORE, commands.RESTORE_NUMBERS, (0,)), Restore
)
read_setmst: Reader[SetMaster] = _request(
    _Layout(commands.SETMST, commands.SETMST_NUMBERS, (0,)), SetMaster
)
read_rnum = _bare(commands.RNUM)
read_size = _bare(commands.SIZE)
read_stat = _bare(commands.STAT)
read_misc: Reader[Misc] = _list(commands.MISC, _make_misc)
read_repl: Reader[Repl] = _request(_Layout(commands.REPL, commands.REPL_NUMBERS, ()), Repl)


_READERS: Final[Mapping[int, Reader[Any]]] = {
    commands.PUT: read_put,
    commands.PUTKEEP: read_putkeep,
    commands.PUTCAT: read_putcat,
    commands.PUTSHL: read_putshl,
    commands.PUTNR: read_putnr,
    commands.OUT: read_out,
    commands.GET: read_get,
    commands.MGET: read_mget,
    commands.VSIZ: read_vsiz,
    commands.ITERINIT: read_iterinit,
    commands.ITERNEXT: read_iternext,
    commands.FWMKEYS: read_fwmkeys,
    commands.ADDINT: read_addint,
    commands.ADDDOUBLE: read_adddouble,
    commands.EXT: read_ext,
    commands.SYNC: read_sync,
    commands.OPTIMIZE: read_optimize,
    commands.VANISH: read_vanish,
    commands.COPY: read_copy,
    commands.RESTORE: read_restore,
    commands.SETMST: read_setmst,
    commands.RNUM: read_rnum,
    commands.SIZE: read_size,
    commands.STAT: read_stat,
    commands.MISC: read_misc,
    commands.REPL: read_repl,
}


def read_request(data: Buffer, pos: int) -> tuple[Any, int] | Incomplete[Any]:
    """A request of any command, as its own reader gives it."""
    if len(data) < pos + 2:
        return Incomplete(len(data) - pos + 1, read_request)
    _expect(data[pos + 1], data, pos)
    reader = _READERS.get(data[pos + 1])
    if reader is None:
        raise faults.unknown_command(data[pos + 1])
    return reader(data, pos)


# ------------------------------------------------------------------------------ server: replies


def _pack_code(ok: bool) -> bytes:
    """A reply that is only a code."""
    return commands.OK_REPLY if ok else commands.FAILURE_REPLY


def _pack_blob(blob: bytes | None) -> bytes:
    """A reply with data; None is a failure."""
    return (
        commands.FAILURE_REPLY
        if blob is None
        else b"%b%b%b" % (commands.OK_REPLY, commands.U32.pack(len(blob)), blob)
    )


def _pack_u64(number: int) -> bytes:
    """A reply with a number, which never fails."""
    return commands.OK_REPLY + number.to_bytes(8)


def _pack_list(items: Iterable[Key]) -> bytes:
    """A reply with a list of items."""
    return pack_items(commands.OK_REPLY, b"", items)


pack_put_reply = pack_putkeep_reply = pack_putcat_reply = pack_putshl_reply = _pack_code
pack_out_reply = pack_iterinit_reply = pack_sync_reply = pack_optimize_reply = _pack_code
pack_vanish_reply = pack_copy_reply = pack_restore_reply = pack_setmst_reply = _pack_code
pack_get_reply = pack_iternext_reply = pack_ext_reply = pack_stat_reply = _pack_blob
pack_rnum_reply = pack_size_reply = _pack_u64
pack_fwmkeys_reply = _pack_list


def pack_mget_reply(records: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The records that were found, those that were asked for twice twice."""
    pairs = [_TWO_SIZES.pack(len(key), len(value)) + key + value for key, value in records]
    return commands.OK_REPLY + commands.U32.pack(len(pairs)) + b"".join(pairs)


def pack_vsiz_reply(size: int | None) -> bytes:
    """The size of a value; None if there is no record."""
    return commands.FAILURE_REPLY if size is None else commands.OK_REPLY + commands.U32.pack(size)


def pack_addint_reply(total: int | None) -> bytes:
    """The sum; None if the record holds no integer."""
    return (
        commands.FAILURE_REPLY
        if total is None
        else commands.OK_REPLY + total.to_bytes(4, signed=True)
    )


def pack_adddouble_reply(total: float | None) -> bytes:
    """The sum; None if the record holds no double."""
    return (
        commands.FAILURE_REPLY
        if total is None
        else commands.OK_REPLY + commands.REAL.pack(*commands.split_real(total))
    )


def pack_misc_reply(items: Iterable[Key] | None) -> bytes:
    """What a function returned; None if it failed."""
    return pack_items(commands.FAILURE_REPLY, b"", ()) if items is None else _pack_list(items)


def pack_repl_reply(server: int) -> bytes:
    """The begin of a stream of updates."""
    return commands.U32.pack(server)


def pack_update(update: Update | None) -> bytes:
    """A message of a stream of updates; None for one that only shows life."""
    if update is None:
        return bytes((commands.HEARTBEAT,))
    head = commands.UPDATE_HEAD.pack(
        commands.UPDATE, update.since, update.server, len(update.request)
    )
    return head + update.request
