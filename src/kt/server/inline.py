"""Drives a session in the thread that asks: no socket, no event loop, no worker threads.

::

    feed(bytes) --> steps, and all work that they leave, one after the other --> replies

For programs that have the database in their own process, for tests and for fuzzers. Work that is
to be done where it holds up nobody is done here and now: it holds up the caller, who has asked for
it. So does a wait for a signal, which another thread may send.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from kt.errors import ServerError
from kt.server.session import Await, Drain, InThread, Session, Work


class Inline:
    """A driver; see the module's docstring. Not for several threads at a time.

    Args:
        session: what serves.
        make_script: makes what work for scripts gets, when there is some for the first time; None
            if there are no scripts.
        waits: tells whether requests may take long at the moment, in the engine, too.

    Attributes:
        at_once: serves whole requests as far as the engine does it by itself: `Session.at_once`.
        waits: the argument.
    """

    def __init__(
        self,
        session: Session,
        make_script: Callable[[], Any] | None = None,
        *,
        waits: Callable[[], bool] = bool,
    ) -> None:
        self._session = session
        self.at_once = session.at_once
        self.waits = waits
        self._make_script = make_script
        self._script: Any = None
        self._input: bytes | bytearray = b""

    @property
    def closed(self) -> bool:
        """Whether the session has ended: it takes nothing more."""
        return self._session.closing

    def ask(self, requests: bytes) -> bytes:
        """Serve whole requests; returns the replies.

        Raises:
            whatever work raises; the session has ended then.
        """
        replies, served = self._session.at_once(requests)
        if served == len(requests):
            return replies
        return replies + self.feed(requests[served:])

    def feed(self, data: bytes) -> bytes:
        """Serve `data`, and what has been left of earlier calls; returns the replies.

        Raises:
            whatever work raises; the session has ended then.
        """
        steps = self.steps(data)
        try:
            run = next(steps)
            while True:
                try:
                    result = run()
                except BaseException as error:  # noqa: BLE001 - the session is to end first
                    run = steps.throw(error)
                else:
                    run = steps.send(result)
        except StopIteration as stop:
            replies: bytes = stop.value
            return replies

    def steps(self, data: bytes) -> Generator[Callable[[], Any], Any, bytes]:
        """As `feed`, but work that may take long is yielded: send what comes of it.

        A caller that must not be held up long has it done in another thread, and sends or throws
        into the generator what the function returned or raised.
        """
        session = self._session
        if session.closing:
            return b""
        self._input = self._input + data if self._input else data
        try:
            while not session.closing:
                self._serve()
                if session.work is None:
                    break
                while session.work is not None and not session.closing:
                    yield from self._work()
        except BaseException:
            session.closing = True
            session.output.clear()
            raise
        return self.take()

    def take(self) -> bytes:
        """Replies that have not been taken yet."""
        session = self._session
        output = session.output
        replies = bytes(output[0]) if len(output) == 1 else b"".join(output)
        output.clear()
        session.wrote = 0
        return replies

    def end(self) -> bytes:
        """No more input will come; returns the replies to that. The session has ended then."""
        session = self._session
        if not session.closing and (self._input or session.begun()):
            session.cut_off()
        session.closing = True
        rest = session.lost()
        if rest is not None:
            rest()
        return self.take()

    def _serve(self) -> None:
        """Serve the input until it is used up, or until work is left."""
        session = self._session
        data, pos = self._input, 0
        while len(data) - pos >= session.need:
            before, session.need = pos, 1
            pos = session.step(data, pos)
            session.yields = False
            if pos == before or session.work is not None or session.closing:
                break
        self._input = data[pos:] if pos else data

    def _work(self) -> Generator[Callable[[], Any], Any, None]:
        """Have the work done that the session has left; it may leave more."""
        session = self._session
        work, session.work = session.work, None
        assert work is not None
        result = yield self._runner(work)
        session.behind = bool(self._input)
        work.then(result)
        session.yields = False
        if session.unserved:
            self._input = bytes(session.unserved) + bytes(self._input)
            session.unserved = b""

    def _runner(self, work: Work) -> Callable[[], Any]:
        """What does this work."""
        if isinstance(work, InThread):
            return work.run
        if isinstance(work, Await):
            return partial(waited, work)
        if isinstance(work, Drain):
            return lambda: True
        if self._script is None:
            if self._make_script is None:
                raise ServerError("there is no script to be called")
            self._script = self._make_script()
        return partial(work.run, self._script)


def waited(work: Await) -> bool:
    """Wait; whether it has happened."""
    over = threading.Event()
    outcomes: list[bool] = []

    def end(outcome: bool) -> None:
        outcomes.append(outcome)
        over.set()

    leave = work.enter(end)
    over.wait(work.seconds)
    leave()
    return any(outcomes)
