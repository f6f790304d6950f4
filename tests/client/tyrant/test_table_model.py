"""Models: what their rows look like, and what does not convert."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kt.client.tyrant.table_model import Model, Schema, column
from kt.client.tyrant.table_query import KEY, C, Filter, Search
from kt.errors import ArgumentError, ConversionError, ImproperlyConfigured, SerializationError
from kt.wire.table import IndexKind


class Person(Model):
    """One column of every kind, and some that may be None."""

    name: str = column(index=IndexKind.LEXICAL)
    age: int = 0
    height: float
    active: bool = True
    born: datetime
    langs: list[str] = column(default_factory=list, index=IndexKind.TOKEN)
    nickname: str | None = None
    shoe_size: int | None = None
    parent: Optional[str] = column(default=None, index=IndexKind.LEXICAL)  # noqa: UP045


SCHEMA = Schema(Person)
BORN = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
WORDS = st.lists(st.text("abcé☃", min_size=1, max_size=4), max_size=3)


def test_row_of_an_instance() -> None:
    ann = Person(name="Ann", age=7, height=1.5e-7, born=BORN, langs=["en", "fr"])
    assert SCHEMA.dump(ann) == {
        "name": "Ann",
        "age": "7",
        "height": "0.00000015",
        "active": "1",
        "born": "981173106",
        "langs": "en fr",
    }
    assert ann.key is None
    assert SCHEMA.load("k", SCHEMA.dump(ann)) == Person(
        key="k", name="Ann", age=7, height=1.5e-7, born=BORN, langs=["en", "fr"]
    )


def test_instances_are_dataclasses() -> None:
    ann = Person(name="Ann", height=1, born=BORN)
    assert repr(ann).startswith("Person(key=None, name='Ann', age=0, height=1, active=True")
    assert ann == Person(name="Ann", height=1, born=BORN)
    assert ann.langs is not Person(name="Ann", height=1, born=BORN).langs
    with pytest.raises(TypeError):
        Person(name="Ann")  # type: ignore[call-arg]


@given(
    name=TEXT,
    age=st.integers(),
    height=st.floats(allow_nan=False),
    active=st.booleans(),
    born=st.datetimes(timezones=st.just(UTC) | st.just(timezone(timedelta(hours=5)))),
    langs=WORDS,
    nickname=st.none() | TEXT,
    shoe_size=st.none() | st.integers(),
)
def test_instances_survive(**columns: Any) -> None:
    person = Person(key="k", **columns)
    assert SCHEMA.load("k", SCHEMA.dump(person)) == person


def test_empty_values_are_not_stored() -> None:
    person = Person(name="", height=0, born=BORN, langs=[], nickname="", shoe_size=None)
    row = SCHEMA.dump(person)
    assert row.keys() == {"age", "height", "active", "born", "nickname"}
    assert SCHEMA.load("k", row).name == ""
    assert SCHEMA.load("k", row).nickname == ""


def test_missing_columns_have_the_fields_default() -> None:
    person = SCHEMA.load("k", {"height": "1", "born": "0"})
    assert (person.name, person.age, person.active, person.langs) == ("", 0, True, [])
    assert (person.nickname, person.shoe_size, person.parent) == (None, None, None)


def test_columns_that_the_model_does_not_have_are_passed_over() -> None:
    assert SCHEMA.load("k", {"height": "1", "born": "0", "odd": "x"}).height == 1


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("name", 7, "Person.name of row 'k': 7 is not str"),
        ("name", None, "None is not str"),
        ("name", "a\0b", "NUL"),
        ("age", "7", "'7' is not int"),
        ("age", 7.0, "7.0 is not int"),
        ("age", True, "True is not int"),
        ("height", "1", "'1' is not float"),
        ("height", False, "False is not float"),
        ("active", 1, "1 is not bool"),
        ("born", "2001-02-03", "is not datetime"),
        ("born", datetime(2001, 2, 3), "no time zone"),
        ("langs", "en", "'en' is not list"),
        ("langs", ["en fr"], "'en fr' is not one word"),
        ("langs", [7], r"\[7\] is not list"),
        ("shoe_size", "40", "'40' is not int"),
        ("parent", "", "empty text cannot be indexed"),
    ],
)
def test_values_that_do_not_fit(name: str, value: Any, problem: str) -> None:
    person = Person(key="k", name="Ann", height=1, born=BORN)
    setattr(person, name, value)
    with pytest.raises(ConversionError, match=problem) as caught:
        SCHEMA.dump(person)
    error = caught.value
    assert (error.model, error.column, error.value, error.key) == ("Person", name, value, "k")
    assert isinstance(error, SerializationError)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("age", "7.5", "Person.age of row 'k': '7.5' is not int"),
        ("age", "", "'' is not int"),
        ("height", "tall", "'tall' is not float"),
        ("active", "yes", "'yes' is not bool"),
        ("born", "yesterday", "'yesterday' is not datetime"),
        ("born", "9" * 20, "is not datetime"),
        ("born", None, "the row has no such column"),
    ],
)
def test_rows_that_do_not_fit(name: str, text: str | None, problem: str) -> None:
    row = {"height": "1", "born": "0", name: text}
    with pytest.raises(ConversionError, match=problem) as caught:
        SCHEMA.load("k", {name: text for name, text in row.items() if text is not None})
    error = caught.value
    assert (error.model, error.column, error.value, error.key) == ("Person", name, text, "k")


@pytest.mark.parametrize(
    "annotation", [bytes, list[list[int]], list[bytes], list, int | str, dict, "list[str | None]"]
)
def test_columns_that_no_row_holds(annotation: Any) -> None:
    wrong = type("Wrong", (Model,), {"__annotations__": {"odd": annotation}})
    with pytest.raises(ImproperlyConfigured, match=r"Wrong\.odd"):
        Schema(wrong)


def test_models_are_inherited_from() -> None:
    class Employee(Person):
        salary: int

    assert list(Schema(Employee).columns) == [*SCHEMA.columns, "salary"]
    assert Schema(Employee).columns["name"].index is IndexKind.LEXICAL


def test_an_instance_of_another_model_is_refused() -> None:
    class Other(Model):
        name: str

    with pytest.raises(ArgumentError, match="not a Person"):
        SCHEMA.dump(Other(name="x"))  # type: ignore[arg-type]


def bound(made: Filter) -> list[bytes]:
    [arguments] = SCHEMA.bind(Search(filter=made)).parts()
    return arguments


def test_queries_are_checked_against_the_model() -> None:
    for made in (C.agee == 7, C.height.exists() & (C.odd == 1)):
        with pytest.raises(ArgumentError, match="Person has no column"):
            bound(made)
    with pytest.raises(ArgumentError, match="no column 'odd'"):
        SCHEMA.bind(Search(order=C.odd.asc()))
    for made in (C.name == 7, C.langs > 1):
        with pytest.raises(ArgumentError, match="is no number"):
            bound(made)


def test_the_key_is_a_column_of_queries() -> None:
    assert bound(C.key == "k") == bound(KEY == "k") == [b"addcond\0\x000\0k"]
    assert SCHEMA.bind(Search(order=C.key.asc())) == Search(order=KEY.asc())


def test_empty_text_is_looked_for_where_it_is_not_stored() -> None:
    assert bound(C.name == "") == bound(~C.name.matches("."))
    assert bound(C.name != "") == bound(C.name.matches("."))
    search = SCHEMA.bind(Search(filter=C.name == ""))
    assert SCHEMA.bind(search) == search


def test_orders_compare_what_the_column_is() -> None:
    assert SCHEMA.bind(Search(order=C.age.desc())) == Search(order=C.age.desc(numeric=True))
    assert SCHEMA.bind(Search(order=C.name.asc())) == Search(order=C.name.asc(numeric=False))
    assert SCHEMA.bind(Search(order=C.age.asc(numeric=False))).order == C.age.asc(numeric=False)
