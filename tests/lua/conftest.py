"""Tests of the library of Lua scripts, on all servers: both kinds, bundled and original.

===========  =====================================================================================
lua_server   a running server with the library, one for each of the four
db           a blocking client of it, the database empty
async_db     an asyncio client of it, the database empty
===========  =====================================================================================

Tests that are coroutines run as in `tests.client`. A test that is for Kyoto Tycoon only says::

    @pytest.mark.parametrize("lua_server", TYCOONS, indirect=True)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest

from kt.client.tycoon.client import KyotoTycoon
from kt.client.tycoon.client_async import AsyncKyotoTycoon
from kt.client.tyrant.client import TokyoTyrant
from kt.client.tyrant.client_async import AsyncTokyoTyrant
from kt.embedded import EmbeddedServer, EmbeddedTokyoTyrantServer
from kt.lua import SCRIPTS
from tests.client.conftest import pytest_generate_tests, pytest_pyfunc_call, pytest_runtest_call
from tests.conftest import LOCAL, program
from tests.local_server import LocalServer
from tests.lua.servers import SERVERS, TYCOONS

__all__ = ["pytest_generate_tests", "pytest_pyfunc_call", "pytest_runtest_call"]

THREADS = "64"
"""In the original ktserver, everybody who waits for a signal occupies a thread."""


@pytest.fixture(scope="session", params=SERVERS)
def lua_server(
    request: pytest.FixtureRequest, pytestconfig: pytest.Config
) -> Iterator[EmbeddedServer | EmbeddedTokyoTyrantServer]:
    kind = request.param.split("-")[1]
    server: EmbeddedServer | EmbeddedTokyoTyrantServer
    if request.param in TYCOONS:
        path = program(kind, "kt-tycoon", "ktserver", pytestconfig)
        arguments = ["-th", THREADS]
        if path == LOCAL:
            server = cast("EmbeddedServer", LocalServer("tycoon", ["*", "%"], SCRIPTS))
        else:
            server = EmbeddedServer(
                path, database=["*", "%"], server_args=arguments, scripts=SCRIPTS
            )
    else:
        path = program(kind, "kt-tyrant", "ttserver", pytestconfig)
        if path == LOCAL:
            server = cast("EmbeddedTokyoTyrantServer", LocalServer("tyrant", scripts=SCRIPTS))
        else:
            server = EmbeddedTokyoTyrantServer(path, scripts=SCRIPTS)
    with server:
        yield server


@pytest.fixture
def db(
    lua_server: EmbeddedServer | EmbeddedTokyoTyrantServer,
) -> Iterator[KyotoTycoon | TokyoTyrant]:
    with lua_server.connect(timeout=30) as client:
        client.clear()
        if isinstance(client, KyotoTycoon):
            client.clear(db=1)
        yield client


@pytest.fixture
def async_db(
    lua_server: EmbeddedServer | EmbeddedTokyoTyrantServer, db: KyotoTycoon | TokyoTyrant
) -> AsyncKyotoTycoon | AsyncTokyoTyrant:
    if isinstance(lua_server, LocalServer):
        return cast("AsyncKyotoTycoon", lua_server.connect_async(timeout=30))
    if isinstance(db, KyotoTycoon):
        return AsyncKyotoTycoon(db.host, db.port, timeout=30, pool_size=64)
    return AsyncTokyoTyrant(db.host, db.port, timeout=30)
