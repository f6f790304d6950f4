"""Fixtures for pytest: real servers for tests, started on free ports and ended with the tests.

pytest finds this plugin by itself where kt is installed (``-p no:kt`` leaves it out)::

    def test_visits(kt_db):
        assert kt_db.incr("visits") == 1

====================  =========  ===================================================================
fixture               scope      gives
====================  =========  ===================================================================
kt_server             session    a running `EmbeddedServer` (Kyoto Tycoon)
kt_db                 test       a `KyotoTycoon` client of it, every database empty
kt_async_db           test       an `AsyncKyotoTycoon` client of it, every database empty
kt_tyrant_server      session    a running `EmbeddedTokyoTyrantServer`
kt_tyrant             test       a `TokyoTyrant` client of it, the database empty
kt_async_tyrant       test       an `AsyncTokyoTyrant` client of it, the database empty
kt_table_server       session    a running `EmbeddedTokyoTyrantServer` with a table database
kt_table              test       a `TokyoTyrant` client of it, without rows
kt_local              test       an empty database in this process, as `kt.open` opens it
kt_start_server       test       a function that starts one more server, ended with the test
kt_start_tyrant       test       the same for Tokyo Tyrant
kt_client_options     session    options for the clients; override it to give them a serializer
====================  =========  ===================================================================

A server starts when a test first asks for it. With xdist each worker has servers of its own, so
that tests never see each other's records. A server that a test has killed is started again for the
next one. Files of databases are in temporary directories.

Which servers, with which databases and options, is said in pytest's configuration: see
`pytest_addoption`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from kt.client.tycoon.client import KyotoTycoon
    from kt.client.tycoon.client_async import AsyncKyotoTycoon
    from kt.client.tyrant.client import TokyoTyrant
    from kt.client.tyrant.client_async import AsyncTokyoTyrant
    from kt.embedded import EmbeddedServer, EmbeddedTokyoTyrantServer

IN_MEMORY = "*+-%:"
"""First letters of databases that have no file."""

LIBRARY = "kt.lua"
"""What `kt_scripts` calls the library of Lua scripts that comes with kt."""

TIMEOUT = 60.0
"""Seconds that a call of a fixture's client may take, so that a test does not hang."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what says which servers are started, and how."""
    group = parser.getgroup("kt", "servers of the kt fixtures")
    group.addoption("--kt-server", help="program for Kyoto Tycoon (default: ini kt_server)")
    group.addoption("--kt-tyrant", help="program for Tokyo Tyrant (default: ini kt_tyrant)")
    add = parser.addini
    add("kt_server", "program for Kyoto Tycoon: kt-tycoon, or a path", default="kt-tycoon")
    add("kt_databases", "databases of kt_server", type="args", default=["*"])
    add("kt_server_args", "options for kt_server, as on its command line", type="args", default=[])
    add("kt_tyrant", "program for Tokyo Tyrant: kt-tyrant, or a path", default="kt-tyrant")
    add("kt_tyrant_database", "database of kt_tyrant_server", default="*")
    add("kt_table_database", "database of kt_table_server", default="table.tct")
    add("kt_tyrant_args", "options for the Tokyo Tyrant servers", type="args", default=[])
    add("kt_scripts", "file with Lua functions for all servers; kt.lua: the library", default="")


def _program(config: pytest.Config, name: str) -> str:
    return str(config.getoption(name) or config.getini(name))


def _scripts(config: pytest.Config) -> str | None:
    """The file of Lua functions; a relative name is below pytest's root directory."""
    name = str(config.getini("kt_scripts"))
    if name == LIBRARY:
        from kt.lua import SCRIPTS

        return SCRIPTS
    return str(config.rootpath / name) if name else None


def _below(directory: Path, database: str | os.PathLike[str]) -> str:
    """The name of a database, whose file is below this directory if it has one."""
    name = os.fspath(database)
    return name if name[:1] in IN_MEMORY else str(directory / name)


def _tycoon(
    config: pytest.Config,
    directory: Path,
    databases: Sequence[str | os.PathLike[str]],
    args: Sequence[str],
    scripts: str | os.PathLike[str] | None,
) -> EmbeddedServer:
    from kt.embedded import EmbeddedServer

    return EmbeddedServer(
        _program(config, "kt_server"),
        database=[_below(directory, name) for name in databases],
        server_args=args,
        scripts=_scripts(config) if scripts is None else scripts,
    )


def _tyrant(
    config: pytest.Config,
    directory: Path,
    database: str | os.PathLike[str],
    args: Sequence[str],
    scripts: str | os.PathLike[str] | None,
) -> EmbeddedTokyoTyrantServer:
    from kt.embedded import EmbeddedTokyoTyrantServer

    return EmbeddedTokyoTyrantServer(
        _program(config, "kt_tyrant"),
        database=_below(directory, database),
        server_args=args,
        scripts=_scripts(config) if scripts is None else scripts,
    )


# ---------------------------------------------------------------------------------- for a session


@pytest.fixture(scope="session")
def kt_client_options() -> dict[str, Any]:
    """Options for the clients, as their classes take them. Override it to have others."""
    return {"timeout": TIMEOUT}


@pytest.fixture(scope="session")
def kt_server(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmbeddedServer]:
    """A running Kyoto Tycoon server, the same one for all tests of a worker."""
    databases = pytestconfig.getini("kt_databases")
    args = pytestconfig.getini("kt_server_args")
    directory = tmp_path_factory.mktemp("kt-server")
    with _tycoon(pytestconfig, directory, databases, args, None) as server:
        yield server


@pytest.fixture(scope="session")
def kt_tyrant_server(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmbeddedTokyoTyrantServer]:
    """A running Tokyo Tyrant server, the same one for all tests of a worker."""
    database = pytestconfig.getini("kt_tyrant_database")
    args = pytestconfig.getini("kt_tyrant_args")
    directory = tmp_path_factory.mktemp("kt-tyrant")
    with _tyrant(pytestconfig, directory, database, args, None) as server:
        yield server


@pytest.fixture(scope="session")
def kt_table_server(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmbeddedTokyoTyrantServer]:
    """A running Tokyo Tyrant server with a table database, the same one for all tests."""
    database = pytestconfig.getini("kt_table_database")
    args = pytestconfig.getini("kt_tyrant_args")
    directory = tmp_path_factory.mktemp("kt-table")
    with _tyrant(pytestconfig, directory, database, args, None) as server:
        yield server


# ------------------------------------------------------------------------------------- for a test


def _empty_tycoon(server: EmbeddedServer) -> None:
    server.run()  # if a test has ended it
    for db in range(max(1, len(server.databases))):
        server.client.clear(db)


def _empty_tyrant(server: EmbeddedTokyoTyrantServer) -> None:
    server.run()
    server.client.clear()


@pytest.fixture
def kt_db(
    kt_server: EmbeddedServer, kt_client_options: dict[str, Any]
) -> Iterator[KyotoTycoon[Any, Any]]:
    """A client for Kyoto Tycoon; every database of the server is empty."""
    _empty_tycoon(kt_server)
    with kt_server.connect(**kt_client_options) as client:
        yield client


@pytest.fixture
def kt_async_db(
    kt_server: EmbeddedServer, kt_client_options: dict[str, Any]
) -> AsyncKyotoTycoon[Any, Any]:
    """An asyncio client for Kyoto Tycoon; every database of the server is empty.

    It connects in the event loop that first uses it, and its connections end with that loop.
    """
    from kt.client.tycoon.client_async import AsyncKyotoTycoon

    _empty_tycoon(kt_server)
    return AsyncKyotoTycoon(kt_server.host, kt_server.port, **kt_client_options)


@pytest.fixture
def kt_tyrant(
    kt_tyrant_server: EmbeddedTokyoTyrantServer, kt_client_options: dict[str, Any]
) -> Iterator[TokyoTyrant[Any, Any]]:
    """A client for Tokyo Tyrant; the database is empty."""
    _empty_tyrant(kt_tyrant_server)
    with kt_tyrant_server.connect(**kt_client_options) as client:
        yield client


@pytest.fixture
def kt_async_tyrant(
    kt_tyrant_server: EmbeddedTokyoTyrantServer, kt_client_options: dict[str, Any]
) -> AsyncTokyoTyrant[Any, Any]:
    """An asyncio client for Tokyo Tyrant; the database is empty. See `kt_async_db`."""
    from kt.client.tyrant.client_async import AsyncTokyoTyrant

    _empty_tyrant(kt_tyrant_server)
    return AsyncTokyoTyrant(kt_tyrant_server.host, kt_tyrant_server.port, **kt_client_options)


@pytest.fixture
def kt_table(kt_table_server: EmbeddedTokyoTyrantServer) -> Iterator[TokyoTyrant[str, str]]:
    """A client for Tokyo Tyrant; the database is a table without rows. Its indices stay."""
    _empty_tyrant(kt_table_server)
    with kt_table_server.connect(timeout=TIMEOUT) as client:
        yield client


@pytest.fixture
def kt_local() -> Iterator[KyotoTycoon[str, str]]:
    """An empty database of Kyoto Cabinet in this process, without a server."""
    from kt.local.opening import open_database

    with open_database("*") as client:
        yield client


@pytest.fixture
def kt_start_server(
    pytestconfig: pytest.Config, tmp_path: Path
) -> Iterator[Callable[..., EmbeddedServer]]:
    """Start Kyoto Tycoon servers: ``kt_start_server("*", "a.kch", args=["-th", "8"])``.

    Without a database it is one in memory. Files are below `tmp_path`. `scripts` names a file of
    Lua functions. The servers end with the test.
    """
    started: list[EmbeddedServer] = []

    def start(
        *databases: str | os.PathLike[str],
        args: Sequence[str] = (),
        scripts: str | os.PathLike[str] | None = None,
    ) -> EmbeddedServer:
        server = _tycoon(pytestconfig, tmp_path, databases or ["*"], args, scripts)
        server.run()
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def kt_start_tyrant(
    pytestconfig: pytest.Config, tmp_path: Path
) -> Iterator[Callable[..., EmbeddedTokyoTyrantServer]]:
    """Start Tokyo Tyrant servers: ``kt_start_tyrant("a.tcb", args=["-mul", "2"])``.

    As `kt_start_server`, with one database each.
    """
    started: list[EmbeddedTokyoTyrantServer] = []

    def start(
        database: str | os.PathLike[str] = "*",
        args: Sequence[str] = (),
        scripts: str | os.PathLike[str] | None = None,
    ) -> EmbeddedTokyoTyrantServer:
        server = _tyrant(pytestconfig, tmp_path, database, args, scripts)
        server.run()
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()
