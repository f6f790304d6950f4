"""The servers' log: a line per event, ``TIME: [LEVEL]: message``, as the original ktserver has it.

Four levels, each including those above it: DEBUG; INFO, every connection and request; SYSTEM,
start and stop and what the server does by itself; ERROR. A line below the chosen level costs one
attribute test where the caller asks `Log.info_wanted` first, which the request path does.

DEBUG and INFO lines are kept until `Log.flush`, which the server calls ten times a second, so a
busy server writes many lines at once. SYSTEM and ERROR lines are written at once, with all before
them. Any thread may log.
"""

from __future__ import annotations

import os
import threading
import time
from enum import IntEnum

BUFFERED_LINES = 1000
"""So many kept lines are written without waiting for `Log.flush`."""


class Level(IntEnum):
    """How important a line is, and the least important level that a log keeps."""

    DEBUG = 0
    INFO = 1
    SYSTEM = 2
    ERROR = 3
    NOTHING = 4


class Log:
    """A log file, or standard output.

    Args:
        path: file to append to; None for standard output.
        level: lines of lower level are dropped.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: str | None, level: Level) -> None:
        self.path = path
        self.level = level
        self.info_wanted = level <= Level.INFO
        self._lines: list[str] = []
        self._lock = threading.Lock()
        self._second = -1
        self._stamp = ("", "")
        self._file = self._open()

    def _open(self) -> int:
        if self.path is None:
            return 1
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def reopen(self) -> None:
        """Go on in a new file of the same name: the old one has been moved away.

        Raises:
            OSError: the new file cannot be opened; the log goes on in the old one.
        """
        new = self._open()
        self.flush()
        with self._lock:
            old, self._file = self._file, new
        if self.path is not None:
            os.close(old)

    def close(self) -> None:
        """Write what is kept and close the file."""
        self.flush()
        if self.path is not None:
            os.close(self._file)

    def debug(self, message: str) -> None:
        self._add(Level.DEBUG, message)

    def info(self, message: str, when: float | None = None) -> None:
        """Log what has just happened, or at this Unix time."""
        self._add(Level.INFO, message, when)

    def system(self, message: str) -> None:
        self._add(Level.SYSTEM, message)
        self.flush()

    def error(self, message: str) -> None:
        self._add(Level.ERROR, message)
        self.flush()

    def _add(self, level: Level, message: str, when: float | None = None) -> None:
        if level < self.level:
            return
        with self._lock:
            self._lines.append(self.format(self._time(when or time.time()), level, message))
        if len(self._lines) >= BUFFERED_LINES:
            self.flush()

    def format(self, when: str, level: Level, message: str) -> str:
        """One line of the log, as the server of this protocol writes it."""
        return f"{when}: [{level.name}]: {message}\n"

    def _time(self, now: float) -> str:
        """Local time with microseconds and the zone's offset: ``2010-01-01T12:00:00.000000Z``."""
        second = int(now)
        if second != self._second:
            local = time.localtime(second)
            zone = time.strftime("%z", local)
            zone = "Z" if zone in ("+0000", "") else f"{zone[:3]}:{zone[3:]}"
            self._second = second
            self._stamp = (time.strftime("%Y-%m-%dT%H:%M:%S", local), zone)
        stamp, zone = self._stamp
        return f"{stamp}.{int((now - second) * 1e6):06d}{zone}"

    def flush(self) -> None:
        """Write what is kept.

        What cannot be written (disk full, reader gone) is lost silently: there is no better place
        to say so, and it must not stop the server.
        """
        if not self._lines:
            return
        with self._lock:
            data = "".join(self._lines).encode("utf-8", "backslashreplace")
            self._lines.clear()
            try:
                while data:
                    data = data[os.write(self._file, data) :]
            except OSError:
                pass
