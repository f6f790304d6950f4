"""Blocking sockets: a connection on which the server sends one message after the other.

`kt.net.streams.aio` has the same names for asyncio. What was not asked for waits in the sockets'
buffers, then at the server.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self, TypeVar

from kt.errors import ServerConnectionError
from kt.net.blocking import connected, look_around, poller_of
from kt.net.endpoint import Endpoint
from kt.wire.reading import Incomplete, Reader

if TYPE_CHECKING:
    from kt.net.blocking import Socket

T = TypeVar("T")

AHEAD: Final = 64 * 1024
"""Bytes that are taken from the socket at once."""


class Stream:
    """A connected socket. Used by one thread at a time; another one may close it."""

    def __init__(self, endpoint: Endpoint, sock: Socket) -> None:
        self._endpoint = endpoint
        self._socket = sock
        self._data = bytearray()
        self._pos = 0
        self._busy = self._closing = self._heard = self._met = False

    @classmethod
    def open(cls, endpoint: Endpoint, timeout: float | None) -> Self:
        """Connect within `timeout` seconds.

        Raises:
            ServerConnectionError: the server cannot be reached.
            ServerTimeoutError: it did not accept in time.
        """
        try:
            return cls(endpoint, connected(endpoint, timeout))
        except OSError as error:
            raise endpoint.unreachable(error) from error

    def send(self, data: bytes) -> None:
        """Send something short; if the connection has ended, `receive` will say so."""
        with suppress(OSError):
            self._socket.sendall(data)

    def receive(self, reader: Reader[T], timeout: float | None) -> T:
        """Return the next message, as `reader` reads it.

        Raises:
            ServerConnectionError: the connection ended.
            ServerTimeoutError: nothing came for `timeout` seconds.
            ProtocolError: what came is no such message, or it is the other kind of server, which
                is asked for in a first silence.
        """
        reading = reader(self._data, self._pos)
        while isinstance(reading, Incomplete):
            del self._data[: self._pos]
            self._pos = 0
            while len(self._data) < reading.need:
                self._data += self._read(timeout)
            if not self._heard and self._endpoint.is_alert(self._data):
                raise self._endpoint.speaks_tls()
            self._heard = True
            reading = reading.resume(self._data, 0)
        value, self._pos = reading
        return value

    def close(self) -> None:
        """Close at once; a thread that waits for a message gets ServerConnectionError."""
        self._closing = True
        with suppress(OSError):  # not connected any more
            self._socket.shutdown(socket.SHUT_RDWR)
        if not self._busy:
            self._socket.close()

    def abandon(self) -> None:
        """Close; from a finalizer, in any thread and at any time."""
        self.close()

    def _read(self, timeout: float | None) -> bytes:
        try:
            self._busy = True
            self._socket.settimeout(self._meet(timeout))
            data = self._socket.recv(AHEAD)
        except TimeoutError as error:
            raise self._endpoint.no_turn(timeout) from error
        except OSError as error:
            raise self._ended(f"broke the connection ({error})") from error
        finally:
            self._busy = False
            if self._closing:
                self._socket.close()
        if not data:
            raise self._ended("closed the connection")
        return data

    def _meet(self, timeout: float | None) -> float | None:
        """In a first silence, look who is there; returns what is left of `timeout`."""
        patience = None if self._met else self._endpoint.patience(timeout)
        self._met = True
        if patience is None or poller_of(self._socket).poll(patience * 1000):
            return timeout
        deadline = None if timeout is None else time.monotonic() + timeout - patience
        look_around(self._endpoint, [self._socket], deadline)
        return None if deadline is None else max(deadline - time.monotonic(), 0.001)

    def _ended(self, how: str) -> ServerConnectionError:
        return ServerConnectionError(f"{self._endpoint} {how}", sent=True)


def pause(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)
