"""One client's connection: drives its session on the event loop.

::

                 data_received              Session.step                  write
    socket ------------------> input buffer -------------> replies ------------------> socket
                                    |          |   ^
                                    |     work |   | then
                                    |          v   |
                                    |      a worker thread, a script's, or a wait
                                    |
              held: nothing is served while work is under way, or while the peer does not read its
              replies

Replies go out in the order of the requests, because nothing is served while one is under way.

**Bounds.** While nothing is served, at most `READ_AHEAD` bytes (and what the loop had already read)
pile up; then the socket is not read any more, and TCP slows the client down. A client that does not
read its replies holds its own connection in the same way, at `WRITE_AHEAD` bytes of replies.

**Fairness.** After `STEPS_PER_TURN` steps, or as soon as the session says so (`yields`), the other
connections get their turn; also after a large piece of input, because uvloop reads up to 32 of them
from a busy socket before it looks at another.

**Time.** A request that has begun and does not go on, or replies that are not read, end the
connection after the server's time-out (`sweep`, about once a second). A connection that only waits
for its next request is never closed, as with the original servers: clients keep pools.

**Large replies** go out in slices (`Outgoing`), which holds the connection like a peer that does
not read: nothing is served until the last slice has been given to the transport.

**End.** When the peer ends its side, or stops in the middle of a request for too long, whole
requests have been answered, and `Session.cut_off` may answer the rest. When we close, replies are
sent, our side is ended, and what still comes is thrown away for up to `LINGER` seconds: closing a
socket with unread bytes would destroy the replies on their way.
"""

from __future__ import annotations

import asyncio
import select
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, cast

from kt.server.engines.io._io import FAILED, Caller
from kt.server.process.delegation import PLAIN_REQUESTS
from kt.server.process.listening import peer_name
from kt.server.process.outgoing import Outgoing
from kt.server.session import Await, Drain, InScript, InThread, Session, Work

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from kt.server.engines.io._io import Reply
    from kt.server.process.access import Access
    from kt.server.process.delegation import Delegation
    from kt.server.process.log import Log

READ_AHEAD = 1 << 18
LARGE_READ = 1 << 16
WRITE_AHEAD = 1 << 18
STEPS_PER_TURN = 32
LINGER = 2.0
FOR_EVER = 1e9

CLIENT_HELLO = b"\x16\x03"
"""How a client begins that speaks TLS; nothing else of what we serve begins so."""

NOT_TLS = b"\x15\x03\x03\0\2\2\x0a"
"""TLS for "unexpected message": who speaks it is told at once that it cannot be spoken here."""


def has_room(descriptor: int) -> bool:
    """Whether something can be written to a socket."""
    poller = select.poll()
    poller.register(descriptor, select.POLLOUT)
    return bool(poller.poll(0))


class Done(Protocol):
    """What a worker thread gives back."""

    def result(self) -> Any:
        """What the function returned; raises what it raised."""


class ScriptWorkers(Protocol):
    """The threads for scripts, as far as a connection uses them."""

    def submit(self, function: Callable[[Any], Any], done: Callable[[Any], None]) -> None: ...


class Host(Protocol):
    """What a connection needs of its server process.

    Attributes:
        log: its log.
        loop: its event loop.
        connections: those that are open.
        delegation: threads that serve connections without Python; None if there are none.
        stopping: the end has begun: connections close once they have answered.
    """

    loop: asyncio.AbstractEventLoop
    connections: set[Connection]
    delegation: Delegation | None
    stopping: bool

    @property
    def log(self) -> Log: ...

    @property
    def access(self) -> Access | None:
        """Who may do what; None: everybody everything."""

    @property
    def workers(self) -> Executor:
        """The threads for work that may take long."""

    @property
    def script_workers(self) -> ScriptWorkers:
        """The threads for scripts."""

    def forget(self, connection: Connection) -> None:
        """Told by a connection that is gone."""


class Connection(asyncio.Protocol):
    """See the module's docstring.

    Args:
        server: the process it belongs to.
        session: what serves it.
        timeout: seconds that a request may stand still half-way; 0 or less for no limit, None for
            that of the server.

    Attributes:
        session: likewise.
        busy: work of the session is under way.
        plays: it is a script.
    """

    def __init__(self, server: Host, session: Session, timeout: float | None = None) -> None:
        self.server = server
        self.session = session
        self._timeout = timeout
        self._transport: asyncio.Transport
        self._outgoing: Outgoing
        self._secured = False  # by TLS
        self._heard = False  # anything
        self._had_room = False  # in the socket
        self._input: bytes | bytearray = b""
        self.busy = False
        self.plays = False
        self._away = False  # an I/O thread serves it
        self._yielded = False  # waiting for the next turn
        self._paused = False  # the transport keeps enough
        self._choked = False  # the peer does not read, or there is more to be sent
        self._closing = False
        self._reading = True
        self._ended = False  # the peer has ended its side
        self._gone = False  # the transport has ended
        self._abandon: Callable[[], None] | None = None  # ends a wait
        self._gives_up = False  # as soon as the peer has ended its side
        self._drained: Callable[[bool], None] | None = None  # ends one for the peer to read
        self._caller: Caller | None = None  # for whom worker threads do the session's work
        self._progress = 0.0  # loop time at which it last got on
        self._unsent = 0  # bytes that the transport kept at the last `sweep`

    # The session's work

    def _begin(self, work: Work) -> None:
        """See to it that work is done; nothing is served until then."""
        self.busy = True
        if isinstance(work, InThread):
            if self._caller is None:
                self._caller = Caller()
                if self._ended:
                    self._caller.ended()
            future = self.server.workers.submit(self._caller.run, work.run)
            deliver = self.server.loop.call_soon_threadsafe
            future.add_done_callback(lambda done: deliver(self._worked, done, work.then))
        elif isinstance(work, InScript):
            self.plays = True
            self.server.script_workers.submit(work.run, lambda job: self._worked(job, work.then))
        elif isinstance(work, Drain):
            seconds = work.seconds if work.seconds > 0 else FOR_EVER
            self._wait(Await(self._until_drained, seconds, work.then))
        else:
            self._wait(work)

    def _until_drained(self, over: Callable[[bool], None]) -> Callable[[], None]:
        self._flush()
        if not self._choked:
            return self.server.loop.call_soon(over, True).cancel
        self._drained = over

        def leave() -> None:
            self._drained = None

        return leave

    def _worked(self, done: Done, then: Callable[[Any], None]) -> None:
        self.busy = self.plays = False
        if self._gone:
            self._lost()
        if not self._closing:
            self._go_on(lambda: then(done.result()))

    def _wait(self, work: Await) -> None:
        loop = self.server.loop

        def ended(outcome: bool) -> None:
            if self._abandon is abandon:
                self._abandon = None
                self.busy = False
                self._go_on(lambda: work.then(outcome))

        def over(outcome: bool) -> None:
            timer.cancel()
            # In a turn of its own: who is woken may wake the next one, and so on.
            loop.call_soon(ended, outcome)

        def abandon() -> None:
            timer.cancel()
            leave()

        def late() -> None:
            leave()
            ended(False)

        self._gives_up = work.gives_up
        leave = work.enter(over)
        timer = loop.call_later(work.seconds, late)
        self._abandon = abandon

    def _go_on(self, then: Callable[[], None]) -> None:
        """Hand the session what came of its work."""
        session = self.session
        session.behind = bool(self._input)
        try:
            then()
        except Exception:  # noqa: BLE001 - whatever a session raises must not harm the others
            self._broken(traceback.format_exc())
            return
        if session.unserved:
            self._input = bytearray(session.unserved) + self._input
            session.unserved = b""
        if session.work is not None:
            self._flush()  # it may take long
        self._look()
        if not self.busy:
            self._serve()

    def _look(self) -> None:
        """Do what the session asks for besides sending its output."""
        session = self.session
        if session.closing:
            self.close()
            return
        if session.yields:
            session.yields = False
            self._yielded = True
        if session.work is not None:
            work, session.work = session.work, None
            self._begin(work)

    def close(self) -> None:
        """Serve nothing more; send what is written; end the connection."""
        if self._closing:
            return
        self._closing = True
        self._progress = self.server.loop.time()
        self._input = b""
        self._flush()
        self._abandoned()
        self._read(True)
        if not self._outgoing:
            self._end()

    def _end(self) -> None:
        """Everything has been given to the transport: end our side.

        With TLS there is no end of one side; it is sent with what the transport keeps.
        """
        if self._ended or self._secured or self._transport.is_closing():
            self._transport.close()
        else:
            self._transport.write_eof()

    # How it works

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast("asyncio.Transport", transport)
        transport.set_write_buffer_limits(high=WRITE_AHEAD)
        self._outgoing = Outgoing(transport, WRITE_AHEAD)
        self._secured = transport.get_extra_info("ssl_object") is not None
        self.session.peer = peer_name(transport)
        self.session.descriptor = transport.get_extra_info("socket").fileno()
        self._progress = self.server.loop.time()
        if (access := self.server.access) is not None:
            self.session.restrict(access.rights(transport))
        self.server.connections.add(self)
        if self.server.log.info_wanted:
            self.server.log.connected(self.session.peer)

    def connection_lost(self, error: Exception | None) -> None:
        self._closing = self._gone = True
        self._input = b""
        self.session.output.clear()
        self._outgoing.clear()
        self._abandoned()
        if self._caller is not None:
            self._caller.gone()
        if not self.busy:
            self._lost()
        self.server.forget(self)
        if self.server.log.info_wanted:
            self.server.log.disconnected(self.session.peer)

    def data_received(self, data: bytes) -> None:
        if self._closing or (not self._heard and self._is_hello(data)):
            return
        if self._input:
            if isinstance(self._input, bytes):
                self._input = bytearray(self._input)
            self._input += data
        else:
            self._input = data
        if self.busy or self._yielded or self._choked:
            if len(self._input) > READ_AHEAD:
                self._read(False)
        else:
            self._serve()
            held = self.busy or self._yielded or self._choked or self._closing or self._away
            if len(data) >= LARGE_READ and not held:
                self._yielded = True
                self.server.loop.call_soon(self._next_turn)

    def _is_hello(self, data: bytes) -> bool:
        """Whether a client's first bytes are TLS, which it is told to do without."""
        self._heard = True
        hello = data.startswith(CLIENT_HELLO) and not self._secured
        if hello:
            self.server.log.info(f"({self.session.peer}): it speaks TLS, and this port does not")
            self.session.write(NOT_TLS)
            self.close()
        return hello

    def _serve(self) -> None:
        """Serve the input until it is used up, or until something holds the connection."""
        self._progress = self.server.loop.time()
        try:
            self._steps()
        except Exception:  # noqa: BLE001 - likewise
            self._broken(traceback.format_exc())
        if self._closing:
            return
        if self.session.output:
            self._flush()
        if self.busy or self._choked:
            self._yielded = False  # the end of that brings the next turn
        elif self._yielded:
            self.server.loop.call_soon(self._next_turn)
        elif self._ended or self.server.stopping:
            self._stop()
        elif not self._reading:
            self._read(True)
        elif self.session.plain >= PLAIN_REQUESTS and not self._input:
            self._pass_on()

    def _steps(self) -> None:
        session, data, pos = self.session, self._input, 0
        left = STEPS_PER_TURN
        while len(data) - pos >= session.need:
            before, session.need = pos, 1
            pos = session.step(data, pos)
            if session.work is not None or session.closing or session.yields:
                self._used(data, pos)
                self._look()
                return
            if pos == before or pos == len(data):
                break
            left -= 1
            if not left or session.wrote >= WRITE_AHEAD:
                self._flush()
                self._yielded = True
                break
            if self._choked:
                break
        self._used(data, pos)

    def _used(self, data: bytes | bytearray, pos: int) -> None:
        """Drop what has been served."""
        if not pos:
            return
        if pos == len(data):
            self._input = b""
        elif isinstance(data, bytearray):
            del data[:pos]
        else:
            self._input = bytearray(memoryview(data)[pos:])

    def _next_turn(self) -> None:
        self._yielded = False
        if not self._closing and not self._choked:
            self._serve()

    def _lost(self) -> None:
        rest = self.session.lost()
        if rest is not None:
            self.server.workers.submit(rest)

    def _broken(self, report: str) -> None:
        self.server.log.error(f"({self.session.peer}): {report}")
        if not self._closing:
            self.session.failed()
            self.close()

    def _stop(self) -> None:
        """Close between two requests, or in the middle of one that will not be completed."""
        if self._unfinished():
            self.session.cut_off()
        self.close()

    def _unfinished(self) -> bool:
        """Whether a request has begun and is not complete."""
        return bool(self._input) or self.session.begun()

    def _flush(self) -> None:
        session = self.session
        if session.output:
            self._outgoing.write(session.output, session.wrote)
            session.output.clear()
            session.wrote = 0
            if self._outgoing:
                self._choked = True
                self._send_on_soon()

    def _send_on_soon(self) -> None:
        """A transport that is paused tells when it wants more; another one gets it next turn."""
        if not self._paused:
            self.server.loop.call_soon(self._send_on)

    def _send_on(self) -> None:
        if self._paused or self._gone:
            return
        if self._outgoing:
            self._outgoing.go_on()
        if self._outgoing:
            self._send_on_soon()
        elif self._closing:
            self._end()
        elif self._choked and not self._paused:
            self._unchoked()

    def _unchoked(self) -> None:
        """The peer has read: serve on."""
        self._choked = False
        drained, self._drained = self._drained, None
        if drained is not None:
            drained(True)
        if not (self.busy or self._yielded or self._closing):
            self._serve()

    def _read(self, wanted: bool) -> None:
        if wanted is not self._reading and not self._transport.is_closing():
            self._reading = wanted
            if wanted:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def _abandoned(self) -> None:
        abandon, self._abandon = self._abandon, None
        if abandon is not None:
            self.busy = False
            abandon()

    def pause_writing(self) -> None:
        self._paused = self._choked = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._outgoing:
            self._send_on()
        else:
            self._unchoked()

    def eof_received(self) -> bool:
        self._ended = True
        if self._caller is not None:
            self._caller.ended()
        if self._closing or (self._abandon is not None and self._gives_up):
            # A client that waits and ends its side has given up; it must not take a signal from one
            # that still waits.
            self.close()
            return bool(self._outgoing) and not self._secured
        if not (self.busy or self._yielded or self._choked):
            self._serve()
        return not self._secured

    # I/O threads

    def _pass_on(self) -> None:
        """Let an I/O thread serve the connection until it needs Python again."""
        delegation, servable = self.server.delegation, self.session.servable()
        self.session.plain = 0
        if self._secured or delegation is None or servable is None or not self.has_sent_all():
            return
        self._away = True
        self._read(False)
        delegation.pass_on(self, self.session.descriptor, servable)

    def log_trace(self, traced: bytes, when: float) -> None:
        """Log what an I/O thread has run."""
        self.session.log_trace(traced, when)

    def come_back(self, state: int, received: bytes, unsent: bytes | Reply) -> None:
        """Go on here.

        Args:
            state: why it is back; see `IoThread.take`.
            received: not served yet.
            unsent: replies.
        """
        session = self.session
        self._away = False
        self._progress = self.server.loop.time()
        session.need = 1
        self._input = received
        session.behind = bool(received)
        if unsent:
            session.write(unsent)
        self._flush()
        if state == FAILED:
            self._broken("serving it failed")
        else:
            session.returned(state)
            self._look()
        if self._closing:
            return
        self._read(True)
        if received and not self._choked:
            self._serve()

    # What the server asks for

    def finish(self) -> None:
        """The server stops: answer what is there, then close."""
        if not (self.busy or self._yielded or self._choked):
            self._serve()
        elif self._choked:
            self.close()

    def sweep(self, now: float, timeout: float) -> None:
        """Drop the connection if it stands still in the middle of something.

        Args:
            now: loop time.
            timeout: seconds, unless it has a time-out of its own; 0 or less for no limit.
        """
        if self._away:
            return
        timeout = timeout if self._timeout is None else self._timeout
        unsent = self._transport.get_write_buffer_size() + len(self._outgoing)
        if unsent != self._unsent:
            self._unsent, self._progress = unsent, now
        stands_still = now - self._progress
        if self._closing:
            if self._secured:  # the transport has a time-out of its own
                return
            if stands_still > (timeout if unsent and timeout > 0 else LINGER):
                self.abort()
        elif timeout > 0 and stands_still > timeout and not self.busy:
            if unsent:
                self.abort()
            elif self._unfinished():
                self._stop()

    def has_sent_all(self) -> bool:
        """Whether every reply has left for the network.

        Below TLS there is another transport, which does not say what it keeps: if it keeps
        something, nothing more fits into the socket, now and when this was asked before.
        """
        if self._outgoing or self._transport.get_write_buffer_size():
            return False
        if not self._secured:
            return True
        had_room, self._had_room = self._had_room, has_room(self.session.descriptor)
        return had_room and self._had_room

    def abort(self) -> None:
        """Drop the connection at once."""
        self._transport.abort()
