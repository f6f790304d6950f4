# Generated from test_mappings_async.py by tools/async_to_sync.py: edit that one.
"""Hash and SortedSet."""

from __future__ import annotations

from typing import Any

import pytest

from kt.errors import ArgumentError, ServerError
from kt.lua.mappings import Hash, SortedSet
from kt.serializers import KT_JSON, KT_NONE


def test_a_hash_is_a_mapping(db: Any) -> None:
    book: Hash[str, str] = Hash(db, "book")
    assert book.set("title", "Notes") is True
    assert book.set("title", "More notes") is False
    assert book["title"] == "More notes"
    assert book.get("year") is None
    assert book.get("year", 0) == 0
    with pytest.raises(KeyError):
        book["year"]
    assert book.update({"year": 1843, "pages": 67}, author="Ada") == 3
    assert book.keys() == ["title", "year", "pages", "author"]
    assert book.values() == ["More notes", "1843", "67", "Ada"]
    assert book.items() == list(book.copy().items())
    assert book.get_bulk(["author", "nothing"]) == {"author": "Ada"}
    assert list(book) == book.keys()
    assert (book.length(), book.contains("year")) == (4, True)


def test_taking_out_of_a_hash(db: Any) -> None:
    book: Hash[str, str] = Hash(db, "book")
    book.update({"a": "1", "b": "2", "c": "3", "d": "4"})
    assert book.pop("a") == "1"
    assert book.pop("a", None) is None
    with pytest.raises(KeyError):
        book.pop("a")
    assert book.popitem() == ("d", "4")
    assert book.remove("b", "b", "x") == 1
    with pytest.raises(KeyError):
        book.delete("b")
    book.delete("c")
    assert book.length() == 0
    assert db.count() == 0
    with pytest.raises(KeyError):
        book.popitem()


def test_setdefault_and_increment(db: Any) -> None:
    stock: Hash[str, Any] = Hash(db.using(serializer=KT_JSON), "stock")
    assert stock.setdefault("apples", [1]) == [1]
    assert stock.setdefault("apples", [2]) == [1]
    assert stock.increment("pears") == 1
    assert stock.increment("pears", 1.5) == 2.5
    assert stock.get("pears") == 2.5
    assert stock.increment("plums", 2**53 - 1) == 2**53 - 1
    with pytest.raises(ServerError):
        stock.increment("apples")
    with pytest.raises(ArgumentError):
        stock.increment("apples", 2**53 + 1)
    assert stock.get("apples") == [1]


@pytest.mark.parametrize("size", [0, 127, 128, 16_383, 16_384, 70_000])
def test_values_of_any_size_and_bytes(db: Any, size: int) -> None:
    hash_: Hash[str, bytes] = Hash(db.using(serializer=KT_NONE), b"\x00\xff")
    value = bytes(i % 256 for i in range(size))
    hash_.update({"": value, "\udcff": b"", "ä": value})
    assert hash_.copy() == {"": value, "\udcff": b"", "ä": value}
    hash_.clear()
    assert hash_.length() == 0


def test_a_record_of_another_kind(db: Any) -> None:
    SortedSet(db, "k").set("m", 1)
    with pytest.raises(ServerError):
        Hash(db, "k").set("f", "v")
    with pytest.raises(ServerError):
        Hash(db, "k").clear()
    db.set("plain", "value")
    with pytest.raises(ServerError):
        Hash(db, "plain").copy()
    assert SortedSet(db, "k").items() == [("m", 1)]


def test_a_sorted_set_orders_by_score(db: Any) -> None:
    ranking: SortedSet[str] = SortedSet(db, "ranking")
    assert ranking.set("Ada", 3) is True
    assert ranking.update([("Bob", 1), ("Cyd", 2.5), ("Ada", 3)]) == 2
    assert ranking.items() == [("Bob", 1), ("Cyd", 2.5), ("Ada", 3)]
    assert ranking.increment("Bob", 2) == 3
    assert ranking.keys() == ["Cyd", "Ada", "Bob"]
    assert ranking.values() == [2.5, 3, 3]
    assert (ranking["Ada"], ranking.get("Dan"), ranking.get("Dan", 7)) == (
        3,
        None,
        7,
    )
    with pytest.raises(KeyError):
        ranking["Dan"]
    assert (ranking.rank("Cyd"), ranking.rank("Dan")) == (0, None)
    assert ranking.slice(None, 2) == [("Cyd", 2.5), ("Ada", 3)]
    assert ranking.slice(None, None, -2) == [("Bob", 3), ("Cyd", 2.5)]
    assert ranking.range(2.6) == [("Ada", 3), ("Bob", 3)]
    assert ranking.range(high=2.6) == [("Cyd", 2.5)]
    assert list(ranking) == ranking.keys()
    assert (ranking.length(), ranking.contains("Ada")) == (3, True)


def test_scores_beyond_integers(db: Any) -> None:
    ranking: SortedSet[str] = SortedSet(db, "ranking")
    scores = {"a": float("-inf"), "b": -1e300, "c": 1 / 3, "d": 2**53, "e": float("inf")}
    ranking.update(scores)
    assert dict(ranking.items()) == scores
    with pytest.raises(ArgumentError):
        ranking.set("f", float("nan"))


def test_members_of_a_sorted_set_are_any_values(db: Any) -> None:
    jobs: SortedSet[dict[str, str]] = SortedSet(db.using(serializer=KT_JSON), "jobs")
    job = {"mail": "ada@example.org"}
    assert jobs.set(job, 1) is True
    assert jobs.set(job, 2) is False
    assert jobs.increment(job, 3) == 5
    assert jobs.get(job) == 5
    assert jobs.rank(job) == 0
    assert jobs.contains(job)
    assert jobs.items() == [(job, 5)]
    jobs.delete(job)
    assert jobs.length() == 0


def test_a_sorted_set_is_a_priority_queue(db: Any) -> None:
    jobs: SortedSet[str] = SortedSet(db, "jobs")
    jobs.update({"later": 5, "now": 1, "soon": 2, "never": 9})
    assert jobs.pop() == [("now", 1)]
    assert jobs.pop(highest=True) == [("never", 9)]
    assert jobs.pop(5) == [("soon", 2), ("later", 5)]
    assert jobs.pop() == []
    assert db.count() == 0
    jobs.update({"a": 1, "b": 2, "c": 3})
    assert jobs.remove("a", "a", "x") == 1
    jobs.delete("b")
    with pytest.raises(KeyError):
        jobs.delete("b")
    jobs.clear()
    assert jobs.length() == 0


def test_setnx(db: Any) -> None:
    book: Hash[str, str] = Hash(db, "book")
    assert book.setnx("title", "Notes") is True
    assert book.setnx("title", "Other") is False
    assert book.copy() == {"title": "Notes"}
