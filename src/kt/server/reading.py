"""A session that reads requests by readers, and goes on where one has stopped.

A reader says how many bytes it needs (`kt.wire.reading`); a part of a request of which nothing is
missing but bytes, and many of them, is cut out of the input by a worker thread.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from kt.errors import ProtocolError
from kt.server.session import LARGE_REQUEST, Session
from kt.wire.reading import Cutting, Incomplete, Reader, read_with_rest


class ReadingSession(Session):
    """See the module's docstring.

    Attributes:
        half_read: the reader of a request that has begun, and what serves it; None between two.
    """

    def __init__(self) -> None:
        super().__init__()
        self.half_read: tuple[Reader[Any], Callable[[Any], None]] | None = None
        self._awaits_large = False  # of what is half read nothing is missing but bytes

    def read(self, reader: Reader[Any], serve: Callable[[Any], None]) -> None:
        """Go on with the request: `serve` what `reader` reads from what follows."""
        self.half_read = reader, serve

    def read_now(
        self, reader: Reader[Any], serve: Callable[[Any], None], data: bytes | bytearray, pos: int
    ) -> int:
        """Serve what begins at `data[pos]`, as `step` does."""
        self.half_read = None
        if self._awaits_large:
            self._awaits_large = False
            self.in_thread(
                partial(read_with_rest, reader, data, pos), partial(self._have_read, serve)
            )
            return len(data)
        try:
            result = reader(data, pos)
        except ProtocolError:
            self.misread()
            return pos
        if isinstance(result, Incomplete):
            self._wait_for(result, serve)
            return pos
        value, end = result
        serve(value)
        return end

    def misread(self) -> None:
        """What has come cannot be the protocol."""
        self.close()

    def serve_late(self, serve: Callable[[Any], None], value: Any) -> None:
        """Serve what a worker thread has read."""
        serve(value)

    def begun(self) -> bool:
        return self.half_read is not None

    def _wait_for(self, incomplete: Incomplete[Any], serve: Callable[[Any], None]) -> None:
        self.half_read = incomplete.resume, serve
        self.need = incomplete.need
        self._awaits_large = isinstance(incomplete, Cutting) and incomplete.need > LARGE_REQUEST

    def _have_read(self, serve: Callable[[Any], None], read: tuple[Any, bytes | bytearray]) -> None:
        """The end of a reading in a worker thread, which had taken over the input."""
        value, rest = read
        self.unread(rest)
        self.behind = self.behind or bool(rest)
        if isinstance(value, Incomplete):
            self._wait_for(value, serve)
        else:
            self.serve_late(serve, value)
