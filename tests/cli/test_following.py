"""`kt changes`: a line of JSON for each change, and where it goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kt.cli.following import since_of
from kt.options import Since
from tests.client.masters import logging_tycoon, logging_tyrant
from tests.conftest import StartTycoon, StartTyrant

from .conftest import Kt

OLDEST = ("changes", "--since", "oldest", "-n")


def test_tycoon(kt: Kt, start_tycoon: StartTycoon) -> None:
    server = logging_tycoon(start_tycoon, "*", "%")
    url = f"kt://127.0.0.1:{server.port}"
    kt(url, "set", "a", "1")
    kt(url, "set", "--db", "1", "b", "2", "-xt", "1000")
    kt(url, "rm", "a")
    kt(url, "clear", "--yes", "--db", "1")
    found = kt(url, *OLDEST, 4).json
    assert [(each["db"], each["what"], each.get("key"), each.get("value")) for each in found] == [
        (0, "set", "a", "1"),
        (1, "set", "b", "2"),
        (0, "remove", "a", None),
        (1, "clear", None, None),
    ]
    assert found[1]["expiry"] > 0
    assert all(each["sid"] == 5 for each in found)
    first = found[0]["position"]
    assert kt(url, "changes", "--since", first, "-n", "3").json == found[1:]
    assert kt(url, *OLDEST, 2, "--db", "0").json == found[::2]
    assert kt(f"{url}/1", *OLDEST, 2).json == found[1::2]
    assert kt(url, *OLDEST, 2, "--prefix", "b").json == found[1::2]


def test_tyrant(kt: Kt, start_tyrant: StartTyrant) -> None:
    server = logging_tyrant(start_tyrant, "*")
    url = f"tt://127.0.0.1:{server.port}"
    kt(url, "set", "a", "1")
    kt(url, "rm", "none")
    kt(url, "incr", "n", "5")
    found = kt(url, *OLDEST, 2).json
    assert [(each["what"], each["key"]) for each in found] == [("set", "a"), ("add_int", "n")]
    assert found[1]["number"] == 5
    assert kt(url, "changes", "--since", found[0]["position"], "-n", "1").json == found[1:]
    missed = kt(url, *OLDEST, 3, "--everything").json[1]
    assert (missed["what"], missed["key"], missed["failed"]) == ("remove", "none", True)
    assert kt(url, *OLDEST, 1, "--db", "1").status == 2


def test_goes_on_where_it_was(kt: Kt, start_tycoon: StartTycoon, tmp_path: Path) -> None:
    server = logging_tycoon(start_tycoon, "*")
    url = f"kt://127.0.0.1:{server.port}"
    kt(url, "setbulk", *"a1b2c3")
    line = (url, *OLDEST, 1, "--position", tmp_path / "place")
    assert [kt(*line).json[0]["key"] for _ in range(3)] == ["a", "b", "c"]
    assert (tmp_path / "place").read_text().startswith("tycoon:")
    assert [path.name for path in tmp_path.glob("place*")] == ["place"]


def test_position_is_kept_before_anything_has_changed(
    kt: Kt, start_tycoon: StartTycoon, tmp_path: Path
) -> None:
    server = logging_tycoon(start_tycoon, "*")
    url = f"kt://127.0.0.1:{server.port}"
    line = ["changes", url, "--position", str(tmp_path / "place")]
    program = subprocess.Popen(
        [sys.executable, "-m", "kt.cli", *line], stdout=subprocess.PIPE, env=os.environ
    )
    assert program.stdout is not None
    kt(url, "set", "first", "1")
    while not (tmp_path / "place").exists():
        assert program.poll() is None
    kt(url, "set", "second", "2")
    seen = []
    while "second" not in seen:  # whether it began before the first or after it
        seen.append(json.loads(program.stdout.readline())["key"])
    program.kill()
    program.wait()
    program.stdout.close()
    kt(url, "set", "third", "3")
    after = [each["key"] for each in kt(*line, "-n", "1").json]
    if after == ["second"]:  # killed between the line and its position
        after = [each["key"] for each in kt(*line, "-n", "1").json]
    assert after == ["third"]


def test_bytes_survive(kt: Kt, start_tycoon: StartTycoon) -> None:
    server = logging_tycoon(start_tycoon, "*")
    url = f"kt://127.0.0.1:{server.port}"
    kt(url, "set", "--hex", "6B", "FF00")
    (found,) = kt(url, *OLDEST, 1).json
    assert (found["key"], found["value"]) == ("k", {"base64": "/wA="})


def test_complaints(kt: Kt, tycoon_url: str, tmp_path: Path) -> None:
    assert kt("changes", "-n", "0").status == 2
    assert "yesterday" in kt("changes", "--since", "yesterday").err
    assert kt("changes", "--since", "tyrant:1").status == 2
    assert kt("changes", "--everything").status == 2
    (tmp_path / "place").write_text("")
    wrong = kt("changes", "--position", tmp_path / "place")
    assert wrong.status == 2
    assert "place holds no position" in wrong.err
    ran = kt("changes")
    assert ran.status == 3
    assert "log" in ran.err


@pytest.mark.parametrize("text", ["2026-11-18", "2026-11-18 12:00", "2026-11-18T12:00:00Z"])
def test_since_a_time(text: str) -> None:
    found = since_of(text)
    assert not isinstance(found, str | Since)
    assert found.tzinfo is not None
    assert since_of("oldest") is Since.OLDEST
