"""kt-tycoon ``-restore-to``: files as the databases of a server were at a time.

Each begins with its snapshot if there is one (``-bgs``), and empty otherwise; or it is a copy
(``-restore-from``). Then the changes of the update log are applied, up to the time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from kt.errors import ImproperlyConfigured, ProtocolError
from kt.moments import show_moment
from kt.server.checkpoint_file import leave_alone
from kt.server.engines import EngineError, FileLocked
from kt.server.engines.kyoto._engine import Database, restore_changes
from kt.server.log_files import TYCOON, LogFiles
from kt.server.progress import Progress
from kt.server.restoring import Making, broken_log, later_records
from kt.server.session import Journal
from kt.server.tycoon.options import TycoonOptions
from kt.server.tycoon.recovery.snapshots import (
    BYTES_AT_ONCE,
    load_snapshot,
    snapshot_files,
)
from kt.wire.log.tycoon import Record
from kt.wire.tycoon import Update, pack_update


def restore(options: TycoonOptions, log: Journal) -> None:
    """Make the databases of a command line.

    Raises:
        ImproperlyConfigured: something is missing or damaged, or there already.
        OSError: a file cannot be read or written.
    """
    if options.log_directory is None or options.restore_to is None:
        raise ImproperlyConfigured("-restore-to needs the update log to restore from: -ulog")
    files = LogFiles(options.log_directory, TYCOON)
    begun = options.restore_from
    makings = [Making(spec, brought_on=begun is not None, log=log) for spec in options.databases]
    for spec in options.databases:
        leave_alone(spec.partition("#")[0], log)
    with ExitStack() as stack:
        for making in makings:
            stack.enter_context(making)
        databases = [stack.enter_context(_open(making.spec)) for making in makings]
        if begun is None:
            stamps = _load_snapshots(options, databases, log)
        else:
            stamps = [begun] * len(databases)
        changed = _frames(files, min(stamps), options.restore_to, log)
        count = _replay(makings, list(zip(databases, stamps, strict=True)), changed, log)
        for database in databases:
            try:
                database.close()
            except EngineError as error:
                raise OSError(f"{database.path} was not closed: {error}") from None
        for spec, making in zip(options.databases, makings, strict=True):
            making.finish()
            log.system(f"restored to {show_moment(options.restore_to)}: path={spec}")
    log.system(f"changes applied: {count}")


def _open(spec: str) -> Database:
    try:
        return Database(spec, try_lock=True)
    except (EngineError, FileLocked) as error:
        raise ImproperlyConfigured(f"could not open a database file: {spec}: {error}") from None


def _load_snapshots(options: TycoonOptions, databases: list[Database], log: Journal) -> list[int]:
    """Fill the databases that have a snapshot; the stamps of all, 0 for those that have none."""
    assert options.restore_to is not None
    stamps = [0] * len(databases)
    directory = options.snapshot_directory
    for index, path in snapshot_files(directory).items() if directory is not None else ():
        if index >= len(databases):
            log.error(f"there is no database for a snapshot: {path}")
            continue
        stamps[index] = load_snapshot(databases[index], index, path, log, latest=options.restore_to)
    return stamps


def _replay(
    makings: Sequence[Making],
    stamps: Sequence[tuple[Database, int]],
    changes: Iterator[bytes],
    log: Journal,
) -> int:
    progress = Progress(log, "changes applied")
    count = 0
    while frames := _next(changes):
        for making in makings:
            making.change()
        applied = restore_changes(stamps, frames)
        progress.add(applied)
        count += applied
    return count


def _next(changes: Iterator[bytes]) -> bytes:
    try:
        return next(changes, b"")
    except (OSError, ProtocolError) as error:
        raise broken_log(error) from None


def _frames(files: LogFiles[Record], since: int, until: int, log: Journal) -> Iterator[bytes]:
    """Messages as a master sends them, many at once."""
    some: list[bytes] = []
    size = 0
    for record in later_records(files, since, until, 1, log):
        some.append(pack_update(Update(record.stamp, record.message)))
        size += len(record.message)
        if size >= BYTES_AT_ONCE:
            yield b"".join(some)
            some, size = [], 0
    if some:
        yield b"".join(some)
