"""A feed whose reader takes its time, and what interrupts one."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from kt.client.tycoon.client import KyotoTycoon
from kt.client.tycoon.client_async import AsyncKyotoTycoon
from kt.options import Since
from kt.types import Change
from kt.wire import tycoon as binary
from tests.client.masters import change, stay, then, tycoon_master, tycoon_message
from tests.client.peers import Conversation, Peer

COUNT = 500
PIECE = 10_000


def large(number: int) -> Change[bytes, bytes]:
    return change(number)._replace(value=bytes(100_000))


class Flood:
    """Sends 50 MB of changes, and tells when the other side takes no more."""

    def __init__(self) -> None:
        self.blocked = threading.Event()
        self.sent = 0

    def __call__(self, talk: Conversation) -> None:
        talk.request()
        talk.hold_little(65536)
        talk.send(binary.REPLICATION_REPLY)
        for number in range(COUNT):
            message = tycoon_message(large(number))
            for at in range(0, len(message), PIECE):
                if not talk.takes_more(0.5):
                    self.blocked.set()
                talk.send(message[at : at + PIECE])
            self.sent += 1
        talk.wait_for_end()


async def test_no_more_is_read_than_is_asked_for(peer: Peer) -> None:
    flood = Flood()
    peer.behave(flood)
    db: AsyncKyotoTycoon[Any, Any] = AsyncKyotoTycoon(peer.host, peer.port, timeout=10)
    async with db.changes(since=Since.OLDEST) as feed:
        assert (await anext(feed)).key == "key0"
        assert await asyncio.to_thread(flood.blocked.wait, 20)
        assert flood.sent < COUNT // 4  # what fits into the sockets' buffers, at most
        assert [(await anext(feed)).key for _ in range(COUNT - 1)][-1] == f"key{COUNT - 1}"


async def test_a_feed_shares_the_loop(peer: Peer) -> None:
    """However much has come, others get their turn."""
    peer.behave(then(tycoon_master(*range(50_000)), stay))
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    db: AsyncKyotoTycoon[Any, Any] = AsyncKyotoTycoon(peer.host, peer.port, timeout=10)
    async with db.changes(since=Since.OLDEST) as feed:
        counting = asyncio.create_task(count())
        for _ in range(50_000):
            await anext(feed)
        counting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await counting
    assert turns > 300


async def test_waiting_can_be_cancelled(peer: Peer) -> None:
    """And nothing is lost then."""
    go_on = threading.Event()
    peer.behave(
        then(
            tycoon_master(1, cut=10),
            lambda talk: go_on.wait(20),
            lambda talk: talk.send(tycoon_message(change(1))[-10:]),
            stay,
        )
    )
    db: AsyncKyotoTycoon[Any, Any] = AsyncKyotoTycoon(peer.host, peer.port, timeout=10)
    async with db.changes(since=Since.OLDEST) as feed:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(feed), 0.01)
        go_on.set()
        assert (await anext(feed)).key == "key1"


def test_another_thread_may_close_it(peer: Peer) -> None:
    peer.behave(then(tycoon_master(1), stay))
    feed = KyotoTycoon(peer.host, peer.port, timeout=10).changes(since=Since.OLDEST)
    assert next(feed).key == "key1"
    closing = threading.Timer(0.1, feed.close)
    closing.start()
    assert list(feed) == []
    closing.join()


@pytest.mark.parametrize("name", ["kt.client.changes", "kt.client.changes_async"])
def test_a_server_that_falls_silent(peer: Peer, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """It is asked again on another connection."""
    monkeypatch.setattr(f"{name.replace('changes', 'tycoon.changes')}.SILENCE", 0.1)
    peer.behave(
        then(tycoon_master(1), stay), then(tycoon_master(1, 2, since=change(1).stamp - 1), stay)
    )
    if name.endswith("async"):
        assert asyncio.run(take_two(peer)) == ["key1", "key2"]
        return
    with KyotoTycoon(peer.host, peer.port, timeout=10).changes(since=Since.OLDEST) as feed:
        assert [next(feed).key for _ in range(2)] == ["key1", "key2"]


async def take_two(peer: Peer) -> list[Any]:
    db: AsyncKyotoTycoon[Any, Any] = AsyncKyotoTycoon(peer.host, peer.port, timeout=10)
    async with db.changes(since=Since.OLDEST) as feed:
        return [(await anext(feed)).key for _ in range(2)]
