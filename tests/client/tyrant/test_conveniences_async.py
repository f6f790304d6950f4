"""AsyncTokyoTyrant: get_or, setdefault, decr, pairs, and what errors tell."""

from __future__ import annotations

import pytest

from kt.client.tyrant.client_async import AsyncTokyoTyrant
from kt.client.tyrant.table_rows import TT_TABLE, Row
from kt.errors import ArgumentError, ServerError
from kt.serializers import KT_JSON
from kt.wire.table import IndexKind

HASHES_AND_TREES = ["*", "+", "casket.tch", "casket.tcb"]
every_type = pytest.mark.parametrize("tyrant_database", HASHES_AND_TREES, indirect=True)


async def test_get_or(async_tyrant: AsyncTokyoTyrant) -> None:
    db = async_tyrant.using(serializer=KT_JSON)
    await db.set("null", None)
    assert await db.get_or("null", 7) is None
    missing = object()
    assert await db.get_or("none", missing) is missing
    async with db.pipeline() as pipe:
        found = pipe.get_or("none", 3), pipe.get_or("null", 3)
    assert [each.result() for each in found] == [3, None]


@every_type
async def test_setdefault(async_tyrant: AsyncTokyoTyrant) -> None:
    db = async_tyrant
    assert await db.setdefault("k", "first") == "first"
    assert await db.setdefault("k", "second") == "first"
    assert await db.get("k") == "first"
    assert await db.using(serializer=KT_JSON).setdefault("list", (1, 2)) == [1, 2]


async def test_setdefault_of_the_second_one(async_tyrant: AsyncTokyoTyrant) -> None:
    """Somebody else stores the record after it was not found."""
    other = async_tyrant.using()
    asked = async_tyrant.using()
    read = asked.get_bytes

    async def get_bytes(key: str) -> bytes | None:
        found = await read(key)
        if found is None:
            await other.set("k", "theirs")
        return found

    vars(asked)["get_bytes"] = get_bytes
    assert await asked.setdefault("k", "mine") == "theirs"
    assert await other.get("k") == "theirs"


@every_type
async def test_decr(async_tyrant: AsyncTokyoTyrant) -> None:
    db = async_tyrant
    assert await db.decr("n") == -1
    assert await db.decr("n", 5) == -6
    assert await db.decr("n", -10) == 4
    async with db.pipeline() as pipe:
        left = pipe.decr("n", 4)
    assert left.result() == 0


@every_type
async def test_update_with_pairs(async_tyrant: AsyncTokyoTyrant) -> None:
    db = async_tyrant
    assert await db.update([("a", "1"), ["b", "2"], ("a", "3")], c="4") is True
    assert await db.get_bulk(["a", "b", "c"]) == {"a": "3", "b": "2", "c": "4"}
    assert await db.update((key, "x") for key in "de") is True
    assert await db.get("e") == "x"
    for wrong in (["ab", "cd"], [("a", "b", "c")], [1], "ab", 5):
        with pytest.raises(ArgumentError, match="records are a dict"):
            await db.update(wrong)  # type: ignore[arg-type]
    async with db.pipeline() as pipe:
        stored = pipe.update([("f", "1")])
    assert stored.result() is True


@every_type
async def test_errors_of_counters(async_tyrant: AsyncTokyoTyrant) -> None:
    db = async_tyrant
    await db.set("word", "text!")
    with pytest.raises(ServerError, match="'word': it holds 5 bytes, not a counter") as caught:
        await db.incr("word")
    assert caught.value.code == 1
    with pytest.raises(ServerError, match="holds 5 bytes, not a counter, which has 8"):
        await db.incr_double("word")
    async with db.pipeline(raise_errors=False) as pipe:
        failed, after = pipe.incr("word"), pipe.get("word")
    assert isinstance(failed.exception(), ServerError)
    assert after.result() == "text!"


@every_type
async def test_seize(async_tyrant: AsyncTokyoTyrant) -> None:
    db = async_tyrant
    await db.set_bulk({"a": "1", "b": "2"})
    assert (await db.seize("a"), await db.seize("a"), await db.pop("none")) == ("1", None, None)
    async with db.pipeline() as pipe:
        one, other = pipe.seize("b"), pipe.pop("b")
    assert sorted([str(one.result()), str(other.result())]) == ["2", "None"]
    assert await db.count() == 0


GLOBS = [
    ("*", 6),
    ("user:*", 3),
    ("user:?:name", 1),
    ("user:[1-2]*:name", 2),
    ("user:[!1]:*", 1),
    ("user:[^1]:*", 1),
    ("*name", 2),
    ("user", 0),
    ("a.b", 1),
    ("a+(b)$|^", 1),
    (r"\*", 1),
    ("[]*]", 1),
    (b"a.*", 1),
]
GLOB_KEYS = ["user:1:name", "user:2:mail", "user:12:name", "a.b", "a+(b)$|^", "*"]


@every_type
@pytest.mark.parametrize(("pattern", "matches"), GLOBS)
async def test_glob(async_tyrant: AsyncTokyoTyrant, pattern: str, matches: int) -> None:
    await async_tyrant.set_bulk(dict.fromkeys(GLOB_KEYS, ""))
    assert len(await async_tyrant.match_glob(pattern)) == matches
    assert len(await async_tyrant.match_glob(pattern, 1)) == min(matches, 1)


async def test_globs_that_are_none(async_tyrant: AsyncTokyoTyrant) -> None:
    for pattern in ("a\\", 5):
        with pytest.raises(ArgumentError):
            await async_tyrant.match_glob(pattern)  # type: ignore[arg-type]
    await async_tyrant.set("[", "")
    assert await async_tyrant.match_glob("[") == ["["]


@pytest.mark.parametrize("tyrant_database", ["casket.tct"], indirect=True)
async def test_search(async_tyrant: AsyncTokyoTyrant) -> None:
    rows = async_tyrant.using(serializer=TT_TABLE)
    await rows.set("a", {"about": "The quick brown fox", "n": "1"})
    await rows.set("b", {"about": "the lazy dog"})
    await rows.set("c", {"about": "a brown FOX"})
    found = [
        Row("a", {"about": "The quick brown fox", "n": "1"}),
        Row("c", {"about": "a brown FOX"}),
    ]
    assert sorted(await async_tyrant.search("about", "Brown fox"), key=repr) == found
    assert len(await async_tyrant.search("about", "fox", limit=1)) == 1
    await async_tyrant.set_index("about", IndexKind.QGRAM)
    assert sorted(await async_tyrant.search("about", "Brown fox"), key=repr) == found
    await async_tyrant.delete_index("about")
    with pytest.raises(ArgumentError):
        await async_tyrant.search("", "fox")


@pytest.mark.parametrize("tyrant_database", ["*"], indirect=True)
async def test_search_in_what_is_no_table(async_tyrant: AsyncTokyoTyrant) -> None:
    with pytest.raises(ServerError, match="table"):
        await async_tyrant.search("about", "fox")
