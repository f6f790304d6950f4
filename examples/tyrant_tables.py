"""Tokyo Tyrant: a table of airports with indices, queries and a model; a tree with ranges."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from time import perf_counter

import stage
from airports import Airport, airports

from kt import C, ConversionError, EmbeddedTokyoTyrantServer, Query, Table, TokyoTyrant

BATCH = 500


def serve(path: Path) -> EmbeddedTokyoTyrantServer:
    server = EmbeddedTokyoTyrantServer(database=path)
    with stage.timed(f"start a server for {path.name}") as line:
        server.run()
        line.result = f"{server.host}:{server.port}, process {server.pid}"
    return server


def load(table: Table[Airport], rows: list[Airport]) -> None:
    began = perf_counter()
    todo = iter(rows)
    with stage.progress() as progress:
        bar = progress.add_task("load", total=len(rows))
        while batch := list(islice(todo, BATCH)):
            progress.update(bar, advance=table.save_all(batch))
    took = perf_counter() - began
    stage.say(f"{len(rows):,} rows in {stage.seconds(took)}, {len(rows) / took:,.0f} a second")
    with stage.timed("make the indices of the model") as line:
        line.result = ", ".join(table.create_indexes())


def look_up(table: Table[Airport]) -> None:
    with stage.timed("the row LSZH") as line:
        zurich = table.get("LSZH")
        line.result = str(zurich)
    assert zurich is not None
    zurich.iata = None
    with stage.timed("save it without its IATA code") as line:
        table.save(zurich)
        line.result = f"without one now: {table.query().filter(C.iata.is_missing()).count():,}"
    zurich.elevation = "high"  # type: ignore[assignment]  # a mistake, on purpose
    with stage.timed("save it with a mistake") as line:
        try:
            table.save(zurich)
        except ConversionError as error:
            line.result = str(error)


def search(table: Table[Airport]) -> None:
    every = table.query()
    glaciers = every.filter(C.name.search("glacier"))
    show("full text: glacier", glaciers.order_by(C.elevation.desc()))
    peaks = every.filter(C.country == "NP", C.elevation >= 8000)
    show("the highest of Nepal", peaks.order_by(C.elevation.desc()))
    southern = every.filter(C.zone.startswith("Antarctica/") | (C.latitude < -70))
    show("in the far south", southern)
    swiss, high = every.filter(C.country == "CH"), every.filter(C.elevation > 5000)
    with stage.timed("Swiss and high, as sets") as line:
        line.result = ", ".join(airport.name for airport in swiss.intersection(high))


def show(what: str, query: Query[Airport], limit: int = 3) -> None:
    with stage.timed(what) as line:
        found = query.all()
        line.result = f"{len(found)} found"
    stage.say(repr(query))
    stage.listing(
        (
            f"{each.key}  {each.name}, {each.country}, {each.elevation:,.0f} ft"
            for each in found[:limit]
        ),
        more=max(0, len(found) - limit),
    )


def compare(table: Table[Airport]) -> None:
    """The same search with and without its index, and how the server does it."""
    highest = C.elevation > 12_000
    for what, each in ("with an index", highest), ("without", highest.without_index()):
        query = table.query().filter(each)
        with stage.timed(f"above 12,000 ft, {what}") as line:
            line.result = f"{query.count()} found"
        stage.say(query.explain().splitlines()[0])


def arrange(rows: Iterable[Airport], directory: str) -> None:
    """A tree: time zone and code as the key, so that airports of a zone stand together."""
    with serve(Path(directory) / "zones.tcb") as server, server.connect() as db:
        with stage.timed("zone and code of every airport") as line:
            records = {f"{row.zone} {row.key}": row.name for row in rows}
            db.set_bulk(records)
            line.count = len(db)
            line.result = f"{len(db):,} records"
        between(db, "Pacific/Chatham", "Pacific/Easter")
        between(db, "Africa/Cairo HE", "Africa/Cairo HEB")
        with stage.timed("every record, in order") as line:
            line.count = sum(1 for _ in db.items())
            line.result = f"from {next(iter(db))}"


def between(db: TokyoTyrant[str, str], start: str, stop: str) -> None:
    with stage.timed(f"db[{start!r}:{stop!r}]") as line:
        found = db[start:stop]
        line.result = f"{len(found)} found"
    stage.listing(f"{key}  {name}" for key, name in islice(found.items(), 3))


def main() -> None:
    stage.chapter("Tokyo Tyrant: a table of airports")
    with stage.timed("read it from airportsdata") as line:
        rows = airports()
        line.result = f"{len(rows):,} airports"
    with tempfile.TemporaryDirectory() as directory:
        with serve(Path(directory) / "airports.tct") as server, server.connect() as db:
            table = db.table(Airport)
            load(table, rows)
            stage.chapter("Rows as instances of a model")
            look_up(table)
            stage.chapter("Queries")
            search(table)
            compare(table)
        stage.chapter("A tree, in the order of its keys")
        arrange(rows, directory)


if __name__ == "__main__":
    main()
