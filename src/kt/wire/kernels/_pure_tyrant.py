"""Tokyo Tyrant's protocol in pure Python; `kt.wire.tyrant` describes the messages."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from itertools import chain, repeat
from typing import Any

from kt.wire import faults
from kt.wire.kernels._pure_values import (
    cut,
    decode_each,
    dump_value,
    dump_values,
    encode_key,
    encode_keys,
    load_values,
)
from kt.wire.magic import SIZE_MAX, TYRANT_MAGIC
from kt.wire.reading import Buffer, Incomplete
from kt.wire.values import Dumps, Key, Loads

_U32 = struct.Struct(">I")
_KEY_HEAD = struct.Struct(">BBI")
_RECORD_HEAD = struct.Struct(">BBII")
_BLOB_HEAD = struct.Struct(">BI")


# --------------------------------------------------------------------------------- one record


def pack_key_command(command: int, key: Key) -> bytes:
    """Request of a command that takes one key."""
    name = encode_key(key)
    return _KEY_HEAD.pack(TYRANT_MAGIC, command, len(name)) + name


def pack_record_command(command: int, key: Key, value: bytes) -> bytes:
    """Request of a command that takes a key and a value."""
    name = encode_key(key)
    if type(value) is not bytes or len(value) > SIZE_MAX:
        value = dump_value(value, None, key)
    return b"%b%b%b" % (
        _RECORD_HEAD.pack(TYRANT_MAGIC, command, len(name), len(value)),
        name,
        value,
    )


def read_blob_reply(data: Buffer, pos: int) -> tuple[bytes | None, int] | Incomplete[bytes | None]:
    """A reply of code, size, data; None if the code says that there is none."""
    try:
        code, size = _BLOB_HEAD.unpack_from(data, pos)
    except struct.error:
        if len(data) <= pos:
            return Incomplete(1, read_blob_reply)
        code, size = data[pos], 0
        if code == 0:
            return Incomplete(5, read_blob_reply)
    if code == 1:
        return None, pos + 1
    if code != 0:
        raise faults.bad_code(code)
    if size > SIZE_MAX:
        raise faults.impossible_size(size)
    end: int = pos + 5 + size
    if len(data) < end:
        return Incomplete(5 + size, read_blob_reply)
    return cut(data, pos + 5, end), end


# --------------------------------------------------------------------------------- many records


class _Heads(dict[int, bytes]):
    """Heads of items by their sizes; items of equal size share one."""

    def __missing__(self, size: int) -> bytes:
        if size > SIZE_MAX:
            raise faults.too_long("key or value", size)
        head = self[size] = _U32.pack(size)
        return head


def _join(head: bytes, name: bytes, count: int, *columns: list[bytes]) -> bytes:
    """`head`, `count`, `name`, and the items in `columns`, row by row, each with its size."""
    heads = _Heads().__getitem__
    sized = chain.from_iterable((map(heads, map(len, column)), column) for column in columns)
    rows = chain.from_iterable(zip(*sized, strict=True))
    try:
        return b"".join(chain((head, _U32.pack(count), name), rows))
    except struct.error as error:
        raise faults.too_many_to_send(count) from error


def pack_items(head: bytes, name: bytes, items: Iterable[Key]) -> bytes:
    """`head`, the number of items, `name`, and the items, each with its size."""
    encoded = encode_keys(list(items))
    return _join(head, name, len(encoded), encoded)


def pack_item_pairs(head: bytes, name: bytes, records: Mapping[Any, Any], dumps: Dumps) -> bytes:
    """As `pack_items`; keys and values take turns."""
    keys, values = encode_keys(list(records)), dump_values(records, dumps)
    return _join(head, name, 2 * len(keys), keys, values)


def pack_record_commands(command: int, records: Mapping[Any, Any], dumps: Dumps) -> bytes:
    """One request after the other, each with a key and a value."""
    values = dump_values(records, dumps)
    return b"".join(map(pack_record_command, repeat(command), records, values))


def skip_items(data: Buffer, at: int, count: int) -> tuple[int, int, int]:
    """Step over as many of `count` items as are complete.

    Returns:
        (at, left, need): where the first incomplete item begins, how many are left with it, and
        how many bytes from `at` on are needed to see more; need is 0 if none is left.
    """
    unpack = _U32.unpack_from
    start, size, left = at, 0, count
    try:
        while left:
            (size,) = unpack(data, at)
            start = at
            at += 4 + size
            left -= 1
    except struct.error:
        pass
    if at > len(data):
        if size > SIZE_MAX:
            raise faults.impossible_size(size)
        return start, left + 1, 4 + size
    return at, left, 4 if left else 0


def _items(data: bytes, at: int, count: int) -> list[bytes]:
    unpack = _U32.unpack_from
    items = []
    try:
        for _ in range(count):
            begin = at + 4
            at = begin + unpack(data, at)[0]
            items.append(data[begin:at])
    except struct.error as error:
        raise faults.cut_frame() from error
    if at > len(data):
        raise faults.cut_frame()
    return items


def decode_items(data: bytes, at: int, count: int, decode_keys: bool) -> list[Any]:
    """`count` items, which are complete, as keys."""
    return decode_each(_items(data, at, count), decode_keys)


def decode_item_pairs(
    data: bytes, at: int, count: int, decode_keys: bool, loads: Loads
) -> list[tuple[Any, Any]]:
    """(key, value) of `count` items, which are complete; keys and values take turns."""
    items = _items(data, at, count)
    keys = decode_each(items[::2], decode_keys)
    return list(zip(keys, load_values(keys, items[1::2], loads), strict=True))
