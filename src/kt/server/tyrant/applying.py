"""Commands from an update log, carried out in kt-tyrant's database.

A command of the log is a request and one byte that says whether it failed. It is carried out as a
client's would be, but for the mask; our own log gets it with the numbers of the servers that it
came from. Commands that had failed are carried out, too: they fail again, or something is wrong.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from kt.errors import ProtocolError
from kt.server.engines.tokyo._engine import BinaryCore, State, come_from
from kt.server.log_files import TYRANT, LogFiles
from kt.server.tyrant.service import TyrantService
from kt.wire import tyrant_commands as codes
from kt.wire.log.tyrant import Record, decode_command

AGAIN: Final = int(State.AGAIN)
COMMAND: Final = int(State.COMMAND)
MORE: Final = int(State.MORE)

LOGGED: Final = frozenset(
    (
        *(codes.PUT, codes.PUTKEEP, codes.PUTCAT, codes.PUTSHL, codes.OUT),
        *(codes.ADDINT, codes.ADDDOUBLE),
        *(codes.SYNC, codes.OPTIMIZE, codes.VANISH, codes.MISC),
    )
)
"""The commands that a log may have."""

COUNTED: Final = (codes.ADDINT, codes.ADDDOUBLE)
"""Commands whose success says nothing where they had failed: there may be a number by now."""


class Applier:
    """Carries out commands. For one thread at a time, a worker's: any of them may take long.

    Args:
        service: of the database.
        carry_out: answers a request that the engine's stream leaves to Python.
    """

    def __init__(
        self, service: TyrantService, carry_out: Callable[[TyrantService, bytes], bytes]
    ) -> None:
        self._service = service
        self._carry_out = carry_out
        self._core = BinaryCore(service.database)

    def apply(self, record: Record) -> bool:
        """Carry out a command; whether it has turned out as it did before.

        Raises:
            ProtocolError: it is no command.
        """
        command = record.command
        if len(command) < 3 or command[0] != codes.MAGIC or command[1] not in LOGGED:
            raise ProtocolError(f"the update log has no command at {record.stamp}")
        decode_command(record)  # before anything is done: it is one, and ends where it has to
        failed = command[-1] != 0
        request = command[:-1]
        if request[1] == codes.MISC:
            request = request[:6] + bytes(4) + request[6:]  # the log leaves out the flags
        come_from(record.sid, record.mid)
        try:
            reply = self._reply(request)
        finally:
            come_from(0, 0)
        fails = reply[:1] != codes.OK_REPLY
        return fails == failed or (failed and request[1] in COUNTED)

    def _reply(self, request: bytes) -> bytes:
        stream = self._core.stream()
        state, at, _, part = stream.feed(request, wait=True)
        reply = bytes(part)
        while state == AGAIN and at < len(request):
            state, more, _, part = stream.feed(request, at, wait=True)
            at += more
            reply += bytes(part)
        if state == COMMAND:
            return self._carry_out(self._service, request)
        if at < len(request) or stream.in_list or not reply:
            raise ProtocolError(f"{len(request)} bytes that are no command: {request[:20]!r}")
        return reply


def restore_from(
    service: TyrantService, applier: Applier, directory: str, since: int, consistent: bool
) -> bool:
    """Carry out what is in a directory of log files.

    Args:
        service: of the database.
        applier: does it.
        directory: must not be that of our own log, which would get everything anew.
        since: stamp before which commands are left out, in microseconds since the epoch.
        consistent: stop at the first command that does not turn out as it did before.

    Returns:
        False if it is not there, is damaged, or something turned out otherwise and had not to.
    """
    history = service.history
    try:
        if history is not None and os.path.samefile(directory, history.directory):
            service.log.error(f"an update log cannot be restored into itself: {directory}")
            return False
        files = LogFiles(directory, TYRANT)
        for record in files.records():
            if record.stamp < since or applier.apply(record):
                continue
            service.log.error(f"detected inconsistency: ts={record.stamp} sid={record.sid}")
            if consistent:
                return False
        trouble = files.torn
    except (OSError, ProtocolError) as error:
        trouble = str(error)
    if trouble:
        service.log.error(f"restoring from {directory} ended: {trouble}")
    return not trouble
