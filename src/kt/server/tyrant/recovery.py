"""A database that comes back (``-durable process``): the update log, carried out anew.

A command is in the file of the log before it is answered, so a killed process takes nothing of what
was acknowledged. At the start commands are carried out in their order: quick ones natively and in
batches (protocol/replay.h), others one by one. Those that had failed are carried out, too, and fail
again. Then only is the database told to write the log.

A database in memory begins empty, and with the log's first command; a file with the one that comes
after its last *point* (storage/undo_log.h): that is in the file, and what came later was undone
when it was opened. Until all is carried out, nothing of it stays in the file, so a kill in the
middle of that costs nothing but time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kt.errors import ImproperlyConfigured, ProtocolError
from kt.server.checkpoint_file import refuse_another
from kt.server.engines.log._log import BROKEN, MORE
from kt.server.engines.tokyo._engine import Database, End, Next, Replay
from kt.server.history import History
from kt.server.log_place import LogPlace
from kt.server.progress import Progress
from kt.server.session import Journal
from kt.server.tyrant.applying import Applier
from kt.server.tyrant.binary import carry_out
from kt.server.tyrant.service import TyrantService
from kt.wire import tyrant_commands as codes
from kt.wire.log.tyrant import READING, Record
from kt.wire.tyrant import SYNC_REQUEST

BYTES_AT_ONCE: Final = 4 << 20
FORGET: Final = "start once with -durable forget"
NOBODY: Final = 0xFFFFFFFF
"""A number that no server has: none of its commands are left out."""

_HEAD: Final = codes.UPDATE_HEAD


def begin_log(history: History) -> None:
    """Before a file is to be kept: let its log have something, by which its mark can know it.

    An empty one is like any other. What it gets is a command that changes nothing.

    Raises:
        ImproperlyConfigured: it cannot be written.
    """
    if LogPlace(*history.log.place()).first:
        return
    history.log.append(history.server, 0, SYNC_REQUEST + b"\0")
    if not history.log.flush():
        raise ImproperlyConfigured(f"the update log cannot be written: {history.log.trouble()}")


class Recovery:
    """Brings a database back. It is empty, or as it was at its last point; it writes no log yet.

    Args:
        database: which.
        history: the update log.
        log: the server's.
    """

    def __init__(self, database: Database, history: History, log: Journal) -> None:
        self._database = database
        self._history = history
        self._log = log
        self._applier = Applier(TyrantService(database, log), carry_out)
        self._replay = Replay(database, 0)
        self._place = (0, 0)
        self._progress = Progress(log, "commands carried out")
        self._differences = self._first = 0

    def run(self, check: Callable[[], None]) -> None:
        """Carry out all that there is.

        Args:
            check: called now and then; may raise to end it.

        Raises:
            ImproperlyConfigured: the log is damaged, or has not everything.
        """
        since = self._database.since
        refuse_another(
            self._database.name.partition("#")[0],
            LogPlace(*self._database.log_then),
            self._history,
            FORGET,
            all_there=False,
        )
        behind = f" after {since}" if since else ""
        self._log.system(f"carrying out the update log: {self._history.directory}{behind}")
        try:
            self._read(check)
        except (OSError, ProtocolError) as error:
            give_up = (
                f"{FORGET} to go on without what only the log has"
                if since
                else "move it away to begin with an empty database"
            )
            raise ImproperlyConfigured(
                f"the database does not come back from the update log: {error}. Mend the log "
                f"(`kt log verify` says more), or {give_up}"
            ) from None
        self._progress.end()
        if self._differences:
            why = (
                ""
                if self._database.since
                else (": the log may have commands of servers that began empty, without -durable")
            )
            self._log.error(
                f"{self._differences} commands turned out otherwise than they did, the first one at"
                f" {self._first}{why}"
            )

    def _read(self, check: Callable[[], None]) -> None:
        since = self._database.since
        reader = self._history.reader(since + 1, NOBODY)
        if not since and min(self._history.log.files(), default=1) != 1:
            raise ProtocolError("its first files have been removed")
        rest, state = b"", MORE
        while state == MORE:
            state, frames = reader.read(BYTES_AT_ONCE)
            if since and reader.incomplete:
                raise ProtocolError("files that came after it have been removed")
            rest = self._carry_out(rest + frames, check)
        if state == BROKEN:
            raise ProtocolError(reader.trouble)
        if rest:
            raise ProtocolError(f"{len(rest)} bytes at its end are no command")

    def _carry_out(self, data: bytes, check: Callable[[], None]) -> bytes:
        """Do all that is there as a whole; what is left."""
        at = 0
        while True:
            following, size, count, self._place, _ = self._replay.plan(data, at, self._place)
            if count:
                self._batch()
            at += size
            self._progress.add(count)
            if following == Next.MORE:
                return data[at:]
            if following != Next.BATCH:
                at = self._alone(data, at)
            check()

    def _batch(self) -> None:
        end, _, differences, first = self._replay.carry_out(0, False)
        self._differ(differences, first)
        if end == End.REFUSED:
            raise ImproperlyConfigured(
                "the update log cannot be carried out, because the database fails: "
                f"{self._database.error_text}. Make room on the disk if that is full"
            )

    def _alone(self, data: bytes, at: int) -> int:
        """Do a command that is rare; where the next one is."""
        stamp: int
        size: int
        _, stamp, server, size = _HEAD.unpack_from(data, at)
        begin = at + _HEAD.size
        record = Record(stamp, server, 0, data[begin : begin + size])
        if not _only_reads(record.command) and not self._applier.apply(record):
            self._differ(1, stamp)
        self._progress.add(1)
        return begin + size

    def _differ(self, count: int, stamp: int) -> None:
        if count and not self._differences:
            self._first = stamp
        self._differences += count


def _only_reads(command: bytes) -> bool:
    """Whether a command can be left out: it changes nothing, and may take long."""
    if command[:2] != bytes((codes.MAGIC, codes.MISC)):
        return False
    size = int.from_bytes(command[2:6], "big")
    return command[10 : 10 + size].lstrip(b"@%") in READING
