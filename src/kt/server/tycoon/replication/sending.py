"""The master's side of a full copy (`kt.wire.log.copies`): the databases, one after the other.

::

    a snapshot of a database --> a file in the log's directory --> its changes, in blocks --> slave
    (a thread of its own)        without a name from then on       not faster than the slave takes
                                                                   them, and than `-copy-rate`

So clients have their turns as while a snapshot is taken (`-bgs`), nothing is kept in memory but a
block, and no change is kept back. Copies are made one at a time; who waits hears that there is more
to come. The stamp of the first snapshot is where the slave goes on: what is newer in the others is
applied once more, which does no harm.

A copy that is cut off goes on where it was, if the slave is there again soon: the snapshot is kept
for a while, and the places behind the last blocks are known.
"""

from __future__ import annotations

import os
import re
import shutil
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import count
from time import monotonic
from typing import Final, NamedTuple

from kt.server.engines import EngineError
from kt.server.engines.kyoto._engine import Database, SnapshotFrames
from kt.server.feed import SLOW
from kt.server.history import History
from kt.server.session import Await, Drain, Journal, Session
from kt.wire.log.copies import Block, Done, Failure, Resumed, pack_copy_message, read_place

AT_ONCE: Final = 1 << 18
"""Bytes that are sent at once, or a record."""
PULSE: Final = 5.0
"""Seconds after which who waits for a snapshot hears from us."""
MARKS: Final = 1 << 10
"""So many places, the last ones, can a copy go on from."""
RESERVE: Final = 64 << 20
"""Bytes that a snapshot leaves free beside the update log."""
NAME: Final = re.compile(r"copy-\d+-\d+\.ktss(\.tmp)?")
"""Of a snapshot while it is taken."""


class NoRoom(OSError):
    """There is no room for a snapshot."""


class Mark(NamedTuple):
    """A place in a copy.

    Attributes:
        blocks: how many with changes are before it.
        check: of all changes in these.
        size: bytes of these.
        database: its number.
        frames: what is read, or has been.
        place: in that.
    """

    blocks: int
    check: int
    size: int
    database: int
    frames: SnapshotFrames
    place: tuple[int, int]


class Transfer:
    """The copy of one slave, on one link after the other.

    Attributes:
        server: the slave's number.
        stamp: of the first snapshot.
        marks: where it can go on. They keep the snapshots' files.
        feed: sends it at present; None: nobody does.
        until: when it is given up then, as `time.monotonic` has it.
    """

    def __init__(self, server: int) -> None:
        self.server = server
        self.stamp = 0
        self.marks: deque[Mark] = deque(maxlen=MARKS)
        self.feed: CopyFeed | None = None
        self.until = 0.0

    def find(self, blocks: int, check: int) -> Mark | None:
        """Where it can go on for somebody who has so much of it."""
        wanted = blocks, check
        return next((mark for mark in self.marks if mark[:2] == wanted), None)


class Copies:
    """Makes copies of the databases of a server.

    Args:
        databases: in the order of their numbers.
        history: the update log; snapshots are beside it while they are taken.
        rate: bytes a second that each slave gets at most; 0 for no limit.
        keep: seconds for which a copy can go on after its link has ended.
        log: the server's.
    """

    def __init__(
        self,
        databases: Sequence[Database],
        history: History,
        *,
        rate: int,
        keep: float,
        log: Journal,
    ) -> None:
        self.databases = databases
        self.history = history
        self.rate = rate
        self.keep = keep
        self.log = log
        self._numbers = count()
        self._executor: Executor | None = None
        self._transfers: dict[int, Transfer] = {}
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
            raise NoRoom(f"no room beside the update log for a snapshot of {needed} bytes")
        path = os.path.join(directory, f"copy-{next(self._numbers)}-{index}.ktss")
        database.take_snapshot(path, "none", calm=True)
        try:
            return SnapshotFrames(path, self.history.server, index)
        finally:
            os.remove(path)

    # Copies that may go on

    def find(self, server: int, place: int) -> tuple[Transfer, Mark | None]:
        """What a slave is to be sent: what it has not got yet of its copy, or else a new one.

        Args:
            server: its number.
            place: what it has of a copy (`kt.wire.log.copies.pack_place`).
        """
        known = self._transfers.get(server)
        if known is not None and place and (mark := known.find(*read_place(place))) is not None:
            return known, mark
        self.forget(server)
        self._transfers[server] = transfer = Transfer(server)
        return transfer, None

    def begun(self, transfer: Transfer, stamp: int) -> None:
        """Its first snapshot is there: the log is needed from this stamp on."""
        transfer.stamp = stamp
        self.history.needs[_need(transfer)] = stamp

    def leave(self, transfer: Transfer) -> None:
        """Nobody sends it any more: keep it for a while."""
        transfer.feed = None
        transfer.until = monotonic() + self.keep
        if self._transfers.get(transfer.server) is not transfer:
            self._let_go(transfer)

    def forget(self, server: int) -> None:
        """The copy of this slave does not go on, unless it is being sent."""
        transfer = self._transfers.pop(server, None)
        if transfer is not None and transfer.feed is None:
            self._let_go(transfer)

    def _let_go(self, transfer: Transfer) -> None:
        transfer.marks.clear()  # and with them the snapshots
        self.history.needs.pop(_need(transfer), None)

    def make_room(self) -> bool:
        """Forget what is not being sent; whether there was anything."""
        idle = [one.server for one in self._transfers.values() if one.feed is None]
        for server in idle:
            self.forget(server)
        return bool(idle)

    def tick(self) -> None:
        """Ten times a second: forget whose slaves do not come back."""
        now = monotonic()
        for one in tuple(self._transfers.values()):
            if one.feed is None and now > one.until:
                self.forget(one.server)

    def close(self) -> None:
        """Wait until no database is read any more."""
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)


class CopyFeed:
    """One slave's copy, on one link; work of its session, as `kt.server.feed`.

    Args:
        session: whose work it is.
        copies: makes it.
        timeout: seconds that the slave may take to read; 0 or less for no limit.
        server: the slave's number.
        place: what it has of a copy already; see `Copies.find`.

    Attributes:
        sent: bytes of changes so far, those of former links included.
        done: whether all has been written.
        trouble: why not, if it has ended.
    """

    def __init__(
        self, session: Session, copies: Copies, timeout: float, server: int, place: int
    ) -> None:
        self._session = session
        self._copies = copies
        self._timeout = timeout
        self._transfer, self._mark = copies.find(server, place)
        self._transfer.feed = self
        self._index = self._blocks = self._check = 0
        self._taking: Future[SnapshotFrames] | None = None
        self._frames: SnapshotFrames | None = None
        self._began = self._due = monotonic()
        self.sent = 0
        self.done = False
        self.trouble = ""

    def begin(self) -> None:
        """Begin with the first database, or go on where the slave is."""
        mark, self._mark = self._mark, None
        if mark is None:
            self._next_database()
            return
        self._blocks, self._check, self.sent, self._index, frames, place = mark
        try:
            self._frames = frames.from_place(place)
        except OSError as error:
            self._fail(error)
            return
        self._copies.log.system(f"({self._session.peer}): goes on with its copy: size={self.sent}")
        self._session.write(pack_copy_message(Resumed(self._blocks)))
        self._read()

    def _next_database(self) -> None:
        """Begin with it, or end."""
        if self._index < len(self._copies.databases):
            self._taking = self._copies.begin(self._index)
            self._await_snapshot()
            return
        self.done = True
        self._session.write(pack_copy_message(Done(self._transfer.stamp, self._check)))
        self._copies.log.system(
            f"({self._session.peer}): has a copy: ts={self._transfer.stamp} size={self.sent}"
            f" time={monotonic() - self._began:.3f}"
        )
        self._session.close()

    def end(self) -> None:
        """The slave is gone."""
        if self._transfer.feed is self:
            self._copies.leave(self._transfer)
        if self._taking is not None:
            self._taking.cancel()
        self._taking = self._frames = None

    def _is_replaced(self) -> bool:
        """Whether the slave goes on with its copy on another link; then this one ends."""
        if self._transfer.feed is self:
            return False
        self._session.close()
        return True

    def _await_snapshot(self) -> None:
        assert self._taking is not None
        enter = partial(until_done, self._taking, self._copies.history.call)
        self._session.work = Await(enter, PULSE, self._taken)

    def _taken(self, done: bool) -> None:
        assert self._taking is not None
        if self._is_replaced():
            return
        if not done and not self._taking.done():
            self._session.write(pack_copy_message(Block(b"", self._check)))
            self._await_snapshot()
            return
        try:
            self._frames = self._taking.result()
        except OSError as error:
            if isinstance(error, NoRoom) and self._copies.make_room():
                self._next_database()
            else:
                self._fail(error)
            return
        if self._index == 0:
            self._copies.begun(self._transfer, self._frames.header.stamp)
        self._due = monotonic()
        self._read()

    def _fail(self, error: OSError) -> None:
        self.trouble = f"there is no copy for it: {error}"
        self._copies.log.error(f"({self._session.peer}): {self.trouble}")
        self._transfer.marks.clear()  # it does not go on
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
        self._blocks += 1
        self.sent += len(changes)
        self._due += len(changes) / self._copies.rate if self._copies.rate else 0.0
        return pack_copy_message(Block(changes, self._check))

    def _send(self, block: bytes | OSError) -> None:
        if isinstance(block, OSError):
            self._fail(block)
        elif block:
            self._note_place()
            self._session.write(block)
            self._session.work = Drain(self._timeout, self._drained)
        else:
            self._frames = None
            self._index += 1
            self._next_database()

    def _note_place(self) -> None:
        frames = self._frames
        assert frames is not None
        self._transfer.marks.append(
            Mark(self._blocks, self._check, self.sent, self._index, frames, frames.place)
        )

    def _drained(self, taken: bool) -> None:
        pause = self._due - monotonic()
        if self._is_replaced():
            return
        if not taken:
            self.trouble = SLOW
            self._session.close()
        elif pause > 0:
            self._session.work = Await(never, pause, lambda _: self._read())
        else:
            self._due -= pause  # what was not used is not made up for
            self._read()


def _need(transfer: Transfer) -> str:
    return f"copy {id(transfer)}"


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
