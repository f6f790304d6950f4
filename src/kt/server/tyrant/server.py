"""kt-tyrant: a database of Tokyo Cabinet behind the protocols of Tokyo Tyrant.

========================  =========================================================================
module                    what it does
========================  =========================================================================
server                    the process: opens, tends and closes the database
service                   what its sessions share: the database, the mask, locks
session                   serves a client: tells binary requests from text
engines.tokyo             the engine, and the quick binary commands on top of it, compiled
binary                    the other binary commands
memcached                 the text commands of memcached
http                      HTTP requests for single records and functions
scripts                   Lua functions that clients call; what they see is in script
supply                    the update log, sent to who follows it
recovery                  the update log, carried out at the start (``-durable``)
base                      what a file comes back from after a loss of power (``-durable device``)
applying                  commands from an update log, carried out again
following                 a master's update log, read and carried out
position                  how far that has come
status                    what ``stat``, ``stats`` and OPTIONS answer
========================  =========================================================================
"""

from __future__ import annotations

from kt.errors import ImproperlyConfigured
from kt.server.checkpoint_file import check_complete, leave_alone
from kt.server.engines.tokyo._engine import Database, hurry
from kt.server.history import History
from kt.server.process.connection import Connection
from kt.server.process.log import Level
from kt.server.process.server import Server
from kt.server.scripting.state import Limits
from kt.server.tyrant.applying import Applier
from kt.server.tyrant.base import Base, give_up
from kt.server.tyrant.binary import carry_out
from kt.server.tyrant.following import Following
from kt.server.tyrant.options import Command, TyrantOptions
from kt.server.tyrant.recovery import Recovery, begin_log
from kt.server.tyrant.scripts import Scripts
from kt.server.tyrant.service import TyrantService
from kt.server.tyrant.session import TyrantSession


class TyrantServer(Server):
    """A running kt-tyrant.

    Attributes:
        service: what its sessions share; there from the time `open` has opened the database.
    """

    options: TyrantOptions
    service: TyrantService
    _history: History | None = None
    _following: Following | None = None
    _base: Base | None = None

    @property
    def _comes_back(self) -> bool:
        return self.options.durable in ("process", "device")

    @property
    def _in_memory(self) -> bool:
        return self.options.database.partition("#")[0] in ("*", "+")

    # What `Server` asks for

    def open(self) -> None:
        options = self.options
        if self._comes_back:
            self._check_durable()
        if options.durable == "device":
            self._open_history()  # nobody else has it when it is found out what the file is
        self._prepare_file()
        database = self._open_database()
        history = self._history or self._open_history()
        if self._comes_back and history is not None and (self._in_memory or database.since):
            Recovery(database, history, self.log).run(self.start.check)
        if self._comes_back and history is not None and not self._in_memory:
            begin_log(history)
        self.service = TyrantService(
            database,
            self.log,
            mask=options.mask,
            trace=options.log_level <= Level.DEBUG,
            threads=options.threads,
            held=self.held,
            server_id=options.server_id,
            history=history,
            comes_back=self._comes_back,
            timeout=options.timeout,
            writes_wait=options.durable == "device",
        )
        self.service.core.timed = True
        if options.durable == "device":
            self.service.core.settle_together()
        if self._base is not None:
            self._base.begin(database)
        if options.mask:
            self.log.system(f"command bit mask: {options.mask:#x}")
        self._open_following()
        if options.script is not None:
            limits = Limits(options.script_seconds, options.script_memory)
            self.scripts = Scripts(
                self.service, options.script, limits, options.periodic, self.loop
            )

    def _prepare_file(self) -> None:
        """Before the file is opened: what is known of it from a server that kept it."""
        options = self.options
        path, _, parameters = options.database.partition("#")
        if self._in_memory or options.stores:
            return
        if options.durable == "device" and self._history is not None:
            self._base = Base(path, self._history, self.log)
        elif options.durable == "forget":
            give_up(path, self.log)
        elif "mode=r" in parameters.split("#"):
            check_complete(path)
        else:
            leave_alone(path, self.log)

    def _open_database(self) -> Database:
        options = self.options
        if options.plugin is not None:
            self.log.system(f"skeleton database library: {options.plugin}")
        self.log.system(f"opening the database: {options.database}")
        database = self.start.when_free(
            lambda: Database(
                options.database,
                stores=options.stores,
                durable=self._comes_back,
                forget=options.durable == "forget",
                plugin=options.plugin,
            ),
            options.database,
        )
        if database.rebuilt:
            self.log.system("the database had not been closed properly, and was put right")
        for path in database.kept_files:
            self.log.system(
                f"a torn file was replaced by one of what can be read; it is now {path}"
            )
        return database

    def _open_history(self) -> History | None:
        options = self.options
        if options.log_directory is None:
            if any(options.log_keep):
                raise ImproperlyConfigured("-ulog-keep needs an update log: -ulog and -sid")
            return None
        if options.server_id == 0:
            self.log.error("there is no update log: it needs the number of the server, -sid")
            return None
        self._history = History(
            options.log_directory,
            "tyrant",
            server=options.server_id,
            limit=options.log_limit,
            keep=options.log_keep,
            interval=0,
            durable="device" if options.durable == "device" else "none",
            log=self.log,
            loop=self.loop,
        )
        return self._history

    def _check_durable(self) -> None:
        """Before anything is opened: whether the database can come back from the log."""
        options = self.options
        if options.log_directory is None or options.server_id == 0:
            raise ImproperlyConfigured("-durable needs an update log: -ulog and -sid")
        if options.database.partition("#")[0].lower().endswith((".tcf", ".fdb")):
            raise ImproperlyConfigured(
                f"-durable does not keep fixed-length files: {options.database}"
            )
        if options.stores:
            raise ImproperlyConfigured("-durable does not keep several files as one: not -mul")
        if any(options.log_keep) and self._in_memory:
            raise ImproperlyConfigured("-durable needs all of the update log: not -ulog-keep")
        if options.master_host:
            raise ImproperlyConfigured("-durable is not for a server that follows another: -mhost")

    def _open_following(self) -> None:
        """Be ready to follow a master, and follow the one that the command line names."""
        options, service = self.options, self.service
        if self._comes_back:
            return  # what the master's log has would be carried out twice
        if service.forbids(Command.SLAVE):
            if options.master_host:
                self.log.error("no master is followed: the mask forbids to be a slave")
            return
        self._following = service.slave = Following(
            service,
            Applier(service, carry_out),
            options.stamp_path,
            self.log,
            self.start.master_tls,
        )
        if not options.master_host:
            return
        if options.server_id == 0:
            self.log.error("no master is followed: it needs the number of the server, -sid")
            return
        self._following.set_master(
            options.master_host, options.master_port, 0, consistent=options.consistent
        )

    def connect(self) -> Connection:
        return Connection(self, TyrantSession(self.service))

    def hurry(self, hurried: bool) -> None:
        hurry(hurried)

    def tick(self) -> None:
        """Log what the engine has noted, and tend the update log."""
        self.service.log_events()
        if self._history is not None:
            if self._comes_back and not self._in_memory:
                self._history.needs["database"] = self.service.database.point
            if self._base is not None:
                self._history.needs["base"] = self._base.stamp
                self._base.tick(self.service.database, lambda: self.workers)
            self._history.tick(lambda: self.workers)

    def drain(self) -> None:
        if self._following is not None:
            self._following.end()
        if self._history is not None:
            self._history.end()

    def stop_matching(self) -> None:
        self.service.database.stop_matching()

    def close(self) -> bool:
        if not hasattr(self, "service"):
            return True
        if self._following is not None:
            self._following.close()
        self.tick()
        self.log.system("closing the database")
        closed = self.service.database.close()
        if not closed:
            self.log.error("the database was not closed properly")
        if self._history is not None:
            closed = self._history.close() and closed
        if self._base is not None and closed:
            self._base.close()
        return closed
