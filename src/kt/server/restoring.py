"""``-restore-to``: what both servers share to make databases as they were at a time.

::

    what there is from before  -->  casket.kct  <--  the files of an update log, up to the time

The log, and snapshots, are only read; a server may go on writing them. A new database has a name of
its own until it is whole, so nobody takes half of one for it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from glob import escape, glob
from itertools import chain
from typing import Final, Self

from kt.errors import ImproperlyConfigured, ProtocolError
from kt.moments import show_moment
from kt.server.log_files import LogFiles, R
from kt.server.session import Journal

PREFIX: Final = "restoring-"
BESIDE: Final = (".wal", ".idx.*")
"""How names of files go on that belong to a database, too."""
IN_MEMORY: Final = ("", *"-+:*%")
"""Names of databases that are no files."""


class Making:
    """A database that is made, or brought on; what is made is removed if the block fails.

    Args:
        spec: its argument on the command line.
        brought_on: it is there, as it was at another time.

    Attributes:
        spec: what to open instead.

    Raises:
        ImproperlyConfigured: it is no file; or it is there, or not, and should be otherwise.
    """

    def __init__(self, spec: str, *, brought_on: bool) -> None:
        self._path, sign, parameters = spec.partition("#")
        self._path = self._path.rstrip("/")
        if self._path in IN_MEMORY:
            raise ImproperlyConfigured(
                f"{spec} would be gone at the end of this: restore into a file (casket.kct or "
                "casket.tcb), and `kt copy` brings its records to a server"
            )
        folder, name = os.path.split(self._path)
        self._made = self._path if brought_on else os.path.join(folder, PREFIX + name)
        self.spec = self._made + sign + parameters
        if not brought_on and os.path.lexists(self._path):
            raise ImproperlyConfigured(
                f"{self._path} is there already: -restore-to makes a new database. Choose another "
                "name; or if it is a copy of a time before, say of which: -restore-from TIME"
            )
        if not brought_on and os.path.lexists(self._made):
            raise ImproperlyConfigured(
                f"an attempt before did not come to its end: remove {self._made}"
            )
        if brought_on and not os.path.lexists(self._path):
            raise ImproperlyConfigured(
                f"{self._path} is not there: -restore-from is for a copy of that time"
            )

    def finish(self) -> None:
        """It is closed, and as it should be: give it its name."""
        if self._made == self._path:
            return
        for name in self._beside():
            os.rename(name, self._path + name.removeprefix(self._made))
        os.rename(self._made, self._path)

    def _beside(self) -> list[str]:
        return [name for pattern in BESIDE for name in glob(escape(self._made) + pattern)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or self._made == self._path:
            return
        for name in (*self._beside(), self._made):
            if os.path.isdir(name):
                shutil.rmtree(name)
            elif os.path.lexists(name):
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
