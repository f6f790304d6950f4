"""What makes no sense is an ArgumentError, and nothing has happened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kt.errors import ArgumentError
from kt.lua.limits_async import AsyncCounter, AsyncLock, AsyncRateLimiter
from kt.lua.mappings_async import AsyncHash, AsyncSortedSet
from kt.lua.queues_async import AsyncQueue, AsyncSchedule
from kt.lua.sequences_async import AsyncList, AsyncSet

NAN = float("nan")

CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "Hash.get_bulk": lambda db, x: AsyncHash(db, "k").get_bulk(x),
    "Hash.update": lambda db, x: AsyncHash(db, "k").update(x),
    "Hash.increment": lambda db, x: AsyncHash(db, "k").increment("f", x),
    "List.get": lambda db, x: AsyncList(db, "k").get(x),
    "List.slice": lambda db, x: AsyncList(db, "k").slice(x),
    "List.getitem": lambda db, x: AsyncList(db, "k")[x],
    "List.set": lambda db, x: AsyncList(db, "k").set(x, "v"),
    "List.set slice": lambda db, x: AsyncList(db, "k").set(slice(None), x),
    "List.delete": lambda db, x: AsyncList(db, "k").delete(x),
    "List.extend": lambda db, x: AsyncList(db, "k").extend(x),
    "List.insert": lambda db, x: AsyncList(db, "k").insert(x, "v"),
    "List.pop": lambda db, x: AsyncList(db, "k").pop(x),
    "List.index": lambda db, x: AsyncList(db, "k").index("v", x),
    "List.find": lambda db, x: AsyncList(db, "k").find("v", x),
    "Set.update": lambda db, x: AsyncSet(db, "k").update(x),
    "Set.difference_update": lambda db, x: AsyncSet(db, "k").difference_update(x),
    "Set.contains_many": lambda db, x: AsyncSet(db, "k").contains_many(x),
    "SortedSet.set": lambda db, x: AsyncSortedSet(db, "k").set("m", x),
    "SortedSet.update": lambda db, x: AsyncSortedSet(db, "k").update(x),
    "SortedSet.pop": lambda db, x: AsyncSortedSet(db, "k").pop(x),
    "SortedSet.slice": lambda db, x: AsyncSortedSet(db, "k").slice(x),
    "SortedSet.range": lambda db, x: AsyncSortedSet(db, "k").range(x),
    "Queue.extend": lambda db, x: AsyncQueue(db, "k").extend(x),
    "Queue.pop": lambda db, x: AsyncQueue(db, "k").pop(x),
    "Queue.slice": lambda db, x: AsyncQueue(db, "k").slice(x),
    "Schedule.add": lambda db, x: AsyncSchedule(db, "k").add("i", x),
    "Schedule.update": lambda db, x: AsyncSchedule(db, "k").update(x),
    "Schedule.pop": lambda db, x: AsyncSchedule(db, "k").pop(x),
    "Lock.acquire": lambda db, x: AsyncLock(db, "k").acquire(x),
    "Lock.extend": lambda db, x: AsyncLock(db, "k").extend(x),
    "RateLimiter.take": lambda db, x: AsyncRateLimiter(db, "k", 5, 1).take(x),
    "Counter.add": lambda db, x: AsyncCounter(db, "k", 5).add(x),
}

TAKES_TEXT = {
    "Hash.get_bulk": [object(), "text"],
    "List.set slice": [object(), 5],
    "List.extend": [object(), 5],
    "Set.update": [object(), 5],
    "Set.difference_update": [object(), 5],
    "Set.contains_many": [object(), 5],
    "Queue.extend": [object(), 5],
}
"""Calls that take text, or anything of several parts."""


@pytest.mark.parametrize("name", CALLS)
async def test_nonsense(async_db: Any, name: str) -> None:
    for nonsense in TAKES_TEXT.get(name, [object(), "text", b"x", NAN, [[1]], slice("a", None)]):
        with pytest.raises(ArgumentError):
            await CALLS[name](async_db, nonsense)
    assert await async_db.count() == 0


@pytest.mark.parametrize("number", [object(), None, "5", NAN, 0, -1, True])
async def test_limits_are_positive_numbers(async_db: Any, number: Any) -> None:
    for make in (
        lambda: AsyncLock(async_db, "k", number),
        lambda: AsyncRateLimiter(async_db, "k", number, 1),
        lambda: AsyncRateLimiter(async_db, "k", 1, number),
        lambda: AsyncCounter(async_db, "k", number),
        lambda: AsyncCounter(async_db, "k", 5, number),
    ):
        with pytest.raises(ArgumentError, match="number"):
            make()
    with pytest.raises(ArgumentError, match="whole"):
        AsyncCounter(async_db, "k", 5, 1.5)  # type: ignore[arg-type]
