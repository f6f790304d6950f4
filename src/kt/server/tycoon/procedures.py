"""The procedures of Kyoto Tycoon's RPC, one function each, by the names that they have there.

Every function takes what it works on and the columns of the request, and returns the columns of the
reply. It raises `Refused`, or lets the engine's `EngineError` through; `rpc` makes statuses
and ``ERROR`` columns of both, counts, waits and signals. The tables at the end say which of three
things a procedure works on: the server, a database or a cursor.

Where the behaviour comes from: Kyoto Tycoon's protocol specification, and recorded traffic of the
original server where that says nothing (docs/conformance.md).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from enum import IntEnum
from itertools import pairwise
from math import inf
from typing import Final, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from kt.server.engines.kyoto._engine import (
    NEVER,
    XT_MAX,
    Cursor,
    Database,
)
from kt.server.history import History, begins_after, file_states
from kt.server.tycoon.large import MANY_COLUMNS, Packed, pieces
from kt.server.tycoon.replication.following import Following
from kt.server.tycoon.replication.mastership import EPOCH_MAX, Mastership, lease_clock
from kt.server.tycoon.replication.quorum import Quorum
from kt.server.tycoon.values import integer, real
from kt.wire.columns import REPLY_PLAIN_MAX

Columns: TypeAlias = dict[bytes, bytes]
T = TypeVar("T")

INT64_MIN: Final = -(1 << 63)
INT64_MAX: Final = (1 << 63) - 1

MANY_RECORDS: Final = 1000
"""Bulk procedures with more columns than this run in a worker thread."""

MANY_AHEAD: Final = 1000
"""A cursor gives no more records in one reply."""

AHEAD_BYTES: Final = 256 * 1024
"""It gives no more once they have so many bytes."""


PORT_MAX: Final = 65535
ADDRESS_MAX: Final = 512
"""Bytes of the address of a master."""
MASTER_PORT: Final = 1978

MILLISECOND: Final = 10**6
"""Nanoseconds; stamps count changes within one."""

DAY: Final = 86_400 * 10**9
"""Nanoseconds; a stamp that is so far ahead of our clock cannot be one of the master's."""


class Refused(Exception):
    """The procedure does not run.

    Attributes:
        status: the HTTP status to answer.
        message: the ``ERROR`` column.
    """

    def __init__(self, status: int, message: bytes) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message


INVALID: Final = b"invalid parameters"


def _needed(columns: Columns, name: bytes) -> bytes:
    value = columns.get(name)
    if value is None:
        raise Refused(400, INVALID)
    return value


def _xt(columns: Columns) -> int:
    text = columns.get(b"xt")
    return NEVER if text is None else integer(text)


def _limit(columns: Columns) -> int:
    text = columns.get(b"max")
    return -1 if text is None else integer(text)


def _value_and_xt(value: bytes, xt: int) -> Columns:
    columns = {b"value": value}
    if xt < XT_MAX:
        columns[b"xt"] = b"%d" % xt
    return columns


# On a database: one record


def set_(db: Database, columns: Columns) -> Columns:
    db.set(_needed(columns, b"key"), _needed(columns, b"value"), _xt(columns))
    return {}


def add(db: Database, columns: Columns) -> Columns:
    db.add(_needed(columns, b"key"), _needed(columns, b"value"), _xt(columns))
    return {}


def replace(db: Database, columns: Columns) -> Columns:
    db.replace(_needed(columns, b"key"), _needed(columns, b"value"), _xt(columns))
    return {}


def append(db: Database, columns: Columns) -> Columns:
    db.append(_needed(columns, b"key"), _needed(columns, b"value"), _xt(columns))
    return {}


def increment(db: Database, columns: Columns) -> Columns:
    key, number = _needed(columns, b"key"), integer(_needed(columns, b"num"))
    origin = columns.get(b"orig", b"0")
    extremes = {b"try": INT64_MIN, b"set": INT64_MAX}
    start = extremes[origin] if origin in extremes else integer(origin)
    return {b"num": b"%d" % db.increment(key, number, start, _xt(columns))}


def increment_double(db: Database, columns: Columns) -> Columns:
    key, number = _needed(columns, b"key"), real(_needed(columns, b"num"))
    origin = columns.get(b"orig", b"0")
    extremes = {b"try": -inf, b"set": inf}
    start = extremes[origin] if origin in extremes else real(origin)
    return {b"num": b"%f" % db.increment_double(key, number, start, _xt(columns))}


def cas(db: Database, columns: Columns) -> Columns:
    db.cas(_needed(columns, b"key"), columns.get(b"oval"), columns.get(b"nval"), _xt(columns))
    return {}


def remove(db: Database, columns: Columns) -> Columns:
    db.remove(_needed(columns, b"key"))
    return {}


def get(db: Database, columns: Columns) -> Columns:
    return _value_and_xt(*db.get(_needed(columns, b"key")))


def check(db: Database, columns: Columns) -> Columns:
    size, xt = db.check(_needed(columns, b"key"))
    reply = {b"vsiz": b"%d" % size}
    if xt < XT_MAX:
        reply[b"xt"] = b"%d" % xt
    return reply


def seize(db: Database, columns: Columns) -> Columns:
    return _value_and_xt(*db.seize(_needed(columns, b"key")))


# On a database: many records. Their keys are the names of the columns that begin with ``_``.


def set_bulk(db: Database, columns: Columns) -> Columns:
    xt = _xt(columns)
    records = {name[1:]: value for name, value in columns.items() if name[:1] == b"_"}
    if b"atomic" in columns:
        stored = db.set_bulk(records, xt, True)
    else:
        stored = sum(db.set_bulk(dict(piece), xt) for piece in pieces(records.items()))
    return {b"num": b"%d" % stored}


def remove_bulk(db: Database, columns: Columns) -> Columns:
    keys = (name[1:] for name in columns if name[:1] == b"_")
    if b"atomic" in columns:
        removed = db.remove_bulk(keys, True)
    else:
        removed = sum(map(db.remove_bulk, pieces(keys)))
    return {b"num": b"%d" % removed}


def get_bulk(db: Database, columns: Columns) -> Columns:
    keys = (name[1:] for name in columns if name[:1] == b"_")
    atomic = b"atomic" in columns
    reply: Columns = {}
    for piece in [list(keys)] if atomic else pieces(keys):
        for key, value in db.get_bulk(piece, atomic).items():
            reply[b"_" + key] = value
    reply[b"num"] = b"%d" % len(reply)
    return reply


def _matches(keys: list[bytes]) -> Columns:
    reply = {b"_" + key: b"%d" % rank for rank, key in enumerate(keys)}
    reply[b"num"] = b"%d" % len(keys)
    while keys:  # destroyed in one go they would hold up the event loop
        del keys[-MANY_RECORDS:]
    return reply


def match_prefix(db: Database, columns: Columns) -> Columns:
    prefix, limit = _needed(columns, b"prefix"), _limit(columns)
    found = db.match_prefix_packed(prefix, limit, MANY_COLUMNS, REPLY_PLAIN_MAX)
    if isinstance(found, list):
        return _matches(found)
    number, packed = found
    return Packed(*packed, {b"num": b"%d" % number})


def match_regex(db: Database, columns: Columns) -> Columns:
    return _matches(db.match_regex(_needed(columns, b"regex"), _limit(columns)))


def match_similar(db: Database, columns: Columns) -> Columns:
    origin = _needed(columns, b"origin")
    distance = integer(columns.get(b"range", b"1"))
    if distance < 0:
        distance = 1
    return _matches(db.match_similar(origin, distance, b"utf" in columns, _limit(columns)))


# On a database: all of it


def status(db: Database, columns: Columns) -> Columns:
    return db.status()


def clear(db: Database, columns: Columns) -> Columns:
    db.clear()
    return {}


def vacuum(db: Database, columns: Columns) -> Columns:
    db.vacuum(integer(columns.get(b"step", b"0")))
    return {}


# On a cursor


def cur_jump(cursor: Cursor, columns: Columns) -> Columns:
    cursor.jump(columns.get(b"key"))
    return {}


def cur_jump_back(cursor: Cursor, columns: Columns) -> Columns:
    cursor.jump_back(columns.get(b"key"))
    return {}


def cur_step(cursor: Cursor, columns: Columns) -> Columns:
    cursor.step()
    return {}


def cur_step_back(cursor: Cursor, columns: Columns) -> Columns:
    cursor.step_back()
    return {}


def cur_set_value(cursor: Cursor, columns: Columns) -> Columns:
    cursor.set_value(_needed(columns, b"value"), _xt(columns), b"step" in columns)
    return {}


def cur_remove(cursor: Cursor, columns: Columns) -> Columns:
    cursor.remove()
    return {}


def cur_get_key(cursor: Cursor, columns: Columns) -> Columns:
    if b"max" in columns and b"step" in columns:
        return _ahead(cursor, columns, values=False)
    return {b"key": cursor.get_key(b"step" in columns)}


def _ahead(cursor: Cursor, columns: Columns, *, values: bool) -> Columns:
    """Several records, which the original server does not give: it takes ``max`` for nothing."""
    limit = min(max(_limit(columns), 1), MANY_AHEAD)
    return Packed(*cursor.take_ahead(limit, AHEAD_BYTES, values), {})


def cur_get_value(cursor: Cursor, columns: Columns) -> Columns:
    return {b"value": cursor.get_value(b"step" in columns)}


def cur_get(cursor: Cursor, columns: Columns) -> Columns:
    if b"max" in columns and b"step" in columns:
        return _ahead(cursor, columns, values=True)
    key, value, xt = cursor.get(b"step" in columns)
    return {b"key": key, **_value_and_xt(value, xt)}


def cur_seize(cursor: Cursor, columns: Columns) -> Columns:
    key, value, xt = cursor.seize()
    return {b"key": key, **_value_and_xt(value, xt)}


# On the server


class Reporting(Protocol):
    """What these procedures need of a server."""

    @property
    def report(self) -> Callable[[], Columns]: ...

    @property
    def history(self) -> History | None: ...

    @property
    def following(self) -> Following | None: ...

    @property
    def mastership(self) -> Mastership | None: ...

    @property
    def quorum(self) -> Quorum | None: ...


def void(server: Reporting, columns: Columns) -> Columns:
    return {}


def echo(server: Reporting, columns: Columns) -> Columns:
    return columns


def report(server: Reporting, columns: Columns) -> Columns:
    return server.report()


def tune_replication(server: Reporting, columns: Columns) -> Columns:
    """Follow another master, none without ``host``, or go on from another stamp."""
    if server.following is None:
        raise Refused(501, b"the RTS file is not set")
    port = integer(columns.get(b"port", b""))
    if port > PORT_MAX:
        raise Refused(400, b"no such port: %d" % port)
    try:
        server.following.tune(
            columns.get(b"host", b"").decode("utf-8", "surrogateescape"),
            port if port > 0 else MASTER_PORT,
            stamp=_stamp(columns.get(b"ts")),
            interval=max(real(columns[b"iv"]), 0.0) if b"iv" in columns else None,
            read_only=columns[b"ro"] != b"0" if b"ro" in columns else None,
            copy=columns.get(b"copy", b"0") != b"0",
        )
    except OSError as error:
        raise Refused(500, f"the time stamp cannot be written: {error}".encode()) from None
    if columns.get(b"host") and server.quorum is not None and server.history is not None:
        server.history.call(server.quorum.drop)
    return {}


def promote(server: Reporting, columns: Columns) -> Columns:
    """Make an independent server of a slave; the original server has no such procedure."""
    if server.following is None:
        raise Refused(501, b"the RTS file is not set")
    epoch = integer(columns[b"epoch"]) if b"epoch" in columns else None
    try:
        return {b"ts": b"%d" % server.following.promote(epoch)}
    except ValueError as error:
        raise Refused(450, str(error).encode()) from None
    except OSError as error:
        raise Refused(500, f"the epoch cannot be stored: {error}".encode()) from None


def replaced(server: Reporting, columns: Columns) -> Columns:
    """Take note that there is a master of a later epoch; the original has no such procedure."""
    if server.mastership is None:
        raise Refused(501, b"there is no update log, and no RTS file")
    epoch = integer(_needed(columns, b"epoch"))
    if not 0 < epoch <= EPOCH_MAX:
        raise Refused(400, b"no such epoch: %d" % epoch)
    master = columns.get(b"master", b"")
    if len(master) > ADDRESS_MAX or not master.decode("utf-8", "replace").isprintable():
        raise Refused(400, b"no such address of a master")
    try:
        server.mastership.replace(epoch, os.fsdecode(master))
    except OSError as error:
        raise Refused(500, f"the epoch cannot be stored: {error}".encode()) from None
    return {b"epoch": b"%d" % server.mastership.epoch}


def lease(server: Reporting, columns: Columns) -> Columns:
    """Take writes until a time of our own clock; or tell the time, and where we are."""
    if server.mastership is None or not server.mastership.leased:
        raise Refused(501, b"this server needs no lease: it was started without -lease")
    if b"count" in columns and server.quorum is not None:
        numbers = columns[b"count"].split(b",") if columns[b"count"] else []
        server.quorum.count_only(frozenset(map(integer, numbers)))
    if b"end" in columns:
        server.mastership.lease(max(integer(columns[b"end"]), 0))
    answer = {b"clock": b"%d" % lease_clock(), b"run": server.mastership.run.encode()}
    if server.history is not None:
        answer[b"log"] = b"%d" % server.history.log.stamp()
        answer[b"durable"] = server.history.durable.encode()
    if server.following is not None:
        answer[b"ts"], answer[b"ts_log"] = (b"%d" % stamp for stamp in server.following.place)
    return answer


def _stamp(text: bytes | None) -> int | None:
    if text is None:
        return None
    now = time.time_ns() // MILLISECOND * MILLISECOND - 1  # before all that is yet to come
    stamp = now if text == b"now" else max(integer(text), 0)
    if stamp > now + DAY:
        raise Refused(400, b"the time stamp is in the future: %d" % stamp)
    return stamp


def _log_directory(server: Reporting) -> str:
    if server.history is None:
        raise Refused(400, b"no update log allows no replication")
    return server.history.directory


def ulog_list(server: Reporting, columns: Columns) -> Columns:
    states = file_states(_log_directory(server))
    return {os.fsencode(path): b"%d:%d" % state for path, state in states.items()}


def ulog_remove(server: Reporting, columns: Columns) -> Columns:
    """Remove files that have nothing newer than a stamp, but not what a start needs."""
    states = file_states(_log_directory(server))
    text = columns.get(b"ts")
    until = time.time_ns() if text in (None, b"now") else integer(text or b"")
    needed = server.history.needed_since if server.history is not None else None
    for path, following in pairwise(states):
        if states[path][1] > until or (
            needed is not None and begins_after(following, needed, "tycoon")
        ):
            continue
        try:
            os.remove(path)
        except OSError:
            raise Refused(500, b"removing a file failed: " + os.fsencode(path)) from None
    return {}


# The tables


class Pace(IntEnum):
    """How long a call may take."""

    QUICK = 0
    """No longer than a record takes: it runs on the event loop."""
    SLOW = 1
    """Possibly long, but others can use the database meanwhile: it runs in a worker thread."""
    EXCLUSIVE = 2
    """Possibly long, and others cannot: while it runs, all of them use worker threads."""


class Procedure(NamedTuple, Generic[T]):
    """A procedure, and what its caller has to know.

    Attributes:
        run: the function.
        counts: what a call, or each record of a bulk call, counts as in the server's report.
        pace: tells by the columns; None for `Pace.QUICK`.
        bulk: whether it counts records, not calls.
    """

    run: Callable[[T, Columns], Columns]
    counts: tuple[str, ...] = ()
    pace: Callable[[Columns], Pace] | None = None
    bulk: bool = False


def _by_size(columns: Columns) -> Pace:
    if len(columns) <= MANY_RECORDS:
        return Pace.QUICK
    return Pace.EXCLUSIVE if b"atomic" in columns else Pace.SLOW


def _slow(columns: Columns) -> Pace:
    return Pace.SLOW


DATABASE_PROCEDURES: Final[Mapping[bytes, Procedure[Database]]] = {
    b"get": Procedure(get, ("get",)),
    b"set": Procedure(set_, ("set",)),
    b"add": Procedure(add, ("set",)),
    b"replace": Procedure(replace, ("set",)),
    b"append": Procedure(append, ("set",)),
    b"increment": Procedure(increment, ("set",)),
    b"increment_double": Procedure(increment_double, ("set",)),
    b"cas": Procedure(cas, ("set",)),
    b"remove": Procedure(remove, ("remove",)),
    b"check": Procedure(check, ("get",)),
    b"seize": Procedure(seize, ("remove", "get")),
    b"set_bulk": Procedure(set_bulk, ("set",), _by_size, bulk=True),
    b"remove_bulk": Procedure(remove_bulk, ("remove",), _by_size, bulk=True),
    b"get_bulk": Procedure(get_bulk, ("get",), _by_size, bulk=True),
    b"match_prefix": Procedure(match_prefix, ("misc",), _slow),
    b"match_regex": Procedure(match_regex, ("misc",), _slow),
    b"match_similar": Procedure(match_similar, ("misc",), _slow),
    b"status": Procedure(status, ("misc",)),
    b"clear": Procedure(clear, ("misc",), _slow),
    b"vacuum": Procedure(vacuum, ("misc",), _slow),
}

CURSOR_PROCEDURES: Final[Mapping[bytes, Procedure[Cursor]]] = {
    b"cur_jump": Procedure(cur_jump, ("misc",)),
    b"cur_jump_back": Procedure(cur_jump_back, ("misc",)),
    b"cur_step": Procedure(cur_step, ("misc",)),
    b"cur_step_back": Procedure(cur_step_back, ("misc",)),
    b"cur_set_value": Procedure(cur_set_value, ("set",)),
    b"cur_remove": Procedure(cur_remove, ("remove",)),
    b"cur_get_key": Procedure(cur_get_key, ("get",)),
    b"cur_get_value": Procedure(cur_get_value, ("get",)),
    b"cur_get": Procedure(cur_get, ("get",)),
    b"cur_seize": Procedure(cur_seize, ("get",)),
}

SERVER_PROCEDURES: Final[Mapping[bytes, Procedure[Reporting]]] = {
    b"void": Procedure(void),
    b"echo": Procedure(echo),
    b"report": Procedure(report),
    b"tune_replication": Procedure(tune_replication, pace=_slow),
    b"promote": Procedure(promote, pace=_slow),
    b"replaced": Procedure(replaced, pace=_slow),
    b"lease": Procedure(lease),
    b"ulog_list": Procedure(ulog_list),
    b"ulog_remove": Procedure(ulog_remove),
}
