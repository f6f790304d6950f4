# Generated from test_nonsense_async.py by tools/async_to_sync.py: edit that one.
"""What makes no sense is an ArgumentError, and nothing has happened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kt.errors import ArgumentError
from kt.lua.limits import Counter, Lock, RateLimiter
from kt.lua.mappings import Hash, SortedSet
from kt.lua.queues import Queue, Schedule
from kt.lua.sequences import List, Set

NAN = float("nan")

CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "Hash.get_bulk": lambda db, x: Hash(db, "k").get_bulk(x),
    "Hash.update": lambda db, x: Hash(db, "k").update(x),
    "Hash.increment": lambda db, x: Hash(db, "k").increment("f", x),
    "List.get": lambda db, x: List(db, "k").get(x),
    "List.slice": lambda db, x: List(db, "k").slice(x),
    "List.getitem": lambda db, x: List(db, "k")[x],
    "List.set": lambda db, x: List(db, "k").set(x, "v"),
    "List.set slice": lambda db, x: List(db, "k").set(slice(None), x),
    "List.delete": lambda db, x: List(db, "k").delete(x),
    "List.extend": lambda db, x: List(db, "k").extend(x),
    "List.insert": lambda db, x: List(db, "k").insert(x, "v"),
    "List.pop": lambda db, x: List(db, "k").pop(x),
    "List.index": lambda db, x: List(db, "k").index("v", x),
    "List.find": lambda db, x: List(db, "k").find("v", x),
    "Set.update": lambda db, x: Set(db, "k").update(x),
    "Set.difference_update": lambda db, x: Set(db, "k").difference_update(x),
    "Set.contains_many": lambda db, x: Set(db, "k").contains_many(x),
    "SortedSet.set": lambda db, x: SortedSet(db, "k").set("m", x),
    "SortedSet.update": lambda db, x: SortedSet(db, "k").update(x),
    "SortedSet.pop": lambda db, x: SortedSet(db, "k").pop(x),
    "SortedSet.slice": lambda db, x: SortedSet(db, "k").slice(x),
    "SortedSet.range": lambda db, x: SortedSet(db, "k").range(x),
    "Queue.extend": lambda db, x: Queue(db, "k").extend(x),
    "Queue.pop": lambda db, x: Queue(db, "k").pop(x),
    "Queue.slice": lambda db, x: Queue(db, "k").slice(x),
    "Schedule.add": lambda db, x: Schedule(db, "k").add("i", x),
    "Schedule.update": lambda db, x: Schedule(db, "k").update(x),
    "Schedule.pop": lambda db, x: Schedule(db, "k").pop(x),
    "Lock.acquire": lambda db, x: Lock(db, "k").acquire(x),
    "Lock.extend": lambda db, x: Lock(db, "k").extend(x),
    "RateLimiter.take": lambda db, x: RateLimiter(db, "k", 5, 1).take(x),
    "Counter.add": lambda db, x: Counter(db, "k", 5).add(x),
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
def test_nonsense(db: Any, name: str) -> None:
    for nonsense in TAKES_TEXT.get(name, [object(), "text", b"x", NAN, [[1]], slice("a", None)]):
        with pytest.raises(ArgumentError):
            CALLS[name](db, nonsense)
    assert db.count() == 0


@pytest.mark.parametrize("number", [object(), None, "5", NAN, 0, -1, True])
def test_limits_are_positive_numbers(db: Any, number: Any) -> None:
    for make in (
        lambda: Lock(db, "k", number),
        lambda: RateLimiter(db, "k", number, 1),
        lambda: RateLimiter(db, "k", 1, number),
        lambda: Counter(db, "k", number),
        lambda: Counter(db, "k", 5, number),
    ):
        with pytest.raises(ArgumentError, match="number"):
            make()
    with pytest.raises(ArgumentError, match="whole"):
        Counter(db, "k", 5, 1.5)  # type: ignore[arg-type]
