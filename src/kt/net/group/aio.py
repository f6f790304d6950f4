"""asyncio: a pool for several servers of which one is the master.

The names, and what happens when, are those of `kt.net.group.blocking`. Where a directory is to be
asked, that is done in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from time import monotonic
from typing import Any, TypeVar

from kt.errors import (
    KTError,
    ProtocolError,
    ServerConnectionError,
    ServerError,
    ServerTimeoutError,
)
from kt.net import aio
from kt.net.endpoint import Endpoint
from kt.net.group.standing import REFUSED, Group, Standing, is_refusal, may_repeat, share
from kt.net.manners import Manners, upcoming
from kt.wire.columns import RpcReply
from kt.wire.reading import Reader

T = TypeVar("T")


class Connection(aio.Connection):
    """As `kt.net.aio.Connection`; its pool hears of writes of pipelines that are refused."""

    def __init__(self, endpoint: Endpoint, loop: asyncio.AbstractEventLoop, pool: Pool) -> None:
        super().__init__(endpoint, loop)
        self._pool = pool

    async def call_many(
        self, calls: Iterable[tuple[bytes, Reader[Any]]], timeout: float | None = None
    ) -> AsyncIterator[list[Any]]:
        refused = False
        async for values in super().call_many(calls, timeout):
            refused = refused or any(map(is_refusal, values))
            yield values
        if refused:
            self._pool.doubt()
            self.finish()


class Pool(aio.Pool):
    """See `kt.net.group.blocking`."""

    def __init__(
        self, endpoint: Endpoint, manners: Manners, group: Group, readers: Group | None = None
    ) -> None:
        """Nothing is connected yet; see `kt.net.group.blocking.Pool`."""
        super().__init__(endpoint, manners)
        self._doubted = False
        self._group = group
        self._readers = None if readers is None else Pool(endpoint, manners, readers)
        self._reads = group.inquiry.reads

    def doubt(self) -> None:
        """The next new user of a connection asks who is the master."""
        self._doubted = True
        shared, self._shared = self._shared, None
        if shared is not None and shared.loop is self._loop:
            shared.finish()

    async def call(
        self,
        request: bytes,
        reader: Reader[T | ServerError],
        timeout: float | None = None,
        repeatable: bool = False,
    ) -> T:
        """See `kt.net.aio.Pool.call`."""
        if self._readers is not None and self._reads.match(request):
            return await self._readers.call(request, reader, timeout, repeatable)
        begin = monotonic()
        refused: ServerError | RpcReply
        try:
            value = await super().call(request, reader, timeout, repeatable)
            if not (isinstance(value, RpcReply) and value.status == REFUSED and is_refusal(value)):
                return value
            refused = value
        except ServerError as error:
            if not is_refusal(error):
                raise
            refused = error
        except (ServerConnectionError, ServerTimeoutError, ProtocolError):
            self.doubt()
            raise
        repeated: T = await self._send_again(request, reader, timeout, begin, refused)
        return repeated

    async def _send_again(
        self,
        request: bytes,
        reader: Reader[Any],
        timeout: float | None,
        begin: float,
        refused: ServerError | RpcReply,
    ) -> Any:
        """Have a request carried out by the master which a server has refused."""
        waits = self.manners.waits(reused=True)
        self.doubt()
        while may_repeat(request):
            why = ServerConnectionError(f"{self.endpoint} refuses to write")
            wait = upcoming(waits, why, timeout, begin)
            if wait is None:
                break
            await asyncio.sleep(wait)
            former = self.endpoint
            left = None if timeout is None else timeout - (monotonic() - begin)
            await self._connect(left)
            if self.endpoint == former and isinstance(refused, ServerError):
                break  # it is the master: that was another reason
            try:
                value = await super().call(request, reader, left, False)
                if not is_refusal(value):
                    return value
                refused = value
            except ServerError as error:
                if not is_refusal(error):
                    raise
                refused = error
            self.doubt()
        if isinstance(refused, ServerError):
            raise refused
        return refused

    async def locate(self, timeout: float | None) -> Endpoint:
        """Ask who is the master: his log is to be had."""
        await self._bind()
        connection = await self._attempt(timeout)
        connection.close()
        return connection.endpoint

    async def close(self) -> None:
        """See `kt.net.aio.Pool.close`."""
        await super().close()
        if self._readers is not None:
            await self._readers.close()

    async def _take(self, timeout: float | None) -> aio.Connection:
        if self._doubted:
            return await self._open(timeout)
        return await super()._take(timeout)

    async def _open(self, timeout: float | None) -> aio.Connection:
        connection = await super()._open(timeout)
        self._doubted = False
        return connection

    async def _attempt(self, timeout: float | None) -> aio.Connection:
        """Return a new connection to the master."""
        loop = asyncio.get_running_loop()
        end = None if timeout is None else loop.time() + timeout
        directory, places = self._group.directory, None
        if directory is not None:
            places = await loop.run_in_executor(None, directory, timeout)
        endpoints = self._group.endpoints(places, self.endpoint)
        connections: dict[Endpoint, Connection] = {}
        found: dict[Endpoint, Standing | KTError] = {}
        try:
            for index, endpoint in enumerate(endpoints):
                left = None if end is None else max(end - loop.time(), 0.0)
                try:
                    standing = await self._ask(
                        endpoint, share(left, len(endpoints) - index - 1), connections
                    )
                except KTError as error:
                    found[endpoint] = error
                    continue
                found[endpoint] = standing
                if self._group.is_settled(endpoint, standing):
                    return connections.pop(endpoint)
            return self._use(connections.pop(self._group.choose(found)))
        finally:
            for connection in connections.values():
                connection.close()

    async def _ask(
        self, endpoint: Endpoint, seconds: float, connections: dict[Endpoint, Connection]
    ) -> Standing:
        """Connect, and ask what is there."""
        begin = monotonic()
        connection = Connection(endpoint, asyncio.get_running_loop(), self)
        await connection.open(self.manners.connecting(seconds, begin))
        self._keep(connection)
        connections[endpoint] = connection
        inquiry = self._group.inquiry
        left = max(begin + seconds - monotonic(), 0.001)
        return inquiry.decode(await connection.call(inquiry.request, inquiry.read_reply, left))

    def _use(self, connection: Connection) -> Connection:
        """From now on use this server, and no other one."""
        self.endpoint = connection.endpoint
        for other in tuple(self._connections):
            if other.endpoint != self.endpoint:
                other.finish()
        return connection
