"""Tokyo Tyrant's scripting: a worker's script, and what ``lua/tyrant.lua`` needs of the server.

::

    ext NAME, KEY, VALUE ---> locks as the command asks ---> lua/tyrant.lua: NAME(KEY, VALUE)
                                                                 _get(key) ---> the engine
    every PERIOD seconds ---------------------------------->     NAME("", "")

Interpreters share nothing but the database, the *stash* (records in memory), named locks, and
chunks given to ``_eval``: these run at once in the interpreter that calls it, and in the others
before their next call.

**Locks.** The command ``ext`` may ask that no other script works on the same record, or that no
other one runs, among those that ask for a lock at all. Other commands do not look at these locks,
as in the original.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from threading import Condition, Event, Lock
from typing import Final, NamedTuple, TypeAlias
from zlib import crc32

from kt.server.engines.tokyo import _text
from kt.server.engines.tokyo._engine import Database, Hold
from kt.server.scripting.files import glob_paths, make_directory, remove_path, stat_path
from kt.server.scripting.state import (
    Aside,
    Host,
    Interpreter,
    Limits,
    LuaFunction,
    LuaTable,
    readable,
)
from kt.server.session import Journal
from kt.server.tyrant.service import RecordLocks
from kt.version import VERSION
from kt.wire.codec import decode_items
from kt.wire.tyrant_commands import LOCK_GLOBAL, LOCK_RECORD, U32

KEPT_CHUNKS: Final = 1000
KEPT_BYTES: Final = 1 << 24
"""So much of what was given to ``_eval`` last is kept for interpreters that are made later."""

Misc: TypeAlias = Callable[[], bytes | None]
"""A call of the engine's `misc`."""


class Stash:
    """Records in memory that all interpreters share."""

    def __init__(self) -> None:
        self._records: dict[bytes, bytes] = {}
        self._lock = Lock()

    def put(self, key: bytes, value: bytes) -> bool:
        with self._lock:
            self._records[key] = value
        return True

    def putkeep(self, key: bytes, value: bytes) -> bool:
        """True whether or not there was a record, as in the original."""
        with self._lock:
            self._records.setdefault(key, value)
        return True

    def putcat(self, key: bytes, value: bytes) -> bool:
        with self._lock:
            self._records[key] = self._records.get(key, b"") + value
        return True

    def out(self, key: bytes) -> bool:
        with self._lock:
            return self._records.pop(key, None) is not None

    def get(self, key: bytes) -> bytes | None:
        return self._records.get(key)

    def vanish(self) -> None:
        with self._lock:
            self._records.clear()

    def copy(self) -> dict[bytes, bytes]:
        with self._lock:
            return dict(self._records)


class NamedLocks:
    """Locks by name, which anybody may release."""

    def __init__(self) -> None:
        self._taken: set[bytes] = set()
        self._changed = Condition()

    def acquire(self, name: bytes, seconds: float) -> bool:
        """Take a lock, after waiting up to so many seconds; False if it is still taken then."""
        with self._changed:
            if name in self._taken:
                self._changed.wait_for(lambda: name not in self._taken, seconds)
            if name in self._taken:
                return False
            self._taken.add(name)
            return True

    def release(self, name: bytes) -> bool:
        """False if it was not taken."""
        with self._changed:
            if name not in self._taken:
                return False
            self._taken.remove(name)
            self._changed.notify_all()
            return True


class Chunks:
    """What scripts give to ``_eval``: a queue for every interpreter.

    One that is made later gets what the others got before, as far as it is kept.
    """

    def __init__(self) -> None:
        self._queues: list[deque[bytes]] = []
        self._kept: deque[bytes] = deque()
        self._size = 0
        self._lock = Lock()

    def join(self) -> deque[bytes]:
        """The queue of an interpreter."""
        with self._lock:
            queue = deque(self._kept)
            self._queues.append(queue)
        return queue

    def leave(self, queue: deque[bytes]) -> None:
        with self._lock:
            self._queues = [other for other in self._queues if other is not queue]

    def share(self, chunk: bytes, own: deque[bytes]) -> None:
        """Put a chunk into all queues but one's own."""
        with self._lock:
            for queue in self._queues:
                if queue is not own:
                    queue.append(chunk)
            self._kept.append(chunk)
            self._size += len(chunk)
            while self._size > KEPT_BYTES or len(self._kept) > KEPT_CHUNKS:
                self._size -= len(self._kept.popleft())


class Service(NamedTuple):
    """What all interpreters of a server have in common.

    Attributes:
        path: the script's file; after an ``@``, the script itself.
        database: the server's.
        threads: number of workers.
        server_id: of replication.
        limits: of one call.
        stop: set when scripts are to end because the server does.
        log: the server's.
        holding: makes known that a function is about to hold up others.
        stash, named_locks, record_locks: see the classes.
        chunks: see the class.
    """

    path: str
    database: Database
    threads: int
    server_id: int
    limits: Limits
    stop: Event
    log: Journal
    holding: Callable[[Hold, Misc], Misc]
    stash: Stash
    named_locks: NamedLocks
    record_locks: RecordLocks
    chunks: Chunks


class TyrantScript:
    """The script of one worker or of one periodic call, loaded and ready to be called.

    Args:
        service: what it has in common with the others.
        index: number of the worker; periodic calls come after the workers. The first one calls
            ``_begin`` and ``_end``.
        aside: to be told when a call waits for another one.
    """

    def __init__(self, service: Service, index: int, aside: Aside) -> None:
        self._service = service
        self._index = index
        self._database = service.database
        self._chunks: deque[bytes] | None = None  # while it is loaded
        self._locked: list[bytes] = []
        self._lua = Interpreter(vars(_text), service.limits, service.stop, aside)
        self._call, self._hook, self._run_chunk = self._lua.prelude("tyrant.lua", self._host())
        self._load(service.path)
        self._chunks = service.chunks.join()
        if index == 0:
            self._lua.begin()
            self._run_hook(b"_begin")

    def _load(self, path: str) -> None:
        if path.startswith("@"):
            source, path = os.fsencode(path[1:]), "-ext"
        else:
            with open(path, "rb") as file:
                source = file.read()
        if failure := self._lua.run(source, path):
            self._fail(failure)

    def close(self) -> None:
        """Call ``_end``."""
        if self._index == 0:
            self._lua.begin_last()
            self._run_hook(b"_end")
        if self._chunks is not None:
            self._service.chunks.leave(self._chunks)

    def call(self, name: bytes, key: bytes, value: bytes, flags: int = 0) -> bytes | None:
        """Call a function of the script.

        Args:
            name: of a global function; not one of those that begin with an underscore.
            key: its first argument.
            value: its second argument.
            flags: the locks to hold meanwhile.

        Returns:
            its result; None if it has none or fails, which is logged.
        """
        name = name.partition(b"\0")[0]
        if name[:1] == b"_":
            return None
        self._lua.begin()
        self._locked.clear()  # what earlier calls hold is not this one's
        taken: list[Lock] = []
        try:
            for lock in self._asked(flags, key):
                if reason := self._lua.wait(partial(lock.acquire, True)):
                    self._fail(f"{readable(name)}: {reason}")
                    return None
                taken.append(lock)
            return self._called(name, key, value)
        finally:
            for lock in reversed(taken):
                lock.release()

    def _asked(self, flags: int, key: bytes) -> Sequence[Lock]:
        """The locks to take, in this order."""
        if flags & LOCK_GLOBAL:
            return self._service.record_locks.all
        if flags & LOCK_RECORD:
            return (self._service.record_locks.record(key),)
        return ()

    def _called(self, name: bytes, key: bytes, value: bytes) -> bytes | None:
        while self._chunks:
            self._run_chunk(self._chunks.popleft())
        self._locked.clear()  # nor what those chunks hold
        try:
            result = self._call(name, key, value)
        except self._lua.failure as problem:  # where the prelude itself gets no memory
            self._fail(str(problem))
            return None
        if isinstance(result, tuple):
            _, failure = result
            self._fail(readable(failure))
            return None
        return None if result is None else bytes(result)

    def _run_hook(self, name: bytes) -> None:
        failure = self._hook(name)
        if failure is not None:
            self._fail(readable(failure))

    def _fail(self, failure: str) -> None:
        self._service.log.error(f"Lua error: {failure}")
        for name in self._locked:
            self._service.named_locks.release(name)
        self._locked.clear()

    # The host functions

    def _host(self) -> Host:
        service, database, stash = self._service, self._database, self._service.stash
        return {
            "version": VERSION.encode(),
            "pid": os.getpid(),
            "sid": service.server_id,
            "thnum": service.threads,
            "thid": self._index + 1,
            **{
                name: getattr(database, name) for name in ("put", "putkeep", "putcat", "out", "get")
            },
            **{name: getattr(database, name) for name in ("addint", "adddouble", "vanish", "size")},
            **{name: getattr(database, name) for name in ("iterinit", "iternext")},
            "rnum": database.count,
            "vsiz": lambda key: -1 if (size := database.vsiz(key)) is None else size,
            "fwmkeys": lambda prefix, limit: self._table(database.fwmkeys(prefix, limit)),
            "misc": self._misc,
            "records": self._records,
            **{
                f"stash{name}": getattr(stash, name) for name in ("put", "putkeep", "putcat", "out")
            },
            **{f"stash{name}": getattr(stash, name) for name in ("get", "vanish")},
            "stash": lambda: self._lua.table(stash.copy()),
            "share": self._share,
            "lock": self._lock,
            "unlock": self._unlock,
            "log": self._write_log,
            "log_failure": lambda message: service.log.error(f"Lua error: {readable(message)}"),
            "hash": digest,
            "to_ucs2": lambda text: self._lua.table(_text.to_ucs2(text)),
            "from_ucs2": lambda codes: _text.from_ucs2(list(codes.values())),
            "stat": lambda path: self._optional(stat_path(path)),
            "glob": lambda pattern: self._lua.table(glob_paths(pattern)),
            "remove": remove_path,
            "mkdir": make_directory,
        }

    def _optional(self, values: Mapping[bytes, object] | None) -> LuaTable:
        return None if values is None else self._lua.table(values)

    def _table(self, frame: bytes) -> LuaTable:
        return self._lua.table(items(frame))

    def _misc(self, name: bytes, arguments: LuaTable, silent: bool) -> LuaTable:
        given = list(arguments.values())
        hold = self._database.hold_of(name, given)
        frame = self._service.holding(
            hold, lambda: self._database.misc(name, given, logged=not silent)
        )()
        return None if frame is None else self._table(frame)

    def _records(self, keys: LuaTable) -> LuaFunction:
        """A function that returns the next key and value, those of all keys if none are given."""
        wanted = self._all_keys() if keys is None else list(keys.values())
        records = self._each(wanted)
        return lambda: next(records, None)

    def _all_keys(self) -> list[bytes]:
        fixed = self._database.type_name == "fixed-length"
        return items(self._database.fwmkeys(b"[min,max]" if fixed else b""))

    def _each(self, keys: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
        several = self._database.type_name == "B+ tree"
        for key in keys:
            if several:
                frame = self._database.misc(b"getlist", [key])
                for value in [] if frame is None else items(frame)[1::2]:
                    yield key, value
            elif (found := self._database.get(key)) is not None:
                yield key, found

    def _share(self, chunk: bytes) -> None:
        """Not while the file is loaded: the others load it themselves."""
        if self._chunks is not None:
            self._service.chunks.share(chunk, self._chunks)

    def _lock(self, name: bytes) -> bytes | None:
        locks = self._service.named_locks
        reason = self._lua.wait(lambda nap: locks.acquire(name, nap))
        if reason is None:
            self._locked.append(name)
            return None
        return reason.encode()

    def _unlock(self, name: bytes) -> bool:
        if name in self._locked:
            self._locked.remove(name)
        return self._service.named_locks.release(name)

    def _write_log(self, message: bytes, level: int) -> None:
        log = self._service.log
        writers = {0: log.debug, 1: log.info, 2: log.error}
        writers.get(level, log.system)(readable(message))


def items(frame: bytes) -> list[bytes]:
    """The elements of a list as the engine gives it."""
    listed: list[bytes] = decode_items(frame, U32.size, U32.unpack_from(frame)[0], False)
    return listed


def digest(mode: bytes, data: bytes) -> bytes | int | None:
    """A hash by name; None if there is none of that name."""
    match mode.lower():
        case b"md5":
            return hashlib.md5(data, usedforsecurity=False).hexdigest().encode()
        case b"md5raw":
            return hashlib.md5(data, usedforsecurity=False).digest()
        case b"crc32":
            return crc32(data)
    return None
