"""Kyoto Cabinet with expiry, and the binary protocol of Kyoto Tycoon on top of it.

Keys and values are bytes. Every method may be called from any thread and lets go of the GIL while
the engine works. A failure of any kind, a missing record included, raises `EngineError`; its
`code` is one of `Code`.

Expiry: *xt* is given as on the wire, a signed number: positive seconds from now, or negative
absolute seconds since the epoch; `NEVER` for a record that stays. What a method returns as *xt* is
absolute seconds since the epoch, or `XT_MAX` for a record that stays. An expired record is absent
for every method.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from types import TracebackType
from typing import Final, Literal, NamedTuple, Protocol, Self, TypeAlias

from kt.server.engines.io._io import Reply, Servable
from kt.server.engines.log._log import Loggable

NEVER: Final = 9223372036854775807
XT_MAX: Final = 1099511627775
LIBRARY_VERSION: Final[str]
"""Version of the Kyoto Cabinet library, such as ``1.2.79 (16.14)``."""
LIBRARY_FEATURES: Final[str]
"""What the library was built with, such as ``(atomic)(zlib)``."""

def hurry(hurried: bool) -> None:
    """From now on, whether this thread leaves large values to others, by raising `LargeValue`."""

HELD: Final[int]
"""See `take_written`."""

def take_written() -> int:
    """The newest stamp that this thread has got of update logs since this was called last; 0: none.

    It is `HELD` while there is none yet: a transaction keeps back what was written.
    """

Packed: TypeAlias = tuple[Literal["", "B"], bytes]
"""Columns as a reply has them: how they are encoded, and their lines."""

class Code(IntEnum):
    """Kyoto Cabinet's error numbers."""

    SUCCESS = 0
    NOIMPL = 1
    INVALID = 2
    NOREPOS = 3
    NOPERM = 4
    BROKEN = 5
    DUPREC = 6
    NOREC = 7
    LOGIC = 8
    SYSTEM = 9
    MISC = 15

class Verdict:
    """Type of `KEEP` and `REMOVE`."""

KEEP: Final[Verdict]
"""Returned by a visitor: leave the record as it is."""
REMOVE: Final[Verdict]
"""Returned by a visitor: remove the record."""

class Visitor(Protocol):
    """What `Database.accept` and `Cursor.accept` call, with the record locked.

    Each method returns `KEEP`, `REMOVE`, a new value (its expiry is then `NEVER`), or a pair of a
    new value and its *xt*. It must not call the engine. An exception leaves the record as it is
    and comes out of `accept`.
    """

    def visit_full(
        self, key: bytes, value: bytes, xt: int, /
    ) -> Verdict | bytes | tuple[bytes, int]: ...
    def visit_empty(self, key: bytes, /) -> Verdict | bytes | tuple[bytes, int]: ...

Processor = Callable[[str, int, int], bool]
"""Called as (path, number of records, size in bytes); False makes the operation fail."""

Logger = Callable[[str, str], None]
"""Called as (kind, message) from any thread; kind is one of DEBUG INFO WARN ERROR."""

class Database:
    """One open database, of any of Kyoto Cabinet's types.

    Attributes:
        spec: the argument it was opened with.
        path: the engine's name for it: the part of `spec` before ``#``.
        in_memory: whether its records end with the process.
    """

    spec: Final[str]
    path: Final[str]
    in_memory: Final[bool]

    def __init__(
        self,
        spec: str,
        *,
        read_only: bool = False,
        auto_transaction: bool = False,
        auto_synchronize: bool = False,
        no_lock: bool = False,
        try_lock: bool = False,
        no_repair: bool = False,
        logger: Logger | None = None,
    ) -> None:
        """Open or create: `spec` is a path, or ``- + : * %``, then any ``#name=value``. With
        ``#type=void`` no record is there, whatever is stored; the update log has it.

        The flags are ktserver's -ord -oat -oas -onl -otl -onr. `logger` gets the engine's warnings
        and errors. Raises `FileLocked` where `try_lock` is set and another process has the file.
        """

    def stop_matching(self) -> None:
        """Regular expressions that are being matched end with an error, as do later ones."""

    def close(self) -> None:
        """Flush and close; closing twice is harmless. Everything else then raises INVALID."""

    def abandon(self) -> None:
        """Leave everything as it is, for ever: in a process that was forked off the one that opened
        it. Its streams and cursors must not be used any more."""

    def set_update_log(self, log: Loggable, index: int) -> None:
        """Tell the log what is changed from now on, as changes of database number `index`."""

    def refuse_writes(self, why: str) -> None:
        """Store only what a master sends from now on. Others get `Code.NOPERM` with that message;
        with an empty one nobody is refused any more."""

    def refuse_writes_from(self, time: int, why: str) -> None:
        """The same from a time on, in nanoseconds of `time.CLOCK_BOOTTIME`, or where there is none
        `time.CLOCK_MONOTONIC`; 0: from none on."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
    def count(self) -> int: ...
    def size(self) -> int: ...
    def status(self) -> dict[bytes, bytes]: ...

    # One record
    def get(self, key: bytes) -> tuple[bytes, int]:
        """Value and xt; raises NOREC."""

    def check(self, key: bytes) -> tuple[int, int]:
        """Size of the value and xt; raises NOREC."""

    def seize(self, key: bytes) -> tuple[bytes, int]:
        """Value and xt of the record, which is removed; raises NOREC."""

    def set(self, key: bytes, value: bytes, xt: int = NEVER) -> None: ...
    def add(self, key: bytes, value: bytes, xt: int = NEVER) -> None:
        """Raises DUPREC if there is a record."""

    def replace(self, key: bytes, value: bytes, xt: int = NEVER) -> None:
        """Raises NOREC if there is none."""

    def append(self, key: bytes, value: bytes, xt: int = NEVER) -> None: ...
    def remove(self, key: bytes) -> None:
        """Raises NOREC if there is none."""

    def increment(self, key: bytes, num: int, orig: int = 0, xt: int = NEVER) -> int:
        """Add to a counter of 8 bytes, big-endian; a missing one begins at `orig`.

        `orig` -2**63: fail (LOGIC) if there is none. `orig` 2**63-1: set to `num`. Raises LOGIC if
        the value is no counter.
        """

    def increment_double(self, key: bytes, num: float, orig: float = 0.0, xt: int = NEVER) -> float:
        """As `increment`, for 16 bytes fixed point; `orig` -inf: fail if missing, +inf: set."""

    def cas(self, key: bytes, old: bytes | None, new: bytes | None, xt: int = NEVER) -> None:
        """Replace `old` by `new` (None: no record); raises LOGIC if the record is not `old`."""

    def accept(self, key: bytes, visitor: Visitor, writable: bool = True) -> None: ...

    # Many records
    def set_bulk(
        self, records: Mapping[bytes, bytes], xt: int = NEVER, atomic: bool = False
    ) -> int: ...
    def remove_bulk(self, keys: Iterable[bytes], atomic: bool = False) -> int:
        """Number of records removed."""

    def get_bulk(self, keys: Iterable[bytes], atomic: bool = False) -> dict[bytes, bytes]: ...
    def accept_bulk(
        self, keys: Iterable[bytes], visitor: Visitor, writable: bool = True
    ) -> None: ...

    # The whole database. These may take long: call them in a worker thread. While they run, other
    # threads are held up for a few milliseconds at a time at most.
    def match_prefix(self, prefix: bytes, limit: int = -1) -> list[bytes]:
        """Keys that begin with `prefix`; at most `limit`, negative for all."""

    def match_prefix_packed(
        self, prefix: bytes, limit: int, many: int, longest: int
    ) -> list[bytes] | tuple[int, Packed]:
        """As `match_prefix` where it finds no more than `many`; else their number, and columns.

        Each key has ``_`` before it, and its rank as value. One that is longer than `longest` with
        that has all of them encoded.
        """

    def match_regex(self, regex: bytes, limit: int = -1) -> list[bytes]:
        """Keys in which the POSIX extended regular expression occurs; raises LOGIC."""

    def match_similar(
        self, origin: bytes, distance: int = 1, utf8: bool = False, limit: int = -1
    ) -> list[bytes]:
        """Keys within a Levenshtein distance of `origin` bytes or characters, nearest first."""

    def iterate(self, visitor: Visitor, writable: bool = True) -> None:
        """Visit every record that exists all the time, once, each by itself."""

    def clear(self) -> None: ...
    def synchronize(self, hard: bool = False, processor: Processor | None = None) -> None:
        """Write to the file, and to the device if `hard`; `processor` runs at a still moment."""

    def vacuum(self, step: int = 0) -> None:
        """Remove expired records and free space, `step` units of it or everything (0)."""

    def copy(self, destination: str) -> None: ...
    def dump_snapshot(self, destination: str) -> None: ...
    def load_snapshot(self, source: str) -> None: ...
    def checkpoint(self) -> int:
        """Write everything to the file; returns a stamp of the update log.

        Whatever happens to the process later: the file has all changes up to this stamp.

        Raises:
            OSError: it cannot be written.
        """

    def take_snapshot(self, path: str, compressor: str, calm: bool = False) -> SnapshotHeader:
        """Write a snapshot as Kyoto Tycoon has them: all records as they are at this moment.

        Everybody goes on meanwhile. What was at `path` is replaced when all of it is at the device
        and has been read; `path` with ``.tmp`` is written before.

        Args:
            path: of the file.
            compressor: ``none``, ``zlib``, ``lzo`` or ``lzma``.
            calm: if others wait, hold the database for 4 % of the time, not for half of it.

        Raises:
            OSError: it could not be written, or the database could not be read.
        """

    def tick(self) -> bool:
        """One small step of expiry and defragmentation, well under 1 ms; True if more is to do."""

    # Transactions: one at a time; operations of other threads meanwhile belong to it
    def begin_transaction(self, hard: bool = False, timeout: float = -1) -> None:
        """Waits so many seconds for another one, for ever if negative; then raises LOGIC."""

    def end_transaction(self, commit: bool = True) -> None: ...
    @property
    def in_transaction(self) -> bool: ...
    def cursor(self) -> Cursor: ...

class Cursor:
    """A place in a database; it moves on when its record is removed. Raises NOREC past the end."""

    database: Final[Database]

    def close(self) -> None:
        """Also done by garbage collection."""

    def jump(self, key: bytes | None = None) -> None: ...
    def jump_back(self, key: bytes | None = None) -> None:
        """Raises NOIMPL on a hash database."""

    def step(self) -> None: ...
    def step_back(self) -> None:
        """Raises NOIMPL on a hash database."""

    def get(self, step: bool = False) -> tuple[bytes, bytes, int]:
        """Key, value and xt."""

    def get_key(self, step: bool = False) -> bytes: ...
    def get_value(self, step: bool = False) -> bytes: ...
    def take_ahead(self, records: int, size: int, values: bool) -> Packed:
        """Keys and values of the records from here on, stepping past each.

        A key has ``_`` and three digits before it, that of its place from 0 on.

        There is at least one, or it raises as `get` does. The next call meets what ended it.

        Args:
            records: how many at most; 1 to 1,000.
            size: no more once they have so many bytes; 1 or more.
            values: whether to read values; without, they are empty.
        """

    def set_value(self, value: bytes, xt: int = NEVER, step: bool = False) -> None: ...
    def remove(self) -> None: ...
    def seize(self) -> tuple[bytes, bytes, int]:
        """Key, value and xt of the record, which is removed."""

    def accept(self, visitor: Visitor, writable: bool = True, step: bool = False) -> None: ...
    def records(self) -> Iterator[tuple[bytes, bytes, int]]:
        """Every record from here on, stepping past each."""

class State(IntEnum):
    """Why `Stream.feed` stopped."""

    MORE = 0
    """Nothing complete is left: feed again when more input has come."""
    AGAIN = 1
    """The budget of one call is spent: let others run, then feed the rest."""
    HTTP = 2
    """The next byte begins an HTTP request: it is for the caller to read and run."""
    COMMAND = 3
    """The next byte is 0xB1 or 0xB4: a command that is for the caller to read and run."""
    CLOSE = 4
    """The request is broken: send the reply, which may be empty, and close."""
    LARGE = 5
    """The next record is too large for a thread that hurries: feed again in another."""

class Stream(Servable):
    """The state of one connection in the binary protocol. For one thread at a time."""

    def restrict(self, reads: bool, writes: bool) -> None:
        """Say what the client may do. With less than both, HTTP is left to the caller."""

    def feed(
        self, data: bytes | bytearray | memoryview, start: int = 0
    ) -> tuple[int, int, bytes | Reply]:
        """Run what `data` from `start` on holds; returns (state, consumed, reply).

        `consumed` bytes from `start` on are done with and must not be fed again; the rest, the
        beginning of something, must be fed again with what follows it. `state` is one of `State`.
        """

    def finish(self) -> bytes | Reply:
        """What to reply when the input has ended: an error if a command is incomplete."""

    def take_trace(self) -> bytes:
        """The first bytes of the commands run since the last call, 0xBF for one that failed.

        Empty unless the core traces.
        """

    @property
    def pending(self) -> bool:
        """Whether a command has begun and is not complete."""

class BinaryCore:
    """Runs set_bulk, remove_bulk and get_bulk of the binary protocol on these databases.

    It runs plain HTTP requests too, once it has a stamp: calls of the procedures for one record,
    and GET of a record, in their most frequent form.
    """

    timed: bool
    """Whether streams take the times of requests; set it before there are any."""

    def __init__(
        self, databases: Sequence[Database], *, reply_limit: int = 1 << 30, trace: bool = False
    ) -> None:
        """A get_bulk whose reply would be longer than `reply_limit` bytes gets an error.

        With `trace`, streams note the commands that they run.
        """

    def settle_together(self) -> None:
        """Let I/O threads settle with the update log once for all connections that are ready."""

    def leave_writes(self) -> None:
        """Let I/O threads give back connections with requests that may write."""

    def set_stamp(self, lines: bytes) -> None:
        """Header lines for HTTP replies to begin with; empty: leave HTTP to the caller."""

    def stream(self) -> Stream: ...
    def counts(self) -> dict[str, int]:
        """Operations so far: set, set_misses, remove, remove_misses, get, get_misses."""

    def commands(self) -> dict[str, int]:
        """Commands so far that streams have run, by protocol and name."""

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

class SnapshotHeader(NamedTuple):
    """What a snapshot says of itself.

    Attributes:
        stamp: when it was taken, in nanoseconds since the epoch. It has all changes of the update
            log up to this stamp, and no later one.
        records: how many it has; -1 if it does not say.
        size: bytes of the database.
    """

    stamp: int
    records: int
    size: int

class SnapshotLoader:
    """Sets the records of a snapshot in a database, with their expiry. The update log is not told.

    Attributes:
        header: what it says of itself.
    """

    header: Final[SnapshotHeader]

    def __init__(self, database: Database, path: str) -> None:
        """
        Raises:
            OSError: it cannot be read, is no snapshot, or its compressor is not here.
        """

    def load(self, limit: int) -> int:
        """Set so many more; how many it were, 0 at the end.

        Raises:
            OSError: it is damaged, or has fewer records than it says; or the database fails.
        """

class SnapshotFrames:
    """A snapshot as changes for `Replay`: the database is cleared, then each record is set.

    Attributes:
        header: what it says of itself.
        place: where `read` goes on.
    """

    header: Final[SnapshotHeader]

    @property
    def place(self) -> tuple[int, int]: ...
    def __init__(self, path: str, server: int, database: int) -> None:
        """The file may be removed afterwards.

        Args:
            path: of the snapshot.
            server: the number of the server that the changes are said to be of.
            database: the number of the database.

        Raises:
            OSError: it cannot be read, is no snapshot, or its compressor is not here.
        """

    def from_place(self, place: tuple[int, int]) -> SnapshotFrames:
        """Another one for the same file, which goes on where this one was, after a `read`.

        The snapshot must have no compressor. For any thread, also while another one reads here.

        Raises:
            OSError: there are no descriptors left.
        """

    def read(self, size: int) -> bytes:
        """The next changes, of at least `size` bytes if there are so many; empty at the end.

        Raises:
            OSError: it is damaged, or has fewer records than it says.
        """

def restore_changes(stamps: Sequence[tuple[Database, int | None]], frames: bytes) -> int:
    """Carry out again what `LogReader.read` gave; the update log is not told.

    Args:
        stamps: the databases by their numbers, each with the stamp up to which it has everything;
            None for one that is to be left as it is.
        frames: whole messages.

    Returns:
        how many changes that were.

    Raises:
        OSError: something is no change, or a database fails.
    """

class ReplayState(IntEnum):
    """Why `Replay.apply` stopped."""

    MORE = 0
    """Nothing whole is left: go on when more has come."""
    AGAIN = 1
    """The budget of one call is spent: let others run, then go on."""
    BEAT = 2
    """A heartbeat has been read, and wants its answer."""
    BUSY = 3
    """A transaction has to end before: try again soon."""
    BROKEN = 4
    """What comes next is no message: `trouble` says why."""
    REFUSED = 5
    """A database or the update log does not take a change: `trouble` says why."""

class Replay:
    """Applies what a master sends to databases. For one thread at a time, which does not hurry."""

    stamp: Final[int]
    """Everything up to this stamp (ns) has been applied; 0 before the first message."""
    read: Final[int]
    """How many messages have been read, those that were passed over included."""
    applied: Final[int]
    """How many changes have been applied."""
    unknown: Final[set[int]]
    """Numbers of databases that there were changes for, and that are not here."""
    behind: Final[tuple[int, int] | None]
    """Bytes and changes of the master's log that had not been sent when it last said so."""
    trouble: Final[str]
    """What is wrong, after `ReplayState.BROKEN` and `ReplayState.REFUSED`."""

    def __init__(
        self,
        databases: Sequence[Database],
        server: int,
        own: tuple[int, int, Sequence[bool]] | None = None,
    ) -> None:
        """Nothing has been applied yet.

        Args:
            databases: by their numbers.
            server: our own number: what was changed there is passed over.
            own: but not what has this stamp or an older one and is of a database that has nothing
                yet, or of one that is cleared meanwhile: number of the master, stamp, and for each
                database whether it has nothing. It goes into our log under the master's number, so
                that it is not sent back.
        """

    def apply(self, data: bytes | bytearray | memoryview) -> tuple[int, int]:
        """Apply what `data` holds; returns (state, consumed).

        `consumed` bytes are done with and must not come again. `state` is one of `ReplayState`.
        """
