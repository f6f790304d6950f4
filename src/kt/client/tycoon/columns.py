"""What the Kyoto Tycoon client writes into the columns of a call, and reads from those of a reply.

Also the numbers that the server keeps in records, for `incr` and `incr_double`::

    incr          number:i64
    incr_double   integral part:i64  fraction * 10**15:i64
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from math import isfinite
from typing import Final, TypeVar

from kt.client.expiry import pack_expiry
from kt.errors import (
    ArgumentError,
    OutcomeUnknown,
    ProtocolError,
    SerializationError,
    ServerError,
    UnconfirmedError,
)
from kt.options import Moment, Origin
from kt.types import ExpireTime, Key, UpdateLogFile
from kt.wire.tycoon_rpc import UNCONFIRMED, UNKNOWN, Field, RpcReply, decode_columns, decode_error

Number = TypeVar("Number", int, float)
Value = TypeVar("Value", int, str)

Columns = list[tuple[Key, Field]]

SUCCEEDED: Final = 200

MALFORMED: Final = 400
"""Status of a call that cannot be understood."""

MISSED: Final = 450
"""Status of a call that did not find the record as it needs it."""

TIMED_OUT: Final = 503
"""Status of a call that waited for a signal in vain."""

INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**63 - 1

FRACTION: Final = 10**15

NO_DATABASE: Final = "no such database"
"""In the words of both the original and kt-tycoon."""
NUMBER: Final = re.compile(r"-?[0-9]{1,300}(\.[0-9]{1,300})?")
"""What is longer is no number that Python would read without more ado."""


# ------------------------------------------------------------------------------------- requests


def expiry(expire_time: ExpireTime | None) -> Columns:
    """Return the column that says when a record expires."""
    return [] if expire_time is None else [("xt", pack_expiry(expire_time))]


def integer(name: str, value: int) -> Columns:
    """Return a column with a number of 64 bits."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ArgumentError(f"{name} is an int, not {value!r}")
    if not INT_MIN <= value <= INT_MAX:
        raise ArgumentError(f"{name} has at most 64 bits, which {value} has not")
    return [(name, value)]


def double(name: str, value: float) -> Columns:
    """Return a column with a number that has a 64-bit integral part."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ArgumentError(f"{name} is a float, not {value!r}")
    if not isfinite(value) or not INT_MIN < value < INT_MAX:
        raise ArgumentError(
            f"{name} has an integral part of at most 64 bits, which {value} has not"
        )
    return [(name, repr(float(value)))]


def moment(name: str, ts: int | datetime | Moment | None) -> Columns:
    """Return the column with a time stamp."""
    if ts is None:
        return []
    if isinstance(ts, Moment):
        return [(name, ts.value)]
    if isinstance(ts, datetime):
        if ts.tzinfo is None:
            raise ArgumentError(f"{ts!r} has no time zone: which moment is it?")
        return [(name, int(ts.timestamp() * 1_000_000) * 1_000)]
    return integer(name, ts)


def origin(orig: Number | Origin | None, column_of: Callable[[str, Number], Columns]) -> Columns:
    """Return the column that says what a number is added to where there is no record."""
    if orig is None:
        return []
    if isinstance(orig, Origin):
        return [("orig", orig.value)]
    if orig in (INT_MIN, INT_MAX):
        raise ArgumentError(f"orig cannot be {orig}, which has another meaning to the server")
    return column_of("orig", orig)


# -------------------------------------------------------------------------------------- replies


def succeeded(reply: RpcReply, columns: Iterable[tuple[Key, Field]] = ()) -> RpcReply:
    """Return `reply`, or raise the `ServerError` or `OutcomeUnknown` that it stands for.

    Args:
        reply: of the server.
        columns: that were sent; they tell which database there is not.

    Raises:
        ProtocolError: it is of a server that speaks HTTP otherwise, as Tokyo Tyrant does.
    """
    if reply.status != SUCCEEDED:
        if reply.status == MALFORMED and reply.encoding is None:
            raise ProtocolError(
                "the server speaks HTTP, but has no procedures of Kyoto Tycoon: it may be a Tokyo"
                " Tyrant server, with which kt.TokyoTyrant speaks"
            )
        text = decode_error(reply)
        if text == NO_DATABASE:
            text = "".join([text, *(f": {value!s}" for name, value in columns if name == "DB")])
        if text.startswith(UNCONFIRMED):
            raise UnconfirmedError(text)
        if text.startswith(UNKNOWN):
            raise OutcomeUnknown(text)
        raise ServerError(text, code=reply.status)
    return reply


def column(columns: dict[bytes, bytes], name: bytes) -> bytes:
    """Return a column that a reply must have."""
    try:
        return columns[name]
    except KeyError:
        raise ProtocolError(f"the reply lacks the column {name.decode()!r}") from None


def number(columns: dict[bytes, bytes], name: bytes, kind: type[Number]) -> Number:
    """Return a column that must be a number."""
    text = column(columns, name)
    try:
        return kind(text)
    except ValueError:
        raise ProtocolError(f"the reply has {text!r} where a number should be") from None


def measured(found: Mapping[str, bytes | int | float | str], name: str, kind: type[Value]) -> Value:
    """Return what a reply must tell under this name."""
    try:
        return kind(found[name])
    except (KeyError, ValueError, OverflowError):
        raise ProtocolError(f"the reply has no {name!r} that is {kind.__name__}") from None


def update_log_file(path: str, text: bytes) -> UpdateLogFile:
    """Return what the server tells about a file: ``SIZE:TIMESTAMP``."""
    size, _, timestamp = text.partition(b":")
    try:
        return UpdateLogFile(path, int(size), int(timestamp))
    except ValueError:
        raise ProtocolError(f"the reply has {text!r} where size and time should be") from None


def texts(reply: RpcReply) -> dict[str, bytes]:
    """Return all columns."""
    columns = decode_columns(reply.body, reply.encoding)
    return {name.decode("utf-8", "surrogateescape"): value for name, value in columns.items()}


def measures(reply: RpcReply) -> dict[str, int | float | str]:
    """Return all columns, those that hold a number as that number."""
    return {name: measure(name, value) for name, value in texts(reply).items()}


def measure(name: str, value: bytes) -> int | float | str:
    """Return a field of `status` or `report`: a path is text, however it looks."""
    text = value.decode("utf-8", "surrogateescape")
    if name == "path" or not NUMBER.fullmatch(text):
        return text
    return float(text) if "." in text else int(text)


# -------------------------------------------------------------------------------------- numbers


def unpack_int(data: bytes, key: Key) -> int:
    """Return the number that `incr` keeps."""
    if len(data) != 8:
        raise no_number(data, key, 8)
    return int.from_bytes(data, "big", signed=True)


def unpack_double(data: bytes, key: Key) -> float:
    """Return the number that `incr_double` keeps."""
    if len(data) != 16:
        raise no_number(data, key, 16)
    integral = int.from_bytes(data[:8], "big", signed=True)
    fraction = int.from_bytes(data[8:], "big", signed=True)
    return (integral * FRACTION + fraction) / FRACTION


def no_number(data: bytes, key: Key, size: int) -> SerializationError:
    """The record is not a number that the server keeps."""
    return SerializationError(
        f"the value of {key!r:.60} is no number: it has {len(data)} bytes instead of {size}",
        key=key,
        serializer="number",
    )
