"""AsyncTokyoTyrant: iteration over whole databases."""

from __future__ import annotations

import tracemalloc

import pytest

from kt.client.tyrant.client_async import AsyncTokyoTyrant
from kt.errors import ArgumentError, SerializationError, ServerError
from kt.serializers import KT_NONE

TYPES = ["*", "+", "casket.tch", "casket.tcb", "casket.tcf"]
every_type = pytest.mark.parametrize("tyrant_database", TYPES, indirect=True)
ordered = pytest.mark.parametrize("tyrant_database", ["+", "casket.tcb"], indirect=True)
tree = pytest.mark.parametrize("tyrant_database", ["casket.tcb"], indirect=True)
hashes = pytest.mark.parametrize("tyrant_database", ["*", "casket.tch"], indirect=True)

RECORDS = {str(number): f"v{number}" for number in range(1, 5001)}


@every_type
async def test_every_record_is_met_once(async_tyrant: AsyncTokyoTyrant) -> None:
    db = async_tyrant
    await db.set_bulk(RECORDS)
    assert sorted(await db.keys()) == sorted(RECORDS)
    keys = [key async for key in db]
    assert sorted(keys) == sorted(RECORDS)
    items = [item async for item in db.items()]
    assert sorted(items) == sorted(RECORDS.items())
    assert [value async for value in db.values()] == [value for _, value in items]
    assert [key for key, _ in items] == keys == await db.keys()


@every_type
async def test_nothing_to_iterate_over(async_tyrant: AsyncTokyoTyrant) -> None:
    db = async_tyrant
    assert await db.keys() == []
    assert [key async for key in db] == []
    assert [item async for item in db.items()] == []
    assert await db.iter_from("1") == {}


@ordered
async def test_trees_are_in_the_order_of_their_keys(async_tyrant: AsyncTokyoTyrant) -> None:
    db = async_tyrant
    await db.set_bulk(RECORDS)
    in_order = sorted(RECORDS)
    assert [key async for key in db] == in_order
    assert list(await db.iter_from("499")) == [key for key in in_order if key >= "499"]
    assert next(iter((await db.iter_from("4990x")).items())) == ("4991", "v4991")
    assert await db.iter_from("x") == {}


@ordered
async def test_keys_of_all_bytes_are_in_order(async_tyrant: AsyncTokyoTyrant) -> None:
    """More keys than a page has, that differ in their first byte, in their last, in length."""
    db = AsyncTokyoTyrant(async_tyrant.host, async_tyrant.port, decode_keys=False)
    keys = [bytes((first, second)) for first in range(256) for second in range(50)]
    keys += [b"\x07" * length for length in range(40)] + [b"\xff" * 9]
    await db.set_bulk(dict.fromkeys(keys, "v"))
    assert [key async for key in db] == sorted(set(keys))
    assert list(await db.iter_from(b"\xff\x31")) == [b"\xff\x31", b"\xff" * 9]
    start = b"\x07" * 20
    assert list(await db.iter_from(start)) == [key for key in sorted(set(keys)) if key >= start]
    await db.close()


async def test_an_empty_key_is_one_of_all(async_tyrant: AsyncTokyoTyrant) -> None:
    await async_tyrant.set_bulk({"": "0", **RECORDS})
    assert len([key async for key in async_tyrant]) == len(RECORDS) + 1
    assert len([item async for item in async_tyrant.items()]) == len(RECORDS) + 1


@pytest.mark.parametrize("tyrant_database", ["casket.tcf"], indirect=True)
async def test_fixed_length_records_are_in_the_order_of_numbers(
    async_tyrant: AsyncTokyoTyrant,
) -> None:
    await async_tyrant.set_bulk(RECORDS)
    assert [key async for key in async_tyrant] == list(RECORDS)
    assert list(await async_tyrant.iter_from("4998")) == ["4998", "4999", "5000"]


@hashes
async def test_iter_from_a_key_of_a_hash_database(async_tyrant: AsyncTokyoTyrant) -> None:
    db = async_tyrant
    await db.set_bulk(RECORDS)
    keys = await db.keys()
    assert list(await db.iter_from(keys[4000])) == keys[4000:]
    assert await db.iter_from("none") == {}


@tree
async def test_duplicates_are_all_met(async_tyrant: AsyncTokyoTyrant) -> None:
    db = async_tyrant
    await db.set("a", "0")
    for number in range(300):
        await db.putdup("k", str(number))
    await db.set("z", "0")
    values = [str(number) for number in range(300)]
    assert [key async for key in db] == ["a", "k", "z"]
    assert [value async for key, value in db.items() if key == "k"] == values
    assert [item async for item in db.items()][-1] == ("z", "0")
    assert await db.iter_from("b") == {"k": "0", "z": "0"}


@ordered
async def test_big_records_come_in_small_pages(async_tyrant: AsyncTokyoTyrant) -> None:
    db = async_tyrant.using(serializer=KT_NONE)
    for number in range(200):
        await db.set(f"k{number:03}", bytes(50_000))
    tracemalloc.start()
    try:
        sizes = [len(value) async for value in db.values()]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sizes == [50_000] * 200
    assert peak < 8_000_000


@every_type
async def test_records_may_be_removed_while_iterating(async_tyrant: AsyncTokyoTyrant) -> None:
    db = async_tyrant
    await db.set_bulk(RECORDS)
    met = []
    async for key in db:
        met.append(key)
        await db.remove(key)
    assert sorted(met) == sorted(RECORDS)
    assert await db.count() == 0


async def test_a_value_that_does_not_decode_ends_the_iteration(
    async_tyrant: AsyncTokyoTyrant,
) -> None:
    db = async_tyrant
    await db.set_bytes("bad", b"\xff")
    with pytest.raises(SerializationError, match="bad"):
        [item async for item in db.items()]
    assert [key async for key in db] == ["bad"]


@every_type
async def test_the_servers_own_iterator(async_tyrant: AsyncTokyoTyrant) -> None:
    db = async_tyrant
    await db.set_bulk({"1": "a", "2": "b", "3": "c"})
    assert await db.iterinit() is True
    keys = [await db.iternext() for _ in range(3)]
    assert sorted(keys, key=str) == ["1", "2", "3"]
    assert await db.iternext() is None
    assert await db.iterinit(str(keys[1])) is True
    assert await db.iternext() == keys[1]
    with pytest.raises(ArgumentError, match="empty key"):
        await db.iterinit("")


@pytest.mark.parametrize("tyrant_database", ["casket.tcf"], indirect=True)
async def test_the_servers_own_iterator_of_nothing(async_tyrant: AsyncTokyoTyrant) -> None:
    await async_tyrant.set("1", "a")
    with pytest.raises(ServerError):
        await async_tyrant.iterinit("9")
