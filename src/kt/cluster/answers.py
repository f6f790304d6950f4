"""Requests of Kyoto Tycoon's clients, answered by databases on clusters: bytes in, bytes out.

::

    request (bytes) -- read_request --> value -- Session.answer --> Steps --> reply (bytes)

The protocols are those of kt-tycoon, binary and HTTP (RPC and REST). An operation that fails is
answered as kt-tycoon answers it; what is not known, or is not served, is raised: a client in the
same process raises it, too, and the gateway makes a reply of it by `refusal`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from kt.cluster.commands import Failure, Steps, at_home, not_here
from kt.cluster.contract import Cursor, Database
from kt.cluster.layout import XT_MAX
from kt.cluster.procedures import CURSOR_PROCEDURES, DATABASE_PROCEDURES, NOT_HERE, Columns
from kt.errors import KTError, ProtocolError
from kt.server.tycoon.values import date, http_date, integer
from kt.version import VERSION
from kt.wire.magic import GET_BULK, NEVER, NO_REPLY, PLAY_SCRIPT, REMOVE_BULK, SET_BULK
from kt.wire.reading import Buffer, Incomplete, Reader
from kt.wire.tycoon import (
    ERROR_REPLY,
    GetBulk,
    PlayScript,
    RemoveBulk,
    SetBulk,
    pack_get_bulk_reply,
    pack_remove_bulk_reply,
    pack_set_bulk_reply,
    read_get_bulk,
    read_play_script,
    read_remove_bulk,
    read_set_bulk,
)
from kt.wire.tycoon_rpc import (
    HttpRequest,
    decode_rpc,
    decode_url,
    pack_http_reply,
    pack_rpc_reply,
    read_http_request,
)

T = TypeVar("T")
R = TypeVar("R")

Request: TypeAlias = GetBulk | SetBulk | RemoveBulk | PlayScript | HttpRequest

_NAMES: Final[dict[type, bytes]] = {
    GetBulk: b"get_bulk",
    SetBulk: b"set_bulk",
    RemoveBulk: b"remove_bulk",
    PlayScript: b"play_script",
}
"""The procedures that binary requests amount to."""

CURSORS_MAX: Final = 1000
"""So many cursors may a session have."""

REQUEST_MAX: Final = (1 << 29) + (1 << 20)
"""Bytes that a request may have."""

_READERS: Final[dict[int, Reader[Any]]] = {
    GET_BULK: read_get_bulk,
    SET_BULK: read_set_bulk,
    REMOVE_BULK: read_remove_bulk,
    PLAY_SCRIPT: read_play_script,
}


def read_request(data: Buffer, pos: int) -> tuple[Request, int] | Incomplete[Request]:
    """A request of whatever kind. Raises `ProtocolError` for what is none."""
    first = data[pos]
    if first in _READERS:
        return _READERS[first](data, pos)
    if first == 0 or first >= 0x80:
        raise ProtocolError(f"no request begins with byte {first:#04x} in a cluster")
    return read_http_request(data, pos)


SINGLE: Final = frozenset(
    b"get set add replace append increment cas remove check seize".split()
    + b"get_bulk set_bulk remove_bulk void echo".split()
)
"""Procedures that are one round of commands."""


def is_rpc(request: Request) -> bool:
    """Tell whether it is a remote procedure call."""
    return isinstance(request, HttpRequest) and request.target.startswith(b"/rpc/")


def refusal(request: Request, error: KTError, stamp: bytes = b"") -> bytes:
    """The reply to a request whose answering has raised."""
    text = str(error).encode("utf-8", "replace")
    if not isinstance(request, HttpRequest):
        return ERROR_REPLY
    if is_rpc(request):
        return pack_answer(request, 503, {b"ERROR": text}, stamp)
    headers = [(b"X-Kt-Error", text.replace(b"\n", b" "))]
    return pack_http_reply(503, headers, keep_alive=request.keep_alive, stamp=stamp)


def pack_answer(request: HttpRequest, status: int, columns: Columns, stamp: bytes) -> bytes:
    """The reply to a call."""
    return pack_rpc_reply(
        status,
        columns.items(),
        keep_alive=request.keep_alive,
        stamp=stamp,
        bodiless=request.method == b"HEAD",
    )


def refuse_signals(columns: Columns) -> None:
    """Raise `Failure` if a call is to wait for a signal, or to send one."""
    if b"WAIT" in columns or b"SIGNAL" in columns:
        raise not_here("waiting for signals, which would reach one gateway only")


class Session:
    """What a client has to itself: its cursors.

    Args:
        databases: what it may use; by their index.
        facts: what `report` tells besides; None for a client in this process.
        stamp: makes the header lines that replies begin with.
        location: what comes before the path of a record that was stored by HTTP.
        refuses: why the client may not call a procedure, or use a method of HTTP; None: it may.
    """

    def __init__(
        self,
        databases: Sequence[Database],
        facts: Callable[[], dict[str, object]] = dict,
        stamp: Callable[[], bytes] = bytes,
        refuses: Callable[[bytes], str | None] = lambda name: None,
        location: bytes = b"",
    ) -> None:
        self._databases = databases
        self._facts = facts
        self._stamp = stamp
        self._refuses = refuses
        self._location = location
        self._cursors: dict[int, tuple[int, Cursor]] = {}

    def is_single(self, request: Request) -> bool:
        """Tell whether it is one round of commands, which leaves at once."""
        if isinstance(request, HttpRequest):
            return not is_rpc(request) or request.target[len(b"/rpc/") :] in SINGLE
        if isinstance(request, SetBulk):
            return len({db for db, *_ in request.records}) < 2
        return not isinstance(request, PlayScript) and len({db for db, _ in request.keys}) < 2

    def answer(self, request: Request) -> Steps[bytes]:
        """The reply; empty if there is none.

        Raises:
            KTError: whether the request has been carried out is not known, or it is not served.
        """
        if isinstance(request, HttpRequest):
            if is_rpc(request):
                return (yield from self._call(request))
            return (yield from self._rest(request))
        try:
            reply = yield from self._binary(request)
        except Failure:
            reply = ERROR_REPLY
        silent = request.flags & NO_REPLY and not isinstance(request, GetBulk)
        return b"" if silent else reply

    # Binary

    def _binary(self, request: GetBulk | SetBulk | RemoveBulk | PlayScript) -> Steps[bytes]:
        self._check(_NAMES[type(request)])
        if isinstance(request, GetBulk):
            return (yield from self._get(request))
        if isinstance(request, SetBulk):
            records: dict[int, list[tuple[bytes, bytes, int]]] = {}
            for db, key, value, xt in request.records:
                records.setdefault(db, []).append((key, value, xt))
            stored = yield from self._in_each(records, lambda db, those: db.set_many(those))
            return pack_set_bulk_reply(sum(stored.values()))
        if isinstance(request, RemoveBulk):
            keys = _grouped(request.keys)
            removed = yield from self._in_each(keys, lambda db, those: db.remove_many(those))
            return pack_remove_bulk_reply(sum(removed.values()))
        raise not_here(NOT_HERE[b"play_script"])

    def _check(self, name: bytes) -> None:
        """Let the client do what it may only."""
        if (why := self._refuses(name)) is not None:
            raise Failure(403, why)

    def _in_each(
        self, things: dict[int, list[T]], do: Callable[[Database, list[T]], Steps[R]]
    ) -> Steps[dict[int, R]]:
        """Do it in each database with what belongs there; raises `Failure` if one fails."""
        done = {}
        for number, those in things.items():
            if number < len(self._databases):
                done[number] = yield from at_home(number, do(self._databases[number], those))
        return done

    def _get(self, request: GetBulk) -> Steps[bytes]:
        keys = _grouped(request.keys)
        found = yield from self._in_each(keys, lambda db, those: db.get_many(those))
        each = {number: iter(records) for number, records in found.items()}
        records = []
        for db, key in request.keys:
            if db in each and (record := next(each[db])) is not None:
                records.append((db, key, *record))
        return pack_get_bulk_reply(records)

    def _numbered(self, number: int) -> Database:
        if number >= len(self._databases):
            raise Failure(400, "no such database")
        return self._databases[number]

    # RPC

    def _call(self, request: HttpRequest) -> Steps[bytes]:
        call = decode_rpc(request)
        assert call is not None
        status = 200
        try:
            columns = yield from self._procedure(*call)
        except Failure as failure:
            status, columns = failure.status, {b"ERROR": failure.text.encode("utf-8", "replace")}
        return pack_answer(request, status, columns, self._stamp())

    def _procedure(self, name: bytes, columns: Columns) -> Steps[Columns]:
        self._check(name)
        refuse_signals(columns)
        if name in NOT_HERE:
            raise not_here(NOT_HERE[name])
        if name in (b"void", b"echo"):
            return columns if name == b"echo" else {}
        if name == b"report":
            return (yield from self._report())
        if (on_database := DATABASE_PROCEDURES.get(name)) is not None:
            number = _database_number(columns.get(b"DB", b""))
            return (yield from at_home(number, on_database(self._numbered(number), columns)))
        if name == b"cur_delete":
            if self._cursors.pop(_cursor_number(columns), None) is None:
                raise Failure(501, "not implemented: cur_delete")  # as kt-tycoon says it
            return {}
        if (on_cursor := CURSOR_PROCEDURES.get(name)) is not None:
            home, cursor = self._cursor(columns)
            return (yield from at_home(home, on_cursor(cursor, columns)))
        raise Failure(501, f"not implemented: {name.decode('utf-8', 'replace')}")

    def _cursor(self, columns: Columns) -> tuple[int, Cursor]:
        """The cursor that the call names, and the index of its database."""
        number = _cursor_number(columns)
        if number < 0:
            raise Failure(400, "no such cursor")
        found = self._cursors.get(number)
        if found is None:
            if len(self._cursors) >= CURSORS_MAX:
                raise Failure(400, "too many cursors")
            home = _database_number(columns.get(b"DB", b""))
            if home >= len(self._databases):
                raise Failure(400, "no such cursor")
            found = self._cursors[number] = home, self._databases[home].cursor()
        return found

    def _report(self) -> Steps[Columns]:
        facts: dict[str, object] = {
            "conf_kt_version": f"{VERSION} (cluster)",
            "serv_proc_id": os.getpid(),
            "serv_current_time": f"{time.time():.6f}",
            **self._facts(),
        }
        total_count = total_size = 0
        for index, database in enumerate(self._databases):
            try:
                status = yield from at_home(index, database.status())
            except KTError as error:  # who asks wants to know what is wrong
                facts[f"db_{index}"] = f"path={database.settings} error={error}"
                continue
            count, size = int(status[b"count"]), int(status[b"size"])
            facts[f"db_{index}"] = f"count={count} size={size} path={database.settings}"
            total_count += count
            total_size += size
        facts.update(db_total_count=total_count, db_total_size=total_size)
        return {name.encode(): str(value).encode() for name, value in facts.items()}

    # REST

    def _rest(self, request: HttpRequest) -> Steps[bytes]:
        path = request.target.partition(b"?")[0].removeprefix(b"/")
        name, slash, key = path.partition(b"/")
        expression, key = (decode_url(name), key) if slash else (b"", path)
        key = decode_url(key.removeprefix(b"/") if slash else key)
        body: bytes | None = b""
        try:
            number = _database_number(expression)
            self._check(request.method)
            steps = self._method(self._numbered(number), key, request)
            status, headers, body = yield from at_home(number, steps)
        except Failure as failure:
            status = 404 if failure.status == 450 and request.method != b"PUT" else failure.status
            headers = [(b"X-Kt-Error", failure.text.encode("utf-8", "replace"))]
            if status == 400:
                headers, body = [], failure.text.encode() + b"\n"
            if status == 501:
                headers = []
            if request.method == b"HEAD":
                headers.append((b"Content-Length", b"0"))
        if request.method == b"HEAD":
            body = None
        stamp = self._stamp()
        return pack_http_reply(status, headers, body, keep_alive=request.keep_alive, stamp=stamp)

    def _method(
        self, db: Database, key: bytes, request: HttpRequest
    ) -> Steps[tuple[int, list[tuple[bytes, bytes]], bytes | None]]:
        method = request.method
        if method == b"GET":
            value, xt = yield from db.get(key)
            return 200, list(_expiry(xt)), value
        if method == b"HEAD":
            size, xt = yield from db.check(key)
            return 200, [*_expiry(xt), (b"Content-Length", b"%d" % size)], None
        if method == b"PUT":
            given = date(request.headers.get(b"x-kt-xt", b""))
            xt = -given if given is not None and 0 < given < XT_MAX else NEVER
            mode = request.headers.get(b"x-kt-mode", b"").lower()
            store = {b"add": db.add, b"replace": db.replace}.get(mode, db.set)
            yield from store(key, request.body, xt)
            return 201, [(b"Location", self._location + request.target)], b""
        if method == b"DELETE":
            yield from db.remove(key)
            return 204, [], None
        raise Failure(501, f"not implemented: {method.decode('utf-8', 'replace')}")


def _grouped(keys: list[tuple[int, bytes]]) -> dict[int, list[bytes]]:
    """By the number of the database, in their order."""
    grouped: dict[int, list[bytes]] = {}
    for db, key in keys:
        grouped.setdefault(db, []).append(key)
    return grouped


def _expiry(xt: int) -> Iterator[tuple[bytes, bytes]]:
    if xt < XT_MAX:
        yield b"X-Kt-Xt", http_date(xt)


def _database_number(expression: bytes) -> int:
    """The index of a database; one that there is not, for anything else."""
    if not expression:
        return 0
    if not expression[:1].isdigit():
        return 1 << 62
    return integer(expression) & 0xFFFFFFFF  # as the original, which keeps 32 bits of it


def _cursor_number(columns: Columns) -> int:
    number = columns.get(b"CUR", b"")
    return integer(number) if number[:1].isdigit() else -1
