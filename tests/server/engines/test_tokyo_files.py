"""Files of Tokyo Cabinet: those of the original server are read, and ours pass its tools."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from .tokyo import fill, items, key, opened

FILES = Path(__file__).parent.parent / "data" / "files"
MANIFEST = json.loads((FILES / "manifest.json").read_text())
TOKYO = [name for name, entry in MANIFEST.items() if entry["server"] == "ttserver"]


@pytest.mark.parametrize("name", TOKYO)
def test_files_of_the_original_are_read(tmp_path: Path, name: str) -> None:
    for path in FILES.glob(f"{name}*"):
        shutil.copy(path, tmp_path)
    entry = MANIFEST[name]
    records = {base64.b64decode(k): base64.b64decode(v) for k, v, _ in entry["records"]}
    with opened(entry["open"], tmp_path) as database:
        assert database.count() == len(records)
        assert {one: database.get(one) for one in records} == records
        found = items(database.fwmkeys(b"[min,max]" if name.endswith("f") else b""))
        assert sorted(found) == sorted(records)
        assert database.fatal_error is None


def test_indices_of_the_original_are_used(tmp_path: Path) -> None:
    for path in FILES.glob("table.tct*"):
        shutil.copy(path, tmp_path)
    with opened("table.tct", tmp_path) as table:
        found = items(table.misc(b"search", [b"addcond\0age\0NUMGE\x000", b"hint"]))
        assert b'using an index: "age"' in found[-1]
        assert len(found) > 1


def tool(*words: str | Path) -> str:
    """Run one of Tokyo Cabinet's own tools; what it prints."""
    if shutil.which(str(words[0])) is None:
        pytest.skip(f"{words[0]} is not installed (Debian: tokyocabinet-bin)")
    ended = subprocess.run(list(map(str, words)), capture_output=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.decode()


@pytest.mark.parametrize(
    ("name", "manager"),
    [
        ("casket.tch", "tchmgr"),
        ("casket.tch#bnum=50#apow=2#opts=ld", "tchmgr"),
        ("casket.tcb", "tcbmgr"),
        ("casket.tcb#lmemb=8#nmemb=8#opts=b", "tcbmgr"),
        ("casket.tcf#width=40", "tcfmgr"),
        ("casket.tct", "tctmgr"),
    ],
)
def test_our_files_pass_the_tools(tmp_path: Path, name: str, manager: str) -> None:
    with opened(name, tmp_path) as database:
        fill(database, 1_000)
        for number in range(0, 1_000, 3):
            assert database.out(key(number))
        if manager == "tctmgr":
            assert items(database.misc(b"setindex", [b"column", b"lexical"])) == []
        kept = database.count()
    path = tmp_path / name.partition("#")[0]
    assert f"record number: {kept}\n" in tool(manager, "inform", path)
    listed = tool(manager, "list", path).split()
    assert sorted(listed) == sorted(str(n + 1) for n in range(1_000) if n % 3)
    assert "value 2" in tool(manager, "get", path, "2")
    if manager == "tctmgr":
        found = tool(manager, "search", path, "column", "STREQ", "value 2")
        assert found.split() == ["2"]
