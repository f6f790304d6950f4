"""AsyncTokyoTyrant and peers that misbehave. What concerns any client is in test_faults_async."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from kt.client.tyrant.client_async import AsyncTokyoTyrant
from kt.client.tyrant.table_query import C
from kt.errors import (
    IncompleteReplyError,
    ProtocolError,
    SerializationError,
    ServerConnectionError,
    ServerError,
)
from kt.wire.tyrant_server import (
    pack_addint_reply,
    pack_get_reply,
    pack_mget_reply,
    pack_misc_reply,
    pack_put_reply,
    pack_rnum_reply,
    pack_stat_reply,
)
from tests.client.peers import Conversation, Peer

HIT = pack_get_reply(b"v")
HUGE = b"\x7f\xff\xff\xff"

SHORT = 0.2
"""Seconds after which a client gives up that is meant to."""

Call = Callable[[AsyncTokyoTyrant], Any]

CALLS: dict[str, tuple[Call, bytes]] = {
    "get": (lambda db: db.get("k"), HIT),
    "set": (lambda db: db.set("k", "v"), pack_put_reply(True)),
    "incr": (lambda db: db.incr("k"), pack_addint_reply(7)),
    "count": (lambda db: db.count(), pack_rnum_reply(7)),
    "stat": (lambda db: db.stat(), pack_stat_reply(b"type\thash\n")),
    "get_bulk": (lambda db: db.get_bulk(["k"]), pack_mget_reply([(b"k", b"v")])),
    "match_prefix": (lambda db: db.match_prefix("k"), pack_misc_reply([b"k"])),
    "match_regexlist": (lambda db: db.match_regexlist("k"), pack_misc_reply([b"k", b"v"])),
    "query": (lambda db: db.query().all(), pack_misc_reply([b"\0k\0name\0Ann"])),
}
calls = pytest.mark.parametrize("name", CALLS)


def connect(peer: Peer, timeout: float = 10) -> AsyncTokyoTyrant:
    return AsyncTokyoTyrant(peer.host, peer.port, timeout=timeout)


def hit(talk: Conversation) -> None:
    talk.serve(HIT)


@calls
async def test_an_answer_byte_by_byte(peer: Peer, name: str) -> None:
    call, reply = CALLS[name]

    def slowly(talk: Conversation) -> None:
        talk.request()
        talk.send_byte_by_byte(reply)
        talk.answer(1, HIT)

    peer.behave(slowly)
    async with connect(peer) as db:
        assert await call(db)
        assert await db.get("k") == "v"
    assert peer.connections == 1


@calls
async def test_an_answer_that_breaks_off(peer: Peer, name: str) -> None:
    call, reply = CALLS[name]

    def break_off(talk: Conversation) -> None:
        talk.request()
        talk.send(reply[:-1])

    peer.behave(break_off, hit)
    async with connect(peer) as db:
        with pytest.raises((ProtocolError, ServerConnectionError)) as caught:
            await call(db)
        assert isinstance(caught.value, ProtocolError) == (len(reply) > 1)
        assert await db.get("k") == "v"


@pytest.mark.parametrize("name", [name for name in CALLS if name != "set"])
async def test_an_answer_that_stops(peer: Peer, name: str) -> None:
    call, reply = CALLS[name]

    def stop(talk: Conversation) -> None:
        talk.request()
        talk.send(reply[:-1])
        talk.wait_for_end()

    peer.behave(stop, hit)
    async with connect(peer, SHORT) as db:
        with pytest.raises(IncompleteReplyError):
            await call(db)
    async with connect(peer) as db:
        assert await db.get("k") == "v"


@pytest.mark.parametrize(
    ("call", "reply"),
    [
        (lambda db: db.get("k"), b"\2"),
        (lambda db: db.get("k"), b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        (lambda db: db.get("k"), b"\0" + HUGE + b"v"),
        (lambda db: db.set("k", "v"), b"\xff"),
        (lambda db: db.get_bulk(["k"]), b"\0\0\0\0\1" + HUGE + HUGE),
        (lambda db: db.match_prefix("k"), b"\0" + HUGE + HUGE),
        (lambda db: db.match_regexlist("k"), pack_misc_reply([b"k", b"v", b"odd"])),
        (lambda db: db.query().all(), pack_misc_reply([b"no key"])),
    ],
)
async def test_an_answer_that_lies(peer: Peer, call: Call, reply: bytes) -> None:
    def lie(talk: Conversation) -> None:
        talk.request()
        talk.send(reply)
        talk.serve(HIT)

    peer.behave(lie, hit)
    tracemalloc.start()
    try:
        async with connect(peer) as db:
            with pytest.raises(ProtocolError):
                await call(db)
            _, peak = tracemalloc.get_traced_memory()
            assert await db.get("k") == "v"
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000


async def test_counts_are_not_believed(peer: Peer) -> None:
    def announce(talk: Conversation) -> None:
        talk.request()
        talk.send(b"\0\xff\xff\xff\xff")
        talk.wait_for_end()

    peer.behave(announce)
    tracemalloc.start()
    try:
        async with connect(peer, SHORT) as db:
            with pytest.raises(IncompleteReplyError):
                await db.get_bulk(["k"])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000


async def test_a_failure_leaves_the_connection_in_step(peer: Peer) -> None:
    def fail(talk: Conversation) -> None:
        talk.answer(1, b"\1")
        talk.answer(1, pack_misc_reply(None))
        talk.answer(1, pack_mget_reply([(b"k", b"\xff")]))
        talk.answer(1, HIT)

    peer.behave(fail)
    async with connect(peer) as db:
        with pytest.raises(ServerError) as caught:
            await db.set("k", "v")
        assert (caught.value.code, caught.value.message) == (
            1,
            "the server reports that put failed",
        )
        with pytest.raises(ServerError, match="table"):
            await db.query().filter(C.a == 1).count()
        with pytest.raises(SerializationError, match="'k'"):
            await db.get_bulk(["k"])
        assert await db.get("k") == "v"
    assert peer.connections == 1


async def test_a_write_is_not_sent_twice(peer: Peer) -> None:
    def hang_up(talk: Conversation) -> None:
        talk.answer(1, HIT)
        talk.request()

    peer.behave(hang_up)
    async with connect(peer) as db:
        assert await db.get("k") == "v"
        with pytest.raises(ServerConnectionError) as caught:
            await db.incr("k")
        assert caught.value.sent is True
    assert peer.connections == 1
