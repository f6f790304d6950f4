"""The process around a server: going to the background, the pid file, the number of open files."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable


def go_to_background() -> Callable[[], None]:
    """Split off a background process, and return in that one only.

    The process that the user started ends when the returned function has been called, with status
    0, or when the background process has ended before that, with status 1. So its status says
    whether the server has come up, and until then messages still reach the terminal. The working
    directory is kept, so relative paths mean what they meant (the originals change to ``/``).
    """
    reading, writing = os.pipe()
    if os.fork():
        os.close(writing)
        os._exit(0 if os.read(reading, 1) else 1)
    os.close(reading)
    os.setsid()
    if os.fork():
        os._exit(0)

    def ready() -> None:
        sys.stdout.flush()
        null = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(null, standard)
        os.close(null)
        os.write(writing, b"!")
        os.close(writing)

    return ready


class PidFile:
    """A file that holds the process ID for as long as the server runs.

    Args:
        path: the file; None for no file.
    """

    def __init__(self, path: str | None) -> None:
        self.path = None if path is None else os.path.abspath(path)

    def write(self) -> None:
        """Raises OSError if the file cannot be written."""
        if self.path is not None:
            with open(self.path, "w", encoding="ascii") as file:
                file.write(f"{os.getpid()}\n")

    def remove(self) -> None:
        """Remove it, unless another server has written its own meanwhile."""
        if self.path is None:
            return
        try:
            with open(self.path, encoding="ascii") as file:
                if file.read().strip() != str(os.getpid()):
                    return
            os.remove(self.path)
        except OSError:
            return


def allow_many_files() -> None:
    """Raise the limit of open files, and so of connections, as far as it goes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            return
