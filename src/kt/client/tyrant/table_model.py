"""Models: classes whose annotations declare the columns of a table's rows.

::

    class City(Model):
        name: str = column(index=IndexKind.LEXICAL)
        population: int
        founded: datetime | None = None
        languages: list[str] = column(default_factory=list, index=IndexKind.TOKEN)

A model is a dataclass with keyword arguments and a primary key, `key`. Rows hold text; this module
turns an instance into a row and back:

===============  ========================================================  ====================
annotation       text in the row                                           compared as
===============  ========================================================  ====================
``str``          itself                                                    text
``int``          decimal                                                   number
``float``        decimal, without exponent                                 number
``Decimal``      decimal, without exponent; finite                         number
``bool``         ``1`` or ``0``                                            number
``datetime``     seconds since 1970 (aware datetimes; comes back in UTC)   number
``date``         year, month and day in 8 digits: ``20010203``             number
an ``Enum``      the member's value, all of them text or all numbers       text or number
``UUID``         as Python writes it, in lower case                        text
``list[...]``    one of these each: words separated by spaces              words
``... | None``   as above; None is a row without the column
===============  ========================================================  ====================

Empty text and empty lists are not stored either, unless None is possible and means something else:
the original server stops dead when it has to enter an empty text into an index. A missing column is
read as the empty value, as None where that is possible, or as the field's default.

There is no registry: ``db.table(City)`` binds a model to a database, and makes its `Schema`.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Mapping
from datetime import date
from typing import (
    Any,
    Final,
    Generic,
    TypeAlias,
    TypeVar,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

from kt.client.tyrant.table_kinds import NAMES, SEPARATORS, Kind, canonical, kind_of, word_of
from kt.client.tyrant.table_query import Condition, Filter, Order, Search
from kt.errors import ArgumentError, ConversionError, ImproperlyConfigured
from kt.wire.table import PRIMARY_KEY, IndexKind, Operator

M = TypeVar("M", bound="Model")

_INDEX: Final = "kt.index"
_NUMERIC: Final = range(Operator.NUMEQ, Operator.NUMOREQ + 1)
_WORDS: Final = (Operator.STRAND, Operator.STROR)

_TextOf: TypeAlias = Callable[[str, Kind], str]


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
        row = "" if key is None else f" of row {key!r:.60}"
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

    def dump_some(self, values: Mapping[str, Any], key: str) -> dict[str, str | None]:
        """What some columns become; None if a column goes. Raises `ConversionError`."""
        return {name: self._column(name).dump(value, key) for name, value in values.items()}

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
        self._check(condition, kind)
        operator, operand = condition.operator, condition.operand
        if operator is Operator.STREQ and not operand and kind.empty:
            # Empty text is not stored: the rows meant are those where no character is found.
            return dataclasses.replace(
                condition, operator=Operator.STRRX, operand=".", negated=not condition.negated
            )
        if kind.item and operator in _WORDS:
            operand = self._words(condition, kind.item, word_of)
        elif kind.exact and operator is Operator.STREQ:
            operand = self._meant(condition, operand, kind, canonical)
        elif kind.exact and operator is Operator.STROREQ:
            operand = self._words(condition, kind, canonical)
        return dataclasses.replace(condition, operand=operand)

    def _check(self, condition: Condition, kind: Kind) -> None:
        """Refuse comparisons that the server would make, but of things of different kinds."""
        name = f"{self.model.__name__}.{condition.column}"
        numeric = condition.operator in _NUMERIC
        if numeric and not kind.numeric:
            raise ArgumentError(f"{name} is no number: {condition}")
        given = condition.given
        if given is not None and given is not kind.operand:
            raise ArgumentError(f"{name} is {kind.name}, not {given.__name__}: {condition}")
        equal_text = condition.operator in (Operator.STREQ, Operator.STROREQ)
        if kind.operand and (equal_text or (numeric and kind.operand is date and given is None)):
            raise ArgumentError(f"{name} is to be compared with a {kind.name}: {condition}")

    def _words(self, condition: Condition, kind: Kind, text_of: _TextOf) -> str:
        words = [word for word in SEPARATORS.split(condition.operand) if word]
        return " ".join(self._meant(condition, word, kind, text_of) for word in words)

    def _meant(self, condition: Condition, text: str, kind: Kind, text_of: _TextOf) -> str:
        """The text that stands in rows for what is compared with."""
        try:
            return text_of(text, kind)
        except (ValueError, OverflowError) as error:
            name = f"{self.model.__name__}.{condition.column}"
            raise ArgumentError(f"{name}: {text!r} is not {kind.name}") from error

    def _order(self, order: Order) -> Order:
        if order.column in (PRIMARY_KEY, "key"):
            return dataclasses.replace(order, column=PRIMARY_KEY)
        kind = self._column(order.column).kind
        if not kind.ordered:
            raise ArgumentError(
                f"the server cannot order by {self.model.__name__}.{order.column}: {kind.name}"
            )
        return dataclasses.replace(order, numeric=kind.numeric) if order.numeric is None else order

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
    kind = kind_of(hint)
    if kind is None:
        raise ImproperlyConfigured(
            f"{model.__name__}.{field.name}: a column cannot be {hint!r}; "
            f"it can be {', '.join(NAMES)}, or one of them or None"
        )
    return ModelColumn(model.__name__, field, kind, optional)
