"""What a client gets when nodes fail, forget scripts, or are not what they should be."""

from __future__ import annotations

import asyncio
import threading

import pytest

import kt
from kt.errors import (
    ImproperlyConfigured,
    KTError,
    OutcomeUnknown,
    ServerConnectionError,
    ServerTimeoutError,
)
from tests.ports import free_port

from .nodes import LocalCluster, wait_for
from .writers import Writers


def test_an_unreachable_cluster_is_named() -> None:
    port = free_port()
    with (
        kt.connect(f"valkey://127.0.0.1:{port}") as db,
        pytest.raises(ServerConnectionError, match=f"127.0.0.1:{port}"),
    ):
        db.get("a")


def test_another_layout_is_refused(cluster: LocalCluster) -> None:
    cluster.empty()
    with kt.connect(cluster.url(layout="tree", buckets=4)) as db:
        db.set("a", "1")
    for options in ({"buckets": 8}, {"buckets": 4, "prefix": "other", "layout": "flat"}):
        given = {"layout": "tree", **options}
        with (
            kt.connect(cluster.url(**given)) as db,
            pytest.raises(ImproperlyConfigured, match="tree buckets=4"),
        ):
            db.get("a")


def test_keys_of_others_are_not_put_at_risk(cluster: LocalCluster) -> None:
    cluster.empty()
    for node in cluster.nodes[: cluster.masters]:
        node.ask("SET", "foreign", "1")  # one of them has its slot
    with (
        kt.connect(cluster.url(layout="flat")) as db,
        pytest.raises(ImproperlyConfigured, match="not kt's"),
    ):
        db.clear()


def test_nodes_that_forget_the_script_are_told_again(cluster: LocalCluster) -> None:
    cluster.empty()
    with kt.connect(cluster.url(layout="tree", buckets=16)) as db:
        for number in range(30):
            for node in cluster.nodes[: cluster.masters]:
                node.ask("SCRIPT", "FLUSH")
            assert db.incr("n") == number + 1
            db.set(str(number), "v")
        assert len(db) == 31


async def lose(cluster: LocalCluster, *, pause: bool) -> None:
    """Have the first master replaced while many write, and look at what they have written."""
    db = kt.connect_async(cluster.url(layout="tree", buckets=16, timeout=60))
    writers = Writers([db], OutcomeUnknown)
    await writers.written(200)
    victim = cluster.nodes[0]
    await asyncio.to_thread(victim.pause if pause else victim.kill)
    await asyncio.to_thread(cluster.await_replacement)
    victim.resume()
    await writers.written(500)
    await writers.check(db)
    await db.close()


async def test_a_killed_master_loses_nothing_acknowledged(own_cluster: LocalCluster) -> None:
    await lose(own_cluster, pause=False)


def test_a_master_that_wakes_up_replaced_gets_no_more_writes(own_cluster: LocalCluster) -> None:
    asyncio.run(lose(own_cluster, pause=True))


def test_without_a_replica_others_go_on(lone_masters: LocalCluster) -> None:
    with kt.connect(lone_masters.url(layout="tree", buckets=16, timeout=1)) as db:
        keys = [str(number) for number in range(40)]
        db.set_bulk(dict.fromkeys(keys, "v"))
        lone_masters.nodes[0].kill()
        outcomes: list[object] = []
        for key in keys:
            try:
                outcomes.append(db.get(key))
            except ServerTimeoutError:
                outcomes.append("not served")
            if "not served" in outcomes and "v" in outcomes:
                break
        assert set(outcomes) == {"v", "not served"}
        with pytest.raises(KTError):
            db.count()
        with pytest.raises(OutcomeUnknown, match="others of its writes"):
            db.set_bulk(dict.fromkeys(keys, "w"))


def test_a_write_that_no_replica_confirms_is_not_acknowledged(lone_masters: LocalCluster) -> None:
    with kt.connect(lone_masters.url(layout="flat", ack=1, ack_timeout=0.1)) as db:
        with pytest.raises(OutcomeUnknown, match="0 of 1 replicas"):
            db.set("a", "v")
        assert db.get("a") == "v"


@pytest.mark.parametrize("late", [False, True])
def test_closing_answers_everybody_who_waits(lone_masters: LocalCluster, late: bool) -> None:
    """Those who wait for a node that says nothing, and those who come afterwards."""
    db = kt.connect(lone_masters.url(layout="tree", buckets=16))
    db.set("a", "v")
    for node in lone_masters.nodes:
        node.pause()
    errors: list[BaseException] = []

    def call() -> None:
        try:
            db.count()
        except KTError as error:
            errors.append(error)

    callers = [threading.Thread(target=call) for _ in range(8)]
    for caller in callers:
        caller.start()
    if late:  # after their commands have left
        wait_for(lambda: len(asyncio.all_tasks(db._pool._thread._loop)) >= len(callers))
    db.close()
    for node in lone_masters.nodes:
        node.resume()  # so that those who come afterwards, and connect anew, are served
    for caller in callers:
        caller.join(30)
        assert not caller.is_alive()
    db.close()
    assert {type(error) for error in errors} <= {ServerConnectionError}
    assert len(errors) == len(callers) or not late


def test_with_a_replica_writes_are_confirmed(cluster: LocalCluster) -> None:
    cluster.empty()
    with kt.connect(cluster.url(layout="flat", ack=1, ack_timeout=30)) as db:
        db.set("a", "v")
        assert db.seize("a") == "v"
        assert db.add("a", "w") is True
        assert db.add("a", "w") is False


async def test_what_comes_behind_a_script_waits_for_it(cluster: LocalCluster) -> None:
    """Also where the nodes have to be told of the script first."""
    cluster.empty()
    for _ in range(5):
        for node in cluster.nodes[: cluster.masters]:
            await asyncio.to_thread(node.ask, "SCRIPT", "FLUSH")
        async with kt.connect_async(cluster.url(layout="tree", buckets=16)) as db:
            pipe = db.pipeline()
            for number in range(20):
                pipe.set(f"k{number}", "v")
                pipe.get(f"k{number}")
                pipe.remove(f"k{number}")
            assert await pipe.execute() == [1, "v", 1] * 20
