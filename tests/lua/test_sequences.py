# Generated from test_sequences_async.py by tools/async_to_sync.py: edit that one.
"""List and Set."""

from __future__ import annotations

from typing import Any

import pytest

from kt.errors import ArgumentError, ServerError
from kt.lua.sequences import List, Set
from kt.serializers import KT_JSON


def letters(db: Any, text: str = "abcdef") -> List[str]:
    items: List[str] = List(db, "letters")
    assert items.extend(text) == len(text)
    return items


def test_reading_a_list(db: Any) -> None:
    items = letters(db)
    assert [items[index] for index in (0, 5, -1, -6)] == list("affa")
    for index in (6, -7):
        with pytest.raises(IndexError):
            items[index]
    assert items[1:3] == ["b", "c"]
    assert items.copy() == list("abcdef")
    assert list(items) == list("abcdef")
    assert (items.length(), items.contains("c"), items.count("x")) == (6, True, 0)
    assert (items.index("c"), items.index("c", -4, -3)) == (2, 2)
    with pytest.raises(ValueError, match="not in"):
        items.index("c", 3)


def test_changing_a_list(db: Any) -> None:
    items = letters(db, "abc")
    items.set(0, "A")
    items.set(-1, "C")
    for index in (3, -4):
        with pytest.raises(IndexError):
            items.set(index, "x")
    assert items.append("d") == 4
    assert items.insert(0, "0") == 5
    assert items.insert(-1, "y") == 6
    assert items.insert(99, "z") == 7
    assert items.copy() == ["0", "A", "b", "C", "y", "d", "z"]
    assert (items.pop(), items.pop(0), items.pop(-2)) == ("z", "0", "y")
    items.remove("b")
    with pytest.raises(ValueError, match="not in"):
        items.remove("b")
    items.reverse()
    assert items.copy() == ["d", "C", "A"]
    items.delete(1)
    with pytest.raises(IndexError):
        items.delete(2)
    items.clear()
    with pytest.raises(IndexError):
        items.pop()
    assert db.count() == 0


def test_sorting_a_list(db: Any) -> None:
    items = letters(db, "bäaZ€b")
    items.sort()
    assert items.copy() == ["Z", "a", "b", "b", "ä", "€"]
    items.sort(reverse=True)
    assert items.copy() == ["€", "ä", "b", "b", "a", "Z"]
    items.clear()
    items.sort()
    assert db.count() == 0, "an empty list is not stored"
    numbers: List[int] = List(db.using(serializer=KT_JSON), "numbers")
    numbers.extend([9, 10, 1])
    numbers.sort()
    assert numbers.copy() == [1, 10, 9], "as text"


def test_changing_slices(db: Any) -> None:
    items = letters(db)
    items.set(slice(1, 3), ["X", "Y", "Z"])
    assert items.copy() == list("aXYZdef")
    items.set(slice(None, None, 3), "123")
    assert items.copy() == list("1XY2de3")
    with pytest.raises(ValueError, match="2 items for a slice of 4"):
        items.set(slice(None, None, 2), "12")
    with pytest.raises(ArgumentError):
        items.slice(step=0)
    items.delete(slice(-2, None))
    items.delete(slice(5, 2))
    assert items.copy() == list("1XY2d")


def test_a_set(db: Any) -> None:
    tags: Set[str] = Set(db, "tags")
    assert tags.add("a", "b", "a") == 2
    assert tags.update(["b", "c"], ["d"]) == 2
    assert tags.members() == tags.copy() == {"a", "b", "c", "d"}
    assert list(tags) == ["a", "b", "c", "d"]
    assert (tags.contains("a"), tags.contains("x")) == (True, False)
    assert tags.contains_many(["x", "b"]) == [False, True]
    assert tags.discard("a", "x", "a") == 1
    assert tags.difference_update(["b"], ["y"]) == 1
    tags.remove("c")
    with pytest.raises(KeyError):
        tags.remove("c")
    assert tags.length() == 1
    assert tags.pop() == "d"
    with pytest.raises(KeyError):
        tags.pop()
    assert db.count() == 0
    tags.add("again")
    tags.clear()
    assert tags.members() == set()


def test_members_are_what_the_serializer_writes(db: Any) -> None:
    tags: Set[Any] = Set(db.using(serializer=KT_JSON), "tags")
    tags.add(1, "1", None, 1.5)
    assert tags.members() == {1, "1", None, 1.5}
    assert tags.contains(None)


def test_find_tells_that_there_is_none(db: Any) -> None:
    items = letters(db)
    assert (items.find("c"), items.find("x"), items.find("c", 3)) == (
        2,
        None,
        None,
    )


def test_rpoplpush(db: Any) -> None:
    items = letters(db, "abc")
    other: List[str] = List(db, "other")
    assert [items.rpoplpush(other) for _ in range(2)] == ["c", "b"]
    assert (items.copy(), other.copy()) == (["a"], ["b", "c"])
    assert other.rpoplpush(other) == "c"
    assert other.copy() == ["c", "b"]
    assert items.rpoplpush(other) == "a"
    assert items.rpoplpush(other) is None
    assert items.rpoplpush(items) is None
    assert other.copy() == ["a", "c", "b"]
    assert db.count() == 1
    Set(db, "set").add("m")
    for source, target in (
        (other, List(db, "set")),
        (List(db, "set"), other),
    ):
        with pytest.raises(ServerError):
            source.rpoplpush(target)
    with pytest.raises(ServerError):
        List(db, "set").rpoplpush(List(db, "set"))
    with pytest.raises(ArgumentError, match=r"is no (Async)?List"):
        other.rpoplpush(Set(db, "set"))  # type: ignore[arg-type]
    assert other.copy() == ["a", "c", "b"]
    assert Set(db, "set").members() == {"m"}
