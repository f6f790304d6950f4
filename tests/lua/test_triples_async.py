"""AsyncTriples: sets of triples, and what is searched for in them."""

from __future__ import annotations

from typing import Any

import pytest

from kt.client.tycoon.client import KyotoTycoon
from kt.client.tycoon.client_async import AsyncKyotoTycoon
from kt.errors import ArgumentError
from kt.lua.shapes import Triple, Var
from kt.lua.triples_async import AsyncTriples

FRIENDS = [
    ("Ada", "knows", "Bob"),
    ("Ada", "knows", "Cyd"),
    ("Bob", "knows", "Cyd"),
    ("Ada", "lives in", "Rome"),
    ("Cyd", "lives in", "Rome"),
    ("Bob", "lives in", "Bern"),
]


async def friends(db: Any) -> AsyncTriples[str]:
    found: AsyncTriples[str] = AsyncTriples(db, "friends")
    await found.update(FRIENDS)
    return found


async def test_match(async_db: Any) -> None:
    triples = await friends(async_db)
    for known in range(8):
        for triple in FRIENDS:
            parts = [part if known & 1 << at else None for at, part in enumerate(triple)]
            expected = [
                each
                for each in FRIENDS
                if all(part in (None, own) for part, own in zip(parts, each, strict=True))
            ]
            assert sorted(await triples.match(*parts)) == sorted(expected)
    assert len(await triples.match(predicate="knows", limit=2)) == 2
    assert (await triples.match("Bob", "lives in")) == [Triple("Bob", "lives in", "Bern")]
    assert sorted([each async for each in triples]) == sorted(FRIENDS)
    assert await triples.length() == 6


async def test_add_and_remove(async_db: Any) -> None:
    triples = await friends(async_db)
    await triples.add("Ada", "knows", "Bob")
    assert await triples.length() == 6
    assert await triples.contains(("Ada", "knows", "Bob")) is True
    assert await triples.remove("Ada", "knows", "Bob") is True
    assert await triples.remove("Ada", "knows", "Bob") is False
    assert await triples.contains(("Ada", "knows", "Bob")) is False
    assert await triples.match(object="Bob") == []
    others: AsyncTriples[str] = AsyncTriples(async_db, "friend")
    await others.add("a", "b", "c")
    await triples.clear()
    assert await triples.length() == 0
    assert await async_db.count() == 3
    assert await others.match() == [("a", "b", "c")]


async def test_search(async_db: Any) -> None:
    triples = await friends(async_db)
    found = await triples.search(("Ada", "knows", Var("x")), (Var("x"), "lives in", Var("where")))
    assert sorted(each["x"] + " " + each["where"] for each in found) == ["Bob Bern", "Cyd Rome"]
    near = await triples.search((Var("x"), "lives in", Var("y")), (Var("z"), "lives in", Var("y")))
    assert len(near) == 5
    assert await triples.search((Var("x"), "knows", Var("x"))) == []
    await triples.add("Dan", "knows", "Dan")
    assert await triples.search((Var("x"), "knows", Var("x"))) == [{"x": "Dan"}]
    assert await triples.search(("Ada", "knows", "Bob")) == [{}]
    assert await triples.search(("Ada", "knows", "Dan")) == []


async def test_parts_are_any_bytes(async_db: Any) -> None:
    raw = async_db._view(None, ...)
    raw._decode_keys = False
    triples: AsyncTriples[bytes] = AsyncTriples(raw, b"k")
    parts = [b"", b"\0", b"\0\x01", b"a", b"a\0", b"a\0\xff", b"ab", b"\xff"]
    every = [(a, b, c) for a in parts for b in parts for c in parts]
    await triples.update(every)
    assert sorted(await triples.match()) == sorted(every)
    for part in parts:
        assert sorted(await triples.match(b"a", object=part)) == sorted(
            each for each in every if each[0] == b"a" and each[2] == part
        )


async def test_nonsense(async_db: Any) -> None:
    triples: AsyncTriples[str] = AsyncTriples(async_db, "k")
    for call, args in (
        (triples.update, (5,)),
        (triples.update, ([("a", "b")],)),
        (triples.add, ("a", None, "c")),
        (triples.match, (5,)),
        (triples.search, (("a", "b"),)),
        (triples.contains, ("a",)),
    ):
        with pytest.raises(ArgumentError):
            await call(*args)  # type: ignore[operator]
    with pytest.raises(ArgumentError, match="not a client"):
        AsyncTriples(None, "k")  # type: ignore[arg-type]
    if isinstance(async_db, KyotoTycoon | AsyncKyotoTycoon):
        await AsyncTriples(async_db, "k", db=1).add("a", "b", "c")
        assert await async_db.count(db=1) == 3
    else:
        with pytest.raises(ArgumentError, match="one database"):
            AsyncTriples(async_db, "k", db=1)
    assert await async_db.count() == 0
