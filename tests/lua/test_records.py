# Generated from test_records_async.py by tools/async_to_sync.py: edit that one.
"""touch, expire_time and move; containers in other databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kt.errors import ArgumentError, ServerError
from kt.lua.mappings import Hash
from kt.lua.queues import Queue
from kt.lua.records import expire_time, get_part, move, touch, touch_bulk
from tests.lua.servers import TYCOONS, TYRANTS

tycoons = pytest.mark.parametrize("lua_server", TYCOONS, indirect=True)


@tycoons
def test_changing_when_a_record_expires(db: Any) -> None:
    db.set("k", "v")
    assert expire_time(db, "k") is None
    assert touch(db, "k", timedelta(seconds=100)) is True
    expires = expire_time(db, "k")
    assert expires is not None
    assert timedelta(seconds=90) < expires - datetime.now(UTC) < timedelta(seconds=110)
    assert db.get("k") == "v"
    moment = datetime(2100, 1, 1, tzinfo=UTC)
    assert touch(db, "k", moment) is True
    assert expire_time(db, "k") == moment
    assert touch(db, "k", None) is True
    assert expire_time(db, "k") is None


@tycoons
def test_changing_when_records_expire(db: Any) -> None:
    db.set_bulk({"a": "1", "b": "2", "c": "3"})
    moment = datetime(2100, 1, 1, tzinfo=UTC)
    assert touch_bulk(db, ["a", "none", b"c", "a"], moment) == 2
    assert [expire_time(db, key) for key in "abc"] == [moment, None, moment]
    assert db.get_bulk(["a", "b", "c", "none"]) == {"a": "1", "b": "2", "c": "3"}
    assert touch_bulk(db, ["c"], None) == 1
    assert expire_time(db, "c") is None
    db.set("a", "1", db=1)
    assert touch_bulk(db, ["a", "b"], 100, db=1) == 1
    assert touch_bulk(db, [], 100) == 0
    for keys in ("ab", 5):
        with pytest.raises(ArgumentError):
            touch_bulk(db, keys, 100)  # type: ignore[arg-type]


@tycoons
def test_a_part_of_a_value(db: Any) -> None:
    db.set("k", "0123456789")
    assert get_part(db, "k") == b"0123456789"
    assert get_part(db, "k", 3) == b"3456789"
    assert get_part(db, "k", 3, 2) == b"34"
    assert get_part(db, "k", 8, 9) == b"89"
    assert get_part(db, "k", 3, 0) == b""
    assert get_part(db, "k", 10) == b""
    assert get_part(db, "none", 3) is None
    db.set("k", "x" * 300, db=1)
    assert get_part(db, "k", 1, 200, db=1) == b"x" * 200
    for start, length in ((-1, 1), (0, -1), ("1", 1)):
        with pytest.raises(ArgumentError):
            get_part(db, "k", start, length)  # type: ignore[arg-type]


@tycoons
def test_no_such_record(db: Any) -> None:
    assert touch(db, "k", 100) is False
    with pytest.raises(KeyError):
        expire_time(db, "k")
    assert move(db, "k", 1) is False
    assert move(db, "k", 0, 1) is False
    assert db.count() == 0


@tycoons
def test_containers_keep_their_expiry(db: Any) -> None:
    book: Hash[str, str] = Hash(db, "book")
    book.set("a", "1")
    moment = datetime(2100, 1, 1, tzinfo=UTC)
    touch(db, "book", moment)
    book.set("b", "2")
    assert expire_time(db, "book") == moment


@tycoons
@pytest.mark.parametrize(("here", "there"), [(0, 1), (1, 0)])
def test_moving_a_record(db: Any, here: int, there: int) -> None:
    moment = datetime(2100, 1, 1, tzinfo=UTC)
    db.set("k", "v", db=here, expire_time=moment)
    assert move(db, "k", there, here) is True
    assert db.get("k", db=here) is None
    assert db.get("k", db=there) == "v"
    assert expire_time(db, "k", there) == moment
    db.set("k", "new", db=here)
    assert move(db, "k", there, here) is False
    assert db.get("k", db=there) == "v"
    assert move(db, "k", there, here, replace=True) is True
    assert db.get("k", db=there) == "new"
    assert expire_time(db, "k", there) is None
    assert move(db, "k", there, there) is True


@tycoons
def test_databases(db: Any) -> None:
    first: Queue[str] = Queue(db, "jobs")
    second: Queue[str] = Queue(db, "jobs", db=1)
    same: Queue[str] = Queue(db.using(db=1), "jobs")
    first.push("in the first")
    second.push("in the second")
    assert same.pop() == "in the second"
    assert second.pop() is None
    assert first.pop() == "in the first"
    with pytest.raises(ServerError):
        Queue(db, "jobs", db=2).pop()
    with pytest.raises(ServerError):
        move(db, "k", 2)


@pytest.mark.parametrize("lua_server", TYRANTS, indirect=True)
def test_one_database_only(db: Any) -> None:
    with pytest.raises(ArgumentError):
        Hash(db, "k", db=0)
