"""Regular expressions that take long keep no server from ending, and no database from closing."""

from __future__ import annotations

import random
import socket
import struct
import threading
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import pytest

import kt
from kt import KT_NONE, KTError, KyotoTycoon, TokyoTyrant
from kt.server.engines.io._io import Caller
from kt.server.engines.kyoto._engine import EngineError
from kt.wire import tyrant_commands as codes

from ..engines.kyoto import opened as kyoto_opened
from ..engines.tokyo import misc_request
from ..engines.tokyo import opened as tokyo_opened
from ..processes import HOST, ServerProcess

LONG = bytes(random.Random(1).choices(b"ab", k=1_000_000))
CLIENTS = 24
GIVEN_UP = b"(a|b)*a(a|b){4000}c"
"""Takes some seconds with `LONG`, and is given up then."""
HARD = b"(a|b)*a(a|b){1000}c"
"""Takes some seconds with a fifth of it, and does not occur."""
FOUND = [b"addcond\0c\0STRRX\0v"]
SCRIPT = """
function match(key, value)
  while true do _regex(_get(key), value) end
end
"""

VOID = b"POST /rpc/void HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
VERSION = b"version\r\n"


def rpc_match(pattern: bytes = GIVEN_UP) -> bytes:
    body = b64encode(b"regex") + b"\t" + b64encode(pattern) + b"\n"
    head = (
        b"POST /rpc/match_regex HTTP/1.1\r\nContent-Type: text/tab-separated-values; colenc=B\r\n"
    )
    return head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def script_call() -> bytes:
    sizes = len(b"match"), 0, len(b"key"), len(GIVEN_UP)
    return struct.pack(">BBIIII", 0xC8, codes.EXT, *sizes) + b"matchkey" + GIVEN_UP


@pytest.mark.parametrize(
    ("program", "database", "quick", "request_"),
    [
        ("kt-tycoon", "casket.kct", VOID, rpc_match()),
        ("kt-tyrant", "casket.tcb", VERSION, misc_request(b"regex", [GIVEN_UP])),
        (
            "kt-tyrant",
            "casket.tct",
            VERSION,
            misc_request(b"search", [b"addcond\0c\0STRRX\0" + GIVEN_UP]),
        ),
        ("kt-tyrant", "casket.tch", VERSION, script_call()),
    ],
    ids=["kt-tycoon", "regex", "search", "script"],
)
@pytest.mark.parametrize("waiting", [True, False], ids=["waiting", "gone"])
def test_a_signal_ends_the_server(
    tmp_path: Path, program: str, database: str, quick: bytes, request_: bytes, waiting: bool
) -> None:
    """A single thread has work for minutes, whether those who have asked are still there or not."""
    (tmp_path / "script.lua").write_text(SCRIPT)
    threads = ["-th", "1"] if program == "kt-tycoon" else ["-thnum", "1", "-ext", "script.lua"]
    server = ServerProcess(program, *threads, databases=[database], directory=tmp_path)
    client = KyotoTycoon if program == "kt-tycoon" else TokyoTyrant
    with server, ExitStack() as connections:
        with client(HOST, server.port, serializer=KT_NONE) as db:
            db.set(LONG if database in ("casket.kct", "casket.tcb") else b"key", b"c\0" + LONG)
        for _ in range(CLIENTS):
            peer = connections.enter_context(server.connect())
            peer.sendall(quick + request_)
            assert peer.recv(1)  # so the server has read both
        if not waiting:
            connections.close()
        assert server.stop() == 0


def test_it_ends_with_an_error(tmp_path: Path) -> None:
    with kyoto_opened("*", tmp_path) as database:
        database.set(LONG, b"v")
        database.stop_matching()
        with pytest.raises(EngineError, match="is being closed"):
            database.match_regex(GIVEN_UP)
        assert database.get(LONG)[0] == b"v"
    with tokyo_opened("casket.tct", tmp_path) as table:
        assert table.put(b"key", b"c\0v")
        table.stop_matching()
        assert table.misc(b"regex", [b"k"]) is None
        assert table.misc(b"search", [b"addcond\0c\0STRRX\0v"]) is None
        assert table.misc(b"search", [b"addcond\0c\0STRRX\0v", b"out"]) is None
        assert table.get(b"key") == b"c\0v"


def test_nothing_is_matched_for_who_has_gone(tmp_path: Path) -> None:
    gone = Caller()
    gone.gone()
    with kyoto_opened("*", tmp_path) as database:
        database.set(b"key", b"v")
        for search in (database.match_regex, database.match_similar):
            with pytest.raises(EngineError, match="the client has gone"):
                gone.run(partial(search, b"key"))
            assert search(b"key") == [b"key"]
    with tokyo_opened("casket.tct", tmp_path) as table:
        assert table.put(b"key", b"c\0v")
        for search in (
            partial(table.misc, b"regex", [b"k"]),
            partial(table.misc, b"search", FOUND),
        ):
            assert gone.run(search) is None
            assert search() is not None
        assert gone.run(partial(table.misc, b"search", [*FOUND, b"out"])) is None
        assert table.get(b"key") == b"c\0v"


def test_who_has_ended_a_side_is_answered_but_not_after_long(tmp_path: Path) -> None:
    """Clients that read on, such as netcat, get what a reasonable expression matches."""
    server = ServerProcess("kt-tycoon", databases=["%"], directory=tmp_path)
    with server, server.connect() as peer:
        with KyotoTycoon(HOST, server.port, serializer=KT_NONE) as db:
            db.set(LONG, b"v")
        peer.sendall(rpc_match(b"(a|b)*ab{9}") + VOID + rpc_match(GIVEN_UP))
        peer.shutdown(socket.SHUT_WR)
        replies = peer.makefile("rb").read()
    assert b"num\t1\n" in replies
    assert b"the client has ended its side" in replies


@pytest.mark.parametrize("resets", [True, False], ids=["reset", "closed"])
def test_a_client_that_goes_ends_its_search(tmp_path: Path, resets: bool) -> None:
    """It would remove the row in the end."""
    server = ServerProcess("kt-tyrant", "-thnum", "1", databases=["casket.tct"], directory=tmp_path)
    with server, TokyoTyrant(HOST, server.port, serializer=KT_NONE) as db:
        db.set(b"key", b"c\0" + LONG[:200_000])
        with server.connect() as peer:
            if resets:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            search = [b"addcond\0c\0~STRRX\0" + HARD, b"out"]
            peer.sendall(VERSION + misc_request(b"search", search))
            assert peer.recv(1)  # so the server has read both
        assert db.misc("search", [b"addcond\0c\0STRRX\0a", b"count"])  # by the same thread
        assert db.count() == 1


def test_a_database_is_closed_while_another_thread_matches(tmp_path: Path) -> None:
    db = kt.open(tmp_path / "casket.tct", serializer=KT_NONE)
    db.set(b"key", b"c\0" + LONG[:200_000])
    begins = threading.Event()

    def search() -> object:
        begins.set()
        return db.misc("search", [b"addcond\0c\0~STRRX\0" + HARD])

    with ThreadPoolExecutor(1) as other:
        found = other.submit(search)
        begins.wait()
        db.close()
        with suppress(KTError):  # if it had not yet begun
            assert found.result() is False
