"""TLS for a server's clients, and for its own link to a master.

::

    accept --> first byte --+-- 16: handshake --> Connection    (in time, or it is ended)
                            |
                            +-- any other: the client speaks no TLS, is told so, and is gone

A client says the first byte in both cases, so what is not TLS is told from it without waiting. All
of it happens on the event loop: who is slow with a handshake holds up nobody. Connections with TLS
are the event loop's, I/O threads serve plain ones only.

With ``-tls-ca`` every client must show a certificate that is signed by that authority. Certificates
are read again when the log is reopened, for connections that begin after that.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from kt.errors import ImproperlyConfigured
from kt.server.process.connection import CLIENT_HELLO, LINGER, NOT_TLS

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from kt.server.process.options import ServiceOptions
    from kt.server.session import Journal

    Connect = Callable[[], asyncio.Protocol]

HANDSHAKE: Final = 10.0
"""Seconds that a client has for its handshake."""

DISCARD: Final = 1 << 16
"""Bytes that are read at once of what is thrown away."""

AT_ONCE: Final = 64
"""Clients that are accepted before others have their turn."""

EXHAUSTED: Final = 0.5
"""Seconds without accepting after the process has run out of descriptors."""

NOT_TLS_HTTP: Final = (
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n"
    b"Content-Length: 26\r\n\r\nthis port speaks TLS only\n"
)


class Tls:
    """The certificates of a server.

    Args:
        options: name the files; there is a certificate.

    Attributes:
        context: for connections of clients.

    Raises:
        ImproperlyConfigured: a file cannot be used.
    """

    def __init__(self, options: ServiceOptions) -> None:
        self._options = options
        self.context = self._load()

    def reload(self) -> None:
        """Read the files again; raises as the constructor, and changes nothing then."""
        self.context = self._load()

    def _load(self) -> ssl.SSLContext:
        options = self._options
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.num_tickets = 0  # nothing comes to a client unasked
        _show(context, "-tls", options.tls_cert, options.tls_key)
        if options.tls_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            _trust(context, "-tls-ca", options.tls_ca)
        return context


def tls_of(options: ServiceOptions) -> Tls | None:
    """What the command line says of TLS for clients; None if they do without.

    Raises:
        ImproperlyConfigured: it cannot be.
    """
    if options.tls_cert is None:
        for name, value in (("-tls-key", options.tls_key), ("-tls-ca", options.tls_ca)):
            if value is not None:
                raise ImproperlyConfigured(f"{name} needs the server's certificate: -tls-cert")
        return None
    if options.port == 0:
        raise ImproperlyConfigured("-tls-cert is for TCP: a Unix socket does without TLS")
    return Tls(options)


def master_context(options: ServiceOptions) -> ssl.SSLContext | None:
    """How a master is spoken with; None: without TLS.

    Raises:
        ImproperlyConfigured: a file cannot be used.
    """
    cert, key = options.master_tls_cert, options.master_tls_key
    if options.master_tls_ca is None:
        if cert is not None or key is not None:
            raise ImproperlyConfigured("-mtls-cert and -mtls-key need -mtls-ca: whom to trust")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _trust(context, "-mtls-ca", options.master_tls_ca)
    if cert is not None or key is not None:
        _show(context, "-mtls", cert, key)
    return context


def _show(context: ssl.SSLContext, option: str, cert: str | None, key: str | None) -> None:
    """Have our certificate shown."""
    if cert is None:
        raise ImproperlyConfigured(f"{option}-key needs a certificate: {option}-cert")
    try:
        context.load_cert_chain(cert, key, _no_password)
    except (OSError, ValueError) as error:
        files = cert if key is None else f"{cert}, {key}"
        raise ImproperlyConfigured(
            f"{option}-cert: there is no certificate with its key in {files}: {error}"
        ) from None


def _trust(context: ssl.SSLContext, option: str, path: str) -> None:
    """Trust the certificates in this file only."""
    try:
        context.load_verify_locations(path)
    except (OSError, ValueError) as error:
        raise ImproperlyConfigured(
            f"{option}: there are no certificates in {path}: {error}"
        ) from None


def _no_password() -> NoReturn:
    raise ValueError("the key has a passphrase, which a server cannot be told")


class TlsAcceptor:
    """Accepts connections, until it is closed. For the event loop's thread.

    Args:
        loop: the event loop.
        listening: descriptor of a socket that listens.
        tls: the certificates.
        connect: makes the handler of a new connection.
        log: gets a line for each client that could not be spoken with.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listening: socket.socket,
        tls: Tls,
        connect: Connect,
        log: Journal,
    ) -> None:
        self._loop = loop
        self._listening = listening
        self._tls = tls
        self._connect = connect
        self._log = log
        self._callers: dict[socket.socket, asyncio.TimerHandle] = {}  # who speak no TLS, or not yet
        self._handshakes: set[asyncio.Task[None]] = set()
        self._closed = False
        listening.setblocking(False)
        loop.add_reader(listening.fileno(), self._accept)

    def close(self) -> None:
        """Accept nobody any more, and give up handshakes that are not done."""
        self._closed = True
        self._loop.remove_reader(self._listening.fileno())
        self._listening.close()
        for caller in list(self._callers):
            self._let_go(caller).close()
        for handshake in self._handshakes:
            handshake.cancel()

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                caller, _ = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._log.error(f"a client cannot be accepted: {error.strerror}")
                self._loop.remove_reader(self._listening.fileno())
                self._loop.call_later(EXHAUSTED, self._accept_again)
                return
            caller.setblocking(False)
            self._callers[caller] = self._loop.call_later(HANDSHAKE, self._late, caller)
            self._loop.add_reader(caller.fileno(), self._look, caller)

    def _accept_again(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._listening.fileno(), self._accept)

    def _let_go(self, caller: socket.socket) -> socket.socket:
        """Do not wait for it any more."""
        self._callers.pop(caller).cancel()
        self._loop.remove_reader(caller.fileno())
        return caller

    def _late(self, caller: socket.socket) -> None:
        self._failed(caller, "it says nothing")
        self._drop(caller)

    def _look(self, caller: socket.socket) -> None:
        """The first byte is there, or the end."""
        try:
            first = caller.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            first = b""
        self._let_go(caller)
        if first and CLIENT_HELLO.startswith(first):
            handshake = self._loop.create_task(self._shake_hands(caller))
            self._handshakes.add(handshake)
            handshake.add_done_callback(self._handshakes.discard)
            return
        if not first:
            caller.close()
            return
        self._failed(caller, "it speaks no TLS")
        with suppress(OSError):
            caller.send(NOT_TLS_HTTP if first.isalpha() else NOT_TLS)
            caller.shutdown(socket.SHUT_WR)
        self._callers[caller] = self._loop.call_later(LINGER, self._drop, caller)
        self._loop.add_reader(caller.fileno(), self._discard, caller)

    def _discard(self, caller: socket.socket) -> None:
        """What a refused one still sends: closing before would destroy what we have said."""
        try:
            ended = not caller.recv(DISCARD)
        except BlockingIOError:
            return
        except OSError:
            ended = True
        if ended:
            self._drop(caller)

    def _drop(self, caller: socket.socket) -> None:
        self._let_go(caller).close()

    async def _shake_hands(self, caller: socket.socket) -> None:
        """Go on with TLS; a connection that has come so far sees to itself."""
        try:
            await self._loop.connect_accepted_socket(
                self._connect, caller, ssl=self._tls.context, ssl_handshake_timeout=HANDSHAKE
            )
        except ssl.SSLError as error:
            self._failed(caller, error.reason or str(error))
        except OSError as error:
            self._failed(caller, str(error) or "it was gone, or too slow")
        except asyncio.CancelledError:
            if not self._closed:
                raise

    def _failed(self, caller: socket.socket, why: str) -> None:
        peer = "-"
        with suppress(OSError, IndexError):  # it may be gone
            host, port, *_ = caller.getpeername()
            peer = f"{host}:{port}"
        self._log.info(f"({peer}): no TLS handshake: {why}")
