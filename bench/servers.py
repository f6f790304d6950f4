"""The bundled servers against the originals, in turn, on this machine.

    python bench/servers.py [tycoon|tyrant ...] [--original PROGRAM] [--seconds 2] [--rounds 5]
                            [--database '*' ...] [--only LOAD ...] [--real] [--log-requests]
                            [--json FILE]

For each database type both servers are started; each load then runs on one and the other in turn,
`--rounds` times, each for `--seconds`. The load generator (`loadgen.cpp`, compiled here on first
use) checks every reply. The table shows medians of requests per second (records per second for
bulk loads), the spread (lowest and highest of the rounds), the ratio of the medians, and the median
99th percentile of the latency. Without an original (``--original``, else KTSERVER or TTSERVER, else
ktserver or ttserver on PATH) only ours runs.

``--real`` runs both as in a real installation: logging to a file, records that expire, and a limit
on the number of records. ``--log-requests`` does so with a line in the log for every request.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from kt import EmbeddedServer, EmbeddedTokyoTyrantServer

HERE = Path(__file__).resolve().parent
LOADGEN = HERE.parent / "build" / "loadgen"


class Load(NamedTuple):
    """One row of the table: a load of loadgen's and how it is driven."""

    title: str
    name: str
    connections: int
    depth: int
    aim: float  # ratio to the original that we want to reach
    bulk: bool = False


@dataclass(frozen=True)
class Contest:
    """What differs between the two pairs of servers."""

    server: type[EmbeddedServer] | type[EmbeddedTokyoTyrantServer]
    ours: str
    original: str
    variable: str  # environment variable that names the original
    databases: tuple[str, ...]
    loads: tuple[Load, ...]
    real: tuple[str, ...]  # arguments of a real installation
    real_tuning: str


CONTESTS = {
    "tycoon": Contest(
        EmbeddedServer,
        "kt-tycoon",
        "ktserver",
        "KTSERVER",
        ("*", "%", "bench.kch", "bench.kct"),
        (
            Load("get, 1 connection", "tycoon-get", 1, 1, 1.0),
            Load("set, 1 connection", "tycoon-set", 1, 1, 1.0),
            Load("get, 32 connections", "tycoon-get", 32, 1, 2.0),
            Load("set, 32 connections", "tycoon-set", 32, 1, 2.0),
            Load("get, 100 deep", "tycoon-get", 1, 100, 2.5),
            Load("set, 100 deep", "tycoon-set", 1, 100, 2.5),
            Load("get_bulk of 1,000", "tycoon-get-bulk", 1, 1, 1.5, bulk=True),
            Load("set_bulk of 1,000", "tycoon-set-bulk", 1, 1, 1.5, bulk=True),
            Load("HTTP get, 32 connections", "tycoon-http-get", 32, 1, 1.0),
            Load("REST GET, 32 connections", "tycoon-rest-get", 32, 1, 1.0),
        ),
        ("-log", "server.log", "-ls"),
        "#capcnt=1000000",
    ),
    "tyrant": Contest(
        EmbeddedTokyoTyrantServer,
        "kt-tyrant",
        "ttserver",
        "TTSERVER",
        ("*", "+", "bench.tch", "bench.tcb"),
        (
            Load("get, 1 connection", "tyrant-get", 1, 1, 1.0),
            Load("put, 1 connection", "tyrant-put", 1, 1, 1.0),
            Load("get, 32 connections", "tyrant-get", 32, 1, 1.5),
            Load("put, 32 connections", "tyrant-put", 32, 1, 1.5),
            Load("get, 100 deep", "tyrant-get", 1, 100, 1.5),
            Load("put, 100 deep", "tyrant-put", 1, 100, 1.5),
            Load("mget of 1,000", "tyrant-mget", 1, 1, 1.0, bulk=True),
            Load("putlist of 1,000", "tyrant-putlist", 1, 1, 1.0, bulk=True),
        ),
        ("-log", "server.log"),
        "",
    ),
}


def compile_loadgen() -> None:
    """Build the load generator if its source is newer."""
    source = HERE / "loadgen.cpp"
    if LOADGEN.exists() and LOADGEN.stat().st_mtime >= source.stat().st_mtime:
        return
    LOADGEN.parent.mkdir(exist_ok=True)
    compiler = os.environ.get("CXX", "g++")
    subprocess.run([compiler, "-O2", "-std=c++17", "-o", LOADGEN, source], check=True)


def measure(port: int, load: Load, seconds: float, lifetime: int) -> dict[str, Any]:
    """Run one load once; return loadgen's report."""
    command = [
        LOADGEN,
        port,
        load.name,
        load.connections,
        load.depth,
        seconds,
        10_000,
        32,
        lifetime,
    ]
    output = subprocess.run([str(word) for word in command], check=True, capture_output=True)
    report: dict[str, Any] = json.loads(output.stdout)
    return report


def compare(
    contest: Contest, database: str, programs: Sequence[str], options: argparse.Namespace
) -> Iterable[dict[str, Any]]:
    """Yield a row per load: the programs run at the same time, the loads on each in turn."""
    loads = [load for load in contest.loads if not options.only or load.title in options.only]
    with ExitStack() as stack:
        ports = []
        for program in programs:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="kt-bench-"))
            path = f"{folder}/{database}" if "." in database else database
            arguments = [
                word.replace("server.log", f"{folder}/server.log")
                for word in contest.real
                if not (options.log_requests and word == "-ls")
            ]
            server = contest.server(
                program,
                database=path + (contest.real_tuning if options.real else ""),
                server_args=arguments if options.real else None,
            )
            stack.enter_context(server)
            ports.append(server.port)
        for load in loads:
            rounds: list[list[dict[str, Any]]] = [[] for _ in programs]
            for _ in range(options.rounds):
                for port, reports in zip(ports, rounds, strict=True):
                    assert port is not None
                    lifetime = 3600 if options.real else 0
                    reports.append(measure(port, load, options.seconds, lifetime))
            yield summary(load, database, programs, rounds)


def summary(
    load: Load, database: str, programs: Sequence[str], rounds: list[list[dict[str, Any]]]
) -> dict[str, Any]:
    """Medians and spread of one load on each program, and the ratio first to last."""
    unit = "records_per_second" if load.bulk else "requests_per_second"
    row: dict[str, Any] = {"database": database, "load": load.title, "aim": load.aim}
    names = titles(programs)
    for name, reports in zip(names, rounds, strict=True):
        rates = [report[unit] for report in reports]
        row[name] = {
            "median": statistics.median(rates),
            "lowest": min(rates),
            "highest": max(rates),
            "p50_us": statistics.median(report["latency_us"]["p50"] for report in reports),
            "p99_us": statistics.median(report["latency_us"]["p99"] for report in reports),
        }
    first, last = (row[name]["median"] for name in (names[0], names[-1]))
    row["ratio"] = round(first / last, 2) if len(programs) > 1 else None
    return row


def titles(programs: Sequence[str]) -> list[str]:
    """What tells the programs apart in the results: their names, or paths where these are equal."""
    names = [Path(program).name for program in programs]
    return names if len(set(names)) == len(names) else list(programs)


def show(rows: Sequence[dict[str, Any]], programs: Sequence[str]) -> None:
    """Print the rows as a Markdown table."""
    names = titles(programs)
    head = ["database", "load"]
    for name in names:
        head += [name, "spread", "p99 µs"]
    head += ["ratio", "aim"]
    print("| " + " | ".join(head) + " |")
    print("|---|---|" + "---:|" * (len(head) - 2))
    for row in rows:
        cells = [f"`{row['database']}`", row["load"]]
        for name in names:
            figures = row[name]
            cells.append(f"{figures['median']:,.0f}")
            cells.append(f"{figures['lowest']:,.0f} to {figures['highest']:,.0f}")
            cells.append(f"{figures['p99_us']:,.0f}")
        cells += [f"{row['ratio']:.2f}" if row["ratio"] else "", f"{row['aim']:.1f}"]
        print("| " + " | ".join(cells) + " |", flush=True)


def machine() -> str:
    """One line about where this was measured."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return f"{os.cpu_count()} cores, {model}, {platform.system()} {platform.release()}"


def run(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """One pair of servers, all database types."""
    contest = CONTESTS[name]
    original = (
        options.original or os.environ.get(contest.variable) or shutil.which(contest.original)
    )
    programs = [contest.ours, *([original] if original else [])]
    if original is None:
        print(f"no {contest.original} here (see --original): {contest.ours} runs alone")
    rows: list[dict[str, Any]] = []
    for database in options.database or contest.databases:
        rows += compare(contest, database, programs, options)
    show(rows, programs)
    return {"machine": machine(), "command": sys.argv, "titles": titles(programs), "rows": rows}


def main() -> None:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("servers", nargs="*", choices=[*CONTESTS, []], help="default: both")
    parser.add_argument("--original", help="program to compare with")
    parser.add_argument("--database", action="append", help="database type, several times")
    parser.add_argument("--only", action="append", help="title of a load, several times")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--real", action="store_true", help="with logging, expiry and limits")
    parser.add_argument("--log-requests", action="store_true", help="--real, and log each request")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--plot", type=Path, help="file for a plot (needs matplotlib)")
    options = parser.parse_args()
    options.real |= options.log_requests
    compile_loadgen()
    print(machine())
    results = {name: run(name, options) for name in options.servers or CONTESTS}
    if options.json:
        options.json.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    if options.plot:
        from plot import plot_servers

        plot_servers(results, options.plot)


if __name__ == "__main__":
    main()
