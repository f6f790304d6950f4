"""What `synchronize` says, where a process is killed in a certain call, or the power goes."""

from __future__ import annotations

import itertools
import random
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

import kt

from .test_crash import KILLS, LOGGED, LONGEST, SEED, Writer, judge, width
from .workload import Account, steps

pytestmark = pytest.mark.timeout(600)


def killed_in(path: Path, promise: str, seed: int, **environment: str) -> int:
    """Let somebody write, who may be killed meanwhile; how many steps were acknowledged."""
    try:
        writer = Writer(path.suffix, seed, str(path), promise, **environment)
    except AssertionError:  # killed before the first step
        return 0
    with suppress(AssertionError):
        writer.watch(LONGEST)
    return writer.kill()


def account(found: dict[str, bytes], path: Path, promise: str, seed: int, done: int) -> Account:
    return Account(found, steps(seed, wide=width(path.suffix)), done, promise)


@pytest.mark.parametrize("promise", ["commit", "device"])
@pytest.mark.parametrize("suffix", LOGGED)
def test_a_kill_in_any_call_loses_nothing(
    suffix: str, promise: str, tmp_path: Path, last_call: str
) -> None:
    path = tmp_path / f"casket{suffix}"
    seed = random.Random(f"{SEED}{suffix}{promise}call").randrange(10**6)
    print(f"KT_CRASH_SEED={SEED}, seed {seed}")
    found: dict[str, bytes] = {}
    for turn in range(KILLS):
        call = random.Random(seed + turn).choice((*range(1, 40), 100, 300, 1000))
        preload = {"LD_PRELOAD": last_call, "KT_KILL_AT": str(call), "KT_FILES": "casket"}
        done = killed_in(path, promise, seed + turn, **preload)
        found = judge(path, promise, account(found, path, promise, seed + turn, done))


@pytest.mark.parametrize("suffix", [".kch", ".kct", *LOGGED])
def test_a_loss_of_power_loses_nothing(suffix: str, tmp_path: Path, last_call: str) -> None:
    machine, device = tmp_path / "machine", tmp_path / "device"
    machine.mkdir()
    device.mkdir()
    path = machine / f"casket{suffix}"
    seed = random.Random(f"{SEED}{suffix}power").randrange(10**6)
    print(f"KT_CRASH_SEED={SEED}, seed {seed}")
    found: dict[str, bytes] = {}
    for turn in range(KILLS):
        preload = {"LD_PRELOAD": last_call, "KT_DEVICE": str(device)}
        done = killed_in(path, "device", seed + turn, **preload)
        shutil.rmtree(machine)
        shutil.copytree(device, machine)
        found = judge(path, "device", account(found, path, "device", seed + turn, done))
        shutil.rmtree(device)
        shutil.copytree(machine, device)


OPTIMIZED = """
import os, sys
import kt
with kt.open(sys.argv[1], server="tyrant", synchronize=sys.argv[3]) as db:
    os.environ["KT_FILES"] = "casket"
    os.environ["KT_KILL_AT"] = sys.argv[2]
    db.optimize()
    del os.environ["KT_KILL_AT"]
"""


@pytest.mark.parametrize("suffix", [".tch", ".tcb", ".tct", ".tcf"])
def test_a_kill_while_a_new_file_takes_the_place_of_the_old(
    suffix: str, tmp_path: Path, last_call: str
) -> None:
    path = tmp_path / f"casket{suffix}"
    with kt.open(path, server="tyrant") as db:
        if suffix == ".tct":
            db.set_index("c", kt.IndexKind.LEXICAL)
            db.using(serializer=kt.TT_TABLE).set("1", {"c": "v"})
        else:
            db.set("1", "v")
    for call in range(1, 100):
        command = [sys.executable, "-c", OPTIMIZED, str(path), str(call), "none"]
        environment = {"LD_PRELOAD": last_call, "KT_NAMES": "only"}
        done = subprocess.run(command, env=environment, check=False)
        with kt.open(path, server="tyrant") as db:
            assert db.count() == 1, f"after a kill in call {call}"
            if suffix == ".tct":
                assert db.query().filter(kt.Column("c") == "v").keys() == ["1"]
        assert not list(tmp_path.glob("*.kt-before"))
        if done.returncode == 0:
            break
    else:
        pytest.fail("it does not come to an end")


@pytest.mark.parametrize("suffix", LOGGED)
def test_a_loss_of_power_while_a_new_file_takes_the_place_of_the_old(
    suffix: str, tmp_path: Path, last_call: str
) -> None:
    machine, device = tmp_path / "machine", tmp_path / "device"
    machine.mkdir()
    path = machine / f"casket{suffix}"
    with kt.open(path, server="tyrant") as db:
        if suffix == ".tct":
            db.set_index("c", kt.IndexKind.LEXICAL)
        for n in range(500):
            db.misc("put", [f"{n}", "c", f"{n}"] if suffix == ".tct" else [f"{n}", f"{n}"])
    preload = {"LD_PRELOAD": last_call, "KT_DEVICE": str(device)}
    for call in itertools.count(1):
        shutil.rmtree(device, ignore_errors=True)
        shutil.copytree(machine, device)
        command = [sys.executable, "-c", OPTIMIZED, str(path), str(call), "device"]
        done = subprocess.run(command, env={**preload, "KT_NAMES": "only"}, check=False)
        shutil.rmtree(machine)
        shutil.copytree(device, machine)
        with kt.open(path, server="tyrant") as db:
            assert db.count() == 500, f"after a loss of power in call {call}"
            assert len(list(db.keys())) == 500
            if suffix == ".tct":
                assert db.query().filter(kt.Column("c") == "7").keys() == ["7"]
        if done.returncode == 0:
            break
    assert call > 3
