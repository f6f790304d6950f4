"""Arguments of containers, checked: what is wrong is said before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isnan
from typing import Any

from kt.errors import ArgumentError


def real(name: str, number: float) -> float:
    """Return `number`; raises ArgumentError unless it is one."""
    if isinstance(number, bool) or not isinstance(number, int | float) or isnan(number):
        raise ArgumentError(f"{name} is a number, not {number!r}")
    return number


def positive(name: str, number: float) -> float:
    """Return `number`; raises ArgumentError unless it is positive."""
    if not real(name, number) > 0:
        raise ArgumentError(f"{name} is a positive number, not {number!r}")
    return number


def patience(timeout: float | None) -> float | None:
    """Return seconds to wait; raises ArgumentError unless they are a number or None."""
    return None if timeout is None else real("timeout", timeout)


def several(values: Iterable[Any]) -> Iterable[Any]:
    """Return `values`; raises ArgumentError for what cannot be iterated over."""
    if not isinstance(values, Iterable):
        raise ArgumentError(f"several values are needed, in a list for example, not {values!r}")
    return values


def pairs_of(data: Mapping[Any, Any] | Iterable[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Return the pairs of a mapping, or of anything that has pairs.

    Raises:
        ArgumentError: what is in it are no pairs.
    """
    if isinstance(data, Mapping):
        return list(data.items())
    pairs = []
    for pair in several(data):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise ArgumentError(f"a mapping or pairs are needed; {pair!r} is no pair")
        pairs.append((pair[0], pair[1]))
    return pairs
