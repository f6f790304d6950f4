"""What native threads answer is what the event loop would answer."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kt.gateway.relaying import SUPPORTED
from kt.wire.http import read_http_reply
from kt.wire.magic import NEVER, NO_REPLY
from kt.wire.tycoon import (
    pack_get_bulk,
    pack_get_bulk_details,
    pack_remove_bulk,
    pack_remove_bulk_details,
    pack_set_bulk_details,
    read_get_bulk_reply,
)
from kt.wire.tycoon_rpc import pack_rpc
from tests.cluster.nodes import LocalCluster, wait_for

from .conftest import Gateway
from .relayed import Relayed, relayed_requests

pytestmark = pytest.mark.skipif(not SUPPORTED, reason="there are no native threads on this system")

T = TypeVar("T")

FLAT, TREE, NO_DATABASE = 0, 1, 2
UNUSED = 12
"""The first numbered database that other tests do not use."""

FAR_FUTURE = -(1 << 33)
LARGE = 3 << 20
"""Bytes of a value that threads leave to the event loop."""


def keys() -> st.SearchStrategy[bytes]:
    few = st.sampled_from([b"", b"a", b"b", b"{a}b", b"k{}", b"}{", b"\0\xff", b"long" * 100])
    return few | st.binary(max_size=4)


def values() -> st.SearchStrategy[bytes]:
    return st.sampled_from([b"", b"v", b"a b+%", b"\0\n\t", b"x" * 255, b"y" * 256, b"z" * 9000])


def expiries() -> st.SearchStrategy[int]:
    return st.sampled_from([NEVER, FAR_FUTURE, -1, -NEVER - 1, 1 << 41, (1 << 39) - 1])


def databases() -> st.SearchStrategy[int]:
    """Mostly the one in which threads also write."""
    return st.sampled_from([FLAT] * 6 + [TREE, NO_DATABASE])


def flags() -> st.SearchStrategy[int]:
    return st.sampled_from([0, 0, NO_REPLY])


def several(of_database: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Records of one database, now and then with one of another."""
    of_one = st.tuples(databases(), st.lists(of_database, max_size=8)).map(
        lambda drawn: [(drawn[0], *record) for record in drawn[1]]
    )
    return of_one | st.tuples(of_one, of_one).map(lambda both: both[0] + both[1])


def bulks() -> st.SearchStrategy[bytes]:
    names = several(st.tuples(keys()))
    return st.one_of(
        names.map(pack_get_bulk_details),
        st.builds(pack_remove_bulk_details, names, flags()),
        st.builds(
            lambda records, flags: pack_set_bulk_details(records, bytes, flags),
            several(st.tuples(keys(), values(), expiries())),
            flags(),
        ),
    )


def calls() -> st.SearchStrategy[bytes]:
    number = databases().map(lambda db: ("DB", str(db)))
    xt = st.sampled_from(["", "5x", *map(str, (FAR_FUTURE, -1, 1 << 41))]).map(lambda x: ("xt", x))
    columns = st.tuples(
        st.lists(number, max_size=1),
        keys().map(lambda key: [("key", key)]),
        st.lists(values().map(lambda value: ("value", value)), max_size=1),
        st.lists(xt, max_size=1),
    )
    names = st.sampled_from(["get", "set", "remove", "get", "set", "check", "void"])
    return st.builds(lambda name, parts: pack_rpc(name, chain(*parts)), names, columns)


def brought_together(replies: bytes) -> bytes:
    """Without what depends on the second."""
    return re.sub(rb"Date: [^\r]*", b"", replies)


def in_one_second(function: Callable[[], T]) -> T:
    """What it returns, called again if the second has changed meanwhile: expiry counts in these."""
    while True:
        begin = int(time.time())
        result = function()
        if int(time.time()) == begin:
            return result


@pytest.fixture(scope="module")
def pair(cluster: LocalCluster) -> Iterator[list[Gateway]]:
    """One that logs requests, and one that does not."""
    if not cluster.numbered:
        pytest.skip("this engine has no second database: Valkey has, from 9 on")
    urls = [
        [cluster.url(at, layout="flat"), cluster.url(at + 1, layout="tree", buckets=4)]
        for at in (UNUSED, UNUSED + 2)
    ]
    with Gateway(urls[0], "-li", "-log", os.devnull) as one, Gateway(urls[1]) as other:
        yield [one, other]


@settings(max_examples=60, deadline=None)
@given(st.lists(bulks() | calls(), min_size=1, max_size=12), st.integers(1, 1000))
def test_the_same_replies_as_by_the_event_loop(
    pair: list[Gateway], requests: list[bytes], piece: int
) -> None:
    def replies() -> list[bytes]:
        sent = b"".join(requests)
        replies = []
        for gateway in pair:
            with gateway.connect(timeout=30) as db:
                db.clear(db=FLAT)
                db.clear(db=TREE)
            with Relayed(gateway, passed_on=gateway is pair[1]) as client:
                for at in range(0, len(sent), piece * 16):
                    client.send(sent[at : at + piece * 16])
                client.end()
                replies.append(brought_together(client.rest()))
        return replies

    one, other = in_one_second(replies)
    assert one == other


def test_threads_answer(pair: list[Gateway]) -> None:
    before = [relayed_requests(gateway) for gateway in pair]
    for gateway in pair:
        with Relayed(gateway) as client:
            for _ in range(100):
                client.send(pack_get_bulk([b"a"], FLAT) + pack_rpc("get", [("key", b"no")]))
                assert client.read(read_get_bulk_reply) is not None
                assert client.read(read_http_reply).status == 450
    for gateway, count in zip(pair, before, strict=True):
        wait_for(lambda gateway=gateway, count=count: relayed_requests(gateway) >= count + 200)


def test_what_threads_answer_is_logged_as_by_the_event_loop(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    requests = [
        pack_set_bulk_details([(FLAT, b"a", b"v", NEVER)], bytes),
        pack_get_bulk([b"a"], FLAT),
        pack_remove_bulk([b"a"], FLAT),
        pack_rpc("set", [("key", b"a"), ("value", b"v")]),
        pack_rpc("get", [("key", b"a")]),
        pack_rpc("remove", [("key", b"a")]),
    ]

    def lines() -> list[str]:
        """What was logged of requests, without when and whose they were."""
        found = (line.partition("): ")[2] for line in log.read_text().splitlines())
        return [line for line in found if line][-len(requests) :]

    cluster.empty()
    logged = []
    with Gateway([cluster.url(layout="flat")], "-li", "-log", str(log)) as gateway:
        for passed_on in (False, True):
            with Relayed(gateway, passed_on=passed_on) as client:
                before = log.stat().st_size
                for request in requests:
                    client.send(request)
                client.end()
                assert client.rest().count(b"HTTP/1.1 200 ") == 3
            wait_for(lambda before=before: log.stat().st_size > before and lines()[-1:] != [])
            wait_for(lambda: lines()[-1].startswith("POST /rpc/remove"))
            logged.append(lines())
        assert relayed_requests(gateway) >= len(requests)
    assert logged[0] == logged[1]
    assert logged[0][:3] == ["SetBulk", "GetBulk", "RemoveBulk"]
    cluster.empty()


def test_large_values_are_left_to_the_event_loop(pair: list[Gateway]) -> None:
    gateway = pair[1]
    records = [(FLAT, b"large%d" % number, b"%d" % number * LARGE, NEVER) for number in range(3)]
    with gateway.connect(timeout=30) as db, Relayed(gateway) as client:
        db.set_bulk({f"large{n}": str(n) * LARGE for n in range(3)})
        client.send(pack_get_bulk([key for _, key, _, _ in records] + [b"none"], FLAT))
        found = client.read(read_get_bulk_reply)
        client.warm_up()
        # A read is not carried out again behind a write that came after it.
        replaced = pack_set_bulk_details([(FLAT, b"large0", b"new", NEVER)], bytes)
        client.send(pack_get_bulk([b"large0"], FLAT) + replaced)
        assert client.read(read_get_bulk_reply) is not None
        client.end()
        assert client.rest() == b"\xb8\0\0\0\1"
    assert found is not None


def test_many_records_at_once(pair: list[Gateway]) -> None:
    records = [(FLAT, b"%d" % number, b"v" * 20, NEVER) for number in range(10_000)]
    with Relayed(pair[1]) as client:
        client.send(pack_set_bulk_details(records, bytes))
        client.send(pack_get_bulk([key for _, key, _, _ in records], FLAT))
        client.send(pack_remove_bulk([key for _, key, _, _ in records], FLAT))
        client.end()
        replies = client.rest()
    assert replies.startswith(b"\xb8\0\0\x27\x10\xba\0\0\x27\x10")
    assert replies.endswith(b"\xb9\0\0\x27\x10")


def test_a_client_that_does_not_read(pair: list[Gateway]) -> None:
    """It gets all replies, when it reads at last, and holds up nobody."""
    with pair[1].connect(timeout=30) as db, Relayed(pair[1]) as client:
        db.set_bulk({str(number): "v" * 1000 for number in range(100)})
        names = [b"%d" % number for number in range(100)]
        client.send(pack_get_bulk(names, FLAT) * 100)
        assert db.get("1") == "v" * 1000
        for _ in range(100):
            assert client.read(read_get_bulk_reply) is not None
        client.end()
        assert client.rest() == b""


def test_a_client_that_leaves_has_its_writes_kept(pair: list[Gateway]) -> None:
    with pair[1].connect(timeout=30) as db:
        db.clear(db=FLAT)
        for number in range(20):
            records = [(FLAT, b"%d/%d" % (number, i), b"v", NEVER) for i in range(50)]
            with Relayed(pair[1]) as client:
                client.send(pack_set_bulk_details(records, bytes, NO_REPLY))
        wait_for(lambda: db.count(db=FLAT) == 1000)
