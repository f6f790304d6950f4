"""A process is killed while it makes a new file, in every call in turn: the file can be used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import kt

pytestmark = pytest.mark.timeout(600)

MADE = """
import os, sys
import kt
directory, name, promise = sys.argv[1:]
for call in range(1, 200):
    os.mkdir(f"{directory}/{call}")
    process = os.fork()
    if process == 0:
        os.environ["KT_KILL_AT"] = str(call)
        kt.open(f"{directory}/{call}/{name}", synchronize=promise).close()
        os._exit(0)
    if os.waitpid(process, 0)[1] == 0:
        break
else:
    sys.exit("it does not come to an end")
"""

MAPPED = [(suffix, promise) for suffix in (".kch", ".kct") for promise in ("none", "device")]
OTHERS = [(".kct", "commit"), (".kcd", "none"), (".kcf", "commit")]
TOKYO = [(suffix, promise) for suffix in (".tch", ".tcb", ".tct") for promise in ("none", "device")]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("suffix", "promise"), [*MAPPED, *OTHERS, *TOKYO, (".tcf", "none")])
def test_a_kill_in_any_call_that_makes_a_file(
    suffix: str, promise: str, after: bool, tmp_path: Path, last_call: str
) -> None:
    environment = {
        "LD_PRELOAD": last_call,
        "KT_FILES": "casket",
        **({"KT_AFTER": "1"} if after else {}),
    }
    few = "#bnum=1000" if suffix.startswith(".t") else ""  # they are written, a page a call
    command = [sys.executable, "-c", MADE, str(tmp_path), f"casket{suffix}{few}", promise]
    subprocess.run(command, env=environment, check=True)
    turns = sorted(tmp_path.iterdir(), key=lambda directory: int(directory.name))
    assert turns
    for directory in turns:
        call = directory.name
        with kt.open(directory / f"casket{suffix}", synchronize=promise) as opened:
            table = suffix == ".tct"
            db = opened.using(serializer=kt.TT_TABLE) if table else opened
            value = {"c": "v"} if table else "v"
            db.set("1", value)
            assert (db.count(), list(db.keys()), db.get("1")) == (1, ["1"], value), call
        left = {path.name for path in directory.iterdir() if path.suffix != ".torn"}
        assert left == {f"casket{suffix}"}, call
