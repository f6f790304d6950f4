"""One blocking client of Tokyo Tyrant, many threads and greenlets."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kt.client.tyrant.client import TokyoTyrant
from kt.errors import ArgumentError
from kt.serializers import KT_JSON
from tests.client.tyrant.workload import work
from tests.conftest import StartTyrant

WORKERS = 32
ROUNDS = 50


def test_threads_share_a_client(tyrant: TokyoTyrant) -> None:
    names = [f"worker {i}" for i in range(WORKERS)]
    with ThreadPoolExecutor(WORKERS) as executor:
        for future in [executor.submit(work, tyrant, name, ROUNDS) for name in names]:
            future.result()
    assert tyrant.get_int("shared") == WORKERS * ROUNDS
    assert sorted(tyrant.keys()) == sorted([*names, "shared"])


def test_greenlets_share_a_client(tyrant: TokyoTyrant) -> None:
    if not tyrant.port:
        pytest.skip("it needs a network")
    arguments = [str(tyrant.port), str(WORKERS), str(ROUNDS)]
    printed = subprocess.run(
        [sys.executable, "-m", "tests.client.tyrant.workload", *arguments],
        cwd=Path(__file__).parents[3],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert int(printed) == WORKERS * ROUNDS
    assert tyrant.count() == WORKERS + 1


def test_operators(tyrant: TokyoTyrant) -> None:
    db = tyrant
    db["k1"] = "v1"
    db["k2"] = "v2"
    assert (db["k1"], db["none"], len(db)) == ("v1", None, 2)
    assert "k1" in db
    assert "none" not in db
    del db["k1"]
    del db["none"]
    assert list(db) == ["k2"]
    assert dict(db.items()) == {"k2": "v2"}
    assert isinstance(db.size, int)
    assert db.error is None


def test_a_restarted_server_is_found_again(start_tyrant: StartTyrant) -> None:
    server = start_tyrant("casket.tch")
    with TokyoTyrant(server.host, server.port) as db:
        db.set("k", "v")
        server.restart()
        assert db.get("k") == "v"


def test_a_server_as_url() -> None:
    client = TokyoTyrant.from_url("tt://[::1]:2000", timeout=3, serializer=KT_JSON)
    assert (client.host, client.port, client.timeout) == ("::1", 2000, 3)
    assert client.serializer is KT_JSON
    assert TokyoTyrant.from_url("tt://example.org").port == 1978
    assert TokyoTyrant.from_url("tt://example.org?timeout=2").timeout == 2
    assert TokyoTyrant.from_url("tt+unix:///run/tt.sock").host == "/run/tt.sock"
    for wrong in ("kt://localhost", "tt://localhost/1", "tt://localhost?db=1", "localhost:1978"):
        with pytest.raises(ArgumentError):
            TokyoTyrant.from_url(wrong)
