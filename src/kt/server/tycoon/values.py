"""Numbers and dates in requests, read as leniently as the original ktserver reads them."""

from __future__ import annotations

import re
import time
from calendar import timegm
from typing import Final

_INTEGER: Final = re.compile(rb"[\x01-\x20]*([+-]?)([0-9]*)")
_REAL: Final = re.compile(
    rb"[\x01-\x20]*([+-]?)(inf|nan|[0-9]*(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?)", re.I
)

# 2100-01-01T00:00:00.5+09:00 and 2100/01/01 00:00:00; what is missing is the first or 0
_CALENDAR: Final = re.compile(
    rb"""(\d{4}) [-/] (\d\d?) (?: [-/] (\d\d?)
         (?: (?: (?<=-\d\d)T | (?<=/\d\d)[ ] )
             (\d\d?) (?: : (\d\d?) (?: : (\d\d?) )? )? (?: \.\d* )?
             (?: ([+-]) (\d\d) : (\d\d) )? )? )?""",
    re.X,
)
# Fri, 01 Jan 2100 00:00:00 GMT; without the time it is midnight
_HTTP_DATE: Final = re.compile(
    rb"""(?: \w{3}, )? [ ]* (\d\d?) [ ]* ([A-Z]{3}) [ ]* (\d{1,4})
         (?: [ ]* (\d\d) : (\d\d) : (\d\d) [ ]* ([+-]\d{4}|\w*) )?""",
    re.I | re.X,
)
_AMOUNT: Final = re.compile(rb"(\d+)\s*([smhd]?)\s*", re.I)
_HEXADECIMAL: Final = re.compile(rb"0x([0-9a-f]{0,16})", re.I)
_SECONDS: Final = {b"": 1, b"s": 1, b"m": 60, b"h": 3600, b"d": 86400}
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = tuple(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split())
_ZONES: Final = {
    zone: hours
    for zones, hours in (
        (b"JST KST", 9),
        (b"CCT", 8),
        (b"EDT", -4),
        (b"EST CDT", -5),
        (b"CST MDT", -6),
        (b"MST PDT", -7),
        (b"PST", -8),
        (b"HDT", -9),
        (b"HST", -10),
    )
    for zone in zones.split()
}
"""Hours east of Greenwich; other zones count as GMT."""


def integer(text: bytes) -> int:
    """The decimal number at the begin of `text`, 0 if there is none; it wraps around at 64 bits."""
    if text.isdigit() and len(text) < 19:
        return int(text)
    match = _INTEGER.match(text)
    assert match is not None
    sign, digits = match.groups()
    # A number too long to matter modulo 2**64 is cut, for int() is quadratic.
    number = int(digits[-100:] or b"0") * (-1 if sign == b"-" else 1)
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


def real(text: bytes) -> float:
    """The decimal number at the begin of `text`, 0 if there is none; ``inf`` and ``nan`` count."""
    match = _REAL.match(text)
    assert match is not None
    try:
        return float(match[1] + match[2])
    except ValueError:
        return 0.0


def date(text: bytes) -> int | None:
    """Seconds since the epoch, from a number, a number with a unit (s, m, h, d), a hexadecimal
    number, an ISO or HTTP date, with or without the time of day; None if it is none of these."""
    text = text.strip()
    if match := _AMOUNT.fullmatch(text):
        return int(match[1][:20]) * _SECONDS[match[2].lower()]
    if match := _HEXADECIMAL.match(text):
        return int(match[1] or b"0", 16)
    if match := _CALENDAR.match(text):
        year, month, day, *time_of_day = match.groups()[:6]
        fields = [int(year), int(month), int(day or 1), *(int(part or 0) for part in time_of_day)]
        offset = int(match[8] or 0) * 3600 + int(match[9] or 0) * 60
        return _seconds(fields) - (-offset if match[7] == b"-" else offset)
    if match := _HTTP_DATE.match(text):
        day, month, year, *time_of_day, zone = match.groups()
        if month.title() not in _MONTHS:
            return None
        number = _MONTHS.index(month.title()) + 1
        full = int(year) if int(year) >= 1969 else 1900 + int(year)
        fields = [full, number, int(day), *(int(part or 0) for part in time_of_day)]
        return _seconds(fields) - _offset(zone or b"")
    return None


def _seconds(fields: list[int]) -> int:
    year, month, day, hour, minute, second = fields
    years, month = divmod(month - 1, 12)  # a month 13 is the first of the next year, as in C
    return (
        timegm((year + years, month + 1, 1, 0, 0, 0))
        + ((day - 1) * 24 + hour) * 3600
        + minute * 60
        + second
    )


def _offset(zone: bytes) -> int:
    """Seconds east of Greenwich, of ``-0500`` or ``EST``."""
    if zone[:1] in (b"+", b"-"):
        offset = int(zone[1:3]) * 3600 + int(zone[3:5]) * 60
        return -offset if zone[:1] == b"-" else offset
    return _ZONES.get(zone, 0) * 3600


def http_date(seconds: int) -> bytes:
    """``Fri, 01 Jan 2100 00:00:00 GMT``, whatever the locale."""
    try:
        year, month, day, hour, minute, second, weekday, *_ = time.gmtime(seconds)
    except (OverflowError, OSError):  # beyond what the C library's calendar reaches
        year, month, day, hour, minute, second, weekday = 9999, 12, 31, 23, 59, 59, 4
    name = _MONTHS[month - 1].decode()
    return (
        f"{_DAYS[weekday]}, {day:02} {name} {year:04} {hour:02}:{minute:02}:{second:02} GMT"
    ).encode()


def location_of(port: int) -> bytes:
    """What comes before a path in ``Location``, as the original has it, whatever ``-host`` says."""
    return b"http://localhost" if port in (0, 80) else b"http://localhost:%d" % port
