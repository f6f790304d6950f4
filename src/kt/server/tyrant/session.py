"""A connection to kt-tyrant: binary commands, memcached's, and HTTP requests, in any order.

Byte C8 begins a binary command; anything else is a line of text. Binary bytes go to the engine's
`Stream`, which runs the quick commands without coming back to Python, and leaves whole requests of
the others to `tyrant_binary`. A line is a command of memcached or, if its third word says so, the
begin of an HTTP request.

As with the original server a bad request gets no answer (some text commands get one), and ends the
connection only if nothing has come behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from kt.errors import ProtocolError
from kt.server.engines.tokyo._engine import State, Stream
from kt.server.process.connection import Connection
from kt.server.tyrant.binary import serve_binary
from kt.server.tyrant.http import serve_http
from kt.server.tyrant.memcached import MEMCACHED, serve_memcached
from kt.wire.reading import Incomplete, Reader
from kt.wire.tyrant_commands import MAGIC
from kt.wire.tyrant_text import is_http, read_http_rest, read_words

if TYPE_CHECKING:
    from kt.server.tyrant.script import TyrantScript
    from kt.server.tyrant.server import TyrantServer

Work: TypeAlias = Callable[[], bytes]
"""Part of a command that calls the engine, and makes the reply."""

MORE: Final = int(State.MORE)
AGAIN: Final = int(State.AGAIN)
COMMAND: Final = int(State.COMMAND)
BUSY: Final = int(State.BUSY)
BROKEN: Final = int(State.BROKEN)
CLOSE: Final = int(State.CLOSE)


class TyrantConnection(Connection):
    """See the module's docstring."""

    server: TyrantServer

    def __init__(self, server: TyrantServer) -> None:
        super().__init__(server)
        self._stream = server.core.stream()
        self._half_read: tuple[Reader[Any], Callable[[Any], None]] | None = None
        self._keeps = True  # whether the last request lets the connection live

    @property
    def descriptor(self) -> int:
        """The number of the socket."""
        number: int = self._transport.get_extra_info("socket").fileno()
        return number

    def step(self, data: bytes | bytearray, pos: int) -> int:
        self._keeps = True
        if self._half_read is not None:
            end = self._read_text(*self._half_read, data, pos)
        elif self._stream.in_list or data[pos] == MAGIC:
            end = self._feed(data, pos)
        else:
            end = self._read_text(read_words, self._serve_line, data, pos)
        self._close_unless(self._keeps or self.busy or end < len(data))
        return end

    # What the protocols use

    def read(self, reader: Reader[Any], serve: Callable[[Any], None]) -> None:
        """Go on with the request: `serve` what `reader` reads from what follows."""
        self._half_read = reader, serve

    def run(self, work: Work, *, slow: bool = False) -> None:
        """Answer with what `work` returns; in a worker thread if it may take long."""
        if slow or self.server.engine_may_block:
            self.in_thread(work, partial(self._answer, self._keeps))
        else:
            self.write(work())

    def run_script(self, work: Callable[[TyrantScript], bytes]) -> None:
        """Answer with what `work` returns, from a thread that has a script."""
        self.in_script(work, partial(self._answer, self._keeps))

    def _answer(self, keeps: bool, reply: bytes) -> None:
        """The end of a `run` in a worker thread."""
        self.write(reply)
        self._close_unless(keeps or bool(self._input))

    def part(self) -> None:
        """End the connection, unless something has come behind this request."""
        self._keeps = False

    def _close_unless(self, goes_on: bool) -> None:
        if not goes_on:
            self.close()

    # Text

    def _read_text(
        self, reader: Reader[Any], serve: Callable[[Any], None], data: bytes | bytearray, pos: int
    ) -> int:
        self._half_read = None
        try:
            result = reader(data, pos)
        except ProtocolError:
            self.close()
            return pos
        if isinstance(result, Incomplete):
            self._half_read = result.resume, serve
            self.need = result.need
            return pos
        value, end = result
        serve(value)
        return end

    def _serve_line(self, words: list[bytes]) -> None:
        if is_http(words) and words[0] not in MEMCACHED:
            self.read(partial(read_http_rest, words), partial(serve_http, self))
        else:
            serve_memcached(self, words)

    # Binary

    def _feed(self, data: bytes | bytearray, pos: int) -> int:
        if self.server.held:
            return self._feed_in_thread(data, pos)
        state, consumed, need, reply = self._stream.feed(data, pos)
        return self._after_feed(state, need, reply, data, pos + consumed)

    def _feed_in_thread(self, data: bytes | bytearray, pos: int) -> int:
        """Feed what has to wait for the engine."""
        rest = bytes(memoryview(data)[pos:])
        work = partial(self._stream.feed, rest, wait=True)
        self.in_thread(work, lambda fed: self._fed(rest, *fed))
        return len(data)

    def _fed(self, rest: bytes, state: int, consumed: int, need: int, reply: bytes) -> None:
        """The end of a `_feed` in a worker thread, which had taken over the `rest` of the input."""
        end = self._after_feed(state, need, reply, rest, consumed)
        self.unread(rest[end:])
        self._close_unless(self._keeps or self.busy or bool(self._input))

    def _after_feed(
        self, state: int, need: int, reply: bytes, data: bytes | bytearray, pos: int
    ) -> int:
        """Do what the stream says; where the next request, or the rest of this one, begins."""
        if reply:
            self.write(reply)
        self.plain = self.plain + 1 if state == MORE else 0
        if state == MORE:
            self.need = need
        elif state == AGAIN:
            self.yield_turn()
        elif state == COMMAND:
            return serve_binary(self, data, pos)
        elif state == BUSY:
            return self._feed_in_thread(data, pos)
        elif state == BROKEN:
            self.part()
        elif state == CLOSE:
            self.close()
        return pos

    # I/O threads

    def servable(self) -> Stream | None:
        return self._stream if self._half_read is None else None

    def returned(self, state: int) -> None:
        self._close_unless(state != CLOSE and (state != BROKEN or bool(self._input)))

    def unfinished(self) -> bool:
        return self._stream.in_list or self._half_read is not None or super().unfinished()
