"""AsyncKyotoTycoon: many records at a time, search, scripts, iteration."""

from __future__ import annotations

import gc
from datetime import UTC, datetime

import pytest

from kt.client.tycoon.client_async import AsyncKyotoTycoon
from kt.errors import ArgumentError, SerializationError, ServerError
from kt.serializers import KT_JSON, KT_NONE
from kt.types import Record

FAR = datetime(2100, 1, 1, tzinfo=UTC)


async def test_bulk(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    assert await db.set_bulk({"k1": "v1", "k2": "v2"}, k3="v3") == 3
    assert await db.get_bulk(["k1", "k3", "k4"]) == {"k1": "v1", "k3": "v3"}
    assert await db.remove_bulk(["k1", "k2", "k4"]) == 2
    assert await db.keys() == ["k3"]
    assert await db.update({"k3": "v3-e"}, k5="v5") == 2
    assert await db.get_bulk(["k3", "k5"]) == {"k3": "v3-e", "k5": "v5"}


async def test_bulk_of_nothing(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    assert await db.set_bulk({}) == 0
    assert await db.set_bulk() == 0
    assert await db.get_bulk([]) == {}
    assert await db.remove_bulk([]) == 0
    assert await db.set_bulk({}, atomic=True) == 0
    assert await db.get_bulk([], atomic=True) == {}
    assert await db.remove_bulk([], atomic=True) == 0


async def test_bulk_leaves_its_arguments_alone(async_tycoon: AsyncKyotoTycoon) -> None:
    data = {"k1": "v1"}
    await async_tycoon.set_bulk(data, k2="v2")
    assert data == {"k1": "v1"}


async def test_bulk_in_another_database(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    assert await db.set_bulk({"k": "v"}, db=1) == 1
    assert await db.get_bulk(["k"]) == {}
    assert await db.get_bulk(["k"], db=1) == {"k": "v"}
    assert await db.get_bulk(["k"], db=1, atomic=True) == {"k": "v"}
    assert await db.remove_bulk(["k"], db=1) == 1


async def test_bulk_with_expiry(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    await db.set_bulk({"a": "1"}, expire_time=FAR)
    await db.set_bulk({"b": "2"}, expire_time=FAR, atomic=True)
    found = await db.get_bulk_details([(0, "a"), (0, "b")])
    assert [record.expires for record in found] == [FAR, FAR]


async def test_bulk_as_one_operation(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    data = {"a": "1", "b\n": "2\t", "ü": "\0"}
    assert await db.set_bulk(data, atomic=True) == 3
    assert await db.get_bulk([*data, "x"], atomic=True) == data
    assert await db.remove_bulk([*data, "x"], atomic=True) == 3
    assert await db.keys() == []
    with pytest.raises(ArgumentError):
        await db.set_bulk(data, atomic=True, no_reply=True)
    with pytest.raises(ArgumentError):
        await db.remove_bulk(data, atomic=True, no_reply=True)


async def test_bulk_without_reply(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    assert await db.set_bulk({"a": "1", "b": "2"}, no_reply=True) == 0
    assert await db.get_bulk(["a", "b"]) == {"a": "1", "b": "2"}
    assert await db.remove_bulk(["a"], no_reply=True) == 0
    assert await db.keys() == ["b"]
    assert await db.set_bulk_details([(1, "c", "3", None)], no_reply=True) == 0
    assert await db.get("c", 1) == "3"
    assert await db.remove_bulk_details([(1, "c"), (0, "b")], no_reply=True) == 0
    assert (await db.get("c", 1), await db.get("b")) == (None, None)


async def test_several_databases_at_once(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    records = [Record(0, "a", "1", FAR), Record(1, "a", "2")]
    assert await db.set_bulk_details([*records, (1, "b", "3", 1000)]) == 3
    with pytest.raises(ServerError, match="stored 1 of 2 records"):
        await db.set_bulk_details([records[1], (7, "c", "4", None)])
    assert await db.get_bulk_details([(0, "a"), (1, "a"), (0, "b")]) == records
    assert await db.remove_bulk_details([(0, "a"), (1, "b"), (1, "c")]) == 2
    assert await db.keys(1) == ["a"]


async def test_a_single_key_is_not_several(async_tycoon: AsyncKyotoTycoon) -> None:
    for keys in ("key", b"key"):
        for atomic in (False, True):
            with pytest.raises(ArgumentError):
                await async_tycoon.get_bulk(keys, atomic=atomic)
            with pytest.raises(ArgumentError):
                await async_tycoon.remove_bulk(keys, atomic=atomic)


async def test_records_are_a_mapping(async_tycoon: AsyncKyotoTycoon) -> None:
    for atomic in (False, True):
        with pytest.raises(ArgumentError):
            await async_tycoon.set_bulk([("k", "v")], atomic=atomic)
    with pytest.raises(ArgumentError):
        await async_tycoon.update("kv")
    assert await async_tycoon.count() == 0


async def test_many_and_big_records(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    many = {f"key {i}": f"value {i}" for i in range(20_000)}
    assert await db.set_bulk(many) == len(many)
    assert await db.get_bulk(many) == many
    assert await db.remove_bulk(many) == len(many)
    big = {str(i): str(i) * 1_000_000 for i in range(8)}
    assert await db.set_bulk(big) == 8
    assert await db.get_bulk(big) == big


async def test_a_value_that_does_not_decode(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    await db.set_bytes("bad", b"\xff")
    await db.set("good", "v")
    for read in (db.get, db.pop):
        with pytest.raises(SerializationError) as caught:
            await read("bad")
        assert (caught.value.key, caught.value.serializer) == ("bad", "KT_BINARY")
        await db.set_bytes("bad", b"\xff")
    for atomic in (False, True):
        with pytest.raises(SerializationError) as caught:
            await db.get_bulk(["good", "bad"], atomic=atomic)
        assert caught.value.key == "bad"
        assert isinstance(caught.value.__cause__, UnicodeDecodeError)
    with pytest.raises(SerializationError):
        await db.get_bulk_details([(0, "bad")])
    assert await db.get("good") == "v"


async def test_a_value_that_cannot_be_encoded(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon.using(serializer=KT_JSON)
    for atomic in (False, True):
        with pytest.raises(SerializationError) as caught:
            await db.set_bulk({"good": 1, "bad": {1, 2}}, atomic=atomic)
        assert (caught.value.key, caught.value.serializer) == ("bad", "KT_JSON")
    for write in (db.set, db.add, db.append):
        with pytest.raises(SerializationError):
            await write("bad", {1, 2})
    with pytest.raises(SerializationError):
        await db.cas("bad", None, {1, 2})
    assert await db.count() == 0


async def test_match_prefix(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    await db.set_bulk(dict.fromkeys(("abc", "acc", "bbb", "bcd", "a\n"), "v"), db=1)
    assert await db.match_prefix("a", db=1) == ["a\n", "abc", "acc"]
    assert await db.match_prefix("a", 1, db=1) == ["a\n"]
    assert await db.match_prefix("a", max_keys=0, db=1) == []
    assert await db.match_prefix("x", db=1) == []
    assert await db.match_prefix(b"bc", db=1) == ["bcd"]
    assert await db.match_prefix("a") == []


async def test_match_regex(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    await db.set_bulk(dict.fromkeys(("foo", "bar", "baz"), "v"), db=1)
    assert await db.match_regex("^ba[rz]$", db=1) == ["bar", "baz"]
    assert await db.match_regex("o", 5, 1) == ["foo"]
    with pytest.raises(ServerError) as caught:
        await db.match_regex("(")
    assert caught.value.code == 450


async def test_match_similar(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    await db.set_bulk(dict.fromkeys(("cat", "cart", "dog", "carts", "bat"), "v"), db=1)
    assert set(await db.match_similar("cat", db=1)) == {"cat", "cart", "bat"}
    assert (await db.match_similar("cat", 2, db=1))[0] == "cat"
    assert set(await db.match_similar("cat", 2, db=1)) == {"cat", "cart", "bat", "carts"}
    assert await db.match_similar("cat", 0, 10, 1) == ["cat"]
    assert len(await db.match_similar("cat", 2, max_keys=2, db=1)) == 2


async def test_match_similar_counts_characters_or_bytes(async_tycoon: AsyncKyotoTycoon) -> None:
    await async_tycoon.set("кот", "v")
    assert await async_tycoon.match_similar("кит", 1) == ["кот"]
    assert await async_tycoon.match_similar("к€т", 1) == ["кот"]
    assert await async_tycoon.match_similar("к€т", 1, utf8=False) == []


async def test_keys_in_order(async_tycoon: AsyncKyotoTycoon) -> None:
    await async_tycoon.set_bulk({f"k{i:04}": "v" for i in range(1000)}, db=1)
    assert await async_tycoon.keys(1) == [f"k{i:04}" for i in range(1000)]


async def test_iteration(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon.using(db=1)
    data = {f"k{i:05}": str(i) for i in range(3000)}
    await db.set_bulk(data)
    assert [key async for key in db] == list(data)
    assert [value async for value in db.values()] == list(data.values())
    assert {key: value async for key, value in db.items()} == data
    assert [key async for key in async_tycoon] == []
    assert [value async for value in async_tycoon.values(1)] == list(data.values())


async def test_iterators_side_by_side(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon.using(db=1)
    await db.set_bulk({f"k{i:05}": str(i) for i in range(1000)})
    first, second = db.items(), db.items()
    async for key, value in first:
        assert await anext(second) == (key, value)
        assert await db.get(key) == value
    with pytest.raises(StopAsyncIteration):
        await anext(second)
    with pytest.raises(StopAsyncIteration):
        await anext(first)


async def test_iterators_that_are_not_exhausted(async_tycoon: AsyncKyotoTycoon) -> None:
    """More of them than connections: each gives its own back."""
    db = AsyncKyotoTycoon(async_tycoon.host, async_tycoon.port, timeout=10, pool_size=4)
    async with db:
        await db.set_bulk({f"k{i:05}": str(i) for i in range(1000)})
        for _ in range(10):
            async with db.items() as items:
                await anext(items)
        for _ in range(10):
            items = db.items()
            await anext(items)
            await items.close()
            with pytest.raises(StopAsyncIteration):
                await anext(items)
        for _ in range(10):
            await anext(db.items())
            gc.collect()
        assert await db.count() == 1000


async def test_iteration_over_values_that_do_not_decode(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon.using(db=1)
    await db.set_bulk({"a": "1", "c": "3"})
    await db.set_bytes("b", b"\xff")
    items = db.items()
    assert await anext(items) == ("a", "1")
    with pytest.raises(SerializationError) as caught:
        await anext(items)
    assert caught.value.key == "b"
    assert await anext(items) == ("c", "3")
    with pytest.raises(StopAsyncIteration):
        await anext(items)


async def test_iteration_over_big_values(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon.using(db=1, serializer=KT_NONE)
    data = {f"k{i:02}": bytes([i]) * 700_000 for i in range(40)}
    await db.set_bulk(data)
    assert {key: value async for key, value in db.items()} == data


async def test_script_where_there_are_none(async_tycoon: AsyncKyotoTycoon) -> None:
    with pytest.raises(ServerError):
        await async_tycoon.script("nothing", {"a": "b"}, c="d")
    assert await async_tycoon.ping()
