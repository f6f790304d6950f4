"""Recorded traffic of the original servers, replayed against ours, and against the originals.

What is left out, and why, is in the tables here and explained in docs/conformance.md.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from .replay import Json, Replay, scenarios

RECORDINGS = {"ktserver": "kyoto_tycoon.jsonl", "ttserver": "tokyo_tyrant.jsonl"}

LEFT_OUT = {
    "tt/binary/manage/bdb": "there, a copy that fails makes the next ones fail, too",
    "kt/quirk/float_limits": "counters beyond the range of a double, printed into 128 bytes",
}
"""Single scenarios that are left out for the bundled servers."""


PARAMETERS = ("scenario", "program", "delegated")


def is_left_out(scenario: Json) -> bool:
    return scenario["name"] in LEFT_OUT


def replays(original: str, bundled: str) -> Iterator[ParameterSet]:
    """The scenarios of one server, as (scenario, program, delegated)."""
    path = os.environ.get(original.upper()) or shutil.which(original)
    for scenario in scenarios(RECORDINGS[original]):
        if not is_left_out(scenario):
            yield pytest.param(scenario, bundled, False, id=f"bundled-{scenario['name']}")
            yield pytest.param(scenario, bundled, True, id=f"delegated-{scenario['name']}")
        if path is not None:
            yield pytest.param(scenario, path, False, id=f"original-{scenario['name']}")


@pytest.mark.parametrize(
    ("scenario", "program", "delegated"), list(replays("ktserver", "kt-tycoon"))
)
def test_tycoon(scenario: Json, program: str, delegated: bool, tmp_path: Path) -> None:
    Replay(scenario, program, tmp_path, delegated=delegated).run()


@pytest.mark.parametrize(
    ("scenario", "program", "delegated"), list(replays("ttserver", "kt-tyrant"))
)
def test_tyrant(scenario: Json, program: str, delegated: bool, tmp_path: Path) -> None:
    Replay(scenario, program, tmp_path, delegated=delegated).run()


def test_what_is_left_out_is_there() -> None:
    names = {scenario["name"] for file in RECORDINGS.values() for scenario in scenarios(file)}
    assert names >= LEFT_OUT.keys()
