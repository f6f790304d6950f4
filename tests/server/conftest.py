"""A bundled server for tests of what goes over its connections."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .http_client import Caller
from .processes import ServerProcess

StartServer = Callable[..., ServerProcess]


def starter(program: str, tmp_path: Path) -> Iterator[StartServer]:
    """A function that starts servers, each in a directory of its own, until the test ends."""
    started: list[ServerProcess] = []

    def start(*databases: str, args: tuple[str, ...] = (), **options: Any) -> ServerProcess:
        directory = tmp_path / f"{program}-{len(started)}"
        directory.mkdir()
        server = ServerProcess(program, *args, databases=databases, directory=directory, **options)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartServer]:
    """Start kt-tycoon with these databases."""
    yield from starter("kt-tycoon", tmp_path)


@pytest.fixture
def start_kt_tyrant(tmp_path: Path) -> Iterator[StartServer]:
    """Start kt-tyrant with this database."""
    yield from starter("kt-tyrant", tmp_path)


@pytest.fixture
def hang_up_ends() -> Iterator[None]:
    """SIGHUP has its ordinary meaning for servers that are started, also if we run after nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def server(start: StartServer) -> ServerProcess:
    """kt-tycoon with a hash and a tree database in memory, quiet."""
    return start("*", "%", args=("-ls",))


@pytest.fixture
def call(server: ServerProcess) -> Iterator[Caller]:
    """A connection to `server`."""
    with Caller(server) as caller:
        yield caller
