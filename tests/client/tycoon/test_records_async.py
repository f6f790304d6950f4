"""AsyncKyotoTycoon: one record at a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from kt.client.tycoon.client_async import AsyncKyotoTycoon
from kt.errors import ArgumentError, SerializationError, ServerError
from kt.options import Origin
from kt.serializers import KT_NONE
from kt.types import Check, ExpireTime


async def test_set_and_get(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    assert await db.set("k1", "v1") == 1
    assert await db.set("k1", "v1-e") == 1
    assert await db.get("k1") == "v1-e"
    assert await db.get("k2") is None


async def test_get_of_another_database(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    await db.set("k", "zero")
    await db.set("k", "one", db=1)
    assert (await db.get("k"), await db.get("k", 0), await db.get("k", 1)) == (
        "zero",
        "zero",
        "one",
    )
    db.set_database(1)
    assert await db.get("k") == "one"
    assert await db.remove("k", 0) == 1
    assert await db.get("k") == "one"


async def test_set_to_a_database_that_is_not_there(async_tycoon: AsyncKyotoTycoon) -> None:
    assert await async_tycoon.get("k", db=7) is None
    with pytest.raises(ServerError) as caught:
        await async_tycoon.add("k", "v", db=7)
    assert caught.value.code == 400
    assert caught.value.message == "no such database: 7"


@pytest.mark.parametrize(
    "value", ["", "text", "naïve ☃ \U0001f600", "tab\tline\nnul\0", "x" * 70_000]
)
async def test_text_survives(async_tycoon: AsyncKyotoTycoon, value: str) -> None:
    db = async_tycoon
    await db.set("binary", value)
    await db.add("call", value)
    assert (await db.get("binary"), await db.get("call")) == (value, value)
    assert await db.seize("call") == value


@pytest.mark.parametrize("key", ["", "k", "ключ", "a\tb\nc\0d", "\udcff\udc80", "k" * 300])
async def test_any_key_serves(async_tycoon: AsyncKyotoTycoon, key: str) -> None:
    db = async_tycoon
    await db.set(key, "1")
    assert await db.exists(key)
    assert await db.append(key, "2")
    assert await db.get(key) == "12"
    assert await db.keys() == [key]
    assert await db.get_bulk([key]) == {key: "12"}
    assert await db.remove(key) == 1
    assert not await db.exists(key)


async def test_bytes_are_keys_too(async_tycoon: AsyncKyotoTycoon) -> None:
    await async_tycoon.set(b"\xff\x00", "v")
    assert await async_tycoon.get(b"\xff\x00") == "v"
    assert await async_tycoon.get("\udcff\0") == "v"
    assert await async_tycoon.keys() == ["\udcff\0"]


async def test_keys_as_bytes(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    raw = AsyncKyotoTycoon(db.host, db.port, KT_NONE, decode_keys=False)
    async with raw:
        await raw.set("ключ", b"\xff")
        assert await raw.keys() == ["ключ".encode()]
        assert await raw.get_bulk(["ключ"]) == {"ключ".encode(): b"\xff"}
        assert await raw.match_prefix("к") == ["ключ".encode()]


@pytest.mark.parametrize("key", [None, 1, 1.5, ["k"], "\ud800"])
async def test_what_cannot_be_a_key_is_refused(async_tycoon: AsyncKyotoTycoon, key: str) -> None:
    with pytest.raises(ArgumentError):
        await async_tycoon.get(key)
    with pytest.raises(ArgumentError):
        await async_tycoon.exists(key)
    assert await async_tycoon.ping()


@pytest.mark.parametrize("db", [-1, 2**16, "1", 1.0])
async def test_what_cannot_be_a_database_is_refused(
    async_tycoon: AsyncKyotoTycoon, db: int
) -> None:
    with pytest.raises(ArgumentError):
        await async_tycoon.get("k", db)
    assert await async_tycoon.ping()


async def test_remove(async_tycoon: AsyncKyotoTycoon) -> None:
    await async_tycoon.set("k", "v")
    assert await async_tycoon.remove("k") == 1
    assert await async_tycoon.remove("k") == 0


async def test_add_and_replace(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    assert await db.replace("k", "1") is False
    assert await db.add("k", "2") is True
    assert await db.add("k", "3") is False
    assert await db.get("k") == "2"
    assert await db.replace("k", "4") is True
    assert await db.get("k") == "4"


async def test_append(async_tycoon: AsyncKyotoTycoon) -> None:
    assert await async_tycoon.append("k", "ab") is True
    assert await async_tycoon.append("k", "c") is True
    assert await async_tycoon.get("k") == "abc"


async def test_exists_check_and_length(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    assert await db.exists("k") is False
    assert await db.check("k") is None
    assert await db.length("k") is None
    await db.set("k", "über", expire_time=datetime(2100, 1, 1, tzinfo=UTC))
    assert await db.exists("k") is True
    assert await db.check("k") == Check(5, datetime(2100, 1, 1, tzinfo=UTC))
    assert await db.length("k") == 5
    await db.set("k", "")
    assert await db.check("k") == Check(0, None)


async def test_seize_and_pop(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    await db.set("a", "1")
    await db.set("b", "2")
    assert (await db.seize("a"), await db.seize("a")) == ("1", None)
    assert (await db.pop("b"), await db.pop("b")) == ("2", None)


async def test_cas(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    assert await db.cas("k", "old", "new") is False
    assert await db.cas("k", None, "1") is True
    assert await db.cas("k", None, "2") is False
    assert await db.cas("k", "2", "3") is False
    assert await db.cas("k", "1", "3") is True
    assert await db.get("k") == "3"
    assert await db.cas("k", "3", None) is True
    assert await db.exists("k") is False
    assert await db.cas("k", None, None) is True


async def test_incr(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    assert await db.incr("n") == 1
    assert await db.incr("n", 41) == 42
    assert await db.incr("n", -50) == -8
    assert await db.get_int("n") == -8
    assert await db.get_bytes("n") == (-8).to_bytes(8, "big", signed=True)
    assert await db.incr("m", 1, 100) == 101
    assert await db.incr("m", 1, 100) == 102
    assert await db.get_int("nothing") is None


async def test_incr_with_another_origin(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    with pytest.raises(ServerError) as caught:
        await db.incr("n", 1, Origin.TRY)
    assert caught.value.code == 450
    assert not await db.exists("n")
    assert await db.incr("n", 5, Origin.SET) == 5
    assert await db.incr("n", 7, Origin.SET) == 7
    assert await db.incr("n", 1, Origin.TRY) == 8


async def test_incr_of_what_is_no_number(async_tycoon: AsyncKyotoTycoon) -> None:
    await async_tycoon.set("k", "text")
    with pytest.raises(ServerError) as caught:
        await async_tycoon.incr("k")
    assert caught.value.code == 450
    with pytest.raises(ServerError):
        await async_tycoon.incr_double("k")
    with pytest.raises(SerializationError, match="'k' is no number"):
        await async_tycoon.get_int("k")
    assert await async_tycoon.get("k") == "text"


@pytest.mark.parametrize("n", [2**63, -(2**63) - 1, "1", 1.0, True, None])
async def test_incr_takes_numbers_of_64_bits(async_tycoon: AsyncKyotoTycoon, n: int) -> None:
    with pytest.raises(ArgumentError):
        await async_tycoon.incr("n", n)
    with pytest.raises(ArgumentError):
        await async_tycoon.incr("n", 1, orig=n if n is not None else "1")
    assert not await async_tycoon.exists("n")


async def test_incr_reaches_the_limits(async_tycoon: AsyncKyotoTycoon) -> None:
    assert await async_tycoon.incr("n", 2**63 - 1) == 2**63 - 1
    assert await async_tycoon.incr("m", -(2**63) + 1) == -(2**63) + 1
    with pytest.raises(ArgumentError):  # means "try" to the server
        await async_tycoon.incr("n", 1, orig=-(2**63))


async def test_incr_double(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    assert await db.incr_double("d") == 1.0
    assert await db.incr_double("d", 0.25) == 1.25
    assert await db.incr_double("d", -3) == -1.75
    assert await db.get_double("d") == -1.75
    assert await db.incr_double("e", 0.5, 10.0) == 10.5
    assert await db.incr_double("tiny", 1.5e-7) == 0.0
    assert await db.get_double("tiny") == pytest.approx(1.5e-7, abs=2e-15)
    with pytest.raises(ServerError):
        await db.incr_double("f", 1.0, Origin.TRY)
    assert await db.incr_double("f", 1.5, Origin.SET) == 1.5
    assert await db.incr_double("f", 2.5, Origin.SET) == 2.5


@pytest.mark.parametrize("n", [float("nan"), float("inf"), 1e300, "1", True])
async def test_incr_double_takes_numbers(async_tycoon: AsyncKyotoTycoon, n: float) -> None:
    with pytest.raises(ArgumentError):
        await async_tycoon.incr_double("d", n)
    assert not await async_tycoon.exists("d")


@pytest.mark.parametrize(
    "expire_time",
    [60, 60.0, 59.2, timedelta(minutes=1), timedelta(seconds=59, milliseconds=1)],
)
async def test_expiry_from_now(async_tycoon: AsyncKyotoTycoon, expire_time: ExpireTime) -> None:
    db = async_tycoon
    await db.set("binary", "v", expire_time=expire_time)
    await db.add("call", "v", expire_time=expire_time)
    for key in ("binary", "call"):
        found = await db.check(key)
        assert found is not None
        assert found.expires is not None
        left = (found.expires - datetime.now(UTC)).total_seconds()
        assert 55 < left < 62


@pytest.mark.parametrize(
    "expire_time",
    [
        -4102444800,
        datetime(2100, 1, 1, tzinfo=UTC),
        datetime(2100, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))),
        datetime(2099, 12, 31, 23, 59, 59, 1, tzinfo=UTC),
    ],
)
async def test_expiry_at_a_moment(async_tycoon: AsyncKyotoTycoon, expire_time: ExpireTime) -> None:
    await async_tycoon.set("k", "v", expire_time=expire_time)
    assert await async_tycoon.check("k") == Check(1, datetime(2100, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("past", [-5, timedelta(seconds=-5), datetime(2000, 1, 1, tzinfo=UTC)])
async def test_expiry_in_the_past(async_tycoon: AsyncKyotoTycoon, past: ExpireTime) -> None:
    await async_tycoon.set("k", "v", expire_time=past)
    assert await async_tycoon.get("k") is None
    assert await async_tycoon.exists("k") is False


@pytest.mark.parametrize("expire_time", ["60", True, datetime(2100, 1, 1), float("nan")])
async def test_what_is_no_expiry_is_refused(
    async_tycoon: AsyncKyotoTycoon, expire_time: ExpireTime
) -> None:
    with pytest.raises(ArgumentError):
        await async_tycoon.set("k", "v", expire_time=expire_time)
    assert not await async_tycoon.exists("k")


async def test_writing_again_clears_the_expiry(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    for write in (db.set, db.replace, db.append):
        await db.set("k", "v", expire_time=1000)
        await write("k", "w")
        found = await db.check("k")
        assert found is not None
        assert found.expires is None


async def test_no_reply(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    for number in range(300):
        key = f"k{number % 3}"
        assert await db.set(key, str(number), no_reply=True) == 0
        assert await db.exists(key)
        assert await db.remove(key, no_reply=True) == 0
        assert not await db.exists(key)


async def test_a_call_sees_the_write_before_it(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    for number in range(300):
        assert await db.set("k", str(number)) == 1
        assert await db.exists("k") is True
        assert await db.remove("k") == 1
        assert await db.exists("k") is False


async def test_a_cursor_sees_what_was_written_without_reply(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    for number in range(50):
        await db.set_bulk({f"k{i}": str(number) for i in range(20)}, no_reply=True)
        assert {value async for value in db.values()} == {str(number)}


async def test_bytes_as_they_are(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    data = bytes(range(256))
    assert await db.set_bytes("k", data) == 1
    assert await db.get_bytes("k") == data
    assert await db.get_bytes("nothing") is None
    assert await db.set_bytes("k", bytearray(b"x")) == 1
    assert await db.get_bytes("k") == b"x"
    with pytest.raises(SerializationError):
        await db.set_bytes("k", "text")


async def test_a_client_without_its_context(async_tycoon: AsyncKyotoTycoon) -> None:
    """After `close` the next call connects again."""
    db = async_tycoon
    await db.set("k", "v")
    await db.close()
    assert await db.get("k") == "v"
    await db.checkin()
    assert await db.get("k") == "v"


async def test_another_view(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    view = db.using(db=1, timeout=7.5, serializer=KT_NONE)
    await view.set("k", b"one")
    assert await view.get("k") == b"one"
    assert (view.timeout, db.timeout) == (7.5, 30)
    assert await db.get("k") is None
    assert await db.get("k", 1) == "one"
    assert db.using(timeout=None).timeout is None
    assert db.using(db=1).timeout == 30
