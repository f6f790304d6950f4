"""What clients that native threads serve get when nodes are lost, replaced, or refuse."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import pytest

from kt.cluster.layout import Flat
from kt.gateway.relaying import SUPPORTED
from kt.wire.http import read_http_reply
from kt.wire.magic import NEVER
from kt.wire.reading import Incomplete
from kt.wire.tycoon import pack_get_bulk, pack_set_bulk_details, read_get_bulk_reply
from kt.wire.tycoon_rpc import pack_rpc
from tests.cluster.conftest import lone_masters, own_cluster, turn
from tests.cluster.nodes import LocalCluster, Node, wait_for
from tests.cluster.test_login import login, with_login

from .conftest import Gateway
from .relayed import Relayed, relayed_requests

__all__ = ["login", "lone_masters", "own_cluster", "turn"]

pytestmark = pytest.mark.skipif(not SUPPORTED, reason="there are no native threads on this system")

STORED = b"\xb8\0\0\0\1"
UNKNOWN = STORED[:1]
"""So much of the reply has come when the connection ends, if the outcome is not known."""
REFUSED = b"\xbf"


def setting(key: bytes, value: bytes) -> bytes:
    return pack_set_bulk_details([(0, key, value, NEVER)], bytes)


def read_stored(data: bytes, pos: int) -> tuple[bytes, int] | Incomplete[bytes]:
    """The reply to it, or an error."""
    size = 1 if data[pos : pos + 1] == REFUSED else len(STORED)
    if len(data) < pos + size:
        return Incomplete(size, read_stored)
    return data[pos : pos + size], pos + size


class Writers:
    """Threads that store records through a gateway, each by its own connection."""

    def __init__(self, gateway: Gateway, number: int = 6) -> None:
        self.stored: dict[str, str] = {}
        self.unknown = 0
        self.refused = 0
        self._gateway = gateway
        self._stop = threading.Event()
        self._errors: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run, args=[at]) for at in range(number)]

    def _run(self, number: int) -> None:
        try:
            self._write(number)
        except BaseException as error:
            self._errors.append(error)

    def _write(self, number: int) -> None:
        client = Relayed(self._gateway)
        at = 0
        while not self._stop.is_set():
            at += 1
            key, value = f"{number}/{at % 500}", str(at)
            client.send(setting(key.encode(), value.encode()))
            self.stored.pop(key, None)
            try:
                reply = client.read(read_stored)
            except EOFError as error:
                reply = error.args[0]
            if reply == STORED:
                self.stored[key] = value
            elif reply == UNKNOWN:
                self.unknown += 1
                client.close()
                client = Relayed(self._gateway)
            else:
                self.refused += 1
        client.close()

    def written(self, more: int) -> None:
        """Wait until threads have answered so many requests more."""
        target = relayed_requests(self._gateway) + more
        wait_for(lambda: self._errors or relayed_requests(self._gateway) >= target)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
        assert not self._errors, self._errors

    def check(self) -> None:
        """Nothing acknowledged is lost."""
        assert self.stored
        with self._gateway.connect(timeout=60) as db:
            assert db.get_bulk(list(self.stored)) == self.stored


@pytest.mark.parametrize("pause", [False, True], ids=["killed", "paused"])
def test_a_master_is_replaced(own_cluster: LocalCluster, pause: bool) -> None:
    """Nothing that was acknowledged is lost, and threads go on with the new one."""
    victim = own_cluster.nodes[0]
    with Gateway([own_cluster.url(layout="flat", timeout=60)]) as gateway:
        with Writers(gateway) as writers:
            writers.written(500)
            victim.pause() if pause else victim.kill()
            own_cluster.await_replacement()
            victim.resume()
            writers.written(1000)
        writers.check()
        assert writers.refused == 0


def test_nodes_that_stand_still(lone_masters: LocalCluster) -> None:
    """Of a write that was sent nobody knows, by each protocol; later all is as before."""
    url = lone_masters.url(layout="flat", timeout=1, ack_timeout=0.1)
    call = pack_rpc("set", [("key", b"k"), ("value", b"w")])
    with Gateway([url]) as gateway, Relayed(gateway) as one, Relayed(gateway) as other:
        reader = Relayed(gateway)
        one.send(setting(b"k", b"v"))
        assert one.read(read_stored) == STORED
        with paused(lone_masters.nodes):
            one.send(setting(b"k", b"x") + setting(b"k", b"y"))
            other.send(call)
            reader.send(pack_get_bulk([b"k"], 0))
            assert one.rest() == UNKNOWN
            reply = other.read(read_http_reply)
            assert reply.status == 503
            assert b"outcome unknown: 127.0.0.1:" in reply.body.replace(b"%20", b" ")
            assert reader.read(read_stored) == REFUSED
        wait_for(lambda: is_served(other))
        other.warm_up()
        other.send(call + setting(b"k", b"z"))
        assert other.read(read_http_reply).status == 200
        assert other.read(read_stored) == STORED
        reader.send(pack_get_bulk([b"k"], 0))
        assert reader.read(read_get_bulk_reply) is not None
        reader.close()


def test_writes_wait_for_replicas(own_cluster: LocalCluster) -> None:
    """Threads answer them when a replica has them; where none has, nobody knows."""
    url = own_cluster.url(layout="flat", ack=1, ack_timeout=30)
    with Gateway([url]) as gateway, Relayed(gateway) as client:
        before = relayed_requests(gateway)
        for number in range(50):
            client.send(setting(b"%d" % number, b"v") + pack_get_bulk([b"%d" % number], 0))
            assert client.read(read_stored) == STORED
            assert client.read(read_get_bulk_reply) is not None
        wait_for(lambda: relayed_requests(gateway) == before + 100)
        replicas = own_cluster.nodes[own_cluster.masters :]
        held = sum(node.ask("DBSIZE") for node in replicas)
        assert held >= 50


@pytest.mark.parametrize("passed_on", [True, False], ids=["thread", "loop"])
def test_writes_that_no_replica_confirms(lone_masters: LocalCluster, passed_on: bool) -> None:
    url = lone_masters.url(layout="flat", ack=1, ack_timeout=0.1)
    call = pack_rpc("set", [("key", b"k"), ("value", b"w")])
    with Gateway([url]) as gateway, Relayed(gateway, passed_on=passed_on) as client:
        client.send(pack_get_bulk([b"k"], 0) + call + pack_rpc("get", [("key", b"k")]))
        assert client.read(read_get_bulk_reply) is not None
        reply = client.read(read_http_reply)
        assert reply.status == 503
        text = b"outcome unknown: confirmed by 0 of 1 replicas"
        assert text in reply.body.replace(b"%20", b" ")
        assert client.read(read_http_reply).status == 200
        client.send(setting(b"k", b"x"))
        assert client.rest() == UNKNOWN
        with gateway.connect(timeout=60) as db:
            assert db.get("k") == "x"
            assert db.report()["cnt_unknown"] == 2


@contextmanager
def paused(nodes: list[Node]) -> Iterator[None]:
    for node in nodes:
        node.pause()
    try:
        yield
    finally:
        for node in nodes:
            node.resume()


def is_served(client: Relayed) -> bool:
    client.send(pack_rpc("get", [("key", b"k")]))
    return client.read(read_http_reply).status == 200


def test_it_stops_while_nodes_stand_still(lone_masters: LocalCluster) -> None:
    with Gateway([lone_masters.url(layout="flat")]) as gateway, Relayed(gateway) as client:
        with paused(lone_masters.nodes):
            client.send(setting(b"k", b"v"))
            wait_for(client.is_read)
            gateway.stop()
        assert client.rest() == UNKNOWN


def test_slots_move(own_cluster: LocalCluster) -> None:
    """One after the other, key by key, while clients write."""
    slots = sorted({Flat(b"k").place(b"%d/%d" % (n, i))[1] for n in range(6) for i in range(500)})
    source, target = own_cluster.nodes[:2]
    there = [slot for slot in slots if slot < 5461][::150]
    with Gateway([own_cluster.url(layout="flat", timeout=60)]) as gateway:
        with Writers(gateway) as writers:
            writers.written(3000)
            for slot in there:
                own_cluster.move_slot(slot, source, target)
            writers.written(3000)
        writers.check()
        assert (writers.refused, writers.unknown) == (0, 0)


@pytest.mark.parametrize("again", [True, False], ids=["thread", "loop"])
def test_what_the_engine_refuses(lone_masters: LocalCluster, again: bool) -> None:
    """It is told, and what was carried out beside it counts."""
    with Gateway([lone_masters.url(layout="flat")]) as gateway, Relayed(gateway) as client:
        for node in lone_masters.nodes:
            assert node.ask("CONFIG", "SET", "maxmemory", 1) == b"OK"
        client.send(setting(b"k", b"v"))
        assert client.read(read_stored) == REFUSED
        if again:
            client.warm_up()
        client.send(pack_rpc("set", [("key", b"k"), ("value", b"w")]) + pack_get_bulk([b"k"], 0))
        reply = client.read(read_http_reply)
        assert reply.status == 500
        assert b"system error: OOM" in reply.body.replace(b"%20", b" ")
        assert client.read(read_get_bulk_reply) is not None


def test_a_login_and_a_numbered_database(cluster: LocalCluster, login: str) -> None:
    if not cluster.numbered:
        pytest.skip("this engine has no second database: Valkey has, from 9 on")
    url = with_login(cluster.url(1, layout="flat"), login)
    with Gateway([url]) as gateway, Relayed(gateway) as client:
        before = relayed_requests(gateway)
        for number in range(100):
            client.send(setting(b"%d" % number, b"v"))
            assert client.read(read_stored) == STORED
        wait_for(lambda: relayed_requests(gateway) == before + 100)
    assert sum(node.ask("DBSIZE") for node in cluster.nodes[: cluster.masters]) <= 1
    cluster.empty()
