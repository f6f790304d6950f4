"""A server: runs until it is told to stop, and ends in order. How it starts is in `start`.

::

    listens (start) --> open databases --> event loop --> drain --> close databases
                                            ^   |   ^
                                            |   |   SIGTERM, SIGINT, SIGHUP: stop
                             tick: 10/s ----+   |   SIGUSR1 (daemon: SIGHUP): new log
                                                v
                                           connections

The event loop is uvloop's where it is installed, asyncio's otherwise. It runs in the main thread
and calls the engine itself for everything that is quick; `Server.workers` run what may take long.

Stopping: the listening socket goes first; then every request that has arrived whole is answered,
those in worker threads too. After `STOP_GRACE` seconds connections that will not take their replies
are dropped, and regular expressions are given up; then the databases are flushed and closed. A
second signal does not hurry it: the files count.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from kt.errors import ImproperlyConfigured
from kt.server.holders import Holders
from kt.server.process.connection import Connection
from kt.server.process.delegation import start_delegation
from kt.server.process.listening import TcpListener

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import ThreadPoolExecutor

    from kt.server.process.delegation import Delegation
    from kt.server.process.listening import UnixListener
    from kt.server.process.options import ServiceOptions
    from kt.server.process.start import Start
    from kt.server.scripting.workers import Workers

TICK = 0.1
"""Seconds between two calls of `Server.tick`."""

SWEEP_TICKS = 10
"""Ticks between two looks for connections that stand still."""

STOP_GRACE = 5.0
"""Seconds that connections have, at the end, to take their replies."""

SCRIPT_GRACE = 1.5
"""Seconds that scripts have after that to notice that they must end."""

CLOSE_GRACE = 5.0
"""Seconds to close the databases in when a script is left behind: it may hold a record."""

STOP_LINGER = 0.1
"""Seconds that connections have, at the end, to close their side once they have been sent all."""

SWITCH_INTERVAL = 0.0005
"""Seconds for which a worker thread may keep Python's interpreter lock from the event loop."""

SCRIPT_SWITCH_INTERVAL = 0.0001
"""The same where there are scripts: they need the lock often, for a microsecond each time."""


class Acceptor(Protocol):
    """What accepts connections."""

    def close(self) -> None:
        """Accept no more."""


class Server:
    """What a server process is made of; each protocol's server fills in the methods below.

    Attributes:
        options: the command line.
        start: the process that it is served in.
        log: the process's log.
        access: who may do what; None: everybody everything.
        loop: the event loop; there from the time `open` is called.
        connections: those that are open.
        stopping: set when the end has begun: connections close once they have answered.
        start_time: Unix time of the start.
        held: what holds a database's locks for long, at the moment.
        delegation: threads that serve connections without Python; None if there are none.
        scripts: the threads for Lua scripts; None if there is no script.
    """

    loop: asyncio.AbstractEventLoop

    def __init__(self, options: ServiceOptions, start: Start) -> None:
        self.options = options
        self.start = start
        self.log = start.log
        self.access = start.access
        self.connections: set[Connection] = set()
        self.stopping = False
        self.start_time = time.time()
        self.held = Holders()
        self.delegation: Delegation | None = None
        self.scripts: Workers[Any] | None = None
        self._stop = asyncio.Event()
        self._workers: ThreadPoolExecutor | None = None
        self._all_gone: asyncio.Future[None] | None = None
        self._ticks = 0

    # What a protocol's server defines

    def open(self) -> None:
        """Open the databases.

        Raises:
            KTError: one cannot be opened. What is open already is closed by `close`.
        """

    def connect(self) -> Connection:
        """A new connection, with a session to serve it."""
        raise NotImplementedError

    def connect_front(self) -> Connection:
        """The same for who comes by the second port, where there is one."""
        raise NotImplementedError

    def delegate(self) -> Delegation | None:
        """Start threads that serve connections without Python; None if there are none."""
        return start_delegation(self.loop, self.held, self.options.spin)

    def hurry(self, hurried: bool) -> None:
        """Whether engines are to leave large values to other threads than this one."""

    def tick(self) -> None:
        """Ten times a second: what a server does by itself. Must be quick."""

    def reload(self) -> None:
        """Read again what may have changed: the log has just been reopened."""

    def drain(self) -> None:
        """The end has begun: end every wait of a session."""

    def stop_matching(self) -> None:
        """End the matching of regular expressions, which nobody waits for any longer."""

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
        """Open the databases, and serve until a signal ends it.

        Returns:
            the process's exit status: 0 after an orderly end, 1 when closing a database failed.

        Raises:
            KTError, OSError: the server could not start.
            Interrupted: a signal came before it was up.
        """
        sys.setswitchinterval(SWITCH_INTERVAL)
        self.loop = new_event_loop()
        try:
            self.open()
            if self.scripts is not None:
                sys.setswitchinterval(SCRIPT_SWITCH_INTERVAL)
            self.hurry(True)
            self.loop.run_until_complete(self._serve())
        finally:
            self.hurry(False)
            closed = self._close_all()
            self.loop.close()
        return 0 if closed else 1

    def _close_all(self) -> bool:
        """End the scripts and close the databases; False if that failed for one."""
        if self.scripts is None or self.scripts.close():
            return self.close()
        self.log.error("a script does not end; it is left behind")
        closed: list[bool] = []
        closing = threading.Thread(target=lambda: closed.append(self.close()), daemon=True)
        closing.start()
        closing.join(CLOSE_GRACE)
        if closing.is_alive():
            self.log.error("a database cannot be closed: that script holds a record")
        return closed == [True]

    async def _serve(self) -> None:
        self._handle_signals()
        place, front = self.start.place, self.start.front
        acceptors = [await self._accept(place, self.connect)]
        self.log.listening(place, self.options.timeout)
        if front is not None:
            acceptors.append(await self._accept(front, self.connect_front))
            self.log.system(f"listening at a second port: expr={front.expression}")
        if self.start.ready is not None:
            self.start.ready()
        self.delegation = self.delegate()
        self._tick()
        await self._stop.wait()
        self.log.stopping()
        place.leave()
        for acceptor in acceptors:
            acceptor.close()
        await self._finish_connections()
        self.stop_matching()
        self.log.left()
        if self._workers is not None:
            self._workers.shutdown()

    async def _accept(
        self, place: TcpListener | UnixListener, connect: Callable[[], Connection]
    ) -> Acceptor:
        """Accept connections, until the result is closed."""
        tls = self.start.tls
        if tls is None:
            return await place.serve(self.loop, connect)
        from kt.server.process.tls import TlsAcceptor  # imports ssl, which takes long

        assert isinstance(place, TcpListener)  # which goes with certificates only
        return TlsAcceptor(self.loop, place.socket, tls, connect, self.log)

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
            if over > 0:
                self.stop_matching()
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

    def _handle_signals(self) -> None:
        actions = dict.fromkeys(self.start.stops, self.stop)
        actions.update(dict.fromkeys(self.start.reopens, self._reopen))
        for number, action in actions.items():
            self.loop.add_signal_handler(number, action)
        for number in self.start.caught:
            actions[number]()

    def _reopen(self) -> None:
        try:
            self.log.reopen()
        except OSError as error:
            self.log.error(f"the log cannot be reopened: {error}")  # noqa: TRY400 - likewise
        else:
            self.log.system("log file reopened")
        self._reload_certificates()
        self.reload()

    def _reload_certificates(self) -> None:
        if self.start.tls is None:
            return
        try:
            self.start.tls.reload()
        except ImproperlyConfigured as error:
            self.log.error(f"the old certificates stay: {error}")  # noqa: TRY400 - likewise
        else:
            self.log.system("certificates read again")


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's event loop, or asyncio's where uvloop is not installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
