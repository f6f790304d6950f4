"""AsyncList and AsyncSet."""

from __future__ import annotations

from typing import Any

import pytest

from kt.errors import ArgumentError, ServerError
from kt.lua.sequences_async import AsyncList, AsyncSet
from kt.serializers import KT_JSON


async def letters(db: Any, text: str = "abcdef") -> AsyncList[str]:
    items: AsyncList[str] = AsyncList(db, "letters")
    assert await items.extend(text) == len(text)
    return items


async def test_reading_a_list(async_db: Any) -> None:
    items = await letters(async_db)
    assert [await items[index] for index in (0, 5, -1, -6)] == list("affa")
    for index in (6, -7):
        with pytest.raises(IndexError):
            await items[index]
    assert await items[1:3] == ["b", "c"]
    assert await items.copy() == list("abcdef")
    assert [item async for item in items] == list("abcdef")
    assert (await items.length(), await items.contains("c"), await items.count("x")) == (6, True, 0)
    assert (await items.index("c"), await items.index("c", -4, -3)) == (2, 2)
    with pytest.raises(ValueError, match="not in"):
        await items.index("c", 3)


async def test_changing_a_list(async_db: Any) -> None:
    items = await letters(async_db, "abc")
    await items.set(0, "A")
    await items.set(-1, "C")
    for index in (3, -4):
        with pytest.raises(IndexError):
            await items.set(index, "x")
    assert await items.append("d") == 4
    assert await items.insert(0, "0") == 5
    assert await items.insert(-1, "y") == 6
    assert await items.insert(99, "z") == 7
    assert await items.copy() == ["0", "A", "b", "C", "y", "d", "z"]
    assert (await items.pop(), await items.pop(0), await items.pop(-2)) == ("z", "0", "y")
    await items.remove("b")
    with pytest.raises(ValueError, match="not in"):
        await items.remove("b")
    await items.reverse()
    assert await items.copy() == ["d", "C", "A"]
    await items.delete(1)
    with pytest.raises(IndexError):
        await items.delete(2)
    await items.clear()
    with pytest.raises(IndexError):
        await items.pop()
    assert await async_db.count() == 0


async def test_sorting_a_list(async_db: Any) -> None:
    items = await letters(async_db, "bäaZ€b")
    await items.sort()
    assert await items.copy() == ["Z", "a", "b", "b", "ä", "€"]
    await items.sort(reverse=True)
    assert await items.copy() == ["€", "ä", "b", "b", "a", "Z"]
    await items.clear()
    await items.sort()
    assert await async_db.count() == 0, "an empty list is not stored"
    numbers: AsyncList[int] = AsyncList(async_db.using(serializer=KT_JSON), "numbers")
    await numbers.extend([9, 10, 1])
    await numbers.sort()
    assert await numbers.copy() == [1, 10, 9], "as text"


async def test_changing_slices(async_db: Any) -> None:
    items = await letters(async_db)
    await items.set(slice(1, 3), ["X", "Y", "Z"])
    assert await items.copy() == list("aXYZdef")
    await items.set(slice(None, None, 3), "123")
    assert await items.copy() == list("1XY2de3")
    with pytest.raises(ValueError, match="2 items for a slice of 4"):
        await items.set(slice(None, None, 2), "12")
    with pytest.raises(ArgumentError):
        await items.slice(step=0)
    await items.delete(slice(-2, None))
    await items.delete(slice(5, 2))
    assert await items.copy() == list("1XY2d")


async def test_a_set(async_db: Any) -> None:
    tags: AsyncSet[str] = AsyncSet(async_db, "tags")
    assert await tags.add("a", "b", "a") == 2
    assert await tags.update(["b", "c"], ["d"]) == 2
    assert await tags.members() == await tags.copy() == {"a", "b", "c", "d"}
    assert [tag async for tag in tags] == ["a", "b", "c", "d"]
    assert (await tags.contains("a"), await tags.contains("x")) == (True, False)
    assert await tags.contains_many(["x", "b"]) == [False, True]
    assert await tags.discard("a", "x", "a") == 1
    assert await tags.difference_update(["b"], ["y"]) == 1
    await tags.remove("c")
    with pytest.raises(KeyError):
        await tags.remove("c")
    assert await tags.length() == 1
    assert await tags.pop() == "d"
    with pytest.raises(KeyError):
        await tags.pop()
    assert await async_db.count() == 0
    await tags.add("again")
    await tags.clear()
    assert await tags.members() == set()


async def test_members_are_what_the_serializer_writes(async_db: Any) -> None:
    tags: AsyncSet[Any] = AsyncSet(async_db.using(serializer=KT_JSON), "tags")
    await tags.add(1, "1", None, 1.5)
    assert await tags.members() == {1, "1", None, 1.5}
    assert await tags.contains(None)


async def test_find_tells_that_there_is_none(async_db: Any) -> None:
    items = await letters(async_db)
    assert (await items.find("c"), await items.find("x"), await items.find("c", 3)) == (
        2,
        None,
        None,
    )


async def test_rpoplpush(async_db: Any) -> None:
    items = await letters(async_db, "abc")
    other: AsyncList[str] = AsyncList(async_db, "other")
    assert [await items.rpoplpush(other) for _ in range(2)] == ["c", "b"]
    assert (await items.copy(), await other.copy()) == (["a"], ["b", "c"])
    assert await other.rpoplpush(other) == "c"
    assert await other.copy() == ["c", "b"]
    assert await items.rpoplpush(other) == "a"
    assert await items.rpoplpush(other) is None
    assert await items.rpoplpush(items) is None
    assert await other.copy() == ["a", "c", "b"]
    assert await async_db.count() == 1
    await AsyncSet(async_db, "set").add("m")
    for source, target in (
        (other, AsyncList(async_db, "set")),
        (AsyncList(async_db, "set"), other),
    ):
        with pytest.raises(ServerError):
            await source.rpoplpush(target)
    with pytest.raises(ServerError):
        await AsyncList(async_db, "set").rpoplpush(AsyncList(async_db, "set"))
    with pytest.raises(ArgumentError, match=r"is no (Async)?List"):
        await other.rpoplpush(AsyncSet(async_db, "set"))  # type: ignore[arg-type]
    assert await other.copy() == ["a", "c", "b"]
    assert await AsyncSet(async_db, "set").members() == {"m"}
