"""The library on every type of database."""

from __future__ import annotations

from typing import Any

import pytest

from kt.errors import ServerError
from kt.lua import SCRIPTS, Hash, Lock, Queue
from tests.conftest import StartTycoon, StartTyrant


def use(db: Any) -> None:
    """Let containers come and go."""
    jobs: Queue[str] = Queue(db, "jobs")
    items = [str(number) for number in range(30)]
    jobs.push(*items)
    assert jobs.pop() == "0"
    assert jobs.slice(step=-3) == items[:0:-3]
    assert jobs.pop_many(40) == items[1:]
    hash_: Hash[str, str] = Hash(db, "hash")
    hash_.update({item: "\0" * 100 + item for item in items})
    assert hash_["7"] == "\0" * 100 + "7"
    with Lock(db, "lock"):
        assert db.count() == 2
    jobs.push("x", "y")
    jobs.clear()
    hash_.clear()
    assert db.count() == 0


@pytest.mark.parametrize("database", ["-", "+", ":", "*", "%", "a.kch", "a.kct", "a.kcd", "a.kcf"])
def test_tycoon(start_tycoon: StartTycoon, database: str) -> None:
    use(start_tycoon(database, args=["-scr", SCRIPTS]).client)


@pytest.mark.parametrize("database", ["*", "+", "a.tch", "a.tcb"])
def test_tyrant(start_tyrant: StartTyrant, database: str) -> None:
    use(start_tyrant(database, args=["-ext", SCRIPTS]).client)


def test_keys_must_be_free(start_tyrant: StartTyrant) -> None:
    """Fixed-length databases have numbers for keys."""
    client = start_tyrant("a.tcf", args=["-ext", SCRIPTS]).client
    with pytest.raises(ServerError):
        Queue(client, "jobs").push("x")
