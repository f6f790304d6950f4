"""How a file of kt-tyrant comes back after a loss of power (``-durable device``).

::

    running   change --> update log, on the device --> reply
              change --> file, whenever the system writes it
              as often as the log has grown by the file's size: a *base*, on the device
    start     base --> file;  update log, from the base's stamp on --> file

The file itself need not be on the device, and after a loss of power nobody knows what of it is. So
there is a base: the file as it was at one of its points (`Database.copy_point`), and the undo log
that belongs to it, ``CASKET.base-STAMP`` and ``CASKET.base-STAMP.wal``. ``CASKET.durable`` says
which one counts. It is written last, when the rest is on the device::

    base, its name, update log up to the stamp  -->  CASKET.durable  -->  the base before goes

If CASKET.durable says that the file was open when the machine went down, the file is set aside, and
a copy of the base takes its place. From there on it is a file whose server was killed (`recovery`).
While the machine has not been started anew, the base is not needed: what was written is there.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import replace
from glob import escape, glob
from typing import Final

from kt.device import synchronize_names, synchronize_path
from kt.errors import ImproperlyConfigured
from kt.server.checkpoint_file import (
    Checkpoint,
    State,
    base_path,
    bases,
    check_log,
    checkpoint_path,
    present_boot,
    read_checkpoint,
    set_aside,
    write_checkpoint,
)
from kt.server.engines.tokyo._engine import Database
from kt.server.history import History
from kt.server.log_place import LogPlace, why_another
from kt.server.session import Journal
from kt.server.tyrant.recovery import FORGET

BYTES: Final = 64 << 20
"""So much of the update log is behind a base at least before there is another one."""
LOOK: Final = 1.0
"""Seconds between two looks whether it is."""
PAUSE: Final = 60.0
"""Seconds until it is tried again when there could be none."""
ATTEMPTS: Final = 3

UNFINISHED: Final = "new"
"""In the place of the stamp."""


def bring_back(path: str, log: Journal) -> None:
    """Before a file is opened: put its base in its place if the machine went down meanwhile."""
    found = read_checkpoint(path)
    if found is None or found.state == "closed":
        return
    if os.path.lexists(path):
        if found.boot == present_boot():
            return
        aside = set_aside(path)
        log.error(f"the machine went down while this file was open: {path} is set aside as {aside}")
    for beside in glob(escape(path) + "*.kt-before"):
        os.remove(beside)
    indices = glob(escape(path) + ".idx.*")
    if not found.stamp:  # it was just being made
        for index in indices:
            os.remove(index)
        return
    base = base_path(path, found.stamp)
    log.system(f"{path} comes back from its base and the update log: {base}")
    try:
        shutil.copyfile(f"{base}.wal", f"{path}.wal")
        shutil.copyfile(base, path)
    except OSError as error:
        raise ImproperlyConfigured(f"{path} does not come back from its base: {error}") from None
    for index in indices:
        os.truncate(index, 0)  # and it is made anew


class Base:
    """The base of a file. For one thread at a time.

    Args:
        path: of the file.
        history: the update log; nobody else has it.
        log: the server's.

    Attributes:
        stamp: a start may need all that the update log has after it; 0 while there is no base.

    Raises:
        ImproperlyConfigured: the file cannot come back.
    """

    def __init__(self, path: str, history: History, log: Journal) -> None:
        self._path = path
        self._history = history
        self._log = log
        self._due = 0.0
        self._trouble = ""
        self._running: Future[bool] | None = None
        found = read_checkpoint(path)
        if found is not None and found.state == "closed" and not os.path.lexists(path):
            found = None  # somebody begins anew
        self.stamp = found.stamp if found is not None else 0
        self._position = (found.log[0], found.log[1]) if found is not None else (0, 0)
        self._place = found.place if found is not None else ()
        self._remove_others()
        if found is None:
            if not os.path.lexists(path):
                self._write("open")
            return
        if found.state == "closed":
            self._write("open")
        else:  # what the log had then was on the device
            check_log(path, replace(found, boot=present_boot()), history, FORGET)
        bring_back(path, log)

    def begin(self, database: Database) -> None:
        """The file is as it should be, and from now on it changes.

        Raises:
            ImproperlyConfigured: there is no base, so it cannot be kept.
        """
        if self.stamp and self._log_goes_on():
            self._write("open")
        elif not self._make(database):
            raise ImproperlyConfigured(f"{self._path} cannot be kept: {self._trouble}")

    def _log_goes_on(self) -> bool:
        """Whether it has all since the base: a file that was closed may get another one."""
        place, log = LogPlace(*self._place), self._history.log
        known = place.first > 0 and self.stamp <= log.stamp()
        return known and not why_another(place, log, all_there=True)

    def tick(self, database: Database, workers: Callable[[], Executor]) -> None:
        """Ten times a second: make another one when it is time."""
        if self._running is not None and not self._running.done():
            return
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + LOOK
        if self._history.bytes_after(self._position) >= max(BYTES, os.stat(self._path).st_size):
            self._running = workers().submit(self._make, database)

    def _make(self, database: Database) -> bool:
        trouble = "something long came between"
        try:
            for _ in range(ATTEMPTS):
                if stamp := self._copied(database):
                    self._count_on(stamp)
                    self._trouble = ""
                    return True
        except OSError as error:
            trouble = str(error)
        if trouble != self._trouble:
            self._log.error(f"there is no new base of {self._path}: {trouble}")
        self._trouble = trouble
        self._due = time.monotonic() + PAUSE
        return False

    def _copied(self, database: Database) -> int:
        unfinished = base_path(self._path, UNFINISHED)
        stamp = database.copy_point(unfinished)
        if stamp:
            os.rename(unfinished + ".wal", base_path(self._path, stamp) + ".wal")
            os.rename(unfinished, base_path(self._path, stamp))
        return stamp

    def _count_on(self, stamp: int) -> None:
        """From now on it is the base of that stamp that counts."""
        synchronize_names(self._path)
        position, place = self._history.log.position(), self._history.log.place()
        if not self._history.log.flush() or not self._history.log.synchronize():
            raise OSError("the update log cannot be brought to the device")
        before = self.stamp, self._position, self._place
        self.stamp, self._position, self._place = stamp, position, place
        try:
            self._write("open")
        except OSError:
            self.stamp, self._position, self._place = before
            raise
        self._remove_others()

    def _remove_others(self) -> None:
        own = base_path(self._path, self.stamp)
        for path in bases(self._path):
            if path not in (own, own + ".wal"):
                os.remove(path)

    def _write(self, state: State) -> None:
        write_checkpoint(
            self._path,
            Checkpoint(
                index=0,
                stamp=self.stamp,
                state=state,
                boot=present_boot(),
                durable="device",
                log=self._position,
                inode=self._history.inode,
                place=self._place,
            ),
        )

    def close(self) -> None:
        """Say that the file has everything; it is closed, without a failure.

        Raises:
            OSError: that cannot be brought to the device.
        """
        for path in (self._path, *glob(escape(self._path) + ".idx.*")):
            synchronize_path(path)
        synchronize_names(self._path)
        found = read_checkpoint(self._path)
        if found is not None:
            write_checkpoint(self._path, replace(found, state="closed"))


def give_up(path: str, log: Journal) -> None:
    """Before a file is opened (``-durable forget``): what only the update log has is given up."""
    bring_back(path, log)
    for each in (*bases(path), checkpoint_path(path)):
        if os.path.lexists(each):
            os.remove(each)
