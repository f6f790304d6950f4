"""`kt.open` beside what else keeps records in one's own process, on this machine.

    python bench/local.py [--records 1000000] [--seconds 5] [--rounds 1] [--only NAME ...]

Each store gets the same records, keys of 10 bytes in a shuffled order and values of 100, in a
process of its own (`stores.py` says how each is set up). It is filled in bulks of 1,000, then has
single records replaced, got and counted, and is read along. Rates are records per second of
processor time, which other programs disturb less, all threads counted; all but bulks end when
`--seconds` of it are used up. Those of several threads are by the clock, beside those of one.
``engine`` is the library itself in a loop of C++ (`engine.cpp`, compiled here).

With several rounds, medians. What is not installed is left out.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from stores import STORES, Store

VALUE = b"v" * 100
BULK = 1000
HERE = Path(__file__).parent
ENGINE = HERE.parent / "build" / "engine"
RATES = ("bulk", "set", "get", "incr", "keys", "items", "prefix")
THREADS = (1, 2, 4)
MIB = 1 << 20


def memory() -> dict[str, int]:
    """Bytes of this process in memory: its own, and mapped files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    status = dict(line.split(":", 1) for line in lines)
    return {
        name: int(status[field].split()[0]) * 1024
        for name, field in (("memory", "RssAnon"), ("mapped", "RssFile"))
    }


def size_of(directory: str) -> int:
    """Bytes that its files take on the disk."""
    paths = [os.path.join(root, name) for root, _, names in os.walk(directory) for name in names]
    return sum(os.stat(path).st_blocks * 512 for path in paths)


def repeated(things: Sequence[Any], seconds: float, work: Callable[[Any], Any]) -> float:
    """How many a second `work` does, of processor time, until they or the seconds are used up."""
    begin = time.process_time()
    done, spent = 0, 0.0
    while done < len(things) and spent < seconds:
        piece = things[done : done + BULK]
        for thing in piece:
            work(thing)
        done += len(piece)
        spent = time.process_time() - begin
    return done / spent


def scanned(scan: Callable[[], Iterable[Any]], seconds: float) -> float:
    """How many a second of processor time it yields, until all or the seconds are used up."""
    begin = time.process_time()
    done, spent = 0, 0.0
    found = scan()
    limit = math.inf if isinstance(found, list) else seconds  # a list is there as a whole
    things = iter(found)
    while spent < limit and (some := sum(1 for _ in islice(things, 10 * BULK))):
        done += some
        spent = time.process_time() - begin
    return done / spent


def together(
    threads: int, keys: Sequence[bytes], seconds: float, work: Callable[[bytes], Any]
) -> float:
    """How many a second, by the clock, that many threads do."""
    done = [0] * threads
    end = time.monotonic() + seconds

    def run(number: int) -> None:
        place = number * len(keys) // threads
        while time.monotonic() < end:
            for key in keys[place : place + 100]:
                work(key)
            done[number] += 100
            place = (place + 100) % (len(keys) - 100)

    runners = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    begin = time.monotonic()
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    return sum(done) / (time.monotonic() - begin)


def measure(store: Store, count: int, seconds: float) -> dict[str, float]:
    """All rates; and MiB of memory that the records took: the store's own, and mapped files."""
    keys = [b"%010d" % (number * 7919 % count) for number in range(count)]
    bulks = [dict.fromkeys(keys[i : i + BULK], VALUE) for i in range(0, count, BULK)]
    before = memory()
    rates = {"bulk": BULK * repeated(bulks, math.inf, store.set_bulk)}
    after = memory()
    rates |= {name: (after[name] - before[name]) / MIB for name in before}
    rates["set"] = repeated(keys, seconds, lambda key: store.set(key, VALUE))
    rates["get"] = repeated(keys, seconds, store.get)
    rates["keys"] = scanned(store.keys, seconds)
    rates["items"] = scanned(store.items, seconds)
    if store.prefix is not None:
        starts = [b"%08d" % number for number in range(count // 100)]
        rates["prefix"] = 100 * repeated(starts, seconds, store.prefix)
    for threads in THREADS:
        rates[f"get {threads}"] = together(threads, keys, seconds / 2, store.get)
        set_one = lambda key: store.set(key, VALUE)  # noqa: E731
        rates[f"set {threads}"] = together(threads, keys, seconds / 2, set_one)
    counters = [b"counter %03d" % (number % BULK) for number in range(count)]
    rates["incr"] = repeated(counters, seconds, store.incr)
    return rates


def measure_store(name: str, count: int, seconds: float) -> dict[str, float]:
    """All figures of a store."""
    directory = tempfile.mkdtemp()
    try:
        with STORES[name](directory) as store:
            figures = measure(store, count, seconds)
        return figures | {"disk": size_of(directory) / MIB}
    finally:
        shutil.rmtree(directory)


def in_own_process(name: str, options: argparse.Namespace) -> dict[str, float]:
    """The same, by a process that does nothing else."""
    command = [sys.executable, __file__, "--measure", "--only", name]
    command += ["--records", str(options.records), "--seconds", str(options.seconds)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def measure_engine(suffix: str, options: argparse.Namespace) -> dict[str, float]:
    """The rates of the library itself."""
    with tempfile.TemporaryDirectory() as directory:
        command = [ENGINE, f"{directory}/db{suffix}", options.records, options.seconds]
        done = subprocess.run([*map(str, command)], check=True, stdout=subprocess.PIPE, text=True)
        disk = size_of(directory) / MIB
    rates = {name: float(rate) for name, rate in map(str.split, done.stdout.splitlines())}
    return rates | {"disk": disk}


def compile_engine() -> None:
    """Build the yardstick if its source is newer."""
    source = HERE / "engine.cpp"
    if ENGINE.exists() and ENGINE.stat().st_mtime >= source.stat().st_mtime:
        return
    ENGINE.parent.mkdir(exist_ok=True)
    compiler = os.environ.get("CXX", "g++").split()
    options = ["-O2", "-std=c++17", "-o", str(ENGINE), str(source), "-lkyotocabinet"]
    subprocess.run([*compiler, *options], check=True)


def medians_of(rounds: Sequence[dict[str, float]]) -> dict[str, float]:
    """The median of each figure."""
    return {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}


def table(title: str, results: dict[str, dict[str, float]], columns: Sequence[str]) -> None:
    """Print it in Markdown."""
    print(f"\n| {title} | {' | '.join(columns)} |\n|---|{'---:|' * len(columns)}")
    for name, figures in results.items():
        cells = [f"{figures[column]:,.0f}" if column in figures else "" for column in columns]
        print(f"| {name} | {' | '.join(cells)} |")


def installed(name: str) -> bool:
    """Whether a store can be opened here."""
    directory = tempfile.mkdtemp()
    try:
        with STORES[name](directory):
            return True
    except ImportError:
        return False
    finally:
        shutil.rmtree(directory)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", action="append", choices=STORES)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = parse()
    if options.measure:
        print(json.dumps(measure_store(options.only[0], options.records, options.seconds)))
        return
    names = [name for name in options.only or STORES if installed(name)]
    compile_engine()
    rounds: dict[str, list[dict[str, float]]] = {}
    for _ in range(options.rounds):
        for suffix in (".kch", ".kct"):
            if f"kt {suffix}" in names:
                rounds.setdefault(f"engine {suffix}", []).append(measure_engine(suffix, options))
        for name in names:
            rounds.setdefault(name, []).append(in_own_process(name, options))
            print(name, rounds[name][-1], file=sys.stderr)
    results = {name: medians_of(figures) for name, figures in rounds.items()}
    print(f"{options.records:,} records; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    table("records/s of processor time", results, RATES)
    stores = {name: results[name] for name in names}
    table("records/s by the clock", stores, [f"{w} {t}" for w in ("get", "set") for t in THREADS])
    table("MiB", results, ("disk", "memory", "mapped"))


if __name__ == "__main__":
    main()
