"""One client's connection, for every protocol of ours: bytes in, replies out, in order.

::

                 data_received                step (by protocol)              write
    socket ------------------> input buffer ------------------> replies ------------------> socket
                                    |                |   ^
                                    |                v   | then
                                    |            a worker thread, or a wait
                                    |
              held: nothing is served while a command runs in a thread, while it waits for
              something, or while the peer does not read its replies

A subclass has one duty, `step`: serve what begins at an offset and say where the next thing begins.
It runs on the event loop, so it must be quick; what may take long goes through `in_thread`. Either
way replies go out in the order of the requests, because nothing is served while one is under way.

**Bounds.** While nothing is served, at most `READ_AHEAD` bytes (and what the loop had already read)
pile up; then the socket is not read any more, and TCP slows the client down. A client that does not
read its replies holds its own connection in the same way, at `WRITE_AHEAD` bytes of replies.

**Fairness.** After `STEPS_PER_TURN` steps, or as soon as a step says so (`yield_turn`), the other
connections get their turn; also after a large piece of input, because uvloop reads up to 32 of them
from a busy socket before it looks at another.

**Time.** A request that has begun and does not go on, or replies that are not read, end the
connection after the server's time-out (`sweep`, about once a second). A connection that only waits
for its next request is never closed, as with the original servers: clients keep pools.

**End.** When the peer ends its side, or stops in the middle of a request for too long, whole
requests have been answered, and `cut_off` may answer the rest. When we close, replies are sent, our
side is ended, and what still comes is thrown away for up to `LINGER` seconds: closing a socket with
unread bytes would destroy the replies on their way.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from kt.server.engines.io._io import FAILED
from kt.server.process.delegation import PLAIN_REQUESTS
from kt.server.process.listening import peer_name

if TYPE_CHECKING:
    from kt.server.engines.io._io import Servable
    from kt.server.process.server import Server

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Done(Protocol[T_co]):
    """What a worker thread gives back."""

    def result(self) -> T_co:
        """What the function returned; raises what it raised."""


READ_AHEAD = 1 << 18
LARGE_READ = 1 << 16
WRITE_AHEAD = 1 << 18
STEPS_PER_TURN = 32
JOIN_UP_TO = 1 << 16
LINGER = 2.0


class Connection(asyncio.Protocol):
    """What every connection does; see the module's docstring.

    Attributes:
        server: the server it belongs to.
        peer: the client's address and port, or ``unix``, as the log shows it.
        need: `step` is not called before so many bytes are there. A step that finds its request
            incomplete may set it; it falls back to 1 with each step that gets on.
        wrote: bytes of replies not yet handed to the transport.
        busy: a command is under way outside `step`.
        plays: it is a script.
        plain: steps in a row that needed nothing but the engine's stream; counted by `step`.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.peer = ""
        self.need = 1
        self._transport: asyncio.Transport
        self._input: bytes | bytearray = b""
        self._output: list[bytes] = []
        self.wrote = 0
        self.busy = False
        self.plays = False
        self.plain = 0
        self._away = False  # an I/O thread serves it
        self._yielded = False  # waiting for the next turn
        self._choked = False  # the peer does not read
        self._closing = False
        self._reading = True
        self._ended = False  # the peer has ended its side
        self._gone = False  # the transport has ended
        self._abandon: Callable[[], None] | None = None
        self._progress = 0.0  # loop time at which it last got on
        self._unsent = 0  # bytes that the transport kept at the last `sweep`

    # What a protocol defines

    def step(self, data: bytes | bytearray, pos: int) -> int:
        """Serve what begins at `data[pos]`.

        Args:
            data: everything received and not yet served; valid during this call only.
            pos: offset of the first unserved byte; there are at least `need` of them.

        Returns:
            the offset of the first byte that is now served or taken over; `pos` itself says that
            more bytes are needed (unless the step called `in_thread`, `wait` or `close`).
        """
        raise NotImplementedError

    def unfinished(self) -> bool:
        """Whether a request has begun and is not complete."""
        return bool(self._input)

    def cut_off(self) -> None:
        """The rest of an unfinished request will not come: a last chance to `write`."""

    def failed(self) -> None:
        """Serving raised an exception, which is logged by now: a last chance to `write`."""

    def servable(self) -> Servable | None:
        """What an I/O thread can serve it with; None while that cannot be."""
        return None

    def returned(self, state: int) -> None:
        """An I/O thread has ended with this state of the `servable`, or `NOTHING`: do what it says.

        What it has not served is input by now.
        """

    def log_trace(self, traced: bytes, when: float) -> None:
        """Log what the `servable` has noted of requests that an I/O thread has run.

        Args:
            traced: what it has noted.
            when: Unix time.
        """

    def lost(self) -> None:
        """The connection is gone, and no thread works for it: let go of what belongs to it."""

    # What a protocol uses

    def write(self, data: bytes) -> None:
        """Send `data` after everything written before."""
        self._output.append(data)
        self.wrote += len(data)

    def yield_turn(self) -> None:
        """Serve the others before the next step."""
        self._yielded = True

    def in_thread(self, function: Callable[[], T], then: Callable[[T], None]) -> None:
        """Run `function` in a worker thread, then `then(its result)` on the loop.

        Nothing is served until then. If `function` raises, `failed` runs and the connection ends.
        `then` does not run when the connection was lost meanwhile. Call it last in a step.
        """
        self.busy = True
        future = self.server.workers.submit(function)
        deliver = self.server.loop.call_soon_threadsafe
        future.add_done_callback(lambda done: deliver(self._thread_done, done, then))

    def in_script(self, function: Callable[[Any], T], then: Callable[[T], None]) -> None:
        """As `in_thread`, in a thread that has a script: that is what `function` gets."""
        assert self.server.scripts is not None
        self.busy = self.plays = True
        self.server.scripts.submit(function, lambda job: self._thread_done(job, then))

    def wait(self, abandon: Callable[[], None]) -> None:
        """Serve nothing until `resume`.

        Args:
            abandon: called instead when the client goes away first.
        """
        self.busy = True
        self._abandon = abandon

    def resume(self, then: Callable[[], None]) -> None:
        """The end of a `wait`: call `then`, which may `write` or hold the connection again."""
        self.busy = False
        self._abandon = None
        try:
            then()
        except Exception:  # noqa: BLE001 - whatever a handler raises must not harm the others
            self._broken(traceback.format_exc())
        if not self.busy:
            self._serve()

    def unread(self, data: bytes) -> None:
        """Put back the part of the input that a threaded command had taken over and not used."""
        if data:
            self._input = bytearray(data) + self._input

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
        if self._ended or self._transport.is_closing():
            self._transport.close()
        else:
            self._transport.write_eof()

    # How it works

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast("asyncio.Transport", transport)
        transport.set_write_buffer_limits(high=WRITE_AHEAD)
        self.peer = peer_name(transport)
        self._progress = self.server.loop.time()
        self.server.connections.add(self)
        if self.server.log.info_wanted:
            self.server.log.info(f"connected: {self.peer}")

    def connection_lost(self, error: Exception | None) -> None:
        self._closing = self._gone = True
        self._input = b""
        self._output.clear()
        self._abandoned()
        if not self.busy:
            self.lost()
        self.server.forget(self)
        if self.server.log.info_wanted:
            self.server.log.info(f"disconnected: {self.peer}")

    def data_received(self, data: bytes) -> None:
        if self._closing:
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

    def _serve(self) -> None:
        """Serve the input until it is used up, or until something holds the connection."""
        self._progress = self.server.loop.time()
        try:
            self._steps()
        except Exception:  # noqa: BLE001 - likewise
            self._broken(traceback.format_exc())
        if self._closing:
            return
        if self._output:
            self._flush()
        if self.busy or self._choked:
            self._yielded = False  # the end of that brings the next turn
        elif self._yielded:
            self.server.loop.call_soon(self._next_turn)
        elif self._ended or self.server.stopping:
            self._stop()
        elif not self._reading:
            self._read(True)
        elif self.plain >= PLAIN_REQUESTS and not self._input:
            self._pass_on()

    def _steps(self) -> None:
        data, pos = self._input, 0
        left = STEPS_PER_TURN
        while len(data) - pos >= self.need:
            before, self.need = pos, 1
            pos = self.step(data, pos)
            if pos == before or pos == len(data) or self.busy or self._closing:
                break
            left -= 1
            if not left or self.wrote >= WRITE_AHEAD:
                self._flush()
                self._yielded = True
            if self._yielded or self._choked:
                break
        self._used(data, pos)

    def _used(self, data: bytes | bytearray, pos: int) -> None:
        """Drop what has been served. (A step may have emptied or replaced the input by closing.)"""
        if data is not self._input or not pos:
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

    def _thread_done(self, done: Done[T], then: Callable[[T], None]) -> None:
        self.busy = self.plays = False
        if self._gone:
            self.lost()
        if not self._closing:
            self.resume(lambda: then(done.result()))

    def _broken(self, report: str) -> None:
        self.server.log.error(f"({self.peer}): {report}")
        if not self._closing:
            self.failed()
            self.close()

    def _stop(self) -> None:
        """Close between two requests, or in the middle of one that will not be completed."""
        if self.unfinished():
            self.cut_off()
        self.close()

    def _flush(self) -> None:
        if self._output:
            if len(self._output) == 1:
                self._transport.write(self._output[0])
            elif self.wrote <= JOIN_UP_TO:
                self._transport.write(b"".join(self._output))
            else:
                self._transport.writelines(self._output)
            self._output.clear()
            self.wrote = 0

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
        self._choked = True

    def resume_writing(self) -> None:
        self._choked = False
        if not (self.busy or self._yielded or self._closing):
            self._serve()

    def eof_received(self) -> bool:
        self._ended = True
        if self._closing or self._abandon is not None:
            # A client that waits and ends its side has given up; it must not take a signal from one
            # that still waits.
            self.close()
            return False
        if not (self.busy or self._yielded or self._choked):
            self._serve()
        return True

    # I/O threads

    def _pass_on(self) -> None:
        """Let an I/O thread serve the connection until it needs Python again."""
        delegation, servable = self.server.delegation, self.servable()
        self.plain = 0
        if delegation is None or servable is None or self._transport.get_write_buffer_size():
            return
        self._away = True
        self._read(False)
        number = self._transport.get_extra_info("socket").fileno()
        delegation.pass_on(self, number, servable)

    def come_back(self, state: int, received: bytes, unsent: bytes) -> None:
        """Go on here.

        Args:
            state: why it is back; see `IoThread.take`.
            received: not served yet.
            unsent: replies.
        """
        self._away = False
        self._progress = self.server.loop.time()
        self.need = 1
        self._input = received
        if unsent:
            self.write(unsent)
        self._flush()
        if state == FAILED:
            self._broken("serving it failed")
        else:
            self.returned(state)
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
            timeout: seconds; 0 or less for no limit.
        """
        if self._away:
            return
        unsent = self._transport.get_write_buffer_size()
        if unsent != self._unsent:
            self._unsent, self._progress = unsent, now
        stands_still = now - self._progress
        if self._closing:
            if stands_still > (timeout if unsent and timeout > 0 else LINGER):
                self.abort()
        elif timeout > 0 and stands_still > timeout and not self.busy:
            if unsent:
                self.abort()
            elif self.unfinished():
                self._stop()

    def has_sent_all(self) -> bool:
        """Whether every reply has left for the network."""
        return not self._transport.get_write_buffer_size()

    def abort(self) -> None:
        """Drop the connection at once."""
        self._transport.abort()
