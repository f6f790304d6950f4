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
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from kt.server.engines.io._io import SUPPORTED, IoThread
from kt.server.holders import Holders

if TYPE_CHECKING:
    import asyncio

    from kt.server.engines.io._io import Reply, Servable

PLAIN_REQUESTS: Final = 32
"""Steps in a row without Python's help after which a connection is passed on."""


class Delegated(Protocol):
    """A connection that can be passed on."""

    def come_back(self, state: int, received: bytes, unsent: bytes | Reply) -> None:
        """Go on without the I/O thread; see `IoThread.take`."""

    def log_trace(self, traced: bytes, when: float) -> None:
        """Log what the stream has noted; see `Session.log_trace`."""


class NativeThread(Protocol):
    """What serves connections; see `IoThread`."""

    def __len__(self) -> int: ...
    def add(self, socket: int, servable: Any, owner: Any) -> None: ...
    def fileno(self) -> int: ...
    def take(
        self,
    ) -> tuple[list[tuple[Any, float, bytes]], Sequence[tuple[Any, int, bytes, bytes | Reply]]]: ...
    def sweep(self) -> None: ...
    def stop(self) -> None: ...


def thread_count() -> int:
    """How many threads a server has."""
    return max(1, (os.cpu_count() or 1) // 2)


class Delegation:
    """The I/O threads of a server. For the event loop's thread.

    Args:
        loop: the event loop.
        threads: what serves connections.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, threads: Sequence[NativeThread]) -> None:
        self._loop = loop
        self._threads = tuple(threads)
        for thread in self._threads:
            loop.add_reader(thread.fileno(), self._take_back, thread)

    def pass_on(self, connection: Delegated, socket: int, servable: Servable) -> None:
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

    def _take_back(self, thread: NativeThread) -> None:
        traces, returned = thread.take()
        for connection, when, traced in traces:
            connection.log_trace(traced, when)
        for connection, state, received, unsent in returned:
            connection.come_back(state, received, unsent)


def start_delegation(
    loop: asyncio.AbstractEventLoop, holders: Holders, spin: int
) -> Delegation | None:
    """The I/O threads; None where the system has none.

    Args:
        loop: the event loop.
        holders: keeps the threads outside of the engine.
        spin: microseconds for which a thread without work waits awake.
    """
    if not SUPPORTED:
        return None
    threads = tuple(IoThread(spin) for _ in range(thread_count()))
    holders.watch(threads)
    return Delegation(loop, threads)
