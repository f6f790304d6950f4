"""Recorded traffic of Kyoto Tycoon, replayed against a gateway to PostgreSQL.

All databases are laid out as trees, so what depends on the order of a hash database is left out, as
are scenarios about options, scripts or files; see tests/gateway/test_recorded.py. `DIFFERS` says
what is answered otherwise; docs/conformance.md explains it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cluster.postgres.server import LocalPostgres
from tests.gateway import test_recorded as clusters
from tests.gateway.conftest import Gateway
from tests.server.replay import Json, Replay

SAME = (clusters.FLAT_CURSOR, clusters.ATOMIC)
"""What differs on clusters and does not here."""

COMMANDS = "there are no commands after synchronizing"

DIFFERS = {name: why for name, why in clusters.DIFFERS.items() if why not in SAME}
DIFFERS["kt/http/status_clear_sync/"] = COMMANDS


def replayed() -> Iterator[Json]:
    for scenario in clusters.replayed():
        if all(name in clusters.TREES for name in scenario["databases"]):
            yield scenario


@pytest.fixture(scope="module")
def gateway_with(postgres: LocalPostgres) -> Iterator[Callable[[int], Gateway]]:
    """Makes gateways to so many empty databases, each once."""
    started: dict[int, Gateway] = {}
    with ExitStack() as stack:

        def make(number: int) -> Gateway:
            if number not in started:
                urls = [postgres.url(f"recorded{place}") for place in range(number)]
                started[number] = stack.enter_context(Gateway(urls))
            with started[number].connect(timeout=30) as client:
                for db in range(number):
                    client.clear(db)
            return started[number]

        yield make


@pytest.mark.parametrize("scenario", list(replayed()), ids=lambda scenario: scenario["name"])
def test_recorded(
    scenario: Json,
    gateway_with: Callable[[int], Gateway],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gateway = gateway_with(len(scenario["databases"]))
    replay = Replay(scenario, "kt-tycoon", tmp_path)
    clusters.check(replay, gateway, DIFFERS, monkeypatch)
