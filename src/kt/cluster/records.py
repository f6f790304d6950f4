"""Operations on single records, for both layouts: commands out, replies in.

Where one command of the engine does it, that is what is sent; otherwise the script `mutate`. Both
are atomic for the record. What belongs to a bulk operation is many of these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kt.cluster.commands import (
    Command,
    Steps,
    call,
    duplicate,
    good,
    illogical,
    no_record,
    script,
)
from kt.cluster.contract import Database, Seen, Settings
from kt.cluster.layout import (
    FOREVER,
    XT_MAX,
    XT_WIDTH,
    Layout,
    absolute_expiry,
    pack_value,
    unpack_value,
)
from kt.cluster.numbers import INT_MAX, INT_MIN, eight
from kt.wire.magic import NEVER


class Records(Database):
    """The records of a database.

    Args:
        settings: what its URL says.
        layout: where they lie.
        clock: Unix time in seconds.
    """

    def __init__(self, settings: Settings, layout: Layout, clock: Callable[[], float]) -> None:
        super().__init__(settings, clock)
        self.layout = layout

    # Commands, and what their replies mean

    def get_command(self, key: bytes) -> Command:
        names, slot = self.layout.place(key)
        return Command([b"GET", names[0]], slot, True)

    def found(self, reply: Any) -> tuple[bytes, int] | None:
        """Value and expiry."""
        return unpack_value(good(reply), self.now())

    def set_command(self, key: bytes, value: bytes, xt: int) -> Command:
        if self.layout.ordered:
            return self.mutate(b"set", key, xt, value)
        return self._plain_set(key, value, xt)

    def remove_command(self, key: bytes) -> Command:
        if self.layout.ordered:
            return self.mutate(b"remove", key, 0)
        names, slot = self.layout.place(key)
        return Command([b"DEL", names[0]], slot)

    def exists_command(self, key: bytes) -> Command:
        names, slot = self.layout.place(key)
        return Command([b"EXISTS", names[0]], slot, True)

    def mutate(self, verb: bytes, key: bytes, xt: int, *more: bytes) -> Command:
        """A call of the script."""
        names, slot = self.layout.place(key)
        now = self.now()
        expiry = absolute_expiry(xt, now)
        last = b"%d" % (expiry + 1) if expiry < XT_MAX else b""
        stamp = expiry.to_bytes(XT_WIDTH, "big")
        return call(script("mutate"), names, slot, verb, b"%d" % now, key, stamp, last, *more)

    def _plain_set(self, key: bytes, value: bytes, xt: int, *how: bytes) -> Command:
        names, slot = self.layout.place(key)
        expiry = absolute_expiry(xt, self.now())
        if expiry == XT_MAX:
            return Command([b"SET", names[0], FOREVER + value, *how], slot)
        last = b"%d" % (expiry + 1)
        return Command(
            [b"SET", names[0], pack_value(value, expiry), b"EXAT", last, *how],
            slot,
        )

    # Operations

    def check(self, key: bytes) -> Steps[tuple[int, int]]:
        """Size of the value, and expiry."""
        [reply] = yield [self.mutate(b"check", key, 0)._replace(reads=True)]
        if good(reply) is None:
            raise no_record()
        stamp, size = reply
        return size, int.from_bytes(stamp, "big")

    def add(self, key: bytes, value: bytes, xt: int) -> Steps[None]:
        if not (yield from self._store(b"add", b"NX", key, value, xt)):
            raise duplicate()

    def replace(self, key: bytes, value: bytes, xt: int) -> Steps[None]:
        if not (yield from self._store(b"replace", b"XX", key, value, xt)):
            raise no_record()

    def _store(self, verb: bytes, how: bytes, key: bytes, value: bytes, xt: int) -> Steps[bool]:
        if self.layout.ordered:
            command = self.mutate(verb, key, xt, value)
        else:
            command = self._plain_set(key, value, xt, how)
        [reply] = yield [command]
        return good(reply) in (1, b"OK")

    def append(self, key: bytes, value: bytes, xt: int) -> Steps[None]:
        [reply] = yield [self.mutate(b"append", key, xt, value)]
        good(reply)

    def seize(self, key: bytes) -> Steps[tuple[bytes, int]]:
        if self.layout.ordered:
            command = self.mutate(b"seize", key, 0)
        else:
            names, slot = self.layout.place(key)
            command = Command([b"GETDEL", names[0]], slot)
        [reply] = yield [command]
        record = self.found(reply)
        if record is None:
            raise no_record()
        return record

    def cas(self, key: bytes, old: bytes | None, new: bytes | None, xt: int) -> Steps[None]:
        values = [b"" if value is None else b"\1" + value for value in (old, new)]
        [reply] = yield [self.mutate(b"cas", key, xt, *values)]
        if not good(reply):
            raise illogical("status conflict")

    def increment(self, key: bytes, number: int, origin: int, xt: int) -> Steps[int]:
        start = {INT_MIN: b"try", INT_MAX: b"set"}.get(origin) or eight(origin)
        command = self.mutate(b"increment", key, xt, eight(number), start, b"%d" % (number != 0))
        [reply] = yield [command]
        if good(reply) == 0:
            raise illogical()
        total = int.from_bytes(reply, "big", signed=True)
        if total == INT_MIN:  # Kyoto Cabinet takes it for a failure
            raise illogical()
        return total

    def add_int(self, key: bytes, number: int) -> Steps[int]:
        [reply] = yield [self.mutate(b"addint", key, NEVER, b"%d" % number)]
        if good(reply) == 0:
            raise illogical()
        return int.from_bytes(reply, "little", signed=True)

    def look(self, key: bytes) -> Steps[Seen]:
        [reply] = yield [self.get_command(key)]
        record = self.found(reply)
        return Seen(None if record is None else record[0], reply or b"")

    def swap(self, key: bytes, seen: Seen, new: bytes, xt: int) -> Steps[bool]:
        [swapped] = yield [self.mutate(b"swap", key, xt, seen.stored, new)]
        return bool(good(swapped))

    # Many records, each by itself

    def get_many(self, keys: Sequence[bytes]) -> Steps[list[tuple[bytes, int] | None]]:
        return [self.found(reply) for reply in (yield [self.get_command(key) for key in keys])]

    def set_many(self, records: Sequence[tuple[bytes, bytes, int]]) -> Steps[int]:
        replies = yield [self.set_command(*record) for record in records]
        for reply in replies:
            good(reply)
        return len(replies)

    def remove_many(self, keys: Sequence[bytes]) -> Steps[int]:
        replies = yield [self.remove_command(key) for key in keys]
        return sum([good(reply) for reply in replies])
