"""Asks a master what the protocol of replication does not say, before it is followed.

All of it is asked by calls that every Kyoto Tycoon answers, on the connection that is used
afterwards (but where its log begins, if it may begin too late, on another one):

- what time it is there: nothing would ever come after a stamp of the future;
- how its databases are opened: with ``ktopts=p`` records have no expiry, and every value would gain
  or lose five bytes;
- which log files there are: if the first ones were removed, changes may be missing.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, TypeVar

from kt.errors import KTError, ProtocolError
from kt.server.engines import EngineError
from kt.server.engines.kyoto._engine import Database
from kt.server.link import Halted, Peer
from kt.wire.log.tycoon import LOOK
from kt.wire.reading import Incomplete, Reader
from kt.wire.tycoon import pack_replication, read_replication_reply, read_update
from kt.wire.tycoon_rpc import decode_columns, pack_rpc, read_rpc_reply

TOLERANCE: Final = 10**9
"""Nanoseconds by which a stamp may be ahead of everything at the master."""

FIRST_FILE: Final = 1
_FILE: Final = re.compile(r"(\d{10})\.ulog\Z")

Columns = dict[bytes, bytes]
T = TypeVar("T")


class Vetted(NamedTuple):
    """What has been found out.

    Attributes:
        ahead: seconds by which its clock is ahead of ours.
        present: a stamp of its clock; what it logs from now on has a newer one.
        number: its own; None: an original does not say.
        missing: why its log may not have all that came after the stamp; empty if it has.
        epoch: how often masters have been replaced, as it knows; None: an original does not.
        master: address of the master of that epoch; empty: it is that itself, or does not say.
    """

    ahead: float
    present: int
    number: int | None
    missing: str
    epoch: int | None
    master: str


def vet(
    peer: Peer, databases: Sequence[Database], server: int, stamp: int, timeout: float
) -> Vetted:
    """Find out whether this master can be followed from there.

    Args:
        peer: the connection.
        databases: our own.
        server: our own number.
        stamp: where to go on.
        timeout: seconds that it has for each answer.

    Raises:
        Halted: it cannot.
        OSError, KTError: it has not answered, or nothing that was asked for.
    """
    caller = Caller(peer, timeout)
    ahead = caller.clock() - time.time()
    files = caller.log_files()
    present = int((time.time() + ahead) * 1e9)
    newest = max([present, *(newest for _, newest in files)])
    if stamp > newest + TOLERANCE:
        raise Halted(
            f"the time stamp {stamp} is {(stamp - present) / 1e9:.0f} seconds ahead of its clock:"
            " nothing would come; set another one (tune_replication, ts)"
        )
    missing = ""
    if files and files[0][0] > FIRST_FILE and stamp < files[0][1]:
        with peer.another() as other:
            missing = missing_between(files[0][0], oldest_change(other, server, timeout), stamp)
    for number, database in enumerate(databases):
        check_options(number, database, caller.options(number))
    return Vetted(ahead, present, caller.number(), missing, caller.epoch(), caller.master())


def oldest_change(peer: Peer, server: int, timeout: float) -> int | None:
    """The stamp of the first change in a master's log, on a connection for that; None without one.

    Args:
        peer: the connection; nothing else can be done with it afterwards.
        server: our own number.
        timeout: seconds that the master has.

    Raises:
        OSError, KTError: it has not said.
    """
    data = bytearray()
    peer.send(pack_replication(0, (server + 1) & 0xFFFF, LOOK))  # changes of ourselves, too
    accepted = receive(peer, read_replication_reply, data, timeout)
    if isinstance(accepted, KTError):
        raise accepted
    update = receive(peer, read_update, data, timeout)
    return None if update.message is None else update.stamp


def missing_between(number: int, oldest: int | None, stamp: int) -> str:
    """Why changes may be missing between the stamp and a log that lacks its first files, if so.

    Args:
        number: of the first file that is there.
        oldest: stamp of the first change in it; None if there is none.
        stamp: where to go on.
    """
    if stamp == 0 or (oldest is not None and stamp < oldest - 1):
        since = "" if oldest is None else f" from {oldest - 1} on"
        return (
            f"its update log begins with file {number}, so changes after {stamp} may be missing:"
            f" begin with a copy of its databases (of kt-tycoon: -copy), or go on without"
            f" these{since} (tune_replication, ts)"
        )
    return ""


def check_options(number: int, database: Database, theirs: bytes | None) -> None:
    """See to it that both store records in the same way; None: it has no such database.

    Raises:
        Halted: they do not.
    """
    try:
        ours = database.status().get(b"ktopts")
    except EngineError:
        return
    if theirs is not None and ours != theirs:
        raise Halted(
            f"its database {number} has ktopts={theirs.decode('ascii', 'replace')}, ours"
            f" {(ours or b'').decode()}: open both with ktopts=p, or none"
        )


class Caller:
    """Calls procedures of a master."""

    def __init__(self, peer: Peer, timeout: float) -> None:
        self._peer = peer
        self._timeout = timeout
        self._report: Columns | None = None

    @property
    def report(self) -> Columns:
        """What it says of itself, asked once."""
        if self._report is None:
            self._report = self._call("report") or {}
        return self._report

    def clock(self) -> float:
        """Its Unix time, at first."""
        try:
            return float(self.report[b"serv_current_time"])
        except (KeyError, ValueError):
            raise ProtocolError("its report does not say what time it is") from None

    def epoch(self) -> int | None:
        """How often masters have been replaced, as it knows; None: it is an original."""
        text = self.report.get(b"repl_epoch", b"")
        return int(text) if text.isdigit() else None

    def number(self) -> int | None:
        """Its own in update logs; None: an original does not say."""
        text = self.report.get(b"serv_sid", b"")
        return int(text) if text.isdigit() else None

    def master(self) -> str:
        """Address of the master of that epoch; empty: itself, or it does not say."""
        return self.report.get(b"repl_epoch_master", b"").decode("utf-8", "surrogateescape")

    def tell_replaced(self, epoch: int, master: str) -> bool:
        """Tell it that there is a master of a later epoch; whether it has taken note."""
        columns = [(b"epoch", b"%d" % epoch), (b"master", os.fsencode(master))]
        return self._call("replaced", columns) is not None

    def log_files(self) -> list[tuple[int, int]]:
        """Number and newest stamp of each of its log files, the oldest first."""
        columns = self._call("ulog_list")
        if columns is None:
            raise KTError("it keeps no update log (-ulog)")
        files = []
        for path, state in columns.items():
            found = _FILE.search(os.fsdecode(path))
            newest = state.partition(b":")[2]
            if found is not None and newest.isdigit():
                files.append((int(found[1]), int(newest)))
        return sorted(files)

    def options(self, database: int) -> bytes | None:
        """How a database stores records; None if it is not there, or does not say."""
        columns = self._call("status", [(b"DB", b"%d" % database)]) or {}
        return columns.get(b"ktopts")

    def _call(self, procedure: str, columns: Iterable[tuple[bytes, bytes]] = ()) -> Columns | None:
        """The columns of the reply; None if it does not run the procedure."""
        self._peer.send(pack_rpc(procedure, columns))
        reply = receive(self._peer, read_rpc_reply, bytearray(), self._timeout)
        return decode_columns(reply.body, reply.encoding) if reply.status == 200 else None


def receive(peer: Peer, reader: Reader[T], data: bytearray, timeout: float) -> T:
    """What `reader` reads; what comes behind it is left in `data`."""
    reading = reader(data, 0)
    while isinstance(reading, Incomplete):
        while len(data) < reading.need:
            data += peer.receive(timeout)
        reading = reading.resume(data, 0)
    value, end = reading
    del data[:end]
    return value
