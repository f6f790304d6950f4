"""A line to a server that can be cut."""

from __future__ import annotations

import selectors
import socket
import threading
from contextlib import suppress
from typing import Self

from ...processes import HOST


class CutLine:
    """Passes on what clients and a server send each other; a connection at a time.

    Args:
        port: of the server.
        cuts: after so many bytes of the server is a connection cut, one after the other; those
            behind the last one are not.
        half: only the client's side is: the server does not hear of it.
    """

    def __init__(self, port: int, *cuts: int, half: bool = False) -> None:
        self._server = port
        self._cuts = list(cuts)
        self._half = half
        self._left: list[socket.socket] = []  # ends of a server that has not heard
        self._listener = socket.create_server((HOST, 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._left:
            sock.close()

    def _serve(self) -> None:
        with suppress(OSError):  # the end
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        server = socket.create_connection((HOST, self._server))
        with client, suppress(OSError):
            was_cut = self._exchange(client, server)
            if was_cut and self._half:
                self._left.append(server)
                return
        server.close()

    def _exchange(self, client: socket.socket, server: socket.socket) -> bool:
        """Until one of them ends the connection, or it is to be cut; whether that was it."""
        passed = 0
        with selectors.DefaultSelector() as selector:
            selector.register(client, selectors.EVENT_READ, server)
            selector.register(server, selectors.EVENT_READ, client)
            while True:
                for key, _ in selector.select():
                    sock, other = key.fileobj, key.data
                    assert isinstance(sock, socket.socket)
                    if not (data := sock.recv(1 << 16)):
                        return False
                    if sock is server and self._cuts and passed + len(data) >= self._cuts[0]:
                        other.sendall(data[: self._cuts.pop(0) - passed])
                        return True
                    passed += len(data) if sock is server else 0
                    other.sendall(data)
