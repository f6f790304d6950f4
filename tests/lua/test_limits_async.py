"""AsyncLock, AsyncRateLimiter and AsyncCounter, by one client."""

from __future__ import annotations

from typing import Any

import pytest

from kt.errors import ArgumentError
from kt.lua.limits_async import AsyncCounter, AsyncLock, AsyncRateLimiter
from kt.lua.results import LockLost, Permit


async def test_a_lock_has_one_holder(async_db: Any) -> None:
    ours, theirs = AsyncLock(async_db, "lock"), AsyncLock(async_db, "lock")
    assert (await ours.locked(), await ours.remaining()) == (False, 0)
    assert await ours.acquire() is True
    assert (await ours.owned(), await theirs.owned(), await theirs.locked()) == (True, False, True)
    assert 0 < await theirs.remaining() <= 30
    assert await theirs.acquire(timeout=0) is False
    assert await theirs.acquire(timeout=0.05) is False
    with pytest.raises(LockLost):
        await theirs.release()
    await ours.release()
    assert await async_db.count() == 0
    with pytest.raises(LockLost):
        await ours.release()
    async with theirs:
        assert await ours.acquire(timeout=0) is False
    assert await ours.locked() is False


async def test_a_lock_that_was_held_too_long(async_db: Any) -> None:
    ours, theirs = AsyncLock(async_db, "lock", 0.05), AsyncLock(async_db, "lock")
    await ours.acquire()
    assert await theirs.acquire() is True, "waits until it is free"
    with pytest.raises(LockLost):
        await ours.extend()
    with pytest.raises(LockLost):
        await ours.release()
    assert await theirs.owned() is True


async def test_extending_a_lock(async_db: Any) -> None:
    lock = AsyncLock(async_db, "lock", 5)
    with pytest.raises(LockLost):
        await lock.extend()
    await lock.acquire()
    await lock.extend(1000)
    assert await lock.remaining() > 900
    await lock.extend()
    assert await lock.remaining() <= 5


async def use(lock: AsyncLock, db: Any, error: Exception | None = None) -> None:
    """Lose a lock while it is held, and then fail."""
    async with lock:
        await db.remove(lock.key)
        if error is not None:
            raise error


async def test_losing_a_lock_inside(async_db: Any) -> None:
    lock = AsyncLock(async_db, "lock")
    with pytest.raises(LockLost):
        await use(lock, async_db)
    with pytest.raises(RuntimeError, match="the first"):
        await use(lock, async_db, RuntimeError("the first"))


async def test_a_rate_limiter(async_db: Any) -> None:
    limiter = AsyncRateLimiter(async_db, "login", limit=3, seconds=1000)
    assert await limiter.check(3) == Permit(True, 3, 0)
    assert await limiter.take() == Permit(True, 2, 0)
    assert await limiter.take(2)
    refused = await limiter.take()
    assert not refused
    assert 0 <= refused.remaining < 1
    assert 300 < refused.retry_after <= 1000 / 3
    assert not await limiter.check()
    assert (await limiter.take(4)).retry_after == float("inf")
    await limiter.clear()
    assert await limiter.take(3)


async def test_a_rate_limiter_fills_again(async_db: Any) -> None:
    limiter = AsyncRateLimiter(async_db, "fast", limit=1, seconds=0.02)
    assert await limiter.take()
    while not await limiter.take():
        pass
    permit = await limiter.check()
    assert permit.remaining <= 1


async def test_a_counter(async_db: Any) -> None:
    visits = AsyncCounter(async_db, "visits", seconds=1000)
    assert await visits.total() == 0
    assert (await visits.add(), await visits.add(2), await visits.add(0.5)) == (1, 3, 3.5)
    assert await visits.total() == 3.5
    await visits.clear()
    assert await visits.total() == 0


async def test_a_counter_forgets(async_db: Any) -> None:
    visits = AsyncCounter(async_db, "visits", seconds=0.05, intervals=5)
    await visits.add(7)
    while await visits.total():
        pass
    assert await visits.add(1) == 1


async def test_what_must_be_positive(async_db: Any) -> None:
    with pytest.raises(ArgumentError):
        AsyncLock(async_db, "k", 0)
    with pytest.raises(ArgumentError):
        AsyncRateLimiter(async_db, "k", limit=0, seconds=1)
    with pytest.raises(ArgumentError):
        AsyncCounter(async_db, "k", -1)
    with pytest.raises(ArgumentError):
        await AsyncRateLimiter(async_db, "k", 1, 1).take(0)
