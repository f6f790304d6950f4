"""Feeds readers in every way that a network may."""

from __future__ import annotations

from typing import Any

from kt.wire.reading import Incomplete, Reader

BEFORE = b"before"


def feed(reader: Reader[Any], message: bytes, step: int, exact: bool = True) -> tuple[Any, int]:
    """What `reader` makes of a message that arrives `step` bytes at a time, after others.

    Checks what `kt.wire.reading` promises of `need`: it is more than there is, and not more than
    the message has. A reader is called again only when it has what it needs.
    """
    data = BEFORE + message
    need = 0
    for received in [*range(0, len(message), step), len(message)]:
        if received < need:
            continue
        outcome = reader(bytearray(data[: len(BEFORE) + received]), len(BEFORE))
        if not isinstance(outcome, Incomplete):
            value, end = outcome
            return value, end - len(BEFORE)
        need = outcome.need
        assert received < need
        assert need <= len(message) or not exact
        reader = outcome.resume
    raise AssertionError(f"the reader needs {need} of {len(message)} bytes")


def read_all_ways(reader: Reader[Any], message: bytes, step: int) -> Any:
    """The value that `reader` finds in a message, which is the same however it arrives."""
    value, end = reader(message, 0)  # type: ignore[misc]
    assert end == len(message)
    assert feed(reader, message, step) == (value, end)
    among = reader(BEFORE + message + b"\xba after", len(BEFORE))
    assert among == (value, end + len(BEFORE))
    return value


def read(reader: Reader[Any], message: bytes) -> Any:
    """The value of a message that is complete."""
    value, end = reader(message, 0)  # type: ignore[misc]
    assert end == len(message)
    return value
