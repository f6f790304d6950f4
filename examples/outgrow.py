"""Leaving one machine: ``python examples/outgrow.py kt://HOST 'valkey://HOST:6379/0?layout=flat'``.

Copies the records of a server into a cluster of Valkey or Redis, compares them, and then reads one
after the other there until it is interrupted. Each second it says how many that were, and how long
the slowest took: kill a master meanwhile.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import cycle

import kt


def run_kt(*words: str) -> None:
    """Run the command `kt`, which shows how far it is."""
    subprocess.run([sys.executable, "-m", "kt.cli", *words], check=True)


def move(server: str, cluster: str) -> None:
    """Bring all records over; ends the program if they are not the same afterwards."""
    run_kt("copy", server, cluster)
    run_kt("diff", server, cluster)
    print("the cluster has the same records", flush=True)


def seconds_of_reads(db: kt.KyotoTycoon[str, str], keys: list[str]) -> Iterator[tuple[int, float]]:
    """For each second how many records were read, and how long the slowest one took.

    A read that cannot be served at once is tried again until the replica has become the master, for
    as long as ``timeout`` in the URL says (10 seconds). So nothing has to be done here.
    """
    count, slowest, began = 0, 0.0, time.monotonic()
    for key in cycle(keys):
        asked = time.monotonic()
        assert db.get(key) is not None, f"{key} is gone"
        now = time.monotonic()
        count, slowest = count + 1, max(slowest, now - asked)
        if now - began >= 1:
            yield count, slowest
            count, slowest, began = 0, 0.0, now


def main(server: str, cluster: str) -> None:
    move(server, cluster)
    with kt.connect(cluster) as db:
        keys = db.match_prefix("", 10_000)
        for count, slowest in seconds_of_reads(db, keys):
            print(f"{count:,} reads, the slowest in {slowest * 1000:.0f} ms", flush=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main(*sys.argv[1:])
