"""What the clients of gateways get when nodes or gateways are lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from kt.errors import KTError, OutcomeUnknown, ServerError
from tests.cluster.conftest import lone_masters, own_cluster, turn
from tests.cluster.nodes import LocalCluster, wait_for
from tests.cluster.writers import Writers

from .conftest import Gateway
from .test_serving import received

__all__ = ["lone_masters", "own_cluster", "turn"]


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
    await asyncio.to_thread(own_cluster.nodes[0].kill)
    await asyncio.to_thread(own_cluster.await_replacement)
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


@pytest.mark.parametrize("layout", ["flat", "tree"])
def test_nodes_that_stand_still(layout: str, lone_masters: LocalCluster) -> None:
    """Of a write that was sent nobody knows, by each protocol; later all is as before."""
    url = lone_masters.url(layout=layout, buckets=16, timeout=1, ack_timeout=0.1)
    with Gateway([url]) as gateway, gateway.connect(timeout=60) as db:
        db.set("k", "v")
        for node in lone_masters.nodes:
            node.pause()
        try:
            with pytest.raises(OutcomeUnknown, match="outcome unknown"):
                db.append("k", "w")
            with pytest.raises(OutcomeUnknown):
                db.set("k", "x")
            with pytest.raises(OutcomeUnknown):
                db.remove_bulk(["k"])
            reply = received(b"PUT /k HTTP/1.1\r\nContent-Length: 1\r\n\r\ny", gateway)
            assert reply.startswith(b"HTTP/1.1 503 ")
            assert b"X-Kt-Error: outcome unknown" in reply
            with pytest.raises(ServerError, match="not served"):
                db.check("k")
        finally:
            for node in lone_masters.nodes:
                node.resume()
        wait_for(lambda: serves(gateway))
        assert db.set("k", "v")
        assert db.get("k") == "v"


def serves(gateway: Gateway) -> bool:
    """Whether all nodes answer it again."""
    with gateway.connect(timeout=60) as db:
        try:
            db.set_bulk({str(number): "v" for number in range(50)})
        except KTError:
            return False
    return True
