"""How long others wait while a database is searched, cleared, synchronized or vacuumed.

    python bench/server_stall.py [DATABASE ...] [--records 2000000] [--seconds 1]

DATABASE is a ktserver database argument, by default each in-memory type, ``stall.kch`` and
``stall.kct`` (in a temporary directory). The database is filled; then, for each long operation, one
thread runs it while another gets and sets single records through the binary protocol as fast as it
can, as the server's loop does. The table shows how long the operation took, and the longest wait
and the 99.9th percentile of a get and of a set meanwhile, in milliseconds. The first line is the
same without any operation, for `--seconds`: what the machine adds.
"""

from __future__ import annotations

import argparse
import os
import struct
import sys
import tempfile
import threading
from collections.abc import Callable
from time import perf_counter, perf_counter_ns

from kt.server.engines._kyoto import NEVER, BinaryCore, Database, State, Stream

DATABASES = ["*", "%", ":", "-", "+", "stall.kch", "stall.kct"]
VALUE = b"v" * 32
BULK = 1000


def key(number: int) -> bytes:
    """The records' keys, in an order that is none."""
    return b"key%010d" % (number * 2654435761 % 2**32)


def set_request(*numbers: int) -> bytes:
    """A set_bulk of the binary protocol."""
    head = struct.pack(">HIIq", 0, len(key(0)), len(VALUE), NEVER)
    records = b"".join([head + key(number) + VALUE for number in numbers])
    return b"\xb8" + struct.pack(">II", 0, len(numbers)) + records


def key_request(magic: bytes, *numbers: int) -> bytes:
    """A get_bulk or remove_bulk."""
    records = b"".join([struct.pack(">HI", 0, len(key(0))) + key(number) for number in numbers])
    return magic + struct.pack(">II", 0, len(numbers)) + records


def send(stream: Stream, request: bytes) -> None:
    """Feed one request to its end."""
    at = 0
    while at < len(request):
        state, consumed, _reply = stream.feed(request, at)
        at += consumed
        if state == State.CLOSE:
            raise RuntimeError("the engine failed")


class Waits:
    """Times of the requests of one kind, in nanoseconds."""

    def __init__(self) -> None:
        self._times: list[int] = []

    def __str__(self) -> str:
        times = sorted(self._times)
        return f"{times[-1] / 1e6:9.2f} {times[len(times) * 999 // 1000] / 1e6:9.3f}"

    def measure(self, stream: Stream, request: bytes) -> None:
        """Run one request."""
        begin = perf_counter_ns()
        stream.feed(request)
        self._times.append(perf_counter_ns() - begin)


def watch(core: BinaryCore, records: int, operation: Callable[[], object]) -> str:
    """Run `operation` in a thread beside single requests; the line for the table."""
    stream, gets, sets = core.stream(), Waits(), Waits()
    took = 0.0

    def run() -> None:
        nonlocal took
        begin = perf_counter()
        result = operation()
        took = perf_counter() - begin
        while isinstance(result, list) and result:
            del result[-4096:]  # not all at once with the GIL

    thread = threading.Thread(target=run)
    thread.start()
    number = 0
    while thread.is_alive() or number < 1000:
        number += 7919
        gets.measure(stream, key_request(b"\xba", number % records))
        sets.measure(stream, set_request(number % records))
    thread.join()
    return f"{took * 1e3:9.1f} {gets} {sets}"


def fill(database: Database, core: BinaryCore, records: int) -> None:
    """Set all records, then remove every tenth, so that there are gaps."""
    stream = core.stream()
    for begin in range(0, records, BULK):
        send(stream, set_request(*range(begin, min(begin + BULK, records))))
    for begin in range(0, records, 10 * BULK):
        send(stream, key_request(b"\xb9", *range(begin, min(begin + 10 * BULK, records), 10)))
    database.count()


def operations(database: Database, seconds: float) -> dict[str, Callable[[], object]]:
    """What is measured, in this order."""
    return {
        "nothing": lambda: threading.Event().wait(seconds),
        "match_prefix, all": lambda: database.match_prefix(b""),
        "match_regex": lambda: database.match_regex(b"77.*77$"),
        "match_similar": lambda: database.match_similar(b"key0000000000", 4),
        "synchronize": database.synchronize,
        "synchronize hard": lambda: database.synchronize(hard=True),
        "synchronize again": lambda: database.synchronize(hard=True),
        "vacuum": database.vacuum,
        "dump_snapshot": lambda: database.dump_snapshot("stall.snapshot"),
        "transaction": lambda: (database.begin_transaction(), database.end_transaction()),
        "abort": lambda: (database.begin_transaction(), database.end_transaction(commit=False)),
        "clear": database.clear,
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("databases", nargs="*", default=DATABASES)
    parser.add_argument("--records", type=int, default=2_000_000)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--only", action="append", help="only operations with this in their name")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        for spec in options.databases:
            print(f"\n{spec:20}   took ms   get max    99.9%   set max    99.9%   (ms)")
            with Database(spec) as database:
                core = BinaryCore([database])
                fill(database, core, options.records)
                for name, operation in operations(database, options.seconds).items():
                    if options.only and not any(part in name for part in options.only):
                        continue
                    print(f"{name:20}{watch(core, options.records, operation)}")
                    sys.stdout.flush()


if __name__ == "__main__":
    main()
