"""Python's operators on the containers of blocking clients."""

from __future__ import annotations

from typing import Any

import pytest

from kt.lua import Hash, List, Queue, Schedule, Set, SortedSet


def test_a_hash(db: Any) -> None:
    book: Hash[str, str] = Hash(db, "book")
    assert not book
    book["title"] = "Notes"
    book["year"] = 1843
    assert (len(book), "title" in book, "x" in book, book["year"]) == (2, True, False, "1843")
    assert list(book) == ["title", "year"]
    assert dict(book) == dict(book.items()) == {"title": "Notes", "year": "1843"}
    del book["title"]
    with pytest.raises(KeyError):
        del book["title"]
    assert repr(book) == "<Hash 'book'>"


def test_a_list(db: Any) -> None:
    items: List[str] = List(db, "items")
    items.extend("abcdef")
    assert (len(items), items[-1], items[1:5:2], "c" in items) == (6, "f", ["b", "d"], True)
    items[0] = "A"
    items[1:4] = ["x"]
    del items[-1]
    del items[:1]
    items += ["y"]
    assert list(items) == ["x", "e", "y"]
    assert list(reversed(items)) == ["y", "e", "x"]


def test_a_set(db: Any) -> None:
    tags: Set[str] = Set(db, "tags")
    tags |= ["a", "b", "c"]
    tags -= {"c"}
    assert (len(tags), "a" in tags, "c" in tags) == (2, True, False)
    assert tags & {"a", "x"} == {"a", "x"} & tags == {"a"}
    assert tags | {"x"} == {"x"} | tags == {"a", "b", "x"}
    assert (tags - {"a"}, {"a", "x"} - tags, tags ^ {"a", "x"}) == ({"b"}, {"x"}, {"b", "x"})
    assert tags <= {"a", "b"}
    assert tags >= {"a"}
    assert tags < {"a", "b", "c"}
    assert not tags > {"a", "b"}
    assert tags.isdisjoint("xyz")


def test_a_sorted_set(db: Any) -> None:
    ranking: SortedSet[str] = SortedSet(db, "ranking")
    ranking["Ada"] = 2
    ranking["Bob"] = 1
    assert (len(ranking), "Ada" in ranking, list(ranking)) == (2, True, ["Bob", "Ada"])
    assert dict(ranking) == {"Ada": 2, "Bob": 1}
    del ranking["Ada"]
    assert list(ranking) == ["Bob"]


def test_queues(db: Any) -> None:
    jobs: Queue[str] = Queue(db, "jobs")
    plan: Schedule[str] = Schedule(db, "plan")
    assert not jobs
    assert not plan
    jobs.push("a", "b")
    plan.add("c", 1000)
    assert (len(jobs), "a" in jobs, list(jobs)) == (2, True, ["a", "b"])
    assert (len(plan), "c" in plan, list(plan)) == (1, True, ["c"])
