"""kt's asyncio client on uvloop: one task at a time, and 100 tasks on one connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from itertools import cycle
from typing import Any

import uvloop
from records import COUNTERS, DEPTH, KEYS, VALUES

import kt


def connect(server: str, host: str, port: int) -> dict[str, Callable[[int], object]]:
    """Return the loads of this adapter (see README.md)."""
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    loads = Loads((kt.AsyncKyotoTycoon if server == "tycoon" else kt.AsyncTokyoTyrant)(host, port))

    def blocking(
        load: Callable[[int], Coroutine[object, object, None]],
    ) -> Callable[[int], object]:
        return lambda times: loop.run_until_complete(load(times))

    names = ["get", "set", "exists", "incr", "set_bulk", "get_bulk", "match_prefix"]
    return {name: blocking(getattr(loads, name)) for name in [*names, "pipeline", "tasks"]}


class Loads:
    """One method per load."""

    def __init__(self, db: Any) -> None:
        self.db = db
        self.records = dict(zip(KEYS, VALUES, strict=True))
        self.keys = cycle(KEYS)
        self.counters = cycle(COUNTERS)

    async def get(self, times: int) -> None:
        for _ in range(times):
            await self.db.get(next(self.keys))

    async def set(self, times: int) -> None:
        items = cycle(self.records.items())
        for _ in range(times):
            await self.db.set(*next(items))

    async def exists(self, times: int) -> None:
        for _ in range(times):
            await self.db.exists(next(self.keys))

    async def incr(self, times: int) -> None:
        for _ in range(times):
            await self.db.incr(next(self.counters))

    async def set_bulk(self, times: int) -> None:
        for _ in range(times):
            await self.db.set_bulk(self.records)

    async def get_bulk(self, times: int) -> None:
        for _ in range(times):
            assert len(await self.db.get_bulk(KEYS)) == len(KEYS)

    async def match_prefix(self, times: int) -> None:
        for _ in range(times):
            assert len(await self.db.match_prefix("key0", max_keys=len(KEYS))) == len(KEYS)

    async def pipeline(self, times: int) -> None:
        for _ in range(times):
            async with self.db.pipeline() as pipe:
                for key in KEYS[:DEPTH]:
                    pipe.get(key)

    async def tasks(self, times: int) -> None:
        async def task(key: str) -> None:
            for _ in range(times):
                await self.db.get(key)

        await asyncio.gather(*(task(key) for key in KEYS[:DEPTH]))
