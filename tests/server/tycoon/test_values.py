"""Numbers and dates as clients of kt-tycoon may write them."""

from __future__ import annotations

from math import inf, isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kt.server.tycoon.values import date, http_date, integer, real

CENTURY = 4102444800  # 2100-01-01T00:00:00Z


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (b"0", 0),
        (b"12", 12),
        (b"  -12x", -12),
        (b"+7 8", 7),
        (b"1_000", 1),
        (b"", 0),
        (b"x1", 0),
        (b"9223372036854775807", 2**63 - 1),
        (b"9223372036854775808", -(2**63)),
        (b"18446744073709551616", 0),
        (b"18446744073709551617", 1),
        (b"-9223372036854775809", 2**63 - 1),
        (b"1" + b"0" * 1_000_000, 0),
        ("١٢".encode(), 0),
    ],
)
def test_integer(text: bytes, number: int) -> None:
    assert integer(text) == number


@given(st.integers(-(2**63), 2**63 - 1))
def test_every_64_bit_integer_is_read(number: int) -> None:
    assert integer(b"%d" % number) == number


@given(st.binary(max_size=30))
def test_any_bytes_are_some_number(text: bytes) -> None:
    assert -(2**63) <= integer(text) < 2**63
    assert isinstance(real(text), float)
    assert date(text) is None or isinstance(date(text), int)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (b"1.5", 1.5),
        (b" -.5x", -0.5),
        (b"2e3", 2000.0),
        (b"2e", 2.0),
        (b"5.", 5.0),
        (b"inf", inf),
        (b"-INFINITY", -inf),
        (b"", 0.0),
        (b".", 0.0),
        (b"x", 0.0),
        (b"1e999", inf),
    ],
)
def test_real(text: bytes, number: float) -> None:
    assert real(text) == number


def test_real_that_is_none() -> None:
    assert isnan(real(b"nan"))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (b"4102444800", CENTURY),
        (b" 90 s", 90),
        (b"2m", 120),
        (b"3H", 10800),
        (b"1 d", 86400),
        (b"0xf4865700", CENTURY),
        (b"0x", 0),
        (b"2100-01-01", CENTURY),
        (b"2100-01-01T00:00:00Z", CENTURY),
        (b"2100-01-01T00:00:00.25Z", CENTURY),
        (b"2100-01-01T09:00:00+09:00", CENTURY),
        (b"2099-12-31T19:00:00-05:00", CENTURY),
        (b"2100/01/01 00:00:00", CENTURY),
        (b"Fri, 01 Jan 2100 00:00:00 GMT", CENTURY),
        (b"01 Jan 2100 00:00:00", CENTURY),
        (b"Fri, 01 Jan 2100 09:00:00 JST", CENTURY),
        (b"Thu, 31 Dec 2099 19:00:00 -0500", CENTURY),
        (b"Thu, 31 Dec 2099 19:00:00 EST", CENTURY),
        (b"Fri, 01 Jan 2100", CENTURY),
        (b"01 jan 2100 GMT", CENTURY),
        (b"Fri,01Jan2100", CENTURY),
        (b"Fri, 01 Jan 70", 0),
        (b"2100-01", CENTURY),
        (b"2100-01-01T09", CENTURY + 9 * 3600),
        (b"2100-01-01 09:00:00", CENTURY),
        (b"2100-01-01+09:00", CENTURY),
        (b"2099-13-01", CENTURY),
        (b"Fri, 01 Foo 2100 00:00:00 GMT", None),
        (b"-5", None),
        (b"junk", None),
        (b"", None),
    ],
)
def test_date(text: bytes, seconds: int | None) -> None:
    assert date(text) == seconds


@given(st.integers(0, 253402300799))
def test_http_dates_are_read_back(seconds: int) -> None:
    assert date(http_date(seconds)) == seconds


def test_dates_beyond_the_calendar_have_a_last_one() -> None:
    assert http_date(2**63) == b"Fri, 31 Dec 9999 23:59:59 GMT"
