"""kt-tycoon: databases of Kyoto Cabinet behind the protocols of Kyoto Tycoon.

========================  =========================================================================
module                    what it does
========================  =========================================================================
tycoon                    the server: databases, conditions, counts, what it does by itself
tycoon_connection         a connection: tells binary requests from HTTP ones
engines._kyoto            the engine; on top of it the binary protocol and, unless requests are
                          logged, the most frequent HTTP requests; compiled
tycoon_rpc                HTTP requests under ``/rpc/``: columns, waiting, signals, statuses
tycoon_procedures         the procedures that these call
tycoon_synchronize        the one that may run a command
tycoon_rest               HTTP requests for single records
tycoon_report             what ``report`` answers
tycoon_scripts            Lua functions that clients call; what they see is in lua_tycoon
========================  =========================================================================

The event loop calls the engine itself, except for what may take long. That is right as long as the
engine answers quickly, which it does not while something holds its locks for long or where every
write waits for the device. Then `engine_may_block` is set, and everything goes through worker
threads: slower, but those who wait for the engine do not stop the others.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from kt.errors import ImproperlyConfigured
from kt.server.engines import EngineError
from kt.server.engines.kyoto._engine import BinaryCore, Database
from kt.server.process.server import Server
from kt.server.tycoon.options import TycoonOptions
from kt.server.tycoon.procedures import DATABASE_PROCEDURES, Columns, Procedure
from kt.server.tycoon.report import report
from kt.server.tycoon.scripts import start_scripts
from kt.server.tycoon.session import TycoonConnection
from kt.server.tycoon.signals import Signals
from kt.server.tycoon.synchronize import Synchronize
from kt.server.tycoon.values import http_date, integer
from kt.version import VERSION

if TYPE_CHECKING:
    from concurrent.futures import Future

COUNTS: Final = ("set", "remove", "get")


class TycoonServer(Server):
    """A running kt-tycoon.

    Attributes:
        databases: in the order of the command line.
        core: runs the binary protocol on them.
        signals: the named conditions.
        procedures: those that work on a database.
        counts: operations that came by HTTP, by kind; `core` counts the others.
        stamp: the headers Server and Date, ready to send.
        location: how the URLs of records begin.
    """

    options: TycoonOptions
    core: BinaryCore
    signals: Signals

    def __init__(self, options: TycoonOptions) -> None:
        super().__init__(options)
        self.databases: list[Database] = []
        self.procedures: dict[bytes, Procedure[Database]] = dict(DATABASE_PROCEDURES)
        self.counts = dict.fromkeys(("script", "misc"), 0)
        for kind in COUNTS:
            self.counts[kind] = self.counts[f"{kind}_misses"] = 0
        self._names: dict[bytes, Database] = {}
        self.stamp = b""
        self._stamp_time = 0
        self.location = b"http://localhost"  # as the original has it, whatever -host says
        if options.port not in (0, 80):
            self.location += b":%d" % options.port
        self._synchronizing: Future[None] | None = None
        self._synchronize_at = 0.0
        self._tended = 0

    @property
    def engine_may_block(self) -> bool:
        return bool(self.held) or self.options.auto_synchronize

    def database(self, expression: bytes) -> Database | None:
        """The database that a request means by its number or name; the first one by nothing."""
        if not expression:
            return self.databases[0]
        if expression[:1].isdigit():
            index = integer(expression) & 0xFFFFFFFF  # the original keeps 32 bits of it
            return self.databases[index] if index < len(self.databases) else None
        return self._names.get(expression)

    def report(self) -> Columns:
        """The columns of the procedure of that name."""
        return report(self)

    # What `Server` asks for

    def open(self) -> None:
        if not os.path.isdir(self.options.command_directory):
            raise ImproperlyConfigured(f"{self.options.command_directory}: no such directory")
        self.procedures[b"synchronize"] = Procedure(
            Synchronize(self.options.command_directory, self.log), ("misc",), Synchronize.pace
        )
        for spec in self.options.databases:
            database = self._open(spec)
            self.databases.append(database)
            self._names[os.fsencode(os.path.basename(database.path))] = database
        self.core = BinaryCore(self.databases, trace=self.log.info_wanted)
        self.signals = Signals(self.loop)
        self._synchronize_at = time.monotonic() + self.options.synchronize_interval
        self._set_stamp()
        if self.options.script is not None:
            self.scripts = start_scripts(self, self.options.script)

    def _open(self, spec: str) -> Database:
        self.log.system(f"opening a database: {spec}")
        options = self.options
        try:
            return Database(
                spec,
                read_only=options.read_only,
                auto_transaction=options.auto_transaction,
                auto_synchronize=options.auto_synchronize,
                no_lock=options.no_lock,
                try_lock=options.try_lock,
                no_repair=options.no_repair,
                logger=self._log_engine,
            )
        except EngineError as error:
            raise ImproperlyConfigured(
                f"cannot open the database {spec}: {error.name}: {error.message}"
            ) from None

    def _log_engine(self, kind: str, message: str) -> None:
        (self.log.error if kind == "ERROR" else self.log.system)(f"[DB]: {message}")

    def connect(self) -> TycoonConnection:
        return TycoonConnection(self)

    def delegates(self) -> bool:
        """Not if any write may take long."""
        return not self.options.auto_synchronize

    def tick(self) -> None:
        """Remove a few expired records from one database, and synchronize when it is time."""
        self._set_stamp()
        if self.options.read_only:
            return
        with self.turn:
            if self.held:
                return
            self._tended = (self._tended + 1) % len(self.databases)
            self.databases[self._tended].tick()
        self._synchronize_by_itself()

    def _set_stamp(self) -> None:
        now = int(time.time())
        if now != self._stamp_time:
            self._stamp_time = now
            name = f"{self.options.program}/{VERSION}".encode()
            self.stamp = b"Server: %b\r\nDate: %b\r\n" % (name, http_date(now))
            if not self.log.info_wanted:  # else each HTTP request comes to us, to be logged
                self.core.set_stamp(self.stamp)

    def _synchronize_by_itself(self) -> None:
        interval = self.options.synchronize_interval
        running = self._synchronizing is not None and not self._synchronizing.done()
        if interval > 0 and not running and time.monotonic() >= self._synchronize_at:
            self._synchronize_at = time.monotonic() + interval
            self._synchronizing = self.workers.submit(self._synchronize_all)

    def _synchronize_all(self) -> None:
        for database in self.databases:
            try:
                database.synchronize(self.options.synchronize_hard)
            except EngineError as error:
                self.log_engine_error(error)
        self.log.info("databases synchronized")

    def log_engine_error(self, error: EngineError) -> None:
        """Log a failure that is nobody's mistake, such as a full disk."""
        self.log.error(f"database error: {error.code}: {error.name}: {error.message}")

    def reload(self) -> None:
        if self.scripts is not None:
            self.log.system(f"reloading a script file: path={self.options.script}")
            self.scripts.reload()

    def drain(self) -> None:
        self.signals.end()

    def close(self) -> bool:
        closed = True
        for spec, database in zip(self.options.databases, self.databases, strict=False):
            self.log.system(f"closing a database: {spec}")
            try:
                database.close()
            except EngineError as error:
                self.log_engine_error(error)
                closed = False
        return closed
