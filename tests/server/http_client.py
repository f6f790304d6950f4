"""A caller of Kyoto Tycoon's procedures that shows every step: what is sent, when it is read."""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Any, Self

from kt.wire.http import HttpReply, pack_http_request, read_http_head_reply, read_http_reply
from kt.wire.tycoon_rpc import decode_columns, pack_rpc, read_rpc_reply

from ..incoming import Incoming
from .processes import HOST, SECONDS, ServerProcess


class Caller(Incoming):
    """One connection. Columns are text or numbers; replies are (status, columns)."""

    def __init__(self, server: ServerProcess) -> None:
        self._connect(server.port)

    @classmethod
    def at(cls, port: int) -> Self:
        caller = cls.__new__(cls)
        caller._connect(port)
        return caller

    def _connect(self, port: int) -> None:
        self.socket = socket.create_connection((HOST, port), SECONDS)

    def __call__(self, procedure: str, **columns: Any) -> tuple[int, dict[str, str]]:
        self.send(procedure, **columns)
        return self.receive()

    def send(self, procedure: str, **columns: Any) -> None:
        self.socket.sendall(pack_rpc(procedure, columns.items()))

    def receive(self) -> tuple[int, dict[str, str]]:
        reply = self.read(read_rpc_reply)
        columns = decode_columns(reply.body, reply.encoding)
        return reply.status, {name.decode(): value.decode() for name, value in columns.items()}

    def http(self, method: bytes, target: bytes, *args: Any, **kwargs: Any) -> HttpReply:
        self.socket.sendall(pack_http_request(method, target, *args, **kwargs))
        return self.read(read_http_head_reply if method == b"HEAD" else read_http_reply)

    def http_reply(self) -> HttpReply:
        """The reply to a request that was sent by hand."""
        return self.read(read_http_reply)

    def take(self, size: int) -> bytes:
        """The next `size` bytes, whatever they are."""
        while len(self._received) < size:
            self._more()
        taken, self._received = self._received[:size], self._received[size:]
        return taken

    def has_ended(self) -> bool:
        """Wait for the server's end of the connection, before which nothing may come."""
        return not self._received and not self.socket.recv(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.socket.close()
