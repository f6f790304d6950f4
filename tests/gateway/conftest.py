"""Fixtures of the clients' tests, on servers with their databases on a cluster."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any, ClassVar, Self

import pytest

from kt.client.tycoon.client import KyotoTycoon
from kt.client.tycoon.client_async import AsyncKyotoTycoon
from kt.client.tyrant.client import TokyoTyrant
from kt.client.tyrant.client_async import AsyncTokyoTyrant
from tests.client.conftest import pytest_generate_tests, pytest_pyfunc_call
from tests.cluster.conftest import cluster, must_be_here
from tests.cluster.nodes import LocalCluster, wait_for
from tests.ports import free_port

__all__ = ["cluster", "pytest_generate_tests", "pytest_pyfunc_call"]


class Gateway:
    """A gateway, once it is up.

    Args:
        urls: its databases.
        options: further words of its command line.
        wrong: it is not to come up.
    """

    host = "127.0.0.1"
    words: ClassVar = ("tycoon", "-ls")
    clients: ClassVar[tuple[Any, Any]] = (KyotoTycoon, AsyncKyotoTycoon)

    def __init__(self, urls: Sequence[str], *options: str, wrong: bool = False) -> None:
        self.port = free_port()
        words = *self.words, "-host", self.host, "-port", str(self.port)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kt.server", *words, *options, *urls],
            stdout=subprocess.PIPE if wrong else None,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if not wrong:
            wait_for(self._listens)

    def _listens(self) -> bool:
        assert self.process.poll() is None, "the gateway has ended"
        try:
            socket.create_connection((self.host, self.port), 5).close()
        except OSError:
            return False
        return True

    def complaint(self) -> str:
        """All that it has printed when it has ended, as it must."""
        printed, _ = self.process.communicate(timeout=30)
        assert self.process.returncode == 1, printed
        return printed

    def stop(self) -> None:
        """End it in order."""
        self.process.terminate()
        assert self.process.wait(30) == 0

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.stop()

    def connect(self, **options: Any) -> Any:
        return self.clients[0](self.host, self.port, **options)

    def connect_async(self, **options: Any) -> Any:
        return self.clients[1](self.host, self.port, **options)


class TyrantGateway(Gateway):
    """The same for Tokyo Tyrant's clients."""

    words = ("tyrant", "-le")
    clients = (TokyoTyrant, AsyncTokyoTyrant)


@pytest.fixture(scope="session")
def engine() -> str:
    return must_be_here("valkey")


@pytest.fixture(scope="session")
def gateway(cluster: LocalCluster) -> Iterator[Gateway]:
    if not cluster.numbered:
        pytest.skip("this engine has no second database: Valkey has, from 9 on")
    cluster.empty()  # others may have laid out these databases otherwise
    with Gateway(cluster.urls()) as started:
        yield started


@pytest.fixture
def tycoon_server(gateway: Gateway) -> Gateway:
    with gateway.connect(timeout=30) as client:
        client.clear(db=0)
        client.clear(db=1)
    return gateway


@pytest.fixture
def tycoon(tycoon_server: Gateway) -> Iterator[KyotoTycoon]:
    with tycoon_server.connect(timeout=30) as client:
        yield client


@pytest.fixture
def async_tycoon(tycoon_server: Gateway) -> AsyncKyotoTycoon:
    client: AsyncKyotoTycoon = tycoon_server.connect_async(timeout=30)
    return client


@pytest.fixture(scope="session")
def tyrant_gateways(cluster: LocalCluster) -> Iterator[dict[str, TyrantGateway]]:
    """One for what is to kt-tyrant ``*``, a flat database, and one for ``+``, a tree."""
    if not cluster.numbered:
        pytest.skip("this engine has no second database: Valkey has, from 9 on")
    cluster.empty()
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(TyrantGateway([url]))
            for name, url in zip("*+", cluster.urls(), strict=True)
        }


@pytest.fixture
def tyrant_database(request: pytest.FixtureRequest) -> str:
    name = str(getattr(request, "param", "*"))
    if name not in "*+":
        pytest.skip("a file, and the layouts are those of databases in memory")
    return name


@pytest.fixture
def tyrant_server(tyrant_gateways: dict[str, TyrantGateway], tyrant_database: str) -> TyrantGateway:
    return tyrant_gateways[tyrant_database]


@pytest.fixture
def async_tyrant(tyrant_server: TyrantGateway, tyrant: TokyoTyrant) -> AsyncTokyoTyrant:
    client: AsyncTokyoTyrant = tyrant_server.connect_async(timeout=30)
    return client
