"""kt-tycoon as a process: its command line, start, log, signals and end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kt.server.process.delegation import PLAIN_REQUESTS
from kt.server.tycoon.options import FLAGS
from kt.version import VERSION
from kt.wire.tycoon import NEVER, pack_get_bulk, pack_set
from tests.ports import free_port

from ..conftest import StartServer
from ..http_client import Caller
from ..processes import HOST, SECONDS, ServerProcess, ended_later


def run(*args: str, code: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run kt-tycoon to its end; with `code` to run first in its interpreter."""
    command = ["-m", "kt.server", "tycoon"]
    if code is not None:
        command = ["-c", f"{code}\nfrom kt.server.__main__ import tycoon; tycoon()"]
    return subprocess.run(
        [sys.executable, *command, *args], capture_output=True, text=True, timeout=SECONDS
    )


# The command line


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["-nosuch"], "-nosuch: no such option; kt-tycoon --help lists them"),
        (["--nosuch"], "--nosuch: no such option; kt-tycoon --help lists them"),
        (["-port"], "-port needs a value: -port NUMBER"),
        (["-port", "0"], "-port 0 needs -host PATH: where to make the Unix socket"),
        (
            ["-port", "65536"],
            "-port 65536: a port is a number from 1 to 65535, or 0 for a Unix socket",
        ),
        (["-port", "x"], "-port x: this is not a number"),
        (["-th", "0"], "-th 0: at least one thread is needed"),
        (["-tout", "soon"], "-tout soon: this is not a number of seconds"),
        (["*"] * 201, "at most 200 databases, not 201"),
        (["-cmd", "/nosuch", "*"], "/nosuch: no such directory"),
        (
            ["-mhost", HOST, "-rts", "/nosuch/rts", "*"],
            "following a master needs the number of the server: -sid",
        ),
        (["-mhost", HOST, "-sid", "2", "*"], "following a master needs a file for the stamp: -rts"),
        (
            ["-sid", "2", "-rts", "/nosuch/rts", "*"],
            "the time stamp cannot be kept: [Errno 2] No such file or directory: '/nosuch/rts'",
        ),
        (["-riv", "often", "*"], "-riv often: this is not a number of milliseconds"),
        (["-host", "256.0.0.1", "*"], "cannot listen on 256.0.0.1:1978: Name or service not known"),
        (["-log", "/nosuch/log", "*"], None),
        (["/nosuch/directory/casket.kch"], None),
        (["nosuch.type"], None),
    ],
)
def test_wrong_command_lines_are_refused(args: list[str], message: str | None) -> None:
    if "-host" not in args and "-port" not in args:
        args = ["-host", HOST, "-port", str(free_port()), *args]
    ended = run("-lz", *args)
    assert ended.returncode == 1
    assert ended.stdout == ""
    if message is None:
        message = "cannot open the log" if "-log" in args else "could not open a database file: "
        assert ended.stderr.startswith(f"kt-tycoon: {message}")
        assert ended.stderr.count("\n") == 1
    else:
        assert ended.stderr == f"kt-tycoon: {message}\n"


def test_port_in_use_is_said(start: StartServer) -> None:
    server = start("*")
    ended = run("-host", HOST, "-port", str(server.port), "-lz", "*")
    assert ended.returncode == 1
    assert (
        ended.stderr
        == f"kt-tycoon: cannot listen on {HOST}:{server.port}: Address already in use\n"
    )


def test_missing_engine_is_said_with_what_to_install() -> None:
    code = "import sys; sys.modules['kt.server.engines.kyoto._engine'] = None"
    ended = run("-lz", "-host", HOST, "-port", str(free_port()), code=code)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("kt-tycoon: no storage engine here (")
    for word in ("libkyotocabinet-dev", "brew install kyoto-cabinet", "pip install"):
        assert word in ended.stderr


def test_help_lists_every_flag() -> None:
    ended = run("--help")
    assert ended.returncode == 0
    assert all(f"  {flag.name} " in ended.stdout for flag in FLAGS)


def test_version() -> None:
    assert run("--version").stdout == f"kt-tycoon {VERSION}\n"


def test_server_is_chosen_by_its_name() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "kt.server", "nosuch"],
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert ended.returncode == 1
    assert "tycoon|tyrant" in ended.stderr


def test_every_type_of_database_at_once(start: StartServer) -> None:
    types = ["-", "+", ":", "*", "%", "a.kch", "a.kct", "a.kcd", "a.kcf", "a.kcx#bnum=9"]
    server = start("--", *types, args=("-th", "100"))
    with Caller(server) as call:
        for index in range(len(types)):
            if not types[index].startswith("a.kcx"):
                assert call("set", DB=index, key="k", value=index) == (200, {})
                assert call("get", DB=index, key="k") == (200, {"value": str(index)})
        assert call("report")[1]["serv_thread_count"] == "64"


def test_without_a_database_there_is_one_in_memory(start: StartServer) -> None:
    with Caller(start()) as call:
        assert call("status")[1]["path"] == ":"


@pytest.mark.parametrize("flag", ["-oat", "-oas", "-onl", "-otl", "-onr", "-ash"])
def test_flags_of_the_engine(start: StartServer, flag: str) -> None:
    server = start("casket.kch", args=(flag,))
    with Caller(server) as call:
        assert call("set", key="k", value="v") == (200, {})
        assert call("get", key="k") == (200, {"value": "v"})
    assert server.stop() == 0


def test_read_only(start: StartServer) -> None:
    server = start("casket.kct")
    with Caller(server) as call:
        call("set", key="k", value="v")
    server.stop()
    reader = start(str(server.directory / "casket.kct"), args=("-ord",))
    with Caller(reader) as call:
        assert call("get", key="k") == (200, {"value": "v"})
        assert call("set", key="k", value="w")[0] == 500


def test_without_uvloop_it_runs_on_asyncio(tmp_path: Path) -> None:
    (tmp_path / "uvloop.py").write_text("raise ImportError('not here')")
    server = ServerProcess(
        "kt-tycoon", directory=tmp_path, environment={"PYTHONPATH": str(tmp_path)}
    )
    with server, Caller(server) as call:
        assert call("report")[1]["conf_kt_features"] == "(asyncio)(lua)"
        assert call("set", key="k", value="v") == (200, {})


# Signals


@pytest.mark.usefixtures("hang_up_ends")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_end_it_in_order(start: StartServer, number: int) -> None:
    server = start("casket.kct", args=("-pid", "pid"))
    assert (server.directory / "pid").read_text() == f"{server.process.pid}\n"
    with Caller(server) as call:
        call("set", key="k", value="v")
        assert server.stop(number) == 0
    assert not (server.directory / "pid").exists()
    server.start()
    with Caller(server) as call:
        assert call("get", key="k") == (200, {"value": "v"})


def test_pid_file_of_another_server_stays(start: StartServer) -> None:
    server = start("*", args=("-pid", "pid"))
    (server.directory / "pid").write_text("1\n")
    assert server.stop() == 0
    assert (server.directory / "pid").read_text() == "1\n"


def test_requests_in_flight_are_answered_at_the_end(start: StartServer) -> None:
    server = start("*")
    with Caller(server) as waiting, Caller(server) as other:
        waiting.send("void", WAIT="c", WAITTIME=60)
        while other("report")[1]["serv_task_count"] == "0":
            pass
        server.process.send_signal(signal.SIGTERM)
        assert waiting.receive() == (503, {"ERROR": "the condition timed out"})
        assert waiting.has_ended()
    assert server.process.wait(SECONDS) == 0


@pytest.mark.parametrize("spin", ["0", "50"])
def test_connections_that_io_threads_serve_end_in_order(start: StartServer, spin: str) -> None:
    server = start("casket.kch", args=("-ls", "-spin", spin))
    with Caller(server) as call, Caller(server) as reading:
        for request in [pack_get_bulk([], 0)] * PLAIN_REQUESTS:
            for caller in (call, reading):
                caller.socket.sendall(request)
                assert caller.take(5) == bytes.fromhex("ba00000000")
        call.socket.sendall(pack_set(b"k", b"v" * 100_000, 0, NEVER))
        assert call.take(5) == bytes.fromhex("b800000001")
        reading.socket.sendall(pack_get_bulk([b"k"] * 100, 0))
        assert reading.take(5) == bytes.fromhex("ba00000064")
        server.process.send_signal(signal.SIGTERM)
        assert reading.take(100 * (18 + 1 + 100_000))[-1:] == b"v"
        assert reading.has_ended()
        assert call.has_ended()
    assert server.process.wait(SECONDS) == 0
    server.start()
    with Caller(server) as call:
        assert call("get", key="k") == (200, {"value": "v" * 100_000})


def test_every_request_is_logged_also_by_io_threads(start: StartServer) -> None:
    server = start("*")
    count = 10 * PLAIN_REQUESTS
    with Caller(server) as call:
        for _ in range(count):
            call.socket.sendall(pack_set(b"k", b"v", 0, NEVER))
            assert call.take(5) == bytes.fromhex("b800000001")
        call.socket.sendall(pack_get_bulk([b"k"], 0) * count)
        call.take(count * (5 + 18 + 2))
        call.socket.sendall(b"\x81")
        assert call.has_ended()
    assert server.stop() == 0
    lines = server.printed().splitlines()
    assert sum(line.endswith("): set_bulk: 1") for line in lines) == count
    assert sum(line.endswith("): get_bulk: 1") for line in lines) == count
    times = [line.split(": ")[0] for line in lines if "): set_bulk" in line or "): get_" in line]
    assert times == sorted(times)
    assert len(set(times)) > PLAIN_REQUESTS


def test_a_peer_that_does_not_read_does_not_hold_up_the_end(start: StartServer) -> None:
    server = start("*")
    with Caller(server) as call:
        call("set", key="k", value="v" * 1_000_000)
        for _ in range(50):
            call.send("get", key="k")
        assert server.stop() == 0


# Durability


def test_acknowledged_writes_survive_kill_with_auto_transaction(start: StartServer) -> None:
    server = start("a.kch", "a.kct", args=("-oat",))
    with Caller(server) as call:
        for number in range(200):
            assert call("set", DB=number % 2, key=number, value=number) == (200, {})
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    server.start()
    with Caller(server) as call:
        for number in range(200):
            assert call("get", DB=number % 2, key=number) == (200, {"value": str(number)})


def test_automatic_synchronization_survives_kill(start: StartServer) -> None:
    server = start("a.kct", args=("-asi", "0.2", "-ash", "-li"))
    with Caller(server) as call:
        assert call("set", key="k", value="v") == (200, {})
    done = server.printed().count("synchronized")
    while server.printed().count("synchronized") < done + 2:
        server.wait_for_output("synchronized")
    server.stop(signal.SIGKILL)
    server.start()
    with Caller(server) as call:
        assert call("get", key="k") == (200, {"value": "v"})


# The log

LINE = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d): \[(DEBUG|INFO|SYSTEM|ERROR)\]: .+"


@pytest.mark.parametrize(
    ("flag", "levels"),
    [
        ("-li", {"INFO", "SYSTEM", "ERROR"}),
        ("-ls", {"SYSTEM", "ERROR"}),
        ("-le", {"ERROR"}),
        ("-lz", set()),
    ],
)
def test_log_levels(start: StartServer, flag: str, levels: set[str]) -> None:
    server = start("*", args=("-ord", flag))
    with Caller(server) as call:
        assert call("set", key="k", value="v")[0] == 500
    server.stop()
    lines = server.printed().splitlines()
    assert all(re.fullmatch(LINE, line) for line in lines)
    assert {re.fullmatch(LINE, line)[2] for line in lines} == levels


def test_requests_are_logged(start: StartServer) -> None:
    server = start("*")
    with Caller(server) as call:
        call("get", key="k")
        call.http(b"GET", b"/k")
        call.socket.sendall(bytes.fromhex("ba00000000 00000000"))
        assert call.socket.recv(100) == bytes.fromhex("ba00000000")
        peer = "{}:{}".format(*call.socket.getsockname())
    server.stop()
    printed = server.printed()
    for line in (
        f"connected: expr={peer}",
        f"({peer}): POST /rpc/get HTTP/1.1: 450",
        f"({peer}): GET /k HTTP/1.1: 404",
        f"({peer}): get_bulk: 1",
        f"disconnecting: expr={peer}",
    ):
        assert f"[INFO]: {line}\n" in printed


def test_log_file_is_reopened(start: StartServer) -> None:
    server = start("*", args=("-log", "log"))
    log, old = server.directory / "log", server.directory / "old"
    log.rename(old)
    server.process.send_signal(signal.SIGUSR1)
    while not log.exists() or "log file reopened" not in log.read_text():
        assert server.process.poll() is None
    assert server.stop() == 0
    assert "[START]" in old.read_text()
    assert "[FINISH]" not in old.read_text()
    assert "[FINISH]" in log.read_text()


# In the background


@pytest.mark.usefixtures("hang_up_ends")
def test_daemon(tmp_path: Path) -> None:
    port = free_port()
    args = ("-dmn", "-host", HOST, "-port", str(port), "-log", "log", "-pid", "pid", "a.kct")
    command = [sys.executable, "-m", "kt.server", "tycoon", *args]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=SECONDS)
    pid = int((tmp_path / "pid").read_text())
    try:
        with ended_later(pid), Caller.at(port) as call:
            assert call("report")[1]["serv_proc_id"] == str(pid)
            (tmp_path / "log").rename(tmp_path / "old")
            os.kill(pid, signal.SIGHUP)
            while not (tmp_path / "log").exists():
                assert call("void") == (200, {})
            os.kill(pid, signal.SIGTERM)
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
    assert not (tmp_path / "pid").exists()
    assert (tmp_path / "a.kct").exists()


def test_daemon_that_cannot_start_fails_in_the_foreground(tmp_path: Path) -> None:
    ended = run("-dmn", "-host", HOST, "-port", str(free_port()), "/nosuch/casket.kch")
    assert ended.returncode == 1
    assert "could not open a database file: /nosuch/casket.kch" in ended.stderr
