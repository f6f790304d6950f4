"""Mixed operations on one client by many threads or greenlets, each of which checks its own.

Run as a program, it does so with gevent: ``python -m tests.client.workload PORT WORKERS ROUNDS``.
"""

from __future__ import annotations

import sys
from typing import Any

OPERATIONS = 10
"""Operations that each round consists of."""


def work(db: Any, name: str, rounds: int) -> None:
    """Do `rounds` times all kinds of calls with keys of our own, and count on a shared key."""
    for number in range(rounds):
        key, value = f"{name}/{number}", f"{name} says {number}"
        assert db.set(key, value) == 1
        assert db.get(key) == value
        assert db.append(key, "!") is True
        assert db.seize(key) == value + "!"
        assert db.exists(key) is False
        assert db.incr(name) == number + 1
        assert db.incr("shared") > number
        many = {f"{name}/{i}": value for i in range(5)}
        assert db.set_bulk(many, no_reply=True) == 0
        assert db.get_bulk(many) == many
        assert db.remove_bulk(many) == len(many)


def main(port: int, workers: int, rounds: int) -> None:
    """Work with greenlets: gevent must patch the standard library before it is used."""
    from gevent import monkey

    monkey.patch_all()
    import gevent

    from kt import KyotoTycoon

    with KyotoTycoon(port=port, timeout=60) as db:
        greenlets = [gevent.spawn(work, db, f"worker {i}", rounds) for i in range(workers)]
        gevent.joinall(greenlets, raise_error=True)
        print(db.get_int("shared"))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
