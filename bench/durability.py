"""What it costs to keep an update log: kt-tycoon with `-ulog` beside kt-tycoon without.

    python bench/durability.py                     KTSERVER=ktserver: the original with -ulog, too

All servers run at the same time, and get each load in turn, a round after the other; the median of
the rounds counts. The logs are in the system's directory for temporary files.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from contextlib import ExitStack

from servers import Load, compile_loadgen, measure

from kt import EmbeddedServer

LOADS = (
    Load("set, 32 connections", "tycoon-set", 32, 1, 1.0),
    Load("set, 100 deep", "tycoon-set", 1, 100, 1.0),
    Load("set_bulk of 1,000", "tycoon-set-bulk", 1, 1, 1.0, bulk=True),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    options = parser.parse_args()
    compile_loadgen()
    programs = {"kt-tycoon": ("kt-tycoon", False), "kt-tycoon -ulog": ("kt-tycoon", True)}
    if original := os.environ.get("KTSERVER"):
        programs["ktserver -ulog"] = (original, True)
    with ExitStack() as stack:
        ports = {}
        for name, (program, logs) in programs.items():
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="kt-bench-"))
            arguments = ["-ulog", f"{folder}/log", "-sid", "1"] if logs else []
            server = EmbeddedServer(program, database="%", server_args=arguments or None)
            ports[name] = stack.enter_context(server).port
        print("load", *programs, sep=" | ")
        for load in LOADS:
            rates: dict[str, list[float]] = {name: [] for name in programs}
            for _ in range(options.rounds):
                for name, port in ports.items():
                    report = measure(port, load, options.seconds, 0)
                    unit = "records_per_second" if load.bulk else "requests_per_second"
                    rates[name].append(report[unit])
            medians = [statistics.median(rates[name]) for name in programs]
            cells = [f"{rate:,.0f} ({rate / medians[0]:.2f})" for rate in medians]
            print(load.title, *cells, sep=" | ")


if __name__ == "__main__":
    main()
