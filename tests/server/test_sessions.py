"""Sessions without a server: driven inline, whole requests or byte by byte, sense or nonsense."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kt.server.engines.kyoto._engine import Database as KyotoDatabase
from kt.server.engines.tokyo._engine import Database as TokyoDatabase
from kt.server.inline import Inline
from kt.server.process.delegation import PLAIN_REQUESTS
from kt.server.session import Session
from kt.server.tycoon.rpc import MAX_CURSORS
from kt.server.tycoon.service import TycoonService
from kt.server.tycoon.session import FEW_CURSORS, TycoonSession
from kt.server.tyrant.service import TyrantService
from kt.server.tyrant.session import TyrantSession
from kt.wire.tycoon_rpc import pack_rpc

from .replay import Json, as_bytes, build_request, scenarios

MakeSession = Callable[[], Session]


class Notes:
    """A log that keeps what is written."""

    info_wanted = False

    def __init__(self) -> None:
        self.lines: list[str] = []

    def debug(self, message: str) -> None:
        self.lines.append(message)

    def info(self, message: str, when: float | None = None) -> None:
        self.lines.append(message)

    system = error = debug


@contextmanager
def tycoon_sessions(writes_wait: bool = False) -> Iterator[MakeSession]:
    databases = [KyotoDatabase("*"), KyotoDatabase("%")]
    service = TycoonService(databases, Notes(), program="kt-tycoon/0", writes_wait=writes_wait)
    try:
        yield lambda: TycoonSession(service)
    finally:
        for database in databases:
            database.close()


@contextmanager
def tyrant_sessions(writes_wait: bool = False) -> Iterator[MakeSession]:
    database = TokyoDatabase("*")
    service = TyrantService(database, Notes(), writes_wait=writes_wait)
    try:
        yield lambda: TyrantSession(service)
    finally:
        database.close()


SERVERS = {
    "kt-tycoon": (tycoon_sessions, "kyoto_tycoon.jsonl", (["*", "%"], ["*"])),
    "kt-tyrant": (tyrant_sessions, "tokyo_tyrant.jsonl", (["*"],)),
}

CLOCK = re.compile(rb"Date: [^\r]*|_time\t[^\n]*|\b(?:time|rusage_user|uptime) [\d.]*")


BEHIND = {"tt/quirk/resume_after_error"}
"""A bad request ends the connection unless something has come behind it."""


def requests(scenario: Json) -> Iterator[bytes]:
    """What the first connection of a scenario sends."""
    for step in scenario["steps"]:
        if step.get("conn", 0) == 0 and "send" in step:
            yield as_bytes(step["send"])
        elif step.get("conn", 0) == 0 and "http" in step:
            yield build_request(step["http"], 1978)


def waits_or_tells(sent: list[bytes]) -> bool:
    """Whether replies depend on time, or the process, or nobody would want to send so much."""
    everything = b"".join(sent)
    words = (b"WAIT", b"report", b"stat", b"OPTIONS", b"status", b"\xc8\x88")
    return len(everything) > 20_000 or any(word in everything for word in words)


def recorded() -> Iterator[Any]:
    for program, (_, file, databases) in SERVERS.items():
        for scenario in scenarios(file):
            sent = list(requests(scenario))
            alone = not scenario["args"] and scenario["databases"] in databases
            timeless = not any("sleep" in step or "restart" in step for step in scenario["steps"])
            if scenario["name"] in BEHIND or waits_or_tells(sent):
                continue
            if alone and timeless and sent:
                yield pytest.param(program, sent, id=scenario["name"])


def served(program: str, pieces: list[bytes]) -> bytes:
    """The replies of a fresh session."""
    with SERVERS[program][0]() as make:
        driver = Inline(make())
        replies = b"".join(map(driver.feed, pieces))
        return CLOCK.sub(b"", replies + driver.end())


@pytest.mark.parametrize(("program", "sent"), list(recorded()))
def test_recorded_requests_byte_by_byte(program: str, sent: list[bytes]) -> None:
    singly = [bytes([byte]) for byte in b"".join(sent)]
    assert served(program, singly) == served(program, sent)


def test_enough_is_recorded() -> None:
    assert len(list(recorded())) > 40


WORDS = st.sampled_from(
    [
        *[
            b"\xb8",
            b"\xb9",
            b"\xba",
            b"\xb4",
            b"\xb1",
            b"\xc8\x10",
            b"\xc8\x30",
            b"\xc8\x90",
            b"\xc8",
        ],
        *[b"GET /k HTTP/1.1\r\n\r\n", b"POST /rpc/set HTTP/1.1\r\nContent-Length: 11\r\n\r\n"],
        *[b"key\tk\nvalue\tv", b"set k 0 0 1\r\n", b"get k\r\n", b"\r\n", bytes(4), b"\0\0\0\1"],
    ]
)
NONSENSE = st.lists(st.one_of(WORDS, st.binary(max_size=12)), max_size=12)


@pytest.mark.parametrize("program", list(SERVERS))
@settings(max_examples=150, deadline=None)
@given(pieces=NONSENSE)
def test_nonsense_is_answered_or_ends_the_session(program: str, pieces: list[bytes]) -> None:
    served(program, pieces)


def test_a_wait_that_nobody_ends_is_over_when_its_time_is() -> None:
    with tycoon_sessions() as make:
        reply = Inline(make()).feed(pack_rpc("void", [("WAIT", "never"), ("WAITTIME", "0.01")]))
    assert b" 503 " in reply
    assert b"the condition timed out" in reply


def test_cursors_end_with_their_session() -> None:
    with tycoon_sessions() as make:
        session = make()
        assert isinstance(session, TycoonSession)
        driver = Inline(session)
        driver.feed(pack_rpc("set", [("key", "a"), ("value", "1")]))
        assert b" 200 " in driver.feed(pack_rpc("cur_jump", [("CUR", 1)]))
        assert session.cursors
        assert driver.end() == b""
        assert not session.cursors
        assert driver.feed(pack_rpc("void", [])) == b""


@pytest.mark.parametrize("count", [FEW_CURSORS, FEW_CURSORS + 1, MAX_CURSORS])
def test_many_cursors_are_closed_as_work(count: int) -> None:
    """Nobody waits for a hundred connections that end at once, each with a thousand of them."""
    with tycoon_sessions() as make:
        session = make()
        assert isinstance(session, TycoonSession)
        driver = Inline(session)
        driver.feed(pack_rpc("set", [("key", "a"), ("value", "1")]))
        for number in range(count):
            assert b" 200 " in driver.feed(pack_rpc("cur_jump", [("CUR", number)]))
        rest = session.lost()
        assert (rest is not None) == (count > FEW_CURSORS)
        if rest is not None:
            assert len(session.cursors) == count
            rest()
        assert not session.cursors


def test_work_that_fails_ends_the_session() -> None:
    class Failing(Session):
        def step(self, data: bytes | bytearray, pos: int) -> int:
            self.in_thread(lambda: json.loads(bytes(data[pos:])), lambda value: self.write(b"ok"))
            return len(data)

    driver = Inline(Failing())
    assert driver.feed(b"{}") == b"ok"
    with pytest.raises(json.JSONDecodeError):
        driver.feed(b"{")
    assert driver.closed


SETTING = {
    "kt-tycoon": b"\xb8" + bytes(4) + b"\0\0\0\1" + b"\0\0\0\0\0\1\0\0\0\1" + bytes(8) + b"kv",
    "kt-tyrant": b"\xc8\x10\0\0\0\1\0\0\0\1kv",
}


@pytest.mark.parametrize("program", SERVERS)
def test_who_waits_for_the_device_is_soon_in_an_io_thread(program: str) -> None:
    """Which waits once for all of its connections."""
    with SERVERS[program][0](writes_wait=True) as make_session:
        session = make_session()
        assert Inline(session).feed(SETTING[program])
        assert session.plain >= PLAIN_REQUESTS
