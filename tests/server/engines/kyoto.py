"""What tests of the Kyoto Cabinet engine share: databases of every type, and binary requests."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kt.server.engines.kyoto._engine import NEVER, Database, State, Stream

ORDERED = ("+", "%", "casket.kct", "casket.kcf")
HASHES = ("*", "-", ":", "casket.kch", "casket.kcd")
TYPES = (*HASHES, *ORDERED)
FILES = ("casket.kch", "casket.kct", "casket.kcd", "casket.kcf")

PAST = -1
"""An expiry that has passed; swept after a second at the earliest."""
FUTURE = -4102444800
"""An expiry of the year 2100."""


@contextmanager
def opened(spec: str, directory: Path, **options: Any) -> Iterator[Database]:
    """A database of the type that `spec` says, in `directory` if it has a file."""
    if spec[0] not in "*%:+-":
        spec = str(directory / spec)
    with Database(spec, **options) as database:
        yield database


def contents(database: Database) -> dict[bytes, bytes]:
    """All records, by a cursor."""
    cursor = database.cursor()
    try:
        if database.count() == 0:
            return {}
        cursor.jump()
        return {key: value for key, value, _xt in cursor.records()}
    finally:
        cursor.close()


def set_bulk(
    records: Iterable[tuple[bytes, bytes]], *, db: int = 0, xt: int = NEVER, flags: int = 0
) -> bytes:
    """The request of the binary protocol."""
    parts = [struct.pack(">HIIq", db, len(k), len(v), xt) + k + v for k, v in records]
    return b"\xb8" + struct.pack(">II", flags, len(parts)) + b"".join(parts)


def remove_bulk(keys: Iterable[bytes], *, db: int = 0, flags: int = 0) -> bytes:
    """The request of the binary protocol."""
    parts = [struct.pack(">HI", db, len(key)) + key for key in keys]
    return b"\xb9" + struct.pack(">II", flags, len(parts)) + b"".join(parts)


def get_bulk(keys: Iterable[bytes], *, db: int = 0, flags: int = 0) -> bytes:
    """The request of the binary protocol."""
    return b"\xba" + remove_bulk(keys, db=db, flags=flags)[1:]


def feed(stream: Stream, request: bytes) -> tuple[State, bytes, bytes]:
    """Feed until nothing more can be done; (the last state, the replies, what is left)."""
    replies = b""
    while True:
        state, consumed, reply = stream.feed(request)
        replies += reply
        request = request[consumed:]
        if state != State.AGAIN:
            return State(state), replies, request
