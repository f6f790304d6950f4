"""kt-tyrant as a process: its command line, start, log, signals and end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kt.server.tyrant.options import FLAGS, Command, command_mask, tyrant_options
from kt.version import VERSION
from kt.wire import tyrant_commands as codes
from tests.ports import free_port

from ..conftest import StartServer
from ..engines.tokyo import key_request, misc_request, record_request
from ..processes import HOST, SECONDS, ServerProcess, ended_later
from ..replay import Peer

RNUM = b"\xc8\x80"
SYNC = b"\xc8\x70"


def run(*args: str, code: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run kt-tyrant to its end; with `code` to run first in its interpreter."""
    command = ["-m", "kt.server", "tyrant"]
    if code is not None:
        command = ["-c", f"{code}\nfrom kt.server.__main__ import tyrant; tyrant()"]
    return subprocess.run(
        [sys.executable, *command, *args], capture_output=True, text=True, timeout=SECONDS
    )


@contextmanager
def connected(server: ServerProcess) -> Iterator[Peer]:
    peer = Peer(server.port)
    try:
        yield peer
    finally:
        peer.socket.close()


def ask(peer: Peer, request: bytes, size: int) -> bytes:
    """Send a request; its reply of so many bytes."""
    peer.send(request)
    return peer.take(size)


def put(peer: Peer, key: bytes, value: bytes) -> None:
    assert ask(peer, record_request(codes.PUT, key, value), 1) == b"\0"


def get(peer: Peer, key: bytes) -> bytes | None:
    peer.send(key_request(codes.GET, key))
    return peer.take(peer.take_number()) if peer.take(1) == b"\0" else None


def count(peer: Peer) -> int:
    return int.from_bytes(ask(peer, RNUM, 9)[1:], "big")


# The command line


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["-nosuch"], "-nosuch: no such option; kt-tyrant --help lists them"),
        (["-port", "65536"], "-port 65536: a port is a number from 1 to 65535, or 0 for a Unix"),
        (["-thnum", "0"], "-thnum 0: at least one thread is needed"),
        (["-mask", "get,nosuch"], "-mask get,nosuch: nosuch is not a command"),
        (["-mul", "x"], "-mul x: this is not a number"),
        (["*", "+"], "one database, not 2: * +"),
        (["casket.nosuch"], "cannot open the database casket.nosuch: "),
        (["-port", "x"], "-port x: this is not a number"),
        (["-tout", "nan"], "-tout nan: this is not a number of seconds"),
        (["-extpc", "f", "soon"], "-extpc f soon: this is not a number of seconds"),
        (["-mask", "0xyz"], "-mask 0xyz: 0xyz is not a hexadecimal number"),
        (["/nosuch/casket.tch"], "cannot open the database /nosuch/casket.tch: No such file"),
        (["-mul", "2", "*"], "cannot open the database *: many databases in one must be files"),
    ],
)
def test_wrong_command_lines(tmp_path: Path, args: list[str], message: str) -> None:
    port = [] if "-port" in args else ["-port", str(free_port())]
    ended = run("-le", "-host", HOST, *port, *args)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"kt-tyrant: {message}")
    assert ended.stderr.count("\n") == 1


def test_without_the_engine_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['kt.server.engines.tokyo._engine'] = None"
    ended = run("-host", HOST, "-port", str(free_port()), code=code)
    assert ended.returncode == 1
    assert "no storage engine here" in ended.stderr
    for word in ("libtokyocabinet-dev", "brew install tokyo-cabinet", "pip install"):
        assert word in ended.stderr


def test_help_lists_every_flag() -> None:
    ended = run("--help")
    assert ended.returncode == 0
    assert all(f"  {flag.name} " in ended.stdout for flag in FLAGS)


def test_version() -> None:
    assert run("--version").stdout == f"kt-tyrant {VERSION}\n"


def test_masks_are_worked_off_in_order() -> None:
    def mask(*words: str) -> int:
        return tyrant_options("kt-tyrant", words).mask

    assert mask() == 0
    assert mask("-mask", "put,OUT get") == command_mask("put") | command_mask("out,get")
    assert mask("-mask", "all", "-unmask", "get") == (2**64 - 1) ^ (1 << Command.GET)
    assert mask("-unmask", "get", "-mask", "get") == 1 << Command.GET
    assert mask("-mask", "0x21") == command_mask("put,out")


# Databases


@pytest.mark.parametrize(
    ("database", "kind"),
    [
        ("*#bnum=1000#capnum=100", "on-memory hash"),
        ("+#capsiz=1m", "on-memory tree"),
        ("casket.tch#bnum=1000#apow=3#fpow=8#opts=ld#rcnum=100#xmsiz=1m#dfunit=8", "hash"),
        ("casket.tcb#lmemb=64#nmemb=128#opts=b#lcnum=64#ncnum=64#bnum=500", "B+ tree"),
        ("casket.tcf#width=100#limsiz=1m", "fixed-length"),
        ("casket.tct#idx=name:lex#idx=age:dec#opts=l#mode=wc", "table"),
    ],
)
def test_types_of_databases(start_kt_tyrant: StartServer, database: str, kind: str) -> None:
    server = start_kt_tyrant(database)
    with connected(server) as peer:
        put(peer, b"1", b"name\0x")
        assert get(peer, b"1") == b"name\0x"
        peer.send(b"\xc8\x88")
        assert peer.take(1) == b"\0"
        stat = peer.take(peer.take_number()).decode()
        assert f"\ntype\t{kind}\n" in stat
        assert f"\npath\t{database.partition('#')[0]}\n" in stat
    assert server.stop() == 0
    server.start()
    with connected(server) as peer:
        assert get(peer, b"1") == (None if database[0] in "*+" else b"name\0x")


def test_many_files(start_kt_tyrant: StartServer) -> None:
    server = start_kt_tyrant("casket.tcb", args=("-mul", "3"))
    with connected(server) as peer:
        for number in range(100):
            put(peer, b"%d" % number, b"v")
        assert count(peer) == 100
    assert len(list((server.directory / "casket.tcb").glob("*.tcb"))) == 3
    server.restart()
    with connected(server) as peer:
        assert get(peer, b"42") == b"v"


def test_read_only(start_kt_tyrant: StartServer) -> None:
    server = start_kt_tyrant("casket.tch")
    with connected(server) as peer:
        put(peer, b"k", b"v")
    server.stop()
    reader = start_kt_tyrant(f"{server.directory / 'casket.tch'}#mode=r")
    with connected(reader) as peer:
        assert get(peer, b"k") == b"v"
        assert ask(peer, record_request(codes.PUT, b"k", b"w"), 1) == b"\1"
    assert reader.stop() == 0
    assert "ERROR\tdo_put: operation failed\n" in reader.printed()


# Start and end


@pytest.mark.usefixtures("hang_up_ends")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_end_it_in_order(start_kt_tyrant: StartServer, number: int) -> None:
    server = start_kt_tyrant("casket.tcb", args=("-pid", "pid"))
    assert (server.directory / "pid").read_text() == f"{server.process.pid}\n"
    with connected(server) as peer:
        put(peer, b"k", b"v")
        assert server.stop(number) == 0
    assert not (server.directory / "pid").exists()
    server.start()
    with connected(server) as peer:
        assert get(peer, b"k") == b"v"


def test_pid_file_of_a_running_server(start_kt_tyrant: StartServer) -> None:
    server = start_kt_tyrant("*", args=("-pid", "pid"))
    path = str(server.directory / "pid")
    ended = run("-le", "-pid", path, "-host", "127.0.0.1", "-port", str(server.port), "*")
    assert ended.returncode == 1
    assert f"the process {server.process.pid} may be already running" in ended.stderr
    successor = start_kt_tyrant("*", args=("-kl", "-pid", path), port=server.port)
    assert server.process.wait(SECONDS) == 0
    successor.wait_for_output("listening")
    assert Path(path).read_text() == f"{successor.process.pid}\n"


def test_pid_file_of_an_ended_server(start_kt_tyrant: StartServer) -> None:
    server = start_kt_tyrant("*", args=("-pid", "pid"))
    server.stop(signal.SIGKILL)
    assert (server.directory / "pid").exists()
    server.start()
    assert (server.directory / "pid").read_text() == f"{server.process.pid}\n"


@pytest.mark.parametrize("database", ["casket.tch", "casket.tcb", "casket.tcf", "casket.tct"])
def test_synchronized_writes_survive_kill(start_kt_tyrant: StartServer, database: str) -> None:
    server = start_kt_tyrant(database)
    with connected(server) as peer:
        for number in range(1, 201):
            put(peer, b"%d" % number, b"c\0%d" % number)
        assert ask(peer, SYNC, 1) == b"\0"
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    server.start()
    with connected(server) as peer:
        for number in range(1, 201):
            assert get(peer, b"%d" % number) == b"c\0%d" % number
        put(peer, b"1", b"c\0again")
        assert get(peer, b"1") == b"c\0again"


# The log

LINE = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)\t(DEBUG|INFO|SYSTEM|ERROR)\t.+"


@pytest.mark.parametrize(
    ("flags", "levels"),
    [
        (("-ld",), {"DEBUG", "INFO", "SYSTEM", "ERROR"}),
        ((), {"INFO", "SYSTEM", "ERROR"}),
        (("-le",), {"SYSTEM", "ERROR"}),
    ],
)
def test_log(start_kt_tyrant: StartServer, flags: tuple[str, ...], levels: set[str]) -> None:
    server = start_kt_tyrant("*", args=(*flags, "-mask", "get"))
    with connected(server) as peer:
        put(peer, b"k", b"v")
        assert get(peer, b"k") is None
        assert ask(peer, SYNC, 1) == b"\0"
        assert ask(peer, key_request(codes.COPY, b"/nosuch/x"), 1) == b"\1"
        assert ask(peer, misc_request(b"nosuch"), 5) == b"\1\0\0\0\0"
        peer.send(b"\xc8\xff")
        peer.assert_ended()
    server.stop()
    lines = server.printed().splitlines()
    assert all(re.fullmatch(LINE, line) for line in lines), lines
    assert {line.split("\t")[1] for line in lines} == levels
    printed = server.printed()
    for level, message in (
        ("DEBUG", "doing put command"),
        ("DEBUG", "doing misc command"),
        ("INFO", "doing sync command"),
        ("INFO", "do_get: forbidden"),
        ("INFO", "unknown command"),
        ("SYSTEM", f"command bit mask: {1 << Command.GET:#x}"),
        ("SYSTEM", "opening the database: *"),
        ("ERROR", "do_copy: operation failed"),
    ):
        assert (f"\t{level}\t{message}\n" in printed) == (level in levels)


def test_daemon(tmp_path: Path) -> None:
    port = free_port()
    args = ["-dmn", "-host", HOST, "-port", str(port), "-log", "log", "casket.tch"]
    command = [sys.executable, "-m", "kt.server", "tyrant", *args]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=SECONDS)
    pid = int((tmp_path / "ttserver.pid").read_text())
    with ended_later(pid):
        try:
            peer = Peer(port)
            put(peer, b"k", b"v")
            peer.socket.close()
        finally:
            os.kill(pid, signal.SIGTERM)
    assert not (tmp_path / "ttserver.pid").exists()
    assert "closing the database" in (tmp_path / "log").read_text()
