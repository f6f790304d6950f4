"""Tasks that write while nodes are lost, and know what must be there afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from kt.client.tycoon.client_async import AsyncKyotoTycoon
from kt.errors import KTError

WRITERS = 8


class Writers:
    """Tasks that write through clients in turn.

    Args:
        clients: of one database.
        unknown: what a call may raise whose outcome is not known; nothing else may be raised.

    Attributes:
        stored: what `set` has returned for.
        counted: by the writer, how many calls of `incr` have returned.
        unknown: by the writer, how many have not.
    """

    def __init__(self, clients: Sequence[AsyncKyotoTycoon], unknown: type[KTError]) -> None:
        self.stored: dict[str, str] = {}
        self.counted = [0] * WRITERS
        self.unknown = [0] * WRITERS
        self._clients = clients
        self._error = unknown
        self._stop = asyncio.Event()
        self._tasks = [asyncio.ensure_future(self._write(writer)) for writer in range(WRITERS)]

    async def _write(self, writer: int) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            client = self._clients[number % len(self._clients)]
            try:
                await client.set(f"{writer}/{number}", str(number))
                self.stored[f"{writer}/{number}"] = str(number)
            except self._error:
                await asyncio.sleep(0.01)
            try:
                await client.incr(f"n{writer}")
                self.counted[writer] += 1
            except self._error:
                self.unknown[writer] += 1

    async def written(self, more: int) -> None:
        """Wait until so many more sets have been acknowledged."""
        target = len(self.stored) + more
        while len(self.stored) < target:
            await asyncio.sleep(0.01)

    async def check(self, client: AsyncKyotoTycoon) -> None:
        """Stop; nothing acknowledged is lost, and nothing was done twice."""
        self._stop.set()
        await asyncio.gather(*self._tasks)
        assert await client.get_bulk(list(self.stored)) == self.stored
        for writer, (counted, unknown) in enumerate(zip(self.counted, self.unknown, strict=True)):
            assert counted <= await client.get_int(f"n{writer}") <= counted + unknown
