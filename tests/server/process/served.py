"""Either server as a test of the process sees it: records go in and out, whatever the protocol."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from kt.wire import tyrant_commands as codes

from ..engines.tokyo import key_request, record_request
from ..http_client import Caller
from ..processes import SECONDS, ServerProcess
from ..replay import Peer

TYCOON_FILES = ["casket.kch", "casket.kct", "casket.kcd", "casket.kcf"]
TYRANT_FILES = ["casket.tch", "casket.tcb", "casket.tcf", "casket.tct"]
FILES = TYCOON_FILES + TYRANT_FILES

both = pytest.mark.parametrize("program", ["kt-tycoon", "kt-tyrant"])
every_file = pytest.mark.parametrize("file", FILES)

KEY = b"1"  # a key and a value that every type takes
VALUE = b"column\0value"


def program_of(file: str) -> str:
    return "kt-tycoon" if file in TYCOON_FILES else "kt-tyrant"


def file_of(program: str) -> str:
    return "casket.kct" if program == "kt-tycoon" else "casket.tcb"


class Served(ServerProcess):
    """A server with one database.

    Args:
        program: which server.
        *args: flags of it.
        file: its database.
        directory: where it runs.
        shell: commands that a shell executes before it becomes the server; ``"$@"`` is that.
        prefix: words before the command.
        environment: changes to ours.
    """

    def __init__(
        self,
        program: str,
        *args: str,
        file: str,
        directory: Path,
        shell: str = "",
        prefix: Sequence[str] = (),
        environment: dict[str, str] | None = None,
    ) -> None:
        super().__init__(
            program, *args, databases=[file], directory=directory, environment=environment
        )
        self.program = program
        if shell:
            self.command = ["/bin/sh", "-c", shell, "sh", *self.command]
        self.command = [*prefix, *self.command]

    def put(self, key: bytes = KEY, value: bytes = VALUE) -> bool:
        """Store a record; whether the server says that it has."""
        if self.program == "kt-tycoon":
            with Caller(self) as call:
                return call.http(b"PUT", b"/" + key, [], value).status == 201
        peer = Peer(self.port)
        try:
            peer.send(record_request(codes.PUT, key, value))
            return peer.take(1) == b"\0"
        finally:
            peer.socket.close()

    def get(self, key: bytes = KEY) -> bytes | None:
        if self.program == "kt-tycoon":
            with Caller(self) as call:
                reply = call.http(b"GET", b"/" + key)
                return reply.body if reply.status == 200 else None
        peer = Peer(self.port)
        try:
            peer.send(key_request(codes.GET, key))
            return peer.take(peer.take_number()) if peer.take(1) == b"\0" else None
        finally:
            peer.socket.close()

    def serves(self) -> None:
        """Check that it stores a record, ends in order, and has it when it is started again."""
        with self:
            assert self.put()
            assert self.get() == VALUE
            assert self.stop() == 0, self.printed()
        with self:
            assert self.get() == VALUE
            assert self.stop() == 0, self.printed()

    def ended(self) -> tuple[int, str]:
        """Run it until it ends by itself: its status and what it printed."""
        self.spawn()
        try:
            return self.process.wait(SECONDS), self.printed()
        finally:
            self.kill()
