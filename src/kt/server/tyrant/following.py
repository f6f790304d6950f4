"""kt-tyrant as a slave: it follows the update log of a master, and carries out what is in it.

Commands are carried out in the link's own thread, one by one and in their order, as a client's
would be: the engine lets others have their turns. How far it has come is kept in files
(`position`).

What turns out otherwise than at the master is said in the log; with `-rcc` nothing more is carried
out from there on, until a master is set anew. What is no command, or cannot be carried out because
our own log or database is broken, is not passed over: the link ends, and tries again.

A B+ tree in a file keeps changes in memory. There the stamp is written only when the file has been
synchronized, every few seconds; if the server is killed, commands since then are repeated.
"""

from __future__ import annotations

import struct
import time
from typing import Final

from kt.errors import ArgumentError, KTError, ProtocolError
from kt.server.link import Halted, Link, Master, Peer
from kt.server.session import Journal
from kt.server.tyrant.applying import Applier
from kt.server.tyrant.position import Before, Begun, Place, Position
from kt.server.tyrant.service import TyrantService
from kt.wire import tyrant_commands as codes
from kt.wire.log.tyrant import Record
from kt.wire.tyrant import pack_repl

SILENCE: Final = 60.0
"""Seconds without a sign of life after which a master is given up."""
CHECKPOINT: Final = 5.0
"""Seconds after which a file that keeps changes in memory is synchronized."""
NOBODY: Final = 2**31 - 1
"""The number by which a server without one asks."""
TOGETHER: Final = 256
"""Commands that are noted as begun together, at most."""

NOTHING: Final = Before()

_HEAD: Final = codes.UPDATE_HEAD
_SIZES: Final = struct.Struct(">II")
_UNREPEATABLE: Final = frozenset((codes.PUTCAT, codes.PUTSHL, codes.ADDINT, codes.ADDDOUBLE))


def unrepeatable_key(command: bytes) -> bytes | None:
    """The key of a command that must not be carried out twice; None if it may, or is none."""
    code = command[1] if len(command) > 1 else 0
    if code in _UNREPEATABLE:
        size = int.from_bytes(command[2:6], "big")
        numbers = {codes.PUTCAT: 4, codes.PUTSHL: 8, codes.ADDINT: 4, codes.ADDDOUBLE: 16}[code]
        return command[6 + numbers : 6 + numbers + size]
    if code == codes.MISC and len(command) > 10:
        size, count = _SIZES.unpack_from(command, 2)
        name = command[10 : 10 + size].lstrip(b"@%")
        at = 10 + size
        if count and name in (b"putcat", b"putdup", b"putdupback"):
            return command[at + 4 : at + 4 + int.from_bytes(command[at : at + 4], "big")]
    return None


class Following:
    """The slave. Any thread may call its methods.

    Args:
        service: whose database gets what comes.
        applier: carries it out.
        path: of the file with the stamp.
        log: the server's.
    """

    def __init__(self, service: TyrantService, applier: Applier, path: str, log: Journal) -> None:
        database = service.database
        self._service = service
        self._applier = applier
        self._log = log
        self._position = Position(path, database.in_memory)
        self._keeps_changes = database.type_name == "B+ tree"
        self._link = Link(self, log)
        self._consistent = False
        self._since = 0  # the stamp that is to be set
        self._stamp = 0
        self._even = 0.0  # Unix time when nothing was left to be done
        self._number = 0  # the master's
        self._unsaved = 0.0  # monotonic time since when changes are in memory only
        self._skip = Place(0, 0)  # so many commands of this stamp are done
        self._repeated = Place(0, 0)  # up to here commands may have been done by a killed process
        self._single: tuple[Place, Before] | None = None  # one that has begun
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
        self._skip = done
        self._inconsistent = False
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
            self._single = None
        position.load()
        self._stamp = position.done.stamp
        if position.begun is Begun.UNKNOWN and not self._unsaved:
            self._log.error(
                f"the server was killed: commands after {position.stamp} are carried out anew, and"
                " what they add may be added twice"
            )
        if position.begun is Begun.SINGLE:
            self._single = position.until, position.before
        elif position.begun in (Begun.REPEATABLE, Begun.UNKNOWN):
            self._repeated = position.until

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
        beats = 0
        while True:
            records: list[Record] = []
            at = 0
            while at < len(data):
                if data[at] == codes.HEARTBEAT:
                    self._carry_out(records)
                    records = []
                    at += 1
                    beats += 1
                    if beats > 1:  # the first one is a greeting
                        self._even = time.time()
                        self._position.complete()
                    continue
                reading = self._record(data, at)
                if reading is None:
                    break
                record, at = reading
                records.append(record)
            self._carry_out(records)
            self._save(CHECKPOINT)
            rest = data[at:]
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

    def _carry_out(self, records: list[Record]) -> None:
        repeatable: list[Record] = []
        for record in records:
            if self._is_done(record):
                continue
            key = unrepeatable_key(record.command)
            if key is None and len(repeatable) < TOGETHER:
                repeatable.append(record)
                continue
            self._together(repeatable)
            repeatable = []
            if key is None:
                repeatable.append(record)
            else:
                self._alone(record, key)
        self._together(repeatable)

    def _is_done(self, record: Record) -> bool:
        """Whether it was carried out on an earlier link, or was ours at first."""
        stamp, count = self._skip
        if record.stamp == stamp and count > 0:
            self._skip = Place(stamp, count - 1)
            return True
        return record.sid == self._service.server_id

    def _together(self, records: list[Record]) -> None:
        if not records:
            return
        place = until = self._position.done
        for record in records:
            until = until.after(record.stamp)
        self._begin(Begun.REPEATABLE, until)
        try:
            for record in records:
                after = place.after(record.stamp)
                trouble = self._apply(record, after)
                place = after
                if trouble:
                    raise Halted(trouble)
        finally:
            self._finish(place)

    def _alone(self, record: Record, key: bytes) -> None:
        place = self._position.done.after(record.stamp)
        before = Before.of(self._service.database.get(key))
        trouble = ""
        if self._single is not None and self._single[0] == place and self._single[1] != before:
            self._log.system(f"a command had been carried out already: ts={record.stamp}")
        else:
            self._single = place, before
            self._begin(Begun.SINGLE, place, before)
            trouble = self._apply(record, place)
        self._single = None
        self._finish(place)
        if trouble:
            raise Halted(trouble)

    def _begin(self, begun: Begun, until: Place, before: Before = NOTHING) -> None:
        if self._keeps_changes:
            self._unsaved = self._unsaved or time.monotonic()
            begun = Begun.UNKNOWN
        self._position.begin(begun, until, before)

    def _finish(self, place: Place) -> None:
        if self._keeps_changes:
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

    def _apply(self, record: Record, place: Place) -> str:
        """Carry out a command; what is wrong, if nothing more may be carried out."""
        try:
            as_there = self._applier.apply(record)
        except ProtocolError:
            self._check_ourselves()
            raise
        if as_there or place <= self._repeated:
            return ""
        self._check_ourselves()
        message = f"detected inconsistency: ts={record.stamp} sid={record.sid}"
        if self._consistent:
            return message
        say = self._log.info if self._inconsistent else self._log.error
        self._inconsistent = True
        say(message)
        return ""

    def _check_ourselves(self) -> None:
        """Raise `KTError` if it is our fault that a command could not be carried out."""
        history = self._service.history
        if history is not None and (trouble := history.log.trouble()):
            raise KTError(f"our own update log cannot be written: {trouble}")
        if (error := self._service.database.fatal_error) is not None:
            raise KTError(f"our own database is broken: {error}")
