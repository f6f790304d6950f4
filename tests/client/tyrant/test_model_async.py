"""AsyncTable: rows of a table as instances of a model."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from itertools import combinations
from typing import Any
from uuid import UUID

import pytest

from kt.client.tyrant.client_async import AsyncTokyoTyrant
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
async def test_create_get_save_and_delete(async_tyrant: AsyncTokyoTyrant) -> None:
    cities = async_tyrant.table(City)
    bonn = await cities.create(key="bonn", name="Bonn", population=330_000)
    assert bonn == City(key="bonn", name="Bonn", population=330_000)
    assert await cities.get("bonn") == bonn
    assert await cities.get("none") is None
    bonn.population += 1
    assert await cities.save(bonn) is None
    assert (await cities.get("bonn")) == bonn
    assert await cities.delete(bonn) is True
    assert await cities.delete("bonn") is False
    assert await cities.get("bonn") is None
    assert await cities.delete(City(name="never stored")) is False


@table
async def test_the_database_makes_keys(async_tyrant: AsyncTokyoTyrant) -> None:
    cities = async_tyrant.table(City)
    first = await cities.create(name="Bonn")
    second = City(name="Köln")
    await cities.save(second)
    assert (first.key, second.key) == ("1", "2")
    assert await cities.get("2") == second


@table
async def test_keys_are_text_whatever_the_clients_are(async_tyrant: AsyncTokyoTyrant) -> None:
    async with AsyncTokyoTyrant(async_tyrant.host, async_tyrant.port, decode_keys=False) as db:
        await db.table(City).save(BERN)
        assert await db.table(City).query().all() == [BERN]
        assert await db.query().keys() == [b"bern"]


@table
async def test_create_does_not_overwrite(async_tyrant: AsyncTokyoTyrant) -> None:
    cities = async_tyrant.table(City)
    await cities.create(key="k", name="Bonn")
    with pytest.raises(ServerError, match="'k'"):
        await cities.create(key="k", name="Köln")
    assert (await cities.query().all()) == [City(key="k", name="Bonn")]


@table
async def test_queries_give_instances(async_tyrant: AsyncTokyoTyrant) -> None:
    cities = async_tyrant.table(City)
    assert await cities.save_all([BERN, BIEL, ROME]) == 3
    query = cities.query()
    assert await query.order_by(C.population.desc()).all() == [BERN, BIEL, ROME]
    assert [city async for city in query.order_by(C.name)] == [BERN, BIEL, ROME]
    assert await query.filter(C.languages.has_any("fr", "it")).order_by(KEY).all() == [BIEL, ROME]
    assert await query.filter(C.founded < datetime(1000, 1, 1, tzinfo=UTC)).all() == [ROME]
    assert await query.filter(C.founded.is_missing(), C.population > 10**5).first() == BERN
    assert await query.filter(C.key == "biel").keys() == ["biel"]
    assert await query.filter(C.name == "Bern").union(query.filter(C.key == "rome")).count() == 2
    names = await query.filter(C.key == "rome").select(C.name).all()
    assert names == [Row("rome", {"name": "Rome"})]
    assert await query.filter(C.population == 0).delete() == 1
    assert await query.count() == 2


@table
async def test_mistakes_are_found_when_the_query_is_written(async_tyrant: AsyncTokyoTyrant) -> None:
    query = async_tyrant.table(City).query()
    with pytest.raises(ArgumentError, match="no column 'nmae'"):
        query.filter(C.nmae == "Bern")
    with pytest.raises(ArgumentError, match="no column 'size'"):
        query.order_by(C.size)
    with pytest.raises(ArgumentError, match="no column 'size'"):
        query.select("size")
    assert repr(async_tyrant.table(City)) == "table(City)"
    assert repr(query.filter(C.population > 1)) == "query().filter(C.population > 1)"


@table
async def test_what_does_not_convert(async_tyrant: AsyncTokyoTyrant) -> None:
    db, cities = async_tyrant, async_tyrant.table(City)
    with pytest.raises(ConversionError, match=r"City\.population"):
        await cities.create(key="k", name="Bonn", population="many")
    with pytest.raises(ConversionError, match=r"City\.languages of row 'bern'"):
        await cities.save(City(key="bern", name="Bern", languages=["de fr"]))
    assert await db.count() == 0
    await db.using(serializer=TT_TABLE).set("odd", {"name": "Odd", "population": "some"})
    with pytest.raises(ConversionError, match=r"City\.population of row 'odd': 'some' is not int"):
        await cities.get("odd")
    with pytest.raises(ConversionError, match="odd"):
        await cities.query().all()
    await db.set_bytes("bytes", b"name\0\xff")
    with pytest.raises(SerializationError, match="'bytes'"):
        await cities.get("bytes")


async def test_indices(start_tyrant: StartTyrant) -> None:
    server = start_tyrant("cities.tct")
    async with AsyncTokyoTyrant(server.host, server.port) as db:
        cities = db.table(City)
        await cities.save_all([BERN, BIEL, ROME])
        assert await cities.create_indexes() == ["name", "population", "languages"]
        assert await cities.create_indexes() == []
        query = cities.query().filter(C.languages.has_any("fr"))
        assert "languages" in await query.explain()
        assert await query.all() == [BIEL]
        await cities.save(City(key="nameless", name=""))
        assert await cities.query().filter(C.name == "").keys() == ["nameless"]
        assert await cities.query().filter(C.name != "").count() == 3


@pytest.mark.parametrize("tyrant_database", ["*", "+", "casket.tch", "casket.tcb"], indirect=True)
async def test_a_database_that_is_no_table(async_tyrant: AsyncTokyoTyrant) -> None:
    cities = async_tyrant.table(City)
    await async_tyrant.set("k", "v")
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
            await call(*arguments)  # type: ignore[operator]
    for key in ("bern", None):
        with pytest.raises(ServerError, match="no table, but a"):
            await cities.create(key=key, name="Bern")
    assert await async_tyrant.keys() == ["k"]


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
async def test_order_and_ranges(async_tyrant: AsyncTokyoTyrant, indexed: bool) -> None:
    samples = async_tyrant.table(Sample)
    for name, values in SAMPLES.items():
        await async_tyrant.clear()
        text = name in ("shade", "serial")
        if indexed:
            await async_tyrant.set_index(name, IndexKind.LEXICAL if text else IndexKind.DECIMAL)
        kept = [Sample(key=f"{7 * i % 10}", **{name: value}) for i, value in enumerate(values)]
        await samples.save_all(kept)
        at, query = C[name], samples.query()
        assert await query.order_by(at).all() == kept
        assert await query.order_by(at.desc()).all() == kept[::-1]
        for value in values:
            assert [getattr(each, name) for each in await query.filter(at == value).all()] == [
                value
            ]
        assert await query.filter(at.in_(values[1:3])).order_by(at).all() == kept[1:3]
        for low, high in () if text else combinations(values, 2):
            begin, end = values.index(low), values.index(high)
            found = query.filter(at >= low, at < high)
            assert await found.order_by(at).all() == kept[begin:end]
            assert await query.filter(at.between(low, high)).count() == end - begin + 1
        if indexed:
            await async_tyrant.delete_index(name)


@table
async def test_lists_of_numbers(async_tyrant: AsyncTokyoTyrant) -> None:
    samples = async_tyrant.table(Sample)
    await samples.create_indexes()
    await samples.save_all([Sample(key="a", numbers=[3, -4]), Sample(key="b", numbers=[30])])
    assert await samples.query().filter(C.numbers.has_any(3, 7)).keys() == ["a"]
    assert await samples.query().filter(C.numbers.has_all(3, 30)).keys() == []
    assert (await samples["a"]).numbers == [3, -4]


@table
async def test_a_table_is_like_a_dict(async_tyrant: AsyncTokyoTyrant) -> None:
    cities = async_tyrant.table(City)
    await cities.save_all([BERN, BIEL, ROME])
    assert await cities["bern"] == BERN
    with pytest.raises(KeyError, match="bonn"):
        await cities["bonn"]
    assert (await cities.exists("bern"), await cities.exists("bonn")) == (True, False)
    assert await cities.count() == 3
    assert await cities.get_bulk(["rome", "bonn", "bern"]) == {"rome": ROME, "bern": BERN}
    assert await cities.get_bulk([]) == {}
    assert sorted(await cities.keys()) == ["bern", "biel", "rome"]
    assert sorted([key async for key in cities]) == ["bern", "biel", "rome"]
    found = {key: city async for key, city in cities.items()}
    assert found == {"bern": BERN, "biel": BIEL, "rome": ROME}
    assert sorted([city.name async for city in cities.values()]) == ["Bern", "Biel/Bienne", "Rome"]
    await async_tyrant.using(serializer=TT_TABLE).set("odd", {"population": "some"})
    with pytest.raises(ConversionError, match="odd"):
        await cities.get_bulk(["bern", "odd"])


@table
async def test_update_changes_only_what_it_names(async_tyrant: AsyncTokyoTyrant) -> None:
    db, cities = async_tyrant, async_tyrant.table(City)
    rows = db.using(serializer=TT_TABLE)
    await rows.set("bern", {"name": "Bern", "population": "1", "mayor": "Ann", "founded": "0"})
    changed = await cities.update("bern", population=2, founded=None, languages=["de"])
    assert changed == City(key="bern", name="Bern", population=2, languages=["de"])
    expected = {"name": "Bern", "population": "2", "mayor": "Ann", "languages": "de"}
    assert await rows.get("bern") == expected
    assert await cities.update(changed, name="Berne") == await cities.get("bern")
    assert await cities.update("bern") == await cities.get("bern")
    assert await cities.update("bonn", population=1) is None
    assert await cities.exists("bonn") is False
    with pytest.raises(ArgumentError, match="City has no column 'size'"):
        await cities.update("bern", size=1)
    with pytest.raises(ArgumentError, match="has no key"):
        await cities.update(City(name="new"), population=1)
    with pytest.raises(ConversionError, match=r"City\.population of row 'bern': 'many'"):
        await cities.update("bern", name="Bonn", population="many")
    assert await rows.get("bern") == {**expected, "name": "Berne"}


@table
async def test_models_in_pipelines(async_tyrant: AsyncTokyoTyrant) -> None:
    async with async_tyrant.pipeline() as pipe:
        cities = pipe.table(City)
        cities.save(BERN)
        saved = cities.save_all([BIEL, ROME])
        made = cities.create(name="Bonn")
        found, bulk = cities.get("bern"), cities.get_bulk(["bern", "none"])
        changed = cities.update("rome", population=3)
        await pipe.flush()
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
async def test_models_in_pipelines_of_no_table(async_tyrant: AsyncTokyoTyrant) -> None:
    pipe = async_tyrant.pipeline(raise_errors=False)
    results = [pipe.table(City).save(BERN), pipe.table(City).count(), pipe.table(City).get("k")]
    await pipe.execute()
    assert all("no table" in str(each.exception()) for each in results)
    assert await async_tyrant.count() == 0
