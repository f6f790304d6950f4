"""Cursors of a database in a table of PostgreSQL: a place in the order of keys.

A cursor keeps no more than where the record that it stands on is to be looked for, and in which
direction, so that one which has gone meanwhile is passed over.
"""

from __future__ import annotations

from typing import Any, Protocol

from kt.cluster.commands import Steps, no_record
from kt.cluster.postgres.statements import Statement, page
from kt.cluster.walks import Bounds


class Database(Protocol):
    """What a cursor needs of its database."""

    def now(self) -> int: ...
    def named(self, statement: Statement) -> Statement: ...
    def replace(self, key: bytes, value: bytes, xt: int) -> Steps[None]: ...
    def remove(self, key: bytes) -> Steps[None]: ...
    def seize(self, key: bytes) -> Steps[tuple[bytes, int]]: ...


class Cursor:
    """See the module's docstring."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._bounds: Bounds | None = None  # what it stands on is the first one of these

    def _find(
        self, columns: str, bounds: Bounds | None, limit: int = 1, size: int | None = None
    ) -> Steps[list[tuple[Any, ...]]]:
        """Records, of which there must be one."""
        rows: list[tuple[Any, ...]] = []
        if bounds is not None:
            asked = page(columns, bounds, self._database.now(), limit, size)
            [rows] = yield [self._database.named(asked)]
        if not rows:
            raise no_record()
        return rows

    def _stand(self, bounds: Bounds) -> Steps[None]:
        """Go to the first record of a range; nowhere, if there is none."""
        self._bounds = None
        [[key]] = yield from self._find("k", bounds)
        edge = b"[" + key
        self._bounds = Bounds(end=edge, backward=True) if bounds.backward else Bounds(edge)

    def jump(self, key: bytes | None) -> Steps[None]:
        yield from self._stand(Bounds(b"-" if key is None else b"[" + key))

    def jump_back(self, key: bytes | None) -> Steps[None]:
        yield from self._stand(Bounds(end=b"+" if key is None else b"[" + key, backward=True))

    def step(self) -> Steps[None]:
        key = yield from self.get_key(False)
        yield from self._stand(Bounds(b"(" + key))

    def step_back(self) -> Steps[None]:
        key = yield from self.get_key(False)
        yield from self._stand(Bounds(end=b"(" + key, backward=True))

    def get(self, step: bool) -> Steps[tuple[bytes, bytes, int]]:
        """Key, value and expiry."""
        [[key, value, xt]] = yield from self._find("k, v, xt", self._bounds)
        self._pass(key, step)
        return key, value, xt

    def get_key(self, step: bool) -> Steps[bytes]:
        [[key]] = yield from self._find("k", self._bounds)
        self._pass(key, step)
        found: bytes = key
        return found

    def set_value(self, value: bytes, xt: int, step: bool) -> Steps[None]:
        key = yield from self.get_key(False)
        yield from self._database.replace(key, value, xt)
        self._pass(key, step)

    def remove(self) -> Steps[None]:
        key = yield from self.get_key(False)
        yield from self._database.remove(key)
        self._pass(key, True)

    def seize(self) -> Steps[tuple[bytes, bytes, int]]:
        key = yield from self.get_key(False)
        record = yield from self._database.seize(key)
        self._pass(key, True)
        return key, *record

    def ahead(self, limit: int, size: int, values: bool) -> Steps[list[tuple[bytes, bytes]]]:
        bounds = self._bounds
        if bounds is not None and bounds.backward:
            bounds = Bounds(b"[" + (yield from self.get_key(False)))
        if values:
            rows = yield from self._find("k, v", bounds, limit, size)
            found = [(key, value) for key, value in rows]
        else:
            rows = yield from self._find("k", bounds, limit)
            found = [(key, b"") for [key] in rows]
        self._pass(found[-1][0], True)
        return found

    def _pass(self, key: bytes, step: bool) -> None:
        """Stand behind a key, if wanted; whether there is more is told by what comes next."""
        if step:
            self._bounds = Bounds(b"(" + key)
