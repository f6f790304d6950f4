"""Update logs as tests see them: decoded files, and what a follower is sent."""

from __future__ import annotations

import os
import shutil
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

DATA = Path(__file__).parent / "data" / "update_logs"
WHAT = {0xA1: "set", 0xA2: "remove", 0xA5: "clear"}
NEVER = (1 << 40) - 1


class Change(NamedTuple):
    """A message of Kyoto Tycoon's log; `stored` with its expiry bytes."""

    server: int
    database: int
    what: str
    key: bytes = b""
    stored: bytes = b""

    @property
    def value(self) -> bytes:
        return self.stored[5:]


def _number(message: bytes, at: int) -> tuple[int, int]:
    number = 0
    while True:
        byte = message[at]
        number = number << 7 | (byte & 0x7F)
        at += 1
        if byte < 0x80:
            return number, at


def change(message: bytes) -> Change:
    server, database, what = struct.unpack_from(">HHB", message)
    if what == 0xA5:
        return Change(server, database, "clear")
    size, at = _number(message, 5)
    if what == 0xA1:
        _, at = _number(message, at)
    return Change(server, database, WHAT[what], message[at : at + size], message[at + size :])


def records(path: Path) -> list[tuple[int, bytes]]:
    """Stamps and messages of a file of Kyoto Tycoon; what it says about itself must be right."""
    data = path.read_bytes()
    mark, size, newest = struct.unpack_from(">BQQ", data)
    assert (mark, size) == (0xA0, len(data))
    found, at = [], 17
    while at < size:
        mark, stamp, length = struct.unpack_from(">BQI", data, at)
        assert (mark, data[at + 13 + length]) == (0xA1, 0xA2)
        found.append((stamp, data[at + 13 : at + 13 + length]))
        at += 14 + length
    assert at == size
    assert newest == (found[-1][0] if found else 0)
    return found


def changes(directory: Path) -> list[Change]:
    """All changes in a directory; their stamps must rise."""
    stamped = [record for path in sorted(directory.glob("*.ulog")) for record in records(path)]
    stamps = [stamp for stamp, _ in stamped]
    assert stamps == sorted(set(stamps))
    return [change(message) for _, message in stamped]


class Follower:
    """Follows a server of Kyoto Tycoon."""

    def __init__(self, port: int, since: int = 0, server: int = 1, flags: int = 0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.file = self.socket.makefile("rb")
        self.socket.sendall(struct.pack(">BIQH", 0xB1, flags, since, server))
        assert self.file.read(1) == b"\xb1"

    def frame(self) -> tuple[int, bytes | None]:
        """Stamp and message; None for a heartbeat, which is confirmed."""
        mark, stamp = struct.unpack(">BQ", self.file.read(9))
        if mark == 0xB0:
            self.socket.sendall(b"\xb1")
            return stamp, None
        assert mark == 0xB1
        return stamp, self.file.read(int.from_bytes(self.file.read(4), "big"))

    def until_beat(self) -> Iterator[tuple[int, bytes]]:
        while (frame := self.frame())[1] is not None:
            yield frame[0], frame[1]

    def close(self) -> None:
        self.file.close()
        self.socket.close()


def original(name: str) -> str:
    """The path of a program of the original servers; skips the test where it is not there."""
    path = os.environ.get(name.upper()) or shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not there: neither in PATH nor named by {name.upper()}")
    return path
