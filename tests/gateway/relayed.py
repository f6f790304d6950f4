"""Connections to gateways that native threads serve."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Self

from kt.server.process.delegation import PLAIN_REQUESTS
from kt.wire.tycoon import pack_get_bulk, read_get_bulk_reply

from ..incoming import Incoming
from .conftest import Gateway


class Relayed(Incoming):
    """A client that has been passed on to a thread, as it has sent nothing but plain requests.

    Args:
        gateway: to connect to.
        passed_on: whether it is; otherwise the event loop serves its first requests.
    """

    def __init__(self, gateway: Gateway, *, passed_on: bool = True) -> None:
        self.socket = socket.create_connection((gateway.host, gateway.port), 60)
        if passed_on:
            self.warm_up()

    def warm_up(self) -> None:
        """Be passed on (again)."""
        for _ in range(PLAIN_REQUESTS):
            self.send(pack_get_bulk([], 0))
            self.read(read_get_bulk_reply)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def is_read(self) -> bool:
        """Whether the gateway has read all that was sent."""
        theirs, ours = (
            f":{end[1]:04X}" for end in (self.socket.getpeername(), self.socket.getsockname())
        )
        for line in Path("/proc/net/tcp").read_text().splitlines():
            words = line.split()
            if words[1].endswith(theirs) and words[2].endswith(ours):
                return words[4].endswith(":00000000")  # bytes that wait to be sent : to be read
        raise AssertionError("there is no such connection")

    def end(self) -> None:
        """Send nothing more."""
        self.socket.shutdown(socket.SHUT_WR)

    def rest(self) -> bytes:
        """All that comes until the end."""
        data, self._received = self._received, b""
        return data + b"".join(iter(lambda: self.socket.recv(1 << 18), b""))

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def relayed_requests(gateway: Gateway) -> int:
    """How many requests threads have answered."""
    with gateway.connect(timeout=30) as client:
        return int(client.report()["cnt_relayed"])
