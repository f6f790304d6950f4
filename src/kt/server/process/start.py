"""The begin of a server process, up to the point where it listens.

::

    standard streams --> background --> log --> signals --> pid file --> listen --> `serve` --> end

Start scripts look for the port soon after they have started a server, so nothing slow comes before
that: neither the event loop nor an engine is imported here. Clients that come before the databases
are open wait, in the kernel's queue; if the server cannot start after all, their connections end.
Who can connect finds the pid file written.

A file that another process has locked is waited for, as in the original servers; but here the log
says so, and a signal ends the waiting. Therefore the engines do not wait themselves: they are asked
again and again.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from kt.errors import ImproperlyConfigured, KTError
from kt.server.engines import FileLocked
from kt.server.process.daemon import (
    PidFile,
    allow_many_files,
    go_to_background,
    open_standard_streams,
)
from kt.server.process.listening import LOOPBACK, TcpListener, listener
from kt.server.process.log import Log
from kt.version import VERSION

if TYPE_CHECKING:
    from ssl import SSLContext

    from kt.server.process.access import Access
    from kt.server.process.listening import UnixListener
    from kt.server.process.options import ServiceOptions
    from kt.server.process.tls import Tls

T = TypeVar("T")

EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 - what is warned of

LOCK_PAUSE = 0.05
"""Seconds between two attempts at a locked file."""


class Interrupted(Exception):
    """A signal has ended the server before it was up."""


class Start:
    """A server process that has its address.

    Args:
        options: the command line.
        log: open.

    Attributes:
        place: where it listens.
        front: where it speaks another protocol; None: nowhere.
        tls: its certificates; None without TLS.
        access: who may do what; None: everybody everything.
        master_tls: how a master is spoken with by TLS; None: without.
        pid_file: says that it runs.
        stops: signals that end it.
        reopens: signals by which it goes on in a new log file.
        caught: those that have come so far.

    Raises:
        ImproperlyConfigured: somebody else has it, or a certificate cannot be used.
    """

    def __init__(self, options: ServiceOptions, log: Log) -> None:
        self.log = log
        self.pid_file = PidFile(options.pid_path)
        self.caught: list[int] = []
        self.stops: set[int] = {signal.SIGTERM, signal.SIGINT}
        self.reopens: set[int] = {signal.SIGUSR1}
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as it is after nohup
            (self.reopens if options.daemon else self.stops).add(signal.SIGHUP)
        for number in self.stops | self.reopens:  # before there is a Unix socket to be removed
            signal.signal(number, lambda number, _frame: self.caught.append(number))
        self.ready: Callable[[], None] | None = None
        self.tls, self.master_tls = _tls(options)
        self.access: Access | None = None
        if options.allow:
            from kt.server.process.access import Access  # not before it is needed

            self.access = Access(options)
        self.place: TcpListener | UnixListener = listener(options)
        self.front: TcpListener | None = None
        if options.front is not None:
            self.front = TcpListener(options.front.host, options.front.port)

    def listen(self) -> None:
        """Write the pid file and let clients come.

        Raises:
            KTError, OSError: one of the two is not possible.
        """
        self.pid_file.write()
        if self.front is not None:
            self.front.listen()
        self.place.listen()

    def end(self) -> None:
        """Leave nothing behind."""
        self.place.close()
        if self.front is not None:
            self.front.close()
        self.pid_file.remove()

    def check(self) -> None:
        """Go on only if no signal has come that ends the server.

        Raises:
            Interrupted: one has.
        """
        if self.stops.intersection(self.caught):
            raise Interrupted

    def when_free(self, open_file: Callable[[], T], path: str) -> T:
        """What `open_file` returns once the file is not locked any more.

        Raises:
            Interrupted: the server is to end.
            KTError: as `open_file`.
        """
        waits = False
        while True:
            self.check()
            try:
                return open_file()
            except FileLocked:
                if not waits:
                    self.log.system(f"waiting for a file that another process locks: path={path}")
                waits = True
            time.sleep(LOCK_PAUSE)


def run(
    options: ServiceOptions,
    serve: Callable[[Start], int],
    *,
    log_class: type[Log] = Log,
    prepare: Callable[[Log], None] | None = None,
) -> int:
    """Start a server process, and run it to its end.

    Args:
        options: the command line.
        serve: what it does once it listens; returns the exit status.
        log_class: the log, in the format of this server.
        prepare: called before it listens.

    Raises:
        KTError, OSError: the server could not start; this is logged too.
    """
    open_standard_streams()
    ready = go_to_background() if options.daemon else None
    with _logging(options, log_class) as log, suppress(Interrupted):
        if prepare is not None:
            prepare(log)
        allow_many_files()
        start = Start(options, log)
        start.ready = ready
        log.configured(start.place, options.pid_path)
        _say_who_may_connect(options, log)
        try:
            start.listen()
            return serve(start)
        finally:
            start.end()
    return 0


def run_once(
    options: ServiceOptions, work: Callable[[Log], None], *, log_class: type[Log] = Log
) -> int:
    """Do something that is no serving; returns the exit status.

    Args:
        options: the command line.
        work: does it.
        log_class: the log, in the format of this server.

    Raises:
        KTError, OSError: `work` failed; this is logged too.
    """
    open_standard_streams()
    with _logging(options, log_class) as log:
        work(log)
    return 0


@contextmanager
def _logging(options: ServiceOptions, log_class: type[Log]) -> Iterator[Log]:
    """Give the log of a process, which ends with why it failed, if it does."""
    log = _open_log(options, log_class)
    log.started(options.program, VERSION)
    try:
        yield log
    except (KTError, OSError) as error:
        log.error(str(error))  # noqa: TRY400 - the message says it all
        raise
    finally:
        log.finished(options.program)
        log.close()


def _say_who_may_connect(options: ServiceOptions, log: Log) -> None:
    """Say what differs from the original servers, or is dangerous."""
    if options.allow or options.tls_ca is not None:
        return
    if options.port and options.host is None:
        log.system(f"listening on {LOOPBACK} only: -host names another address (0.0.0.0: all)")
    places = [(options.host, options.port)]
    if options.front is not None:
        places.append((options.front.host, options.front.port))
    for host, port in places:
        if port and host in EVERYWHERE:
            log.system(
                f"WARNING: who reaches port {port} of this machine may read, change and remove"
                " everything: see -allow, -tls-ca, and -host"
            )


def _tls(options: ServiceOptions) -> tuple[Tls | None, SSLContext | None]:
    """What the command line says of TLS, with clients and with a master."""
    ours = (options.tls_cert, options.tls_key, options.tls_ca)
    masters = (options.master_tls_ca, options.master_tls_cert, options.master_tls_key)
    if not any((*ours, *masters)):
        return None, None
    from kt.server.process.tls import master_context, tls_of  # imports ssl, which takes long

    return tls_of(options), master_context(options)


def _open_log(options: ServiceOptions, log_class: type[Log]) -> Log:
    try:
        return log_class(options.log_path, options.log_level)
    except OSError as error:
        raise ImproperlyConfigured(f"cannot open the log file: {error}") from None
