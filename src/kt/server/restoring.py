"""``-restore-to``: what both servers share to make databases as they were at a time.

::

    what there is from before  -->  casket.kct  <--  the files of an update log, up to the time

The log, and snapshots, are only read; a server may go on writing them. A database has another name
(`PREFIX`) until it is whole and on the device, so nobody takes half of one for it. What has such a
name is of no use to anybody once the process that made it is gone: the next one removes it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from glob import escape, glob
from itertools import chain
from typing import Final, Self

from kt.device import synchronize_names, synchronize_path
from kt.errors import ImproperlyConfigured, ProtocolError
from kt.moments import show_moment
from kt.server.log_files import LogFiles, R
from kt.server.session import Journal

PREFIX: Final = "restoring-"
LOCKED: Final = "__KCDIR__"
"""What of a database is locked that is a directory."""
BESIDE: Final = (".wal", ".idx.*")
"""How names of files go on that belong to a database, too."""
IN_MEMORY: Final = ("", *"-+:*%")
"""Names of databases that are no files."""


class Making:
    """A database that is made, or brought on; it has its name again when `finish` was called.

    If the block fails, what was made is removed. What was to be brought on has its name again if it
    is as it was; else it keeps the other one, because it is of no time.

    Args:
        spec: its argument on the command line.
        brought_on: it is there, as it was at another time.
        log: the server's.

    Attributes:
        spec: what to open instead.

    Raises:
        ImproperlyConfigured: it is no file; or it is there, or not, and should be otherwise; or
            somebody else has it.
    """

    def __init__(self, spec: str, *, brought_on: bool, log: Journal) -> None:
        self._path, sign, parameters = spec.partition("#")
        self._path = self._path.rstrip("/")
        if self._path in IN_MEMORY:
            raise ImproperlyConfigured(
                f"{spec} would be gone at the end of this: restore into a file (casket.kct or "
                "casket.tcb), and `kt copy` brings its records to a server"
            )
        folder, name = os.path.split(self._path)
        self._made = os.path.join(folder, PREFIX + name)
        self.spec = self._made + sign + parameters
        self._brought_on = brought_on
        self._changed = False
        self._log = log
        self._look()

    def _look(self) -> None:
        there, left = os.path.lexists(self._path), os.path.lexists(self._made)
        if there and not self._brought_on:
            raise ImproperlyConfigured(
                f"{self._path} is there already: -restore-to makes a new database. Choose another "
                "name; or if it is a copy of a time before, say of which: -restore-from TIME"
            )
        if not there and self._brought_on:
            raise ImproperlyConfigured(
                f"{self._path} is not there: -restore-from is for a copy of that time"
                + (f". {self._of_no_time()}" if left else "")
            )
        for path in (self._path, self._made):
            if _is_locked(path):
                raise ImproperlyConfigured(f"another process has {path} open")

    def _of_no_time(self) -> str:
        return f"{self._made} is between two times: put the copy there again as {self._path}"

    def change(self) -> None:
        """From now on it is not what it was."""
        self._changed = True

    def finish(self) -> None:
        """It is closed, and as it should be: give it its name."""
        names = _files(self._made)
        if os.path.isdir(self._made):
            os.sync()
        else:
            for name in names:
                synchronize_path(name)
        _rename(self._made, self._path, names)
        synchronize_names(self._path)

    def __enter__(self) -> Self:
        if os.path.lexists(self._made):
            self._log.system(f"an attempt before did not come to its end: {self._made} is removed")
            _remove(self._made)
        if self._brought_on:
            _rename(self._path, self._made, reversed(_files(self._path)))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if not os.path.lexists(self._made):
            return
        if not self._brought_on:
            _remove(self._made)
        elif not self._changed:
            _rename(self._made, self._path, _files(self._made))
        else:
            self._log.error(self._of_no_time())


def _is_locked(path: str) -> bool:
    """Whether another process has a database open."""
    if os.path.isdir(path):
        path = os.path.join(path, LOCKED)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:  # whoever opens it will say why
        return False
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _files(path: str, beside: Sequence[str] = BESIDE) -> list[str]:
    """The files of a database; itself is the last one."""
    files = [name for pattern in beside for name in glob(escape(path) + pattern)]
    return [*files, *([path] if os.path.lexists(path) else ())]


def _rename(old: str, new: str, names: Iterable[str]) -> None:
    for name in names:
        os.rename(name, new + name.removeprefix(old))


def _remove(path: str) -> None:
    for name in _files(path, (".*",)):
        if os.path.isdir(name) and not os.path.islink(name):
            shutil.rmtree(name)
        else:
            os.remove(name)


def later_records(
    files: LogFiles[R], since: int, until: int, unit: int, log: Journal
) -> Iterator[R]:
    """Yield the records after one time, up to another.

    Args:
        files: the log.
        since: in nanoseconds; 0 for the begin of the log.
        until: likewise; what is of this time is in it.
        unit: nanoseconds of which the log's stamps are multiples.
        log: the server's.

    Raises:
        ImproperlyConfigured: the log has not all of that.
        OSError: a file cannot be read.
        ProtocolError: a file is damaged, or missing.
    """
    records = files.records()
    first = next(records, None)
    if first is None:
        raise ImproperlyConfigured(f"there are no changes in {files.directory}")
    if not files.whole and first.stamp * unit > since:
        base = f"after {show_moment(since)}" if since else "of a database that begins empty"
        raise ImproperlyConfigured(
            f"the update log begins with {show_moment(first.stamp * unit)}, and changes {base} are"
            " needed: take a snapshot or a copy of a time after its begin"
        )
    newest = 0
    for record in chain([first], records):
        newest = max(newest, record.stamp * unit)
        if since < record.stamp * unit <= until:
            yield record
    if newest <= until:
        _say_where_it_ends(files, newest, log)


def _say_where_it_ends(files: LogFiles[R], newest: int, log: Journal) -> None:
    if files.written_ahead:
        raise ImproperlyConfigured(
            f"the update log is kept by kt-tycoon -durable, and not all of it is in its files yet: "
            f"restore to {show_moment(newest)} at most, or start and stop that server first"
        )
    more = f"; {files.torn}" if files.torn else ""
    log.system(f"the update log ends before that time, at {show_moment(newest)}{more}")


def broken_log(error: OSError | ProtocolError) -> ImproperlyConfigured:
    """What to say of a log that cannot be read to its end."""
    return ImproperlyConfigured(
        f"the update log cannot be read: {error} (`kt log verify` says more)"
    )
