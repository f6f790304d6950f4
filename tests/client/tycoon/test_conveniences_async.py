"""AsyncKyotoTycoon: get_or, setdefault, decr, touch and ttl, pairs, and what errors tell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import inf

import pytest

from kt.client.tycoon.client_async import AsyncKyotoTycoon
from kt.errors import ArgumentError, ServerError
from kt.options import Origin
from kt.serializers import KT_JSON
from tests.client.peers import Conversation, Peer

HOUR = timedelta(hours=1)


async def test_get_or(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon.using(serializer=KT_JSON)
    await db.set("null", None)
    await db.set("one", 1, db=1)
    assert await db.get_or("null", 7) is None
    assert await db.get_or("one", 7) == 7
    assert await db.get_or("one", 7, db=1) == 1
    missing = object()
    assert await db.get_or("none", missing) is missing
    async with db.pipeline() as pipe:
        found = pipe.get_or("none", 3), pipe.get_or("one", 3, 1)
    assert [each.result() for each in found] == [3, 1]


async def test_setdefault(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    assert await db.setdefault("k", "first") == "first"
    assert await db.setdefault("k", "second", expire_time=5) == "first"
    assert await db.ttl("k") == inf
    assert await db.setdefault("k", "other", db=1, expire_time=HOUR) == "other"
    assert 3500 < (await db.ttl("k", db=1) or 0) <= 3601
    text = async_tycoon.using(serializer=KT_JSON)
    assert await text.setdefault("list", (1, 2)) == [1, 2]  # as a get returns it


async def test_setdefault_of_the_second_one(async_tycoon: AsyncKyotoTycoon) -> None:
    """Somebody else stores the record after it was not found."""
    other = async_tycoon.using()
    asked = async_tycoon.using()
    found_nothing = asked.get_bytes

    async def get_bytes(key: str, db: int | None = None) -> bytes | None:
        found = await found_nothing(key, db)
        if found is None:
            await other.set("k", "theirs")
        return found

    vars(asked)["get_bytes"] = get_bytes
    assert await asked.setdefault("k", "mine") == "theirs"
    assert await other.get("k") == "theirs"


async def test_decr(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    assert await db.decr("n") == -1
    assert await db.decr("n", 5) == -6
    assert await db.decr("n", -10) == 4
    assert await db.decr("m", 3, 10, 1, 1000) == 7
    assert await db.get_int("m", 1) == 7
    async with db.pipeline() as pipe:
        left = pipe.decr("n", 4)
    assert left.result() == 0


async def test_ttl(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    assert await db.ttl("none") is None
    await db.set("k", "v")
    assert await db.ttl("k") == inf
    await db.set("k", "v", expire_time=1000)
    left = await db.ttl("k")
    assert left is not None
    assert 900 < left <= 1001
    async with db.pipeline() as pipe:
        piped = pipe.ttl("k")
    assert 900 < (piped.result() or 0) <= left


@pytest.mark.parametrize("value", ["", "v", "x" * 70_000])
async def test_touch(async_tycoon: AsyncKyotoTycoon, value: str) -> None:
    db = async_tycoon
    assert await db.touch("k", 1000) is False
    assert not await db.exists("k")
    await db.set("k", value)
    assert await db.touch("k", 1000) is True
    assert 900 < (await db.ttl("k") or 0) <= 1001
    assert await db.touch("k", datetime.now(UTC) + HOUR)
    assert 3500 < (await db.ttl("k") or 0) <= 3601
    assert await db.touch("k", None)
    assert await db.ttl("k") == inf
    assert await db.get("k") == value
    assert await db.touch("k", 1000, 1) is False


async def test_touch_keeps_what_others_store_meanwhile(async_tycoon: AsyncKyotoTycoon) -> None:
    other = async_tycoon.using()
    touched = async_tycoon.using()
    await other.set("k", "v0")
    read = touched.get_bytes
    values = iter(["v1", "v2"])

    async def get_bytes(key: str, db: int | None = None) -> bytes | None:
        found = await read(key, db)
        if (value := next(values, None)) is not None:
            await other.set("k", value)
        return found

    vars(touched)["get_bytes"] = get_bytes
    assert await touched.touch("k", 1000)
    assert await other.get("k") == "v2"
    assert 900 < (await other.ttl("k") or 0) <= 1001


async def test_update_with_pairs(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    assert await db.update([("a", "1"), ["b", "2"], ("a", "3")], 1, c="4") == 3
    assert await db.get_bulk(["a", "b", "c"], 1) == {"a": "3", "b": "2", "c": "4"}
    assert await db.update((key, "x") for key in "de") == 2
    assert await db.keys() == ["d", "e"] or await db.keys() == ["e", "d"]
    assert await db.update([]) == 0
    for wrong in (["ab", "cd"], [("a", "b", "c")], [1], "ab", 5):
        with pytest.raises(ArgumentError, match="records are a dict"):
            await db.update(wrong)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="a key is str or bytes"):
        await db.update([([], "v")])
    async with db.pipeline() as pipe:
        stored = pipe.update([("f", "1")])
    assert stored.result() == 1


async def test_errors_of_counters(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    await db.set("word", "text")
    with pytest.raises(ServerError, match="'word': it holds 4 bytes, not a counter") as caught:
        await db.incr("word")
    assert caught.value.code == 450
    with pytest.raises(ServerError, match="holds 4 bytes, not a counter, which has 16"):
        await db.incr_double("word")
    with pytest.raises(ServerError, match="'none': there is no such record"):
        await db.decr("none", orig=Origin.TRY)
    long = "k" * 1000
    await db.set(long, "")
    with pytest.raises(ServerError, match="it holds 0 bytes") as caught:
        await db.incr(long)
    assert len(str(caught.value)) < 300
    with pytest.raises(ServerError) as caught:
        await db.incr("k", db=99)
    assert caught.value.message == "no such database: 99"
    async with db.pipeline(raise_errors=False) as pipe:
        failed, after = pipe.incr("word"), pipe.get("word")
    assert isinstance(failed.exception(), ServerError)
    assert after.result() == "text"


async def test_get_or_needs_one_request(peer: Peer) -> None:
    def hang_up_after_one(talk: Conversation) -> None:
        talk.answer(1, b"\xba\0\0\0\0")

    peer.behave(hang_up_after_one)
    async with AsyncKyotoTycoon(peer.host, peer.port, timeout=10) as db:
        assert await db.get_or("k", "d") == "d"
    assert peer.connections == 1


async def test_range(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon.using(db=1)
    await db.set_bulk({key: key.upper() for key in "abcde"})
    assert list((await db.get_range("b", "d")).items()) == [("b", "B"), ("c", "C")]
    assert list(await db.get_range("bb")) == ["c", "d", "e"]
    assert list(await db.get_range("", max_keys=2)) == ["a", "b"]
    assert list(await db.get_range("a", b"b")) == ["a"]
    assert [await db.get_range(*ends) for ends in (("d", "b"), ("b", "b"), ("x",))] == [{}, {}, {}]
    assert await async_tycoon.get_range("a", "c", db=1) == {"a": "A", "b": "B"}
    await db.clear()
    assert await db.get_range("a") == {}


async def test_range_where_there_is_no_order(async_tycoon: AsyncKyotoTycoon) -> None:
    await async_tycoon.set("a", "1")
    with pytest.raises(ServerError):
        await async_tycoon.get_range("a")
    assert await async_tycoon.get("a") == "1"


async def test_glob(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    await db.set_bulk(dict.fromkeys(("user:1:name", "user:2:mail", "user:12:name", "a.b", "*"), ""))
    await db.set("user:3:name", "", db=1)
    found = [
        len(await db.match_glob(pattern))
        for pattern in ("*", "user:?:*", "user:[!1]*", "a?b", "a.b", r"\*", "[]*]", "use", "a[.]b")
    ]
    assert found == [5, 2, 1, 1, 1, 1, 1, 0, 1]
    assert await db.match_glob("user:*", db=1) == ["user:3:name"]
    assert len(await db.match_glob("user:*", 2)) == 2
    with pytest.raises(ArgumentError, match="ends in"):
        await db.match_glob("a\\")
