"""kt-tyrant: a database of Tokyo Cabinet behind the protocols of Tokyo Tyrant.

========================  =========================================================================
module                    what it does
========================  =========================================================================
tyrant                    the server: the database, the mask, counts, the log
tyrant_connection         a connection: tells binary requests from text
engines._tokyo            the engine, and the quick binary commands on top of it, compiled
tyrant_binary             the other binary commands
tyrant_memcached          the text commands of memcached
tyrant_http               HTTP requests for single records and functions
tyrant_scripts            Lua functions that clients call; what they see is in lua_tyrant
tyrant_status             what ``stat``, ``stats`` and OPTIONS answer
========================  =========================================================================

The event loop calls the engine itself, except for what may take long, which goes through worker
threads and visits the engine for a millisecond at a time. A few things the library does in one go,
however long it takes. While it searches a table or copies a file, others may read; what writes
goes through worker threads and waits there, so that it does not stop those who read. While it
optimizes a file or makes an index, everything waits in that way.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, TypeVar

from kt.errors import ImproperlyConfigured
from kt.server.engines.tokyo._engine import BinaryCore, Database, Event, Hold
from kt.server.process.daemon import PidFile
from kt.server.process.log import Level, Log
from kt.server.process.server import Server, holding
from kt.server.tyrant.options import Command, TyrantOptions
from kt.server.tyrant.scripts import Scripts
from kt.server.tyrant.session import TyrantConnection

T = TypeVar("T")

_RARE: Final = frozenset(range(Command.SYNC, Command.RNUM)) | {Command.REPL}
"""Commands that are logged even where not every command is."""

_EVENTS: Final = {
    Event.DOING: ("debug", "doing {} command"),
    Event.FORBIDDEN: ("info", "do_{}: forbidden"),
    Event.INVALID: ("info", "do_{}: invalid parameters"),
    Event.FAILED: ("error", "do_{}: operation failed"),
    Event.UNKNOWN: ("info", "unknown command"),
}


class TyrantLog(Log):
    """The log, a line per event: ``TIME tab LEVEL tab message``, as the original has it."""

    def format(self, when: str, level: Level, message: str) -> str:
        return f"{when[:19]}{when[26:]}\t{level.name}\t{message}\n"


class RecordLocks:
    """Locks for operations that read a record and then write it, as the original has them.

    They exclude each other, not the plain commands. Scripts may hold them for long.

    Attributes:
        all: every lock, to be taken in this order.
    """

    def __init__(self) -> None:
        self.all = [threading.Lock() for _ in range(31)]

    def record(self, key: bytes) -> threading.Lock:
        """The lock of a record; some others have the same."""
        return self.all[hash(key) % len(self.all)]


class TyrantServer(Server):
    """A running kt-tyrant.

    Attributes:
        database: what it serves.
        core: runs the quick binary commands, and counts.
        locks: for operations that read a record and then write it.
        searches: long operations under way that hold up writers.
    """

    log_class = TyrantLog
    options: TyrantOptions
    database: Database
    core: BinaryCore

    def __init__(self, options: TyrantOptions) -> None:
        super().__init__(options)
        self.locks = RecordLocks()
        self.searches: set[object] = set()

    # What commands use

    @property
    def engine_may_block(self) -> bool:
        """Scripts may do anything at any time; `Stream` looks after itself."""
        return super().engine_may_block or bool(self.searches) or self.scripts is not None

    def holding(self, hold: Hold, work: Callable[[], T]) -> Callable[[], T]:
        """`work`, to be run in a worker thread soon, which holds up others in this way."""
        if hold is Hold.NONE:
            return work
        return holding(self.held if hold is Hold.ALL else self.searches, work)

    def forbids(self, *commands: Command) -> bool:
        """Whether the mask forbids one of these commands or groups."""
        return any(self.options.mask >> command & 1 for command in commands)

    def note(self, command: Command, event: Event) -> None:
        """Log what has become of a command."""
        kind, text = _EVENTS[event]
        if event is Event.DOING and command in _RARE:
            kind = "info"
        getattr(self.log, kind)(text.format(command.name.lower()))

    # What `Server` asks for

    def prepare(self) -> None:
        pid_file = PidFile(self.options.pid_path)
        process = pid_file.running()
        if process is None:
            return
        if not self.options.kill:
            raise ImproperlyConfigured(f"the process {process} may be running already; -kl ends it")
        self.log.info(f"ending the process {process}")
        pid_file.end_running()

    def open(self) -> None:
        options = self.options
        self.log.system(f"opening the database: {options.database}")
        self.database = Database(options.database, stores=options.stores)
        if self.database.rebuilt:
            self.log.system("the database had not been closed properly, and was rebuilt")
        trace = options.log_level <= Level.DEBUG
        self.core = BinaryCore(self.database, mask=options.mask, trace=trace)
        if options.mask:
            self.log.system(f"command bit mask: {options.mask:#x}")
        if options.script is not None:
            self.scripts = Scripts(self, options.script)

    def connect(self) -> TyrantConnection:
        return TyrantConnection(self)

    def tick(self) -> None:
        """Log what the engine has noted."""
        for number, event in self.core.take_events():
            self.note(Command(number), event)

    def close(self) -> bool:
        if not hasattr(self, "database"):
            return True
        self.tick()
        self.log.system("closing the database")
        closed = self.database.close()
        if not closed:
            self.log.error("the database was not closed properly")
        return closed
