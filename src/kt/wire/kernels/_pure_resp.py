"""RESP in pure Python; `kt.wire.resp` describes it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from kt.wire import faults
from kt.wire.magic import RESP_DEPTH_MAX, RESP_LINE_MAX, RESP_SIZE_MAX
from kt.wire.reading import Buffer, Incomplete
from kt.wire.resp_error import RespError

_NUMBER: Final = re.compile(rb"-?[0-9]{1,18}|-?[1-9][0-9]{18}")
_LEAST: Final = 3  # bytes of the shortest reply: a sign, CR, LF


class _Missing(Exception):
    """The reply is not complete; there must be so many bytes in all."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


def pack_command(words: Sequence[bytes]) -> bytes:
    """Request of a command, given as its words."""
    parts = [b"*%d\r\n" % len(words)]
    parts += [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]
    return b"".join(parts)


def read_resp_reply(data: Buffer, pos: int) -> tuple[Any, int] | Incomplete[Any]:
    """A reply of whatever kind; an error is a `RespError`."""
    try:
        if data[pos : pos + 1] != b"*":
            return _read_value(data, pos, 0)
        count, at = _read_number(data, pos)
    except _Missing as missing:
        return Incomplete(missing.size - pos, read_resp_reply)
    if count < 0:
        return None, at
    _check_size(count)
    return _read_items([], count, at - pos, data, pos)


def _read_items(
    items: list[Any], left: int, offset: int, data: Buffer, pos: int
) -> tuple[list[Any], int] | Incomplete[list[Any]]:
    """Go on with the array at `pos`: so many of its items are missing, from `offset` on."""
    at = pos + offset
    while left:
        try:
            item, at = _read_value(data, at, 1)
        except _Missing as missing:
            resume = partial(_read_items, items, left, at - pos)
            return Incomplete(missing.size + (left - 1) * _LEAST - pos, resume)
        items.append(item)
        left -= 1
    return items, at


def _read_value(data: Buffer, at: int, depth: int) -> tuple[Any, int]:
    kind = data[at : at + 1]
    if kind == b"$":
        return _read_string(data, at)
    if kind == b"*":
        return _read_array(data, at, depth)
    if kind == b":":
        return _read_number(data, at)
    if kind not in (b"+", b"-"):
        if not kind:
            raise _Missing(at + _LEAST)
        raise faults.not_resp(bytes(data[at : at + 20]))
    line, end = _read_line(data, at)
    return (RespError(line) if kind == b"-" else line), end


def _read_line(data: Buffer, at: int) -> tuple[bytes, int]:
    end = data.find(b"\r\n", at, at + RESP_LINE_MAX)
    if end < 0:
        if len(data) - at >= RESP_LINE_MAX:
            raise faults.not_resp(bytes(data[at : at + 20]))
        raise _Missing(max(len(data) + 1, at + _LEAST))
    return bytes(data[at + 1 : end]), end + 2


def _read_number(data: Buffer, at: int) -> tuple[int, int]:
    line, end = _read_line(data, at)
    if _NUMBER.fullmatch(line) is None:
        raise faults.not_resp(bytes(data[at : at + 20]))
    return int(line), end


def _check_size(size: int) -> None:
    if size > RESP_SIZE_MAX:
        raise faults.impossible_size(size)


def _read_string(data: Buffer, at: int) -> tuple[bytes | None, int]:
    size, begin = _read_number(data, at)
    if size < 0:
        return None, begin
    _check_size(size)
    end = begin + size
    if len(data) < end + 2:
        raise _Missing(end + 2)
    if data[end : end + 2] != b"\r\n":
        raise faults.not_resp(bytes(data[at : at + 20]))
    return bytes(data[begin:end]), end + 2


def _read_array(data: Buffer, at: int, depth: int) -> tuple[list[Any] | None, int]:
    if depth >= RESP_DEPTH_MAX:
        raise faults.not_resp(bytes(data[at : at + 20]))
    count, at = _read_number(data, at)
    if count < 0:
        return None, at
    _check_size(count)
    items = []
    for _ in range(count):
        item, at = _read_value(data, at, depth + 1)
        items.append(item)
    return items, at
