# Generated from changes_async.py by tools/async_to_sync.py: edit that one.
"""Changes of a running server, as they are logged: what both protocols have in common.

A *feed* holds a connection of its own on which the server sends its log, as it does to a slave, and
reads no further ahead than what fits into the buffers. When the connection ends, it makes another
one and goes on from its position (`kt.wire.log.positions`), for as long as it takes::

    connect, ask for what comes after the position ──> changes ──> connection lost ──┐
        ^── a pause, longer and longer up to PAUSE_MAX <─────────────────────────────┘

A client of several servers follows the master. Where another one is it when a connection is made,
the feed goes on in that one's log, a few seconds before (`elsewhere` of the position).

An error that another connection would not mend is raised: the server keeps no log, the log has a
gap, what came is no change. The feed can be used afterwards, and fails in the same way if nothing
has been done about it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from time import monotonic
from types import TracebackType
from typing import Final, Generic, Self

from kt.client.changes_values import Terms, decoded
from kt.errors import KTError, ServerConnectionError, ServerError, ServerTimeoutError
from kt.net.blocking import Pool
from kt.net.endpoint import Endpoint
from kt.net.streams.blocking import Stream, pause
from kt.options import Since
from kt.types import Change, K, V
from kt.wire.log.positions import TycoonFollower, TyrantFollower

SILENCE: Final = 60.0
"""Seconds after which a server that says nothing is taken for dead, as its slaves do."""

PAUSE_MIN: Final = 0.05
PAUSE_MAX: Final = 2.0
"""Seconds between attempts to connect: from so many to so many, doubled each time."""


class Changes(Iterator[Change[K, V]], Generic[K, V]):
    """An iterator over changes, which does not end by itself.

    Made by a client's method `changes`. Use it as a context, or close it: it has a connection of
    its own. Entering the context connects, so that what is done from then on is seen::

        with db.changes() as feed:
            for change in feed:
                ...
                save(feed.position)
    """

    _follower: TycoonFollower | TyrantFollower | None = None

    def __init__(self, pool: Pool, terms: Terms) -> None:
        self._pool = pool
        self._terms = terms
        self._endpoint: Endpoint | None = None
        self._stream: Stream | None = None
        self._closed = self._established = False

    @property
    def position(self) -> str | None:
        """Where to go on when the changes so far are done: a value for `since`.

        None before the first connection, unless a position was given.
        """
        if self._follower is not None:
            return self._follower.position
        return self._terms.since if isinstance(self._terms.since, str) else None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Change[K, V]:
        while not self._closed:
            if self._stream is None:
                self._connect()
            try:
                change = self._receive()
            except (ServerConnectionError, ServerTimeoutError):
                self._drop()  # and connect again, unless it was closed meanwhile
                continue
            except KTError:
                self._drop()
                raise
            if change is not None and self._terms.selection.takes(change):
                return decoded(change, self._terms.values, self._terms.decode_keys)
        raise StopIteration

    def close(self) -> None:
        """End the iteration and close the connection."""
        self._closed = True
        self._drop()

    def __enter__(self) -> Self:
        if self._stream is None and not self._closed:
            self._connect()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        stream = getattr(self, "_stream", None)
        if stream is not None:
            stream.abandon()

    def _begin(self, since: Since | datetime | str) -> TycoonFollower | TyrantFollower:
        """Return a follower that begins there."""
        raise NotImplementedError

    def _move(self, endpoint: Endpoint) -> TycoonFollower | TyrantFollower:
        """Return a follower that goes on at the master who was a slave of the one before."""
        assert self._follower is not None
        return self._follower.elsewhere()

    def _greet(self, stream: Stream) -> None:
        """Ask for changes on a new connection."""
        raise NotImplementedError

    def _look(self) -> None:
        """Where a server has hung up on the first request, see that it is of the right kind.

        Raises:
            ProtocolError: it is of the other kind.
        """
        if self._established:
            return
        endpoint = self._pool.endpoint
        with suppress(ServerError, ServerConnectionError, ServerTimeoutError):
            self._pool.call(endpoint.barrier, endpoint.read_barrier, self._terms.timeout, True)

    def _receive(self) -> Change[bytes, bytes] | None:
        """Return the next change; None for what is none, or not new."""
        raise NotImplementedError

    def _connect(self) -> None:
        """Make a connection: at the first attempt, or as soon as it is possible again."""
        begin, delay = monotonic(), PAUSE_MIN
        while True:
            try:
                self._try_connect()
            except (ServerConnectionError, ServerTimeoutError):
                give_up = self._terms.give_up
                late = give_up is not None and monotonic() - begin + delay > give_up
                if not self._established or self._closed or late:
                    raise
                pause(delay)
                delay = min(delay * 2, PAUSE_MAX)
            else:
                self._established = True
                return

    def _try_connect(self) -> None:
        endpoint = self._pool.locate(self._terms.timeout)
        if self._follower is None:
            self._follower = self._begin(self._terms.since)
        elif endpoint != self._endpoint:
            self._follower = self._move(endpoint)
        self._endpoint = endpoint
        stream = Stream.open(endpoint, self._terms.timeout)
        try:
            self._greet(stream)
        except BaseException:
            stream.close()
            raise
        self._stream = stream

    def _drop(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
