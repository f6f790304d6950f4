"""`kt` on databases on a cluster, without a server between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kt.cli.target import CLUSTERS
from kt.cluster.postgres.settings import SCHEMES as POSTGRES
from kt.cluster.settings import SCHEMES as VALKEY
from tests.cluster.conftest import must_be_here
from tests.cluster.nodes import LocalCluster
from tests.cluster.postgres.conftest import postgres

from .conftest import Kt

__all__ = ["postgres"]


def test_all_schemes_are_known() -> None:
    assert set(CLUSTERS) == {f"{scheme}://" for scheme in (*VALKEY, *POSTGRES)}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    must_be_here("valkey")
    with LocalCluster(tmp_path_factory.mktemp("nodes") / "nodes", replicas=0) as nodes:
        yield nodes


@pytest.fixture(params=["flat", "tree", "postgres"])
def cluster_url(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    options = {"layout": request.param}
    name = "cluster"
    if request.param == "postgres":
        name, options = "postgres", {}
    engine = request.getfixturevalue(name)
    engine.empty()
    url: str = engine.url(**options)
    monkeypatch.setenv("KT_URL", url)
    return url


def test_verbs(kt: Kt, cluster_url: str) -> None:
    assert kt("set", "k", "v", "-xt", "600").status == 0
    assert kt("get", "k").out == b"v\n"
    assert kt("get", "none").status == 1
    assert kt("incr", "n", "5").lines == ["5"]
    assert sorted(kt("ls").lines) == ["k", "n"]
    assert kt("match", "k").lines == ["k"]
    assert kt("rm", "n").status == 0
    assert kt("ping").status == 0
    status = dict(line.split(": ", 1) for line in kt("status").lines)
    assert status["count"] == "1"
    assert status["type"] == "cluster"
    assert kt("report").status == 0
    assert kt("clear").status == 0
    assert kt("ls").lines == []


def test_transfers(kt: Kt, cluster_url: str, tycoon_url: str, tmp_path: Path) -> None:
    """From a server and back, and by a file; what expires goes on expiring."""
    for number in range(300):
        kt("set", f"key{number}", number, *(("-xt", "9000") if number % 2 else ()))
    assert kt("copy", tycoon_url, cluster_url, "--db", "0", "--quiet").status == 0
    assert kt("diff", tycoon_url, cluster_url, "--db", "0", "--quiet").status == 0
    assert kt("get", "--url", cluster_url, "key299").out == b"299\n"
    file = tmp_path / "records.ktd"
    assert kt("dump", "--url", cluster_url, file, "--db", "0", "--quiet").status == 0
    assert kt("clear").status == 0
    assert kt("load", file, "--db", "0", "--quiet").status == 0
    assert kt("diff", cluster_url, tycoon_url, "--db", "0", "--quiet").status == 0
    kt("set", "key7", "other")
    assert kt("diff", cluster_url, tycoon_url, "--db", "0", "--quiet").status == 1
    assert kt("copy", cluster_url, tycoon_url, "--overwrite", "--db", "0", "--quiet").status == 0
    assert kt("diff", cluster_url, tycoon_url, "--db", "0", "--quiet").status == 0
