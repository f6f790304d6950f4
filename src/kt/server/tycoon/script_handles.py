"""What stands for databases and cursors in kt-tycoon's scripts, and the host functions that use
them.

A *handle* is opaque to Lua. It holds the engine's object, or what refuses instead of it, and
remembers the last error: host functions do not raise when the engine refuses, they return nil,
false or -1, and the script asks ``db:error()``. Handles belong to one interpreter; the databases
behind them may be everybody's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, MutableSet, Sequence
from math import isfinite
from threading import Lock
from typing import Any, Final, NoReturn, Protocol, TypeAlias

from kt.errors import ImproperlyConfigured
from kt.server.checkpoint_file import check_complete, leave_alone
from kt.server.engines import EngineError
from kt.server.engines.kyoto._engine import Code, Cursor, Database
from kt.server.scripting.state import Host, LuaFunction, LuaTable

OWRITER, OCREATE, OTRUNCATE = 2, 4, 8
OAUTOTRAN, OAUTOSYNC, ONOLOCK, OTRYLOCK, ONOREPAIR = 16, 32, 64, 128, 256

Attempt: TypeAlias = Callable[[float], bool]
"""Waits for something up to so many seconds; returns whether it has come."""

INT64_MIN: Final = -(1 << 63)
INT64_MAX: Final = (1 << 63) - 1


class UsedByVisitor(Exception):
    """A visitor used the database whose record it visits."""


class Unusable:
    """Stands in for an engine's object: whatever is asked of it raises the same error."""

    def __init__(self, error: Callable[[], Exception]) -> None:
        self._error = error

    def __getattr__(self, name: str) -> NoReturn:
        raise self._error()


def invalid(message: str) -> EngineError:
    return EngineError(Code.INVALID, "invalid operation", message)


def competition() -> EngineError:
    """What the engine says to a transaction that would have to wait and must not."""
    return EngineError(Code.LOGIC, "logical inconsistency", "competition avoided")


NOT_OPEN: Final = Unusable(lambda: invalid("not opened"))
DISABLED: Final = Unusable(lambda: invalid("the cursor is disabled"))
VISITED: Final = Unusable(lambda: UsedByVisitor("a visitor cannot use its own database"))


class UsedDatabase(Protocol):
    """A database that scripts use: the engine's, or what has its methods.

    Host functions know these by their names; see `database_host`.
    """

    @property
    def path(self) -> str: ...
    def end_transaction(self, commit: bool = True) -> None: ...


class Guarded:
    """Stands in for the engine of one of the server's databases while a visitor of another runs.

    Args:
        engine: what it stands for.
        enter: called before that is used; raises what ends the script if it must not be.
    """

    def __init__(self, engine: UsedDatabase, enter: Callable[[], None]) -> None:
        self.engine = engine
        self.enter = enter

    def __getattr__(self, name: str) -> Any:
        self.enter()
        return getattr(self.engine, name)


class SharedDatabase:
    """A database, as all interpreters see it.

    One transaction of scripts runs at a time. Which call has begun it matters only to that call:
    any other one may end it.

    Attributes:
        engine: the engine's.
    """

    def __init__(self, engine: UsedDatabase) -> None:
        self.engine = engine
        self._turn = Lock()  # held from before the begin until after the end
        self._ending = Lock()  # of what follows
        self._runs = False
        self._call: object = None  # that has begun it

    def begin(self, begin: Callable[[bool, float], None], call: object, hard: bool) -> Attempt:
        """A function that waits up to so many seconds to begin a transaction, and says if it has.

        Args:
            begin: the engine's.
            call: who wants it.
            hard: whether its end is to reach the device.
        """

        def attempt(seconds: float) -> bool:
            if self._call is call:
                raise competition()
            if not self._turn.acquire(timeout=seconds):
                return False
            begun = False
            try:
                begun = _begins(begin, hard, seconds)
            finally:
                if not begun:
                    self._turn.release()
            if begun:
                with self._ending:
                    self._call, self._runs = call, True
            return begun

        return attempt

    def end(self, end: Callable[[bool], None], commit: bool) -> None:
        """End the transaction that runs, whoever has begun it. Raises `EngineError`."""
        with self._ending:
            if not self._runs:
                raise invalid("not in transaction")
            self._end(end, commit)

    def undo(self, call: object) -> bool:
        """Undo the transaction that this call has begun, if it still runs; whether it did."""
        with self._ending:
            if not self._runs or self._call is not call:
                return False
            self._end(self.engine.end_transaction, False)
            return True

    def _end(self, end: Callable[[bool], None], commit: bool) -> None:
        self._runs, self._call = False, None
        try:
            end(commit)
        finally:
            self._turn.release()


def _begins(begin: Callable[[bool, float], None], hard: bool, seconds: float) -> bool:
    """Begin a transaction within so many seconds; False if the engine's own one still runs then."""
    try:
        begin(hard, seconds)
    except EngineError as error:
        if error.code != Code.LOGIC:
            raise
        return False
    return True


class Handle:
    """A database in Lua.

    Args:
        shared: one of the server's databases; without it, the script opens one of its own.

    Attributes:
        owned: whether it is the script's own.
        shared: the database; None if it is not open.
        engine: the engine's, or what refuses instead.
        error: the last one: code and message.
    """

    __slots__ = ("__weakref__", "engine", "error", "owned", "shared")

    def __init__(self, shared: SharedDatabase | None = None) -> None:
        self.owned = shared is None
        self.shared = shared
        self.engine: Any = NOT_OPEN if shared is None else shared.engine
        self.error: tuple[int, bytes] = (Code.SUCCESS, b"no error")

    def fail(self, error: EngineError) -> None:
        self.error = (error.code, error.message.encode("utf-8", "surrogateescape"))

    def path(self) -> bytes | None:
        return None if self.shared is None else os.fsencode(self.shared.engine.path)

    def open(self, path: bytes, mode: int) -> bool:
        """Open a database of the script's own, as Kyoto Cabinet's ``open`` does."""
        try:
            if self.shared is not None:
                raise invalid("already opened")
            self.shared = SharedDatabase(open_database(os.fsdecode(path), mode))
        except EngineError as error:
            self.fail(error)
            return False
        self.engine = self.shared.engine
        return True

    def close(self) -> bool:
        """Close it, unless it is the server's."""
        try:
            if not self.owned:
                raise invalid("the server needs it")
            self.engine.close()
        except EngineError as error:
            self.fail(error)
            return False
        self.shared, self.engine = None, NOT_OPEN
        return True


def open_database(spec: str, mode: int) -> Database:
    """Open a database with Kyoto Cabinet's mode bits. Raises `EngineError`."""
    path = spec.partition("#")[0]
    if mode & OWRITER and not mode & OCREATE and len(path) > 1 and not os.path.exists(path):
        raise EngineError(Code.NOREPOS, "no repository", "open failed (file not found)")
    try:
        if mode & OWRITER:
            leave_alone(path)
        else:
            check_complete(path)
    except ImproperlyConfigured as error:
        raise EngineError(Code.NOPERM, "no permission", str(error)) from None
    database = Database(
        spec,
        read_only=not mode & OWRITER,
        auto_transaction=bool(mode & OAUTOTRAN),
        auto_synchronize=bool(mode & OAUTOSYNC),
        no_lock=bool(mode & ONOLOCK),
        try_lock=bool(mode & OTRYLOCK),
        no_repair=bool(mode & ONOREPAIR),
    )
    if mode & OWRITER and mode & OTRUNCATE:
        database.clear()
    return database


class Cursors:
    """The engine's cursors that one interpreter has.

    To close one takes locks of its database. A visitor, which may disable it or in which Lua may
    collect it as garbage, holds them already: then it is closed later.

    Args:
        visited: the databases that visitors hold locks of, at the moment.
    """

    def __init__(self, visited: Sequence[object]) -> None:
        self._visited = visited
        self._used: set[Cursor] = set()
        self._released: list[Cursor] = []

    def open(self, engine: Any) -> Cursor:
        self.close_released()
        cursor: Cursor = engine.cursor()
        self._used.add(cursor)
        return cursor

    def release(self, cursor: Cursor) -> None:
        """Nobody needs it any more."""
        self._used.discard(cursor)
        self._released.append(cursor)

    def close_released(self) -> None:
        """Close those, if that can be done now."""
        while self._released and not self._visited:
            self._released.pop().close()

    def close(self) -> None:
        """Close all. No visitor runs."""
        self.close_released()
        while self._used:
            self._used.pop().close()


class CursorHandle:
    """A cursor in Lua.

    Args:
        owner: handle of its database.
        cursors: opens the engine's cursor and takes it back.
    """

    __slots__ = ("_cursor", "_cursors", "owner")

    def __init__(self, owner: Handle, cursors: Cursors) -> None:
        self.owner = owner
        self._cursors = cursors
        self._cursor: Cursor | None = None
        self._cursor = cursors.open(owner.engine)

    def release(self) -> None:
        if self._cursor is not None:
            self._cursors.release(self._cursor)
            self._cursor = None

    def __del__(self) -> None:
        self.release()

    @property
    def engine(self) -> Any:
        """The engine's cursor, or what refuses instead of it."""
        database = self.owner.engine
        if isinstance(database, Unusable):
            return database
        if isinstance(database, Guarded):
            database.enter()
        return DISABLED if self._cursor is None else self._cursor

    def fail(self, error: EngineError) -> None:
        self.owner.fail(error)


# Makers of host functions: each calls the engine's method of some name.


def asking(name: str, refused: Any = None) -> LuaFunction:
    """Returns what the method returns, `refused` if the engine refuses."""

    def run(handle: Handle | CursorHandle, *arguments: Any) -> Any:
        try:
            return getattr(handle.engine, name)(*arguments)
        except EngineError as error:
            handle.fail(error)
            return refused

    return run


def doing(name: str) -> LuaFunction:
    """Returns true, false if the engine refuses."""

    def run(handle: Handle | CursorHandle, *arguments: Any) -> bool:
        try:
            getattr(handle.engine, name)(*arguments)
        except EngineError as error:
            handle.fail(error)
            return False
        return True

    return run


def _with_path(name: str) -> LuaFunction:
    method = doing(name)
    return lambda handle, path: method(handle, os.fsdecode(path))


def _with_keys(name: str, refused: Any) -> LuaFunction:
    method = asking(name, refused)
    return lambda handle, keys, atomic: method(handle, list(keys.values()), atomic)


def _tabled(method: LuaFunction, table: Callable[[object], LuaTable]) -> LuaFunction:
    """Returns a Lua table of what `method` returns."""

    def run(*arguments: Any) -> Any:
        result = method(*arguments)
        return None if result is None else table(result)

    return run


_set_bulk: Final = asking("set_bulk", -1)
_increment: Final = asking("increment")


def _set_records(handle: Handle, records: LuaTable, xt: int, atomic: bool) -> Any:
    return _set_bulk(handle, dict(records.items()), xt, atomic)


def _increment_from(handle: Handle, key: bytes, amount: int, origin: float, xt: int) -> Any:
    """Infinities as origins mean what the extreme integers mean for the engine."""
    extreme = INT64_MAX if origin > 0 else INT64_MIN
    return _increment(handle, key, amount, int(origin) if isfinite(origin) else extreme, xt)


def _set_error(handle: Handle, code: int, message: bytes) -> None:
    handle.error = (code, message)


def database_host(
    table: Callable[[object], LuaTable], opened: MutableSet[Handle], cursors: Cursors
) -> Host:
    """The host functions on databases and cursors that need nothing but their handle.

    Args:
        table: makes a Lua table of a list or dict.
        opened: is told of the databases that the script opens.
        cursors: the script's.
    """

    def new_db() -> Handle:
        handle = Handle()
        opened.add(handle)
        return handle

    return {
        "new_db": new_db,
        "open": Handle.open,
        "close": Handle.close,
        "db_path": Handle.path,
        "error": lambda handle: handle.error,
        "set_error": _set_error,
        **{name: doing(name) for name in ("set", "add", "replace", "append", "cas", "remove")},
        **{name: asking(name) for name in ("get", "seize", "check", "increment_double")},
        **{name: asking(name, -1) for name in ("count", "size")},
        **{name: _with_path(name) for name in ("copy", "dump_snapshot", "load_snapshot")},
        "clear": doing("clear"),
        "increment": _increment_from,
        "set_bulk": _set_records,
        "remove_bulk": _with_keys("remove_bulk", -1),
        "get_bulk": _tabled(_with_keys("get_bulk", None), table),
        **{
            name: _tabled(asking(name), table)
            for name in ("status", "match_prefix", "match_regex", "match_similar")
        },
        **_cursor_host(cursors),
    }


def _cursor_host(cursors: Cursors) -> Host:
    """The host functions on cursors."""

    def new(owner: Handle) -> CursorHandle:
        return CursorHandle(owner, cursors)

    def close(cursor: CursorHandle) -> None:
        cursor.release()
        cursors.close_released()

    moves = ("jump", "jump_back", "step", "step_back", "set_value", "remove")
    return {
        "cursor": new,
        "cur_close": close,
        **{f"cur_{name}": doing(name) for name in moves},
        **{f"cur_{name}": asking(name) for name in ("get", "get_key", "get_value", "seize")},
    }
