"""How far a slave of kt-tyrant has come, so that no command is carried out twice, or never.

A stamp says what is done only if no two commands have it, and a slave may be killed between a
command and the moment when its stamp is written. So there is a second file beside that of the
stamp. It has the position: a stamp, and how many commands of that stamp are done; and what is
begun::

    file  | kt-slave | done: stamp 8, count 4 | begin 8 | kind 1 | begun: stamp 8, count 4
          | record was there 1, its size 4, its CRC 4 | CRC of it all 4

Before commands are carried out that do no harm when they are repeated in their order, it says how
far they go. Any other one is alone, and it says what its record was before: whoever finds the
record otherwise knows that the command was carried out. Then the stamp is written.

The second file counts only where the first has one of its stamps: else somebody has set the stamp.
Of a database in memory nothing is left when its process ends; it begins again where it had begun.
"""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from enum import IntEnum
from typing import Final, NamedTuple

from kt.server.stamp_file import StampFile, overwrite

_MAGIC: Final = b"kt-slave"
_LAYOUT: Final = struct.Struct(">8sQIQBQIBII")
_CRC: Final = struct.Struct(">I")


class Begun(IntEnum):
    """What is being carried out, or was, when the process ended."""

    NOTHING = 0
    REPEATABLE = 1
    SINGLE = 2
    UNKNOWN = 3
    """Everything since the stamp, in a file that keeps changes in memory."""
    IN_MEMORY = 4
    """The database ends with its process."""


class Place(NamedTuple):
    """The first `commands` of this stamp, and all before; with 0 all of this stamp, too."""

    stamp: int
    commands: int

    def after(self, stamp: int) -> Place:
        """The place of the next command, which has this stamp."""
        if stamp > self.stamp:
            return Place(stamp, 1)
        if stamp < self.stamp or self.commands == 0:
            return self
        return Place(stamp, self.commands + 1)


class Before(NamedTuple):
    """What a record was: enough to tell whether it has changed."""

    there: bool = False
    size: int = 0
    crc: int = 0

    @classmethod
    def of(cls, value: bytes | None) -> Before:
        return cls() if value is None else cls(True, len(value), zlib.crc32(value))


class Position:
    """The two files. For one thread.

    Args:
        path: of the file with the stamp.
        in_memory: whether the database ends with its process.

    Attributes:
        done: the newest command that is done.
        begun: what may have been carried out since.
        until: how far that goes.
        before: what the record of a single command was.
    """

    def __init__(self, path: str, in_memory: bool) -> None:
        self.done = Place(0, 0)
        self.begun = Begun.NOTHING
        self.until = Place(0, 0)
        self.before = Before()
        self._file = StampFile(path)
        self._path = f"{path}.position"
        self._in_memory = in_memory
        self._begin = 0
        self._written = 0  # the stamp in its file
        self._loaded = False

    @property
    def stamp(self) -> int:
        """What is in the stamp's file."""
        return self._written

    def load(self) -> None:
        """Read the files.

        Raises:
            OSError, ImproperlyConfigured: the stamp cannot be read.
        """
        first, self._loaded = not self._loaded, True
        stamp = self._file.read()
        if not first and stamp == self._written:
            return  # as we have left it; we know better than the files
        self._written = stamp
        kept = self._kept()
        self.begun = Begun.NOTHING
        if kept is None or stamp not in (kept[0].stamp, kept[3].stamp):
            self.done = Place(stamp, 0)
            self._begin = stamp
            return
        done, begin, begun, until, before = kept
        self._begin = begin
        if begun is Begun.IN_MEMORY:
            if first:
                done = Place(begin, 0)
        elif begun is not Begun.NOTHING and stamp == until.stamp != done.stamp:
            done = until
        else:
            self.begun, self.until, self.before = begun, until, before
        self.done = done

    def set(self, stamp: int) -> None:
        """Go on behind this stamp."""
        self._file.write(stamp)
        self._written = stamp
        self._loaded = True
        self.done = self.until = Place(stamp, 0)
        self.begun = Begun.NOTHING
        self._begin = stamp
        self._keep()

    def begin(self, begun: Begun, until: Place, before: Before = Before()) -> None:  # noqa: B008
        """Note what is going to be carried out."""
        self.begun, self.until, self.before = begun, until, before
        self._keep()

    def finish(self, done: Place) -> None:
        """Note that it is done; it is in the database's file."""
        stamp_tells = done.stamp != self._written and done == self.until
        self.done = done
        if done.stamp != self._written:
            self._file.write(done.stamp)
            self._written = done.stamp
        self.begun = Begun.NOTHING
        if not stamp_tells:
            self._keep()

    def complete(self) -> None:
        """Note that the master has nothing more of the newest stamp."""
        if self.done.commands > 0 and self.done.stamp == self._written:
            self.done = Place(self.done.stamp, 0)
            self._keep()

    def _keep(self) -> None:
        done, until, before = self.done, self.until, self.before
        begun = Begun.IN_MEMORY if self._in_memory else self.begun
        data = _LAYOUT.pack(_MAGIC, *done, self._begin, begun, *until, *before)
        overwrite(self._path, data + _CRC.pack(zlib.crc32(data)))

    def _kept(self) -> tuple[Place, int, Begun, Place, Before] | None:
        """What is in the second file; None if there is none, or it is damaged."""
        with suppress(FileNotFoundError), open(self._path, "rb") as file:
            data = file.read(_LAYOUT.size + _CRC.size + 1)
            crc = _CRC.pack(zlib.crc32(data[: _LAYOUT.size]))
            if data[_LAYOUT.size :] == crc and data.startswith(_MAGIC):
                fields = _LAYOUT.unpack(data[: _LAYOUT.size])
                return (
                    Place(*fields[1:3]),
                    fields[3],
                    Begun(fields[4]),
                    Place(*fields[5:7]),
                    Before(bool(fields[7]), *fields[8:]),
                )
        return None
