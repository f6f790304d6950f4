"""Scripts in a gateway to PostgreSQL find what they find in kt-tycoon."""

from __future__ import annotations

from pathlib import Path

from kt import KyotoTycoon
from tests.cluster.postgres.server import LocalPostgres
from tests.conftest import StartTycoon
from tests.gateway.conftest import Gateway
from tests.gateway.test_scripts import script

__all__ = ["script"]


def test_they_find_what_they_find_elsewhere(
    postgres: LocalPostgres, start_tycoon: StartTycoon, script: Path
) -> None:
    postgres.empty()
    words = ("-scr", str(script), "-th", "2")
    server = start_tycoon("%", args=["-scr", str(script)])
    with (
        Gateway([postgres.url("scripted")], *words) as gateway,
        gateway.connect(timeout=60) as db,
        KyotoTycoon(server.host, server.port) as local,
    ):
        for name in ("records", "bulk", "visits", "walks"):
            db.clear()
            local.clear()
            wanted = local.script(name)
            assert wanted
            assert db.script(name) == wanted
        said = db.script("refused")
        assert said.pop("bulk").startswith("1")
        assert all("not in a cluster" in words for words in said.values())
