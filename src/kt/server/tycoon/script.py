"""Kyoto Tycoon's scripting: a worker's script, and what ``lua/tycoon.lua`` needs of the server.

::

    lua/tycoon.lua            script_handles, here            engine
    db:get(key)       ---->   asking("get")           ---->   Database.get
    db:accept(k, v)   ---->   TycoonScript._visit     ---->   Database.accept
        visit_full    <--------------------------------------     with the record locked

**Atomicity.** `accept` runs the script's visitor with the record locked, as the original does, so
nobody comes between what it reads and what it writes; `lua_visits` keeps the event loop from
waiting for it. A visitor that used its own database would wait for itself; it gets an error.

**Transactions** are the database's, as in the original: what others write meanwhile belongs to
them, and is undone with them. One call may begin and another one end them. A call that fails leaves
no transaction open that it has begun itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from threading import Event
from typing import Any, Final, NamedTuple
from weakref import WeakSet

from kt.server.engines import EngineError
from kt.server.engines.kyoto import _text
from kt.server.engines.kyoto._engine import KEEP, REMOVE
from kt.server.scripting.state import (
    Aside,
    Host,
    Interpreter,
    Limits,
    LuaFunction,
    LuaTable,
    readable,
)
from kt.server.scripting.visits import Visits
from kt.server.session import Journal
from kt.server.tycoon.script_handles import (
    VISITED,
    CursorHandle,
    Cursors,
    Guarded,
    Handle,
    SharedDatabase,
    competition,
    database_host,
)
from kt.version import VERSION

HASH_BITS: Final = (1 << 48) - 1
"""A hash as scripts see it: what fits a Lua number exactly."""

SUCCESS: Final = 0
NOT_THERE: Final = 1
INTERNAL: Final = 5
"""What a script's function returns, and what it comes to if it is not there or fails."""


class Service(NamedTuple):
    """What all interpreters of a server have in common.

    Attributes:
        path: the script's file.
        databases: the server's.
        names: by what other names they are known, as indices.
        limits: of one call.
        stop: set when scripts are to end because the server does.
        visits: to be told of visitors.
        log: the server's.
    """

    path: str
    databases: Sequence[SharedDatabase]
    names: Mapping[bytes, int]
    limits: Limits
    stop: Event
    visits: Visits
    log: Journal


class Visitor(NamedTuple):
    """What the engine calls: functions of the prelude."""

    visit_full: LuaFunction
    visit_empty: LuaFunction


class TycoonScript:
    """The script of one worker, loaded and ready to be called.

    Args:
        service: what it has in common with the others.
        index: number of the worker.
        aside: to be told when a call waits for another one.
    """

    def __init__(self, service: Service, index: int, aside: Aside) -> None:
        self._service = service
        self._log = service.log
        handles = [Handle(database) for database in service.databases]
        self._guarded = [
            (handle, Guarded(handle.engine, partial(self._cross, handle.shared)))
            for handle in handles
        ]
        self._visited: list[object] = []  # databases, by visitors that run, one in the other
        self._crosses = False
        self._running = object()  # stands for the call that runs
        self._opened: WeakSet[Handle] = WeakSet()
        self._cursors = Cursors(self._visited)
        self._lua = Interpreter(vars(_text), service.limits, service.stop, aside)
        self._call, full, empty, self._process = self._lua.prelude(
            "tycoon.lua", self._host(index, handles)
        )
        self._visitor = Visitor(full, empty)
        self._load(service.path)

    def _load(self, path: str) -> None:
        try:
            with open(path, "rb") as file:
                source = file.read()
        except OSError as error:
            self._log.error(f"[SCRIPT]: {path}: {error.strerror}")
            return
        if failure := self._lua.run(source, path):
            self._fail("(init)", failure)

    def close(self) -> None:
        """Close what the script has opened. (Transactions are the databases', not its.)

        Its interpreter stays until Python finds that it is garbage, in any thread at any time: the
        next one could come to open a file that is still in use.
        """
        self._cursors.close()
        for handle in list(self._opened):
            handle.close()

    def play(self, name: bytes, records: Mapping[bytes, bytes]) -> tuple[int, dict[bytes, bytes]]:
        """Call a function of the script.

        Args:
            name: of a global function.
            records: its first argument.

        Returns:
            what it returned as a number, and its second argument as it has left it, ordered by key.
            A failure is logged and counts as `INTERNAL`.
        """
        self._cursors.close_released()
        self._lua.begin()
        self._running = object()
        given = self._lua.table(records)
        try:
            result, rest, *flat = self._call(name.partition(b"\0")[0], given)
        except self._lua.failure as failure:  # where the prelude itself gets no memory
            self._fail(readable(name), str(failure))
            return INTERNAL, {}
        if result is None:
            return NOT_THERE, {}
        if result is False:
            self._fail(readable(name), readable(rest))
            return INTERNAL, {}
        if rest is not None:  # too much for a list of results
            flat = list(rest.values())
        return result, dict(sorted(zip(flat[::2], flat[1::2], strict=True)))

    def _fail(self, name: str, message: str) -> None:
        self._log.error(f"[SCRIPT]: {name}: {message}")
        self._undo_transactions(name)

    def _undo_transactions(self, name: str) -> None:
        own = [handle.shared for handle in self._opened if handle.shared is not None]
        for shared in (*self._service.databases, *own):
            if shared.undo(self._running):
                self._log.error(f"[SCRIPT]: {name}: the transaction it had begun is undone")

    # The host functions

    def _host(self, index: int, handles: Sequence[Handle]) -> Host:
        service, table = self._service, self._lua.table
        return {
            "VERSION": VERSION.encode(),
            "thid": index,
            "NOP": KEEP,
            "REMOVE": REMOVE,
            "databases": table(handles),
            "names": table(service.names),
            "log": self._write_log,
            "log_failure": self._log_failure,
            "atoi": lambda text: float(_text.atoi(text)),
            "atoix": lambda text: float(_text.atoix(text)),
            "atof": _text.atof,
            "hash_murmur": lambda data: _text.hash_murmur(data) & HASH_BITS,
            "hash_fnv": lambda data: _text.hash_fnv(data) & HASH_BITS,
            **database_host(table, self._opened, self._cursors),
            "accept": self._accept,
            "accept_bulk": self._accept_bulk,
            "iterate": self._iterate,
            "cur_accept": self._accept_at,
            "synchronize": self._synchronize,
            "begin_transaction": self._begin_transaction,
            "end_transaction": self._end_transaction,
        }

    def _write_log(self, kind: bytes, message: bytes) -> None:
        kinds = {b"info": self._log.info, b"system": self._log.system, b"error": self._log.error}
        write = kinds.get(kind.lower(), self._log.debug)
        write(f"[SCRIPT]: {readable(message)}")

    def _log_failure(self, name: bytes, message: bytes) -> None:
        self._log.error(f"[SCRIPT]: {readable(name)}: {readable(message)}")

    # Each of these returns whether it was done; None if the script must end.

    def _accept(self, handle: Handle, key: bytes, writable: bool) -> bool | None:
        return self._visit(handle, handle, "accept", key, self._visitor, writable)

    def _accept_bulk(self, handle: Handle, keys: LuaTable, writable: bool) -> bool | None:
        listed = list(keys.values())
        return self._visit(handle, handle, "accept_bulk", listed, self._visitor, writable)

    def _iterate(self, handle: Handle, writable: bool) -> bool | None:
        return self._visit(handle, handle, "iterate", self._visitor, writable)

    def _accept_at(self, cursor: CursorHandle, writable: bool, step: bool) -> bool | None:
        return self._visit(cursor.owner, cursor, "accept", self._visitor, writable, step)

    def _synchronize(self, handle: Handle, hard: bool, with_processor: bool) -> bool | None:
        def process(path: str, count: int, size: int) -> bool:
            result: bool = self._process(os.fsencode(path), count, size)
            return result

        processor = process if with_processor else None
        return self._visit(handle, handle, "synchronize", hard, processor)

    def _visit(
        self, handle: Handle, target: Handle | CursorHandle, name: str, *arguments: Any
    ) -> bool | None:
        """Call a method of the target's engine that calls the script back, with locks held."""
        try:
            method = getattr(target.engine, name)  # or it refuses, before anything has changed
            with self._visiting(handle):
                method(*arguments)
        except EngineError as error:
            handle.fail(error)
            return False
        except self._lua.failure:
            return None
        return True

    @contextmanager
    def _visiting(self, handle: Handle) -> Iterator[None]:
        """Meanwhile, the script cannot use this database, and uses others with care.

        Only the server's databases need care: nobody else can hold a record of the script's own.
        """
        usual = handle.engine
        if not self._visited:
            for other, guarded in self._guarded:
                other.engine = guarded
        handle.engine = VISITED
        self._visited.append(handle.shared)
        self._service.visits.begin(handle)
        try:
            yield
        finally:
            self._service.visits.end(handle)
            self._visited.pop()
            handle.engine = usual
            if not self._visited:
                self._leave()

    def _cross(self, database: object) -> None:
        """A visitor is about to use another database than its own. May end the script."""
        crossing = self._service.visits.crossing

        def attempt(nap: float) -> bool:
            if crossing.begin(nap):
                return True
            if crossing.needs(self._visited):
                self._lua.end("its visitor and another script's use each other's databases")
            return False

        if not self._crosses:
            if reason := self._lua.wait(attempt):
                self._lua.end(reason)
            self._crosses = True
        crossing.use(database)

    def _leave(self) -> None:
        """No visitor runs any more."""
        for handle, guarded in self._guarded:
            handle.engine = guarded.engine
        if self._crosses:
            self._crosses = False
            self._service.visits.crossing.end()

    def _begin_transaction(self, handle: Handle, hard: bool) -> bool | bytes:
        """Waits until the one that runs is ended; returns a reason if the script must end before.

        Unless nobody else can end it: if this call has begun it, or a database of the script's own.
        """
        try:
            begin, shared = handle.engine.begin_transaction, handle.shared
            assert shared is not None  # or there were no such method
            attempt = shared.begin(begin, self._running, hard)
            if not handle.owned:
                reason = self._lua.wait(attempt)
                return True if reason is None else reason.encode()
            if not attempt(0.0):
                raise competition()
        except EngineError as error:
            handle.fail(error)
            return False
        return True

    def _end_transaction(self, handle: Handle, commit: bool) -> bool:
        try:
            end, shared = handle.engine.end_transaction, handle.shared
            assert shared is not None  # likewise
            shared.end(end, commit)
        except EngineError as error:
            handle.fail(error)
            return False
        return True
