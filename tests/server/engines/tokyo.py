"""What tests of the Tokyo Cabinet engine share: databases of every type, and lists in wire form."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kt.server.engines.tokyo._engine import Database
from kt.wire.tyrant import decode_misc

ORDERED = ("+", "casket.tcb", "casket.tcf")
HASHES = ("*", "casket.tch", "casket.tct")
TYPES = (*HASHES, *ORDERED)


@contextmanager
def opened(name: str, directory: Path, *, stores: int = 0) -> Iterator[Database]:
    """A database of the type that `name` says, closed at the end."""
    if name[0] not in "*+":
        name = str(directory / name)
    database = Database(name, stores=stores)
    try:
        yield database
    finally:
        database.close()


def is_table(database: Database) -> bool:
    return database.type_name == "table"


def key(number: int) -> bytes:
    """A key that every type takes: those of fixed-length databases are numbers."""
    return b"%d" % (number + 1)


def value(database: Database, text: bytes) -> bytes:
    """A value that this type takes: a table's is a row."""
    return b"column\0" + text if is_table(database) else text


def fill(database: Database, count: int) -> list[bytes]:
    """Store so many records; their keys."""
    keys = [key(number) for number in range(count)]
    for one in keys:
        assert database.put(one, value(database, b"value " + one))
    return keys


def items(frame: bytes | None) -> list[bytes]:
    """The elements of a list in wire form."""
    assert frame is not None
    return decode_misc(b"\0" + frame, False)


def every_key(database: Database) -> bytes:
    """The prefix that every key has: in a fixed-length database, the interval of all."""
    return b"[min,max]" if database.type_name == "fixed-length" else b""


def sized(*parts: bytes) -> bytes:
    """Byte strings, each behind its size."""
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def misc_request(name: bytes, arguments: Sequence[bytes] = ()) -> bytes:
    head = struct.pack(">BBIII", 0xC8, 0x90, len(name), 0, len(arguments))
    return head + name + sized(*arguments)


def record_request(command: int, key: bytes, value: bytes) -> bytes:
    return struct.pack(">BBII", 0xC8, command, len(key), len(value)) + key + value


def key_request(command: int, key: bytes) -> bytes:
    return struct.pack(">BBI", 0xC8, command, len(key)) + key


def mget_request(keys: Sequence[bytes]) -> bytes:
    return struct.pack(">BBI", 0xC8, 0x31, len(keys)) + sized(*keys)
