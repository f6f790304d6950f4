"""Rows of a table where no model says what they are: dicts of text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, final

from kt.client.values import Values
from kt.types import Key
from kt.wire.table import Cell, decode_row, encode_row


class Row(dict[str, str]):
    """The columns of a row, name to text.

    Attributes:
        key: its primary key, which is not one of the columns.
    """

    __slots__ = ("key",)

    def __init__(self, key: Key, columns: Mapping[str, str]) -> None:
        super().__init__(columns)
        self.key = key

    def __repr__(self) -> str:
        return f"<Row {self.key!r} {dict(self)!r}>"


@final
class TableSerializer:
    """Rows as dicts of text: what `TT_TABLE` is."""

    name = "TT_TABLE"

    def dumps(self, value: Mapping[str, Cell], /) -> bytes:
        """Return the row's bytes. Numbers are written in decimal.

        Raises:
            TypeError: `value` is no mapping, or a column is no text, bytes or number.
            ValueError: a name is empty, or something contains a NUL character.
        """
        if not isinstance(value, Mapping):
            raise TypeError(f"a row is a mapping, not {type(value).__name__}")
        return encode_row(value)

    def loads(self, data: bytes, /) -> dict[str, str]:
        """Return the columns of a row, in the server's order."""
        return decode_row(data)

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> str:
        return self.name  # pickle and copy give the one instance back


TT_TABLE: Final = TableSerializer()
"""The serializer for table databases: a row is a dict of text columns."""

ROWS: Final = Values(TT_TABLE)
"""The same for `kt.client`."""
