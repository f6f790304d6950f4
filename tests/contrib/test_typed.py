"""Serializers for values of one type."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, TypedDict
from uuid import UUID

import msgspec
import pydantic
import pytest

from kt.client.tycoon.client import KyotoTycoon
from kt.client.tyrant.client import TokyoTyrant
from kt.contrib.kinds import instances_of
from kt.contrib.msgspec import MsgspecSerializer
from kt.contrib.pydantic import PydanticSerializer
from kt.errors import SerializationError


class Colour(Enum):
    RED = "red"
    GREEN = "green"


@dataclass
class Apple:
    """A dataclass, which both libraries take."""

    colour: Colour
    weight: float
    picked: date
    number: UUID
    price: Decimal
    seen: datetime | None = None
    tags: list[str] = field(default_factory=list)


class Basket(msgspec.Struct):
    apples: list[Apple]


class Model(pydantic.BaseModel):
    apples: list[Apple]
    owner: str = pydantic.Field("Ann", alias="ownerName")


class Row(TypedDict):
    name: str
    age: int


@dataclass
class Person:
    name: str
    age: int


APPLE = Apple(
    Colour.GREEN,
    0.5,
    date(2026, 11, 18),
    UUID(int=5),
    Decimal("1.10"),
    seen=datetime(2026, 11, 18, 12, tzinfo=UTC),
    tags=["é"],
)

Make = Callable[[Any], Any]


def packed(kind: Any) -> MsgspecSerializer[Any]:
    return MsgspecSerializer(kind, form="msgpack")


every_way = pytest.mark.parametrize("make", [MsgspecSerializer, packed, PydanticSerializer])


@every_way
def test_values_come_back_as_they_were(make: Make, tycoon: KyotoTycoon) -> None:
    apples = tycoon.using(serializer=make(Apple))
    apples.set("a", APPLE)
    assert apples.get("a") == APPLE
    assert apples.get("none") is None
    assert apples.get_bulk(["a"]) == {"a": APPLE}
    assert apples.setdefault("b", APPLE) == APPLE
    assert list(apples.items()) == [("a", APPLE), ("b", APPLE)] or apples.count() == 2
    with apples.pipeline() as pipe:
        found = pipe.get("a")
    assert found.result() == APPLE


@every_way
def test_other_servers_and_types(make: Make, tyrant: TokyoTyrant) -> None:
    for kind, value in (
        (list[Apple], [APPLE, APPLE]),
        (dict[str, int], {"a": 1}),
        (float, 1.5),
        (str, "text"),
    ):
        db = tyrant.using(serializer=make(kind))
        db.set("k", value)
        assert db.get("k") == value


def test_own_classes(tycoon: KyotoTycoon) -> None:
    baskets = tycoon.using(serializer=MsgspecSerializer(Basket))
    baskets.set("b", Basket([APPLE]))
    assert baskets.get("b") == Basket([APPLE])
    rows = tycoon.using(serializer=MsgspecSerializer(Row))
    rows.set("r", {"name": "Ann", "age": 31})
    assert rows.get("r") == {"name": "Ann", "age": 31}
    models = tycoon.using(serializer=PydanticSerializer(Model))
    model = Model(apples=[APPLE], ownerName="Bob")
    models.set("m", model)
    assert models.get("m") == model
    assert b'"owner":"Bob"' in (models.get_bytes("m") or b"")
    aliased = tycoon.using(serializer=PydanticSerializer(Model, by_alias=True))
    aliased.set("m", model)
    assert aliased.get("m") == model
    assert b'"ownerName":"Bob"' in (models.get_bytes("m") or b"")


@every_way
def test_what_is_of_another_type(make: Make, tycoon: KyotoTycoon) -> None:
    serializer = make(Apple)
    db = tycoon.using(serializer=serializer)
    for wrong in (Row(name="Ann", age=3), "text", None):
        with pytest.raises(SerializationError, match="Serializer") as caught:
            db.set("k", wrong)
        assert caught.value.key == "k"
    assert not db.exists("k")
    with pytest.raises(SerializationError):
        tycoon.using(serializer=make(list[Apple])).set("k", APPLE)
    for data in (b"no JSON", b"{}", b"\x80", b'{"colour":"blue","weight":1,"picked":"2026-11-18"}'):
        db.set_bytes("k", data)
        with pytest.raises(SerializationError, match="Serializer"):
            db.get("k")
    assert db.get_bytes("k") == data  # the connection is in step


def test_strictness(tycoon: KyotoTycoon) -> None:
    tycoon.set("k", '{"name":"Ann","age":"31"}')
    for strict in (MsgspecSerializer(Person), PydanticSerializer(Person, strict=True)):
        with pytest.raises(SerializationError):
            tycoon.using(serializer=strict).get("k")
    for lax in (MsgspecSerializer(Person, strict=False), PydanticSerializer(Person)):
        assert tycoon.using(serializer=lax).get("k") == Person("Ann", 31)


def test_names() -> None:
    assert repr(MsgspecSerializer(Apple)) == "MsgspecSerializer(Apple)"
    assert repr(PydanticSerializer(list[Apple])).startswith("PydanticSerializer(list")


def test_classes() -> None:
    assert instances_of(list[Apple]) is list
    assert instances_of(Row) is dict
    assert instances_of(float) == (float, int)
    assert instances_of(Apple | None) is object
    assert instances_of(Literal["a"]) is object
    assert instances_of(Annotated[list[int], "some"]) is list
