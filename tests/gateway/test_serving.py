"""How a gateway treats what its clients send, whatever they do next."""

from __future__ import annotations

import socket
import subprocess
import sys

from kt.cli.care.metrics import Sample, samples
from kt.client.tycoon.client import KyotoTycoon
from kt.cluster.layout import Tree
from kt.wire.magic import NO_REPLY
from kt.wire.tycoon import pack_set_bulk_details
from tests.cluster.nodes import LocalCluster, wait_for

from .conftest import Gateway


def received(sent: bytes, gateway: Gateway) -> bytes:
    """All that a client gets who sends this and ends its side."""
    with socket.create_connection((gateway.host, gateway.port), 30) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(1 << 16), b""))


def test_requests_of_one_connection_are_answered_in_their_order(tycoon_server: Gateway) -> None:
    sent = b"".join(
        b"PUT /k HTTP/1.1\r\nContent-Length: 2\r\n\r\n%02d" % number + b"GET /k HTTP/1.1\r\n\r\n"
        for number in range(50)
    )
    replies = received(sent, tycoon_server).split(b"HTTP/1.1 ")[1:]
    assert [reply[:3] for reply in replies] == [b"201", b"200"] * 50
    assert [int(reply[-2:]) for reply in replies[1::2]] == list(range(50))


def test_what_is_no_request_ends_the_connection_only(
    tycoon_server: Gateway, tycoon: KyotoTycoon
) -> None:
    assert received(b"\xee\xee\xee", tycoon_server) == b""
    assert tycoon.set("k", "v")


def test_writes_without_replies_are_kept_when_the_client_leaves(
    tycoon_server: Gateway, tycoon: KyotoTycoon
) -> None:
    with socket.create_connection((tycoon_server.host, tycoon_server.port), 30) as client:
        records = [(0, b"%d" % number, b"v", 1 << 39) for number in range(2000)]
        client.sendall(pack_set_bulk_details(records, bytes, NO_REPLY))
    wait_for(lambda: tycoon.count(db=0) == 2000)


def test_requests_in_pieces(tycoon_server: Gateway, tycoon: KyotoTycoon) -> None:
    """A bulk and a large value that come a bit at a time, each behind a whole request."""
    records = [(1, b"%04d" % number, b"v" * 100, 1 << 39) for number in range(1000)]
    bulk = pack_set_bulk_details(records, bytes)
    large = b"PUT /large HTTP/1.1\r\nContent-Length: 300000\r\n\r\n" + b"v" * 300_000
    sent = bulk + large + bulk
    with socket.create_connection((tycoon_server.host, tycoon_server.port), 30) as client:
        for at in range(0, len(sent), 7001):
            client.sendall(sent[at : at + 7001])
        client.shutdown(socket.SHUT_WR)
        replies = b"".join(iter(lambda: client.recv(1 << 16), b""))
    assert replies.startswith(b"\xb8\0\0\x03\xe8HTTP/1.1 201 ")
    assert replies.endswith(b"\xb8\0\0\x03\xe8")
    assert tycoon.count(db=1) == 1000
    assert len(tycoon.get_bytes("large", db=0) or b"") == 300_000


def test_a_request_that_ends_half_way_is_not_carried_out(
    tycoon_server: Gateway, tycoon: KyotoTycoon
) -> None:
    records = [(0, b"k%d" % number, b"v", 1 << 39) for number in range(10)]
    assert received(pack_set_bulk_details(records, bytes)[:-1], tycoon_server) == b"\xbf"
    refused = received(b"PUT /k HTTP/1.1\r\nContent-Length: 5\r\n\r\nv", tycoon_server)
    assert refused.endswith(b"\r\n\r\n400 Bad Request (receiving data failed)\n")
    silent = pack_set_bulk_details(records, bytes, NO_REPLY)[:-1]
    assert received(silent, tycoon_server) == b""
    assert tycoon.count(db=0) == 0


def test_the_report_names_the_nodes(tycoon: KyotoTycoon) -> None:
    tycoon.set("a", "v")
    report = tycoon.report()
    assert report["cluster_0"].startswith("nodes=6 masters=3 complete=1 retries=")
    assert report["cnt_requests"] > 0
    assert " replicas=3 slots=16384 acks=0 " in report["cluster_0"]
    assert (report["cnt_unknown"], report["serv_conn_count"]) == (0, 1)
    for name, value in (("nodes", 6), ("masters", 3), ("replicas", 3), ("slots", 16384)):
        assert Sample(f"kt_cluster_{name}", ("0",), value) in samples(report)


def test_what_has_expired_is_forgotten(cluster: LocalCluster) -> None:
    """Its keys in the index, which a write to each bucket would forget, too."""
    cluster.empty()
    masters = cluster.nodes[: cluster.masters]

    def indexed() -> int:
        """How many keys the indices have."""
        asked = (node.ask("ZCARD", bucket.index) for node in masters for bucket in buckets)
        return sum(number for number in asked if isinstance(number, int))

    buckets = Tree(b"k", 64).buckets
    with Gateway([cluster.url(layout="tree", buckets=64)]) as gateway, gateway.connect() as db:
        db.set_bulk({str(number): "v" for number in range(200)}, expire_time=-1)
        db.set("stays", "v")
        wait_for(lambda: indexed() == 1)
        assert db.match_prefix("") == ["stays"]
    cluster.empty()


def test_top_shows_the_cluster(tycoon_server: Gateway) -> None:
    words = ["top", "-n", "1", "-i", "0.1", "-u", f"kt://127.0.0.1:{tycoon_server.port}"]
    done = subprocess.run(
        [sys.executable, "-m", "kt.cli", *words], capture_output=True, text=True, check=True
    )
    assert "cluster 0: 3 masters, 3 replicas, all slots served" in done.stdout
    assert "cluster 1: 3 masters" in done.stdout
