"""The connections under AsyncKyotoTycoon: leases, and many requests on one of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import repeat
from typing import Any

import pytest

from kt.client.tycoon.client_async import AsyncKyotoTycoon
from kt.errors import ProtocolError, ServerConnectionError, ServerError, ServerTimeoutError
from kt.wire.tycoon import (
    ERROR_REPLY,
    NEVER,
    pack_get,
    pack_get_bulk_reply,
    pack_set,
    read_get_reply,
    read_set_bulk_reply,
)
from tests.client.peers import Conversation, Peer

Call = tuple[bytes, Any]

HIT = pack_get_bulk_reply([(0, b"k", b"v", NEVER)])


def gets(keys: Iterator[str] | list[str]) -> Iterator[Call]:
    return ((pack_get(key, 0), read_get_reply) for key in keys)


async def collect(batches: AsyncIterator[list[Any]], into: list[Any]) -> list[Any]:
    """Take what comes, also if an error follows."""
    async for replies in batches:
        into += replies
    return into


async def test_many_requests_at_once(async_tycoon: AsyncKyotoTycoon) -> None:
    values = {str(i): (str(i) * 100).encode() for i in range(5000)}
    sets = [(pack_set(key, value, 0, NEVER), read_set_bulk_reply) for key, value in values.items()]
    async with async_tycoon._pool.lease(10) as connection:
        assert await collect(connection.call_many(sets, 10), []) == [1] * len(sets)
        found = await collect(connection.call_many(gets(list(values)), 10), [])
        assert found == list(values.values())
        assert await collect(connection.call_many([], 10), []) == []
        assert await connection.call(pack_get("7", 0), read_get_reply, 10) == b"7" * 100


async def test_more_than_the_buffers_hold(async_tycoon: AsyncKyotoTycoon) -> None:
    """The server does not read on while it cannot write: replies are read in between."""
    await async_tycoon.set("k", "v" * 10_000)
    count = 0
    async with async_tycoon._pool.lease(10) as connection:
        calls = gets("k" for _ in range(20_000))
        async for replies in connection.call_many(calls, 10):
            assert {len(value) for value in replies} == {10_000}
            count += len(replies)
    assert count == 20_000


async def test_a_million_requests_through_small_buffers(peer: Peer) -> None:
    """The peer reads no further before it has written: a naive client and it would both stop."""
    count = 1_000_000
    request = pack_get("k", 0)

    def behave(talk: Conversation) -> None:
        talk.hold_little(8192)
        talk.answer_unparsed(len(request), HIT)

    peer.behave(behave)
    answered = 0
    async with AsyncKyotoTycoon(peer.host, peer.port) as db, db._pool.lease(10) as connection:
        calls = repeat((request, read_get_reply), count)
        async for replies in connection.call_many(calls, 10):
            assert set(replies) == {b"v"}
            answered += len(replies)
    assert answered == count


async def test_requests_are_taken_as_there_is_room(peer: Peer) -> None:
    """What has not been asked for yet is bounded, however many requests there are."""
    taken = 0

    def keys() -> Iterator[str]:
        nonlocal taken
        for _ in range(1_000_000):
            taken += 1
            yield "k" * 1000

    peer.behave(Conversation.wait_for_end)
    db = AsyncKyotoTycoon(peer.host, peer.port)
    connection = await db._pool.acquire(10)
    with pytest.raises(ServerTimeoutError):
        await collect(connection.call_many(gets(keys()), 0.3), [])
    db._pool.release(connection)
    assert taken < 50_000
    await db.close()


async def test_an_error_is_that_requests_alone(peer: Peer) -> None:
    def behave(talk: Conversation) -> None:
        talk.answer(1, HIT)
        talk.answer(1, ERROR_REPLY)
        talk.answer(2, HIT)

    peer.behave(behave)
    async with AsyncKyotoTycoon(peer.host, peer.port) as db, db._pool.lease(10) as connection:
        found = await collect(connection.call_many(gets(["k"] * 3), 10), [])
        assert (found[0], found[2]) == (b"v", b"v")
        assert isinstance(found[1], ServerError)
        assert await connection.call(pack_get("k", 0), read_get_reply, 10) == b"v"


@pytest.mark.parametrize(
    ("last", "error"),
    [(b"", ServerConnectionError), (HIT[:9], ProtocolError), (b"?", ProtocolError)],
)
async def test_replies_that_break_off(peer: Peer, last: bytes, error: type[Exception]) -> None:
    def behave(talk: Conversation) -> None:
        for _ in range(3):
            talk.request()
        talk.send(HIT + HIT + last)

    peer.behave(behave)
    found: list[Any] = []
    async with AsyncKyotoTycoon(peer.host, peer.port) as db, db._pool.lease(10) as connection:
        with pytest.raises(error):
            await collect(connection.call_many(gets(["k"] * 3), 10), found)
        assert connection.closed
    assert found == [b"v", b"v"]


async def test_a_lease_is_used_again(peer: Peer) -> None:
    peer.behave(lambda talk: talk.serve(HIT))
    async with AsyncKyotoTycoon(peer.host, peer.port) as db:
        for _ in range(3):
            async with db._pool.lease(10) as connection:
                assert await connection.call(pack_get("k", 0), read_get_reply, 10) == b"v"
    assert peer.connections == 1


async def test_a_lease_that_died_is_replaced(peer: Peer) -> None:
    peer.behave(lambda talk: talk.answer(1, HIT), lambda talk: talk.serve(HIT))
    async with AsyncKyotoTycoon(peer.host, peer.port) as db:
        for number in (1, 2, 3):
            async with db._pool.lease(10) as connection:
                assert await connection.call(pack_get("k", 0), read_get_reply, 10) == b"v"
            if number == 1:
                peer.wait_for_end_of(1)
    assert peer.connections == 2


async def test_a_closed_pool_closes_its_leases(peer: Peer) -> None:
    peer.behave(Conversation.wait_for_end)
    db = AsyncKyotoTycoon(peer.host, peer.port)
    async with db._pool.lease(10) as connection:
        await db.close()
        with pytest.raises(ServerConnectionError):
            await connection.call(pack_get("k", 0), read_get_reply, 10)
    peer.wait_for_end_of(1)
