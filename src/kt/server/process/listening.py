"""Where a server listens: at a TCP port, or, with port 0, at a Unix socket whose path is the host.

A socket listens long before anybody is served, while the server still opens its databases: clients
that come so early wait in the kernel's queue, and two servers never have the same address.

A Unix socket is a file, and outlives a server that is killed. Nobody answers there any more then,
so the next server takes its place. Where somebody does answer, or where the file is anything else,
a server refuses to start. For that to work a Unix socket listens from the moment it is there.
"""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from kt.errors import ImproperlyConfigured

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from kt.server.process.options import ServiceOptions

    Connect = Callable[[], asyncio.Protocol]
    """Makes the handler of a new connection."""

BACKLOG = 1024

ANYWHERE = "0.0.0.0"  # noqa: S104 - what -host "" means

LOOPBACK = "127.0.0.1"
"""Where a server listens that is not told; the originals listen at every address of IPv4."""


class TcpListener:
    """A TCP socket that has the server's address, and does not listen yet.

    Args:
        host: address or name; empty for every address, None for this machine only.
        port: 1 to 65535.

    Attributes:
        configuration: host and port of the command line; no host for every address.
        expression: address and port as ktserver's log has them: ``127.0.0.1:1978``, ``:1978``.
        socket: the socket.

    Raises:
        ImproperlyConfigured: the address is not known, not ours, or in use.
    """

    def __init__(self, host: str | None, port: int) -> None:
        host = LOOPBACK if host is None else host or ANYWHERE
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            self.socket = socket.socket(family, kind, protocol)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind(address)
        except OSError as error:
            raise _refused(f"{host}:{port}", error.strerror or str(error)) from None
        self.configuration: tuple[str | None, int] = host, port
        self.expression = "{}:{}".format(self.socket.getsockname()[0] if host else "", port)

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self.socket.fileno()

    def listen(self) -> None:
        """Let clients come; they wait until somebody serves them.

        Raises:
            ImproperlyConfigured: another server was faster.
        """
        try:
            self.socket.listen(BACKLOG)
        except OSError as error:
            raise _refused(self.expression, error.strerror or str(error)) from None

    async def serve(self, loop: asyncio.AbstractEventLoop, connect: Connect) -> asyncio.Server:
        """Accept connections, until the result is closed."""
        return await loop.create_server(connect, sock=self.socket, backlog=BACKLOG)

    def leave(self) -> None:
        """Make room for the next server: nothing to be done, the kernel does it."""

    def close(self) -> None:
        """The end."""
        self.socket.close()


class UnixListener:
    """A Unix socket at the path that is the server's host; see the module's docstring.

    Args:
        options: say where.

    Attributes:
        configuration: the path, and 0.
        expression: the path.

    Raises:
        ImproperlyConfigured: there is something at that path.
    """

    def __init__(self, options: ServiceOptions) -> None:
        if not options.host:
            raise ImproperlyConfigured("-port 0 needs -host PATH: where to make the Unix socket")
        self._path: str = options.host
        self.expression = self._path
        self.configuration: tuple[str | None, int] = options.host, 0
        self._remove_stale()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._file: str | None = None

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    def listen(self) -> None:
        """Make the socket, and let clients come; they wait until somebody serves them.

        Raises:
            ImproperlyConfigured: it cannot be made.
        """
        try:
            self._bind()
        except OSError as error:
            raise _refused(self._path, error.strerror or str(error)) from None
        self._file = os.path.abspath(self._path)  # scripts may change the directory
        self._identity = _identity(self._file)

    def _bind(self) -> None:
        """Listen under another name first; the file at the path is a link to that one.

        Between two system calls a busy machine may let others run for long. The other name is no
        shorter: where the path is too long for a socket, nobody could connect.
        """
        folder, last = os.path.split(self._path)
        name = os.path.join(folder, f".{os.getpid()}".ljust(len(os.fsencode(last)), "-"))
        try:
            self._socket.bind(name)
        except OSError:  # when it is the longer one, it may be too long
            self._socket.bind(self._path)
            self._socket.listen(BACKLOG)
            return
        try:
            self._socket.listen(BACKLOG)
            _link(name, self._path)
        finally:
            with suppress(FileNotFoundError):
                os.remove(name)

    async def serve(self, loop: asyncio.AbstractEventLoop, connect: Connect) -> asyncio.Server:
        """Accept connections, until the result is closed."""
        return await loop.create_unix_server(connect, sock=self._socket, backlog=BACKLOG)

    def leave(self) -> None:
        """Remove the file, unless somebody has put another one there.

        Must come while the socket is open: later, another file may have its inode.
        """
        path, self._file = self._file, None
        if path is not None:
            with suppress(OSError):
                if _identity(path) == self._identity:
                    os.remove(path)

    def close(self) -> None:
        """The end."""
        self.leave()
        self._socket.close()

    def _remove_stale(self) -> None:
        """Remove the socket of a server that is gone; fail if there is something else."""
        try:
            if not stat.S_ISSOCK(os.lstat(self._path).st_mode):
                raise _refused(self._path, "there is a file that is not a socket")
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                probe.setblocking(False)
                probe.connect(self._path)
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            with suppress(FileNotFoundError):
                os.remove(self._path)
            return
        except BlockingIOError:
            pass  # so many wait there that nobody else can
        except OSError as error:
            raise _refused(self._path, error.strerror or str(error)) from None
        raise _refused(self._path, "another server listens there")


def listener(options: ServiceOptions) -> TcpListener | UnixListener:
    """What has the server's address.

    Raises:
        ImproperlyConfigured: the server cannot have it.
    """
    return TcpListener(options.host, options.port) if options.port else UnixListener(options)


def peer_name(transport: asyncio.BaseTransport) -> str:
    """The other side of a connection, as the log shows it."""
    if transport.get_extra_info("socket").family == socket.AF_UNIX:
        return "unix"
    address = transport.get_extra_info("peername")
    return f"{address[0]}:{address[1]}" if address else "-"


def _identity(path: str) -> tuple[int, int]:
    status = os.lstat(path)
    return status.st_dev, status.st_ino


def _link(name: str, path: str) -> None:
    """Give a file the name `path`, which nothing has; it may lose the one that it had."""
    try:
        os.link(name, path)
    except FileExistsError:
        raise
    except OSError:  # not every file system has links
        os.rename(name, path)


def _refused(place: str, reason: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"cannot listen on {place}: {reason}")
