"""Many that share a container: items that come once, locks with one holder, consumers that wait."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from time import monotonic
from typing import Any

import pytest

from kt.errors import KTError
from kt.lua import (
    AsyncLock,
    AsyncQueue,
    AsyncSchedule,
    Counter,
    Hash,
    List,
    Lock,
    Queue,
    RateLimiter,
    Schedule,
    SortedSet,
    move,
)
from kt.lua.calls import HEARTBEAT, calls_of
from tests.lua.servers import TYCOONS

THREADS = 16
END = "end"


def together(work: Callable[[int], Any]) -> list[Any]:
    """Run `work` in `THREADS` threads at once."""
    with ThreadPoolExecutor(THREADS) as executor:
        return list(executor.map(work, range(THREADS)))


def waits(db: Any, key: str) -> None:
    """Return when somebody has said that he waits."""
    deadline = monotonic() + 30
    while not db.exists(key):
        assert monotonic() < deadline


def test_every_item_comes_once(db: Any) -> None:
    items = [str(number) for number in range(1_000)]
    jobs: Queue[str] = Queue(db, "jobs")

    def consume(_: int) -> list[str]:
        taken = []
        while (item := jobs.pop(timeout=None)) != END:
            assert item is not None
            taken.append(item)
        return taken

    def produce() -> None:
        for item in items:
            jobs.push(item)
        jobs.push(*[END] * THREADS)

    producer = Thread(target=produce)
    producer.start()
    taken = together(consume)
    producer.join()
    assert sorted(item for part in taken for item in part) == sorted(items)
    assert all(part == sorted(part, key=int) for part in taken), "in order for each consumer"
    assert db.count() == 0


def test_many_producers_and_consumers(db: Any) -> None:
    jobs: Queue[str] = Queue(db, "jobs")

    def work(number: int) -> list[str]:
        if number % 2:
            return [item for _ in range(50) if (item := jobs.pop(timeout=None)) is not None]
        for step in range(25):
            jobs.push(f"{number}-{step}-a", f"{number}-{step}-b")
        return []

    taken = [item for part in together(work) for item in part]
    wanted = {f"{n}-{s}-{x}" for n in range(0, THREADS, 2) for s in range(25) for x in "ab"}
    assert len(taken) == len(wanted)
    assert set(taken) == wanted
    assert jobs.length() == 0


def test_a_waiting_consumer_is_woken(db: Any) -> None:
    jobs: Queue[str] = Queue(db, "jobs")
    for _ in range(20):
        with ThreadPoolExecutor(1) as executor:
            item = executor.submit(jobs.pop, None)
            waits(db, "jobs")
            pushed = monotonic()
            jobs.push("x")
            assert item.result() == "x"
            assert monotonic() - pushed < HEARTBEAT / 2


@pytest.mark.parametrize("lua_server", TYCOONS, indirect=True)
def test_a_signal_ends_the_wait(db: Any) -> None:
    calls = calls_of(db, None)
    assert calls.signal(b"jobs", broadcast=False) == 0
    with ThreadPoolExecutor(2) as executor:
        waits = [executor.submit(calls.wait, b"jobs", 60) for _ in range(2)]
        heard = 0
        while heard < 2:
            heard += calls.signal(b"jobs", broadcast=True)
        assert [wait.result() for wait in waits] == [True, True]


def test_several_items_wake_several_consumers(db: Any) -> None:
    jobs: Queue[str] = Queue(db, "jobs")
    with ThreadPoolExecutor(4) as executor:
        items = [executor.submit(jobs.pop, None) for _ in range(4)]
        waits(db, "jobs")
        pushed = monotonic()
        jobs.push(*"abcd")
        assert sorted(item.result() or "" for item in items) == list("abcd")
        assert monotonic() - pushed < HEARTBEAT / 2


GREENLETS = """if True:
    from gevent import monkey
    monkey.patch_all()
    import gevent, sys, kt
    from kt.lua import Queue

    with getattr(kt, sys.argv[1])(port=int(sys.argv[2]), timeout=30) as db:
        jobs = Queue(db, "jobs")
        consumers = [gevent.spawn(jobs.pop, timeout=None) for _ in range(8)]
        while not db.exists("jobs"):
            gevent.sleep(0)
        for item in "abcdefgh":
            jobs.push(item)
        gevent.joinall(consumers, raise_error=True)
        print(*sorted(consumer.value for consumer in consumers))
"""


def test_greenlets_share_a_queue(db: Any) -> None:
    if not db.port:
        pytest.skip("it needs a network")
    printed = subprocess.run(
        [sys.executable, "-c", GREENLETS, type(db).__name__, str(db.port)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    assert printed == "a b c d e f g h\n"


def test_consumers_of_a_server_that_stops(lua_server: Any, db: Any, async_db: Any) -> None:
    if not db.port:
        pytest.skip("it needs a server")

    async def consume() -> None:
        async with async_db:
            await AsyncQueue(async_db, "async jobs").pop(timeout=None)

    with ThreadPoolExecutor(2) as executor:
        consumers = [
            executor.submit(Queue(db, "jobs").pop, None),
            executor.submit(asyncio.run, consume()),
        ]
        waits(db, "jobs")
        waits(db, "async jobs")
        lua_server.stop()
        try:
            for consumer in consumers:
                with pytest.raises(KTError):
                    consumer.result(30)
        finally:
            lua_server.run()


def test_a_consumer_of_a_schedule_is_woken(db: Any) -> None:
    plan: Schedule[str] = Schedule(db, "plan")
    with ThreadPoolExecutor(1) as executor:
        item = executor.submit(plan.pop, None)
        waits(db, "plan")
        added = monotonic()
        plan.update([("later", 1000), ("soon", 0.1)])
        assert item.result() == "soon"
        assert 0.09 < monotonic() - added < HEARTBEAT / 2


def leave_marks(db: Any, key: str) -> None:
    """What a consumer of a queue, of a schedule or of a lock leaves that dies while it waits."""
    calls = calls_of(db, None)
    if key == "queue":
        calls.call("queuePop", key.encode(), [b"1", b"0", b"1", b"0"])
    elif key == "schedule":
        calls.call("schedulePop", key.encode(), [b"1", b"0", b"1"])
    else:
        for owner in (b"a", b"b", b"c"):
            calls.call("lockAcquire", key.encode(), [owner, b"1000", b"0", b"1"])
        calls.call("lockRelease", key.encode(), [b"a"])


@pytest.mark.parametrize("key", ["queue", "schedule", "lock"])
def test_what_is_empty_may_become_another_kind(db: Any, key: str) -> None:
    """Also where a consumer has died while it waited, whose mark stays."""
    for kind in (Hash, List, SortedSet):
        leave_marks(db, key)
        assert db.exists(key)
        kind(db, key).clear()
        assert not db.exists(key)
    leave_marks(db, key)
    Hash(db, key)["a"] = "1"
    assert Hash(db, key).copy() == {"a": "1"}
    db.remove(key)


@pytest.mark.parametrize("value", [b"Q", b"Q\x010\x010", b"D12", b"D\x05123", b"K\x01a\x010\x01x"])
def test_what_only_looks_like_a_container_stays(db: Any, value: bytes) -> None:
    db.set_bytes("k", value)
    with pytest.raises(KTError):
        Hash(db, "k").clear()
    assert db.get_bytes("k") == value


@pytest.mark.parametrize("lua_server", TYCOONS, indirect=True)
def test_a_consumer_that_is_gone_takes_nothing(db: Any, async_db: Any) -> None:
    """A cancelled consumer may still be waiting for the signal, on the server's side."""

    async def give_up() -> None:
        task = asyncio.create_task(AsyncQueue(async_db, "jobs").pop(timeout=None))
        await asyncio.to_thread(waits, db, "jobs")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await async_db.close()

    asyncio.run(give_up())
    jobs: Queue[str] = Queue(db, "jobs")
    jobs.push("x")
    assert jobs.pop(timeout=None) == "x"


async def test_tasks_share_a_queue(async_db: Any) -> None:
    jobs: AsyncQueue[str] = AsyncQueue(async_db, "jobs")
    tasks = [asyncio.create_task(jobs.pop(timeout=None)) for _ in range(8)]
    for item in "abcdefgh":
        await jobs.push(item)
    assert sorted(filter(None, await asyncio.gather(*tasks))) == list("abcdefgh")


async def test_tasks_share_a_schedule_and_a_lock(async_db: Any) -> None:
    plan: AsyncSchedule[str] = AsyncSchedule(async_db, "plan")
    holders = 0

    async def work() -> str | None:
        nonlocal holders
        async with AsyncLock(async_db, "lock"):
            holders += 1
            assert holders == 1
            item = await plan.pop(timeout=None)
            holders -= 1
        return item

    tasks = [asyncio.create_task(work()) for _ in range(6)]
    await plan.update((item, 0.01) for item in "abcdef")
    assert sorted(filter(None, await asyncio.gather(*tasks))) == list("abcdef")


def test_a_lock_never_has_two_holders(db: Any) -> None:
    holders: list[int] = []
    most = 0

    def work(number: int) -> None:
        nonlocal most
        lock = Lock(db, "lock", seconds=60)
        for _ in range(15):
            with lock:
                holders.append(number)
                most = max(most, len(holders))
                assert lock.owned()
                holders.remove(number)

    together(work)
    assert most == 1
    assert db.count() == 0


def test_a_waiting_client_gets_the_lock(db: Any) -> None:
    lock = Lock(db, "lock", seconds=60)
    with ThreadPoolExecutor(1) as executor, lock:
        other = Lock(db, "lock", seconds=60)
        assert not other.acquire(timeout=0)
        acquired = executor.submit(other.acquire)
        while not acquired.running():
            pass
        released = monotonic()
        lock.release()
        assert acquired.result()
        assert monotonic() - released < HEARTBEAT / 2
        other.release()
        lock.acquire()


@pytest.mark.parametrize("lua_server", TYCOONS, indirect=True)
def test_a_moving_record_is_in_one_place(db: Any) -> None:
    db.set_bulk({str(number): "v" for number in range(4)})

    def work(number: int) -> int:
        here = number % 2
        return sum(move(db, str(step % 4), 1 - here, here) for step in range(50))

    moved = together(work)
    assert sum(moved) >= 4
    for key in map(str, range(4)):
        assert [db.get(key, db=0), db.get(key, db=1)].count("v") == 1


def test_operations_are_atomic(db: Any) -> None:
    def work(number: int) -> int:
        items: List[str] = List(db, "list")
        ranking: SortedSet[str] = SortedSet(db, "ranking")
        visits = Counter(db, "visits", seconds=1000)
        limiter = RateLimiter(db, "limit", limit=100, seconds=10**6)
        allowed = 0
        for step in range(20):
            items.append(f"{number}-{step}")
            ranking.increment("all")
            visits.add()
            allowed += limiter.take().allowed
        return allowed

    assert sum(together(work)) == 100
    total = THREADS * 20
    assert List(db, "list").length() == len(set(List(db, "list"))) == total
    assert SortedSet(db, "ranking")["all"] == total
    assert Counter(db, "visits", seconds=1000).total() == total
