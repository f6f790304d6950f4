"""A database in a table of PostgreSQL: statements out, rows in."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from kt.cluster import contract
from kt.cluster.commands import Steps, duplicate, illogical, no_record
from kt.cluster.contract import Seen
from kt.cluster.layout import XT_MAX, absolute_expiry
from kt.cluster.numbers import INT_MAX, INT_MIN, eight
from kt.cluster.postgres import statements as sql
from kt.cluster.postgres.cursors import Cursor
from kt.cluster.postgres.settings import Settings
from kt.cluster.postgres.statements import Statement
from kt.cluster.walks import Bounds, with_prefix
from kt.errors import ImproperlyConfigured
from kt.wire.magic import NEVER

SWEEP: Final = 100
"""Expired records that are removed at a time."""

MANY: Final = 1000
"""Records in a bulk from which on it may take its time."""

Rows = list[tuple[Any, ...]]


class Database(contract.Database):
    """A database as `settings` say it.

    Args:
        settings: what its URL says.
        clock: Unix time in seconds.
    """

    atomic = True
    settings: Settings

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        super().__init__(settings, clock)
        self._swept = 0

    def _statement(self, text: str, *parameters: Any, **kind: bool) -> Statement:
        return self.named(Statement(text, parameters, **kind))

    def named(self, statement: Statement) -> Statement:
        """The same with the table's name in its place."""
        index = f'"{self.settings.table.rpartition(".")[2]}_xt"'
        text = statement.text.format(table=self.settings.relation, index=index)
        return statement._replace(text=text)

    def _ask(self, text: str, *parameters: Any, **kind: bool) -> Steps[Rows]:
        [rows] = yield [self._statement(text, *parameters, **kind)]
        found: Rows = rows
        return found

    def _store(self, text: str, key: bytes, value: bytes, xt: int, *more: Any) -> Steps[Rows]:
        """Write a record. Who writes one that expires removes some that have, once a second."""
        now = self.now()
        expiry = absolute_expiry(xt, now)
        asked = [self._statement(text, key, value, expiry, *more)]
        if expiry < XT_MAX and self._swept != now:
            self._swept = now
            asked.append(self._sweep())
        rows: Rows = (yield asked)[0]
        return rows

    def claim(self) -> Steps[None]:
        found = yield from self._ask(sql.FIND_TABLE, reads=True)
        if not found:
            for text in sql.MAKE_TABLE:
                yield from self._ask(text, long=True)
            found = yield from self._ask(sql.FIND_TABLE, reads=True)
        if [tuple(column) for column in found] != sql.COLUMNS:
            columns = ", ".join(" ".join(column) for column in found)
            raise ImproperlyConfigured(f"table {self.settings.table} is not kt's: it has {columns}")

    def cursor(self) -> Cursor:
        return Cursor(self)

    # One record

    def get_many(self, keys: Sequence[bytes]) -> Steps[list[tuple[bytes, int] | None]]:
        if not keys:
            return []
        now = self.now()
        if len(keys) == 1:
            rows = yield from self._ask(sql.GET, keys[0], now, reads=True)
            return [(rows[0][0], rows[0][1]) if rows else None]
        long = len(keys) > MANY
        rows = yield from self._ask(sql.GET_MANY, list(keys), now, reads=True, long=long)
        found = {key: (value, xt) for key, value, xt in rows}
        return [found.get(key) for key in keys]

    def check(self, key: bytes) -> Steps[tuple[int, int]]:
        rows = yield from self._ask(sql.CHECK, key, self.now(), reads=True)
        if not rows:
            raise no_record()
        return rows[0][0], rows[0][1]

    def set_many(self, records: Sequence[tuple[bytes, bytes, int]]) -> Steps[int]:
        if len(records) == 1:
            yield from self._store(sql.SET, *records[0])
        elif records:
            now = self.now()
            last = {key: (value, absolute_expiry(xt, now)) for key, value, xt in records}
            values, expiries = zip(*last.values(), strict=True)
            columns = list(last), list(values), list(expiries)
            yield from self._ask(sql.SET_MANY, *columns, long=len(records) > MANY)
        return len(records)

    def remove_many(self, keys: Sequence[bytes]) -> Steps[int]:
        if not keys:
            return 0
        if len(keys) == 1:
            return len((yield from self._ask(sql.REMOVE, keys[0], self.now())))
        long = len(keys) > MANY
        [[count]] = yield from self._ask(sql.REMOVE_MANY, list(keys), self.now(), long=long)
        return int(count)

    def add(self, key: bytes, value: bytes, xt: int) -> Steps[None]:
        if not (yield from self._store(sql.ADD, key, value, xt, self.now())):
            raise duplicate()

    def replace(self, key: bytes, value: bytes, xt: int) -> Steps[None]:
        if not (yield from self._store(sql.REPLACE, key, value, xt, self.now())):
            raise no_record()

    def append(self, key: bytes, value: bytes, xt: int) -> Steps[None]:
        yield from self._store(sql.APPEND, key, value, xt, self.now())

    def seize(self, key: bytes) -> Steps[tuple[bytes, int]]:
        rows = yield from self._ask(sql.SEIZE, key, self.now())
        if not rows:
            raise no_record()
        return rows[0][0], rows[0][1]

    def cas(self, key: bytes, old: bytes | None, new: bytes | None, xt: int) -> Steps[None]:
        if not (yield from self._cas(key, old, new, xt)):
            raise illogical("status conflict")

    def _cas(self, key: bytes, old: bytes | None, new: bytes | None, xt: int) -> Steps[bool]:
        now = self.now()
        if old is None and new is None:
            return not (yield from self._ask(sql.LOOK, key, now, reads=True))
        if new is None:
            return bool((yield from self._ask(sql.REMOVE_IF, key, now, old)))
        if old is None:
            return bool((yield from self._store(sql.ADD, key, new, xt, now)))
        return bool((yield from self._store(sql.CAS, key, new, xt, now, old)))

    def increment(self, key: bytes, number: int, origin: int, xt: int) -> Steps[int]:
        now = self.now()
        number = int.from_bytes(eight(number), "big", signed=True)
        if origin == INT_MAX:
            rows = yield from self._store(sql.INCREMENT_ANEW, key, eight(number), xt, now)
        elif origin == INT_MIN:
            rows = yield from self._store(sql.INCREMENT_ONLY, key, b"", xt, now, number)
        else:
            first = eight(origin + number)
            rows = yield from self._store(sql.INCREMENT, key, first, xt, now, number)
        if not rows:
            raise illogical()
        total = int.from_bytes(rows[0][0], "big", signed=True)
        if total == INT_MIN:  # Kyoto Cabinet takes it for a failure
            raise illogical()
        return total

    def add_int(self, key: bytes, number: int) -> Steps[int]:
        first = (number % 2**32).to_bytes(4, "little")
        rows = yield from self._store(sql.ADD_INT, key, first, NEVER, self.now(), number)
        if not rows:
            raise illogical()
        return int.from_bytes(rows[0][0], "little", signed=True)

    def look(self, key: bytes) -> Steps[Seen]:
        rows = yield from self._ask(sql.GET, key, self.now(), reads=True)
        value = rows[0][0] if rows else None
        return Seen(value, value)

    def swap(self, key: bytes, seen: Seen, new: bytes, xt: int) -> Steps[bool]:
        return (yield from self._cas(key, seen.stored, new, xt))

    # Searches

    def walk(self, bounds: Bounds = Bounds(), prefix: bytes = b"") -> RangeWalk:  # noqa: B008 - a value
        return RangeWalk(self, with_prefix(prefix) if prefix else bounds)

    # All of it

    def count(self) -> Steps[int]:
        if self.settings.exact:
            rows = yield from self._ask(sql.COUNT, self.now(), reads=True, long=True)
        else:
            rows = yield from self._ask(sql.ESTIMATE, reads=True)
        return int(rows[0][0]) if rows else 0

    def clear(self) -> Steps[None]:
        yield from self._ask(sql.CLEAR, long=True)

    def _sweep(self) -> Statement:
        return self._statement(sql.SWEEP, self.now(), SWEEP)

    def vacuum(self) -> Steps[None]:
        while len((yield [self._sweep()])[0]) == SWEEP:
            pass

    def sweep(self) -> Steps[None]:
        """Once a second, and again at once while there is much to be removed."""
        now = self.now()
        if self._swept != now and len((yield [self._sweep()])[0]) < SWEEP:
            self._swept = now

    def synchronize(self, hard: bool) -> Steps[None]:
        """What was committed is safe already, as far as the server is set up to keep it."""
        yield from self._ask("SELECT 1", reads=True)

    def status(self) -> Steps[dict[bytes, bytes]]:
        count = yield from self.count()
        [[size]] = yield from self._ask(sql.SIZE, reads=True)
        columns = {
            "count": count,
            "size": size,
            "path": self.settings,
            "type": "cluster",
            "layout": "tree",
        }
        return {name.encode(): str(value).encode() for name, value in columns.items()}


class RangeWalk:
    """The keys of a range, a page after the other."""

    def __init__(self, database: Database, bounds: Bounds) -> None:
        self._database = database
        self._bounds = bounds
        self._over = False

    def more(self, wanted: int) -> Steps[list[bytes]]:
        if self._over:
            return []
        database, bounds = self._database, self._bounds
        asked = database.named(sql.page("k", bounds, database.now(), wanted))
        [rows] = yield [asked]
        keys: list[bytes] = [row[0] for row in rows]
        self._over = len(keys) < wanted
        if keys:
            edge = b"(" + keys[-1]
            self._bounds = (
                bounds._replace(end=edge) if bounds.backward else bounds._replace(begin=edge)
            )
        return keys
