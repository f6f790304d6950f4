"""PostgreSQL for the tests, and the fixtures of the clients' tests on it.

=================  ===============================================================================
fixture            gives
=================  ===============================================================================
postgres           a server, for all tests of a worker
own_postgres       one for a single test, which may damage it
tycoon_server      what the tests of the clients use of a server: `connect`, `connect_async`
tycoon             a blocking client of it, both databases empty
async_tycoon       the same for asyncio
=================  ===============================================================================
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.conftest import Direct

from .server import LocalPostgres, why_not_here


def must_be_here() -> None:
    reason = why_not_here()
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def postgres() -> Iterator[LocalPostgres]:
    must_be_here()
    with LocalPostgres() as server:
        yield server


@pytest.fixture
def own_postgres() -> Iterator[LocalPostgres]:
    must_be_here()
    with LocalPostgres() as server:
        yield server


@pytest.fixture
def tycoon_server(postgres: LocalPostgres) -> Direct:
    postgres.empty()
    return Direct(postgres.urls())
