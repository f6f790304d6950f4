"""Lua scripts in kt-tycoon: the threads that run them, and ``play_script`` of both protocols."""

from __future__ import annotations

import os
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Final

from kt.server.scripting.state import Limits, find_script
from kt.server.scripting.visits import Visits
from kt.server.scripting.workers import Workers
from kt.server.tycoon.procedures import INVALID, Columns, Procedure, Refused
from kt.server.tycoon.script import NOT_THERE, SUCCESS, Service, TycoonScript
from kt.server.tycoon.script_handles import SharedDatabase, UsedDatabase
from kt.server.tycoon.service import TycoonService
from kt.wire.tycoon import ERROR_REPLY, PlayScript, pack_play_script_reply

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Sequence

    from kt.server.scripting.state import Aside
    from kt.server.session import Journal

STATUSES: Final = {NOT_THERE: 501, 2: 400, 3: 450, 4: 503}
"""HTTP statuses for what a script returns, ``RVENOIMPL`` and so on; others are 500."""


def made_service(
    databases: Sequence[UsedDatabase],
    path: str,
    limits: Limits,
    stop: Event,
    visits: Visits,
    log: Journal,
) -> Service:
    """What all interpreters of a server have in common.

    Args:
        databases: that the script may use.
        path: its file, or the name of one of ours.
        limits: of each call.
        stop: set when scripts are to end.
        visits: to be told of visitors.
        log: the server's.

    Raises:
        ImproperlyConfigured: there is no such script.
    """
    path = find_script(path)
    log.system(f"loading a script file: path={path}")
    return Service(
        path=path,
        databases=[SharedDatabase(database) for database in databases],
        names={
            os.fsencode(os.path.basename(database.path)): index
            for index, database in enumerate(databases)
        },
        limits=limits,
        stop=stop,
        visits=visits,
        log=log,
    )


def script_maker(
    service: TycoonService, path: str, limits: Limits, stop: Event
) -> Callable[[int, Aside], TycoonScript]:
    """What loads a script for one more thread: gets its number, and what to tell when it waits.

    The arguments are those of `made_service`; so is what it raises.
    """
    visits = Visits(service.held, service.turn)
    made = made_service(service.databases, path, limits, stop, visits, service.log)
    service.has_scripts = True
    return partial(TycoonScript, made)


def start_scripts(
    service: TycoonService, path: str, limits: Limits, threads: int, loop: AbstractEventLoop
) -> Workers[TycoonScript]:
    """Load a script, once for each of so many threads, which give back on `loop` what they did.

    Raises:
        ImproperlyConfigured: there is no such script, or lupa is not installed.
    """
    stop = Event()
    return Workers(threads, script_maker(service, path, limits, stop), loop, stop)


def play(script: TycoonScript, columns: Columns) -> Columns:
    """Call a Lua function; its parameters and results are the columns that begin with ``_``."""
    name = columns.get(b"name", b"").partition(b"\0")[0]  # a C string in the original
    if not name.isalnum():
        raise Refused(400, INVALID)
    given = {column[1:]: value for column, value in columns.items() if column[:1] == b"_"}
    result, records = script.play(name, given)
    if result == NOT_THERE:
        raise Refused(501, b"no such scripting procedure")
    if result != SUCCESS:
        raise Refused(STATUSES.get(result, 500), b"the scripting procedure failed")
    return {b"_" + key: value for key, value in records.items()}


PLAY_SCRIPT: Final = Procedure(play, ("script",))
"""The RPC; it works on a script, in a thread that has one."""

DISABLED: Final = b"the scripting extention is disabled"
"""What its ERROR column says where there is no script."""


def play_script(request: PlayScript, script: TycoonScript) -> bytes:
    """The reply to the binary command, from a thread that has a script."""
    name = request.name.partition(b"\0")[0]  # likewise
    result, records = script.play(name, request.records)
    return pack_play_script_reply(records) if result == SUCCESS else ERROR_REPLY
