"""Long output goes to a pager, as it comes: `less`, or what PAGER names."""

from __future__ import annotations

import io
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

DEFAULT: Final = "less -FRX"


class Paged(io.RawIOBase):
    """Collects what is written until it fills the screen, and starts the pager then.

    Args:
        command: the pager's words.
        height: lines of the screen.
    """

    def __init__(self, command: list[str], height: int) -> None:
        self._command = command
        self._height = height
        self._kept = bytearray()
        self._pager: subprocess.Popen[bytes] | None = None

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(data)  # type: ignore[call-overload]  # a buffer, as the base class says
        if self._pager is not None:
            assert self._pager.stdin is not None
            self._pager.stdin.write(piece)
        else:
            self._kept += piece
            if self._kept.count(b"\n") >= self._height:
                self._start()
        return len(piece)

    def _start(self) -> None:
        self._pager = subprocess.Popen(self._command, stdin=subprocess.PIPE)
        assert self._pager.stdin is not None
        self._pager.stdin.write(self._kept)
        self._kept.clear()

    def finish(self, stdout: io.TextIOBase) -> None:
        """Show what is left, and wait until the user has read it."""
        if self._pager is None:
            stdout.buffer.write(self._kept)  # type: ignore[attr-defined]  # a text file has one
            stdout.flush()
            return
        try:
            assert self._pager.stdin is not None
            self._pager.stdin.close()
        except BrokenPipeError:
            pass  # the user has read enough
        self._pager.wait()


@contextmanager
def paged(wanted: bool) -> Iterator[None]:
    """Send what is printed through a pager, if it is wanted and standard output is a terminal."""
    command = shlex.split(os.environ.get("PAGER") or DEFAULT)
    if not wanted or not sys.stdout.isatty() or shutil.which(command[0]) is None:
        yield
        return
    stdout = sys.stdout
    sink = Paged(command, max(shutil.get_terminal_size().lines - 1, 2))
    sys.stdout = io.TextIOWrapper(sink, stdout.encoding, write_through=True)
    try:
        yield
    except BrokenPipeError:
        pass  # the same
    finally:
        sys.stdout = stdout
        sink.finish(stdout)  # type: ignore[arg-type]  # a text file
