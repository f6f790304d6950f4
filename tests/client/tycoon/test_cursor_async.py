"""AsyncCursor."""

from __future__ import annotations

import gc
from datetime import UTC, datetime

import pytest

from kt.client.tycoon.client_async import AsyncKyotoTycoon
from kt.errors import ServerError
from kt.types import Record

TREE = 1


async def filled(client: AsyncKyotoTycoon, count: int = 26) -> AsyncKyotoTycoon:
    """A view of the tree, with records a: A, b: B and so on."""
    db = client.using(db=TREE)
    letters = [chr(ord("a") + i) for i in range(26)]
    await db.set_bulk({letter: letter.upper() for letter in letters[:count]})
    return db


async def test_a_new_cursor_stands_nowhere(async_tycoon: AsyncKyotoTycoon) -> None:
    db = await filled(async_tycoon)
    async with db.cursor() as cursor:
        assert await cursor.get() is None
        assert await cursor.get_key() is None
        assert await cursor.get_value() is None
        assert await cursor.get_record() is None
        assert await cursor.set_value("x") is False
        assert await cursor.remove() is False
        assert await cursor.seize() is None
        assert await cursor.step() is False


async def test_walking(async_tycoon: AsyncKyotoTycoon) -> None:
    db = await filled(async_tycoon)
    async with db.cursor() as cursor:
        assert await cursor.jump() is True
        assert await cursor.get() == ("a", "A")
        assert await cursor.step() is True
        assert (await cursor.get_key(), await cursor.get_value()) == ("b", "B")
        assert await cursor.get(step=True) == ("b", "B")
        assert await cursor.get_key(step=True) == "c"
        assert await cursor.get_value(step=True) == "D"
        assert await cursor.step_back() is True
        assert await cursor.get() == ("d", "D")
        assert await cursor.jump_back() is True
        assert await cursor.get() == ("z", "Z")
        assert await cursor.step() is False
        assert await cursor.get() is None


async def test_jumping_to_a_key(async_tycoon: AsyncKyotoTycoon) -> None:
    db = await filled(async_tycoon)
    await db.remove("m")
    async with db.cursor() as cursor:
        assert await cursor.jump("k") is True
        assert await cursor.get_key() == "k"
        assert await cursor.jump("m") is True
        assert await cursor.get_key() == "n"
        assert await cursor.jump_back("m") is True
        assert await cursor.get_key() == "l"
        assert await cursor.jump("zz") is False
        assert await cursor.jump(b"b") is True
        assert await cursor.get_key() == "b"


async def test_changing_records(async_tycoon: AsyncKyotoTycoon) -> None:
    db = await filled(async_tycoon)
    far = datetime(2100, 1, 1, tzinfo=UTC)
    async with db.cursor() as cursor:
        await cursor.jump("c")
        assert await cursor.set_value("1", expire_time=far) is True
        assert await cursor.get_record() == Record(TREE, "c", "1", far)
        assert await cursor.set_value("2", step=True) is True
        assert await cursor.get_record(step=True) == Record(TREE, "d", "D", None)
        assert await cursor.remove() is True
        assert await cursor.seize() == ("f", "F")
        assert await cursor.get_key() == "g"
    assert await db.get_bulk(list("cdefg")) == {"c": "2", "d": "D", "g": "G"}


async def test_iteration_from_where_the_cursor_stands(async_tycoon: AsyncKyotoTycoon) -> None:
    db = await filled(async_tycoon)
    async with db.cursor() as cursor:
        await cursor.jump("x")
        assert [pair async for pair in cursor] == [("x", "X"), ("y", "Y"), ("z", "Z")]


async def test_iteration_begins_by_itself(async_tycoon: AsyncKyotoTycoon) -> None:
    db = await filled(async_tycoon)
    cursor = db.cursor()
    for _ in range(2):
        assert len([pair async for pair in cursor]) == 26


async def test_iteration_backwards(async_tycoon: AsyncKyotoTycoon) -> None:
    db = await filled(async_tycoon)
    async with db.cursor() as cursor:
        keys = [key async for key, _ in cursor.backward()]
        assert keys == list("zyxwvutsrqponmlkjihgfedcba")
        await cursor.jump("c")
        assert [key async for key, _ in cursor.backward()] == ["c", "b", "a"]


async def test_turning_round(async_tycoon: AsyncKyotoTycoon) -> None:
    db = await filled(async_tycoon)
    async with db.cursor() as cursor:
        forward = aiter(cursor)
        assert [(await anext(forward))[0] for _ in range(7)] == list("abcdefg")
        backward = cursor.backward()
        assert [(await anext(backward))[0] for _ in range(3)] == list("fed")
        assert (await anext(forward))[0] == "e"
        assert await cursor.get_key() == "e"
        assert (await anext(forward))[0] == "f"


async def test_backwards_needs_an_order(async_tycoon: AsyncKyotoTycoon) -> None:
    await async_tycoon.set("k", "v")
    async with async_tycoon.cursor() as cursor:
        with pytest.raises(ServerError) as caught:
            await cursor.jump_back()
        assert caught.value.code == 501
        with pytest.raises(ServerError):
            [pair async for pair in cursor.backward()]
        assert await cursor.jump("k")
        with pytest.raises(ServerError):
            await cursor.step_back()
        assert await cursor.jump("k")
        assert await cursor.get() == ("k", "v")


async def test_iteration_over_nothing(async_tycoon: AsyncKyotoTycoon) -> None:
    async with async_tycoon.cursor() as cursor:
        assert await cursor.jump() is False
        assert [pair async for pair in cursor] == []


async def test_changing_records_while_iterating(async_tycoon: AsyncKyotoTycoon) -> None:
    """Records are read ahead, and still the cursor stands on the one that was yielded."""
    db = await filled(async_tycoon)
    seen = []
    async with db.cursor() as cursor:
        async for key, value in cursor:
            seen.append(key)
            assert await cursor.get() == (key, value)
            if key in "bdf":
                assert await cursor.remove() is True
            elif key in "ghi":
                assert await cursor.set_value(value * 2) is True
            elif key == "k":
                assert await cursor.seize() == ("k", "K")
            elif key == "m":
                assert await cursor.step() is True  # passes over nothing: n comes next
    assert seen == list("abcdefghijklmnopqrstuvwxyz")
    expected = {key: key.upper() for key in "acejlmnopqrstuvwxyz"} | {
        k: k.upper() * 2 for k in "ghi"
    }
    assert {key: value async for key, value in db.items()} == expected


async def test_changing_records_of_a_hash_table(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    await db.set_bulk({str(i): str(i) for i in range(500)})
    async with db.cursor() as cursor:
        async for key, _ in cursor:
            if int(key) % 2:
                assert await cursor.remove()
    assert sorted(map(int, await db.keys())) == list(range(0, 500, 2))


async def test_the_record_under_the_cursor_vanishes(async_tycoon: AsyncKyotoTycoon) -> None:
    """Nothing else is removed in its place."""
    db = await filled(async_tycoon)
    async with db.cursor() as cursor:
        async for key, _ in cursor:
            if key == "e":
                await db.remove("e")
                assert await cursor.remove() is False
            elif key == "g":
                await db.remove("g")
                assert await cursor.get() is None
    assert await db.keys() == list("abcdfhijklmnopqrstuvwxyz")


async def test_a_cursor_gives_its_connection_back(async_tycoon: AsyncKyotoTycoon) -> None:
    """By close, by exhaustion and by being forgotten: no leases are left in any case."""
    db = AsyncKyotoTycoon(async_tycoon.host, async_tycoon.port, timeout=10, pool_size=2)
    async with db:
        await db.set("k", "v")
        for _ in range(5):
            cursor = db.cursor()
            assert await cursor.jump()
            await cursor.close()
            assert await cursor.get() is None
            await cursor.close()
        for _ in range(5):
            cursor = db.cursor()
            assert [pair async for pair in cursor] == [("k", "v")]
        for _ in range(5):
            cursor = db.cursor()
            assert await cursor.jump()
            del cursor
            gc.collect()
        assert await db.get("k") == "v"


async def test_cursors_do_not_meet(async_tycoon: AsyncKyotoTycoon) -> None:
    db = await filled(async_tycoon)
    cursors = [db.cursor() for _ in range(5)]
    for cursor, key in zip(cursors, "abcde", strict=True):
        await cursor.jump(key)
    assert [await cursor.get_key() for cursor in cursors] == list("abcde")
    for cursor in cursors:
        await cursor.close()


async def test_odd_keys_and_values(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon.using(db=TREE)
    data = {"": "", "\t\n": "\0", "k": "x" * 5000, "\udcff": "ü"}
    await db.set_bulk(data)
    async with db.cursor() as cursor:
        assert {key: value async for key, value in cursor} == data
        async for key, _ in cursor:
            assert await cursor.set_value(key.encode(errors="surrogateescape").hex())
    assert {key async for key in db} == set(data)
    assert await db.get("\udcff") == "ff"
