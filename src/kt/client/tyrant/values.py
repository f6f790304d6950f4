"""Arguments and results of `TokyoTyrant` that are neither keys nor values."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, Final, TypeVar

from kt.errors import ProtocolError, SerializationError
from kt.moments import nanoseconds
from kt.types import Key
from kt.wire.codec import dump_value
from kt.wire.log.tyrant import NANOSECONDS
from kt.wire.values import Dumps

T = TypeVar("T")

TEXT_FIELDS: Final = frozenset(("version", "protver", "os", "type", "path", "mhost", "repl_error"))
"""Fields of `status` that are text, however they look."""

_INT: Final = struct.Struct("<i")
_DOUBLE: Final = struct.Struct("<d")


def text_of(name: str, value: str) -> int | float | str:
    """Return a field of `status`, as a number where it is one."""
    if name not in TEXT_FIELDS:
        for kind in (int, float):
            try:
                return kind(value)
            except ValueError:
                pass
    return value


def only(items: list[T], function: str) -> T:
    """Return the item that a function of the server must return."""
    if len(items) != 1:
        raise ProtocolError(f"{function} returned {len(items)} items instead of one")
    return items[0]


def whole(text: str | bytes, function: str) -> int:
    """Return the number that a function of the server must return as text."""
    try:
        return int(text)
    except ValueError:
        raise ProtocolError(f"{function} returned no number, but {text[:20]!r}") from None


def microseconds(moment: int | datetime) -> int:
    """Return a time stamp as the server has it, in microseconds since the epoch."""
    if isinstance(moment, datetime):
        return nanoseconds(moment) // NANOSECONDS
    return moment


def unpack_int(data: bytes, key: Key) -> int:
    """Return the number that `incr` keeps."""
    return int(_unpack(_INT, data, key))


def unpack_double(data: bytes, key: Key) -> float:
    """Return the number that `incr_double` keeps."""
    return float(_unpack(_DOUBLE, data, key))


def _unpack(layout: struct.Struct, data: bytes, key: Key) -> Any:
    if len(data) != layout.size:
        raise SerializationError(
            f"the record of {key!r:.60} is no number of {layout.size} bytes: {data[:20]!r}",
            key=key,
            serializer="number",
        )
    return layout.unpack(data)[0]


def first_of_each(pairs: Iterable[tuple[Any, T]]) -> dict[Any, T]:
    """Return (key, value) as a dict; of several values of a key, the first, as `get` does."""
    found: dict[Any, T] = {}
    for key, value in pairs:
        found.setdefault(key, value)
    return found


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Cut `items` into lists of at most `size`."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def record_chunks(records: Mapping[Any, Any], size: int) -> Iterator[Mapping[Any, Any]]:
    """Cut records into mappings of at most `size`."""
    if len(records) <= size:
        if records:
            yield records
        return
    for chunk in chunks(records.items(), size):
        yield dict(chunk)


def flattened(records: Mapping[Any, Any], dumps: Dumps) -> list[Key]:
    """Return keys and values in turn, the values as bytes."""
    return [item for key, value in records.items() for item in (key, dump_value(value, dumps, key))]
