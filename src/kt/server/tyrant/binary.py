"""The binary commands that the engine's stream leaves to us: rare ones, and those that take long.

The stream has framed the request, so that it is whole and its sizes are possible. Each command has
a row in `COMMANDS`; what it does is a function of the server and the request, which returns the
reply.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from os import fsdecode
from typing import Any, Final, NamedTuple

from kt.errors import ArgumentError, ProtocolError
from kt.server.engines.io._io import Reply
from kt.server.engines.tokyo._engine import Event, Hold
from kt.server.tyrant.answering import Answering
from kt.server.tyrant.applying import Applier, restore_from
from kt.server.tyrant.options import Command
from kt.server.tyrant.script import TyrantScript
from kt.server.tyrant.service import TyrantService
from kt.server.tyrant.status import stat
from kt.server.tyrant.supply import Supply
from kt.wire import tyrant_commands as codes
from kt.wire.reading import Incomplete, Reader
from kt.wire.tyrant_server import (
    Ext,
    FwmKeys,
    Misc,
    Repl,
    Restore,
    SetMaster,
    pack_copy_reply,
    pack_ext_reply,
    pack_optimize_reply,
    pack_repl_reply,
    pack_restore_reply,
    pack_setmst_reply,
    pack_stat_reply,
    pack_sync_reply,
    pack_vanish_reply,
    read_copy,
    read_ext,
    read_fwmkeys,
    read_misc,
    read_optimize,
    read_repl,
    read_restore,
    read_setmst,
    read_stat,
    read_sync,
    read_vanish,
)

EMPTY_LIST: Final = codes.OK_REPLY + bytes(4)
FAILED_LIST: Final = codes.FAILURE_REPLY + bytes(4)


class Row(NamedTuple):
    """A command: its number and group in the mask, how to read and run it.

    `refusal` answers when the mask forbids it; `hold` says whom a request holds up.
    """

    command: Command
    group: Command
    read: Reader[Any]
    run: Callable[[TyrantService, Any], bytes | Reply]
    refusal: bytes = codes.FAILURE_REPLY
    hold: Callable[[TyrantService, Any], Hold] = lambda service, request: Hold.NONE


def fwmkeys(service: TyrantService, request: FwmKeys) -> bytes | Reply:
    try:
        return service.database.answer_fwmkeys(request.prefix, request.maximum)
    except OverflowError:
        return FAILED_LIST


def sync(service: TyrantService, request: None) -> bytes:
    return pack_sync_reply(_logged(service, Command.SYNC, service.database.sync()))


def optimize(service: TyrantService, request: bytes) -> bytes:
    return pack_optimize_reply(service.database.optimize(request))


def vanish(service: TyrantService, request: None) -> bytes:
    return pack_vanish_reply(_logged(service, Command.VANISH, service.database.vanish()))


def copy(service: TyrantService, request: bytes) -> bytes:
    return pack_copy_reply(_logged(service, Command.COPY, service.database.copy(request)))


def restore(service: TyrantService, request: Restore) -> bytes:
    applier = Applier(service, carry_out)
    consistent = bool(request.flags & codes.CHECK_CONSISTENCY)
    done = restore_from(service, applier, fsdecode(request.path), request.since, consistent)
    return pack_restore_reply(_logged(service, Command.RESTORE, done))


def setmst(service: TyrantService, request: SetMaster) -> bytes:
    return pack_setmst_reply(_logged(service, Command.SETMST, _set_master(service, request)))


def _set_master(service: TyrantService, request: SetMaster) -> bool:
    host = fsdecode(request.host.partition(b"\0")[0])
    if service.slave is None:
        if host:
            service.log.error(
                "this server cannot follow a master: a mask or -durable forbids"
                " it, or it is a database in its program's own process"
            )
        return not host
    consistent = bool(request.flags & codes.CHECK_CONSISTENCY)
    try:
        service.slave.set_master(host, request.port, request.since, consistent=consistent)
    except ArgumentError as error:
        service.log.error(str(error))  # noqa: TRY400 - it says it all
        return False
    return True


def misc(service: TyrantService, request: Misc) -> bytes | Reply:
    logged = not request.flags & codes.NO_UPDATE_LOG
    reply = service.database.answer_misc(request.name, request.items, logged=logged)
    return FAILED_LIST if reply is None else reply


def _logged(service: TyrantService, command: Command, done: bool) -> bool:
    if not done:
        service.note(command, Event.FAILED)
    return done


def _hold_all(service: TyrantService, request: bytes) -> Hold:
    return Hold.ALL


def _hold_of_copy(service: TyrantService, request: bytes) -> Hold:
    return Hold.NONE if service.database.in_memory else Hold.WRITERS


def _hold_of_misc(service: TyrantService, request: Misc) -> Hold:
    return service.database.hold_of(request.name, request.items)


COMMANDS: Final = {
    codes.FWMKEYS: Row(Command.FWMKEYS, Command.ALLREAD, read_fwmkeys, fwmkeys, EMPTY_LIST),
    codes.SYNC: Row(Command.SYNC, Command.ALLMANAGE, read_sync, sync),
    codes.OPTIMIZE: Row(
        Command.OPTIMIZE, Command.ALLMANAGE, read_optimize, optimize, hold=_hold_all
    ),
    codes.VANISH: Row(Command.VANISH, Command.ALLWRITE, read_vanish, vanish),
    codes.COPY: Row(Command.COPY, Command.ALLMANAGE, read_copy, copy, hold=_hold_of_copy),
    codes.RESTORE: Row(Command.RESTORE, Command.ALLMANAGE, read_restore, restore),
    codes.SETMST: Row(Command.SETMST, Command.ALLMANAGE, read_setmst, setmst),
    codes.MISC: Row(
        Command.MISC, Command.ALLWRITE, read_misc, misc, EMPTY_LIST, hold=_hold_of_misc
    ),
}
"""By the byte that names them, the commands that run in a worker thread."""


def carry_out(service: TyrantService, request: bytes) -> bytes:
    """The reply to a request for one of the `COMMANDS`; nothing is forbidden, nothing counted."""
    row = COMMANDS[request[1]]
    value, _ = _whole(row.read, request, 0)
    return bytes(service.holding(row.hold(service, value), partial(row.run, service, value))())


def serve_binary(session: Answering, data: bytes | bytearray, pos: int) -> int:
    """Serve the whole request at `data[pos]`; where it ends."""
    code = data[pos + 1]
    if code == codes.STAT:
        _, end = _whole(read_stat, data, pos)
        _serve_stat(session)
    elif code == codes.EXT:
        request, end = _whole(read_ext, data, pos)
        _serve_ext(session, request)
    elif code == codes.REPL:
        request, end = _whole(read_repl, data, pos)
        _serve_repl(session, request)
    else:
        row = COMMANDS[code]
        request, end = _whole(row.read, data, pos)
        _serve(session, row, request)
    return end


def _whole(read: Reader[Any], data: bytes | bytearray, pos: int) -> tuple[Any, int]:
    result = read(data, pos)
    if isinstance(result, Incomplete):
        raise ProtocolError("the engine takes an incomplete request for a whole one")
    return result


def _serve(session: Answering, row: Row, request: Any) -> None:
    service = session.service
    if _is_refused(session, row.command, row.group, row.refusal):
        return
    if row.command is Command.MISC and session.forbids_misc(request.name, request.items):
        service.note(Command.MISC, Event.FORBIDDEN)
        session.write(FAILED_LIST)
        return
    work = service.holding(row.hold(service, request), partial(row.run, service, request))
    session.run(work, slow=True)


def _is_refused(session: Answering, command: Command, group: Command, refusal: bytes) -> bool:
    """Count a command, and answer it if the mask forbids it."""
    service = session.service
    service.core.count(command)
    if service.log.info_wanted:
        service.note(command, Event.DOING)
    if not session.forbids(command, group, Command.ALLORG):
        return False
    service.note(command, Event.FORBIDDEN)
    denied = refusal == EMPTY_LIST and session.mask >> command & 1
    session.write(FAILED_LIST if denied else refusal)
    return True


def _serve_ext(session: Answering, request: Ext) -> None:
    """Call a Lua function, if there is a script."""
    if _is_refused(session, Command.EXT, Command.ALLORG, codes.FAILURE_REPLY):
        return
    if not session.service.has_scripts:
        session.write(pack_ext_reply(None))
    else:
        session.run_script(partial(_called, request))


def _called(request: Ext, script: TyrantScript) -> bytes:
    return pack_ext_reply(script.call(request.name, request.key, request.value, request.flags))


def _serve_stat(session: Answering) -> None:
    """Answer with statistics; with the counts only where the mask forbids the rest."""
    service = session.service
    service.core.count(Command.STAT)
    allowed = not session.forbids(Command.STAT, Command.ALLREAD, Command.ALLORG)
    if not allowed:
        service.note(Command.STAT, Event.FORBIDDEN)
    descriptor = session.descriptor
    session.run(lambda: pack_stat_reply(stat(service, descriptor, allowed)))


def _serve_repl(session: Answering, request: Repl) -> None:
    """Send the update log, for as long as the client listens."""
    service = session.service
    service.core.count(Command.REPL)
    service.note(Command.REPL, Event.DOING)
    own = service.server_id
    if session.forbids(Command.REPL, Command.ALLORG):
        service.note(Command.REPL, Event.FORBIDDEN)
        session.close()
    elif not request.since or request.server in (0, own):
        session.close()
    else:
        session.write(pack_repl_reply(own))
        if service.history is None:
            session.close()
        else:
            session.supply = Supply(session, service.history, request)
