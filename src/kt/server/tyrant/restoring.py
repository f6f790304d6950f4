"""kt-tyrant ``-restore-to``: a file as the database of a server was at a time.

It begins empty, or is a copy (``-restore-from``). Then the commands of the update log are carried
out, up to the time.
"""

from __future__ import annotations

from kt.errors import ImproperlyConfigured, ProtocolError
from kt.moments import show_moment
from kt.server.checkpoint_file import leave_alone
from kt.server.engines import FileLocked
from kt.server.engines.tokyo._engine import Database
from kt.server.log_files import TYRANT, LogFiles
from kt.server.restoring import Making, broken_log, later_records
from kt.server.session import Journal
from kt.server.tyrant.applying import Applier
from kt.server.tyrant.binary import carry_out
from kt.server.tyrant.options import TyrantOptions
from kt.server.tyrant.service import TyrantService
from kt.wire.log.tyrant import NANOSECONDS, Record


def restore(options: TyrantOptions, log: Journal) -> None:
    """Make the database of a command line.

    Raises:
        ImproperlyConfigured: something is missing or damaged, or there already.
        OSError: a file cannot be read or written.
    """
    if options.log_directory is None or options.restore_to is None:
        raise ImproperlyConfigured("-restore-to needs the update log to restore from: -ulog")
    files = LogFiles(options.log_directory, TYRANT)
    with Making(options.database, brought_on=options.restore_from is not None, log=log) as making:
        leave_alone(making.spec.partition("#")[0], log)
        try:
            database = Database(making.spec, stores=options.stores)
        except FileLocked as error:
            raise ImproperlyConfigured(f"could not open the database: {error}") from None
        try:
            count = _replay(making, files, database, options, log)
        finally:
            closed = database.close()
        if not closed:
            raise OSError(f"{making.spec} was not closed properly")
        making.finish()
    log.system(f"restored to {show_moment(options.restore_to)}: path={options.database}")
    log.system(f"commands carried out: {count}")


def _replay(
    making: Making,
    files: LogFiles[Record],
    database: Database,
    options: TyrantOptions,
    log: Journal,
) -> int:
    assert options.restore_to is not None
    applier = Applier(TyrantService(database, log), carry_out)
    since = options.restore_from or 0
    count = 0
    try:
        for record in later_records(files, since, options.restore_to, NANOSECONDS, log):
            making.change()
            count += 1
            if applier.apply(record):
                continue
            if database.fatal_error is not None or not database.error_is_harmless:
                raise ImproperlyConfigured(
                    f"{options.database} cannot be written: {database.error_text}"
                )
            log.error(f"detected inconsistency: ts={record.stamp} sid={record.sid}")
            if options.consistent:
                raise ImproperlyConfigured("a command turned out otherwise than it did: -rcc")
    except (OSError, ProtocolError) as error:
        raise broken_log(error) from None
    return count
