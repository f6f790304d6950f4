"""Kyoto Tycoon's remote procedure calls, from the request to the reply.

A call goes through these stages, each at once, or as work for a thread where it may take long;
meanwhile its session serves nothing else::

    columns ----> wait ----------> run ------------> signal -----> pack
    of a large    WAIT, WAITTIME:  the procedure     SIGNAL,       a large reply
    body: thread  no thread        by its `Pace`     SIGNALBROAD   in a thread

A wait that times out ends the call: nothing runs, and nothing is signalled. A procedure that fails
signals all the same.

=======================================================  ======  ================================
outcome                                                  status  column ERROR
=======================================================  ======  ================================
the procedure ran                                        200     none
parameters are missing, no such database or cursor       400     what is wrong
the client may not do this                               403     likewise
the record is not as the procedure needs it              450     ``DB: CODE: NAME: MESSAGE``
the engine failed                                        500     likewise
no such procedure, or the database's type has it not     501     likewise, or its name
the wait timed out                                       503     ``the condition timed out``
=======================================================  ======  ================================
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any, Final, NamedTuple

from kt.server.engines import EngineError, LargeValue
from kt.server.engines.kyoto._engine import Code, Cursor, Database
from kt.server.session import Await, Rights
from kt.server.tycoon.answering import Answering
from kt.server.tycoon.large import (
    LARGE_VALUE,
    MANY_COLUMNS,
    Packed,
    decode_large_rpc,
    is_large,
    pack_large_rpc_reply,
    pack_packed_rpc_reply,
    take_records,
)
from kt.server.tycoon.procedures import (
    CURSOR_PROCEDURES,
    SERVER_PROCEDURES,
    Columns,
    Pace,
    Procedure,
    Refused,
)
from kt.server.tycoon.rights import NEEDED, SHUT_TO, refusal
from kt.server.tycoon.scripts import DISABLED, PLAY_SCRIPT
from kt.server.tycoon.values import integer, real
from kt.wire.tycoon_rpc import HttpRequest, decode_rpc, pack_rpc_reply

RPC_PATH: Final = b"/rpc/"

LARGE_BODY: Final = 1 << 17
"""A body of more bytes is decoded in a worker thread."""

MAX_CURSORS: Final = 1000
"""So many cursors may a connection have."""

WAIT_SECONDS: Final = 30.0
"""How long a call waits that does not say."""

STATUSES: Final[dict[int, int]] = {
    Code.NOIMPL: 501,
    Code.DUPREC: 450,
    Code.NOREC: 450,
    Code.LOGIC: 450,
}
"""What the engine's failures are answered with; others are the server's fault: 500."""

OTHER_PROCEDURES: Final = {*CURSOR_PROCEDURES, *SERVER_PROCEDURES, b"play_script", b"cur_delete"}
"""Procedures that work on no database."""


class Outcome(NamedTuple):
    """What came of running a procedure.

    Attributes:
        status: of the reply.
        columns: of the reply.
        ran: whether the procedure got as far as the engine.
        total: how many operations it counts as.
    """

    status: int
    columns: Columns
    ran: bool = True
    total: int = 1


def run(procedure: Procedure[Any], target: Any, columns: Columns) -> Outcome:
    """Run a procedure on what it works on, in any thread."""
    total = sum(name[:1] == b"_" for name in columns) if procedure.bulk else 1
    try:
        return Outcome(200, procedure.run(target, columns), total=total)
    except Refused as refusal:
        return Outcome(refusal.status, {b"ERROR": refusal.message}, refusal.status != 400, total)
    except EngineError as error:
        status = STATUSES.get(error.code, 500)
        message = str(error).encode("utf-8", "surrogateescape")
        return Outcome(status, {b"ERROR": message}, total=total)


def run_at_once(procedure: Procedure[Any], target: Any, columns: Columns) -> Outcome | None:
    """As `run`, in a thread that hurries; None if it is for a worker thread."""
    try:
        return run(procedure, target, columns)
    except LargeValue:
        return None


def run_slowly(procedure: Procedure[Any], target: Any, columns: Columns) -> Outcome:
    """As `run`, in a worker thread; takes the records out of `columns`."""
    outcome = run(procedure, target, columns)
    if outcome.columns is not columns:
        take_records(columns)
    return outcome


class Call:
    """One call.

    Args:
        session: where it came from.
        request: what came.
    """

    __slots__ = ("_columns", "_large", "_name", "_request", "_service", "_session")

    def __init__(self, session: Answering, request: HttpRequest) -> None:
        self._session = session
        self._service = session.service
        self._request = request
        self._name = b""
        self._large = len(request.body) > LARGE_VALUE
        self._columns: Columns = {}

    def begin(self) -> None:
        """Take the first stage."""
        request = self._request
        if len(request.body) > LARGE_BODY:
            self._request = request._replace(body=b"")  # it is let go of once it is decoded
            self._session.in_thread(partial(decode_large_rpc, request), self._decoded)
        else:
            self._decoded(decode_rpc(request))

    def _decoded(self, call: tuple[bytes, Columns] | None) -> None:
        assert call is not None  # the target begins with RPC_PATH
        self._name, self._columns = call
        self._session.command = self._command()
        refused = refusal(NEEDED.get(self._name, Rights.NONE), self._session.rights)
        if refused is not None:
            self._reply(403, {b"ERROR": refused})
            return
        if self._service.shut and self._name in SHUT_TO:
            self._reply(503, {b"ERROR": self._service.shut.encode()})
            return
        condition = self._columns.get(b"WAIT")
        if condition is None:
            self._run()
            return
        seconds = real(self._columns.get(b"WAITTIME", b""))
        enter = partial(self._service.signals.wait, condition)
        seconds = seconds if seconds > 0 else WAIT_SECONDS
        self._session.work = Await(enter, seconds, self._waited)

    def _waited(self, signalled: bool) -> None:
        self._session.began = perf_counter()  # it was the client that wanted to wait
        if signalled:
            self._run()
        else:
            self._reply(503, {b"ERROR": b"the condition timed out"})

    def _command(self) -> str:
        """What the report calls it."""
        name = self._name
        known = name in self._service.procedures or name in OTHER_PROCEDURES
        return f"rpc_{name.decode()}" if known else "rpc_unknown"

    def _run(self) -> None:
        if self._name == b"play_script":
            self._play_script()
            return
        with self._service.turn:  # to make or close a cursor is to enter the engine
            waits = b"CUR" in self._columns and self._service.engine_may_block
            found = None if waits else self._find()
        if found is None:
            self._session.in_thread(self._find, self._run_found)
        else:
            self._run_found(found)

    def _run_found(self, found: Outcome | tuple[Procedure[Any], Any]) -> None:
        if isinstance(found, Outcome):
            self._finish(found, None)
            return
        procedure, target = found
        columns = self._columns
        pace = Pace.QUICK if procedure.pace is None else procedure.pace(columns)
        with self._service.turn:
            quick = pace == Pace.QUICK and not (self._large or self._service.engine_may_block)
            outcome = run_at_once(procedure, target, columns) if quick else None
        if outcome is not None:
            self._finish(outcome, procedure)
            return
        work: Callable[[], Outcome] = partial(run_slowly, procedure, target, columns)
        if pace == Pace.EXCLUSIVE:
            work = self._service.exclusively(work)
        self._session.in_thread(work, lambda outcome: self._finish(outcome, procedure))

    def _play_script(self) -> None:
        if not self._service.has_scripts:
            self._finish(Outcome(501, {b"ERROR": DISABLED}, False), None)
            return
        self._session.in_script(
            lambda script: run(PLAY_SCRIPT, script, self._columns),
            lambda outcome: self._finish(outcome, PLAY_SCRIPT),
        )

    def _find(self) -> Outcome | tuple[Procedure[Any], Any]:
        """The procedure, and what it works on; or what came of the call if that is all of it."""
        if self._name == b"cur_delete" and self._delete_cursor():
            return Outcome(200, {})
        try:
            return self._resolve()
        except Refused as refusal:
            return Outcome(refusal.status, {b"ERROR": refusal.message}, False)

    def _resolve(self) -> tuple[Procedure[Any], Any]:
        """The procedure, and what it works on. Raises `Refused`."""
        name = self._name
        database = self._service.database(self._columns.get(b"DB", b""))
        cursor = self._cursor(database)
        if (on_database := self._service.procedures.get(name)) is not None:
            if database is None:
                raise Refused(400, b"no such database")
            return on_database, database
        if (on_cursor := CURSOR_PROCEDURES.get(name)) is not None:
            if cursor is None:
                raise Refused(400, b"no such cursor")
            return on_cursor, cursor
        if (on_server := SERVER_PROCEDURES.get(name)) is not None:
            return on_server, self._service
        raise Refused(501, b"not implemented: " + name.partition(b"\0")[0])

    def _cursor_number(self) -> int | None:
        number = self._columns.get(b"CUR", b"")
        return integer(number) if number[:1].isdigit() else None

    def _cursor(self, database: Database | None) -> Cursor | None:
        """The cursor that the call names, which makes it if there is none."""
        number = self._cursor_number()
        if number is None:
            return None
        cursors = self._session.cursors
        cursor = cursors.get(number)
        if cursor is None and database is not None:
            if len(cursors) >= MAX_CURSORS:
                raise Refused(400, b"too many cursors")
            cursor = cursors[number] = database.cursor()
        return cursor

    def _delete_cursor(self) -> bool:
        number = self._cursor_number()
        cursor = None if number is None else self._session.cursors.pop(number, None)
        if cursor is not None:
            cursor.close()
        return cursor is not None

    def _finish(self, outcome: Outcome, procedure: Procedure[Any] | None) -> None:
        """Count, signal and reply."""
        if self._service.shut and self._name in SHUT_TO:  # since it began
            outcome = Outcome(503, {b"ERROR": self._service.shut.encode()}, False)
        if procedure is not None and outcome.ran:
            self._count(outcome, procedure)
        if outcome.status == 500:
            self._service.failed(self._name, outcome.columns[b"ERROR"])
        condition = self._columns.get(b"SIGNAL")
        if condition is not None:
            everyone = b"SIGNALBROAD" in self._columns
            waited = self._service.signals.send(condition, everyone=everyone)
            outcome.columns[b"SIGNALED"] = b"%d" % waited
        self._reply(outcome.status, outcome.columns)

    def _count(self, outcome: Outcome, procedure: Procedure[Any]) -> None:
        total, misses = outcome.total, int(outcome.status != 200)
        if procedure.bulk:
            misses = total - int(outcome.columns.get(b"num", b"0"))
        counts = self._service.counts
        for kind in procedure.counts:
            counts[kind] += total
            if misses and f"{kind}_misses" in counts:
                counts[f"{kind}_misses"] += misses

    def _reply(self, status: int, columns: Columns) -> None:
        request = self._request
        bodiless = request.method == b"HEAD"
        stamp, keep_alive = self._service.stamp, request.keep_alive
        if isinstance(columns, Packed):
            replies = pack_packed_rpc_reply(
                status, columns, keep_alive=keep_alive, stamp=stamp, bodiless=bodiless
            )
            self._session.answer(request, status, *replies)
            return
        if len(columns) <= MANY_COLUMNS and not is_large(columns):
            reply = pack_rpc_reply(
                status, columns.items(), keep_alive=keep_alive, stamp=stamp, bodiless=bodiless
            )
            self._session.answer(request, status, reply)
            return
        self._session.in_thread(
            lambda: pack_large_rpc_reply(
                status, columns, keep_alive=keep_alive, stamp=stamp, bodiless=bodiless
            ),
            lambda replies: self._session.answer(request, status, *replies),
        )
