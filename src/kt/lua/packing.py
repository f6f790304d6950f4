"""Lists of byte strings as one: what the scripts take, give, and keep in records.

Each item is its length, seven bits a byte, the lowest first, the eighth set if more follow; then
its bytes::

    3 | a b c | 172 2 | 300 bytes
"""

from __future__ import annotations

from collections.abc import Iterable

from kt.errors import ProtocolError


def pack(items: Iterable[bytes]) -> bytes:
    """Return `items` as one byte string."""
    parts: list[bytes | bytearray] = []
    for item in items:
        length = len(item)
        prefix = bytearray()
        while length > 127:
            prefix.append(length & 127 | 128)
            length >>= 7
        prefix.append(length)
        parts += [prefix, item]
    return b"".join(parts)


def unpack(data: bytes) -> list[bytes]:
    """Return the items in `data`; raises ProtocolError if it is no list of items."""
    items = []
    at, size = 0, len(data)
    try:
        while at < size:
            length, shift = data[at] & 127, 7
            while data[at] > 127:
                at += 1
                length |= (data[at] & 127) << shift
                shift += 7
            at += 1 + length
            items.append(data[at - length : at])
    except IndexError:
        at = size + 1
    if at != size:
        raise ProtocolError("a script's reply is cut short")
    return items
