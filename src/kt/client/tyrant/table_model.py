"""Models: classes whose annotations declare the columns of a table's rows.

::

    class City(Model):
        name: str = column(index=IndexKind.LEXICAL)
        population: int
        founded: datetime | None = None
        languages: list[str] = column(default_factory=list, index=IndexKind.TOKEN)

A model is a dataclass with keyword arguments and a primary key, `key`. Rows hold text; this module
turns an instance into a row and back:

==============  =========================================================  ====================
annotation      text in the row                                            compared as
==============  =========================================================  ====================
``str``         itself                                                     text
``int``         decimal                                                    number
``float``       decimal, without exponent                                  number
``bool``        ``1`` or ``0``                                             number
``datetime``    seconds since 1970 (aware datetimes; comes back in UTC)    number
``list[str]``   words separated by spaces                                  words
``... | None``  as above; None is a row without the column
==============  =========================================================  ====================

Empty text and empty lists are not stored either, unless None is possible and means something else:
the original server stops dead when it has to enter an empty text into an index. A missing column is
read as the empty value, as None where that is possible, or as the field's default.

There is no registry: ``db.table(City)`` binds a model to a database, and makes its `Schema`.
"""

from __future__ import annotations

import dataclasses
import re
import types
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import (
    Any,
    Final,
    Generic,
    TypeVar,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

from kt.client.tyrant.table_query import EPOCH, Condition, Filter, Order, Search, instant_text
from kt.errors import ArgumentError, ConversionError, ImproperlyConfigured
from kt.wire.table import PRIMARY_KEY, IndexKind, Operator, number_text

M = TypeVar("M", bound="Model")

_INDEX: Final = "kt.index"
_SEPARATORS: Final = re.compile(r"[\x00-\x20,]+")
_NUMERIC: Final = range(Operator.NUMEQ, Operator.NUMOREQ + 1)


def column(
    *,
    default: Any = dataclasses.MISSING,
    default_factory: Any = dataclasses.MISSING,
    index: IndexKind | None = None,
) -> Any:
    """A field of a model with more than an annotation and a default.

    Args:
        default, default_factory: as for `dataclasses.field`.
        index: the index that ``create_indexes`` makes for the column.
    """
    return dataclasses.field(
        default=default, default_factory=default_factory, metadata={_INDEX: index}
    )


@dataclass_transform(kw_only_default=True, field_specifiers=(column, dataclasses.field))
class _Declared:
    """Makes a dataclass of every subclass."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        dataclasses.dataclass(kw_only=True)(cls)


class Model(_Declared):
    """A row of a table, with typed columns. Subclass it and annotate the columns.

    Attributes:
        key: the primary key; None until the database has made one.
    """

    key: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """How values of one type are written in a row.

    Attributes:
        name: the type, as annotated.
        numeric: whether the server is to compare numbers.
        empty: the value of a column that is missing, if there is an obvious one.
        dump: value to text; raises TypeError or ValueError.
        load: text to value; raises ValueError.
    """

    name: str
    numeric: bool
    empty: Callable[[], Any] | None
    dump: Callable[[Any], str]
    load: Callable[[str], Any]


def _dump_str(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    if "\0" in value:
        raise ValueError("NUL cannot be stored in a column")
    return value


def _dump_int(value: Any) -> str:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    return str(value)


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


def _dump_words(value: Any) -> str:
    if not isinstance(value, (list, tuple)):
        raise TypeError
    for word in value:
        if not isinstance(word, str):
            raise TypeError
        if not word or _SEPARATORS.search(word):
            raise ValueError(f"{word!r} is not one word")
    return " ".join(value)


def _load_words(text: str) -> list[str]:
    return [word for word in _SEPARATORS.split(text) if word]


_KINDS: Final[Mapping[Any, Kind]] = {
    str: Kind("str", False, str, _dump_str, str),
    int: Kind("int", True, None, _dump_int, int),
    float: Kind("float", True, None, _dump_float, float),
    bool: Kind("bool", True, None, _dump_bool, _load_bool),
    datetime: Kind("datetime", True, None, _dump_datetime, _load_datetime),
    list[str]: Kind("list[str]", False, list, _dump_words, _load_words),
}


@dataclasses.dataclass(frozen=True, slots=True)
class ModelColumn:
    """One column of a model."""

    model: str
    field: dataclasses.Field[Any]
    kind: Kind
    optional: bool

    @property
    def index(self) -> IndexKind | None:
        """The index that the column was declared with."""
        index: IndexKind | None = self.field.metadata.get(_INDEX)
        return index

    def dump(self, value: Any, key: str | None) -> str | None:
        """The text for `value`; None if the column is left out. Raises `ConversionError`."""
        if value is None and self.optional:
            return None
        try:
            text = self.kind.dump(value)
            if not text:
                return self._dump_empty()
        except (TypeError, ValueError) as error:
            raise self._error(value, key, error) from error
        return text

    def _dump_empty(self) -> str | None:
        """What stands for empty text, of which only None has to differ."""
        if not self.optional:
            return None
        if self.index in (IndexKind.LEXICAL, IndexKind.DECIMAL):
            raise ValueError("empty text cannot be indexed")
        return ""

    def load(self, text: str | None, key: str) -> Any:
        """The value of the column. Raises `ConversionError`."""
        if text is None:
            return self._missing(key)
        try:
            return self.kind.load(text)
        except (ValueError, OverflowError) as error:
            raise self._error(text, key, error) from error

    def _missing(self, key: str) -> Any:
        """What a column that a row does not have stands for."""
        if self.optional:
            return None
        if self.kind.empty is not None:
            return self.kind.empty()
        if self.field.default is not dataclasses.MISSING:
            return self.field.default
        if self.field.default_factory is not dataclasses.MISSING:
            return self.field.default_factory()
        raise self._error(None, key, ValueError("the row has no such column"))

    def _error(self, value: Any, key: str | None, error: Exception) -> ConversionError:
        row = "" if key is None else f" of row {key!r}"
        reason = f" ({error})" if str(error) else ""
        return ConversionError(
            f"{self.model}.{self.field.name}{row}: {value!r} is not {self.kind.name}{reason}",
            key=key,
            model=self.model,
            column=self.field.name,
            value=value,
        )


class Schema(Generic[M]):
    """A model's columns: what turns instances into rows and rows into instances.

    Attributes:
        model: the class.
        columns: its columns by name, the primary key not among them.
    """

    def __init__(self, model: type[M]) -> None:
        """Read the model's annotations; raises `ImproperlyConfigured` for what no column holds."""
        self.model = model
        hints = get_type_hints(model)
        self.columns = {
            field.name: _model_column(model, field, hints[field.name])
            for field in dataclasses.fields(model)
            if field.name != "key"
        }

    def dump(self, instance: M) -> dict[str, str]:
        """The row that `instance` stands for. Raises `ConversionError`."""
        if not isinstance(instance, self.model):
            raise ArgumentError(f"{instance!r} is not a {self.model.__name__}")
        texts = (
            (name, each.dump(getattr(instance, name), instance.key))
            for name, each in self.columns.items()
        )
        return {name: text for name, text in texts if text is not None}

    def load(self, key: str, row: Mapping[str, str]) -> M:
        """The instance that a row stands for. Raises `ConversionError`."""
        values = {name: each.load(row.get(name), key) for name, each in self.columns.items()}
        return self.model(key=key, **values)

    def bind(self, search: Search) -> Search:
        """Check the columns that a search names, and give its order the column's kind."""
        kept = search.filter
        if kept is not None:
            kept = Filter(tuple(tuple(map(self._condition, each)) for each in kept.alternatives))
        order = search.order and self._order(search.order)
        for name in search.columns or ():
            self._column(name)
        return dataclasses.replace(search, filter=kept, order=order)

    def _condition(self, condition: Condition) -> Condition:
        if condition.column in (PRIMARY_KEY, "key"):
            return dataclasses.replace(condition, column=PRIMARY_KEY)
        kind = self._column(condition.column).kind
        operator, operand = condition.operator, condition.operand
        if operator in _NUMERIC and not kind.numeric:
            raise ArgumentError(
                f"{self.model.__name__}.{condition.column} is no number: {condition}"
            )
        if operator is Operator.STREQ and not operand and kind.empty:
            # Empty text is not stored: the rows meant are those where no character is found.
            return dataclasses.replace(
                condition, operator=Operator.STRRX, operand=".", negated=not condition.negated
            )
        return condition

    def _order(self, order: Order) -> Order:
        if order.column in (PRIMARY_KEY, "key"):
            return dataclasses.replace(order, column=PRIMARY_KEY)
        numeric = self._column(order.column).kind.numeric
        return dataclasses.replace(order, numeric=numeric) if order.numeric is None else order

    def _column(self, name: str) -> ModelColumn:
        try:
            return self.columns[name]
        except KeyError:
            raise ArgumentError(f"{self.model.__name__} has no column {name!r}") from None


def _model_column(model: type[Model], field: dataclasses.Field[Any], hint: Any) -> ModelColumn:
    optional = False
    if get_origin(hint) in (Union, types.UnionType):
        optional = type(None) in get_args(hint)
        others = [each for each in get_args(hint) if each is not type(None)]
        hint = others[0] if len(others) == 1 else hint
    kind = _KINDS.get(hint)
    if kind is None:
        raise ImproperlyConfigured(
            f"{model.__name__}.{field.name}: a column cannot be {hint!r}; "
            f"it can be {', '.join(each.name for each in _KINDS.values())}, or one of them or None"
        )
    return ModelColumn(model.__name__, field, kind, optional)
