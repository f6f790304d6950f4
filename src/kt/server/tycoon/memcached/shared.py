"""What the sessions of memcached's clients share: the database, options, counts, and who waits."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Final

from kt.server.engines.kyoto._engine import NEVER, Database
from kt.server.tycoon.memcached.options import MemcachedOptions
from kt.server.tycoon.service import TycoonService

ORIGINAL: Final = "KyotoTycoon/0.9.56b"
"""What the original calls itself."""

FLAGS_SIZE: Final = 4
"""Bytes behind a value, big-endian."""

LONGEST_WAIT: Final = 1 << 24
"""Seconds: what is more counts as a time since the epoch."""

COUNTS: Final = ("set", "get", "delete", "incr", "decr")
"""Operations that ``stats`` tells hits and misses of."""


class Memcached:
    """See the module's docstring.

    Args:
        service: that of the server; the first database is what the clients see.
        options: what ``-plex`` says.

    Attributes:
        database: likewise.
        counts: operations so far by name, and those that missed by the name and ``_misses``.
        connections: how many clients there are.
        ended: nobody waits any more.
    """

    def __init__(self, service: TycoonService, options: MemcachedOptions) -> None:
        self.service = service
        self.options = options
        self.database: Database = service.databases[0]
        self.counts: Counter[str] = Counter()
        self.connections = 0
        self.ended = False
        self._start_time = time.time()
        self._elements = 0
        self._waiting: dict[bytes, deque[Callable[[bool], None]]] = {}

    # Values

    def packed(self, value: bytes, flags: int) -> bytes:
        """What is stored for a value."""
        if not self.options.flags:
            return value
        return value + (flags & 0xFFFFFFFF).to_bytes(FLAGS_SIZE, "big")

    def unpacked(self, stored: bytes) -> tuple[bytes, bytes]:
        """The value, and the flags as they are stored: nothing where they are not."""
        if not self.options.flags or len(stored) < FLAGS_SIZE:
            return stored, b""
        return stored[:-FLAGS_SIZE], stored[-FLAGS_SIZE:]

    # Queues

    def element_key(self, queue: bytes) -> bytes:
        """The key of a new element of a queue: later ones come behind it."""
        number, self._elements = self._elements, (self._elements + 1) % 10_000
        return b"%b %014d %04d" % (queue, int(time.time() * 1000), number)

    def wait(self, queue: bytes, over: Callable[[bool], None]) -> Callable[[], None]:
        """Call `over` when there is something new in a queue; returns what gives up."""
        waiting = self._waiting.setdefault(queue, deque())
        waiting.append(over)

        def leave() -> None:
            if over in waiting:
                waiting.remove(over)
            if not waiting and self._waiting.get(queue) is waiting:
                del self._waiting[queue]

        return leave

    def wake(self, queue: bytes) -> None:
        """There is something new in a queue: one of those who wait may look."""
        waiting = self._waiting.get(queue)
        if waiting:
            over = waiting.popleft()
            if not waiting:
                del self._waiting[queue]
            over(True)

    def end(self) -> None:
        """Nothing new will come: the server ends."""
        self.ended = True
        waiting, self._waiting = self._waiting, {}
        for each in waiting.values():
            for over in each:
                over(False)

    # Numbers

    def count(self, name: str, hits: int, misses: int) -> None:
        """Count operations that have been done."""
        self.counts[name] += hits + misses
        self.counts[f"{name}_misses"] += misses

    def stats(self) -> Iterator[tuple[bytes, bytes]]:
        """What ``stats`` tells, in the original's names and order."""
        database, now = self.database, time.time()
        facts = {
            "pid": os.getpid(),
            "uptime": int(now - self._start_time),
            "time": int(now),
            "version": ORIGINAL,
            "pointer_size": 64,
            "curr_connections": self.connections,
            "threads": self.options.threads,
            "curr_items": database.count(),
            "bytes": database.size(),
        }
        yield from ((name.encode(), str(value).encode()) for name, value in facts.items())
        for name, value in sorted(database.status().items()):
            yield b"db_" + name, value
        for kind in COUNTS:
            misses = self.counts[f"{kind}_misses"]
            yield f"{kind}_hits".encode(), b"%d" % (self.counts[kind] - misses)
            yield f"{kind}_misses".encode(), b"%d" % misses
        for kind in ("set", "get", "delete", "flush"):
            yield f"cmd_{kind}".encode(), b"%d" % self.counts[kind]


def expiry(number: int) -> int:
    """What the engine calls *xt*, from what memcached's clients say."""
    if number < 1:
        return NEVER
    return number if number <= LONGEST_WAIT else -number
