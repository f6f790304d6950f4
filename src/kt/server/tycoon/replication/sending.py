"""The master's side of a full copy (`kt.wire.log.copies`): the databases, one after the other.

::

    a snapshot of a database --> a file in the log's directory --> its changes, in blocks --> slave
    (a thread of its own)        without a name from then on       not faster than the slave takes
                                                                   them, and than `-copy-rate`

So clients have their turns as while a snapshot is taken (`-bgs`), nothing is kept in memory but a
block, and no change is kept back. Copies are made one at a time; who waits hears that there is more
to come. The stamp of the first snapshot is where the slave goes on: what is newer in the others is
applied once more, which does no harm. A copy that is cut off is begun anew.
"""

from __future__ import annotations

import os
import re
import shutil
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import count
from time import monotonic
from typing import Final

from kt.server.engines import EngineError
from kt.server.engines.kyoto._engine import Database, SnapshotFrames
from kt.server.feed import SLOW
from kt.server.history import History
from kt.server.session import Await, Drain, Journal, Session
from kt.wire.log.copies import Block, Done, Failure, pack_copy_message

AT_ONCE: Final = 1 << 18
"""Bytes that are sent at once, or a record."""
PULSE: Final = 5.0
"""Seconds after which who waits for a snapshot hears from us."""
RESERVE: Final = 64 << 20
"""Bytes that a snapshot leaves free beside the update log."""
NAME: Final = re.compile(r"copy-\d+-\d+\.ktss(\.tmp)?")
"""Of a snapshot while it is taken."""


class Copies:
    """Makes copies of the databases of a server.

    Args:
        databases: in the order of their numbers.
        history: the update log; snapshots are beside it while they are taken.
        rate: bytes a second that each slave gets at most; 0 for no limit.
        log: the server's.
    """

    def __init__(
        self, databases: Sequence[Database], history: History, rate: int, log: Journal
    ) -> None:
        self.databases = databases
        self.history = history
        self.rate = rate
        self.log = log
        self._numbers = count()
        self._executor: Executor | None = None
        for name in os.listdir(history.directory):
            if NAME.fullmatch(name):  # of a server that was killed
                with suppress(OSError):
                    os.remove(os.path.join(history.directory, name))

    def begin(self, index: int) -> Future[SnapshotFrames]:
        """Take a snapshot of a database."""
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, "kt-copy")
        return self._executor.submit(self._take, index)

    def _take(self, index: int) -> SnapshotFrames:
        database, directory = self.databases[index], self.history.directory
        try:
            needed = database.size()
        except EngineError:  # plain text files do not know
            needed = 0
        if shutil.disk_usage(directory).free < needed + RESERVE:
            raise OSError(f"no room beside the update log for a snapshot of {needed} bytes")
        path = os.path.join(directory, f"copy-{next(self._numbers)}-{index}.ktss")
        database.take_snapshot(path, "none", calm=True)
        try:
            return SnapshotFrames(path, self.history.server, index)
        finally:
            os.remove(path)

    def close(self) -> None:
        """Wait until no database is read any more."""
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)


class CopyFeed:
    """One slave's copy; work of its session, as `kt.server.feed`.

    Args:
        session: whose work it is.
        copies: makes it.
        timeout: seconds that the slave may take to read; 0 or less for no limit.

    Attributes:
        sent: bytes of changes so far.
        done: whether all has been written.
        trouble: why not, if it has ended.
    """

    def __init__(self, session: Session, copies: Copies, timeout: float) -> None:
        self._session = session
        self._copies = copies
        self._timeout = timeout
        self._index = 0
        self._stamp = 0
        self._check = 0
        self._taking: Future[SnapshotFrames] | None = None
        self._frames: SnapshotFrames | None = None
        self._began = self._due = monotonic()
        self.sent = 0
        self.done = False
        self.trouble = ""

    def go_on(self) -> None:
        """Begin with the next database, or end."""
        if self._index < len(self._copies.databases):
            self._taking = self._copies.begin(self._index)
            self._await_snapshot()
            return
        self.done = True
        self._session.write(pack_copy_message(Done(self._stamp, self._check)))
        self._copies.log.system(
            f"({self._session.peer}): has a copy: ts={self._stamp} size={self.sent}"
            f" time={monotonic() - self._began:.3f}"
        )
        self._session.close()

    def end(self) -> None:
        """The slave is gone."""
        self._copies.history.needs.pop(self._need, None)
        if self._taking is not None:
            self._taking.cancel()
        self._taking = self._frames = None

    @property
    def _need(self) -> str:
        return f"copy {id(self)}"

    def _await_snapshot(self) -> None:
        assert self._taking is not None
        enter = partial(until_done, self._taking, self._copies.history.call)
        self._session.work = Await(enter, PULSE, self._taken)

    def _taken(self, done: bool) -> None:
        assert self._taking is not None
        if not done and not self._taking.done():
            self._session.write(pack_copy_message(Block(b"", self._check)))
            self._await_snapshot()
            return
        try:
            self._frames = self._taking.result()
        except OSError as error:
            self._fail(error)
            return
        if self._index == 0:
            self._stamp = self._frames.header.stamp
            self._copies.history.needs[self._need] = self._stamp
        self._due = monotonic()
        self._read()

    def _fail(self, error: OSError) -> None:
        self.trouble = f"there is no copy for it: {error}"
        self._copies.log.error(f"({self._session.peer}): {self.trouble}")
        self._session.write(pack_copy_message(Failure(str(error))))
        self._session.close()

    def _read(self) -> None:
        self._session.in_thread(self._next_block, self._send)

    def _next_block(self) -> bytes | OSError:
        """In a worker thread, for a moment."""
        assert self._frames is not None
        try:
            changes = self._frames.read(AT_ONCE)
        except OSError as error:
            return error
        if not changes:
            return b""
        self._check = zlib.crc32(changes, self._check)
        self.sent += len(changes)
        self._due += len(changes) / self._copies.rate if self._copies.rate else 0.0
        return pack_copy_message(Block(changes, self._check))

    def _send(self, block: bytes | OSError) -> None:
        if isinstance(block, OSError):
            self._fail(block)
        elif block:
            self._session.write(block)
            self._session.work = Drain(self._timeout, self._drained)
        else:
            self._frames = None
            self._index += 1
            self.go_on()

    def _drained(self, taken: bool) -> None:
        pause = self._due - monotonic()
        if not taken:
            self.trouble = SLOW
            self._session.close()
        elif pause > 0:
            self._session.work = Await(never, pause, lambda _: self._read())
        else:
            self._due -= pause  # what was not used is not made up for
            self._read()


def until_done(
    future: Future[SnapshotFrames],
    call: Callable[[Callable[[], None]], None],
    over: Callable[[bool], None],
) -> Callable[[], None]:
    """Call `over` when there is a result; returns what gives up. See `Await`."""
    waits = [over]

    def tell() -> None:
        for each in waits:
            each(True)
        waits.clear()

    future.add_done_callback(lambda _: call(tell))
    return waits.clear


def never(over: Callable[[bool], None]) -> Callable[[], None]:
    """Nothing happens; see `Await`."""
    return lambda: None
