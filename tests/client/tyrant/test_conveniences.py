# Generated from test_conveniences_async.py by tools/async_to_sync.py: edit that one.
"""TokyoTyrant: get_or, setdefault, decr, pairs, and what errors tell."""

from __future__ import annotations

import pytest

from kt.client.tyrant.client import TokyoTyrant
from kt.client.tyrant.table_rows import TT_TABLE, Row
from kt.errors import ArgumentError, ServerError
from kt.serializers import KT_JSON
from kt.wire.table import IndexKind

HASHES_AND_TREES = ["*", "+", "casket.tch", "casket.tcb"]
every_type = pytest.mark.parametrize("tyrant_database", HASHES_AND_TREES, indirect=True)


def test_get_or(tyrant: TokyoTyrant) -> None:
    db = tyrant.using(serializer=KT_JSON)
    db.set("null", None)
    assert db.get_or("null", 7) is None
    missing = object()
    assert db.get_or("none", missing) is missing
    with db.pipeline() as pipe:
        found = pipe.get_or("none", 3), pipe.get_or("null", 3)
    assert [each.result() for each in found] == [3, None]


@every_type
def test_setdefault(tyrant: TokyoTyrant) -> None:
    db = tyrant
    assert db.setdefault("k", "first") == "first"
    assert db.setdefault("k", "second") == "first"
    assert db.get("k") == "first"
    assert db.using(serializer=KT_JSON).setdefault("list", (1, 2)) == [1, 2]


def test_setdefault_of_the_second_one(tyrant: TokyoTyrant) -> None:
    """Somebody else stores the record after it was not found."""
    other = tyrant.using()
    asked = tyrant.using()
    read = asked.get_bytes

    def get_bytes(key: str) -> bytes | None:
        found = read(key)
        if found is None:
            other.set("k", "theirs")
        return found

    vars(asked)["get_bytes"] = get_bytes
    assert asked.setdefault("k", "mine") == "theirs"
    assert other.get("k") == "theirs"


@every_type
def test_decr(tyrant: TokyoTyrant) -> None:
    db = tyrant
    assert db.decr("n") == -1
    assert db.decr("n", 5) == -6
    assert db.decr("n", -10) == 4
    with db.pipeline() as pipe:
        left = pipe.decr("n", 4)
    assert left.result() == 0


@every_type
def test_update_with_pairs(tyrant: TokyoTyrant) -> None:
    db = tyrant
    assert db.update([("a", "1"), ["b", "2"], ("a", "3")], c="4") is True
    assert db.get_bulk(["a", "b", "c"]) == {"a": "3", "b": "2", "c": "4"}
    assert db.update((key, "x") for key in "de") is True
    assert db.get("e") == "x"
    for wrong in (["ab", "cd"], [("a", "b", "c")], [1], "ab", 5):
        with pytest.raises(ArgumentError, match="records are a dict"):
            db.update(wrong)  # type: ignore[arg-type]
    with db.pipeline() as pipe:
        stored = pipe.update([("f", "1")])
    assert stored.result() is True


@every_type
def test_errors_of_counters(tyrant: TokyoTyrant) -> None:
    db = tyrant
    db.set("word", "text!")
    with pytest.raises(ServerError, match="'word': it holds 5 bytes, not a counter") as caught:
        db.incr("word")
    assert caught.value.code == 1
    with pytest.raises(ServerError, match="holds 5 bytes, not a counter, which has 8"):
        db.incr_double("word")
    with db.pipeline(raise_errors=False) as pipe:
        failed, after = pipe.incr("word"), pipe.get("word")
    assert isinstance(failed.exception(), ServerError)
    assert after.result() == "text!"


@every_type
def test_seize(tyrant: TokyoTyrant) -> None:
    db = tyrant
    db.set_bulk({"a": "1", "b": "2"})
    assert (db.seize("a"), db.seize("a"), db.pop("none")) == ("1", None, None)
    with db.pipeline() as pipe:
        one, other = pipe.seize("b"), pipe.pop("b")
    assert sorted([str(one.result()), str(other.result())]) == ["2", "None"]
    assert db.count() == 0


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
def test_glob(tyrant: TokyoTyrant, pattern: str, matches: int) -> None:
    tyrant.set_bulk(dict.fromkeys(GLOB_KEYS, ""))
    assert len(tyrant.match_glob(pattern)) == matches
    assert len(tyrant.match_glob(pattern, 1)) == min(matches, 1)


def test_globs_that_are_none(tyrant: TokyoTyrant) -> None:
    for pattern in ("a\\", 5):
        with pytest.raises(ArgumentError):
            tyrant.match_glob(pattern)  # type: ignore[arg-type]
    tyrant.set("[", "")
    assert tyrant.match_glob("[") == ["["]


@pytest.mark.parametrize("tyrant_database", ["casket.tct"], indirect=True)
def test_search(tyrant: TokyoTyrant) -> None:
    rows = tyrant.using(serializer=TT_TABLE)
    rows.set("a", {"about": "The quick brown fox", "n": "1"})
    rows.set("b", {"about": "the lazy dog"})
    rows.set("c", {"about": "a brown FOX"})
    found = [
        Row("a", {"about": "The quick brown fox", "n": "1"}),
        Row("c", {"about": "a brown FOX"}),
    ]
    assert sorted(tyrant.search("about", "Brown fox"), key=repr) == found
    assert len(tyrant.search("about", "fox", limit=1)) == 1
    tyrant.set_index("about", IndexKind.QGRAM)
    assert sorted(tyrant.search("about", "Brown fox"), key=repr) == found
    tyrant.delete_index("about")
    with pytest.raises(ArgumentError):
        tyrant.search("", "fox")


@pytest.mark.parametrize("tyrant_database", ["*"], indirect=True)
def test_search_in_what_is_no_table(tyrant: TokyoTyrant) -> None:
    with pytest.raises(ServerError, match="table"):
        tyrant.search("about", "fox")
