"""Rows and searches of table databases as bytes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kt.errors import ProtocolError
from kt.wire import table
from kt.wire.table import IndexKind, Operator, OrderKind, SetOperation

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9)
NAMES = TEXT.filter(bool)


@given(row=st.dictionaries(NAMES, TEXT, max_size=5))
def test_rows_survive(row: dict[str, str]) -> None:
    assert table.decode_row(table.encode_row(row)) == row


@given(row=st.dictionaries(NAMES, TEXT, max_size=5), key=TEXT)
def test_matches_are_split(row: dict[str, str], key: str) -> None:
    words = [word for pair in {"": key, **row}.items() for word in pair]
    name, columns = table.split_match("\0".join(words).encode())
    assert name == key.encode()
    assert table.decode_row(columns) == row


@pytest.mark.parametrize("data", [b"", b"name\0Ann", b"name"])
def test_matches_without_a_primary_key(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="primary key"):
        table.split_match(data)


@given(data=st.binary(max_size=30))
def test_any_bytes_are_a_row_or_no_text(data: bytes) -> None:
    try:
        row = table.decode_row(data)
    except UnicodeDecodeError:
        return
    assert all("\0" not in name and "\0" not in value for name, value in row.items())


def test_order_of_columns_is_kept() -> None:
    assert list(table.decode_row(b"b\0001\0a\0002\0c")) == ["b", "a"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("text", b"text"),
        (b"\xff", b"\xff"),
        (bytearray(b"x"), b"x"),
        (7, b"7"),
        (OrderKind.NUMDESC, b"3"),
        (7.5, b"7.5"),
        (1e-7, b"0.0000001"),
        (1e22, b"10000000000000000000000"),
        (float("inf"), b"inf"),
    ],
)
def test_cells(value: Any, text: bytes) -> None:
    assert table.encode_row({"c": value}) == b"c\0" + text


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ({"": "x"}, ValueError),
        ({"a\0": "x"}, ValueError),
        ({"a": "\0"}, ValueError),
        ({"a": b"\0"}, ValueError),
        ({"a": True}, TypeError),
        ({"a": None}, TypeError),
        ({1: "a"}, TypeError),
    ],
)
def test_what_no_column_holds(row: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        table.encode_row(row)


@given(number=st.floats(allow_nan=False) | st.integers())
def test_numbers_have_no_exponent(number: float) -> None:
    text = table.number_text(number)
    assert float(text) == float(number) if isinstance(number, float) else int(text) == number
    assert "e" not in text.lower()


def test_arguments() -> None:
    negated = Operator.STREQ | table.NEGATE | table.NO_INDEX
    assert table.condition("name", negated, "Ann") == b"addcond\0name\x0050331648\0Ann"
    assert table.order("age", OrderKind.NUMDESC) == b"setorder\0age\x003"
    assert table.limit(None, 0) == b"setlimit\0-1\x000"
    assert table.columns(()) == b"get"
    assert table.columns(("", "name")) == b"get\0\0name"
    assert table.set_operation(SetOperation.INTERSECTION) == b"mstype\x001"
    assert IndexKind.DECIMAL | table.KEEP_INDEX == 16777217
