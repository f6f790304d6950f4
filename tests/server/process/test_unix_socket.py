"""The bundled servers at Unix sockets."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kt import KyotoTycoon
from kt.server.process.delegation import PLAIN_REQUESTS
from kt.server.process.listening import UnixListener
from kt.server.tyrant.options import tyrant_options

from ..processes import BUNDLED, SECONDS, ServerProcess

StartAt = Callable[..., ServerProcess]

MANY = 2 * PLAIN_REQUESTS
"""Requests in a row after which a bundled server has let an I/O thread serve the connection."""

LARGE = "x" * 3_000_000
"""More than a socket takes at once."""


@pytest.fixture
def start_at(tmp_path: Path) -> Iterator[StartAt]:
    """Start a program that listens at a path."""
    started: list[ServerProcess] = []

    def start(program: str, path: str, *args: str, **options: dict[str, str]) -> ServerProcess:
        server = ServerProcess(
            program, *args, databases=["*"], directory=tmp_path, unix=path, **options
        )
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.kill()


bundled = pytest.mark.parametrize("program", ["kt-tycoon", "kt-tyrant"])


def refused(program: str, *args: str, database: str = "*") -> str:
    """What a server prints that does not start."""
    ended = subprocess.run(
        [*BUNDLED[program], "-le", *args, database], capture_output=True, text=True, timeout=SECONDS
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"{program}: ")
    return ended.stderr.removeprefix(f"{program}: ")


@pytest.fixture(params=["uvloop", "asyncio"])
def environment(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Lets a server run on each kind of event loop."""
    if request.param == "asyncio":
        (tmp_path / "uvloop.py").write_text("raise ImportError('not here')")
    return {"PYTHONPATH": str(tmp_path)}


def test_tycoon(start_at: StartAt, socket_path: str, environment: dict[str, str]) -> None:
    server = start_at("kt-tycoon", socket_path, environment=environment)
    with KyotoTycoon(socket_path, 0, timeout=SECONDS) as db:
        for number in range(MANY):
            db.set(f"k{number}", "v")
        assert db.set("large", LARGE)
        assert db.get("large") == LARGE
        assert db.report()["serv_conn_count"] == 1
        assert db.count() == MANY + 1
    assert server.stop() == 0
    assert not os.path.exists(socket_path)
    printed = server.printed()
    assert f" expr={socket_path}\n" in printed
    assert printed.count("(unix): set_bulk: 1\n") == MANY + 1
    assert "disconnecting: expr=unix\n" in printed


@pytest.mark.parametrize("length", [1, 107])
def test_listens_from_the_moment_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    """Looked at after every call that the listener makes; 107 bytes are all that a name has."""
    monkeypatch.chdir(tmp_path)
    path = "s" * length
    listener = UnixListener(tyrant_options("p", ["-host", path, "-port", "0", "*"]))
    seen = []

    def look(_frame: object, event: str, _argument: object) -> None:
        if event == "c_return" and os.path.exists(path):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
                seen.append(client.connect_ex(path))

    sys.setprofile(look)
    try:
        listener.listen()
    finally:
        sys.setprofile(None)
    assert set(seen) == {0}
    assert os.listdir() == [path]
    listener.close()
    assert os.listdir() == []


@bundled
def test_file_of_a_killed_server(program: str, start_at: StartAt, socket_path: str) -> None:
    server = start_at(program, socket_path)
    server.stop(signal.SIGKILL)
    assert os.path.exists(socket_path)
    server.start()
    with server.connect():
        assert server.stop() == 0
    assert not os.path.exists(socket_path)


@bundled
@pytest.mark.parametrize("milliseconds", range(0, 12, 3))
def test_a_signal_at_the_very_begin(
    program: str, start_at: StartAt, socket_path: str, milliseconds: int
) -> None:
    """The file is there before the databases are open and the event loop runs."""
    server = start_at(program, socket_path)
    with server.connect():
        time.sleep(milliseconds / 1000)  # the moment of the signal, not a wait for something
        assert server.stop() == 0
    assert not os.path.exists(socket_path)


@bundled
def test_path_of_a_running_server(program: str, start_at: StartAt, socket_path: str) -> None:
    server = start_at(program, socket_path)
    message = f"cannot listen on {socket_path}: another server listens there\n"
    assert refused(program, "-host", socket_path, "-port", "0") == message
    with server.connect():
        assert server.stop() == 0


@bundled
def test_path_of_something_else(program: str, socket_path: str) -> None:
    message = f"cannot listen on {socket_path}: there is a file that is not a socket\n"
    Path(socket_path).write_text("precious")
    assert refused(program, "-host", socket_path, "-port", "0") == message
    assert Path(socket_path).read_text() == "precious"
    os.rename(socket_path, f"{socket_path}-2")
    os.symlink(f"{socket_path}-2", socket_path)
    assert refused(program, "-host", socket_path, "-port", "0") == message
    assert Path(socket_path).read_text() == "precious"


@bundled
def test_impossible_paths(program: str) -> None:
    message = "-port 0 needs -host PATH: where to make the Unix socket\n"
    assert refused(program, "-port", "0") == message
    assert refused(program, "-host", "", "-port", "-1") == message
    message = refused(program, "-host", "/nosuch/socket", "-port", "0")
    assert message == "cannot listen on /nosuch/socket: No such file or directory\n"
    long = "/tmp/" + "x" * 200
    message = refused(program, "-host", long, "-port", "0")
    assert message == f"cannot listen on {long}: AF_UNIX path too long\n"


@bundled
def test_failed_start_leaves_nothing(program: str, socket_path: str) -> None:
    message = refused(program, "-host", socket_path, "-port", "0", database="/nosuch/casket.tch")
    assert re.match("cannot open the database|could not open a database file: ", message)
    assert not os.path.exists(socket_path)


@bundled
def test_file_of_a_successor_stays(program: str, start_at: StartAt, socket_path: str) -> None:
    server = start_at(program, socket_path)
    os.remove(socket_path)
    Path(socket_path).write_text("another's")
    assert server.stop() == 0
    assert Path(socket_path).read_text() == "another's"


def test_permissions_are_those_of_the_umask(start_at: StartAt, socket_path: str) -> None:
    before = os.umask(0o027)
    try:
        start_at("kt-tyrant", socket_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(socket_path).st_mode) == 0o750


def test_port_below_0_is_0() -> None:
    assert tyrant_options("p", ["-port", "-5"]).port == 0
