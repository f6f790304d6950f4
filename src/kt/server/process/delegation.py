"""Connections that need no Python for a while are served by I/O threads.

::

    Connection --- pass_on --->  IoThread: reads, runs and answers requests in native code
               <-- come_back --  what it received and cannot run, and replies it could not send

A connection is passed on when so many requests in a row have been of the kind that its engine's
stream runs by itself (`PLAIN_REQUESTS`), nothing is under way and every reply has been sent. It
comes back with the first request of another kind, at its end, when its client stands still in the
middle of something, and when the server stops. So clients that use rare requests now and then pay
for the way there and back once in a while, and all others get threads of native code, as many as
half of the processors.

While something holds a database's locks for long, nobody may enter the engine who must not wait:
see `Holders`.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Final

from kt.server.engines.io._io import SUPPORTED, IoThread

if TYPE_CHECKING:
    import asyncio

    from kt.server.engines.io._io import Servable
    from kt.server.process.connection import Connection

PLAIN_REQUESTS: Final = 32
"""Steps in a row without Python's help after which a connection is passed on."""


class Holders:
    """What holds a database's locks for long, at the moment: true if there is anything.

    While there is, I/O threads are outside of the engine.
    """

    def __init__(self) -> None:
        self._tokens: set[object] = set()
        self._lock = threading.Lock()
        self._threads: tuple[IoThread, ...] = ()

    def __bool__(self) -> bool:
        return bool(self._tokens)

    def watch(self, threads: tuple[IoThread, ...]) -> None:
        """Keep these outside from now on."""
        with self._lock:
            self._threads = threads
            if self._tokens:
                self._hold()

    def add(self, token: object) -> None:
        """Begin; when that returns, no I/O thread is inside. For any thread."""
        with self._lock:
            if not self._tokens:
                self._hold()
            self._tokens.add(token)

    def discard(self, token: object) -> None:
        """End what began with this token. For any thread."""
        with self._lock:
            self._tokens.discard(token)
            if not self._tokens:
                for thread in self._threads:
                    thread.release()

    def _hold(self) -> None:
        for thread in self._threads:
            thread.hold()


class Delegation:
    """The I/O threads of a server. For the event loop's thread.

    Args:
        loop: the event loop.
        holders: keeps the threads outside of the engine.
        spin: microseconds for which a thread without work waits awake.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, holders: Holders, spin: int) -> None:
        count = max(1, (os.cpu_count() or 1) // 2)
        self._loop = loop
        self._threads = tuple(IoThread(spin) for _ in range(count))
        for thread in self._threads:
            loop.add_reader(thread.fileno(), self._take_back, thread)
        holders.watch(self._threads)

    def pass_on(self, connection: Connection, socket: int, servable: Servable) -> None:
        """Let the thread with the least connections serve this one."""
        min(self._threads, key=len).add(socket, servable, connection)

    def write_traces(self) -> None:
        """Log what has been run."""
        for thread in self._threads:
            if len(thread):
                self._take_back(thread)

    def sweep(self) -> None:
        """Take back what stands still, for `Connection.sweep` to look at."""
        for thread in self._threads:
            if len(thread):
                thread.sweep()

    def stop(self) -> None:
        """Take back everything, and end the threads."""
        for thread in self._threads:
            thread.stop()
            self._take_back(thread)
            self._loop.remove_reader(thread.fileno())
        self._threads = ()

    def _take_back(self, thread: IoThread) -> None:
        traces, returned = thread.take()
        for connection, when, traced in traces:
            connection.log_trace(traced, when)
        for connection, state, received, unsent in returned:
            connection.come_back(state, received, unsent)


def start_delegation(
    loop: asyncio.AbstractEventLoop, holders: Holders, spin: int
) -> Delegation | None:
    """The I/O threads; None where the system has none."""
    return Delegation(loop, holders, spin) if SUPPORTED else None
