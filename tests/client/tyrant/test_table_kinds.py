"""Columns of models: dates, decimals, enumerations, UUIDs and lists, as text and in queries."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kt.client.tyrant.table_model import Model, Schema, column
from kt.client.tyrant.table_query import C, Filter, Search
from kt.errors import ArgumentError, ConversionError, ImproperlyConfigured
from kt.wire.table import encode_row, number_text


class Colour(Enum):
    RED = "red"
    DARK_BLUE = "dark blue"


class Size(IntEnum):
    SMALL = 5
    LARGE = 10


class Tag(StrEnum):
    NEW = "new"
    OLD = "old"


class Part(Model):
    """One column of every kind that is more than text or a number."""

    made: date
    price: Decimal
    colour: Colour
    size: Size = Size.SMALL
    serial: UUID
    sold: date | None = None
    lengths: list[int] = column(default_factory=list)
    weights: list[float] = column(default_factory=list)
    prices: list[Decimal] = column(default_factory=list)
    tags: list[Tag] = column(default_factory=list)
    checks: list[date] = column(default_factory=list)
    uses: list[UUID] | None = None
    moments: list[datetime] = column(default_factory=list)


SCHEMA = Schema(Part)
SERIAL = UUID("0A0B0C0D-0000-0000-0000-00000000000F")
MOMENT = datetime(2001, 2, 3, 4, 5, 6, 500000, UTC)
PART = Part(
    key="k",
    made=date(987, 6, 5),
    price=Decimal("1.50"),
    colour=Colour.DARK_BLUE,
    size=Size.LARGE,
    serial=SERIAL,
    lengths=[3, -4],
    weights=[1.5, 2.0],
    prices=[Decimal("1.50"), Decimal(2)],
    tags=[Tag.OLD, Tag.NEW],
    checks=[date(2001, 2, 3)],
    uses=[SERIAL],
    moments=[MOMENT],
)


def test_what_stands_in_the_row() -> None:
    row = SCHEMA.dump(PART)
    assert row == {
        "made": "09870605",
        "price": "1.50",
        "colour": "dark blue",
        "size": "10",
        "serial": "0a0b0c0d-0000-0000-0000-00000000000f",
        "lengths": "3 -4",
        "weights": "1.5 2",
        "prices": "1.5 2",
        "tags": "old new",
        "checks": "20010203",
        "uses": "0a0b0c0d-0000-0000-0000-00000000000f",
        "moments": "981173106.5",
    }
    loaded = SCHEMA.load("k", row)
    assert loaded == PART
    assert str(loaded.price) == "1.50"
    assert loaded.size is Size.LARGE
    assert loaded.colour is Colour.DARK_BLUE


@given(
    made=st.dates(),
    price=st.decimals(allow_nan=False, allow_infinity=False),
    colour=st.sampled_from(Colour),
    size=st.sampled_from(Size),
    serial=st.uuids(),
    sold=st.none() | st.dates(),
    lengths=st.lists(st.integers(), max_size=3),
    weights=st.lists(st.floats(allow_nan=False), max_size=3),
    prices=st.lists(st.decimals(allow_nan=False, allow_infinity=False), max_size=3),
    tags=st.lists(st.sampled_from(Tag), max_size=3),
    uses=st.none() | st.lists(st.uuids(), max_size=2),
    moments=st.lists(st.datetimes(timezones=st.just(UTC)), max_size=2),
)
def test_instances_survive(**columns: Any) -> None:
    part = Part(key="k", **columns)
    assert SCHEMA.load("k", SCHEMA.dump(part)) == part


@given(st.lists(st.dates(), min_size=2, max_size=2), st.lists(st.uuids(), min_size=2, max_size=2))
def test_text_is_in_the_order_of_dates_and_uuids(dates: list[date], serials: list[UUID]) -> None:
    for name, values in (("made", dates), ("serial", serials)):
        one, other = (SCHEMA.columns[name].dump(value, None) or "" for value in values)
        assert (one < other) is (values[0] < values[1])  # type: ignore[operator]
        if name == "made":
            assert (int(one) < int(other)) is (values[0] < values[1])  # type: ignore[operator]


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("made", MOMENT, "is not date"),
        ("made", "20010203", "is not date"),
        ("price", 1.5, "1.5 is not Decimal"),
        ("price", True, "is not Decimal"),
        ("price", Decimal("NaN"), "the server has no such number"),
        ("price", Decimal("-Infinity"), "the server has no such number"),
        ("colour", "red", "'red' is not Colour"),
        ("size", 5, "5 is not Size"),
        ("serial", str(SERIAL), "is not UUID"),
        ("lengths", [1, "2"], "is not list\\[int\\]"),
        ("lengths", 7, "7 is not list"),
        ("weights", [True], "is not list"),
        ("uses", [None], "is not list"),
    ],
)
def test_values_that_do_not_fit(name: str, value: Any, problem: str) -> None:
    part = SCHEMA.load("k", SCHEMA.dump(PART))
    setattr(part, name, value)
    with pytest.raises(ConversionError, match=problem):
        SCHEMA.dump(part)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("made", "2001-02-03"),
        ("made", "20010231"),
        ("price", "much"),
        ("price", "nan"),
        ("colour", "RED"),
        ("size", "7"),
        ("size", "five"),
        ("serial", "0a0b"),
        ("lengths", "1 two"),
        ("tags", "new odd"),
    ],
)
def test_rows_that_do_not_fit(name: str, text: str) -> None:
    with pytest.raises(ConversionError, match=rf"Part\.{name} of row 'k'"):
        SCHEMA.load("k", {**SCHEMA.dump(PART), name: text})


def test_enumerations_that_no_column_holds() -> None:
    class Mixed(Enum):
        ONE = 1
        TWO = "two"

    class Words(Enum):
        BLUE = "dark blue"

    class Nothing(Enum):
        pass

    for annotation in (Mixed, list[Words], Nothing):
        wrong = type("Wrong", (Model,), {"__annotations__": {"odd": annotation}})
        with pytest.raises(ImproperlyConfigured, match=r"Mixed|Words|Nothing"):
            Schema(wrong)


def bound(made: Filter) -> list[bytes]:
    once = SCHEMA.bind(Search(filter=made))
    assert SCHEMA.bind(once) == once
    [arguments] = once.parts()
    return arguments


@pytest.mark.parametrize(
    ("made", "same"),
    [
        (C.price == Decimal("1.50"), C.price == 1.5),
        (C.price < Decimal("1E+3"), C.price < 1000),
        (C.colour == Colour.RED, C.colour == "red"),
        (C.colour.in_([Colour.DARK_BLUE]), C.colour.in_(["dark blue"])),
        (C.size > Size.SMALL, C.size > 5),
        (C.size.in_([Size.SMALL, Size.LARGE]), C.size.in_([5, 10])),
        (C.serial == SERIAL, C.serial == str(SERIAL)),
        (C.serial == SERIAL.hex.upper(), C.serial == SERIAL),
        (C.serial.in_([SERIAL, SERIAL]), C.serial.in_([str(SERIAL), SERIAL.hex])),
        (C.lengths.has_any(3, -4), C.lengths.has_any("3", "-4")),
        (C.weights.has_all(2, 1.5), C.weights.has_all("2.0", "1.50")),
        (C.prices.has_any(Decimal("2.00")), C.prices.has_any(2)),
        (C.tags.has_any(Tag.NEW), C.tags.has_any("new")),
        (C.checks.has_any(date(2001, 2, 3)), C.checks.has_any("20010203")),
        (C.uses.has_any(SERIAL), C.uses.has_any(SERIAL.hex)),
        (C.moments.has_any(MOMENT), C.moments.has_any("981173106.50")),
        (C.made.between(date.min, date.max), C.made.between(date(1, 1, 1), date(9999, 12, 31))),
    ],
)
def test_operands(made: Filter, same: Filter) -> None:
    assert bound(made) == bound(same)


def test_dates_are_compared_as_numbers() -> None:
    assert bound(C.made >= date(2001, 2, 3)) == Search(filter=C.made >= 20010203).parts()[0]


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        (C.made > MOMENT, "Part.made is date, not datetime"),
        (C.made > 2001, "compared with a date"),
        (C.made == "2001-02-03", "compared with a date"),
        (C.price > date(2001, 2, 3), "Part.price is Decimal, not date"),
        (C.price == "1.50", "compared with a Decimal"),
        (C.colour == "purple", "'purple' is not Colour"),
        (C.colour.in_(["red", "purple"]), "'purple' is not Colour"),
        (C.serial == "0a0b", "'0a0b' is not UUID"),
        (C.lengths.has_any("three"), "'three' is not int"),
        (C.lengths > 3, "is no number"),
        (C.serial > 3, "is no number"),
    ],
)
def test_comparisons_that_mean_nothing(made: Filter, problem: str) -> None:
    with pytest.raises(ArgumentError, match=problem):
        bound(made)


def test_operands_that_cannot_be_compared() -> None:
    with pytest.raises(ArgumentError, match="orders numbers only"):
        C.serial > SERIAL  # type: ignore[operator]  # noqa: B015
    with pytest.raises(ArgumentError, match="orders numbers only"):
        C.colour > Colour.RED  # noqa: B015
    with pytest.raises(ArgumentError, match="16 digits"):
        C.price > Decimal("1.0000000000000001")  # noqa: B015
    with pytest.raises(ArgumentError, match="18 digits"):
        C.price > Decimal(10) ** 18  # noqa: B015
    with pytest.raises(ArgumentError, match="cannot be compared"):
        C.price > Decimal("NaN")  # noqa: B015
    with pytest.raises(ArgumentError, match="different kinds"):
        C.made.between(date(2001, 2, 3), MOMENT)
    with pytest.raises(ArgumentError, match="several values"):
        C.colour.in_("red")
    with pytest.raises(ArgumentError, match="cannot have the word"):
        C.tags.has_any(None)  # type: ignore[arg-type]
    for name in ("lengths", "checks", "prices"):
        with pytest.raises(ArgumentError, match=f"cannot order by Part.{name}"):
            SCHEMA.bind(Search(order=C[name].asc()))


def test_numbers_of_other_types_are_written_as_numbers() -> None:
    class Ratio(float):
        def __repr__(self) -> str:
            return f"Ratio({float(self)})"

    assert number_text(Ratio(1.5)) == "1.5"
    assert number_text(Size.LARGE) == "10"
    assert encode_row({"r": Ratio(1e-7), "s": Size.SMALL}) == b"r\x000.0000001\x00s\x005"
    assert bound(C.size > Ratio(1.5)) == bound(C.size > 1.5)
