"""The process around a server: standard streams, background, pid file, number of open files."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from kt.errors import ImproperlyConfigured

if TYPE_CHECKING:
    from kt.server.process.log import Log

KILL_AFTER = 10.0
"""Seconds that a server has to end after it was asked to."""


def open_standard_streams() -> None:
    """Give the standard streams that are closed to nobody, who reads and writes nothing.

    Else the next files and sockets that are opened would take their numbers, and get what programs
    print; uvloop ends the process when it has to close one of these.
    """
    for standard in (0, 1, 2):
        try:
            os.fstat(standard)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
            os.set_inheritable(standard, True)


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
        if sys.stdout is not None:  # as it is where it was closed
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

    def running(self) -> int | None:
        """The process ID in the file, if that process runs and is not this one."""
        if self.path is None:
            return None
        try:
            with open(self.path, encoding="ascii") as file:
                number = int(file.read())
            os.kill(number, 0)
        except PermissionError:
            return number
        except (OSError, ValueError):
            return None
        return None if number == os.getpid() else number

    def make_room(self, kill: bool, log: Log) -> None:
        """See to it that no other server has the file.

        Raises:
            ImproperlyConfigured: one has, and we shall not end it, or may not.
        """
        process = self.running()
        if process is None:
            return
        if not kill:
            raise ImproperlyConfigured(f"the process {process} may be already running; -kl ends it")
        log.info(f"warning: killing the process {process} with SIGTERM")
        self.end_running()

    def end_running(self) -> None:
        """End the process that the file names, if it runs; kill it if it does not end in time.

        Raises:
            ImproperlyConfigured: it may not be ended.
        """
        number: int = signal.SIGTERM
        deadline = time.monotonic() + KILL_AFTER
        while (process := self.running()) is not None:
            try:
                os.kill(process, number)
            except PermissionError:
                raise ImproperlyConfigured(f"the process {process} cannot be ended") from None
            except ProcessLookupError:
                return
            time.sleep(0.1)
            number = signal.SIGKILL if time.monotonic() > deadline else 0

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
