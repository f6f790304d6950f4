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
from kt.server.tycoon.script_handles import SharedDatabase
from kt.server.tycoon.service import TycoonService
from kt.wire.tycoon import ERROR_REPLY, PlayScript, pack_play_script_reply

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

STATUSES: Final = {NOT_THERE: 501, 2: 400, 3: 450, 4: 503}
"""HTTP statuses for what a script returns, ``RVENOIMPL`` and so on; others are 500."""


def start_scripts(
    service: TycoonService, path: str, limits: Limits, threads: int, loop: AbstractEventLoop
) -> Workers[TycoonScript]:
    """Load a script, once for every thread that is to run it.

    Args:
        service: what it may use.
        path: its file, or the name of one of ours.
        limits: of each call.
        threads: how many.
        loop: where they give back what they have done.

    Raises:
        ImproperlyConfigured: there is no such script, or lupa is not installed.
    """
    path = find_script(path)
    service.log.system(f"loading a script file: path={path}")
    stop = Event()
    made = Service(
        path=path,
        databases=[SharedDatabase(database) for database in service.databases],
        names={
            os.fsencode(os.path.basename(database.path)): index
            for index, database in enumerate(service.databases)
        },
        limits=limits,
        stop=stop,
        visits=Visits(service.held, service.turn),
        log=service.log,
    )
    service.has_scripts = True
    return Workers(threads, partial(TycoonScript, made), loop, stop)


def _play(script: TycoonScript, columns: Columns) -> Columns:
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


PLAY_SCRIPT: Final = Procedure(_play, ("script",))
"""The RPC; it works on a script, in a thread that has one."""

DISABLED: Final = b"the scripting extention is disabled"
"""What its ERROR column says where there is no script."""


def play_script(request: PlayScript, script: TycoonScript) -> bytes:
    """The reply to the binary command, from a thread that has a script."""
    name = request.name.partition(b"\0")[0]  # likewise
    result, records = script.play(name, request.records)
    return pack_play_script_reply(records) if result == SUCCESS else ERROR_REPLY
