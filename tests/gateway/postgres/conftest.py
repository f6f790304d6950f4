"""Fixtures of the clients' tests, on servers with their databases in tables of PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.postgres.conftest import postgres
from tests.cluster.postgres.server import LocalPostgres
from tests.gateway.conftest import Gateway, TyrantGateway

__all__ = ["postgres"]


@pytest.fixture(scope="session")
def gateway(postgres: LocalPostgres) -> Iterator[Gateway]:
    postgres.empty()
    with Gateway(postgres.urls()) as started:
        yield started


@pytest.fixture(scope="session")
def tyrant_gateways(postgres: LocalPostgres) -> Iterator[dict[str, TyrantGateway]]:
    """One, which is to kt-tyrant what ``+`` is."""
    with TyrantGateway([postgres.url("tyrant")]) as started:
        yield {"+": started}


@pytest.fixture
def tyrant_database(request: pytest.FixtureRequest) -> str:
    if str(getattr(request, "param", "*")) not in "*+":
        pytest.skip("a file, and the layout is that of a tree in memory")
    return "+"
