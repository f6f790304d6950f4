"""Queues of memcached's clients (``-plex opts=q``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kt import KT_NONE, KyotoTycoon

from ..processes import HOST, SECONDS, refused
from ..tycoon.pairs import wait_until
from .front import Front, Peer

LATE = f"#opts=q#qtout={SECONDS}"
SOON = "#opts=q#qtout=0.1"


@pytest.fixture(params=["%", "+", "a.kct", "b.kcf"])
def front(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Front]:
    with Front(tmp_path, more=LATE, databases=[request.param]) as server:
        yield server


def put(peer: Peer, queue: bytes, *elements: bytes) -> None:
    for element in elements:
        peer.ask(b"set %b 0 0 %d\r\n%b\r\n" % (queue, len(element), element), b"STORED\r\n")


def value(queue: bytes, element: bytes) -> bytes:
    return b"VALUE %b 0 %d\r\n%b\r\nEND\r\n" % (queue, len(element), element)


def test_first_in_first_out(front: Front) -> None:
    with Peer(front) as giver, Peer(front) as one, Peer(front) as other:
        put(giver, b"a", b"1", b"2", b"3")
        put(giver, b"ab", b"not of this one")
        one.ask(b"get a\r\n", value(b"a", b"1"))
        other.ask(b"get a\r\n", value(b"a", b"2"))
        one.ask(b"get a\r\n", value(b"a", b"3"))
        one.ask(b"get ab\r\n", value(b"ab", b"not of this one"))


def test_who_waits_is_woken(front: Front) -> None:
    with Peer(front) as giver, Peer(front) as one, Peer(front) as other:
        for peer in (one, other):
            peer.socket.sendall(b"get a\r\n")
        put(giver, b"a", b"1", b"2")
        got = set()
        for peer in (one, other):
            got.add(peer.socket.recv(len(value(b"a", b"1"))))
        assert got == {value(b"a", b"1"), value(b"a", b"2")}


def test_what_comes_by_other_protocols(front: Front) -> None:
    with Peer(front) as peer, KyotoTycoon(HOST, front.port, serializer=KT_NONE) as kt:
        peer.socket.sendall(b"get a\r\n")
        kt.set("a 00000000000001 0000", b"1")
        peer.gets(value(b"a", b"1"))


def test_what_is_not_done_with_is_put_back(front: Front) -> None:
    with Peer(front) as giver, Peer(front) as heir:
        put(giver, b"a", b"1", b"2", b"3")
        giver.ask(b"set a 0 2000000000 1\r\n4\r\n", b"STORED\r\n")
        with Peer(front) as taker:
            for number in (b"1", b"2", b"3", b"4"):
                taker.ask(b"get a\r\n", value(b"a", number))
            taker.ask(b"delete a\r\n", b"DELETED\r\n")
            taker.ask(b"delete a noreply\r\ndelete b\r\n", b"NOT_FOUND\r\n")
        heir.ask(b"get a\r\n", value(b"a", b"3"))  # what is put back first comes first
        heir.ask(b"get a\r\n", value(b"a", b"4"))
    with KyotoTycoon(HOST, front.port, serializer=KT_NONE) as kt:
        wait_until(lambda: kt.count() == 2, "both are put back")
        keys = [(0, key) for key in kt.match_prefix("a ")]
        assert [record.expires is None for record in kt.get_bulk_details(keys)] == [True, False]


def test_large_elements(front: Front) -> None:
    element = b"x" * (5 << 20)
    with Peer(front) as giver:
        put(giver, b"a", element)
        with Peer(front) as taker:
            taker.ask(b"get a\r\n", value(b"a", element))
        giver.ask(b"get a\r\n", value(b"a", element))
    assert front.stop() == 0


def test_the_end_does_not_wait_for_those_who_wait(front: Front) -> None:
    with Peer(front) as giver, Peer(front) as taker, Peer(front) as waiting:
        put(giver, b"a", b"1")
        taker.ask(b"get a\r\n", value(b"a", b"1"))
        waiting.socket.sendall(b"get a\r\n")
        assert front.stop() == 0
        assert waiting.ended() == b"END\r\n"
    if front.command[-1] in "%+":
        return
    with front, Peer(front) as peer:
        peer.ask(b"get a\r\n", value(b"a", b"1"))  # it has been put back


def test_nothing_comes(tmp_path: Path) -> None:
    with Front(tmp_path, more=SOON, databases=["%"]) as server, Peer(server) as peer:
        put(peer, b"b", b"1")
        peer.ask(b"get a b\r\n", value(b"b", b"1"))
        peer.ask(b"get a\r\n", b"END\r\n")
        peer.ask(b"add a 0 0 1\r\nx\r\nincr n 1\r\n", b"STORED\r\nNOT_FOUND\r\n")


def test_who_has_given_up_takes_nothing(tmp_path: Path) -> None:
    with Front(tmp_path, more=LATE, databases=["%"]) as server, Peer(server) as giver:
        with Peer(server) as gone:
            gone.socket.sendall(b"get a\r\n")
        put(giver, b"a", b"1")
        giver.ask(b"get a\r\n", value(b"a", b"1"))


@pytest.mark.parametrize("database", ["*", ":", "a.kch"])
def test_a_database_without_order(database: str, tmp_path: Path) -> None:
    said = refused(Front(tmp_path, more=SOON, databases=[database]))
    assert "opts=q needs a database in the order of keys" in said


def test_who_may_only_read_takes_nothing(tmp_path: Path) -> None:
    allow = ("-allow", HOST, "read")
    with Front(tmp_path, *allow, more=SOON, databases=["%"]) as server, Peer(server) as peer:
        peer.ask(b"get a\r\n", b"CLIENT_ERROR not allowed: this client may not write\r\n")
