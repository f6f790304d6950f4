"""memcached's text protocol, as the servers of both kinds read and answer it.

::

    set KEY FLAGS EXPIRY SIZE [noreply] CR LF  data[SIZE] CR LF         a command with data
    get KEY ... CR LF                                                   one without

    VALUE KEY FLAGS SIZE [CAS] CR LF  data[SIZE] CR LF ... END CR LF    what was found
    STORED CR LF                                                        how something went

The original servers read leniently, and clients rely on it: a carriage return in a line counts for
nothing, a line ends with a line feed alone, too, and words are parted by any spaces and tabs.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Final

from kt.wire import faults
from kt.wire.magic import SIZE_MAX
from kt.wire.reading import Buffer, Cutting, Incomplete, cut

LINE_MAX: Final = 2**24
"""Longest line of a command, in bytes."""

STORED: Final = b"STORED\r\n"
NOT_STORED: Final = b"NOT_STORED\r\n"
EXISTS: Final = b"EXISTS\r\n"
DELETED: Final = b"DELETED\r\n"
TOUCHED: Final = b"TOUCHED\r\n"
NOT_FOUND: Final = b"NOT_FOUND\r\n"
OK: Final = b"OK\r\n"
ERROR: Final = b"ERROR\r\n"
END: Final = b"END\r\n"

_WORDS = re.compile(rb"[^ \t]+")


def read_words(data: Buffer, pos: int) -> tuple[list[bytes], int] | Incomplete[list[bytes]]:
    """The words of a line."""
    return _read_words(0, data, pos)


def _read_words(
    scanned: int, data: Buffer, pos: int
) -> tuple[list[bytes], int] | Incomplete[list[bytes]]:
    end = data.find(b"\n", pos + scanned)
    size = (len(data) if end < 0 else end) - pos
    if size > LINE_MAX:
        raise faults.impossible_size(size)
    if end < 0:
        return Incomplete(size + 1, partial(_read_words, size))
    line = bytes(data[pos:end]).replace(b"\r", b"").partition(b"\0")[0]
    return _WORDS.findall(line), end + 1


def read_data(
    size: int, data: Buffer, pos: int
) -> tuple[bytes | None, int] | Incomplete[bytes | None]:
    """The data of a command, without the line's end; None if CR LF is not there."""
    return _read_data(size, False, data, pos)


def read_data_leniently(
    size: int, data: Buffer, pos: int
) -> tuple[bytes | None, int] | Incomplete[bytes | None]:
    """The same where a line feed alone is an end, too."""
    return _read_data(size, True, data, pos)


def _read_data(
    size: int, lenient: bool, data: Buffer, pos: int
) -> tuple[bytes | None, int] | Incomplete[bytes | None]:
    if size > SIZE_MAX:
        raise faults.impossible_size(size)
    end = pos + size
    first = data[end : end + 1]
    if lenient and first == b"\n":
        return cut(data, pos, end), end + 1
    if first not in (b"", b"\r"):
        return None, end + 1
    if len(data) < end + 2:
        need = size + 1 if len(data) <= end else size + 2
        return Cutting(need, partial(_read_data, size, lenient))
    if data[end + 1 : end + 2] != b"\n":
        return None, end + 2
    return cut(data, pos, end), end + 2


def value_head(key: bytes, flags: int, size: int, unique: int | None = None) -> bytes:
    """The line before the data of a record that was found; `unique` is what ``cas`` compares."""
    if unique is None:
        return b"VALUE %b %d %d\r\n" % (key, flags, size)
    return b"VALUE %b %d %d %d\r\n" % (key, flags, size, unique)


def stat_line(name: bytes, value: bytes) -> bytes:
    """One of the lines that answer ``stats``."""
    return b"STAT %b %b\r\n" % (name, value)


def client_error(message: bytes) -> bytes:
    """What a client has done wrong."""
    return b"CLIENT_ERROR %b\r\n" % message


def server_error(message: bytes) -> bytes:
    """Why the server could not do it."""
    return b"SERVER_ERROR %b\r\n" % b" ".join(message.split())  # one line


def added_up(old: int, number: int) -> int:
    """What ``incr`` and ``decr`` make of a number: 64 bits, signed, that wrap around; 0 at least.

    As in both original servers.
    """
    return max((old + number + 2**63) % 2**64 - 2**63, 0)
