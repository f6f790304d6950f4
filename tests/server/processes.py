"""Server processes, for tests of how they start, end, log and refuse, and for recorded traffic."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self

import pytest

from tests.ports import HOST, free_port

SECONDS = 30.0
"""How long anything here may take."""

BUNDLED = {
    "kt-tycoon": (sys.executable, "-m", "kt.server", "tycoon"),
    "kt-tyrant": (sys.executable, "-m", "kt.server", "tyrant"),
    "line-server": (sys.executable, str(Path(__file__).parent / "process/line_server.py")),
}


class ServerProcess:
    """A server that runs for a ``with`` block, in `directory`.

    Args:
        program: a key of `BUNDLED`, or the path of another program.
        args: arguments after -host and -port, before the databases.
        databases: database arguments.
        directory: its working directory.
        port: None for a free one.
        unix: path of a Unix socket to listen at instead.
        environment: changes to ours.
    """

    def __init__(
        self,
        program: str,
        *args: str,
        databases: Sequence[str] = (),
        directory: Path,
        port: int | None = None,
        unix: str | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.host, self.port = (unix, 0) if unix else (HOST, port or free_port())
        self.directory = directory
        self.environment = {**os.environ, **(environment or {})}
        self.command = [
            *BUNDLED.get(program, (program,)),
            *("-host", self.host, "-port", str(self.port)),
            *args,
            *databases,
        ]
        self.process: subprocess.Popen[bytes]

    def start(self) -> None:
        """Start it and wait until it listens."""
        self.spawn()
        deadline = monotonic() + SECONDS
        while True:
            try:
                self._connected().close()
            except OSError:
                self._still_starting(deadline)
            else:
                return

    def spawn(self) -> None:
        """Start it only."""
        with open(self.directory / "output", "ab") as output:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def _still_starting(self, deadline: float) -> None:
        try:
            status = self.process.wait(0.005)
        except subprocess.TimeoutExpired:
            assert monotonic() < deadline, "the server does not listen"
        else:
            raise AssertionError(f"ended with status {status}:\n{self.printed()}")

    def printed(self) -> str:
        """All that it has printed so far."""
        return (self.directory / "output").read_text(errors="replace")

    def wait_for_output(self, text: str) -> None:
        """Wait until it has printed `text`."""
        deadline = monotonic() + SECONDS
        while text not in self.printed():
            self._still_starting(deadline)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it by a signal; its exit status."""
        self.process.send_signal(number)
        return self.process.wait(SECONDS)

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Stop it, as by a debugger, for a ``with`` block."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def restart(self) -> None:
        self.stop()
        self.start()

    def memory(self) -> int:
        """Bytes of its memory that are resident; skips the test where a sanitizer adds its own."""
        return self._memory("VmRSS:")

    def forget_peak(self) -> None:
        """From now on `peak_memory` is about what comes."""
        try:
            Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")
        except OSError:
            pytest.skip("the kernel does not let the peak be forgotten")

    def peak_memory(self) -> int:
        """The most that `memory` has been."""
        return self._memory("VmHWM:")

    def _memory(self, name: str) -> int:
        maps = Path(f"/proc/{self.process.pid}/maps").read_text()
        if any(f"lib{name}.so" in maps for name in ("asan", "tsan", "msan")):
            pytest.skip("a sanitizer keeps memory of its own")
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
        raise AssertionError("the kernel does not say")

    @contextmanager
    def connect(self) -> Iterator[socket.socket]:
        with self._connected() as peer:
            yield peer

    def _connected(self) -> socket.socket:
        if self.port:
            return socket.create_connection((HOST, self.port), SECONDS)
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(SECONDS)
        try:
            peer.connect(self.host)
        except OSError:
            peer.close()
            raise
        return peer

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """End it, if it runs, without asking."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def refused(process: ServerProcess) -> str:
    """Start a server that must not; what it says."""
    process.spawn()
    try:
        assert process.process.wait(SECONDS) == 1
    finally:
        process.kill()
    return process.printed()


@contextmanager
def ended_later(pid: int) -> Iterator[None]:
    """At the end of the block, wait until a process that is not our child has ended."""
    handle = os.pidfd_open(pid)
    try:
        yield
        assert select.select([handle], [], [], SECONDS)[0], "the process does not end"
    finally:
        os.close(handle)
