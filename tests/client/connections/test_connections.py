# Generated from test_connections_async.py by tools/async_to_sync.py: edit that one.
"""The connections under KyotoTycoon: leases, and many requests on one of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import Any

import pytest

from kt.client.tycoon.client import KyotoTycoon
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


def collect(batches: Iterator[list[Any]], into: list[Any]) -> list[Any]:
    """Take what comes, also if an error follows."""
    for replies in batches:
        into += replies
    return into


def test_many_requests_at_once(tycoon: KyotoTycoon) -> None:
    values = {str(i): (str(i) * 100).encode() for i in range(5000)}
    sets = [(pack_set(key, value, 0, NEVER), read_set_bulk_reply) for key, value in values.items()]
    with tycoon._pool.lease(10) as connection:
        assert collect(connection.call_many(sets, 10), []) == [1] * len(sets)
        found = collect(connection.call_many(gets(list(values)), 10), [])
        assert found == list(values.values())
        assert collect(connection.call_many([], 10), []) == []
        assert connection.call(pack_get("7", 0), read_get_reply, 10) == b"7" * 100


def test_more_than_the_buffers_hold(tycoon: KyotoTycoon) -> None:
    """The server does not read on while it cannot write: replies are read in between."""
    tycoon.set("k", "v" * 10_000)
    count = 0
    with tycoon._pool.lease(10) as connection:
        calls = gets("k" for _ in range(20_000))
        for replies in connection.call_many(calls, 10):
            assert {len(value) for value in replies} == {10_000}
            count += len(replies)
    assert count == 20_000


def test_a_million_requests_through_small_buffers(peer: Peer) -> None:
    """The peer reads no further before it has written: a naive client and it would both stop."""
    count = 1_000_000
    request = pack_get("k", 0)

    def behave(talk: Conversation) -> None:
        talk.hold_little(8192)
        talk.answer_unparsed(len(request), HIT)

    peer.behave(behave)
    answered = 0
    with KyotoTycoon(peer.host, peer.port) as db, db._pool.lease(10) as connection:
        calls = repeat((request, read_get_reply), count)
        for replies in connection.call_many(calls, 10):
            assert set(replies) == {b"v"}
            answered += len(replies)
    assert answered == count


def test_requests_are_taken_as_there_is_room(peer: Peer) -> None:
    """What has not been asked for yet is bounded, however many requests there are."""
    taken = 0

    def keys() -> Iterator[str]:
        nonlocal taken
        for _ in range(1_000_000):
            taken += 1
            yield "k" * 1000

    peer.behave(Conversation.wait_for_end)
    db = KyotoTycoon(peer.host, peer.port)
    connection = db._pool.acquire(10)
    with pytest.raises(ServerTimeoutError):
        collect(connection.call_many(gets(keys()), 0.3), [])
    db._pool.release(connection)
    assert taken < 50_000
    db.close()


def test_an_error_is_that_requests_alone(peer: Peer) -> None:
    def behave(talk: Conversation) -> None:
        talk.answer(1, HIT)
        talk.answer(1, ERROR_REPLY)
        talk.answer(2, HIT)

    peer.behave(behave)
    with KyotoTycoon(peer.host, peer.port) as db, db._pool.lease(10) as connection:
        found = collect(connection.call_many(gets(["k"] * 3), 10), [])
        assert (found[0], found[2]) == (b"v", b"v")
        assert isinstance(found[1], ServerError)
        assert connection.call(pack_get("k", 0), read_get_reply, 10) == b"v"


@pytest.mark.parametrize(
    ("last", "error"),
    [(b"", ServerConnectionError), (HIT[:9], ProtocolError), (b"?", ProtocolError)],
)
def test_replies_that_break_off(peer: Peer, last: bytes, error: type[Exception]) -> None:
    def behave(talk: Conversation) -> None:
        for _ in range(3):
            talk.request()
        talk.send(HIT + HIT + last)

    peer.behave(behave)
    found: list[Any] = []
    with KyotoTycoon(peer.host, peer.port) as db, db._pool.lease(10) as connection:
        with pytest.raises(error):
            collect(connection.call_many(gets(["k"] * 3), 10), found)
        assert connection.closed
    assert found == [b"v", b"v"]


def test_a_lease_is_used_again(peer: Peer) -> None:
    peer.behave(lambda talk: talk.serve(HIT))
    with KyotoTycoon(peer.host, peer.port) as db:
        for _ in range(3):
            with db._pool.lease(10) as connection:
                assert connection.call(pack_get("k", 0), read_get_reply, 10) == b"v"
    assert peer.connections == 1


def test_a_lease_that_died_is_replaced(peer: Peer) -> None:
    peer.behave(lambda talk: talk.answer(1, HIT), lambda talk: talk.serve(HIT))
    with KyotoTycoon(peer.host, peer.port) as db:
        for number in (1, 2, 3):
            with db._pool.lease(10) as connection:
                assert connection.call(pack_get("k", 0), read_get_reply, 10) == b"v"
            if number == 1:
                peer.wait_for_end_of(1)
    assert peer.connections == 2


def test_a_closed_pool_closes_its_leases(peer: Peer) -> None:
    peer.behave(Conversation.wait_for_end)
    db = KyotoTycoon(peer.host, peer.port)
    with db._pool.lease(10) as connection:
        db.close()
        with pytest.raises(ServerConnectionError):
            connection.call(pack_get("k", 0), read_get_reply, 10)
    peer.wait_for_end_of(1)
