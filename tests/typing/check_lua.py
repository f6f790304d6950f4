# Generated from check_lua_async.py by tools/async_to_sync.py: edit that one.
"""Types of the library of Lua scripts, as callers see them. For mypy; nothing is run."""

from __future__ import annotations

from datetime import datetime
from typing import Any, assert_type

from kt import KyotoTycoon, TokyoTyrant
from kt.lua import (
    Counter,
    Hash,
    List,
    Lock,
    Permit,
    Queue,
    RateLimiter,
    Schedule,
    Set,
    SortedSet,
)


def containers(db: KyotoTycoon[bytes, int]) -> None:
    mapping = Hash(db, "k")
    assert_type(mapping, Hash[bytes, int])
    assert_type(mapping.get("f"), int | None)
    assert_type(mapping["f"], int)
    assert_type(mapping.pop("f", "none"), int | str)
    assert_type(mapping.items(), list[tuple[bytes, int]])
    items = List(db, b"k", db=1)
    assert_type(items[0], int)
    assert_type(items[1:], list[int])
    assert_type(Set(db, "k").members(), set[int])
    assert_type(SortedSet(db, "k").pop(), list[tuple[int, int | float]])
    assert_type(Queue(db, "k").pop(timeout=None), int | None)
    assert_type(Schedule(db, "k").items(), list[tuple[int, datetime]])


def limits(db: TokyoTyrant[str, str]) -> None:
    assert_type(RateLimiter(db, "k", limit=5, seconds=1).take(), Permit)
    assert_type(Counter(db, "k", seconds=1).add(), int | float)
    with Lock(db, "k") as lock:
        assert_type(lock, Lock)
        assert_type(lock.acquire(), bool)


def scripts(tycoon: KyotoTycoon[str, int], tyrant: TokyoTyrant[str, int]) -> None:
    assert_type(tycoon.lua.anything({"a": 1}, b=2), dict[str, Any])
    assert_type(tyrant.lua.anything("k", 1), bytes)
    assert_type(tyrant.lua.anything.as_int("k"), int)
    assert_type(tyrant.lua.anything.as_value("k"), int)
