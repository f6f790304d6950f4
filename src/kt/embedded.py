"""A server of one's own: started as a sub-process, used through its client, stopped with us.

``EmbeddedServer().run()`` makes four processes of one::

    this process ──┬── server            in a process group of its own
                   ├── sh (the guard)    reads a pipe that only we hold; at its end of file, which
                   │                     comes however we end, it stops the server's group
                   └── tail              reads what the server prints and keeps the end of it

Nothing survives us, by this order of events: the server begins as a shell that waits at a gate (its
standard input), the guard is told its process id, and only then the gate opens and the shell
becomes the server. If we die before that, the gate reads end of file and the shell ends; if we die
after it, the guard acts. A normal end and an exception stop the server through `atexit`. A child
made by `os.fork` holds the guard's pipe too: the guard then acts when the last copy has ended.

The server is up when it answers a request and says that its process is in our group: a stranger on
the same port is not mistaken for it. A port that we chose ourselves and that somebody else took
before the server could is replaced by another.
"""

from __future__ import annotations

import atexit
import errno
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from kt.client.arguments import checked_host, checked_port, checked_seconds
from kt.errors import (
    ArgumentError,
    ImproperlyConfigured,
    KTError,
    ServerConnectionError,
    ServerStartError,
)

if TYPE_CHECKING:
    from ssl import SSLContext
    from types import TracebackType
    from typing import Self

    from kt.client.tycoon.client import KyotoTycoon
    from kt.client.tyrant.client import TokyoTyrant

PORTS = range(10_000, 32_768)
"""Where free ports are looked for. ktserver refuses those above; ours are below the ephemeral ones,
so that no outgoing connection takes them."""

OUTPUT_LIMIT = 65_536
"""Bytes of the server's output that are kept."""

ATTEMPTS = 10
"""How often `run` tries another port when somebody else was faster."""

POLL_SECONDS = 0.01
"""Pause between two questions whether the server is up."""

QUESTION_SECONDS = 1.0
"""How long one such question may wait for its answer."""

# Writing to our ended `tail` must not kill a server that is closing its files: ignore SIGPIPE.
_GATE = 'trap "" PIPE; read -r go && exec "$@" </dev/null'

_TAIL = 'PATH=$PATH:/usr/bin:/bin; exec tail -c "$1"'

# $1 is the server's process group. A line on the pipe says that the server is gone already.
_GUARD = """
PATH=$PATH:/usr/bin:/bin
trap "" HUP INT TERM
read -r done && exit
kill -s TERM -- -"$1"
for second in 1 2 3 4 5 6 7 8 9 10; do
    sleep 1
    kill -s 0 -- -"$1" || exit
done
kill -s KILL -- -"$1"
"""


class _Process:
    """A running server that ends when we do.

    Attributes:
        pid: process id of the server, and of its process group.
        owner: process id of whoever started it.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.owner = os.getpid()
        with ExitStack() as undo:
            self._tail = _spawn(_TAIL, str(OUTPUT_LIMIT), stdout=subprocess.PIPE)
            undo.callback(_finish, self._tail)
            self._server = _spawn(_GATE, *command, stdout=_stdin(self._tail))
            undo.callback(_finish, self._server)
            # The server holds this end of the pipe now, and tail ends when the server does.
            _stdin(self._tail).close()
            self._tail.stdin = None
            self.pid = self._server.pid
            self._guard = _spawn(_GUARD, str(self.pid))
            undo.callback(_finish, self._guard)
            _say(self._server)
            undo.pop_all()

    @property
    def status(self) -> int | None:
        """Exit status, None while the server runs."""
        return self._server.poll()

    def wait(self, seconds: float) -> bool:
        """Wait for the server's end, at most `seconds`; True if it has ended."""
        try:
            self._server.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def owns(self, pid: int) -> bool:
        """True if `pid` is the server or one that it started."""
        try:
            return os.getpgid(pid) == self.pid
        except ProcessLookupError:
            return False

    def end(self, seconds: float) -> str:
        """Stop the server, by force after `seconds`; return the end of what it had printed."""
        if self.status is None:
            os.killpg(self.pid, signal.SIGTERM)
            if not self.wait(seconds):
                os.killpg(self.pid, signal.SIGKILL)
                self._server.wait()
        _say(self._guard)
        self._guard.wait()
        try:
            output, _ = self._tail.communicate(timeout=QUESTION_SECONDS)
        except subprocess.TimeoutExpired:  # somebody else still holds the server's output
            self._tail.kill()
            output, _ = self._tail.communicate()
        return str(output.decode(errors="replace"))


def _spawn(
    script: str, *arguments: str, stdout: Any = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """Start a shell script away from our terminal's signals, with a pipe to its standard input."""
    return subprocess.Popen(
        ["/bin/sh", "-c", script, "sh", *arguments],
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _stdin(process: subprocess.Popen[bytes]) -> Any:
    assert process.stdin is not None  # every process here was made by _spawn
    return process.stdin


def _say(process: subprocess.Popen[bytes]) -> None:
    """Send the line that a gate or a guard waits for."""
    try:
        with _stdin(process) as pipe:
            pipe.write(b"\n")
    except BrokenPipeError:
        pass  # it has ended; whoever waits for it will see that


def _finish(process: subprocess.Popen[bytes]) -> None:
    """Take back a process of a start that failed half-way."""
    process.kill()
    process.communicate()


def _is_free(host: str, port: int) -> bool:
    """False if somebody else has this port (what else may be wrong, the server will say)."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno != errno.EADDRINUSE
    return True


def _free_port(host: str) -> int:
    for _ in range(1_000):
        port = PORTS[int.from_bytes(os.urandom(4)) % len(PORTS)]
        if _is_free(host, port):
            return port
    raise ServerStartError(f"no free port at {host} between {PORTS[0]} and {PORTS[-1]}")


def _words(name: str, values: Iterable[str | os.PathLike[str]]) -> list[str]:
    """The values of an argument as words of a command line."""
    given = list(values) if isinstance(values, Iterable) else [values]
    words = [os.fspath(value) for value in given if isinstance(value, str | os.PathLike)]
    if len(words) < len(given) or any("\0" in word for word in words):
        raise ArgumentError(f"{name} cannot be {values!r}")
    return words


class _Client(Protocol):
    def close(self) -> None: ...


ClientT = TypeVar("ClientT", bound=_Client)


class _EmbeddedServer(ABC, Generic[ClientT]):
    """What both servers share. Every method may be called from any thread."""

    _kind: ClassVar[str]  # argument of `python -m kt.server`
    _original: ClassVar[str]  # name of the original program
    _quiet: ClassVar[str]  # flag against a line in the log for every request
    _script: ClassVar[str]  # flag for a file with Lua functions

    def __init__(
        self,
        server: str | os.PathLike[str],
        host: str,
        port: int | None,
        database: str | os.PathLike[str] | Sequence[str],
        server_args: str | Sequence[str] | None,
        start_timeout: float,
        stop_timeout: float,
        scripts: str | os.PathLike[str] | None,
        ssl: SSLContext | None,
    ) -> None:
        self.server = _words("server", [server])[0]
        self._port = None if port is None else checked_port(port)
        self.host = checked_host(host, self._port)
        self.databases = _words(
            "database", [database] if isinstance(database, str | os.PathLike) else database
        )
        self.server_args = _words(
            "server_args",
            shlex.split(server_args) if isinstance(server_args, str) else server_args or (),
        )
        self.scripts = None if scripts is None else _words("scripts", [scripts])[0]
        self.output = ""
        self._ssl = ssl
        self._port_is_given = port is not None
        self._start_timeout = checked_seconds(start_timeout, "start_timeout")
        self._stop_timeout = checked_seconds(stop_timeout, "stop_timeout")
        self._process: _Process | None = None
        self._client: ClientT | None = None
        self._lock = threading.RLock()
        if "-dmn" in self.server_args:
            raise ImproperlyConfigured("an embedded server cannot be a daemon: leave out -dmn")

    @abstractmethod
    def connect(self, **options: Any) -> ClientT:
        """A new client of this server, with these options of the client's class.

        Raises:
            ServerConnectionError: the server has not been started.
        """

    @abstractmethod
    def _answering(self, client: ClientT) -> int:
        """Process id of the server that answers this client."""

    @property
    def port(self) -> int:
        """The port to listen at, or in use; a free one if none was given.

        It stays the same when the server is started again. Only if somebody else takes a port that
        we chose before the server could, `run` chooses another one.
        """
        with self._lock:
            if self._port is None:
                self._port = _free_port(self.host)
            return self._port

    @port.setter
    def port(self, port: int) -> None:
        self._port = checked_port(port)

    @property
    def running(self) -> bool:
        """True from a successful `run` until the server ends, by `stop` or by itself."""
        process = self._process
        return process is not None and process.status is None

    @property
    def pid(self) -> int | None:
        """The server's process id; None when it does not run."""
        process = self._process
        return process.pid if process is not None and process.status is None else None

    @property
    def client(self) -> ClientT:
        """A client of this server with default options, the same one until `stop` closes it.

        Raises:
            ServerConnectionError: the server has not been started.
        """
        with self._lock:
            if self._client is None:
                self._client = self.connect()
            return self._client

    def run(self) -> bool:
        """Start the server and wait until it answers.

        Returns:
            True; False if it was running already.

        Raises:
            ServerStartError: there is no such program, or it ended before it answered, or it did
                not answer within `start_timeout` seconds; `output` is what it had printed.
        """
        with self._lock:
            if self.running:
                return False
            self._end()
            deadline = monotonic() + self._start_timeout
            for attempt in range(ATTEMPTS):
                try:
                    self._start(deadline)
                except ServerStartError:
                    if attempt + 1 == ATTEMPTS or not self._lost_port():
                        raise
                else:
                    atexit.register(self.stop)
                    return True
            raise AssertionError("the last attempt returns or raises")

    def stop(self) -> bool:
        """Stop the server as SIGTERM does: it finishes what it has begun and closes its files.

        After `stop_timeout` seconds it is killed. `output` is what it had printed.

        Returns:
            True if this call stopped it; False if it was not running, or had ended by itself, or
            was started by another process (that forked us).
        """
        process = self._process
        if process is None or process.owner != os.getpid():
            return False
        with self._lock:
            running = self.running
            self._end()
            return running

    def restart(self) -> bool:
        """Stop the server if it runs and start it again, at the same port; as `run`."""
        with self._lock:
            self.stop()
            return self.run()

    def __enter__(self) -> Self:
        self.run()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = f"pid {self.pid}" if self.running else "not running"
        return f"<{type(self).__name__} {self.server} at {self.host}:{self.port}, {state}>"

    def _address(self) -> tuple[str, int]:
        if self._process is None:
            raise ServerConnectionError(f"{self!r} is not running: call run() first", sent=False)
        return self.host, self.port

    def _program(self) -> tuple[str, list[str]]:
        """Name of the program to run, and the words that run it."""
        found = shutil.which(self.server)
        bundled = f"kt-{self._kind}"
        if self.server == bundled or (self.server == self._original and not found):
            # Safe path: a module of ours is not to be found in the caller's working directory.
            return bundled, [sys.executable, "-P", "-m", "kt.server", self._kind]
        if found is None:
            raise ServerStartError(f"there is no program {self.server!r} that can be run")
        return self.server, [found]

    def _arguments(self) -> list[str]:
        first = self.databases[0] if self.databases else ""
        return [
            *("-host", self.host),
            *("-port", str(self.port)),
            self._quiet,
            *((self._script, self.scripts) if self.scripts is not None else ()),
            *self.server_args,
            *(["--"] if first.startswith("-") else []),
            *self.databases,
        ]

    def _start(self, deadline: float) -> None:
        name, command = self._program()
        self._process = _Process([*command, *self._arguments()])
        try:
            trouble = self._trouble(self._process, deadline)
        except BaseException:
            self._end()
            raise
        if trouble is not None:
            self._end()
            message = f"{name} {trouble}"
            if self.output:
                message += f"; it had printed:\n{self.output.rstrip()}"
            raise ServerStartError(message, output=self.output)

    def _trouble(self, process: _Process, deadline: float) -> str | None:
        """Wait until the server answers; return what went wrong, None if nothing did."""
        client = self.connect(timeout=QUESTION_SECONDS)
        try:
            while True:
                if process.wait(POLL_SECONDS):
                    return f"ended with status {process.status} before it answered"
                if monotonic() > deadline:
                    return f"did not answer within {self._start_timeout:g} seconds"
                try:
                    if process.owns(self._answering(client)):
                        return None
                except (KTError, KeyError, ValueError):
                    pass  # it does not listen yet, or somebody else answered
        finally:
            client.close()

    def _lost_port(self) -> bool:
        """After a failed start: forget the port if it was our choice and somebody has taken it."""
        if self._port_is_given or _is_free(self.host, self.port):
            return False
        self._port = None
        return True

    def _end(self) -> None:
        """Stop what there is to stop, running or not."""
        client, self._client = self._client, None
        process, self._process = self._process, None
        atexit.unregister(self.stop)
        if client is not None:
            client.close()
        if process is not None:
            self.output = process.end(self._stop_timeout)


class EmbeddedServer(_EmbeddedServer["KyotoTycoon"]):
    """A Kyoto Tycoon server in a sub-process.

    ::

        with EmbeddedServer() as server:
            server.client.set("k1", "v1")

    Args:
        server: ``"ktserver"`` is the original where it is installed, else our own kt-tycoon;
            ``"kt-tycoon"`` is always our own; anything else is the program to run.
        host: address to listen at.
        port: port to listen at, at most 32767; None chooses a free one.
        database: database file or type, or several of them; default is a hash table in memory.
        server_args: further command-line arguments, before the databases: a list, or text that is
            split as a shell does.
        start_timeout: seconds that `run` waits for an answer; opening a big file may take long.
        stop_timeout: seconds that `stop` waits before it kills the server.
        scripts: file with Lua functions that clients may call, such as `kt.lua.SCRIPTS`.
        ssl: by which clients check the server's certificate, if `server_args` have it speak TLS.

    Attributes:
        output: the end of what a server that has ended had printed.

    Raises:
        ArgumentError: an argument is of the wrong type, or out of range.
        ImproperlyConfigured: `server_args` contain an option that cannot be used here.
    """

    _kind = "tycoon"
    _original = "ktserver"
    _quiet = "-ls"
    _script = "-scr"

    def __init__(
        self,
        server: str | os.PathLike[str] = "ktserver",
        host: str = "127.0.0.1",
        port: int | None = None,
        database: str | os.PathLike[str] | Sequence[str] = "*",
        server_args: str | Sequence[str] | None = None,
        *,
        start_timeout: float = 60.0,
        stop_timeout: float = 60.0,
        scripts: str | os.PathLike[str] | None = None,
        ssl: SSLContext | None = None,
    ) -> None:
        super().__init__(
            server, host, port, database, server_args, start_timeout, stop_timeout, scripts, ssl
        )

    def connect(self, **options: Any) -> KyotoTycoon[Any, Any]:
        """A new `KyotoTycoon` for this server, with these options; the caller closes it."""
        from kt.client.tycoon.client import KyotoTycoon

        return KyotoTycoon(*self._address(), **{"ssl": self._ssl, **options})

    def _answering(self, client: KyotoTycoon[Any, Any]) -> int:
        return int(client.report()["serv_proc_id"])


class EmbeddedTokyoTyrantServer(_EmbeddedServer["TokyoTyrant"]):
    """A Tokyo Tyrant server in a sub-process.

    ::

        with EmbeddedTokyoTyrantServer() as server:
            server.client.set("k1", "v1")

    Args:
        server: ``"ttserver"`` is the original where it is installed, else our own kt-tyrant;
            ``"kt-tyrant"`` is always our own; anything else is the program to run.
        host: address to listen at.
        port: port to listen at; None chooses a free one.
        database: database file or type; default is a hash table in memory.
        server_args: further command-line arguments, before the database: a list, or text that is
            split as a shell does.
        start_timeout: seconds that `run` waits for an answer; opening a big file may take long.
        stop_timeout: seconds that `stop` waits before it kills the server.
        scripts: file with Lua functions that clients may call, such as `kt.lua.SCRIPTS`.
        ssl: by which clients check the server's certificate, if `server_args` have it speak TLS.

    Attributes:
        output: the end of what a server that has ended had printed.

    Raises:
        ArgumentError: an argument is of the wrong type, or out of range.
        ImproperlyConfigured: `server_args` contain an option that cannot be used here.
    """

    _kind = "tyrant"
    _original = "ttserver"
    _quiet = "-le"
    _script = "-ext"

    def __init__(
        self,
        server: str | os.PathLike[str] = "ttserver",
        host: str = "127.0.0.1",
        port: int | None = None,
        database: str | os.PathLike[str] = "*",
        server_args: str | Sequence[str] | None = None,
        *,
        start_timeout: float = 60.0,
        stop_timeout: float = 60.0,
        scripts: str | os.PathLike[str] | None = None,
        ssl: SSLContext | None = None,
    ) -> None:
        super().__init__(
            server, host, port, database, server_args, start_timeout, stop_timeout, scripts, ssl
        )

    def connect(self, **options: Any) -> TokyoTyrant[Any, Any]:
        """A new `TokyoTyrant` for this server, with these options; the caller closes it."""
        from kt.client.tyrant.client import TokyoTyrant

        return TokyoTyrant(*self._address(), **{"ssl": self._ssl, **options})

    def _answering(self, client: TokyoTyrant[Any, Any]) -> int:
        return int(client.status()["pid"])
