"""Traffic recorded from the original ttserver is read and packed again as it was."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from kt.wire import tyrant, tyrant_commands, tyrant_server
from kt.wire.reading import Incomplete, Reader

RECORDINGS = Path(__file__).parent / "data" / "tokyo_tyrant.jsonl"
BROKEN = ("bad_sizes", "truncated", "unknown", "resume_after_error")
"""Scenarios whose requests are meant to be no requests."""


class Command(NamedTuple):
    """How requests and replies of one command are read and packed."""

    read: Reader[Any]
    pack: Callable[[Any], bytes]
    read_reply: Reader[Any] | None
    pack_reply: Callable[[Any], bytes] | None = None


def spread(pack: Callable[..., bytes]) -> Callable[[Any], bytes]:
    return lambda value: pack(*value)


def bare(command: int) -> Callable[[None], bytes]:
    return lambda _: bytes((tyrant_commands.MAGIC, command))


COMMANDS = (
    {
        name.upper(): Command(
            getattr(tyrant_server, f"read_{name}"),
            spread(getattr(tyrant, f"pack_{name}")),
            getattr(tyrant, f"read_{name}_reply", None),
            getattr(tyrant_server, f"pack_{name}_reply", None),
        )
        for name in [
            "put",
            "putkeep",
            "putcat",
            "putshl",
            "putnr",
            "fwmkeys",
            "addint",
            "adddouble",
            "ext",
            "restore",
            "setmst",
            "misc",
            "repl",
        ]
    }
    | {
        name.upper(): Command(
            getattr(tyrant_server, f"read_{name}"),
            getattr(tyrant, f"pack_{name}"),
            getattr(tyrant, f"read_{name}_reply"),
            getattr(tyrant_server, f"pack_{name}_reply"),
        )
        for name in ["out", "get", "mget", "vsiz", "optimize", "copy"]
    }
    | {
        name.upper(): Command(
            getattr(tyrant_server, f"read_{name}"),
            bare(getattr(tyrant_commands, name.upper())),
            getattr(tyrant, f"read_{name}_reply"),
            getattr(tyrant_server, f"pack_{name}_reply"),
        )
        for name in ["iterinit", "iternext", "sync", "vanish", "rnum", "size", "stat"]
    }
)
BY_NUMBER = {getattr(tyrant_commands, name): command for name, command in COMMANDS.items()}
FRAMES = {tyrant_commands.MGET, tyrant_commands.FWMKEYS, tyrant_commands.MISC}


def scenarios() -> Iterator[dict[str, Any]]:
    with RECORDINGS.open() as lines:
        for line in lines:
            scenario = json.loads(line)
            if not any(name in scenario["name"] for name in BROKEN):
                yield scenario


def unpacked(value: Any) -> bytes:
    """The bytes that a recording stands for."""
    if isinstance(value, str):
        return base64.b64decode(value)
    if isinstance(value, dict):
        return base64.b64decode(value["repeat"][0]) * value["repeat"][1]
    return b"".join(map(unpacked, value))


def reply_of(step: dict[str, Any]) -> bytes | None:
    """The reply in a step, if it is recorded exactly."""
    if "recv" in step:
        return unpacked(step["recv"])
    decoded = step.get("decoded", {})
    if decoded.get("format") == "tt-blob":
        if decoded["code"]:
            return b"\1"
        return tyrant_server.pack_get_reply(unpacked(decoded["data"]))
    if decoded.get("format") == "tt-list":
        items = list(map(unpacked, decoded["records"]))
        return bytes([decoded["code"]]) + tyrant_server.pack_misc_reply(items)[1:]
    return None


def exchanges() -> Iterator[tuple[bytes, bytes | None]]:
    """Every binary request that the server does not hang up on, and the reply."""
    for scenario in scenarios():
        for step in scenario["steps"]:
            request = unpacked(step.get("send", ""))
            if request[:1] == b"\xc8" and not step.get("eof"):
                yield request, reply_of(step)


def read_whole(reader: Reader[Any], data: bytes, pos: int) -> tuple[Any, int]:
    outcome = reader(data, pos)
    assert not isinstance(outcome, Incomplete), data[pos : pos + 60]
    return outcome


def test_requests() -> None:
    seen = set()
    for request, _ in exchanges():
        pos = 0
        while pos < len(request) and request[pos] == tyrant_commands.MAGIC:
            command = BY_NUMBER[request[pos + 1]]
            value, end = read_whole(command.read, request, pos)
            assert command.pack(value) == request[pos:end]
            seen.add(request[pos + 1])
            pos = end
    assert seen == set(BY_NUMBER)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("PUTNR", "REPL")])
def test_replies(name: str) -> None:
    number = getattr(tyrant_commands, name)
    command = COMMANDS[name]
    assert command.read_reply is not None
    assert command.pack_reply is not None
    read = 0
    for request, reply in exchanges():
        if request[1] != number or reply is None:
            continue
        _, end = read_whole(command.read, request, 0)
        if end != len(request):
            continue
        value, end = read_whole(command.read_reply, reply, 0)
        assert end == len(reply)
        if number not in FRAMES and reply[0] == 0:
            assert command.pack_reply(value) == reply
        elif isinstance(value, bytes):
            assert value == reply
        read += 1
    assert read or name == "STAT"  # statistics vary, so they are not recorded as bytes
