"""Blocking sockets: a pool for several servers of which one is the master.

`kt.net.group.aio` has the same names for asyncio. It is the pool of `kt.net.blocking`, to which
things happen only where something is wrong, or new::

    new connection --> "what are you?" --> the master: use it
                            |
                            +-- no, or no answer --> ask all --> the master: use it from now on
                                                                 none: ServerConnectionError
    refused write --> a new connection, as above --> send it again, to the master
    lost reply    --> as ever (`OutcomeUnknown`); the next call asks

A call on a connection that works costs nothing more. When there is another master, the connections
to the former one are closed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from time import monotonic, sleep
from typing import Any, TypeVar

from kt.errors import (
    KTError,
    ProtocolError,
    ServerConnectionError,
    ServerError,
    ServerTimeoutError,
)
from kt.net import blocking
from kt.net.endpoint import Endpoint
from kt.net.group.standing import REFUSED, Group, Standing, is_refusal, may_repeat, share
from kt.net.manners import Manners, upcoming
from kt.wire.columns import RpcReply
from kt.wire.reading import Reader

T = TypeVar("T")


class Connection(blocking.Connection):
    """As `kt.net.blocking.Connection`; its pool hears of writes of pipelines that are refused."""

    __slots__ = ("pool",)

    pool: Pool

    def call_many(
        self, calls: Iterable[tuple[bytes, Reader[Any]]], timeout: float | None = None
    ) -> Iterator[list[Any]]:
        for values in super().call_many(calls, timeout):
            if any(map(is_refusal, values)):
                self.retired = self.pool.doubted = True
            yield values


class Pool(blocking.Pool):
    """See the module's docstring.

    Attributes:
        doubted: the next new user of a connection asks who is the master.
    """

    def __init__(
        self, endpoint: Endpoint, manners: Manners, group: Group, readers: Group | None = None
    ) -> None:
        """Nothing is connected yet.

        Args:
            endpoint: what all the servers have in common.
            manners: see `kt.net.blocking.Pool`.
            group: they.
            readers: the same, for calls that only read; None: these go to the master, too.
        """
        self._readers = None if readers is None else Pool(endpoint, manners, readers)
        super().__init__(endpoint, manners)
        self.doubted = False
        self._group = group
        self._reads = group.inquiry.reads

    def call(
        self,
        request: bytes,
        reader: Reader[T | ServerError],
        timeout: float | None = None,
        repeatable: bool = False,
    ) -> T:
        """See `kt.net.blocking.Pool.call`."""
        if self._readers is not None and self._reads.match(request):
            return self._readers.call(request, reader, timeout, repeatable)
        begin = monotonic()
        refused: ServerError | RpcReply
        try:
            value: T = self._exchange(request, reader, timeout, repeatable)
            if not (isinstance(value, RpcReply) and value.status == REFUSED and is_refusal(value)):
                return value
            refused = value
        except ServerError as error:
            if not is_refusal(error):
                raise
            refused = error
        except (ServerConnectionError, ServerTimeoutError, ProtocolError):
            self.doubted = True
            raise
        repeated: T = self._send_again(request, reader, timeout, begin, refused)
        return repeated

    def _send_again(
        self,
        request: bytes,
        reader: Reader[Any],
        timeout: float | None,
        begin: float,
        refused: ServerError | RpcReply,
    ) -> Any:
        """Have a request carried out by the master which a server has refused."""
        waits = self.manners.waits(reused=True)
        self.doubted = True
        while may_repeat(request):
            why = ServerConnectionError(f"{self.endpoint} refuses to write")
            wait = upcoming(waits, why, timeout, begin)
            if wait is None:
                break
            sleep(wait)
            former = self.endpoint
            left = None if timeout is None else timeout - (monotonic() - begin)
            self.release(self._take(left))
            if self.endpoint == former and isinstance(refused, ServerError):
                break  # it is the master: that was another reason
            try:
                value = self._exchange(request, reader, left, False)
                if not is_refusal(value):
                    return value
                refused = value
            except ServerError as error:
                if not is_refusal(error):
                    raise
                refused = error
            self.doubted = True
        if isinstance(refused, ServerError):
            raise refused
        return refused

    def locate(self, timeout: float | None) -> Endpoint:
        """Ask who is the master: his log is to be had."""
        connection = self._attempt(timeout)
        connection.close()
        return connection.endpoint

    def close(self) -> None:
        """See `kt.net.blocking.Pool.close`."""
        super().close()
        if self._readers is not None:
            self._readers.close()

    def _take(self, timeout: float | None) -> blocking.Connection:
        if self.doubted:
            connection = self._open(timeout)
            self.doubted = False
            return connection
        return super()._take(timeout)

    def _attempt(self, timeout: float | None) -> blocking.Connection:
        """Return a new connection to the master."""
        end = None if timeout is None else monotonic() + timeout
        directory = self._group.directory
        places = None if directory is None else directory(timeout)
        endpoints = self._group.endpoints(places, self.endpoint)
        connections: dict[Endpoint, Connection] = {}
        found: dict[Endpoint, Standing | KTError] = {}
        try:
            for index, endpoint in enumerate(endpoints):
                left = None if end is None else max(end - monotonic(), 0.0)
                try:
                    standing = self._ask(
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

    def _ask(
        self, endpoint: Endpoint, seconds: float, connections: dict[Endpoint, Connection]
    ) -> Standing:
        """Connect, and ask what is there."""
        begin = monotonic()
        connection = Connection(
            endpoint, self.manners.connecting(seconds, begin), self._connections
        )
        connection.pool = self
        connections[endpoint] = connection
        inquiry = self._group.inquiry
        left = max(begin + seconds - monotonic(), 0.001)
        return inquiry.decode(connection.call(inquiry.request, inquiry.read_reply, left))

    def _use(self, connection: Connection) -> Connection:
        """From now on use this server, and no other one."""
        self.endpoint = connection.endpoint
        for other in tuple(self._connections):
            if other.endpoint != self.endpoint:
                other.retire()
        return connection
