"""What it costs that nothing acknowledged is lost, and how long it takes to come back.

    python bench/durability.py [tyrant] [--database casket.kch] [--recovery]

kt-tycoon, or kt-tyrant, with `-ulog` and `-durable` beside itself without; KTSERVER=ktserver or
TTSERVER=ttserver adds the original with `-ulog`. At 32 connections SQLite (a transaction a record,
synchronous=FULL) stands beside them, and Redis with an append-only file if redis-server and
redis-benchmark are on PATH.

All servers run at the same time, and get each load in turn, a round after the other; the median of
the rounds counts. The files are in the system's directory for temporary files. `--recovery` kills a
kt-tycoon after 1,000,000 changes, and says how long the next start takes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from servers import Load, compile_loadgen, measure

from kt import EmbeddedServer, EmbeddedTokyoTyrantServer

LOADS = {
    "kt-tycoon": (
        Load("set, 32 connections", "tycoon-set", 32, 1, 1.0),
        Load("set, 100 deep", "tycoon-set", 1, 100, 1.0),
        Load("set_bulk of 1,000", "tycoon-set-bulk", 1, 1, 1.0, bulk=True),
    ),
    "kt-tyrant": (
        Load("put, 32 connections", "tyrant-put", 32, 1, 1.0),
        Load("put, 100 deep", "tyrant-put", 1, 100, 1.0),
        Load("putlist of 1,000", "tyrant-putlist", 1, 1, 1.0, bulk=True),
    ),
}
CONNECTIONS = 32
ULOG = ("-ulog", "log", "-sid", "1")
MODES: dict[str, tuple[str, ...]] = {
    "plain": (),
    "-ulog": ULOG,
    "-durable process": (*ULOG, "-durable", "process"),
    "-durable device": (*ULOG, "-durable", "device"),
}
CHANGES = 1_000_000

Run = Callable[[Load, float], float]
"""Runs a load for so many seconds; returns requests or records per second."""


def placed(program: str, arguments: tuple[str, ...], folder: str, database: str) -> list[str]:
    """Arguments of a server whose files are in a folder."""
    found = [f"{folder}/log" if word == "log" else word for word in arguments]
    if arguments:
        os.makedirs(f"{folder}/log")
    if program == "kt-tyrant":
        return found
    if "-durable" in arguments and ("device" in arguments or not database.startswith("casket")):
        found += ["-bgs", f"{folder}/snapshots", "-bgsi", "0"]
    return found


def server(stack: ExitStack, program: str, arguments: tuple[str, ...], database: str) -> Run:
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="kt-bench-"))
    path = f"{folder}/{database}" if database.startswith("casket") else database
    words = placed(program, arguments, folder, database)
    tycoon = program == "kt-tycoon" or program == os.environ.get("KTSERVER")
    embedded = EmbeddedServer if tycoon else EmbeddedTokyoTyrantServer
    port = stack.enter_context(embedded(program, database=path, server_args=words)).port

    def run(load: Load, seconds: float) -> float:
        report = measure(port, load, seconds, 0)
        return float(report["records_per_second" if load.bulk else "requests_per_second"])

    return run


def sqlite(stack: ExitStack) -> Run:
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="kt-bench-"))
    path = f"{folder}/sqlite"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE records (key BLOB PRIMARY KEY, value BLOB)")

    def write(number: int, end: float, counts: list[int]) -> None:
        db = sqlite3.connect(path, timeout=60, isolation_level=None)
        db.execute("PRAGMA synchronous=FULL")
        while time.monotonic() < end:
            key = b"%d:%d" % (number, counts[number] % 1000)
            db.execute("INSERT OR REPLACE INTO records VALUES (?, ?)", (key, b"x" * 8))
            counts[number] += 1
        db.close()

    def run(load: Load, seconds: float) -> float:
        counts = [0] * CONNECTIONS
        end = time.monotonic() + seconds
        threads = [
            threading.Thread(target=write, args=(number, end, counts))
            for number in range(CONNECTIONS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(counts) / seconds

    return run


def redis(stack: ExitStack, synchronizes: str) -> Run:
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="kt-bench-"))
    socket = f"{folder}/socket"
    words = ["--port", "0", "--unixsocket", socket, "--dir", folder, "--save", ""]
    words += ["--appendonly", "yes", "--appendfsync", synchronizes]
    process = subprocess.Popen(["redis-server", *words], stdout=subprocess.DEVNULL)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    while not os.path.exists(socket):
        time.sleep(0.05)
    rate = [2000.0]

    def run(load: Load, seconds: float) -> float:
        count = str(int(max(rate[0] * seconds, 100)))
        command = ["redis-benchmark", "-s", socket, "-t", "set", "-c", str(CONNECTIONS)]
        command += ["-n", count, "-r", "100000", "-d", "8", "--csv"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        rate[0] = float(said.splitlines()[-1].split(",")[1].strip('"'))
        return rate[0]

    return run


def contestants(stack: ExitStack, program: str, database: str) -> dict[str, Run]:
    runs = {name: server(stack, program, mode, database) for name, mode in MODES.items()}
    name = "ktserver" if program == "kt-tycoon" else "ttserver"
    if original := os.environ.get(name.upper()):
        runs[f"{name} -ulog"] = server(stack, original, ULOG, database)
    return runs


def others(stack: ExitStack) -> dict[str, Run]:
    runs = {"SQLite, synchronous=FULL": sqlite(stack)}
    if shutil.which("redis-server") and shutil.which("redis-benchmark"):
        for synchronizes in ("always", "everysec"):
            runs[f"Redis, appendfsync {synchronizes}"] = redis(stack, synchronizes)
    return runs


def compare(runs: dict[str, Run], load: Load, rounds: int, seconds: float) -> None:
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            rates[name].append(run(load, seconds))
    medians = {name: statistics.median(found) for name, found in rates.items()}
    first = next(iter(medians.values()))
    for name, median in medians.items():
        print(load.title, name, f"{median:,.0f}", f"{median / first:.2f}", sep=" | ", flush=True)


def recover(database: str) -> None:
    """Kill a server that has logged a million changes since its checkpoint, and start it again."""
    mode = MODES["-durable process"]
    with tempfile.TemporaryDirectory(prefix="kt-bench-") as folder:
        path = f"{folder}/{database}" if database.startswith("casket") else database
        words = [*placed("kt-tycoon", mode, folder, database), "-ls", "-log", f"{folder}/said"]
        embedded = EmbeddedServer(database=path, server_args=words)
        with embedded, embedded.connect() as db:
            for begin in range(0, CHANGES, 10_000):
                db.set_bulk({f"{n:08d}": b"x" * 8 for n in range(begin, begin + 10_000)})
            subprocess.run(["kill", "-9", str(embedded.pid)], check=True)
        began = time.monotonic()
        with EmbeddedServer(database=path, server_args=words) as again, again.connect() as db:
            count = db.count()
            print(f"{database}: {count:,} records are there {time.monotonic() - began:.2f} s after")
            said = Path(f"{folder}/said").read_text().splitlines()
            print([line for line in said if "changes applied" in line][-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("server", nargs="?", choices=("tycoon", "tyrant"), default="tycoon")
    parser.add_argument("--database", help="% or *, unless it is given")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--recovery", action="store_true")
    options = parser.parse_args()
    program = f"kt-{options.server}"
    database = options.database or ("%" if program == "kt-tycoon" else "*")
    if options.recovery:
        recover(database)
        return
    compile_loadgen()
    with ExitStack() as stack:
        runs = contestants(stack, program, database)
        for load in LOADS[program]:
            beside = others(stack) if load is LOADS[program][0] else {}
            compare({**runs, **beside}, load, options.rounds, options.seconds)


if __name__ == "__main__":
    main()
