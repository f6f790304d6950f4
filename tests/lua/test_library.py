"""What is shipped: the script, its short name, and the package's names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import kt.lua
from kt.client.tycoon.client import KyotoTycoon
from kt.embedded import EmbeddedServer, EmbeddedTokyoTyrantServer
from kt.errors import ArgumentError, ServerError
from tests.lua.servers import TYCOONS, TYRANTS

ROOT = Path(__file__).parent.parent.parent


def test_the_script_is_made_of_its_parts() -> None:
    command = [sys.executable, str(ROOT / "tools/join_lua.py"), "--check"]
    assert subprocess.run(command, check=False).returncode == 0


def test_every_public_name_is_there() -> None:
    for name in kt.lua.__all__:
        assert getattr(kt.lua, name) is not None
    for name in ("AsyncPermit", "async_Hash", "nothing"):
        with pytest.raises(AttributeError):
            getattr(kt.lua, name)


def test_the_short_name_of_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with EmbeddedServer("kt-tycoon", scripts="kt.lua") as server:
        assert kt.lua.Queue(server.client, "jobs").push("a") == 1
    with EmbeddedTokyoTyrantServer("kt-tyrant", scripts="kt.lua") as tyrant:
        assert kt.lua.Queue(tyrant.client, "jobs").push("a") == 1


def test_a_server_without_the_library() -> None:
    with EmbeddedServer("kt-tycoon") as server, pytest.raises(ServerError):
        kt.lua.Hash(server.client, "h").copy()


def test_what_is_no_client() -> None:
    with pytest.raises(ArgumentError):
        kt.lua.Hash(None, "h")  # type: ignore[arg-type]


@pytest.mark.parametrize("lua_server", TYCOONS, indirect=True)
def test_a_call_without_a_key(db: KyotoTycoon) -> None:
    with pytest.raises(ServerError):
        db.lua.hashItems()
    assert db.lua.hashItems(key="h") == {"results": ""}


@pytest.mark.parametrize("lua_server", TYRANTS, indirect=True)
def test_a_call_of_tokyo_tyrants(db: kt.TokyoTyrant) -> None:
    assert db.lua.hashItems("h") == b""
