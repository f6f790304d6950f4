"""TLS for clients: what checks the server's certificate, and a socket that speaks it.

A program gives an `ssl.SSLContext`, or True for what Python trusts by itself. `TlsSocket` is what
`kt.net.blocking` takes for a socket. With TLS, the operating system does not know whether there is
something to be received: bytes may come that are part of something larger, or meant for TLS itself.
So this socket tells it itself (`poll`), and then has the bytes at hand. asyncio has TLS of its own.

A server that speaks TLS answers others with an *alert*, and is recognized by that (`is_alert`).
"""

from __future__ import annotations

import select
import socket
import ssl
from select import POLLIN, POLLOUT
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

from kt.errors import ArgumentError
from kt.net.manners import FOREVER

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import ReadableBuffer

HANDSHAKE: Final = 10.0
"""Seconds that a server has at most for its part of the handshake."""

RECORD: Final = 16 * 1024
"""Bytes that a piece of TLS has at most."""

NO_TLS: Final = ("WRONG_VERSION_NUMBER", "UNEXPECTED_MESSAGE", "ALERT_PROTOCOL_VERSION")
"""What OpenSSL says of servers that do not speak TLS."""


def context_of(ssl_argument: object) -> ssl.SSLContext:
    """Return what a client was given as `ssl`, or for True, what Python trusts.

    Raises:
        ArgumentError: it is something else.
    """
    if isinstance(ssl_argument, ssl.SSLContext):
        return ssl_argument
    if ssl_argument is True:
        return ssl.create_default_context()
    raise ArgumentError(f"ssl is an ssl.SSLContext, or True, not {ssl_argument!r}")


def context_from_files(
    ca: str | None, cert: str | None, key: str | None, *, name: str = "tls"
) -> ssl.SSLContext:
    """Return what trusts those in the file `ca` only, and shows the certificate in `cert`.

    Args:
        ca: None for what Python trusts by itself.
        cert: None for no certificate.
        key: None if it is in `cert`, too.
        name: how the options that named the files begin.

    Raises:
        ArgumentError: a file cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ValueError) as error:
        raise ArgumentError(f"{name}_ca: there are no certificates in {ca}: {error}") from None
    if cert is None:
        if key is not None:
            raise ArgumentError(f"{name}_key needs a certificate: {name}_cert")
        return context
    try:
        context.load_cert_chain(cert, key, _no_password)
    except (OSError, ValueError) as error:
        files = cert if key is None else f"{cert}, {key}"
        raise ArgumentError(
            f"{name}_cert: there is no certificate with its key in {files}: {error}"
        ) from None
    return context


def _no_password() -> NoReturn:
    raise ValueError("the key has a passphrase: make an ssl.SSLContext, and pass it as ssl=")


def failure(error: OSError) -> str | None:
    """Return what a failed handshake means; None if that was something else."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    ended = ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionResetError, BrokenPipeError
    if isinstance(error, ended):
        return "it does not speak TLS (it ended the connection)"
    if isinstance(error, ssl.SSLError):
        reason = error.reason or str(error)
        if any(words in reason for words in NO_TLS):
            return f"it does not speak TLS ({reason})"
        return f"TLS fails: {reason}"
    return None


class TlsSocket:
    """A connected socket that speaks TLS; it is its own poller. For one thread at a time.

    Args:
        sock: connected; closed if this fails.
        context: checks who is there.
        host: who it should be.
        timeout: seconds that the handshake may take, at most `HANDSHAKE`; None for that.

    Raises:
        OSError: the other side does not speak TLS, is not who it should be, or is too slow.
    """

    def __init__(
        self, sock: socket.socket, context: ssl.SSLContext, host: str, timeout: float | None
    ) -> None:
        try:
            sock.settimeout(HANDSHAKE if timeout is None else min(timeout, HANDSHAKE))
            self._socket = context.wrap_socket(sock, server_hostname=host)
        except TimeoutError:
            sock.close()
            raise TimeoutError("it did not answer the handshake of TLS") from None
        except BaseException:
            sock.close()
            raise
        self._timeout: float | None = None
        self._ahead: bytes | None = None  # what `poll` has found; nothing: the end
        self._failure: OSError | None = None  # likewise
        self._events = POLLIN
        self._poller = select.poll()
        self._poller.register(self._socket, POLLIN)
        self.fileno: Callable[[], int] = self._socket.fileno
        self.sendall = self._socket.sendall

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close at once."""
        self._socket.close()

    def shutdown(self, how: int) -> None:
        """End the connection below TLS: who waits in another thread is told."""
        socket.socket.shutdown(self._socket, how)

    def gettimeout(self) -> float | None:
        """Seconds that an operation may take."""
        return self._timeout

    def settimeout(self, seconds: float | None) -> None:
        """Say how long an operation may take; with `FOREVER`, `send` does not wait at all."""
        self._timeout = seconds
        self._socket.settimeout(seconds)

    def send(self, data: ReadableBuffer) -> int:
        """Send some of it; returns how many bytes."""
        if self._timeout != FOREVER:
            return self._socket.send(data)
        self._socket.settimeout(0)
        try:
            return self._socket.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0
        finally:
            self._socket.settimeout(self._timeout)

    def recv(self, size: int) -> bytes:
        """Receive something; nothing at the end."""
        if self._failure is not None:
            raise self._failure
        data = self._ahead
        if data is None:
            return self._socket.recv(size)
        self._ahead = data[size:] or None
        return data[:size]

    def modify(self, _: object, events: int) -> None:
        """Say what to wait for."""
        if events != self._events:
            self._events = events
            self._poller.modify(self._socket, events)

    def poll(self, timeout: float | None = None) -> list[tuple[int, int]]:
        """Wait for so many milliseconds, as `select.poll` does, for what can be used."""
        end = None if timeout is None else monotonic() + timeout / 1000
        left = timeout
        while not self._fetched():
            ready = self._poller.poll(left)
            if not ready:
                return []
            events = ready[0][1]
            if events & POLLOUT:
                events = POLLIN if events != POLLOUT and self._fetched() else POLLOUT
                return [(ready[0][0], events)]
            if end is not None:
                left = max(0.0, end - monotonic()) * 1000
        return [(self._socket.fileno(), POLLIN)]

    def _fetched(self) -> bool:
        """Whether there is something to be received, which is at hand then."""
        if self._ahead is not None or self._failure is not None:
            return True
        self._socket.settimeout(0)
        try:
            self._ahead = self._socket.recv(RECORD)
        except ssl.SSLWantReadError:
            return False
        except OSError as error:
            self._failure = error
        finally:
            self._socket.settimeout(self._timeout)
        return True


def arguments(context: Any, host: str, timeout: float | None) -> dict[str, Any]:
    """Return what asyncio's `create_connection` is to be told besides host and port."""
    if context is None:
        return {}
    limit = HANDSHAKE if timeout is None else min(timeout, HANDSHAKE)
    return {
        "ssl": context,
        "server_hostname": host,
        "ssl_handshake_timeout": limit,
        "ssl_shutdown_timeout": 1.0,
    }
