"""A cluster of one node that refuses what a test wants refused, as real ones do at rare moments."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterable
from typing import Any, Self

from kt.wire.reading import Incomplete
from kt.wire.resp import read_resp_reply

SERVED = b""
"""In place of a refusal."""


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        data = b""
        while more := self.request.recv(1 << 16):
            data += more
            replies, pos = b"", 0
            while pos < len(data):
                found = read_resp_reply(data, pos)  # a command is an array, too
                if isinstance(found, Incomplete):
                    break
                words, pos = found
                replies += self.server.node.answer(words)
            data = data[pos:]
            self.request.sendall(replies)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, node: ScriptedNode) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.node = node


class ScriptedNode:
    """The node, while a context lasts.

    Attributes:
        records: by the name, what is stored.
        done: the commands for records that it has carried out.
    """

    def __init__(self) -> None:
        self.records: dict[bytes, bytes] = {}
        self.done: list[list[bytes]] = []
        self._refusals: list[bytes] = []
        self._lock = threading.Lock()
        self._server = _Server(self)
        self.port = self._server.server_address[1]

    def refuse(self, errors: Iterable[bytes]) -> None:
        """Answer the next commands for records so; `SERVED`: carry it out."""
        with self._lock:
            self._refusals += errors

    def url(self, **options: object) -> str:
        given = "&".join(f"{name}={value}" for name, value in options.items())
        return f"valkey://127.0.0.1:{self.port}?layout=flat&{given}"

    def answer(self, words: list[bytes]) -> bytes:
        with self._lock:
            if words == [b"CLUSTER", b"NODES"]:
                address = f"127.0.0.1:{self.port}"
                line = f"n {address}@1 myself,master - 0 0 1 connected 0-16383\n"
                return b"$%d\r\n%b\r\n" % (len(line), line.encode())
            if words[0] not in (b"GET", b"SET", b"DEL"):
                return b":0\r\n"  # there are no keys, and they are laid out as they should be
            if self._refusals and (error := self._refusals.pop(0)) != SERVED:
                return b"-%b as the test wants it\r\n" % error
            self.done.append(words)
            return self._carry_out(*words)

    def _carry_out(self, verb: bytes, name: bytes, *more: bytes) -> bytes:
        if verb == b"SET":
            self.records[name] = more[0]
            return b"+OK\r\n"
        value = self.records.get(name)
        if verb == b"DEL":
            self.records.pop(name, None)
            return b":%d\r\n" % (value is not None)
        return b"$-1\r\n" if value is None else b"$%d\r\n%b\r\n" % (len(value), value)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.shutdown()
        self._server.server_close()
