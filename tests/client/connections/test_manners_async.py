"""How clients connect: as often as told, not for ever, and to the right kind of server."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from kt.client.tycoon.client_async import AsyncKyotoTycoon
from kt.client.tyrant.client_async import AsyncTokyoTyrant
from kt.embedded import EmbeddedServer, EmbeddedTokyoTyrantServer
from kt.errors import ProtocolError, ServerConnectionError, ServerTimeoutError
from kt.net import greetings
from kt.net.endpoint import Endpoint
from kt.options import Retry, Since
from kt.wire.tycoon import NEVER, pack_get_bulk_reply
from tests.client.peers import WAIT, Conversation, Peer
from tests.local_server import LocalServer

HIT = pack_get_bulk_reply([(0, b"k", b"v", NEVER)])
SOON = Retry(1000, backoff=0.001, longest=0.01)


@pytest.fixture
def later() -> Iterator[socket.socket]:
    """A socket with an address, on which nobody listens yet."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock


class Opener(logging.Handler):
    """Lets a server listen when a client has tried in vain so often."""

    def __init__(self, sock: socket.socket, attempts: int) -> None:
        super().__init__()
        self._socket = sock
        self._attempts = attempts

    def emit(self, record: logging.LogRecord) -> None:
        self._attempts -= 1
        if not self._attempts:
            self._socket.listen()


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    logger = logging.getLogger("kt")
    logger.setLevel(logging.INFO)
    handlers = list(logger.handlers)
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(logging.NOTSET)


async def test_a_client_that_starts_before_its_server(
    later: socket.socket, log: logging.Logger
) -> None:
    log.addHandler(Opener(later, 3))
    host, port = later.getsockname()
    async with AsyncKyotoTycoon(host, port, retry=SOON, timeout=30) as db:
        connection = await db._pool.acquire(30)
        db._pool.release(connection)


async def test_it_gives_up_after_so_many_attempts(
    later: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kt")
    host, port = later.getsockname()
    db = AsyncTokyoTyrant(host, port, retry=Retry(3, backoff=0.001))
    with pytest.raises(ServerConnectionError, match="cannot connect"):
        await db.get("k")
    messages = [record.getMessage() for record in caplog.records if record.name == "kt"]
    assert len(messages) == 2
    assert all("trying again" in message for message in messages)


async def test_attempts_end_with_the_timeout(later: socket.socket) -> None:
    host, port = later.getsockname()
    retry = Retry(None, backoff=0.001, longest=0.01)
    db = AsyncKyotoTycoon(host, port, retry=retry, timeout=0.2)
    with pytest.raises((ServerConnectionError, ServerTimeoutError)):
        await db.get("k")


async def test_connecting_has_a_limit_of_its_own() -> None:
    """The queue of those who want to be accepted is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        host, port = full.getsockname()
        db = AsyncKyotoTycoon(host, port, connect_timeout=0.1)
        with (
            socket.create_connection((host, port)),
            pytest.raises(ServerTimeoutError, match="did not accept"),
        ):
            await db.get("k")


async def test_harmless_requests_are_sent_again(peer: Peer) -> None:
    """Also on new connections, on which the server hangs up."""
    peer.behave(*[Conversation.request] * 3, lambda talk: talk.serve(HIT))
    async with AsyncKyotoTycoon(peer.host, peer.port, retry=SOON, timeout=30) as db:
        assert await db.get("k") == "v"
    assert peer.connections == 4


async def test_without_retry_a_new_connection_that_breaks_is_an_error(peer: Peer) -> None:
    peer.behave(Conversation.request)
    db = AsyncKyotoTycoon(peer.host, peer.port, timeout=30)
    with pytest.raises(ServerConnectionError):
        await db.get("k")


async def test_what_may_have_been_done_is_not_sent_again(peer: Peer) -> None:
    peer.behave(Conversation.request)
    db = AsyncKyotoTycoon(peer.host, peer.port, retry=SOON, timeout=30)
    with pytest.raises(ServerConnectionError):
        await db.incr("k")
    assert peer.connections == 1


async def test_a_tycoon_client_at_a_tyrant_server(tyrant_server: EmbeddedTokyoTyrantServer) -> None:
    if isinstance(tyrant_server, LocalServer):
        pytest.skip("a database in this process is opened with its own client")
    db = AsyncKyotoTycoon(tyrant_server.host, tyrant_server.port)
    with pytest.raises(ProtocolError, match="is a Tokyo Tyrant server"):
        await db.get("k")
    with pytest.raises(ProtocolError, match="may be a Tokyo Tyrant server"):
        await db.ping()  # by HTTP, which both speak
    pipe = db.pipeline()
    pipe.get("k")
    with pytest.raises(ProtocolError, match="is a Tokyo Tyrant server"):
        await pipe.execute()


async def test_a_tyrant_client_at_a_tycoon_server(tycoon_server: EmbeddedServer) -> None:
    if isinstance(tycoon_server, LocalServer):
        pytest.skip("a database in this process is opened with its own client")
    db = AsyncTokyoTyrant(tycoon_server.host, tycoon_server.port)
    with pytest.raises(ProtocolError, match="is a Kyoto Tycoon server"):
        await db.get("k")
    pipe = db.pipeline()
    pipe.get("k")
    with pytest.raises(ProtocolError, match="is a Kyoto Tycoon server"):
        await pipe.execute()


async def test_changes_of_the_other_kind_of_server(
    tycoon_server: EmbeddedServer, tyrant_server: EmbeddedTokyoTyrantServer
) -> None:
    """They are asked for on a connection of their own."""
    if isinstance(tycoon_server, LocalServer):
        pytest.skip("a database in this process is opened with its own client")
    tycoon = AsyncKyotoTycoon(tyrant_server.host, tyrant_server.port)
    with pytest.raises(ProtocolError, match="is a Tokyo Tyrant server"):
        await anext(tycoon.changes(since=Since.OLDEST))
    tyrant = AsyncTokyoTyrant(tycoon_server.host, tycoon_server.port)
    with pytest.raises(ProtocolError, match="is a Kyoto Tycoon server"):
        await anext(tyrant.changes(since=Since.OLDEST))


async def get_at_last(db: AsyncKyotoTycoon[str, str] | AsyncTokyoTyrant[str, str]) -> None:
    """Get a record; try again if the time was over before the other kind of server had answered."""
    for _ in range(30):
        with suppress(ServerTimeoutError):
            await db.get("k")


async def test_also_with_a_short_timeout(
    tycoon_server: EmbeddedServer, tyrant_server: EmbeddedTokyoTyrantServer
) -> None:
    if isinstance(tycoon_server, LocalServer):
        pytest.skip("a database in this process is opened with its own client")
    with pytest.raises(ProtocolError, match="is a Tokyo Tyrant server"):
        await get_at_last(AsyncKyotoTycoon(tyrant_server.host, tyrant_server.port, timeout=1))
    with pytest.raises(ProtocolError, match="is a Kyoto Tycoon server"):
        await get_at_last(AsyncTokyoTyrant(tycoon_server.host, tycoon_server.port, timeout=1))


async def test_a_slow_server_is_asked_only_who_it_is(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its late reply is the reply."""
    monkeypatch.setattr(Endpoint, "patience", lambda self, timeout: 0.01)
    asked = threading.Event()

    def late(talk: Conversation) -> None:
        talk.request()
        assert asked.wait(WAIT)
        talk.send(HIT)
        talk.serve(HIT)

    def silent(talk: Conversation) -> None:
        assert talk.read(len(greetings.TYRANT.request)) == greetings.TYRANT.request
        asked.set()
        talk.wait_for_end()

    peer.behave(late, silent)
    async with AsyncKyotoTycoon(peer.host, peer.port, timeout=30) as db:
        assert await db.get("k") == "v"
        assert await db.get("k") == "v"
    assert peer.connections == 2
