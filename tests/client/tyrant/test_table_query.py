"""Filters, orders and searches as the server's arguments, and as text."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kt.client.tyrant.table_query import KEY, C, Column, Filter, Search, metasearch
from kt.errors import ArgumentError
from kt.wire.table import Operator, SetOperation

NEGATED = 1 << 24
NO_INDEX = 1 << 25


def condition(made: Filter) -> tuple[str, int, str]:
    """Column, operator and operand of a filter that is one condition."""
    [[argument]] = Search(filter=made).parts()
    name, column, operator, operand = argument.decode().split("\0")
    assert name == "addcond"
    return column, int(operator), operand


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (C.name == "Ann", ("name", 0, "Ann")),
        (C.name.contains("n"), ("name", 1, "n")),
        (C.name.startswith("A"), ("name", 2, "A")),
        (C.name.endswith("n"), ("name", 3, "n")),
        (C.langs.has_all("en", "fr"), ("langs", 4, "en fr")),
        (C.langs.has_any("en", "fr"), ("langs", 5, "en fr")),
        (C.name.in_(["Ann", "Bob"]), ("name", 6, "Ann Bob")),
        (C.name.in_([]), ("name", 6, "")),
        (C.name.matches("^A.*n$"), ("name", 7, "^A.*n$")),
        (C.name.matches("ann", ignore_case=True), ("name", 7, "*ann")),
        (C.age == 18, ("age", 8, "18")),
        (C.age > 18, ("age", 9, "18")),
        (C.age >= 18.5, ("age", 10, "18.5")),
        (C.age < 1e-7, ("age", 11, "0.0000001")),
        (C.age <= 10**25, ("age", 12, "1" + 25 * "0")),
        (C.age.between(-1, 2), ("age", 13, "-1 2")),
        (C.age.in_([1, 2.5]), ("age", 14, "1 2.5")),
        (C.text.search("quick fox"), ("text", 15, "quick fox")),
        (C.text.search_all("Quick", "fôx"), ("text", 16, "quick fox")),
        (C.text.search_any("Quick", "fox"), ("text", 17, "quick fox")),
        (C.text.search_expression("a && b"), ("text", 18, "a && b")),
        (C.active == True, ("active", 8, "1")),  # noqa: E712
        (C.name.exists(), ("name", 2, "")),
        (C.name != "Ann", ("name", NEGATED + 0, "Ann")),
        (C.name.is_missing(), ("name", NEGATED + 2, "")),
        (C.name == None, ("name", NEGATED + 2, "")),  # noqa: E711
        (~(C.age > 18), ("age", NEGATED + 9, "18")),
        (~~(C.age > 18), ("age", 9, "18")),
        ((C.age > 18).without_index(), ("age", NO_INDEX + 9, "18")),
        (KEY == "ann", ("", 0, "ann")),
        (C["first name"] == "Ann", ("first name", 0, "Ann")),
        (C.x.match(Operator.STRAND, "a,b"), ("x", 4, "a,b")),
        (C.at > datetime(1970, 1, 2, tzinfo=UTC), ("at", 9, "86400")),
        (C.at > datetime(1969, 12, 31, 23, 59, 58, 500000, UTC), ("at", 9, "-1.500000")),
    ],
)
def test_conditions(made: Filter, expected: tuple[str, int, str]) -> None:
    assert condition(made) == expected


@pytest.mark.parametrize("text", ["a b", "a,b", "", "tab\there"])
def test_text_that_is_not_one_word_is_looked_for_with_a_regular_expression(text: str) -> None:
    assert condition(C.name.in_(["x", text])) == ("name", 7, f"^(x|{text})$")


def test_what_a_regular_expression_takes_for_special_is_quoted() -> None:
    assert condition(C.name.in_(["a b", "[1.5]*^$"]))[2] == r"^(a b|\[1\.5]\*\^\$)$"


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: C.name > "A", "orders numbers only"),
        (lambda: C.name == ["A"], "compared with list"),
        (lambda: C.at > datetime(2020, 1, 1), "no time zone"),
        (lambda: C.langs.has_any("en fr"), "not one word"),
        (lambda: C.name.in_(["a", 1]), "orders numbers only"),
        (lambda: C.name == "a\0b", "NUL"),
        (lambda: C["a\0b"] == "x", "NUL"),
        (lambda: C.name.matches("*a"), "repeats nothing"),
        (lambda: C[""], "KEY"),
    ],
)
def test_what_the_server_cannot_do_is_refused(make: Any, problem: str) -> None:
    with pytest.raises(ArgumentError, match=problem):
        make()


@pytest.mark.parametrize(
    "misuse",
    [
        lambda: C.a == 1 and C.b == 2,
        lambda: bool(C.a == 1),
        lambda: 1 < C.a < 2,
        lambda: C.a == 1 or C.b == 2,
    ],
)
def test_filters_have_no_truth(misuse: Any) -> None:
    with pytest.raises(TypeError, match="combine filters with"):
        misuse()


def test_private_names_of_python_are_no_columns() -> None:
    with pytest.raises(AttributeError):
        C.__wrapped__  # noqa: B018


def test_alternatives_are_searches_of_their_own() -> None:
    made = (C.a == 1) & ((C.b == 2) | (C.c == 3))
    assert Search(filter=made).parts() == [
        [b"addcond\0a\x008\x001", b"addcond\0b\x008\x002"],
        [b"addcond\0a\x008\x001", b"addcond\0c\x008\x003"],
    ]


def test_order_limit_and_offset() -> None:
    search = Search(order=C.age.desc(numeric=True), limit=10, offset=5)
    assert search.parts() == [[b"setorder\0age\x003", b"setlimit\x0010\x005"]]
    assert Search(order=C.name.asc()).parts() == [[b"setorder\0name\x000"]]
    assert Search(offset=5).parts() == [[b"setlimit\x00-1\x005"]]
    assert Search(limit=0).parts() == [[b"setlimit\x000\x000"]]


def test_metasearch() -> None:
    searches = [Search(filter=C.a == 1, limit=3), Search(filter=C.b == 2)]
    assert metasearch(SetOperation.DIFFERENCE, searches) == [
        b"addcond\0a\x008\x001",
        b"setlimit\x003\x000",
        b"next",
        b"addcond\0b\x008\x002",
        b"mstype\x002",
    ]
    searches.append(Search(filter=(C.a == 1) | (C.b == 2)))
    assert metasearch(SetOperation.UNION, searches).count(b"next") == 3
    with pytest.raises(ArgumentError, match="only union"):
        metasearch(SetOperation.INTERSECTION, searches)


def test_filters_that_need_too_many_searches_are_refused() -> None:
    many = reduce(Filter.__or__, (C.a == number for number in range(256)))
    with pytest.raises(ArgumentError, match="256"):
        _ = many | (C.a == 256)
    pairs = reduce(Filter.__or__, ((C.a == number) & (C.b == number) for number in range(20)))
    with pytest.raises(ArgumentError, match="256"):
        _ = ~pairs


def test_alternatives_that_say_no_more_than_others_are_left_out() -> None:
    a, b = C.a == 1, C.b == 2
    assert a | (a & b) == a
    assert (a & b) | a == a
    assert a | a == a & a == a
    assert (a | b) & a == a
    assert len(((a & b) | (b & a)).alternatives) == 1


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)
WORDS = st.text("abcxyzé", min_size=1, max_size=4)
NUMBERS = st.integers(-(2**40), 2**40) | st.floats(-1e9, 1e9)
COLUMNS = st.sampled_from([C.a, C.b, C["c d"], KEY])
REGEXES = TEXTS.filter(lambda text: not text.startswith("*"))
FILTERS = st.recursive(
    st.builds(Column.__eq__, COLUMNS, TEXTS | NUMBERS)
    | st.builds(Column.__ge__, COLUMNS, NUMBERS)
    | st.builds(Column.between, COLUMNS, NUMBERS, NUMBERS)
    | st.builds(Column.in_, COLUMNS, st.lists(WORDS, max_size=3))
    | st.builds(Column.in_, COLUMNS, st.lists(NUMBERS, min_size=1, max_size=3))
    | st.builds(lambda column, words: column.has_any(*words), COLUMNS, st.lists(WORDS))
    | st.builds(Column.startswith, COLUMNS, TEXTS)
    | st.builds(Column.search, COLUMNS, TEXTS)
    | st.builds(Column.is_missing, COLUMNS)
    | st.builds(
        lambda column, text, ignore: column.matches(text, ignore_case=ignore),
        COLUMNS,
        REGEXES,
        st.booleans(),
    ),
    lambda some: (
        st.builds(Filter.__and__, some, some)
        | st.builds(Filter.__or__, some, some)
        | st.builds(Filter.__invert__, some)
    ),
    max_leaves=4,
)


@given(made=FILTERS)
def test_repr_is_the_expression(made: Filter) -> None:
    assert eval(repr(made), {"C": C, "KEY": KEY}) == made


def test_repr_of_what_uses_no_index() -> None:
    made = ((C.a == 1) & (C.b == 2)).without_index()
    assert repr(made) == "((C.a == 1) & (C.b == 2)).without_index()"
    assert eval(repr(made)) == made


def test_repr_of_orders() -> None:
    assert repr(C.age.asc()) == "C.age.asc()"
    assert repr(KEY.desc(numeric=True)) == "KEY.desc(numeric=True)"
    assert repr(C) == "C"


@given(made=FILTERS)
def test_filters_are_values(made: Filter) -> None:
    assert made & made == made | made == made
    assert hash(made & made) == hash(made)
