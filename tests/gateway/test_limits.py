"""What a gateway does not do, and what it lets nobody do."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from kt.client.tycoon.client import KyotoTycoon
from kt.errors import KTError, ServerError
from kt.server.session import Rights
from kt.server.tycoon.rights import NEEDED, NEEDED_BY_METHOD
from kt.wire.magic import NO_REPLY
from kt.wire.tycoon import pack_replication, pack_set_bulk_details
from tests.certificates import Authority
from tests.cluster.nodes import LocalCluster
from tests.cluster.test_login import login, with_login
from tests.ports import free_port

from .conftest import Gateway
from .test_serving import received

__all__ = ["login"]


def called(gateway: Gateway, procedure: str, body: str = "") -> tuple[int, str]:
    """Status and body of the reply to a remote procedure call."""
    request = urllib.request.Request(
        f"http://{gateway.host}:{gateway.port}/rpc/{procedure}",
        body.encode(),
        {"Content-Type": "text/tab-separated-values"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.parametrize(
    ("procedure", "body", "what"),
    [
        ("play_script", "name\tx\n", "scripts"),
        ("tune_replication", "host\th\n", "replication"),
        ("promote", "", "replication"),
        ("ulog_list", "", "update logs"),
        ("ulog_remove", "", "update logs"),
        ("get", "key\tk\nWAIT\tc\n", "signals"),
        ("set", "key\tk\nvalue\tv\nSIGNAL\tc\n", "signals"),
        ("set_bulk", "_k\tv\natomic\t\n", "atomic"),
        ("get_bulk", "_k\t\natomic\t\n", "atomic"),
        ("remove_bulk", "_k\t\natomic\t\n", "atomic"),
        ("synchronize", "command\tx\n", "commands after synchronizing"),
        ("no_such_procedure", "", "no_such_procedure"),
    ],
)
def test_refused_by_name(
    tycoon_server: Gateway, tycoon: KyotoTycoon, procedure: str, body: str, what: str
) -> None:
    status, text = called(tycoon_server, procedure, body)
    assert status == 501
    assert "not implemented" in text.replace("%20", " ")
    assert what in text.replace("%20", " ")
    assert tycoon.get("k") is None


def test_who_follows_the_update_log_is_refused(tycoon_server: Gateway) -> None:
    with socket.create_connection((tycoon_server.host, tycoon_server.port), 30) as client:
        client.sendall(pack_replication(1, 0, 0))
        assert client.recv(100) == b"\xbf"
        assert client.recv(100) == b""


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("-ulog", "log", "-sid", "1"), "-ulog, -sid"),
        (("-bgs", "snapshots"), "-bgs"),
        (("-oat",), "-oat"),
        (("-mtls-ca", "ca.pem"), "-mtls-ca"),
        (("-ack", "1"), "-ack"),
        (("-durable", "process"), "-durable"),
        (("-restore-to", "2026-01-01T00:00:00Z"), "-restore-to"),
        (("-mhost", "h", "-rts", "file", "-sid", "1"), "-sid, -mhost, -rts"),
    ],
)
def test_flags_of_files_are_refused_by_name(options: Sequence[str], what: str) -> None:
    started = Gateway([f"valkey://127.0.0.1:{free_port()}"], *options, wrong=True)
    assert f"not for databases on a cluster: {what}" in started.complaint()


def test_an_unreachable_cluster_is_named() -> None:
    port = free_port()
    started = Gateway([f"valkey://app:secret@127.0.0.1:{port}"], wrong=True)
    said = started.complaint()
    assert f"no node of a cluster answers at 127.0.0.1:{port}" in said
    assert "secret" not in said


def test_files_are_not_beside_clusters(tmp_path: Path) -> None:
    urls = ["valkey://app:secret@h", str(tmp_path / "casket.kch")]
    said = Gateway(urls, wrong=True).complaint()
    assert "not all on clusters" in said
    assert "secret" not in said
    assert not list(tmp_path.iterdir())


def test_another_layout_is_refused(cluster: LocalCluster) -> None:
    cluster.empty()
    with Gateway([cluster.url(layout="flat")]):
        assert "flat" in Gateway([cluster.url(layout="tree")], wrong=True).complaint()


WORDS = {"none": Rights.NONE, "read": Rights.READ, "write": Rights.WRITE, "admin": Rights.ADMIN}


@pytest.mark.parametrize("word", WORDS)
def test_rights(word: str, tycoon_server: Gateway, cluster: LocalCluster) -> None:
    """Every procedure and method for clients that may do one thing only."""
    may = WORDS[word]
    called = {b"POST /rpc/%b HTTP/1.1\r\n\r\n" % name: needed for name, needed in NEEDED.items()}
    plain = {
        b"%b /no HTTP/1.1\r\nContent-Length: 0\r\n\r\n" % method: needed
        for method, needed in NEEDED_BY_METHOD.items()
    }
    with Gateway(cluster.urls(), "-allow", "*", word) as limited:
        for request, needed in (called | plain).items():
            reply = received(request, limited)
            assert (reply[9:12] == b"403") is bool(needed & ~may), request
            assert (b"not allowed: this client may not" in reply) is bool(needed & ~may)
        quiet = pack_set_bulk_details([(0, b"q", b"v", 1 << 39)], bytes, NO_REPLY)
        loud = pack_set_bulk_details([(0, b"n", b"v", 1 << 39)], bytes)
        written = received(quiet + loud, limited)
        assert written == (b"\xb8\0\0\0\1" if may & Rights.WRITE else b"\xbf")
    with tycoon_server.connect(timeout=30) as client:
        assert client.exists("n") is client.exists("q") is bool(may & Rights.WRITE)


@pytest.fixture
def guarded(cluster: LocalCluster) -> Iterator[Gateway]:
    cluster.empty()
    with Gateway([cluster.url(layout="flat")], "-allow", "127.0.0.1", "read") as started:
        yield started


def test_who_may_read_only(guarded: Gateway) -> None:
    with guarded.connect() as client:
        assert client.get("k") is None
        assert client.count() == 0
        for write in (
            lambda: client.set("k", "v"),
            lambda: client.set_bulk({"k": "v"}),
            lambda: client.remove_bulk(["k"]),
            lambda: client.incr("k"),
            lambda: client.seize("k"),
            client.clear,
            client.vacuum,
        ):
            with pytest.raises(ServerError):
                write()
        report = client.report()
        assert report["cnt_refused"] == 7
        assert report["cnt_failed"] == 0
    assert called(guarded, "add", "key\tk\nvalue\tv\n")[0] == 403
    request = urllib.request.Request(f"http://{guarded.host}:{guarded.port}/k", b"v", method="PUT")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(request, timeout=30)


def test_tls_and_a_user_of_the_engine(cluster: LocalCluster, login: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "certificates")
    urls = [with_login(cluster.url(layout="flat"), login)]
    with (
        Gateway(urls, "-tls-cert", authority.server) as started,
        started.connect(ssl=authority.context) as client,
    ):
        assert client.set("k", "v")
        assert client.get("k") == "v"
        assert client.report()["db_0"].startswith("count=1 ")
        assert "p%3Aw" not in str(client.report())
        with started.connect(timeout=5) as plain, pytest.raises(KTError):
            plain.get("k")
