"""Programs that scripts run: ``io.popen``, which the Lua that comes with lupa lacks.

::

    io.popen(command)  --->  popen: a pipe; the program has one end of it
    io.open(path)      <---  path of the other end: a file of Lua's own
                       --->  opened: the pipe's ends that we hold are closed
    file:close()       --->  wait: until the program has ended
"""

from __future__ import annotations

import errno
import os
import re
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final

MODES: Final = re.compile(rb"[rw]e?")


class Program:
    """A program that runs, or has run.

    Attributes:
        path: opens our end of the pipe, until `opened` is called.
    """

    def __init__(self, command: bytes, mode: bytes) -> None:
        """Run a shell command. Raises `OSError`.

        Args:
            command: for the shell.
            mode: ``r``: the script reads what the program prints; ``w``: it writes what that reads.
        """
        self._ends: Sequence[int] = ()
        if not MODES.fullmatch(mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        reads = mode[:1] == b"r"
        self._ends = os.pipe()
        ours, its = self._ends if reads else reversed(self._ends)
        try:
            self._process = subprocess.Popen(
                [b"/bin/sh", b"-c", command],
                stdin=None if reads else its,
                stdout=its if reads else None,
            )
        except BaseException:
            self.opened()
            raise
        self.path = b"/dev/fd/%d" % ours

    def opened(self) -> None:
        """The script has its end of the pipe. (Before, opening it would wait for the program.)"""
        ends, self._ends = self._ends, ()
        for end in ends:
            os.close(end)

    def ends(self, seconds: float) -> bool:
        """Wait up to so many seconds; whether it has ended."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def __del__(self) -> None:
        """The script has let go of it: see that it is waited for when it ends."""
        self.opened()
        process = getattr(self, "_process", None)
        if process is not None and process.poll() is None:
            threading.Thread(target=process.wait, name="kt-program", daemon=True).start()


def program_host(wait: Callable[[Callable[[float], bool]], str | None]) -> Mapping[str, object]:
    """The host functions for programs.

    Args:
        wait: repeats a function that waits up to so many seconds until it returns true; returns
            why the script must end, if it must before that.
    """

    def popen(command: bytes, mode: bytes) -> tuple[bytes | None, Program | bytes, int]:
        try:
            program = Program(command, mode)
        except OSError as error:
            message = b"%b: %b" % (command, str(error.strerror).encode())
            return None, message, error.errno or 0
        return program.path, program, 0

    def popen_wait(program: Program) -> bytes | None:
        reason = wait(program.ends)
        return None if reason is None else reason.encode()

    return {"popen": popen, "popen_opened": Program.opened, "popen_wait": popen_wait}
