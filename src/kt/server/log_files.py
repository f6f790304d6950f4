"""The files of an update log, read from the first record to the last.

They are only read: a server may go on writing them. What it has not brought to a file yet (half a
record at the end of the newest one, or with ``-durable`` what is in memory that it shares with the
files ``ahead.0`` and ``ahead.1``) is not seen.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import pairwise
from typing import Final, Generic, NamedTuple, TypeVar

from kt.errors import ProtocolError
from kt.wire.log import tycoon, tyrant
from kt.wire.reading import Incomplete, Reader

R = TypeVar("R", tycoon.Record, tyrant.Record)

CHUNK: Final = 1 << 20
SAMPLE: Final = 1 << 14
"""Bytes in which records are counted, for a report."""
AHEAD: Final = ("ahead.0", "ahead.1")


class Form(NamedTuple, Generic[R]):
    """How the files of a log are named and read.

    Attributes:
        name: of a file, in whole.
        header: whether it begins with one.
        read: reads a record.
    """

    name: re.Pattern[str]
    header: bool
    read: Reader[R]


TYCOON: Final = Form(re.compile(r"([0-9]{10})\.ulog"), True, tycoon.read_record)
TYRANT: Final = Form(re.compile(r"([0-9]{8})\.ulog"), False, tyrant.read_record)


def count_records(
    files: Mapping[int, str], position: tuple[int, int], form: Form[R]
) -> tuple[int, int]:
    """The next records behind a position, some KB in one file: how many, and how long.

    Raises:
        OSError: a file cannot be read.
    """
    at, offset = position
    for number in sorted(files):
        if number < at:
            continue
        begin = offset if number == at else tycoon.HEADER_SIZE if form.header else 0
        with open(files[number], "rb") as file:
            file.seek(begin)
            data = file.read(SAMPLE)
        count, pos = 0, 0
        with suppress(ProtocolError):
            while not isinstance(reading := form.read(data, pos), Incomplete):
                _, pos = reading
                count += 1
            if reading.need > SAMPLE:
                return count + 1, pos + reading.need
        if count:
            return count, pos
    return 0, 0


class LogFiles(Generic[R]):
    """See the module's docstring.

    Args:
        directory: of the log.
        form: whose.

    Attributes:
        torn: after all has been read: where half a record ends the newest file; else empty.

    Raises:
        OSError: the directory cannot be read.
    """

    def __init__(self, directory: str, form: Form[R]) -> None:
        self.directory = directory
        self.torn = ""
        self._form: Form[R] = form
        self._files = {
            int(match[1]): os.path.join(directory, name)
            for name in sorted(os.listdir(directory))
            if (match := form.name.fullmatch(name))
        }

    @property
    def whole(self) -> bool:
        """Whether no file was removed from the begin."""
        return min(self._files, default=0) == 1

    @property
    def written_ahead(self) -> bool:
        """Whether the log has something, it may be, that is in none of its files."""
        return any(os.path.exists(os.path.join(self.directory, name)) for name in AHEAD)

    def records(self) -> Iterator[R]:
        """Yield all records in their order.

        Raises:
            OSError: a file cannot be read.
            ProtocolError: one is missing, or is no log.
        """
        for number, following in pairwise(self._files):
            if following != number + 1:
                raise ProtocolError(f"files are missing behind {self._files[number]}")
        for number, path in self._files.items():
            self.torn = ""
            yield from self._read(path)
            if self.torn and number != max(self._files):
                raise ProtocolError(self.torn)

    def _read(self, path: str) -> Iterator[R]:
        with open(path, "rb") as file:
            end = self._end(path, file.read(tycoon.HEADER_SIZE))
            file.seek(tycoon.HEADER_SIZE if self._form.header else 0)
            left = max(end - file.tell(), 0)
            data, pos = b"", 0
            while True:
                reading = self._form.read(data, pos)
                if not isinstance(reading, Incomplete):
                    record, pos = reading
                    yield record
                    continue
                have = len(data) - pos
                more = file.read(min(left, max(CHUNK, reading.need - have)))
                if not more:
                    break
                left -= len(more)
                data, pos = data[pos:] + more, 0
        if pos < len(data):
            self.torn = f"half a record at the end of {path}"

    def _end(self, path: str, begin: bytes) -> int:
        """Where the records end."""
        size = os.stat(path).st_size
        if not self._form.header:
            return size
        reading = tycoon.read_header(begin, 0)
        return size if isinstance(reading, Incomplete) else min(size, reading[0].size)
