"""How fast `kt` dumps, loads, copies and compares, and how soon it answers, on this machine.

    python bench/transfer.py [--records 1000000] [--database '%'] [--server kt-tycoon]

Records have keys of 11 bytes and values of 32. Each line is one run of the command, as a user
starts it: seconds from its start to its end, records a second, processor time of `kt` itself, which
a busy machine disturbs less, and the most memory that its process had.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from kt import EmbeddedServer

VALUE = "v" * 32
BATCH = 10_000
PINGS = 20


def run(*words: str) -> tuple[float, float, int]:
    """Run `kt`; seconds, seconds of processor time, and KiB of its memory."""
    began = perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "kt.cli", *words], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, words
    return perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss


def row(title: str, count: int, *words: str) -> None:
    """Run it and print a row of a table."""
    seconds, processor, memory = run(*words)
    cells = f"{seconds:.2f} | {count / seconds:,.0f} | {processor:.2f} | {memory / 1024:.0f}"
    print(f"| {title} | {cells} |", flush=True)


def main() -> None:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--database", default="%", help="type of both servers' database")
    parser.add_argument("--server", default="kt-tycoon", help="program of both servers")
    options = parser.parse_args()
    count = options.records
    with (
        tempfile.TemporaryDirectory(prefix="kt-bench-") as folder,
        EmbeddedServer(options.server, database=options.database) as one,
        EmbeddedServer(options.server, database=options.database) as other,
    ):
        here, there = (f"kt://127.0.0.1:{server.port}" for server in (one, other))
        # Python keeps what it has compiled, as it does for installed packages.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = f"{folder}/compiled"
        run("ping", here)
        for first in range(0, count, BATCH):
            numbers = range(first, min(first + BATCH, count))
            one.client.set_bulk({f"key{number:08}": VALUE for number in numbers})
        file = f"{folder}/dump.ktd"
        print(
            f"| {count:,} records, `{options.database}` | s | records/s | kt's processor s | MiB |"
        )
        print("|---|---:|---:|---:|---:|")
        row("dump", count, "dump", here, file, "--quiet")
        row("dump, JSON", count, "dump", here, f"{folder}/dump.jsonl", "--quiet")
        row("load", count, "load", file, "--url", there, "--quiet")
        other.client.clear()
        row("copy", count, "copy", here, there, "--quiet")
        row("diff", count, "diff", here, there, "--quiet")
        size = Path(file).stat().st_size
        print(f"\nThe dump has {size / count:.1f} bytes for each record.")
        pings = [run("ping", here) for _ in range(PINGS)]
        least, processor = (1000 * min(ping[place] for ping in pings) for place in (0, 1))
        print(f"kt ping: {least:.0f} ms, {processor:.0f} of processor time, of {PINGS} runs")


if __name__ == "__main__":
    main()
