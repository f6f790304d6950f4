"""The verb `bench`: how many operations a server does, and how long they take.

Every thread has a connection of its own and does one kind of operation after the other on records
whose keys begin with `PREFIX`, which are removed in the end. One Python process is the load: what
it shows of a fast server is what one Python process gets, so compare servers, options and networks
with it, not programs in other languages.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Final, NamedTuple

from kt.cli.commands import Call, option, verb
from kt.cli.faults import Usage
from kt.cli.target import Target

PREFIX: Final = b"kt-bench:"
KINDS: Final = ("set", "get", "incr", "set_bulk", "get_bulk", "remove")


class Result(NamedTuple):
    """What was measured of a kind of operation.

    Attributes:
        kind: which.
        operations: how many were done; in bulk, records.
        rate: how many per second.
        median: of the time of a call, in microseconds.
        p99: 99 of 100 calls took at most so long.
        slowest: the longest call.
    """

    kind: str
    operations: int
    rate: int
    median: float
    p99: float
    slowest: float


def operation(
    kind: str, target: Target, value: bytes, batch: int
) -> tuple[Callable[[list[bytes]], object], int]:
    """What does a call on some keys, and how many keys it takes."""
    client = target.client
    if kind == "set":
        return lambda keys: client.set(keys[0], value), 1
    if kind == "get":
        return lambda keys: client.get(keys[0]), 1
    if kind == "incr":
        return lambda keys: client.incr(keys[0] + b":n"), 1
    if kind == "set_bulk":
        return lambda keys: client.set_bulk(dict.fromkeys(keys, value)), batch
    if kind == "get_bulk":
        return lambda keys: client.get_bulk(keys), batch
    return lambda keys: client.remove_bulk([*keys, *(key + b":n" for key in keys)]), batch


def measured(
    kind: str, target: Target, keys: list[bytes], threads: int, value: bytes, batch: int
) -> Result:
    """Do a kind of operation on all keys, in threads."""
    call, size = operation(kind, target, value, batch)

    def work(part: list[bytes]) -> list[float]:
        times = []
        for at in range(0, len(part), size):
            begin = perf_counter()
            call(part[at : at + size])
            times.append(perf_counter() - begin)
        return times

    share = -(-len(keys) // threads)
    parts = [keys[at : at + share] for at in range(0, len(keys), share)]
    with ThreadPoolExecutor(threads) as pool:
        begin = perf_counter()
        times = sorted(each for found in pool.map(work, parts) for each in found)
        seconds = perf_counter() - begin
    at = (len(times) // 2, len(times) * 99 // 100, -1)
    median, p99, slowest = (round(times[index] * 1e6, 1) for index in at)
    return Result(kind, len(keys), int(len(keys) / seconds), median, p99, slowest)


@verb(
    option("records", "-n", "--records", type=int, default=10_000, help="How many records."),
    option("size", "-s", "--size", type=int, default=100, help="Bytes of a value."),
    option("threads", "-c", "--threads", type=int, default=4, help="Connections at once."),
    option("batch", "-b", "--batch", type=int, default=100, help="Records of a bulk call."),
    option("kinds", "-k", "--kinds", default=",".join(KINDS), help="Which operations."),
)
def do_bench(call: Call, records: int, size: int, threads: int, batch: int, kinds: str) -> None:
    """Measure how many operations a server does per second, and how long they take.

    Its records have keys that begin with kt-bench: and are removed in the end.
    """
    wanted = kinds.split(",")
    unknown = set(wanted) - set(KINDS)
    if unknown:
        raise Usage(f"there is no operation {min(unknown)}: they are {', '.join(KINDS)}")
    if min(records, threads, batch) < 1 or size < 0:
        raise Usage("that is too few")
    target = call.target
    if target.kind == "tyrant" and target.tyrant.stat().get("type") in ("table", "fixed-length"):
        raise Usage("this database does not take such keys or values")
    keys = [PREFIX + b"%d:%d" % (os.getpid(), number) for number in range(records)]
    value = os.urandom(size)
    try:
        for kind in wanted:
            _show(call, measured(kind, target, keys, threads, value, batch))
    finally:
        operation("remove", target, b"", records)[0](keys)


def _show(call: Call, result: Result) -> None:
    if call.out.as_json:
        call.out.object(result._asdict())
        return
    print(
        f"{result.kind:9} {result.rate:>9,}/s   median {result.median:>8,} us"
        f"   99 % {result.p99:>9,} us   slowest {result.slowest:>9,} us",
        flush=True,
    )
