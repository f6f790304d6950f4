"""AsyncQueue and AsyncSchedule, by one client."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kt.errors import ArgumentError, ServerError
from kt.lua.queues_async import AsyncQueue, AsyncSchedule
from kt.lua.sequences_async import AsyncSet
from kt.serializers import KT_JSON


async def test_first_in_first_out(async_db: Any) -> None:
    jobs: AsyncQueue[str] = AsyncQueue(async_db, "jobs")
    assert await jobs.push("a") == 1
    assert await jobs.push("b", "c", "d") == 4
    assert await jobs.extend("ef") == 6
    assert (await jobs.peek(), await jobs.pop(), await jobs.pop()) == ("a", "a", "b")
    assert await jobs.pop_many(2) == ["c", "d"]
    assert await jobs.pop_many(9) == ["e", "f"]
    assert (await jobs.pop(), await jobs.peek(), await jobs.pop_many(2)) == (None, None, [])
    assert await async_db.count() == 0


async def test_what_is_in_a_queue(async_db: Any) -> None:
    jobs: AsyncQueue[Any] = AsyncQueue(async_db.using(serializer=KT_JSON), "jobs")
    await jobs.push(*range(8))
    await jobs.pop()
    items = list(range(1, 8))
    assert [item async for item in jobs] == items
    assert (await jobs.length(), await jobs.contains(7), await jobs.contains(0)) == (7, True, False)
    for part in (slice(2), slice(-2, None), slice(None, None, -1), slice(5, 1, -2), slice(5, 2)):
        assert await jobs.slice(part.start, part.stop, part.step) == items[part]
    await jobs.clear()
    assert await jobs.length() == 0
    assert await async_db.count() == 0


async def test_waiting_in_vain(async_db: Any) -> None:
    jobs: AsyncQueue[str] = AsyncQueue(async_db, "jobs")
    assert await jobs.pop(timeout=0.05) is None
    assert await async_db.count() == 0, "a consumer that waits no more is forgotten"
    await jobs.push("a")
    assert await jobs.pop(timeout=None) == "a"


async def test_a_record_that_is_no_queue(async_db: Any) -> None:
    await AsyncSet(async_db, "k").add("m")
    for use in (AsyncQueue(async_db, "k").pop, AsyncSchedule(async_db, "k").pop):
        with pytest.raises(ServerError):
            await use()


async def test_what_is_due_comes_in_order(async_db: Any) -> None:
    plan: AsyncSchedule[str] = AsyncSchedule(async_db, "plan")
    now = datetime.now(UTC)
    await plan.add("third", now - timedelta(seconds=1))
    await plan.add("fourth", timedelta(0))
    await plan.update([("far", 1000), ("first", now - timedelta(days=2)), ("also far", 1000)])
    await plan.add("second", now - timedelta(days=1))
    assert await plan.pop() == "first"
    assert await plan.pop_many(9) == ["second", "third", "fourth"]
    assert await plan.pop() is None
    assert await plan.length() == 2
    assert [item async for item in plan] == ["far", "also far"]
    (_, due), _ = await plan.items()
    assert timedelta(seconds=900) < due - now < timedelta(seconds=1100)
    assert (await plan.contains("far"), await plan.contains("first")) == (True, False)
    assert await plan.remove("far", "x") == 1
    await plan.clear()
    assert await async_db.count() == 0
    with pytest.raises(ArgumentError):
        await plan.add("when?", datetime.now())


async def test_waiting_until_an_item_is_due(async_db: Any) -> None:
    plan: AsyncSchedule[str] = AsyncSchedule(async_db, "plan")
    await plan.update([("soon", 0.1), ("far", 1000)])
    assert await plan.pop() is None
    assert await plan.pop(timeout=None) == "soon"
    assert await plan.pop(timeout=0.05) is None
    assert await plan.length() == 1


async def test_last_in_first_out(async_db: Any) -> None:
    jobs: AsyncQueue[str] = AsyncQueue(async_db, "jobs")
    await jobs.push(*"abcdef")
    assert (await jobs.rpeek(), await jobs.rpop(), await jobs.pop()) == ("f", "f", "a")
    assert await jobs.rpop_many(2) == ["e", "d"]
    assert await jobs.push("x") == 3
    assert await jobs.rpop_many(9) == ["x", "c", "b"]
    assert (await jobs.rpop(), await jobs.rpeek(), await jobs.rpop_many(2)) == (None, None, [])
    assert await async_db.count() == 0
    assert await jobs.rpop(timeout=0.05) is None
    assert await async_db.count() == 0


async def test_transfer(async_db: Any) -> None:
    jobs: AsyncQueue[str] = AsyncQueue(async_db, "jobs")
    busy: AsyncQueue[str] = AsyncQueue(async_db, "busy")
    await jobs.push(*"abcdef")
    assert await jobs.transfer(busy) == ["a"]
    assert await jobs.transfer(busy, 3) == ["b", "c", "d"]
    assert await busy.pop() == "a"
    assert await busy.transfer(jobs, 2) == ["b", "c"]
    assert (await jobs.slice(), await busy.slice()) == (list("efbc"), ["d"])
    assert await jobs.transfer(busy, 99) == list("efbc")
    assert await jobs.transfer(busy) == []
    assert await jobs.transfer(busy, 0) == []
    assert (await jobs.slice(), await busy.slice()) == ([], list("defbc"))
    for target in (jobs, AsyncSet(async_db, "s"), AsyncSchedule(async_db, "d"), "busy"):
        with pytest.raises(ArgumentError):
            await jobs.transfer(target)  # type: ignore[arg-type]
    await AsyncSet(async_db, "set").add("m")
    with pytest.raises(ServerError):
        await busy.transfer(AsyncQueue(async_db, "set"))
    assert await busy.pop_many(9) == list("defbc")
    await AsyncSet(async_db, "set").clear()
    assert await async_db.count() == 0


@pytest.mark.parametrize("count", [-1, 1.5, "2", None, True])
async def test_how_many_is_a_whole_number(async_db: Any, count: Any) -> None:
    jobs: AsyncQueue[str] = AsyncQueue(async_db, "jobs")
    await jobs.push("a", "b")
    calls = (jobs.pop_many, jobs.rpop_many, AsyncSchedule(async_db, "plan").pop_many)
    for call in calls:
        with pytest.raises(ArgumentError, match="how many"):
            await call(count)
    with pytest.raises(ArgumentError, match="how many"):
        await jobs.transfer(AsyncQueue(async_db, "other"), count)
    assert await jobs.slice() == ["a", "b"]
    for text in (b"-1", b"0.5"):  # nor does the script break the queue, whoever calls it
        assert await jobs._call("queuePop", text, b"0", b"0") == []
    assert await jobs.pop_many(3) == ["a", "b"]
