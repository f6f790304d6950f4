"""What the sessions of kt-tycoon share: databases, conditions, counts, and who must wait for whom.

A session calls the engine itself, except for what may take long. That is right as long as the
engine answers quickly, which it does not while something holds its locks for long or where every
write waits for the device. Then `engine_may_block` is set, and everything becomes work for worker
threads: slower, but those who wait for the engine do not stop the others.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final, TypeVar

from kt.server.engines import EngineError
from kt.server.engines.kyoto._engine import BinaryCore, Database
from kt.server.feed import Followers
from kt.server.history import History
from kt.server.holders import Holders, holding
from kt.server.session import Journal
from kt.server.tycoon.procedures import DATABASE_PROCEDURES, Columns, Procedure
from kt.server.tycoon.replication.following import Following
from kt.server.tycoon.replication.mastership import Mastership
from kt.server.tycoon.replication.quorum import Quorum
from kt.server.tycoon.replication.sending import Copies
from kt.server.tycoon.signals import Signals
from kt.server.tycoon.values import http_date, integer
from kt.wire.tycoon_rpc import NO_LEASE, READ_ONLY, REPLACED

T = TypeVar("T")

REFUSALS: Final = (READ_ONLY, REPLACED, NO_LEASE)
"""What is nothing that is wrong here."""

COUNTS: Final = ("set", "remove", "get")


class TycoonService:
    """See the module's docstring.

    Args:
        databases: in the order of the command line.
        log: for requests, where it wants them, and failures.
        program: name and version, as the header Server has them.
        location: how the URLs of records begin.
        writes_wait: every write waits for the device.
        held: what holds a database's locks for long, at the moment.
        turn: held while a session calls the engine, where others wait until none does.
        report: makes the columns of the procedure of that name.
        history: the update log; None without one.
        following: the slave that it can be; None if it can be none.
        timeout: seconds that a client may take to read what it gets; 0 or less for no limit.

    Attributes:
        writes_wait: as it was given.
        core: runs the binary protocol on the databases.
        signals: the named conditions.
        procedures: those that work on a database.
        counts: operations that came by HTTP, by kind; `core` counts the others.
        commands: those that were answered here, by protocol and name; `core` counts the others.
        stamp: the headers Server and Date, ready to send.
        has_scripts: whether there are Lua functions to be called.
        followers: those who follow the update log.
        shut: why nobody can be served at the moment, but for what is about the server; empty if
            all can.
        copies: makes full copies for slaves; None: there are none.
        quorum: knows what enough slaves have; None: writes do not wait for them.
        mastership: whether it may be a master; None where nobody follows anybody.
    """

    shut = ""
    copies: Copies | None = None
    quorum: Quorum | None = None
    mastership: Mastership | None = None

    def __init__(
        self,
        databases: Sequence[Database],
        log: Journal,
        *,
        program: str,
        location: bytes = b"http://localhost",
        writes_wait: bool = False,
        held: Holders | None = None,
        turn: AbstractContextManager[object] | None = None,
        report: Callable[[], Columns] = dict,
        history: History | None = None,
        following: Following | None = None,
        timeout: float = 0.0,
    ) -> None:
        self.databases, self.log = databases, log
        self.location = location
        self.held = Holders() if held is None else held
        self.turn = threading.Lock() if turn is None else turn
        self.core = BinaryCore(databases, trace=log.info_wanted)
        self.signals = Signals()
        self.procedures: dict[bytes, Procedure[Database]] = dict(DATABASE_PROCEDURES)
        self.counts = dict.fromkeys(("script", "misc"), 0)
        for kind in COUNTS:
            self.counts[kind] = self.counts[f"{kind}_misses"] = 0
        self.commands: Counter[str] = Counter()
        self.has_scripts = False
        self.followers = Followers()
        self.report = report
        self.history, self.following = history, following
        self.timeout = timeout
        if history is not None:
            for index, database in enumerate(databases):
                database.set_update_log(history.log, index)
        self._names = {os.fsencode(os.path.basename(db.path)): db for db in databases}
        self._program = program.encode()
        self.writes_wait = writes_wait
        self._stamp_time, self.stamp = 0, b""
        self.set_stamp()

    @property
    def engine_may_block(self) -> bool:
        """Whether engine calls may take long at the moment, and belong in worker threads."""
        return bool(self.held) or self.writes_wait

    def exclusively(self, work: Callable[[], T]) -> Callable[[], T]:
        """`work`, to be run in a worker thread soon; until it is done `engine_may_block` is set."""
        return holding(self.held, work)

    def answered(self, command: str, seconds: float) -> None:
        """Count a command that was answered here, and not by the engine's stream."""
        self.commands[command] += 1
        self.core.took(seconds)

    def failed(self, command: bytes, message: bytes) -> None:
        """Log that a command has failed by no fault of the client's."""
        text = message.decode("utf-8", "replace")
        if not any(words in text for words in REFUSALS):
            self.log.error(f"{command.decode('utf-8', 'replace')}: {text}")

    def database(self, expression: bytes) -> Database | None:
        """The database that a request means by its number or name; the first one by nothing."""
        if not expression:
            return self.databases[0]
        if expression[:1].isdigit():
            index = integer(expression) & 0xFFFFFFFF  # the original keeps 32 bits of it
            return self.databases[index] if index < len(self.databases) else None
        return self._names.get(expression)

    def set_stamp(self) -> None:
        """Let `stamp` tell the time: to be called at least once a second."""
        now = int(time.time())
        if now != self._stamp_time:
            self._stamp_time = now
            self.stamp = b"Server: %b\r\nDate: %b\r\n" % (self._program, http_date(now))
            if not self.log.info_wanted:  # else each HTTP request comes to us, to be logged
                self.core.set_stamp(self.stamp)


def log_engine_error(log: Journal, error: EngineError) -> None:
    """Log a failure that is nobody's mistake, such as a full disk."""
    log.error(f"database error: {error.code}: {error.name}: {error.message}")
