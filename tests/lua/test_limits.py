# Generated from test_limits_async.py by tools/async_to_sync.py: edit that one.
"""Lock, RateLimiter and Counter, by one client."""

from __future__ import annotations

from typing import Any

import pytest

from kt.errors import ArgumentError
from kt.lua.limits import Counter, Lock, RateLimiter
from kt.lua.results import LockLost, Permit


def test_a_lock_has_one_holder(db: Any) -> None:
    ours, theirs = Lock(db, "lock"), Lock(db, "lock")
    assert (ours.locked(), ours.remaining()) == (False, 0)
    assert ours.acquire() is True
    assert (ours.owned(), theirs.owned(), theirs.locked()) == (True, False, True)
    assert 0 < theirs.remaining() <= 30
    assert theirs.acquire(timeout=0) is False
    assert theirs.acquire(timeout=0.05) is False
    with pytest.raises(LockLost):
        theirs.release()
    ours.release()
    assert db.count() == 0
    with pytest.raises(LockLost):
        ours.release()
    with theirs:
        assert ours.acquire(timeout=0) is False
    assert ours.locked() is False


def test_a_lock_that_was_held_too_long(db: Any) -> None:
    ours, theirs = Lock(db, "lock", 0.05), Lock(db, "lock")
    ours.acquire()
    assert theirs.acquire() is True, "waits until it is free"
    with pytest.raises(LockLost):
        ours.extend()
    with pytest.raises(LockLost):
        ours.release()
    assert theirs.owned() is True


def test_extending_a_lock(db: Any) -> None:
    lock = Lock(db, "lock", 5)
    with pytest.raises(LockLost):
        lock.extend()
    lock.acquire()
    lock.extend(1000)
    assert lock.remaining() > 900
    lock.extend()
    assert lock.remaining() <= 5


def use(lock: Lock, db: Any, error: Exception | None = None) -> None:
    """Lose a lock while it is held, and then fail."""
    with lock:
        db.remove(lock.key)
        if error is not None:
            raise error


def test_losing_a_lock_inside(db: Any) -> None:
    lock = Lock(db, "lock")
    with pytest.raises(LockLost):
        use(lock, db)
    with pytest.raises(RuntimeError, match="the first"):
        use(lock, db, RuntimeError("the first"))


def test_a_rate_limiter(db: Any) -> None:
    limiter = RateLimiter(db, "login", limit=3, seconds=1000)
    assert limiter.check(3) == Permit(True, 3, 0)
    assert limiter.take() == Permit(True, 2, 0)
    assert limiter.take(2)
    refused = limiter.take()
    assert not refused
    assert 0 <= refused.remaining < 1
    assert 300 < refused.retry_after <= 1000 / 3
    assert not limiter.check()
    assert limiter.take(4).retry_after == float("inf")
    limiter.clear()
    assert limiter.take(3)


def test_a_rate_limiter_fills_again(db: Any) -> None:
    limiter = RateLimiter(db, "fast", limit=1, seconds=0.02)
    assert limiter.take()
    while not limiter.take():
        pass
    permit = limiter.check()
    assert permit.remaining <= 1


def test_a_counter(db: Any) -> None:
    visits = Counter(db, "visits", seconds=1000)
    assert visits.total() == 0
    assert (visits.add(), visits.add(2), visits.add(0.5)) == (1, 3, 3.5)
    assert visits.total() == 3.5
    visits.clear()
    assert visits.total() == 0


def test_a_counter_forgets(db: Any) -> None:
    visits = Counter(db, "visits", seconds=0.05, intervals=5)
    visits.add(7)
    while visits.total():
        pass
    assert visits.add(1) == 1


def test_what_must_be_positive(db: Any) -> None:
    with pytest.raises(ArgumentError):
        Lock(db, "k", 0)
    with pytest.raises(ArgumentError):
        RateLimiter(db, "k", limit=0, seconds=1)
    with pytest.raises(ArgumentError):
        Counter(db, "k", -1)
    with pytest.raises(ArgumentError):
        RateLimiter(db, "k", 1, 1).take(0)
