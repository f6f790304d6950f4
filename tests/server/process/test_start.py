"""How servers start: what comes before they serve, and what may go wrong there."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from kt.server.engines.kyoto import _engine as kyoto
from kt.server.engines.tokyo import _engine as tokyo
from kt.server.process.listening import TcpListener
from kt.server.process.options import ServiceOptions
from kt.wire import tyrant_commands as codes
from kt.wire.tycoon_rpc import pack_rpc
from tests.ports import free_port

from ..engines.tokyo import record_request
from ..processes import ended_later
from .served import FILES, KEY, VALUE, Served, both, every_file, file_of, program_of

WAITING = "waiting for a file that another process locks: path="


@contextmanager
def held(file: Path) -> Iterator[None]:
    """Have a file open, and so locked, in this process."""
    if file.suffix.startswith(".k"):
        with kyoto.Database(str(file)):
            yield
    else:
        database = tokyo.Database(str(file))
        yield
        assert database.close()


# Standard streams

closed = pytest.mark.parametrize("streams", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])


@every_file
@closed
def test_closed_standard_streams(file: str, streams: str, tmp_path: Path) -> None:
    server = Served(
        program_of(file),
        *("-pid", "pid", "-log", "log"),
        file=file,
        directory=tmp_path,
        shell=f'exec "$@" {streams}',
    )
    server.serves()
    assert not (tmp_path / "pid").exists()
    assert "[FINISH]" in (log := (tmp_path / "log").read_text()) or "logging finished" in log


@both
@closed
def test_closed_standard_streams_of_a_daemon(program: str, streams: str, tmp_path: Path) -> None:
    server = Served(
        program,
        *("-dmn", "-pid", "pid", "-log", "log"),
        file=file_of(program),
        directory=tmp_path,
        shell=f'exec "$@" {streams}',
    )
    assert server.ended()[0] == 0
    pid = int((tmp_path / "pid").read_text())
    with ended_later(pid):
        try:
            assert server.put()
        finally:
            os.kill(pid, signal.SIGTERM)
    assert not (tmp_path / "pid").exists()
    assert (tmp_path / file_of(program)).exists()


# Locked files


@every_file
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_wait_for_a_locked_file(file: str, number: int, tmp_path: Path) -> None:
    server = Served(program_of(file), "-pid", "pid", file=file, directory=tmp_path)
    with held(tmp_path / file):
        server.spawn()
        try:
            server.wait_for_output(f"{WAITING}{file}\n")
            assert server.stop(number) == 0
        finally:
            server.kill()
    assert not (tmp_path / "pid").exists()
    assert server.printed().count(WAITING) == 1
    assert "ERROR" not in server.printed()


@every_file
def test_who_comes_while_a_file_is_locked_is_served_later(file: str, tmp_path: Path) -> None:
    server = Served(program_of(file), "-pid", "pid", file=file, directory=tmp_path)
    with ExitStack() as lock:
        lock.enter_context(held(tmp_path / file))
        with server, server.connect() as peer:
            assert (tmp_path / "pid").read_text() == f"{server.process.pid}\n"
            if server.program == "kt-tycoon":
                peer.sendall(pack_rpc("set", [("key", KEY), ("value", VALUE)]))
            else:
                peer.sendall(record_request(codes.PUT, KEY, VALUE))
            server.wait_for_output(WAITING)
            lock.close()
            assert peer.recv(1) in (b"H", b"\0")
            assert server.get() == VALUE
            assert server.stop() == 0


@pytest.mark.parametrize(
    ("program", "args", "file"),
    [("kt-tycoon", ["-otl"], "casket.kch"), ("kt-tyrant", [], "casket.tch#mode=wcf")],
)
def test_who_shall_not_wait_fails(program: str, args: list[str], file: str, tmp_path: Path) -> None:
    server = Served(program, *args, file=file, directory=tmp_path)
    with held(tmp_path / file.partition("#")[0]):
        status, printed = server.ended()
    assert status == 1
    assert "locked" in printed.splitlines()[-1]
    assert WAITING not in printed


# Files that are none of ours


@pytest.mark.parametrize("file", FILES)
def test_a_file_that_is_no_database(file: str, tmp_path: Path) -> None:
    """It is said so, and the file stays as it is."""
    text = b"this is a text\n" * 100
    (tmp_path / file).write_bytes(text)
    status, printed = Served(program_of(file), file=file, directory=tmp_path).ended()
    assert status == 1
    message = printed.splitlines()[-1]
    assert message.startswith(f"{program_of(file)}: ")
    assert file in message
    assert "No such file" not in printed
    assert (tmp_path / file).read_bytes() == text


def test_a_database_of_another_type(tmp_path: Path) -> None:
    with held(tmp_path / "casket.tch"):
        pass
    (tmp_path / "casket.tch").rename(tmp_path / "casket.tcf")
    status, printed = Served("kt-tyrant", file="casket.tcf", directory=tmp_path).ended()
    assert status == 1
    assert printed.endswith("casket.tcf: not a database of this type, or broken\n")


# Flags of the originals that have no effect alone


@pytest.mark.parametrize(
    ("program", "flags"),
    [
        ("kt-tycoon", "-sid 1 -ulim 256m -uasi 1 -mport 1 -riv 1 -bgsi 9 -bgsc gz -plex x"),
        ("kt-tyrant", "-sid 1 -ulim 256m -uas -mport 1 -rts F -rcc"),
    ],
)
def test_flags_without_effect(program: str, flags: str, tmp_path: Path) -> None:
    Served(program, *flags.split(), file=file_of(program), directory=tmp_path).serves()


@pytest.mark.parametrize(
    ("program", "flag", "word"),
    [
        ("kt-tycoon", "-plex", "EXPRESSION"),
        ("kt-tycoon", "-mport", "NUMBER"),
        ("kt-tyrant", "-mport", "NUMBER"),
    ],
)
def test_such_a_flag_needs_its_word(program: str, flag: str, word: str, tmp_path: Path) -> None:
    server = Served(program, file=flag, directory=tmp_path)
    status, printed = server.ended()
    assert (status, printed) == (1, f"{program}: {flag} needs a value: {flag} {word}\n")


# The log: lines of the originals


def test_lines_of_ktserver(tmp_path: Path) -> None:
    server = Served("kt-tycoon", "-ls", file="casket.kct", directory=tmp_path)
    with server:
        server.put()
        server.stop()
    lines = [line.split(": ", 2)[2] for line in server.printed().splitlines()]
    address = f"expr=127.0.0.1:{server.port}"
    for line, words in zip(
        lines,
        [
            f"================ [START]: pid={server.process.pid}",
            "opening a database: path=casket.kct",
            f"starting the server: {address}",
            f"server socket opened: {address} timeout=30.0",
            "listening server socket started: fd=",
            "server stopped",
            "finishing the server",
            "closing the server socket",
            "closing a database: path=casket.kct",
            f"================ [FINISH]: pid={server.process.pid}",
        ],
        strict=True,
    ):
        assert line.startswith(words)


def test_lines_of_ttserver(tmp_path: Path) -> None:
    server = Served("kt-tyrant", "-pid", "pid", file="casket.tcb", directory=tmp_path)
    with server:
        server.put()
        server.stop()
    lines = [line.split("\t", 1)[1] for line in server.printed().splitlines()]
    wanted = [
        f"SYSTEM\t--------- logging started [{server.process.pid}] --------",
        f"SYSTEM\tprocess ID configuration: path=pid pid={server.process.pid}",
        f"SYSTEM\tserver configuration: host=127.0.0.1 port={server.port}",
        "SYSTEM\tmaximum connection: ",
        "SYSTEM\topening the database: casket.tcb",
        f"SYSTEM\tservice started: {server.process.pid}",
        "SYSTEM\tlistening started",
        "INFO\tconnected: 127.0.0.1:",
        "INFO\tconnection finished",
        "INFO\tsignal interruption",
        "SYSTEM\tlistening finished",
        "SYSTEM\tclosing the database",
        "SYSTEM\tservice finished",
        f"SYSTEM\t--------- logging finished [{server.process.pid}] --------",
    ]
    found = iter(lines)
    for words in wanted:
        assert any(line.startswith(words) for line in found), (words, lines)


@pytest.mark.parametrize(
    ("host", "shown"), [(None, "127.0.0.1"), ("127.0.0.1", "127.0.0.1"), ("", "0.0.0.0")]
)
def test_addresses_in_the_log(host: str | None, shown: str) -> None:
    """Without a host it is this machine, with an empty one every address."""
    options = ServiceOptions(program="p", host=host, port=free_port())
    place = TcpListener(options.host, options.port)
    assert place.expression == f"{shown}:{options.port}"
    place.close()


@both
def test_control_characters_are_escaped(program: str, tmp_path: Path) -> None:
    server = Served(program, file=file_of(program), directory=tmp_path)
    with server, server.connect() as peer:
        peer.sendall(b"G\x1b]0;title\x07 /\x9b HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n")
        peer.shutdown(socket.SHUT_WR)
        while peer.recv(1000):
            pass
        assert server.stop() == 0
    printed = (tmp_path / "output").read_bytes()
    assert not re.search(rb"[\0-\x08\x0b-\x1f\x7f]", printed)
