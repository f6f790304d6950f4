"""``-restore-to`` that does not come to its end: on a full disk, or because it is killed."""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

import kt
from kt import KyotoTycoon, TokyoTyrant
from kt.moments import show_moment
from kt.serializers import KT_NONE

from ..disks import mounted, small_disk
from ..processes import BUNDLED, HOST, SECONDS, ServerProcess
from .test_restoring import KYOTO_FILES, LOG, TOKYO_FILES, moment, run

FILES = (*KYOTO_FILES, *TOKYO_FILES)
COUNT = 1000
LARGE_COUNT = 12_000
KILLS = 3
FOREVER = show_moment(4 * 10**18)


def program_of(name: str) -> str:
    return "kt-tycoon" if name in KYOTO_FILES else "kt-tyrant"


def written(name: str, count: int, directory: Path, *options: str) -> dict[str, bytes]:
    """Let a server with a log write records; what they are."""
    program, suffix = program_of(name), name.removeprefix("casket")
    database = "*" if program == "kt-tycoon" else f"live{suffix}"
    (directory / "log").mkdir()
    stored = {str(i): b"%0255d" % i for i in range(1, count + 1)}
    words = (*LOG, *options)
    with ServerProcess(program, *words, databases=[database], directory=directory) as process:
        if program == "kt-tycoon":
            with KyotoTycoon(HOST, process.port, serializer=KT_NONE) as tycoon:
                tycoon.set_bulk(stored)
        else:
            with TokyoTyrant(HOST, process.port, serializer=KT_NONE) as tyrant:
                fill(tyrant, name, stored)
        assert process.stop() == 0
    return stored


def fill(client: TokyoTyrant[str, bytes], name: str, stored: dict[str, bytes]) -> None:
    if not name.endswith(".tct"):
        client.set_bulk(stored)
        return
    client.misc("setindex", ["n", "0"])
    for key, value in stored.items():
        client.misc("put", [key, "n", value])


def contents(path: Path) -> dict[str, bytes]:
    if path.suffix != ".tct":
        with kt.open(str(path), serializer=KT_NONE) as db:
            return dict(db.items())
    with kt.open(str(path), serializer=KT_NONE) as db:
        found = db.misc("search", ["addcond\0n\x002\x000"])  # it begins with 0: by the index
        assert len(found) == db.count()
        return {key: db.get(key).partition(b"\0")[2] for key in found}


def left(directory: Path) -> list[str]:
    """What there is of databases."""
    return sorted(path.name for path in directory.glob("*casket*"))


@small_disk
@pytest.mark.parametrize("name", FILES)
def test_a_full_disk(name: str, tmp_path: Path) -> None:
    """Nothing is there then; with room, the same command makes all of it."""
    source, disk = tmp_path / "source", tmp_path / "disk"
    source.mkdir()
    stored = written(name, LARGE_COUNT, source)
    words = ("-restore-to", moment(), "-ulog", str(source / "log"), f"{disk / name}#bnum=1000")
    with mounted(disk, "size=2m"):
        printed = run(program_of(name), *words, directory=tmp_path, fails=True).stdout
        assert "room" in printed or "write error" in printed or "No space" in printed
        assert left(disk) == []
        subprocess.run(["mount", "-o", "remount,size=1g", disk], check=True, timeout=SECONDS)
        run(program_of(name), *words, directory=tmp_path)
        assert contents(disk / name) == stored


@small_disk
@pytest.mark.parametrize("name", ["casket.kct", "casket.kcd"])
def test_a_snapshot_on_a_full_disk(name: str, tmp_path: Path) -> None:
    source, disk = tmp_path / "source", tmp_path / "disk"
    source.mkdir()
    stored = written(name, LARGE_COUNT, source, "-bgs", "snapshots")
    options = ("-ulog", str(source / "log"), "-bgs", str(source / "snapshots"))
    words = ("-restore-to", moment(), *options, f"{disk / name}#bnum=1000")
    with mounted(disk, "size=2m"):
        printed = run("kt-tycoon", *words, directory=tmp_path, fails=True).stdout
        assert "no room" in printed
        assert "Put a good one in its place" not in printed
        assert left(disk) == []
        subprocess.run(["mount", "-o", "remount,size=1g", disk], check=True, timeout=SECONDS)
        run("kt-tycoon", *words, directory=tmp_path)
        assert contents(disk / name) == stored


def killed(
    name: str, words: Sequence[str], call: int, directory: Path, library: str, **environment: str
) -> bool:
    """Restore, and be killed in a call that changes files; whether that was before the end."""
    preload = {"LD_PRELOAD": library, "KT_KILL_AT": str(call), "KT_FILES": "casket", **environment}
    done = subprocess.run(
        [*BUNDLED[program_of(name)], *words],
        cwd=directory,
        env={**os.environ, **preload},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode in (0, -9), done.stdout
    return done.returncode == -9


@pytest.mark.parametrize(
    ("name", "snapshots"),
    [*((name, False) for name in FILES), ("casket.kch", True), ("casket.kct", True)],
)
def test_a_kill(name: str, snapshots: bool, tmp_path: Path, last_call: str) -> None:
    """What it leaves has a name that nobody takes for a database, and the next one removes it."""
    options = ("-bgs", "snapshots") if snapshots else ()
    stored = written(name, COUNT, tmp_path, *options)
    words = ("-restore-to", moment(), *LOG, *options, name)
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    there = (1, 2, 3, 5, 8, 13, 20, 40, 100, 300)
    calls = random.Random(seed).sample(there, min(KILLS, len(there)))
    for call in calls:
        if killed(name, words, call, tmp_path, last_call):
            assert name not in left(tmp_path)
        else:
            (shutil.rmtree if (tmp_path / name).is_dir() else os.remove)(tmp_path / name)
            for index in tmp_path.glob(f"{name}.idx.*"):
                index.unlink()
    run(program_of(name), *words, directory=tmp_path)
    assert contents(tmp_path / name) == stored
    indices = [f"{name}.idx.n.lex"] if name == "casket.tct" else []
    assert left(tmp_path) == [name, *indices]


def copied(name: str, directory: Path) -> tuple[str, dict[str, bytes]]:
    """Keep a copy, and go on; the time of the copy, and what was there before and after."""
    program, live = program_of(name), "live" + name.removeprefix("casket")
    (directory / "log").mkdir()
    with ServerProcess(program, *LOG, databases=[live], directory=directory) as process:
        change(process, name, "1")
        process.stop()
        time_of_copy = moment()
        copy(directory, live, "copy" + Path(name).suffix)
        process.start()
        change(process, name, "2")
        process.stop()
    return time_of_copy, contents(directory / live)


def change(process: ServerProcess, name: str, key: str) -> None:
    if program_of(name) == "kt-tycoon":
        with KyotoTycoon(HOST, process.port, serializer=KT_NONE) as tycoon:
            tycoon.set_bulk({f"{key}{i}": b"v" for i in range(300)})
    else:
        with TokyoTyrant(HOST, process.port, serializer=KT_NONE) as tyrant:
            fill(tyrant, name, {f"{key}{i:02}": b"0" for i in range(100)})


def copy(directory: Path, name: str, to: str) -> None:
    for path in directory.glob(f"{name}*"):
        target = directory / (to + path.name.removeprefix(name))
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(path, target) if path.is_dir() else shutil.copy(path, target)


@pytest.mark.parametrize("name", FILES)
def test_a_copy_that_was_not_brought_on_to_the_end(
    name: str, tmp_path: Path, last_call: str
) -> None:
    """It is between two times, has a name that says so, and another copy is asked for."""
    since, stored = copied(name, tmp_path)
    kept = "copy" + Path(name).suffix
    copy(tmp_path, kept, name)
    words = ("-restore-to", FOREVER, "-restore-from", since, *LOG, name)
    # The first name that is changed is its own.
    assert killed(name, words, 2, tmp_path, last_call, KT_NAMES="only")
    assert f"restoring-{name}" in left(tmp_path)
    assert name not in left(tmp_path)
    printed = run(program_of(name), *words, directory=tmp_path, fails=True).stdout
    assert f"put the copy there again as {name}" in printed
    copy(tmp_path, kept, name)
    printed = run(program_of(name), *words, directory=tmp_path).stdout
    assert "an attempt before did not come to its end" in printed
    assert contents(tmp_path / name) == stored
    assert not list(tmp_path.glob("restoring-*"))


@pytest.mark.parametrize("name", FILES)
def test_a_copy_that_is_not_brought_on_at_all(name: str, tmp_path: Path) -> None:
    """What is refused before anything is changed leaves the copy as it was."""
    copied(name, tmp_path)
    copy(tmp_path, "copy" + Path(name).suffix, name)
    before = contents(tmp_path / name)
    there = left(tmp_path)
    log = tmp_path / "log" / ("0000000001.ulog" if name in KYOTO_FILES else "00000001.ulog")
    log.rename(log.with_name(log.name.replace("1", "2")))
    words = ("-restore-to", FOREVER, "-restore-from", "2001-01-01", *LOG, name)
    printed = run(program_of(name), *words, directory=tmp_path, fails=True).stdout
    assert "changes after 2001-01-01" in printed
    assert left(tmp_path) == there
    assert contents(tmp_path / name) == before


@pytest.mark.parametrize("name", ["casket.kch", "casket.kcd", "casket.tch"])
def test_what_another_process_is_making(name: str, tmp_path: Path) -> None:
    written(name, 1, tmp_path)
    made = tmp_path / f"restoring-{name}"
    locked = made / "__KCDIR__" if name.endswith(".kcd") else made
    locked.parent.mkdir(exist_ok=True)
    with open(locked, "wb") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        words = ("-restore-to", FOREVER, *LOG, name)
        printed = run(program_of(name), *words, directory=tmp_path, fails=True).stdout
        assert f"another process has restoring-{name} open" in printed
        assert made.exists()
    run(program_of(name), *words, directory=tmp_path)
