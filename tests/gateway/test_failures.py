"""What the clients of gateways get when nodes or gateways are lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from kt.errors import KTError
from tests.cluster.nodes import LocalCluster
from tests.cluster.test_failures import lone_masters, own_cluster
from tests.cluster.writers import Writers

from .conftest import Gateway

__all__ = ["lone_masters", "own_cluster"]


@pytest.fixture
def pair(own_cluster: LocalCluster) -> Iterator[list[Gateway]]:
    """Two gateways to one database."""
    url = own_cluster.url(layout="tree", buckets=16, timeout=60)
    with Gateway([url]) as one, Gateway([url]) as other:
        yield [one, other]


async def test_a_killed_master_loses_nothing_acknowledged(
    own_cluster: LocalCluster, pair: list[Gateway]
) -> None:
    clients = [gateway.connect_async(timeout=60) for gateway in pair]
    writers = Writers(clients, KTError)
    await writers.written(200)
    replica = own_cluster.nodes[own_cluster.masters]
    await asyncio.to_thread(own_cluster.nodes[0].kill)
    while b"master" not in (await asyncio.to_thread(replica.ask, "ROLE"))[0]:
        await asyncio.sleep(0.05)
    await writers.written(300)
    await writers.check(clients[0])
    report = await clients[0].report()
    assert int(report["cluster_0"].partition("retries=")[2].split()[0]) > 0
    for client in clients:
        await client.close()


async def test_a_killed_gateway_loses_nothing_acknowledged(pair: list[Gateway]) -> None:
    clients = [gateway.connect_async(timeout=60) for gateway in pair]
    writers = Writers(clients, KTError)
    await writers.written(200)
    await asyncio.to_thread(pair[0].kill)
    await writers.written(200)
    await writers.check(clients[1])
    for client in clients:
        await client.close()


async def test_a_part_without_a_master_is_said_to_be_one(lone_masters: LocalCluster) -> None:
    keys = [str(number) for number in range(40)]
    with Gateway([lone_masters.url(layout="flat", timeout=1)]) as gateway:
        client = gateway.connect_async(timeout=60)
        await client.set_bulk(dict.fromkeys(keys, "v"))
        await asyncio.to_thread(lone_masters.nodes[0].kill)
        errors = []
        for key in keys:
            try:
                assert (await client.check(key)).size == 1
            except KTError as error:
                errors.append(str(error))
            if len(errors) == 2:
                break
        assert all("was not served within 1 s" in error for error in errors)
        assert len(errors) == 2
        report = await client.report()
        assert report["cnt_failed"] >= 2
        assert " error=" in report["db_0"]
        await client.close()
