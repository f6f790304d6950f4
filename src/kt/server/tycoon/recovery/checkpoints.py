"""How kt-tycoon's files keep what was acknowledged (``-durable``).

::

    running   change --> update log (ahead of it, in mapped memory) --> file
              every so often: all is written to the file; CASKET.durable says up to which stamp
    start     CASKET.durable --> stamp --> update log, from there on --> file

A killed process leaves a file as the engine brings it back: with everything up to the checkpoint,
and with some of what came later. The log says what records become, so all of it is applied again,
and the file has everything. A record that was being written over is in the log before that begins.

With ``device``, the log is on the device before a change is acknowledged; the file need not be. A
machine that went down (another boot than that in CASKET.durable) may have left anything in it. So
it is set aside then, and comes back from snapshot and log, as if it had not been there.

CASKET.durable also guards against what would lose something silently: nobody without ``-durable``
touches a file for which the log has more (`kt.server.checkpoint_file`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from kt.errors import ImproperlyConfigured
from kt.server.checkpoint_file import (
    Checkpoint,
    State,
    check_log,
    checkpoint_path,
    present_boot,
    read_checkpoint,
    set_aside,
    write_checkpoint,
)
from kt.server.engines.kyoto._engine import Database
from kt.server.history import History
from kt.server.log_place import LogPlace
from kt.server.session import Journal
from kt.server.tycoon.recovery.snapshots import cannot_apply, carry_out

if TYPE_CHECKING:
    from kt.server.engines.log._log import Durable

INTERVAL: Final = 20.0
"""Seconds between two checkpoints, if something was changed."""
BYTES: Final = 64 << 20
"""Bytes of the update log after which there is a checkpoint sooner."""
TEXT: Final = b"80"
"""The library's number of the type that appends lines to a text file."""


def set_torn_aside(path: str, log: Journal) -> None:
    """Before a file is opened: move it away if it is to come back from snapshot and log."""
    checkpoint = read_checkpoint(path)
    if checkpoint is None or checkpoint.state == "closed" or not os.path.lexists(path):
        return
    other_boot = checkpoint.boot != present_boot()
    if checkpoint.state == "open" and not (other_boot and checkpoint.durable == "device"):
        if other_boot:
            log.error(f"the machine went down while this file was open, it may be damaged: {path}")
        return
    what = "was open" if checkpoint.state == "open" else "was being restored"
    aside = set_aside(path)
    log.error(f"the server ended while this file {what}: {path} is set aside as {aside}")


def _check_kinds(databases: Sequence[Database], comes_back: bool) -> None:
    for database in databases:
        if database.in_memory and not comes_back:
            raise ImproperlyConfigured(
                f"a database in memory comes back from snapshots: {database.path} needs -bgs"
            )
        if database.status()[b"type"] == TEXT:
            raise ImproperlyConfigured(f"-durable is not for text files: {database.path}")


class Checkpoints:
    """The checkpoints of a server's files. They are open.

    Args:
        databases: in the order of their numbers.
        fresh: for each, whether it has no records of its own from before the start.
        durable: ``process`` or ``device``.
        history: the update log.
        comes_back: whether there are snapshots.
        log: the server's.

    Attributes:
        known: numbers of the files that the update log has followed so far.

    Raises:
        ImproperlyConfigured: a database cannot be kept so.
    """

    def __init__(
        self,
        databases: Sequence[Database],
        *,
        fresh: Sequence[bool],
        durable: Durable,
        history: History,
        comes_back: bool,
        log: Journal,
    ) -> None:
        self._databases = databases
        self._durable = durable
        self._history = history
        self._log = log
        self._files = {i: db for i, db in enumerate(databases) if not db.in_memory}
        self._boot = present_boot()
        self._due = 0.0
        self._position = (0, 0)
        self._known = False  # by its place; an empty one may be any
        self._running: Future[bool] | None = None
        self._begun = False
        _check_kinds(databases, comes_back)
        found = {
            index: checkpoint
            for index, database in self._files.items()
            if (checkpoint := self._read(index, database.path)) is not None and not fresh[index]
        }
        self._stamps = {index: checkpoint.stamp for index, checkpoint in found.items()}
        self._found = found
        self._unclosed = {i for i, checkpoint in found.items() if checkpoint.state != "closed"}
        self.known = set(found)
        for index in self._files:
            if fresh[index]:
                self._write(index, 0, "restoring")

    def restore(self, check: Callable[[], None]) -> None:
        """Bring files up to date that were not closed, before they tell the log of changes.

        Args:
            check: called now and then; may raise to end it.

        Raises:
            ImproperlyConfigured: that is not possible.
        """
        if not self._unclosed:
            return
        for index in self._unclosed:
            path = self._files[index].path
            forget = f"remove {checkpoint_path(path)}"
            check_log(path, self._found[index], self._history, forget)
        stamps = [
            (database, self._stamps[index] if index in self._unclosed else None)
            for index, database in enumerate(self._databases)
        ]
        try:
            carry_out(self._history, stamps, self._log, check)
        except OSError as error:
            paths = ", ".join(checkpoint_path(self._files[i].path) for i in sorted(self._unclosed))
            advice = f"Mend it, or remove {paths} to start with what the files have"
            raise cannot_apply("the update log", error, advice) from None

    def begin(self) -> None:
        """All databases are as they should be: from now on they change.

        Raises:
            ImproperlyConfigured: a file cannot be written.
        """
        if not self._make_all():
            raise ImproperlyConfigured("there is no checkpoint of a file, so it cannot be kept")
        self._begun = True

    def tick(self, workers: Callable[[], Executor]) -> None:
        """Ten times a second: make checkpoints when it is time."""
        if self._running is not None and not self._running.done():
            return
        position = self._history.log.position()
        grown = position[0] != self._position[0] or position[1] - self._position[1] >= BYTES
        begun = not self._known and position != self._position
        late = position != self._position and time.monotonic() >= self._due
        if grown or late or begun:
            self._running = workers().submit(self._make_all)

    def _make_all(self) -> bool:
        self._position = self._history.log.position()
        self._known = LogPlace(*self._history.log.place()).first > 0
        self._due = time.monotonic() + INTERVAL
        done = [self._make(index, database) for index, database in self._files.items()]
        if self._stamps:
            self._history.needs["files"] = min(self._stamps.values())
        return all(done)

    def _make(self, index: int, database: Database) -> bool:
        try:
            end, place = self._history.log.position(), self._history.log.place()
            stamp = database.checkpoint()
            if self._durable == "device" and not self._history.log.synchronize():
                self._log.error(f"no checkpoint of {database.path}: the log's device has failed")
                return False
            self._write(index, stamp, "open", end, place)
        except OSError as error:
            self._log.error(f"no checkpoint of {database.path}: {error}")
            return False
        self._stamps[index] = stamp
        return True

    def _read(self, index: int, path: str) -> Checkpoint | None:
        checkpoint = read_checkpoint(path)
        if checkpoint is None or checkpoint.index == index or checkpoint.state == "closed":
            return checkpoint
        raise ImproperlyConfigured(
            f"{path} was not closed, and it was database {checkpoint.index} then: what the update "
            "log has of it is found under this number only; start once in the old order"
        )

    def _write(
        self,
        index: int,
        stamp: int,
        state: State,
        log: tuple[int, int] = (0, 0),
        place: Sequence[int] = (),
    ) -> None:
        write_checkpoint(
            self._files[index].path,
            Checkpoint(
                index=index,
                stamp=stamp,
                state=state,
                boot=self._boot,
                durable=self._durable,
                log=log,
                inode=self._history.inode,
                place=place,
            ),
        )

    def close(self) -> None:
        """Say that the files have everything; they are closed, without a failure."""
        for database in self._files.values() if self._begun else ():
            checkpoint = read_checkpoint(database.path)
            if checkpoint is not None:
                write_checkpoint(database.path, replace(checkpoint, state="closed"))
