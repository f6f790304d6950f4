"""Servers that etcd names: URLs, and what is asked when etcd does not answer."""

from __future__ import annotations

import pytest

from kt import ArgumentError, ServerConnectionError
from kt.client.tycoon.client import KyotoTycoon
from kt.client.tycoon.client_async import AsyncKyotoTycoon
from kt.client.tyrant.client import TokyoTyrant
from kt.client.url import parse_url
from kt.net.etcd import Entry
from kt.net.group.directory import places
from tests.ports import HOST, free_port


def test_a_url_names_a_service() -> None:
    options = parse_url(
        "kt+etcd://a,b:1/orders?db=2&reads=slaves&timeout=3", "kt", {"default_db": None}
    )
    several = options.pop("several")
    assert several.slaves_read
    assert several.directory._etcd == (("a", 2379), ("b", 1))
    assert several.directory._service == "orders"
    assert options == {"host": "127.0.0.1", "port": 1978, "default_db": 2, "timeout": 3.0}
    assert parse_url("kts+etcd://a/orders", "kt", {})["ssl"] is True


@pytest.mark.parametrize(
    "url",
    ["kt+etcd://a", "kt+etcd://a/", "kt+etcd://a/b/c", "kt+etcd://a/b?reads=x", "kt+etcd://u@a/b"],
)
def test_urls_that_name_none(url: str) -> None:
    with pytest.raises(ArgumentError):
        KyotoTycoon.from_url(url)


def test_tokyo_tyrant_has_no_such_service() -> None:
    for url in ("tt+etcd://a/b", "kt+etcd://a/b"):
        with pytest.raises(ArgumentError):
            TokyoTyrant.from_url(url)


async def test_an_etcd_that_does_not_answer_is_said() -> None:
    url = f"kt+etcd://{HOST}:{free_port()}/orders"
    with KyotoTycoon.from_url(url) as kt, pytest.raises(ServerConnectionError, match="etcd"):
        kt.get("k")
    async with AsyncKyotoTycoon.from_url(url) as aio:
        with pytest.raises(ServerConnectionError, match="etcd"):
            await aio.get("k")


def test_the_master_comes_first() -> None:
    def entry(port: int) -> Entry:
        return Entry(b'{"host": "h", "port": %d}' % port, 1, 1)

    entries = {"members/a": entry(1), "master": entry(2), "members/b": entry(2), "state": entry(9)}
    assert places(entries) == [("h", 2), ("h", 1)]
    assert places({}) == []
