"""kt-tycoon as a slave: it follows the update log of a master, and applies what is in it.

::

    master --> link (a thread) --> Replay (native): databases, our own update log
                  |
                  +-- every few seconds: synchronize the databases, then write the stamp

How far it has come is a time stamp of the master's log, kept in a file (``-rts``). That is never
ahead of the data: if the server is killed, what came after the last stamp is applied once more,
which does no harm. Where a database is empty at the start (one in memory without snapshot and log,
or a file that was not there), everything is asked for.

What we have changed ourselves is not sent back by a master, and not applied. That would be less
than everything where a stamp is older than such a change: a former master that goes on behind it
carries out what was done before its own changes, a clearing even, and does not get these again. So
a master of ours is asked for them, too (`EVERYTHING`):

- a slave that nobody else writes to takes them as any others: it becomes what its master is;
- one that is written to takes them, up to the present, for databases that are empty, or that what
  it gets clears: all else may have been changed again. A link of its own gets these (`_catch_up`).

With ``-copy`` a new slave, and one of whose changes the master's log has no longer all, takes a
full copy first (`copying`); nobody is served while that is applied.

What is wrong is never passed over. What may be over soon (no connection, a full disk) is tried
again each second; what will not be (`Halted`) waits for `tune`. `facts` says which.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from kt.errors import ImproperlyConfigured, KTError, ProtocolError
from kt.server.engines import EngineError
from kt.server.engines.kyoto._engine import Database, Replay, ReplayState
from kt.server.link import Halted, Interrupted, Link, Master, Peer
from kt.server.session import Journal
from kt.server.stamp_file import StampFile
from kt.server.tycoon.replication.copying import Copy, NoCopies
from kt.server.tycoon.replication.telling import Telling
from kt.server.tycoon.replication.vetting import Caller, Vetted, vet
from kt.wire.log.copies import COPY
from kt.wire.log.tycoon import (
    ACKNOWLEDGEMENT,
    CONFIRMS,
    EVERYTHING,
    LOOK,
    STAMP_MAX,
    TELLS,
)
from kt.wire.magic import ERROR, REPLICATION
from kt.wire.tycoon import pack_replication
from kt.wire.tycoon_rpc import READ_ONLY

if TYPE_CHECKING:
    from ssl import SSLContext

SILENCE: Final = 60.0
"""Seconds without a sign of life after which a master is given up."""
CHECKPOINT: Final = 5.0
"""Seconds between two times at which the stamp is written."""
TRANSACTION: Final = 0.01
"""Seconds between two looks whether a transaction has ended."""
SLEEP: Final = 0.1
"""Seconds that are slept at once to keep to the interval."""
STAMP_DIGITS: Final = 20
COPY_PAUSE: Final = 60.0
"""Seconds between two attempts at a copy, at most: each costs the master a snapshot."""
APPLYING: Final = "a copy of the master's databases is being applied: try again later"
"""What clients are told meanwhile."""

Own = tuple[int, int, list[bool]]
"""See `Replay`."""

AGAIN: Final = int(ReplayState.AGAIN)
BEAT: Final = int(ReplayState.BEAT)
BUSY: Final = int(ReplayState.BUSY)
BROKEN: Final = int(ReplayState.BROKEN)
REFUSED: Final = int(ReplayState.REFUSED)


class Following:
    """The slave. Any thread may call its methods, unless it says otherwise.

    Args:
        databases: get what comes.
        empty: names of those that have nothing of what came before.
        server: our own number.
        path: of the file with the stamp.
        telling: tells former masters, and knows whether writes are taken.
        interval: milliseconds that a change may take at least, on average; 0 for no limit.
        log: the server's.
        tls: how a master is spoken with by TLS; None: without.
        read_only: only what the master sends is stored, as long as there is a master.
        copies: take a full copy of the master's databases where its log does not suffice.
        newest: tells the newest stamp of our own log.
        shut: called with the reason why nobody can be served, and with nothing when that is over.

    Raises:
        ImproperlyConfigured: the file cannot be read or written, or holds no stamp.
    """

    _state = ""  # what is done instead of following
    _trouble = ""  # with a copy
    _ending = False
    _logged = 0, 0  # a stamp of the master, and what our own log had when we were there
    _must_copy = False
    _whole: frozenset[int] = frozenset()  # see `_catch_up`
    _behind: tuple[int, int] | None = None  # bytes and changes, as the master says

    def __init__(
        self,
        databases: Sequence[Database],
        *,
        empty: Sequence[str],
        server: int,
        path: str,
        telling: Telling,
        interval: float,
        log: Journal,
        tls: SSLContext | None = None,
        read_only: bool = False,
        copies: bool = False,
        newest: Callable[[], int] = lambda: 0,
        shut: Callable[[str], None] = lambda why: None,
    ) -> None:
        self._databases = databases
        self._server = server
        self._interval = interval
        self._read_only = read_only
        self._telling, self._mastership = telling, telling.mastership
        self._log = log
        self._file = StampFile(path, STAMP_DIGITS)
        self._copies = copies
        self._copy = Copy(path)
        self._newest = newest
        self._shut = shut
        self._failures = 0  # of copies, in a row
        self._sends_none: Master | None = None  # who knows no copies
        self._link = Link(self, log, tls)
        self._changing = threading.Lock()  # held while somebody says what is to be followed
        self._lock = threading.Lock()  # of what follows, and of the file
        self._stamp = self._begin(empty)
        self._tuned = 0  # how often the stamp was set
        self._ahead = 0.0  # seconds by which the master's clock is ahead of ours
        self._saver: ThreadPoolExecutor | None = None
        self._saving: Future[None] | None = None
        self._save_at = 0.0
        self._changed = False  # since the databases were synchronized the last time
        self._check: Callable[[], None] | None = None  # see `finish_copy`

    def _begin(self, empty: Sequence[str]) -> int:
        """Read the stamp, and find out whether it can be written."""
        try:
            stamp = self._file.read()
            self._file.write(stamp)
            if not self._copies:
                self._copy.clean()
        except OSError as error:
            raise ImproperlyConfigured(f"the time stamp cannot be kept: {error}") from None
        self._was_slave = stamp > 0
        if stamp and empty:
            self._log.system(
                f"there are empty databases ({' '.join(empty)}): following begins at 0 instead of"
                f" {stamp}"
            )
            return 0
        return stamp

    # What others ask for

    def begin(self) -> None:
        """The server has been started, with no master: go on to tell a former one."""
        self._telling.begin()

    def tune(
        self,
        host: str,
        port: int,
        *,
        stamp: int | None = None,
        interval: float | None = None,
        read_only: bool | None = None,
        copy: bool = False,
    ) -> None:
        """Change what is followed.

        Args:
            host: the master; empty for none.
            port: its port; 0 if `host` is the path of a Unix socket.
            stamp: go on behind this one; None for where it is.
            interval: milliseconds, see `Following`; None for what it is.
            read_only: likewise, until it is said otherwise; None for what it is.
            copy: begin with a full copy, whatever is here.

        Raises:
            OSError: the stamp cannot be written. Nothing has been changed.
        """
        with self._changing:
            if copy:
                stamp = 0
            if stamp is not None:
                with self._lock:
                    self._file.write(stamp)
                    self._stamp, self._logged, self._must_copy = stamp, (0, 0), copy
                    self._whole = frozenset()
                    self._tuned += 1
            if interval is not None:
                self._interval = interval
            if read_only is not None:
                self._read_only = read_only
            if not host:
                self._follow_nobody()
                return
            master = Master(host, port)
            self._telling.tell(None)
            if self._read_only:
                self._mastership.follow(f"{READ_ONLY}: write to its master, {master}")
            self._link.follow(master)
            if not self._read_only:
                self._mastership.follow("")

    def promote(self, epoch: int | None = None) -> int:
        """Follow nobody any more, and be writable once nothing of the master's is applied any more.

        The master that was followed is told so.

        Args:
            epoch: of which to be the master from now on; None: the next one, if it is none yet.

        Returns:
            the stamp up to which everything has been applied, in nanoseconds since the epoch.

        Raises:
            ValueError: there was this epoch, or a later one.
            OSError: the epoch cannot be stored. Nothing has changed.
        """
        with self._changing:
            former = self._link.master
            if former is not None or self._mastership.replaced or epoch is not None:
                self._mastership.promote("" if former is None else str(former), epoch)
            self._follow_nobody()
            if former is not None:
                self._telling.tell(former)
            return self._stamp

    @property
    def place(self) -> tuple[int, int]:
        """Up to which stamp of the last master's log everything is here, and what ours had then.

        All that came later has a newer stamp than that in our log, too; 0 if that is not known.
        """
        stamp, (at, logged) = self._stamp, self._logged
        return stamp, logged if at == stamp else 0

    def _follow_nobody(self) -> None:
        master = self._link.master
        self._link.follow(None)
        self._link.join()
        self._copy.clean()
        self._mastership.follow(None)
        if master is not None:
            self._log.system(f"following of {master} has ended: rts={self._stamp}")

    def facts(self) -> dict[str, object]:
        """What the report says of it; nothing if it follows nobody."""
        link = self._link
        if (master := link.master) is None:
            return {}
        delay = time.time() + self._ahead - self._stamp / 1e9
        behind = self._behind
        told = {} if behind is None else {"repl_bytes": behind[0], "repl_changes": behind[1]}
        return {
            "repl_master_host": master.host,
            "repl_master_port": master.port,
            "repl_timestamp": self._stamp,
            "repl_ahead": f"{self._ahead:.6f}",
            "repl_interval": f"{self._interval:.6f}",
            "repl_delay": f"{max(delay, 0.0):.6f}",
            **told,
            "repl_connected": int(link.connected),
            "repl_state": self._state or ("following" if link.connected else "waiting"),
            "repl_copied": self._copy.count,
            "repl_error": link.trouble,
        }

    def end(self) -> None:
        """The server stops: follow nobody any more."""
        self._ending = True
        self._link.end()
        self._telling.end()

    def join(self) -> None:
        """Wait until nothing is applied any more. To be called before databases are closed."""
        self.end()
        self._link.join()
        if self._saver is not None:
            self._saver.shutdown()

    def close(self) -> bool:
        """Write the stamp: the databases have been closed in order. False if that fails."""
        try:
            with self._lock:
                self._file.write(self._stamp)
        except OSError as error:
            self._log.error(f"the time stamp cannot be written: {error}")
            return False
        return True

    # In the link's thread

    def prepare(self) -> None:
        """See `kt.server.link.Errand`."""

    def follow(self, peer: Peer, master: Master) -> None:
        """See `kt.server.link.Errand`."""
        if self._copy.is_there():  # applying it has failed
            self._apply_copy(self._tuned)
        with self._lock:
            stamp, tuned = self._stamp, self._tuned
        vetted = vet(peer, self._databases, self._server, stamp, SILENCE)
        self._ahead = vetted.ahead
        self._compare_epochs(peer, master, vetted)
        if self._needs_copy(stamp, vetted.missing, master):
            self._take_copy(peer, master, vetted.missing, tuned)
            return
        self._copy.clean()
        if vetted.missing:
            raise Halted(vetted.missing)
        own = self._own_of(vetted)
        as_it_is = own is not None and self._read_only
        if own is not None and not as_it_is:
            self._catch_up(peer, own, tuned)
        flags = CONFIRMS | TELLS | (EVERYTHING if as_it_is else 0)
        data = self._ask(peer, self._stamp, flags)
        self._link.reached()
        self._log.system(f"replication started: host={master.host} port={master.port} rts={stamp}")
        try:
            self._apply_all(peer, data, tuned, own if as_it_is else None)
        finally:
            self._behind = None
            if self._saving is not None:
                self._saving.result()
            self._save(self._stamp, tuned)

    def _compare_epochs(self, peer: Peer, master: Master, vetted: Vetted) -> None:
        """Follow no master that was replaced, and take note of who has replaced others."""
        ours = self._mastership.epoch
        if vetted.epoch is None:
            return
        if vetted.epoch >= ours:
            self._mastership.learn(vetted.epoch, vetted.master or str(master))
            return
        self._telling.tell_at_once(Caller(peer, SILENCE), peer)
        raise KTError(f"it was replaced: its epoch is {vetted.epoch}, and there is {ours}")

    def _own_of(self, vetted: Vetted) -> Own | None:
        """Which of our own changes to take from there; None: it does not send them."""
        number = vetted.number
        if number is None or number == self._server:
            return None
        if self._read_only:
            return number, STAMP_MAX, [True] * len(self._databases)
        # In this order: what is written from now on has a newer stamp there.
        numbers = range(len(self._databases))
        empty = [one for one in numbers if is_empty(self._databases[one])]
        self._whole = self._whole.union(empty)
        return number, vetted.present, [one in self._whole for one in numbers]

    def _catch_up(self, peer: Peer, own: Own, tuned: int) -> None:
        """Get what there is at present, our own changes among it, as far as they are wanted.

        If it is cut off, it begins anew, with the same databases, which are not empty any more.
        """
        begin = self._stamp
        try:
            with peer.another() as other:
                data = self._ask(other, begin, LOOK | EVERYTHING)
                self._apply_all(other, data, tuned, own, ends=True)
        except BaseException:
            with self._lock:
                self._stamp = begin if tuned == self._tuned else self._stamp
            raise
        self._whole = frozenset()

    def _ask(self, peer: Peer, stamp: int, flags: int = 0) -> bytearray:
        """Ask for the log or a copy; what has come behind the consent."""
        peer.send(pack_replication(stamp, self._server, flags))
        data = bytearray(peer.receive(SILENCE))
        if data[0] == ERROR:
            raise KTError("it keeps no update log, or cannot read it")
        if data[0] != REPLICATION:
            raise ProtocolError(f"it answered {data[0]:#04x}, which is no answer")
        del data[0]
        return data

    def _apply_all(
        self, peer: Peer, data: bytearray, tuned: int, own: Own | None, *, ends: bool = False
    ) -> None:
        """Apply what comes, for ever, or until that is all there is."""
        replay = Replay(self._databases, self._server, own)
        unknown: set[int] = set()
        read, debt = 0, 0.0
        while True:
            state, consumed = replay.apply(data)
            del data[:consumed]
            self._note(replay, tuned)
            if replay.unknown != unknown:
                unknown = replay.unknown
                self._log.error(
                    "changes of databases that are not here are left out: numbers"
                    f" {', '.join(map(str, sorted(unknown)))}"
                )
            debt += (replay.read - read) * self._interval / 1000
            read = replay.read
            if state == BEAT and ends:
                return
            if state == BEAT:
                peer.send(ACKNOWLEDGEMENT)
            elif state == BUSY:
                peer.rest(TRANSACTION)
            elif state == BROKEN:
                raise Halted(f"what it sends is damaged after {self._stamp}: {replay.trouble}")
            elif state == REFUSED:
                raise KTError(f"a change after {self._stamp} cannot be applied: {replay.trouble}")
            elif state != AGAIN:
                data += peer.receive(SILENCE)
            if debt >= SLEEP:
                peer.rest(debt)
                debt = 0.0

    def _note(self, replay: Replay, tuned: int) -> None:
        """Take note of how far it is."""
        with self._lock:
            if tuned != self._tuned:
                raise Interrupted
            if replay.stamp > self._stamp:
                self._stamp = replay.stamp
                self._logged = replay.stamp, self._newest()
            self._changed = self._changed or replay.applied > 0
        self._behind = replay.behind
        self._checkpoint(tuned)

    # Copies

    def _needs_copy(self, stamp: int, missing: str, master: Master) -> bool:
        """Whether to take a copy.

        What is here is replaced only if it is the master's, or nothing.

        Raises:
            Halted: one is needed, but would replace what may not be the master's.
        """
        if self._must_copy:
            return True
        if not self._copies or (not missing and (stamp > 0 or master == self._sends_none)):
            return False
        if self._was_slave or all(map(is_empty, self._databases)):
            return True
        if missing:
            raise Halted(
                f"{missing}; no copy is taken, because there are records here that may not be the"
                " master's: remove these databases to begin anew"
            )
        return False

    def _take_copy(self, peer: Peer, master: Master, missing: str, tuned: int) -> None:
        """Receive one, and apply it. See `follow`."""
        why = missing or "there is nothing here of what it has"
        why = "somebody wants that" if self._must_copy else why
        self._log.system(f"a copy of the databases of {master} is needed: {why}")
        self._state = "copying"
        try:
            if self._failures:
                peer.rest(min(2.0**self._failures, COPY_PAUSE))
            self._failures += 1
            began = time.monotonic()
            self._copy.receive(
                peer, lambda place: self._ask(peer, place, COPY), self._server, SILENCE
            )
            self._log.system(
                f"a copy has come: size={self._copy.count} time={time.monotonic() - began:.3f}"
            )
            self._apply_copy(tuned)
            self._failures = 0
        except NoCopies as error:
            if missing or self._must_copy:
                raise Halted(f"{missing or why}; {error}") from None
            self._sends_none = master  # its log begins with its first file
            raise
        finally:
            self._state = ""
            if self._copy.resumed:  # which costs the master no snapshot
                self._failures = 0

    def finish_copy(self, check: Callable[[], None]) -> None:
        """At the start: apply the copy that a server has left that was killed meanwhile.

        Args:
            check: called now and then; may raise to end it.

        Raises:
            ImproperlyConfigured: it cannot be applied.
        """
        if not self._copy.is_there():
            return
        self._log.system(f"applying a copy that was not applied to its end: {self._copy.path}")
        self._check = check
        try:
            self._apply_copy(self._tuned)
        except (KTError, OSError, EngineError) as error:
            raise ImproperlyConfigured(
                f"the copy {self._copy.path} cannot be applied: {error}. The databases may have"
                " half of it: remove both, and the time stamp, to begin anew"
            ) from None
        finally:
            self._check = None

    def _apply_copy(self, tuned: int) -> None:
        """Apply the one that is there, while nobody is served."""
        self._state = "applying"
        self._shut(APPLYING)
        began = time.monotonic()
        stamp = self._copy.apply(
            self._databases, self._server, pause=self._pause, refused=self._not_stored
        )
        for database in self._databases:
            database.synchronize(hard=True)
        with self._lock:
            stamp = stamp if tuned == self._tuned else self._stamp
            self._file.write(stamp)
        self._copy.remove()
        self._shut("")
        with self._lock:
            self._stamp, self._was_slave, self._logged = stamp, True, (0, 0)
            self._must_copy = self._must_copy and tuned != self._tuned
        self._whole = frozenset(range(len(self._databases)))
        self._state = ""
        self._log.system(
            f"the copy has been applied: ts={stamp} time={time.monotonic() - began:.3f}"
        )

    def _pause(self, seconds: float) -> None:
        """Wait while a copy is applied, which only the server's end interrupts."""
        if self._check is not None:
            self._check()
        if self._ending:
            raise Interrupted
        if seconds > 0:
            time.sleep(seconds)

    def _not_stored(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._log.error(f"the copy cannot be stored: {trouble}; it is tried again")
        self._trouble = trouble

    # The checkpoint

    def _checkpoint(self, tuned: int) -> None:
        """Begin one, if it is time; it does not hold up what comes."""
        now = time.monotonic()
        if now < self._save_at or (self._saving is not None and not self._saving.done()):
            return
        self._save_at = now + CHECKPOINT
        if self._saver is None:
            self._saver = ThreadPoolExecutor(1, "kt-checkpoint")
        self._saving = self._saver.submit(self._save, self._stamp, tuned)

    def _save(self, stamp: int, tuned: int) -> None:
        with self._lock:
            changed, self._changed = self._changed, False
        try:
            if changed:
                for database in self._databases:
                    database.synchronize(hard=True)
            with self._lock:
                if tuned == self._tuned:
                    self._file.write(stamp)
        except (EngineError, OSError) as error:
            self._changed = True
            self._log.error(f"the time stamp stays behind: {error}")


def is_empty(database: Database) -> bool:
    """Whether there is no record in a database."""
    try:
        database.cursor().jump()
    except EngineError:
        return True
    return False
