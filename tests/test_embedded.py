"""EmbeddedServer and EmbeddedTokyoTyrantServer: start, stop, fail, and leave no process behind."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kt.embedded import OUTPUT_LIMIT, PORTS, EmbeddedServer, EmbeddedTokyoTyrantServer
from kt.errors import ImproperlyConfigured, ServerConnectionError, ServerStartError

from .conftest import PROGRAMS, program

NAMES: dict[Any, tuple[str, str]] = {
    EmbeddedServer: ("kt-tycoon", "ktserver"),
    EmbeddedTokyoTyrantServer: ("kt-tyrant", "ttserver"),
}

Make = Callable[..., Any]


@pytest.fixture(params=list(NAMES), ids=lambda embedded: embedded.__name__)
def embedded(request: pytest.FixtureRequest) -> Any:
    """One of the two classes."""
    return request.param


@pytest.fixture(params=PROGRAMS)
def make(embedded: Any, request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> Make:
    """Make a server object of one class that runs one kind of server."""
    path = program(request.param, *NAMES[embedded], pytestconfig)

    def make(**options: Any) -> Any:
        return embedded(path, **options)

    return make


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], str]:
    """Write a shell script that can be run as a server."""

    def write(text: str, name: str = "server") -> str:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return str(path)

    return write


def bundled(embedded: Any) -> str:
    """The shell words that run our own server."""
    return f"'{sys.executable}' -m kt.server {NAMES[embedded][0].removeprefix('kt-')}"


def test_run_client_stop(make: Make) -> None:
    server = make()
    assert server.run() is True
    assert server.client.set("k1", "v1")
    assert server.client.get("k1") == "v1"
    assert server.stop() is True


def test_run_and_stop_say_whether_they_did_anything(make: Make) -> None:
    server = make()
    assert server.stop() is False
    assert not server.running
    server.run()
    assert server.running
    assert server.run() is False
    server.stop()
    assert server.stop() is False
    assert not server.running
    assert server.pid is None


def test_with(make: Make) -> None:
    with make() as server:
        client = server.connect(timeout=10)
        client.set("k", "v")
        client.close()
        assert server.client.get("k") == "v"
    assert not server.running
    with pytest.raises(ServerConnectionError, match="not running"):
        _ = server.client


def test_client_is_the_same_until_stop(make: Make) -> None:
    with make() as server:
        assert server.client is server.client


def test_restart_keeps_port_and_file(make: Make, embedded: Any, tmp_path: Path) -> None:
    name = "casket.kch" if embedded is EmbeddedServer else "casket.tch"
    with make(database=tmp_path / name) as server:
        port, pid = server.port, server.pid
        client = server.connect()
        client.set("k", "v")
        assert server.restart() is True
        assert (server.port, server.pid == pid) == (port, False)
        assert client.get("k") == "v"
        client.close()


def test_several_databases() -> None:
    with EmbeddedServer(database=["*", "%"]) as server:
        server.client.set("k", "v", db=1)
        assert server.client.get("k", db=0) is None
        assert server.client.get("k", db=1) == "v"


def test_default_port_is_one_that_every_server_takes(make: Make) -> None:
    with make() as server:
        assert server.port in PORTS
        assert server.port <= 32767


def test_several_at_once_from_threads(make: Make) -> None:
    servers = [make() for _ in range(4)]
    threads = [threading.Thread(target=server.run) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        # The threads that started them have ended; the servers have not.
        assert len({server.port for server in servers}) == 4
        for number, server in enumerate(servers):
            server.client.set("k", str(number))
        assert [server.client.get("k") for server in servers] == ["0", "1", "2", "3"]
    finally:
        assert [server.stop() for server in servers] == [True] * 4


def test_server_that_ended_by_itself(make: Make) -> None:
    with make() as server:
        os.kill(server.pid, 9)
        server._process.wait(30)
        assert not server.running
        assert server.stop() is False
        assert server.run() is True
        assert server.client.set("k", "v")


def test_explicit_program_that_is_missing(embedded: Any, tmp_path: Path) -> None:
    server = embedded(str(tmp_path / "nothing"))
    with pytest.raises(ServerStartError, match=r"no program .*nothing"):
        server.run()
    assert server.stop() is False


def test_explicit_program_is_run_as_it_is(embedded: Any, script: Callable[..., str]) -> None:
    with embedded(script(f'exec {bundled(embedded)} "$@"')) as server:
        assert server.client.set("k", "v")


def test_wrapper_that_stays_is_stopped_with_its_server(
    embedded: Any, script: Callable[..., str]
) -> None:
    with embedded(script(f'{bundled(embedded)} "$@"; true')) as server:
        witness = socket.create_connection((server.host, server.port), 30)
    with witness:
        assert witness.recv(1) == b""


def test_default_program_is_the_original_if_it_is_installed(
    embedded: Any, script: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script(f'echo {bundled(embedded)}; echo "this is the original"; exit 7', NAMES[embedded][1])
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(ServerStartError, match="ended with status 7") as caught:
        embedded().run()
    assert "this is the original" in str(caught.value)


def test_default_program_is_ours_otherwise(
    embedded: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for tool in ("sh", "tail"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or "")
    monkeypatch.setenv("PATH", str(tmp_path))
    with embedded() as server:
        assert server.client.set("k", "v")


def test_modules_in_the_working_directory_are_not_the_servers(
    embedded: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "logging.py").write_text("raise SystemExit('this is not the library')")
    monkeypatch.chdir(tmp_path)
    with embedded(NAMES[embedded][0]) as server:
        assert server.running


def test_output_of_a_failed_start_is_in_the_error(make: Make) -> None:
    server = make(server_args=["-nonsense"])
    with pytest.raises(ServerStartError, match="ended with status") as caught:
        server.run()
    assert caught.value.output
    assert caught.value.output.rstrip() in str(caught.value)
    assert server.output == caught.value.output


def test_database_that_cannot_be_opened(embedded: Any) -> None:
    name = "/nowhere/x.kch" if embedded is EmbeddedServer else "/nowhere/x.tch"
    bundled_name = NAMES[embedded][0]
    with pytest.raises(ServerStartError, match=f"^{bundled_name} ended") as caught:
        embedded(bundled_name, database=name).run()
    assert name in caught.value.output


def test_port_that_the_original_refuses(pytestconfig: pytest.Config) -> None:
    path = program("original", "kt-tycoon", "ktserver", pytestconfig)
    with pytest.raises(ServerStartError, match="invalid address expression"):
        EmbeddedServer(path, port=32768).run()


def test_output_is_bounded(embedded: Any, script: Callable[..., str]) -> None:
    server = embedded(script("yes a line of text | head -c 1000000; echo the end; exit 3"))
    with pytest.raises(ServerStartError) as caught:
        server.run()
    assert len(caught.value.output) == OUTPUT_LIMIT
    assert caught.value.output.endswith("the end\n")


def test_server_that_never_answers(embedded: Any, script: Callable[..., str]) -> None:
    server = embedded(script("echo here I am; exec sleep 100"), start_timeout=0.2)
    with pytest.raises(ServerStartError, match=r"did not answer within 0\.2 seconds") as caught:
        server.run()
    assert "here I am" in caught.value.output
    assert not server.running


def test_server_that_does_not_stop_is_killed(embedded: Any, script: Callable[..., str]) -> None:
    stubborn = f'trap "" TERM; {bundled(embedded)} "$@"; while :; do sleep 1; done'
    server = embedded(script(stubborn), stop_timeout=1.0)
    server.run()
    pid = server.pid
    assert server.stop() is True
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_stranger_at_the_port_is_not_our_server(make: Make) -> None:
    with make() as first, pytest.raises(ServerStartError, match="ended with status"):
        make(port=first.port).run()


def test_port_that_somebody_else_took_first_is_replaced(make: Make) -> None:
    with make() as first:
        second = make()
        second.port = first.port
        with second:
            assert second.port != first.port
            assert second.client.set("k", "v")


def test_daemon_is_refused(embedded: Any) -> None:
    with pytest.raises(ImproperlyConfigured, match="-dmn"):
        embedded(server_args=["-dmn"])


def test_database_named_by_a_dash() -> None:
    with EmbeddedServer(database="-") as server:
        assert server.client.set("k", "v") == 1


PROGRAM = """
import os, signal, sys, threading
from kt.embedded import EmbeddedServer, EmbeddedTokyoTyrantServer
server = {embedded}({path!r})
server.run()
server.client.set("k", "v")
{end}
"""

ENDS = {
    "normal": "",
    "exception": "1 / 0",
    "exit": "sys.exit(3)",
    "hard exit": "os._exit(3)",
    "SIGTERM": "os.kill(os.getpid(), signal.SIGTERM)",
    "SIGINT": "signal.raise_signal(signal.SIGINT)",
    "SIGKILL": "os.kill(os.getpid(), signal.SIGKILL)",
    "SIGKILL of a second thread's program": (
        "threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGKILL)).start()"
    ),
    "SIGKILL during the start": (
        "threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGKILL)).start()\n"
        "while True: server.restart()"
    ),
}

# Orphans become our children (PR_SET_CHILD_SUBREAPER), so that we can wait for them: this program
# ends when nothing that the other one has started is left.
REAPER = """
import ctypes, os, subprocess, sys
assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0
subprocess.run([sys.executable, "-c", sys.argv[1]], stderr=subprocess.DEVNULL)
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
print("nothing is left")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="orphans can be waited for on Linux only")
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("kind", PROGRAMS)
def test_no_process_is_left(
    embedded: Any, kind: str, end: str, pytestconfig: pytest.Config
) -> None:
    path = program(kind, *NAMES[embedded], pytestconfig)
    victim = PROGRAM.format(embedded=embedded.__name__, path=path, end=ENDS[end])
    reaper = subprocess.run(
        [sys.executable, "-c", REAPER, victim], stdout=subprocess.PIPE, text=True, timeout=60
    )
    assert reaper.stdout == "nothing is left\n"


def run_python(program: str) -> str:
    """Run a program with this Python; return what it printed."""
    command = [sys.executable, "-c", textwrap.dedent(program)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def test_child_made_by_fork_does_not_stop_it(embedded: Any) -> None:
    printed = run_python(f"""
        import os, sys
        from kt.embedded import {embedded.__name__} as Server
        server = Server()
        server.run()
        if os.fork() == 0:
            print(server.stop(), flush=True)
            sys.exit()
        os.wait()
        print(server.client.get("k"), server.stop())
    """)
    assert printed == "False\nNone True\n"


def test_under_gevent(embedded: Any) -> None:
    printed = run_python(f"""
        from gevent import monkey
        monkey.patch_all()
        import gevent
        from kt.embedded import {embedded.__name__} as Server
        servers = [Server() for _ in range(3)]
        gevent.joinall([gevent.spawn(server.run) for server in servers], raise_error=True)
        for server in servers:
            server.client.set("k", "v")
            print(server.client.get("k"), server.stop())
    """)
    assert printed == "v True\n" * 3
