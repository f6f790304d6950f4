"""Where a server is, and how failures to talk to it are worded. Shared by both kinds of pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kt.errors import (
    BrokenReplyError,
    IncompleteReplyError,
    ProtocolError,
    ReplyLostError,
    ReplyTimeoutError,
    ServerConnectionError,
    ServerTimeoutError,
)
from kt.net.greetings import Greeting
from kt.wire.reading import Buffer, Reader

if TYPE_CHECKING:
    from ssl import SSLContext

ALERT = b"\x15\x03"
"""What a server begins with that speaks TLS, and is spoken to without."""

SILENCE = 1.0
"""Seconds without a first answer, at most, after which a client asks what server it is."""

HASTE = 0.02
"""A timeout that is too short to ask that, in seconds."""


class Endpoint(NamedTuple):
    """A server, and a harmless request to it.

    Attributes:
        host: name or address (IPv4 or IPv6); with port 0, the path of a Unix socket.
        port: TCP port; 0 or less for a Unix socket.
        barrier: a request that changes nothing. Its reply shows that the server has carried out
            everything sent before it on the same connection.
        read_barrier: reads the reply to `barrier`.
        stranger: the other kind of server, which is often taken for this one and answers nothing.
        tls: checks who it is, and has the connection encrypted; None: without TLS.
    """

    host: str
    port: int
    barrier: bytes
    read_barrier: Reader[Any]
    stranger: Greeting
    tls: SSLContext | None = None

    @property
    def is_unix(self) -> bool:
        """Whether it is a Unix socket."""
        return self.port <= 0

    def __str__(self) -> str:
        if self.is_unix:
            return self.host
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def unreachable(self, error: OSError) -> ServerConnectionError | ServerTimeoutError:
        """Connecting failed."""
        if isinstance(error, TimeoutError):
            tls = "" if self.tls is None else ", or it does not speak TLS"
            return ServerTimeoutError(f"{self} did not accept a connection in time{tls}")
        why = error.strerror or str(error)
        if self.tls is not None:
            from kt.net.tls import failure

            why = failure(error) or why
        return ServerConnectionError(f"cannot connect to {self}: {why}", sent=False)

    def is_alert(self, data: Buffer) -> bool:
        """Whether the first bytes of a server say that we should speak TLS."""
        return self.tls is None and data[:2] == ALERT

    def speaks_tls(self) -> ProtocolError:
        """It `is_alert`."""
        return ProtocolError(
            f"{self} speaks TLS only: pass ssl=..., or begin its URL with kts or tts"
        )

    def patience(self, timeout: float | None) -> float | None:
        """Seconds without an answer after which to ask for the `stranger`; None: do not ask.

        Half of a short timeout: the other half is for the `stranger` to answer.
        """
        if timeout is None:
            return SILENCE
        return None if timeout < HASTE else min(SILENCE, timeout / 2)

    def mistaken(self) -> ProtocolError:
        """The `stranger` is there."""
        kind = self.stranger
        return ProtocolError(f"{self} is a {kind.server} server: kt.{kind.client} speaks with it")

    def unsent(self) -> ServerConnectionError:
        """The connection was gone before anything of the request had left."""
        return ServerConnectionError(f"{self} had closed the connection", sent=False)

    def unanswered(self, reason: str = "closed the connection") -> ServerConnectionError:
        """The connection broke after a request had been sent, before any byte of its reply."""
        tls = "" if self.tls is None else "; it may not accept our certificate, or want one"
        return ReplyLostError(f"{self} {reason} instead of a reply{tls}")

    def cut_short(self, received: int) -> ProtocolError:
        """The connection broke in the middle of a reply."""
        return BrokenReplyError(f"{self} broke off its reply after {received} bytes")

    def out_of_step(self, data: Buffer) -> ProtocolError:
        """The server sent something that nobody asked for."""
        return ProtocolError(f"{self} sent more than a reply: {bytes(data[:20])!r}")

    def too_late(self, timeout: float | None, received: int = 0) -> ServerTimeoutError:
        """The reply, of which `received` bytes are here, was not complete in time."""
        if received:
            return IncompleteReplyError(
                f"{self} sent {received} bytes of its reply and not the rest within {timeout:g} s"
            )
        return ReplyTimeoutError(f"{self} did not answer within {timeout:g} s")

    def no_turn(self, timeout: float | None) -> ServerTimeoutError:
        """Nothing was sent: what had to come first was not over in time."""
        return ServerTimeoutError(f"{self} did not answer within {timeout:g} s")


def without_login(url: str) -> str:
    """A URL as others may see it."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url.rpartition("@")[2]
    end = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    at = rest.rfind("@", 0, end)
    if at < 0 and ":" in rest[:end]:
        at = rest.partition("?")[0].rfind("@")  # a password with a slash
    return scheme + separator + rest[at + 1 :]
