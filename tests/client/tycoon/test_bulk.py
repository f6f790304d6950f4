# Generated from test_bulk_async.py by tools/async_to_sync.py: edit that one.
"""KyotoTycoon: many records at a time, search, scripts, iteration."""

from __future__ import annotations

import gc
from datetime import UTC, datetime

import pytest

from kt.client.tycoon.client import KyotoTycoon
from kt.errors import ArgumentError, SerializationError, ServerError
from kt.serializers import KT_JSON, KT_NONE
from kt.types import Record

FAR = datetime(2100, 1, 1, tzinfo=UTC)


def test_bulk(tycoon: KyotoTycoon) -> None:
    db = tycoon
    assert db.set_bulk({"k1": "v1", "k2": "v2"}, k3="v3") == 3
    assert db.get_bulk(["k1", "k3", "k4"]) == {"k1": "v1", "k3": "v3"}
    assert db.remove_bulk(["k1", "k2", "k4"]) == 2
    assert db.keys() == ["k3"]
    assert db.update({"k3": "v3-e"}, k5="v5") == 2
    assert db.get_bulk(["k3", "k5"]) == {"k3": "v3-e", "k5": "v5"}


def test_bulk_of_nothing(tycoon: KyotoTycoon) -> None:
    db = tycoon
    assert db.set_bulk({}) == 0
    assert db.set_bulk() == 0
    assert db.get_bulk([]) == {}
    assert db.remove_bulk([]) == 0
    assert db.set_bulk({}, atomic=True) == 0
    assert db.get_bulk([], atomic=True) == {}
    assert db.remove_bulk([], atomic=True) == 0


def test_bulk_leaves_its_arguments_alone(tycoon: KyotoTycoon) -> None:
    data = {"k1": "v1"}
    tycoon.set_bulk(data, k2="v2")
    assert data == {"k1": "v1"}


def test_bulk_in_another_database(tycoon: KyotoTycoon) -> None:
    db = tycoon
    assert db.set_bulk({"k": "v"}, db=1) == 1
    assert db.get_bulk(["k"]) == {}
    assert db.get_bulk(["k"], db=1) == {"k": "v"}
    assert db.get_bulk(["k"], db=1, atomic=True) == {"k": "v"}
    assert db.remove_bulk(["k"], db=1) == 1


def test_bulk_with_expiry(tycoon: KyotoTycoon) -> None:
    db = tycoon
    db.set_bulk({"a": "1"}, expire_time=FAR)
    db.set_bulk({"b": "2"}, expire_time=FAR, atomic=True)
    found = db.get_bulk_details([(0, "a"), (0, "b")])
    assert [record.expires for record in found] == [FAR, FAR]


def test_bulk_as_one_operation(tycoon: KyotoTycoon) -> None:
    db = tycoon
    data = {"a": "1", "b\n": "2\t", "ü": "\0"}
    assert db.set_bulk(data, atomic=True) == 3
    assert db.get_bulk([*data, "x"], atomic=True) == data
    assert db.remove_bulk([*data, "x"], atomic=True) == 3
    assert db.keys() == []
    with pytest.raises(ArgumentError):
        db.set_bulk(data, atomic=True, no_reply=True)
    with pytest.raises(ArgumentError):
        db.remove_bulk(data, atomic=True, no_reply=True)


def test_bulk_without_reply(tycoon: KyotoTycoon) -> None:
    db = tycoon
    assert db.set_bulk({"a": "1", "b": "2"}, no_reply=True) == 0
    assert db.get_bulk(["a", "b"]) == {"a": "1", "b": "2"}
    assert db.remove_bulk(["a"], no_reply=True) == 0
    assert db.keys() == ["b"]
    assert db.set_bulk_details([(1, "c", "3", None)], no_reply=True) == 0
    assert db.get("c", 1) == "3"
    assert db.remove_bulk_details([(1, "c"), (0, "b")], no_reply=True) == 0
    assert (db.get("c", 1), db.get("b")) == (None, None)


def test_several_databases_at_once(tycoon: KyotoTycoon) -> None:
    db = tycoon
    records = [Record(0, "a", "1", FAR), Record(1, "a", "2")]
    assert db.set_bulk_details([*records, (1, "b", "3", 1000)]) == 3
    with pytest.raises(ServerError, match="stored 1 of 2 records"):
        db.set_bulk_details([records[1], (7, "c", "4", None)])
    assert db.get_bulk_details([(0, "a"), (1, "a"), (0, "b")]) == records
    assert db.remove_bulk_details([(0, "a"), (1, "b"), (1, "c")]) == 2
    assert db.keys(1) == ["a"]


def test_a_single_key_is_not_several(tycoon: KyotoTycoon) -> None:
    for keys in ("key", b"key"):
        for atomic in (False, True):
            with pytest.raises(ArgumentError):
                tycoon.get_bulk(keys, atomic=atomic)
            with pytest.raises(ArgumentError):
                tycoon.remove_bulk(keys, atomic=atomic)


def test_records_are_a_mapping(tycoon: KyotoTycoon) -> None:
    for atomic in (False, True):
        with pytest.raises(ArgumentError):
            tycoon.set_bulk([("k", "v")], atomic=atomic)
    with pytest.raises(ArgumentError):
        tycoon.update("kv")
    assert tycoon.count() == 0


def test_many_and_big_records(tycoon: KyotoTycoon) -> None:
    db = tycoon
    many = {f"key {i}": f"value {i}" for i in range(20_000)}
    assert db.set_bulk(many) == len(many)
    assert db.get_bulk(many) == many
    assert db.remove_bulk(many) == len(many)
    big = {str(i): str(i) * 1_000_000 for i in range(8)}
    assert db.set_bulk(big) == 8
    assert db.get_bulk(big) == big


def test_a_value_that_does_not_decode(tycoon: KyotoTycoon) -> None:
    db = tycoon
    db.set_bytes("bad", b"\xff")
    db.set("good", "v")
    for read in (db.get, db.pop):
        with pytest.raises(SerializationError) as caught:
            read("bad")
        assert (caught.value.key, caught.value.serializer) == ("bad", "KT_BINARY")
        db.set_bytes("bad", b"\xff")
    for atomic in (False, True):
        with pytest.raises(SerializationError) as caught:
            db.get_bulk(["good", "bad"], atomic=atomic)
        assert caught.value.key == "bad"
        assert isinstance(caught.value.__cause__, UnicodeDecodeError)
    with pytest.raises(SerializationError):
        db.get_bulk_details([(0, "bad")])
    assert db.get("good") == "v"


def test_a_value_that_cannot_be_encoded(tycoon: KyotoTycoon) -> None:
    db = tycoon.using(serializer=KT_JSON)
    for atomic in (False, True):
        with pytest.raises(SerializationError) as caught:
            db.set_bulk({"good": 1, "bad": {1, 2}}, atomic=atomic)
        assert (caught.value.key, caught.value.serializer) == ("bad", "KT_JSON")
    for write in (db.set, db.add, db.append):
        with pytest.raises(SerializationError):
            write("bad", {1, 2})
    with pytest.raises(SerializationError):
        db.cas("bad", None, {1, 2})
    assert db.count() == 0


def test_match_prefix(tycoon: KyotoTycoon) -> None:
    db = tycoon
    db.set_bulk(dict.fromkeys(("abc", "acc", "bbb", "bcd", "a\n"), "v"), db=1)
    assert db.match_prefix("a", db=1) == ["a\n", "abc", "acc"]
    assert db.match_prefix("a", 1, db=1) == ["a\n"]
    assert db.match_prefix("a", max_keys=0, db=1) == []
    assert db.match_prefix("x", db=1) == []
    assert db.match_prefix(b"bc", db=1) == ["bcd"]
    assert db.match_prefix("a") == []


def test_match_regex(tycoon: KyotoTycoon) -> None:
    db = tycoon
    db.set_bulk(dict.fromkeys(("foo", "bar", "baz"), "v"), db=1)
    assert db.match_regex("^ba[rz]$", db=1) == ["bar", "baz"]
    assert db.match_regex("o", 5, 1) == ["foo"]
    with pytest.raises(ServerError) as caught:
        db.match_regex("(")
    assert caught.value.code == 450


def test_match_similar(tycoon: KyotoTycoon) -> None:
    db = tycoon
    db.set_bulk(dict.fromkeys(("cat", "cart", "dog", "carts", "bat"), "v"), db=1)
    assert set(db.match_similar("cat", db=1)) == {"cat", "cart", "bat"}
    assert db.match_similar("cat", 2, db=1)[0] == "cat"
    assert set(db.match_similar("cat", 2, db=1)) == {"cat", "cart", "bat", "carts"}
    assert db.match_similar("cat", 0, 10, 1) == ["cat"]
    assert len(db.match_similar("cat", 2, max_keys=2, db=1)) == 2


def test_match_similar_counts_characters_or_bytes(tycoon: KyotoTycoon) -> None:
    tycoon.set("кот", "v")
    assert tycoon.match_similar("кит", 1) == ["кот"]
    assert tycoon.match_similar("к€т", 1) == ["кот"]
    assert tycoon.match_similar("к€т", 1, utf8=False) == []


def test_keys_in_order(tycoon: KyotoTycoon) -> None:
    tycoon.set_bulk({f"k{i:04}": "v" for i in range(1000)}, db=1)
    assert tycoon.keys(1) == [f"k{i:04}" for i in range(1000)]


def test_iteration(tycoon: KyotoTycoon) -> None:
    db = tycoon.using(db=1)
    data = {f"k{i:05}": str(i) for i in range(3000)}
    db.set_bulk(data)
    assert list(db) == list(data)
    assert list(db.values()) == list(data.values())
    assert dict(db.items()) == data
    assert list(tycoon) == []
    assert list(tycoon.values(1)) == list(data.values())


def test_iterators_side_by_side(tycoon: KyotoTycoon) -> None:
    db = tycoon.using(db=1)
    db.set_bulk({f"k{i:05}": str(i) for i in range(1000)})
    first, second = db.items(), db.items()
    for key, value in first:
        assert next(second) == (key, value)
        assert db.get(key) == value
    with pytest.raises(StopIteration):
        next(second)
    with pytest.raises(StopIteration):
        next(first)


def test_iterators_that_are_not_exhausted(tycoon: KyotoTycoon) -> None:
    """More of them than connections: each gives its own back."""
    db = KyotoTycoon(tycoon.host, tycoon.port, timeout=10, pool_size=4)
    with db:
        db.set_bulk({f"k{i:05}": str(i) for i in range(1000)})
        for _ in range(10):
            with db.items() as items:
                next(items)
        for _ in range(10):
            items = db.items()
            next(items)
            items.close()
            with pytest.raises(StopIteration):
                next(items)
        for _ in range(10):
            next(db.items())
            gc.collect()
        assert db.count() == 1000


def test_iteration_over_values_that_do_not_decode(tycoon: KyotoTycoon) -> None:
    db = tycoon.using(db=1)
    db.set_bulk({"a": "1", "c": "3"})
    db.set_bytes("b", b"\xff")
    items = db.items()
    assert next(items) == ("a", "1")
    with pytest.raises(SerializationError) as caught:
        next(items)
    assert caught.value.key == "b"
    assert next(items) == ("c", "3")
    with pytest.raises(StopIteration):
        next(items)


def test_iteration_over_big_values(tycoon: KyotoTycoon) -> None:
    db = tycoon.using(db=1, serializer=KT_NONE)
    data = {f"k{i:02}": bytes([i]) * 700_000 for i in range(40)}
    db.set_bulk(data)
    assert dict(db.items()) == data


def test_script_where_there_are_none(tycoon: KyotoTycoon) -> None:
    with pytest.raises(ServerError):
        tycoon.script("nothing", {"a": "b"}, c="d")
    assert tycoon.ping()
