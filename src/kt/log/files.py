"""Files of update logs and snapshots, read from begin to end in pieces.

`LogFile` finds out which server's file it is, and gives its records in order::

    entry  entry  entry  damage(offset, size, reason)  entry ...

A stretch that is no record is named, everything before it has been given, and reading goes on at
the next thing that is one: framed as a record, and with a change in it that makes sense.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Iterator
from enum import Enum
from functools import partial
from os import PathLike
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, TypeVar

from kt.errors import ArgumentError, LogDamageError, ProtocolError
from kt.types import Change, What
from kt.wire.log import snapshots, tycoon, tyrant
from kt.wire.reading import Incomplete, Reader

T = TypeVar("T")

CHUNK: Final = 2**18
"""Bytes that are read at once."""

_NAME: Final = re.compile(r"(\d+)\.(ulog|ktss)")
_TYCOON_DIGITS: Final = 10


class Kind(Enum):
    """Whose file it is."""

    TYCOON = "kyoto tycoon"
    TYRANT = "tokyo tyrant"
    SNAPSHOT = "snapshot"


class Entry(NamedTuple):
    """A record.

    Attributes:
        offset: where it begins in its file.
        raw: its bytes; empty in a compressed snapshot.
        change: what it says.
    """

    offset: int
    raw: bytes
    change: Change[bytes, bytes]


class Damage(NamedTuple):
    """A stretch of a file that is no record.

    Attributes:
        path: the file.
        offset: where it begins.
        size: how many bytes it has, or is short of.
        reason: what is wrong.
    """

    path: str
    offset: int
    size: int
    reason: str

    def error(self) -> LogDamageError:
        """Return it as an exception."""
        return LogDamageError(*self)


class _Form(NamedTuple):
    """How the records of a file are read.

    Attributes:
        magic: their first byte.
        read: reads one.
        decode: makes the change of one.
        closed: they end with a mark. Otherwise one that was cut off and written over seems to reach
            into the next ones.
    """

    magic: int
    read: Reader[Any]
    decode: Callable[[Any], Change[bytes, bytes]]
    closed: bool


class _Window:
    """The bytes of a file from `offset` to `end`, as far as they have been looked at."""

    def __init__(self, file: IO[bytes], offset: int, end: int) -> None:
        self.offset = offset
        self.end = end
        self._file = file
        self._data = bytearray()
        self._pos = 0
        self._unread = offset
        file.seek(offset)

    def look(self, reader: Reader[T], ahead: int = 0) -> tuple[T, int]:
        """Return what `reader` makes of the bytes `ahead`, and how many they are.

        Raises:
            ProtocolError: they are something else, or cut off.
        """
        reading = reader(self._data, self._pos + ahead)
        while isinstance(reading, Incomplete):
            if not self._fill(ahead + reading.need):
                left = self.end - self.offset - ahead
                raise ProtocolError(f"it is cut off after {left} of at least {reading.need} bytes")
            reading = reading.resume(self._data, self._pos + ahead)
        value, end = reading
        return value, end - self._pos - ahead

    def find(self, byte: int, ahead: int) -> int:
        """Return how far ahead, at least so far, there is such a byte; to the end if nowhere."""
        while True:
            found = self._data.find(byte, self._pos + ahead)
            if found >= 0:
                return found - self._pos
            ahead = max(ahead, len(self._data) - self._pos)
            if not self._fill(ahead + 1):
                return self.end - self.offset

    def peek(self, ahead: int) -> int | None:
        """Return a byte; None at the end."""
        return self._data[self._pos + ahead] if self._fill(ahead + 1) else None

    def skip(self, size: int) -> bytes:
        """Go forward, and return what is stepped over, as far as it has been looked at."""
        skipped = bytes(self._data[self._pos : self._pos + size])
        self._pos += size
        self.offset += size
        if self._pos > CHUNK:
            del self._data[: self._pos]
            self._pos = 0
        return skipped

    def _fill(self, size: int) -> bool:
        """Have at least `size` bytes; False if the file does not."""
        if self.offset + size > self.end:
            return False
        while (missing := size - (len(self._data) - self._pos)) > 0:
            more = self._file.read(min(max(missing, CHUNK), self.end - self._unread))
            if not more:
                return False
            self._data += more
            self._unread += len(more)
        return True


class LogFile:
    """A file of an update log, or a snapshot.

    Attributes:
        path: where it is.
        kind: whose it is.
        number: what its name says: position in the log, or index of a snapshot's database.
        size: how many bytes it has.
        header: a snapshot's or Kyoto Tycoon's; None if it is damaged, or there is none.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        """Look at the file's begin.

        Raises:
            OSError: it cannot be read.
            ArgumentError: neither its name nor its contents are those of a log or a snapshot.
        """
        self.path = str(path)
        match = _NAME.fullmatch(Path(path).name)
        self.number = int(match[1]) if match else 0
        with open(path, "rb") as file:
            begin = file.read(64)
            self.size = file.seek(0, 2)
        self.kind = _kind(begin, match, self.path)
        self.header: tycoon.Header | snapshots.Header | None = None
        self._header_damage: str | None = None
        self._read_header(begin)

    @property
    def end(self) -> int:
        """Where the records end: what follows was never finished."""
        if isinstance(self.header, tycoon.Header):
            return min(self.size, self.header.size)
        return self.size

    def entries(self, persistent: Container[int] = ()) -> Iterator[Entry | Damage]:
        """Yield the records and what is damaged, in order.

        Args:
            persistent: databases of Kyoto Tycoon with ``ktopts=p``, which have no expiry.
        """
        begin = 0
        if self.kind is not Kind.TYRANT and self.size:
            begin = min(self.size, _HEADER_SIZES[self.kind])
            if self._header_damage:
                yield Damage(self.path, 0, begin, self._header_damage)
                if self.kind is Kind.SNAPSHOT:
                    return
        last: Entry | Damage | None = None
        with open(self.path, "rb") as file:
            for last in self._read(_Window(file, begin, self.end), persistent):
                yield last
        if isinstance(self.header, tycoon.Header) and self.header.size > self.size:
            missing = self.header.size - self.size
            if not isinstance(last, Damage):
                reason = f"the file is {missing} bytes shorter than its header says"
                yield Damage(self.path, self.size, missing, reason)

    def _read(self, window: _Window, persistent: Container[int]) -> Iterator[Entry | Damage]:
        if self.kind is Kind.SNAPSHOT:
            return self._snapshot_entries(window, persistent)
        return self._records(window, _form(self.kind, persistent))

    def _read_header(self, begin: bytes) -> None:
        if self.kind is Kind.TYRANT or not begin:
            return
        read: Reader[Any] = _HEADERS[self.kind]
        try:
            reading = read(begin, 0)
        except ProtocolError as error:
            self._header_damage = str(error)
        else:
            if isinstance(reading, Incomplete):
                self._header_damage = "the header is cut off"
            else:
                self.header = reading[0]

    def _records(self, window: _Window, form: _Form) -> Iterator[Entry | Damage]:
        while window.offset < window.end:
            offset, ahead = window.offset, 1
            try:
                record, size = window.look(form.read)
                ahead = size if form.closed else 1
                change = form.decode(record)
                if not form.closed and _swallows(window, form, size):
                    raise ProtocolError("it was cut off, and others follow in it")  # noqa: TRY301
            except ProtocolError as error:
                window.skip(_next(window, form, ahead))
                yield Damage(self.path, offset, window.offset - offset, str(error))
            else:
                yield Entry(offset, window.skip(size), change)

    def _snapshot_entries(
        self, window: _Window, persistent: Container[int]
    ) -> Iterator[Entry | Damage]:
        """A snapshot's records have no way to go on after damage."""
        assert isinstance(self.header, snapshots.Header)
        compressor = self.header.compressor
        plain = compressor is snapshots.Compressor.NONE
        count = 0
        while window.offset < window.end:
            offset = window.offset
            try:
                if plain:
                    one, size = window.look(snapshots.read_stored)
                    stored = [one]
                else:
                    block, size = window.look(snapshots.read_block)
                    stored = snapshots.decode_block(block, compressor)
                changes = [self._stored_change(record, persistent) for record in stored]
            except ProtocolError as error:
                yield Damage(self.path, offset, window.end - offset, str(error))
                return
            raw = window.skip(size) if plain else window.skip(size)[:0]
            count += len(changes)
            yield from (Entry(offset, raw, change) for change in changes)
        if 0 <= self.header.records != count:
            reason = f"it has {count} records and should have {self.header.records}"
            yield Damage(self.path, window.offset, 0, reason)

    def _stored_change(
        self, record: snapshots.Stored, persistent: Container[int]
    ) -> Change[bytes, bytes]:
        assert isinstance(self.header, snapshots.Header)
        change = Change(What.SET, self.header.stamp, 0, self.number, record.key, record.stored)
        if self.number in persistent:
            return change
        expiry, value = tycoon.split_stored(record.stored, self.number)
        return change._replace(value=value, expiry=expiry)


_HEADERS: Final[dict[Kind, Reader[Any]]] = {
    Kind.TYCOON: tycoon.read_header,
    Kind.SNAPSHOT: snapshots.read_header,
}
_HEADER_SIZES: Final = {
    Kind.TYCOON: tycoon.HEADER_SIZE,
    Kind.SNAPSHOT: snapshots.HEADER_SIZE,
}


def _kind(begin: bytes, name: re.Match[str] | None, path: str) -> Kind:
    """Return whose file it is: by its contents or, if it is damaged or empty, by its name."""
    if begin.startswith(snapshots.MAGIC):
        return Kind.SNAPSHOT
    if begin[:1] == bytes((tycoon.HEADER_MAGIC,)):
        return Kind.TYCOON
    if begin[:1] == bytes((tyrant.RECORD_MAGIC,)):
        return Kind.TYRANT
    if name is None:
        raise ArgumentError(
            f"{path} is no update log and no snapshot: it begins with {begin[:8]!r}"
        )
    if name[2] == "ktss":
        return Kind.SNAPSHOT
    return Kind.TYCOON if len(name[1]) == _TYCOON_DIGITS else Kind.TYRANT


def _form(kind: Kind, persistent: Container[int]) -> _Form:
    if kind is Kind.TYRANT:
        return _Form(tyrant.RECORD_MAGIC, tyrant.read_record, tyrant.decode_command, False)
    decode = partial(_decode_tycoon, persistent)
    return _Form(tycoon.RECORD_MAGIC, tycoon.read_record, decode, True)


def _decode_tycoon(persistent: Container[int], record: tycoon.Record) -> Change[bytes, bytes]:
    change = tycoon.decode_message(record, persistent=True)
    if change.what is What.SET and change.db not in persistent:
        expiry, value = tycoon.split_stored(change.value or b"", change.db)
        return change._replace(value=value, expiry=expiry)
    return change


def _next(window: _Window, form: _Form, ahead: int) -> int:
    """Return how far ahead, at least so far, the next record begins; to the end if none does."""
    while True:
        ahead = window.find(form.magic, ahead)
        if window.offset + ahead >= window.end:
            return window.end - window.offset
        try:
            record, _ = window.look(form.read, ahead)
            if form.decode(record).what is not What.OTHER:
                return ahead
        except ProtocolError:
            pass
        ahead += 1


def _swallows(window: _Window, form: _Form, size: int) -> bool:
    """Tell whether a record is less than it says, so that others begin in it.

    What was cut off by a crash is as long as it says only with some of what was appended later;
    what comes then is no record.
    """
    after = window.peek(size)
    return after not in (None, form.magic) and _next(window, form, 1) < size


def find_files(paths: Iterable[str | PathLike[str]]) -> list[LogFile]:
    """Return the files that are named, and those in folders that are named, in the order of logs.

    Raises:
        OSError: one cannot be read.
        ArgumentError: one is neither log nor snapshot.
    """
    found: list[LogFile] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = [entry for entry in path.iterdir() if _NAME.fullmatch(entry.name)]
            files = [LogFile(entry) for entry in inside]
            found += sorted(files, key=lambda file: (file.kind.value, file.number))
        else:
            found.append(LogFile(path))
    return found
