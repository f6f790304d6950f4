# Generated from test_triples_async.py by tools/async_to_sync.py: edit that one.
"""Triples: sets of triples, and what is searched for in them."""

from __future__ import annotations

from typing import Any

import pytest

from kt.client.tycoon.client import KyotoTycoon
from kt.errors import ArgumentError
from kt.lua.shapes import Triple, Var
from kt.lua.triples import Triples

FRIENDS = [
    ("Ada", "knows", "Bob"),
    ("Ada", "knows", "Cyd"),
    ("Bob", "knows", "Cyd"),
    ("Ada", "lives in", "Rome"),
    ("Cyd", "lives in", "Rome"),
    ("Bob", "lives in", "Bern"),
]


def friends(db: Any) -> Triples[str]:
    found: Triples[str] = Triples(db, "friends")
    found.update(FRIENDS)
    return found


def test_match(db: Any) -> None:
    triples = friends(db)
    for known in range(8):
        for triple in FRIENDS:
            parts = [part if known & 1 << at else None for at, part in enumerate(triple)]
            expected = [
                each
                for each in FRIENDS
                if all(part in (None, own) for part, own in zip(parts, each, strict=True))
            ]
            assert sorted(triples.match(*parts)) == sorted(expected)
    assert len(triples.match(predicate="knows", limit=2)) == 2
    assert triples.match("Bob", "lives in") == [Triple("Bob", "lives in", "Bern")]
    assert sorted(triples) == sorted(FRIENDS)
    assert triples.length() == 6


def test_add_and_remove(db: Any) -> None:
    triples = friends(db)
    triples.add("Ada", "knows", "Bob")
    assert triples.length() == 6
    assert triples.contains(("Ada", "knows", "Bob")) is True
    assert triples.remove("Ada", "knows", "Bob") is True
    assert triples.remove("Ada", "knows", "Bob") is False
    assert triples.contains(("Ada", "knows", "Bob")) is False
    assert triples.match(object="Bob") == []
    others: Triples[str] = Triples(db, "friend")
    others.add("a", "b", "c")
    triples.clear()
    assert triples.length() == 0
    assert db.count() == 3
    assert others.match() == [("a", "b", "c")]


def test_search(db: Any) -> None:
    triples = friends(db)
    found = triples.search(("Ada", "knows", Var("x")), (Var("x"), "lives in", Var("where")))
    assert sorted(each["x"] + " " + each["where"] for each in found) == ["Bob Bern", "Cyd Rome"]
    near = triples.search((Var("x"), "lives in", Var("y")), (Var("z"), "lives in", Var("y")))
    assert len(near) == 5
    assert triples.search((Var("x"), "knows", Var("x"))) == []
    triples.add("Dan", "knows", "Dan")
    assert triples.search((Var("x"), "knows", Var("x"))) == [{"x": "Dan"}]
    assert triples.search(("Ada", "knows", "Bob")) == [{}]
    assert triples.search(("Ada", "knows", "Dan")) == []


def test_parts_are_any_bytes(db: Any) -> None:
    raw = db._view(None, ...)
    raw._decode_keys = False
    triples: Triples[bytes] = Triples(raw, b"k")
    parts = [b"", b"\0", b"\0\x01", b"a", b"a\0", b"a\0\xff", b"ab", b"\xff"]
    every = [(a, b, c) for a in parts for b in parts for c in parts]
    triples.update(every)
    assert sorted(triples.match()) == sorted(every)
    for part in parts:
        assert sorted(triples.match(b"a", object=part)) == sorted(
            each for each in every if each[0] == b"a" and each[2] == part
        )


def test_nonsense(db: Any) -> None:
    triples: Triples[str] = Triples(db, "k")
    for call, args in (
        (triples.update, (5,)),
        (triples.update, ([("a", "b")],)),
        (triples.add, ("a", None, "c")),
        (triples.match, (5,)),
        (triples.search, (("a", "b"),)),
        (triples.contains, ("a",)),
    ):
        with pytest.raises(ArgumentError):
            call(*args)  # type: ignore[operator]
    with pytest.raises(ArgumentError, match="not a client"):
        Triples(None, "k")  # type: ignore[arg-type]
    if isinstance(db, KyotoTycoon | KyotoTycoon):
        Triples(db, "k", db=1).add("a", "b", "c")
        assert db.count(db=1) == 3
    else:
        with pytest.raises(ArgumentError, match="one database"):
            Triples(db, "k", db=1)
    assert db.count() == 0
