"""Traffic recorded from the original ktserver is read, and packed again as it was."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from kt.errors import ProtocolError, ServerError
from kt.wire.http import HttpRefusal, HttpRequest, IncompleteBody
from kt.wire.magic import GET_BULK, PLAY_SCRIPT, REMOVE_BULK, REPLICATION, SET_BULK
from kt.wire.reading import Incomplete

from .feeding import read, read_all_ways
from .implementations import Wire

RECORDINGS = Path(__file__).parent / "data" / "kyoto_tycoon.jsonl"
BROKEN = ("bad_magic", "malformed", "oversized", "truncated", "http/raw")
"""Scenarios some of whose requests are meant to be no requests."""


def take_bytes(value: Any) -> bytes:
    """Bytes as the recordings have them: base64, repeated, or in pieces."""
    if isinstance(value, str):
        return base64.b64decode(value, validate=True)
    if isinstance(value, dict):
        piece, count = value["repeat"]
        return take_bytes(piece) * int(count)
    return b"".join(map(take_bytes, value))


def take_text(value: Any) -> bytes:
    """Text as the recordings have it: characters that are bytes."""
    return value.encode("latin-1") if isinstance(value, str) else take_bytes(value["bytes"])


def scenarios() -> list[dict[str, Any]]:
    with RECORDINGS.open(encoding="ascii") as lines:
        return [json.loads(line) for line in lines]


SCENARIOS = scenarios()


UNKNOWN = b"\xff"
"""Ends the requests of a connection: no command begins with it."""

Step = dict[str, Any]


def is_broken(scenario: dict[str, Any]) -> bool:
    return any(word in scenario["name"] for word in BROKEN)


def with_steps(fits: Callable[[Step], bool], broken: bool | None = False) -> pytest.MarkDecorator:
    """Runs a test on the fitting steps of each scenario that has any; None: broken or not."""
    chosen = [
        pytest.param(found, id=scenario["name"])
        for scenario in SCENARIOS
        if broken in (None, is_broken(scenario))
        and (found := [step for step in scenario["steps"] if fits(step)])
    ]
    return pytest.mark.parametrize("steps", chosen)


# ---------------------------------------------------------------------------------------- binary


class Command(NamedTuple):
    """How requests and replies of one command are read and packed again."""

    read: str
    pack: Callable[[Wire, Any], bytes]
    read_reply: str
    pack_reply: Callable[[Wire, Any], bytes]


def pack_records(wire: Wire, frame: bytes) -> bytes:
    packed: bytes = wire.tycoon.pack_get_bulk_reply(
        wire.tycoon.decode_get_bulk_details(frame, False, None)
    )
    return packed


COMMANDS = {
    GET_BULK: Command(
        "read_get_bulk",
        lambda wire, asked: wire.tycoon.pack_get_bulk_details(asked.keys),
        "read_get_bulk_reply",
        pack_records,
    ),
    SET_BULK: Command(
        "read_set_bulk",
        lambda wire, asked: wire.tycoon.pack_set_bulk_details(asked.records, None, asked.flags),
        "read_set_bulk_reply",
        lambda wire, stored: wire.tycoon.pack_set_bulk_reply(stored),
    ),
    REMOVE_BULK: Command(
        "read_remove_bulk",
        lambda wire, asked: wire.tycoon.pack_remove_bulk_details(asked.keys, asked.flags),
        "read_remove_bulk_reply",
        lambda wire, removed: wire.tycoon.pack_remove_bulk_reply(removed),
    ),
    PLAY_SCRIPT: Command(
        "read_play_script",
        lambda wire, asked: wire.tycoon.pack_play_script(
            asked.name, asked.records, None, asked.flags
        ),
        "read_play_script_reply",
        lambda wire, frame: wire.tycoon.pack_play_script_reply(
            wire.tycoon.decode_play_script(frame, False, None)
        ),
    ),
    REPLICATION: Command(
        "read_replication",
        lambda wire, asked: wire.tycoon.pack_replication(asked.since, asked.server, asked.flags),
        "read_update",
        lambda wire, update: wire.tycoon.pack_update(update),
    ),
}


def repack_request(wire: Wire, data: bytes, pos: int) -> tuple[bytes, int]:
    """The request at `pos`, packed again, and where it ends."""
    if data[pos] < 0x80:
        _, end = wire.tycoon_rpc.read_http_request(data, pos)
        return data[pos:end], end
    if data[pos:] == wire.tycoon.REPLICATION_REPLY:  # asks for more updates
        return data[pos:], len(data)
    command = COMMANDS[data[pos]]
    asked, end = getattr(wire.tycoon, command.read)(data, pos)
    packed = command.pack(wire, asked)
    if data[pos] == GET_BULK:  # its flags are not sent by us
        packed = data[pos : pos + 5] + packed[5:]
    if data[pos] == PLAY_SCRIPT and len(packed) < end - pos:  # it names a parameter twice
        assert read(getattr(wire.tycoon, command.read), packed) == asked
        packed = data[pos:end]
    return packed, end


@with_steps(lambda step: "send" in step)
def test_binary_requests(wire: Wire, steps: list[Step]) -> None:
    for step in steps:
        data = take_bytes(step["send"])
        pos = 0
        while pos < len(data):
            packed, end = repack_request(wire, data, pos)
            assert packed == data[pos:end]
            pos = end
            if data[pos : pos + 1] == UNKNOWN:
                break


def repack_reply(wire: Wire, data: bytes, pos: int) -> tuple[bytes, int]:
    """The reply at `pos`, packed again, and where it ends."""
    if data[pos : pos + 1] == wire.tycoon.ERROR_REPLY:
        reply, end = wire.tycoon.read_get_reply(data, pos)
        assert isinstance(reply, ServerError)
        return wire.tycoon.ERROR_REPLY, end
    if pos == 0 and data[0] == REPLICATION:  # updates follow
        reply, end = wire.tycoon.read_replication_reply(data, pos)
        assert reply is True
        return wire.tycoon.REPLICATION_REPLY, end
    command = COMMANDS.get(data[pos], COMMANDS[REPLICATION])
    reply, end = getattr(wire.tycoon, command.read_reply)(data, pos)
    return command.pack_reply(wire, reply), end


@with_steps(lambda step: "recv" in step, broken=None)
def test_binary_replies(wire: Wire, steps: list[Step]) -> None:
    for step in steps:
        data = take_bytes(step["recv"])
        pos = 0
        while pos < len(data):
            packed, end = repack_reply(wire, data, pos)
            assert packed == data[pos:end]
            pos = end


@with_steps(lambda step: "decoded" in step)
def test_script_replies(wire: Wire, steps: list[Step]) -> None:
    for step in steps:
        decoded = step["decoded"]
        if decoded["code"] != PLAY_SCRIPT:
            assert bytes([decoded["code"]]) == wire.tycoon.ERROR_REPLY
            continue
        records = {take_bytes(key): take_bytes(value) for key, value in decoded["records"]}
        reply = wire.tycoon.pack_play_script_reply(records)
        frame = read(wire.tycoon.read_play_script_reply, reply)
        assert wire.tycoon.decode_play_script(frame, False, None) == records


# ------------------------------------------------------------------------------------------ HTTP


def http_message(request: dict[str, Any]) -> bytes:
    """The bytes that were sent for the "http" member of a step."""
    body = take_bytes(request["body"]) if "body" in request else None
    lines = [f"{request['method']} {request['target']} HTTP/{request.get('version', '1.1')}"]
    lines.append("Host: 127.0.0.1:1978")
    lines += [f"{name}: {value}" for name, value in request.get("headers", {}).items()]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


@with_steps(lambda step: "http" in step, broken=None)
def test_http_requests(wire: Wire, steps: list[Step]) -> None:
    for step in steps:
        sent = step["http"]
        request = read_all_ways(wire.tycoon_rpc.read_http_request, http_message(sent), 500)
        assert isinstance(request, HttpRequest)
        assert request.method == sent["method"].encode()
        assert request.target == sent["target"].encode("latin-1")
        call = wire.tycoon_rpc.decode_rpc(request)
        if call is not None:
            packed = wire.tycoon_rpc.pack_rpc("echo", call[1].items())
            again = read(wire.tycoon_rpc.read_http_request, packed)
            assert wire.tycoon_rpc.decode_rpc(again) == (b"echo", call[1])


def reply_columns(step: Step) -> dict[bytes, bytes]:
    columns = step["reply"]["columns"]
    return {name.encode("latin-1"): take_text(value) for name, value in columns.items()}


def is_echo(step: Step) -> bool:
    reply = step.get("reply", {})
    target = step.get("http", {}).get("target", "")
    return target.startswith("/rpc/echo") and reply.get("status") == 200 and "columns" in reply


@with_steps(is_echo, broken=None)
def test_echoes_show_how_requests_are_decoded(wire: Wire, steps: list[Step]) -> None:
    for step in steps:
        request = read(wire.tycoon_rpc.read_http_request, http_message(step["http"]))
        assert wire.tycoon_rpc.decode_rpc(request) == (b"echo", reply_columns(step))


def is_known_call(step: Step) -> bool:
    """Whether all columns of a reply are known, and so how they should be encoded."""
    known = not step.keys() & {"volatile", "subset"}
    return known and "columns" in step.get("reply", {})


@with_steps(is_known_call, broken=None)
def test_replies_to_calls(wire: Wire, steps: list[Step]) -> None:
    for step in steps:
        reply, columns = step["reply"], reply_columns(step)
        packed = wire.tycoon_rpc.pack_rpc_reply(reply["status"], columns.items())
        parsed = read(wire.tycoon_rpc.read_http_reply, packed)
        assert parsed.status == reply["status"]
        assert parsed.headers[b"content-type"].decode() == reply["headers"]["content-type"]
        if "body" in reply:
            assert parsed.body == take_bytes(reply["body"])
        called = read_all_ways(wire.tycoon_rpc.read_rpc_reply, packed, 500)
        assert wire.tycoon_rpc.decode_columns(called.body, called.encoding) == columns


# ------------------------------------------------------------------------------- what is refused


def http_refusal(wire: Wire, data: bytes) -> tuple[int, str] | None:
    """How the server answers an HTTP request that it does not take, after the end of file."""
    try:
        outcome = wire.tycoon_rpc.read_http_request(data, 0)
    except HttpRefusal as refusal:
        return refusal.status, refusal.reason
    except ProtocolError:
        return None
    assert isinstance(outcome, Incomplete)
    return outcome.refusal if isinstance(outcome, IncompleteBody) else None


def check_http_refusal(wire: Wire, step: Step) -> None:
    """The server answers as the original did, or not at all."""
    refusal = http_refusal(wire, take_bytes(step["send"]))
    if "reply" not in step:
        assert refusal is None
        return
    assert refusal is not None
    reply = read(wire.tycoon_rpc.read_http_reply, wire.tycoon_rpc.pack_http_refusal(*refusal))
    assert reply.status == step["reply"]["status"]
    assert reply.body == take_bytes(step["reply"]["body"])


def check_binary_refusal(wire: Wire, step: Step) -> None:
    """What is no request is cut off, is refused, or begins with no command's byte."""
    data = take_bytes(step["send"])
    assert step["eof"]
    if data[0] in COMMANDS:
        try:
            assert isinstance(getattr(wire.tycoon, COMMANDS[data[0]].read)(data, 0), Incomplete)
        except ProtocolError as error:
            assert "limit" in str(error)  # noqa: PT017  # either is right


@with_steps(lambda step: "send" in step, broken=True)
def test_requests_that_are_none(wire: Wire, steps: list[Step]) -> None:
    for step in steps:
        data = take_bytes(step["send"])
        answered = take_bytes(step.get("recv", ""))[:1] not in (b"", b"\xbf")
        served = "reply" in step and "connection" not in step["reply"].get("headers", {})
        if answered or served or data[0] == REPLICATION:
            assert repack_request(wire, data, 0) == (data, len(data))
        elif 0 < data[0] < 0x80:
            check_http_refusal(wire, step)
        else:
            check_binary_refusal(wire, step)
