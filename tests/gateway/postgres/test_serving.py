"""What a gateway to PostgreSQL does besides answering one request after the other."""

from __future__ import annotations

import subprocess
import sys

from kt.client.tycoon.client import KyotoTycoon
from tests.cluster.nodes import LocalCluster, wait_for
from tests.cluster.postgres.server import LocalPostgres
from tests.gateway.conftest import Gateway
from tests.gateway.test_limits import called
from tests.gateway.test_serving import (
    test_requests_of_one_connection_are_answered_in_their_order,
)
from tests.ports import free_port

__all__ = ["test_requests_of_one_connection_are_answered_in_their_order"]


def test_atomic_bulks(tycoon_server: Gateway, tycoon: KyotoTycoon) -> None:
    assert called(tycoon_server, "set_bulk", "_a\t1\n_b\t2\natomic\t\n")[0] == 200
    assert called(tycoon_server, "remove_bulk", "_a\t\n_c\t\natomic\t\n") == (200, "num\t1\n")
    assert tycoon.get_bulk(["a", "b"]) == {"b": "2"}


def test_what_has_expired_is_removed(postgres: LocalPostgres, tycoon: KyotoTycoon) -> None:
    tycoon.set_bulk({str(number): "v" for number in range(500)}, expire_time=-1)
    tycoon.set("stays", "v")
    wait_for(lambda: postgres.run("SELECT count(*) FROM one") == [(1,)])
    assert tycoon.match_prefix("") == ["stays"]


def test_the_report_and_top(tycoon_server: Gateway, tycoon: KyotoTycoon) -> None:
    tycoon.set("a", "v")
    report = tycoon.report()
    assert report["cluster_0"].startswith("connections=")
    assert "retries=0" in report["cluster_0"]
    words = ["top", "-n", "1", "-i", "0.1", "-u", f"kt://127.0.0.1:{tycoon_server.port}"]
    done = subprocess.run(
        [sys.executable, "-m", "kt.cli", *words], capture_output=True, text=True, check=True
    )
    assert "cluster 0: PostgreSQL, " in done.stdout


def test_one_that_is_unreachable_is_named() -> None:
    port = free_port()
    said = Gateway([f"postgres://app:secret@127.0.0.1:{port}/d"], wrong=True).complaint()
    assert f"no server of PostgreSQL serves us at 127.0.0.1:{port}" in said
    assert "secret" not in said


def test_beside_a_cluster_of_valkey(postgres: LocalPostgres, cluster: LocalCluster) -> None:
    cluster.empty()
    with (
        Gateway([cluster.url(layout="flat"), postgres.url("beside")]) as gateway,
        gateway.connect(timeout=30) as client,
    ):
        for db in (0, 1):
            client.clear(db)
            assert client.set("k", str(db), db=db)
        assert [client.get("k", db=db) for db in (0, 1)] == ["0", "1"]
        assert client.report()["cluster_0"].startswith("nodes=")
