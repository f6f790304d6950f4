"""Servers that etcd names: URLs, and what is asked when etcd does not answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from kt import ArgumentError, ServerConnectionError, connect
from kt.client.tycoon.client import KyotoTycoon
from kt.client.tycoon.client_async import AsyncKyotoTycoon
from kt.client.tyrant.client import TokyoTyrant
from kt.client.url import parse_url
from kt.net.etcd import Entry, Etcd
from kt.net.group.directory import places
from tests.certificates import Authority
from tests.ports import HOST, free_port


def test_a_url_names_a_service() -> None:
    options = parse_url(
        "kt+etcd://a,b:1/orders?db=2&reads=slaves&timeout=3", "kt", {"default_db": None}
    )
    several = options.pop("several")
    assert several.slaves_read
    etcd = several.directory._etcd
    assert (etcd._places, etcd._login, etcd._tls) == ((("a", 2379), ("b", 1)), None, None)
    assert several.directory._service == "orders"
    assert options == {"host": "127.0.0.1", "port": 1978, "default_db": 2, "timeout": 3.0}
    assert parse_url("kts+etcd://a/orders", "kt", {})["ssl"] is True


def etcd_of(url: str) -> Etcd:
    etcd: Etcd = parse_url(url, "kt", {})["several"].directory._etcd
    return etcd


def test_a_url_says_who_we_are_to_etcd(tmp_path: Path) -> None:
    etcd = etcd_of("kt+etcd://u%3A:p%2C%40@a,b:1/orders")
    assert (etcd._places, etcd._login) == ((("a", 2379), ("b", 1)), ("u:", "p,@"))
    file = tmp_path / "login"
    file.write_text("u:p")
    assert etcd_of(f"kt+etcd://a/orders?etcd_auth_file={file}")._login == ("u", "p")


def test_a_url_says_how_tls_is_spoken_with_etcd(tmp_path: Path) -> None:
    ca = Authority(tmp_path).ca
    for scheme in ("kt+etcds", "kts+etcds"):
        options = parse_url(f"{scheme}://a/orders?etcd_ca={ca}", "kt", {})
        assert options["several"].directory._etcd._tls.get_ca_certs()
        assert options.get("ssl", False) is scheme.startswith("kts")
    assert etcd_of("kt+etcds://a/orders")._tls is not None
    options = parse_url(f"kts+etcds://a/orders?etcd_ca={ca}&tls_ca={ca}", "kt", {})
    assert options["ssl"].get_ca_certs()


@pytest.mark.parametrize(
    "url",
    [
        "kt+etcd://a",
        "kt+etcd://a/",
        "kt+etcd://a/b/c",
        "kt+etcd://a/b?reads=x",
        "kt+etcd://u@a/b",
        "kt+etcd://u:@a/b",
        "kt+etcd://:secret@a/b",
        "kt+etcd://a,u:secret@b/b",
        "kt+etcd://u:secret@a/b/c",
        "kt+etcd://u:secret@a/b?x=1",
        "kt+etcd://u:se/cret@a/b",
        "kt+etcd://u:secret@a/b?etcd_auth_file=/nowhere",
        "kt+etcd://a/b?etcd_auth_file=/nowhere",
        "kt+etcd://a/b?etcd_ca=/nowhere",
        "kt+etcds://a/b?etcd_ca=/nowhere",
        "kt+etcds://a/b?etcd_key=/nowhere",
        "kt://u:secret@a/b",
        "kt://a/?etcd_ca=/nowhere",
    ],
)
def test_urls_that_name_none(url: str) -> None:
    with pytest.raises(ArgumentError) as error:
        KyotoTycoon.from_url(url)
    assert "cret" not in str(error.value)


def test_tokyo_tyrant_has_no_such_service() -> None:
    for url in ("tt+etcd://a/b", "kt+etcd://a/b", "kt+etcds://a/b"):
        with pytest.raises(ArgumentError):
            TokyoTyrant.from_url(url)


async def test_an_etcd_that_does_not_answer_is_said() -> None:
    url = f"kt+etcd://{HOST}:{free_port()}/orders"
    with KyotoTycoon.from_url(url) as kt, pytest.raises(ServerConnectionError, match="etcd"):
        kt.get("k")
    async with AsyncKyotoTycoon.from_url(url) as aio:
        with pytest.raises(ServerConnectionError, match="etcd"):
            await aio.get("k")
    with connect(url) as kt, pytest.raises(ServerConnectionError, match="etcd"):
        kt.get("k")


def test_the_master_comes_first() -> None:
    def entry(port: int) -> Entry:
        return Entry(b'{"host": "h", "port": %d}' % port, 1, 1)

    entries = {"members/a": entry(1), "master": entry(2), "members/b": entry(2), "state": entry(9)}
    assert places(entries) == [("h", 2), ("h", 1)]
    assert places({}) == []
