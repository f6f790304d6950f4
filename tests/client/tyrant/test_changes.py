# Generated from test_changes_async.py by tools/async_to_sync.py: edit that one.
"""Changes of a running Tokyo Tyrant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kt.client.tyrant.changes import TyrantChanges
from kt.client.tyrant.client import TokyoTyrant
from kt.errors import ArgumentError, LogGapError, ProtocolError, ServerConnectionError, ServerError
from kt.options import Since
from kt.serializers import KT_NONE
from kt.types import Change, What
from kt.wire import tyrant, tyrant_server
from kt.wire.log import tyrant as log
from kt.wire.log.positions import PATIENCE
from tests.client.masters import (
    SERVER,
    STAMP,
    TYRANT_REST,
    change,
    recorded,
    replay,
    stay,
    then,
    tyrant_master,
    tyrant_message,
)
from tests.client.peers import Conversation, Peer

MICROSECONDS = STAMP // 1000


def connect(peer: Peer, **options: Any) -> TokyoTyrant[Any, Any]:
    return TokyoTyrant(peer.host, peer.port, timeout=10, **options)


def take(feed: TyrantChanges[Any, Any], count: int) -> list[Any]:
    return [next(feed).key for _ in range(count)]


@pytest.mark.parametrize("step", [1, 7, 65536])
def test_the_recorded_stream(peer: Peer, step: int) -> None:
    """What a ttserver sent to its slave."""
    expected, at = [], 4
    messages = b"".join(data for sender, data in recorded("tyrant") if sender == "master")
    while at < len(messages):
        update, at = tyrant.read_update(messages, at)  # type: ignore[misc]
        if update is not None:
            record = log.Record(update.since, update.server, 0, update.request)
            expected.append(log.decode_command(record))
    assert len(expected) > 5
    peer.behave(replay("tyrant", step))
    db = connect(peer, serializer=KT_NONE, decode_keys=False)
    with db.changes(since=Since.OLDEST, as_sid=2, everything=True) as feed:
        assert [next(feed) for _ in expected] == expected


def test_it_goes_on_when_the_connection_ends(peer: Peer) -> None:
    peer.behave(
        tyrant_master(1, 2, since=1),
        tyrant_master(1, 2, 3, since=1, cut=1),
        tyrant_master(1, 2, 3, 4, since=1, cut=50),
        tyrant_master(since=1),
        lambda talk: talk.request(),  # hangs up: it is about to end
        then(tyrant_master(1, 2, 3, 4, 5, since=1), stay),
    )
    with connect(peer).changes(since=Since.OLDEST) as feed:
        assert take(feed, 5) == [f"key{n}" for n in range(1, 6)]
        assert feed.position == f"tyrant:1+5@{change(5).stamp // 1000}"


def test_it_goes_on_from_a_saved_position(peer: Peer) -> None:
    """Also among changes of the same time, and near those of an earlier one."""
    changes = [change(n)._replace(stamp=STAMP - n // 3 * 1000) for n in range(9)]

    def send(talk: Conversation) -> None:
        talk.request()
        talk.send(tyrant_server.pack_repl_reply(SERVER) + TYRANT_REST)
        talk.send(b"".join(map(tyrant_message, changes)))
        talk.wait_for_end()

    position = "tyrant:1"
    for n in range(9):
        peer.behave(send)
        with connect(peer).changes(since=position) as feed:
            assert take(feed, 1) == [f"key{n}"]
            position = feed.position or ""


def test_a_gap(peer: Peer) -> None:
    peer.behave(
        tyrant_master(1, 2), then(tyrant_master(5, 6), stay), then(tyrant_master(5, 6), stay)
    )
    db = connect(peer)
    feed = db.changes(since=Since.OLDEST)
    assert take(feed, 2) == ["key1", "key2"]
    with pytest.raises(LogGapError) as caught:
        next(feed)
    with db.changes(since=caught.value.oldest) as rest:
        assert take(rest, 2) == ["key5", "key6"]


def test_a_log_that_is_empty_now(peer: Peer) -> None:
    rests = TYRANT_REST * PATIENCE
    peer.behave(then(tyrant_master(), lambda talk: talk.send(rests), stay))
    feed = connect(peer).changes(since=f"tyrant:{MICROSECONDS}+1@{MICROSECONDS}")
    with pytest.raises(LogGapError):
        next(feed)


def test_what_is_selected(peer: Peer) -> None:
    changes = [
        change(1),
        change(2)._replace(sid=8),
        change(3)._replace(what=What.APPEND),
        change(4)._replace(failed=True),
        Change(What.REMOVE, change(5).stamp, SERVER, key=b"other"),
        Change(What.CLEAR, change(6).stamp, SERVER),
        Change(What.SYNC, change(7).stamp, SERVER),
        Change(What.CALL, change(8).stamp, SERVER, name=b"putlist", items=(b"a", b"b")),
        Change(What.CALL, change(8).stamp, SERVER, name=b"getlist", items=(b"a",)),
        change(9),
    ]

    def send(talk: Conversation) -> None:
        talk.request()
        talk.send(tyrant_server.pack_repl_reply(SERVER) + TYRANT_REST)
        talk.send(b"".join(map(tyrant_message, changes)))
        talk.wait_for_end()

    every = ["key1", "key2", "key3", "key4", "other", None, None, None, None, "key9"]
    for options, expected in (
        ({"everything": True}, every),
        ({}, ["key1", "key2", "key3", "other", None, None, "key9"]),
        ({"sid": 8}, ["key2"]),
        ({"prefix": "key"}, ["key1", "key2", "key3", None, None, "key9"]),
    ):
        peer.behave(send)
        with connect(peer).changes(since=Since.OLDEST, **options) as feed:  # type: ignore[arg-type]
            assert take(feed, len(expected)) == expected


def test_where_it_begins(peer: Peer) -> None:
    moment = datetime.fromtimestamp(STAMP // 10**9, UTC) + timedelta(microseconds=3)
    peer.behave(
        then(tyrant_master(1, since=MICROSECONDS + 3), stay),
        lambda talk: talk.answer(1, tyrant_server.pack_stat_reply(b"time\t1795000000.25\n")),
        then(tyrant_master(1, since=MICROSECONDS + 250_000), stay),
    )
    db = connect(peer)
    with db.changes(since=moment) as feed:
        assert take(feed, 1) == ["key1"]
    with db.changes() as feed:
        assert take(feed, 1) == ["key1"]
    db.close()


def test_a_server_that_refuses(peer: Peer) -> None:
    def without_log(talk: Conversation) -> None:
        talk.request()
        talk.send(tyrant_server.pack_repl_reply(SERVER))

    count = b"\0" + (1).to_bytes(8)
    peer.behave(lambda talk: talk.request(), lambda talk: talk.serve(count), without_log)
    db = connect(peer)
    with pytest.raises(ServerError, match="refuses"):
        next(db.changes(since=Since.OLDEST))
    with pytest.raises(ServerError, match="no update log"):
        next(db.changes(since=Since.OLDEST))


def test_nobody_listens() -> None:
    with Peer() as peer:
        pass
    with pytest.raises(ServerConnectionError, match="cannot connect"):
        next(connect(peer).changes(since=Since.OLDEST))


def test_what_is_no_change(peer: Peer) -> None:
    peer.behave(then(tyrant_master(), lambda talk: talk.send(b"HTTP/1.1 400 Bad Request"), stay))
    with pytest.raises(ProtocolError):
        next(connect(peer).changes(since=Since.OLDEST))


def test_the_end(peer: Peer) -> None:
    peer.behave(then(tyrant_master(1, 2), stay))
    with connect(peer).changes(since=Since.OLDEST) as feed:
        assert take(feed, 1) == ["key1"]
    assert list(feed) == []
    peer.wait_for_end_of(1)


def test_no_position() -> None:
    db = TokyoTyrant("127.0.0.1", 1)
    with pytest.raises(ArgumentError, match="position"):
        next(db.changes(since="tycoon:1"))
