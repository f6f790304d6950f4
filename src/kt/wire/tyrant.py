"""Tokyo Tyrant's binary protocol: both directions of every command.

All integers are big-endian. A request begins with C8 and a byte that names the command; any number
of requests follow each other on a connection, and replies come in the order of their requests::

    put        10 ksiz:u32 vsiz:u32 key value                     code
    putkeep    11 ksiz:u32 vsiz:u32 key value                     code (1: there is a record)
    putcat     12 ksiz:u32 vsiz:u32 key value                     code
    putshl     13 ksiz:u32 vsiz:u32 width:i32 key value           code
    putnr      18 ksiz:u32 vsiz:u32 key value                     nothing
    out        20 ksiz:u32 key                                    code (1: there is no record)
    get        30 ksiz:u32 key                                    code BLOB
    mget       31 count:u32 ITEM...                               code count:u32 PAIR...
    vsiz       38 ksiz:u32 key                                    code size:u32
    iterinit   50                                                 code
    iternext   51                                                 code BLOB
    fwmkeys    58 psiz:u32 max:i32 prefix                         code count:u32 ITEM...
    addint     60 ksiz:u32 n:i32 key                              code sum:i32
    adddouble  61 ksiz:u32 REAL key                               code REAL
    ext        68 nsiz:u32 flags:u32 ksiz:u32 vsiz:u32            code BLOB
                  name key value
    sync       70                                                 code
    optimize   71 psiz:u32 parameters                             code
    vanish     72                                                 code
    copy       73 psiz:u32 path                                   code
    restore    74 psiz:u32 since:u64 flags:u32 path               code
    setmst     78 hsiz:u32 port:u32 since:u64 flags:u32 host      code
    rnum       80                                                 code n:u64
    size       81                                                 code n:u64
    stat       88                                                 code BLOB
    misc       90 nsiz:u32 flags:u32 count:u32 name ITEM...       code count:u32 ITEM...
    repl       A0 since:u64 server:u32                            a stream that does not end

    code   u8, 0 = success, 1 = failure      BLOB  size:u32 data[size]
    ITEM   size:u32 data[size]               PAIR  ksiz:u32 vsiz:u32 key[ksiz] value[vsiz]
    REAL   integral:i64 fraction:i64, the fraction in units of 10**-12

After code 1 nothing follows, except that mget, fwmkeys and misc always send their list. `since` is
a time stamp in microseconds since the epoch. The stream of repl is the master's server number (u32)
and then messages: CA, sent every second, or C9 since:u64 server:u32 BLOB, where the blob is the
request that changed the database, followed by its code.

Requests without arguments are constants (`SYNC_REQUEST`...). Replies with lists are read as
*frames*, the reply's own bytes, and decoded in a second step, so that a value that does not decode
leaves the connection in step. A reader whose command can only fail for a reason beyond the caller's
data answers code 1 with a `ServerError`; where code 1 says something about the record, it is False
or None.

Source: the original's ttserver.c, tculog.c and the chapter "Protocol" of its manual.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from kt.errors import ArgumentError, ProtocolError, ServerError
from kt.wire import faults
from kt.wire import tyrant_commands as commands
from kt.wire.codec import (
    cut,
    decode_item_pairs,
    decode_items,
    decode_pairs,
    encode_key,
    pack_item_pairs,
    pack_items,
    pack_key_command,
    pack_record_command,
    pack_record_commands,
    read_blob_reply,
    skip_items,
    skip_records,
)
from kt.wire.magic import PAIR_HEAD
from kt.wire.reading import Buffer, Incomplete, Reader
from kt.wire.values import Dumps, Key, Loads

T = TypeVar("T")
F = TypeVar("F")

Skip: TypeAlias = Callable[[Buffer, int, int], tuple[int, int, int]]


# ----------------------------------------------------------------------------- client: requests


def _command(command: int) -> bytes:
    return bytes((commands.MAGIC, command))


ITERINIT_REQUEST: Final = _command(commands.ITERINIT)
ITERNEXT_REQUEST: Final = _command(commands.ITERNEXT)
SYNC_REQUEST: Final = _command(commands.SYNC)
VANISH_REQUEST: Final = _command(commands.VANISH)
RNUM_REQUEST: Final = _command(commands.RNUM)
SIZE_REQUEST: Final = _command(commands.SIZE)
STAT_REQUEST: Final = _command(commands.STAT)


def _pack(command: int, layout: struct.Struct, numbers: tuple[int, ...], *blobs: bytes) -> bytes:
    """A request of some numbers, sizes included, and what they are the sizes of."""
    try:
        return b"".join((_command(command), layout.pack(*numbers), *blobs))
    except struct.error as error:
        raise ArgumentError(f"a number does not fit its field: {numbers} ({error})") from error


def pack_put(key: Key, value: bytes) -> bytes:
    """Request to store a record, whether there is one or not."""
    return pack_record_command(commands.PUT, key, value)


def pack_put_each(records: Mapping[Any, Any], dumps: Dumps) -> bytes:
    """Requests to store records, one put for each: `read_put_each_reply` reads the answers."""
    return pack_record_commands(commands.PUT, records, dumps)


def pack_putkeep(key: Key, value: bytes) -> bytes:
    """Request to store a record if there is none."""
    return pack_record_command(commands.PUTKEEP, key, value)


def pack_putcat(key: Key, value: bytes) -> bytes:
    """Request to append to a record, or to store it if there is none."""
    return pack_record_command(commands.PUTCAT, key, value)


def pack_putshl(key: Key, value: bytes, width: int) -> bytes:
    """Request to append to a record and to keep the last `width` bytes of it."""
    if width < 0:
        raise ArgumentError(f"the width of a record cannot be {width}")
    name = encode_key(key)
    return _pack(
        commands.PUTSHL, commands.PUTSHL_NUMBERS, (len(name), len(value), width), name, value
    )


def pack_putnr(key: Key, value: bytes) -> bytes:
    """Request to store a record; nothing answers it."""
    return pack_record_command(commands.PUTNR, key, value)


def pack_out(key: Key) -> bytes:
    """Request to remove a record."""
    return pack_key_command(commands.OUT, key)


def pack_get(key: Key) -> bytes:
    """Request for the value of a record."""
    return pack_key_command(commands.GET, key)


_MGET_HEAD = _command(commands.MGET)


def pack_mget(keys: Iterable[Key]) -> bytes:
    """Request for several records."""
    return pack_items(_MGET_HEAD, b"", keys)


def pack_vsiz(key: Key) -> bytes:
    """Request for the size of a value."""
    return pack_key_command(commands.VSIZ, key)


def pack_fwmkeys(prefix: Key, maximum: int) -> bytes:
    """Request for at most `maximum` keys that begin with `prefix`; all of them if negative."""
    name = encode_key(prefix)
    return _pack(commands.FWMKEYS, commands.FWMKEYS_NUMBERS, (len(name), maximum), name)


def pack_addint(key: Key, n: int) -> bytes:
    """Request to add to a record that holds a 32-bit integer."""
    name = encode_key(key)
    return _pack(commands.ADDINT, commands.ADDINT_NUMBERS, (len(name), n), name)


def pack_adddouble(key: Key, n: float) -> bytes:
    """Request to add to a record that holds a double."""
    name = encode_key(key)
    return _pack(
        commands.ADDDOUBLE, commands.ADDDOUBLE_NUMBERS, (len(name), *commands.split_real(n)), name
    )


def pack_ext(name: Key, key: Key, value: bytes, flags: int = 0) -> bytes:
    """Request to call the Lua function `name`."""
    function, argument = _name(name), encode_key(key)
    sizes = (len(function), flags, len(argument), len(value))
    return _pack(commands.EXT, commands.EXT_NUMBERS, sizes, function, argument, value)


def pack_optimize(parameters: Key) -> bytes:
    """Request to rebuild the database's storage, with new tuning parameters if not empty."""
    return pack_key_command(commands.OPTIMIZE, parameters)


def pack_copy(path: Key) -> bytes:
    """Request to copy the database file; a path that begins with @ is a command to run."""
    return pack_key_command(commands.COPY, path)


def pack_restore(path: Key, since: int, flags: int = 0) -> bytes:
    """Request to apply an update log that the server finds at `path`."""
    name = encode_key(path)
    return _pack(commands.RESTORE, commands.RESTORE_NUMBERS, (len(name), since, flags), name)


def pack_setmst(host: Key, port: int, since: int, flags: int = 0) -> bytes:
    """Request to replicate from a master; from none if `host` is empty."""
    name = encode_key(host)
    return _pack(commands.SETMST, commands.SETMST_NUMBERS, (len(name), port, since, flags), name)


def pack_misc(name: Key, items: Iterable[Key], flags: int = 0) -> bytes:
    """Request to call the database's function `name`."""
    return pack_items(*_misc_head(name, flags), items)


def pack_misc_pairs(name: Key, records: Mapping[Any, Any], dumps: Dumps, flags: int = 0) -> bytes:
    """Request to call the database's function `name` with keys and values in turn."""
    return pack_item_pairs(*_misc_head(name, flags), records, dumps)


def _misc_head(name: Key, flags: int) -> tuple[bytes, bytes]:
    function = _name(name)
    return _pack(commands.MISC, commands.MISC_NUMBERS, (len(function), flags)), function


def _name(name: Key) -> bytes:
    function = encode_key(name)
    if len(function) > commands.NAME_MAX:
        raise ArgumentError(f"a function's name has at most {commands.NAME_MAX} bytes: {name!r}")
    return function


def pack_repl(since: int, server: int) -> bytes:
    """Request for the updates since a time stamp that `server` has not made itself."""
    return _pack(commands.REPL, commands.REPL_NUMBERS, (since, server))


# ------------------------------------------------------------------------------ client: replies


def _code(data: Buffer, pos: int) -> int | None:
    """The code of a reply; None if it has not arrived."""
    if len(data) <= pos:
        return None
    code = data[pos]
    if code > 1:
        raise faults.bad_code(code)
    return code


def _read_flag(data: Buffer, pos: int) -> tuple[bool, int] | Incomplete[bool]:
    """A reply that is only a code, of which 1 is no failure of the server."""
    code = _code(data, pos)
    return Incomplete(1, _read_flag) if code is None else (code == 0, pos + 1)


def _read_done(
    verb: str, data: Buffer, pos: int
) -> tuple[bool | ServerError, int] | Incomplete[bool | ServerError]:
    """A reply that is only a code, of which 1 is a failure."""
    code = _code(data, pos)
    if code is None:
        return Incomplete(1, partial(_read_done, verb))
    return (True if code == 0 else faults.command_failed(verb)), pos + 1


def _read_numbers(
    layout: struct.Struct,
    value: Callable[..., T],
    failure: Callable[[], F],
    data: Buffer,
    pos: int,
) -> tuple[T | F, int] | Incomplete[T | F]:
    """Code 0 and some numbers, of which `value` makes the result, or code 1."""
    code = _code(data, pos)
    if code:
        return failure(), pos + 1
    end = pos + 1 + layout.size
    if len(data) < end:
        need = 1 if code is None else end - pos
        return Incomplete(need, partial(_read_numbers, layout, value, failure))
    return value(*layout.unpack_from(data, pos + 1)), end


def _read_blob(
    failure: Callable[[], F], data: Buffer, pos: int
) -> tuple[bytes | F, int] | Incomplete[bytes | F]:
    """Code 0 and data, or code 1."""
    reply = read_blob_reply(data, pos)
    if isinstance(reply, Incomplete):
        return Incomplete(reply.need, partial(_read_blob, failure))
    blob, end = reply
    return (failure() if blob is None else blob), end


class _Elements(NamedTuple):
    """How far into a list a reader has come."""

    offset: int
    left: int


def _read_frame(
    skip: Skip, failure: Callable[[], F], seen: _Elements | None, data: Buffer, pos: int
) -> tuple[bytes | F, int] | Incomplete[bytes | F]:
    """A reply with a list, whole. The list is there with code 1 too.

    `skip` steps over elements of the list, as `skip_items` does.
    """
    code = _code(data, pos)
    if len(data) < pos + 5:
        need = 1 if code is None else 5
        return Incomplete(need, partial(_read_frame, skip, failure, None))
    if seen is None:
        seen = _Elements(5, commands.U32.unpack_from(data, pos + 1)[0])
    at, left, need = skip(data, pos + seen.offset, seen.left)
    if left:
        seen = _Elements(at - pos, left)
        return Incomplete(seen.offset + need, partial(_read_frame, skip, failure, seen))
    return (failure() if code else cut(data, pos, at)), at


def _read_each_done(count: int, data: Buffer, pos: int) -> tuple[bool, int] | Incomplete[bool]:
    """The codes of `count` requests; False if one of them is 1."""
    end = pos + count
    codes = data[pos:end]
    if codes and max(codes) > 1:
        raise faults.bad_code(max(codes))
    if len(codes) < count:
        return Incomplete(count, partial(_read_each_done, count))
    return 1 not in codes, end


def _done(verb: str) -> Reader[bool | ServerError]:
    return partial(_read_done, verb)


def _numbers(
    layout: struct.Struct, value: Callable[..., T], failure: Callable[[], F]
) -> Reader[T | F]:
    return partial(_read_numbers, layout, value, failure)


def _blob(failure: Callable[[], F]) -> Reader[bytes | F]:
    return partial(_read_blob, failure)


def _frame(skip: Skip, failure: Callable[[], F]) -> Reader[bytes | F]:
    return partial(_read_frame, skip, failure, None)


def _none() -> None:
    return None


def _failed(verb: str) -> Callable[[], ServerError]:
    return partial(faults.command_failed, verb)


def _skip_pairs(data: Buffer, at: int, count: int) -> tuple[int, int, int]:
    return skip_records(data, at, count, PAIR_HEAD)


read_put_reply = _done("put")
read_putkeep_reply: Reader[bool] = _read_flag
read_putcat_reply = _done("putcat")
read_putshl_reply = _done("putshl")
read_out_reply: Reader[bool] = _read_flag
read_get_reply: Reader[bytes | None] = read_blob_reply
read_mget_reply: Reader[bytes | ServerError] = _frame(_skip_pairs, _failed("mget"))
read_vsiz_reply: Reader[int | None] = _numbers(commands.U32, int, _none)
read_iterinit_reply: Reader[bool] = _read_flag
read_iternext_reply: Reader[bytes | None] = read_blob_reply
read_fwmkeys_reply: Reader[bytes | ServerError] = _frame(skip_items, _failed("fwmkeys"))
read_addint_reply: Reader[int | ServerError] = _numbers(commands.I32, int, _failed("addint"))
read_adddouble_reply: Reader[float | ServerError] = _numbers(
    commands.REAL, commands.join_real, _failed("adddouble")
)
read_ext_reply: Reader[bytes | ServerError] = _blob(_failed("ext"))
read_sync_reply = _done("sync")
read_optimize_reply = _done("optimize")
read_vanish_reply = _done("vanish")
read_copy_reply = _done("copy")
read_restore_reply = _done("restore")
read_setmst_reply = _done("setmst")
read_rnum_reply: Reader[int | ServerError] = _numbers(commands.U64, int, _failed("rnum"))
read_size_reply: Reader[int | ServerError] = _numbers(commands.U64, int, _failed("size"))
read_stat_reply: Reader[bytes | ServerError] = _blob(_failed("stat"))
read_misc_reply: Reader[bytes | None] = _frame(skip_items, _none)


def read_put_each_reply(count: int) -> Reader[bool]:
    """Reader of the answers to `pack_put_each`: False if one of the records was not stored."""
    return partial(_read_each_done, count)


def decode_mget(frame: bytes, decode_keys: bool, loads: Loads) -> dict[Any, Any]:
    """Key to value of the records that were found. Raises `ValueFailure`."""
    return decode_pairs(frame, 5, _frame_count(frame), decode_keys, loads)


def decode_fwmkeys(frame: bytes, decode_keys: bool) -> list[Any]:
    """The keys that were found."""
    return decode_items(frame, 5, _frame_count(frame), decode_keys)


def decode_misc(frame: bytes, decode_keys: bool) -> list[Any]:
    """What a function returned, as keys."""
    return decode_items(frame, 5, _frame_count(frame), decode_keys)


def decode_misc_pairs(frame: bytes, decode_keys: bool, loads: Loads) -> list[tuple[Any, Any]]:
    """What a function returned, as (key, value). Raises `ValueFailure`."""
    count = _frame_count(frame)
    if count % 2:
        raise ProtocolError(f"{count} elements are no pairs")
    return decode_item_pairs(frame, 5, count, decode_keys, loads)


def decode_stat(blob: bytes) -> dict[str, str]:
    """The server's statistics, name to value."""
    lines = blob.decode("utf-8", "surrogateescape").split("\n")
    return {name: value for name, tab, value in (line.partition("\t") for line in lines) if tab}


def _frame_count(frame: bytes) -> int:
    count: int = commands.U32.unpack_from(frame, 1)[0]
    return count


# -------------------------------------------------------------------------------- client: updates


class Update(NamedTuple):
    """A change of the master's database.

    Attributes:
        since: when, in microseconds since the epoch.
        server: the number of the server that made it.
        request: the request that made it, and the code of its reply.
    """

    since: int
    server: int
    request: bytes


def read_repl_reply(data: Buffer, pos: int) -> tuple[int, int] | Incomplete[int]:
    """The master's server number, with which the stream of updates begins."""
    if len(data) < pos + 4:
        return Incomplete(4, read_repl_reply)
    return commands.U32.unpack_from(data, pos)[0], pos + 4


def read_update(data: Buffer, pos: int) -> tuple[Update | None, int] | Incomplete[Update | None]:
    """The next message of a stream of updates; None for one that only shows life."""
    if len(data) <= pos:
        return Incomplete(1, read_update)
    if data[pos] == commands.HEARTBEAT:
        return None, pos + 1
    if data[pos] != commands.UPDATE:
        raise faults.wrong_magic(data[pos], commands.UPDATE)
    if len(data) < pos + commands.UPDATE_HEAD.size:
        return Incomplete(commands.UPDATE_HEAD.size, read_update)
    _, since, server, size = commands.UPDATE_HEAD.unpack_from(data, pos)
    end = pos + commands.UPDATE_HEAD.size + size
    if size > commands.UPDATE_MAX:
        raise faults.impossible_size(size)
    if len(data) < end:
        return Incomplete(end - pos, read_update)
    return Update(since, server, cut(data, end - size, end)), end
