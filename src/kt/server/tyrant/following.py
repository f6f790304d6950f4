"""kt-tyrant as a slave: it follows the update log of a master, and carries out what is in it.

Commands are carried out in the link's own thread, in their order, and the engine lets others have
their turns: quick ones in batches and natively (protocol/replay.h), others one by one, as a
client's would be. How far it has come is kept in files (`position`).

What turns out otherwise than at the master is said in the log; with `-rcc` nothing more is carried
out from there on, until a master is set anew. What is no command, or cannot be carried out because
our own log or database is broken, is not passed over: the link ends, and tries again.

A B+ tree in a file keeps changes in memory. There the stamp is written only when the file has been
synchronized, every few seconds; if the server is killed, commands since then are repeated.
"""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING, Final

from kt.errors import ArgumentError, KTError, ProtocolError
from kt.server.engines.tokyo._engine import End, Next, Replay
from kt.server.link import Halted, Link, Master, Peer
from kt.server.session import Journal
from kt.server.tyrant.applying import Applier
from kt.server.tyrant.position import START, Kind, Place, Position
from kt.server.tyrant.service import TyrantService
from kt.wire import tyrant_commands as codes
from kt.wire.log.tyrant import Record
from kt.wire.tyrant import pack_repl

if TYPE_CHECKING:
    from ssl import SSLContext

SILENCE: Final = 60.0
"""Seconds without a sign of life after which a master is given up."""
CHECKPOINT: Final = 5.0
"""Seconds after which a file that keeps changes in memory is synchronized."""
NOBODY: Final = 2**31 - 1
"""The number by which a server without one asks."""
INCONSISTENCY: Final = "detected inconsistency: ts={}"

MORE: Final = int(Next.MORE)
OTHER: Final = int(Next.OTHER)
DIFFERENT: Final = int(End.DIFFERENT)
REFUSED: Final = int(End.REFUSED)
UNLOGGED: Final = int(End.UNLOGGED)

_HEAD: Final = codes.UPDATE_HEAD
_SIZES: Final = struct.Struct(">II")
_UNREPEATABLE: Final = frozenset((codes.PUTCAT, codes.PUTSHL, codes.ADDINT, codes.ADDDOUBLE))


def marked_key(command: bytes) -> tuple[int, bytes] | None:
    """Code and key of a command that must not be carried out twice; None if it may, or is none."""
    code = command[1] if len(command) > 1 else 0
    if code in _UNREPEATABLE:
        size = int.from_bytes(command[2:6], "big")
        numbers = {codes.PUTCAT: 4, codes.PUTSHL: 8, codes.ADDINT: 4, codes.ADDDOUBLE: 16}[code]
        return code, command[6 + numbers : 6 + numbers + size]
    if code == codes.MISC and len(command) > 10:
        size, count = _SIZES.unpack_from(command, 2)
        name = command[10 : 10 + size].lstrip(b"@%")
        at = 10 + size
        if count and name in (b"putcat", b"putdup", b"putdupback"):
            return code, command[at + 4 : at + 4 + int.from_bytes(command[at : at + 4], "big")]
    return None


class Following:
    """The slave. Any thread may call its methods.

    Args:
        service: whose database gets what comes.
        applier: carries it out.
        path: of the file with the stamp.
        log: the server's.
        tls: how a master is spoken with by TLS; None: without.
    """

    def __init__(
        self,
        service: TyrantService,
        applier: Applier,
        path: str,
        log: Journal,
        tls: SSLContext | None = None,
    ) -> None:
        database = service.database
        self._service = service
        self._applier = applier
        self._log = log
        self._position = Position(path, database.in_memory)
        self._keeps_changes = database.type_name == "B+ tree"
        self._replay = Replay(database, service.server_id)
        self._link = Link(self, log, tls)
        self._consistent = False
        self._since = 0  # the stamp that is to be set
        self._stamp = 0
        self._even = 0.0  # Unix time when nothing was left to be done
        self._number = 0  # the master's
        self._unsaved = 0.0  # monotonic time since when changes are in memory only
        self._skip = START  # so many commands of this stamp are done
        self._repeated = START  # up to here commands may have been done by a killed process
        self._beats = 0  # signs of life, on this link
        self._inconsistent = False  # whether that has been said on this link

    # What others ask for

    def set_master(self, host: str, port: int, since: int, *, consistent: bool) -> None:
        """Follow this master from now on.

        Args:
            host: its address; the path of a Unix socket if `port` is 0; empty for none.
            port: its port.
            since: stamp behind which to go on, in microseconds; 0 for that in the file.
            consistent: stop at the first command that does not turn out as it did there.

        Raises:
            ArgumentError: there can be no such master.
        """
        if host and not (0 < port < 65536 or (port == 0 and host.startswith("/"))):
            raise ArgumentError(f"there is no master at {host!r}, port {port}")
        self._consistent = consistent
        self._even = 0.0
        if since:
            self._since = since
        if host:
            self._log.system(
                f"replication configuration: host={host} port={port} ropts={int(consistent)}"
            )
        self._link.follow(Master(host, port) if host else None)

    def facts(self) -> list[tuple[str, object]]:
        """What `stat` says of it; nothing if it follows nobody."""
        link = self._link
        if (master := link.master) is None:
            return []
        now = time.time()
        behind = max(now - self._stamp / 1e6, 0.0)
        return [
            ("mhost", master.host),
            ("mport", master.port),
            ("rts", self._stamp),
            ("delay", f"{min(behind, max(now - self._even, 0.0)):.6f}"),
            ("repl_connected", int(link.connected)),
            ("repl_error", link.trouble),
        ]

    def end(self) -> None:
        """The server stops: follow nobody any more."""
        self._link.end()

    def close(self) -> None:
        """Wait until nothing is carried out any more."""
        self._link.end()
        self._link.join()

    # In the link's thread

    def follow(self, peer: Peer, master: Master) -> None:
        """See `kt.server.link.Errand`."""
        own = self._service.server_id
        done = self._position.done
        peer.send(pack_repl(max(done.stamp + (done.commands == 0), 1), own or NOBODY))
        data = self._number_of_master(peer, own)
        self._link.reached()
        self._log.info(f"replicating from sid={self._number} ({master}) after {done.stamp}")
        self._warn_of_future(done.stamp)
        self._skip = done if done.commands else START
        self._repeated = START if self._position.kind is Kind.NOTHING else self._position.until
        self._inconsistent = False
        self._beats = 0
        try:
            self._follow(peer, data)
        finally:
            self._save(0.0)

    def prepare(self) -> None:
        """See `kt.server.link.Errand`."""
        position = self._position
        since, self._since = self._since, 0
        if since:
            position.set(since)
        position.load()
        self._stamp = position.done.stamp
        if position.kind is Kind.UNSAVED and not self._unsaved:
            self._log.error(
                f"the server was killed: commands after {position.written} are carried out anew,"
                " and what they add may be added twice"
            )

    def _number_of_master(self, peer: Peer, own: int) -> bytes:
        """Read who the master is; returns what has come behind that."""
        data = b""
        while len(data) < 4:
            try:
                data += peer.receive(SILENCE)
            except ConnectionError:
                raise ProtocolError(
                    f"it refuses to be followed: it may have our number, {own}, or forbid it"
                ) from None
        number = int.from_bytes(data[:4], "big")
        if not 0 < number < 65536 or number == own:
            raise ProtocolError(f"its number is {number}: each server needs one of its own (-sid)")
        self._number = number
        return data[4:]

    def _warn_of_future(self, stamp: int) -> None:
        ahead = stamp / 1e6 - time.time()
        if ahead > 1:
            self._log.error(
                f"the time stamp is {ahead:.0f} seconds ahead of the clock: nothing older comes"
            )

    def _follow(self, peer: Peer, data: bytes) -> None:
        while True:
            done = self._carry_out(data)
            self._save(CHECKPOINT)
            rest = data[done:]
            data = rest + self._whole(peer, rest)

    def _whole(self, peer: Peer, rest: bytes) -> bytes:
        """What comes next; all that is missing of a large command."""
        need = 1
        if len(rest) >= _HEAD.size:
            need = _HEAD.size + _HEAD.unpack_from(rest)[3] - len(rest)
        pieces = []
        while need > 0:
            try:
                pieces.append(peer.receive(SILENCE))
            except ConnectionError as error:
                half = f", with half a command: {len(rest)} bytes" if rest or pieces else ""
                raise ConnectionError(f"{error}{half}") from None
            need -= len(pieces[-1])
        return b"".join(pieces)

    def _record(self, data: bytes, at: int) -> tuple[Record, int] | None:
        """The command that begins there; None if it is not there as a whole."""
        if data[at] != codes.UPDATE:
            raise ProtocolError(f"it sent {data[at]:#04x}, which begins no message")
        if len(data) - at < _HEAD.size:
            return None
        _, stamp, server, size = _HEAD.unpack_from(data, at)
        if size > codes.UPDATE_MAX or not 0 < server < 65536 or not stamp:
            raise ProtocolError(f"it sent no command: ts={stamp} sid={server} size={size}")
        begin = at + _HEAD.size
        if len(data) - begin < size:
            return None
        return Record(stamp, server, self._number, data[begin : begin + size]), begin + size

    # Carrying out

    def _carry_out(self, data: bytes) -> int:
        """Do all that is there as a whole; how many bytes that is."""
        at = 0
        while at < len(data):
            following, size = self._batch(data, at) if self._is_even() else (OTHER, 0)
            at += size
            if following == MORE:
                break
            if at < len(data) and data[at] == codes.HEARTBEAT:
                at += 1
                self._beat()
            elif following == OTHER:
                reading = self._record(data, at)
                if reading is None:
                    break
                record, at = reading
                self._alone(record)
        return at

    def _is_even(self) -> bool:
        """Whether nothing has begun of which it must be found out whether it is done."""
        return self._position.kind is not Kind.BATCH and not self._skip.commands

    def _beat(self) -> None:
        self._beats += 1
        if self._beats > 1:  # the first one is a greeting
            self._even = time.time()
            self._position.complete()

    def _batch(self, data: bytes, at: int) -> tuple[int, int]:
        """Do quick commands together; what follows them, and how many bytes they had."""
        position = self._position
        before = position.done
        following, size, count, until, marks = self._replay.plan(data, at, before)
        if not count:
            return following, size
        self._begin(Place(*until), marks)
        repeats = before < self._repeated
        consistent = self._consistent and not repeats
        end, place, differences, first = self._replay.carry_out(self._number, consistent)
        done = Place(*place)
        if end == UNLOGGED:
            position.know(done)
            self._check_ourselves()
            raise KTError("our own update log could not be written for a moment")
        self._finish(done)
        if differences and not repeats:
            self._differs(first, differences)
        if end == DIFFERENT:
            raise Halted(INCONSISTENCY.format(first))
        if end == REFUSED:
            raise KTError(f"our own database fails: {self._service.database.error_text}")
        return following, size

    def _alone(self, record: Record) -> None:
        """Do a command by itself; find out first whether it was begun earlier."""
        if self._is_done(record):
            return
        position = self._position
        place = position.done.after(record.stamp)
        begun = position.kind is not Kind.NOTHING and place <= position.until
        marked = marked_key(record.command)
        mark = b"" if marked is None else Replay.mark(self._service.database, *marked)
        if not begun:
            self._begin(place, mark)
        done = begun and mark != b"" and position.mark not in (b"", mark)
        same = done or self._apply(record)
        if done:
            self._log.system(f"a command had been carried out already: ts={record.stamp}")
        if begun and position.kind is Kind.BATCH:
            position.advance(place, marked=bool(mark))
        else:
            self._finish(place)
        if not same and not begun:
            self._differs(record.stamp, 1)
            if self._consistent:
                raise Halted(INCONSISTENCY.format(record.stamp))

    def _is_done(self, record: Record) -> bool:
        """Whether it was carried out on an earlier link, or was ours at first."""
        stamp, count = self._skip
        if record.stamp == stamp and count > 0:
            self._skip = Place(stamp, count - 1)
            return True
        self._skip = START
        return record.sid == self._service.server_id

    def _begin(self, until: Place, marks: bytes) -> None:
        if self._keeps_changes:
            self._position.begin(Kind.UNSAVED, max(until, self._repeated), b"")
        else:
            self._position.begin(Kind.BATCH, until, marks)

    def _finish(self, place: Place) -> None:
        if self._keeps_changes:
            self._unsaved = self._unsaved or time.monotonic()
            self._position.done = place
        else:
            self._position.finish(place)
        self._stamp = place.stamp

    def _save(self, seconds: float) -> None:
        """Synchronize what has been in memory only for so long."""
        if not self._unsaved or time.monotonic() - self._unsaved < seconds:
            return
        if not self._service.database.sync():
            raise KTError("the database cannot be synchronized")
        self._unsaved = 0.0
        self._position.finish(self._position.done)

    def _apply(self, record: Record) -> bool:
        """Carry out a command; whether it has turned out as at the master."""
        try:
            same = self._applier.apply(record)
        except ProtocolError:
            self._check_ourselves()
            raise
        if not same:
            self._check_ourselves()
        return same

    def _check_ourselves(self) -> None:
        """Raise `KTError` if it is our fault that a command could not be carried out."""
        history, database = self._service.history, self._service.database
        if history is not None and (trouble := history.log.trouble()):
            raise KTError(f"our own update log cannot be written: {trouble}")
        if database.fatal_error is not None or not database.error_is_harmless:
            raise KTError(f"our own database fails: {database.error_text}")

    def _differs(self, stamp: int, count: int) -> None:
        """Log an inconsistency: the first one of a link as an error."""
        say = self._log.info if self._inconsistent else self._log.error
        self._inconsistent = True
        more = f" and {count - 1} more" if count > 1 else ""
        say(INCONSISTENCY.format(stamp) + more)
