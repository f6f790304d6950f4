"""Operations on single records, for both layouts: commands out, replies in.

Where one command of the engine does it, that is what is sent; otherwise the script `mutate`. Both
are atomic for the record. What belongs to a bulk operation is many of these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from math import inf, isinf, isnan, modf, nan
from typing import Any, Final

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
from kt.cluster.layout import (
    FOREVER,
    XT_MAX,
    XT_WIDTH,
    Layout,
    absolute_expiry,
    pack_value,
    unpack_value,
)

INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**63 - 1
UNIT: Final = 10**15
SWAPS: Final = 100
"""How often a record is read and written again that somebody else changes meanwhile."""


class Records:
    """The records of a database.

    Args:
        layout: where they lie.
        clock: Unix time in seconds.
    """

    def __init__(self, layout: Layout, clock: Callable[[], float]) -> None:
        self.layout = layout
        self._clock = clock

    def now(self) -> int:
        """Unix time in whole seconds."""
        return int(self._clock())

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

    def get(self, key: bytes) -> Steps[tuple[bytes, int]]:
        """Value and expiry."""
        [reply] = yield [self.get_command(key)]
        record = self.found(reply)
        if record is None:
            raise no_record()
        return record

    def check(self, key: bytes) -> Steps[tuple[int, int]]:
        """Size of the value, and expiry."""
        [reply] = yield [self.mutate(b"check", key, 0)._replace(reads=True)]
        if good(reply) is None:
            raise no_record()
        stamp, size = reply
        return size, int.from_bytes(stamp, "big")

    def set(self, key: bytes, value: bytes, xt: int) -> Steps[None]:
        [reply] = yield [self.set_command(key, value, xt)]
        good(reply)

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

    def remove(self, key: bytes) -> Steps[None]:
        [reply] = yield [self.remove_command(key)]
        if not good(reply):
            raise no_record()

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
        start = {INT_MIN: b"try", INT_MAX: b"set"}.get(origin) or _eight(origin)
        command = self.mutate(b"increment", key, xt, _eight(number), start, b"%d" % (number != 0))
        [reply] = yield [command]
        if good(reply) == 0:
            raise illogical()
        total = int.from_bytes(reply, "big", signed=True)
        if total == INT_MIN:  # Kyoto Cabinet takes it for a failure
            raise illogical()
        return total

    def increment_double(self, key: bytes, number: float, origin: float, xt: int) -> Steps[float]:
        for _ in range(SWAPS):
            [reply] = yield [self.get_command(key)]
            record = self.found(reply)
            total, new = added(None if record is None else record[0], number, origin)
            if isnan(total):
                raise illogical()
            if new is None:
                return total
            [swapped] = yield [self.mutate(b"swap", key, xt, reply or b"", new)]
            if good(swapped):
                return total
        raise illogical("the record changes all the time")

    # Many records, each by itself

    def run(self, commands: list[Command]) -> Steps[list[Any]]:
        """The replies to commands; raises `Failure` if the engine refuses one."""
        return [good(reply) for reply in (yield commands)]

    def get_bulk(self, keys: Iterable[bytes]) -> Steps[dict[bytes, tuple[bytes, int]]]:
        """Key -> value and expiry of those that exist."""
        wanted = list(dict.fromkeys(keys))
        replies = yield [self.get_command(key) for key in wanted]
        found = ((key, self.found(reply)) for key, reply in zip(wanted, replies, strict=True))
        return {key: record for key, record in found if record is not None}

    def set_bulk(self, records: Mapping[bytes, bytes], xt: int) -> Steps[int]:
        replies = yield [self.set_command(key, value, xt) for key, value in records.items()]
        for reply in replies:
            good(reply)
        return len(replies)

    def remove_bulk(self, keys: Iterable[bytes]) -> Steps[int]:
        """How many there were."""
        replies = yield [self.remove_command(key) for key in keys]
        return sum(good(reply) for reply in replies)


def _eight(number: int) -> bytes:
    """As a counter is stored: 8 bytes, big-endian; what is larger wraps round."""
    return (number % 2**64).to_bytes(8, "big")


def fixed_point(number: float) -> tuple[int, int]:
    """Integer part, and fraction times 10^15. The extremes stand for infinities and for nan."""
    if isnan(number):
        return INT_MIN, INT_MIN
    if abs(number) >= INT_MAX:
        return (INT_MAX if number > 0 else INT_MIN), 0
    fraction, whole = modf(number)
    return int(whole), int(Fraction(fraction) * UNIT)


def double(whole: int, fraction: int) -> float:
    """The number that `fixed_point` gave."""
    if whole == INT_MIN:
        return nan if fraction == INT_MIN else -inf
    return inf if whole == INT_MAX else whole + fraction / UNIT


def added(value: bytes | None, number: float, origin: float) -> tuple[float, bytes | None]:
    """The sum, and what to store, if anything; nan if there is no such number.

    Args:
        value: of the record; None if there is none.
        number: what to add.
        origin: what to start from without a record: -inf for a failure; inf to start anew.
    """
    anew = isinf(origin) and origin > 0
    if value is None:
        if isnan(origin) or origin == -inf:
            return nan, None
        total = number if anew else number + origin
        return total, _sixteen(*fixed_point(total))
    if len(value) != 16:
        return nan, None
    whole, fraction = (
        (0, 0)
        if anew
        else (
            int.from_bytes(value[:8], "big", signed=True),
            int.from_bytes(value[8:], "big", signed=True),
        )
    )
    if whole in (INT_MIN, INT_MAX) or (number == 0 and not anew):
        return double(whole, fraction), None
    other, part = fixed_point(number)
    if other in (INT_MIN, INT_MAX):
        return double(other, part), _sixteen(other, part)
    carry, fraction = (
        (1, fraction + part - UNIT) if fraction + part >= UNIT else (0, fraction + part)
    )
    whole = (whole + other + carry - INT_MIN) % 2**64 + INT_MIN
    return double(whole, fraction), _sixteen(whole, fraction)


def _sixteen(whole: int, fraction: int) -> bytes:
    return _eight(whole) + _eight(fraction)
