"""Servers for the tests.

Every test that asks for a server runs once for each kind of it: ``bundled`` is ours, ``original``
is the program that the environment names (KTSERVER, TTSERVER) or that is on PATH as ktserver or
ttserver; without one those tests are skipped; ``local`` is a database in this process, as `kt.open`
opens it. ``--servers=bundled`` leaves the other kinds out.

=====================  ===========================================================================
fixture                gives
=====================  ===========================================================================
tycoon_kind            ``"bundled"`` or ``"original"``
start_tycoon           a function: start one with these databases and arguments, for one test
tycoon_server          one server for all tests of a worker, with the databases ``*`` and ``%``
tycoon                 a new client of it, both databases empty
tyrant_kind            as above, for Tokyo Tyrant
start_tyrant
tyrant_server          one for each type of database that the test names, ``*`` if it names none
tyrant                 a new client of it, the database empty
last_call              a library to be preloaded, which kills its process in a certain call
socket_path            where to make a Unix socket
=====================  ===========================================================================

A test names types of Tokyo Tyrant databases like this::

    @pytest.mark.parametrize("tyrant_database", ["+", "casket.tcb"], indirect=True)
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import HealthCheck, settings

from kt.embedded import EmbeddedServer, EmbeddedTokyoTyrantServer

from .local_server import LocalServer

if TYPE_CHECKING:
    from kt.client.tycoon.client import KyotoTycoon
    from kt.client.tyrant.client import TokyoTyrant

# How long an example takes says more about the machine than about the code.
settings.register_profile("kt", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kt")

os.environ.pop("PYTHONUNBUFFERED", None)  # programs are started as their users start them

PROGRAMS = ("bundled", "original")
KINDS = (*PROGRAMS, "local")

LOCAL = "local"
"""In place of a program: no program, a database in this process."""

StartTycoon = Callable[..., EmbeddedServer]
StartTyrant = Callable[..., EmbeddedTokyoTyrantServer]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--servers",
        default=",".join(KINDS),
        help="kinds of server to test against, separated by commas (default: %(default)s)",
    )


def pytest_report_header() -> list[str]:
    return [
        f"original {name}: {find_original(name) or 'not here, so tests against it are skipped'}"
        for name in ("ktserver", "ttserver")
    ]


def find_original(name: str) -> str | None:
    return os.environ.get(name.upper()) or shutil.which(name)


def program(kind: str, bundled: str, original: str, config: pytest.Config) -> str:
    """The program of this kind to test against; skips the test if there is none."""
    if kind not in config.getoption("--servers").split(","):
        pytest.skip(f"--servers leaves out {kind}")
    if kind == "bundled":
        return bundled
    if kind == "local":
        return LOCAL
    found = find_original(original)
    if found is None:
        pytest.skip(f"{original} is not here: put it on PATH or set {original.upper()}")
    return found


def tycoon_of(program: str, databases: Sequence[str], args: Sequence[str] = ()) -> EmbeddedServer:
    """A server of this kind, not yet started."""
    if program != LOCAL:
        return EmbeddedServer(program, database=databases, server_args=args)
    if args:
        pytest.skip(f"a database in this process has no options {' '.join(args)}")
    return cast("EmbeddedServer", LocalServer("tycoon", databases))


def tyrant_of(program: str, database: str, args: Sequence[str] = ()) -> EmbeddedTokyoTyrantServer:
    """A server of this kind, not yet started."""
    if program != LOCAL:
        return EmbeddedTokyoTyrantServer(program, database=database, server_args=args)
    if args:
        pytest.skip(f"a database in this process has no options {' '.join(args)}")
    return cast("EmbeddedTokyoTyrantServer", LocalServer("tyrant", database))


@pytest.fixture(scope="session", params=KINDS)
def tycoon_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def tycoon_way(tycoon_kind: str, pytestconfig: pytest.Config) -> str:
    return program(tycoon_kind, "kt-tycoon", "ktserver", pytestconfig)


@pytest.fixture(scope="session")
def tycoon_program(tycoon_way: str) -> str:
    """The program; skips the test where there is none."""
    if tycoon_way == LOCAL:
        pytest.skip("it needs a program")
    return tycoon_way


@pytest.fixture
def start_tycoon(
    tycoon_way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StartTycoon]:
    """Start servers that end with the test: ``start_tycoon("*", "a.kch", args=["-ord"])``.

    Relative names of database files are below `tmp_path`.
    """
    monkeypatch.chdir(tmp_path)
    started: list[EmbeddedServer] = []

    def start(*databases: str, args: tuple[str, ...] | list[str] = ()) -> EmbeddedServer:
        server = tycoon_of(tycoon_way, databases or ["*"], args)
        server.run()
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="session")
def tycoon_server(tycoon_way: str) -> Iterator[EmbeddedServer]:
    with tycoon_of(tycoon_way, ["*", "%"]) as server:
        yield server


@pytest.fixture
def tycoon(tycoon_server: EmbeddedServer) -> Iterator[KyotoTycoon]:
    with tycoon_server.connect(timeout=30) as client:
        client.clear(db=0)
        client.clear(db=1)
        yield client


@pytest.fixture(scope="session", params=KINDS)
def tyrant_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def tyrant_way(tyrant_kind: str, pytestconfig: pytest.Config) -> str:
    return program(tyrant_kind, "kt-tyrant", "ttserver", pytestconfig)


@pytest.fixture(scope="session")
def tyrant_program(tyrant_way: str) -> str:
    """The program; skips the test where there is none."""
    if tyrant_way == LOCAL:
        pytest.skip("it needs a program")
    return tyrant_way


@pytest.fixture
def start_tyrant(
    tyrant_way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StartTyrant]:
    """Start servers that end with the test: ``start_tyrant("a.tcb#bnum=9", args=["-mul", "2"])``.

    Relative names of database files are below `tmp_path`.
    """
    monkeypatch.chdir(tmp_path)
    started: list[EmbeddedTokyoTyrantServer] = []

    def start(
        database: str = "*", args: tuple[str, ...] | list[str] = ()
    ) -> EmbeddedTokyoTyrantServer:
        server = tyrant_of(tyrant_way, database, args)
        server.run()
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="session", params=["*"])
def tyrant_database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def tyrant_server(
    tyrant_way: str, tyrant_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmbeddedTokyoTyrantServer]:
    database = tyrant_database
    if database[0] not in "*+":
        database = str(tmp_path_factory.mktemp("tyrant") / database)
    with tyrant_of(tyrant_way, database) as server:
        yield server


@pytest.fixture
def tyrant(tyrant_server: EmbeddedTokyoTyrantServer) -> Iterator[TokyoTyrant]:
    with tyrant_server.connect(timeout=30) as client:
        client.clear()
        yield client


@pytest.fixture(scope="session")
def last_call(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The library of crash/last_call.c."""
    library = tmp_path_factory.mktemp("library") / "last_call.so"
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    source = Path(__file__).parent / "crash" / "last_call.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return str(library)


@pytest.fixture
def socket_path() -> Iterator[str]:
    """Not below `tmp_path`: the path of a Unix socket has at most about 100 characters."""
    with tempfile.TemporaryDirectory(prefix="kt-") as directory:
        yield f"{directory}/socket"
