"""The same lines through ktremotemgr or tcrmgr and through `kt`: what they print, and whether
they succeed."""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kt.cli import verbs
from kt.client.tyrant.client import TokyoTyrant
from kt.embedded import EmbeddedServer, EmbeddedTokyoTyrantServer
from tests.conftest import find_original
from tests.local_server import LocalServer

from .conftest import Kt
from .lines import LINES, lines_of

Result = tuple[str, bool, str]
"""The line, whether it succeeded, and what it printed, in base64."""

RECORDED = Path(__file__).parent / "data/lines.json"


def results(program: str, run: Callable[[list[str]], tuple[int, bytes]]) -> list[Result]:
    """What all lines print, run with a fresh server."""
    if program == "ktremotemgr":
        server: EmbeddedServer | EmbeddedTokyoTyrantServer
        server = EmbeddedServer("kt-tycoon", database=["*", "%"])
    else:
        server = EmbeddedTokyoTyrantServer("kt-tyrant", database="+")
    found = []
    with server:
        assert server.port is not None
        for line, words in zip(lines_of(program, 0), lines_of(program, server.port), strict=True):
            status, out = run(words)
            out = out if status == 0 else b""  # some had begun; nobody relies on that
            found.append((" ".join(line), status == 0, base64.b64encode(out).decode()))
    return found


def recorded(program: str) -> list[Result]:
    return [tuple(each) for each in json.loads(RECORDED.read_text())[program]]


@pytest.mark.parametrize("program", LINES)
def test_kt(program: str, kt: Kt, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(words: list[str]) -> tuple[int, bytes]:
        ran = kt(program, *words)
        assert ran.status in (0, 1, 2, 3)
        return ran.status, ran.out

    monkeypatch.delenv("KT_URL", raising=False)
    assert results(program, run) == recorded(program)


@pytest.mark.parametrize("program", LINES)
def test_what_was_recorded(program: str) -> None:
    original = find_original(program)
    if original is None:
        pytest.skip(f"{program} is not here")

    def run(words: list[str]) -> tuple[int, bytes]:
        done = subprocess.run(
            [original, *words], capture_output=True, check=False, stdin=subprocess.DEVNULL
        )
        return done.returncode, done.stdout

    found = results(program, run)
    if os.environ.get("KT_RECORD"):
        data = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
        RECORDED.write_text(json.dumps(data | {program: found}, indent=1) + "\n")
    assert found == recorded(program)


@pytest.mark.parametrize("program", LINES)
def test_all_of_their_flags_are_known(program: str) -> None:
    original = find_original(program)
    if original is None:
        pytest.skip(f"{program} is not here")
    done = subprocess.run([original], capture_output=True, text=True, check=False)
    lines = re.findall(rf"{program} ([a-z]+) (.*)", done.stdout + done.stderr)
    assert len(lines) > 15
    for name, rest in lines:
        home = verbs.find(name, program)
        assert home is not None, name
        known = {each for parameter in verbs.load(home).params for each in parameter.opts}
        assert set(re.findall(r"[\[|](-[a-z]+)", rest)) <= known, name


def test_http(kt: Kt, tyrant_server: EmbeddedTokyoTyrantServer, tyrant: TokyoTyrant) -> None:
    if isinstance(tyrant_server, LocalServer):
        pytest.skip("a database in this process speaks no HTTP")
    tyrant.set("a key", "\n value")
    url = f"http://127.0.0.1:{tyrant_server.port}"
    assert kt("tcrmgr", "http", f"{url}/a%20key") == (0, b"\n value", "")
    head, _, body = kt("tcrmgr", "http", "-ih", f"{url}/a%20key").out.partition(b"\n\n")
    assert body == b"\n value"
    assert head.startswith(b"HTTP/1.1 200 OK\n")
    assert b"\nContent-Length: 7" in head
    missing = kt("tcrmgr", "http", "-ih", "-ah", "X-One", "1", f"{url}/none", "-ah", "Two", "2")
    assert missing.status == 0
    assert missing.out.startswith(b"HTTP/1.1 404 Not Found\n")


def test_http_that_fails(kt: Kt) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        ran = kt("tcrmgr", "http", f"http://127.0.0.1:{port}/")
    assert ran.status == 3
    assert str(port) in ran.err
    for url in ("ftp://127.0.0.1/", "127.0.0.1", "http://", "http://127.0.0.1:no/"):
        assert kt("tcrmgr", "http", url).status == 2
    assert kt("tcrmgr", "http", "-ah", "a\nb", "c", f"http://127.0.0.1:{port}/").status in (2, 3)
    assert kt("http", "http://127.0.0.1/").status == 2, "only in lines of tcrmgr"
