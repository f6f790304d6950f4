"""touch, expire_time and move; containers in other databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kt.errors import ArgumentError, ServerError
from kt.lua.mappings_async import AsyncHash
from kt.lua.queues_async import AsyncQueue
from kt.lua.records_async import expire_time, get_part, move, touch, touch_bulk
from tests.lua.servers import TYCOONS, TYRANTS

tycoons = pytest.mark.parametrize("lua_server", TYCOONS, indirect=True)


@tycoons
async def test_changing_when_a_record_expires(async_db: Any) -> None:
    await async_db.set("k", "v")
    assert await expire_time(async_db, "k") is None
    assert await touch(async_db, "k", timedelta(seconds=100)) is True
    expires = await expire_time(async_db, "k")
    assert expires is not None
    assert timedelta(seconds=90) < expires - datetime.now(UTC) < timedelta(seconds=110)
    assert await async_db.get("k") == "v"
    moment = datetime(2100, 1, 1, tzinfo=UTC)
    assert await touch(async_db, "k", moment) is True
    assert await expire_time(async_db, "k") == moment
    assert await touch(async_db, "k", None) is True
    assert await expire_time(async_db, "k") is None


@tycoons
async def test_changing_when_records_expire(async_db: Any) -> None:
    await async_db.set_bulk({"a": "1", "b": "2", "c": "3"})
    moment = datetime(2100, 1, 1, tzinfo=UTC)
    assert await touch_bulk(async_db, ["a", "none", b"c", "a"], moment) == 2
    assert [await expire_time(async_db, key) for key in "abc"] == [moment, None, moment]
    assert await async_db.get_bulk(["a", "b", "c", "none"]) == {"a": "1", "b": "2", "c": "3"}
    assert await touch_bulk(async_db, ["c"], None) == 1
    assert await expire_time(async_db, "c") is None
    await async_db.set("a", "1", db=1)
    assert await touch_bulk(async_db, ["a", "b"], 100, db=1) == 1
    assert await touch_bulk(async_db, [], 100) == 0
    for keys in ("ab", 5):
        with pytest.raises(ArgumentError):
            await touch_bulk(async_db, keys, 100)  # type: ignore[arg-type]


@tycoons
async def test_a_part_of_a_value(async_db: Any) -> None:
    await async_db.set("k", "0123456789")
    assert await get_part(async_db, "k") == b"0123456789"
    assert await get_part(async_db, "k", 3) == b"3456789"
    assert await get_part(async_db, "k", 3, 2) == b"34"
    assert await get_part(async_db, "k", 8, 9) == b"89"
    assert await get_part(async_db, "k", 3, 0) == b""
    assert await get_part(async_db, "k", 10) == b""
    assert await get_part(async_db, "none", 3) is None
    await async_db.set("k", "x" * 300, db=1)
    assert await get_part(async_db, "k", 1, 200, db=1) == b"x" * 200
    for start, length in ((-1, 1), (0, -1), ("1", 1)):
        with pytest.raises(ArgumentError):
            await get_part(async_db, "k", start, length)  # type: ignore[arg-type]


@tycoons
async def test_no_such_record(async_db: Any) -> None:
    assert await touch(async_db, "k", 100) is False
    with pytest.raises(KeyError):
        await expire_time(async_db, "k")
    assert await move(async_db, "k", 1) is False
    assert await move(async_db, "k", 0, 1) is False
    assert await async_db.count() == 0


@tycoons
async def test_containers_keep_their_expiry(async_db: Any) -> None:
    book: AsyncHash[str, str] = AsyncHash(async_db, "book")
    await book.set("a", "1")
    moment = datetime(2100, 1, 1, tzinfo=UTC)
    await touch(async_db, "book", moment)
    await book.set("b", "2")
    assert await expire_time(async_db, "book") == moment


@tycoons
@pytest.mark.parametrize(("here", "there"), [(0, 1), (1, 0)])
async def test_moving_a_record(async_db: Any, here: int, there: int) -> None:
    moment = datetime(2100, 1, 1, tzinfo=UTC)
    await async_db.set("k", "v", db=here, expire_time=moment)
    assert await move(async_db, "k", there, here) is True
    assert await async_db.get("k", db=here) is None
    assert await async_db.get("k", db=there) == "v"
    assert await expire_time(async_db, "k", there) == moment
    await async_db.set("k", "new", db=here)
    assert await move(async_db, "k", there, here) is False
    assert await async_db.get("k", db=there) == "v"
    assert await move(async_db, "k", there, here, replace=True) is True
    assert await async_db.get("k", db=there) == "new"
    assert await expire_time(async_db, "k", there) is None
    assert await move(async_db, "k", there, there) is True


@tycoons
async def test_databases(async_db: Any) -> None:
    first: AsyncQueue[str] = AsyncQueue(async_db, "jobs")
    second: AsyncQueue[str] = AsyncQueue(async_db, "jobs", db=1)
    same: AsyncQueue[str] = AsyncQueue(async_db.using(db=1), "jobs")
    await first.push("in the first")
    await second.push("in the second")
    assert await same.pop() == "in the second"
    assert await second.pop() is None
    assert await first.pop() == "in the first"
    with pytest.raises(ServerError):
        await AsyncQueue(async_db, "jobs", db=2).pop()
    with pytest.raises(ServerError):
        await move(async_db, "k", 2)


@pytest.mark.parametrize("lua_server", TYRANTS, indirect=True)
async def test_one_database_only(async_db: Any) -> None:
    with pytest.raises(ArgumentError):
        AsyncHash(async_db, "k", db=0)
