"""Masters and slaves for tests: kt-tyrant, the original, and one that sends what it is told."""

from __future__ import annotations

import os
import shutil
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import Self

import pytest

from kt import TokyoTyrant
from kt.serializers import KT_NONE
from kt.wire.log.tyrant import Record

from ..processes import HOST, SECONDS, ServerProcess

Client = TokyoTyrant[bytes, bytes]

ORIGINAL = os.environ.get("TTSERVER") or shutil.which("ttserver")
PROGRAMS = [
    pytest.param("kt-tyrant", id="ours"),
    pytest.param(
        ORIGINAL or "", id="original", marks=pytest.mark.skipif(not ORIGINAL, reason="no ttserver")
    ),
]
HASH = "c.tch#bnum=100"
GREETING = b"\0\0\0\1\xca"


def client(process: ServerProcess) -> Client:
    return TokyoTyrant(HOST, process.port, KT_NONE, timeout=30, decode_keys=False)


def server(
    directory: Path,
    sid: int,
    *args: str,
    program: str = "kt-tyrant",
    database: str = "*",
    of: ServerProcess | None = None,
    port: int | None = None,
) -> ServerProcess:
    """A server with a log, in a directory of its own; the slave `of` another one."""
    directory.mkdir(exist_ok=True)
    (directory / "log").mkdir(exist_ok=True)
    follow = () if of is None else ("-mhost", HOST, "-mport", str(of.port), "-rts", "slave.rts")
    return ServerProcess(
        *(program, "-ulog", "log", "-sid", str(sid), *follow, *args),
        databases=(database,),
        directory=directory,
        port=port,
    )


def wait_until(true: Callable[[], bool], what: str = "it does not come true") -> None:
    deadline = monotonic() + SECONDS
    while not true():
        assert monotonic() < deadline, what
        sleep(0.005)


def settle(master: Client, *slaves: Client, key: str = "settled") -> None:
    """Wait until all that the master has been told has come to the slaves."""
    number = b"%d" % int((master.get(key) or b"0") + b"1")
    master.set(key, number)
    for slave in slaves:
        wait_until(lambda slave=slave: slave.get(key) == number, "the slave does not follow")


def contents(tt: Client) -> list[tuple[bytes, list[bytes]]]:
    """All records in the order of their keys, with all values of keys that have several."""
    found = sorted(set(tt))
    duplicates = tt.status()["type"] == "B+ tree"
    return [(key, tt.getdup(key) if duplicates else [tt.get(key) or b""]) for key in found]


def put(key: bytes, value: bytes, code: int = 0x10) -> bytes:
    """A command of the log that succeeded."""
    return struct.pack(">BBII", 0xC8, code, len(key), len(value)) + key + value + b"\0"


def frame(record: Record) -> bytes:
    """A command as a master sends it."""
    head = struct.pack(">BQII", 0xC9, record.stamp, record.sid, len(record.command))
    return head + record.command


class ScriptedMaster:
    """Accepts slaves, and sends them the bytes that it is told to send.

    Attributes:
        port: where it listens.
    """

    def __init__(self) -> None:
        self._listening = socket.create_server((HOST, 0))
        self._listening.settimeout(SECONDS)
        self.port: int = self._listening.getsockname()[1]
        self._peer: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()
        self._listening.close()

    def accept(self) -> tuple[int, int]:
        """Wait for a slave; the first stamp that it wants, and its number."""
        self.hang_up()
        self._peer, _ = self._listening.accept()
        self._peer.settimeout(SECONDS)
        request = self._peer.recv(14, socket.MSG_WAITALL)
        assert request[:2] == b"\xc8\xa0"
        since, sid = struct.unpack(">QI", request[2:])
        return since, sid

    def send(self, data: bytes) -> None:
        assert self._peer is not None
        self._peer.sendall(data)

    def hang_up(self) -> None:
        if self._peer is not None:
            self._peer.close()
            self._peer = None
