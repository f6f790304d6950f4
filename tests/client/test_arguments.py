"""What the constructors take; whatever they do not take, they say at once and by its name."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from kt.client.tycoon.client import KyotoTycoon
from kt.client.tycoon.client_async import AsyncKyotoTycoon
from kt.client.tyrant.client import TokyoTyrant
from kt.client.tyrant.client_async import AsyncTokyoTyrant
from kt.embedded import EmbeddedServer, EmbeddedTokyoTyrantServer
from kt.errors import ArgumentError

CLIENTS: list[Callable[..., Any]] = [KyotoTycoon, AsyncKyotoTycoon, TokyoTyrant, AsyncTokyoTyrant]
SERVERS: list[Callable[..., Any]] = [EmbeddedServer, EmbeddedTokyoTyrantServer]

PORTS = ["1978", 1978.0, True, None, -1, 65_536, 2**70, (1978,)]
SECONDS = [
    "1",
    (1, 5),
    timedelta(seconds=1),
    True,
    0,
    -1,
    float("nan"),
    float("inf"),
    10**9,
    [],
    1j,
]
HOSTS = [Path("somewhere"), b"localhost", None, 1, "a..b", "x" * 64, "nul\0"]


def refused(name: str, make: Callable[..., Any], **arguments: Any) -> None:
    with pytest.raises(ArgumentError, match=rf"^{re.escape(name)}\b"):
        make(**arguments)


@pytest.mark.parametrize("client", CLIENTS)
def test_clients_refuse_what_makes_no_sense(client: Callable[..., Any]) -> None:
    for port in PORTS:
        refused("port", client, port=port)
    for seconds in SECONDS:
        refused("timeout", client, timeout=seconds)
        refused("timeout", client().using, timeout=seconds)
    for host in HOSTS:
        refused("host", client, host=host)
    for size in (0, -1, "2", 1.5, None, True):
        refused("pool_size", client, pool_size=size)


@pytest.mark.parametrize("client", CLIENTS)
def test_clients_take_what_makes_sense(client: Callable[..., Any]) -> None:
    assert client(Path("/run/some.sock"), 0).host == "/run/some.sock"
    assert client("bücher.example", 65_535).port == 65_535
    assert client("::1").host == "::1"
    assert client(timeout=5).timeout == 5
    assert client(timeout=Decimal("0.5")).timeout == 0.5
    assert client(timeout=2_000_000).timeout == 2_000_000


@pytest.mark.parametrize("server", SERVERS)
def test_servers_refuse_what_makes_no_sense(server: Callable[..., Any]) -> None:
    for port in PORTS:
        if port is not None:
            refused("port", server, port=port)
    for seconds in SECONDS:
        refused("start_timeout", server, start_timeout=seconds)
        refused("stop_timeout", server, stop_timeout=seconds)
    for host in HOSTS:
        refused("host", server, host=host)
    for name in ("database", "server", "scripts"):
        for value in (1, b"casket.kch", "nul\0"):
            refused(name, server, **{name: value})
    refused("database", server, database=["*", 1])
    for arguments in (["-th", 4], 4, b"-th 4"):
        refused("server_args", server, server_args=arguments)


@pytest.mark.parametrize("server", SERVERS)
def test_servers_take_what_makes_sense(server: Callable[..., Any], tmp_path: Path) -> None:
    assert server(server_args="-th 4 -log 'my log'").server_args == ["-th", "4", "-log", "my log"]
    assert server(server_args=("-log", tmp_path)).server_args == ["-log", str(tmp_path)]
    assert server(database=tmp_path / "casket.kch").databases == [str(tmp_path / "casket.kch")]
    assert server(database=[tmp_path, "*"]).databases == [str(tmp_path), "*"]


@pytest.mark.parametrize("server", SERVERS)
def test_port_of_a_server_that_has_not_run(server: Callable[..., Any]) -> None:
    chosen = server()
    port = chosen.port
    assert 10_000 <= port < 32_768
    assert chosen.port == port


def test_server_runs_with_arguments_as_text() -> None:
    with EmbeddedServer("kt-tycoon", server_args="-th 4") as server:
        assert server.client.set("k", "v") == 1
        assert server.client.port == server.port


@pytest.mark.parametrize("client", [KyotoTycoon, TokyoTyrant])
@pytest.mark.parametrize("call", ["get_bulk", "remove_bulk"])
def test_several_keys(client: Callable[..., Any], call: str) -> None:
    """What is none at all is refused as a single one is."""
    with pytest.raises(ArgumentError, match=r"several keys are needed, .* not 5"):
        getattr(client(), call)(5)


WRONG_DETAILS = {
    "get_bulk_details": ([b"key"], [5], 5),
    "remove_bulk_details": ([b"key"], [5], 5),
    "set_bulk_details": ([(0, "a", "b")], [5], 5),
}


@pytest.mark.parametrize("call", WRONG_DETAILS)
def test_details_say_what_they_are_made_of(call: str) -> None:
    words = r"an iterable of \(db, key" + (", value, expire_time" if call[0] == "s" else "")
    for wrong in WRONG_DETAILS[call]:
        with pytest.raises(ArgumentError, match=words):
            getattr(KyotoTycoon(), call)(wrong)
