"""How far a slave of kt-tyrant has come, so that no command is carried out twice, or never.

A stamp says what is done only if no two commands have it, and a slave may be killed between a
command and the moment when its stamp is written. So there is a second file beside that of the
stamp. It has the position, a stamp and how many commands of that stamp are done, and what has begun
since::

    file  | kt-slave | stamp written 8 | done: stamp 8, count 4 | begin 8 | kind 1
          | begun: stamp 8, count 4 | size of the marks 4 | marks | CRC of it all 4

Before a batch of commands is carried out, the file says how far it goes, and has the *marks* of
what must not be repeated (see protocol/replay.h); then the stamp is written. If the process was
killed in between, the commands of the batch come again, and the marks tell which of them are done.
It is overwritten in place, and what was longer is cut off then: there may be more behind the CRC.

The second file counts only where the first has one of its stamps: else somebody has set the stamp.
Of a database in memory nothing is left when its process ends; it begins again where it had begun.
"""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from enum import IntEnum
from typing import Final, NamedTuple

from kt.server.engines.tokyo._engine import MARK
from kt.server.stamp_file import StampFile, overwrite

_MAGIC: Final = b"kt-slave"
_HEAD: Final = struct.Struct(">8sQQIQBQII")
_CRC: Final = struct.Struct(">I")


class Kind(IntEnum):
    """What has begun."""

    NOTHING = 0
    BATCH = 1
    """Whatever comes up to there; marks tell what is done."""
    UNSAVED = 2
    """Likewise, in a file that keeps changes in memory: nothing tells."""
    IN_MEMORY = 3
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


START: Final = Place(0, 0)


class _Kept(NamedTuple):
    """What is in the second file."""

    written: int
    done: Place
    begin: int
    kind: Kind
    until: Place
    marks: bytes


class Position:
    """The two files. For one thread.

    Args:
        path: of the file with the stamp.
        in_memory: whether the database ends with its process.

    Attributes:
        done: how far commands are carried out.
        kind: what has begun since.
        until: how far that goes.
        marks: what the records of those commands in it were that must not be repeated.
        written: the stamp in its file.
    """

    def __init__(self, path: str, in_memory: bool) -> None:
        self.done = self.until = START
        self.kind = Kind.NOTHING
        self.marks = b""
        self.written = 0
        self._file = StampFile(path)
        self._path = f"{path}.position"
        self._in_memory = in_memory
        self._begin = 0
        self._loaded = False

    def load(self) -> None:
        """Read the files.

        Raises:
            OSError, ImproperlyConfigured: the stamp cannot be read.
        """
        first, self._loaded = not self._loaded, True
        stamp = self._file.read()
        if not first and stamp == self.written:
            return  # as we have left it; we know better than the files
        self.written = self._begin = stamp
        self.done, self.kind, self.marks = Place(stamp, 0), Kind.NOTHING, b""
        kept = self._read()
        if kept is None or stamp not in (kept.written, kept.done.stamp, kept.until.stamp):
            return
        self._begin = kept.begin
        if kept.kind is Kind.IN_MEMORY:
            self.done = Place(kept.begin, 0) if first else kept.done
        elif kept.kind is not Kind.NOTHING and stamp not in (kept.written, kept.done.stamp):
            self.done = kept.until
        else:
            _, self.done, _, self.kind, self.until, self.marks = kept

    def set(self, stamp: int) -> None:
        """Go on behind this stamp."""
        self._file.write(stamp)
        self._loaded = True
        self.written = self._begin = stamp
        self.done = self.until = Place(stamp, 0)
        self.kind, self.marks = Kind.NOTHING, b""
        self._write()

    def begin(self, kind: Kind, until: Place, marks: bytes) -> None:
        """Note what is going to be carried out."""
        self.kind, self.until, self.marks = kind, until, marks
        self._write()

    @property
    def mark(self) -> bytes:
        """The first of the marks."""
        return self.marks[:MARK]

    def advance(self, done: Place, *, marked: bool) -> None:
        """Note that the next one of what had begun is done; it is in the database's file.

        Args:
            done: where it ends.
            marked: whether it had a mark.
        """
        if marked:
            self.marks = self.marks[MARK:]
        if done >= self.until:
            self.kind, self.marks = Kind.NOTHING, b""
        self.done = done
        self._write()
        self._stamp()

    def know(self, done: Place) -> None:
        """Note how far it is done, in this process only: the next one had better repeat it."""
        self.done = done
        self.kind, self.marks = Kind.NOTHING, b""

    def finish(self, done: Place) -> None:
        """Note that what had begun is done, or ends here; it is in the database's file."""
        tells = done == self.until and done.stamp != self.written
        self.done = done
        self.kind, self.marks = Kind.NOTHING, b""
        self._stamp()
        if not tells:
            self._write()

    def complete(self) -> None:
        """Note that the master has nothing more of the newest stamp."""
        if self.done.commands > 0 and self.kind is Kind.NOTHING and self.done.stamp == self.written:
            self.done = Place(self.done.stamp, 0)
            self._write()

    def _stamp(self) -> None:
        if self.done.stamp != self.written:
            self._file.write(self.done.stamp)
            self.written = self.done.stamp

    def _write(self) -> None:
        kind, marks = (Kind.IN_MEMORY, b"") if self._in_memory else (self.kind, self.marks)
        head = (*self.done, self._begin, kind, *self.until, len(marks))
        data = _HEAD.pack(_MAGIC, self.written, *head) + marks
        overwrite(self._path, data + _CRC.pack(zlib.crc32(data)))

    def _read(self) -> _Kept | None:
        """What is in the second file; None if there is none, or it is damaged."""
        data = b""
        with suppress(FileNotFoundError), open(self._path, "rb") as file:
            data = file.read()
        if len(data) < _HEAD.size or not data.startswith(_MAGIC):
            return None
        _, written, stamp, commands, begin, kind, *until, size = _HEAD.unpack_from(data)
        end = _HEAD.size + size
        body, crc = data[:end], data[end : end + _CRC.size]  # a longer one may have been there
        if crc != _CRC.pack(zlib.crc32(body)):
            return None
        done, marks = Place(stamp, commands), body[_HEAD.size :]
        return _Kept(written, done, begin, Kind(kind), Place(*until), marks)
