"""asyncio: a connection on which the server sends one message after the other.

The names are those of `kt.net.streams.blocking`. What has come and was not asked for waits here up
to some `AHEAD` bytes, then in the sockets' buffers, then at the server.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Final, Self, TypeVar, cast

from kt.errors import ServerConnectionError
from kt.net.aio import looks_strange, secured, time_limit
from kt.net.endpoint import Endpoint
from kt.wire.reading import Incomplete, Reader

T = TypeVar("T")

AHEAD: Final = 64 * 1024
"""Bytes that wait to be asked for before no more are taken from the socket."""

TURN: Final = 128
"""Messages after which other tasks get their turn, however many are here."""


class Stream(asyncio.Protocol):
    """A connected socket. Used by one task at a time."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._loop = asyncio.get_running_loop()
        self._data = bytearray()
        self._pos = 0
        self._received = 0
        self._paused = self._heard = self._met = False
        self._end: str | None = None  # how the connection ended
        self._news: asyncio.Future[None] | None = None
        self._lost: asyncio.Future[None] = self._loop.create_future()

    @classmethod
    async def open(cls, endpoint: Endpoint, timeout: float | None) -> Self:
        """Connect within `timeout` seconds.

        Raises:
            ServerConnectionError: the server cannot be reached.
            ServerTimeoutError: it did not accept in time.
        """
        stream = cls(endpoint)
        loop, host, port = stream._loop, endpoint.host, endpoint.port
        try:
            async with time_limit(endpoint, timeout):
                if endpoint.is_unix:
                    await loop.create_unix_connection(lambda: stream, host)
                else:
                    more = secured(endpoint, timeout)
                    await loop.create_connection(lambda: stream, host, port, **more)
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise
            raise endpoint.unreachable(error) from error
        return stream

    async def send(self, data: bytes) -> None:
        """Send something short; if the connection has ended, `receive` will say so."""
        if self._end is None:
            self._transport.write(data)

    async def receive(self, reader: Reader[T], timeout: float | None) -> T:
        """Return the next message, as `reader` reads it.

        Raises:
            ServerConnectionError: the connection ended.
            ServerTimeoutError: nothing came for `timeout` seconds.
            ProtocolError: what came is no such message, or it is the other kind of server, which
                is asked for in a first silence.
        """
        self._received += 1
        if self._received % TURN == 0:
            await asyncio.sleep(0)
        reading = reader(self._data, self._pos)
        while isinstance(reading, Incomplete):
            del self._data[: self._pos]
            self._pos = 0
            while len(self._data) < reading.need:
                await self._more(timeout)
            if not self._heard and self._endpoint.is_alert(self._data):
                raise self._endpoint.speaks_tls()
            self._heard = True
            reading = reading.resume(self._data, 0)
        value, self._pos = reading
        return value

    async def close(self) -> None:
        """Close at once."""
        self._transport.abort()
        await self._lost

    def abandon(self) -> None:
        """Close; from a finalizer, in any thread and at any time."""
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._transport.abort)

    async def _more(self, timeout: float | None) -> None:
        """Wait until something comes."""
        if self._end is not None:
            raise ServerConnectionError(f"{self._endpoint} {self._end}", sent=True)
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        news = self._news = self._loop.create_future()
        async with time_limit(self._endpoint, timeout):
            await self._meet(news, timeout)
            await news

    async def _meet(self, news: asyncio.Future[None], timeout: float | None) -> None:
        """In a first silence, look who is there."""
        patience = None if self._met else self._endpoint.patience(timeout)
        self._met = True
        if patience is None or (await asyncio.wait([news], timeout=patience))[0]:
            return
        if await looks_strange(self._endpoint, [news], None) and not news.done():
            raise self._endpoint.mistaken()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; called by the loop."""
        self._transport = cast(asyncio.Transport, transport)
        if not self._endpoint.is_unix:
            sock = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def data_received(self, data: bytes) -> None:
        """Keep what came; called by the loop."""
        self._data += data
        if len(self._data) - self._pos >= AHEAD and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end; called by the loop."""
        self._end = f"broke the connection ({exc})" if exc else "closed the connection"
        self._wake()
        if not self._lost.done():
            self._lost.set_result(None)

    def _wake(self) -> None:
        news, self._news = self._news, None
        if news is not None and not news.done():
            news.set_result(None)


async def pause(seconds: float) -> None:
    """Wait."""
    await asyncio.sleep(seconds)
