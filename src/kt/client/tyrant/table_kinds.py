"""How the values of a model's columns are written in a row, which holds text.

`kind_of` finds the `Kind` of an annotation; the table in `kt.client.tyrant.table_model` says what
each looks like. A server compares a column as text, byte by byte, or as a number, of which it sees
16 digits. So every kind that has an order is written in such a way that one of these two is its
order: a date as the number 20010203, a UUID in lower case.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, Final, get_args, get_origin
from uuid import UUID

from kt.client.tyrant.table_query import EPOCH, date_text, instant_text
from kt.errors import ImproperlyConfigured
from kt.wire.table import number_text

SEPARATORS: Final = re.compile(r"[\x00-\x20,]+")
"""What stands between two words."""

_DATE: Final = re.compile(r"\d{8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Kind:
    """How values of one type are written in a row.

    Attributes:
        name: the type, as annotated.
        numeric: whether the server is to compare numbers.
        dump: value to text; raises TypeError or ValueError.
        load: text to value; raises ValueError.
        empty: makes the value of a column that is missing, if there is an obvious one.
        operand: what a query must compare it with, if not with any number or text.
        exact: whether equal values are equal text, and other text is no value.
        item: the kind of a list's items; None if it is no list.
        ordered: whether the server can order the values.
    """

    name: str
    numeric: bool
    dump: Callable[[Any], str]
    load: Callable[[str], Any]
    empty: Callable[[], Any] | None = None
    operand: type | None = None
    exact: bool = False
    item: Kind | None = None
    ordered: bool = True


def _dump_str(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    if "\0" in value:
        raise ValueError("NUL cannot be stored in a column")
    return value


def _dump_int(value: Any) -> str:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    return number_text(value)


def _dump_float(value: Any) -> str:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError
    return number_text(value)


def _dump_bool(value: Any) -> str:
    if not isinstance(value, bool):
        raise TypeError
    return "1" if value else "0"


def _load_bool(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError
    return text == "1"


def _dump_datetime(value: Any) -> str:
    if not isinstance(value, datetime):
        raise TypeError
    return instant_text(value)


def _load_datetime(text: str) -> datetime:
    seconds, _, fraction = text.partition(".")
    microseconds = int(f"{seconds}{fraction:0<6.6}")
    return EPOCH + timedelta(microseconds=microseconds)


def _dump_date(value: Any) -> str:
    if not isinstance(value, date) or isinstance(value, datetime):
        raise TypeError
    return date_text(value)


def _load_date(text: str) -> date:
    if not _DATE.fullmatch(text):
        raise ValueError("dates are stored as 20010203")
    return date(int(text[:4]), int(text[4:6]), int(text[6:]))


def _dump_decimal(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (Decimal, int)):
        raise TypeError
    value = Decimal(value)
    if not value.is_finite():
        raise ValueError("the server has no such number")
    return format(value, "f")


def _load_decimal(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation as error:
        raise ValueError from error
    if not value.is_finite():
        raise ValueError("it is not finite")
    return value


def _dump_uuid(value: Any) -> str:
    if not isinstance(value, UUID):
        raise TypeError
    return str(value)


_SCALARS: Final = {
    str: Kind("str", False, _dump_str, str, empty=str),
    int: Kind("int", True, _dump_int, int),
    float: Kind("float", True, _dump_float, float),
    bool: Kind("bool", True, _dump_bool, _load_bool),
    datetime: Kind("datetime", True, _dump_datetime, _load_datetime, operand=datetime),
    date: Kind("date", True, _dump_date, _load_date, operand=date),
    Decimal: Kind("Decimal", True, _dump_decimal, _load_decimal, operand=Decimal),
    UUID: Kind("UUID", False, _dump_uuid, UUID, exact=True),
}

NAMES: Final = (*(kind.name for kind in _SCALARS.values()), "an Enum", "a list of one of these")
"""What a column can be, in words."""


def kind_of(hint: Any) -> Kind | None:
    """Return the kind of an annotation; None if no column can hold it.

    Raises:
        ImproperlyConfigured: an Enum has values that no column can hold.
    """
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _enum_kind(hint)
    if get_origin(hint) is list:
        item = kind_of(get_args(hint)[0])
        return (
            None if item is None or item.item is not None else _list_kind(item, get_args(hint)[0])
        )
    try:
        return _SCALARS.get(hint)
    except TypeError:  # it is not hashable
        return None


def _enum_kind(members: type[Enum]) -> Kind:
    """The kind of an Enum: a member is written as its value, a text or a number."""
    values = [member.value for member in members]
    text = all(isinstance(value, str) and "\0" not in value for value in values)
    numbers = all(
        isinstance(value, (int, float)) and not isinstance(value, bool) for value in values
    )
    if not values or not (text or numbers):
        raise ImproperlyConfigured(
            f"{members.__name__}: the values of an Enum in a column are either str, without NUL, "
            "or numbers"
        )
    whole = all(isinstance(value, int) for value in values)
    of_text: Callable[[str], Any] = str if text else int if whole else float

    def dump(value: Any) -> str:
        if not isinstance(value, members):
            raise TypeError
        return str(value.value) if text else number_text(value.value)

    def load(text: str) -> Enum:
        return members(of_text(text))

    # A member whose value is empty text is not stored: see `ModelColumn`.
    empty = (lambda: members("")) if text and "" in values else None
    return Kind(members.__name__, not text, dump, load, empty=empty, exact=text)


def _list_kind(item: Kind, hint: Any) -> Kind:
    """The kind of a list: words, separated by spaces."""
    name = f"list[{item.name}]"
    if isinstance(hint, type) and issubclass(hint, Enum):
        for member in hint:
            if not _is_word(item.dump(member)):
                raise ImproperlyConfigured(
                    f"{name}: the value of {member!r} is not one word, as those in a list are"
                )

    def dump(values: Any) -> str:
        if not isinstance(values, (list, tuple)):
            raise TypeError
        words = [_shortest(value, item) for value in values]
        for word in words:
            if not _is_word(word):
                raise ValueError(f"{word!r} is not one word")
        return " ".join(words)

    def load(text: str) -> list[Any]:
        return [item.load(word) for word in SEPARATORS.split(text) if word]

    return Kind(name, False, dump, load, empty=list, item=item, ordered=not item.numeric)


def canonical(text: str, kind: Kind) -> str:
    """The text that stands in rows for what `text` means. Raises ValueError."""
    return kind.dump(kind.load(text))


def word_of(text: str, item: Kind) -> str:
    """The word that stands in lists for what `text` means. Raises ValueError."""
    return _shortest(item.load(text), item)


def _shortest(value: Any, item: Kind) -> str:
    """An item as text that is the same for equal numbers: the server compares words as text."""
    text = item.dump(value)
    if item.numeric and "." in text:
        text = text.rstrip("0").removesuffix(".")
    return "0" if text == "-0" else text


def _is_word(text: str) -> bool:
    return bool(text) and not SEPARATORS.search(text)
