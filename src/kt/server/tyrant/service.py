"""What the sessions of kt-tyrant share: the database, the mask, locks, and who must wait for whom.

A session calls the engine itself, except for what may take long, which becomes work for worker
threads and visits the engine for a millisecond at a time. A few things the library does in one go,
however long it takes. While it searches a table or copies a file, others may read; what writes
goes through worker threads and waits there, so that it does not stop those who read. While it
optimizes a file or makes an index, everything waits in that way.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from kt.server.engines.tokyo._engine import BinaryCore, Database, Event, Hold
from kt.server.feed import Followers
from kt.server.history import History
from kt.server.holders import Holders, holding
from kt.server.session import Journal
from kt.server.tyrant.options import Command

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


class Slave(Protocol):
    """What sessions know of the server as a slave; see `kt.server.tyrant.following`."""

    def set_master(self, host: str, port: int, since: int, *, consistent: bool) -> None: ...
    def facts(self) -> list[tuple[str, object]]: ...


class RecordLocks:
    """Locks for operations that read a record and then write it, as the original has them.

    They exclude each other, not the plain commands. Scripts may hold them for long.

    Attributes:
        writes_wait: as it was given.
        all: every lock, to be taken in this order.
    """

    def __init__(self) -> None:
        self.all = [threading.Lock() for _ in range(31)]

    def record(self, key: bytes) -> threading.Lock:
        """The lock of a record; some others have the same."""
        return self.all[hash(key) % len(self.all)]


class TyrantService:
    """See the module's docstring.

    Args:
        database: what is served.
        log: for commands, where it wants them, and failures.
        mask: the commands and groups that are forbidden.
        trace: whether every command is to be logged.
        threads: how many worker threads there may be; for `stats`.
        held: what holds the database for long, at the moment.
        server_id: number of this server in update logs; 0 if it has none.
        history: the update log; None without one.
        comes_back: whether the database comes back from it, so that it must have every change.
        timeout: seconds that a client may take to read what it gets; 0 or less for no limit.
        writes_wait: every write waits for the device.

    Attributes:
        core: runs the quick binary commands, and counts.
        locks: for operations that read a record and then write it.
        searches: long operations under way that hold up writers.
        has_scripts: whether there are Lua functions to be called.
        start_time: Unix time.
        slave: what follows a master; None where nothing can.
        followers: those who follow the update log.
    """

    def __init__(
        self,
        database: Database,
        log: Journal,
        *,
        mask: int = 0,
        trace: bool = False,
        threads: int = 1,
        held: Holders | None = None,
        server_id: int = 0,
        history: History | None = None,
        comes_back: bool = False,
        timeout: float = 0.0,
        writes_wait: bool = False,
    ) -> None:
        self.database = database
        self.log = log
        self.threads = threads
        self.held = Holders() if held is None else held
        self.core = BinaryCore(database, mask=mask, trace=trace)
        self.locks = RecordLocks()
        self.searches: set[object] = set()
        self.has_scripts = False
        self.start_time = time.time()
        self.slave: Slave | None = None
        self.followers = Followers()
        self.server_id = server_id
        self.history = history
        self.timeout = timeout
        if history is not None:
            database.set_update_log(history.log, every_change=comes_back)
        self._mask = mask
        self.writes_wait = writes_wait

    @property
    def engine_may_block(self) -> bool:
        """Whether engine calls may take long at the moment, and belong in worker threads.

        Scripts may do anything at any time. (`Stream` looks after itself, unless `stream_waits`.)
        """
        return self.stream_waits or bool(self.searches) or self.has_scripts

    @property
    def stream_waits(self) -> bool:
        """Whether whatever is called may take long."""
        return bool(self.held) or self.writes_wait

    def holding(self, hold: Hold, work: Callable[[], T]) -> Callable[[], T]:
        """`work`, to be run in a worker thread soon, which holds up others in this way."""
        if hold is Hold.NONE:
            return work
        return holding(self.held if hold is Hold.ALL else self.searches, work)

    def forbids(self, *commands: Command) -> bool:
        """Whether the mask forbids one of these commands or groups."""
        return any(self._mask >> command & 1 for command in commands)

    def note(self, command: Command, event: Event) -> None:
        """Log what has become of a command."""
        kind, text = _EVENTS[event]
        if event is Event.DOING and command in _RARE:
            kind = "info"
        getattr(self.log, kind)(text.format(command.name.lower()))

    def log_events(self) -> None:
        """Log what the engine has noted."""
        for number, event in self.core.take_events():
            self.note(Command(number), event)
