"""The shell that both servers share, by a server of lines."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..processes import SECONDS, ServerProcess

StartLines = Callable[..., ServerProcess]


@pytest.fixture
def start_lines(tmp_path: Path) -> Iterator[StartLines]:
    started: list[ServerProcess] = []

    def start(*args: str, environment: dict[str, str] | None = None) -> ServerProcess:
        server = ServerProcess("line-server", *args, directory=tmp_path, environment=environment)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.kill()


@pytest.fixture(params=["uvloop", "asyncio"])
def lines(start_lines: StartLines, tmp_path: Path, request: pytest.FixtureRequest) -> ServerProcess:
    """A server of lines on each kind of event loop."""
    if request.param == "asyncio":
        (tmp_path / "uvloop.py").write_text("raise ImportError('not here')")
    return start_lines(environment={"PYTHONPATH": str(tmp_path)})


def talk(server: ServerProcess, data: bytes) -> bytes:
    """Send `data`, end our side, and return all that comes back."""
    with server.connect() as peer:
        peer.sendall(data)
        peer.shutdown(socket.SHUT_WR)
        return everything(peer)


def everything(peer: socket.socket) -> bytes:
    """What comes until the server ends the connection."""
    received = b""
    while data := peer.recv(1 << 16):
        received += data
    return received


def send_until_blocked(peer: socket.socket, data: bytes) -> int:
    """Send `data` again and again until no more is taken; returns how many bytes were."""
    peer.settimeout(0.5)
    sent = 0
    try:
        while sent < 100_000_000:
            sent += peer.send(data)
    except TimeoutError:
        return sent
    raise AssertionError("the server takes any number of bytes")


def test_lines_are_answered_in_order(lines: ServerProcess) -> None:
    (lines.directory / "go").touch()
    assert talk(lines, b"1\nslow 2\n3\nslow 4\nslow 5\n6\n") == b"1\nslow 2\n3\nslow 4\nslow 5\n6\n"


def test_a_cut_line_may_be_answered(lines: ServerProcess) -> None:
    assert talk(lines, b"1\nhalf") == b"1\ncut"


def test_a_handler_that_fails_ends_its_connection_only(lines: ServerProcess) -> None:
    with lines.connect() as other:
        assert talk(lines, b"1\nboom\n2\n") == b"1\nfailed"
        other.sendall(b"still here\nquit\nignored\n")
        assert everything(other) == b"still here\nbye\n"
    printed = lines.printed()
    assert "[ERROR]: (127.0.0.1:" in printed
    assert "Traceback (most recent call last):" in printed
    assert "RuntimeError: the handler's fault" in printed


def test_a_thread_that_fails_ends_its_connection_only(lines: ServerProcess) -> None:
    with lines.connect() as other:
        assert talk(lines, b"1\nslow boom\n2\n") == b"1\nfailed"
        other.sendall(b"quit\n")
        assert everything(other) == b"bye\n"
    assert "RuntimeError: the thread's fault" in lines.printed()


def test_others_are_served_while_a_thread_works(lines: ServerProcess) -> None:
    with lines.connect() as slow:
        slow.sendall(b"slow 1\n2\nquit\n")
        for number in range(100):
            assert talk(lines, b"%d\n" % number) == b"%d\n" % number
        (lines.directory / "go").touch()
        assert everything(slow) == b"slow 1\n2\nbye\n"


def test_a_peer_that_leaves_in_the_middle_harms_nobody(lines: ServerProcess) -> None:
    for _ in range(20):
        with lines.connect() as peer:
            peer.sendall(b"slow 1\n")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1] + [0] * 7))  # a reset
    (lines.directory / "go").touch()
    assert talk(lines, b"1\n") == b"1\n"
    assert lines.stop() == 0
    assert "Traceback" not in lines.printed()


def test_what_runs_at_the_end_is_answered(lines: ServerProcess) -> None:
    with lines.connect() as busy, lines.connect() as idle:
        busy.sendall(b"slow 1\n2\nhalf")
        idle.sendall(b"1\n")
        assert idle.recv(100) == b"1\n"
        lines.process.send_signal(signal.SIGTERM)
        assert everything(idle) == b""
        (lines.directory / "go").touch()
        assert everything(busy) == b"slow 1\n2\ncut"
    assert lines.process.wait(SECONDS) == 0


def test_it_does_not_listen_any_more_while_it_ends(lines: ServerProcess) -> None:
    with lines.connect() as busy, lines.connect() as idle:
        busy.sendall(b"slow 1\n")
        idle.sendall(b"1\n")
        assert idle.recv(100) == b"1\n"
        lines.process.send_signal(signal.SIGTERM)
        assert everything(idle) == b""
        with pytest.raises(ConnectionRefusedError):
            lines.connect().__enter__()
        (lines.directory / "go").touch()
    assert lines.process.wait(SECONDS) == 0


def test_a_hang_up_is_ignored_after_nohup(start_lines: StartLines) -> None:
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        lines = start_lines()
    finally:
        signal.signal(signal.SIGHUP, ignored)
    lines.process.send_signal(signal.SIGHUP)
    assert talk(lines, b"1\n") == b"1\n"
    assert lines.stop() == 0


def test_a_peer_that_sends_on_gets_the_last_answer(lines: ServerProcess) -> None:
    """Its bytes are thrown away; a socket closed with unread bytes would lose the answer."""
    with lines.connect() as peer:
        peer.sendall(b"quit\n" + b"x" * 1_000_000)
        assert everything(peer) == b"bye\n"
        peer.sendall(b"x" * 100_000)


def test_a_peer_that_does_not_read_is_not_read_from(lines: ServerProcess) -> None:
    before = lines.memory()
    line = b"x" * 999 + b"\n"
    with lines.connect() as peer:
        sent = send_until_blocked(peer, line * 100)
        assert lines.memory() - before < 5_000_000
        assert talk(lines, b"1\n") == b"1\n"
        peer.settimeout(SECONDS)
        peer.shutdown(socket.SHUT_WR)
        answered = 0
        while data := peer.recv(1 << 16):
            answered += len(data)
    assert sent - len(line) < answered <= sent + len(b"cut")
