"""How long other connections wait while a bundled server does something long.

    python bench/stalls.py [tycoon|tyrant ...] [--database DATABASE ...] [--records 1000000] [--log]

The database is filled; then, for each long operation, one connection asks for it while two others,
each in a process of its own, ask for something small as often as the server answers: one a record
by the binary protocol, the other something that the event loop serves in Python. The table shows
how long the operation took, and the longest wait and the 99.9th percentile of the two, in
milliseconds. The first line is the same without any operation: what the machine adds. (Atomic bulk
calls lock all their records, so others have to wait for their end: that is what atomic means.)

With ``--log`` there is an update log, of which each MiB is a file, and kt-tycoon takes one snapshot
of the database after the other.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from time import perf_counter, sleep
from typing import Any

from kt import EmbeddedServer, EmbeddedTokyoTyrantServer, KyotoTycoon, TokyoTyrant

PART = 50_000
"""Records written at once."""

Operation = Callable[[Any], object]

TYCOON: Mapping[str, Operation] = {
    "(none)": lambda db: sleep(1),
    "match_prefix": lambda db: db.match_prefix("", None),
    "match_regex, few": lambda db: db.match_regex("00077", None),
    "match_similar, few": lambda db: db.match_similar("key-00000077", 1),
    "set_bulk, atomic": lambda db: db.set_bulk(dict.fromkeys(keys(len(db)), "w"), atomic=True),
    "get_bulk, atomic": lambda db: db.get_bulk(keys(len(db)), atomic=True),
    "set_bulk": lambda db: db.set_bulk(dict.fromkeys(keys(len(db)), "w")),
    "get_bulk": lambda db: db.get_bulk(keys(len(db))),
    "remove_bulk": lambda db: db.remove_bulk([f"no {key}" for key in keys(len(db))]),
    "synchronize": lambda db: db.synchronize(hard=True),
    "vacuum": lambda db: db.vacuum(),
    "clear": lambda db: db.clear(),
}

TYRANT: Mapping[str, Operation] = {
    "(none)": lambda db: sleep(1),
    "match_prefix": lambda db: db.match_prefix("", None),
    "match_regex, few": lambda db: db.match_regex("00077", None),
    "set_bulk": lambda db: db.set_bulk(dict.fromkeys(keys(len(db)), "w")),
    "get_bulk": lambda db: db.get_bulk(keys(len(db))),
    "synchronize": lambda db: db.synchronize(),
    "optimize": lambda db: db.optimize(),
    "clear": lambda db: db.clear(),
}


def keys(count: int) -> list[str]:
    """The records' keys."""
    return [f"key-{number:08}" for number in range(count)]


def fill(db: KyotoTycoon[Any, Any] | TokyoTyrant[Any, Any], count: int) -> None:
    """Write the records."""
    names = keys(count)
    for begin in range(0, count, PART):
        db.set_bulk(dict.fromkeys(names[begin : begin + PART], "v"))


def probe(program: str, port: int, kind: str) -> None:
    """Ask until standard input ends; print the waits, in milliseconds."""
    make = partial(KyotoTycoon if program == "tycoon" else TokyoTyrant, port=port, timeout=None)
    db = make()

    def connect() -> None:
        with make() as other:
            other.get("key-00000001")

    ask = {"binary": lambda: db.get("key-00000001"), "loop": db.status, "connect": connect}[kind]
    waits: list[float] = []
    print("ready", flush=True)
    while not waits or not select.select([sys.stdin], [], [], 0.0003)[0]:
        begin = perf_counter()
        ask()
        waits.append((perf_counter() - begin) * 1000)
    waits.sort()
    print(json.dumps({"longest": waits[-1], "p99.9": waits[int(len(waits) * 0.999)]}))


def probes(
    program: str, port: int, kinds: Sequence[str] = ("binary", "loop")
) -> list[subprocess.Popen[str]]:
    """Probes, at work."""
    started = [
        subprocess.Popen(
            [sys.executable, __file__, "--probe", program, str(port), kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for kind in kinds
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    return started


def logging(program: str, folder: str) -> list[str]:
    """Arguments for an update log with small files, and for snapshots all the time."""
    for name in ("log", "snapshots"):
        os.mkdir(f"{folder}/{name}")
    words = ["-ulog", f"{folder}/log", "-ulim", "1m", "-sid", "1"]
    return words + ["-bgs", f"{folder}/snapshots", "-bgsi", "0.1"] * (program == "tycoon")


def rows(program: str, database: str, count: int, log: bool) -> Iterator[list[str]]:
    """A row of the table for every operation."""
    tycoon = program == "tycoon"
    server_class = EmbeddedServer if tycoon else EmbeddedTokyoTyrantServer
    with tempfile.TemporaryDirectory(prefix="kt-bench-") as folder:
        path = f"{folder}/{database}" if "." in database else database
        words = logging(program, folder) if log else []
        with server_class(f"kt-{program}", database=path, server_args=words) as server:
            db = server.connect(timeout=None)
            fill(db, count)
            for name, operation in (TYCOON if tycoon else TYRANT).items():
                running = probes(program, server.port)
                begin = perf_counter()
                operation(db)
                seconds = perf_counter() - begin
                waits = [json.loads(process.communicate("")[0]) for process in running]
                cells = [f"{wait[kind]:.1f}" for wait in waits for kind in ("longest", "p99.9")]
                yield [f"`{database}`", name, f"{seconds:.2f}", *cells]
            db.close()


def main() -> None:
    """Parse the command line, run, print."""
    if sys.argv[1:2] == ["--probe"]:
        program, port, kind = sys.argv[2:]
        probe(program, int(port), kind)
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("servers", nargs="*", choices=["tycoon", "tyrant", []])
    parser.add_argument("--database", action="append", help="database type, several times")
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--log", action="store_true", help="with update log and snapshots")
    options = parser.parse_args()
    defaults = {
        "tycoon": ["*", "%", "bench.kch", "bench.kct"],
        "tyrant": ["*", "+", "bench.tch", "bench.tcb"],
    }
    for program in options.servers or ["tycoon", "tyrant"]:
        print(f"| kt-{program} | operation | s | binary, longest | p99.9 | loop, longest | p99.9 |")
        print("|---|---|---:|---:|---:|---:|---:|")
        for database in options.database or defaults[program]:
            for row in rows(program, database, options.records, options.log):
                print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
