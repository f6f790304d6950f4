"""Searches of a table database as Python expressions. Nothing here talks to a server.

`C` makes columns, columns make filters, filters and orders make a `Search`::

    C.age >= 18                          Column.__ge__  -> Filter
    (C.age >= 18) & ~C.name.contains("x")   Filter.__and__ -> Filter
    C.age.desc(numeric=True)             Column.desc    -> Order

The server knows conditions, each of which may be negated, and searches whose conditions must all
hold. So a `Filter` is kept as alternatives, of which one must hold, each a tuple of conditions,
which must all hold (the disjunctive normal form). One alternative is one ``search``; several are a
``metasearch`` for their union.

All objects are immutable, and `repr` shows the expression that makes them.

A negated condition also holds for rows that do not have the column. Comparisons with a number take
text that is not a number as 0, as the server does. (Tokyo Cabinet's ``tctdb.c`` is the
specification of every operator.)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import reduce
from itertools import product
from typing import Final, Self, TypeAlias
from unicodedata import normalize
from uuid import UUID

from kt.errors import ArgumentError
from kt.wire import table
from kt.wire.table import PRIMARY_KEY, Operator, OrderKind, SetOperation, number_text

Number: TypeAlias = int | float | Decimal | date | Enum
"""What a number is compared with.

A bool counts as 0 or 1, a datetime as seconds since 1970, a date as the number 20010203, a member
of an Enum as its value.
"""

Word: TypeAlias = str | UUID | Number
"""What the words of a column are compared with."""

DIGITS_MAX: Final = 16
"""Of a number with a fraction the server sees so many digits; of an integer, `WHOLE_MAX`."""

WHOLE_MAX: Final = 18

ALTERNATIVES_MAX: Final = 256
"""More searches than this in one expression are taken for a mistake."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_SEPARATORS: Final = re.compile(r"[\x00-\x20,]")
_REGEX_SPECIAL: Final = re.compile(r"([.\[\\()*+?{|^$])")
_COMPARISONS: Final = {
    Operator.STREQ: "==",
    Operator.NUMEQ: "==",
    Operator.NUMGT: ">",
    Operator.NUMGE: ">=",
    Operator.NUMLT: "<",
    Operator.NUMLE: "<=",
}
_METHODS: Final = {
    Operator.STRINC: "contains",
    Operator.STRBW: "startswith",
    Operator.STREW: "endswith",
    Operator.STRAND: "has_all",
    Operator.STROR: "has_any",
    Operator.STROREQ: "in_",
    Operator.STRRX: "matches",
    Operator.NUMBT: "between",
    Operator.NUMOREQ: "in_",
    Operator.FTSPH: "search",
    Operator.FTSAND: "search_all",
    Operator.FTSOR: "search_any",
    Operator.FTSEX: "search_expression",
}


def instant_text(instant: datetime) -> str:
    """An aware datetime as decimal seconds since 1970, which is how columns hold one."""
    if instant.tzinfo is None:
        raise ArgumentError(f"{instant!r} has no time zone")
    microseconds = (instant - EPOCH) // timedelta(microseconds=1)
    seconds, fraction = divmod(abs(microseconds), 1_000_000)
    sign = "-" if microseconds < 0 else ""
    return f"{sign}{seconds}.{fraction:06d}" if fraction else f"{sign}{seconds}"


def date_text(day: date) -> str:
    """A date as eight digits, in the order of which dates are as numbers and as text."""
    return f"{day.year:04}{day.month:02}{day.day:02}"


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison of one column, as the server knows it.

    Attributes:
        given: what the operand was given as, date or datetime; None if it was something else.
    """

    column: str
    operator: Operator
    operand: str
    negated: bool = False
    indexed: bool = True
    given: type[date] | None = None

    def argument(self) -> bytes:
        """The condition as an argument of a search."""
        flags = (table.NEGATE if self.negated else 0) | (0 if self.indexed else table.NO_INDEX)
        return table.condition(self.column, self.operator | flags, self.operand)

    def __str__(self) -> str:
        column, operator = Column(self.column), self.operator
        if operator is Operator.STRBW and not self.operand:
            return f"{column}.{'is_missing' if self.negated else 'exists'}()"
        if symbol := _COMPARISONS.get(operator):
            if self.negated and self.is_infix:
                return f"{column} != {self._operand()}"
            text = f"{column} {symbol} {self._operand()}"
            return f"~({text})" if self.negated else text
        return f"{'~' if self.negated else ''}{column}.{_METHODS[operator]}({self._operand()})"

    @property
    def is_infix(self) -> bool:
        """Whether `str` shows it as two operands with a sign between them."""
        if self.negated:
            return self.operator in (Operator.STREQ, Operator.NUMEQ)
        return self.operator in _COMPARISONS

    def _operand(self) -> str:
        words = [word for word in _SEPARATORS.split(self.operand) if word]
        match self.operator:
            case Operator.NUMBT:
                return ", ".join(words)
            case Operator.NUMOREQ:
                return f"[{', '.join(words)}]"
            case Operator.STROREQ:
                return repr(words)
            case Operator.STRAND | Operator.STROR | Operator.FTSAND | Operator.FTSOR:
                return ", ".join(map(repr, words))
            case Operator.STRRX if self.operand.startswith("*"):
                return f"{self.operand[1:]!r}, ignore_case=True"
            case operator if operator.name.startswith("NUM"):
                return self.operand
        return repr(self.operand)


Alternative: TypeAlias = tuple[Condition, ...]


@dataclass(frozen=True, slots=True, repr=False)
class Filter:
    """Which rows a query keeps. Combine filters with ``&``, ``|`` and ``~``."""

    alternatives: tuple[Alternative, ...]

    def __and__(self, other: Filter) -> Filter:
        if not isinstance(other, Filter):
            return NotImplemented
        return _filter(a + b for a, b in product(self.alternatives, other.alternatives))

    def __or__(self, other: Filter) -> Filter:
        if not isinstance(other, Filter):
            return NotImplemented
        return _filter(self.alternatives + other.alternatives)

    def __invert__(self) -> Filter:
        # De Morgan: not (a and b or c) = (not a or not b) and not c
        return reduce(
            Filter.__and__,
            (_filter((_negate(each),) for each in every) for every in self.alternatives),
        )

    def without_index(self) -> Filter:
        """The same filter, looking at every row instead of using indices."""
        return Filter(
            tuple(tuple(replace(c, indexed=False) for c in each) for each in self.alternatives)
        )

    def __bool__(self) -> bool:
        raise TypeError(
            "combine filters with & | ~, each comparison in parentheses; not and, or, <<"
        )

    def __repr__(self) -> str:
        several = len(self.alternatives) > 1
        return " | ".join(_alternative_text(each, several) for each in self.alternatives)


def _filter(alternatives: Iterable[Alternative]) -> Filter:
    """A filter without the conditions and alternatives that change nothing."""
    kept: dict[frozenset[Condition], Alternative] = {}
    for each in alternatives:
        conditions = frozenset(each)
        if any(weaker <= conditions for weaker in kept):
            continue
        for stronger in [other for other in kept if conditions < other]:
            del kept[stronger]
        kept[conditions] = tuple(dict.fromkeys(each))
        if len(kept) > ALTERNATIVES_MAX:
            raise ArgumentError(f"the filter needs more than {ALTERNATIVES_MAX} searches")
    return Filter(tuple(kept.values()))


def _negate(condition: Condition) -> Condition:
    return replace(condition, negated=not condition.negated)


def _alternative_text(conditions: Alternative, several: bool) -> str:
    nested = several or len(conditions) > 1
    texts = [f"({each})" if nested and each.is_infix else str(each) for each in conditions]
    text = " & ".join(texts)
    return text if all(each.indexed for each in conditions) else f"({text}).without_index()"


@dataclass(frozen=True, slots=True, repr=False)
class Order:
    """The order of a query's matches, by one column.

    Attributes:
        numeric: compare numbers instead of text; None = as the model declares the column, and text
            where there is no model.
    """

    column: str
    descending: bool = False
    numeric: bool | None = None

    def argument(self) -> bytes:
        """The order as an argument of a search."""
        if self.numeric:
            kind = OrderKind.NUMDESC if self.descending else OrderKind.NUMASC
        else:
            kind = OrderKind.STRDESC if self.descending else OrderKind.STRASC
        return table.order(self.column, kind)

    def __repr__(self) -> str:
        numeric = "" if self.numeric is None else f"numeric={self.numeric}"
        return f"{Column(self.column)}.{'desc' if self.descending else 'asc'}({numeric})"


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Column:
    """A column of a table; its methods and operators make filters and orders.

    Comparing with a number, a date or a datetime compares numbers, comparing with text or a UUID
    compares text, and a member of an Enum stands for its value.
    """

    name: str

    def __eq__(self, other: object) -> Filter:  # type: ignore[override]
        if other is None:
            return self.is_missing()
        other = _plain_value(other)
        if isinstance(other, str):
            return self.match(Operator.STREQ, other)
        return self._compare(Operator.NUMEQ, other)

    def __ne__(self, other: object) -> Filter:  # type: ignore[override]
        return ~(self == other)

    def __hash__(self) -> int:
        return hash(self.name)

    def __gt__(self, other: Number) -> Filter:
        return self._compare(Operator.NUMGT, other)

    def __ge__(self, other: Number) -> Filter:
        return self._compare(Operator.NUMGE, other)

    def __lt__(self, other: Number) -> Filter:
        return self._compare(Operator.NUMLT, other)

    def __le__(self, other: Number) -> Filter:
        return self._compare(Operator.NUMLE, other)

    def between(self, low: Number, high: Number) -> Filter:
        """Number from `low` to `high`, both included."""
        return self._compare(Operator.NUMBT, low, high)

    def in_(self, values: Iterable[str] | Iterable[UUID] | Iterable[Number]) -> Filter:
        """Text equal to one of several texts, or number equal to one of several numbers."""
        if isinstance(values, str):
            raise ArgumentError(f"{self}: several values are needed, in a list, not {values!r}")
        listed = [_plain_value(value) for value in values]
        texts = [value for value in listed if isinstance(value, str)]
        if len(texts) != len(listed):
            return self._compare(Operator.NUMOREQ, *listed)
        if all(text and not _SEPARATORS.search(text) for text in texts):
            return self.match(Operator.STROREQ, " ".join(texts))
        # The server splits the operand of STROREQ into words; that of STRRX it takes whole.
        pattern = "|".join(_REGEX_SPECIAL.sub(r"\\\1", text) for text in texts)
        return self.match(Operator.STRRX, f"^({pattern})$")

    def contains(self, text: str) -> Filter:
        """Text that contains `text`."""
        return self.match(Operator.STRINC, text)

    def startswith(self, text: str) -> Filter:
        """Text that begins with `text`."""
        return self.match(Operator.STRBW, text)

    def endswith(self, text: str) -> Filter:
        """Text that ends with `text`."""
        return self.match(Operator.STREW, text)

    def matches(self, pattern: str, *, ignore_case: bool = False) -> Filter:
        """Text in which a POSIX extended regular expression is found."""
        if pattern.startswith("*"):
            raise ArgumentError(f"the regular expression {pattern!r} repeats nothing")
        return self.match(Operator.STRRX, f"*{pattern}" if ignore_case else pattern)

    def has_all(self, *words: Word) -> Filter:
        """Text that has all these words. Spaces and commas separate the words of a column.

        In a list of a model, what it holds.
        """
        return self.match(Operator.STRAND, _words(self, words))

    def has_any(self, *words: Word) -> Filter:
        """Text that has at least one of these words; in a list of a model, of what it holds."""
        return self.match(Operator.STROR, _words(self, words))

    def search(self, phrase: str) -> Filter:
        """Full text: contains the phrase. Letter case and accents make no difference."""
        return self.match(Operator.FTSPH, phrase)

    def search_all(self, *words: str) -> Filter:
        """Full text: contains all these words."""
        return self.match(Operator.FTSAND, _plain(words))

    def search_any(self, *words: str) -> Filter:
        """Full text: contains at least one of these words."""
        return self.match(Operator.FTSOR, _plain(words))

    def search_expression(self, expression: str) -> Filter:
        """Full text: words and "quoted phrases" joined by ``&&``, ``||`` and ``!!`` (and not)."""
        return self.match(Operator.FTSEX, expression)

    def exists(self) -> Filter:
        """Rows that have this column."""
        return self.match(Operator.STRBW, "")

    def is_missing(self) -> Filter:
        """Rows that do not have this column."""
        return ~self.exists()

    def match(self, operator: Operator, operand: str) -> Filter:
        """Any of the server's operators, with the operand in its own notation."""
        return self._matching(operator, operand, None)

    def _matching(self, operator: Operator, operand: str, given: type[date] | None) -> Filter:
        if "\0" in operand or "\0" in self.name:
            raise ArgumentError(
                f"a NUL character cannot be searched for: {self.name!r} {operand!r}"
            )
        return Filter(((Condition(self.name, operator, operand, given=given),),))

    def asc(self, *, numeric: bool | None = None) -> Order:
        """Ascending order by this column, as text, or as numbers if `numeric`."""
        return Order(self.name, False, numeric)

    def desc(self, *, numeric: bool | None = None) -> Order:
        """Descending order by this column, as text, or as numbers if `numeric`."""
        return Order(self.name, True, numeric)

    def _compare(self, operator: Operator, *others: object) -> Filter:
        kinds = {_given(other) for other in others}
        if len(kinds) > 1:
            raise ArgumentError(f"{self} is compared with things of different kinds: {others!r}")
        return self._matching(
            operator, " ".join(_number(self, other) for other in others), kinds.pop()
        )

    def __repr__(self) -> str:
        if self.name == PRIMARY_KEY:
            return "KEY"
        return f"C.{self.name}" if self.name.isidentifier() else f"C[{self.name!r}]"

    __str__ = __repr__


def _plain_value(value: object) -> object:
    """A value without the type that only Python knows: of an Enum's member the value."""
    if isinstance(value, Enum):
        value = value.value
    return str(value) if isinstance(value, UUID) else value


def _given(value: object) -> type[date] | None:
    if isinstance(value, datetime):
        return datetime
    return date if isinstance(value, date) else None


def _number(column: Column, value: object) -> str:
    value = _plain_value(value)
    if isinstance(value, str):
        raise ArgumentError(f"{column}: the server orders numbers only, not text such as {value!r}")
    text = _number_text(value)
    if text is None:
        raise ArgumentError(f"{column} cannot be compared with {type(value).__name__}")
    digits, most = _digits(text)
    if digits > most and isinstance(value, Decimal):
        raise ArgumentError(
            f"{column}: the server compares numbers by {most} digits, and {value!r} has {digits}"
        )
    return text


def _number_text(value: object) -> str | None:
    """A number, date or datetime as the server compares it; None if it is none of these."""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, (int, float)):
        return number_text(value)
    if isinstance(value, Decimal) and value.is_finite():
        return _without_zeros(format(value, "f"))
    if isinstance(value, datetime):
        return instant_text(value)
    return date_text(value) if isinstance(value, date) else None


def _without_zeros(text: str) -> str:
    return text.rstrip("0").removesuffix(".") if "." in text else text


def _digits(text: str) -> tuple[int, int]:
    """How many digits of a number the server has to compare, and how many it can."""
    whole, _, fraction = text.removeprefix("-").partition(".")
    whole = whole.lstrip("0")
    if fraction.strip("0"):
        return len(whole) + len(fraction), DIGITS_MAX
    return len(whole), WHOLE_MAX


def _words(column: Column, words: Sequence[object]) -> str:
    return " ".join(_word(column, _plain_value(word)) for word in words)


def _word(column: Column, word: object) -> str:
    text = word if isinstance(word, str) else _number_text(word)
    if text is None:
        raise ArgumentError(f"{column} cannot have the word {word!r}")
    if not text or _SEPARATORS.search(text):
        raise ArgumentError(f"{column}: {word!r} is not one word")
    return text


def _plain(words: Sequence[str]) -> str:
    """Words as full text is searched: the server simplifies the text, but not these operands."""
    return "".join(
        normalize("NFD", letter)[0] if letter < "\u0250" else letter
        for letter in " ".join(words).lower()
    )


class Columns:
    """Makes columns: ``C.age``, or ``C["first name"]`` where the name is no identifier."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Column:
        if name.startswith("__"):
            raise AttributeError(name)
        return Column(name)

    def __getitem__(self, name: str) -> Column:
        if not name:
            raise ArgumentError("the primary key is KEY; no column has an empty name")
        return Column(name)

    def __repr__(self) -> str:
        return "C"


C: Final = Columns()
"""Where columns come from: ``C.age >= 18``."""

KEY: Final = Column(PRIMARY_KEY)
"""The primary key, in filters and orders: ``KEY.startswith("user:")``."""


@dataclass(frozen=True, slots=True)
class Search:
    """One search: which rows, in which order, how many of them, which of their columns.

    Attributes:
        filter: None keeps every row.
        limit: at most so many matches; None = all.
        offset: so many matches are left out first.
        columns: None asks for all columns.
    """

    filter: Filter | None = None
    order: Order | None = None
    limit: int | None = None
    offset: int = 0
    columns: tuple[str, ...] | None = None

    def parts(self) -> list[list[bytes]]:
        """The arguments of each search of the server that this one takes; the union is meant."""
        alternatives = self.filter.alternatives if self.filter is not None else ((),)
        return [self._arguments(conditions) for conditions in alternatives]

    def _arguments(self, conditions: Alternative) -> list[bytes]:
        arguments = [condition.argument() for condition in conditions]
        if self.order:
            arguments.append(self.order.argument())
        if self.limit is not None or self.offset:
            arguments.append(table.limit(self.limit, self.offset))
        return arguments

    def with_filters(self, filters: Iterable[Filter]) -> Self:
        """This search for rows that all of `filters` keep too."""
        kept = self.filter
        for each in filters:
            kept = each if kept is None else kept & each
        return replace(self, filter=kept)

    def __str__(self) -> str:
        text = f".filter({self.filter!r})" if self.filter is not None else ""
        if self.order:
            text += f".order_by({self.order!r})"
        if self.limit is not None:
            text += f".limit({self.limit})"
        if self.offset:
            text += f".offset({self.offset})"
        if self.columns is not None:
            text += f".select({', '.join(map(repr, self.columns))})"
        return text


def metasearch(operation: SetOperation, searches: Sequence[Search]) -> list[bytes]:
    """The arguments of a metasearch: the first search's order and limit are those of the result."""
    parts = [part for search in searches for part in search.parts()]
    order = searches[0].order
    if operation is SetOperation.UNION and order is not None and order.column == PRIMARY_KEY:
        raise ArgumentError("the server cannot order a union, or a filter with |, by primary keys")
    if operation is not SetOperation.UNION and len(parts) > len(searches):
        raise ArgumentError("only union can combine a query that has | in its filter")
    arguments = parts[0]
    for part in parts[1:]:
        arguments = [*arguments, table.NEXT, *part]
    return [*arguments, table.set_operation(operation)]
