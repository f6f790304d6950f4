"""As `workload`, with Tokyo Tyrant: ``python -m tests.client.tyrant.workload PORT WORKERS N``."""

from __future__ import annotations

import sys
from typing import Any


def work(db: Any, name: str, rounds: int) -> None:
    """Do `rounds` times all kinds of calls with keys of our own, and count on a shared key."""
    for number in range(rounds):
        key, value = f"{name}/{number}", f"{name} says {number}"
        assert db.set(key, value, no_reply=number % 2 == 1) is True
        assert db.get(key) == value
        assert db.append(key, "!") is True
        assert db.get_part(key, len(value)) == "!"
        assert db.remove(key) == 1
        assert db.exists(key) is False
        assert db.incr(name) == number + 1
        assert db.incr("shared") > number
        many = {f"{name}/{i}": value for i in range(5)}
        assert db.set_bulk(many) is True
        assert db.get_bulk(many) == many
        assert sorted(db.match_prefix(f"{name}/")) == sorted(many)
        assert db.remove_bulk(many) is True


def main(port: int, workers: int, rounds: int) -> None:
    """Work with greenlets: gevent must patch the standard library before it is used."""
    from gevent import monkey

    monkey.patch_all()
    import gevent

    from kt import TokyoTyrant

    with TokyoTyrant(port=port, timeout=60) as db:
        greenlets = [gevent.spawn(work, db, f"worker {i}", rounds) for i in range(workers)]
        gevent.joinall(greenlets, raise_error=True)
        print(db.get_int("shared"))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
