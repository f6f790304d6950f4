"""The update log in a running server: opened, tended, and waited for.

Engines write it natively (`kt.server.engines.log`). Here is what is rare: what is said about it in
the server's own log, its way to the device every so often, and waking up those that read it.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from kt.errors import ImproperlyConfigured
from kt.server.engines.log._log import LogReader, UpdateLog
from kt.server.log_files import TYCOON, TYRANT, Form, count_records
from kt.server.session import Journal

if TYPE_CHECKING:
    from kt.server.engines.log._log import Durable, Kind

FORMS: Final[Mapping[str, Form[Any]]] = {"tycoon": TYCOON, "tyrant": TYRANT}

DISORDER: Final = 30_000_000
"""Microseconds by which stamps in a log of the original Tokyo Tyrant may go back."""
TRIM: Final = 1.0
"""Seconds between two looks for files of the log that are old."""


class History:
    """The update log of a server. For the event loop's thread, unless it says otherwise.

    Args:
        directory: of the log's files, as it was given.
        kind: whose files.
        server: the number of this server.
        limit: bytes of a file after which the next one begins; 0 for no limit.
        interval: seconds after which it is brought to the device; 0 for never.
        keep: old files are removed when all have more bytes, or so many seconds after their last
            change; 0 for no limit.
        durable: what takes nothing of what was acknowledged; see `UpdateLog`.
        log: the server's.
        loop: its event loop.

    Attributes:
        log: what is written.
        server: the number of this server.
        kind: whose files they are.
        durable: as it was given.
        inode: of the directory, whatever it is called.
        ended: the server stops.
        needs: by who needs it: the stamp after which a start needs everything.
        old_files: removes those.

    Raises:
        ImproperlyConfigured: it cannot be opened.
    """

    def __init__(
        self,
        directory: str,
        kind: Kind,
        *,
        server: int,
        limit: int,
        interval: float,
        keep: tuple[int, float] = (0, 0.0),
        durable: Durable = "none",
        log: Journal,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        log.system(f"opening the update log: path={directory} sid={server}")
        try:
            self.log = UpdateLog(
                directory,
                kind=kind,
                server=server,
                limit=limit,
                keeps_files=interval > 0,
                durable=durable,
            )
            self.inode = os.stat(directory).st_ino
        except OSError as error:
            raise ImproperlyConfigured(f"cannot open the update log: {error}") from None
        if self.log.findings:
            log.error(self.log.findings)
        self.directory, self.kind, self.server, self.durable = directory, kind, server, durable
        self.ended = False
        self.needs: dict[str, int] = {}
        self.old_files = OldFiles(self, keep, limit, log)
        self._journal = log
        self._loop = loop
        self._interval = interval
        self._due = time.monotonic() + interval
        self._synchronizing: Future[bool] | None = None
        self._trouble = ""
        self._readers: dict[object, Callable[[bool], None]] = {}
        loop.add_reader(self.log.fileno(), self._heard)

    @property
    def needed_since(self) -> int | None:
        """A start needs what comes after this stamp; None if it needs nothing."""
        return min(self.needs.values(), default=None)

    def tick(self, workers: Callable[[], Executor]) -> None:
        """Ten times a second: write what failed commands have left, and say what goes wrong."""
        self.log.flush()
        trouble = self.log.trouble()
        if trouble and trouble != self._trouble:
            self._journal.error(f"the update log cannot be written, changes are refused: {trouble}")
        elif self._trouble and not trouble:
            self._journal.system("the update log is written again")
        self._trouble = trouble
        busy = self._synchronizing is not None and not self._synchronizing.done()
        if self._interval > 0 and not busy and time.monotonic() >= self._due:
            self._due = time.monotonic() + self._interval
            self._synchronizing = workers().submit(self._synchronize)

        self.old_files.tick(workers)

    def _synchronize(self) -> bool:
        done = self.log.synchronize()
        if not done:
            self._journal.error("the update log cannot be brought to the device")
        return done

    def close(self) -> bool:
        """Write what is left; False if that fails (and is logged)."""
        self._loop.remove_reader(self.log.fileno())
        waits = self._interval > 0 or self.durable == "device"
        done = self.log.flush() and (not waits or self._synchronize())
        if not done:
            self._journal.error(f"the update log was not closed properly: {self.log.trouble()}")
        return done

    def call(self, function: Callable[[], object]) -> None:
        """Let the event loop call this soon. For any thread."""
        with suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(function)

    # Readers

    def await_more(self, seen: tuple[int, int], over: Callable[[bool], None]) -> Callable[[], None]:
        """Call `over` once more is written than at the position `seen`; returns what gives up."""
        token = object()
        self._readers[token] = over
        self.log.await_more()
        if self.log.position() != seen:
            self._loop.call_soon(self._heard)
        return lambda: self._readers.pop(token, None) and None

    def _heard(self) -> None:
        self.log.heard()
        self._tell(True)

    def end(self) -> None:
        """The server stops: nothing more is to be waited for."""
        self.ended = True
        self._tell(False)

    def _tell(self, outcome: bool) -> None:
        readers, self._readers = self._readers, {}
        for over in readers.values():
            over(outcome)

    def bytes_after(self, position: tuple[int, int]) -> int:
        """How much of the log is behind a position of a reader (`LogReader.position`)."""
        number, offset = position
        newest, end = self.log.position()
        total = end - offset
        for each, path in self.log.files().items():
            if number <= each < newest:
                with suppress(FileNotFoundError):
                    total += os.stat(path).st_size
        return max(total, 0)

    def after(self, position: tuple[int, int]) -> tuple[int, int]:
        """Likewise, bytes and changes: counted if they are few, else as the next ones say."""
        total = self.bytes_after(position)
        if not total:
            return 0, 0
        count, size = 1, total
        with suppress(FileNotFoundError):  # it has just been removed
            count, size = count_records(self.log.files(), position, FORMS[self.kind])
        return total, max(round(count * total / size), 1) if size else 0

    # Files. For any thread.

    def reader(
        self, since: int, server: int, *, only: bool = False, everything: bool = False
    ) -> LogReader:
        """Read the log as the protocol of replication sends it; see `UpdateLog.reader`."""
        return self.log.reader(since, server, only, everything)


class OldFiles:
    """Removes old files of an update log (``-ulog-keep``).

    Args:
        history: the log.
        keep: see `History`.
        limit: bytes of a file after which the next one begins; 0 for no limit.
        log: the server's.

    Attributes:
        worth: by who knows: the stamp after which a start without the database's file needs all.
        places: by who reads the log: the number of the file that is read.

    Raises:
        ImproperlyConfigured: files never end, so none would be removed.
    """

    def __init__(self, history: History, keep: tuple[int, float], limit: int, log: Journal) -> None:
        if any(keep) and not limit:
            raise ImproperlyConfigured("-ulog-keep needs files that end: -ulim is 0")
        self.worth: dict[str, int] = {}
        self.places: dict[object, int] = {}
        self._history = history
        self._keep_bytes, self._keep_seconds = keep
        self._journal = log
        self._due = 0.0
        self._running: Future[None] | None = None
        self._trouble = ""

    def tick(self, workers: Callable[[], Executor]) -> None:
        """Ten times a second: look for them when it is time."""
        busy = self._running is not None and not self._running.done()
        if not (self._keep_bytes or self._keep_seconds) or busy:
            return
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + TRIM
            self._running = workers().submit(self._trim)

    def _trim(self) -> None:
        """Remove the oldest files while they are too old, or too many, and nobody needs them."""
        trouble = ""
        try:
            for path in self._superfluous():
                os.remove(path)
                self._journal.system(f"an old file of the update log is removed: {path}")
        except FileNotFoundError:
            pass  # somebody else removes them; next time
        except OSError as error:
            trouble = f"an old file of the update log cannot be removed: {error}"
        if trouble and trouble != self._trouble:
            self._journal.error(trouble)
        self._trouble = trouble

    def _superfluous(self) -> Iterator[str]:
        files = self._history.log.files()
        states = {number: os.stat(path) for number, path in files.items()}
        total = sum(state.st_size for state in states.values())
        read = min(tuple(self.places.values()), default=self._history.log.position()[0])
        needed = min((*self._history.needs.values(), *self.worth.values()), default=None)
        for number, following in pairwise(sorted(files)):
            state = states[number]
            old = 0 < self._keep_seconds < time.time() - state.st_mtime
            large = 0 < self._keep_bytes < total
            if number >= read or not (old or large):
                return
            if needed is not None and begins_after(files[following], needed, self._history.kind):
                return
            yield files[number]
            total -= state.st_size


def begins_after(path: str, stamp: int, kind: Kind) -> bool:
    """Whether all records of a log file are newer; also if it has none yet.

    Of Tokyo Tyrant's, whose readers begin earlier, some older ones count as that.
    """
    at, stamp = (17 + 1, stamp) if kind == "tycoon" else (1, stamp - DISORDER)
    with open(path, "rb") as file:
        begin = file.read(at + 8)
    return len(begin) < at + 8 or int.from_bytes(begin[at:], "big") > stamp


def file_states(directory: str) -> dict[str, tuple[int, int]]:
    """Size and newest stamp of each of Kyoto Tycoon's log files in a directory, by their paths."""
    states = {}
    for name in sorted(os.listdir(directory)):
        path = os.path.join(directory, name)
        try:
            with open(path, "rb") as file:
                header = file.read(17)
                size = os.fstat(file.fileno()).st_size
        except OSError:
            continue
        if header[:1] == b"\xa0" and len(header) == 17:
            states[path] = size, int.from_bytes(header[9:], "big")
    return states
