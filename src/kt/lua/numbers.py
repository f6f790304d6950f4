"""Numbers as the scripts read and write them: decimal text, of double precision in Lua."""

from __future__ import annotations

from math import isnan
from typing import TypeAlias

from kt.errors import ArgumentError

Slice: TypeAlias = slice
"""Python's, for classes with a method of that name."""

SAFE_MAX = 2**53
"""Beyond this, Lua's numbers skip some integers."""


def dump_number(number: float) -> bytes:
    """Return `number` as text; raises ArgumentError if Lua has no such number."""
    if isinstance(number, bool) or not isinstance(number, int | float) or isnan(number):
        raise ArgumentError(f"not a number: {number!r}")
    if isinstance(number, int) and abs(number) > SAFE_MAX:
        raise ArgumentError(f"{number} is beyond what Lua counts exactly")
    return repr(number).encode()


def load_number(text: bytes) -> int | float:
    """Return a number from a script: an int if it is whole."""
    number = float(text)
    return int(number) if number.is_integer() else number


def dump_index(index: int | None) -> bytes:
    """Return a position, or nothing for None."""
    return b"" if index is None else b"%d" % index


def dump_slice(part: slice) -> list[bytes]:
    """Return start, stop and step; raises ArgumentError if the step is 0."""
    if part.step == 0:
        raise ArgumentError("the step of a slice cannot be 0")
    return [dump_index(part.start), dump_index(part.stop), dump_index(part.step)]
