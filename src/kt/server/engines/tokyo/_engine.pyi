"""Tokyo Cabinet's abstract database, and the binary protocol of Tokyo Tyrant on top of it.

Keys and values are bytes. Every method may be called from any thread and lets go of the GIL while
the engine works. Where a method says nothing else, False or None is a failure, such as a missing
record: `Database.misc` with ``b"error"`` tells the last one. *A list in wire form* is a count, and
so many sizes and byte strings, as replies carry it::

    u32 count | u32 size, bytes | u32 size, bytes | ...          (big-endian)
"""

from collections.abc import Iterable
from enum import IntEnum
from typing import Final

from kt.server.engines.io._io import Reply, Servable
from kt.server.engines.log._log import Loggable, Numbers

LIBRARY_VERSION: Final[str]
"""Version of the Tokyo Cabinet library, such as ``1.4.48``."""

def hurry(hurried: bool) -> None:
    """From now on, whether this thread leaves large values to others, by raising `LargeValue`."""

def hurried() -> bool:
    """Whether it does."""

class Database:
    """One open database, of any of Tokyo Cabinet's types.

    Attributes:
        name: the argument it was opened with.
    """

    name: Final[str]

    def __init__(
        self,
        name: str,
        *,
        stores: int = 0,
        durable: bool = False,
        forget: bool = False,
        commit: bool = False,
        device: bool = False,
        plugin: str | None = None,
    ) -> None:
        """Open or create: `name` is ``*``, ``+`` or a path, then any ``#parameter=value``.

        With `durable`, what was acknowledged outlives a kill, together with an update log: what
        that has after the stamp `since` is to be carried out before `set_update_log`. Nobody else
        opens such a file that was not closed, unless what the log has is given up: `forget`.

        With `commit`, each change of a file outlives a kill when its call has returned, and there
        is all of it or nothing; with `device`, a loss of power, too. Not for fixed-length files.

        With `stores`, the path is a directory of so many files (or of as many as are there) that
        share the keys. With `plugin`, the database is that of a shared library for ttserver's
        ``-skel``, and `name` is what it makes of it.

        Raises `ImproperlyConfigured`, and `FileLocked` instead of waiting for a file (unless the
        parameter ``mode`` says so itself).
        """

    def stop_matching(self) -> None:
        """Regular expressions that are being matched end with an error, as do later ones."""

    def close(self) -> bool:
        """Flush and close; closing twice is harmless. Nothing else may be called then."""

    def set_update_log(self, log: Loggable, *, every_change: bool = False) -> None:
        """Tell the log the commands that are given from now on; a durable file is safe then.

        Raises `ImproperlyConfigured` if it cannot be made so.

        Args:
            log: which.
            every_change: also calls of `misc` that change something and ask not to be logged.
        """

    def abandon(self) -> None:
        """Leave everything as it is, for ever: in a process that was forked off the one that opened
        it. Nothing else may be called then."""

    # One record
    def put(self, key: bytes, value: bytes) -> bool: ...
    def putkeep(self, key: bytes, value: bytes) -> bool:
        """False if there is a record."""

    def putcat(self, key: bytes, value: bytes) -> bool: ...
    def putshl(self, key: bytes, value: bytes, width: int) -> bool:
        """Append, and keep the last `width` bytes."""

    def out(self, key: bytes) -> bool: ...
    def get(self, key: bytes) -> bytes | None: ...
    def vsiz(self, key: bytes) -> int | None: ...
    def addint(self, key: bytes, number: int) -> int | None:
        """Add to a 32-bit integer; None if the record is none."""

    def adddouble(self, key: bytes, number: float) -> float | None: ...

    # The iterator that all clients share
    def iterinit(self) -> bool: ...
    def iternext(self) -> bytes | None: ...

    # The whole database. What follows may take long: call it in a worker thread. While it runs,
    # other threads are held up for a millisecond at a time, except where another `Hold` is told.
    def count(self) -> int: ...
    def size(self) -> int: ...
    def fwmkeys(self, prefix: bytes, limit: int = -1) -> bytes:
        """Keys that begin with `prefix`, at most `limit` of them, as a list in wire form.

        In a fixed-length database `prefix` is an interval, such as ``b"[3,20)"``. Raises
        `OverflowError` if the list would be longer than 1 GiB.
        """

    def answer_fwmkeys(self, prefix: bytes, limit: int = -1) -> bytes | Reply:
        """The reply to a client that asks for this, in the engine's own memory if it is long."""

    def misc(
        self, name: bytes, arguments: Iterable[bytes] = (), *, logged: bool = True
    ) -> bytes | None:
        """Call the function `name`; its result is a list in wire form.

        Unless `logged`, the update log is not told.
        """

    def answer_misc(
        self, name: bytes, arguments: Iterable[bytes] = (), *, logged: bool = True
    ) -> bytes | Reply | None:
        """The reply to a client that calls this, likewise; None if the function fails."""

    def hold_of(self, name: bytes, arguments: Iterable[bytes] = ()) -> Hold:
        """Whom `misc` with these arguments holds up for as long as it takes."""

    @staticmethod
    def rights_for(name: bytes, arguments: Iterable[bytes] = ()) -> int:
        """What a client must be allowed for `misc` with these arguments: 1 to read, 2 to write, 4
        to administer, or several of them."""

    def sync(self) -> bool: ...
    def optimize(self, parameters: bytes = b"") -> bool:
        """Rebuild the file, with new tuning parameters if there are any. Holds up ALL."""

    def vanish(self) -> bool: ...
    def copy(self, path: bytes) -> bool:
        """Copy to a file; ``@`` and a command runs that. Holds up WRITERS, none in memory."""

    def copy_point(self, path: str) -> int:
        """Copy a durable file, as it was at some moment of the call, to the device.

        With what is at `path`.wal it is a file whose server was killed at that moment. Holds up
        nobody. Returns the stamp up to which it has everything; 0 if something long came between,
        and there is no copy. Raises OSError.
        """

    # What it is
    @property
    def type_name(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def in_memory(self) -> bool: ...
    @property
    def rebuilt(self) -> bool:
        """Whether a file of it had not been closed, and was rebuilt when it was opened."""

    @property
    def since(self) -> int:
        """The stamp after which the log is to be carried out; 0 for nothing. Of a durable file."""

    @property
    def log_then(self) -> Numbers:
        """Where the log ended then: the fields of `kt.server.log_place.LogPlace`."""

    @property
    def point(self) -> int:
        """Everything up to this stamp is in the file. Of a durable one."""

    @property
    def kept_files(self) -> list[str]:
        """The names that torn files have now: new ones, of what could be read, replace them."""

    @property
    def fatal_error(self) -> str | None:
        """What has broken the database, if something has."""

    @property
    def error_text(self) -> str:
        """Number and name of the last failure."""

    @property
    def error_is_harmless(self) -> bool:
        """Whether that was no fault of the files: no such record, or the like."""

def come_from(server: int, master: int) -> None:
    """Of what this thread does from now on, the update log is told that it was given at `server`,
    and came by way of `master`; 0 and 0: it is given here."""

class Hold(IntEnum):
    """Who has to wait for the end of a long operation."""

    NONE = 0
    WRITERS = 1
    """All that change records or move an iterator; others may read."""
    ALL = 2

class Event(IntEnum):
    """What may be said in the log of a command."""

    DOING = 0
    FORBIDDEN = 1
    INVALID = 2
    FAILED = 3
    UNKNOWN = 4

class State(IntEnum):
    """Why `Stream.feed` stopped."""

    MORE = 0
    """What is left is the begin of a request: feed again when there is as much as it needs."""
    AGAIN = 1
    """The budget of one call is spent: let others run, then feed the rest."""
    TEXT = 2
    """The next byte does not begin a binary request."""
    COMMAND = 3
    """The next bytes are a whole request that is for the caller to run."""
    BUSY = 4
    """The next request has to wait: feed the rest again, in a worker thread, with `wait`."""
    BROKEN = 5
    """A bad request was consumed: close, unless there is more input."""
    CLOSE = 6
    """A request is too large: send the reply, which may be empty, and close."""

class BinaryCore:
    """Runs the quick commands of the binary protocol on a database, and counts all commands.

    Attributes:
        database: the database.
    """

    database: Final[Database]

    timed: bool
    """Whether streams take the times of requests; set it before there are any."""

    def __init__(self, database: Database, *, mask: int = 0, trace: bool = False) -> None:
        """Bit i of `mask` forbids command i; with `trace` every command is an event."""

    def stream(self) -> Stream: ...
    def count(self, number: int, more: int = 1) -> None:
        """Add to a count that `counts` has at this place."""

    def counts(self) -> list[int]:
        """How often each command came, by its number, and misses of put, out and get."""

    def settle_together(self) -> None:
        """Let I/O threads settle with the update log once for all connections that are ready."""

    def hold(self) -> None:
        """Let each call of `feed` let go of the interpreter's lock. They do from the beginning."""

    def release(self) -> None:
        """Let calls keep that lock which are expected to be brief.

        Nobody may hold a lock of the engine then who waits for the interpreter's, or for long.
        """

    def took(self, seconds: float) -> None:
        """Count a request that was served elsewhere among those that were timed, if they are."""

    def times(self) -> tuple[list[int], float]:
        """How many requests took less than 1, 2, 4... microseconds, but not less than half of it.

        The last number is of all that took longer. Behind the list: seconds, of all together. A
        request counts with the time of the call of `feed` that has answered it.
        """

    def take_events(self) -> list[tuple[int, Event]]:
        """Numbers of commands, and what has become of them since the last call."""

class Stream(Servable):
    """The state of one connection in the binary protocol. For one thread at a time."""

    def __init__(self, core: BinaryCore) -> None: ...
    def restrict(self, mask: int, rights: int) -> None:
        """Forbid commands besides those of the core's mask, and some calls of `misc`.

        Args:
            mask: bits of the commands.
            rights: what `misc` may be called for; see `Database.rights_for`.
        """

    def feed(
        self, data: bytes | bytearray | memoryview, start: int = 0, wait: bool = False
    ) -> tuple[int, int, int, bytes | Reply]:
        """Run what `data` from `start` on holds; returns (state, consumed, need, reply).

        `consumed` bytes from `start` on are done with and must not be fed again; the rest must be.
        With MORE, `need` bytes must be there for the next call to get on. `state` is a `State`,
        never BUSY with `wait`.
        """

    @property
    def in_list(self) -> bool:
        """Whether a list has begun and not ended: what comes next belongs to it."""

Place = tuple[int, int]
"""A stamp, and how many commands of that stamp (0: all)."""

MARK: Final = 8
"""Bytes of a mark."""

class Next(IntEnum):
    """Why `Replay.plan` stopped."""

    MORE = 0
    """Nothing whole is left."""
    BEAT = 1
    """The next byte is a sign of life."""
    OTHER = 2
    """The next command is rare, large, or none: it is for the caller."""
    BATCH = 3
    """Another batch comes next."""

class End(IntEnum):
    """How a batch ended."""

    DONE = 0
    DIFFERENT = 1
    """After a command that turned out otherwise than at the master."""
    REFUSED = 2
    """Before a command that the database does not take; see `Database.error_text`."""
    UNLOGGED = 3
    """All is done, and the update log cannot be written."""

class Replay:
    """Carries out what a master sends, in batches. For one thread, which is in no hurry."""

    database: Final[Database]

    def __init__(self, database: Database, server: int, *, milliseconds: int = 1) -> None:
        """Commands that were given at `server` are passed over; others wait so long for a batch."""

    def plan(self, data: bytes, start: int, done: Place) -> tuple[int, int, int, Place, bytes]:
        """Find what can be carried out together from `data[start]` on.

        Returns:
            a `Next`; how many bytes the batch has, and how many commands; where it ends, after
            `done`; and the marks of those of its commands that must not be repeated, one behind the
            other.
        """

    def carry_out(self, master: int, consistent: bool) -> tuple[int, Place, int, int]:
        """Carry out the batch, up to the first difference if `consistent`.

        The log is told that the commands came by way of `master`.

        Returns:
            an `End`; how far it is done; how many commands turned out otherwise, and the stamp of
            the first of them.
        """

    @staticmethod
    def mark(database: Database, code: int, key: bytes) -> bytes:
        """`MARK` bytes: what a record is, as far as a command of this code can change it."""
