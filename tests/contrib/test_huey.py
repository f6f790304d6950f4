"""The storage for huey on both kinds of server, and the consumer of the real huey with it."""

from __future__ import annotations

import threading
import time
import unittest
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from time import monotonic, sleep
from typing import Any

import pytest

from kt.embedded import EmbeddedServer, EmbeddedTokyoTyrantServer
from kt.errors import ArgumentError
from kt.lua import SCRIPTS

pytest.importorskip("huey", reason="the extra huey is not installed")

from huey.constants import EmptyData
from huey.consumer import Consumer
from huey.exceptions import TaskException
from huey.tests.base import BaseTestCase
from huey.tests.test_storage import StorageTests

from kt.contrib.huey import STAMPED, KtHuey, KtPriorityHuey, KtPriorityStorage, KtStorage

Make = Callable[..., KtStorage]


@pytest.fixture(scope="module", params=["tycoon", "tyrant", "local", "local-tyrant"])
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Where tasks are: a function that returns a place."""
    if request.param.startswith("local"):
        import kt

        kind = "tyrant" if request.param == "local-tyrant" else "tycoon"
        with kt.open("*", scripts=SCRIPTS, server=kind) as client:  # type: ignore[call-overload]
            yield client
    elif request.param == "tycoon":
        with EmbeddedServer("kt-tycoon", scripts=SCRIPTS) as tycoon:
            yield f"kt://{tycoon.host}:{tycoon.port}"
    else:
        with EmbeddedTokyoTyrantServer("kt-tyrant", scripts=SCRIPTS) as tyrant:
            yield f"tt://{tyrant.host}:{tyrant.port}"


@pytest.fixture
def make(server: Any) -> Iterator[Make]:
    """Make a storage that is empty."""
    made: list[KtStorage] = []

    def make(storage: type[KtStorage] = KtStorage, name: str = "app", **options: Any) -> KtStorage:
        made.append(storage(name, server, **options))
        made[-1].flush_all()
        return made[-1]

    yield make
    for storage in made:
        storage.flush_all()
        storage.close()


@pytest.fixture
def storage(make: Make) -> KtStorage:
    return make(read_timeout=0.05)


def has_expiry(storage: KtStorage) -> bool:
    return storage._tycoon is not None


@pytest.mark.parametrize("kind", [KtHuey, KtPriorityHuey])
def test_suite(server: Any, kind: Any) -> None:
    """The one that huey has for storages; its slow tests sleep: see `test_a_lock_ends`."""

    class Suite(StorageTests, BaseTestCase):  # type: ignore[misc]
        def get_huey(self) -> Any:
            return kind("suite", place=server, blocking=False, utc=False)

    result = unittest.TestResult()
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(Suite)
    count = suite.countTestCases()  # testsRun leaves skipped ones out in CPython 3.12.1
    suite.run(result)
    assert not [text for _, text in result.errors + result.failures]
    assert count - len(result.skipped) >= 6


@pytest.mark.parametrize("kind", [KtStorage, KtPriorityStorage])
def test_queue(make: Make, kind: type[KtStorage]) -> None:
    storage, other = make(kind, blocking=False), make(kind, "other", blocking=False)
    tasks = [b"first", b"second\0\xff", b"third"]
    for task in tasks:
        storage.enqueue(task)
    assert storage.queue_size() == 3
    assert other.queue_size() == 0
    assert storage.enqueued_items() == tasks
    assert storage.enqueued_items(2) == tasks[:2]
    assert [storage.dequeue() for _ in range(4)] == [*tasks, None]
    storage.enqueue(b"more")
    storage.flush_queue()
    assert storage.queue_size() == 0
    assert storage.dequeue() is None


def test_priorities(make: Make, storage: KtStorage) -> None:
    with pytest.raises(NotImplementedError):
        storage.enqueue(b"a", priority=1)
    first = make(KtPriorityStorage)
    for number, priority in enumerate([1, None, 5, 0, 5, -1]):
        first.enqueue(b"%d" % number, priority)
    assert first.enqueued_items(2) == [b"2", b"4"]
    assert [first.dequeue() for _ in range(6)] == [b"2", b"4", b"0", b"1", b"3", b"5"]


def test_a_worker_waits(make: Make) -> None:
    storage = make(read_timeout=30)
    got: list[bytes | None] = []
    worker = threading.Thread(target=lambda: got.append(storage.dequeue()))
    worker.start()
    storage.enqueue(b"task")
    worker.join()
    assert got == [b"task"]


def test_each_task_comes_once(make: Make) -> None:
    storage = make(blocking=False)
    for number in range(40):
        storage.enqueue(b"%d" % number)
        storage.add_to_schedule(b"later %d" % number, datetime(2000, 1, 1))
    got: list[bytes] = []

    def work() -> None:
        while (task := storage.dequeue()) is not None:
            got.append(task)
        got.extend(storage.read_schedule(datetime(2001, 1, 1)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wanted = [b"%d" % number for number in range(40)] + [b"later %d" % n for n in range(40)]
    assert sorted(got) == sorted(wanted)


def test_schedule(storage: KtStorage) -> None:
    start = datetime(2000, 1, 2, 3, 4, 5, 600)  # naive, as all of huey's
    for task, seconds in ((b"c", 0.25), (b"a", -1), (b"b", 0), (b"d", 10**6)):
        storage.add_to_schedule(task, start + timedelta(seconds=seconds))
    assert storage.schedule_size() == 4
    assert storage.scheduled_items() == [b"a", b"b", b"c", b"d"]
    assert storage.scheduled_items(2) == [b"a", b"b"]
    assert storage.read_schedule(start) == [b"a", b"b"]
    assert storage.read_schedule(start) == []
    assert storage.read_schedule(start + timedelta(seconds=1)) == [b"c"]
    storage.flush_schedule()
    assert storage.schedule_size() == 0


def test_results(storage: KtStorage) -> None:
    assert storage.peek_data("k") is EmptyData
    assert storage.pop_data("k") is EmptyData
    storage.put_data("k", b"v", is_result=True)
    storage.put_data(b"l", b"\0", is_result=False)
    assert storage.has_data_for_key("k")
    assert storage.peek_data(b"k") == b"v"
    assert storage.peek_many(["k", b"l", "none"]) == {"k": b"v", b"l": b"\0"}
    assert storage.peek_many([]) == {}
    assert storage.result_items() == {"k": b"v", "l": b"\0"}
    assert storage.result_store_size() == 2
    assert storage.wait_result("k", timeout=30)
    assert storage.pop_data("k") == b"v"
    assert storage.pop_data("k") is EmptyData
    assert storage.delete_data("l")
    assert not storage.delete_data("l")
    assert storage.put_if_empty("k", b"1")
    assert not storage.put_if_empty("k", b"2")
    assert storage.peek_data("k") == b"1"
    storage.flush_results()
    assert storage.result_items() == {}


def test_counters(storage: KtStorage) -> None:
    assert storage.incr("k") == 1
    assert storage.incr(b"k", 5) == 6
    assert storage.incr("k", -7) == -1
    assert not storage.has_data_for_key("k")
    storage.delete_counter("k")
    assert storage.incr("k") == 1
    storage.flush_counters()
    assert storage.incr("k") == 1


def test_expiry(make: Make, storage: KtStorage) -> None:
    if not has_expiry(storage):
        with pytest.raises(ArgumentError, match="expiry"):
            make(expire_time=1)
        with pytest.raises(NotImplementedError):
            storage.put_if_empty("k", b"v", ttl=1)
        return
    expiring = make(expire_time=1)
    expiring.put_data("result", b"v", is_result=True)
    expiring.put_data("revoked", b"v")
    assert expiring.put_if_empty("lock", b"v", ttl=1)
    deadline = monotonic() + 30
    while expiring.has_data_for_key("result") or expiring.has_data_for_key("lock"):
        assert monotonic() < deadline
        sleep(0.05)
    assert expiring.has_data_for_key("revoked")


def test_a_lock_ends(storage: KtStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """In time, while the server, which counts whole seconds, still has its record."""
    if not has_expiry(storage):
        return
    begin = 2_000_000_000.0
    now = [begin]
    monkeypatch.setattr(time, "time", lambda: now[0])
    assert storage.put_if_empty("lock", b"1", ttl=1)
    assert storage.put_if_empty("more", b"1", ttl=0.5)
    now[0] = begin + 0.999
    assert storage.peek_data("lock") == b"1"
    assert storage.peek_many(["lock", "more"]) == {"lock": b"1"}
    assert storage.result_items() == {"lock": b"1"}
    assert not storage.put_if_empty("lock", b"2")
    assert not storage.delete_data("more")
    now[0] = begin + 1
    assert storage.peek_data("lock") is EmptyData
    assert not storage.has_data_for_key("lock")
    assert storage.put_if_empty("lock", b"3", ttl=0.25)
    now[0] = begin + 1.25
    assert storage.put_if_empty("lock", b"4")
    now[0] = begin + 10**6
    assert storage.pop_data("lock") == b"4"


def test_values_that_look_as_if_they_ended(storage: KtStorage) -> None:
    for value in (STAMPED, STAMPED + bytes(8) + b"v", STAMPED[:2], b""):
        storage.put_data("k", value)
        assert storage.peek_data("k") == value
        assert storage.pop_data("k") == value
        assert storage.put_if_empty("k", value)
        assert storage.peek_many(["k"]) == {"k": value}
        assert storage.delete_data("k")


def test_priorities_where_there_were_none(make: Make) -> None:
    """A worker that ended while it waited has left its mark in the record of the queue."""
    before = make(KtStorage, "changed")
    before._queue._call("queuePop", b"1", b"0", b"1", b"0")
    now = make(KtPriorityStorage, "changed")
    now.enqueue(b"task", 1)
    assert now.dequeue() == b"task"


def test_bad_places() -> None:
    for place in ("redis://localhost", 5):
        with pytest.raises(ArgumentError):
            KtStorage("app", place)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [KtHuey, KtPriorityHuey])
def test_consumer(server: Any, kind: Any) -> None:
    huey = kind("shop", place=server)
    huey.storage.flush_all()

    @huey.task()
    def add(one: int, two: int) -> int:
        return one + two

    @huey.task()
    def fail() -> None:
        raise ValueError("as it should")

    consumer = Consumer(huey, workers=2, periodic=False, initial_delay=0.01, max_delay=0.05)
    consumer.start()
    try:
        assert add(1, 2)(blocking=True, timeout=30) == 3
        later = add.schedule((3, 4), delay=0.1)
        chain = huey.enqueue(add.s(1, 1).then(add, 10))
        assert chain.get(blocking=True, timeout=30) == [2, 12]
        with pytest.raises(TaskException, match="as it should"):
            fail()(blocking=True, timeout=30)
        assert later(blocking=True, timeout=30) == 7
    finally:
        consumer.stop(graceful=True)
        huey.storage.flush_all()
        huey.storage.close()
