"""Slots move from master to master while clients read and write: nobody gets a wrong result."""

from __future__ import annotations

import asyncio

import pytest

import kt
from kt.client.tycoon.client_async import AsyncKyotoTycoon
from kt.cluster.cluster import Cluster
from kt.cluster.commands import Command
from kt.cluster.engine import carry_out
from kt.cluster.layout import SLOTS, Tree
from kt.cluster.settings import parse_valkey_url
from kt.errors import OutcomeUnknown

from .nodes import LocalCluster
from .writers import Writers

BUCKETS = 16
STABLE = {f"stable{number}": f"v{number}" for number in range(400)}
MOVED = 6
"""So many slots are moved one by one."""


def slots_with_keys(cluster: LocalCluster) -> list[int]:
    """Slots of the first master that have records."""
    first = cluster.nodes[0]
    end = SLOTS // cluster.masters
    return [slot for slot in range(end) if first.ask("CLUSTER", "COUNTKEYSINSLOT", slot)]


def move(cluster: LocalCluster, how: str) -> None:
    """From the first master to the second one, and back."""
    first, second = cluster.nodes[:2]
    if how == "whole":
        end = SLOTS // cluster.masters
        cluster.move_slots(0, end - 2, first, second)
        cluster.move_slots(0, end - 2, second, first)
        return
    slots = slots_with_keys(cluster)[:MOVED]
    for source, target in ((first, second), (second, first)):
        for slot in slots:
            cluster.move_slot(slot, source, target)


async def read(db: AsyncKyotoTycoon, stop: asyncio.Event) -> int:
    """Read what nobody changes, in every way; returns how often."""
    rounds = 0
    keys = list(STABLE)
    while not stop.is_set() or rounds == 0:
        assert await db.get_bulk(keys) == STABLE
        assert sorted(await db.match_prefix("stable")) == sorted(STABLE)
        assert await db.count() >= len(STABLE)
        for key in keys[rounds % 20 :: 20]:
            assert await db.get(key) == STABLE[key]
            assert await db.add(key, "other") is False
        rounds += 1
    return rounds


@pytest.mark.parametrize("how", ["key by key", "whole"])
async def test_nothing_is_lost_or_done_twice(
    lone_masters: LocalCluster, layout: str, how: str
) -> None:
    if how == "whole" and not lone_masters.numbered:
        pytest.skip("this engine moves keys only: Valkey moves slots as a whole, from 9 on")
    options = {"buckets": BUCKETS} if layout == "tree" else {}
    url = lone_masters.url(layout=layout, timeout=60, **options)
    async with kt.connect_async(url) as db:
        await db.set_bulk(STABLE)
        stop = asyncio.Event()
        reader = asyncio.ensure_future(read(db, stop))
        writers = Writers([db], OutcomeUnknown)
        await writers.written(100)
        await asyncio.to_thread(move, lone_masters, how)
        stop.set()
        assert await reader > 0
        await writers.written(100)
        await writers.check(db)
        assert not any(writers.unknown)


MANY = {f"many{number}": str(number) for number in range(9000)}
"""More than a page of each master's."""


@pytest.mark.parametrize("how", ["key by key", "whole"])
async def test_a_search_in_flat_sees_what_moves_past_it(
    lone_masters: LocalCluster, how: str
) -> None:
    """Records that the first master has not shown go to the second one, which is beyond them."""
    if how == "whole" and not lone_masters.numbered:
        pytest.skip("this engine moves keys only: Valkey moves slots as a whole, from 9 on")
    source, target = lone_masters.nodes[:2]
    last = SLOTS // lone_masters.masters - 1
    url = lone_masters.url(layout="flat", timeout=60)
    async with kt.connect_async(url) as db:
        await db.set_bulk(MANY)
    cluster = Cluster([parse_valkey_url(url)])
    await cluster.open()
    scans = 0

    async def run(commands: list[Command]) -> list[object]:
        nonlocal scans
        replies = await cluster.run(commands)
        if commands[-1].words[0] == b"SCAN":
            scans += 1
            if scans == 1:
                await asyncio.to_thread(move_last)
        return replies

    def move_last() -> None:
        if how == "whole":
            lone_masters.move_slots(last - 1000, last, source, target)
        else:
            for slot in slots_with_keys(lone_masters)[-60:]:
                lone_masters.move_slot(slot, source, target)

    found = await carry_out(cluster.databases[0].match_prefix(b"", -1), run)
    assert scans > 1
    assert sorted(found) == sorted(key.encode() for key in MANY)
    await cluster.close()


async def test_a_read_behind_a_write_that_has_to_wait(lone_masters: LocalCluster) -> None:
    """The index has moved, the record has not: the write waits, and so does what is behind it."""
    names, slot = Tree(b"k", BUCKETS).place(b"a")
    source = lone_masters.nodes[slot * lone_masters.masters // SLOTS]
    target = next(node for node in lone_masters.nodes if node is not source)
    async with kt.connect_async(lone_masters.url(layout="tree", buckets=BUCKETS, timeout=60)) as db:
        await db.set("a", "old")
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.name)
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.name)
        source.ask("MIGRATE", "127.0.0.1", target.port, names[1], 0, 30_000)
        pipe = db.pipeline()
        pipe.set("a", "new")
        pipe.get("a")
        executed = asyncio.ensure_future(pipe.execute())
        engine = db._pool._cluster.engines[0]
        while not engine.retries.get("TRYAGAIN"):
            await asyncio.sleep(0.01)
        await asyncio.to_thread(lone_masters.move_slot, slot, source, target)
        assert await executed == [1, "new"]
