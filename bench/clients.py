"""Clients compared, in one run and in turn, with the bare-socket floor.

    python bench/clients.py [tycoon|tyrant ...] [--server PROGRAM] [--client ADAPTER ...]
                            [--seconds 1] [--rounds 5] [--json FILE] [--plot FILE]

Each client runs in a process of its own (`contestant.py` with an adapter out of `adapters/`). For
every load, each client in turn drives the same server for `--seconds`, `--rounds` times. The table
shows the median number of times per second, and in brackets its ratio to the floor's median of the
same run; the last columns are what we aim at. ``--server`` names the server program (default: the
bundled one), ``--client`` further adapters, for whatever other client is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from records import COUNTERS, KEYS, VALUES
from servers import machine

from kt import EmbeddedServer, EmbeddedTokyoTyrantServer

HERE = Path(__file__).resolve().parent


class Contestant(NamedTuple):
    """A column of the table."""

    title: str
    adapter: Path
    environment: dict[str, str]


OURS = [
    Contestant("floor", HERE / "adapters/floor.py", {}),
    Contestant("kt", HERE / "adapters/kt_sync.py", {"KT_IMPL": "compiled"}),
    Contestant("kt pure", HERE / "adapters/kt_sync.py", {"KT_IMPL": "python"}),
    Contestant("kt asyncio", HERE / "adapters/kt_async.py", {"KT_IMPL": "compiled"}),
    Contestant("kt asyncio pure", HERE / "adapters/kt_async.py", {"KT_IMPL": "python"}),
]
AIMS = {
    "get": (0.90, 0.85),
    "set": (0.90, 0.85),
    "exists": (0.85, 0.75),
    "incr": (0.85, 0.75),
    "cas": (0.85, 0.75),
    "set_bulk": (0.85, 0.55),
    "get_bulk": (0.70, 0.30),
    "match_prefix": (0.70, 0.40),
    "pipeline": (0.60, 0.40),
    "tasks": (0.40, 0.25),
}
"""For each load, the ratios to the floor that the compiled and the pure client are to reach."""


class Process:
    """A contestant's process."""

    def __init__(self, contestant: Contestant, server: str, host: str, port: int) -> None:
        command = [sys.executable, HERE / "contestant.py", contestant.adapter, server, host, port]
        self._process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **contestant.environment},
        )
        self.loads: list[str] = self._answer()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def run(self, load: str, seconds: float) -> dict[str, Any]:
        """Do one load once."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([load, seconds]) + "\n")
        self._process.stdin.flush()
        result: dict[str, Any] = self._answer()
        return result

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"a client ended with status {self._process.wait()}")
        return json.loads(line)


def compete(
    server: str, contestants: list[Contestant], options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Run everything against one server; return a row per load."""
    kind = EmbeddedServer if server == "tycoon" else EmbeddedTokyoTyrantServer
    program = options.server or f"kt-{server}"
    with ExitStack() as stack:
        running = stack.enter_context(kind(program))
        assert running.port is not None
        prepare(running.client)
        processes = {
            contestant.title: stack.enter_context(
                Process(contestant, server, running.host, running.port)
            )
            for contestant in contestants
        }
        return [row(load, processes, options) for load in AIMS if load in processes["floor"].loads]


def prepare(client: Any) -> None:
    """Write the records that the loads read."""
    client.clear()
    client.set_bulk(dict(zip(KEYS, VALUES, strict=True)))
    for counter in COUNTERS:
        client.incr(counter)


def row(load: str, processes: dict[str, Process], options: argparse.Namespace) -> dict[str, Any]:
    """Run one load with every client in turn."""
    results: dict[str, list[dict[str, Any]]] = {}
    for _ in range(options.rounds):
        for title, process in processes.items():
            if load in process.loads:
                results.setdefault(title, []).append(process.run(load, options.seconds))
    figures: dict[str, Any] = {}
    for title, runs in results.items():
        rates = [run["rate"] for run in runs]
        figures[title] = {
            "median": statistics.median(rates),
            "lowest": min(rates),
            "highest": max(rates),
            "cpu_us": min(run["cpu_us"] for run in runs),
            **{
                name: statistics.median(run["latency_us"][name] for run in runs)
                for name in ("p50", "p90", "p99")
            },
        }
    floor = figures["floor"]["median"]
    for figure in figures.values():
        figure["ratio"] = figure["median"] / floor
    return {"load": load, "clients": figures}


def show(rows: list[dict[str, Any]], titles: list[str]) -> None:
    """Print the rows as a Markdown table."""
    print("| load | " + " | ".join([*titles, "aim", "aim pure"]) + " |")
    print("|---" + "|---:" * (len(titles) + 2) + "|")
    for entry in rows:
        cells = [entry["load"]]
        for title in titles:
            figure = entry["clients"].get(title)
            cells.append(f"{figure['median']:,.0f} ({figure['ratio']:.2f})" if figure else "")
        cells += [f"{aim:.2f}" for aim in AIMS[entry["load"]]]
        print("| " + " | ".join(cells) + " |")


def main() -> None:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("servers", nargs="*", choices=["tycoon", "tyrant", []])
    parser.add_argument("--server", help="server program; default: the bundled one")
    parser.add_argument("--client", action="append", type=Path, default=[], help="adapter file")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--plot", type=Path, help="file for a plot (needs matplotlib)")
    options = parser.parse_args()
    contestants = [*OURS, *(Contestant(path.stem, path, {}) for path in options.client)]
    print(machine())
    results = {}
    for server in options.servers or ["tycoon", "tyrant"]:
        rows = compete(server, contestants, options)
        show(rows, [contestant.title for contestant in contestants])
        results[server] = rows
    report = {"machine": machine(), "command": sys.argv, "results": results}
    if options.json:
        options.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    if options.plot:
        from plot import plot_clients

        plot_clients(report, options.plot)


if __name__ == "__main__":
    main()
