"""A cluster for the tests, and the fixtures of the clients' tests on it.

=================  ===============================================================================
fixture            gives
=================  ===============================================================================
engine             ``valkey`` and ``redis``
cluster            three masters with a replica each, for all tests of a worker
turn               the number of a round, of as many as there are to be (`make test-cluster`)
own_cluster        three masters with replicas for one test, which may damage it, and its turn
lone_masters       likewise, without replicas
layout             ``flat`` and ``tree``
tycoon_server      what the tests of the clients use of a server: `connect`, `connect_async`
tycoon             a blocking client of it, both databases empty
async_tycoon       the same for asyncio
=================  ===============================================================================
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from kt.client.tycoon.client import KyotoTycoon
from kt.client.tycoon.client_async import AsyncKyotoTycoon
from kt.cluster.opening import connect, connect_async
from tests.client.conftest import pytest_generate_tests, pytest_pyfunc_call

from .nodes import ENGINES, REPLICAS, ROUNDS, LocalCluster, find_program

__all__ = ["pytest_generate_tests", "pytest_pyfunc_call"]


@pytest.fixture(scope="session", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return must_be_here(str(request.param))


def must_be_here(engine: str) -> str:
    if find_program(engine) is None:
        pytest.skip(f"there is no {engine}-server on PATH")
    return engine


@pytest.fixture(scope="session")
def cluster(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    with LocalCluster(tmp_path_factory.mktemp("cluster") / "nodes", engine=engine) as nodes:
        yield nodes


@pytest.fixture(params=range(ROUNDS), ids="turn{}".format)
def turn(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def own_cluster(engine: str, turn: int, tmp_path: Path) -> Iterator[LocalCluster]:
    with LocalCluster(tmp_path / "nodes", replicas=REPLICAS, engine=engine) as nodes:
        yield nodes


@pytest.fixture
def lone_masters(engine: str, turn: int, tmp_path: Path) -> Iterator[LocalCluster]:
    with LocalCluster(tmp_path / "nodes", replicas=0, engine=engine) as nodes:
        yield nodes


@pytest.fixture(params=["flat", "tree"])
def layout(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Direct:
    """Clients that talk to the cluster themselves."""

    def __init__(self, urls: list[str]) -> None:
        self.urls = urls

    def connect(self, **options: Any) -> Any:
        return connect(*self.urls, **options)

    def connect_async(self, **options: Any) -> Any:
        return connect_async(*self.urls, **options)

    @property
    def host(self) -> NoReturn:
        pytest.skip("it needs a server")

    port = pid = client = host


@pytest.fixture
def tycoon_server(cluster: LocalCluster) -> Direct:
    cluster.empty()
    return Direct(cluster.urls())


@pytest.fixture
def tycoon(tycoon_server: Direct) -> Iterator[KyotoTycoon]:
    with tycoon_server.connect(timeout=30) as client:
        yield client


@pytest.fixture
def async_tycoon(tycoon_server: Direct) -> AsyncKyotoTycoon:
    client: AsyncKyotoTycoon = tycoon_server.connect_async(timeout=30)
    return client
