"""Changes of a running Kyoto Tycoon."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kt.client.tycoon.changes_async import AsyncTycoonChanges
from kt.client.tycoon.client_async import AsyncKyotoTycoon
from kt.errors import (
    ArgumentError,
    LogGapError,
    ProtocolError,
    SerializationError,
    ServerConnectionError,
    ServerError,
    ServerTimeoutError,
)
from kt.options import Since
from kt.serializers import KT_JSON, KT_NONE
from kt.types import Change, UpdateLogFile, What
from kt.wire import tycoon as binary
from kt.wire.log import tycoon as log
from kt.wire.tycoon_rpc import pack_rpc_reply
from tests.client.masters import (
    SERVER,
    STAMP,
    change,
    recorded,
    replay,
    stay,
    then,
    tycoon_master,
    tycoon_message,
    tycoon_rest,
)
from tests.client.peers import Conversation, Peer


def connect(peer: Peer, **options: Any) -> AsyncKyotoTycoon[Any, Any]:
    return AsyncKyotoTycoon(peer.host, peer.port, timeout=10, **options)


async def take(feed: AsyncTycoonChanges[Any, Any], count: int) -> list[Any]:
    return [(await anext(feed)).key for _ in range(count)]


@pytest.mark.parametrize("step", [1, 7, 65536])
async def test_the_recorded_stream(peer: Peer, step: int) -> None:
    """What a ktserver sent to its slave, with answers where it waits for them."""
    expected, messages, at = [], b"", 1
    messages = b"".join(data for sender, data in recorded("tycoon") if sender == "master")
    while at < len(messages):
        update, at = binary.read_update(messages, at)  # type: ignore[misc]
        if update.message:
            expected.append(log.decode_message(log.Record(*update)))
    assert len(expected) > 10
    peer.behave(replay("tycoon", step))
    db = connect(peer, serializer=KT_NONE, decode_keys=False)
    async with db.changes(since=Since.OLDEST, as_sid=2) as feed:
        assert [await anext(feed) for _ in expected] == expected
        assert feed.position == f"tycoon:{expected[-1].stamp}"


async def test_it_goes_on_when_the_connection_ends(peer: Peer) -> None:
    peer.behave(
        tycoon_master(1, 2, since=0),
        tycoon_master(2, 3, since=change(2).stamp - 1, cut=1),
        tycoon_master(2, 3, 4, since=change(2).stamp - 1, cut=30),
        tycoon_master(since=change(3).stamp - 1),
        then(tycoon_master(3, 4, 5, since=change(3).stamp - 1), stay),
    )
    async with connect(peer).changes(since=Since.OLDEST) as feed:
        assert await take(feed, 5) == [f"key{n}" for n in range(1, 6)]


async def test_it_goes_on_from_a_saved_position(peer: Peer) -> None:
    peer.behave(then(tycoon_master(1, 2), stay), then(tycoon_master(1, 2, 3), stay))
    async with connect(peer).changes(since=Since.OLDEST) as feed:
        assert await take(feed, 1) == ["key1"]
        position = feed.position
    feed = connect(peer).changes(since=position or "")
    assert feed.position == position
    assert await take(feed, 2) == ["key2", "key3"]
    await feed.close()


async def test_a_gap(peer: Peer) -> None:
    peer.behave(tycoon_master(1), tycoon_master(5, 6), then(tycoon_master(5, 6), stay))
    db = connect(peer)
    feed = db.changes(since=Since.OLDEST)
    assert await take(feed, 1) == ["key1"]
    with pytest.raises(LogGapError) as caught:
        await anext(feed)
    assert feed.position == f"tycoon:{change(1).stamp}"
    async with db.changes(since=caught.value.oldest) as rest:
        assert await take(rest, 2) == ["key5", "key6"]


async def test_a_log_that_is_empty_now(peer: Peer) -> None:
    peer.behave(then(tycoon_master(), lambda talk: talk.send(tycoon_rest()), stay))
    feed = connect(peer).changes(since=f"tycoon:{change(1).stamp}")
    with pytest.raises(LogGapError):
        await anext(feed)


async def test_the_master_waits_for_an_answer(peer: Peer) -> None:
    def send_on(talk: Conversation) -> None:
        for number in range(2, 5):
            talk.send(tycoon_rest())
            assert talk.read(1) == log.ACKNOWLEDGEMENT
            talk.send(tycoon_message(change(number)))

    peer.behave(then(tycoon_master(1), send_on, stay))
    async with connect(peer).changes(since=Since.OLDEST) as feed:
        assert await take(feed, 4) == ["key1", "key2", "key3", "key4"]


async def test_what_is_selected(peer: Peer) -> None:
    changes = [
        change(1),
        change(2)._replace(sid=8),
        change(3)._replace(db=1),
        change(4)._replace(key=b"other"),
        Change(What.REMOVE, change(5).stamp, SERVER, 0, b"key5"),
        Change(What.CLEAR, change(6).stamp, SERVER, 0),
        Change(What.OTHER, change(7).stamp, SERVER, 0, number=0xA0, items=(b"note",)),
    ]

    def send(talk: Conversation) -> None:
        talk.request()
        left_out = binary.pack_update(binary.Update(STAMP, b""))  # instead of 256 others
        messages = [left_out, *map(tycoon_message, changes), tycoon_message(change(9))]
        talk.send(binary.REPLICATION_REPLY + b"".join(messages))
        talk.wait_for_end()

    for options, expected in (
        ({}, ["key1", "key2", "key3", "other", "key5", None, None, "key9"]),
        ({"sid": 8}, ["key2"]),
        ({"sid": [8, 9]}, ["key2"]),
        ({"db": 1}, ["key3"]),
        ({"prefix": "key", "db": [0]}, ["key1", "key2", "key5", None, None, "key9"]),
    ):
        peer.behave(send)
        async with connect(peer).changes(since=Since.OLDEST, **options) as feed:  # type: ignore[arg-type]
            assert await take(feed, len(expected)) == expected


async def test_where_it_begins(peer: Peer) -> None:
    moment = datetime.fromtimestamp(STAMP // 10**9, UTC) + timedelta(microseconds=3)
    peer.behave(then(tycoon_master(1, since=STAMP + 3000 - 1), stay))
    async with connect(peer).changes(since=moment) as feed:
        assert await take(feed, 1) == ["key1"]


async def test_now_is_where_the_log_ends(peer: Peer) -> None:
    files = {"ulog/0000000001.ulog": "99:5", "ulog/0000000002.ulog": f"99:{STAMP}"}
    peer.behave(
        lambda talk: talk.answer(1, pack_rpc_reply(200, list(files.items()))),
        then(tycoon_master(1, since=STAMP), stay),
    )
    db = connect(peer)
    assert UpdateLogFile("ulog/0000000002.ulog", 99, STAMP) is not None
    async with db.changes() as feed:
        assert feed.position == f"tycoon:>{STAMP}"
        assert await take(feed, 1) == ["key1"]
    await db.close()


async def test_a_database_without_expiry(peer: Peer) -> None:
    short = change(1)._replace(value=b"v", db=2)

    def send(talk: Conversation) -> None:
        talk.request()
        talk.send(binary.REPLICATION_REPLY + tycoon_message(short, persistent=True))
        talk.wait_for_end()

    peer.behave(send, send)
    db = connect(peer)
    feed = db.changes(since=Since.OLDEST)
    with pytest.raises(ProtocolError, match="ktopts=p"):
        await anext(feed)
    assert feed.position == "tycoon:>0"
    async with db.changes(since=Since.OLDEST, persistent=[2]) as feed:
        assert (await anext(feed)).value == "v"


async def test_a_value_that_does_not_decode(peer: Peer) -> None:
    def send(talk: Conversation) -> None:
        talk.request()
        good = change(2)._replace(value=b"[1]")
        talk.send(binary.REPLICATION_REPLY + tycoon_message(change(1)) + tycoon_message(good))
        talk.wait_for_end()

    peer.behave(send)
    async with connect(peer, serializer=KT_JSON).changes(since=Since.OLDEST) as feed:
        with pytest.raises(SerializationError, match="key1"):
            await anext(feed)
        assert (await anext(feed)).value == [1]


async def test_a_server_without_log(peer: Peer) -> None:
    peer.behave(lambda talk: (talk.request(), talk.send(binary.ERROR_REPLY)))
    with pytest.raises(ServerError, match="no update log"):
        await anext(connect(peer).changes(since=Since.OLDEST))


async def test_nobody_listens() -> None:
    with Peer() as peer:
        pass
    with pytest.raises(ServerConnectionError, match="cannot connect"):
        await anext(connect(peer).changes(since=Since.OLDEST))


async def test_it_gives_up() -> None:
    with Peer() as peer:
        peer.behave(tycoon_master(1))
        feed = connect(peer).changes(since=Since.OLDEST, give_up=0.2)
        assert await take(feed, 1) == ["key1"]
    with pytest.raises(ServerConnectionError, match="cannot connect"):
        await anext(feed)


async def test_a_server_that_does_not_answer(peer: Peer) -> None:
    peer.behave(stay, stay)  # by the second connection the client looks what server it is
    db = AsyncKyotoTycoon(peer.host, peer.port, timeout=0.1)
    with pytest.raises(ServerTimeoutError):
        await anext(db.changes(since=Since.OLDEST))


async def test_what_is_no_change(peer: Peer) -> None:
    peer.behave(then(tycoon_master(), lambda talk: talk.send(b"HTTP/1.1 400 Bad Request"), stay))
    with pytest.raises(ProtocolError):
        await anext(connect(peer).changes(since=Since.OLDEST))


async def test_the_end(peer: Peer) -> None:
    peer.behave(then(tycoon_master(1, 2), stay))
    async with connect(peer).changes(since=Since.OLDEST) as feed:
        async for found in feed:
            assert found.key == "key1"
            break
    assert [found async for found in feed] == []
    await feed.close()
    peer.wait_for_end_of(1)


async def test_a_feed_that_is_forgotten(peer: Peer) -> None:
    peer.behave(then(tycoon_master(1), stay))
    feed = connect(peer).changes(since=Since.OLDEST)
    assert await take(feed, 1) == ["key1"]
    del feed


async def test_no_position() -> None:
    db = AsyncKyotoTycoon("127.0.0.1", 1)
    for since in ("", "1", "tyrant:1"):
        with pytest.raises(ArgumentError, match="position"):
            await anext(db.changes(since=since))
    with pytest.raises(ArgumentError, match="time zone"):
        await anext(db.changes(since=datetime(2026, 1, 1)))
