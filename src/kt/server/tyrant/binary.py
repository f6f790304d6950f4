"""The binary commands that the engine's stream leaves to us: rare ones, and those that take long.

The stream has framed the request, so that it is whole and its sizes are possible. Each command has
a row in `COMMANDS`; what it does is a function of the server and the request, which returns the
reply.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kt.errors import ProtocolError
from kt.server.engines.tokyo._engine import Event, Hold
from kt.server.tyrant.options import Command
from kt.server.tyrant.status import stat
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

if TYPE_CHECKING:
    from kt.server.tyrant.script import TyrantScript
    from kt.server.tyrant.server import TyrantServer
    from kt.server.tyrant.session import TyrantConnection

EMPTY_LIST: Final = codes.OK_REPLY + bytes(4)
FAILED_LIST: Final = codes.FAILURE_REPLY + bytes(4)


class Row(NamedTuple):
    """A command: its number and group in the mask, how to read and run it.

    `refusal` answers when the mask forbids it; `hold` says whom a request holds up.
    """

    command: Command
    group: Command
    read: Reader[Any]
    run: Callable[[TyrantServer, Any], bytes]
    refusal: bytes = codes.FAILURE_REPLY
    hold: Callable[[TyrantServer, Any], Hold] = lambda server, request: Hold.NONE


def fwmkeys(server: TyrantServer, request: FwmKeys) -> bytes:
    try:
        return codes.OK_REPLY + server.database.fwmkeys(request.prefix, request.maximum)
    except OverflowError:
        return FAILED_LIST


def sync(server: TyrantServer, request: None) -> bytes:
    return pack_sync_reply(_logged(server, Command.SYNC, server.database.sync()))


def optimize(server: TyrantServer, request: bytes) -> bytes:
    return pack_optimize_reply(server.database.optimize(request))


def vanish(server: TyrantServer, request: None) -> bytes:
    return pack_vanish_reply(_logged(server, Command.VANISH, server.database.vanish()))


def copy(server: TyrantServer, request: bytes) -> bytes:
    return pack_copy_reply(_logged(server, Command.COPY, server.database.copy(request)))


def restore(server: TyrantServer, request: Restore) -> bytes:
    """There is no update log to apply."""
    return pack_restore_reply(_logged(server, Command.RESTORE, False))


def setmst(server: TyrantServer, request: SetMaster) -> bytes:
    """There is no replication: no master can be set but none."""
    return pack_setmst_reply(_logged(server, Command.SETMST, not request.host))


def misc(server: TyrantServer, request: Misc) -> bytes:
    found = server.database.misc(request.name, request.items)
    return FAILED_LIST if found is None else codes.OK_REPLY + found


def _logged(server: TyrantServer, command: Command, done: bool) -> bool:
    if not done:
        server.note(command, Event.FAILED)
    return done


def _hold_all(server: TyrantServer, request: bytes) -> Hold:
    return Hold.ALL


def _hold_of_copy(server: TyrantServer, request: bytes) -> Hold:
    return Hold.NONE if server.database.in_memory else Hold.WRITERS


def _hold_of_misc(server: TyrantServer, request: Misc) -> Hold:
    return server.database.hold_of(request.name, request.items)


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


def serve_binary(connection: TyrantConnection, data: bytes | bytearray, pos: int) -> int:
    """Serve the whole request at `data[pos]`; where it ends."""
    code = data[pos + 1]
    if code == codes.STAT:
        _, end = _whole(read_stat, data, pos)
        _serve_stat(connection)
    elif code == codes.EXT:
        request, end = _whole(read_ext, data, pos)
        _serve_ext(connection, request)
    elif code == codes.REPL:
        request, end = _whole(read_repl, data, pos)
        _serve_repl(connection, request)
    else:
        row = COMMANDS[code]
        request, end = _whole(row.read, data, pos)
        _serve(connection, row, request)
    return end


def _whole(read: Reader[Any], data: bytes | bytearray, pos: int) -> tuple[Any, int]:
    result = read(data, pos)
    if isinstance(result, Incomplete):
        raise ProtocolError("the engine takes an incomplete request for a whole one")
    return result


def _serve(connection: TyrantConnection, row: Row, request: Any) -> None:
    server = connection.server
    if _is_refused(connection, row.command, row.group, row.refusal):
        return
    work = server.holding(row.hold(server, request), partial(row.run, server, request))
    connection.run(work, slow=True)


def _is_refused(
    connection: TyrantConnection, command: Command, group: Command, refusal: bytes
) -> bool:
    """Count a command, and answer it if the mask forbids it."""
    server = connection.server
    server.core.count(command)
    if server.log.info_wanted:
        server.note(command, Event.DOING)
    if not server.forbids(command, group, Command.ALLORG):
        return False
    server.note(command, Event.FORBIDDEN)
    connection.write(refusal)
    return True


def _serve_ext(connection: TyrantConnection, request: Ext) -> None:
    """Call a Lua function, if there is a script."""
    if _is_refused(connection, Command.EXT, Command.ALLORG, codes.FAILURE_REPLY):
        return
    if connection.server.scripts is None:
        connection.write(pack_ext_reply(None))
    else:
        connection.run_script(partial(_called, request))


def _called(request: Ext, script: TyrantScript) -> bytes:
    return pack_ext_reply(script.call(request.name, request.key, request.value, request.flags))


def _serve_stat(connection: TyrantConnection) -> None:
    """Answer with statistics; with the counts only where the mask forbids the rest."""
    server = connection.server
    server.core.count(Command.STAT)
    allowed = not server.forbids(Command.STAT, Command.ALLREAD, Command.ALLORG)
    if not allowed:
        server.note(Command.STAT, Event.FORBIDDEN)
    descriptor = connection.descriptor
    connection.run(lambda: pack_stat_reply(stat(server, descriptor, allowed)))


def _serve_repl(connection: TyrantConnection, request: Repl) -> None:
    """There is no update log to replicate: hang up."""
    connection.server.core.count(Command.REPL)
    connection.close()
