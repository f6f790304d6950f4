"""What comes on a connection, taken reply by reply."""

from __future__ import annotations

import socket
from typing import TypeVar

from kt.wire.reading import Incomplete, Reader

T = TypeVar("T")


class Incoming:
    """One connection of a test that shows every step."""

    socket: socket.socket
    _received = b""

    def _more(self) -> None:
        data = self.socket.recv(1 << 18)
        if not data:
            raise EOFError(self._received)  # the server hung up after that
        self._received += data

    def read(self, reader: Reader[T]) -> T:
        """The next reply; raises EOFError, with what there is of one, if it does not come."""
        while isinstance(result := reader(self._received, 0), Incomplete):
            reader = result.resume
            self._more()
        value, end = result
        self._received = self._received[end:]
        return value
