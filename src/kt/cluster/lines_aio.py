"""For asyncio, no server between a client and a cluster: requests are answered in this process.

The names are those of `kt.net.aio`, so that clients do not know the difference. Every event loop
has connections of its own, which are made with the first call.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, nullcontext
from itertools import chain, islice
from typing import Any, Final, TypeVar

from kt.cluster.answers import Session, read_request
from kt.cluster.cluster import Cluster
from kt.cluster.contract import Settings
from kt.errors import ServerError
from kt.net.endpoint import Endpoint
from kt.net.local import not_followed, reply_of
from kt.wire.reading import Incomplete, Reader

T = TypeVar("T")

AT_ONCE: Final = 500
"""Requests of a pipeline that are under way at the same time."""


def values_of(
    endpoint: Endpoint,
    calls: list[tuple[bytes, Reader[Any]]],
    replies: list[bytes | BaseException],
) -> tuple[list[Any], BaseException | None]:
    """What the readers make of replies, up to the first that is missing; and why it is."""
    values: list[Any] = []
    for (_, reader), reply in zip(calls, replies, strict=True):
        if isinstance(reply, BaseException):
            return values, reply
        values.append(reply_of(endpoint, reply, reader))
    return values, None


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

    async def call(
        self, request: bytes, reader: Reader[T | ServerError], timeout: float | None = None
    ) -> T:
        """Return what `reader` makes of the reply; raises what it says."""
        value: T = await self._pool.ask(self._session, request, reader, timeout)
        return value

    async def call_many(
        self, calls: Iterable[tuple[bytes, Reader[Any]]], timeout: float | None = None
    ) -> AsyncIterator[list[Any]]:
        """Carry out requests and yield their replies; a ServerError is yielded, not raised."""
        following = iter(calls)
        while part := list(islice(following, AT_ONCE)):
            replies = await self._pool.ask_all(self._session, part, timeout)
            values, error = values_of(self._pool.endpoint, part, replies)
            yield values
            if error is not None:
                raise error

    def close(self) -> None:
        """End the session."""
        self.closed = True


class Pool:
    """The connections of an event loop to clusters, for any number of tasks."""

    def __init__(self, endpoint: Endpoint, settings: Sequence[Settings]) -> None:
        self.endpoint = endpoint
        self._settings = settings
        self._loop: asyncio.AbstractEventLoop | None = None
        self._cluster = Cluster(settings)
        self._session = Session(self._cluster.databases)

    def _here(self) -> Cluster:
        """The connections of the running loop; those of another one are forgotten."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop = loop
            self._cluster = Cluster(self._settings)
            self._session = Session(self._cluster.databases)
        return self._cluster

    async def ask(
        self, session: Session | None, request: bytes, reader: Reader[Any], timeout: float | None
    ) -> Any:
        """What `reader` makes of the reply; raises what it says."""
        cluster = self._here()
        session = session or self._session
        reply = b""
        try:
            async with nullcontext() if timeout is None else asyncio.timeout(timeout):
                for one in _requests(request):
                    reply += await cluster.answer(session, one)
        except TimeoutError as error:
            if type(error) is not TimeoutError:
                raise
            raise self.endpoint.too_late(timeout) from None
        value = reply_of(self.endpoint, reply, reader)
        if isinstance(value, ServerError):
            raise value
        return value

    async def ask_all(
        self, session: Session, calls: list[tuple[bytes, Reader[Any]]], timeout: float | None
    ) -> list[bytes | BaseException]:
        """The replies to many requests, or what they have raised."""
        requests = [_requests(request) for request, _ in calls]
        try:
            async with asyncio.timeout(timeout):
                given = await self._here().answer_all(session, list(chain(*requests)))
        except TimeoutError:
            raise self.endpoint.too_late(timeout) from None
        replies = iter(given)
        return [_joined(list(islice(replies, len(some)))) for some in requests]

    async def call(
        self,
        request: bytes,
        reader: Reader[T | ServerError],
        timeout: float | None = None,
        repeatable: bool = False,
    ) -> T:
        """Return what `reader` makes of the reply to `request`; raises what it says."""
        value: T = await self.ask(None, request, reader, timeout)
        return value

    async def send(self, request: bytes, timeout: float | None = None) -> None:
        """Carry out a request that has no reply."""
        await self.ask(None, request, lambda data, pos: (None, pos), timeout)

    async def acquire(self, timeout: float | None = None) -> Connection:
        """Return a session for the caller alone."""
        return Connection(self, await self.session())

    async def session(self) -> Session:
        """A new session on the running loop's connections."""
        return Session(self._here().databases)

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
        raise not_followed(self.endpoint, "on a cluster")

    async def checkin(self, timeout: float | None = None) -> None:
        """Do nothing: no connection belongs to a task."""

    async def close(self) -> None:
        """Cut the connections; the next call makes new ones."""
        if self._loop is asyncio.get_running_loop():
            self._loop = None
            await self._cluster.close()


def _requests(data: bytes) -> list[Any]:
    """What is sent at once: a request, and before it some that have no reply."""
    requests = []
    pos = 0
    while pos < len(data):
        found = read_request(data, pos)
        assert not isinstance(found, Incomplete), data[pos : pos + 40]
        request, pos = found
        requests.append(request)
    return requests


def _joined(replies: list[bytes | BaseException]) -> bytes | BaseException:
    """The replies to what was sent at once, or what one has raised."""
    whole = b""
    for reply in replies:
        if isinstance(reply, BaseException):
            return reply
        whole += reply
    return whole
