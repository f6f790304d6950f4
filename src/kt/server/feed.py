"""Sends the update log to whoever follows it: a slave, or a program that reads changes.

::

    reader --- frames ---> client                         as long as there is more
       |                     |  not faster than it reads
       +-- nothing more ---> caught up: the protocol says so, then `wait` --> more is written, or
                                                                               `PULSE` is over

A feed is work of its session, a piece at a time: it has no thread. What was written lately is read
at once, what is older by a worker thread, for a moment.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, Protocol

from kt.server.engines.log._log import BROKEN, MORE, LogReader
from kt.server.history import History
from kt.server.session import Await, Drain, Journal, Session

SLOW: Final = "it has not read for too long"
AT_ONCE: Final = 1 << 17
"""Bytes that are read and sent at once."""

LINK_ENDED: Final = "the connection has ended"
"""What is said of a follower that is lost for no reason that is known here."""
LOST: Final = 16
"""So many of those who follow no longer are remembered."""


class Follower(Protocol):
    """Who follows the update log."""

    def facts(self) -> str:
        """What reports say of it."""


class Followers:
    """Who follows the update log of a server, and who does no longer, for its reports.

    Attributes:
        present: those who do.
    """

    def __init__(self) -> None:
        self.present: list[Follower] = []
        self._lost: dict[int, tuple[float, str]] = {}  # by their numbers: when that was, and why

    def join(self, follower: Follower) -> None:
        """Somebody begins to."""
        self.present.append(follower)

    def has_all(self, number: int) -> None:
        """Who has this number has everything."""
        self._lost.pop(number, None)

    def leave(self, follower: Follower, number: int, why: str) -> None:
        """Somebody ends to; empty `why`: it is not expected to come back."""
        self.present.remove(follower)
        if not why:
            return
        self._lost.pop(number, None)
        self._lost[number] = time.time(), why
        while len(self._lost) > LOST:
            del self._lost[next(iter(self._lost))]

    def facts(self) -> Iterator[tuple[str, object]]:
        """Names and values for a report; any thread may ask."""
        for index, follower in enumerate(tuple(self.present)):
            yield f"slave_{index}", follower.facts()
        for number, (when, why) in tuple(self._lost.items()):
            ago = max(time.time() - when, 0.0)
            yield f"slave_lost_{number}", f"seconds={ago:.6f} error={why}"


class Feed:
    """One reader's.

    Args:
        session: whose work it is.
        history: what is read.
        reader: where it stands.
        pulse: seconds after which a client that has everything hears from us again.
        timeout: seconds that a client may take to read; 0 or less for no limit.
        caught_up: called when everything has been sent. It says so, and sees to it that `wait` is
            called.
        sent: called when something has been sent and there is more. It says whether to go on at
            once; else it sees to it that `go_on` is called. None: always at once.
        tell: called when something has been sent and there is more, before `sent`.
        log: the server's.
        looking: the client wants to know what there is, so nothing is missing if changes have been
            removed.
    """

    def __init__(
        self,
        session: Session,
        history: History,
        reader: LogReader,
        *,
        pulse: float,
        timeout: float,
        caught_up: Callable[[], None],
        sent: Callable[[], bool] | None = None,
        tell: Callable[[], None] | None = None,
        log: Journal,
        looking: bool = False,
    ) -> None:
        self._session = session
        self._history = history
        self._reader = reader
        self._pulse = pulse
        self._timeout = timeout
        self._caught_up = caught_up
        self._sent = sent
        self._tell = tell
        self._log = log
        self._looking = looking
        self._seen = (0, 0)
        self._begun = False
        self.position = (0, 0)  # see `LogReader.position`
        self.trouble = ""  # why it has ended, if that was here
        history.old_files.places[self] = 0

    @property
    def stamp(self) -> int:
        """Up to here everything has been sent."""
        return self._reader.stamp()

    @property
    def behind(self) -> tuple[int, int]:
        """Bytes and changes of the log that have not been sent."""
        return self._history.after(self.position)

    @property
    def behind_text(self) -> str:
        """The same for a report."""
        size, changes = self.behind
        return f"bytes={size} changes={changes}"

    def end(self) -> None:
        """The client is gone: it needs nothing of the log any more."""
        self._history.old_files.places.pop(self, None)

    def go_on(self) -> None:
        """Send what there is."""
        self._seen = self._history.log.position()
        if self._reader.close_behind:
            self._send(self._reader.read(AT_ONCE))
        else:
            self._session.in_thread(partial(self._reader.read, AT_ONCE), self._send)

    def wait(self) -> None:
        """Go on when more has been written, or after a while."""
        enter = partial(self._history.await_more, self._seen)
        self._session.work = Await(enter, self._pulse, self._waited)

    def _waited(self, more: bool) -> None:
        self.go_on()

    def _send(self, read: tuple[int, bytes]) -> None:
        state, frames = read
        session = self._session
        self.position = self._reader.position()
        places = self._history.old_files.places
        if self in places:
            places[self] = self.position[0]
        if not self._begun:
            self._begun = True
            if self._reader.incomplete and not self._looking:
                self._log.error(f"({session.peer}): asks for changes that have been removed")
        if frames:
            session.write(frames)
        if state == BROKEN:
            self.trouble = self._reader.trouble
            self._log.error(f"({session.peer}): {self.trouble}")
            session.close()
        elif state == MORE:
            if self._tell is not None:
                self._tell()
            session.work = Drain(self._timeout, self._drained)
        else:
            self._caught_up()

    def _drained(self, taken: bool) -> None:
        if taken and self._sent is not None and not self._sent():
            return
        if taken:
            self.go_on()
        else:
            self.trouble = SLOW
            self._session.close()
