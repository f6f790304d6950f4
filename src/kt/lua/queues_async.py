"""A queue, and a schedule: a queue whose items come when they are due."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

from kt.errors import ArgumentError
from kt.lua.arguments import pairs_of, real, several
from kt.lua.calls_async import AsyncContainer
from kt.lua.numbers import dump_count, dump_number, dump_slice
from kt.lua.operators import AsyncOperators
from kt.lua.results import NEVER, Outcome
from kt.types import V


class AsyncQueue(AsyncContainer[V], AsyncOperators):
    """First in, first out, for any number of producers and consumers; every item comes once.

    Each item is a record of its own, so that pushing and popping cost the same however long the
    queue is. A consumer that waits does so on a connection of its own, until it is told of a new
    item, which it then fetches (on Tokyo Tyrant it looks again and again). In the original ktserver
    each consumer that waits occupies one of the threads (``-th``).
    """

    async def push(self, *items: Any) -> int:
        """Add items at the end. Returns the length of the queue. O(1) for each."""
        args = [self._dump(item) for item in items]
        return int((await self._produce("queuePush", args, broadcast=len(args) > 1))[0])

    async def extend(self, items: Iterable[Any]) -> int:
        """As `push`."""
        return await self.push(*several(items))

    async def pop(self, timeout: float | None = 0.0) -> V | None:
        """Remove the first item and return it. O(1).

        Args:
            timeout: seconds to wait for an item if there is none; None: any time.

        Returns:
            The item; None if there was none in time.
        """
        items = await self.pop_many(1, timeout)
        return items[0] if items else None

    async def pop_many(self, count: int, timeout: float | None = 0.0) -> list[V]:
        """Remove the first items, at most `count`, and return them. O(1) for each.

        Args:
            count: how many at most.
            timeout: seconds to wait for the first of them; None: any time.
        """
        return await self._pop(count, timeout, b"0")

    async def rpop(self, timeout: float | None = 0.0) -> V | None:
        """Remove the last item and return it; as `pop`. O(1)."""
        items = await self._pop(1, timeout, b"1")
        return items[0] if items else None

    async def rpop_many(self, count: int, timeout: float | None = 0.0) -> list[V]:
        """Remove the last items, at most `count`, and return them, the last first. O(1) each."""
        return await self._pop(count, timeout, b"1")

    async def _pop(self, count: int, timeout: float | None, last: bytes) -> list[V]:
        wanted = dump_count(count)

        async def attempt(unmark: bytes, mark: bytes) -> Outcome[list[V]]:
            found = await self._call("queuePop", wanted, unmark, mark, last)
            return Outcome([self._load(item) for item in found] or None)

        return await self._consume(attempt, timeout) or []

    async def transfer(self, target: AsyncQueue[V], count: int = 1) -> list[V]:
        """Move the first items to the end of another queue. O(1) for each.

        So a worker keeps what it is at work on where others find it if the worker dies.

        Args:
            target: a queue in the same database, whose consumers that wait are woken.
            count: how many items at most.

        Returns:
            the items; none if this queue is empty.

        Raises:
            ArgumentError: `target` is this queue, or in another database.
        """
        other = self._beside(target)
        if other == self._key:
            raise ArgumentError(f"{self!r} cannot be transferred to itself")
        args = other, dump_count(count)
        *items, waiting = await self._calls.call_for_two("queueTransfer", self._key, args)
        await target._wake(int(waiting), 0, broadcast=len(items) > 1)
        return [self._load(item) for item in items]

    async def peek(self) -> V | None:
        """Return the first item, which stays; None if there is none. O(1)."""
        items = await self.slice(0, 1)
        return items[0] if items else None

    async def rpeek(self) -> V | None:
        """Return the last item, which stays; None if there is none. O(1)."""
        items = await self.slice(-1, None)
        return items[0] if items else None

    async def slice(
        self, start: int | None = None, stop: int | None = None, step: int | None = None
    ) -> list[V]:
        """Return items, which stay; without arguments, all. O(1) for each."""
        part = dump_slice(slice(start, stop, step))
        return [self._load(item) for item in await self._call("queueSlice", *part)]

    async def length(self) -> int:
        """Return the number of items. O(1)."""
        return await self._count("queueLength")

    async def contains(self, item: Any) -> bool:
        """Return whether there is such an item. O(n)."""
        return self._dump(item) in await self._call("queueSlice", b"", b"", b"")

    async def clear(self) -> None:
        """Remove everything. O(n)."""
        await self._call("queueClear")

    async def __aiter__(self) -> AsyncIterator[V]:
        for item in await self.slice():
            yield item


class AsyncSchedule(AsyncContainer[V], AsyncOperators):
    """Items that come when they are due, by the server's clock; every item comes once.

    It is one record: adding costs O(n) in the server for n items, and so does popping.
    """

    async def add(self, item: Any, when: float | timedelta | datetime) -> None:
        """Add an item. O(n).

        Args:
            item: it may be there several times.
            when: it is due, as seconds from now, a timedelta, or an aware datetime.
        """
        await self.update([(item, when)])

    async def update(self, items: Iterable[tuple[Any, float | timedelta | datetime]]) -> None:
        """Add items, each with the time when it is due. O(n times their number)."""
        args = [(dump_when(when), self._dump(item)) for item, when in pairs_of(items)]
        flat = list(chain.from_iterable(args))
        await self._produce("scheduleAdd", flat, broadcast=True)

    async def pop(self, timeout: float | None = 0.0) -> V | None:
        """Remove the first item that is due and return it. O(n).

        Args:
            timeout: seconds to wait until an item is due; None: any time.

        Returns:
            The item; None if none was due in time.
        """
        items = await self.pop_many(1, timeout)
        return items[0] if items else None

    async def pop_many(self, count: int, timeout: float | None = 0.0) -> list[V]:
        """Remove the first items that are due, at most `count`, and return them; see `pop`."""
        wanted = dump_count(count)

        async def attempt(unmark: bytes, mark: bytes) -> Outcome[list[V]]:
            due, *found = await self._call("schedulePop", wanted, unmark, mark)
            items = [self._load(item) for item in found]
            return Outcome(items or None, float(due) if due else NEVER)

        return await self._consume(attempt, timeout) or []

    async def items(self) -> list[tuple[V, datetime]]:
        """Return all items in order, each with the time when it is due (UTC). O(n)."""
        flat = await self._call("scheduleItems")
        pairs = zip(flat[::2], flat[1::2], strict=True)
        return [(self._load(item), datetime.fromtimestamp(float(due), UTC)) for due, item in pairs]

    async def remove(self, *items: Any) -> int:
        """Remove items wherever they are. Returns how many there were. O(n)."""
        return await self._count("scheduleRemove", *map(self._dump, items))

    async def length(self) -> int:
        """Return the number of items, due or not. O(n)."""
        return await self._count("scheduleLength")

    async def contains(self, item: Any) -> bool:
        """Return whether there is such an item. O(n)."""
        return self._dump(item) in (await self._call("scheduleItems"))[1::2]

    async def clear(self) -> None:
        """Remove everything. O(n)."""
        await self._call("scheduleClear")

    async def __aiter__(self) -> AsyncIterator[V]:
        for pair in await self.items():
            yield pair[0]


def dump_when(when: float | timedelta | datetime) -> bytes:
    """Return a time as the scripts take it; ``+`` before seconds from now."""
    if isinstance(when, datetime):
        if when.tzinfo is None:
            raise ArgumentError(f"{when!r} has no time zone: which moment is it?")
        return dump_number(when.timestamp())
    seconds = when.total_seconds() if isinstance(when, timedelta) else when
    return b"+" + dump_number(max(0, real("when", seconds)))
