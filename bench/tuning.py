"""What tuning parameters do, for docs/tuning.md: ``python bench/tuning.py [RECORDS]``.

Databases are opened in this process, so that what counts is the engine. Times are processor time,
which other programs on the machine disturb less, and include the Python of one call.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from time import process_time

import kt

BATCH = 1_000
READS = 100_000
DATABASES = (
    "*",
    "*#bnum=10007",
    "*#opts=c",
    "-",
    ":",
    "%",
    "+",
    "x.kch",
    "x.kch#bnum=10007",
    "x.kch#opts=l",
    "x.kct",
    "x.kct#pccap=1m",
    "x.kct#psiz=1024",
    "x.kct#opts=c",
    "x.tch",
    "x.tch#bnum=2000000",
    "x.tcb",
    "x.tcb#lcnum=64",
    "x.tcb#opts=ld",
)


def records(count: int) -> Iterator[tuple[str, str]]:
    """Keys in random order, values of about 100 bytes that compress as text does."""
    words = [f"word{number}" for number in range(1000)]
    chance = random.Random(1)
    numbers = list(range(count))
    chance.shuffle(numbers)
    for number in numbers:
        yield f"key{number:08}", " ".join(chance.choices(words, k=12))


def measure(name: str, count: int, directory: str) -> tuple[float, float, float]:
    """Microseconds to store a record in bulk and to get one at random; bytes for a record."""
    place = name if name[0] in "*%-+:" else f"{directory}/{name}"
    chance = random.Random(2)
    with kt.open(place) as db:
        todo = records(count)
        stored = 0.0
        while batch := dict(islice(todo, BATCH)):
            began = process_time()
            db.set_bulk(batch)
            stored += process_time() - began
        keys = [f"key{chance.randrange(count):08}" for _ in range(READS)]
        began = process_time()
        for key in keys:
            db.get(key)
        read = process_time() - began
        db.synchronize()
        path = Path(place.partition("#")[0])
        size = path.stat().st_size if path.is_file() else memory(db)
    return stored / count * 1e6, read / READS * 1e6, size / count


def memory(db: kt.KyotoTycoon[str, str]) -> float:
    """What a database in memory says of its size; that of `%` counts no pages in its cache."""
    return float(db.status()["size"])


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500_000
    print(f"{count:,} records: µs to store one of {BATCH}, µs to get one, bytes for each")
    for name in DATABASES:
        with tempfile.TemporaryDirectory() as directory:
            stored, read, size = measure(name, count, directory)
        print(f"| `{name}` | {stored:.1f} | {read:.1f} | {size:.0f} |", flush=True)


if __name__ == "__main__":
    main()
