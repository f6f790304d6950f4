"""Servers that misbehave as a test tells them to, over real sockets.

A peer takes one behaviour for each connection that the client will open, in that order. A behaviour
is a function of the conversation; when it returns, the connection is closed. A connection more than
there are behaviours fails the test, and so does an exception in a behaviour::

    def hang_up(talk):
        talk.request()
        talk.send(b"\\xba\\x00")

    peer.behave(hang_up)
    client = KyotoTycoon(peer.host, peer.port)
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
from collections import defaultdict
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from kt.wire import tycoon as binary
from kt.wire import tycoon_rpc as rpc
from kt.wire import tyrant_server
from kt.wire.reading import Incomplete, Reader
from kt.wire.tyrant_commands import MAGIC

WAIT = 20.0
"""Seconds after which a peer gives up, so that a test that goes wrong ends."""

READERS: dict[int, Reader[Any]] = {
    binary.GET_BULK: binary.read_get_bulk,
    binary.SET_BULK: binary.read_set_bulk,
    binary.REMOVE_BULK: binary.read_remove_bulk,
    binary.PLAY_SCRIPT: binary.read_play_script,
    binary.REPLICATION: binary.read_replication,
    MAGIC: tyrant_server.read_request,
}


class HungUp(AssertionError):
    """The client did not send what was waited for."""


class Conversation:
    """The peer's end of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._received = bytearray()

    def request(self) -> Any:
        """Wait for one whole request and return it as `kt.wire` reads it."""
        self._receive(1)
        reading: Any = Incomplete(1, READERS.get(self._received[0], rpc.read_http_request))
        while isinstance(reading, Incomplete):
            self._receive(reading.need)
            reading = reading.resume(self._received, 0)
        value, end = reading
        del self._received[:end]
        return value

    def read(self, size: int) -> bytes:
        """Wait for so many bytes that are no request."""
        self._receive(size)
        data = bytes(self._received[:size])
        del self._received[:size]
        return data

    def answer(self, count: int, reply: bytes) -> None:
        """Give the same reply to so many requests."""
        for _ in range(count):
            self.request()
            self.send(reply)

    def serve(self, reply: bytes) -> None:
        """Give the same reply to all requests until the client hangs up."""
        self.serve_by(lambda request: reply)

    def serve_by(self, reply: Callable[[Any], bytes]) -> None:
        """Reply to all requests until the client hangs up."""
        with contextlib.suppress(HungUp):
            while True:
                self.send(reply(self.request()))

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def send_byte_by_byte(self, data: bytes) -> None:
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in data:
            self._socket.sendall(bytes([byte]))

    def wait_for_end(self) -> bytes:
        """Wait until the client hangs up and return what it had sent before."""
        try:
            while data := self._socket.recv(65536):
                self._received += data
        except ConnectionResetError:
            pass
        return bytes(self._received)

    def reset(self) -> None:
        """Hang up so that the client gets an error and not an end of file."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def answer_unparsed(self, size: int, reply: bytes) -> None:
        """Give the same reply to all requests, of `size` bytes each; read on when it is written."""
        rest = 0
        while data := self._socket.recv(65536):
            count, rest = divmod(rest + len(data), size)
            self.send(reply * count)

    def takes_more(self, seconds: float) -> bool:
        """Tell whether something can be sent within that time."""
        return bool(select.select([], [self._socket], [], seconds)[1])

    def hold_little(self, size: int) -> None:
        """Let little fit into the buffers of this connection, both ways."""
        self.read_slowly(size)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)

    def read_slowly(self, size: int) -> None:
        """Let little fit into the buffers of this connection."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)

    def _receive(self, size: int) -> None:
        while len(self._received) < size:
            data = self._socket.recv(65536)
            if not data:
                raise HungUp("the client hung up instead of a request")
            self._received += data


Behaviour = Callable[[Conversation], object]


class Peer:
    """A listening socket and a thread for each connection.

    Attributes:
        connections: how many were accepted.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host, self.port = self._listener.getsockname()
        self.connections = 0
        self._behaviours: list[Behaviour] = []
        self._sockets: list[socket.socket] = []
        self._errors: list[BaseException] = []
        self._ends: defaultdict[int, threading.Event] = defaultdict(threading.Event)
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def behave(self, *behaviours: Behaviour) -> None:
        """Treat the next connections so."""
        self._behaviours += behaviours

    def wait_for_end_of(self, number: int) -> None:
        """Wait until our end of the first, second... connection is closed."""
        assert self._ends[number].wait(WAIT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(WAIT)
        for sock in self._sockets:
            with contextlib.suppress(OSError):  # closed already
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(WAIT)
        for sock in [self._listener, *self._sockets]:
            sock.close()
        if error is None and self._errors:
            raise self._errors[0]

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._sockets.append(sock)
            if not self._behaviours:
                self._errors.append(AssertionError("an unexpected connection"))
                sock.close()
                continue
            behaviour = self._behaviours.pop(0)
            thread = threading.Thread(target=self._talk, args=(behaviour, sock, self.connections))
            self._threads.append(thread)
            thread.start()

    def _talk(self, behaviour: Behaviour, sock: socket.socket, number: int) -> None:
        sock.settimeout(WAIT)
        with sock:
            try:
                behaviour(Conversation(sock))
            except BaseException as error:
                self._errors.append(error)
        self._ends[number].set()
