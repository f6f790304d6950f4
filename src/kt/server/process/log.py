"""The servers' log: a line per event, ``TIME: [LEVEL]: message``, as the original ktserver has it.

Programs that start servers wait for certain lines. So where the original has a line ours is the
same, and what we have to add comes behind its words. Those that both servers have, each in the
words of its original, are methods here: `Log.started` to `Log.finished`.

A message may hold anything that clients send. Control characters are escaped, or they would do
something to the terminal of whoever reads the log; what follows a line's end is indented, so it
cannot be taken for a line of ours.

Four levels, each including those above it: DEBUG; INFO, every connection and request; SYSTEM,
start and stop and what the server does by itself; ERROR. A line below the chosen level costs one
attribute test where the caller asks `Log.info_wanted` first, which the request path does.

DEBUG and INFO lines are kept until `Log.flush`, which the server calls ten times a second, so a
busy server writes many lines at once. SYSTEM and ERROR lines are written at once, with all before
them. Any thread may log.
"""

from __future__ import annotations

import os
import re
import resource
import threading
import time
from enum import IntEnum
from typing import Protocol

BUFFERED_LINES = 1000
"""So many kept lines are written without waiting for `Log.flush`."""


_CONTROL = re.compile("[\0-\b\v-\x1f\x7f-\x9f]")


class Place(Protocol):
    """Where a server listens, as far as the log shows it.

    Attributes:
        configuration: host and port of the command line.
        expression: address and port, or a path.
    """

    configuration: tuple[str | None, int]
    expression: str

    def fileno(self) -> int:
        """The socket's descriptor."""


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
        if not message.isprintable():
            message = harmless(message)
        with self._lock:
            self._lines.append(self.format(self._time(when or time.time()), level, message))
        if len(self._lines) >= BUFFERED_LINES:
            self.flush()

    def format(self, when: str, level: Level, message: str) -> str:
        """One line of the log, as the server of this protocol writes it."""
        return f"{when}: [{level.name}]: {message}\n"

    # Lines that both servers have

    def started(self, program: str, version: str) -> None:
        """The first line."""
        self.system(f"================ [START]: pid={os.getpid()} ({program} {version})")

    def configured(self, place: Place, pid_path: str | None) -> None:
        """It has its address; nobody is served yet."""

    def listening(self, place: Place, timeout: float) -> None:
        """The databases are open, and clients are served."""
        self.system(f"starting the server: expr={place.expression}")
        self.system(f"server socket opened: expr={place.expression} timeout={timeout:.1f}")
        self.system(f"listening server socket started: fd={place.fileno()} expr={place.expression}")

    def connected(self, peer: str) -> None:
        """A client has come."""
        self.info(f"connected: expr={peer}")

    def disconnected(self, peer: str) -> None:
        """A client is gone."""
        self.info(f"disconnecting: expr={peer}")

    def stopping(self) -> None:
        """The end has begun."""
        self.system("server stopped")
        self.system("finishing the server")

    def left(self) -> None:
        """Nobody is served any more."""
        self.system("closing the server socket")

    def finished(self, program: str) -> None:
        """The last line."""
        self.system(f"================ [FINISH]: pid={os.getpid()} ({program})")

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


class TyrantLog(Log):
    """kt-tyrant's, as the original ttserver has it: ``TIME tab LEVEL tab message``."""

    def format(self, when: str, level: Level, message: str) -> str:
        return f"{when[:19]}{when[26:]}\t{level.name}\t{message}\n"

    def started(self, program: str, version: str) -> None:
        self.system(f"--------- logging started [{os.getpid()}] -------- ({program} {version})")

    def configured(self, place: Place, pid_path: str | None) -> None:
        if pid_path is not None:
            self.system(f"process ID configuration: path={pid_path} pid={os.getpid()}")
        host, port = place.configuration
        self.system(f"server configuration: host={host or '(any)'} port={port}")
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.system(f"maximum connection: {files}")

    def listening(self, place: Place, timeout: float) -> None:
        self.system(f"service started: {os.getpid()}")
        self.system(f"listening started: {place.expression}")

    def connected(self, peer: str) -> None:
        self.info(f"connected: {peer}")

    def disconnected(self, peer: str) -> None:
        self.info(f"connection finished: {peer}")

    def stopping(self) -> None:
        self.info("signal interruption")
        self.system("listening finished")

    def left(self) -> None:
        """The original has no line here."""

    def finished(self, program: str) -> None:
        self.system("service finished")
        self.system(f"--------- logging finished [{os.getpid()}] --------")


def harmless(message: str) -> str:
    """The text without control characters that would do something to a terminal."""
    shown = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", message)
    return shown.replace("\n", "\n\t")
