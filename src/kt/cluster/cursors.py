"""Cursors of a database on a cluster of Valkey: a walk, and the key that it stands before.

A cursor stands on a key. What it does there is done to the record of that key; one that has gone
meanwhile is passed over, as Kyoto Cabinet does it.
"""

from __future__ import annotations

from kt.cluster.commands import Failure, Steps, no_record, not_here
from kt.cluster.records import Records
from kt.cluster.walks import Ahead, Bounds


class WalkingCursor:
    """See the module's docstring."""

    def __init__(self, database: Records) -> None:
        self._database = database
        self._ahead: Ahead | None = None
        self._backward = False

    def jump(self, key: bytes | None) -> Steps[None]:
        ordered = self._database.settings.ordered
        if key is not None and not ordered:
            if self._ahead is None or not self._ahead.back_to(key):
                raise not_here("in a flat database a cursor goes only to where it has just been")
            if (yield from self._key()) != key:
                raise no_record()
            return
        yield from self._begin(Bounds(b"-" if key is None else b"[" + key))

    def jump_back(self, key: bytes | None) -> Steps[None]:
        self._need_order()
        yield from self._begin(Bounds(end=b"+" if key is None else b"[" + key, backward=True))

    def _need_order(self) -> None:
        if not self._database.settings.ordered:
            raise Failure(501, "DB: 1: not implemented: not implemented")

    def _begin(self, bounds: Bounds) -> Steps[None]:
        self._ahead = Ahead(self._database.walk(bounds))
        self._backward = bounds.backward
        yield from self._key()

    def _key(self) -> Steps[bytes]:
        """The key that it stands on, of which there is a record."""
        while True:
            key = None if self._ahead is None else (yield from self._ahead.first())
            if key is None:
                raise no_record()
            assert self._ahead is not None
            [reply] = yield [self._database.exists_command(key)]
            if reply:
                return key
            self._ahead.pop()

    def _move(self, key: bytes, backward: bool) -> Steps[None]:
        """Leave `key`."""
        assert self._ahead is not None
        if backward != self._backward:
            beside = b"(" + key
            bounds = Bounds(end=beside, backward=True) if backward else Bounds(beside)
            self._ahead = Ahead(self._database.walk(bounds))
            self._backward = backward
        else:
            self._ahead.pop()
        yield from self._key()

    def step(self) -> Steps[None]:
        yield from self._move((yield from self._key()), False)

    def step_back(self) -> Steps[None]:
        self._need_order()
        yield from self._move((yield from self._key()), True)

    def get(self, step: bool) -> Steps[tuple[bytes, bytes, int]]:
        """Key, value and expiry."""
        while True:
            key = yield from self._key()
            [reply] = yield [self._database.get_command(key)]
            record = self._database.found(reply)
            if record is not None:
                yield from self._stepped(key, step)
                return key, *record
            assert self._ahead is not None
            self._ahead.pop()

    def get_key(self, step: bool) -> Steps[bytes]:
        key = yield from self._key()
        yield from self._stepped(key, step)
        return key

    def set_value(self, value: bytes, xt: int, step: bool) -> Steps[None]:
        key = yield from self._key()
        yield from self._database.replace(key, value, xt)
        yield from self._stepped(key, step)

    def remove(self) -> Steps[None]:
        key = yield from self._key()
        yield from self._database.remove(key)
        yield from self._stepped(key, True)

    def seize(self) -> Steps[tuple[bytes, bytes, int]]:
        key = yield from self._key()
        record = yield from self._database.seize(key)
        yield from self._stepped(key, True)
        return key, *record

    def _stepped(self, key: bytes, step: bool) -> Steps[None]:
        """Step on, if wanted; that there is nothing more is told by what comes next."""
        if step:
            try:
                yield from self._move(key, False)
            except Failure as failure:
                if failure.status != 450:
                    raise

    def ahead(self, limit: int, size: int, values: bool) -> Steps[list[tuple[bytes, bytes]]]:
        found: list[tuple[bytes, bytes]] = []
        while len(found) < limit and size > 0:
            value = b""
            try:
                if values:
                    key, value, _ = yield from self.get(True)
                else:
                    key = yield from self.get_key(True)
            except Failure as failure:
                if failure.status != 450 or not found:
                    raise
                break
            found.append((key, value))
            size -= len(key) + len(value)
        return found
