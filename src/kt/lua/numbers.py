"""Numbers as the scripts read and write them: decimal text, of double precision in Lua."""

from __future__ import annotations

from operator import index as whole
from typing import TypeAlias

from kt.errors import ArgumentError
from kt.lua.arguments import real

Slice: TypeAlias = slice
"""Python's, for classes with a method of that name."""

SAFE_MAX = 2**53
"""Beyond this, Lua's numbers skip some integers."""


def dump_number(number: float) -> bytes:
    """Return `number` as text; raises ArgumentError if Lua has no such number."""
    real("what a script counts with", number)
    if isinstance(number, int) and abs(number) > SAFE_MAX:
        raise ArgumentError(f"{number} is beyond what Lua counts exactly")
    return repr(number).encode()


def load_number(text: bytes) -> int | float:
    """Return a number from a script: an int if it is whole."""
    number = float(text)
    return int(number) if number.is_integer() else number


def dump_count(count: int) -> bytes:
    """Return how many are wanted; raises ArgumentError unless it is a whole number from 0 on."""
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise ArgumentError(f"how many is a whole number, at least 0, not {count!r}")
    return dump_number(count)


def dump_index(index: int | None) -> bytes:
    """Return a position, or nothing for None; raises ArgumentError unless it is a whole number."""
    if index is None:
        return b""
    if isinstance(index, bool) or not hasattr(index, "__index__"):
        raise ArgumentError(f"a position is a whole number, not {index!r}")
    return dump_number(whole(index))


def dump_slice(part: slice) -> list[bytes]:
    """Return start, stop and step.

    Raises:
        ArgumentError: it is no slice, or one of text, or its step is 0.
    """
    if not isinstance(part, slice):
        raise ArgumentError(f"a position is a whole number or a slice, not {part!r}")
    if part.step == 0:
        raise ArgumentError("the step of a slice cannot be 0")
    return [dump_index(part.start), dump_index(part.stop), dump_index(part.step)]
