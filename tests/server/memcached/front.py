"""A kt-tycoon with a port for memcached's clients, and a client that sends bytes."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pymemcache.client.base import Client

from tests.ports import free_port

from ..processes import HOST, SECONDS, ServerProcess

PLUGIN = "/usr/libexec/ktplugservmemc.so"


class Front(ServerProcess):
    """A server, and its second port.

    Args:
        more: what ``-plex`` says besides the port.
        args: other arguments.
        databases: database arguments.
        directory: its working directory.

    Attributes:
        front: the second port.
    """

    def __init__(
        self, directory: Path, *args: str, more: str = "", databases: Sequence[str] = ("*",)
    ) -> None:
        self.front = free_port()
        directory.mkdir(exist_ok=True)
        plugin = ("-plsv", PLUGIN, "-plex", f"host={HOST}#port={self.front}{more}")
        super().__init__("kt-tycoon", *plugin, *args, databases=databases, directory=directory)

    def client(self, **options: Any) -> closing[Client]:
        """A client that waits for every reply."""
        options = {"connect_timeout": SECONDS, "timeout": SECONDS, **options}
        return closing(Client((HOST, self.front), default_noreply=False, **options))


class Peer:
    """A connection that sends bytes and knows how long the replies are."""

    def __init__(self, server: Front) -> None:
        self.socket = socket.create_connection((HOST, server.front), SECONDS)
        self.socket.settimeout(SECONDS)

    def ask(self, request: bytes, reply: bytes) -> None:
        """Send a request, and get that reply."""
        self.socket.sendall(request)
        self.gets(reply)

    def gets(self, reply: bytes) -> None:
        """Get that reply."""
        got = b""
        while len(got) < len(reply) and (data := self.socket.recv(len(reply) - len(got))):
            got += data
        assert got == reply

    def ended(self) -> bytes:
        """What comes until the server ends the connection."""
        got = b""
        while data := self.socket.recv(65536):
            got += data
        return got

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.socket.close()
