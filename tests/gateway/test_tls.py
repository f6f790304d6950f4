"""A gateway to nodes that speak TLS: all is done without native threads."""

from __future__ import annotations

import pytest

from tests.cluster.conftest import must_be_here
from tests.cluster.nodes import LocalCluster
from tests.cluster.test_tls import authority, files, secured, tls_engine

from .conftest import Gateway

__all__ = ["authority", "files", "secured", "tls_engine"]


@pytest.fixture(scope="module")
def engine() -> str:
    return must_be_here("redis")  # not every Valkey is built with TLS


def test_records_come_and_go(secured: LocalCluster, files: dict[str, object]) -> None:
    secured.empty()
    with (
        Gateway([secured.url(layout="flat", **files)]) as gateway,
        gateway.connect(timeout=60) as db,
    ):
        for number in range(50):
            db.set(str(number), "v")
        assert db.get_bulk([str(number) for number in range(100)]) == {
            str(number): "v" for number in range(50)
        }
        assert int(str(db.report()["cnt_relayed"])) == 0
