"""The procedure `synchronize`: it may run a command while the database's file stands still.

The column ``command`` names a program in the directory of the option ``-cmd``. It is called with
the path of the database and a time stamp (nanoseconds since the epoch, 20 digits), and not through
a shell. While it runs, the database's locks are held: that is what it is for, a copy that ``cp``
makes is whole. So a call with a command is `Pace.EXCLUSIVE`.
"""

from __future__ import annotations

import errno
import os
import subprocess
import time

from kt.server.engines import EngineError
from kt.server.engines.kyoto._engine import Database
from kt.server.session import Journal
from kt.server.tycoon.procedures import Columns, Pace, Refused


class Synchronize:
    """The procedure, for one server.

    Args:
        directory: where its commands are.
        log: the server's log.
    """

    def __init__(self, directory: str, log: Journal) -> None:
        self._directory = os.path.abspath(directory)
        self._log = log

    @staticmethod
    def pace(columns: Columns) -> Pace:
        """With a command, the database stands still for as long as that takes."""
        return Pace.EXCLUSIVE if columns.get(b"command") else Pace.SLOW

    def __call__(self, database: Database, columns: Columns) -> Columns:
        command = os.fsdecode(columns.get(b"command", b""))

        def process(path: str, count: int, size: int) -> bool:
            return self._execute(command, path)

        try:
            database.synchronize(b"hard" in columns, process if command else None)
        except EngineError as error:
            # A command that fails counts as a fault of the server, whatever its number.
            raise Refused(500, str(error).encode()) from None
        return {}

    def _execute(self, command: str, path: str) -> bool:
        if "/" in command or "\0" in command or command in (".", ".."):
            self._log.info(f"invalid command name: {command}")
            return False
        self._log.system(f'executing: {command} "{path}"')
        words = [os.path.join(self._directory, command), path, f"{time.time_ns():020d}"]
        try:
            _run(words)
        except (OSError, subprocess.CalledProcessError) as error:
            self._log.error(f'execution failed: {command} "{path}": {error}')
            return False
        return True


def _run(words: list[str]) -> None:
    """Run a program, or, as shells and execvp do, give a script without a ``#!`` line to the shell.

    Raises:
        OSError: it does not start.
        CalledProcessError: it failed.
    """
    try:
        subprocess.run(words, stdin=subprocess.DEVNULL, check=True)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
        subprocess.run(["/bin/sh", *words], stdin=subprocess.DEVNULL, check=True)
