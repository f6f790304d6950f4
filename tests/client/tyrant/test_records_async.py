"""AsyncTokyoTyrant: one record at a time, and many at once."""

from __future__ import annotations

from typing import Any

import pytest

from kt.client.tyrant.client_async import AsyncTokyoTyrant
from kt.errors import ArgumentError, SerializationError, ServerError
from kt.serializers import KT_JSON, KT_NONE

HASHES_AND_TREES = ["*", "+", "casket.tch", "casket.tcb"]
every_type = pytest.mark.parametrize("tyrant_database", HASHES_AND_TREES, indirect=True)
trees = pytest.mark.parametrize("tyrant_database", ["+", "casket.tcb"], indirect=True)
duplicates = pytest.mark.parametrize("tyrant_database", ["casket.tcb"], indirect=True)


@every_type
async def test_set_get_and_remove(async_tyrant: AsyncTokyoTyrant) -> None:
    db = async_tyrant
    assert await db.set("k1", "v1") is True
    assert await db.set("k1", "v1-e") is True
    assert await db.get("k1") == "v1-e"
    assert await db.get("k2") is None
    assert await db["k1"] == "v1-e"
    assert await db.remove("k1") == 1
    assert await db.remove("k1") == 0
    assert await db.get("k1") is None


@pytest.mark.parametrize("value", ["", "naïve ☃ \U0001f600", "tab\tnul\0", "x" * 70_000])
async def test_text_survives(async_tyrant: AsyncTokyoTyrant, value: str) -> None:
    await async_tyrant.set("k", value)
    assert await async_tyrant.get("k") == value
    assert await async_tyrant.get_bulk(["k"]) == {"k": value}
    assert await async_tyrant.length("k") == len(value.encode())


@pytest.mark.parametrize("key", ["", "k", "ключ", "a\tb\nc\0d", "\udcff\udc80", "k" * 300])
async def test_any_key_serves(async_tyrant: AsyncTokyoTyrant, key: str) -> None:
    db = async_tyrant
    await db.set(key, "1")
    assert await db.exists(key)
    assert await db.append(key, "2")
    assert await db.keys() == [key]
    assert await db.get_bulk([key]) == {key: "12"}
    assert await db.remove(key) == 1
    assert not await db.exists(key)


async def test_keys_as_bytes(async_tyrant: AsyncTokyoTyrant) -> None:
    db = AsyncTokyoTyrant(async_tyrant.host, async_tyrant.port, decode_keys=False)
    await db.set(b"\xff", "a")
    await db.set("k", "b")
    assert sorted(await db.keys()) == [b"k", b"\xff"]
    assert await db.get_bulk([b"\xff"]) == {b"\xff": "a"}
    assert await db.match_prefix("k") == [b"k"]
    await db.close()


async def test_serializers(async_tyrant: AsyncTokyoTyrant) -> None:
    documents = async_tyrant.using(serializer=KT_JSON)
    assert await documents.set("d", {"a": [1, None, "ü"]})
    assert await documents.get("d") == {"a": [1, None, "ü"]}
    assert await async_tyrant.get_bytes("d") == '{"a":[1,null,"ü"]}'.encode()
    assert await async_tyrant.set_bytes("d", b"[1]")
    assert await documents.get_bulk(["d"]) == {"d": [1]}


async def test_a_value_that_does_not_decode_leaves_the_connection_in_step(
    async_tyrant: AsyncTokyoTyrant,
) -> None:
    db = async_tyrant
    await db.set_bytes("bad", b"\xff")
    await db.set("good", "v")
    with pytest.raises(SerializationError, match=r"'bad'.*KT_BINARY"):
        await db.get("bad")
    with pytest.raises(SerializationError) as caught:
        await db.get_bulk(["good", "bad"])
    assert (caught.value.key, caught.value.serializer) == ("bad", "KT_BINARY")
    assert await db.get("good") == "v"


async def test_a_value_that_does_not_encode_is_not_sent(async_tyrant: AsyncTokyoTyrant) -> None:
    with pytest.raises(SerializationError, match="'k'"):
        await async_tyrant.set("k", None)
    with pytest.raises(SerializationError, match="'b'"):
        await async_tyrant.set_bulk({"a": "x", "b": [1]})
    assert await async_tyrant.count() == 0


@every_type
async def test_add(async_tyrant: AsyncTokyoTyrant) -> None:
    assert await async_tyrant.add("k", "v1") is True
    assert await async_tyrant.add("k", "v2") is False
    assert await async_tyrant.get("k") == "v1"


@every_type
async def test_append_and_addshl(async_tyrant: AsyncTokyoTyrant) -> None:
    db = async_tyrant
    assert await db.append("k", "abc") is True
    assert await db.append("k", "def") is True
    assert await db.get("k") == "abcdef"
    assert await db.addshl("k", "gh", 4) is True
    assert await db.get("k") == "efgh"
    with pytest.raises(ArgumentError):
        await db.addshl("k", "x", -1)


async def test_no_reply(async_tyrant: AsyncTokyoTyrant) -> None:
    for number in range(300):
        assert await async_tyrant.set(f"k{number}", "v", no_reply=True) is True
        assert await async_tyrant.exists(f"k{number}")
    assert await async_tyrant.count() == 300


async def test_a_call_sees_the_write_before_it(async_tyrant: AsyncTokyoTyrant) -> None:
    for number in range(300):
        key = f"k{number}"
        await async_tyrant.set(key, "v")
        assert await async_tyrant.exists(key)
        assert await async_tyrant.remove(key) == 1
        assert not await async_tyrant.exists(key)


@every_type
async def test_get_part(async_tyrant: AsyncTokyoTyrant) -> None:
    db = async_tyrant
    await db.set("k", "abcdef")
    assert await db.get_part("k") == "abcdef"
    assert await db.get_part("k", 2) == "cdef"
    assert await db.get_part("k", 2, 3) == "cde"
    assert await db.get_part("k", end=2) == "ab"
    assert await db.get_part("k", 1, 0) == ""
    assert await db.get_part("k", 6) is False
    assert await db.get_part("none") is False
    assert await db.using(serializer=KT_JSON).get_part("k", 1, 2) == b"bc"


async def test_length(async_tyrant: AsyncTokyoTyrant) -> None:
    await async_tyrant.set("k", "ünf")
    assert await async_tyrant.length("k") == 4
    assert await async_tyrant.length("none") is None


@every_type
async def test_incr(async_tyrant: AsyncTokyoTyrant) -> None:
    db = async_tyrant
    assert [await db.incr("n"), await db.incr("n", 5), await db.incr("n", -10)] == [1, 6, -4]
    assert await db.get_int("n") == -4
    assert await db.get_int("none") is None
    await db.set("text", "12345")
    with pytest.raises(SerializationError, match="no number"):
        await db.get_int("text")
    with pytest.raises(ServerError) as caught:
        await db.incr("text")
    assert caught.value.code == 1
    with pytest.raises(ArgumentError):
        await db.incr("n", 2**31)


@every_type
async def test_incr_double(async_tyrant: AsyncTokyoTyrant) -> None:
    db = async_tyrant
    assert await db.incr_double("x") == 1.0
    assert await db.incr_double("x", -2.25) == -1.25
    assert await db.get_double("x") == -1.25
    assert await db.get_double("none") is None
    await db.set("text", "some")
    with pytest.raises(ServerError):
        await db.incr_double("text")


@every_type
async def test_bulk(async_tyrant: AsyncTokyoTyrant) -> None:
    db = async_tyrant
    records = {f"k{number:04}": f"v{number}" for number in range(3000)}
    assert await db.set_bulk(records) is True
    assert await db.count() == 3000
    assert await db.get_bulk([*records, "none"]) == records
    assert await db.get_bulk(iter(["k0001"])) == {"k0001": "v1"}
    assert await db.remove_bulk([f"k{number:04}" for number in range(2990)]) is True
    assert await db.remove_bulk(["none"]) is True
    assert sorted(await db.keys()) == [f"k{number}" for number in range(2990, 3000)]


@every_type
async def test_set_bulk_overwrites(async_tyrant: AsyncTokyoTyrant) -> None:
    db = async_tyrant
    await db.set_bulk({"a": "1", "b": "2"})
    assert await db.set_bulk({"a": "3"}, c="4") is True
    assert await db.update({"b": "5"}, d="6") is True
    assert await db.get_bulk(["a", "b", "c", "d"]) == {"a": "3", "b": "5", "c": "4", "d": "6"}
    assert await db.count() == 4


async def test_bulk_of_nothing(async_tyrant: AsyncTokyoTyrant) -> None:
    assert await async_tyrant.set_bulk({}) is True
    assert await async_tyrant.set_bulk() is True
    assert await async_tyrant.get_bulk([]) == {}
    assert await async_tyrant.remove_bulk([]) is True
    with pytest.raises(ArgumentError, match="several keys"):
        await async_tyrant.get_bulk("abc")


async def test_bulk_in_several_requests(async_tyrant: AsyncTokyoTyrant) -> None:
    records = {f"k{number}": "v" for number in range(70_000)}
    assert await async_tyrant.set_bulk(records) is True
    assert await async_tyrant.get_bulk(records) == records
    assert await async_tyrant.remove_bulk(records) is True
    assert await async_tyrant.count() == 0


async def test_update_takes_no_database_and_no_expiry(async_tyrant: AsyncTokyoTyrant) -> None:
    assert await async_tyrant.update({"a": "b"}, None, None) is True
    options: dict[str, Any]
    for options in ({"db": 1}, {"expire_time": 10}):
        with pytest.raises(ArgumentError, match="expiry"):
            await async_tyrant.update({"a": "b"}, **options)


@duplicates
async def test_duplicates(async_tyrant: AsyncTokyoTyrant) -> None:
    db = async_tyrant
    assert await db.putdup("k", "b") is True
    assert await db.putdup("k", "c") is True
    assert await db.putdupback("k", "a") is True
    assert await db.getdup("k") == ["a", "b", "c"]
    assert await db.getdup("none") == []
    assert (await db.get("k"), await db.count()) == ("a", 3)
    assert await db.get_rangelist("k") == [("k", "a"), ("k", "b"), ("k", "c")]
    assert await db.get_range("k") == {"k": "a"}
    assert await db.match_regexlist("k") == [("k", "a"), ("k", "b"), ("k", "c")]
    assert await db.keys() == ["k"]
    assert await db.remove("k") == 1
    assert await db.getdup("k") == ["b", "c"]
    assert await db.remove_bulk(["k"]) is True
    assert await db.count() == 0


async def test_duplicates_only_in_trees(async_tyrant: AsyncTokyoTyrant) -> None:
    with pytest.raises(ServerError):
        await async_tyrant.putdup("k", "v")
    await async_tyrant.set("k", "v")
    assert await async_tyrant.getdup("k") == ["v"]


@every_type
async def test_match_prefix(async_tyrant: AsyncTokyoTyrant) -> None:
    db = async_tyrant
    await db.set_bulk({f"{letter}{number}": "" for letter in "abc" for number in range(5)})
    assert sorted(await db.match_prefix("b")) == ["b0", "b1", "b2", "b3", "b4"]
    assert len(await db.match_prefix("b", 2)) == 2
    assert await db.match_prefix("b", 0) == []
    assert len(await db.match_prefix("", None)) == 15
    assert await db.match_prefix("x") == []


async def test_match_prefix_gives_1024_keys_if_it_is_not_told(
    async_tyrant: AsyncTokyoTyrant,
) -> None:
    await async_tyrant.set_bulk({f"k{number}": "" for number in range(2000)})
    assert len(await async_tyrant.match_prefix("k")) == 1024
    assert len(await async_tyrant.match_prefix("k", None)) == 2000
    assert len(await async_tyrant.match_regex("^k")) == 1024
    assert len(await async_tyrant.match_regex("^k", None)) == 2000


@every_type
async def test_match_regex(async_tyrant: AsyncTokyoTyrant) -> None:
    db = async_tyrant
    await db.set_bulk({"Ann": "1", "Bob": "2", "Joanna": "3"})
    assert sorted(await db.match_regex("[nN]n")) == ["Ann", "Joanna"]
    assert sorted(await db.match_regex("*^(ann|bob)$")) == ["Ann", "Bob"]
    assert len(await db.match_regex(".", 2)) == 2
    assert sorted(await db.match_regexlist("nn")) == [("Ann", "1"), ("Joanna", "3")]
    assert await db.match_regex("^$") == []
    with pytest.raises(ServerError):
        await db.match_regex("(")


@trees
async def test_get_range(async_tyrant: AsyncTokyoTyrant) -> None:
    db = async_tyrant
    await db.set_bulk({letter: letter.upper() for letter in "edcba"})
    assert list((await db.get_range("b")).items()) == list(zip("bcde", "BCDE", strict=True))
    assert await db.get_range("b", "d") == {"b": "B", "c": "C"}
    assert await db.get_range("b", "e", 2) == {"b": "B", "c": "C"}
    assert await db.get_range("aa", max_keys=1) == {"b": "B"}
    assert await db.get_rangelist("d") == [("d", "D"), ("e", "E")]
    assert await db.get_range("x") == {}
    assert await db["b":"d"] == {"b": "B", "c": "C"}
    assert list(await db[:"c"]) == ["a", "b"]
    assert list(await db["d":]) == ["d", "e"]
    with pytest.raises(ArgumentError, match="step"):
        await db["a":"c":2]


async def test_ranges_need_an_order(async_tyrant: AsyncTokyoTyrant) -> None:
    with pytest.raises(ServerError):
        await async_tyrant.get_range("a")


@every_type
async def test_misc(async_tyrant: AsyncTokyoTyrant) -> None:
    db = async_tyrant
    assert await db.misc("putlist", data={"a": "1", "b": "2"}) is True
    assert await db.misc("put", ["c", "3"]) is True
    assert await db.misc("getlist", ["a", "c", "none"]) == {"a": "1", "c": "3"}
    assert await db.misc("get", ["b"]) == "2"
    assert await db.misc("get", ["none"]) is False
    assert await db.misc("getpart", ["b", "0", "1"]) == "2"
    assert await db.misc("regex", ["[ab]"], update_log=False) == {"a": "1", "b": "2"}
    assert await db.misc("out", ["a"]) is True
    assert await db.misc("out", ["a"]) is False
    assert await db.misc("nosuchfunction") is False
    assert await db.misc("iterinit") is True
    assert sorted([*await db.misc("iternext"), *await db.misc("iternext")]) == ["b", "c"]
    assert await db.misc("iternext") is False
    with pytest.raises(SerializationError):
        await db.misc("putlist", data={"a": None})


@pytest.mark.parametrize("tyrant_database", ["casket.tcf"], indirect=True)
async def test_fixed_length_records(async_tyrant: AsyncTokyoTyrant) -> None:
    db = async_tyrant
    assert await db.set_bulk({"10": "ten", "9": "nine", "300": "many"}) is True
    assert await db.keys() == ["9", "10", "300"]
    assert await db.get_range("10") == {"10": "ten", "300": "many"}
    assert await db["9":"300"] == {"9": "nine", "10": "ten"}
    with pytest.raises(ServerError):
        await db.set("text", "v")


async def test_bytes(async_tyrant: AsyncTokyoTyrant) -> None:
    db = async_tyrant.using(serializer=KT_NONE)
    assert await db.set("k", b"\0\xff") is True
    assert await db.get("k") == b"\0\xff"
    assert await db.get_part("k", 1) == b"\xff"
    with pytest.raises(SerializationError):
        await db.set("k", "text")


@pytest.mark.parametrize("method", ["set_bulk", "update"])
async def test_bulk_without_reply(async_tyrant: AsyncTokyoTyrant, method: str) -> None:
    db = async_tyrant
    store = getattr(db, method)
    assert await store({"a": "1"}, b="2", no_reply=True) is True
    assert await store(no_reply=True) is True
    assert await db.get_bulk(["a", "b", "no_reply"]) == {"a": "1", "b": "2"}
    async with db.pipeline() as pipe:
        getattr(pipe, method)({"c": "3", "d": "4"}, no_reply=True)
        count = pipe.count()
    assert count.result() == 4


@pytest.mark.parametrize("method", ["set_bulk", "update"])
@pytest.mark.parametrize("option", ["encode_values", "decode_values"])
async def test_options_of_others_are_no_records(
    async_tyrant: AsyncTokyoTyrant, method: str, option: str
) -> None:
    store = getattr(async_tyrant, method)
    with pytest.raises(ArgumentError, match=option):
        await store({"a": "1"}, **{option: "0"})
    assert await async_tyrant.keys() == []
    assert await store({option: "0"})
