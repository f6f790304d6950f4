"""What clients tell of their calls, and to whom."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from kt.client.observed_async import UNOBSERVED, _observed
from kt.client.slow import slow_calls
from kt.client.tycoon.client_async import AsyncKyotoTycoon
from kt.client.tyrant.client_async import AsyncTokyoTyrant
from kt.embedded import EmbeddedServer, EmbeddedTokyoTyrantServer
from kt.errors import ArgumentError, ServerConnectionError, ServerError
from kt.serializers import KT_JSON
from tests.local_server import LocalServer


class Calls:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.seconds: list[float] = []
        self.errors: list[BaseException | None] = []

    def __call__(self, name: str, seconds: float, error: BaseException | None) -> None:
        self.names.append(name)
        self.seconds.append(seconds)
        self.errors.append(error)


def served(server: EmbeddedServer | EmbeddedTokyoTyrantServer) -> tuple[str, Any]:
    if isinstance(server, LocalServer):
        pytest.skip("clients of a server are observed")
    return server.host, server.port


async def test_calls_of_tycoon(tycoon_server: EmbeddedServer) -> None:
    calls = Calls()
    host, port = served(tycoon_server)
    async with AsyncKyotoTycoon(host, port, timeout=30, on_call=calls) as db:
        await db.clear()
        await db.set("k", "v")
        assert await db["k"] == "v"
        assert await db.get_int("n") is None
        with pytest.raises(ServerError):
            await db.incr("k")
        async with db.pipeline() as pipe:
            pipe.get("k")
            pipe.set("k", "w")
        assert await db.using(serializer=KT_JSON).set("k", 1)
        assert await db.keys() == ["k"]
    assert calls.names == ["clear", "set", "get", "get_int", "incr", "pipeline", "set", "keys"]
    assert min(calls.seconds) > 0
    assert [type(error) for error in calls.errors[3:6]] == [type(None), ServerError, type(None)]


async def test_calls_of_tyrant(tyrant_server: EmbeddedTokyoTyrantServer) -> None:
    calls = Calls()
    host, port = served(tyrant_server)
    async with AsyncTokyoTyrant(host, port, timeout=30, on_call=calls) as db:
        await db.set("k", "v")
        assert await db.get("k") == "v"
        async with db.pipeline() as pipe:
            pipe.get("k")
    assert calls.names == ["set", "get", "pipeline"]


@pytest.mark.parametrize("kind", [AsyncKyotoTycoon, AsyncTokyoTyrant])
async def test_every_method_is_observed(kind: type[Any]) -> None:
    """Nothing is listened to: each call fails to connect, and is told of."""
    watched = {name for name in vars(_observed(kind)) if not name.startswith("_")}
    methods = {name for name in dir(kind) if callable(getattr(kind, name)) and name[0] != "_"}
    assert watched | UNOBSERVED >= methods
    calls = Calls()
    db = kind("localhost", 1, on_call=calls)
    assert type(db).__name__ == kind.__name__
    assert isinstance(db, kind)
    with pytest.raises(ServerConnectionError):
        await db.status()
    assert calls.names == ["status"]
    assert isinstance(calls.errors[0], ServerConnectionError)


async def test_a_hook_that_fails_breaks_no_call(
    tycoon_server: EmbeddedServer, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(name: str, seconds: float, error: BaseException | None) -> None:
        raise RuntimeError("no room for metrics")

    caplog.set_level(logging.ERROR, "kt")
    host, port = served(tycoon_server)
    async with AsyncKyotoTycoon(host, port, timeout=30, on_call=fail) as db:
        await db.set("k", "v")
    assert "no room for metrics" in caplog.text


async def test_slow_calls_are_logged(
    tycoon_server: EmbeddedServer, caplog: pytest.LogCaptureFixture
) -> None:
    host, port = served(tycoon_server)
    async with AsyncKyotoTycoon(host, port, timeout=30, on_call=slow_calls(100)) as db:
        await db.set("k", "v")
    assert not caplog.records
    db = AsyncKyotoTycoon(host, port, timeout=30, on_call=slow_calls(1e-9))
    with pytest.raises(ServerError):
        await db.incr("k")
    await db.close()
    assert [record.name for record in caplog.records] == ["kt"]
    assert caplog.messages[0].startswith("incr took ")
    assert "and failed: ServerError" in caplog.messages[0]
    with pytest.raises(ArgumentError, match="limit"):
        slow_calls(0)


async def test_what_is_no_hook() -> None:
    with pytest.raises(ArgumentError, match="on_call"):
        AsyncKyotoTycoon(on_call="print")  # type: ignore[call-overload]
    assert type(AsyncKyotoTycoon()) is AsyncKyotoTycoon
