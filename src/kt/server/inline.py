"""Drives a session in the thread that asks: no socket, no event loop, no worker threads.

::

    feed(bytes) --> steps, and all work that they leave, one after the other --> replies

For programs that have the database in their own process, for tests and for fuzzers. Work that is
to be done where it holds up nobody is done here and now: it holds up the caller, who has asked for
it. A wait for a signal gets no signal (who could send it?), so its time is up at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kt.errors import ServerError
from kt.server.session import Await, InScript, Session, Work


class Inline:
    """A driver; see the module's docstring. Not for several threads at a time.

    Args:
        session: what serves.
        make_script: makes what work for scripts gets, when there is some for the first time; None
            if there are no scripts.
    """

    def __init__(self, session: Session, make_script: Callable[[], Any] | None = None) -> None:
        self._session = session
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

    def ask_quickly(self, requests: bytes) -> tuple[bytes, bytes]:
        """Serve whole requests as far as that takes no longer than the engine does.

        Returns:
            the replies, and what is left of the requests.
        """
        replies, served = self._session.at_once(requests)
        return replies, requests[served:]

    def feed(self, data: bytes) -> bytes:
        """Serve `data`, and what has been left of earlier calls; returns the replies.

        Raises:
            whatever work raises; the session has ended then.
        """
        session = self._session
        if session.closing:
            return b""
        self._input = self._input + data if self._input else data
        try:
            self._serve()
        except BaseException:
            session.closing = True
            session.output.clear()
            raise
        return self.take()

    def take(self) -> bytes:
        """Replies that have not been taken yet."""
        session = self._session
        output = session.output
        replies = output[0] if len(output) == 1 else b"".join(output)
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
        session = self._session
        while not session.closing:
            data, pos = self._input, 0
            while len(data) - pos >= session.need:
                before, session.need = pos, 1
                pos = session.step(data, pos)
                session.yields = False
                if pos == before or session.work is not None or session.closing:
                    break
            self._input = data[pos:] if pos else data
            if session.work is None:
                break
            self._work()

    def _work(self) -> None:
        """Do what the session has left, until it leaves nothing."""
        session = self._session
        while session.work is not None and not session.closing:
            work, session.work = session.work, None
            session.behind = bool(self._input)
            self._done(work)
            session.yields = False
            if session.unserved:
                self._input = bytes(session.unserved) + bytes(self._input)
                session.unserved = b""

    def _done(self, work: Work) -> None:
        if isinstance(work, Await):
            work.then(False)
        elif isinstance(work, InScript):
            if self._script is None:
                if self._make_script is None:
                    raise ServerError("there is no script to be called")
                self._script = self._make_script()
            work.then(work.run(self._script))
        else:
            work.then(work.run())
