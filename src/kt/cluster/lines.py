"""No server between a blocking client and a cluster: an event loop in a thread does the talking.

The names are those of `kt.net.blocking`, so that clients do not know the difference. Failures of
nodes are handled in one place, `kt.cluster.engine`, which is asyncio; so a pool has a thread with
an event loop, made with the first call, and its callers wait for that.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final, TypeVar

from kt.cluster import lines_aio
from kt.cluster.answers import Session
from kt.cluster.contract import Settings
from kt.cluster.engine import is_closed
from kt.cluster.lines_aio import AT_ONCE, values_of
from kt.errors import ServerError
from kt.net.endpoint import Endpoint
from kt.net.local import not_followed
from kt.wire.reading import Reader

T = TypeVar("T")

LAST_WAIT: Final = 1.0
"""Seconds for what is under way, when connections have been cut, to notice it."""


class LoopThread:
    """An event loop in a thread, which ends with the program."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="kt", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What the coroutine returns; raises what it raises.

        Raises:
            ServerConnectionError: the loop has ended, or ends meanwhile.
        """
        with self._lock:
            if self._ended:
                work.close()
                raise is_closed()
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except CancelledError:
            raise is_closed() from None
        except BaseException:
            future.cancel()  # whoever was interrupted does not wait for it any more
            raise

    def end(self) -> None:
        """End the loop, once everybody who waits for it has been answered."""
        with self._lock:
            self._ended = True
        asyncio.run_coroutine_threadsafe(self._last(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @staticmethod
    async def _last() -> None:
        """Wait for what is under way, and cancel what does not come to an end."""
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            _, late = await asyncio.wait(others, timeout=LAST_WAIT)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)


class Connection:
    """A session for one user.

    Attributes:
        closed: no longer usable.
    """

    __slots__ = ("_pool", "_session", "closed")

    def __init__(self, pool: Pool, session: Session) -> None:
        self._pool = pool
        self._session = session
        self.closed = False

    def call(
        self, request: bytes, reader: Reader[T | ServerError], timeout: float | None = None
    ) -> T:
        """Return what `reader` makes of the reply; raises what it says."""
        value: T = self._pool.ask(self._session, request, reader, timeout)
        return value

    def call_many(
        self, calls: Iterable[tuple[bytes, Reader[Any]]], timeout: float | None = None
    ) -> Iterator[list[Any]]:
        """Carry out requests and yield their replies; a ServerError is yielded, not raised."""
        following = iter(calls)
        while part := list(islice(following, AT_ONCE)):
            replies = self._pool.ask_all(self._session, part, timeout)
            values, error = values_of(self._pool.endpoint, part, replies)
            yield values
            if error is not None:
                raise error

    def close(self) -> None:
        """End the session."""
        self.closed = True


class Pool:
    """The connections of a process to clusters, for any number of threads."""

    def __init__(self, endpoint: Endpoint, settings: Sequence[Settings]) -> None:
        self.endpoint = endpoint
        self._settings = settings
        self._lock = threading.Lock()
        self._thread: LoopThread | None = None
        self._inner = lines_aio.Pool(endpoint, settings)
        _POOLS.add(self)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        thread = self._thread
        if thread is None:
            with self._lock:
                thread = self._thread = self._thread or LoopThread()
        return thread.run(work)

    def ask(
        self, session: Session | None, request: bytes, reader: Reader[Any], timeout: float | None
    ) -> Any:
        """What `reader` makes of the reply; raises what it says."""
        return self._run(self._inner.ask(session, request, reader, timeout))

    def ask_all(
        self, session: Session, calls: list[tuple[bytes, Reader[Any]]], timeout: float | None
    ) -> list[bytes | BaseException]:
        """The replies to many requests, or what they have raised."""
        return self._run(self._inner.ask_all(session, calls, timeout))

    def call(
        self,
        request: bytes,
        reader: Reader[T | ServerError],
        timeout: float | None = None,
        repeatable: bool = False,
    ) -> T:
        """Return what `reader` makes of the reply to `request`; raises what it says."""
        value: T = self.ask(None, request, reader, timeout)
        return value

    def send(self, request: bytes, timeout: float | None = None) -> None:
        """Carry out a request that has no reply."""
        self._run(self._inner.send(request, timeout))

    def acquire(self, timeout: float | None = None) -> Connection:
        """Return a session for the caller alone."""
        return Connection(self, self._run(self._inner.session()))

    def release(self, connection: Connection) -> None:
        """Take back what `acquire` returned."""
        connection.close()

    def abandon(self, connection: Connection) -> None:
        """Take back what `acquire` returned, from a finalizer."""
        connection.closed = True

    @contextmanager
    def lease(self, timeout: float | None = None) -> Iterator[Connection]:
        """`acquire` and `release` as a context."""
        connection = self.acquire()
        try:
            yield connection
        finally:
            self.release(connection)

    def followed(self) -> Endpoint:
        """Where the log of changes is to be had: nowhere."""
        raise not_followed(self.endpoint, "on a cluster")

    def checkin(self, timeout: float | None = None) -> None:
        """Do nothing: no connection belongs to a thread."""

    def close(self) -> None:
        """Cut the connections; the next call makes new ones."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.run(self._inner.close())
            thread.end()

    def forget(self) -> None:
        """In a process that was forked off: the thread and the connections are the parent's."""
        self._lock = threading.Lock()
        self._thread = None
        self._inner = lines_aio.Pool(self.endpoint, self._settings)


_POOLS: weakref.WeakSet[Pool] = weakref.WeakSet()


def _forked() -> None:
    for pool in _POOLS:
        pool.forget()


os.register_at_fork(after_in_child=_forked)
