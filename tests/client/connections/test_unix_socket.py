"""Both clients at Unix sockets, of the bundled and the original ttserver, and of kt-tycoon."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from kt.client.tycoon.client import KyotoTycoon
from kt.client.tycoon.client_async import AsyncKyotoTycoon
from kt.client.tyrant.client import TokyoTyrant
from kt.client.tyrant.client_async import AsyncTokyoTyrant
from kt.errors import ServerConnectionError
from kt.server.process.delegation import PLAIN_REQUESTS
from tests.server.processes import SECONDS, ServerProcess

MANY = 2 * PLAIN_REQUESTS
"""Requests in a row after which a bundled server has let an I/O thread serve the connection."""

LARGE = "x" * 3_000_000
"""More than a socket takes at once."""


@pytest.fixture
def tyrant_at_path(
    tyrant_program: str, socket_path: str, tmp_path: Path
) -> Iterator[ServerProcess]:
    """A ttserver of each kind that listens at `socket_path`."""
    with ServerProcess(
        tyrant_program, databases=["*"], directory=tmp_path, unix=socket_path
    ) as server:
        yield server


def test_tyrant(tyrant_at_path: ServerProcess, socket_path: str) -> None:
    with TokyoTyrant(socket_path, 0, timeout=SECONDS) as db:
        assert repr(db) == f"<TokyoTyrant {socket_path} KT_BINARY>"
        assert (db.host, db.port) == (socket_path, 0)
        for number in range(MANY):
            db.set(f"k{number}", f"v{number}")
        assert [db.get(f"k{number}") for number in range(MANY)] == [f"v{i}" for i in range(MANY)]
        assert db.set("large", LARGE)
        assert db.get("large") == LARGE
        assert db.count() == MANY + 1
        assert "rnum" in db.stat()
        db.get("k1")


async def test_tyrant_async(tyrant_at_path: ServerProcess, socket_path: str) -> None:
    async with AsyncTokyoTyrant(socket_path, 0, timeout=SECONDS) as db:
        assert repr(db) == f"<AsyncTokyoTyrant {socket_path} KT_BINARY>"
        await asyncio.gather(*[db.set(f"k{number}", f"v{number}") for number in range(MANY)])
        for number in range(MANY):
            assert await db.get(f"k{number}") == f"v{number}"
        assert await db.set("large", LARGE)
        assert await db.get("large") == LARGE
        assert await db.count() == MANY + 1


def test_tyrant_removes_its_file(tyrant_at_path: ServerProcess, socket_path: str) -> None:
    assert stat.S_ISSOCK(os.stat(socket_path).st_mode)
    with TokyoTyrant(socket_path, 0, timeout=SECONDS) as db:
        db.set("k", "v")
        assert tyrant_at_path.stop() == 0
        assert not os.path.exists(socket_path)
        with pytest.raises(
            ServerConnectionError, match=f"cannot connect to {socket_path}: No such file"
        ):
            db.get("k")


async def test_nobody_there(socket_path: str) -> None:
    message = f"cannot connect to {socket_path}: No such file or directory"
    with pytest.raises(ServerConnectionError, match=message) as caught:
        TokyoTyrant(socket_path, 0).get("k")
    assert not caught.value.sent
    with pytest.raises(ServerConnectionError, match=message) as caught:
        await AsyncTokyoTyrant(socket_path, 0).get("k")
    assert not caught.value.sent
    with socket.socket(socket.AF_UNIX) as closed:
        closed.bind(socket_path)
    with pytest.raises(ServerConnectionError, match=f"{socket_path}: Connection refused"):
        TokyoTyrant(socket_path, 0, timeout=SECONDS).get("k")


async def test_tycoon(socket_path: str, tmp_path: Path) -> None:
    with ServerProcess("kt-tycoon", databases=["*"], directory=tmp_path, unix=socket_path):
        async with AsyncKyotoTycoon(socket_path, 0, timeout=SECONDS) as db:
            for number in range(MANY):
                assert await db.set(f"k{number}", "v") == 1
            assert (await db.report())["db_total_count"] == MANY
        with KyotoTycoon(socket_path, 0, timeout=SECONDS) as other:
            assert other.get("k1") == "v"
