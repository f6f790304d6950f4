"""A server process: start, run until it is told to stop, end in order.

::

    background --> log --> listen --> open databases --> event loop --> drain --> close databases
                                                          ^   |   ^
                                                          |   |   SIGTERM, SIGINT, SIGHUP: stop
                                           tick: 10/s ----+   |   SIGUSR1 (daemon: SIGHUP): new log
                                                              v
                                                         connections

The event loop is uvloop's where it is installed, asyncio's otherwise. It runs in the main thread
and calls the engine itself for everything that is quick; `Server.workers` run what may take long.

Stopping: the listening socket goes first; then every request that has arrived whole is answered,
those in worker threads too; connections that will not take their replies are dropped after
`STOP_GRACE` seconds; then the databases are flushed and closed. A second signal does not hurry it:
the files count.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kt.errors import ImproperlyConfigured, KTError
from kt.server.holders import Holders
from kt.server.process.connection import Connection
from kt.server.process.daemon import PidFile, allow_many_files, go_to_background
from kt.server.process.delegation import start_delegation
from kt.server.process.listening import listener
from kt.server.process.log import Log
from kt.version import VERSION

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from kt.server.process.delegation import Delegation
    from kt.server.process.listening import TcpListener, UnixListener
    from kt.server.process.options import ServiceOptions
    from kt.server.scripting.workers import Workers

TICK = 0.1
"""Seconds between two calls of `Server.tick`."""

SWEEP_TICKS = 10
"""Ticks between two looks for connections that stand still."""

STOP_GRACE = 5.0
"""Seconds that connections have, at the end, to take their replies."""

SCRIPT_GRACE = 5.0
"""Seconds that scripts have, at the end, to notice that they must end."""

STOP_LINGER = 0.1
"""Seconds that connections have, at the end, to close their side once they have been sent all."""

SWITCH_INTERVAL = 0.0005
"""Seconds for which a worker thread may keep Python's interpreter lock from the event loop."""

SCRIPT_SWITCH_INTERVAL = 0.0001
"""The same where there are scripts: they need the lock often, for a microsecond each time."""


class Server:
    """What a server process is made of; each protocol's server fills in the methods below.

    Attributes:
        options: the command line.
        log_class: its log, in the format of this server.
        log: the log; there from the time `open` is called.
        loop: the event loop, likewise.
        connections: those that are open.
        connection_count: how many have been accepted so far.
        stopping: set when the end has begun: connections close once they have answered.
        start_time: Unix time of the start.
        held: what holds a database's locks for long, at the moment.
        delegation: threads that serve connections without Python; None if there are none.
        scripts: the threads for Lua scripts; None if there is no script.
    """

    log_class: type[Log] = Log
    log: Log
    loop: asyncio.AbstractEventLoop

    def __init__(self, options: ServiceOptions) -> None:
        self.options = options
        self.connections: set[Connection] = set()
        self.stopping = False
        self.start_time = time.time()
        self.held = Holders()
        self.delegation: Delegation | None = None
        self.scripts: Workers[Any] | None = None
        self._stop = asyncio.Event()
        self._signals: dict[int, Callable[[], None]] = {}
        self._caught: list[int] = []  # before the event loop has run
        self._workers: ThreadPoolExecutor | None = None
        self._all_gone: asyncio.Future[None] | None = None
        self._ticks = 0

    # What a protocol's server defines

    def open(self) -> None:
        """Open the databases.

        Raises:
            KTError: one cannot be opened. What is open already is closed by `close`.
        """

    def prepare(self) -> None:
        """Before anything but the log is opened.

        Raises:
            KTError: the server should not start.
        """

    def connect(self) -> Connection:
        """A new connection, with a session to serve it."""
        raise NotImplementedError

    def delegates(self) -> bool:
        """Whether connections may be served without Python."""
        return True

    def tick(self) -> None:
        """Ten times a second: what a server does by itself. Must be quick."""

    def reload(self) -> None:
        """Read again what may have changed: the log has just been reopened."""

    def drain(self) -> None:
        """The end has begun: end every wait of a session."""

    def close(self) -> bool:
        """Flush and close the databases; False if that failed for one (and is logged)."""
        return True

    # What connections use

    @property
    def workers(self) -> ThreadPoolExecutor:
        """The threads for operations that may take long."""
        if self._workers is None:
            from concurrent.futures import ThreadPoolExecutor

            self._workers = ThreadPoolExecutor(self.options.threads, "kt-worker")
        return self._workers

    @property
    def script_workers(self) -> Workers[Any]:
        """The threads for scripts; a session asks for them only where there are scripts."""
        assert self.scripts is not None
        return self.scripts

    def forget(self, connection: Connection) -> None:
        """Told by a connection that is gone."""
        self.connections.discard(connection)
        if self._all_gone is not None and not self.connections and not self._all_gone.done():
            self._all_gone.set_result(None)

    def stop(self) -> None:
        """Begin the end; `run` goes on with it."""
        self._stop.set()

    # The run

    def run(self) -> int:
        """Serve until a signal ends it.

        Returns:
            the process's exit status: 0 after an orderly end, 1 when closing a database failed.

        Raises:
            KTError, OSError: the server could not start; this is logged too.
        """
        ready = go_to_background() if self.options.daemon else None
        self.log = self._open_log()
        self.log.system(f"{self.options.program} {VERSION} starts: pid={os.getpid()}")
        try:
            return self._run(ready)
        except (KTError, OSError) as error:
            self.log.error(str(error))  # noqa: TRY400 - the message says it all
            raise
        finally:
            self.log.system(f"{self.options.program} ends: pid={os.getpid()}")
            self.log.close()

    def _open_log(self) -> Log:
        try:
            return self.log_class(self.options.log_path, self.options.log_level)
        except OSError as error:
            raise ImproperlyConfigured(f"cannot open the log file: {error}") from None

    def _run(self, ready: Callable[[], None] | None) -> int:
        self.prepare()
        sys.setswitchinterval(SWITCH_INTERVAL)
        allow_many_files()
        pid_file = PidFile(self.options.pid_path)
        self.loop = new_event_loop()
        self._catch_signals()  # before there is the file of a Unix socket to be removed
        place = listener(self.options)
        try:
            self.open()
            if self.scripts is not None:
                sys.setswitchinterval(SCRIPT_SWITCH_INTERVAL)
            pid_file.write()
            self.loop.run_until_complete(self._serve(place, ready))
        finally:
            if self.scripts is not None and not self.scripts.close():
                self.log.error("a script does not end; it is left behind")
            closed = self.close()
            self.loop.close()
            place.close()
            pid_file.remove()
        return 0 if closed else 1

    async def _serve(
        self, place: TcpListener | UnixListener, ready: Callable[[], None] | None
    ) -> None:
        self._handle_signals()
        acceptor = await place.serve(self.loop, self.connect)
        self.log.system(f"listening: {place}")
        if ready is not None:
            ready()
        if self.delegates():
            self.delegation = start_delegation(self.loop, self.held, self.options.spin)
        self._tick()
        await self._stop.wait()
        self.log.system("stopping")
        place.leave()
        acceptor.close()
        await self._finish_connections()
        if self._workers is not None:
            self._workers.shutdown()

    async def _finish_connections(self) -> None:
        self.stopping = True
        if self.scripts is not None:
            self.scripts.end(STOP_GRACE)
        self._all_gone = self.loop.create_future()
        if self.delegation is not None:
            self.delegation.stop()
        self.drain()
        for connection in list(self.connections):
            connection.finish()
        deadline = self.loop.time() + STOP_GRACE
        while self.connections:
            await asyncio.wait([self._all_gone], timeout=STOP_LINGER)
            over = self.loop.time() - deadline
            for connection in list(self.connections):
                stuck = connection.plays and over > SCRIPT_GRACE
                if stuck or (not connection.busy and (over > 0 or connection.has_sent_all())):
                    connection.abort()

    def _tick(self) -> None:
        if self._stop.is_set():
            return
        self.loop.call_later(TICK, self._tick)
        if self.delegation is not None:
            self.delegation.write_traces()
        self.log.flush()
        self._ticks += 1
        if self._ticks % SWEEP_TICKS == 0:
            if self.delegation is not None:
                self.delegation.sweep()
            now = self.loop.time()
            for connection in list(self.connections):
                connection.sweep(now, self.options.timeout)
        self.tick()

    def _catch_signals(self) -> None:
        """Keep signals until `_handle_signals`: an event loop that does not run yet loses them."""
        actions = self._signals
        actions.update({signal.SIGTERM: self.stop, signal.SIGINT: self.stop})
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as it is after nohup
            actions[signal.SIGHUP] = self._reopen if self.options.daemon else self.stop
        actions[signal.SIGUSR1] = self._reopen
        for number in actions:
            signal.signal(number, lambda number, _frame: self._caught.append(number))

    def _handle_signals(self) -> None:
        for number, action in self._signals.items():
            self.loop.add_signal_handler(number, action)
        for number in self._caught:
            self._signals[number]()

    def _reopen(self) -> None:
        try:
            self.log.reopen()
        except OSError as error:
            self.log.error(f"the log cannot be reopened: {error}")  # noqa: TRY400 - likewise
        else:
            self.log.system("log file reopened")
        self.reload()


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's event loop, or asyncio's where uvloop is not installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
