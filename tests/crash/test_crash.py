"""Writers and servers are killed while they write; their files are opened again and judged.

``KT_CRASH_KILLS=200`` (``make test-crash``) kills so often all in all, ``KT_CRASH_SEED=N`` repeats
a run; without them there are a few kills of each kind.
"""

from __future__ import annotations

import os
import random
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.server.processes import ServerProcess

from .workload import Account, contents, steps
from .writer import connected

KYOTO = (".kch", ".kct", ".kcd", ".kcf")
TOKYO = (".tch", ".tcb", ".tcf", ".tct")
LOGGED = (".tch", ".tcb", ".tct")
"""Of which Tokyo Cabinet keeps a log; for `kt.open` (kt-tyrant has ``-durable``)."""

PROMISES = {"none": (), "commit": ("-oat",), "device": ("-oat", "-oas")}
"""What of `synchronize` is what option of a server."""

SERVED = [(suffix, promise) for suffix in KYOTO for promise in PROMISES] + [
    (suffix, "none") for suffix in TOKYO
]
CASES = SERVED + [(suffix, promise) for suffix in LOGGED for promise in ("commit", "device")]
KILLS = -(-int(os.environ.get("KT_CRASH_KILLS", "0")) // len(CASES)) or 2
SEED = int(os.environ.get("KT_CRASH_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
LONGEST = 0.6
"""Seconds for which a writer writes at most."""

pytestmark = pytest.mark.timeout(600)


class Writer:
    """A process that writes, and how far it came.

    Args:
        suffix: of the file.
        seed: of its steps.
        place: a file, or a server's port.
        promise: a key of `PROMISES`.
        environment: variables besides ours.
    """

    def __init__(
        self, suffix: str, seed: int, place: str | int, promise: str, **environment: str
    ) -> None:
        words = [suffix, str(seed), str(width(suffix)), str(place), promise]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.writer", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **environment},
        )
        self._written = b""
        while not self._written:
            self._read(60.0)

    def _read(self, seconds: float) -> None:
        output = self._process.stdout
        assert output is not None
        if select.select([output], [], [], seconds)[0]:
            piece = os.read(output.fileno(), 1 << 16)
            assert piece, self._process.communicate()
            self._written += piece

    def watch(self, seconds: float) -> None:
        """Let it write for that long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._read(left)

    def kill(self) -> int:
        """Kill it; returns how many steps were acknowledged."""
        self._process.kill()
        output, _ = self._process.communicate()
        return (self._written + output).count(b".\n")


def width(suffix: str) -> int:
    """Bytes of the longest value; a fixed-length file cuts off what is above 255."""
    return 250 if suffix == ".tcf" else 600


def judge(path: Path, promise: str, account: Account) -> dict[str, bytes]:
    """Open it, complain of what should not be, close it properly; returns what is there."""
    with connected(path.suffix, str(path), promise) as db:
        found, complaints = contents(db, path.suffix)
    complaints += account.complaints(
        found,
        whole_bulks=path.suffix in (KYOTO if promise != "none" else (".kct", ".kcf")),
        in_place=promise == "none" and path.suffix in (".kch", *TOKYO),
    )
    assert not complaints, "\n".join(complaints[:20])
    return found


def kill_again_and_again(path: Path, promise: str, seed: int, *, served: bool) -> None:
    print(f"KT_CRASH_SEED={SEED}, seed {seed}")
    found: dict[str, bytes] = {}
    for turn in range(KILLS):
        seconds = random.Random(seed + turn).uniform(0, LONGEST)
        write = killed_server if served else killed_writer
        acknowledged = write(path, promise, seed + turn, seconds)
        done = steps(seed + turn, wide=width(path.suffix))
        found = judge(path, promise, Account(found, done, acknowledged, promise))


def killed_writer(path: Path, promise: str, seed: int, seconds: float) -> int:
    writer = Writer(path.suffix, seed, str(path), promise)
    writer.watch(seconds)
    return writer.kill()


def killed_server(path: Path, promise: str, seed: int, seconds: float) -> int:
    program = "kt-tyrant" if path.suffix.startswith(".t") else "kt-tycoon"
    options = PROMISES[promise]
    with ServerProcess(program, *options, databases=[path.name], directory=path.parent) as server:
        writer = Writer(path.suffix, seed, server.port, promise)
        writer.watch(seconds)
        server.kill()
        return writer.kill()


@pytest.mark.parametrize(
    ("suffix", "promise", "served"),
    [(*case, False) for case in CASES] + [(*case, True) for case in SERVED],
)
def test_what_was_promised_is_there(
    tmp_path: Path, suffix: str, promise: str, served: bool
) -> None:
    seed = random.Random(f"{SEED}{suffix}{promise}{served}").randrange(10**6)
    kill_again_and_again(tmp_path / f"casket{suffix}", promise, seed, served=served)
