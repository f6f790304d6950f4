"""Users and passwords of the engine."""

from __future__ import annotations

from pathlib import Path

import pytest

import kt
from kt.errors import ArgumentError, KTError, ServerConnectionError

from .nodes import LocalCluster

RIGHTS = "~k* ~{kt}meta +@all -@dangerous +info +dbsize +flushdb +cluster|nodes"
"""As docs/cluster.md has them."""


@pytest.fixture
def login(cluster: LocalCluster) -> str:
    """A user of the cluster with its password."""
    cluster.empty()
    for node in cluster.nodes:
        assert node.ask("ACL", "SETUSER", "app", "on", ">p:w/d", *RIGHTS.split()) == b"OK"
    return "app:p%3Aw%2Fd"


def with_login(url: str, login: str) -> str:
    return url.replace("://", f"://{login}@")


def test_a_user_with_the_rights_of_the_docs(cluster: LocalCluster, layout: str, login: str) -> None:
    with kt.connect(with_login(cluster.url(layout=layout, buckets=16), login)) as db:
        db.set("a", "v", expire_time=100)
        assert db.incr("n", 2) == 2
        assert db.match_prefix("a") == ["a"]
        assert len(db) == 2
        assert int(db.status()["count"]) == 2
        db.clear()
        assert db.get("a") is None
    assert cluster.nodes[0].ask("ACL", "LOG", "RESET") == b"OK"


def test_a_password_in_a_file(cluster: LocalCluster, tmp_path: Path, login: str) -> None:
    file = tmp_path / "auth"
    file.write_text("app:p:w/d\n")
    with kt.connect(cluster.url(layout="flat", auth_file=file)) as db:
        db.set("a", "v")
        assert db.get("a") == "v"


async def test_a_user_with_asyncio(cluster: LocalCluster, login: str) -> None:
    async with kt.connect_async(with_login(cluster.url(layout="flat"), login)) as db:
        await db.set("a", "v")
        assert await db.get("a") == "v"


def test_a_wrong_password_is_said_at_once(cluster: LocalCluster, login: str) -> None:
    with (
        kt.connect(with_login(cluster.url(layout="flat", timeout=600), "app:wrong")) as db,
        pytest.raises(ServerConnectionError, match="WRONGPASS") as caught,
    ):
        db.get("a")
    assert "app:wrong" not in str(caught.value)


def test_what_a_user_may_not_do_is_passed_on(cluster: LocalCluster, login: str) -> None:
    for node in cluster.nodes:
        node.ask("ACL", "SETUSER", "app", "-del")
    with kt.connect(with_login(cluster.url(layout="flat"), login)) as db:
        db.set("a", "v")
        with pytest.raises(KTError):
            db.remove("a")
        assert db.get("a") == "v"


@pytest.mark.parametrize(
    "url",
    [
        "valkey://app:secret@h?no=1",
        "valkey://app:secret@h:x",
        "valkey://app:secret@:1",
        "valkey://app:secret@h#f",
        "valkey://app:se/secret@h?no=1",
        "other://app:secret@h",
    ],
)
def test_errors_show_no_password(url: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        kt.connect(url)
    assert "secret" not in str(caught.value)


def test_urls_of_different_kinds_show_no_password() -> None:
    with pytest.raises(ArgumentError) as caught:
        kt.connect("valkey://app:secret@h", "kt://app:secret@h")
    assert "secret" not in str(caught.value)
