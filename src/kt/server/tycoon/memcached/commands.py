"""What memcached's commands do with a database, each in any thread, at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple, TypeAlias

from kt.server.engines import EngineError, LargeValue
from kt.server.engines.kyoto._engine import KEEP, NEVER, XT_MAX, Code, Database, Verdict
from kt.server.tycoon.large import LARGE_VALUE
from kt.server.tycoon.memcached.shared import Memcached, expiry
from kt.server.tycoon.values import integer
from kt.wire.memcached import (
    DELETED,
    END,
    EXISTS,
    NOT_FOUND,
    NOT_STORED,
    OK,
    STORED,
    TOUCHED,
    added_up,
    stat_line,
    value_head,
)

Change: TypeAlias = Callable[[bytes, int], "Verdict | tuple[bytes, int]"]
"""Makes a new value and expiry of those that a record has, or keeps them."""


class Answer(NamedTuple):
    """What a command comes to.

    Attributes:
        reply: in pieces, so that large values are not copied.
        hits: how many records it has found, or stored.
        misses: how many it has not.
        failure: what the engine says, where it has failed.
    """

    reply: Sequence[bytes]
    hits: int = 0
    misses: int = 0
    failure: bytes = b""


def hit(reply: bytes) -> Answer:
    """It has succeeded."""
    return Answer((reply,), hits=1)


def missed(reply: bytes) -> Answer:
    """There is no such record, or there is one."""
    return Answer((reply,), misses=1)


class Changing:
    """What changes a record that is there, with the record locked."""

    def __init__(self, change: Change) -> None:
        self._change = change
        self.found = False

    def visit_full(self, key: bytes, value: bytes, xt: int) -> Verdict | tuple[bytes, int]:
        self.found = True
        return self._change(value, NEVER if xt >= XT_MAX else -xt)

    def visit_empty(self, key: bytes) -> Verdict:
        return KEEP


def _change(database: Database, key: bytes, change: Change) -> bool:
    """Change a record; whether there is one."""
    changing = Changing(change)
    database.accept(key, changing)
    return changing.found


def unique_number(stored: bytes) -> int:
    """What ``gets`` tells, and ``cas`` compares: a digest of what is stored.

    So nothing has to be kept beside the record, and it is the same in every server that has it.
    """
    return int.from_bytes(blake2b(stored, digest_size=8).digest(), "big")


# Commands with data; words: name, key, flags, expiry, size and, for cas, the unique number


def store(shared: Memcached, words: Sequence[bytes], data: bytes) -> Answer:
    shared.database.set(words[1], _stored(shared, words, data), expiry(integer(words[3])))
    return hit(STORED)


def add(shared: Memcached, words: Sequence[bytes], data: bytes) -> Answer:
    return _unless(Code.DUPREC, shared.database.add, shared, words, data)


def replace(shared: Memcached, words: Sequence[bytes], data: bytes) -> Answer:
    return _unless(Code.NOREC, shared.database.replace, shared, words, data)


def _unless(
    code: Code,
    put: Callable[[bytes, bytes, int], None],
    shared: Memcached,
    words: Sequence[bytes],
    data: bytes,
) -> Answer:
    try:
        put(words[1], _stored(shared, words, data), expiry(integer(words[3])))
    except EngineError as error:
        if error.code != code:
            raise
        return missed(NOT_STORED)
    return hit(STORED)


def append(shared: Memcached, words: Sequence[bytes], data: bytes) -> Answer:
    def longer(stored: bytes, xt: int) -> tuple[bytes, int]:
        value, flags = shared.unpacked(stored)
        return value + data + flags, xt

    return hit(STORED) if _change(shared.database, words[1], longer) else missed(NOT_STORED)


def prepend(shared: Memcached, words: Sequence[bytes], data: bytes) -> Answer:
    def longer(stored: bytes, xt: int) -> tuple[bytes, int]:
        return data + stored, xt

    return hit(STORED) if _change(shared.database, words[1], longer) else missed(NOT_STORED)


def cas(shared: Memcached, words: Sequence[bytes], data: bytes) -> Answer:
    new = _stored(shared, words, data), expiry(integer(words[3]))
    same = False

    def swapped(stored: bytes, xt: int) -> Verdict | tuple[bytes, int]:
        nonlocal same
        same = b"%d" % unique_number(stored) == words[5]
        return new if same else KEEP

    if not _change(shared.database, words[1], swapped):
        return missed(NOT_FOUND)
    return hit(STORED) if same else missed(EXISTS)


def store_element(shared: Memcached, words: Sequence[bytes], data: bytes) -> Answer:
    """``set`` where keys are queues."""
    key = shared.element_key(words[1])
    shared.database.set(key, _stored(shared, words, data), expiry(integer(words[3])))
    return hit(STORED)


def _stored(shared: Memcached, words: Sequence[bytes], data: bytes) -> bytes:
    return shared.packed(data, integer(words[2]))


# Commands without


def get(shared: Memcached, words: Sequence[bytes], limit: float) -> Answer:
    """``get`` and ``gets``; raises LargeValue where the values are of more bytes than `limit`."""
    reply: list[bytes] = []
    size = hits = 0
    unique = words[0] == b"gets"
    for key in words[1:]:
        stored = _get(shared.database, key)
        if stored is None:
            continue
        hits += 1
        size += len(stored)
        if size > limit:
            raise LargeValue("the values are too large for a thread in a hurry")
        reply += value_lines(shared, key, stored, unique=unique)
    reply.append(END)
    misses = len(words) - 1 - hits
    return Answer(reply if size > LARGE_VALUE else (b"".join(reply),), hits, misses)


def _get(database: Database, key: bytes) -> bytes | None:
    try:
        return database.get(key)[0]
    except EngineError as error:
        if error.code != Code.NOREC:
            raise
        return None


def value_lines(
    shared: Memcached, key: bytes, stored: bytes, *, unique: bool = False
) -> tuple[bytes, bytes, bytes]:
    """How a record is sent."""
    value, flags = shared.unpacked(stored)
    number = unique_number(stored) if unique else None
    head = value_head(key, int.from_bytes(flags, "big"), len(value), number)
    return head, value, b"\r\n"


def delete(shared: Memcached, words: Sequence[bytes]) -> Answer:
    try:
        shared.database.remove(words[1])
    except EngineError as error:
        if error.code != Code.NOREC:
            raise
        return missed(NOT_FOUND)
    return hit(DELETED)


def incr(shared: Memcached, words: Sequence[bytes]) -> Answer:
    return _add(shared, words[1], integer(words[2]))


def decr(shared: Memcached, words: Sequence[bytes]) -> Answer:
    return _add(shared, words[1], -integer(words[2]))


def _add(shared: Memcached, key: bytes, number: int) -> Answer:
    total = 0

    def added(stored: bytes, xt: int) -> tuple[bytes, int]:
        nonlocal total
        value, flags = shared.unpacked(stored)
        total = added_up(integer(value), number)
        return b"%d%b" % (total, flags), xt

    if not _change(shared.database, key, added):
        return missed(NOT_FOUND)
    return hit(b"%d\r\n" % total)


def touch(shared: Memcached, words: Sequence[bytes]) -> Answer:
    xt = expiry(integer(words[2]))
    found = _change(shared.database, words[1], lambda stored, _: (stored, xt))
    return hit(TOUCHED) if found else missed(NOT_FOUND)


def flush_all(shared: Memcached, words: Sequence[bytes]) -> Answer:
    shared.database.clear()
    return hit(OK)


def stats(shared: Memcached, words: Sequence[bytes]) -> Answer:
    return Answer((b"".join(stat_line(*fact) for fact in shared.stats()) + END,))


NO_LIMIT: Final = float("inf")
"""Of `get`, in a thread that may take its time."""
