# Generated from test_faults_async.py by tools/async_to_sync.py: edit that one.
"""KyotoTycoon and peers that misbehave."""

from __future__ import annotations

import contextlib
import struct
import threading
import tracemalloc

import pytest

from kt.client.tycoon.client import KyotoTycoon
from kt.errors import (
    IncompleteReplyError,
    OutcomeUnknown,
    ProtocolError,
    ServerConnectionError,
    ServerError,
    ServerTimeoutError,
)
from kt.wire.tycoon import (
    ERROR_REPLY,
    NEVER,
    pack_get_bulk_reply,
    pack_remove_bulk_reply,
    pack_set_bulk_reply,
)
from kt.wire.tycoon_rpc import pack_rpc_reply
from tests.client.peers import Conversation, Peer
from tests.conftest import StartTycoon

HIT = pack_get_bulk_reply([(0, b"k", b"v", NEVER)])
MISS = pack_get_bulk_reply([])
STORED = pack_set_bulk_reply(1)

SHORT = 0.2
"""Seconds after which a client gives up that is meant to."""

ENOUGH = 1.0
"""The same where a part of the answer is to come before, on a busy machine too."""


def connect(peer: Peer, timeout: float = 10) -> KyotoTycoon:
    return KyotoTycoon(peer.host, peer.port, timeout=timeout)


def hit(talk: Conversation) -> None:
    talk.serve(HIT)


def test_nobody_listens() -> None:
    with Peer() as peer:
        pass
    with connect(peer) as db:
        for _ in range(2):
            with pytest.raises(ServerConnectionError, match="cannot connect") as caught:
                db.get("k")
            assert isinstance(caught.value, ConnectionError)
            assert caught.value.sent is False


def test_a_host_that_is_not_there() -> None:
    db = KyotoTycoon("nothing.invalid", timeout=10)
    with pytest.raises(ServerConnectionError, match=r"nothing\.invalid:1978"):
        db.get("k")


def test_no_answer_in_time(peer: Peer) -> None:
    peer.behave(Conversation.wait_for_end, hit)
    with connect(peer, SHORT) as db:
        with pytest.raises(ServerTimeoutError) as caught:
            db.get("k")
        assert isinstance(caught.value, TimeoutError)
        assert isinstance(caught.value, OutcomeUnknown)
        assert not isinstance(caught.value, ProtocolError)
        assert db.using(timeout=10).get("k") == "v"
    assert peer.connections == 2


def test_half_an_answer_in_time(peer: Peer) -> None:
    def half(talk: Conversation) -> None:
        talk.request()
        talk.send(HIT[:10])
        talk.wait_for_end()

    peer.behave(half, hit)
    with connect(peer, ENOUGH) as db:
        with pytest.raises(IncompleteReplyError) as caught:
            db.get("k")
        assert isinstance(caught.value, ServerTimeoutError | ProtocolError)
        assert isinstance(caught.value, OutcomeUnknown)
        assert db.using(timeout=10).get("k") == "v"


def test_an_answer_that_trickles_in(peer: Peer) -> None:
    """The timeout is for the whole call, not for each byte of the reply."""
    stop = threading.Event()

    def trickle(talk: Conversation) -> None:
        talk.request()
        for byte in HIT:
            talk.send(bytes([byte]))
            if stop.wait(ENOUGH / 5):
                break
        talk.wait_for_end()

    peer.behave(trickle)
    with connect(peer, ENOUGH) as db:
        with pytest.raises(IncompleteReplyError):
            db.get("k")
        stop.set()


def test_an_answer_byte_by_byte(peer: Peer) -> None:
    def slowly(talk: Conversation) -> None:
        for _ in range(3):
            talk.request()
            talk.send_byte_by_byte(HIT)
        talk.request()
        talk.send_byte_by_byte(pack_rpc_reply(200, [("num", 7)]))

    peer.behave(slowly)
    with connect(peer) as db:
        assert db.get("k") == "v"
        assert db.get_bulk(["k"]) == {"k": "v"}
        assert [record.value for record in db.get_bulk_details([(0, "k")])] == ["v"]
        assert db.incr("n") == 7


@pytest.mark.parametrize("received", range(len(HIT)))
def test_an_answer_that_breaks_off(peer: Peer, received: int) -> None:
    def break_off(talk: Conversation) -> None:
        talk.request()
        talk.send(HIT[:received])

    peer.behave(break_off, hit)
    with connect(peer) as db:
        with pytest.raises(ProtocolError if received else ServerConnectionError) as caught:
            db.get("k")
        assert not isinstance(caught.value, TimeoutError)
        assert db.get("k") == "v"
    assert peer.connections == 2


LIES = {
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "another command": pack_set_bulk_reply(1),
    "many records": struct.pack(">BI", 0xBA, 2**32 - 1),
    "a huge value": struct.pack(">BIHIIq", 0xBA, 1, 0, 1, 2**31, 0) + b"k",
    "a huge key": struct.pack(">BIHIIq", 0xBA, 1, 0, 2**32 - 1, 1, 0) + b"k",
    "more than an answer": HIT + b"x",
    "two answers": HIT + HIT,
}


@pytest.mark.parametrize("lie", LIES)
def test_an_answer_that_lies(peer: Peer, lie: str) -> None:
    def behave(talk: Conversation) -> None:
        talk.request()
        talk.send(LIES[lie])
        talk.wait_for_end()

    peer.behave(behave, hit)
    with connect(peer) as db:
        if lie in ("more than an answer", "two answers"):
            swallow(db)
        else:
            with pytest.raises(ProtocolError) as caught:
                db.get("k")
            assert not isinstance(caught.value, TimeoutError)
        assert db.get("k") == "v"
    assert peer.connections == 2


def swallow(db: KyotoTycoon) -> None:
    """An answer with something behind it may be believed, but that connection is not used again."""
    with contextlib.suppress(ProtocolError):
        assert db.get("k") == "v"


BULK_LIES = {
    "many records": struct.pack(">BI", 0xBA, 2**32 - 1),
    "a huge value": struct.pack(">BIHIIq", 0xBA, 1, 0, 1, 2**32 - 1, 0) + b"k",
    "another command": pack_remove_bulk_reply(1),
}


@pytest.mark.parametrize("lie", BULK_LIES)
def test_a_bulk_answer_that_lies(peer: Peer, lie: str) -> None:
    """What is announced is not waited for longer than the timeout, and not allocated."""

    def behave(talk: Conversation) -> None:
        talk.request()
        talk.send(BULK_LIES[lie])
        talk.wait_for_end()

    peer.behave(behave, hit)
    with connect(peer, ENOUGH) as db:
        with pytest.raises(ProtocolError):
            db.get_bulk(["k"])
        assert db.using(timeout=10).get("k") == "v"


def test_what_is_announced_is_not_allocated(peer: Peer) -> None:
    """A size that is possible is believed, but memory is taken for what has come only."""

    def announce(talk: Conversation) -> None:
        talk.request()
        talk.send(struct.pack(">BIHIIq", 0xBA, 1, 0, 1, 2**28, 0) + b"k" + bytes(10_000))
        talk.wait_for_end()

    peer.behave(announce, announce)
    with connect(peer, ENOUGH) as db:
        tracemalloc.start()
        try:
            for read in (db.get, db.get_bulk_details):
                with pytest.raises(IncompleteReplyError):
                    read([(0, "k")] if read == db.get_bulk_details else "k")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 5_000_000


RPC_LIES = {
    "no HTTP": b"\xba\0\0\0\0",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "no number": b"HTTP/1.1 two OK\r\nContent-Length: 0\r\n\r\n",
    "no columns": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
    b"Content-Type: text/tab-separated-values\r\n\r\nxx",
    "columns of another kind": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"
    b"Content-Type: text/tab-separated-values; colenc=B\r\n\r\n?\t?",
    "no sum": pack_rpc_reply(200, [("key", "value")]),
    "no number for a sum": pack_rpc_reply(200, [("num", "one")]),
}


@pytest.mark.parametrize("lie", RPC_LIES)
def test_a_call_whose_answer_lies(peer: Peer, lie: str) -> None:
    def behave(talk: Conversation) -> None:
        talk.request()
        talk.send(RPC_LIES[lie])
        talk.wait_for_end()

    peer.behave(behave)
    with connect(peer) as db:
        with pytest.raises(ProtocolError) as caught:
            db.incr("n")
        assert not isinstance(caught.value, TimeoutError)


def test_a_failure_with_reasons_leaves_the_connection_usable(peer: Peer) -> None:
    def behave(talk: Conversation) -> None:
        talk.answer(1, pack_rpc_reply(500, [("ERROR", "DB: 9: system error: no space")]))
        talk.answer(1, HIT)

    peer.behave(behave)
    with connect(peer) as db:
        with pytest.raises(ServerError, match="no space") as caught:
            db.incr("n")
        assert (caught.value.code, caught.value.message) == (500, "DB: 9: system error: no space")
        assert db.get("k") == "v"
    assert peer.connections == 1


def test_a_failure_without_reasons(peer: Peer) -> None:
    """The server may be about to hang up: what comes next goes to another connection."""
    peer.behave(
        lambda talk: talk.answer(1, ERROR_REPLY),
        lambda talk: talk.answer(1, ERROR_REPLY),
        lambda talk: talk.answer(1, STORED),
    )
    with connect(peer) as db:
        with pytest.raises(ServerError) as caught:
            db.get("k")
        assert caught.value.code is None
        with pytest.raises(ServerError):
            db.set("k", "v")
        assert db.set("k", "v") == 1
    assert peer.connections == 3


def test_a_connection_that_died_while_idle_is_replaced(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also for what must not be sent twice: nothing had been sent."""
    monkeypatch.setattr("kt.net.blocking.FRESH", 0.0)
    monkeypatch.setattr("kt.net.aio.FRESH", 0.0)
    peer.behave(
        lambda talk: talk.answer(1, HIT),
        lambda talk: talk.answer(1, STORED),
        Conversation.request,
        lambda talk: talk.answer(1, STORED),
    )
    with connect(peer) as db:
        assert db.get("k") == "v"
        peer.wait_for_end_of(1)
        assert db.set("k", "v") == 1
        peer.wait_for_end_of(2)
        assert db.set("k", "v", no_reply=True) == 0
        peer.wait_for_end_of(3)
        assert db.set("k", "v") == 1
    assert peer.connections == 4


@pytest.mark.parametrize("reset", [False, True])
def test_what_may_have_been_done_is_not_sent_twice(peer: Peer, reset: bool) -> None:
    requests = []

    def swallow_second(talk: Conversation) -> None:
        talk.answer(1, STORED)
        requests.append(talk.request())
        if reset:
            talk.reset()

    peer.behave(swallow_second)
    with connect(peer) as db:
        assert db.set("k", "v") == 1
        with pytest.raises(ServerConnectionError) as caught:
            db.set("k", "w")
        assert caught.value.sent is True
    assert (len(requests), peer.connections) == (1, 1)


@pytest.mark.parametrize("reset", [False, True])
def test_what_is_harmless_is_sent_again_once(peer: Peer, reset: bool) -> None:
    def swallow_second(talk: Conversation) -> None:
        talk.answer(1, HIT)
        talk.request()
        if reset:
            talk.reset()

    def swallow_first(talk: Conversation) -> None:
        talk.request()

    peer.behave(swallow_second, swallow_second, swallow_first)
    with connect(peer) as db:
        assert db.get("k") == "v"
        assert db.get("k") == "v"
        with pytest.raises(ServerConnectionError):
            db.get("k")
    assert peer.connections == 3


def test_a_failure_of_a_new_connection_is_reported(peer: Peer) -> None:
    peer.behave(Conversation.request)
    with connect(peer) as db, pytest.raises(ServerConnectionError):
        db.get("k")
    assert peer.connections == 1


def test_a_cursor_whose_connection_breaks(peer: Peer) -> None:
    def jump_and_go(talk: Conversation) -> None:
        talk.answer(1, pack_rpc_reply(200, []))
        talk.request()

    peer.behave(jump_and_go, jump_and_go)
    with connect(peer) as db, db.cursor() as cursor:
        assert cursor.jump()
        with pytest.raises(ServerConnectionError):
            cursor.get()
        with pytest.raises(ServerConnectionError):
            cursor.get()
        assert cursor.jump()
        with pytest.raises(ServerConnectionError):
            cursor.step()


def test_a_server_that_says_it_will_hang_up(peer: Peer) -> None:
    """The next request goes to a new connection, before the server has hung up, too."""
    over = threading.Event()
    reply = pack_rpc_reply(200, [(b"num", b"1")], keep_alive=False)

    def stay(talk: Conversation) -> None:
        talk.answer(1, reply)
        over.wait(20)

    def go_on(talk: Conversation) -> None:
        talk.answer(1, reply)
        over.set()

    peer.behave(stay, go_on)
    with connect(peer, 10) as db:
        assert db.incr("k") == 1
        assert db.incr("k") == 1
    over.set()
    assert peer.connections == 2


def test_a_server_that_stops_reading(peer: Peer) -> None:
    """A request that does not fit into the buffers ends after the timeout, too."""
    release = threading.Event()
    peer.behave(lambda talk: release.wait(20))
    with connect(peer, SHORT) as db, pytest.raises(ServerTimeoutError):
        db.set("k", "v" * 50_000_000)
    release.set()


def test_a_server_that_is_restarted(start_tycoon: StartTycoon) -> None:
    server = start_tycoon("data.kch")
    with KyotoTycoon(server.host, server.port, timeout=30) as db:
        db.set("k", "v")
        for write in (db.set, db.add, db.append):
            server.restart()
            write("k", "w")
        assert db.get("k") == "ww"
        server.stop()
        with pytest.raises(ServerConnectionError):
            db.get("k")
        server.run()
        assert db.get("k") == "ww"


def test_a_database_that_is_not_to_be_written(start_tycoon: StartTycoon) -> None:
    """Each attempt is told so, although the original server hangs up after a binary one."""
    server = start_tycoon("*", args=["-ord"])
    with KyotoTycoon(server.host, server.port, timeout=30) as db:
        for _ in range(20):
            with pytest.raises(ServerError):
                db.set("k", "v")
            with pytest.raises(ServerError):
                db.set_bulk({"k": "v"})
            with pytest.raises(ServerError) as caught:
                db.add("k", "v")
            assert caught.value.code == 500
        assert db.get("k") is None
