"""asyncio: a connection that many tasks share, and a pool of connections.

The names are those of `kt.net.blocking`, so that client code differs by `async` and `await` only.

A *connection* writes requests as they come and hands each reply to the task that asked, in order::

    task ── exchange ──> outgoing ── one write per turn of the loop ──> socket
         <── future <── replies (a queue of readers) <── data_received

- While replies are outstanding, the requests of one turn of the loop go out in one write; the first
  request to a quiet connection goes out at once.
- A task that is cancelled, or gives up after its timeout, leaves its place in the queue: the reply
  is read and dropped. Only when a timeout passes in the middle of a reply, or in silence from its
  begin to its end, is the connection taken for dead and closed.
- With a `Retry`, connecting is tried again, and so is a harmless request whose connection broke.
- A new connection that stays silent for a second may have met the other kind of server, which has
  the same default port and waits for the end of a line: then that one is asked for (`Endpoint`).
- While the socket takes no more, tasks wait for their turn before they write anything.

The *pool* has one shared connection for calls, so that every call sees what was written before it,
and connections leased to one user each (cursors, waiting for signals); together at most `size`, and
who wants another one waits. It starts no tasks of its own. Nothing is tied to an event loop before
the first call; when the running loop is another one than before (`asyncio.run` twice, or a fork),
the pool forgets the old connections and begins anew. Those of a loop are closed when it ends, by an
asynchronous generator that the loop ends then (`until_the_end`).
"""

from __future__ import annotations

import asyncio
import select
import socket
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from sys import is_finalizing
from time import monotonic
from typing import Any, TypeVar, cast

from kt.errors import KTError, ServerConnectionError, ServerError, ServerTimeoutError
from kt.net.batch import Batch
from kt.net.endpoint import SILENCE, Endpoint
from kt.net.manners import Manners, upcoming
from kt.net.replies import PIPE_MAX, PIPE_REFILL, Replies, is_parting
from kt.wire.reading import Reader

T = TypeVar("T")

FRESH = 0.001
"""Seconds for which a quiet connection is believed to be alive after it was used."""

WRITE_MIN = 64 * 1024
"""Bytes of coalesced requests that are written without waiting for the end of the loop's turn."""

ADMITTED = 256
"""Tasks that may write in one turn of the loop after the socket took no more."""

INFINITY = float("inf")

HUNG_UP = getattr(select, "POLLRDHUP", 0)
"""What a socket polls for whose other side has ended; not every system has it."""

CLOSE_WAIT = 1.0
"""Seconds for which closing waits until everything written has left."""


Caller = tuple["asyncio.Future[Any] | Batch", float, float | None]
"""Who waits for a reply: the future, its deadline by the loop's clock, and the timeout as given."""


def relieve(flush: Callable[[], object]) -> None:
    """Do nothing: with asyncio, it is for the program to say when it wants to wait."""


@asynccontextmanager
async def time_limit(endpoint: Endpoint, timeout: float | None) -> AsyncIterator[None]:
    """Raise ServerTimeoutError if the block takes more than `timeout` seconds."""
    try:
        async with asyncio.timeout(timeout):
            yield
    except KTError:
        raise
    except TimeoutError as error:
        raise endpoint.no_turn(timeout) from error


def secured(endpoint: Endpoint, timeout: float | None) -> dict[str, Any]:
    """Arguments for TLS, where the server speaks it, of asyncio's functions."""
    if endpoint.tls is None:
        return {}
    from kt.net.tls import arguments  # imports ssl, which takes long

    return arguments(endpoint.tls, endpoint.host, timeout)


async def is_stranger(endpoint: Endpoint) -> bool:
    """Wait for the other kind of server to answer, and tell whether it does."""
    try:
        if endpoint.is_unix:
            reader, writer = await asyncio.open_unix_connection(endpoint.host)
        else:
            more = secured(endpoint, SILENCE)
            reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port, **more)
        try:
            writer.write(endpoint.stranger.request)
            return await reader.read(1) == endpoint.stranger.answer
        finally:
            writer.close()
            await writer.wait_closed()
    except OSError:
        return False


async def looks_strange(endpoint: Endpoint, news: list[Any], timeout: float | None) -> bool:
    """Ask for the other kind of server until a future of `news` is done; is it there?"""
    stranger = asyncio.ensure_future(is_stranger(endpoint))
    try:
        await asyncio.wait([stranger, *news], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        return stranger.done() and stranger.result()
    finally:
        stranger.cancel()
        await asyncio.wait([stranger])


class Connection(asyncio.Protocol):
    """A connected socket, used by any number of tasks of one event loop.

    Attributes:
        loop: its event loop.
        closed: no longer usable.
        endpoint: the server.
        unanswered: something was sent that has no reply, and nothing was asked since.
        used: when it was last used, by `time.monotonic`; 0.0 if never.
        lost: a future, done when the transport is gone.
    """

    def __init__(self, endpoint: Endpoint, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.closed = self.unanswered = False
        self.used = 0.0
        self.lost: asyncio.Future[None] = loop.create_future()
        self.endpoint = endpoint
        self._replies = Replies()
        self._callers: deque[Caller] = deque()  # one for each outstanding reply
        self._outgoing: list[bytes] = []
        self._outgoing_size = 0
        self._coalesce = False
        self._full = False
        self._turns: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = INFINITY
        self._heard = 0.0  # when bytes came last, by the loop's clock
        self._first: asyncio.Future[None] = loop.create_future()  # done when something came
        self._met = False
        self._finishing = False

    async def open(self, timeout: float | None) -> None:
        """Connect within `timeout` seconds.

        Raises:
            ServerConnectionError: the server cannot be reached.
            ServerTimeoutError: it did not accept in time.
        """
        endpoint, loop = self.endpoint, self.loop
        try:
            async with asyncio.timeout(timeout):
                if endpoint.is_unix:
                    await loop.create_unix_connection(lambda: self, endpoint.host)
                else:
                    more = secured(endpoint, timeout)
                    await loop.create_connection(lambda: self, endpoint.host, endpoint.port, **more)
        except OSError as error:
            raise endpoint.unreachable(error) from error

    async def call(
        self, request: bytes, reader: Reader[T | ServerError], timeout: float | None = None
    ) -> T:
        """Send `request` and return what `reader` makes of the reply, within `timeout` seconds.

        Raises:
            ServerError: the server reports a failure; the connection stays usable.
            ServerConnectionError: the connection broke before the reply began.
            ServerTimeoutError: the reply did not come in time.
            ProtocolError: what came is not the reply, or not all of it.
        """
        if self.congested:
            await self.turn(timeout)
        value: T | ServerError = await self.ask(request, reader, timeout)
        if isinstance(value, ServerError):
            raise value
        return value

    async def call_many(
        self, calls: Iterable[tuple[bytes, Reader[Any]]], timeout: float | None = None
    ) -> AsyncIterator[list[Any]]:
        """Send requests without waiting for their replies, and yield these in order, as they come.

        Requests are taken from `calls` as there is room for them. A ServerError is yielded, not
        raised. `timeout` bounds the time for each reply. The connection is closed if the last reply
        is a failure after which the server may hang up.
        """
        last: list[Any] = []
        batch = Batch(self.loop)
        try:
            for request, reader in calls:
                if self._full or self._turns:
                    await self.turn(timeout)
                self._ask(request, reader, timeout, batch)
                batch.asked += 1
                if batch.asked == PIPE_MAX:
                    await self._meet(timeout)
                    while batch.asked > PIPE_REFILL:
                        yield await batch.take()
            await self._meet(timeout)
            while batch.asked:
                last = await batch.take()
                yield last
            if is_parting(*last[-1:]):
                self.finish()
        finally:
            batch.set_exception(asyncio.CancelledError())  # what comes later is dropped

    def ask(self, request: bytes, reader: Reader[T], timeout: float | None) -> asyncio.Future[T]:
        """Send `request` and return the future of its reply; a ServerError is a result."""
        future: asyncio.Future[T] = self.loop.create_future()
        self._ask(request, reader, timeout, future)
        return future

    async def ask_first(
        self, request: bytes, reader: Reader[T], timeout: float | None
    ) -> T | ServerError:
        """As `ask` and wait; in a first silence, look who is there."""
        future = self.ask(request, reader, timeout)
        try:
            await self._meet(timeout)
        except BaseException:
            if not future.cancel():
                future.exception()  # taken note of
            raise
        return await future

    async def _meet(self, timeout: float | None) -> None:
        """Wait until something has come for the first time, or we have asked who is there.

        Raises:
            ProtocolError: the other kind of server.
        """
        patience = self.endpoint.patience(timeout)
        if self._heard or self._met or patience is None:
            return
        self._met = True
        await asyncio.wait([self._first], timeout=patience)
        if self._heard:
            return
        left = patience if self.closed else None if timeout is None else timeout - patience
        strange = await looks_strange(self.endpoint, [] if self.closed else [self._first], left)
        if strange and not self._heard:
            self.abort()
            raise self.endpoint.mistaken()

    def _ask(
        self,
        request: bytes,
        reader: Reader[Any],
        timeout: float | None,
        future: asyncio.Future[Any] | Batch,
    ) -> None:
        """Send `request`; the reply is for `future`."""
        if self.closed:
            raise self.endpoint.unsent()
        if not self._callers:
            self.used = monotonic()
        self.unanswered = False
        if timeout is None:
            self._callers.append((future, INFINITY, None))
        else:
            deadline = self.loop.time() + timeout
            self._callers.append((future, deadline, timeout))
            if deadline < self._timer_at:
                self._watch(deadline)
        self._replies.expect(reader)
        self._write(request)

    def tell(self, request: bytes) -> None:
        """Send a request that has no reply."""
        if self.closed:
            raise self.endpoint.unsent()
        self.used = monotonic()
        self._write(request)
        self.unanswered = True

    @property
    def congested(self) -> bool:
        """Whether requests must wait for their turn because the socket takes no more."""
        return self._full or bool(self._turns)

    def is_ready(self) -> bool:
        """Tell whether a request of the running loop's can go out now, and seems to get there."""
        if self.closed or self._full or self._turns:
            return False
        if self.loop is not asyncio.get_running_loop():
            return False
        return bool(self._callers) or not self.is_stale()

    async def turn(self, timeout: float | None = None) -> None:
        """Wait until a request may be sent."""
        turn = self.loop.create_future()
        self._turns.append(turn)
        async with time_limit(self.endpoint, timeout):
            await turn

    def is_quiet(self) -> bool:
        """Tell whether it is usable and no reply is outstanding."""
        return not (self.closed or self._callers)

    def is_stale(self) -> bool:
        """Tell whether it has been quiet for a while and the server has hung up meanwhile."""
        return self.is_quiet() and monotonic() - self.used > FRESH and self.readable()

    def readable(self) -> bool:
        """Tell whether something came unasked: a quiet connection is dead then."""
        tls = self.endpoint.tls is not None  # it receives things that are nobody else's business
        poller = select.poll()
        poller.register(self._transport.get_extra_info("socket"), HUNG_UP if tls else select.POLLIN)
        return bool(poller.poll(0))

    def close(self) -> None:
        """Close once everything written has left; who waits for a reply gets an error."""
        if not self.closed:
            self._flush()
            self.closed = True
            self._transport.close()

    def finish(self) -> None:
        """Close when all replies that are outstanding have come."""
        self._finishing = True
        if not self._callers:
            self.close()

    def abort(self) -> None:
        """Close at once."""
        self.closed = True
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; called by the loop."""
        self._transport = cast(asyncio.Transport, transport)
        if not self.endpoint.is_unix:
            sock = transport.get_extra_info("socket")
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def data_received(self, data: bytes) -> None:
        """Hand out the replies in `data`; called by the loop."""
        if not self._heard:
            self._first.set_result(None)
            if self.endpoint.is_alert(data):
                self._replies.failure = self.endpoint.speaks_tls()
                self.abort()
                return
        self._heard = self.loop.time()
        self.used = monotonic()
        replies = self._replies.feed(data)
        following = self._callers.popleft
        for reply in replies:
            future = following()[0]
            if not future.done():
                future.set_result(reply)
        self._coalesce = len(replies) > 1
        if self._replies.failure:
            self.abort()
        if self._finishing:
            self.finish()

    def pause_writing(self) -> None:
        """Let who wants to write wait; called by the loop."""
        self._full = True

    def resume_writing(self) -> None:
        """Let those who wait write again; called by the loop."""
        self._full = False
        self._admit()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody who waits; called by the loop."""
        self.closed = True
        if not self._first.done():
            self._first.set_result(None)
        if self._timer is not None:
            self._timer.cancel()
        reason = f"broke the connection ({exc})" if exc else "closed the connection"
        first = self._replies.failure
        if first is None and self._replies.received:
            first = self.endpoint.cut_short(self._replies.received)
        for future, _, _ in self._callers:
            error, first = first or self.endpoint.unanswered(reason), None
            if not future.done():
                future.set_exception(error)
        self._admit()
        if not self.lost.done():
            self.lost.set_result(None)

    def _write(self, request: bytes) -> None:
        """Write now if the connection is quiet, else together with others of this turn."""
        if not self._outgoing:
            if not self._coalesce and len(self._callers) <= 1:
                self._transport.write(request)
                return
            self.loop.call_soon(self._flush)
        self._outgoing.append(request)
        self._outgoing_size += len(request)
        if self._outgoing_size >= WRITE_MIN:
            self._flush()

    def _flush(self) -> None:
        """Write what has been collected."""
        if self._outgoing and not self.closed:
            self._transport.write(b"".join(self._outgoing))
        self._outgoing.clear()
        self._outgoing_size = 0

    def _admit(self) -> None:
        """Give their turn to some of those who wait, and to the rest in later turns of the loop."""
        if self._full and not self.closed:
            return
        for _ in range(min(len(self._turns), ADMITTED)):
            turn = self._turns.popleft()
            if not turn.done():
                turn.set_result(None)
        if self._turns:
            self.loop.call_soon(self._admit)

    def _watch(self, deadline: float) -> None:
        """Look at the deadlines when this one, the earliest, has passed."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_at(deadline, self._expire)
        self._timer_at = deadline

    def _expire(self) -> None:
        """Give up the calls whose deadline has passed, and the connection if it seems dead."""
        self._timer_at = INFINITY
        now = self.loop.time()
        earliest = INFINITY
        received = self._replies.received  # of the first reply only
        for future, deadline, timeout in self._callers:
            if future.done():
                pass
            elif deadline > now:
                earliest = min(earliest, deadline)
            else:
                future.set_exception(self.endpoint.too_late(timeout, received))
                if received or self._heard < deadline - (timeout or 0):
                    self.abort()
            received = 0
        if earliest < INFINITY:
            self._watch(earliest)


async def closed(connections: Iterable[Connection]) -> None:
    """Close connections, and wait until what was written on them has left."""
    closing = tuple(connections)
    for connection in closing:
        connection.close()
    try:
        async with asyncio.timeout(CLOSE_WAIT):
            for connection in closing:
                await connection.lost
    except TimeoutError:
        for connection in closing:
            connection.abort()


async def until_the_end(connections: set[Connection]) -> AsyncGenerator[None, None]:
    """Yield once, and close the connections when the event loop comes to its end.

    An event loop that ends in order first ends the asynchronous generators begun in it.
    """
    try:
        yield
    finally:
        if connections:
            await closed(connections)


class Pool:
    """Connections to one server, for any number of tasks."""

    def __init__(self, endpoint: Endpoint, manners: Manners) -> None:
        """Have two connections at a time at least. Nothing is connected yet."""
        self.endpoint = endpoint
        self.manners = manners
        self._leases_max = max(1, manners.pool_size - 1)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._shared: Connection | None = None

    async def call(
        self,
        request: bytes,
        reader: Reader[T | ServerError],
        timeout: float | None = None,
        repeatable: bool = False,
    ) -> T:
        """Send `request` on the shared connection and return what `reader` makes of the reply.

        Args:
            request: the bytes of one request.
            reader: reads the one reply.
            timeout: seconds for all of it, connecting included; None to wait for ever.
            repeatable: carrying out the request twice does no harm.

        Raises:
            ServerError, ServerConnectionError, ServerTimeoutError, ProtocolError: as
                `Connection.call`.
        """
        begin = monotonic()
        left = timeout
        waits: Iterator[float] | None = None
        while True:
            connection = self._shared
            if connection is None or not connection.is_ready():
                connection, left = await self._connect(left)
            reused = connection.used
            ask = connection.ask if reused else connection.ask_first
            try:
                value: T | ServerError = await ask(request, reader, left)
                break
            except ServerConnectionError as error:
                if error.sent and not repeatable:
                    raise
                waits = waits or self.manners.waits(reused)
                wait = upcoming(waits, error, timeout, begin)
                if wait is None:
                    raise
            await asyncio.sleep(wait)
            left = None if timeout is None else timeout - (monotonic() - begin)
        if is_parting(value) and connection is self._shared:
            self._shared = None
            connection.finish()
        if isinstance(value, ServerError):
            raise value
        return value

    async def send(self, request: bytes, timeout: float | None = None) -> None:
        """Send a request that has no reply on the shared connection."""
        connection = self._shared
        if connection is None or not connection.is_ready():
            connection, timeout = await self._connect(timeout)
        connection.tell(request)

    async def acquire(self, timeout: float | None = None) -> Connection:
        """Return a connection for the caller alone, to be given to `release`.

        What was sent on the shared connection without waiting for a reply has been carried out by
        then. While `size` connections are in use, wait for one.
        """
        await self._bind()
        async with time_limit(self.endpoint, timeout):
            if self._shared is not None and self._shared.unanswered:
                await self.call(self.endpoint.barrier, self.endpoint.read_barrier, None, True)
            await self._leases.acquire()
            try:
                return await self._take(timeout)
            except BaseException:
                self._leases.release()
                raise

    def release(self, connection: Connection) -> None:
        """Take back what `acquire` returned; a connection in mid-exchange is closed."""
        if connection.loop is not self._loop:
            return
        if connection.is_quiet():
            self._idle.append(connection)
        else:
            connection.abort()
        self._leases.release()

    def abandon(
        self, connection: Connection, finalizing: Callable[[], bool] = is_finalizing
    ) -> None:
        """Close what `acquire` returned; from a finalizer, in any thread and at any time."""
        if finalizing():  # names of this module, and others, may be gone
            return
        with suppress(RuntimeError):  # the loop is closed
            connection.loop.call_soon_threadsafe(self._drop, connection)

    @asynccontextmanager
    async def lease(self, timeout: float | None = None) -> AsyncIterator[Connection]:
        """`acquire` and `release` as a context."""
        connection = await self.acquire(timeout)
        try:
            yield connection
        finally:
            self.release(connection)

    async def checkin(self, timeout: float | None = None) -> None:
        """Do nothing: no connection belongs to a task as one belongs to a thread."""

    def followed(self) -> Endpoint:
        """Where the log of changes is to be had."""
        return self.endpoint

    async def locate(self, timeout: float | None) -> Endpoint:
        """Find out where that is now, within `timeout` seconds."""
        return self.endpoint

    async def close(self) -> None:
        """Close all connections, when what was written on them has left.

        The pool stays usable: the next call connects again.
        """
        if self._loop is asyncio.get_running_loop():
            await closed(self._connections)

    def __del__(self, finalizing: Callable[[], bool] = is_finalizing) -> None:
        if not finalizing():  # else names of this module, and others, may be gone
            self._forget()

    async def _bind(self) -> None:
        """Begin anew if the running loop is another one than before."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._forget()
            self._loop = loop
            self._shared = None
            self._lock = asyncio.Lock()
            self._leases = asyncio.Semaphore(self._leases_max)
            self._idle: deque[Connection] = deque()
            self._connections: set[Connection] = set()
            self._keeper = until_the_end(self._connections)
            await anext(self._keeper)

    def _forget(self) -> None:
        """Have the connections closed; from any thread, and whatever has become of their loop."""
        if self._loop is None:
            return
        connections = tuple(self._connections)
        self._connections.clear()
        with suppress(RuntimeError):  # the loop is closed, and its connections with it
            for connection in connections:
                self._loop.call_soon_threadsafe(connection.abort)
        with suppress(StopIteration, StopAsyncIteration, RuntimeError):  # it is just closing them
            self._keeper.aclose().send(None)  # which waits for nothing now

    async def _connect(self, timeout: float | None) -> tuple[Connection, float | None]:
        """Return the shared connection, ready to write, and what is left of the timeout."""
        await self._bind()
        assert self._loop is not None
        begin = self._loop.time()
        async with time_limit(self.endpoint, timeout):
            async with self._lock:
                connection = self._shared
                if connection is None or connection.closed or connection.is_stale():
                    if connection is not None:
                        connection.abort()
                    connection = self._shared = await self._open(timeout)
            if connection.congested:
                await connection.turn()
        return connection, None if timeout is None else timeout - (self._loop.time() - begin)

    async def _take(self, timeout: float | None) -> Connection:
        """Return an idle connection that is alive, or a new one."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_quiet() and not connection.readable():
                return connection
            connection.abort()
        return await self._open(timeout)

    async def _open(self, timeout: float | None) -> Connection:
        """Return a new connection, after as many attempts as it may take."""
        begin = monotonic()
        waits = self.manners.waits()
        while True:
            limit = self.manners.connecting(timeout, begin)
            try:
                return await self._attempt(limit)
            except (ServerConnectionError, ServerTimeoutError) as error:
                wait = upcoming(waits, error, timeout, begin)
                if wait is None:
                    raise
            await asyncio.sleep(wait)

    async def _attempt(self, timeout: float | None) -> Connection:
        """Return a new connection."""
        connection = Connection(self.endpoint, asyncio.get_running_loop())
        await connection.open(timeout)
        self._keep(connection)
        return connection

    def _keep(self, connection: Connection) -> None:
        """Close it with the others, unless it is closed before."""
        connections = self._connections
        connections.add(connection)
        connection.lost.add_done_callback(lambda _: connections.discard(connection))

    def _drop(self, connection: Connection) -> None:
        connection.abort()
        self.release(connection)
