# Generated from test_table_async.py by tools/async_to_sync.py: edit that one.
"""TokyoTyrant: rows, indices and searches of table databases."""

from __future__ import annotations

from typing import Any

import pytest

from kt.client.tyrant.client import TokyoTyrant
from kt.client.tyrant.table_query import KEY, C, Filter
from kt.client.tyrant.table_rows import TT_TABLE, Row
from kt.errors import ArgumentError, SerializationError, ServerError
from kt.wire.table import IndexKind
from tests.conftest import StartTyrant

table = pytest.mark.parametrize("tyrant_database", ["casket.tct"], indirect=True)

PEOPLE: dict[str, dict[str, Any]] = {
    "p1": {"name": "Ann Lee", "age": "31", "langs": "en,fr", "text": "The quick brown Fôx"},
    "p2": {"name": "Bob", "age": "7.5", "langs": "en", "text": "a lazy dog"},
    "p3": {"name": "Cy, Jr.", "age": "-3", "langs": "fr de", "text": "brown dogs"},
    "p4": {"name": "dora", "age": "100", "text": "quick"},
    "p5": {"age": "40", "langs": "de"},
}
INDICES = {
    "name": IndexKind.LEXICAL,
    "age": IndexKind.DECIMAL,
    "langs": IndexKind.TOKEN,
    "text": IndexKind.QGRAM,
}

FILTERS: list[tuple[Filter, set[str]]] = [
    (C.name == "Bob", {"p2"}),
    (C.name != "Bob", {"p1", "p3", "p4", "p5"}),
    (C.name.contains("o"), {"p2", "p4"}),
    (C.name.startswith("Ann"), {"p1"}),
    (C.name.endswith("."), {"p3"}),
    (C.name.in_(["Bob", "dora", "nobody"]), {"p2", "p4"}),
    (C.name.in_(["Ann Lee", "Cy, Jr."]), {"p1", "p3"}),
    (C.name.in_([]), set()),
    (C.name.matches("^[A-C].*[be]$"), {"p1", "p2"}),
    (C.name.matches("^D", ignore_case=True), {"p4"}),
    (C.name.exists(), {"p1", "p2", "p3", "p4"}),
    (C.name.is_missing(), {"p5"}),
    (C.langs.has_all("fr", "en"), {"p1"}),
    (C.langs.has_any("fr", "de"), {"p1", "p3", "p5"}),
    (C.age == 31, {"p1"}),
    (C.age > 31, {"p4", "p5"}),
    (C.age >= 31, {"p1", "p4", "p5"}),
    (C.age < 7.5, {"p3"}),
    (C.age <= 7.5, {"p2", "p3"}),
    (C.age.between(0, 31), {"p1", "p2"}),
    (C.age.in_([100, 7.5]), {"p2", "p4"}),
    (C.text.search("QUICK brown"), {"p1"}),
    (C.text.search_all("Fôx", "quick"), {"p1"}),
    (C.text.search_any("dog", "fox"), {"p1", "p2", "p3"}),
    (C.text.search_expression("brown !! fox"), {"p3"}),
    (KEY == "p3", {"p3"}),
    (KEY.in_(["p1", "p2", "p9"]), {"p1", "p2"}),
    (KEY.startswith("p"), set(PEOPLE)),
    (~(C.age > 31), {"p1", "p2", "p3"}),
    ((C.age > 0) & (C.langs.has_any("en")), {"p1", "p2"}),
    ((C.age > 50) | (C.langs.has_any("de")), {"p3", "p4", "p5"}),
    (~((C.age > 50) | (C.langs.has_any("de"))), {"p1", "p2"}),
    ((C.age > 0).without_index(), {"p1", "p2", "p4", "p5"}),
]


def fill(db: TokyoTyrant) -> None:
    db.using(serializer=TT_TABLE).set_bulk(PEOPLE)


@table
def test_rows(tyrant: TokyoTyrant) -> None:
    db = tyrant.using(serializer=TT_TABLE)
    assert db.set("k", {"name": "Ann", "age": 31}) is True
    assert db.get("k") == {"name": "Ann", "age": "31"}
    assert db.append("k", {"name": "ignored?", "more": "yes"}) is True
    assert db.get("k") or {}.keys() == {"name", "age", "more"}
    assert db.add("k", {"a": "b"}) is False
    assert db.set("empty", {}) is True
    assert db.get_bulk(["empty", "none"]) == {"empty": {}}
    assert db.misc("get", ["empty"]) == {}
    assert dict(db.items()) == db.get_bulk(db.keys())
    assert db.incr("n", 5) == 5
    assert db.get("n") == {"_num": "5"}
    assert db.misc("put", ["m", "x", "1", "y", "2"]) is True
    assert db.misc("get", ["m"]) == {"x": "1", "y": "2"}


@table
@pytest.mark.parametrize(
    "row", [{"": "x"}, {"a": "b\0c"}, {"a\0b": "c"}, {"a": None}, {"a": ["b"]}, "text", None]
)
def test_rows_that_no_table_holds(tyrant: TokyoTyrant, row: Any) -> None:
    db = tyrant.using(serializer=TT_TABLE)
    with pytest.raises(SerializationError, match=r"'k'.*TT_TABLE"):
        db.set("k", row)


@pytest.mark.parametrize("indexed", [False, True], ids=["plain", "indexed"])
def test_every_filter(start_tyrant: StartTyrant, indexed: bool) -> None:
    server = start_tyrant("people.tct")
    with TokyoTyrant(server.host, server.port) as db:
        fill(db)
        for name, kind in INDICES.items() if indexed else ():
            assert db.set_index(name, kind) is True
        for made, expected in FILTERS:
            query = db.query().filter(made)
            assert set(query.keys()) == expected, made
            assert {row.key for row in query.all()} == expected, made
            assert query.count() == len(expected), made


@table
def test_shapes(tyrant: TokyoTyrant) -> None:
    fill(tyrant)
    query = tyrant.query().filter(C.age > 0).order_by(C.age.desc(numeric=True))
    keys = query.keys()
    assert keys == ["p4", "p5", "p1", "p2"]
    assert query.all() == [PEOPLE[key] for key in keys]
    first = query.first()
    assert isinstance(first, Row)
    assert (first.key, first, first["name"]) == ("p4", PEOPLE["p4"], "dora")
    assert [row.key for row in query] == query.keys()
    assert query.select("name", C.age).all() == [
        {"name": "dora", "age": "100"},
        {"age": "40"},
        {"name": "Ann Lee", "age": "31"},
        {"name": "Bob", "age": "7.5"},
    ]
    assert [row.key for row in query.select().all()] == query.keys()
    assert query.filter(C.age > 1000).first() is None
    assert tyrant.query().count() == 5


@table
def test_orders(tyrant: TokyoTyrant) -> None:
    fill(tyrant)
    query = tyrant.query().filter(C.name.exists())
    assert query.order_by(C.name).keys() == ["p1", "p2", "p3", "p4"]
    assert query.order_by(C.name.desc()).keys() == ["p4", "p3", "p2", "p1"]
    assert query.order_by(C.age.asc(numeric=True)).keys() == ["p3", "p2", "p1", "p4"]
    assert query.order_by(C.age.asc()).keys() == ["p3", "p4", "p1", "p2"]
    assert query.order_by(KEY.desc()).keys() == ["p4", "p3", "p2", "p1"]


@table
def test_limits(tyrant: TokyoTyrant) -> None:
    fill(tyrant)
    query = tyrant.query().order_by(KEY)
    assert query.limit(2).keys() == ["p1", "p2"]
    assert query.limit(2).offset(1).keys() == ["p2", "p3"]
    assert query.offset(3).keys() == ["p4", "p5"]
    assert query.limit(0).keys() == []
    assert query.limit(3).count() == 3
    assert query.limit(2).limit(None).count() == 5
    either = query.filter((C.age > 50) | (C.age < 10)).order_by(C.age.asc(numeric=True))
    assert either.keys() == ["p3", "p2", "p4"]
    assert either.limit(1).offset(1).keys() == ["p2"]
    assert either.limit(2).count() == 2
    for wrong in (query.limit, query.offset):
        with pytest.raises(ArgumentError):
            wrong(-1)


@pytest.mark.parametrize("indexed", [False, True], ids=["plain", "indexed"])
def test_regular_expressions(start_tyrant: StartTyrant, indexed: bool) -> None:
    server = start_tyrant("casket.tct")
    with TokyoTyrant(server.host, server.port) as db:
        rows = {
            f"k{n:03}": {"n": str(n), "name": f"{'abc'[n % 3]} {n}"}
            | ({"odd": "1"} if n % 2 else {})
            for n in range(300)
        }
        db.using(serializer=TT_TABLE).set_bulk(rows)
        for name in ("n", "name") if indexed else ():
            kind = IndexKind.DECIMAL if name == "n" else IndexKind.LEXICAL
            assert db.set_index(name, kind) is True
        rising, falling = C.n.asc(numeric=True), C.n.desc(numeric=True)
        query = db.query().filter(C.name.matches("^(a|b) .*7$")).order_by(falling)
        expected = [f"k{n:03}" for n in range(299, -1, -1) if n % 10 == 7 and n % 3 < 2]
        assert query.keys() == expected
        assert query.count() == len(expected)
        assert query.limit(3).offset(2).keys() == expected[2:5]
        assert query.filter(~C.name.matches("A", ignore_case=True)).keys() == [
            key for key in expected if int(rows[key]["n"]) % 3 == 1
        ]
        few = [key for key in expected if key in ("k007", "k037", "k067")]
        assert query.filter(C.n < 100, KEY.matches("[036]7$")).keys() == few
        assert query.filter(~C.odd.matches(".")).keys() == []
        assert db.query().filter(~C.odd.matches(".")).count() == 150
        assert len(query.limit(4).all()) == 4
        ends_in_9 = db.query().filter(C.name.matches("9$")).order_by(rising)
        begins = db.query().filter(C.name.matches("^c"), C.n < 60)
        assert set(ends_in_9.intersection(begins).keys()) == {"k029", "k059"}
        assert len(ends_in_9.union(begins).keys()) == 30 + 20 - 2
        assert len(ends_in_9.difference(begins).keys()) == 28
        assert "result set size: 30" in ends_in_9.explain()
        assert "[1] result set size: 20" in ends_in_9.union(begins).explain()
        assert ends_in_9.filter(C.n >= 200).delete() == 10
        assert ends_in_9.count() == 20
        assert ends_in_9.delete() == 20
        assert db.query().count() == 270


@table
def test_delete(tyrant: TokyoTyrant) -> None:
    fill(tyrant)
    query = tyrant.query()
    assert query.filter(C.age > 1000).delete() == 0
    assert query.order_by(C.age.desc(numeric=True)).limit(1).delete() == 1
    assert sorted(query.keys()) == ["p1", "p2", "p3", "p5"]
    assert query.filter((C.age > 35) | (C.name == "Bob")).delete() == 2
    assert sorted(query.keys()) == ["p1", "p3"]
    assert query.delete() == 2
    assert tyrant.count() == 0


@table
def test_set_operations(tyrant: TokyoTyrant) -> None:
    fill(tyrant)
    query = tyrant.query()
    old, english = query.filter(C.age > 30), query.filter(C.langs.has_any("en"))
    assert sorted(old.union(english).keys()) == ["p1", "p2", "p4", "p5"]
    assert old.intersection(english).keys() == ["p1"]
    assert sorted(old.difference(english).keys()) == ["p4", "p5"]
    assert old.difference(english, query.filter(C.name == "dora")).keys() == ["p5"]
    youngest = old.order_by(C.age.asc(numeric=True))
    assert youngest.union(english).keys() == ["p2", "p1", "p5", "p4"]
    assert youngest.limit(2).union(english).keys() == ["p2", "p1"]
    assert youngest.difference(english).keys() == ["p5", "p4"]
    assert old.union(english).count() == 4
    assert [row["age"] for row in old.intersection(english).all()] == ["31"]
    assert old.select("name").intersection(english).all() == [{"name": "Ann Lee"}]
    assert [row.key for row in old.difference(english).__iter__()]
    assert old.difference(english).delete() == 2
    assert sorted(query.keys()) == ["p1", "p2", "p3"]
    either = query.filter((C.age > 50) | (C.age < 10))
    with pytest.raises(ArgumentError, match="only union"):
        old.intersection(either).keys()
    with pytest.raises(ArgumentError, match="primary keys"):
        either.order_by(KEY).keys()


def test_indices(start_tyrant: StartTyrant) -> None:
    server = start_tyrant("people.tct")
    with TokyoTyrant(server.host, server.port) as db:
        fill(db)
        assert "name" not in db.query().filter(C.name == "Bob").explain()
        assert db.set_index("name", IndexKind.LEXICAL) is True
        assert db.set_index("name", IndexKind.LEXICAL) is True
        assert db.set_index("name", IndexKind.LEXICAL, keep=True) is False
        query = db.query().filter(C.name == "Bob")
        assert 'using an index: "name"' in query.explain()
        assert "scanning" in db.query().filter((C.name == "Bob").without_index()).explain()
        assert 'using an index: "name"' in query.union(query).explain()
        assert db.optimize_index("name") is True
        assert db.optimize_index("age") is False
        assert db.delete_index("name") is True
        assert db.delete_index("name") is False
        assert db.set_index("", IndexKind.LEXICAL) is True


@table
def test_genuid(tyrant: TokyoTyrant) -> None:
    numbers = [tyrant.genuid() for _ in range(3)]
    assert numbers == [1, 2, 3]


@table
def test_rows_that_are_not_utf_8(tyrant: TokyoTyrant) -> None:
    db = tyrant
    db.set_bytes(b"\xff", b"name\0\xfe")
    assert db.query().keys() == ["\udcff"]
    with pytest.raises(SerializationError, match="TT_TABLE"):
        db.query().all()
    with pytest.raises(SerializationError, match="TT_TABLE"):
        db.using(serializer=TT_TABLE).get(b"\xff")


def test_a_database_that_is_no_table(tyrant: TokyoTyrant) -> None:
    for attempt in (tyrant.query().keys, tyrant.query().count, tyrant.genuid):
        with pytest.raises(ServerError, match="table"):
            attempt()
    with pytest.raises(ServerError, match="table"):
        tyrant.set_index("name", IndexKind.LEXICAL, keep=True)
    with pytest.raises(ServerError, match="table"):
        tyrant.delete_index("name")


@table
def test_queries_are_values_that_show_themselves(tyrant: TokyoTyrant) -> None:
    query = tyrant.query()
    adults = query.filter(C.age >= 18, C.name.startswith("A"))
    assert repr(query) == "query()"
    assert repr(adults) == "query().filter((C.age >= 18) & C.name.startswith('A'))"
    page = adults.order_by(C.age.desc(numeric=True)).limit(10).offset(20).select("name")
    assert repr(page) == (
        repr(adults) + ".order_by(C.age.desc(numeric=True)).limit(10).offset(20).select('name')"
    )
    assert repr(adults) == "query().filter((C.age >= 18) & C.name.startswith('A'))"
    assert repr(query.limit(1).union(adults)) == f"query().limit(1).union({adults!r})"
    assert repr(Row("k", {"a": "b"})) == "<Row 'k' {'a': 'b'}>"
    assert repr(TT_TABLE) == "TT_TABLE"


def test_what_makes_no_query(tyrant: TokyoTyrant) -> None:
    query: Any = tyrant.query()
    for step, arguments in (
        (query.filter, ["age", None, True, C.age, 18]),
        (query.order_by, [None, 5, b"age", C.age > 18]),
        (query.select, [None, 5, b"age", C.age > 18]),
        (query.limit, ["5", -1, 1.0, True]),
        (query.offset, ["5", -1, 1.0, True, None]),
        (query.union, ["x", None, query.union(query)]),
        (query.intersection, ["x", None]),
        (query.difference, ["x", None]),
    ):
        for argument in arguments:
            with pytest.raises(ArgumentError):
                step(argument)
    assert repr(query.order_by("age")) == repr(query.order_by(C.age))
