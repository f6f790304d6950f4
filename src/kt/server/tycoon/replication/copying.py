"""The slave's side of a full copy: received whole, then applied.

::

    master --> RTS.copy.tmp --> RTS.copy --> databases and log --> stamp in RTS; RTS.copy is removed
               being received    whole        cleared, then filled

Nothing of ours is touched before all of the copy is at the device. From then on the file RTS.copy
says that the databases are not whole: whoever is killed meanwhile applies it at the start, from its
beginning, before anybody is served. A block is in memory at a time, or a record.

What has come of a copy when the link or the server ends is kept. The master is told how much that
is, and goes on behind it, or else begins anew.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import BinaryIO, Final

from kt.device import synchronize_names
from kt.errors import KTError, ProtocolError
from kt.server.engines.kyoto._engine import Database, Replay, ReplayState
from kt.server.link import Halted, Interrupted, Peer
from kt.server.tycoon.replication.vetting import receive
from kt.wire.log.copies import (
    BLOCK_HEAD,
    Block,
    Done,
    Failure,
    Resumed,
    pack_copy_message,
    pack_place,
    read_copy_message,
)
from kt.wire.magic import NOP, REPLICATION
from kt.wire.reading import Incomplete

SYNCHRONIZED: Final = 64 << 20
"""Bytes after which what was received is brought to the device: not all of it at the end."""
READ_SIZE: Final = 1 << 18
FRAME_HEAD: Final = 13
"""Bytes of a change before the number of its server."""
BUSY_PAUSE: Final = 0.01
REFUSED_PAUSE: Final = 1.0


class NoCopies(KTError):
    """The master does not know what a copy is."""


class Copy:
    """The copy of one slave, by the path of its stamp.

    Attributes:
        count: bytes that have been received, or applied.
        resumed: the last one that was asked for went on where it had been cut off.
    """

    def __init__(self, stamp_path: str) -> None:
        self.path = stamp_path + ".copy"
        self._unfinished = Unfinished(self.path + ".tmp")
        self.count = 0
        self.resumed = False

    def is_there(self) -> bool:
        """Whether there is a whole one, which has not been applied to its end."""
        return os.path.exists(self.path)

    def clean(self) -> None:
        """Remove what is left of an unfinished one."""
        self._unfinished.remove()

    def receive(
        self, peer: Peer, ask: Callable[[int], bytearray], server: int, timeout: float
    ) -> None:
        """Get one, or what is missing of it.

        Args:
            peer: the master.
            ask: asks it for what is behind a place (`pack_place`); returns what has come of that.
            server: our own number, which must not be the master's.
            timeout: seconds of silence after which it is given up.

        Raises:
            NoCopies: the master knows none.
            OSError, KTError: there is none. What has come is kept if only the link has ended.
            Interrupted: something else is to be done. What has come is kept.
        """
        self.resumed = False
        unfinished = self._unfinished
        try:
            tally = unfinished.open(server, lambda: peer.rest(0))
            data = ask(pack_place(tally.blocks, tally.check))
            messages = received(peer, data, timeout)
            first = next(messages)
            self.resumed = isinstance(first, Resumed)
            if not self.resumed:
                tally = unfinished.begin_anew(server)
            for message in chain([first], messages):
                unfinished.add(message)
                self.count = tally.size
            unfinished.finish(self.path)
        except (OSError, Interrupted):
            unfinished.close()
            raise
        except BaseException:
            self.clean()
            raise

    def apply(
        self,
        databases: Sequence[Database],
        server: int,
        *,
        pause: Callable[[float], None],
        refused: Callable[[str], None],
    ) -> int:
        """Let the databases be what the copy says.

        Args:
            databases: by their numbers.
            server: our own number.
            pause: called now and then, with seconds to wait; may raise to end it.
            refused: called with the reason when a change cannot be stored; it is tried again.

        Returns:
            the stamp behind which to go on.

        Raises:
            OSError, ProtocolError: the file cannot be read.
        """
        for _ in self._stored(server):  # all of it is as it was, or nothing is touched
            pause(0)
        replay = Replay(databases, server)
        changes = bytearray()
        self.count = 0
        for message in self._stored(server):
            if isinstance(message, Done):
                break
            changes += message.changes
            self._apply(replay, changes, pause, refused)
            self.count += len(message.changes)
        assert isinstance(message, Done)
        if changes:
            raise ProtocolError("a copy ends in the middle of a change")
        return message.stamp

    def _apply(
        self,
        replay: Replay,
        changes: bytearray,
        pause: Callable[[float], None],
        refused: Callable[[str], None],
    ) -> None:
        """Apply what is whole of some changes."""
        while True:
            state, consumed = replay.apply(changes)
            del changes[:consumed]
            if state == ReplayState.BROKEN:
                raise ProtocolError(replay.trouble)
            if state == ReplayState.REFUSED:
                refused(replay.trouble)
            pauses = {ReplayState.BUSY: BUSY_PAUSE, ReplayState.REFUSED: REFUSED_PAUSE}
            pause(pauses.get(ReplayState(state), 0.0))
            if state == ReplayState.MORE:
                return

    def _stored(self, server: int) -> Iterator[Block | Done]:
        """What is in the file."""
        with open(self.path, "rb") as file:
            yield from stored(file, Tally(server))

    def remove(self) -> None:
        """The databases are whole, and the stamp is written."""
        os.remove(self.path)
        synchronize_names(self.path)


class Unfinished:
    """A copy that is being received: a file that grows by blocks, on one link after the other.

    It is removed when it cannot be written, or what is to be added does not fit.

    Args:
        path: of the file.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._tally: Tally | None = None  # of what is in the file; not known after a start
        self._synchronized = 0

    def open(self, server: int, pause: Callable[[], object]) -> Tally:
        """Find out what there is. What is not whole is cut off.

        Args:
            server: our own number.
            pause: called now and then; may raise to end it.
        """
        self._file = file = open(self._path, "a+b")  # noqa: SIM115 - see `close`
        if self._tally is None or os.fstat(file.fileno()).st_size < self._tally.end:
            self._tally = count_whole(file, server, pause)
        file.truncate(self._tally.end)
        self._synchronized = 0
        return self._tally

    def begin_anew(self, server: int) -> Tally:
        """Throw away what there is."""
        assert self._file is not None
        self._file.truncate(0)
        self._tally = Tally(server)
        return self._tally

    def add(self, message: Block | Done | Resumed) -> None:
        """The next message, as the master has sent it."""
        file, tally = self._file, self._tally
        assert file is not None
        assert tally is not None
        try:
            tally.take(message)
            if isinstance(message, Done) or (isinstance(message, Block) and message.changes):
                file.write(pack_copy_message(message))
            if tally.size - self._synchronized >= SYNCHRONIZED:
                self._synchronized = tally.size
                file.flush()
                os.fdatasync(file.fileno())
        except BaseException:
            self.remove()
            raise

    def finish(self, path: str) -> None:
        """It is whole: let it be there, under this name."""
        file = self._file
        assert file is not None
        try:
            file.flush()
            os.fsync(file.fileno())
            self.close()
            os.rename(self._path, path)
        except BaseException:
            self.remove()
            raise
        self._tally = None
        synchronize_names(path)

    def close(self) -> None:
        """Leave what has come for the next time."""
        file, self._file = self._file, None
        if file is None:
            return
        try:
            file.close()
        except OSError:
            self.remove()

    def remove(self) -> None:
        """Throw it away."""
        self._tally = None
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # what could not be written is not wanted any more
                file.close()
        with suppress(FileNotFoundError):
            os.remove(self._path)


class Tally:
    """Counts what there is of a copy, and sees to it that nothing of it is missing or damaged.

    Args:
        server: our own number. What we have changed is never applied, so nobody else may have it.

    Attributes:
        blocks: with changes.
        check: of all changes.
        size: bytes of changes.
    """

    def __init__(self, server: int) -> None:
        self._server = server
        self.blocks = self.check = self.size = 0

    @property
    def end(self) -> int:
        """Bytes of all blocks, as they are sent and stored."""
        return self.size + self.blocks * BLOCK_HEAD

    def take(self, message: Block | Done | Resumed) -> None:
        """The next message.

        Raises:
            ProtocolError: it is not what was sent, or something before it is missing.
            Halted: the copy is of somebody with our number.
        """
        if isinstance(message, Resumed):
            if message.blocks != self.blocks:
                raise ProtocolError("a copy goes on elsewhere than where it was cut off")
            return
        changes = message.changes if isinstance(message, Block) else b""
        check = zlib.crc32(changes, self.check)
        if message.check != check:
            raise ProtocolError("a copy is damaged: its check does not fit")
        if changes and self.blocks == 0:
            self._refuse_own(changes)
        self.check = check
        self.blocks += bool(changes)
        self.size += len(changes)

    def _refuse_own(self, changes: bytes) -> None:
        if int.from_bytes(changes[FRAME_HEAD : FRAME_HEAD + 2], "big") == self._server:
            raise Halted(
                f"it has the number {self._server}, as we have: each server needs its own (-sid)"
            )


def count_whole(file: BinaryIO, server: int, pause: Callable[[], object]) -> Tally:
    """What there is in a file of a copy, from its beginning up to what is none, or not whole."""
    tally = Tally(server)
    file.seek(0)
    with suppress(KTError):
        for message in stored(file, tally):
            if isinstance(message, Done) or not message.changes:
                break
            pause()
    return tally


def stored(file: BinaryIO, tally: Tally) -> Iterator[Block | Done]:
    """What is in a file, from where it is up to the end of the copy, and taken into account.

    Raises:
        KTError: it is not whole, or nothing that `tally` takes.
    """
    data = bytearray()
    while True:
        reading = read_copy_message(data, 0)
        while isinstance(reading, Incomplete):
            if not (more := file.read(max(reading.need - len(data), READ_SIZE))):
                raise ProtocolError("it is not whole")
            data += more
            if len(data) >= reading.need:
                reading = reading.resume(data, 0)
        message, end = reading
        del data[:end]
        if not isinstance(message, Block | Done):
            raise ProtocolError("it is none")
        tally.take(message)
        yield message
        if isinstance(message, Done):
            return


def received(peer: Peer, data: bytearray, timeout: float) -> Iterator[Block | Done | Resumed]:
    """What a master sends, up to the end of the copy.

    Args:
        peer: the master.
        data: what has come already.
        timeout: seconds of silence after which it is given up.

    Raises:
        NoCopies: it sends something else.
        KTError: it says that there is no copy, or what it sends is nonsense.
        OSError, Interrupted: see `Peer.receive`.
    """
    begun = False
    while True:
        try:
            message = receive(peer, read_copy_message, data, timeout)
        except ProtocolError:
            if begun or data[0] not in (NOP, REPLICATION):
                raise
            raise NoCopies(
                "it cannot send a copy of its databases, as original servers cannot: begin with"
                " one of its files (docs/migrate-servers.md)"
            ) from None
        if isinstance(message, Failure):
            raise KTError(f"it cannot send a copy of its databases: {message.why}")
        begun = True
        yield message
        if isinstance(message, Done):
            return
