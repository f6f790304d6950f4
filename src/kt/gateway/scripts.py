"""kt-tycoon's scripts in a gateway: databases on clusters, as scripts use those of the engine.

::

    script (a thread)                                     event loop
    db:get(key) --> ClusterDatabase.get --> Operations.run ----> cluster
                         EngineError    <-- Failure, KTError <--

`kt.server.tycoon.script` calls the same methods as for a database of Kyoto Cabinet. What a cluster
cannot do as a whole (bulk operations, transactions) is refused, with the code for what is not
implemented. No record of a cluster can be locked: `accept` reads it, calls the visitor, and stores
what that says if the value is still the same; else it begins again, and the visitor with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import wait
from contextlib import nullcontext
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from kt.cluster.answers import Request, pack_answer, refuse_signals
from kt.cluster.cluster import Cluster
from kt.cluster.commands import Failure, Steps, at_home
from kt.cluster.contract import SWAPS, Cursor, Database
from kt.cluster.engine import carry_out
from kt.errors import KTError
from kt.server.engines import EngineError
from kt.server.engines.kyoto._engine import KEEP, REMOVE, Code
from kt.server.holders import Holders
from kt.server.scripting.state import Limits
from kt.server.scripting.visits import Visits
from kt.server.scripting.workers import Workers
from kt.server.tycoon.rpc import run
from kt.server.tycoon.script import TycoonScript
from kt.server.tycoon.scripts import PLAY_SCRIPT, made_service, play_script
from kt.wire.magic import NEVER
from kt.wire.tycoon import PlayScript
from kt.wire.tycoon_rpc import HttpRequest, decode_rpc

if TYPE_CHECKING:
    from kt.server.engines.kyoto._engine import Visitor
    from kt.server.session import Journal
    from kt.server.tycoon.options import TycoonOptions

T = TypeVar("T")

NAP: Final = 0.2
"""Seconds after which a script that waits for the cluster looks whether the server ends."""

NAMES: Final = {
    Code.NOIMPL: "not implemented",
    Code.INVALID: "invalid operation",
    Code.LOGIC: "logical inconsistency",
    Code.NOREC: "no record",
    Code.SYSTEM: "system error",
}


def refused(code: Code, message: str) -> EngineError:
    return EngineError(code, NAMES[code], message)


def not_here(what: str) -> EngineError:
    return refused(Code.NOIMPL, f"not in a cluster: {what}")


def translated(failure: Failure) -> EngineError:
    """What the engine would have raised."""
    parts = failure.text.split(": ", 3)
    if len(parts) == 4 and parts[0] == "DB" and parts[1].isdigit():
        return EngineError(int(parts[1]), *parts[2:])
    return refused(Code.NOIMPL if failure.status == 501 else Code.INVALID, failure.text)


class Operations:
    """Carries out operations for the threads of scripts.

    Args:
        cluster: where.
        loop: the event loop that has its connections.
        stop: set when scripts are to end.
        log: is told of operations whose outcome is not known, or that nobody has served.
    """

    def __init__(
        self, cluster: Cluster, loop: asyncio.AbstractEventLoop, stop: Event, log: Journal
    ) -> None:
        self._cluster = cluster
        self._loop = loop
        self._stop = stop
        self._log = log

    def run(self, number: int, steps: Steps[T]) -> T:
        """The result of an operation on the database of this number.

        Raises:
            EngineError: it has failed, or its outcome is not known, or the server ends.
        """
        if self._stop.is_set():
            raise refused(Code.SYSTEM, "the server ends")
        carried_out = carry_out(at_home(number, steps), self._cluster.run)
        future = asyncio.run_coroutine_threadsafe(carried_out, self._loop)
        while not wait([future], NAP).done:
            if self._stop.is_set():
                future.cancel()
                raise refused(Code.SYSTEM, "the server ends")
        try:
            result: T = future.result()
        except Failure as failure:
            raise translated(failure) from None
        except KTError as error:
            self._log.error(f"[SCRIPT]: {error}")
            raise refused(Code.SYSTEM, str(error)) from None
        return result


class ClusterDatabase:
    """A database on a cluster with the methods of the engine's (`kt.server.engines.kyoto`).

    Args:
        operations: carries out what is asked for.
        number: of the database.
        database: its operations.
    """

    def __init__(self, operations: Operations, number: int, database: Database) -> None:
        self._database = database
        self._run: Callable[[Steps[Any]], Any] = partial(operations.run, number)
        self.path = str(database.settings)

    # One record

    def get(self, key: bytes) -> tuple[bytes, int]:
        record: tuple[bytes, int] = self._run(self._database.get(key))
        return record

    def check(self, key: bytes) -> tuple[int, int]:
        found: tuple[int, int] = self._run(self._database.check(key))
        return found

    def seize(self, key: bytes) -> tuple[bytes, int]:
        record: tuple[bytes, int] = self._run(self._database.seize(key))
        return record

    def set(self, key: bytes, value: bytes, xt: int = NEVER) -> None:
        self._run(self._database.set(key, value, xt))

    def add(self, key: bytes, value: bytes, xt: int = NEVER) -> None:
        self._run(self._database.add(key, value, xt))

    def replace(self, key: bytes, value: bytes, xt: int = NEVER) -> None:
        self._run(self._database.replace(key, value, xt))

    def append(self, key: bytes, value: bytes, xt: int = NEVER) -> None:
        self._run(self._database.append(key, value, xt))

    def remove(self, key: bytes) -> None:
        self._run(self._database.remove(key))

    def cas(self, key: bytes, old: bytes | None, new: bytes | None, xt: int = NEVER) -> None:
        self._run(self._database.cas(key, old, new, xt))

    def increment(self, key: bytes, num: int, orig: int = 0, xt: int = NEVER) -> int:
        total: int = self._run(self._database.increment(key, num, orig, xt))
        return total

    def increment_double(self, key: bytes, num: float, orig: float = 0.0, xt: int = NEVER) -> float:
        total: float = self._run(self._database.increment_double(key, num, orig, xt))
        return total

    def accept(self, key: bytes, visitor: Visitor, writable: bool = True) -> bool:
        """See the module's docstring; returns whether the record has been removed."""
        for _ in range(SWAPS):
            [record] = self._run(self._database.get_many([key]))
            if record is None:
                verdict: Any = visitor.visit_empty(key)
            else:
                verdict = visitor.visit_full(key, *record)
            if not writable or verdict is KEEP or (verdict is REMOVE and record is None):
                return False
            old = None if record is None else record[0]
            new, xt = verdict if isinstance(verdict, tuple) else (verdict, NEVER)
            if self._swap(key, old, None if new is REMOVE else new, xt):
                return new is REMOVE
        raise refused(Code.LOGIC, "the record changes all the time")

    def _swap(self, key: bytes, old: bytes | None, new: bytes | None, xt: int) -> bool:
        try:
            self.cas(key, old, new, xt)
        except EngineError as error:
            if error.code != Code.LOGIC:
                raise
            return False
        return True

    # Many records

    def _check(self, atomic: bool) -> None:
        if atomic and not self._database.atomic:
            raise not_here("bulk operations that are atomic as a whole: false as last argument")

    def set_bulk(
        self, records: Mapping[bytes, bytes], xt: int = NEVER, atomic: bool = False
    ) -> int:
        self._check(atomic)
        count: int = self._run(self._database.set_bulk(records, xt))
        return count

    def remove_bulk(self, keys: Iterable[bytes], atomic: bool = False) -> int:
        self._check(atomic)
        count: int = self._run(self._database.remove_bulk(keys))
        return count

    def get_bulk(self, keys: Iterable[bytes], atomic: bool = False) -> dict[bytes, bytes]:
        self._check(atomic)
        found = self._run(self._database.get_bulk(keys))
        return {key: value for key, (value, _) in found.items()}

    def accept_bulk(self, keys: Sequence[bytes], visitor: Visitor, writable: bool = True) -> None:
        if len(keys) > 1:
            raise not_here("visitors of several records at once")
        for key in keys:
            self.accept(key, visitor, writable)

    def iterate(self, visitor: Visitor, writable: bool = True) -> None:
        """Visit each record, one after the other."""
        cursor = self._database.cursor()
        try:
            self._run(cursor.jump(None))
            while True:
                self.accept(self._run(cursor.get_key(True)), visitor, writable)
        except EngineError as error:
            if error.code != Code.NOREC:
                raise

    def match_prefix(self, prefix: bytes, limit: int = -1) -> list[bytes]:
        keys: list[bytes] = self._run(self._database.match_prefix(prefix, limit))
        return keys

    def match_regex(self, regex: bytes, limit: int = -1) -> list[bytes]:
        keys: list[bytes] = self._run(self._database.match_regex(regex, limit))
        return keys

    def match_similar(
        self, origin: bytes, distance: int = 1, utf8: bool = False, limit: int = -1
    ) -> list[bytes]:
        steps = self._database.match_similar(origin, distance, utf8, limit)
        keys: list[bytes] = self._run(steps)
        return keys

    # All of it

    def count(self) -> int:
        count: int = self._run(self._database.count())
        return count

    def size(self) -> int:
        return int(self.status()[b"size"])

    def status(self) -> dict[bytes, bytes]:
        status: dict[bytes, bytes] = self._run(self._database.status())
        return status

    def clear(self) -> None:
        self._run(self._database.clear())

    def synchronize(self, hard: bool = False, processor: object = None) -> None:
        if processor is not None:
            raise not_here("processors of files")
        self._run(self._database.synchronize(hard))

    def cursor(self) -> ClusterCursor:
        return ClusterCursor(self, self._run, self._database.cursor())

    def begin_transaction(self, hard: bool = False, timeout: float = -1) -> NoReturn:
        raise not_here("transactions")

    def end_transaction(self, commit: bool = True) -> NoReturn:
        raise not_here("transactions")

    def copy(self, path: str) -> NoReturn:
        raise not_here("files")

    dump_snapshot = load_snapshot = copy


class ClusterCursor:
    """A cursor with the methods of the engine's."""

    def __init__(
        self, database: ClusterDatabase, run: Callable[[Steps[Any]], Any], cursor: Cursor
    ) -> None:
        self._database = database
        self._run = run
        self._cursor = cursor

    def close(self) -> None:
        """There is nothing to be closed."""

    def jump(self, key: bytes | None = None) -> None:
        self._run(self._cursor.jump(key))

    def jump_back(self, key: bytes | None = None) -> None:
        self._run(self._cursor.jump_back(key))

    def step(self) -> None:
        self._run(self._cursor.step())

    def step_back(self) -> None:
        self._run(self._cursor.step_back())

    def get(self, step: bool = False) -> tuple[bytes, bytes, int]:
        record: tuple[bytes, bytes, int] = self._run(self._cursor.get(step))
        return record

    def get_key(self, step: bool = False) -> bytes:
        key: bytes = self._run(self._cursor.get_key(step))
        return key

    def get_value(self, step: bool = False) -> bytes:
        return self.get(step)[1]

    def set_value(self, value: bytes, xt: int = NEVER, step: bool = False) -> None:
        self._run(self._cursor.set_value(value, xt, step))

    def remove(self) -> None:
        self._run(self._cursor.remove())

    def seize(self) -> tuple[bytes, bytes, int]:
        record: tuple[bytes, bytes, int] = self._run(self._cursor.seize())
        return record

    def accept(self, visitor: Visitor, writable: bool = True, step: bool = False) -> None:
        """Visit the record; one that is removed is passed in any case."""
        removed = self._database.accept(self.get_key(), visitor, writable)
        if step and not removed:
            self.step()


def answer_by_script(request: Request, stamp: bytes, script: TycoonScript) -> bytes:
    """The reply to a request that calls a function of the script."""
    if isinstance(request, PlayScript):
        return play_script(request, script)
    assert isinstance(request, HttpRequest)
    called = decode_rpc(request)
    assert called is not None
    _, columns = called
    try:
        refuse_signals(columns)
    except Failure as failure:
        return pack_answer(request, failure.status, {b"ERROR": failure.text.encode()}, stamp)
    outcome = run(PLAY_SCRIPT, script, columns)
    return pack_answer(request, outcome.status, outcome.columns, stamp)


def start_scripts(
    options: TycoonOptions, cluster: Cluster, loop: asyncio.AbstractEventLoop, log: Journal
) -> Workers[TycoonScript]:
    """Load a gateway's script, once for each of its threads.

    Raises:
        ImproperlyConfigured: there is no such script, or lupa is not installed.
    """
    stop = Event()
    operations = Operations(cluster, loop, stop, log)
    assert options.script is not None
    service = made_service(
        [
            ClusterDatabase(operations, number, database)
            for number, database in enumerate(cluster.databases)
        ],
        options.script,
        Limits(options.script_seconds, options.script_memory),
        stop,
        Visits(Holders(), nullcontext()),
        log,
    )
    return Workers(options.threads, partial(TycoonScript, service), loop, stop)
