# Generated from test_model_async.py by tools/async_to_sync.py: edit that one.
"""Table: rows of a table as instances of a model."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from itertools import combinations
from typing import Any
from uuid import UUID

import pytest

from kt.client.tyrant.client import TokyoTyrant
from kt.client.tyrant.table_model import Model, column
from kt.client.tyrant.table_query import KEY, C
from kt.client.tyrant.table_rows import TT_TABLE, Row
from kt.errors import ArgumentError, ConversionError, SerializationError, ServerError
from kt.wire.table import IndexKind
from tests.conftest import StartTyrant

table = pytest.mark.parametrize("tyrant_database", ["casket.tct"], indirect=True)


class City(Model):
    name: str = column(index=IndexKind.LEXICAL)
    population: int = column(default=0, index=IndexKind.DECIMAL)
    founded: datetime | None = None
    languages: list[str] = column(default_factory=list, index=IndexKind.TOKEN)


BERN = City(key="bern", name="Bern", population=134_000, languages=["de"])
BIEL = City(key="biel", name="Biel/Bienne", population=55_000, languages=["de", "fr"])
ROME = City(key="rome", name="Rome", founded=datetime(1, 4, 21, tzinfo=UTC), languages=["it"])


@table
def test_create_get_save_and_delete(tyrant: TokyoTyrant) -> None:
    cities = tyrant.table(City)
    bonn = cities.create(key="bonn", name="Bonn", population=330_000)
    assert bonn == City(key="bonn", name="Bonn", population=330_000)
    assert cities.get("bonn") == bonn
    assert cities.get("none") is None
    bonn.population += 1
    assert cities.save(bonn) is None
    assert cities.get("bonn") == bonn
    assert cities.delete(bonn) is True
    assert cities.delete("bonn") is False
    assert cities.get("bonn") is None
    assert cities.delete(City(name="never stored")) is False


@table
def test_the_database_makes_keys(tyrant: TokyoTyrant) -> None:
    cities = tyrant.table(City)
    first = cities.create(name="Bonn")
    second = City(name="Köln")
    cities.save(second)
    assert (first.key, second.key) == ("1", "2")
    assert cities.get("2") == second


@table
def test_keys_are_text_whatever_the_clients_are(tyrant: TokyoTyrant) -> None:
    with TokyoTyrant(tyrant.host, tyrant.port, decode_keys=False) as db:
        db.table(City).save(BERN)
        assert db.table(City).query().all() == [BERN]
        assert db.query().keys() == [b"bern"]


@table
def test_create_does_not_overwrite(tyrant: TokyoTyrant) -> None:
    cities = tyrant.table(City)
    cities.create(key="k", name="Bonn")
    with pytest.raises(ServerError, match="'k'"):
        cities.create(key="k", name="Köln")
    assert cities.query().all() == [City(key="k", name="Bonn")]


@table
def test_queries_give_instances(tyrant: TokyoTyrant) -> None:
    cities = tyrant.table(City)
    assert cities.save_all([BERN, BIEL, ROME]) == 3
    query = cities.query()
    assert query.order_by(C.population.desc()).all() == [BERN, BIEL, ROME]
    assert list(query.order_by(C.name)) == [BERN, BIEL, ROME]
    assert query.filter(C.languages.has_any("fr", "it")).order_by(KEY).all() == [BIEL, ROME]
    assert query.filter(C.founded < datetime(1000, 1, 1, tzinfo=UTC)).all() == [ROME]
    assert query.filter(C.founded.is_missing(), C.population > 10**5).first() == BERN
    assert query.filter(C.key == "biel").keys() == ["biel"]
    assert query.filter(C.name == "Bern").union(query.filter(C.key == "rome")).count() == 2
    names = query.filter(C.key == "rome").select(C.name).all()
    assert names == [Row("rome", {"name": "Rome"})]
    assert query.filter(C.population == 0).delete() == 1
    assert query.count() == 2


@table
def test_mistakes_are_found_when_the_query_is_written(tyrant: TokyoTyrant) -> None:
    query = tyrant.table(City).query()
    with pytest.raises(ArgumentError, match="no column 'nmae'"):
        query.filter(C.nmae == "Bern")
    with pytest.raises(ArgumentError, match="no column 'size'"):
        query.order_by(C.size)
    with pytest.raises(ArgumentError, match="no column 'size'"):
        query.select("size")
    assert repr(tyrant.table(City)) == "table(City)"
    assert repr(query.filter(C.population > 1)) == "query().filter(C.population > 1)"


@table
def test_what_does_not_convert(tyrant: TokyoTyrant) -> None:
    db, cities = tyrant, tyrant.table(City)
    with pytest.raises(ConversionError, match=r"City\.population"):
        cities.create(key="k", name="Bonn", population="many")
    with pytest.raises(ConversionError, match=r"City\.languages of row 'bern'"):
        cities.save(City(key="bern", name="Bern", languages=["de fr"]))
    assert db.count() == 0
    db.using(serializer=TT_TABLE).set("odd", {"name": "Odd", "population": "some"})
    with pytest.raises(ConversionError, match=r"City\.population of row 'odd': 'some' is not int"):
        cities.get("odd")
    with pytest.raises(ConversionError, match="odd"):
        cities.query().all()
    db.set_bytes("bytes", b"name\0\xff")
    with pytest.raises(SerializationError, match="'bytes'"):
        cities.get("bytes")


def test_indices(start_tyrant: StartTyrant) -> None:
    server = start_tyrant("cities.tct")
    with TokyoTyrant(server.host, server.port) as db:
        cities = db.table(City)
        cities.save_all([BERN, BIEL, ROME])
        assert cities.create_indexes() == ["name", "population", "languages"]
        assert cities.create_indexes() == []
        query = cities.query().filter(C.languages.has_any("fr"))
        assert "languages" in query.explain()
        assert query.all() == [BIEL]
        cities.save(City(key="nameless", name=""))
        assert cities.query().filter(C.name == "").keys() == ["nameless"]
        assert cities.query().filter(C.name != "").count() == 3


@pytest.mark.parametrize("tyrant_database", ["*", "+", "casket.tch", "casket.tcb"], indirect=True)
def test_a_database_that_is_no_table(tyrant: TokyoTyrant) -> None:
    cities = tyrant.table(City)
    tyrant.set("k", "v")
    query = cities.query()
    for call, arguments in (
        (cities.save, (BERN,)),
        (cities.save_all, ([BERN, BIEL],)),
        (cities.save_all, ([],)),
        (cities.get, ("k",)),
        (cities.delete, ("k",)),
        (cities.delete, (BERN,)),
        (cities.create_indexes, ()),
        (cities.__getitem__, ("k",)),
        (cities.get_bulk, (["k"],)),
        (cities.exists, ("k",)),
        (cities.count, ()),
        (cities.keys, ()),
        (cities.update, ("k",)),
        (query.all, ()),
        (query.count, ()),
    ):
        with pytest.raises(ServerError, match="table"):
            call(*arguments)  # type: ignore[operator]
    for key in ("bern", None):
        with pytest.raises(ServerError, match="no table, but a"):
            cities.create(key=key, name="Bern")
    assert tyrant.keys() == ["k"]


class Level(IntEnum):
    LOW = -1
    HIGH = 10
    TOP = 9000


class Shade(StrEnum):
    DARK = "dark"
    LIGHT = "light"


class Sample(Model):
    day: date | None = None
    at: datetime | None = None
    price: Decimal | None = None
    level: Level | None = None
    shade: Shade | None = None
    serial: UUID | None = None
    numbers: list[int] = column(default_factory=list, index=IndexKind.TOKEN)


SAMPLES: dict[str, list[Any]] = {
    "day": [date(1, 1, 1), date(99, 12, 31), date(1969, 12, 31), date(2001, 2, 3), date.max],
    "at": [datetime(year, 1, 1, 0, 0, 0, 1, UTC) for year in (1, 1969, 1970, 2001, 2250)],
    "price": [Decimal(text) for text in ("-10.5", "-9", "0.0000001", "9.99", "10", "1E+12")],
    "level": list(Level),
    "shade": list(Shade),
    "serial": [UUID(int=number) for number in (0, 10, 2**64, 10 * 16**31, 2**128 - 1)],
}
"""Values of columns, in their order."""


@table
@pytest.mark.parametrize("indexed", [False, True], ids=["scan", "index"])
def test_order_and_ranges(tyrant: TokyoTyrant, indexed: bool) -> None:
    samples = tyrant.table(Sample)
    for name, values in SAMPLES.items():
        tyrant.clear()
        text = name in ("shade", "serial")
        if indexed:
            tyrant.set_index(name, IndexKind.LEXICAL if text else IndexKind.DECIMAL)
        kept = [Sample(key=f"{7 * i % 10}", **{name: value}) for i, value in enumerate(values)]
        samples.save_all(kept)
        at, query = C[name], samples.query()
        assert query.order_by(at).all() == kept
        assert query.order_by(at.desc()).all() == kept[::-1]
        for value in values:
            assert [getattr(each, name) for each in query.filter(at == value).all()] == [value]
        assert query.filter(at.in_(values[1:3])).order_by(at).all() == kept[1:3]
        for low, high in () if text else combinations(values, 2):
            begin, end = values.index(low), values.index(high)
            found = query.filter(at >= low, at < high)
            assert found.order_by(at).all() == kept[begin:end]
            assert query.filter(at.between(low, high)).count() == end - begin + 1
        if indexed:
            tyrant.delete_index(name)


@table
def test_lists_of_numbers(tyrant: TokyoTyrant) -> None:
    samples = tyrant.table(Sample)
    samples.create_indexes()
    samples.save_all([Sample(key="a", numbers=[3, -4]), Sample(key="b", numbers=[30])])
    assert samples.query().filter(C.numbers.has_any(3, 7)).keys() == ["a"]
    assert samples.query().filter(C.numbers.has_all(3, 30)).keys() == []
    assert samples["a"].numbers == [3, -4]


@table
def test_a_table_is_like_a_dict(tyrant: TokyoTyrant) -> None:
    cities = tyrant.table(City)
    cities.save_all([BERN, BIEL, ROME])
    assert cities["bern"] == BERN
    with pytest.raises(KeyError, match="bonn"):
        cities["bonn"]
    assert (cities.exists("bern"), cities.exists("bonn")) == (True, False)
    assert cities.count() == 3
    assert cities.get_bulk(["rome", "bonn", "bern"]) == {"rome": ROME, "bern": BERN}
    assert cities.get_bulk([]) == {}
    assert sorted(cities.keys()) == ["bern", "biel", "rome"]
    assert sorted(cities) == ["bern", "biel", "rome"]
    found = dict(cities.items())
    assert found == {"bern": BERN, "biel": BIEL, "rome": ROME}
    assert sorted([city.name for city in cities.values()]) == ["Bern", "Biel/Bienne", "Rome"]
    tyrant.using(serializer=TT_TABLE).set("odd", {"population": "some"})
    with pytest.raises(ConversionError, match="odd"):
        cities.get_bulk(["bern", "odd"])


@table
def test_update_changes_only_what_it_names(tyrant: TokyoTyrant) -> None:
    db, cities = tyrant, tyrant.table(City)
    rows = db.using(serializer=TT_TABLE)
    rows.set("bern", {"name": "Bern", "population": "1", "mayor": "Ann", "founded": "0"})
    changed = cities.update("bern", population=2, founded=None, languages=["de"])
    assert changed == City(key="bern", name="Bern", population=2, languages=["de"])
    expected = {"name": "Bern", "population": "2", "mayor": "Ann", "languages": "de"}
    assert rows.get("bern") == expected
    assert cities.update(changed, name="Berne") == cities.get("bern")
    assert cities.update("bern") == cities.get("bern")
    assert cities.update("bonn", population=1) is None
    assert cities.exists("bonn") is False
    with pytest.raises(ArgumentError, match="City has no column 'size'"):
        cities.update("bern", size=1)
    with pytest.raises(ArgumentError, match="has no key"):
        cities.update(City(name="new"), population=1)
    with pytest.raises(ConversionError, match=r"City\.population of row 'bern': 'many'"):
        cities.update("bern", name="Bonn", population="many")
    assert rows.get("bern") == {**expected, "name": "Berne"}


@table
def test_models_in_pipelines(tyrant: TokyoTyrant) -> None:
    with tyrant.pipeline() as pipe:
        cities = pipe.table(City)
        cities.save(BERN)
        saved = cities.save_all([BIEL, ROME])
        made = cities.create(name="Bonn")
        found, bulk = cities.get("bern"), cities.get_bulk(["bern", "none"])
        changed = cities.update("rome", population=3)
        pipe.flush()
        removed, there, number = cities.delete("biel"), cities.exists("biel"), cities.count()
        with pytest.raises(ArgumentError, match="no column"):
            cities.update("rome", size=3)
    assert (saved.result(), made.result().key) == (2, "1")
    assert (found.result(), bulk.result()) == (BERN, {"bern": BERN})
    assert changed.result() == City(key="rome", name="Rome", population=3, **ROME_REST)
    assert (removed.result(), there.result(), number.result()) == (True, False, 3)
    assert repr(cities) == "table(City)"


ROME_REST: dict[str, Any] = {"founded": ROME.founded, "languages": ROME.languages}


@pytest.mark.parametrize("tyrant_database", ["*", "casket.tch"], indirect=True)
def test_models_in_pipelines_of_no_table(tyrant: TokyoTyrant) -> None:
    pipe = tyrant.pipeline(raise_errors=False)
    results = [pipe.table(City).save(BERN), pipe.table(City).count(), pipe.table(City).get("k")]
    pipe.execute()
    assert all("no table" in str(each.exception()) for each in results)
    assert tyrant.count() == 0
