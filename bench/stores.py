"""Stores of one's own process for `bench/local.py`: how to open, fill, read each of them.

Each is set up as its users have it who want records to survive a crash of the program, but do not
wait for the device: SQLite with WAL and synchronous=NORMAL, LMDB with sync=False, the others as
they are. What is not installed raises ImportError.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import kt


class Store(NamedTuple):
    """How to use one of them, from any thread. What it has no order or call for is None.

    Attributes:
        set, get, set_bulk: of one record; of one; of many.
        keys: yields all keys, sorted if the store is.
        items: yields all records, likewise.
        prefix: all keys that begin with it.
        incr: adds one to a counter, returns what it is then.
    """

    set: Callable[[bytes, bytes], Any]
    get: Callable[[bytes], Any]
    set_bulk: Callable[[dict[bytes, bytes]], Any]
    keys: Callable[[], Iterable[Any]]
    items: Callable[[], Iterable[Any]]
    prefix: Callable[[bytes], Any] | None
    incr: Callable[[bytes], Any]


def kt_store(name: str) -> Callable[[str], AbstractContextManager[Store]]:
    """A file of that name."""

    @contextmanager
    def store(directory: str) -> Iterator[Store]:
        path = f"{directory}/{name}"
        with kt.open(path, serializer=kt.KT_NONE, decode_keys=False) as db:
            ordered = name.endswith("t")
            yield Store(
                db.set,
                db.get,
                db.set_bulk,
                db.keys,
                db.items,
                db.match_prefix if ordered else None,
                db.incr,
            )

    return store


@contextmanager
def dict_store(directory: str) -> Iterator[Store]:
    """No store; it shows what Python itself takes."""
    records: dict[bytes, Any] = {}

    def incr(key: bytes) -> int:
        number: int = records.get(key, 0) + 1
        records[key] = number
        return number

    yield Store(
        records.__setitem__,
        records.get,
        records.update,
        lambda: sorted(records),
        lambda: sorted(records.items()),
        None,
        incr,
    )


@contextmanager
def sqlite_store(directory: str) -> Iterator[Store]:
    """One table; a transaction for each write or bulk; a connection for each thread."""
    own = threading.local()

    def db() -> sqlite3.Connection:
        try:
            connection: sqlite3.Connection = own.connection
        except AttributeError:
            connection = own.connection = sqlite3.connect(
                f"{directory}/db", isolation_level=None, timeout=60
            )
            connection.execute("pragma journal_mode=wal")
            connection.execute("pragma synchronous=normal")
        return connection

    db().execute("create table r (k blob primary key, v blob) without rowid")
    insert = "insert or replace into r values (?, ?)"
    add = "insert into r values (?, 1) on conflict do update set v = v + 1 returning v"

    def set_bulk(records: dict[bytes, bytes]) -> None:
        db().execute("begin")
        db().executemany(insert, records.items())
        db().execute("commit")

    def prefix(start: bytes) -> list[Any]:
        rows = db().execute("select k from r where k >= ? and k < ?", (start, start + b"\xff"))
        return [row[0] for row in rows]

    yield Store(
        lambda key, value: db().execute(insert, (key, value)),
        lambda key: db().execute("select v from r where k = ?", (key,)).fetchone()[0],
        set_bulk,
        lambda: db().execute("select k from r order by k"),
        lambda: db().execute("select k, v from r order by k"),
        prefix,
        lambda key: db().execute(add, (key,)).fetchone()[0],
    )
    db().close()


@contextmanager
def gdbm_store(directory: str) -> Iterator[Store]:
    """dbm.gnu, in its fast mode."""
    import dbm.gnu

    with dbm.gnu.open(f"{directory}/db", "nf") as db:
        yield _of_mapping(db, dbm.gnu.error)


@contextmanager
def ndbm_store(directory: str) -> Iterator[Store]:
    """dbm.ndbm."""
    import dbm.ndbm

    with dbm.ndbm.open(f"{directory}/db", "n") as db:
        yield _of_mapping(db, dbm.ndbm.error)


def _of_mapping(db: Any, error: Any) -> Store:
    """A store that has one record at a time only."""

    def set_bulk(records: dict[bytes, bytes]) -> None:
        for key, value in records.items():
            db[key] = value

    def incr(key: bytes) -> int:
        number = int(db.get(key, b"0")) + 1
        db[key] = b"%d" % number
        return number

    def items() -> Iterator[tuple[bytes, bytes]]:
        return ((key, db[key]) for key in db.keys())  # noqa: SIM118 - has no __iter__

    return Store(db.__setitem__, db.get, set_bulk, db.keys, items, None, incr)


@contextmanager
def lmdb_store(directory: str) -> Iterator[Store]:
    """A transaction for each call."""
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

    def scan(values: bool) -> Iterator[Any]:
        with env.begin() as txn, txn.cursor() as cursor:
            yield from cursor.iternext(values=values)

    def prefix(start: bytes) -> list[bytes]:
        found = []
        with env.begin() as txn, txn.cursor() as cursor:
            cursor.set_range(start)
            for key in cursor.iternext(values=False):
                if not key.startswith(start):
                    break
                found.append(key)
        return found

    def incr(key: bytes) -> int:
        with env.begin(write=True) as txn:
            number = int(txn.get(key, b"0")) + 1
            txn.put(key, b"%d" % number)
        return number

    yield Store(put, get, set_bulk, lambda: scan(False), lambda: scan(True), prefix, incr)
    env.close()


@contextmanager
def leveldb_store(directory: str) -> Iterator[Store]:
    """By plyvel."""
    import plyvel

    db = plyvel.DB(directory, create_if_missing=True)

    def set_bulk(records: dict[bytes, bytes]) -> None:
        with db.write_batch() as batch:
            for key, value in records.items():
                batch.put(key, value)

    lock = threading.Lock()

    def incr(key: bytes) -> int:
        with lock:
            number = int(db.get(key, b"0")) + 1
            db.put(key, b"%d" % number)
        return number

    yield Store(
        db.put,
        db.get,
        set_bulk,
        lambda: db.iterator(include_value=False),
        db.iterator,
        lambda start: list(db.iterator(prefix=start, include_value=False)),
        incr,
    )
    db.close()


@contextmanager
def rocksdb_store(directory: str) -> Iterator[Store]:
    """By rocksdict, with bytes as they are."""
    import rocksdict

    db = rocksdict.Rdict(directory, rocksdict.Options(raw_mode=True))

    def set_bulk(records: dict[bytes, bytes]) -> None:
        batch = rocksdict.WriteBatch(raw_mode=True)
        for key, value in records.items():
            batch.put(key, value)
        db.write(batch)

    def prefix(start: bytes) -> list[bytes]:
        found = []
        for key in db.keys(from_key=start):
            if not key.startswith(start):
                break
            found.append(key)
        return found

    lock = threading.Lock()

    def incr(key: bytes) -> int:
        with lock:
            number = int(db.get(key, b"0")) + 1
            db.put(key, b"%d" % number)
        return number

    yield Store(
        db.put,
        db.get,
        set_bulk,
        db.keys,
        db.items,
        prefix,
        incr,
    )
    db.close()


@contextmanager
def diskcache_store(directory: str) -> Iterator[Store]:
    """A Cache, which evicts nothing."""
    import diskcache

    cache = diskcache.Cache(directory, eviction_policy="none", size_limit=1 << 40)

    def set_bulk(records: dict[bytes, bytes]) -> None:
        with cache.transact():
            for key, value in records.items():
                cache.set(key, value)

    yield Store(
        cache.set,
        cache.get,
        set_bulk,
        cache.iterkeys,
        lambda: ((key, cache.get(key)) for key in cache.iterkeys()),
        None,
        cache.incr,
    )
    cache.close()


STORES: Mapping[str, Callable[[str], AbstractContextManager[Store]]] = {
    "kt .kch": kt_store("db.kch"),
    "kt .kct": kt_store("db.kct"),
    "dict": dict_store,
    "dbm.gnu": gdbm_store,
    "dbm.ndbm": ndbm_store,
    "sqlite3": sqlite_store,
    "lmdb": lmdb_store,
    "leveldb": leveldb_store,
    "rocksdb": rocksdb_store,
    "diskcache": diskcache_store,
}
