"""Blocking sockets: one connection, and a pool of them for any number of threads.

A *connection* carries one exchange at a time. While it does, it is `busy`; whatever interrupts an
exchange (a timeout, KeyboardInterrupt, a broken reply) closes it, because nobody could tell later
whose reply comes next. `kt.net.aio` has the same names for asyncio.

The *pool* gives every thread a connection of its own and leaves it there until `checkin`, so that a
call always sees what the thread has written before, also when it did not wait for a reply::

    thread A ── slot ── connection          idle: connection, connection, ...
    thread B ── slot ── connection          leased to cursors, pipelines: connection, ...

- The slot lives in a `threading.local`; when its thread ends, the connection becomes idle.
- A thread whose connection is busy (a signal handler or a finalizer in the middle of an exchange,
  or a greenlet without gevent's patches) uses a spare one for that call.
- A connection that has not been used for `FRESH` seconds is asked whether the server has hung up
  before anything is sent on it, and replaced if so. In the short time before, and when the server
  hangs up just then, a request may be lost after it was sent: it is sent again, once and on a new
  connection, only if that is harmless (`repeatable`).
- With a `Retry`, connecting is tried again, and so is a harmless request whose connection broke.
- A new connection that stays silent for a second may have met the other kind of server, which has
  the same default port and waits for the end of a line: then that one is asked for (`Endpoint`).
- After a fork, the child leaves its parent's connections alone and opens its own.

There are no locks: the structures shared between threads are changed only by operations that are
atomic in Python (`deque.append`, `deque.pop`, `set.add`, `set.discard`).
"""

from __future__ import annotations

import select
import socket
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from os import getpid
from select import POLLIN, POLLOUT
from sys import is_finalizing
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from kt.errors import KTError, ServerConnectionError, ServerError, ServerTimeoutError
from kt.net.endpoint import Endpoint
from kt.net.manners import FOREVER, Manners, upcoming
from kt.net.replies import PIPE_MAX, PIPE_REFILL, Replies, is_parting
from kt.wire.reading import Buffer, Incomplete, Reader

if TYPE_CHECKING:
    from kt.net.tls import TlsSocket

    Socket: TypeAlias = socket.socket | TlsSocket

T = TypeVar("T")

FRESH = 0.001
"""Seconds for which a connection is believed to be alive after it was used."""

FIRST_READ = 64 * 1024
"""Bytes asked for first: room for the replies to most requests."""

READ_MAX = 1024 * 1024
"""Most bytes asked for at once, so that memory grows with what comes, not with what is claimed."""

PIPE_CHUNK = 64 * 1024
"""Bytes of pipelined requests kept ready to be sent."""

CALLING = 1.0
"""Seconds for which the other kind of server may keep us from connecting."""


def relieve(flush: Callable[[], object]) -> None:
    """Do now what cannot wait any longer."""
    flush()


def connected(endpoint: Endpoint, timeout: float | None) -> Socket:
    """A new socket that is connected to the server.

    Raises:
        OSError: it cannot be reached, or does not accept within `timeout` seconds.
    """
    if not endpoint.is_unix:
        begin = monotonic()
        sock = socket.create_connection((endpoint.host, endpoint.port), timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if endpoint.tls is None:
            return sock
        from kt.net.tls import TlsSocket  # imports ssl, which takes long

        left = None if timeout is None else max(timeout - (monotonic() - begin), 0.001)
        return TlsSocket(sock, endpoint.tls, endpoint.host, left)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout)
        sock.connect(endpoint.host)
    except BaseException:
        sock.close()
        raise
    return sock


def look_around(endpoint: Endpoint, news: list[Socket], deadline: float | None) -> None:
    """Ask for the other kind of server until something comes, on `news` or from there.

    Raises:
        ProtocolError: it is there.
    """
    left = CALLING if deadline is None else max(deadline - monotonic(), 0.001)
    with suppress(OSError), connected(endpoint, min(CALLING, left)) as sock:
        sock.sendall(endpoint.stranger.request)
        poller = select.poll()
        for source in (sock, *news):
            poller.register(source, POLLIN)
        ready = [descriptor for descriptor, _ in poller.poll(milliseconds(deadline))]
        if ready == [sock.fileno()] and sock.recv(1) == endpoint.stranger.answer:
            raise endpoint.mistaken()


class Poller(Protocol):
    """As `select.poll`."""

    def poll(self, timeout: float | None = None, /) -> list[tuple[int, int]]: ...
    def modify(self, fd: Any, events: int, /) -> object: ...


def poller_of(sock: Socket) -> Poller:
    """What tells whether there is something to be received; with TLS the socket itself."""
    if not isinstance(sock, socket.socket):
        return sock
    poller = select.poll()
    poller.register(sock, POLLIN)
    return poller


def milliseconds(deadline: float | None) -> float | None:
    """How long to poll until that time, by `time.monotonic`."""
    return None if deadline is None else max(0.0, deadline - monotonic()) * 1000


class Connection:
    """A connected socket. Used by one thread at a time.

    Attributes:
        busy: an exchange is going on, or was broken off.
        closed: no longer usable.
        endpoint: the server.
        heard: something has come, or we have asked who is there.
        retired: its pool was closed, or the server may hang up: to be closed when it is not busy.
        unanswered: something was sent that has no reply, and nothing was received since.
        used: when it was last used, by `time.monotonic`; 0.0 if never.
        pid: the process that opened it.
    """

    __slots__ = (
        "__weakref__",
        "_poller",
        "_receive",
        "_registry",
        "_send",
        "_socket",
        "_timeout",
        "busy",
        "closed",
        "endpoint",
        "heard",
        "pid",
        "retired",
        "unanswered",
        "used",
    )

    def __init__(
        self, endpoint: Endpoint, timeout: float | None, registry: set[Connection]
    ) -> None:
        """Connect within `timeout` seconds, and be in `registry` until closed.

        Raises:
            ServerConnectionError: the server cannot be reached.
            ServerTimeoutError: it did not accept in time.
        """
        try:
            sock = connected(endpoint, timeout)
        except OSError as error:
            raise endpoint.unreachable(error) from error
        self._poller: Poller = poller_of(sock)
        self._socket: Socket = sock
        self._send = sock.send
        self._receive: Callable[[int], bytes] = self._receive_first
        sock.settimeout(None)
        self.endpoint = endpoint
        self._timeout: float | None = None
        self._registry = registry
        self.busy = self.closed = self.heard = self.retired = self.unanswered = False
        self.used = 0.0
        self.pid = getpid()
        registry.add(self)

    def call(
        self, request: bytes, reader: Reader[T | ServerError], timeout: float | None = None
    ) -> T:
        """Send `request` and return what `reader` makes of the reply, within `timeout` seconds.

        Raises:
            ServerError: the server reports a failure; the connection stays usable.
            ServerConnectionError: the connection broke before the reply began.
            ServerTimeoutError: the reply did not begin in time.
            ProtocolError: what came is not the reply, or not all of it.
        """
        value: T | ServerError = self.exchange(request, reader, timeout, monotonic())
        if isinstance(value, ServerError):
            raise value
        return value

    def exchange(
        self, request: bytes, reader: Reader[Any] | None, timeout: float | None, now: float
    ) -> Any:
        """As `call` at the time `now`, but a ServerError is returned; without reader, None."""
        sent = 0
        value = None
        try:
            self.busy = True
            self.used = now
            if self.retired:
                raise ConnectionAbortedError  # noqa: TRY301 (as if the server had closed it)
            if timeout != self._timeout:
                self._arm(timeout)
            sent = self._send(request)
            if sent != len(request):
                self._send_rest(request, sent, timeout)
            if reader is not None:
                data: Buffer = self._receive(FIRST_READ)
                outcome = reader(data, 0)
                if isinstance(outcome, Incomplete):
                    data, outcome = self._read_rest(data, outcome, timeout)
                value, end = outcome
                if end != len(data):
                    raise self.endpoint.out_of_step(data[end:])  # noqa: TRY301 (closes, too)
        except BaseException as error:
            self.close()
            if isinstance(error, KTError) or not isinstance(error, OSError):
                raise
            raise self._broken(error, timeout, sent > 0) from error
        self.unanswered = reader is None
        self.busy = False
        if self.retired:  # meanwhile, by another thread
            self.close()  # type: ignore[unreachable]
        return value

    def call_many(
        self, calls: Iterable[tuple[bytes, Reader[Any]]], timeout: float | None = None
    ) -> Iterator[list[Any]]:
        """Send requests without waiting for their replies, and yield these in order, as they come.

        Requests are taken from `calls` as there is room for them, and replies are read in between,
        so any number is fine, also with a server that reads no further until it can write. A
        ServerError is yielded, not raised. `timeout` bounds the time without any progress. The
        connection is closed if the iterator is not exhausted, and used no more if the last reply is
        a failure after which the server may hang up.
        """
        values: list[Any] = []
        source = iter(calls)
        replies = Replies()
        outgoing = bytearray()
        try:
            self.busy = True
            self.used = monotonic()
            self._arm(FOREVER)
            while True:
                if len(outgoing) < PIPE_CHUNK and len(replies) <= PIPE_REFILL:
                    for request, reader in islice(source, PIPE_MAX - len(replies)):
                        outgoing += request
                        replies.expect(reader)
                        if len(outgoing) >= PIPE_CHUNK:
                            break
                if not replies and not outgoing:
                    break
                if values := replies.feed(self._move(outgoing, replies, timeout)):
                    yield values
                if replies.failure:
                    raise replies.failure  # noqa: TRY301 (closes, too)
            self._poller.modify(self._socket, POLLIN)
        except BaseException as error:
            self.close()
            if isinstance(error, KTError) or not isinstance(error, OSError):
                raise
            raise self._broken(error, timeout, sent=True) from error
        self.retired |= is_parting(*values[-1:])
        self.unanswered = self.busy = False
        self.used = monotonic()

    def is_fit(self) -> bool:
        """Tell whether an exchange may begin, as far as this process knows."""
        return not (self.busy or self.retired) and self.pid == getpid()

    def readable(self) -> bool:
        """Tell whether something came unasked: a connection between exchanges is dead then."""
        return bool(self._poller.poll(0))

    def retire(self) -> None:
        """Close now or, if an exchange is going on in another thread, at its end."""
        self.retired = True  # before `busy` is looked at; `exchange` does the opposite
        if not self.busy:
            self.close()

    def close(self) -> None:
        """Close the socket, at once and without telling the server."""
        self.closed = self.busy = True
        self._registry.discard(self)
        self._socket.close()

    def _arm(self, timeout: float | None) -> None:
        """Let the exchange that began at `used` take `timeout` seconds in all."""
        if timeout is None:
            self._socket.settimeout(None)
            self._timeout = None
            return
        left = self.used + timeout - monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)
        # Nearly all is as good as all: the next exchange need not set it anew.
        self._timeout = timeout if left > timeout * 0.99 else left

    def _send_rest(self, request: bytes, sent: int, timeout: float | None) -> None:
        """Send what follows the first `sent` bytes."""
        rest = memoryview(request)[sent:]
        while rest:
            self._arm(timeout)
            rest = rest[self._send(rest) :]
        self._arm(timeout)

    def _read_rest(
        self, data: Buffer, outcome: Incomplete[T], timeout: float | None
    ) -> tuple[bytearray, tuple[T, int]]:
        """Read on until the reply that begins with `data` is complete; return all its bytes."""
        if not data:
            raise self.endpoint.unanswered()
        buffer = bytearray(data)
        reading: tuple[T, int] | Incomplete[T] = outcome
        try:
            while isinstance(reading, Incomplete):
                missing = reading.need - len(buffer)
                self._arm(timeout)
                more = self._receive(min(max(missing, FIRST_READ), READ_MAX))
                if not more:
                    raise self.endpoint.cut_short(len(buffer))
                buffer += more
                if len(more) >= missing:
                    reading = reading.resume(buffer, 0)
        except TimeoutError as error:
            raise self.endpoint.too_late(timeout, len(buffer)) from error
        except OSError as error:
            raise self.endpoint.cut_short(len(buffer)) from error
        return buffer, reading

    def _receive_first(self, size: int) -> bytes:
        """As `recv`, for what comes first."""
        if not self.heard and not self._wait(self._socket.gettimeout()):
            raise TimeoutError
        self._receive = self._socket.recv
        data = self._receive(size)
        if self.endpoint.is_alert(data):
            raise self.endpoint.speaks_tls()
        patience = self.endpoint.patience(self._socket.gettimeout())
        if not data and patience is not None:
            look_around(self.endpoint, [], monotonic() + patience)
        return data

    def _wait(self, timeout: float | None) -> list[tuple[int, int]]:
        """Poll for `timeout` seconds; in a first silence, look who is there."""
        deadline = None if timeout is None else monotonic() + timeout
        patience = None if self.heard else self.endpoint.patience(timeout)
        if patience is not None:
            ready = self._poller.poll(patience * 1000)
            if ready:
                self.heard = ready[0][1] != POLLOUT
                return ready
            self.heard = True
            look_around(self.endpoint, [self._socket], deadline)
        return self._poller.poll(milliseconds(deadline))

    def _move(self, outgoing: bytearray, replies: Replies, timeout: float | None) -> bytes:
        """Wait until bytes can go or come, move them, and return what came."""
        self._poller.modify(self._socket, POLLIN | POLLOUT if outgoing else POLLIN)
        ready = self._wait(timeout)
        if not ready:
            raise self.endpoint.too_late(timeout, replies.received)
        if ready[0][1] == POLLOUT:
            with memoryview(outgoing) as view:
                sent = self._send(view)
            del outgoing[:sent]
            return b""
        data = self._receive(PIPE_CHUNK)
        if data:
            return data
        if replies.received:
            raise self.endpoint.cut_short(replies.received)
        raise self.endpoint.unanswered()

    def _broken(
        self, error: OSError, timeout: float | None, sent: bool
    ) -> ServerConnectionError | ServerTimeoutError:
        """Return the exception for a failure before the first byte of the reply."""
        if isinstance(error, TimeoutError):
            late = self.endpoint.too_late if sent else self.endpoint.no_turn
            return late(timeout)
        if sent:
            return self.endpoint.unanswered(f"broke the connection ({error})")
        return self.endpoint.unsent()


class _Slot:
    """Where a thread's connection is kept; when the thread ends, the pool gets it back."""

    __slots__ = ("connection", "pool")

    def __init__(self, pool: Pool) -> None:
        self.pool = weakref.ref(pool)
        self.connection: Connection | None = None

    def __del__(self, finalizing: Callable[[], bool] = is_finalizing) -> None:
        pool = self.pool()
        if self.connection is not None:
            if pool is None or finalizing():  # names of this module may be gone
                self.connection.close()
            else:
                pool.release(self.connection)


class Pool:
    """Connections to one server, for any number of threads and greenlets."""

    def __init__(self, endpoint: Endpoint, manners: Manners) -> None:
        """Nothing is connected yet."""
        self.endpoint = endpoint
        self.manners = manners
        self._size = manners.pool_size
        self._local = threading.local()
        self._idle: deque[Connection] = deque()
        self._connections: set[Connection] = set()

    def call(
        self,
        request: bytes,
        reader: Reader[T | ServerError],
        timeout: float | None = None,
        repeatable: bool = False,
    ) -> T:
        """Send `request` on this thread's connection and return what `reader` makes of the reply.

        Args:
            request: the bytes of one request.
            reader: reads the one reply.
            timeout: seconds for all of it, connecting included; None to wait for ever.
            repeatable: carrying out the request twice does no harm.

        Raises:
            ServerError, ServerConnectionError, ServerTimeoutError, ProtocolError: as
                `Connection.call`.
        """
        value: T = self._exchange(request, reader, timeout, repeatable)
        return value

    def send(self, request: bytes, timeout: float | None = None) -> None:
        """Send a request that has no reply on this thread's connection."""
        self._exchange(request, None, timeout, False)

    def _exchange(
        self, request: bytes, reader: Reader[Any] | None, timeout: float | None, repeatable: bool
    ) -> Any:
        now = monotonic()
        try:
            slot: _Slot = self._local.slot
        except AttributeError:
            slot = self._slot()
        connection = slot.connection
        if (
            connection is None
            or connection.busy
            or connection.pid != getpid()
            or (now - connection.used > FRESH and connection.readable())
        ):
            connection = self._another(slot, timeout)
        reused = connection.used
        waits: Iterator[float] | None = None
        while True:
            try:
                value = connection.exchange(request, reader, timeout, now)
                break
            except ServerConnectionError as error:
                waits = waits or self.manners.waits(reused)
                if error.sent and not repeatable:
                    raise
                wait = upcoming(waits, error, timeout, now)
                if wait is None:
                    raise
            sleep(wait)
            connection = self._another(slot, timeout)
        if is_parting(value):
            connection.close()
        elif connection is not slot.connection:
            self.release(connection)
        if isinstance(value, ServerError):
            raise value
        return value

    def acquire(self, timeout: float | None = None) -> Connection:
        """Return a connection for the caller alone, to be given to `release`.

        What this thread has sent without waiting for a reply has been carried out by then.
        """
        self._settle(self._slot().connection, timeout)
        return self._take(timeout)

    def release(self, connection: Connection) -> None:
        """Take back what `acquire` returned; a connection in mid-exchange is closed."""
        if len(self._idle) < self._size and connection.is_fit():
            self._idle.append(connection)
        else:
            connection.close()

    def abandon(self, connection: Connection) -> None:
        """Close what `acquire` returned; from a finalizer, in any thread and at any time."""
        connection.close()

    @contextmanager
    def lease(self, timeout: float | None = None) -> Iterator[Connection]:
        """`acquire` and `release` as a context."""
        connection = self.acquire(timeout)
        try:
            yield connection
        finally:
            self.release(connection)

    def followed(self) -> Endpoint:
        """Where the log of changes is to be had."""
        return self.endpoint

    def locate(self, timeout: float | None) -> Endpoint:
        """Find out where that is now, within `timeout` seconds."""
        return self.endpoint

    def checkin(self, timeout: float | None = None) -> None:
        """Give this thread's connection to the others; the next call takes one again."""
        slot = self._slot()
        connection, slot.connection = slot.connection, None
        if connection is not None:
            self._settle(connection, timeout)
            self.release(connection)

    def close(self) -> None:
        """Close all connections, those of other threads as soon as they are not busy.

        The pool stays usable: the next call connects again.
        """
        for connection in tuple(self._connections):
            connection.retire()

    def __del__(self) -> None:
        self.close()

    def _slot(self) -> _Slot:
        try:
            slot: _Slot = self._local.slot
        except AttributeError:
            slot = self._local.slot = _Slot(self)
        return slot

    def _another(self, slot: _Slot, timeout: float | None) -> Connection:
        """Return a connection for a call for which the one in `slot` does not serve."""
        own = slot.connection
        if own is not None and own.busy and not own.closed and own.pid == getpid():
            return self._take(timeout)
        if own is not None:
            own.close()
        slot.connection = None
        slot.connection = self._take(timeout)
        return slot.connection

    def _take(self, timeout: float | None) -> Connection:
        """Return an idle connection that is alive, or a new one."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return self._open(timeout)
            if connection.is_fit() and not connection.readable():
                return connection
            connection.close()

    def _open(self, timeout: float | None) -> Connection:
        """Return a new connection, after as many attempts as it may take."""
        begin = monotonic()
        waits = self.manners.waits()
        while True:
            limit = self.manners.connecting(timeout, begin)
            try:
                return self._attempt(limit)
            except (ServerConnectionError, ServerTimeoutError) as error:
                wait = upcoming(waits, error, timeout, begin)
                if wait is None:
                    raise
            sleep(wait)

    def _attempt(self, timeout: float | None) -> Connection:
        """Return a new connection."""
        return Connection(self.endpoint, timeout, self._connections)

    def _settle(self, connection: Connection | None, timeout: float | None) -> None:
        """Wait until the server has carried out everything sent on `connection`.

        If it is gone, what was sent without waiting for a reply may be lost, as always.
        """
        if connection is not None and connection.unanswered and connection.is_fit():
            with suppress(ServerConnectionError):
                connection.call(self.endpoint.barrier, self.endpoint.read_barrier, timeout)
