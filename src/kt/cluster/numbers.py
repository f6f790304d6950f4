"""Counters as Kyoto Cabinet stores them: integers of 8 bytes, and doubles as two of these."""

from __future__ import annotations

from fractions import Fraction
from math import inf, isinf, isnan, modf, nan
from typing import Final

INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**63 - 1
UNIT: Final = 10**15


def eight(number: int) -> bytes:
    """As a counter is stored: 8 bytes, big-endian; what is larger wraps round."""
    return (number % 2**64).to_bytes(8, "big")


def fixed_point(number: float) -> tuple[int, int]:
    """Integer part, and fraction times 10^15. The extremes stand for infinities and for nan."""
    if isnan(number):
        return INT_MIN, INT_MIN
    if abs(number) >= INT_MAX:
        return (INT_MAX if number > 0 else INT_MIN), 0
    fraction, whole = modf(number)
    return int(whole), int(Fraction(fraction) * UNIT)


def double(whole: int, fraction: int) -> float:
    """The number that `fixed_point` gave."""
    if whole == INT_MIN:
        return nan if fraction == INT_MIN else -inf
    return inf if whole == INT_MAX else whole + fraction / UNIT


def added(value: bytes | None, number: float, origin: float) -> tuple[float, bytes | None]:
    """The sum, and what to store, if anything; nan if there is no such number.

    Args:
        value: of the record; None if there is none.
        number: what to add.
        origin: what to start from without a record: -inf for a failure; inf to start anew.
    """
    anew = isinf(origin) and origin > 0
    if value is None:
        if isnan(origin) or origin == -inf:
            return nan, None
        total = number if anew else number + origin
        return total, _sixteen(*fixed_point(total))
    if len(value) != 16:
        return nan, None
    whole, fraction = (
        (0, 0)
        if anew
        else (
            int.from_bytes(value[:8], "big", signed=True),
            int.from_bytes(value[8:], "big", signed=True),
        )
    )
    if whole in (INT_MIN, INT_MAX) or (number == 0 and not anew):
        return double(whole, fraction), None
    other, part = fixed_point(number)
    if other in (INT_MIN, INT_MAX):
        return double(other, part), _sixteen(other, part)
    carry, fraction = (
        (1, fraction + part - UNIT) if fraction + part >= UNIT else (0, fraction + part)
    )
    whole = (whole + other + carry - INT_MIN) % 2**64 + INT_MIN
    return double(whole, fraction), _sixteen(whole, fraction)


def _sixteen(whole: int, fraction: int) -> bytes:
    return eight(whole) + eight(fraction)
