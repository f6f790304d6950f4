"""Recorded traffic of Tokyo Tyrant, replayed against kt-tyrant as a gateway, in both layouts.

Hash databases are laid out flat, trees as trees. Scenarios that are about options, scripts, tables
or other files are left out. `DIFFERS` says what is answered otherwise; docs/conformance.md explains
it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.replay import Json, Replay, scenarios

from .conftest import TyrantGateway
from .test_recorded import check, fits

LAYOUTS = {"*": "*", "+": "+", "casket.tch": "*", "casket.tcb": "+"}
"""Type of database -> the one of `tyrant_gateways` that stands for it."""

BINARY_ONLY = "the protocols of memcached and HTTP are refused"
ENDS = "what is no request ends the connection, whatever is behind it"
LATE = "a request that cannot be is noticed when all of it is there"
OWN_ITERATOR = "each client has an iterator of its own"
OWN_FIELDS = "stat has the gateway's own fields"
FILES = "there is no file to be copied"
ONE_VALUE = "a key has one value"
EMPTY = "an iterator of an empty tree begins"
ANY_KEY = "an iterator begins at any key in a tree, in a flat database at one it has just passed"

DIFFERS = {
    "tt/memcached/": BINARY_ONLY,
    "tt/http/": BINARY_ONLY,
    "tt/random/": BINARY_ONLY,
    "tt/script/none": BINARY_ONLY,
    "tt/binary/mixed_protocols": BINARY_ONLY,
    "tt/quirk/resume_after_error": ENDS,
    "tt/binary/bad_sizes": LATE,
    "tt/binary/putshl/": LATE,
    "tt/binary/shared_iterator": OWN_ITERATOR,
    "tt/binary/manage/mdb": OWN_FIELDS,
    "tt/binary/manage/ndb": OWN_FIELDS,
    "tt/binary/manage/hdb": FILES,
    "tt/binary/manage/bdb": FILES,
    "tt/misc/records/bdb": ONE_VALUE,
    "tt/misc/duplicates": ONE_VALUE,
    "tt/misc/iterate/mdb": ANY_KEY,
    "tt/misc/iterate/bdb": EMPTY,
}


def replayed() -> Iterator[Json]:
    for scenario in filter(fits, scenarios("tokyo_tyrant.jsonl")):
        if scenario["databases"] and scenario["databases"][0] in LAYOUTS:
            yield scenario


@pytest.mark.parametrize("scenario", list(replayed()), ids=lambda scenario: scenario["name"])
def test_recorded(
    scenario: Json,
    tyrant_gateways: dict[str, TyrantGateway],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gateway = tyrant_gateways[LAYOUTS[scenario["databases"][0]]]
    with gateway.connect(timeout=30) as client:
        client.clear()
    replay = Replay(scenario, "kt-tyrant", tmp_path)
    check(replay, gateway, DIFFERS, monkeypatch)
