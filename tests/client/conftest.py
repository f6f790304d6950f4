"""Tests of the clients.

A test that is a coroutine runs twice, on asyncio and on uvloop; afterwards its clients are closed,
and no task may be left. Files ``test_*_async.py`` have a blocking twin, which
tools/async_to_sync.py makes of them: what is tested of one client is tested of the other.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
import uvloop

from kt.client.base_async import AsyncClient
from kt.client.tycoon.client import KyotoTycoon
from kt.client.tycoon.client_async import AsyncKyotoTycoon
from kt.client.tyrant.client import TokyoTyrant
from kt.client.tyrant.client_async import AsyncTokyoTyrant
from kt.embedded import EmbeddedServer, EmbeddedTokyoTyrantServer
from kt.errors import ServerConnectionError, ServerStartError
from kt.net.endpoint import Endpoint
from tests.client.peers import Peer
from tests.local_server import LocalServer

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if inspect.iscoroutinefunction(metafunc.function):
        metafunc.fixturenames.append("loop_kind")
        metafunc.parametrize("loop_kind", LOOPS)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Skip what makes a client of its own: to a database in this process there is no network."""
    try:
        return (yield)
    except (ServerConnectionError, ServerStartError) as error:
        alone = str(error).startswith(("cannot connect", "there is no program"))
        if "local" in item.name and alone:
            pytest.skip("it makes a client or server of its own, which needs a network")
        raise


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    with asyncio.Runner(loop_factory=LOOPS[pyfuncitem.callspec.params["loop_kind"]]) as runner:
        runner.run(run_test(pyfuncitem.obj, arguments))
    return True


async def run_test(test: Callable[..., Any], arguments: dict[str, Any]) -> None:
    try:
        await test(**arguments)
    finally:
        for argument in arguments.values():
            if isinstance(argument, AsyncClient):
                await argument.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.fixture
def async_tycoon(tycoon_server: EmbeddedServer, tycoon: KyotoTycoon) -> AsyncKyotoTycoon:
    """An asyncio client of the server that `tycoon` has emptied."""
    if isinstance(tycoon_server, LocalServer):
        return cast("AsyncKyotoTycoon", tycoon_server.connect_async(timeout=30))
    return AsyncKyotoTycoon(tycoon_server.host, tycoon_server.port, timeout=30)


@pytest.fixture
def async_tyrant(tyrant_server: EmbeddedTokyoTyrantServer, tyrant: TokyoTyrant) -> AsyncTokyoTyrant:
    """An asyncio client of the server that `tyrant` has emptied."""
    if isinstance(tyrant_server, LocalServer):
        return cast("AsyncTokyoTyrant", tyrant_server.connect_async(timeout=30))
    return AsyncTokyoTyrant(tyrant_server.host, tyrant_server.port, timeout=30)


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Peer]:
    """A server that behaves as the test says, and may take its time: nobody asks who it is."""
    monkeypatch.setattr(Endpoint, "patience", lambda self, timeout: None)
    with Peer() as peer:
        yield peer
