"""What serves a client of kt-tyrant: binary commands, memcached's, and HTTP requests, in any order.

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
from typing import TYPE_CHECKING, Any, Final

from kt.server.engines.tokyo._engine import State, Stream
from kt.server.process.delegation import PLAIN_REQUESTS
from kt.server.session import Rights
from kt.server.tyrant.answering import Answering
from kt.server.tyrant.binary import serve_binary
from kt.server.tyrant.http import serve_http
from kt.server.tyrant.memcached import MEMCACHED, serve_memcached
from kt.server.tyrant.service import TyrantService
from kt.wire.memcached import read_words
from kt.wire.tyrant_commands import MAGIC
from kt.wire.tyrant_text import is_http, read_http_rest

if TYPE_CHECKING:
    from kt.server.engines.io._io import Reply

MORE: Final = int(State.MORE)
AGAIN: Final = int(State.AGAIN)
COMMAND: Final = int(State.COMMAND)
BUSY: Final = int(State.BUSY)
BROKEN: Final = int(State.BROKEN)
CLOSE: Final = int(State.CLOSE)


def _feed(
    stream: Stream, data: bytes | bytearray, pos: int
) -> tuple[int, int, bytes, bytes | Reply]:
    """What `Stream.feed` does in a worker thread, and what it has left.

    The input is let go of here: to free it takes long, too.
    """
    state, consumed, need, reply = stream.feed(data, pos, wait=True)
    return state, need, bytes(memoryview(data)[pos + consumed :]), reply


class TyrantSession(Answering):
    """See the module's docstring."""

    def __init__(self, service: TyrantService) -> None:
        super().__init__(service)
        self._stream = service.core.stream()

    def step(self, data: bytes | bytearray, pos: int) -> int:
        self.keeps = True
        if self.supply is not None:
            return len(data)  # who follows the log has nothing more to say
        if self.half_read is not None:
            end = self.read_now(*self.half_read, data, pos)
        elif self._stream.in_list or data[pos] == MAGIC:
            end = self._feed(data, pos)
        else:
            end = self.read_now(read_words, self._serve_line, data, pos)
        self.close_unless(self.keeps or self.work is not None or end < len(data))
        return end

    def restrict(self, rights: Rights) -> None:
        super().restrict(rights)
        self._stream.restrict(self.mask, rights)

    def at_once(self, requests: bytes) -> tuple[bytes, int]:
        if requests[0] != MAGIC or self.service.has_scripts:
            return b"", 0
        state, served, _, reply = self._stream.feed(requests)
        replies = bytes(reply)
        while state == AGAIN:
            state, more, _, reply = self._stream.feed(requests, served)
            served += more
            replies += reply
        if state in (BROKEN, CLOSE):
            self.close()
        return replies, served

    # Text

    def serve_late(self, serve: Callable[[Any], None], value: Any) -> None:
        self.keeps = True
        super().serve_late(serve, value)
        self.close_unless(self.keeps or self.work is not None or self.behind)

    def _serve_line(self, words: list[bytes]) -> None:
        if is_http(words) and words[0] not in MEMCACHED:
            self.read(partial(read_http_rest, words), partial(serve_http, self))
        else:
            serve_memcached(self, words)

    # Binary

    def _feed(self, data: bytes | bytearray, pos: int) -> int:
        if self.service.stream_waits:
            return self._feed_in_thread(data, pos)
        state, consumed, need, reply = self._stream.feed(data, pos)
        return self._after_feed(state, need, reply, data, pos + consumed)

    def _feed_in_thread(self, data: bytes | bytearray, pos: int) -> int:
        """Feed what has to wait for the engine."""
        self.in_thread(partial(_feed, self._stream, data, pos), self._have_fed)
        return len(data)

    def _have_fed(self, fed: tuple[int, int, bytes, bytes | Reply]) -> None:
        """The end of a `_feed` in a worker thread, which had taken over the input."""
        state, need, rest, reply = fed
        end = self._after_feed(state, need, reply, rest, 0)
        self.unread(rest[end:])
        self.behind = self.behind or end < len(rest)
        self.close_unless(self.keeps or self.work is not None or self.behind)

    def _after_feed(
        self, state: int, need: int, reply: bytes | Reply, data: bytes | bytearray, pos: int
    ) -> int:
        """Do what the stream says; where the next request, or the rest of this one, begins."""
        if reply:
            self.write(reply)
        # An I/O thread waits for the device for all of its connections, a worker for one.
        steps = PLAIN_REQUESTS if self.service.writes_wait else 1
        self.plain = self.plain + steps if state == MORE else 0
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
        return self._stream if self.half_read is None else None

    def returned(self, state: int) -> None:
        self.close_unless(state != CLOSE and (state != BROKEN or self.behind))

    def begun(self) -> bool:
        return self._stream.in_list or super().begun()
