"""AsyncTokyoTyrant: rows, indices and searches of table databases."""

from __future__ import annotations

from typing import Any

import pytest

from kt.client.tyrant.client_async import AsyncTokyoTyrant
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


async def fill(db: AsyncTokyoTyrant) -> None:
    await db.using(serializer=TT_TABLE).set_bulk(PEOPLE)


@table
async def test_rows(async_tyrant: AsyncTokyoTyrant) -> None:
    db = async_tyrant.using(serializer=TT_TABLE)
    assert await db.set("k", {"name": "Ann", "age": 31}) is True
    assert await db.get("k") == {"name": "Ann", "age": "31"}
    assert await db.append("k", {"name": "ignored?", "more": "yes"}) is True
    assert (await db.get("k") or {}).keys() == {"name", "age", "more"}
    assert await db.add("k", {"a": "b"}) is False
    assert await db.set("empty", {}) is True
    assert await db.get_bulk(["empty", "none"]) == {"empty": {}}
    assert await db.misc("get", ["empty"]) == {}
    assert {key: row async for key, row in db.items()} == await db.get_bulk(await db.keys())
    assert await db.incr("n", 5) == 5
    assert await db.get("n") == {"_num": "5"}
    assert await db.misc("put", ["m", "x", "1", "y", "2"]) is True
    assert await db.misc("get", ["m"]) == {"x": "1", "y": "2"}


@table
@pytest.mark.parametrize(
    "row", [{"": "x"}, {"a": "b\0c"}, {"a\0b": "c"}, {"a": None}, {"a": ["b"]}, "text", None]
)
async def test_rows_that_no_table_holds(async_tyrant: AsyncTokyoTyrant, row: Any) -> None:
    db = async_tyrant.using(serializer=TT_TABLE)
    with pytest.raises(SerializationError, match=r"'k'.*TT_TABLE"):
        await db.set("k", row)


@pytest.mark.parametrize("indexed", [False, True], ids=["plain", "indexed"])
async def test_every_filter(start_tyrant: StartTyrant, indexed: bool) -> None:
    server = start_tyrant("people.tct")
    async with AsyncTokyoTyrant(server.host, server.port) as db:
        await fill(db)
        for name, kind in INDICES.items() if indexed else ():
            assert await db.set_index(name, kind) is True
        for made, expected in FILTERS:
            query = db.query().filter(made)
            assert set(await query.keys()) == expected, made
            assert {row.key for row in await query.all()} == expected, made
            assert await query.count() == len(expected), made


@table
async def test_shapes(async_tyrant: AsyncTokyoTyrant) -> None:
    await fill(async_tyrant)
    query = async_tyrant.query().filter(C.age > 0).order_by(C.age.desc(numeric=True))
    keys = await query.keys()
    assert keys == ["p4", "p5", "p1", "p2"]
    assert await query.all() == [PEOPLE[key] for key in keys]
    first = await query.first()
    assert isinstance(first, Row)
    assert (first.key, first, first["name"]) == ("p4", PEOPLE["p4"], "dora")
    assert [row.key async for row in query] == await query.keys()
    assert await query.select("name", C.age).all() == [
        {"name": "dora", "age": "100"},
        {"age": "40"},
        {"name": "Ann Lee", "age": "31"},
        {"name": "Bob", "age": "7.5"},
    ]
    assert [row.key for row in await query.select().all()] == await query.keys()
    assert await query.filter(C.age > 1000).first() is None
    assert await async_tyrant.query().count() == 5


@table
async def test_orders(async_tyrant: AsyncTokyoTyrant) -> None:
    await fill(async_tyrant)
    query = async_tyrant.query().filter(C.name.exists())
    assert await query.order_by(C.name).keys() == ["p1", "p2", "p3", "p4"]
    assert await query.order_by(C.name.desc()).keys() == ["p4", "p3", "p2", "p1"]
    assert await query.order_by(C.age.asc(numeric=True)).keys() == ["p3", "p2", "p1", "p4"]
    assert await query.order_by(C.age.asc()).keys() == ["p3", "p4", "p1", "p2"]
    assert await query.order_by(KEY.desc()).keys() == ["p4", "p3", "p2", "p1"]


@table
async def test_limits(async_tyrant: AsyncTokyoTyrant) -> None:
    await fill(async_tyrant)
    query = async_tyrant.query().order_by(KEY)
    assert await query.limit(2).keys() == ["p1", "p2"]
    assert await query.limit(2).offset(1).keys() == ["p2", "p3"]
    assert await query.offset(3).keys() == ["p4", "p5"]
    assert await query.limit(0).keys() == []
    assert await query.limit(3).count() == 3
    assert await query.limit(2).limit(None).count() == 5
    either = query.filter((C.age > 50) | (C.age < 10)).order_by(C.age.asc(numeric=True))
    assert await either.keys() == ["p3", "p2", "p4"]
    assert await either.limit(1).offset(1).keys() == ["p2"]
    assert await either.limit(2).count() == 2
    for wrong in (query.limit, query.offset):
        with pytest.raises(ArgumentError):
            wrong(-1)


@pytest.mark.parametrize("indexed", [False, True], ids=["plain", "indexed"])
async def test_regular_expressions(start_tyrant: StartTyrant, indexed: bool) -> None:
    server = start_tyrant("casket.tct")
    async with AsyncTokyoTyrant(server.host, server.port) as db:
        rows = {
            f"k{n:03}": {"n": str(n), "name": f"{'abc'[n % 3]} {n}"}
            | ({"odd": "1"} if n % 2 else {})
            for n in range(300)
        }
        await db.using(serializer=TT_TABLE).set_bulk(rows)
        for name in ("n", "name") if indexed else ():
            kind = IndexKind.DECIMAL if name == "n" else IndexKind.LEXICAL
            assert await db.set_index(name, kind) is True
        rising, falling = C.n.asc(numeric=True), C.n.desc(numeric=True)
        query = db.query().filter(C.name.matches("^(a|b) .*7$")).order_by(falling)
        expected = [f"k{n:03}" for n in range(299, -1, -1) if n % 10 == 7 and n % 3 < 2]
        assert await query.keys() == expected
        assert await query.count() == len(expected)
        assert await query.limit(3).offset(2).keys() == expected[2:5]
        assert await query.filter(~C.name.matches("A", ignore_case=True)).keys() == [
            key for key in expected if int(rows[key]["n"]) % 3 == 1
        ]
        few = [key for key in expected if key in ("k007", "k037", "k067")]
        assert await query.filter(C.n < 100, KEY.matches("[036]7$")).keys() == few
        assert await query.filter(~C.odd.matches(".")).keys() == []
        assert await db.query().filter(~C.odd.matches(".")).count() == 150
        assert len(await query.limit(4).all()) == 4
        ends_in_9 = db.query().filter(C.name.matches("9$")).order_by(rising)
        begins = db.query().filter(C.name.matches("^c"), C.n < 60)
        assert set(await ends_in_9.intersection(begins).keys()) == {"k029", "k059"}
        assert len(await ends_in_9.union(begins).keys()) == 30 + 20 - 2
        assert len(await ends_in_9.difference(begins).keys()) == 28
        assert "result set size: 30" in await ends_in_9.explain()
        assert "[1] result set size: 20" in await ends_in_9.union(begins).explain()
        assert await ends_in_9.filter(C.n >= 200).delete() == 10
        assert await ends_in_9.count() == 20
        assert await ends_in_9.delete() == 20
        assert await db.query().count() == 270


@table
async def test_delete(async_tyrant: AsyncTokyoTyrant) -> None:
    await fill(async_tyrant)
    query = async_tyrant.query()
    assert await query.filter(C.age > 1000).delete() == 0
    assert await query.order_by(C.age.desc(numeric=True)).limit(1).delete() == 1
    assert sorted(await query.keys()) == ["p1", "p2", "p3", "p5"]
    assert await query.filter((C.age > 35) | (C.name == "Bob")).delete() == 2
    assert sorted(await query.keys()) == ["p1", "p3"]
    assert await query.delete() == 2
    assert await async_tyrant.count() == 0


@table
async def test_set_operations(async_tyrant: AsyncTokyoTyrant) -> None:
    await fill(async_tyrant)
    query = async_tyrant.query()
    old, english = query.filter(C.age > 30), query.filter(C.langs.has_any("en"))
    assert sorted(await old.union(english).keys()) == ["p1", "p2", "p4", "p5"]
    assert await old.intersection(english).keys() == ["p1"]
    assert sorted(await old.difference(english).keys()) == ["p4", "p5"]
    assert await old.difference(english, query.filter(C.name == "dora")).keys() == ["p5"]
    youngest = old.order_by(C.age.asc(numeric=True))
    assert await youngest.union(english).keys() == ["p2", "p1", "p5", "p4"]
    assert await youngest.limit(2).union(english).keys() == ["p2", "p1"]
    assert await youngest.difference(english).keys() == ["p5", "p4"]
    assert await old.union(english).count() == 4
    assert [row["age"] for row in await old.intersection(english).all()] == ["31"]
    assert await old.select("name").intersection(english).all() == [{"name": "Ann Lee"}]
    assert [row.key async for row in old.difference(english).__aiter__()]
    assert await old.difference(english).delete() == 2
    assert sorted(await query.keys()) == ["p1", "p2", "p3"]
    either = query.filter((C.age > 50) | (C.age < 10))
    with pytest.raises(ArgumentError, match="only union"):
        await old.intersection(either).keys()
    with pytest.raises(ArgumentError, match="primary keys"):
        await either.order_by(KEY).keys()


async def test_indices(start_tyrant: StartTyrant) -> None:
    server = start_tyrant("people.tct")
    async with AsyncTokyoTyrant(server.host, server.port) as db:
        await fill(db)
        assert "name" not in await db.query().filter(C.name == "Bob").explain()
        assert await db.set_index("name", IndexKind.LEXICAL) is True
        assert await db.set_index("name", IndexKind.LEXICAL) is True
        assert await db.set_index("name", IndexKind.LEXICAL, keep=True) is False
        query = db.query().filter(C.name == "Bob")
        assert 'using an index: "name"' in await query.explain()
        assert "scanning" in await db.query().filter((C.name == "Bob").without_index()).explain()
        assert 'using an index: "name"' in await query.union(query).explain()
        assert await db.optimize_index("name") is True
        assert await db.optimize_index("age") is False
        assert await db.delete_index("name") is True
        assert await db.delete_index("name") is False
        assert await db.set_index("", IndexKind.LEXICAL) is True


@table
async def test_genuid(async_tyrant: AsyncTokyoTyrant) -> None:
    numbers = [await async_tyrant.genuid() for _ in range(3)]
    assert numbers == [1, 2, 3]


@table
async def test_rows_that_are_not_utf_8(async_tyrant: AsyncTokyoTyrant) -> None:
    db = async_tyrant
    await db.set_bytes(b"\xff", b"name\0\xfe")
    assert await db.query().keys() == ["\udcff"]
    with pytest.raises(SerializationError, match="TT_TABLE"):
        await db.query().all()
    with pytest.raises(SerializationError, match="TT_TABLE"):
        await db.using(serializer=TT_TABLE).get(b"\xff")


async def test_a_database_that_is_no_table(async_tyrant: AsyncTokyoTyrant) -> None:
    for attempt in (async_tyrant.query().keys, async_tyrant.query().count, async_tyrant.genuid):
        with pytest.raises(ServerError, match="table"):
            await attempt()
    with pytest.raises(ServerError, match="table"):
        await async_tyrant.set_index("name", IndexKind.LEXICAL, keep=True)
    with pytest.raises(ServerError, match="table"):
        await async_tyrant.delete_index("name")


@table
async def test_queries_are_values_that_show_themselves(async_tyrant: AsyncTokyoTyrant) -> None:
    query = async_tyrant.query()
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


async def test_what_makes_no_query(async_tyrant: AsyncTokyoTyrant) -> None:
    query: Any = async_tyrant.query()
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
