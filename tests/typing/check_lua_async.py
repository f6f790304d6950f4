"""Types of the library of Lua scripts, as callers see them. For mypy; nothing is run."""

from __future__ import annotations

from datetime import datetime
from typing import Any, assert_type

from kt import AsyncKyotoTycoon, AsyncTokyoTyrant
from kt.lua import (
    AsyncCounter,
    AsyncHash,
    AsyncList,
    AsyncLock,
    AsyncQueue,
    AsyncRateLimiter,
    AsyncSchedule,
    AsyncSet,
    AsyncSortedSet,
    Permit,
)


async def containers(db: AsyncKyotoTycoon[bytes, int]) -> None:
    mapping = AsyncHash(db, "k")
    assert_type(mapping, AsyncHash[bytes, int])
    assert_type(await mapping.get("f"), int | None)
    assert_type(await mapping["f"], int)
    assert_type(await mapping.pop("f", "none"), int | str)
    assert_type(await mapping.items(), list[tuple[bytes, int]])
    items = AsyncList(db, b"k", db=1)
    assert_type(await items[0], int)
    assert_type(await items[1:], list[int])
    assert_type(await AsyncSet(db, "k").members(), set[int])
    assert_type(await AsyncSortedSet(db, "k").pop(), list[tuple[int, int | float]])
    assert_type(await AsyncQueue(db, "k").pop(timeout=None), int | None)
    assert_type(await AsyncSchedule(db, "k").items(), list[tuple[int, datetime]])


async def limits(db: AsyncTokyoTyrant[str, str]) -> None:
    assert_type(await AsyncRateLimiter(db, "k", limit=5, seconds=1).take(), Permit)
    assert_type(await AsyncCounter(db, "k", seconds=1).add(), int | float)
    async with AsyncLock(db, "k") as lock:
        assert_type(lock, AsyncLock)
        assert_type(await lock.acquire(), bool)


async def scripts(tycoon: AsyncKyotoTycoon[str, int], tyrant: AsyncTokyoTyrant[str, int]) -> None:
    assert_type(await tycoon.lua.anything({"a": 1}, b=2), dict[str, Any])
    assert_type(await tyrant.lua.anything("k", 1), bytes)
    assert_type(await tyrant.lua.anything.as_int("k"), int)
    assert_type(await tyrant.lua.anything.as_value("k"), int)
