"""`kt.open` beside what else keeps records in one's own process, on this machine.

    python bench/local.py [--records 100000] [--rounds 3] [--only NAME ...]

Each store gets the same records: keys of 10 bytes, values of 100. Figures are records per second of
processor time, which other programs disturb less, all threads counted: the median of the rounds,
each on a new file. Nothing waits for the device. ``dict`` is no store; it shows what Python itself
takes. What is not installed is left out: ``lmdb`` and ``dbm.gnu`` are optional.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import kt

VALUE = b"v" * 100


class Store(NamedTuple):
    """How to use one of them; `scan` gives all keys, in order where there is one."""

    set: Callable[[bytes, bytes], Any]
    get: Callable[[bytes], Any]
    set_bulk: Callable[[dict[bytes, bytes]], Any]
    scan: Callable[[], Any]


@contextmanager
def kt_store(name: str, directory: str) -> Iterator[Store]:
    with kt.open(f"{directory}/{name}", serializer=kt.KT_NONE, decode_keys=False) as db:
        scan = (lambda: db.match_prefix("")) if name.endswith("t") else lambda: list(db.keys())
        yield Store(db.set, db.get, db.set_bulk, scan)


@contextmanager
def dict_store(directory: str) -> Iterator[Store]:
    records: dict[bytes, bytes] = {}
    yield Store(records.__setitem__, records.get, records.update, lambda: sorted(records))


@contextmanager
def sqlite_store(directory: str) -> Iterator[Store]:
    """WAL, synchronous=NORMAL, a transaction for each write or bulk."""
    db = sqlite3.connect(f"{directory}/db", isolation_level=None)
    db.execute("pragma journal_mode=wal")
    db.execute("pragma synchronous=normal")
    db.execute("create table r (k blob primary key, v blob) without rowid")
    insert = "insert or replace into r values (?, ?)"

    def set_bulk(records: dict[bytes, bytes]) -> None:
        db.execute("begin")
        db.executemany(insert, records.items())
        db.execute("commit")

    yield Store(
        lambda key, value: db.execute(insert, (key, value)),
        lambda key: db.execute("select v from r where k = ?", (key,)).fetchone()[0],
        set_bulk,
        lambda: db.execute("select k from r order by k").fetchall(),
    )
    db.close()


@contextmanager
def gdbm_store(directory: str) -> Iterator[Store]:
    import dbm.gnu

    with dbm.gnu.open(f"{directory}/db", "n") as db:

        def set_bulk(records: dict[bytes, bytes]) -> None:
            for key, value in records.items():
                db[key] = value

        yield Store(db.__setitem__, db.get, set_bulk, db.keys)


@contextmanager
def lmdb_store(directory: str) -> Iterator[Store]:
    """sync=False: as the others, what is written survives the process, not the machine."""
    import lmdb

    env = lmdb.open(directory, map_size=1 << 32, sync=False)

    def put(key: bytes, value: bytes) -> None:
        with env.begin(write=True) as txn:
            txn.put(key, value)

    def get(key: bytes) -> Any:
        with env.begin() as txn:
            return txn.get(key)

    def set_bulk(records: dict[bytes, bytes]) -> None:
        with env.begin(write=True) as txn, txn.cursor() as cursor:
            cursor.putmulti(records.items())

    def scan() -> list[bytes]:
        with env.begin() as txn, txn.cursor() as cursor:
            return list(cursor.iternext(values=False))

    yield Store(put, get, set_bulk, scan)
    env.close()


STORES: dict[str, Callable[[str], Any]] = {
    "kt .kch": lambda directory: kt_store("db.kch", directory),
    "kt .kct": lambda directory: kt_store("db.kct", directory),
    "dict": dict_store,
    "sqlite3": sqlite_store,
    "dbm.gnu": gdbm_store,
    "lmdb": lmdb_store,
}


def measure(make: Callable[[str], Any], count: int) -> dict[str, float]:
    """Records per second of processor time, by what was done; and the size of the files in MiB."""
    keys = [b"%010d" % (i * 7919 % count) for i in range(count)]
    rates: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> None:
        begin = time.process_time()
        work()
        rates[name] = count / (time.process_time() - begin)

    directory = tempfile.mkdtemp()
    try:
        with make(directory) as store:
            timed("set", lambda: [store.set(key, VALUE) for key in keys])
            timed("get", lambda: [store.get(key) for key in keys])
            pieces = [dict.fromkeys(keys[i : i + 1000], VALUE) for i in range(0, count, 1000)]
            timed("bulk", lambda: [store.set_bulk(piece) for piece in pieces])
            timed("scan", store.scan)
        files = [
            os.path.join(root, name) for root, _, names in os.walk(directory) for name in names
        ]
        rates["MiB"] = sum(map(os.path.getsize, files)) / (1 << 20)
    finally:
        shutil.rmtree(directory)
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append")
    options = parser.parse_args()
    print("| store | set | get | set in bulks of 1,000 | all keys | file, MiB |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, make in STORES.items():
        if options.only and name not in options.only:
            continue
        with suppress(ImportError):
            rounds = [measure(make, options.records) for _ in range(options.rounds)]
            medians = {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}
            cells = [f"{medians[key]:,.0f}" for key in ("set", "get", "bulk", "scan")]
            print(f"| {name} | {' | '.join(cells)} | {medians['MiB']:.1f} |", flush=True)


if __name__ == "__main__":
    main()
