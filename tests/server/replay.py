"""Replays recorded traffic against a server, and says where it answers otherwise.

The recordings (``tests/wire/data/*.jsonl``, one scenario per line) hold requests to the original
servers and what they answered. A scenario has a server of its own in an empty directory:

=============  =====================================================================================
``databases``  its database arguments; ``args`` go before them
``script``     Lua source of the file that ``{script}`` in `args` stands for, or null
``dirs``       directories to make first
``steps``      in order: each sends something, expects something, or both
=============  =====================================================================================

A step sends ``send`` (bytes) or ``http`` (a request to build) on connection ``conn``, and expects
``recv`` (bytes), ``reply`` (an HTTP reply) or ``decoded`` (a framed one). ``mask``, ``volatile``,
``subset``, ``unordered`` and ``pool`` say what may differ. Bytes are base64, ``{"repeat": [base64,
times]}`` or a list of such; text is Latin-1.
"""

from __future__ import annotations

import base64
import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import unquote_to_bytes

from kt.server.process.delegation import PLAIN_REQUESTS
from kt.wire.tycoon import pack_get_bulk

from ..clock import engine_second
from .processes import HOST, SECONDS, ServerProcess

DATA = Path(__file__).parent.parent / "wire" / "data"
CLOCK_SLACK = 3
"""Seconds by which a time may differ from what it should be."""

Json: TypeAlias = dict[str, Any]


def scenarios(file: str) -> list[Json]:
    """The scenarios of one recording."""
    with open(DATA / file, encoding="ascii") as lines:
        return [json.loads(line) for line in lines]


def as_bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return base64.b64decode(value, validate=True)
    if isinstance(value, dict):
        part, times = value["repeat"]
        return base64.b64decode(part, validate=True) * int(times)
    return b"".join(map(as_bytes, value))


def as_text(value: Any) -> bytes:
    return value.encode("latin-1") if isinstance(value, str) else as_bytes(value["bytes"])


class Peer:
    """Our end of a connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((HOST, port), SECONDS)
        self.received = b""

    def be_plain(self, request: bytes, reply_size: int) -> None:
        """Send this, until a bundled server lets an I/O thread serve the connection."""
        for _ in range(PLAIN_REQUESTS):
            self.send(request)
            self.take(reply_size)

    def send(self, data: bytes) -> None:
        with suppress(OSError):  # a server may close early; what it answers tells
            self.socket.sendall(data)

    def _more(self) -> bool:
        """Wait for more bytes; False at the end of the stream."""
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionError:
            data = b""
        self.received += data
        return bool(data)

    def take(self, size: int) -> bytes:
        while len(self.received) < size:
            assert self._more(), f"closed after {self.received!r}, not {size} bytes"
        taken, self.received = self.received[:size], self.received[size:]
        return taken

    def take_number(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def take_line(self, end: bytes = b"\r\n") -> bytes:
        while end not in self.received:
            assert self._more(), f"closed after {self.received!r}, no end of line"
        line, _, self.received = self.received.partition(end)
        return line

    def assert_ended(self) -> None:
        assert not self.received
        assert not self._more(), f"the server goes on with {self.received!r}"

    def assert_silent(self) -> None:
        """Nothing has come that no step has taken."""
        self.socket.setblocking(False)
        try:
            extra = self.socket.recv(1 << 16)
        except (BlockingIOError, ConnectionError):
            extra = b""
        assert not self.received + extra, f"unexpected: {self.received + extra!r}"


# Framed replies


def _take_blob(peer: Peer) -> Json:
    code = peer.take(1)[0]
    return {"code": code, "data": b"" if code else peer.take(peer.take_number())}


def _take_list(peer: Peer) -> Json:
    code = peer.take(1)[0]
    return {"code": code, "records": [peer.take(peer.take_number()) for _ in _counted(peer)]}


def _take_map(peer: Peer) -> Json:
    code = peer.take(1)[0]
    records = []
    for _ in _counted(peer) if code == 0xB4 else ():
        key_size, value_size = peer.take_number(), peer.take_number()
        records.append((peer.take(key_size), peer.take(value_size)))
    return {"code": code, "records": records}


def _counted(peer: Peer) -> Iterator[int]:
    yield from range(peer.take_number())


def _take_tsv(peer: Peer) -> Json:
    blob = _take_blob(peer)
    lines = blob["data"].splitlines()
    return {
        "code": blob["code"],
        "columns": dict(line.split(b"\t", 1) for line in lines),
    }


def _take_stats(peer: Peer) -> Json:
    columns = {}
    while (line := peer.take_line()) != b"END":
        _, name, value = line.split(b" ", 2)
        columns[name] = value
    return {"code": 0, "columns": columns}


FORMATS = {
    "tt-blob": _take_blob,
    "tt-list": _take_list,
    "tt-tsv": _take_tsv,
    "kt-map": _take_map,
    "mc-stats": _take_stats,
}


# HTTP

STRICT_HEADERS = re.compile("connection|content-type|location|x-kt-.*|x-tt-.*")
"""Headers that may not be there unless they are expected."""


def build_request(request: Json, port: int) -> bytes:
    lines = [f"{request['method']} {request['target']} HTTP/{request.get('version', '1.1')}"]
    lines.append(f"Host: {HOST}:{port}")
    lines += [f"{name}: {value}" for name, value in request.get("headers", {}).items()]
    body = b""
    if "body" in request:
        body = as_bytes(request["body"])
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def take_reply(peer: Peer, bodiless: bool) -> Json:
    head, *lines = peer.take_line(b"\r\n\r\n").decode("latin-1").split("\r\n")
    match = re.match(r"HTTP/1\.[01] (\d{3})", head)
    assert match, f"not an HTTP reply: {head}"
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    body = b"" if bodiless else peer.take(int(headers.get("content-length", 0)))
    return {"status": int(match[1]), "headers": headers, "body": body}


def _unquote(field: bytes) -> bytes:
    return unquote_to_bytes(field.replace(b"%", b"%25").replace(b"=", b"%"))


DECODERS = {"B": base64.b64decode, "Q": _unquote, "U": unquote_to_bytes}


def decode_columns(reply: Json) -> dict[bytes, bytes]:
    encoding = re.search("colenc=([BQU])", reply["headers"].get("content-type", ""))
    decode = DECODERS[encoding[1]] if encoding else bytes
    lines = reply["body"].split(b"\n")
    return dict(map(decode, line.split(b"\t", 1)) for line in lines if line)


# Comparison

KINDS = {"int": r"[+-]?\d+", "float": r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?", "str": "(?s).*"}


def _is_now(kind: str, value: int) -> bool:
    return abs(value - (time.time() + float(kind[3:] or 0))) <= CLOCK_SLACK


def assert_kind(name: str, kind: str, value: str) -> None:
    pattern = KINDS.get(kind, r"\d+")
    assert re.fullmatch(pattern, value), f"{name} is {value!r}, not of kind {kind}"
    assert kind in KINDS or _is_now(kind, int(value)), f"{name} is {value}, not {kind}"


def compare_columns(step: Json, expected: Json, columns: dict[bytes, bytes]) -> None:
    wanted = {as_text(name): as_text(value) for name, value in expected.items()}
    volatile = {as_text(name): kind for name, kind in step.get("volatile", {}).items()}
    if step.get("subset"):
        columns = {name: columns[name] for name in columns if name in wanted or name in volatile}
    for name in step.get("ignored", ()):
        columns.pop(name, None)
        wanted.pop(name, None)
    for name, kind in volatile.items():
        assert_kind(repr(name), kind, columns.pop(name).decode("latin-1"))
    if not step.get("unordered"):
        assert columns == wanted
        return
    assert columns.keys() == wanted.keys()
    assert _loose_values(columns) == _loose_values(wanted)


def _loose_values(columns: dict[bytes, bytes]) -> tuple[list[bytes], dict[bytes, bytes]]:
    """The values of records' columns as a multiset, and the other columns."""
    records = sorted(value for name, value in columns.items() if name[:1] == b"_")
    return records, {name: value for name, value in columns.items() if name[:1] != b"_"}


def compare_reply(step: Json, reply: Json, port: int) -> None:
    expected = step["reply"]
    assert reply["status"] == expected["status"], reply
    headers = reply["headers"]
    strict = {name: headers[name] for name in headers if STRICT_HEADERS.fullmatch(name)}
    for name, kind in expected.get("volatile_headers", {}).items():
        assert_kind(name, kind, strict.pop(name))
    wanted = {
        name: value.replace("{host}", HOST).replace("{port}", str(port))
        for name, value in expected.get("headers", {}).items()
    }
    assert strict | {name: headers.get(name) for name in wanted} == wanted
    if "body" in expected:
        assert reply["body"] == as_bytes(expected["body"])
    if "columns" in expected:
        compare_columns(step, expected["columns"], decode_columns(reply))


def compare_bytes(step: Json, received: bytes) -> None:
    expected = bytearray(as_bytes(step["recv"]))
    masked = bytearray(received)
    for begin, size, *kind in step.get("mask", ()):
        number = int.from_bytes(masked[begin : begin + size], "big")
        assert not kind or _is_now(kind[0], number), f"{number} is not {kind[0]}"
        expected[begin : begin + size] = masked[begin : begin + size] = bytes(size)
    assert masked == expected


def compare_decoded(step: Json, decoded: Json) -> None:
    expected = step["decoded"]
    assert decoded["code"] == expected["code"]
    if "data" in expected:
        assert decoded["data"] == as_bytes(expected["data"])
    if "columns" in expected:
        compare_columns(step, expected["columns"], decoded["columns"])
    if "records" in expected:
        in_order = sorted if step.get("unordered") else list
        assert in_order(decoded["records"]) == in_order(_expected_records(expected))


def _expected_records(expected: Json) -> list[Any]:
    if expected["format"] == "kt-map":
        return [tuple(map(as_bytes, pair)) for pair in expected["records"]]
    return list(map(as_bytes, expected["records"]))


# Scenarios


PLAIN = {"kt-tycoon": (pack_get_bulk([], 0), 5), "kt-tyrant": (b"\xc8\x80", 9)}
"""Requests without effect, and the sizes of their replies."""

QUIET = {"kt-tycoon": "-ls", "kt-tyrant": "-le"}
"""Kt-tycoon leaves no HTTP request to an I/O thread while it logs requests."""


EMPTIED = {("kt/http/cursor/kch", 48), ("kt/http/cursor/kch", 57)}
"""Steps that jump in a hash file without records: there is somewhere to go to until the server has
tidied up the file, which it does several times a second."""

BRIEF = "kt/script/cursor/"
"""Scenarios that store records that expire with the second, and that may be repeated: one that the
clock interrupts is done again."""

NO_RECORD = 450


class Replay:
    """One scenario on one server.

    Args:
        scenario: as recorded.
        program: the server.
        directory: for its files.
        delegated: connections have been passed on to an I/O thread when the scenario begins.
    """

    def __init__(
        self, scenario: Json, program: str, directory: Path, *, delegated: bool = False
    ) -> None:
        self.scenario = scenario
        self.plain = PLAIN[program] if delegated else None
        script = directory / "script.lua"
        if scenario["script"] is not None:
            script.write_bytes(scenario["script"].encode("latin-1"))
        for name in scenario.get("dirs", ()):
            (directory / name).mkdir()
        self.server = ServerProcess(program, databases=scenario["databases"], directory=directory)
        args = [
            word.replace("{script}", script.name).replace("{port}", str(self.server.port))
            for word in scenario["args"]
        ]
        if delegated:
            args.insert(0, QUIET[program])
        at = len(self.server.command) - len(scenario["databases"])
        self.server.command[at:at] = args
        self.peers: dict[int, Peer] = {}
        self.pools: dict[str, tuple[list[Any], list[Any]]] = {}

    def run(self) -> None:
        """Raises AssertionError, with the step as a note, where the server answers otherwise."""
        with self.server:
            try:
                self._steps_in_time()
                assert self.server.process.poll() is None
            finally:
                self._close_all()

    def _steps_in_time(self) -> None:
        while True:
            begun = engine_second()
            try:
                return self._steps()
            except AssertionError:
                if not self.scenario["name"].startswith(BRIEF) or begun == engine_second():
                    raise

    def _steps(self) -> None:
        for number, step in enumerate(self.scenario["steps"]):
            try:
                emptied = (self.scenario["name"], number) in EMPTIED
                self._step({**step, "emptied": True} if emptied else step)
            except Exception as error:
                error.add_note(f"in step {number}: {json.dumps(step)[:2000]}")
                raise
        for expected, received in self.pools.values():
            assert sorted(received) == sorted(expected)
        for peer in self.peers.values():
            peer.assert_silent()

    def _step(self, step: Json) -> None:
        if "sleep" in step:
            time.sleep(step["sleep"])  # a part of the recording: expiry, flush delays
            return
        if step.get("restart"):
            self._close_all()
            self.server.restart()
            return
        number = step.get("conn", 0)
        if number not in self.peers:
            self.peers[number] = self._connect()
        peer = self.peers[number]
        if self.plain is not None:
            step = {**step, "ignored": [b"cnt_rnum"]}
        self._send(peer, step)
        self._receive(peer, step)
        if step.get("eof"):
            peer.assert_ended()
        if step.get("eof") or step.get("close"):
            self.peers.pop(number).socket.close()

    def _connect(self) -> Peer:
        peer = Peer(self.server.port)
        if self.plain is not None:
            peer.be_plain(*self.plain)
        return peer

    def _send(self, peer: Peer, step: Json) -> None:
        if "send" in step:
            peer.send(as_bytes(step["send"]))
        if "http" in step:
            peer.send(build_request(step["http"], self.server.port))
        if step.get("shutdown"):
            peer.socket.shutdown(socket.SHUT_WR)

    def _receive(self, peer: Peer, step: Json) -> None:
        if "recv" in step:
            received = peer.take(len(as_bytes(step["recv"])))
            if not self._pooled(step, as_bytes(step["recv"]), received):
                compare_bytes(step, received)
        elif "reply" in step:
            expected = step["reply"]
            reply = take_reply(peer, expected.get("head", False))
            if step.get("emptied") and reply["status"] == NO_RECORD:
                return
            if not self._pooled(step, *_reply_outlines(expected, reply)):
                compare_reply(step, reply, self.server.port)
        elif "decoded" in step:
            expected = step["decoded"]
            decoded = FORMATS[expected["format"]](peer)
            if not self._pooled(step, *_decoded_outlines(expected, decoded)):
                compare_decoded(step, decoded)

    def _pooled(self, step: Json, expected: Any, received: Any) -> bool:
        """Keep the replies of a pool for the end; False if the step belongs to none."""
        if "pool" not in step:
            return False
        both = self.pools.setdefault(step["pool"], ([], []))
        both[0].append(expected)
        both[1].append(received)
        return True

    def _close_all(self) -> None:
        for peer in self.peers.values():
            peer.socket.close()
        self.peers.clear()


def _reply_outlines(expected: Json, reply: Json) -> tuple[Any, Any]:
    """An expected HTTP reply and a received one, so that they can be compared and sorted."""
    if "columns" not in expected:
        return (expected["status"], as_bytes(expected.get("body", ""))), (
            reply["status"],
            reply["body"],
        )
    wanted = sorted((as_text(name), as_text(value)) for name, value in expected["columns"].items())
    return (expected["status"], wanted), (reply["status"], sorted(decode_columns(reply).items()))


def _decoded_outlines(expected: Json, decoded: Json) -> tuple[Any, Any]:
    if "data" in expected:
        return (expected["code"], as_bytes(expected["data"])), (decoded["code"], decoded["data"])
    if "records" in expected:
        wanted = _expected_records(expected)
        return (expected["code"], wanted), (decoded["code"], decoded["records"])
    return None, None
