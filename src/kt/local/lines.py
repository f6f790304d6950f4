"""Opens the databases of either server, and makes sessions on them: the lines of `kt.net.local`."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from kt.errors import ArgumentError, ImproperlyConfigured, KTError
from kt.local.databases import IN_MEMORY, Journal, Open, Places
from kt.net.local import Database as Lines
from kt.net.local import Line
from kt.options import Synchronize
from kt.server.checkpoint_file import check_complete, leave_alone
from kt.server.engines import FileLocked
from kt.server.inline import Inline
from kt.server.scripting.state import Alone, Limits
from kt.server.session import Session
from kt.version import VERSION

if TYPE_CHECKING:
    from kt.server.engines.kyoto._engine import Database as KyotoDatabase
    from kt.server.engines.tokyo._engine import Database as TokyoDatabase
    from kt.server.tycoon.service import TycoonService
    from kt.server.tyrant.service import TyrantService


FIXED = (".tcf", ".fdb")
"""Suffixes of Tokyo Cabinet's fixed-length files."""


class Wanted(NamedTuple):
    """What is to be opened, and how.

    Attributes:
        specs: as on a server's command line.
        scripts: file of Lua functions; None for none.
        read_only: others may have the files open, too, if they read only.
        synchronize: what an acknowledged write survives.
    """

    specs: Sequence[str]
    scripts: str | None
    read_only: bool
    synchronize: Synchronize

    @property
    def name(self) -> str:
        """What the client calls it: the first database."""
        return self.specs[0].partition("#")[0]

    @property
    def waits(self) -> bool:
        """Whether writes wait for the device."""
        return self.synchronize is Synchronize.DEVICE


def lines_of(
    opened: Open,
    make_session: Callable[[], Session],
    make_script: Callable[[int, Alone], Any] | None,
    waits: Callable[[], bool],
) -> Lines:
    """What hands out lines to these databases, each with a session, and a script if it wants."""
    numbers = itertools.count()

    def connect() -> Line:
        if make_script is None:
            return Inline(make_session(), waits=waits)
        make = make_script
        return Inline(make_session(), lambda: make(next(numbers), Alone()), waits=waits)

    return Lines(connect, opened.close, opened.abandon)


def open_tycoon(wanted: Wanted) -> Lines:
    """Open databases of Kyoto Cabinet.

    Raises:
        ImproperlyConfigured: one cannot be opened.
    """
    from kt.server.tycoon.procedures import Procedure
    from kt.server.tycoon.report import Process, report
    from kt.server.tycoon.scripts import script_maker
    from kt.server.tycoon.service import TycoonService
    from kt.server.tycoon.session import TycoonSession
    from kt.server.tycoon.synchronize import Synchronize as Synchronizing

    databases, places = _open_kyoto(wanted)
    opened = Open(databases, [] if wanted.read_only else databases, places)
    service = TycoonService(
        databases,
        Journal(),
        program=f"kt/{VERSION}",
        writes_wait=wanted.waits,
        turn=nullcontext(),
    )
    process = Process(
        program="kt", connections=0, tasks=0, threads=0, start_time=time.time(), features="(local)"
    )
    service.procedures[b"synchronize"] = Procedure(
        Synchronizing(".", service.log), ("misc",), Synchronizing.pace
    )
    opened.before_close = service.signals.end
    _share_lock(service, wanted)
    service.report = lambda: report(service, process)
    make_script = None
    if wanted.scripts is not None:
        make_script = _loaded(
            opened, lambda path: script_maker(service, path, Limits(), threading.Event()), wanted
        )
    return lines_of(
        opened, lambda: TycoonSession(service), make_script, lambda: service.engine_may_block
    )


def _open_kyoto(wanted: Wanted) -> tuple[list[KyotoDatabase], Places]:
    """The databases, all open, and their places."""
    from kt.server.engines.kyoto._engine import Database

    places = Places(wanted.specs)
    databases: list[KyotoDatabase] = []
    spec = ""
    try:
        for spec in wanted.specs:
            check_complete(spec.partition("#")[0])
        for spec in wanted.specs:
            databases.append(
                Database(
                    spec,
                    read_only=wanted.read_only,
                    auto_transaction=wanted.synchronize is not Synchronize.NONE,
                    auto_synchronize=wanted.waits,
                    try_lock=True,
                )
            )
            _leave_alone(databases[-1], wanted.read_only)
    except KTError as error:
        for database in databases:
            database.close()
        places.leave()
        raise _unopened(spec, error) from None
    return databases, places


def _leave_alone(database: KyotoDatabase | TokyoDatabase, read_only: bool) -> None:
    """Look again at what a server knows of the file, now that no server can have it open."""
    if database.in_memory:
        return
    if read_only:
        check_complete(database.path)
    else:
        leave_alone(database.path, Journal())


def open_tyrant(wanted: Wanted) -> Lines:
    """Open a database of Tokyo Cabinet.

    Raises:
        ImproperlyConfigured: it cannot be opened.
        ArgumentError: it cannot be what is wanted.
    """
    from kt.server.engines.tokyo._engine import Database
    from kt.server.tyrant.script import TyrantScript
    from kt.server.tyrant.scripts import script_service
    from kt.server.tyrant.service import TyrantService
    from kt.server.tyrant.session import TyrantSession

    if len(wanted.specs) != 1:
        raise ArgumentError("a database of Tokyo Cabinet is alone: open each of them by itself")
    spec = wanted.specs[0]
    commits = wanted.synchronize is not Synchronize.NONE
    if commits:
        _check_kept(wanted.name)
    places = Places(wanted.specs)
    try:
        check_complete(wanted.name)
        database = Database(
            f"{spec}#mode=r" if wanted.read_only else spec, commit=commits, device=wanted.waits
        )
        _leave_alone(database, wanted.read_only)
    except KTError as error:
        places.leave()
        raise _unopened(spec, error) from None
    opened = Open([database], [], places)
    service = TyrantService(database, Journal(), writes_wait=wanted.waits)
    _share_lock(service, wanted)
    make_script = None
    if wanted.scripts is not None:
        make_script = _loaded(
            opened,
            lambda path: partial(
                TyrantScript, script_service(service, path, Limits(), threading.Event())
            ),
            wanted,
        )
    return lines_of(
        opened, lambda: TyrantSession(service), make_script, lambda: service.stream_waits
    )


def _share_lock(service: TycoonService | TyrantService, wanted: Wanted) -> None:
    """Let brief calls keep the interpreter's lock, unless something holds the databases for long.

    Scripts do whenever they like, and want that lock themselves while others wait for theirs.
    """
    if wanted.scripts is None and not wanted.waits:
        service.core.release()
        service.held.watch((service.core,))


def _check_kept(name: str) -> None:
    """Raise ArgumentError for what Tokyo Cabinet cannot keep each write of."""
    if name in IN_MEMORY:
        reason = "what is in memory ends with the process"
    elif name.endswith(FIXED):
        reason = "a fixed-length file has no log that could be relied on"
    else:
        return
    raise ArgumentError(f"{name} has synchronize=Synchronize.NONE only: {reason}")


def _loaded(
    opened: Open, load: Callable[[str], Callable[[int, Alone], Any]], wanted: Wanted
) -> Callable[[int, Alone], Any]:
    assert wanted.scripts is not None
    try:
        return load(wanted.scripts)
    except BaseException:
        opened.close()
        raise


def _unopened(spec: str, error: KTError) -> ImproperlyConfigured:
    path = spec.partition("#")[0]
    reason = "another process has it open" if isinstance(error, FileLocked) else str(error)
    return ImproperlyConfigured(f"cannot open {path}: {reason}")
