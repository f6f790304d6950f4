# Generated from test_scan_async.py by tools/async_to_sync.py: edit that one.
"""TokyoTyrant: iteration over whole databases."""

from __future__ import annotations

import tracemalloc

import pytest

from kt.client.tyrant.client import TokyoTyrant
from kt.errors import ArgumentError, SerializationError, ServerError
from kt.serializers import KT_NONE

TYPES = ["*", "+", "casket.tch", "casket.tcb", "casket.tcf"]
every_type = pytest.mark.parametrize("tyrant_database", TYPES, indirect=True)
ordered = pytest.mark.parametrize("tyrant_database", ["+", "casket.tcb"], indirect=True)
tree = pytest.mark.parametrize("tyrant_database", ["casket.tcb"], indirect=True)
hashes = pytest.mark.parametrize("tyrant_database", ["*", "casket.tch"], indirect=True)

RECORDS = {str(number): f"v{number}" for number in range(1, 5001)}


@every_type
def test_every_record_is_met_once(tyrant: TokyoTyrant) -> None:
    db = tyrant
    db.set_bulk(RECORDS)
    assert sorted(db.keys()) == sorted(RECORDS)
    keys = list(db)
    assert sorted(keys) == sorted(RECORDS)
    items = list(db.items())
    assert sorted(items) == sorted(RECORDS.items())
    assert list(db.values()) == [value for _, value in items]
    assert [key for key, _ in items] == keys == db.keys()


@every_type
def test_nothing_to_iterate_over(tyrant: TokyoTyrant) -> None:
    db = tyrant
    assert db.keys() == []
    assert list(db) == []
    assert list(db.items()) == []
    assert db.iter_from("1") == {}


@ordered
def test_trees_are_in_the_order_of_their_keys(tyrant: TokyoTyrant) -> None:
    db = tyrant
    db.set_bulk(RECORDS)
    in_order = sorted(RECORDS)
    assert list(db) == in_order
    assert list(db.iter_from("499")) == [key for key in in_order if key >= "499"]
    assert next(iter(db.iter_from("4990x").items())) == ("4991", "v4991")
    assert db.iter_from("x") == {}


@ordered
def test_keys_of_all_bytes_are_in_order(tyrant: TokyoTyrant) -> None:
    """More keys than a page has, that differ in their first byte, in their last, in length."""
    db = TokyoTyrant(tyrant.host, tyrant.port, decode_keys=False)
    keys = [bytes((first, second)) for first in range(256) for second in range(50)]
    keys += [b"\x07" * length for length in range(40)] + [b"\xff" * 9]
    db.set_bulk(dict.fromkeys(keys, "v"))
    assert list(db) == sorted(set(keys))
    assert list(db.iter_from(b"\xff\x31")) == [b"\xff\x31", b"\xff" * 9]
    start = b"\x07" * 20
    assert list(db.iter_from(start)) == [key for key in sorted(set(keys)) if key >= start]
    db.close()


def test_an_empty_key_is_one_of_all(tyrant: TokyoTyrant) -> None:
    tyrant.set_bulk({"": "0", **RECORDS})
    assert len(list(tyrant)) == len(RECORDS) + 1
    assert len(list(tyrant.items())) == len(RECORDS) + 1


@pytest.mark.parametrize("tyrant_database", ["casket.tcf"], indirect=True)
def test_fixed_length_records_are_in_the_order_of_numbers(
    tyrant: TokyoTyrant,
) -> None:
    tyrant.set_bulk(RECORDS)
    assert list(tyrant) == list(RECORDS)
    assert list(tyrant.iter_from("4998")) == ["4998", "4999", "5000"]


@hashes
def test_iter_from_a_key_of_a_hash_database(tyrant: TokyoTyrant) -> None:
    db = tyrant
    db.set_bulk(RECORDS)
    keys = db.keys()
    assert list(db.iter_from(keys[4000])) == keys[4000:]
    assert db.iter_from("none") == {}


@tree
def test_duplicates_are_all_met(tyrant: TokyoTyrant) -> None:
    db = tyrant
    db.set("a", "0")
    for number in range(300):
        db.putdup("k", str(number))
    db.set("z", "0")
    values = [str(number) for number in range(300)]
    assert list(db) == ["a", "k", "z"]
    assert [value for key, value in db.items() if key == "k"] == values
    assert list(db.items())[-1] == ("z", "0")
    assert db.iter_from("b") == {"k": "0", "z": "0"}


@ordered
def test_big_records_come_in_small_pages(tyrant: TokyoTyrant) -> None:
    db = tyrant.using(serializer=KT_NONE)
    for number in range(200):
        db.set(f"k{number:03}", bytes(50_000))
    tracemalloc.start()
    try:
        sizes = [len(value) for value in db.values()]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sizes == [50_000] * 200
    assert peak < 8_000_000


@every_type
def test_records_may_be_removed_while_iterating(tyrant: TokyoTyrant) -> None:
    db = tyrant
    db.set_bulk(RECORDS)
    met = []
    for key in db:
        met.append(key)
        db.remove(key)
    assert sorted(met) == sorted(RECORDS)
    assert db.count() == 0


def test_a_value_that_does_not_decode_ends_the_iteration(
    tyrant: TokyoTyrant,
) -> None:
    db = tyrant
    db.set_bytes("bad", b"\xff")
    with pytest.raises(SerializationError, match="bad"):
        list(db.items())
    assert list(db) == ["bad"]


@every_type
def test_the_servers_own_iterator(tyrant: TokyoTyrant) -> None:
    db = tyrant
    db.set_bulk({"1": "a", "2": "b", "3": "c"})
    assert db.iterinit() is True
    keys = [db.iternext() for _ in range(3)]
    assert sorted(keys, key=str) == ["1", "2", "3"]
    assert db.iternext() is None
    assert db.iterinit(str(keys[1])) is True
    assert db.iternext() == keys[1]
    with pytest.raises(ArgumentError, match="empty key"):
        db.iterinit("")


@pytest.mark.parametrize("tyrant_database", ["casket.tcf"], indirect=True)
def test_the_servers_own_iterator_of_nothing(tyrant: TokyoTyrant) -> None:
    tyrant.set("1", "a")
    with pytest.raises(ServerError):
        tyrant.iterinit("9")
