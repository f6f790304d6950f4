"""A slave's link to its master: connects, follows, and tries again, in a thread of its own.

::

    told of a master --> connect --> follow ... until it ends --> a second later, connect again
                            ^            |
                            |            +-- `Halted`: not before it is told of a master anew
                            +-- told of another master, or to end: at once, wherever it was

What is said on the link, and what is done with it, is the business of `Errand`, one for each
protocol. It runs in the link's thread, never in a worker's. Whoever waits there waits in
`Peer.receive`, which ends when something else is to be done.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from kt.errors import KTError
from kt.server.session import Journal

if TYPE_CHECKING:
    from ssl import SSLContext

CONNECTING: Final = 10.0
"""Seconds that a master has to accept."""
AGAIN: Final = 1.0
"""Seconds between the end of a link and the next attempt."""
CHUNK: Final = 1 << 18
"""Bytes that are read at once."""


class Interrupted(Exception):
    """Something else is to be done: another master, or the end."""


class Halted(KTError):
    """What the master has sent cannot be followed any further, and trying again would not help."""


class Master(NamedTuple):
    """Where a master is; with port 0, `host` is the path of a Unix socket."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Line(NamedTuple):
    """How a master is connected with.

    Attributes:
        host: its name, as its certificate should have it.
        tls: what its certificate is checked with; None: it speaks no TLS.
    """

    host: str
    tls: SSLContext | None

    def secured(self, sock: socket.socket) -> socket.socket:
        """Speak TLS from now on, if that is how; the time-out is the socket's.

        Raises:
            OSError: it does not, or it is somebody else. The socket is closed.
        """
        if self.tls is None:
            return sock
        try:
            return self.tls.wrap_socket(sock, server_hostname=self.host)
        except BaseException:
            sock.close()
            raise


class Peer:
    """A connection to a master."""

    def __init__(self, sock: socket.socket, wake: socket.socket, line: Line) -> None:
        self._socket = sock
        self._wake = wake
        self._line = line

    def send(self, data: bytes) -> None:
        """Send something short.

        Raises:
            OSError: the connection is broken.
        """
        self._socket.sendall(data)

    def local_host(self) -> str:
        """Our own address, as the other side sees it."""
        return str(self._socket.getsockname()[0])

    def receive(self, seconds: float) -> bytes:
        """What has come, at least a byte; waits for it.

        Raises:
            OSError: nothing came for so long, or the connection has ended.
            Interrupted: something else is to be done.
        """
        end = time.monotonic() + seconds
        data = None
        while data is None:
            if not self._wait(max(end - time.monotonic(), 0.0), self._socket):
                raise TimeoutError(f"it has been silent for {seconds:g} seconds")
            data = self._socket.recv(CHUNK) if self._line.tls is None else self._decrypted()
        if not data:
            raise ConnectionError("it has ended the connection")
        self._wait(0)  # what came after we were told of something else is not to be carried out
        return data

    def rest(self, seconds: float) -> None:
        """Let so much time pass.

        Raises:
            Interrupted: something else is to be done.
        """
        self._wait(seconds)

    @contextmanager
    def another(self) -> Iterator[Peer]:
        """A further connection to the same master.

        Raises:
            OSError: it cannot be made.
        """
        with socket.socket(self._socket.family, socket.SOCK_STREAM) as sock:
            sock.settimeout(CONNECTING)
            sock.connect(self._socket.getpeername())
            with self._line.secured(sock) as secured:
                yield Peer(secured, self._wake, self._line)

    def _decrypted(self) -> bytes | None:
        """What has come by TLS; None if it is not enough to make anything of it."""
        from ssl import SSLSocket, SSLWantReadError

        sock = self._socket
        assert isinstance(sock, SSLSocket)
        sock.settimeout(0)
        try:
            data = sock.recv(CHUNK)
            while sock.pending():
                data += sock.recv(CHUNK)
        except SSLWantReadError:
            return None
        finally:
            sock.settimeout(CONNECTING)
        return data

    def _wait(self, seconds: float, *awaited: socket.socket) -> bool:
        """Wait until there is something to receive; false if the time is over before."""
        poll = select.poll()
        for sock in (*awaited, self._wake):
            poll.register(sock, select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll(seconds * 1000)}
        if self._wake.fileno() in ready:
            raise Interrupted
        return bool(ready)


class Errand(Protocol):
    """What is done on a link."""

    def prepare(self) -> None:
        """Find out where to go on. Raises as `follow` does."""

    def follow(self, peer: Peer, master: Master) -> None:
        """Ask, and do what comes, for ever.

        Raises:
            OSError, KTError: it cannot go on; it is begun anew a little later.
            Halted: it is not.
            Interrupted: see `Peer.receive`.
        """


class Link:
    """See the module's docstring. Any thread may call its methods.

    Args:
        errand: what is done on it.
        log: the server's.
        tls: how the certificates of masters are checked; None: they speak no TLS.
        failure: what is said of a master when the errand fails.

    Attributes:
        master: whom it follows; None for nobody.
        connected: whether it does at the moment.
        trouble: why not; empty if nothing is wrong.
    """

    def __init__(
        self,
        errand: Errand,
        log: Journal,
        tls: SSLContext | None = None,
        failure: str = "is not followed",
    ) -> None:
        self.master: Master | None = None
        self.connected = False
        self.trouble = ""
        self._errand = errand
        self._log = log
        self._failure = failure
        self._tls = tls
        self._changed = threading.Condition()
        self._told = 0  # how often it has been told of a master
        self._ended = False
        self._busy = False
        self._wake, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        self._thread: threading.Thread | None = None

    def follow(self, master: Master | None) -> None:
        """From now on, follow this one. What is being carried out is finished first."""
        with self._changed:
            self.master = master
            self._told += 1
            self.trouble = ""
            self._interrupt()
            if self._thread is None and master is not None and not self._ended:
                self._thread = threading.Thread(target=self._run, name="kt-slave", daemon=True)
                self._thread.start()

    def end(self) -> None:
        """Follow nobody any more; `join` waits for it."""
        with self._changed:
            self._ended = True
            self._interrupt()

    def join(self) -> None:
        """Wait until nothing is carried out any more. (A master that does not accept is left.)"""
        with self._changed:
            self._changed.wait_for(lambda: not self._busy)

    def reached(self) -> None:
        """Told by the errand: the master has answered, and is followed."""
        self.connected = True
        self.trouble = ""

    def _interrupt(self) -> None:
        with suppress(OSError):  # as many as fit are enough, and it may be closed
            self._waker.send(b"!")
        self._changed.notify_all()

    def _run(self) -> None:
        while (job := self._next_job()) is not None:
            told, master = job
            pause: float | None = AGAIN
            try:
                self._errand.prepare()
                with self._connect(master) as sock:
                    self._follow(sock, master)
            except Interrupted:
                pass
            except Halted as error:
                self._note(master, error)
                pause = None
            except Exception as error:  # noqa: BLE001 - whatever it is, it must not end in silence
                self._note(master, error)
            self._rest(told, pause)

    def _follow(self, sock: socket.socket, master: Master) -> None:
        with self._changed:
            if self._ended:
                return
            self._busy = True
        try:
            self._errand.follow(Peer(sock, self._wake, self._line(master)), master)
        finally:
            if self.connected:
                self._log.info("replication finished")
            with self._changed:
                self.connected = self._busy = False
                self._changed.notify_all()

    def _rest(self, told: int, seconds: float | None) -> None:
        """Wait for so long, or until something else is to be done."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._told != told, seconds)

    def _next_job(self) -> tuple[int, Master] | None:
        """Wait for a master to follow; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self.master is not None)
            with suppress(BlockingIOError):
                self._wake.recv(CHUNK, socket.MSG_DONTWAIT)
            return None if self._ended or self.master is None else (self._told, self.master)

    def _connect(self, master: Master) -> socket.socket:
        if master.port == 0:
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.settimeout(CONNECTING)
                sock.connect(master.host)
            except OSError:
                sock.close()
                raise
            return sock
        sock = socket.create_connection((master.host, master.port), CONNECTING)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return self._line(master).secured(sock)

    def _line(self, master: Master) -> Line:
        return Line(master.host, self._tls if master.port else None)

    def _note(self, master: Master, error: Exception) -> None:
        """Log why it is not followed, unless that has been said just now."""
        expected = isinstance(error, (OSError, KTError)) and str(error)
        trouble = str(error) if expected else repr(error)
        if trouble != self.trouble:
            self._log.error(f"the master {master} {self._failure}: {trouble}")
        self.trouble = trouble
