# Generated from test_model_async.py by tools/async_to_sync.py: edit that one.
"""Table: rows of a table as instances of a model."""

from __future__ import annotations

from datetime import UTC, datetime

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
        (query.all, ()),
        (query.count, ()),
    ):
        with pytest.raises(ServerError, match="table"):
            call(*arguments)  # type: ignore[operator]
    for key in ("bern", None):
        with pytest.raises(ServerError, match="no table, but a"):
            cities.create(key=key, name="Bern")
    assert tyrant.keys() == ["k"]
