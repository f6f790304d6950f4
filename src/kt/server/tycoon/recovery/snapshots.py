"""Snapshots of kt-tycoon's databases (``-bgs``), and how databases come back at the start.

::

    start     DIR/00000000.ktss  -->  database  <--  update log, from the snapshot's stamp on
    running   database  -->  DIR/00000000.ktss       every so often, and at the end

A snapshot is applied to a database in memory, and to a file that was not there before the start; a
file that was there has its own records, which may be newer. What is wrong with a snapshot, or with
the log behind it, keeps the server from starting, because the next snapshot would take its place.

A database in memory has a snapshot from the start of its first server on, so the log from its
stamp on has every change since. Therefore `History.needed_since` keeps that part of the log.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from kt.errors import ImproperlyConfigured
from kt.moments import show_moment
from kt.server.engines.kyoto._engine import (
    LIBRARY_FEATURES,
    Database,
    SnapshotLoader,
    restore_changes,
)
from kt.server.engines.log._log import BROKEN, MORE
from kt.server.history import History
from kt.server.progress import Progress
from kt.server.session import Journal
from kt.server.tycoon.recovery.snapshot_log import SnapshotLog

if TYPE_CHECKING:
    from kt.server.checkpoint_file import State

NAME: Final = re.compile(r"([0-9]+)\.ktss")
RECORDS_AT_ONCE: Final = 100_000
BYTES_AT_ONCE: Final = 4 << 20
NOBODY: Final = 0xFFFFFFFF
"""A number that no server has: none of its changes are left out."""


class Snapshots:
    """The snapshots of one server.

    Args:
        directory: of the files; made if it is not there.
        databases: in the order of their numbers.
        fresh: for each, whether it has no records of its own from before the start.
        compressor: ``none``, ``zlib``, ``lzo`` or ``lzma``.
        interval: seconds between two snapshots; 0 for none but that at the end.
        known: numbers of the file databases whose snapshots, if any, the update log goes on from;
            None if snapshots are not what files come back from.
        log: the server's.

    Attributes:
        restored: numbers of the databases to which a snapshot was applied at the start.

    Raises:
        ImproperlyConfigured: the directory cannot be used, or the compressor is not here.
    """

    def __init__(
        self,
        directory: str,
        databases: Sequence[Database],
        *,
        fresh: Sequence[bool],
        compressor: str,
        interval: float,
        log: Journal,
        known: Collection[int] | None = None,
    ) -> None:
        if compressor != "none" and f"({compressor})" not in LIBRARY_FEATURES:
            raise ImproperlyConfigured(f"this Kyoto Cabinet was built without {compressor}: -bgsc")
        self._directory = directory
        self._databases = databases
        self._fresh = fresh
        self._compressor = compressor
        self._interval = interval
        self._known = known
        self._log = log
        self._snapshot_log = SnapshotLog(directory)
        self._stamps: dict[int, int] = {}
        self._old: dict[int, int] = {}  # of those that were not applied
        self.restored: set[int] = set()
        self._begun = False
        self._due = 0.0
        self._running: Future[bool] | None = None
        self._lock_file = self._take_directory()

    def _take_directory(self) -> int:
        try:
            os.makedirs(self._directory, exist_ok=True)
            lock_file = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise ImproperlyConfigured(f"cannot keep snapshots: {error}") from None
        try:
            fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for index in range(len(self._databases)):
                with suppress(FileNotFoundError):
                    os.remove(self._path(index) + ".tmp")
        except OSError as error:
            os.close(lock_file)
            raise ImproperlyConfigured(
                f"cannot keep snapshots in {self._directory}, which another server may use: {error}"
            ) from None
        return lock_file

    def _path(self, index: int) -> str:
        return os.path.join(self._directory, f"{index:08d}.ktss")

    # The start

    def restore(self, history: History | None, check: Callable[[], None]) -> None:
        """Bring back what there is, before the databases tell the update log of changes.

        Args:
            history: the update log, if there is one.
            check: called now and then; may raise to end it.

        Raises:
            ImproperlyConfigured: something cannot be brought back.
        """
        self._snapshot_log.history = history
        for index, path in snapshot_files(self._directory).items():
            if index >= len(self._databases):
                self._log.error(f"there is no database for a snapshot: {path}")
            elif self._fresh[index]:
                self._stamps[index] = load_snapshot(
                    self._databases[index], index, path, self._log, check
                )
            else:
                self._log.system(f"the database is a file, its snapshot is not applied: {path}")
        self.restored = set(self._stamps)
        if history is not None and self._stamps:
            self._snapshot_log.check()
            self._replay(history, check)
        self._look_at_old()
        for index in self._known or ():
            with suppress(OSError):  # then a new one is taken
                if index not in self._stamps:
                    loader = SnapshotLoader(self._databases[index], self._path(index))
                    self._stamps[index] = loader.header.stamp

    def _look_at_old(self) -> None:
        """Find out from where on the log is needed to start without a file that is there."""
        for index, database in enumerate(self._databases):
            with suppress(OSError):  # who starts without the file will be told
                if index not in self._stamps:
                    self._old[index] = SnapshotLoader(database, self._path(index)).header.stamp

    def _replay(self, history: History, check: Callable[[], None]) -> None:
        stamps = [(database, self._stamps.get(i)) for i, database in enumerate(self._databases)]
        try:
            carry_out(history, stamps, self._log, check)
        except OSError as error:
            raise cannot_apply(
                "the update log", error, "Mend it, or start without -ulog, with the snapshot alone"
            ) from None

    # Running

    def begin(self) -> None:
        """The databases are as they should be. Gives a first snapshot to those that need one.

        Raises:
            ImproperlyConfigured: that cannot be written.
        """
        for index, database in enumerate(self._databases):
            needed = database.in_memory or self._known is not None
            if needed and index not in self._stamps and not self._take(index):
                raise ImproperlyConfigured(f"no snapshot can be written: {self._path(index)}")
        if not self._note_log():
            raise ImproperlyConfigured(f"nothing can be written: {self._directory}")
        self._due = time.monotonic() + self._interval
        self._begun = True
        self._tell_history()

    def tick(self, workers: Callable[[], Executor]) -> None:
        """Ten times a second: take snapshots when it is time."""
        if self._running is not None and not self._running.done():
            return
        if self._interval > 0 and time.monotonic() >= self._due:
            self._due = time.monotonic() + self._interval
            self._running = workers().submit(self._take_all)
        elif self._snapshot_log.is_to_be_noted:
            self._running = workers().submit(self._note_log)

    def close(self) -> bool:
        """Take the last ones, if the start came to its end; False if that failed."""
        done = not self._begun or self._take_all("closed")
        os.close(self._lock_file)
        return done

    def _take_all(self, state: State = "open") -> bool:
        taken = [self._take(index) for index in range(len(self._databases))]
        noted = self._note_log(state if all(taken) else "open")
        self._tell_history()
        return all(taken) and noted

    def _note_log(self, state: State = "open") -> bool:
        """After snapshots were taken: a file of the log that is known now has what comes later."""
        try:
            self._snapshot_log.note(min(self._stamps.values(), default=0), state)
        except OSError as error:
            self._log.error(f"it was not noted which update log the snapshots have: {error}")
            return False
        return True

    def _take(self, index: int) -> bool:
        began = time.monotonic()
        try:
            header = self._databases[index].take_snapshot(self._path(index), self._compressor)
        except OSError as error:
            self._log.error(f"a snapshot was not taken: db={index}: {error}")
            return False
        self._stamps[index] = header.stamp
        self._log.system(
            f"snapshot taken: db={index} ts={header.stamp} count={header.records} "
            f"size={header.size} time={time.monotonic() - began:.3f}"
        )
        return True

    def _tell_history(self) -> None:
        stamps = [
            self._stamps[i]
            for i, database in enumerate(self._databases)
            if database.in_memory or self._known is not None
        ]
        history = self._snapshot_log.history
        if history is not None and stamps:
            history.needs["snapshots"] = min(stamps)
        every = {**self._old, **self._stamps}
        if history is not None and every:
            history.old_files.worth["snapshots"] = min(every.values())


def snapshot_files(directory: str) -> dict[int, str]:
    """The snapshots in a directory, by the numbers of their databases.

    Raises:
        ImproperlyConfigured: there are two of one database.
        OSError: the directory cannot be read.
    """
    files: dict[int, str] = {}
    for name in sorted(os.listdir(directory)):
        if (match := NAME.fullmatch(name)) is None:
            continue
        path = os.path.join(directory, name)
        if (other := files.setdefault(int(match[1]), path)) != path:
            raise ImproperlyConfigured(f"two snapshots of one database: {other} and {path}")
    return files


def load_snapshot(
    database: Database,
    index: int,
    path: str,
    log: Journal,
    check: Callable[[], None] = lambda: None,
    *,
    latest: int | None = None,
) -> int:
    """Apply a snapshot to a database that is empty.

    Args:
        database: which.
        index: its number.
        path: of the snapshot.
        log: the server's.
        check: called now and then; may raise to end it.
        latest: the stamp that the snapshot's must not exceed; None: it may be any.

    Returns:
        its stamp.

    Raises:
        ImproperlyConfigured: it cannot be applied.
    """
    try:
        loader = SnapshotLoader(database, path)
        stamp, count, size = loader.header
        if latest is not None and stamp > latest:
            raise ImproperlyConfigured(
                f"{path} is of {show_moment(stamp)}, which is later than that: put an older one in "
                "another directory for -bgs, or leave -bgs out where the log has everything"
            )
        log.system(f"applying a snapshot file: db={index} ts={stamp} count={count} size={size}")
        progress = Progress(log, "records applied", count)
        while loaded := loader.load(RECORDS_AT_ONCE):
            progress.add(loaded)
            check()
    except OSError as error:
        raise cannot_apply(
            "a snapshot", error, "Put a good one in its place, or move it away to start without it"
        ) from None
    progress.end()
    return stamp


def cannot_apply(what: str, error: OSError, advice: str) -> ImproperlyConfigured:
    """Why a database cannot come back, and what to do, unless that is to make room."""
    if error.errno == errno.ENOSPC:
        advice = "Make room on the disk"
    return ImproperlyConfigured(f"{what} cannot be applied: {error}. {advice}")


def carry_out(
    history: History,
    stamps: Sequence[tuple[Database, int | None]],
    log: Journal,
    check: Callable[[], None],
) -> None:
    """Apply what the update log has beyond the stamps of databases.

    Args:
        history: the update log.
        stamps: the databases by their numbers, each with the stamp up to which it has everything;
            None for those that are left alone. One must have a stamp.
        log: the server's.
        check: called now and then; may raise to end it.

    Raises:
        OSError: the log is damaged, or has not everything.
    """
    since = min(stamp for _, stamp in stamps if stamp is not None)
    log.system(f"applying the update log: ts={since}")
    reader = history.reader(since, NOBODY)
    progress = Progress(log, "changes applied")
    state = MORE
    while state == MORE:
        state, frames = reader.read(BYTES_AT_ONCE)
        if reader.incomplete:
            raise OSError("changes since then have been removed from it")
        progress.add(restore_changes(stamps, frames))
        check()
    if state == BROKEN:
        raise OSError(reader.trouble)
    progress.end()
