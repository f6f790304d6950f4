"""Containers against Python's own, by random operations; and the encoding of lists."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kt.errors import ProtocolError
from kt.lua import Hash, List, Queue, SortedSet
from kt.lua.packing import pack, unpack
from tests.lua.servers import TYCOONS, TYRANTS

EXAMPLES = 25

one_of_each = pytest.mark.parametrize(
    "lua_server", [TYCOONS[0], TYCOONS[1], TYRANTS[0], TYRANTS[1]], indirect=True
)
on_a_server = settings(
    max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

texts = st.text("ab\x00ä", max_size=3)
indices = st.none() | st.integers(-7, 7)
slices = st.builds(slice, indices, indices, st.none() | st.integers(-3, 3).filter(bool))


@given(st.lists(st.binary(max_size=300)))
def test_packing(items: list[bytes]) -> None:
    assert unpack(pack(items)) == items


@given(st.lists(st.binary(min_size=1), min_size=1))
def test_packing_that_is_cut_short(items: list[bytes]) -> None:
    with pytest.raises(ProtocolError):
        unpack(pack(items)[:-1])


@one_of_each
@on_a_server
@given(st.lists(texts, max_size=8), st.lists(st.tuples(slices, st.lists(texts, max_size=4))))
def test_slices_are_those_of_lists(
    db: Any, start: list[str], changes: list[tuple[slice, list[str]]]
) -> None:
    items: List[str] = List(db, "items")
    items.clear()
    items.extend(start)
    for part, new in changes:
        assert items[part] == start[part]
        if part.step is None or len(new) == len(start[part]):
            items[part] = new
            start[part] = new
        else:
            del items[part]
            del start[part]
        assert items.copy() == start


@one_of_each
@on_a_server
@given(st.lists(st.text("ab\x00\x01ä€", max_size=3)), st.booleans())
def test_sorting_is_that_of_lists(db: Any, texts: list[str], reverse: bool) -> None:
    items: List[str] = List(db, "items")
    items.clear()
    items.extend(texts)
    items.sort(reverse=reverse)
    assert items.copy() == sorted(texts, reverse=reverse)


@one_of_each
@on_a_server
@given(st.lists(texts, max_size=9), st.lists(slices))
def test_slices_of_queues(db: Any, start: list[str], parts: list[slice]) -> None:
    items: Queue[str] = Queue(db, "queue")
    items.clear()
    items.push(*start)
    for part in parts:
        assert items.slice(part.start, part.stop, part.step) == start[part]


@one_of_each
@on_a_server
@given(st.lists(st.tuples(st.sampled_from("spudr"), texts, texts)))
def test_hashes_are_dicts(db: Any, steps: list[tuple[str, str, str]]) -> None:
    hash_: Hash[str, str] = Hash(db, "hash")
    hash_.clear()
    model: dict[str, str] = {}
    for step, field, value in steps:
        if step == "s":
            hash_[field] = model[field] = value
        elif step == "p":
            assert hash_.pop(field, None) == model.pop(field, None)
        elif step == "u":
            hash_.update({field: value, value: field})
            model.update({field: value, value: field})
        elif step == "d":
            assert hash_.setdefault(field, value) == model.setdefault(field, value)
        elif model:
            assert hash_.popitem() == model.popitem()
        assert hash_.items() == list(model.items())


@one_of_each
@on_a_server
@given(st.lists(st.tuples(texts, st.integers(-3, 3) | st.floats(-1e9, 1e9))), slices)
def test_sorted_sets_are_sorted(db: Any, scores: list[tuple[str, float]], part: slice) -> None:
    ranking: SortedSet[str] = SortedSet(db, "ranking")
    ranking.clear()
    for member, score in scores:
        ranking[member] = score
    wanted = sorted(dict(scores).items(), key=lambda pair: (pair[1], pair[0].encode()))
    assert ranking.items() == wanted
    assert ranking.slice(part.start, part.stop, part.step) == wanted[part]
    assert all(ranking.rank(member) == rank for rank, (member, _) in enumerate(wanted))
