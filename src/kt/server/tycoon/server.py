"""kt-tycoon: databases of Kyoto Cabinet behind the protocols of Kyoto Tycoon.

========================  =========================================================================
module                    what it does
========================  =========================================================================
server                    the process: opens, tends and closes the databases
service                   what its sessions share: databases, conditions, counts
session                   serves a client: tells binary requests from HTTP ones
engines.kyoto             the engine; on top of it the binary protocol and, unless requests are
                          logged, the most frequent HTTP requests; compiled
rpc                       HTTP requests under ``/rpc/``: columns, waiting, signals, statuses
procedures                the procedures that these call
synchronize               the one that may run a command
recovery                  how databases come back: snapshots, checkpoints (``-durable``), restoring
rest                      HTTP requests for single records
memcached                 memcached's clients, at a port of their own (``-plsv``)
replication               a slave: another server's update log, read and applied
report                    what ``report`` answers
scripts                   Lua functions that clients call; what they see is in script
========================  =========================================================================
"""

from __future__ import annotations

import os
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from kt.errors import ImproperlyConfigured
from kt.server.checkpoint_file import check_complete, leave_alone
from kt.server.engines import EngineError, FileLocked
from kt.server.engines.kyoto._engine import Database, hurry
from kt.server.history import History
from kt.server.process.connection import Connection
from kt.server.process.server import Server
from kt.server.scripting.state import Limits
from kt.server.tycoon.acknowledging import (
    AcknowledgedMemcached,
    AcknowledgedQueues,
    AcknowledgedSession,
)
from kt.server.tycoon.memcached.queues import QueueSession, check_order
from kt.server.tycoon.memcached.session import MemcachedSession
from kt.server.tycoon.memcached.shared import Memcached
from kt.server.tycoon.options import ACK_TIMEOUT, TycoonOptions
from kt.server.tycoon.procedures import Columns, Procedure
from kt.server.tycoon.recovery.checkpoints import Checkpoints, set_torn_aside
from kt.server.tycoon.recovery.snapshots import Snapshots
from kt.server.tycoon.replication.following import Following
from kt.server.tycoon.replication.mastership import Mastership
from kt.server.tycoon.replication.quorum import Quorum
from kt.server.tycoon.replication.sending import Copies
from kt.server.tycoon.replication.telling import Telling
from kt.server.tycoon.report import Process, report
from kt.server.tycoon.scripts import start_scripts
from kt.server.tycoon.service import TycoonService, log_engine_error
from kt.server.tycoon.session import TycoonSession
from kt.server.tycoon.synchronize import Synchronize
from kt.server.tycoon.values import location_of
from kt.version import VERSION

if TYPE_CHECKING:
    from concurrent.futures import Future

    from kt.server.process.delegation import Delegation
    from kt.server.process.start import Start

EPOCH_FILE: Final = "epoch"
"""In the directory of the update log; without one, what is added to the name of ``-rts``."""


class TycoonServer(Server):
    """A running kt-tycoon.

    Attributes:
        databases: in the order of the command line.
        service: what its sessions share; there from the time `open` has opened the databases.
    """

    options: TycoonOptions
    service: TycoonService

    def __init__(self, options: TycoonOptions, start: Start) -> None:
        super().__init__(options, start)
        self.databases: list[Database] = []
        self._synchronizing: Future[None] | None = None
        self._synchronize_at = 0.0
        self._tended = 0
        self._history: History | None = None
        self._snapshots: Snapshots | None = None
        self._checkpoints: Checkpoints | None = None
        self._following: Following | None = None
        self._mastership: Mastership | None = None
        self._copies: Copies | None = None
        self._memcached: Memcached | None = None

    def report(self) -> Columns:
        """The columns of the procedure of that name."""
        process = Process(
            program=self.options.program,
            connections=len(self.connections),
            tasks=sum(connection.busy for connection in self.connections),
            threads=self.options.threads,
            start_time=self.start_time,
            features=self._features(),
        )
        return report(self.service, process)

    def _features(self) -> str:
        """What the original says of itself too: how it waits, and whether scripts can run."""
        loop = type(self.loop).__module__.partition(".")[0]
        return f"({loop})" + ("(lua)" if find_spec("lupa") is not None else "")

    # What `Server` asks for

    def open(self) -> None:
        options = self.options
        if not os.path.isdir(options.command_directory):
            raise ImproperlyConfigured(f"{options.command_directory}: no such directory")
        self._look_at_checkpoints()
        there = [os.path.exists(spec.partition("#")[0]) for spec in options.databases]
        for spec in options.databases:
            self.databases.append(self._open(spec))
        history = self._open_history()
        self._checkpoints = self._open_checkpoints(there)
        self._snapshots = self._open_snapshots(there)
        self._restore(history)
        self.service = service = TycoonService(
            self.databases,
            self.log,
            program=f"{options.program}/{VERSION}",
            location=location_of(options.port),
            writes_wait=options.auto_synchronize or options.durable == "device",
            held=self.held,
            report=self.report,
            history=history,
            following=self._open_following(self._empty(there)),
            timeout=options.timeout,
        )
        service.mastership = self._mastership
        service.core.timed = True
        self._begin_to_keep()
        self._open_memcached()
        service.procedures[b"synchronize"] = Procedure(
            Synchronize(options.command_directory, self.log), ("misc",), Synchronize.pace
        )
        self._synchronize_at = time.monotonic() + options.synchronize_interval
        self._begin_to_follow()
        if options.script is not None:
            limits = Limits(options.script_seconds, options.script_memory)
            self.scripts = start_scripts(
                service, options.script, limits, options.threads, self.loop
            )

    def _open_memcached(self) -> None:
        options = self.options.memcached
        if options is not None:
            self._memcached = Memcached(self.service, options)
            if options.queues:
                check_order(self.databases[0])

    def _begin_to_follow(self) -> None:
        host = self.options.master_host
        if self._following is None:
            return
        if host is None:
            self._following.begin()
        else:
            self._following.tune(host, self.options.master_port)

    def _restore(self, history: History | None) -> None:
        if self._snapshots is not None:
            self._snapshots.restore(history, self.start.check)
        if self._checkpoints is not None:
            self._checkpoints.restore(self.start.check)

    def _begin_to_keep(self) -> None:
        if self._following is not None:
            self._following.finish_copy(self.start.check)
        if self._history is not None:
            self._copies = Copies(
                self.databases,
                self._history,
                rate=self.options.copy_rate,
                keep=self.options.copy_keep,
                log=self.log,
            )
            self.service.copies = self._copies
        if self.options.ack and self._history is not None:
            seconds, databases = self.options.ack_timeout, self.databases
            self.service.quorum = Quorum(
                self.options.ack,
                seconds,
                databases,
                self._history,
                self.loop,
                is_master=self._is_master,
            )
            self.service.core.leave_writes()
        if self.options.durable == "device":
            self.service.core.settle_together()
        if self._snapshots is not None:
            self._snapshots.begin()
        if self._checkpoints is not None:
            self._checkpoints.begin()

    def _is_master(self) -> bool:
        return self._mastership is None or self._mastership.may_write()

    def _open_history(self) -> History | None:
        options = self.options
        self._look_at_acknowledging()
        if options.log_directory is None:
            if any(options.log_keep):
                raise ImproperlyConfigured("-ulog-keep needs an update log: -ulog and -sid")
            return None
        if options.server_id is None:
            raise ImproperlyConfigured("an update log needs the number of the server: -sid")
        try:
            os.makedirs(options.log_directory, exist_ok=True)
        except OSError as error:
            raise ImproperlyConfigured(f"cannot make the update log: {error}") from None
        self._history = History(
            options.log_directory,
            "tycoon",
            server=options.server_id,
            limit=options.log_limit,
            keep=options.log_keep,
            interval=options.log_interval,
            durable=options.durable,
            log=self.log,
            loop=self.loop,
        )
        return self._history

    def _look_at_acknowledging(self) -> None:
        options = self.options
        if options.ack and options.log_directory is None:
            raise ImproperlyConfigured("-ack needs an update log: -ulog and -sid")
        if options.ack_timeout != ACK_TIMEOUT and not options.ack:
            raise ImproperlyConfigured("-ack-timeout is for who waits for slaves: -ack is missing")

    def _look_at_checkpoints(self) -> None:
        options = self.options
        if options.durable != "none":
            if options.log_directory is None:
                raise ImproperlyConfigured("-durable needs an update log: -ulog and -sid")
            if options.read_only:
                raise ImproperlyConfigured("-durable needs databases that can be written: not -ord")
            if options.durable == "device" and options.snapshot_directory is None:
                raise ImproperlyConfigured("-durable device needs snapshots: -bgs")
        for spec in () if options.keeps_nothing else options.databases:
            path = spec.partition("#")[0]
            if options.durable != "none":
                set_torn_aside(path, self.log)
            elif options.read_only:
                check_complete(path)
            else:
                leave_alone(path, self.log)

    def _open_checkpoints(self, there: list[bool]) -> Checkpoints | None:
        options = self.options
        if options.durable == "none" or self._history is None:
            return None
        return Checkpoints(
            self.databases,
            fresh=[not old for old in there],
            durable=options.durable,
            history=self._history,
            comes_back=options.snapshot_directory is not None,
            log=self.log,
        )

    def _open_snapshots(self, there: list[bool]) -> Snapshots | None:
        options = self.options
        if options.snapshot_directory is None:
            return None
        if options.read_only:
            raise ImproperlyConfigured("-bgs needs databases that can be written: not with -ord")
        databases = self.databases
        return Snapshots(
            options.snapshot_directory,
            databases,
            fresh=[db.in_memory or not old for db, old in zip(databases, there, strict=True)],
            compressor=options.snapshot_compressor,
            interval=options.snapshot_interval,
            known=self._checkpoints.known if self._checkpoints is not None else None,
            log=self.log,
        )

    def _empty(self, there: list[bool]) -> list[str]:
        """The databases that have nothing of what a master has sent before."""
        restored: set[int] = set()
        if self._snapshots is not None and self._history is not None:
            restored = self._snapshots.restored
        return [
            database.path
            for index, (database, old) in enumerate(zip(self.databases, there, strict=True))
            if index not in restored and (database.in_memory or not old)
        ]

    def _open_mastership(self) -> Mastership | None:
        options = self.options
        if options.log_directory is not None:
            path = os.path.join(options.log_directory, EPOCH_FILE)
        elif options.stamp_path is not None:
            path = f"{options.stamp_path}.{EPOCH_FILE}"
        else:
            return None
        return Mastership(self.databases, path, leased=options.leased, log=self.log)

    def _open_following(self, empty: list[str]) -> Following | None:
        options = self.options
        self._mastership = self._open_mastership()
        if options.stamp_path is None or self._mastership is None:
            self._look_at_slave()
            return None
        if options.server_id is None:
            raise ImproperlyConfigured("following a master needs the number of the server: -sid")
        if options.read_only:
            raise ImproperlyConfigured("databases opened for reading (-ord) can follow no master")
        self._following = Following(
            self.databases,
            empty=empty,
            server=options.server_id,
            path=options.stamp_path,
            telling=Telling(self._mastership, options.port, self.log, self.start.master_tls),
            interval=options.replication_interval,
            log=self.log,
            tls=self.start.master_tls,
            read_only=options.read_only_slave,
            copies=options.copies,
            newest=self._history.log.stamp if self._history is not None else int,
            shut=self._shut,
        )
        return self._following

    def _look_at_slave(self) -> None:
        """Without a file for the stamp."""
        options = self.options
        if options.master_host is not None:
            raise ImproperlyConfigured("following a master needs a file for the stamp: -rts")
        for flag, given in (
            ("-ro-slave", options.read_only_slave),
            ("-copy", options.copies),
            ("-lease", options.leased),
        ):
            if given:
                raise ImproperlyConfigured(f"{flag} is for a slave: -mhost or -rts is missing")

    def _shut(self, why: str) -> None:
        """Serve nobody who reads or writes, and say why; empty: do. For any thread."""
        if why:
            self.held.add(self._shut)  # no I/O thread is inside from now on
        with self.service.turn:
            self.service.shut = why
        if not why:
            self.held.discard(self._shut)

    def _open(self, spec: str) -> Database:
        self.log.system(f"opening a database: path={spec}")
        options = self.options

        def open_file() -> Database:
            return Database(
                spec,
                read_only=options.read_only,
                auto_transaction=options.auto_transaction,
                auto_synchronize=options.auto_synchronize,
                no_lock=options.no_lock,
                try_lock=True,  # it is we who wait
                no_repair=options.no_repair,
                logger=self._log_engine,
            )

        try:
            return open_file() if options.try_lock else self.start.when_free(open_file, spec)
        except EngineError as error:
            reason = f"{error.name}: {error.message}"
        except FileLocked as error:
            reason = str(error)
        raise ImproperlyConfigured(f"could not open a database file: {spec}: {reason}")

    def _log_engine(self, kind: str, message: str) -> None:
        if message.endswith(": fcntl failed"):  # a locked file, which is waited for or said
            return
        (self.log.error if kind == "ERROR" else self.log.system)(f"[DB]: {message}")

    def connect(self) -> Connection:
        if self.service.quorum is not None:
            return Connection(self, AcknowledgedSession(self.service))
        return Connection(self, TycoonSession(self.service))

    def connect_front(self) -> Connection:
        shared = self._memcached
        assert shared is not None
        acknowledged = self.service.quorum is not None
        session: MemcachedSession
        if shared.options.queues:
            session = AcknowledgedQueues(shared) if acknowledged else QueueSession(shared)
        else:
            session = AcknowledgedMemcached(shared) if acknowledged else MemcachedSession(shared)
        return Connection(self, session, shared.options.timeout)

    def delegate(self) -> Delegation | None:
        """None if any write may take long."""
        return None if self.options.auto_synchronize else super().delegate()

    def hurry(self, hurried: bool) -> None:
        hurry(hurried)

    def tick(self) -> None:
        """Remove a few expired records from one database, and synchronize when it is time."""
        self.service.set_stamp()
        if self._history is not None:
            self._history.tick(lambda: self.workers)
        if self._copies is not None:
            self._copies.tick()
        if self._snapshots is not None:
            self._snapshots.tick(lambda: self.workers)
        if self._checkpoints is not None:
            self._checkpoints.tick(lambda: self.workers)
        if self.options.read_only:
            return
        with self.service.turn:
            if self.held:
                return
            self._tended = (self._tended + 1) % len(self.databases)
            self.databases[self._tended].tick()
        self._synchronize_by_itself()

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
                log_engine_error(self.log, error)
        self.log.info("databases synchronized")

    def reload(self) -> None:
        if self.scripts is not None:
            self.log.system(f"reloading a script file: path={self.options.script}")
            self.scripts.reload()

    def drain(self) -> None:
        if self._following is not None:
            self._following.end()
        self.service.signals.end()
        if self._memcached is not None:
            self._memcached.end()
        if self.service.quorum is not None:
            self.service.quorum.end()
        if self._history is not None:
            self._history.end()

    def stop_matching(self) -> None:
        for database in self.databases:
            database.stop_matching()

    def close(self) -> bool:
        if self._following is not None:
            self._following.join()
        if self._copies is not None:
            self._copies.close()
        closed = self._snapshots is None or self._snapshots.close()
        for spec, database in zip(self.options.databases, self.databases, strict=False):
            self.log.system(f"closing a database: path={spec}")
            try:
                database.close()
            except EngineError as error:
                log_engine_error(self.log, error)
                closed = False
        if self._history is not None:
            closed = self._history.close() and closed
        if closed and self._checkpoints is not None:
            self._checkpoints.close()
        if closed and self._following is not None:
            closed = self._following.close()
        return closed
