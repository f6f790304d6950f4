"""What serves a client of kt-tycoon: binary commands and HTTP requests, mixed in any order.

The first byte of each request tells: 0, or 0x80 and above, is binary, anything else HTTP. All bytes
go to the engine's `Stream` first, which runs the bulk commands and the most frequent HTTP requests
without coming back to Python. What it leaves is read here: other HTTP requests, which `rpc`
or `rest` serve, and scripts. A reader in the middle of a request gets what comes next.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any, Final

from kt.errors import ProtocolError
from kt.server.engines.kyoto._engine import State, Stream
from kt.server.feed import LINK_ENDED, Feed
from kt.server.process.delegation import PLAIN_REQUESTS
from kt.server.session import LARGE_REQUEST, Rights
from kt.server.tycoon.answering import Answering
from kt.server.tycoon.replication.sending import Copies, CopyFeed
from kt.server.tycoon.rest import serve_record
from kt.server.tycoon.rights import refusal
from kt.server.tycoon.rpc import RPC_PATH, Call
from kt.server.tycoon.scripts import play_script
from kt.server.tycoon.service import TycoonService
from kt.wire.http import BODY_MAX
from kt.wire.log.copies import COPY
from kt.wire.log.tycoon import CONFIRMS, EVERYTHING, LOOK, TELLS, pack_behind
from kt.wire.magic import (
    ERROR,
    GET_BULK,
    NO_REPLY,
    PLAY_SCRIPT,
    REMOVE_BULK,
    REPLICATION,
    SET_BULK,
)
from kt.wire.reading import Cutting, Incomplete, Reader, read_with_rest
from kt.wire.tycoon import (
    ERROR_REPLY,
    PlayScript,
    Replication,
    Update,
    pack_update,
    read_play_script,
    read_replication,
)
from kt.wire.tycoon_rpc import (
    HttpRefusal,
    HttpRequest,
    IncompleteBody,
    pack_http_refusal,
    read_http_request,
)

if TYPE_CHECKING:
    from kt.server.engines.io._io import Reply

REQUEST_MAX: Final = 2 * BODY_MAX + (1 << 20)
"""Bytes that a request of the kinds that are buffered whole (not bulk commands) may have."""

MORE: Final = int(State.MORE)
AGAIN: Final = int(State.AGAIN)
CLOSE: Final = int(State.CLOSE)
LARGE: Final = int(State.LARGE)
LEFT: Final = (int(State.HTTP), int(State.COMMAND))

LEFT_BY_STREAM: Final = frozenset((*range(1, 0x80), PLAY_SCRIPT, REPLICATION))
"""First bytes of what the stream leaves to us, always or, HTTP, in part."""

FRAME: Final = bytes([REPLICATION])
"""Begins the messages of replication, and confirms heartbeats."""

BEAT: Final = b"\xb0"

FEW_CURSORS: Final = 50
"""So many are closed at once when a connection ends; to close one takes 2 µs."""

PULSE: Final = 0.1
"""Seconds between two heartbeats."""

TELL: Final = 0.5
"""Seconds between two times that a slave is told how far it is behind."""

ONLY_OWN: Final = 1
"""The flag of replication that asks for the changes of one server only."""

COMMANDS: Final = {
    SET_BULK: "set_bulk",
    REMOVE_BULK: "remove_bulk",
    GET_BULK: "get_bulk",
    ERROR: "bulk command",
}
"""What the log calls the commands that the engine runs by itself."""


def feed_in_thread(
    stream: Stream, data: bytes | bytearray, pos: int
) -> tuple[int, bytes, bytes | Reply]:
    """What `Stream.feed` does in a worker thread, and what it has left.

    The input is let go of here: to free it takes long, too.
    """
    state, consumed, reply = stream.feed(data, pos)
    return state, bytes(memoryview(data)[pos + consumed :]), reply


class TycoonSession(Answering):
    """See the module's docstring."""

    def __init__(self, service: TycoonService) -> None:
        super().__init__(service)
        self._stream = service.core.stream()
        self._half_read: tuple[Reader[Any], Callable[[Any], None]] | None = None
        self._unanswered = b""  # what a half-read request gets if its rest does not come
        self._awaits_large = False  # of which nothing is missing but bytes
        self._speaks_http = False  # in the last request that was read here
        self._feed: Feed | None = None
        self._copy: CopyFeed | None = None
        self._answer_due = False
        self._follower = 0  # the number of a server that follows us
        self._was_current = False  # it had everything once
        self._beaten = 0  # up to this stamp all has been sent
        self._beaten_all = False  # nothing has been sent since
        self._confirmed_stamp = 0  # and taken
        self._tells = False  # how much has not been sent
        self._behind_told: tuple[int, int] | None = None
        self._tell_behind_at = 0.0

    def restrict(self, rights: Rights) -> None:
        super().restrict(rights)
        self._stream.restrict(bool(rights & Rights.READ), bool(rights & Rights.WRITE))

    def step(self, data: bytes | bytearray, pos: int) -> int:
        if self._copy is not None:  # who gets one says nothing more
            self.close()
            return pos
        if self._feed is not None:
            return self._confirmed(self._feed, data, pos)
        if self._half_read is not None:
            return self._read_request(*self._half_read, data, pos)
        service = self.service
        if service.shut:
            return self._step_while_shut(data, pos)
        with service.turn:
            fed = None if service.engine_may_block else self._stream.feed(data, pos)
        if fed is None:
            return self._feed_in_thread(data, pos)
        state, consumed, reply = fed
        self.plain = self.plain + 1 if state == MORE else 0
        self._after_feed(state, reply)
        pos += consumed
        if state == LARGE:
            return self._feed_in_thread(data, pos)
        return self._read_left(data, pos) if state in LEFT else pos

    def _step_while_shut(self, data: bytes | bytearray, pos: int) -> int:
        """Serve HTTP requests, most of which are refused, and nothing else."""
        if self._stream.pending or not 0 < data[pos] < 0x80:
            self.write(ERROR_REPLY)
            self.close()
            return pos
        return self._read_left(data, pos)

    def at_once(self, requests: bytes) -> tuple[bytes, int]:
        state, served, reply = self._stream.feed(requests)
        replies = bytes(reply)
        while state == AGAIN:
            state, more, reply = self._stream.feed(requests, served)
            served += more
            replies += reply
        if state == CLOSE:
            self.close()
        return replies, served

    def _read_left(self, data: bytes | bytearray, pos: int) -> int:
        """Read a request that the stream leaves to us."""
        first = data[pos]
        self._speaks_http = 0 < first < 0x80
        if first == PLAY_SCRIPT:
            return self._read_request(read_play_script, self._play_script, data, pos)
        if first == REPLICATION:
            return self._read_request(read_replication, self._replicate, data, pos)
        return self._read_request(read_http_request, self._serve_http, data, pos)

    def _read_request(
        self, reader: Reader[Any], serve: Callable[[Any], None], data: bytes | bytearray, pos: int
    ) -> int:
        """Read a request that is served whole; `reader` goes on where it has stopped before."""
        if self._awaits_large:
            self._awaits_large = False
            self._half_read = None
            self.in_thread(
                partial(read_with_rest, reader, data, pos), partial(self._have_read, serve)
            )
            return len(data)
        try:
            result = reader(data, pos)
        except HttpRefusal as refusal:
            self.write(pack_http_refusal(refusal.status, refusal.reason, self.service.stamp))
            self.close()
            return pos
        except ProtocolError:
            self.close()
            return pos
        if not isinstance(result, Incomplete):
            self._half_read = None
            request, end = result
            serve(request)
            return end
        if result.need > REQUEST_MAX:
            self.close()
        self._half_read = result.resume, serve
        self.need = result.need
        self._awaits_large = isinstance(result, Cutting) and result.need > LARGE_REQUEST
        if isinstance(result, IncompleteBody):
            self._unanswered = pack_http_refusal(*result.refusal, self.service.stamp)
        return pos

    def _have_read(self, serve: Callable[[Any], None], read: tuple[Any, bytes | bytearray]) -> None:
        """The end of a reading in a worker thread, which had taken over the input."""
        request, rest = read
        assert not isinstance(request, Incomplete)  # a body is there when its bytes are
        self.unread(rest)
        serve(request)

    # HTTP

    def _serve_http(self, request: HttpRequest) -> None:
        self._unanswered = b""
        self.began = perf_counter()
        if request.target.startswith(RPC_PATH):
            Call(self, request).begin()
        else:
            serve_record(self, request)

    def log_trace(self, traced: bytes, when: float | None = None) -> None:
        for code in traced:
            self.log_request(COMMANDS[code], code != ERROR, when)

    # Binary

    def _feed_in_thread(self, data: bytes | bytearray, pos: int) -> int:
        if not self._stream.pending and data[pos] in LEFT_BY_STREAM:
            return self._read_left(data, pos)
        self.in_thread(partial(feed_in_thread, self._stream, data, pos), self._have_fed)
        return len(data)

    def _have_fed(self, fed: tuple[int, bytes, bytes | Reply]) -> None:
        """The end of a feed in a worker thread, which had taken over the input."""
        state, rest, reply = fed
        self.unread(rest)
        if self.service.shut:  # since it began
            self.write(ERROR_REPLY)
            self.close()
            return
        if self.service.writes_wait and state == MORE:
            # An I/O thread waits for the device for all of its connections, a worker for one.
            self.plain = PLAIN_REQUESTS
        self._after_feed(state, reply)

    def _after_feed(self, state: int, reply: bytes | Reply) -> None:
        if reply:
            self.write(reply)
        if self.service.log.info_wanted:
            self.log_trace(self._stream.take_trace())
        if state == AGAIN:
            self.yield_turn()
        elif state == CLOSE:
            self.close()

    def _play_script(self, request: PlayScript) -> None:
        quiet = request.flags & NO_REPLY
        may = self._may(Rights.SCRIPTS)
        if may and self.service.has_scripts:
            self.service.counts["script"] += 1
            self.began = perf_counter()
            answer = self._drop if quiet else self.write
            self.in_script(partial(play_script, request), partial(self._played, answer))
        elif not quiet:
            self.write(ERROR_REPLY)

    def _played(self, answer: Callable[[bytes], None], reply: bytes) -> None:
        answer(reply)
        self.service.answered("binary_play_script", perf_counter() - self.began)

    def _may(self, right: Rights) -> bool:
        """Whether the client may do what needs this; the log is told if not."""
        refused = refusal(right, self.rights)
        if refused is not None:
            self.service.log.info(f"({self.peer}): {refused.decode()}")
        return refused is None

    def _drop(self, reply: bytes) -> None:
        """The client does not want it."""

    @property
    def follows(self) -> bool:
        return self._feed is not None or self._copy is not None

    # Replication: the update log is sent, and nothing else is served any more.

    def _replicate(self, request: Replication) -> None:
        service = self.service
        if not self._may(Rights.READ) or service.history is None:
            self.write(ERROR_REPLY)
            self.close()
            return
        if request.flags & COPY and service.copies is not None:
            self._send_copy(service.copies, request.server, request.since)
            return
        since, server = request.since, request.server
        looking = bool(request.flags & LOOK)
        what = "looks where the update log begins" if looking else "follows the update log"
        service.log.system(f"({self.peer}): {what}: ts={since} sid={server}")
        self._follower, self._confirmed_stamp = server, since
        self._tells = bool(request.flags & TELLS)  # else nothing that an original would not say
        self.write(FRAME)
        only, everything = bool(request.flags & ONLY_OWN), bool(request.flags & EVERYTHING)
        reader = service.history.reader(since, server, only=only, everything=everything)
        confirms = request.flags & (CONFIRMS | ONLY_OWN) == CONFIRMS
        quorum = service.quorum if confirms else None
        self._feed = Feed(
            self,
            service.history,
            reader,
            pulse=PULSE,
            timeout=service.timeout,
            caught_up=self._caught_up,
            sent=self._sent if quorum is not None else None,
            tell=self._tell_behind if self._tells else None,
            log=service.log,
            looking=looking,
        )
        if not looking:
            service.followers.join(self)
            if service.copies is not None:
                service.copies.forget(server)
        if quorum is not None:
            quorum.join(self, server, since)
        self._feed.go_on()

    def _send_copy(self, copies: Copies, server: int, place: int) -> None:
        self.service.log.system(f"({self.peer}): takes a copy of the databases: sid={server}")
        self._follower = server
        self.write(FRAME)
        self._copy = CopyFeed(self, copies, self.service.timeout, server, place)
        self.service.followers.join(self)
        self._copy.begin()

    def _caught_up(self) -> None:
        """All has been sent."""
        self._beaten_all = not self._answer_due
        if self._beaten_all:
            if self._tells:
                self._tell((0, 0))
            self._beat()

    def _sent(self) -> bool:
        """There is more. The next part is sent while this one is applied, and no more than that."""
        self._beaten_all = False
        if self._answer_due:
            return False
        if self._feed is not None and self._feed.stamp:
            self._beat()
        return True

    def _beat(self) -> None:
        """Say up to when all has been sent, and have that confirmed."""
        assert self._feed is not None
        self._beaten = self._feed.stamp
        self.write(BEAT + self._beaten.to_bytes(8, "big"))
        self._answer_due = True

    def _tell_behind(self) -> None:
        """Say how much has not been sent, but not too often: to count it takes a moment."""
        assert self._feed is not None
        if (now := monotonic()) >= self._tell_behind_at:
            self._tell_behind_at = now + TELL
            self._tell(self._feed.behind)

    def _tell(self, behind: tuple[int, int]) -> None:
        feed, history = self._feed, self.service.history
        assert feed is not None
        assert history is not None
        if behind != self._behind_told:
            self._behind_told = behind
            self.write(pack_update(Update(feed.stamp, pack_behind(history.server, *behind))))

    def _confirmed(self, feed: Feed, data: bytes | bytearray, pos: int) -> int:
        if data[pos] != FRAME[0] or not self._answer_due:
            self.close()
            return pos
        self._answer_due = False
        self._confirmed_stamp = self._beaten
        if self._beaten_all and not self._was_current:
            self._was_current = True
            self.service.followers.has_all(self._follower)
        if self.service.quorum is not None:
            self.service.quorum.confirm(self, self._beaten)
        if self._beaten_all:
            feed.wait()
        else:
            feed.go_on()
        return pos + 1

    def facts(self) -> str:
        """What the report says of who follows the update log."""
        if self._copy is not None:
            return f"peer={self.peer} sid={self._follower} state=copying copied={self._copy.sent}"
        assert self._feed is not None
        delay = max(time.time() - self._confirmed_stamp / 1e9, 0.0)
        return (
            f"peer={self.peer} sid={self._follower} state=following ts={self._confirmed_stamp}"
            f" delay={delay:.6f} {self._feed.behind_text}"
        )

    # I/O threads

    def servable(self) -> Stream | None:
        return self._stream

    def returned(self, state: int) -> None:
        if state == CLOSE:
            self.close()

    # Ends

    def begun(self) -> bool:
        return self._stream.pending or self._answer_due

    def cut_off(self) -> None:
        self.write(self._stream.finish() if self._stream.pending else self._unanswered)

    def failed(self) -> None:
        if self._speaks_http:
            self.write(pack_http_refusal(500, "logic error", self.service.stamp))
        else:
            self.write(ERROR_REPLY)

    def lost(self) -> Callable[[], object] | None:
        if self._feed is not None:
            self._feed.end()
            if self.service.quorum is not None:
                self.service.quorum.leave(self)
        if self in self.service.followers.present:
            self._lost_slave()
        if self.cursors:
            with self.service.turn:
                if self.service.engine_may_block or len(self.cursors) > FEW_CURSORS:
                    return self._close_cursors
                self._close_cursors()
        return None

    def _lost_slave(self) -> None:
        why = LINK_ENDED if self._was_current else ""  # who only looks where the log begins is none
        if self._copy is not None:
            self._copy.end()
            if not self._copy.done:
                why = self._copy.trouble or LINK_ENDED
        elif self._feed is not None:
            why = self._feed.trouble or why
        self.service.followers.leave(self, self._follower, why)

    def _close_cursors(self) -> None:
        for cursor in self.cursors.values():
            cursor.close()
        self.cursors.clear()
