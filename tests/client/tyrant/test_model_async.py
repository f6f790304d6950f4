"""AsyncTable: rows of a table as instances of a model."""

from __future__ import annotations

from datetime import UTC, datetime

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
        (query.all, ()),
        (query.count, ()),
    ):
        with pytest.raises(ServerError, match="table"):
            await call(*arguments)  # type: ignore[operator]
    for key in ("bern", None):
        with pytest.raises(ServerError, match="no table, but a"):
            await cities.create(key=key, name="Bern")
    assert await async_tyrant.keys() == ["k"]
