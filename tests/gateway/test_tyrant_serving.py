"""kt-tyrant as a gateway: what it shares with kt-tycoon, what it refuses, and to whom."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from math import inf

import pytest

from kt.client.tyrant.client import TokyoTyrant
from kt.errors import KTError, ServerConnectionError, ServerError
from kt.wire.tyrant import pack_get, pack_put, pack_putcat, pack_putnr, pack_repl
from tests.cluster.conftest import lone_masters, turn
from tests.cluster.nodes import LocalCluster
from tests.ports import free_port

from .conftest import Gateway, TyrantGateway
from .test_serving import received

__all__ = ["lone_masters", "turn"]


@pytest.mark.parametrize("tyrant_database", ["*", "+"], indirect=True)
def test_requests_of_one_connection_are_carried_out_in_their_order(
    tyrant_server: TyrantGateway, tyrant: TokyoTyrant
) -> None:
    sent = b"".join(
        pack_putnr("k", b"%03d" % number) + pack_putcat("k", b"!") + pack_get("k")
        for number in range(300)
    )
    replies = b"".join(b"\0" + b"\0\0\0\0\4%03d!" % number for number in range(300))
    assert received(sent, tyrant_server) == replies


def test_requests_in_pieces(tyrant_server: TyrantGateway, tyrant: TokyoTyrant) -> None:
    sent = pack_put("a", b"v" * 300_000) + pack_put("b", b"w")
    with socket.create_connection((tyrant_server.host, tyrant_server.port), 30) as client:
        for at in range(0, len(sent), 7001):
            client.sendall(sent[at : at + 7001])
        assert client.recv(1, socket.MSG_WAITALL) + client.recv(1, socket.MSG_WAITALL) == b"\0\0"
    assert tyrant.length("a") == 300_000


@pytest.mark.parametrize("layout", ["flat", "tree"])
def test_clients_of_both_servers_share_records(cluster: LocalCluster, layout: str) -> None:
    cluster.empty()
    url = cluster.url(layout=layout)
    with (
        Gateway([url]) as tycoon_gateway,
        TyrantGateway([url]) as tyrant_gateway,
        tycoon_gateway.connect(timeout=30) as tycoon,
        tyrant_gateway.connect(timeout=30) as tyrant,
    ):
        tycoon.set("lasts", "1", expire_time=3600)
        tycoon.set("gone", "1", expire_time=-1)
        assert tyrant.get("lasts") == "1"
        assert tyrant.get("gone") is None
        assert sorted(tyrant.keys()) == ["lasts"]
        assert tyrant.append("lasts", "2")
        assert tyrant.incr("n", 5) == 5
        assert tycoon.get_bulk(["lasts"]) == {"lasts": "12"}
        assert tycoon.ttl("lasts") == inf
        assert tyrant.count() == tycoon.count() == 2


@pytest.mark.parametrize("tyrant_database", ["*", "+"], indirect=True)
def test_numbers(tyrant: TokyoTyrant) -> None:
    assert [tyrant.incr("n", number) for number in (0, -1, -256, 2**31 - 1)] == [
        *(0, -1, -257),
        2**31 - 258,
    ]
    tyrant.set("most", "x")
    with pytest.raises(ServerError):
        tyrant.incr("most")
    assert [tyrant.incr_double("d", number) for number in (0.5, -2.25)] == [0.5, -1.75]


def test_what_there_is_not_on_a_cluster(tyrant: TokyoTyrant) -> None:
    for refused in (
        lambda: tyrant.script("f", "k"),
        lambda: tyrant.copy("/nowhere/copy"),
        lambda: tyrant.restore("/nowhere", 0),
        lambda: tyrant.set_master("h", 1978),
        lambda: tyrant.putdup("k", "v"),
    ):
        with pytest.raises(ServerError):
            refused()
    assert tyrant.misc("search", ["addcond"]) is False
    assert tyrant.status()["type"] == "on-memory hash"
    assert tyrant.optimize("") is True
    assert tyrant.size > 0


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b"GET /k HTTP/1.1\r\n", b"HTTP/1.1 501 "),
        (b"get k\r\n", b"SERVER_ERROR not implemented in a cluster"),
        (b"\xc9\x10\r\n", b""),
        (b"\xc8\xff", b""),
        (pack_repl(1, 7), b""),
    ],
)
def test_what_else_comes_ends_the_connection(
    tyrant_server: TyrantGateway, tyrant: TokyoTyrant, line: bytes, what: bytes
) -> None:
    reply = received(line, tyrant_server)
    assert reply.startswith(what) if what else reply == b""
    assert tyrant.set("k", "v")


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("-ulog", "log", "-sid", "1"), "-ulog, -sid"),
        (("-mul", "2"), "-mul"),
        (("-ext", "script.lua"), "-ext"),
        (("-durable", "process"), "-durable"),
        (("-mhost", "h", "-sid", "1"), "-sid, -mhost"),
    ],
)
def test_flags_of_files_are_refused_by_name(options: Sequence[str], what: str) -> None:
    url = f"valkey://127.0.0.1:{free_port()}"
    said = TyrantGateway([url], *options, wrong=True).complaint()
    assert f"not for databases on a cluster: {what}" in said


def test_a_mask(cluster: LocalCluster) -> None:
    cluster.empty()
    masked = "-mask", "out,fwmkeys,rnum,allmanage"
    with (
        TyrantGateway([cluster.url(layout="flat")], *masked) as started,
        started.connect(timeout=30) as client,
    ):
        client.set_bulk({"a": "1", "b": "2"})
        assert client.get_bulk(["a", "b"]) == {"a": "1", "b": "2"}
        assert client.remove("a") == 0
        assert client.keys() == []
        assert client.count() == 0
        with pytest.raises(ServerError):
            client.synchronize()
        assert client.get("a") == "1"


def test_who_may_read_only(cluster: LocalCluster) -> None:
    cluster.empty()
    with (
        TyrantGateway([cluster.url(layout="flat")], "-allow", "127.0.0.1", "read") as started,
        started.connect(timeout=30) as client,
    ):
        assert client.get("k") is None
        assert client.keys() == []
        for write in (
            lambda: client.set("k", "v"),
            lambda: client.set_bulk({"k": "v"}),
            lambda: client.append("k", "v"),
            lambda: client.incr("k"),
            client.clear,
            client.synchronize,
        ):
            with pytest.raises(ServerError):
                write()
        assert client.misc("getlist", ["k"]) == {}
        assert client.count() == 0


async def test_a_lost_part_is_no_missing_record(lone_masters: LocalCluster) -> None:
    """One byte says "no record" and "it failed": without an answer the connection ends."""
    keys = [str(number) for number in range(40)]
    with TyrantGateway([lone_masters.url(layout="flat", timeout=1)]) as gateway:
        client = gateway.connect_async(timeout=60)
        await client.set_bulk(dict.fromkeys(keys, "v"))
        with pytest.raises(ServerError):  # there is nobody else to have it all
            await client.synchronize()
        await asyncio.to_thread(lone_masters.nodes[0].kill)
        lost = 0
        for key in keys:
            try:
                assert await client.get(key) == "v"
            except ServerConnectionError:
                lost += 1
            if lost == 2:
                break
        assert lost == 2
        with pytest.raises(KTError):
            await client.set_bulk(dict.fromkeys(keys, "w"))
        await client.close()


def test_synchronizing_without_replicas_fails(lone_masters: LocalCluster) -> None:
    with (
        TyrantGateway([lone_masters.url(layout="flat", ack_timeout=0.1)]) as gateway,
        gateway.connect(timeout=30) as tyrant,
    ):
        tyrant.set("key", "value")
        with pytest.raises(ServerError):
            tyrant.synchronize()
        assert tyrant.misc("sync") is False
        assert tyrant.get("key") == "value"
