"""Kyoto Tycoon's remote procedures on a cluster, by the names that they have there.

Names, columns and statuses are those of kt-tycoon; what a cluster cannot do is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import Final, TypeAlias

from kt.cluster.commands import Failure, Steps, not_here
from kt.cluster.contract import Cursor, Database
from kt.cluster.layout import XT_MAX
from kt.cluster.numbers import INT_MAX, INT_MIN
from kt.server.tycoon.values import integer, real
from kt.wire.magic import NEVER

Columns: TypeAlias = dict[bytes, bytes]

RECORDS_AHEAD_MAX: Final = 1000
BYTES_AHEAD_MAX: Final = 256 * 1024
"""Records that a cursor gives at once, and about how many bytes of them."""

NOT_HERE: Final[Mapping[bytes, str]] = {
    b"play_script": "scripts",
    b"tune_replication": "replication is the engine's own",
    b"promote": "replication is the engine's own",
    b"replaced": "replication is the engine's own",
    b"lease": "replication is the engine's own",
    b"ulog_list": "update logs",
    b"ulog_remove": "update logs",
}
"""Procedures that there are elsewhere, and why not here."""


def _needed(columns: Columns, name: bytes) -> bytes:
    value = columns.get(name)
    if value is None:
        raise Failure(400, "invalid parameters")
    return value


def _xt(columns: Columns) -> int:
    text = columns.get(b"xt")
    return NEVER if text is None else integer(text)


def _limit(columns: Columns) -> int:
    text = columns.get(b"max")
    return -1 if text is None else integer(text)


def _refuse_atomic(db: Database, columns: Columns) -> None:
    if b"atomic" in columns and not db.atomic:
        raise not_here("bulk operations that are atomic as a whole")


def _value_and_xt(value: bytes, xt: int) -> Columns:
    return {b"value": value} if xt >= XT_MAX else {b"value": value, b"xt": b"%d" % xt}


# On a database: one record


def set_(db: Database, columns: Columns) -> Steps[Columns]:
    yield from db.set(_needed(columns, b"key"), _needed(columns, b"value"), _xt(columns))
    return {}


def add(db: Database, columns: Columns) -> Steps[Columns]:
    yield from db.add(_needed(columns, b"key"), _needed(columns, b"value"), _xt(columns))
    return {}


def replace(db: Database, columns: Columns) -> Steps[Columns]:
    yield from db.replace(_needed(columns, b"key"), _needed(columns, b"value"), _xt(columns))
    return {}


def append(db: Database, columns: Columns) -> Steps[Columns]:
    yield from db.append(_needed(columns, b"key"), _needed(columns, b"value"), _xt(columns))
    return {}


def increment(db: Database, columns: Columns) -> Steps[Columns]:
    key, number = _needed(columns, b"key"), integer(_needed(columns, b"num"))
    origin = columns.get(b"orig", b"0")
    start = {b"try": INT_MIN, b"set": INT_MAX}.get(origin)
    start = integer(origin) if start is None else start
    return {b"num": b"%d" % (yield from db.increment(key, number, start, _xt(columns)))}


def increment_double(db: Database, columns: Columns) -> Steps[Columns]:
    key, number = _needed(columns, b"key"), real(_needed(columns, b"num"))
    origin = columns.get(b"orig", b"0")
    start = {b"try": -inf, b"set": inf}.get(origin)
    start = real(origin) if start is None else start
    return {b"num": b"%f" % (yield from db.increment_double(key, number, start, _xt(columns)))}


def cas(db: Database, columns: Columns) -> Steps[Columns]:
    key = _needed(columns, b"key")
    yield from db.cas(key, columns.get(b"oval"), columns.get(b"nval"), _xt(columns))
    return {}


def remove(db: Database, columns: Columns) -> Steps[Columns]:
    yield from db.remove(_needed(columns, b"key"))
    return {}


def get(db: Database, columns: Columns) -> Steps[Columns]:
    return _value_and_xt(*(yield from db.get(_needed(columns, b"key"))))


def check(db: Database, columns: Columns) -> Steps[Columns]:
    size, xt = yield from db.check(_needed(columns, b"key"))
    return {b"vsiz": b"%d" % size} | ({} if xt >= XT_MAX else {b"xt": b"%d" % xt})


def seize(db: Database, columns: Columns) -> Steps[Columns]:
    return _value_and_xt(*(yield from db.seize(_needed(columns, b"key"))))


# On a database: many records


def _keys(columns: Columns) -> list[bytes]:
    return [name[1:] for name in columns if name[:1] == b"_"]


def set_bulk(db: Database, columns: Columns) -> Steps[Columns]:
    _refuse_atomic(db, columns)
    records = {name[1:]: value for name, value in columns.items() if name[:1] == b"_"}
    return {b"num": b"%d" % (yield from db.set_bulk(records, _xt(columns)))}


def remove_bulk(db: Database, columns: Columns) -> Steps[Columns]:
    _refuse_atomic(db, columns)
    return {b"num": b"%d" % (yield from db.remove_bulk(_keys(columns)))}


def get_bulk(db: Database, columns: Columns) -> Steps[Columns]:
    _refuse_atomic(db, columns)
    found = yield from db.get_bulk(_keys(columns))
    reply = {b"_" + key: value for key, (value, _) in found.items()}
    return {**reply, b"num": b"%d" % len(reply)}


def _matches(keys: list[bytes]) -> Columns:
    reply = {b"_" + key: b"%d" % rank for rank, key in enumerate(keys)}
    return {**reply, b"num": b"%d" % len(keys)}


def match_prefix(db: Database, columns: Columns) -> Steps[Columns]:
    return _matches((yield from db.match_prefix(_needed(columns, b"prefix"), _limit(columns))))


def match_regex(db: Database, columns: Columns) -> Steps[Columns]:
    return _matches((yield from db.match_regex(_needed(columns, b"regex"), _limit(columns))))


def match_similar(db: Database, columns: Columns) -> Steps[Columns]:
    origin = _needed(columns, b"origin")
    distance = integer(columns.get(b"range", b"1"))
    is_text, limit = b"utf" in columns, _limit(columns)
    distance = 1 if distance < 0 else distance
    return _matches((yield from db.match_similar(origin, distance, is_text, limit)))


# On a database: all of it


def status(db: Database, columns: Columns) -> Steps[Columns]:
    return (yield from db.status())


def clear(db: Database, columns: Columns) -> Steps[Columns]:
    yield from db.clear()
    return {}


def vacuum(db: Database, columns: Columns) -> Steps[Columns]:
    yield from db.vacuum()
    return {}


def synchronize(db: Database, columns: Columns) -> Steps[Columns]:
    if b"command" in columns:
        raise not_here("commands after synchronizing")
    yield from db.synchronize(b"hard" in columns)
    return {}


# On a cursor


def cur_jump(cursor: Cursor, columns: Columns) -> Steps[Columns]:
    yield from cursor.jump(columns.get(b"key"))
    return {}


def cur_jump_back(cursor: Cursor, columns: Columns) -> Steps[Columns]:
    yield from cursor.jump_back(columns.get(b"key"))
    return {}


def cur_step(cursor: Cursor, columns: Columns) -> Steps[Columns]:
    yield from cursor.step()
    return {}


def cur_step_back(cursor: Cursor, columns: Columns) -> Steps[Columns]:
    yield from cursor.step_back()
    return {}


def cur_set_value(cursor: Cursor, columns: Columns) -> Steps[Columns]:
    yield from cursor.set_value(_needed(columns, b"value"), _xt(columns), b"step" in columns)
    return {}


def cur_remove(cursor: Cursor, columns: Columns) -> Steps[Columns]:
    yield from cursor.remove()
    return {}


def cur_get_key(cursor: Cursor, columns: Columns) -> Steps[Columns]:
    step = b"step" in columns
    if step and b"max" in columns:
        return (yield from _ahead(cursor, columns, values=False))
    return {b"key": (yield from cursor.get_key(step))}


def _ahead(cursor: Cursor, columns: Columns, *, values: bool) -> Steps[Columns]:
    """Several records, their places before their keys: as kt-tycoon does it.

    It fails if there is none.
    """
    limit = min(max(_limit(columns), 1), RECORDS_AHEAD_MAX)
    found = yield from cursor.ahead(limit, BYTES_AHEAD_MAX, values)
    return {b"_%03d" % place + key: value for place, (key, value) in enumerate(found)}


def cur_get_value(cursor: Cursor, columns: Columns) -> Steps[Columns]:
    _, value, _ = yield from cursor.get(b"step" in columns)
    return {b"value": value}


def cur_get(cursor: Cursor, columns: Columns) -> Steps[Columns]:
    if b"step" in columns and b"max" in columns:
        return (yield from _ahead(cursor, columns, values=True))
    key, value, xt = yield from cursor.get(b"step" in columns)
    return {b"key": key, **_value_and_xt(value, xt)}


def cur_seize(cursor: Cursor, columns: Columns) -> Steps[Columns]:
    key, value, xt = yield from cursor.seize()
    return {b"key": key, **_value_and_xt(value, xt)}


DATABASE_PROCEDURES: Final[Mapping[bytes, Callable[[Database, Columns], Steps[Columns]]]] = {
    b"get": get,
    b"set": set_,
    b"add": add,
    b"replace": replace,
    b"append": append,
    b"increment": increment,
    b"increment_double": increment_double,
    b"cas": cas,
    b"remove": remove,
    b"check": check,
    b"seize": seize,
    b"set_bulk": set_bulk,
    b"remove_bulk": remove_bulk,
    b"get_bulk": get_bulk,
    b"match_prefix": match_prefix,
    b"match_regex": match_regex,
    b"match_similar": match_similar,
    b"status": status,
    b"clear": clear,
    b"vacuum": vacuum,
    b"synchronize": synchronize,
}

CURSOR_PROCEDURES: Final[Mapping[bytes, Callable[[Cursor, Columns], Steps[Columns]]]] = {
    b"cur_jump": cur_jump,
    b"cur_jump_back": cur_jump_back,
    b"cur_step": cur_step,
    b"cur_step_back": cur_step_back,
    b"cur_set_value": cur_set_value,
    b"cur_remove": cur_remove,
    b"cur_get_key": cur_get_key,
    b"cur_get_value": cur_get_value,
    b"cur_get": cur_get,
    b"cur_seize": cur_seize,
}
