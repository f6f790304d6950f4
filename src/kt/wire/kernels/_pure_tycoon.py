"""Kyoto Tycoon's binary protocol in pure Python; `kt.wire.tycoon` describes the messages.

Bulk messages are treated column-wise: the heads, keys and values of all records are made by C-level
loops (``map``, slices) and joined once, which costs about half of a loop over records.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Any

from kt.errors import ServerError
from kt.wire import faults
from kt.wire.kernels._pure_values import (
    cut,
    decode_each,
    dump_value,
    dump_values,
    encode_key,
    encode_keys,
    load_values,
    loader,
)
from kt.wire.magic import (
    ERROR,
    GET_BULK,
    KEY_HEAD,
    PAIR_HEAD,
    RECORD_HEAD,
    REMOVE_BULK,
    SET_BULK,
    SIZE_MAX,
)
from kt.wire.reading import Buffer, Incomplete, Reader
from kt.wire.values import Dumps, Key, Loads, ValueFailure

_U32 = struct.Struct(">I")
_KEY = struct.Struct(">HI")
_PAIR = struct.Struct(">II")
_RECORD = struct.Struct(">HIIq")
_ONE_KEY = struct.Struct(">BIIHI")
_ONE_RECORD = struct.Struct(">BIIHIIq")
_GET_REPLY = struct.Struct(">BIHIIq")

# What skip_records reads of each layout: the sizes only.
_SIZES = {
    KEY_HEAD: struct.Struct(">2xI"),
    PAIR_HEAD: _PAIR,
    RECORD_HEAD: struct.Struct(">2xII8x"),
}


# --------------------------------------------------------------------------------- one record


def refuse_bool(db: int) -> None:
    """Raise what a number raises that does not fit: an option went astray."""
    if db is True or db is False:
        raise struct.error


def pack_get(key: Key, db: int) -> bytes:
    """Request for the value of one key: `read_get_reply` reads the answer."""
    name = encode_key(key)
    try:
        refuse_bool(db)
        return _ONE_KEY.pack(GET_BULK, 0, 1, db, len(name)) + name
    except struct.error as error:
        raise faults.bad_number(db) from error


def pack_remove(key: Key, db: int, flags: int = 0) -> bytes:
    """Request to remove one key."""
    name = encode_key(key)
    try:
        refuse_bool(db)
        return _ONE_KEY.pack(REMOVE_BULK, flags, 1, db, len(name)) + name
    except struct.error as error:
        raise faults.bad_number(db, flags=flags) from error


def pack_set(key: Key, value: bytes, db: int, xt: int, flags: int = 0) -> bytes:
    """Request to store one record."""
    name = encode_key(key)
    if type(value) is not bytes or len(value) > SIZE_MAX:
        value = dump_value(value, None, key)
    try:
        refuse_bool(db)
        return b"%b%b%b" % (
            _ONE_RECORD.pack(SET_BULK, flags, 1, db, len(name), len(value), xt),
            name,
            value,
        )
    except struct.error as error:
        raise faults.bad_number(db, xt, flags) from error


def read_get_reply(
    data: Buffer, pos: int
) -> tuple[bytes | ServerError | None, int] | Incomplete[bytes | ServerError | None]:
    """The value that answers `pack_get`; None if there is no record."""
    try:
        magic, count, _, ksiz, vsiz, _ = _GET_REPLY.unpack_from(data, pos)
    except struct.error:
        return _read_short_get_reply(data, pos)
    if magic != GET_BULK or count != 1 or ksiz > SIZE_MAX or vsiz > SIZE_MAX:
        return _read_short_get_reply(data, pos)
    start: int = pos + 5 + RECORD_HEAD + ksiz
    end: int = start + vsiz
    if len(data) < end:
        return Incomplete(end - pos, read_get_reply)
    return cut(data, start, end), end


def _read_short_get_reply(
    data: Buffer, pos: int
) -> tuple[bytes | ServerError | None, int] | Incomplete[bytes | ServerError | None]:
    """A reply to `pack_get` that is not one whole record: none, an error, or a part of one."""
    begin = _read_count(data, pos, GET_BULK, read_get_reply)
    if isinstance(begin, Incomplete):
        return begin
    count, end = begin
    if isinstance(count, ServerError):
        return count, end
    if count == 0:
        return None, end
    if count > 1:
        raise faults.too_many_records(count)
    if len(data) < end + RECORD_HEAD:
        return Incomplete(5 + RECORD_HEAD, read_get_reply)
    raise faults.impossible_sizes(*_SIZES[RECORD_HEAD].unpack_from(data, end))


def _read_count(
    data: Buffer, pos: int, magic: int, resume: Reader[Any]
) -> tuple[int | ServerError, int] | Incomplete[Any]:
    """The first byte of a reply and the u32 that follows it."""
    if len(data) == pos:
        return Incomplete(1, resume)
    first = data[pos]
    if first == ERROR:
        return faults.request_failed(), pos + 1
    if first != magic:
        raise faults.wrong_magic(first, magic)
    if len(data) < pos + 5:
        return Incomplete(5, resume)
    return _U32.unpack_from(data, pos + 1)[0], pos + 5


def read_set_bulk_reply(
    data: Buffer, pos: int
) -> tuple[int | ServerError, int] | Incomplete[int | ServerError]:
    """The number of records that were stored."""
    return _read_count(data, pos, SET_BULK, read_set_bulk_reply)


def read_remove_bulk_reply(
    data: Buffer, pos: int
) -> tuple[int | ServerError, int] | Incomplete[int | ServerError]:
    """The number of records that were removed."""
    return _read_count(data, pos, REMOVE_BULK, read_remove_bulk_reply)


# ------------------------------------------------------------------------------- many records


class _Heads(dict[tuple[int, int], bytes]):
    """Heads of records by the sizes of key and value; records of equal sizes share one."""

    def __init__(self, db: int, xt: int) -> None:
        self.db = db
        self.xt = xt
        refuse_bool(db)
        self[0, 0]  # refuses wrong numbers even if there are no records

    def __missing__(self, sizes: tuple[int, int]) -> bytes:
        for what, size in zip(("key", "value"), sizes, strict=True):
            if size > SIZE_MAX:
                raise faults.too_long(what, size)
        head = self[sizes] = _RECORD.pack(self.db, *sizes, self.xt)
        return head


def _join(head: bytes, count: bytes, *columns: list[bytes]) -> bytes:
    """`head`, `count`, and the fields of the columns row by row."""
    width = len(columns)
    parts = [b""] * (2 + width * len(columns[0]))
    parts[:2] = head, count
    for number, column in enumerate(columns, 2):
        parts[number::width] = column
    return b"".join(parts)


def pack_records(head: bytes, records: Mapping[Any, Any], db: int, xt: int, dumps: Dumps) -> bytes:
    """`head`, the number of records, and the records."""
    keys = encode_keys(list(records))
    values = dump_values(records, dumps)
    sizes = zip(map(len, keys), map(len, values), strict=True)
    try:
        heads = map(_Heads(db, xt).__getitem__, sizes)
        count = _U32.pack(len(keys))
        return _join(head, count, list(heads), keys, values)
    except struct.error as error:
        raise faults.bad_number(db, xt) from error


def pack_details(head: bytes, records: Iterable[tuple[int, Key, Any, int]], dumps: Dumps) -> bytes:
    """As `pack_records`, for records that each have a database and an expiry."""
    parts: list[bytes] = [head, b""]
    count = 0
    for db, key, value, xt in records:
        name = encode_key(key)
        data = dump_value(value, dumps, key)
        try:
            refuse_bool(db)
            parts += (_RECORD.pack(db, len(name), len(data), xt), name, data)
        except struct.error as error:
            raise faults.bad_number(db, xt) from error
        count += 1
    parts[1] = _U32.pack(count)
    return b"".join(parts)


def pack_keys(head: bytes, keys: Iterable[Key], db: int) -> bytes:
    """`head`, the number of keys, and the keys."""
    names = encode_keys(list(keys))
    sizes = {0, *map(len, names)}
    if max(sizes) > SIZE_MAX:
        raise faults.too_long("key", max(sizes))
    try:
        refuse_bool(db)
        heads = {size: _KEY.pack(db, size) for size in sizes}
        count = _U32.pack(len(names))
    except struct.error as error:
        raise faults.bad_number(db) from error
    return _join(head, count, list(map(heads.__getitem__, map(len, names))), names)


def pack_key_details(head: bytes, keys: Iterable[tuple[int, Key]]) -> bytes:
    """As `pack_keys`, for keys that each have a database."""
    parts: list[bytes] = [head, b""]
    count = 0
    for db, key in keys:
        name = encode_key(key)
        try:
            refuse_bool(db)
            parts += (_KEY.pack(db, len(name)), name)
        except struct.error as error:
            raise faults.bad_number(db) from error
        count += 1
    parts[1] = _U32.pack(count)
    return b"".join(parts)


def pack_pairs(records: Mapping[Any, Any], dumps: Dumps) -> tuple[int, bytes]:
    """The number of pairs, and the pairs."""
    parts: list[bytes] = []
    for key, value in records.items():
        name = encode_key(key)
        data = dump_value(value, dumps, key)
        parts += (_PAIR.pack(len(name), len(data)), name, data)
    return len(parts) // 3, b"".join(parts)


def skip_records(data: Buffer, at: int, count: int, layout: int) -> tuple[int, int, int]:
    """Step over as many of `count` records as are complete.

    Returns:
        (at, left, need): where the first incomplete record begins, how many are left with it,
        and how many bytes from `at` on are needed to see more; need is 0 if none is left.
    """
    unpack = _SIZES[layout].unpack_from
    size = len(data)
    start = at
    need = layout
    left = count
    try:
        while left:
            sizes = unpack(data, at)
            start = at
            at += layout + sum(sizes)
            left -= 1
    except struct.error:
        pass
    if at > size:
        if max(sizes) > SIZE_MAX:
            raise faults.impossible_sizes(*sizes)
        return start, left + 1, at - start
    return at, left, need if left else 0


def decode_records(
    data: bytes, at: int, count: int, decode_keys: bool, loads: Loads
) -> dict[Any, Any]:
    """Key to value of `count` records, which are complete; the last of equal keys counts."""
    return _decode_map(RECORD_HEAD, data, at, count, decode_keys, loads)


def decode_pairs(
    data: bytes, at: int, count: int, decode_keys: bool, loads: Loads
) -> dict[Any, Any]:
    """Key to value of `count` pairs, which are complete; the last of equal keys counts."""
    return _decode_map(PAIR_HEAD, data, at, count, decode_keys, loads)


def _decode_map(
    layout: int, data: bytes, at: int, count: int, decode_keys: bool, loads: Loads
) -> dict[Any, Any]:
    keys, values = _columns(layout, data, at, count)
    keys = decode_each(keys, decode_keys)
    return dict(zip(keys, load_values(keys, values, loads), strict=True))


def _columns(layout: int, data: bytes, at: int, count: int) -> tuple[list[Any], list[bytes]]:
    """The keys and the values of `count` records."""
    unpack = _SIZES[layout].unpack_from
    names: list[bytes] = []
    values: list[bytes] = []
    add_name, add_value = names.append, values.append
    try:
        for _ in range(count):
            ksiz, vsiz = unpack(data, at)
            begin = at + layout
            middle = begin + ksiz
            at = middle + vsiz
            add_name(data[begin:middle])
            add_value(data[middle:at])
    except struct.error as error:
        raise faults.cut_frame() from error
    if at > len(data):
        raise faults.cut_frame()
    return names, values


def decode_details(
    data: bytes, at: int, count: int, decode_keys: bool, loads: Loads
) -> list[tuple[int, Any, Any, int]]:
    """(database, key, value, expiry) of `count` records, which are complete."""
    unpack = _RECORD.unpack_from
    load = loader(loads)
    found: list[tuple[int, Any, Any, int]] = []
    key: Key = b""
    try:
        for _ in range(count):
            db, ksiz, vsiz, xt = unpack(data, at)
            middle = at + RECORD_HEAD + ksiz
            key = data[at + RECORD_HEAD : middle]
            at = middle + vsiz
            if decode_keys:
                key = key.decode("utf-8", "surrogateescape")
            value = data[middle:at]
            found.append((db, key, value if load is None else load(value), xt))
    except Exception as error:
        raise ValueFailure(key) from error
    return found
