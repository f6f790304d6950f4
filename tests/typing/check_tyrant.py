# Generated from check_tyrant_async.py by tools/async_to_sync.py: edit that one.
"""Types of TokyoTyrant, queries and models, as callers see them. For mypy; nothing is run."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, assert_type

from kt import (
    KEY,
    KT_JSON,
    KT_NONE,
    TT_TABLE,
    C,
    Column,
    Combination,
    Filter,
    IndexKind,
    Model,
    Order,
    PipelineResult,
    Query,
    Retry,
    Row,
    ScriptLock,
    Table,
    TokyoTyrant,
    column,
)


def clients(decode_keys: bool) -> None:
    """Keys and values have the types that the client was made for."""
    assert_type(TokyoTyrant(), TokyoTyrant[str, str])
    assert_type(TokyoTyrant("localhost", 1978, timeout=3), TokyoTyrant[str, str])
    assert_type(TokyoTyrant(serializer=KT_NONE), TokyoTyrant[str, bytes])
    assert_type(TokyoTyrant(serializer=KT_JSON), TokyoTyrant[str, Any])
    assert_type(TokyoTyrant(serializer=TT_TABLE), TokyoTyrant[str, dict[str, str]])
    raw = TokyoTyrant(serializer=KT_NONE, decode_keys=False)
    assert_type(raw, TokyoTyrant[bytes, bytes])
    either = TokyoTyrant("localhost", 1978, KT_NONE, decode_keys, 1.0)
    assert_type(either, TokyoTyrant[Any, bytes])


def urls(decode_keys: bool) -> None:
    """A URL makes what the constructor makes, and takes no option that it does not."""
    make = TokyoTyrant.from_url
    assert_type(make("tt://localhost"), TokyoTyrant[str, str])
    assert_type(make("tt://localhost", timeout=3, retry=Retry()), TokyoTyrant[str, str])
    assert_type(make("tt://localhost", serializer=KT_NONE), TokyoTyrant[str, bytes])
    assert_type(make("tt://localhost", serializer=KT_JSON, timeout=1), TokyoTyrant[str, Any])
    assert_type(make("tt://localhost", decode_keys=False), TokyoTyrant[bytes, str])
    raw = make("tt://localhost", serializer=KT_NONE, decode_keys=False)
    assert_type(raw, TokyoTyrant[bytes, bytes])
    either = make("tt://localhost", serializer=KT_NONE, decode_keys=decode_keys)
    assert_type(either, TokyoTyrant[Any, bytes])
    make("tt://localhost", time_out=3)  # type: ignore[call-overload]


def views(db: TokyoTyrant[str, str]) -> None:
    """Another serializer gives other values."""
    assert_type(db.using(timeout=None), TokyoTyrant[str, str])
    assert_type(db.using(serializer=TT_TABLE), TokyoTyrant[str, dict[str, str]])


def records(db: TokyoTyrant) -> None:
    """Without parameters, the type is that of the default client."""
    assert_type(db.get("k"), str | None)
    assert_type(db[b"k"], str | None)
    assert_type(db["a":"c"], dict[str, str])
    assert_type(db.get_bytes("k"), bytes | None)
    assert_type(db.get_or("k", 1), str | int)
    assert_type(db.get_or("k", ""), str)
    assert_type(db.setdefault("k", "v"), str)
    assert_type(db.decr("k", 2), int)
    assert_type(db.update([("k", "v")]), bool)
    assert_type(db.get_int("k"), int | None)
    assert_type(db.get_double("k"), float | None)
    assert_type(db.get_part("k", 1, 2), str | bytes | Literal[False])
    assert_type(db.set("k", "v", no_reply=True), bool)
    assert_type(db.add("k", "v"), bool)
    assert_type(db.append("k", "v"), bool)
    assert_type(db.addshl("k", "v", 10), bool)
    assert_type(db.remove("k"), int)
    assert_type(db.incr("k"), int)
    assert_type(db.incr_double("k"), float)
    assert_type(db.exists("k"), bool)
    assert_type(db.length("k"), int | None)
    assert_type(db.getdup("k"), list[str])
    assert_type(db.script("f", "k", b"v", lock=ScriptLock.RECORD), bytes)
    assert_type(db.misc("get", ["k"]), Any)


def many_records(db: TokyoTyrant[bytes, Any]) -> None:
    """Keys of the client's type come back."""
    assert_type(db.get_bulk(["k"]), dict[bytes, Any])
    assert_type(db.set_bulk({"k": 1}, l=2), bool)
    assert_type(db.update({"k": 1}, None, None), bool)
    assert_type(db.remove_bulk([b"k"]), bool)
    assert_type(db.keys(), list[bytes])
    assert_type(list(db), list[bytes])
    assert_type(list(db.items()), list[tuple[bytes, Any]])
    assert_type(db.get_range("a"), dict[bytes, Any])
    assert_type(db.get_rangelist("a", "b", 3), list[tuple[bytes, Any]])
    assert_type(db.iter_from("a"), dict[bytes, Any])
    assert_type(db.match_prefix("a"), list[bytes])
    assert_type(db.match_regex("a"), list[bytes])
    assert_type(db.match_regexlist("a"), list[tuple[bytes, Any]])
    assert_type(db.iternext(), bytes | None)


def server(db: TokyoTyrant) -> None:
    """The server and its database."""
    assert_type(db.status(), dict[str, int | float | str])
    assert_type(db.stat(), dict[str, str])
    assert_type(db.count(), int)
    assert_type(db.size, int)
    assert_type(db.error, str | None)
    assert_type(db.clear(), bool)
    assert_type(db.restore("path", datetime.now(), check=True), bool)
    assert_type(db.set_index("name", IndexKind.LEXICAL, keep=True), bool)
    assert_type(db.genuid(), int)


def queries(db: TokyoTyrant) -> None:
    """Expressions of columns, and what queries give."""
    assert_type(C.age, Column)
    assert_type(C["first name"], Column)
    assert_type(C.age >= 18, Filter)
    assert_type(C.name == "Ann", Filter)
    assert_type((C.age > 1) & ~C.name.startswith("A") | (KEY != "k"), Filter)
    assert_type(C.age.desc(numeric=True), Order)
    query = db.query().filter(C.age >= 18, C.name.contains("x")).order_by(C.age).limit(3)
    assert_type(query, Query[Row])
    assert_type(query.all(), list[Row])
    assert_type(query.first(), Row | None)
    assert_type([row["name"] for row in query], list[str])
    assert_type(query.count(), int)
    assert_type(query.delete(), int)
    assert_type(query.union(query), Combination[Row])
    query.filter(C.age > "18")  # type: ignore[operator]
    query.filter(C.age)  # type: ignore[arg-type]
    assert_type(query.order_by("age"), Query[Row])
    query.order_by(C.age > 18)  # type: ignore[arg-type]


class Person(Model):
    """A model has the constructor of a dataclass."""

    name: str
    age: int = 0
    langs: list[str] = column(default_factory=list, index=IndexKind.TOKEN)


def models(db: TokyoTyrant) -> None:
    """Instances come out as the model that went in."""
    people = db.table(Person)
    assert_type(people, Table[Person])
    assert_type(people.create(name="Ann"), Person)
    assert_type(people.get("k"), Person | None)
    assert_type(people["k"], Person)
    assert_type(people.get_bulk(["k"]), dict[str, Person])
    assert_type(people.update("k", age=3), Person | None)
    assert_type(people.exists("k"), bool)
    assert_type(people.count(), int)
    assert_type(list(people.values()), list[Person])
    assert_type(list(people.items()), list[tuple[str, Person]])
    assert_type(db.pipeline().table(Person).get("k"), PipelineResult[Person | None])
    assert_type(people.query().filter(C.age > 1).all(), list[Person])
    assert_type(people.query().select("name").all(), list[Row])
    assert_type(people.save_all([Person(key="k", name="Bob")]), int)
    assert_type(Person(name="Ann").age, int)
    assert_type(Person(name="Ann").key, str | None)
    Person(age=1)  # type: ignore[call-arg]
    Person(name=1)  # type: ignore[arg-type]
    people.save("k")  # type: ignore[arg-type]
    db.table(str)  # type: ignore[type-var]
