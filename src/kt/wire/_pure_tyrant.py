"""Tokyo Tyrant's protocol in pure Python; `kt.wire.tyrant` describes the messages."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from kt.wire import faults
from kt.wire._pure_values import cut, decode_key, dump_value, encode_key, load_value
from kt.wire.magic import SIZE_MAX, TYRANT_MAGIC
from kt.wire.reading import Buffer, Incomplete
from kt.wire.values import TEXT, Dumps, Key, Loads

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


def pack_items(head: bytes, name: bytes, items: Iterable[Key]) -> bytes:
    """`head`, the number of items, `name`, and the items, each with its size."""
    encoded = [encode_key(item) for item in items]
    heads = {size: _U32.pack(size) for size in set(map(len, encoded))}
    rows = zip(map(heads.__getitem__, map(len, encoded)), encoded, strict=True)
    return b"".join(chain((head, _count(len(encoded)), name), chain.from_iterable(rows)))


def pack_item_pairs(head: bytes, name: bytes, records: Mapping[Any, Any], dumps: Dumps) -> bytes:
    """As `pack_items`; keys and values take turns."""
    keys = [encode_key(key) for key in records]
    values = _dump_values(records, dumps)
    sizes = chain(map(len, keys), map(len, values))
    heads = {size: _U32.pack(size) for size in set(sizes)}
    rows = zip(
        map(heads.__getitem__, map(len, keys)),
        keys,
        map(heads.__getitem__, map(len, values)),
        values,
        strict=True,
    )
    return b"".join(chain((head, _count(2 * len(keys)), name), chain.from_iterable(rows)))


def pack_record_commands(command: int, records: Mapping[Any, Any], dumps: Dumps) -> bytes:
    """One request after the other, each with a key and a value."""
    return b"".join(
        pack_record_command(command, key, dump_value(value, dumps, key))
        for key, value in records.items()
    )


def _dump_values(records: Mapping[Any, Any], dumps: Dumps) -> list[bytes]:
    values = list(records.values())
    if dumps is TEXT:
        try:
            encoded = list(map(str.encode, values))
        except (TypeError, UnicodeEncodeError):
            pass
        else:
            if max(map(len, encoded), default=0) <= SIZE_MAX:
                return encoded
    return [dump_value(value, dumps, key) for key, value in records.items()]


def _count(count: int) -> bytes:
    try:
        return _U32.pack(count)
    except struct.error as error:
        raise faults.too_many_to_send(count) from error


def skip_items(data: Buffer, at: int, count: int) -> tuple[int, int, int]:
    """Step over as many of `count` items as are complete.

    Returns:
        (at, left, need): where the first incomplete item begins, how many are left with it, and
        how many bytes from `at` on are needed to see more; need is 0 if none is left.
    """
    unpack = _U32.unpack_from
    received = len(data)
    while count:
        if received < at + 4:
            return at, count, 4
        (size,) = unpack(data, at)
        if received < at + 4 + size:
            if size > SIZE_MAX:
                raise faults.impossible_size(size)
            return at, count, 4 + size
        at += 4 + size
        count -= 1
    return at, 0, 0


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
    items = _items(data, at, count)
    if decode_keys:
        return [item.decode("utf-8", "surrogateescape") for item in items]
    return items


def decode_item_pairs(
    data: bytes, at: int, count: int, decode_keys: bool, loads: Loads
) -> list[tuple[Any, Any]]:
    """(key, value) of `count` items, which are complete; keys and values take turns."""
    items = _items(data, at, count)
    keys = [decode_key(item, decode_keys) for item in items[::2]]
    return [
        (key, load_value(item, loads, key)) for key, item in zip(keys, items[1::2], strict=True)
    ]
