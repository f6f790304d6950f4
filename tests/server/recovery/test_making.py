"""A file whose maker was killed is opened, or made anew."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import kt

FILES = ("kch", "kct", "kcd", "kcf", "tch", "tcb", "tcf", "tct")
CALLS = (1, 2, 3, 4, 5, 7, 15, 31, 10**6)
"""In which a maker is killed; there are not so many as the last."""

MAKER = """
import sys, kt
kt.open(sys.argv[1]).close()
"""


def killed_in_call(number: int, path: Path, last_call: str) -> bool:
    """Make a database and be killed in that call; whether that was before the end."""
    environment = {
        "LD_PRELOAD": last_call,
        "KT_KILL_AT": str(number),
        "KT_FILES": f"/{path.name}",
    }
    words = [sys.executable, "-c", MAKER, str(path)]
    return subprocess.run(words, env={**os.environ, **environment}, check=False).returncode == -9


@pytest.mark.parametrize("suffix", FILES)
def test_a_kill_while_a_file_is_made(suffix: str, tmp_path: Path, last_call: str) -> None:
    for number in CALLS:
        path = tmp_path / f"{number}.{suffix}"
        if not killed_in_call(number, path, last_call):
            break
        with kt.open(str(path)) as db:
            if suffix == "tct":
                db = db.using(serializer=kt.TT_TABLE)
                db.set("1", {"column": "value"})
            else:
                db.set("1", "value")
            assert db.count() == 1
    assert number > 1


@pytest.mark.parametrize("left", [(), ("__KCDIR__",), ("__KCDIR__", "__meta__")])
@pytest.mark.parametrize("suffix", ["kcd", "kcf"])
def test_a_directory_that_was_begun(suffix: str, left: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / f"casket.{suffix}"
    path.mkdir()
    for name in left:
        (path / name).touch()
    with kt.open(str(path)) as db:
        db.set("1", "value")
        assert db.get("1") == "value"


def test_a_directory_with_records_is_not_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "casket.kcd"
    with kt.open(str(path)) as db:
        db.set("1", "value")
    whole = (path / "__meta__").read_bytes()
    (path / "__meta__").write_bytes(b"")
    with pytest.raises(kt.KTError, match="invalid meta data file"):
        kt.open(str(path))
    (path / "__meta__").write_bytes(whole)
    with kt.open(str(path)) as db:
        assert db.get("1") == "value"


def test_a_file_with_records_is_not_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "casket.tch"
    with kt.open(str(path)) as db:
        db.set("1", "value")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(kt.KTError, match="broken"):
        kt.open(str(path))
    assert path.read_bytes() == whole[:-1]
