"""No network: requests go to a session in this process, and replies come back from it.

The names are those of `kt.net.blocking`, so that clients do not know the difference::

    Pool.call(request, reader)  ->  this thread's Line  ->  session, engine  ->  reader(reply)

Every thread has a *line*, which is a session of its own; cursors and pipelines lease one for
themselves. The engine is safe for any number of threads, and no lock is held here while it works.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from kt.errors import KTError, ServerConnectionError, ServerError
from kt.net.endpoint import Endpoint
from kt.wire.reading import Buffer, Incomplete, Reader

T = TypeVar("T")


class Line(Protocol):
    """Whoever answers requests, one after the other."""

    @property
    def closed(self) -> bool:
        """Whether it takes no more requests."""

    def ask(self, requests: bytes) -> bytes:
        """The replies to whole requests."""

    @property
    def waits(self) -> Callable[[], bool]:
        """Tells whether even `at_once` may take long at the moment."""

    @property
    def at_once(self) -> Callable[[bytes], tuple[bytes, int]]:
        """Serves as much as takes microseconds; the replies, and how much has been served."""

    def feed(self, data: bytes) -> bytes:
        """Serve the rest; the replies."""

    def steps(self, data: bytes) -> Generator[Callable[[], Any], Any, bytes]:
        """Serve requests; yields what may take long, to be sent what it returns."""

    def end(self) -> bytes:
        """Nothing will be asked any more."""


class Database:
    """The other side of a pool.

    Args:
        connect: makes a line.
        end: closes the databases.
        abandon: leaves them as they are, in a process that was forked off.

    Attributes:
        usable: neither closed nor in a process that was forked off since.
    """

    def __init__(
        self,
        connect: Callable[[], Line],
        end: Callable[[], None],
        abandon: Callable[[], None],
    ) -> None:
        self.usable = True
        self._connect = connect
        self._end = end
        self._abandon = abandon
        self._forked = False
        self._lock = threading.Lock()
        _DATABASES.add(self)

    def line(self, endpoint: Endpoint) -> Line:
        """A new line.

        Raises:
            ServerConnectionError: the database is closed, or was opened before a fork.
        """
        self.check(endpoint)
        return self._connect()

    def check(self, endpoint: Endpoint) -> None:
        """Raise ServerConnectionError if it cannot be used any more."""
        if self._forked:
            raise ServerConnectionError(
                f"{endpoint} was opened by the process that this one was forked off: open it anew",
                sent=False,
            )
        if not self.usable:
            raise ServerConnectionError(f"{endpoint} is closed: open it anew", sent=False)

    def close(self) -> None:
        """Close the databases, once; in a forked process there is nothing to close."""
        with self._lock:
            closes, self.usable = self.usable, False
        if closes:
            self._end()

    def _fork(self) -> None:
        self._forked = True
        self.usable = False
        self._lock = threading.Lock()  # whoever held it is not here
        self._abandon()


_DATABASES: weakref.WeakSet[Database] = weakref.WeakSet()


def _forked() -> None:
    for database in _DATABASES:
        database._fork()


os.register_at_fork(after_in_child=_forked)


def reply_of(endpoint: Endpoint, reply: bytes, reader: Reader[Any]) -> Any:
    """What `reader` makes of a whole reply.

    Raises:
        ServerConnectionError, ProtocolError: it is none.
    """
    outcome = reader(reply, 0)
    if isinstance(outcome, Incomplete) or outcome[1] != len(reply):
        raise unread(endpoint, reply, outcome)
    return outcome[0]


def unread(endpoint: Endpoint, reply: bytes, outcome: tuple[Any, int] | Incomplete[Any]) -> KTError:
    """What is wrong with a reply of which a reader makes this."""
    if not isinstance(outcome, Incomplete):
        return endpoint.out_of_step(reply[outcome[1] :])
    return endpoint.cut_short(len(reply)) if reply else endpoint.unanswered("ended the session")


def not_followed(endpoint: Endpoint, place: str = "open in this process") -> ServerError:
    """What somebody is told who wants to follow the changes of a database that is there."""
    return ServerError(
        f"{endpoint} is {place}, where no log of changes is kept: "
        "to follow them, have a server with -ulog"
    )


def _no_reply(data: Buffer, pos: int) -> tuple[None, int]:
    """Read the reply to a request that has none."""
    return None, pos


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

    def call(
        self, request: bytes, reader: Reader[T | ServerError], timeout: float | None = None
    ) -> T:
        """Return what `reader` makes of the reply; raises what it says."""
        value: T | ServerError = self.exchange(request, reader)
        if isinstance(value, ServerError):
            raise value
        return value

    def exchange(self, request: bytes, reader: Reader[Any] | None) -> Any:
        """As `call`, but a ServerError is returned; without reader, None."""
        self._database.check(self._endpoint)
        try:
            reply = self._line.ask(request)
            return None if reader is None else reply_of(self._endpoint, reply, reader)
        except BaseException:
            self.closed = True
            raise

    def call_many(
        self, calls: Iterable[tuple[bytes, Reader[Any]]], timeout: float | None = None
    ) -> Iterator[list[Any]]:
        """Carry out requests and yield their replies; a ServerError is yielded, not raised."""
        for request, reader in calls:
            yield [self.exchange(request, reader)]

    def close(self) -> None:
        """End the session."""
        if not self.closed:
            self.closed = True
            self._line.end()


class Pool:
    """Lines to the databases that one `Database` holds, for any number of threads."""

    def __init__(self, endpoint: Endpoint, database: Database) -> None:
        self.endpoint = endpoint
        self._database = database
        self._local = threading.local()

    def call(
        self,
        request: bytes,
        reader: Reader[T | ServerError],
        timeout: float | None = None,
        repeatable: bool = False,
    ) -> T:
        """Return what `reader` makes of the reply to `request`; raises what it says.

        Nothing is sent, so nothing is repeated, and nothing times out.
        """
        if not self._database.usable:
            self._database.check(self.endpoint)
        try:
            line: Line = self._local.line
        except AttributeError:
            line = self._local.line = self._database.line(self.endpoint)
        try:
            reply, served = line.at_once(request)
            if served != len(request):
                reply += line.feed(request[served:])
            outcome = reader(reply, 0)
            if isinstance(outcome, Incomplete) or outcome[1] != len(reply):
                raise unread(self.endpoint, reply, outcome)  # noqa: TRY301 (looks at the line, too)
            value = outcome[0]
            if isinstance(value, ServerError):
                raise value  # noqa: TRY301 - likewise
        except BaseException as error:
            if line.closed:
                del self._local.line
            if not isinstance(error, KTError):  # what an engine says that is closed meanwhile
                self._database.check(self.endpoint)
            raise
        return value

    def send(self, request: bytes, timeout: float | None = None) -> None:
        """Carry out a request that has no reply."""
        self.call(request, _no_reply)

    def acquire(self, timeout: float | None = None) -> Connection:
        """Return a line for the caller alone."""
        return Connection(self.endpoint, self._database)

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
        raise not_followed(self.endpoint)

    def checkin(self, timeout: float | None = None) -> None:
        """Forget this thread's line."""
        self._local.__dict__.pop("line", None)

    def close(self) -> None:
        """Close the databases."""
        self._database.close()
