"""Nodes that speak TLS."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import kt
from kt.errors import ArgumentError, ServerConnectionError
from tests.certificates import Authority

from .nodes import LocalCluster, Node, find_program, wait_for


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def secured(
    tls_engine: str, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalCluster]:
    directory = tmp_path_factory.mktemp("secured") / "nodes"
    with LocalCluster(directory, replicas=0, engine=tls_engine, authority=authority) as nodes:
        yield nodes


@pytest.fixture(scope="module")
def tls_engine(engine: str, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> str:
    """One that speaks TLS; not all builds do."""
    program = find_program(engine)
    assert program is not None
    node = Node(program, tmp_path_factory.mktemp("one") / "node", authority)
    try:
        wait_for(lambda: node.process.poll() is not None or node.answers())
        if node.process.poll() is not None:
            assert "connection type tls" in (node.directory / "log").read_text()
            pytest.skip(f"this {engine}-server was built without TLS")
    finally:
        node.kill()
    return engine


@pytest.fixture
def files(authority: Authority) -> dict[str, object]:
    """Options of a URL for who is trusted, and has a certificate."""
    return {"tls_ca": authority.ca, "tls_cert": authority.client}


def test_records_come_and_go(secured: LocalCluster, layout: str, files: dict[str, object]) -> None:
    secured.empty()
    with kt.connect(secured.url(layout=layout, buckets=16, **files)) as db:
        db.set_bulk({str(number): "v" for number in range(100)})
        assert len(db) == 100
        assert sorted(db.match_prefix("9")) == ["9", *(str(n) for n in range(90, 100))]
        assert all(node.ask("DBSIZE") for node in secured.nodes)


async def test_with_asyncio(secured: LocalCluster, files: dict[str, object]) -> None:
    secured.empty()
    async with kt.connect_async(secured.url(layout="flat", **files)) as db:
        await db.set("a", "v")
        assert await db.get("a") == "v"


def test_whom_the_system_trusts(
    secured: LocalCluster, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is nobody of ours, unless the environment says so."""
    options = {"layout": "flat", "tls_cert": authority.client, "timeout": 1}
    with (
        kt.connect(secured.url(**options)) as db,
        pytest.raises(ServerConnectionError, match="certificate is not accepted"),
    ):
        db.get("a")
    key = authority.issue("again.pem", "bob@example.org")  # another one: contexts are kept
    monkeypatch.setenv("SSL_CERT_FILE", authority.ca)
    with kt.connect(secured.url(**{**options, "tls_cert": key, "timeout": 10})) as db:
        db.set("a", "v")
        assert db.get("a") == "v"


def test_who_does_not_speak_tls(secured: LocalCluster, files: dict[str, object]) -> None:
    node = secured.nodes[0]
    url = secured.url(layout="flat", timeout=1, **files).replace(str(node.public), str(node.port))
    first = url.partition(",")[0] + url[url.index("/0") :]
    with (
        kt.connect(first) as db,
        pytest.raises(ServerConnectionError, match="does not speak TLS"),
    ):
        db.get("a")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("valkey://h?tls-ca=ca.pem", "tls-ca is for valkeys://"),
        ("valkeys://h?tls-ca=none.pem", "tls_ca: there are no certificates in none.pem"),
        ("valkeys://h?tls-key=none.pem", "tls_key needs a certificate"),
    ],
)
def test_bad_urls(url: str, reason: str) -> None:
    with pytest.raises(ArgumentError, match=reason):
        kt.connect(url)
