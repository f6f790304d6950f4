"""Rows and searches of a table database, in the bytes that Tokyo Cabinet reads.

A row is its columns, name and value in turn, joined by NUL bytes; both are UTF-8 here::

    name NUL Ann Lee NUL age NUL 31

A search is the list of arguments of ``misc search`` or ``misc metasearch``. Each argument is one
or more words joined by NUL bytes:

==============================  ===============================================================
argument                        meaning
==============================  ===============================================================
addcond COLUMN OPERATOR TEXT    a condition; of several all must hold
setorder COLUMN ORDER           the order of the matches (one column)
setlimit MAXIMUM SKIP           -1 = no maximum
get COLUMN...                   answer with rows, or only with these columns of them
count                           answer with the number of matches
out                             remove the matches
hint                            also answer with how the search was done
next                            begin of the next search (metasearch only)
mstype SETOPERATION             how the searches are combined (metasearch only)
==============================  ===============================================================

The empty column name stands for the primary key. As NUL separates words, no name, value or operand
can contain it. The numbers of operators and orders are those of Tokyo Cabinet's ``tctdb.h``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Final, TypeAlias

from kt.errors import ProtocolError

PRIMARY_KEY: Final = ""
"""The column name that stands for the primary key."""

NEGATE: Final = 1 << 24
"""Added to an operator: rows that do *not* match, those without the column included."""
NO_INDEX: Final = 1 << 25
"""Added to an operator: do not use the column's index."""

OPTIMIZE_INDEX: Final = 9998
DELETE_INDEX: Final = 9999
KEEP_INDEX: Final = 1 << 24
"""Added to an `IndexKind`: fail if there is an index already."""

COUNT: Final = b"count"
REMOVE: Final = b"out"
HINT: Final = b"hint"
NEXT: Final = b"next"
HINT_MARK: Final = b"\0\0[[HINT]]\n"
"""What the list element that answers ``hint`` begins with."""

Cell: TypeAlias = str | bytes | int | float
"""What a column may be given as; it is stored as text."""


class IndexKind(IntEnum):
    """What an index of a column is for (``setindex``)."""

    LEXICAL = 0
    """Comparison and order of text."""
    DECIMAL = 1
    """Comparison and order of numbers."""
    TOKEN = 2
    """Any or all of the words in the column."""
    QGRAM = 3
    """Full-text search."""


class Operator(IntEnum):
    """How a condition compares a column with its operand."""

    STREQ = 0
    """Text is equal."""
    STRINC = 1
    """Text contains the operand."""
    STRBW = 2
    """Text begins with the operand."""
    STREW = 3
    """Text ends with the operand."""
    STRAND = 4
    """Text has all words of the operand (words are separated by spaces and commas)."""
    STROR = 5
    """Text has at least one word of the operand."""
    STROREQ = 6
    """Text is equal to one word of the operand."""
    STRRX = 7
    """Text matches a POSIX extended regular expression; a ``*`` first ignores letter case."""
    NUMEQ = 8
    """Number is equal. Text that is not a number counts as 0 in every numeric comparison."""
    NUMGT = 9
    """Number is greater."""
    NUMGE = 10
    """Number is greater or equal."""
    NUMLT = 11
    """Number is less."""
    NUMLE = 12
    """Number is less or equal."""
    NUMBT = 13
    """Number is between the two numbers of the operand, both included."""
    NUMOREQ = 14
    """Number is equal to one of the numbers in the operand."""
    FTSPH = 15
    """Full text contains the phrase."""
    FTSAND = 16
    """Full text contains all words."""
    FTSOR = 17
    """Full text contains at least one word."""
    FTSEX = 18
    """Full text satisfies an expression of words with ``&&``, ``||`` and ``!!`` (and not)."""


class OrderKind(IntEnum):
    """How the matches of a search are ordered by a column."""

    STRASC = 0
    STRDESC = 1
    NUMASC = 2
    NUMDESC = 3


class SetOperation(IntEnum):
    """How ``metasearch`` combines the matches of several searches."""

    UNION = 0
    INTERSECTION = 1
    DIFFERENCE = 2


def number_text(number: float) -> str:
    """The number in the decimal notation that the server compares: it knows no exponents."""
    # A number of a subclass, of an Enum or of NumPy, may have a `repr` of its own.
    text = repr(int(number) if isinstance(number, int) else float(number))
    if "e" not in text:
        return text
    from decimal import Decimal  # rarely needed, and slow to import

    return format(Decimal(text), "f")


def encode_row(row: Mapping[str, Cell]) -> bytes:
    """The bytes of a row. Raises ValueError or TypeError for what no column can hold."""
    words: list[bytes] = []
    for name, value in row.items():
        if not isinstance(name, str):
            raise TypeError(f"the name of a column is str, not {type(name).__name__}")
        if not name:
            raise ValueError("a column has an empty name")
        words += (_word(name), _word(value))
    return b"\0".join(words)


def decode_row(data: bytes) -> dict[str, str]:
    """The columns in `data`, in the server's order. A name without a value is left out."""
    words = data.decode().split("\0")
    return dict(zip(words[::2], words[1::2], strict=False))


def split_match(data: bytes) -> tuple[bytes, bytes]:
    """The primary key and the row of a match, if ``get`` asked for the primary key first.

    Raises:
        ProtocolError: it is not there.
    """
    name, *words = data.split(b"\0", 2)
    if name or not words:
        raise ProtocolError(f"a match without its primary key: {data[:60]!r}")
    return words[0], words[1] if len(words) > 1 else b""


def condition(column: str, operator: int, operand: str) -> bytes:
    """A condition; `operator` may have `NEGATE` and `NO_INDEX` added."""
    return _argument("addcond", column, operator, operand)


def order(column: str, kind: OrderKind) -> bytes:
    """The order of the matches."""
    return _argument("setorder", column, kind)


def limit(maximum: int | None, skip: int) -> bytes:
    """At most `maximum` matches (None: all) after the first `skip`."""
    return _argument("setlimit", -1 if maximum is None else maximum, skip)


def columns(names: Iterable[str]) -> bytes:
    """Answer with rows of these columns; with all columns and the primary key if there are none."""
    return _argument("get", *names)


def set_operation(operation: SetOperation) -> bytes:
    """How a metasearch combines its searches."""
    return _argument("mstype", operation)


def _argument(*words: str | int) -> bytes:
    return b"\0".join([_word(word) for word in words])


def _word(value: Cell) -> bytes:
    """One word: text without NUL."""
    if isinstance(value, str):
        word = value.encode()
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        word = number_text(value).encode()
    elif isinstance(value, (bytes, bytearray, memoryview)):
        word = bytes(value)
    else:
        raise TypeError(f"a column is str, bytes, int or float, not {type(value).__name__}")
    if 0 in word:
        raise ValueError(f"a NUL character cannot be stored in a column: {value!r}")
    return word
