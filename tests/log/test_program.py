"""python -m kt.log."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kt.client.tycoon.client import KyotoTycoon
from kt.client.tyrant.client import TokyoTyrant
from kt.log.program import main
from kt.log.reading import read_changes
from kt.options import Since
from tests.client.masters import logging_tycoon, logging_tyrant
from tests.conftest import StartTycoon, StartTyrant
from tests.wire.log_material import DATA

from .test_files import STAMP, material, records, write

NAMES = [f"key{n}" for n in range(10)]


class Ran:
    """What the program printed, and how it ended."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.err = status, err
        self.lines = out.splitlines()

    @property
    def json(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: object) -> Ran:
        status = main([str(argument) for argument in arguments])
        return Ran(status, *capsys.readouterr())

    return run


def test_list(run: Any) -> None:
    ran = run("list", DATA / "tycoon/of-a-slave/ulog-b", "--prefix", "b1", "--db", 1)
    assert ran.lines == [
        "2026-11-25T15:59:58.835000Z\t2\t1\tset\tb1\tfrom b",
        "2026-11-25T15:59:59.081000Z\t1\t1\tclear",
    ]
    assert (ran.status, ran.err) == (0, "")


def test_list_as_json(run: Any) -> None:
    ran = run("list", "--json", DATA / "tyrant/all-kinds")
    assert len(ran.json) == 53
    assert ran.json[1]["key"] == {"base64": "AP8="}
    assert [record["what"] for record in ran.json].count("call") > 5
    ran = run("list", "--json", DATA / "tycoon/snapshots/grass.ktss", "--key", "key003")
    (record,) = ran.json
    assert (record["value"], record["expiry"], record["stamp"]) == (
        "value 9",
        2000000003,
        1795622437469000000,
    )


def test_filters(run: Any, tmp_path: Path) -> None:
    write(tmp_path, "tycoon", b"".join(records("tycoon", 10)))

    def keys(*options: object) -> list[str]:
        return [record["key"] for record in run("list", "--json", tmp_path, *options).json]

    assert keys() == NAMES
    assert keys("--key", "key3") == ["key3"]
    assert keys("--sid", 2) == []
    assert keys("--sid", 2, "--sid", 1) == NAMES
    assert keys("--from", STAMP + 7000) == NAMES[7:]
    assert keys("--to", STAMP + 1000) == NAMES[:2]
    assert keys("--from", "2026-11-18 11:06:40.000008Z") == NAMES[8:]
    assert keys("--from", "2026-11-17") == NAMES
    assert keys("--to", "2026-11-16") == []


def test_damage_is_named(run: Any, tmp_path: Path) -> None:
    file = material(tmp_path, "tycoon", "bad-record-magic")
    ran = run("list", file.path)
    assert ran.status == 1
    assert len(ran.lines) == 9
    assert "damaged at offset 192 (35 bytes)" in ran.err
    ran = run("verify", "--json", file.path)
    assert ran.status == 1
    assert ran.json[0]["records"] == 9
    assert (ran.json[1]["offset"], ran.json[1]["size"]) == (192, 35)


def test_verify(run: Any, tmp_path: Path) -> None:
    for name in ("tycoon/of-a-slave/ulog-b", "tyrant/all-kinds", "tycoon/snapshots/grass.ktss"):
        ran = run("verify", DATA / name)
        assert (ran.status, ran.err) == (0, "")
        assert "records=" in ran.lines[0]
    log = records("tycoon", 3)
    write(tmp_path, "tycoon", log[0] + log[2] + log[1], 1)
    write(tmp_path, "tycoon", b"", 4)
    ran = run("verify", tmp_path)
    assert ran.status == 1
    assert "its time is not after the last" in ran.err
    assert f"said to be of {STAMP} and is of {STAMP + 2000}" in ran.err
    assert "files before it are missing: 2" in ran.err


def test_files(run: Any, tmp_path: Path) -> None:
    file = material(tmp_path, "tycoon", "half-record")
    (record,) = run("files", "--json", file.path).json
    assert (record["kind"], record["size"], record["unfinished"]) == ("kyoto tycoon", 387, 20)
    (record,) = run("files", "--json", DATA / "tycoon/snapshots/grass-zlib.ktss").json
    assert (record["compressor"], record["records"]) == ("zlib", 32)


@pytest.mark.parametrize("server", ["tycoon", "tyrant"])
def test_cut(run: Any, tmp_path: Path, server: str) -> None:
    (tmp_path / "in").mkdir()
    log = records(server, 10)
    for number in range(3):
        write(tmp_path / "in", server, b"".join(log[number * 4 : number * 4 + 4]), number + 1)
    output = tmp_path / ("0000000007.ulog" if server == "tycoon" else "00000007.ulog")
    arguments = ("cut", tmp_path / "in", "--from", STAMP + 2000, "--to", STAMP + 8000)
    assert run(*arguments, "--output", output).status == 0
    assert [change.key for change in read_changes(output)] == NAMES[2:9]
    ran = run("verify", output)
    assert (ran.status, ran.err) == (0, "")
    before = output.read_bytes()
    assert run("cut", tmp_path / "in", "--output", output).status == 2
    assert output.read_bytes() == before
    assert run("cut", tmp_path / "in", "--output", output, "--force").status == 0
    assert [change.key for change in read_changes(output)] == NAMES
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(("in", output.name))


def test_cut_of_a_damaged_log(run: Any, tmp_path: Path) -> None:
    file = material(tmp_path, "tycoon", "bad-record-magic")
    output = tmp_path / "0000000002.ulog"
    ran = run("cut", file.path, "--output", output)
    assert (ran.status, output.exists()) == (2, False)
    assert "offset 192" in ran.err
    ran = run("cut", file.path, "--output", output, "--skip-damage")
    assert ran.status == 1
    assert [change.key for change in read_changes(output)] == NAMES[:5] + NAMES[6:]


def test_what_cannot_be_done(run: Any, tmp_path: Path) -> None:
    ran = run("list", tmp_path / "nothing")
    assert ran.status == 2
    assert "nothing" in ran.err
    snapshot = DATA / "tycoon/snapshots/grass.ktss"
    assert run("cut", snapshot, "--output", tmp_path / "x").status == 2
    with pytest.raises(SystemExit):
        run("list", tmp_path, "--from", "some day")


def test_as_a_program() -> None:
    command = [sys.executable, "-m", "kt.log", "list", str(DATA / "tyrant/table")]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert len(done.stdout.splitlines()) == 15


def test_a_tycoon_serves_what_was_cut(run: Any, start_tycoon: StartTycoon, tmp_path: Path) -> None:
    (tmp_path / "ulog").mkdir()
    output = tmp_path / "ulog/0000000001.ulog"
    assert run("cut", DATA / "tycoon/of-a-slave/ulog-b", "--sid", 1, "--output", output).status == 0
    expected = list(read_changes(output))
    server = logging_tycoon(start_tycoon, "*", "*")
    db = KyotoTycoon("127.0.0.1", server.port or 0, timeout=30)
    with db, db.changes(since=Since.OLDEST) as feed:
        assert [next(feed) for _ in expected] == expected


def test_a_tyrant_serves_what_was_cut(run: Any, start_tyrant: StartTyrant, tmp_path: Path) -> None:
    (tmp_path / "ulog").mkdir()
    output = tmp_path / "ulog/00000001.ulog"
    assert run("cut", DATA / "tyrant/all-kinds", "--prefix", "o", "--output", output).status == 0
    expected = list(read_changes(output))
    server = logging_tyrant(start_tyrant, "*")
    db = TokyoTyrant("127.0.0.1", server.port or 0, timeout=30)
    with db, db.changes(since=Since.OLDEST) as feed:
        assert [next(feed) for _ in expected] == expected
