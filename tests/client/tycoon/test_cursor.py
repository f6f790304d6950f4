# Generated from test_cursor_async.py by tools/async_to_sync.py: edit that one.
"""Cursor."""

from __future__ import annotations

import gc
from datetime import UTC, datetime

import pytest

from kt.client.tycoon.client import KyotoTycoon
from kt.errors import ServerError
from kt.types import Record

TREE = 1


def filled(client: KyotoTycoon, count: int = 26) -> KyotoTycoon:
    """A view of the tree, with records a: A, b: B and so on."""
    db = client.using(db=TREE)
    letters = [chr(ord("a") + i) for i in range(26)]
    db.set_bulk({letter: letter.upper() for letter in letters[:count]})
    return db


def test_a_new_cursor_stands_nowhere(tycoon: KyotoTycoon) -> None:
    db = filled(tycoon)
    with db.cursor() as cursor:
        assert cursor.get() is None
        assert cursor.get_key() is None
        assert cursor.get_value() is None
        assert cursor.get_record() is None
        assert cursor.set_value("x") is False
        assert cursor.remove() is False
        assert cursor.seize() is None
        assert cursor.step() is False


def test_walking(tycoon: KyotoTycoon) -> None:
    db = filled(tycoon)
    with db.cursor() as cursor:
        assert cursor.jump() is True
        assert cursor.get() == ("a", "A")
        assert cursor.step() is True
        assert (cursor.get_key(), cursor.get_value()) == ("b", "B")
        assert cursor.get(step=True) == ("b", "B")
        assert cursor.get_key(step=True) == "c"
        assert cursor.get_value(step=True) == "D"
        assert cursor.step_back() is True
        assert cursor.get() == ("d", "D")
        assert cursor.jump_back() is True
        assert cursor.get() == ("z", "Z")
        assert cursor.step() is False
        assert cursor.get() is None


def test_jumping_to_a_key(tycoon: KyotoTycoon) -> None:
    db = filled(tycoon)
    db.remove("m")
    with db.cursor() as cursor:
        assert cursor.jump("k") is True
        assert cursor.get_key() == "k"
        assert cursor.jump("m") is True
        assert cursor.get_key() == "n"
        assert cursor.jump_back("m") is True
        assert cursor.get_key() == "l"
        assert cursor.jump("zz") is False
        assert cursor.jump(b"b") is True
        assert cursor.get_key() == "b"


def test_changing_records(tycoon: KyotoTycoon) -> None:
    db = filled(tycoon)
    far = datetime(2100, 1, 1, tzinfo=UTC)
    with db.cursor() as cursor:
        cursor.jump("c")
        assert cursor.set_value("1", expire_time=far) is True
        assert cursor.get_record() == Record(TREE, "c", "1", far)
        assert cursor.set_value("2", step=True) is True
        assert cursor.get_record(step=True) == Record(TREE, "d", "D", None)
        assert cursor.remove() is True
        assert cursor.seize() == ("f", "F")
        assert cursor.get_key() == "g"
    assert db.get_bulk(list("cdefg")) == {"c": "2", "d": "D", "g": "G"}


def test_iteration_from_where_the_cursor_stands(tycoon: KyotoTycoon) -> None:
    db = filled(tycoon)
    with db.cursor() as cursor:
        cursor.jump("x")
        assert list(cursor) == [("x", "X"), ("y", "Y"), ("z", "Z")]


def test_iteration_begins_by_itself(tycoon: KyotoTycoon) -> None:
    db = filled(tycoon)
    cursor = db.cursor()
    for _ in range(2):
        assert len(list(cursor)) == 26


def test_iteration_backwards(tycoon: KyotoTycoon) -> None:
    db = filled(tycoon)
    with db.cursor() as cursor:
        keys = [key for key, _ in cursor.backward()]
        assert keys == list("zyxwvutsrqponmlkjihgfedcba")
        cursor.jump("c")
        assert [key for key, _ in cursor.backward()] == ["c", "b", "a"]


def test_turning_round(tycoon: KyotoTycoon) -> None:
    db = filled(tycoon)
    with db.cursor() as cursor:
        forward = iter(cursor)
        assert [next(forward)[0] for _ in range(7)] == list("abcdefg")
        backward = cursor.backward()
        assert [next(backward)[0] for _ in range(3)] == list("fed")
        assert next(forward)[0] == "e"
        assert cursor.get_key() == "e"
        assert next(forward)[0] == "f"


def test_backwards_needs_an_order(tycoon: KyotoTycoon) -> None:
    tycoon.set("k", "v")
    with tycoon.cursor() as cursor:
        with pytest.raises(ServerError) as caught:
            cursor.jump_back()
        assert caught.value.code == 501
        with pytest.raises(ServerError):
            list(cursor.backward())
        assert cursor.jump("k")
        with pytest.raises(ServerError):
            cursor.step_back()
        assert cursor.jump("k")
        assert cursor.get() == ("k", "v")


def test_iteration_over_nothing(tycoon: KyotoTycoon) -> None:
    with tycoon.cursor() as cursor:
        assert cursor.jump() is False
        assert list(cursor) == []


def test_changing_records_while_iterating(tycoon: KyotoTycoon) -> None:
    """Records are read ahead, and still the cursor stands on the one that was yielded."""
    db = filled(tycoon)
    seen = []
    with db.cursor() as cursor:
        for key, value in cursor:
            seen.append(key)
            assert cursor.get() == (key, value)
            if key in "bdf":
                assert cursor.remove() is True
            elif key in "ghi":
                assert cursor.set_value(value * 2) is True
            elif key == "k":
                assert cursor.seize() == ("k", "K")
            elif key == "m":
                assert cursor.step() is True  # passes over nothing: n comes next
    assert seen == list("abcdefghijklmnopqrstuvwxyz")
    expected = {key: key.upper() for key in "acejlmnopqrstuvwxyz"} | {
        k: k.upper() * 2 for k in "ghi"
    }
    assert dict(db.items()) == expected


def test_changing_records_of_a_hash_table(tycoon: KyotoTycoon) -> None:
    db = tycoon
    db.set_bulk({str(i): str(i) for i in range(500)})
    with db.cursor() as cursor:
        for key, _ in cursor:
            if int(key) % 2:
                assert cursor.remove()
    assert sorted(map(int, db.keys())) == list(range(0, 500, 2))


def test_the_record_under_the_cursor_vanishes(tycoon: KyotoTycoon) -> None:
    """Nothing else is removed in its place."""
    db = filled(tycoon)
    with db.cursor() as cursor:
        for key, _ in cursor:
            if key == "e":
                db.remove("e")
                assert cursor.remove() is False
            elif key == "g":
                db.remove("g")
                assert cursor.get() is None
    assert db.keys() == list("abcdfhijklmnopqrstuvwxyz")


def test_a_cursor_gives_its_connection_back(tycoon: KyotoTycoon) -> None:
    """By close, by exhaustion and by being forgotten: no leases are left in any case."""
    db = KyotoTycoon(tycoon.host, tycoon.port, timeout=10, pool_size=2)
    with db:
        db.set("k", "v")
        for _ in range(5):
            cursor = db.cursor()
            assert cursor.jump()
            cursor.close()
            assert cursor.get() is None
            cursor.close()
        for _ in range(5):
            cursor = db.cursor()
            assert list(cursor) == [("k", "v")]
        for _ in range(5):
            cursor = db.cursor()
            assert cursor.jump()
            del cursor
            gc.collect()
        assert db.get("k") == "v"


def test_cursors_do_not_meet(tycoon: KyotoTycoon) -> None:
    db = filled(tycoon)
    cursors = [db.cursor() for _ in range(5)]
    for cursor, key in zip(cursors, "abcde", strict=True):
        cursor.jump(key)
    assert [cursor.get_key() for cursor in cursors] == list("abcde")
    for cursor in cursors:
        cursor.close()


def test_odd_keys_and_values(tycoon: KyotoTycoon) -> None:
    db = tycoon.using(db=TREE)
    data = {"": "", "\t\n": "\0", "k": "x" * 5000, "\udcff": "ü"}
    db.set_bulk(data)
    with db.cursor() as cursor:
        assert dict(cursor) == data
        for key, _ in cursor:
            assert cursor.set_value(key.encode(errors="surrogateescape").hex())
    assert set(db) == set(data)
    assert db.get("\udcff") == "ff"
