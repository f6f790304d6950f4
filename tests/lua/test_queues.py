# Generated from test_queues_async.py by tools/async_to_sync.py: edit that one.
"""Queue and Schedule, by one client."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kt.errors import ArgumentError, ServerError
from kt.lua.queues import Queue, Schedule
from kt.lua.sequences import Set
from kt.serializers import KT_JSON


def test_first_in_first_out(db: Any) -> None:
    jobs: Queue[str] = Queue(db, "jobs")
    assert jobs.push("a") == 1
    assert jobs.push("b", "c", "d") == 4
    assert jobs.extend("ef") == 6
    assert (jobs.peek(), jobs.pop(), jobs.pop()) == ("a", "a", "b")
    assert jobs.pop_many(2) == ["c", "d"]
    assert jobs.pop_many(9) == ["e", "f"]
    assert (jobs.pop(), jobs.peek(), jobs.pop_many(2)) == (None, None, [])
    assert db.count() == 0


def test_what_is_in_a_queue(db: Any) -> None:
    jobs: Queue[Any] = Queue(db.using(serializer=KT_JSON), "jobs")
    jobs.push(*range(8))
    jobs.pop()
    items = list(range(1, 8))
    assert list(jobs) == items
    assert (jobs.length(), jobs.contains(7), jobs.contains(0)) == (7, True, False)
    for part in (slice(2), slice(-2, None), slice(None, None, -1), slice(5, 1, -2), slice(5, 2)):
        assert jobs.slice(part.start, part.stop, part.step) == items[part]
    jobs.clear()
    assert jobs.length() == 0
    assert db.count() == 0


def test_waiting_in_vain(db: Any) -> None:
    jobs: Queue[str] = Queue(db, "jobs")
    assert jobs.pop(timeout=0.05) is None
    assert db.count() == 0, "a consumer that waits no more is forgotten"
    jobs.push("a")
    assert jobs.pop(timeout=None) == "a"


def test_a_record_that_is_no_queue(db: Any) -> None:
    Set(db, "k").add("m")
    for use in (Queue(db, "k").pop, Schedule(db, "k").pop):
        with pytest.raises(ServerError):
            use()


def test_what_is_due_comes_in_order(db: Any) -> None:
    plan: Schedule[str] = Schedule(db, "plan")
    now = datetime.now(UTC)
    plan.add("third", now - timedelta(seconds=1))
    plan.add("fourth", timedelta(0))
    plan.update([("far", 1000), ("first", now - timedelta(days=2)), ("also far", 1000)])
    plan.add("second", now - timedelta(days=1))
    assert plan.pop() == "first"
    assert plan.pop_many(9) == ["second", "third", "fourth"]
    assert plan.pop() is None
    assert plan.length() == 2
    assert list(plan) == ["far", "also far"]
    (_, due), _ = plan.items()
    assert timedelta(seconds=900) < due - now < timedelta(seconds=1100)
    assert (plan.contains("far"), plan.contains("first")) == (True, False)
    assert plan.remove("far", "x") == 1
    plan.clear()
    assert db.count() == 0
    with pytest.raises(ArgumentError):
        plan.add("when?", datetime.now())


def test_waiting_until_an_item_is_due(db: Any) -> None:
    plan: Schedule[str] = Schedule(db, "plan")
    plan.update([("soon", 0.1), ("far", 1000)])
    assert plan.pop() is None
    assert plan.pop(timeout=None) == "soon"
    assert plan.pop(timeout=0.05) is None
    assert plan.length() == 1


def test_last_in_first_out(db: Any) -> None:
    jobs: Queue[str] = Queue(db, "jobs")
    jobs.push(*"abcdef")
    assert (jobs.rpeek(), jobs.rpop(), jobs.pop()) == ("f", "f", "a")
    assert jobs.rpop_many(2) == ["e", "d"]
    assert jobs.push("x") == 3
    assert jobs.rpop_many(9) == ["x", "c", "b"]
    assert (jobs.rpop(), jobs.rpeek(), jobs.rpop_many(2)) == (None, None, [])
    assert db.count() == 0
    assert jobs.rpop(timeout=0.05) is None
    assert db.count() == 0


def test_transfer(db: Any) -> None:
    jobs: Queue[str] = Queue(db, "jobs")
    busy: Queue[str] = Queue(db, "busy")
    jobs.push(*"abcdef")
    assert jobs.transfer(busy) == ["a"]
    assert jobs.transfer(busy, 3) == ["b", "c", "d"]
    assert busy.pop() == "a"
    assert busy.transfer(jobs, 2) == ["b", "c"]
    assert (jobs.slice(), busy.slice()) == (list("efbc"), ["d"])
    assert jobs.transfer(busy, 99) == list("efbc")
    assert jobs.transfer(busy) == []
    assert jobs.transfer(busy, 0) == []
    assert (jobs.slice(), busy.slice()) == ([], list("defbc"))
    for target in (jobs, Set(db, "s"), Schedule(db, "d"), "busy"):
        with pytest.raises(ArgumentError):
            jobs.transfer(target)  # type: ignore[arg-type]
    Set(db, "set").add("m")
    with pytest.raises(ServerError):
        busy.transfer(Queue(db, "set"))
    assert busy.pop_many(9) == list("defbc")
    Set(db, "set").clear()
    assert db.count() == 0


@pytest.mark.parametrize("count", [-1, 1.5, "2", None, True])
def test_how_many_is_a_whole_number(db: Any, count: Any) -> None:
    jobs: Queue[str] = Queue(db, "jobs")
    jobs.push("a", "b")
    calls = (jobs.pop_many, jobs.rpop_many, Schedule(db, "plan").pop_many)
    for call in calls:
        with pytest.raises(ArgumentError, match="how many"):
            call(count)
    with pytest.raises(ArgumentError, match="how many"):
        jobs.transfer(Queue(db, "other"), count)
    assert jobs.slice() == ["a", "b"]
    for text in (b"-1", b"0.5"):  # nor does the script break the queue, whoever calls it
        assert jobs._call("queuePop", text, b"0", b"0") == []
    assert jobs.pop_many(3) == ["a", "b"]
