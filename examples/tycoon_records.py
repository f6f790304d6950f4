"""Kyoto Tycoon: load the Unicode character database, look things up, search, count, expire."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import stage
from unicode_data import Character, characters

from kt import KT_BINARY, KT_JSON, EmbeddedServer, KyotoTycoon

Database = KyotoTycoon[str, Any]

BATCH = 500
HASH, TREE = 0, 1  # the two databases of the server


def start() -> EmbeddedServer:
    """A server with a hash table and a tree, both in memory."""
    server = EmbeddedServer(database=["*", "%"])
    with stage.timed("start a server") as line:
        server.run()
        line.result = f"{server.host}:{server.port}, process {server.pid}"
    return server


def load(db: Database, records: dict[str, Character]) -> None:
    began = perf_counter()
    todo = iter(records.items())
    with stage.progress() as progress:
        bar = progress.add_task("load", total=len(records))
        while batch := dict(islice(todo, BATCH)):
            progress.update(bar, advance=db.set_bulk(batch))
    took = perf_counter() - began
    stage.say(f"{len(db):,} records in {stage.seconds(took)}, {len(records) / took:,.0f} a second")


def look_up(db: Database, records: dict[str, Character]) -> None:
    for name in ("SNOWMAN", "LATIN SMALL LETTER E WITH ACUTE", "NO SUCH NAME"):
        with stage.timed(f"get {name}") as line:
            line.result = shown(db.get(name))
    names = random.choices(list(records), k=5_000)
    with stage.timed("5,000 names, one at a time") as line:
        line.count = sum(db.get(name) == records[name] for name in names)
        line.result = f"{line.count:,} as expected"
    with stage.timed("the same names in one request") as line:
        line.count = len(names)
        line.result = f"{len(db.get_bulk(names)):,} different records"


def shown(record: Character | None) -> str:
    return (
        "no such record" if record is None else "{character}  {block}, {category}".format(**record)
    )


def search(db: Database) -> None:
    with stage.timed("prefix GREEK SMALL LETTER") as line:
        names = db.match_prefix("GREEK SMALL LETTER")
        line.result = f"{len(names)} found"
    show_characters(db, names)
    with stage.timed("regular expression CAT( FACE|$)") as line:
        names = db.match_regex("CAT( FACE|$)")
        line.result = f"{len(names)} found"
    show_characters(db, names)
    with stage.timed("similar to GREK SMAL LETER ALFA") as line:
        names = db.match_similar("GREK SMAL LETER ALFA", distance=5)
        line.result = f"{len(names)} found"
    show_characters(db, names)


def show_characters(db: Database, names: list[str], limit: int = 4) -> None:
    found = db.get_bulk(names[:limit])
    stage.listing(
        (f"{record['character']}  {name}" for name, record in found.items()),
        more=len(names) - len(found),
    )


def count(db: Database) -> None:
    with stage.timed("one counter, 4 threads, 4,000 calls") as line:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: db.incr("visits", db=TREE), range(4_000)))
        line.count = 4_000
        line.result = f"{db.incr('visits', 0, db=TREE):,}"
    with stage.timed("a counter with a fraction") as line:
        db.incr_double("distance", 1.5, db=TREE)
        line.result = str(db.incr_double("distance", 0.75, db=TREE))


def expire(db: Database) -> None:
    db.set("session", "Ada", expire_time=1, db=TREE)
    with stage.timed("a record that expires in a second") as line:
        line.result = repr(db.get("session", db=TREE))
    with stage.timed("wait until it is gone") as line:
        while db.exists("session", db=TREE):
            sleep(0.05)
        line.result = repr(db.get("session", db=TREE))


def sort(db: Database, records: dict[str, Character]) -> None:
    """The second database is a tree: its keys are in order."""
    with stage.timed("characters per category, to a tree") as line:
        counts = Counter(f"category {record['category']}" for record in records.values())
        line.result = f"{db.set_bulk(counts, db=TREE)} records"
    with stage.timed("its keys, in order") as line:
        keys = db.match_prefix("category", db=TREE)
        line.result = f"{', '.join(keys[:3])} … {keys[-1]}"
    stage.say(f"the two databases hold {db.count(db=HASH):,} and {db.count(db=TREE):,} records")


def survive(records: dict[str, Character], directory: str) -> None:
    """A file database, and a server that ends and comes back."""
    path = Path(directory) / "unicode.kct"
    with EmbeddedServer(database=str(path)) as server:
        db = server.connect(serializer=KT_JSON)
        with stage.timed("all records to a file") as line:
            line.count = db.set_bulk(records)
            line.result = f"{len(db):,} records in {path.name}"
        with stage.timed("stop and start the server") as line:
            server.restart()
            line.result = f"{path.stat().st_size:,} bytes on disk"
        with stage.timed("the records are still there") as line:
            line.result = f"{len(db):,} records; {shown(db.get('SNOWMAN'))}"
        with stage.timed("its first keys, by iteration") as line:
            line.result = ", ".join(islice(db, 3))
        db.close()


def main() -> None:
    stage.chapter("Kyoto Tycoon: the Unicode character database")
    with stage.timed("read it from Python's unicodedata") as line:
        records = characters()
        line.result = f"{len(records):,} named characters"
    with start() as server, server.connect(serializer=KT_JSON) as db:
        load(db, records)
        stage.chapter("Look-ups")
        look_up(db, records)
        stage.chapter("Search by name")
        search(db)
        with server.connect(serializer=KT_BINARY) as text:
            stage.chapter("Counters, expiry, a second database")
            count(text)
            expire(text)
            sort(text, records)
    stage.chapter("A file that survives")
    with tempfile.TemporaryDirectory() as directory:
        survive(records, directory)


if __name__ == "__main__":
    main()
