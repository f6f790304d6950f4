"""A list and a set."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from itertools import chain
from typing import Any, overload

from kt.errors import ArgumentError
from kt.lua.arguments import several
from kt.lua.calls_async import AsyncContainer
from kt.lua.numbers import Slice, dump_index, dump_slice
from kt.lua.operators import AsyncListOperators, AsyncSetOperators
from kt.types import V


class AsyncList(AsyncContainer[V], AsyncListOperators):
    """A list in one record, with the methods of Python's and its slices.

    Every operation costs O(n) in the server for a list of n items, of which only what is asked for
    is transferred. For many items that come and go at the ends there is `AsyncQueue`.
    """

    async def get(self, index: int) -> V:
        """Return an item; raises IndexError if there is none. O(n)."""
        found = await self._call("listGet", dump_index(index))
        if not found:
            raise IndexError(f"{self!r} has no position {index}")
        return self._load(found[0])

    async def slice(
        self, start: int | None = None, stop: int | None = None, step: int | None = None
    ) -> list[V]:
        """Return items; without arguments, all. O(n)."""
        part = dump_slice(slice(start, stop, step))
        return [self._load(item) for item in await self._call("listSlice", *part)]

    async def copy(self) -> list[V]:
        """Return all items. O(n)."""
        return await self.slice()

    async def set(self, index: int | Slice, value: Any) -> None:
        """Store an item, or several in place of a slice. O(n).

        Raises:
            IndexError: there is no such position.
            ArgumentError (a ValueError): a slice with a step wants as many items as it has.
        """
        if isinstance(index, int):
            if not await self._test("listSet", dump_index(index), self._dump(value)):
                raise IndexError(f"{self!r} has no position {index}")
            return
        part = dump_slice(index)
        items = [self._dump(item) for item in several(value)]
        found = await self._call("listSetSlice", *part, *items)
        if found[0] != b"1":
            raise ArgumentError(f"{len(items)} items for a slice of {int(found[1])}")

    async def delete(self, index: int | Slice) -> None:
        """Remove an item, which must be there, or a slice. O(n)."""
        if isinstance(index, int):
            await self._pop(index)
        else:
            await self._call("listDeleteSlice", *dump_slice(index))

    async def append(self, value: Any) -> int:
        """Add an item at the end. Returns the length. O(n)."""
        return await self._count("listExtend", self._dump(value))

    async def extend(self, values: Iterable[Any]) -> int:
        """Add items at the end. Returns the length. O(n + their number)."""
        return await self._count("listExtend", *map(self._dump, several(values)))

    async def insert(self, index: int, value: Any) -> int:
        """Add an item before the one at `index`. Returns the length. O(n)."""
        return await self._count("listInsert", dump_index(index), self._dump(value))

    async def pop(self, index: int = -1) -> V:
        """Remove an item and return it; raises IndexError if there is none. O(n)."""
        return self._load(await self._pop(index))

    async def rpoplpush(self, target: AsyncList[V]) -> V | None:
        """Move the last item to the beginning of another list, or of this one. O(n of both).

        Args:
            target: a list in the same database.

        Returns:
            the item; None if there is none.

        Raises:
            ArgumentError: `target` is in another database.
            ServerError: the record of `target` is no list; nothing has changed.
        """
        args = (self._beside(target),)
        found = await self._calls.call_for_two("listTransfer", self._key, args)
        return self._load(found[0]) if found else None

    async def remove(self, value: Any) -> None:
        """Remove the first such item. O(n).

        Raises:
            ArgumentError (a ValueError): there is none.
        """
        if not await self._test("listRemove", self._dump(value)):
            raise ArgumentError(f"{value!r} is not in {self!r}")

    async def index(self, value: Any, start: int | None = None, stop: int | None = None) -> int:
        """Return the position of the first such item, between `start` and `stop`. O(n).

        Raises:
            ArgumentError (a ValueError): there is none.
        """
        found = await self.find(value, start, stop)
        if found is None:
            raise ArgumentError(f"{value!r} is not in {self!r}")
        return found

    async def find(
        self, value: Any, start: int | None = None, stop: int | None = None
    ) -> int | None:
        """Return the position of the first such item; None if there is none. O(n)."""
        bounds = dump_index(start), dump_index(stop)
        found = await self._call("listIndex", self._dump(value), *bounds)
        return int(found[0]) if found else None

    async def count(self, value: Any) -> int:
        """Return how often an item is there. O(n)."""
        return await self._count("listCount", self._dump(value))

    async def reverse(self) -> None:
        """Put the items into the opposite order. O(n)."""
        await self._call("listReverse")

    async def sort(self, *, reverse: bool = False) -> None:
        """Put the items in order, the greatest first with `reverse`. O(n log n).

        What is compared is the bytes that the client's serializer writes. Text as it is comes in
        the order of Python's strings, numbers come in the order of their text.
        """
        await self._call("listSort", b"1" if reverse else b"")

    async def length(self) -> int:
        """Return the number of items. O(n)."""
        return await self._count("listLength")

    async def contains(self, value: Any) -> bool:
        """Return whether there is such an item. O(n)."""
        return await self.count(value) > 0

    async def clear(self) -> None:
        """Remove everything. O(n)."""
        await self._call("listClear")

    @overload
    async def __getitem__(self, index: int) -> V: ...
    @overload
    async def __getitem__(self, index: Slice) -> list[V]: ...
    async def __getitem__(self, index: int | Slice) -> V | list[V]:
        if isinstance(index, int):
            return await self.get(index)
        part = dump_slice(index)
        return [self._load(item) for item in await self._call("listSlice", *part)]

    async def __aiter__(self) -> AsyncIterator[V]:
        for item in await self.slice():
            yield item

    async def _pop(self, index: int) -> bytes:
        found = await self._call("listPop", dump_index(index))
        if not found:
            raise IndexError(f"{self!r} has no position {index}")
        return found[0]


class AsyncSet(AsyncContainer[V], AsyncSetOperators):
    """A set in one record.

    Equal members are those that the client's serializer writes as equal bytes; they are kept in the
    order in which they were added. Every operation costs O(n) in the server for a set of n members.
    """

    async def add(self, *members: Any) -> int:
        """Add members. Returns how many are new. O(n + their number)."""
        return await self._count("setAdd", *map(self._dump, members))

    async def update(self, *others: Iterable[Any]) -> int:
        """Add all members of these. Returns how many are new. O(n + their number)."""
        return await self.add(*chain.from_iterable(map(several, others)))

    async def discard(self, *members: Any) -> int:
        """Remove members. Returns how many were there. O(n + their number)."""
        return await self._count("setRemove", *map(self._dump, members))

    async def difference_update(self, *others: Iterable[Any]) -> int:
        """Remove all members of these. Returns how many were there. O(n + their number)."""
        return await self.discard(*chain.from_iterable(map(several, others)))

    async def remove(self, member: Any) -> None:
        """Remove a member; raises KeyError if it is not there. O(n)."""
        if not await self.discard(member):
            raise KeyError(member)

    async def pop(self) -> V:
        """Remove a member and return it; raises KeyError if the set is empty. O(n)."""
        found = await self._call("setPop")
        if not found:
            raise KeyError("the set is empty")
        return self._load(found[0])

    async def members(self) -> set[V]:
        """Return all members. O(n)."""
        return set(await self._all())

    async def copy(self) -> set[V]:
        """Return all members. O(n)."""
        return await self.members()

    async def contains(self, member: Any) -> bool:
        """Return whether there is such a member. O(n)."""
        return await self._test("setHas", self._dump(member))

    async def contains_many(self, members: Iterable[Any]) -> list[bool]:
        """Return, for each, whether there is such a member. O(n + their number)."""
        found = await self._call("setHas", *map(self._dump, several(members)))
        return [flag == b"1" for flag in found]

    async def length(self) -> int:
        """Return the number of members. O(n)."""
        return await self._count("setLength")

    async def clear(self) -> None:
        """Remove everything. O(n)."""
        await self._call("setClear")

    async def __aiter__(self) -> AsyncIterator[V]:
        for member in await self._all():
            yield member

    async def _all(self) -> list[V]:
        return [self._load(member) for member in await self._call("setMembers")]
