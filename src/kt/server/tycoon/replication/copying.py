"""The slave's side of a full copy: received whole, then applied.

::

    master --> RTS.copy.tmp --> RTS.copy --> databases and log --> stamp in RTS; RTS.copy is removed
               being received    whole        cleared, then filled

Nothing of ours is touched before all of the copy is at the device. From then on the file RTS.copy
says that the databases are not whole: whoever is killed meanwhile applies it at the start, from its
beginning, before anybody is served. What is left of an unfinished copy is thrown away, and the next
one is begun anew. A block is in memory at a time, or a record.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final

from kt.device import synchronize_names
from kt.errors import KTError, ProtocolError
from kt.server.engines.kyoto._engine import Database, Replay, ReplayState
from kt.server.link import Halted, Peer
from kt.server.tycoon.replication.vetting import receive
from kt.wire.log.copies import Block, Done, Failure, pack_copy_message, read_copy_message
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
    """

    def __init__(self, stamp_path: str) -> None:
        self.path = stamp_path + ".copy"
        self._unfinished = self.path + ".tmp"
        self.count = 0

    def is_there(self) -> bool:
        """Whether there is a whole one, which has not been applied to its end."""
        return os.path.exists(self.path)

    def clean(self) -> None:
        """Remove what is left of an unfinished one."""
        with suppress(FileNotFoundError):
            os.remove(self._unfinished)

    def receive(self, peer: Peer, data: bytearray, server: int, timeout: float) -> None:
        """Get one from a master that has been asked for it, and has accepted.

        Args:
            peer: the master.
            data: what has come behind that.
            server: our own number, which must not be the master's.
            timeout: seconds of silence after which it is given up.

        Raises:
            NoCopies: the master knows none.
            OSError, KTError: there is none.
            Interrupted: something else is to be done. What has come is thrown away in any case.
        """
        self.count = synchronized = 0
        try:
            with open(self._unfinished, "wb") as file:
                for message in self._received(peer, data, server, timeout):
                    file.write(pack_copy_message(message))
                    if self.count - synchronized >= SYNCHRONIZED:
                        synchronized = self.count
                        file.flush()
                        os.fdatasync(file.fileno())
                file.flush()
                os.fsync(file.fileno())
            os.rename(self._unfinished, self.path)
            synchronize_names(self.path)
        except BaseException:
            self.clean()
            raise

    def _received(
        self, peer: Peer, data: bytearray, server: int, timeout: float
    ) -> Iterator[Block | Done]:
        check = Check()
        while True:
            try:
                message = receive(peer, read_copy_message, data, timeout)
            except ProtocolError:
                if self.count > 0 or data[0] not in (NOP, REPLICATION):
                    raise
                raise NoCopies(
                    "it cannot send a copy of its databases, as original servers cannot: begin with"
                    " one of its files (docs/migrate-servers.md)"
                ) from None
            if isinstance(message, Failure):
                raise KTError(f"it cannot send a copy of its databases: {message.why}")
            check.take(message)
            if isinstance(message, Block) and self.count == 0 and message.changes:
                refuse_own(message.changes, server)
            yield message
            if isinstance(message, Done):
                return
            self.count += len(message.changes)

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
        for _ in self._stored():  # all of it is as it was, or nothing is touched
            pause(0)
        replay = Replay(databases, server)
        changes = bytearray()
        self.count = 0
        for message in self._stored():
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

    def _stored(self) -> Iterator[Block | Done]:
        """What is in the file."""
        data = bytearray()
        check = Check()
        with open(self.path, "rb") as file:
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
                if isinstance(message, Failure):
                    raise ProtocolError("it is none")
                check.take(message)
                yield message
                if isinstance(message, Done):
                    return

    def remove(self) -> None:
        """The databases are whole, and the stamp is written."""
        os.remove(self.path)
        synchronize_names(self.path)


def refuse_own(changes: bytes, server: int) -> None:
    """See to it that a copy is of somebody else: what is our own is never applied.

    Raises:
        Halted: it has our number.
    """
    if int.from_bytes(changes[FRAME_HEAD : FRAME_HEAD + 2], "big") == server:
        raise Halted(f"it has the number {server}, as we have: each server needs its own (-sid)")


class Check:
    """Sees to it that nothing of a copy is missing or damaged."""

    def __init__(self) -> None:
        self._value = 0

    def take(self, message: Block | Done) -> None:
        """The next message.

        Raises:
            ProtocolError: it is not what was sent, or something before it is missing.
        """
        if isinstance(message, Block):
            self._value = zlib.crc32(message.changes, self._value)
        if message.check != self._value:
            raise ProtocolError("a copy is damaged: its check does not fit")
