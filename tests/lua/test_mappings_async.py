"""AsyncHash and AsyncSortedSet."""

from __future__ import annotations

from typing import Any

import pytest

from kt.errors import ArgumentError, ServerError
from kt.lua.mappings_async import AsyncHash, AsyncSortedSet
from kt.serializers import KT_JSON, KT_NONE


async def test_a_hash_is_a_mapping(async_db: Any) -> None:
    book: AsyncHash[str, str] = AsyncHash(async_db, "book")
    assert await book.set("title", "Notes") is True
    assert await book.set("title", "More notes") is False
    assert await book["title"] == "More notes"
    assert await book.get("year") is None
    assert await book.get("year", 0) == 0
    with pytest.raises(KeyError):
        await book["year"]
    assert await book.update({"year": 1843, "pages": 67}, author="Ada") == 3
    assert await book.keys() == ["title", "year", "pages", "author"]
    assert await book.values() == ["More notes", "1843", "67", "Ada"]
    assert await book.items() == list((await book.copy()).items())
    assert await book.get_bulk(["author", "nothing"]) == {"author": "Ada"}
    assert [field async for field in book] == await book.keys()
    assert (await book.length(), await book.contains("year")) == (4, True)


async def test_taking_out_of_a_hash(async_db: Any) -> None:
    book: AsyncHash[str, str] = AsyncHash(async_db, "book")
    await book.update({"a": "1", "b": "2", "c": "3", "d": "4"})
    assert await book.pop("a") == "1"
    assert await book.pop("a", None) is None
    with pytest.raises(KeyError):
        await book.pop("a")
    assert await book.popitem() == ("d", "4")
    assert await book.remove("b", "b", "x") == 1
    with pytest.raises(KeyError):
        await book.delete("b")
    await book.delete("c")
    assert await book.length() == 0
    assert await async_db.count() == 0
    with pytest.raises(KeyError):
        await book.popitem()


async def test_setdefault_and_increment(async_db: Any) -> None:
    stock: AsyncHash[str, Any] = AsyncHash(async_db.using(serializer=KT_JSON), "stock")
    assert await stock.setdefault("apples", [1]) == [1]
    assert await stock.setdefault("apples", [2]) == [1]
    assert await stock.increment("pears") == 1
    assert await stock.increment("pears", 1.5) == 2.5
    assert await stock.get("pears") == 2.5
    assert await stock.increment("plums", 2**53 - 1) == 2**53 - 1
    with pytest.raises(ServerError):
        await stock.increment("apples")
    with pytest.raises(ArgumentError):
        await stock.increment("apples", 2**53 + 1)
    assert await stock.get("apples") == [1]


@pytest.mark.parametrize("size", [0, 127, 128, 16_383, 16_384, 70_000])
async def test_values_of_any_size_and_bytes(async_db: Any, size: int) -> None:
    hash_: AsyncHash[str, bytes] = AsyncHash(async_db.using(serializer=KT_NONE), b"\x00\xff")
    value = bytes(i % 256 for i in range(size))
    await hash_.update({"": value, "\udcff": b"", "ä": value})
    assert await hash_.copy() == {"": value, "\udcff": b"", "ä": value}
    await hash_.clear()
    assert await hash_.length() == 0


async def test_a_record_of_another_kind(async_db: Any) -> None:
    await AsyncSortedSet(async_db, "k").set("m", 1)
    with pytest.raises(ServerError):
        await AsyncHash(async_db, "k").set("f", "v")
    with pytest.raises(ServerError):
        await AsyncHash(async_db, "k").clear()
    await async_db.set("plain", "value")
    with pytest.raises(ServerError):
        await AsyncHash(async_db, "plain").copy()
    assert await AsyncSortedSet(async_db, "k").items() == [("m", 1)]


async def test_a_sorted_set_orders_by_score(async_db: Any) -> None:
    ranking: AsyncSortedSet[str] = AsyncSortedSet(async_db, "ranking")
    assert await ranking.set("Ada", 3) is True
    assert await ranking.update([("Bob", 1), ("Cyd", 2.5), ("Ada", 3)]) == 2
    assert await ranking.items() == [("Bob", 1), ("Cyd", 2.5), ("Ada", 3)]
    assert await ranking.increment("Bob", 2) == 3
    assert await ranking.keys() == ["Cyd", "Ada", "Bob"]
    assert await ranking.values() == [2.5, 3, 3]
    assert (await ranking["Ada"], await ranking.get("Dan"), await ranking.get("Dan", 7)) == (
        3,
        None,
        7,
    )
    with pytest.raises(KeyError):
        await ranking["Dan"]
    assert (await ranking.rank("Cyd"), await ranking.rank("Dan")) == (0, None)
    assert await ranking.slice(None, 2) == [("Cyd", 2.5), ("Ada", 3)]
    assert await ranking.slice(None, None, -2) == [("Bob", 3), ("Cyd", 2.5)]
    assert await ranking.range(2.6) == [("Ada", 3), ("Bob", 3)]
    assert await ranking.range(high=2.6) == [("Cyd", 2.5)]
    assert [member async for member in ranking] == await ranking.keys()
    assert (await ranking.length(), await ranking.contains("Ada")) == (3, True)


async def test_scores_beyond_integers(async_db: Any) -> None:
    ranking: AsyncSortedSet[str] = AsyncSortedSet(async_db, "ranking")
    scores = {"a": float("-inf"), "b": -1e300, "c": 1 / 3, "d": 2**53, "e": float("inf")}
    await ranking.update(scores)
    assert dict(await ranking.items()) == scores
    with pytest.raises(ArgumentError):
        await ranking.set("f", float("nan"))


async def test_members_of_a_sorted_set_are_any_values(async_db: Any) -> None:
    jobs: AsyncSortedSet[dict[str, str]] = AsyncSortedSet(
        async_db.using(serializer=KT_JSON), "jobs"
    )
    job = {"mail": "ada@example.org"}
    assert await jobs.set(job, 1) is True
    assert await jobs.set(job, 2) is False
    assert await jobs.increment(job, 3) == 5
    assert await jobs.get(job) == 5
    assert await jobs.rank(job) == 0
    assert await jobs.contains(job)
    assert await jobs.items() == [(job, 5)]
    await jobs.delete(job)
    assert await jobs.length() == 0


async def test_a_sorted_set_is_a_priority_queue(async_db: Any) -> None:
    jobs: AsyncSortedSet[str] = AsyncSortedSet(async_db, "jobs")
    await jobs.update({"later": 5, "now": 1, "soon": 2, "never": 9})
    assert await jobs.pop() == [("now", 1)]
    assert await jobs.pop(highest=True) == [("never", 9)]
    assert await jobs.pop(5) == [("soon", 2), ("later", 5)]
    assert await jobs.pop() == []
    assert await async_db.count() == 0
    await jobs.update({"a": 1, "b": 2, "c": 3})
    assert await jobs.remove("a", "a", "x") == 1
    await jobs.delete("b")
    with pytest.raises(KeyError):
        await jobs.delete("b")
    await jobs.clear()
    assert await jobs.length() == 0


async def test_setnx(async_db: Any) -> None:
    book: AsyncHash[str, str] = AsyncHash(async_db, "book")
    assert await book.setnx("title", "Notes") is True
    assert await book.setnx("title", "Other") is False
    assert await book.copy() == {"title": "Notes"}
