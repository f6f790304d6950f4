"""What one connection has sent for one record is carried out in its order, or not at all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kt.gateway.relaying import SUPPORTED
from kt.wire.http import read_http_reply
from kt.wire.tycoon import pack_get_bulk, pack_remove_bulk
from kt.wire.tycoon_rpc import pack_rpc
from tests.cluster.scripted import SERVED, ScriptedNode

from .conftest import Gateway
from .relayed import Relayed
from .test_relayed_failures import REFUSED, STORED, read_stored, setting


@pytest.fixture
def node() -> Iterator[ScriptedNode]:
    with ScriptedNode() as started:
        yield started


@pytest.fixture(params=["thread", "loop"])
def client(request: pytest.FixtureRequest, node: ScriptedNode) -> Iterator[Relayed]:
    """A client that a native thread serves, and one that the event loop does."""
    if request.param == "thread" and not SUPPORTED:
        pytest.skip("there are no native threads on this system")
    passed_on = request.param == "thread"
    with (
        Gateway([node.url(timeout=60)]) as gateway,
        Relayed(gateway, passed_on=passed_on) as connected,
    ):
        connected.send(setting(b"k", b"old"))
        assert connected.read(read_stored) == STORED
        node.done.clear()
        yield connected


def stored(node: ScriptedNode) -> list[bytes]:
    """The values that the node has stored, one after the other."""
    return [words[-1][5:] for words in node.done if words[0] == b"SET"]


def test_a_write_that_was_passed_by_another_is_not_done(
    node: ScriptedNode, client: Relayed
) -> None:
    node.refuse([b"LOADING"])
    client.send(setting(b"k", b"first") + setting(b"k", b"second"))
    assert client.read(read_stored) == REFUSED
    assert client.read(read_stored) == STORED
    assert stored(node) == [b"second"]


def test_a_write_that_was_passed_by_a_removal_is_not_done(
    node: ScriptedNode, client: Relayed
) -> None:
    node.refuse([b"CLUSTERDOWN"])
    client.send(pack_rpc("set", [("key", "k"), ("value", "v")]) + pack_remove_bulk([b"k"], 0))
    reply = client.read(read_http_reply)
    assert reply.status == 503
    assert b"SET was not served before" in reply.body.replace(b"%20", b" ")
    assert client.read(lambda data, pos: (data[pos : pos + 5], pos + 5)) == b"\xb9\0\0\0\1"
    assert stored(node) == []


def test_a_read_waits_for_the_write_before_it(node: ScriptedNode, client: Relayed) -> None:
    node.refuse([b"TRYAGAIN"])
    client.send(setting(b"k", b"new") + pack_get_bulk([b"k"], 0))
    assert client.read(read_stored) == STORED
    client.end()
    assert client.rest().endswith(b"knew")


def test_all_are_refused(node: ScriptedNode, client: Relayed) -> None:
    node.refuse([b"LOADING", b"LOADING", b"LOADING", b"LOADING", SERVED])
    client.send(b"".join(setting(b"k", b"%d" % number) for number in range(3)))
    assert [client.read(read_stored) for _ in range(3)] == [STORED] * 3
    assert stored(node) == [b"0", b"1", b"2"]
