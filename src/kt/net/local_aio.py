"""`kt.net.local` for asyncio: what takes microseconds is done at once, the rest in a thread.

A line serves one task at a time, so a task takes one that is idle, or a new one: a line is a
session, and costs next to nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from kt.errors import KTError, ServerError
from kt.net.endpoint import Endpoint
from kt.net.local import Database, Line, not_followed, reply_of
from kt.wire.reading import Reader

T = TypeVar("T")


async def ask(line: Line, requests: bytes) -> bytes:
    """The replies to whole requests."""
    replies, served = (b"", 0) if line.waits() else line.at_once(requests)
    if served == len(requests):
        return replies
    steps = line.steps(requests[served:])
    try:
        run = next(steps)
        while True:
            try:
                result = await asyncio.to_thread(run)
            except BaseException as error:  # noqa: BLE001 - the line is to end first
                run = steps.throw(error)
            else:
                run = steps.send(result)
    except StopIteration as stop:
        rest: bytes = stop.value
        return replies + rest


class Connection:
    """A line for one user.

    Attributes:
        closed: no longer usable.
    """

    __slots__ = ("_database", "_endpoint", "_line", "closed")

    def __init__(self, endpoint: Endpoint, database: Database) -> None:
        self._endpoint = endpoint
        self._database = database
        self._line = database.line(endpoint)
        self.closed = False

    async def call(
        self, request: bytes, reader: Reader[T | ServerError], timeout: float | None = None
    ) -> T:
        """Return what `reader` makes of the reply; raises what it says."""
        value: T | ServerError = await self.exchange(request, reader)
        if isinstance(value, ServerError):
            raise value
        return value

    async def exchange(self, request: bytes, reader: Reader[Any] | None) -> Any:
        """As `call`, but a ServerError is returned; without reader, None."""
        self._database.check(self._endpoint)
        try:
            reply = await ask(self._line, request)
            return None if reader is None else reply_of(self._endpoint, reply, reader)
        except BaseException:
            self.closed = True
            raise

    async def call_many(
        self, calls: Iterable[tuple[bytes, Reader[Any]]], timeout: float | None = None
    ) -> AsyncIterator[list[Any]]:
        """Carry out requests and yield their replies; a ServerError is yielded, not raised."""
        for request, reader in calls:
            yield [await self.exchange(request, reader)]

    def close(self) -> None:
        """End the session."""
        if not self.closed:
            self.closed = True
            self._line.end()


class Pool:
    """Lines to the databases that one `Database` holds, for any number of tasks."""

    def __init__(self, endpoint: Endpoint, database: Database) -> None:
        self.endpoint = endpoint
        self._database = database
        self._idle: list[Line] = []

    async def call(
        self,
        request: bytes,
        reader: Reader[T | ServerError],
        timeout: float | None = None,
        repeatable: bool = False,
    ) -> T:
        """Return what `reader` makes of the reply to `request`; raises what it says.

        Nothing is sent, so nothing is repeated, and nothing times out.
        """
        value: T | ServerError = await self._exchange(request, reader)
        if isinstance(value, ServerError):
            raise value
        return value

    async def send(self, request: bytes, timeout: float | None = None) -> None:
        """Carry out a request that has no reply."""
        await self._exchange(request, None)

    async def _exchange(self, request: bytes, reader: Reader[Any] | None) -> Any:
        self._database.check(self.endpoint)
        line = self._idle.pop() if self._idle else self._database.line(self.endpoint)
        try:
            reply = await ask(line, request)
        except Exception as error:
            if not isinstance(error, KTError):  # what an engine says that is closed meanwhile
                self._database.check(self.endpoint)
            raise
        if not line.closed:
            self._idle.append(line)
        return None if reader is None else reply_of(self.endpoint, reply, reader)

    async def acquire(self, timeout: float | None = None) -> Connection:
        """Return a line for the caller alone."""
        return Connection(self.endpoint, self._database)

    def release(self, connection: Connection) -> None:
        """Take back what `acquire` returned."""
        connection.close()

    def abandon(self, connection: Connection) -> None:
        """Take back what `acquire` returned, from a finalizer."""
        connection.closed = True

    @asynccontextmanager
    async def lease(self, timeout: float | None = None) -> AsyncIterator[Connection]:
        """`acquire` and `release` as a context."""
        connection = await self.acquire()
        try:
            yield connection
        finally:
            self.release(connection)

    def followed(self) -> Endpoint:
        """Where the log of changes is to be had: nowhere."""
        raise not_followed(self.endpoint)

    async def checkin(self, timeout: float | None = None) -> None:
        """Do nothing: no line belongs to a task."""

    async def close(self) -> None:
        """Close the databases."""
        await asyncio.to_thread(self._database.close)
