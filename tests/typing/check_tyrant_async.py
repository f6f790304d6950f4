"""Types of AsyncTokyoTyrant, queries and models, as callers see them. For mypy; nothing is run."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, assert_type

from kt import (
    KEY,
    KT_JSON,
    KT_NONE,
    TT_TABLE,
    AsyncCombination,
    AsyncQuery,
    AsyncTable,
    AsyncTokyoTyrant,
    C,
    Column,
    Filter,
    IndexKind,
    Model,
    Order,
    PipelineResult,
    Retry,
    Row,
    ScriptLock,
    column,
)


def clients(decode_keys: bool) -> None:
    """Keys and values have the types that the client was made for."""
    assert_type(AsyncTokyoTyrant(), AsyncTokyoTyrant[str, str])
    assert_type(AsyncTokyoTyrant("localhost", 1978, timeout=3), AsyncTokyoTyrant[str, str])
    assert_type(AsyncTokyoTyrant(serializer=KT_NONE), AsyncTokyoTyrant[str, bytes])
    assert_type(AsyncTokyoTyrant(serializer=KT_JSON), AsyncTokyoTyrant[str, Any])
    assert_type(AsyncTokyoTyrant(serializer=TT_TABLE), AsyncTokyoTyrant[str, dict[str, str]])
    raw = AsyncTokyoTyrant(serializer=KT_NONE, decode_keys=False)
    assert_type(raw, AsyncTokyoTyrant[bytes, bytes])
    either = AsyncTokyoTyrant("localhost", 1978, KT_NONE, decode_keys, 1.0)
    assert_type(either, AsyncTokyoTyrant[Any, bytes])


def urls(decode_keys: bool) -> None:
    """A URL makes what the constructor makes, and takes no option that it does not."""
    make = AsyncTokyoTyrant.from_url
    assert_type(make("tt://localhost"), AsyncTokyoTyrant[str, str])
    assert_type(make("tt://localhost", timeout=3, retry=Retry()), AsyncTokyoTyrant[str, str])
    assert_type(make("tt://localhost", serializer=KT_NONE), AsyncTokyoTyrant[str, bytes])
    assert_type(make("tt://localhost", serializer=KT_JSON, timeout=1), AsyncTokyoTyrant[str, Any])
    assert_type(make("tt://localhost", decode_keys=False), AsyncTokyoTyrant[bytes, str])
    raw = make("tt://localhost", serializer=KT_NONE, decode_keys=False)
    assert_type(raw, AsyncTokyoTyrant[bytes, bytes])
    either = make("tt://localhost", serializer=KT_NONE, decode_keys=decode_keys)
    assert_type(either, AsyncTokyoTyrant[Any, bytes])
    make("tt://localhost", time_out=3)  # type: ignore[call-overload]


def views(db: AsyncTokyoTyrant[str, str]) -> None:
    """Another serializer gives other values."""
    assert_type(db.using(timeout=None), AsyncTokyoTyrant[str, str])
    assert_type(db.using(serializer=TT_TABLE), AsyncTokyoTyrant[str, dict[str, str]])


async def records(db: AsyncTokyoTyrant) -> None:
    """Without parameters, the type is that of the default client."""
    assert_type(await db.get("k"), str | None)
    assert_type(await db[b"k"], str | None)
    assert_type(await db["a":"c"], dict[str, str])
    assert_type(await db.get_bytes("k"), bytes | None)
    assert_type(await db.get_or("k", 1), str | int)
    assert_type(await db.get_or("k", ""), str)
    assert_type(await db.setdefault("k", "v"), str)
    assert_type(await db.decr("k", 2), int)
    assert_type(await db.update([("k", "v")]), bool)
    assert_type(await db.get_int("k"), int | None)
    assert_type(await db.get_double("k"), float | None)
    assert_type(await db.get_part("k", 1, 2), str | bytes | Literal[False])
    assert_type(await db.set("k", "v", no_reply=True), bool)
    assert_type(await db.add("k", "v"), bool)
    assert_type(await db.append("k", "v"), bool)
    assert_type(await db.addshl("k", "v", 10), bool)
    assert_type(await db.remove("k"), int)
    assert_type(await db.incr("k"), int)
    assert_type(await db.incr_double("k"), float)
    assert_type(await db.exists("k"), bool)
    assert_type(await db.length("k"), int | None)
    assert_type(await db.getdup("k"), list[str])
    assert_type(await db.script("f", "k", b"v", lock=ScriptLock.RECORD), bytes)
    assert_type(await db.misc("get", ["k"]), Any)


async def many_records(db: AsyncTokyoTyrant[bytes, Any]) -> None:
    """Keys of the client's type come back."""
    assert_type(await db.get_bulk(["k"]), dict[bytes, Any])
    assert_type(await db.set_bulk({"k": 1}, l=2), bool)
    assert_type(await db.update({"k": 1}, None, None), bool)
    assert_type(await db.remove_bulk([b"k"]), bool)
    assert_type(await db.keys(), list[bytes])
    assert_type([key async for key in db], list[bytes])
    assert_type([item async for item in db.items()], list[tuple[bytes, Any]])
    assert_type(await db.get_range("a"), dict[bytes, Any])
    assert_type(await db.get_rangelist("a", "b", 3), list[tuple[bytes, Any]])
    assert_type(await db.iter_from("a"), dict[bytes, Any])
    assert_type(await db.match_prefix("a"), list[bytes])
    assert_type(await db.match_regex("a"), list[bytes])
    assert_type(await db.match_regexlist("a"), list[tuple[bytes, Any]])
    assert_type(await db.iternext(), bytes | None)


async def server(db: AsyncTokyoTyrant) -> None:
    """The server and its database."""
    assert_type(await db.status(), dict[str, int | float | str])
    assert_type(await db.stat(), dict[str, str])
    assert_type(await db.count(), int)
    assert_type(await db.size, int)
    assert_type(await db.error, str | None)
    assert_type(await db.clear(), bool)
    assert_type(await db.restore("path", datetime.now(), check=True), bool)
    assert_type(await db.set_index("name", IndexKind.LEXICAL, keep=True), bool)
    assert_type(await db.genuid(), int)


async def queries(db: AsyncTokyoTyrant) -> None:
    """Expressions of columns, and what queries give."""
    assert_type(C.age, Column)
    assert_type(C["first name"], Column)
    assert_type(C.age >= 18, Filter)
    assert_type(C.name == "Ann", Filter)
    assert_type((C.age > 1) & ~C.name.startswith("A") | (KEY != "k"), Filter)
    assert_type(C.age.desc(numeric=True), Order)
    query = db.query().filter(C.age >= 18, C.name.contains("x")).order_by(C.age).limit(3)
    assert_type(query, AsyncQuery[Row])
    assert_type(await query.all(), list[Row])
    assert_type(await query.first(), Row | None)
    assert_type([row["name"] async for row in query], list[str])
    assert_type(await query.count(), int)
    assert_type(await query.delete(), int)
    assert_type(query.union(query), AsyncCombination[Row])
    query.filter(C.age > "18")  # type: ignore[operator]
    query.filter(C.age)  # type: ignore[arg-type]
    assert_type(query.order_by("age"), AsyncQuery[Row])
    query.order_by(C.age > 18)  # type: ignore[arg-type]


class Person(Model):
    """A model has the constructor of a dataclass."""

    name: str
    age: int = 0
    langs: list[str] = column(default_factory=list, index=IndexKind.TOKEN)


async def models(db: AsyncTokyoTyrant) -> None:
    """Instances come out as the model that went in."""
    people = db.table(Person)
    assert_type(people, AsyncTable[Person])
    assert_type(await people.create(name="Ann"), Person)
    assert_type(await people.get("k"), Person | None)
    assert_type(await people["k"], Person)
    assert_type(await people.get_bulk(["k"]), dict[str, Person])
    assert_type(await people.update("k", age=3), Person | None)
    assert_type(await people.exists("k"), bool)
    assert_type(await people.count(), int)
    assert_type([person async for person in people.values()], list[Person])
    assert_type([item async for item in people.items()], list[tuple[str, Person]])
    assert_type(db.pipeline().table(Person).get("k"), PipelineResult[Person | None])
    assert_type(await people.query().filter(C.age > 1).all(), list[Person])
    assert_type(await people.query().select("name").all(), list[Row])
    assert_type(await people.save_all([Person(key="k", name="Bob")]), int)
    assert_type(Person(name="Ann").age, int)
    assert_type(Person(name="Ann").key, str | None)
    Person(age=1)  # type: ignore[call-arg]
    Person(name=1)  # type: ignore[arg-type]
    await people.save("k")  # type: ignore[arg-type]
    db.table(str)  # type: ignore[type-var]
