"""kt's blocking client. Which codec it uses is `KT_IMPL`'s to say."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any

from records import COUNTERS, DEPTH, KEYS, SWAPPED, TICK, TOCK, VALUES

import kt


def connect(server: str, host: str, port: int) -> dict[str, Callable[[int], object]]:
    """Return the loads of this adapter (see README.md)."""
    client = (kt.KyotoTycoon if server == "tycoon" else kt.TokyoTyrant)(host, port)
    loads = Loads(client)
    names = ["get", "set", "exists", "incr", "set_bulk", "get_bulk", "match_prefix", "pipeline"]
    if server == "tycoon":
        names.append("cas")
        client.set(SWAPPED, TICK)
    return {name: getattr(loads, name) for name in names}


class Loads:
    """One method per load."""

    def __init__(self, db: Any) -> None:
        self.db = db
        self.records = dict(zip(KEYS, VALUES, strict=True))
        self.keys = cycle(KEYS)
        self.counters = cycle(COUNTERS)
        self.ticks = cycle(((TICK, TOCK), (TOCK, TICK)))

    def get(self, times: int) -> None:
        get, keys = self.db.get, self.keys
        for _ in range(times):
            get(next(keys))

    def set(self, times: int) -> None:
        set_, items = self.db.set, cycle(self.records.items())
        for _ in range(times):
            set_(*next(items))

    def exists(self, times: int) -> None:
        exists, keys = self.db.exists, self.keys
        for _ in range(times):
            exists(next(keys))

    def incr(self, times: int) -> None:
        incr, counters = self.db.incr, self.counters
        for _ in range(times):
            incr(next(counters))

    def cas(self, times: int) -> None:
        cas, ticks = self.db.cas, self.ticks
        for _ in range(times):
            assert cas(SWAPPED, *next(ticks))

    def set_bulk(self, times: int) -> None:
        for _ in range(times):
            self.db.set_bulk(self.records)

    def get_bulk(self, times: int) -> None:
        for _ in range(times):
            assert len(self.db.get_bulk(KEYS)) == len(KEYS)

    def match_prefix(self, times: int) -> None:
        for _ in range(times):
            assert len(self.db.match_prefix("key0", max_keys=len(KEYS))) == len(KEYS)

    def pipeline(self, times: int) -> None:
        for _ in range(times):
            with self.db.pipeline() as pipe:
                for key in KEYS[:DEPTH]:
                    pipe.get(key)
