"""Several clients of a Tokyo Tyrant server that iterate at once."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from kt.client.tyrant.client import TokyoTyrant
from kt.client.tyrant.client_async import AsyncTokyoTyrant
from kt.embedded import EmbeddedTokyoTyrantServer

TYPES = ["*", "+", "casket.tch", "casket.tcb", "casket.tcf"]
COUNT = 100_000
KEYS = {str(number) for number in range(1, COUNT + 1)}


@pytest.fixture
def filled(tyrant: TokyoTyrant[str, str]) -> TokyoTyrant[str, str]:
    tyrant.set_bulk(dict.fromkeys(KEYS, "v"))
    return tyrant


@pytest.mark.parametrize("tyrant_database", TYPES, indirect=True)
def test_two_clients_iterate_at_once(
    filled: TokyoTyrant[str, str], tyrant_server: EmbeddedTokyoTyrantServer
) -> None:
    def keys() -> list[str]:
        with tyrant_server.connect() as client:
            return list(client)

    def items() -> list[str]:
        with tyrant_server.connect() as client:
            return [key for key, _ in client.items()]

    with ThreadPoolExecutor(2) as threads:
        for walk in (keys, items):
            one, other = threads.submit(walk), threads.submit(walk)
            for met in (one.result(), other.result()):
                assert len(met) == COUNT
                assert set(met) == KEYS


@pytest.mark.parametrize("tyrant_database", ["*", "casket.tcb"], indirect=True)
async def test_two_tasks_iterate_at_once(
    filled: TokyoTyrant[str, str], async_tyrant: AsyncTokyoTyrant[str, str]
) -> None:
    assert filled.count() == COUNT

    async def walk() -> list[str]:
        return [key async for key in async_tyrant]

    for met in await asyncio.gather(walk(), walk()):
        assert len(met) == COUNT
        assert set(met) == KEYS
