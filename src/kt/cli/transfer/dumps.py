"""Files with records: a compact binary form, and lines of JSON.

Binary, all integers big-endian::

    "KTDUMP1\\n"  header, a line of JSON   BLOCK...   BLOCK without records

    BLOCK   "KTB1" db:u16 count:u32 size:u32 packed:u32 crc:u32 lsize:u32 last[lsize] data[packed]

`data` are records as in `batches`, deflated if that makes them shorter (``packed < size``); `crc`
is that of `last` and `data` together. The block without records is the end: its data are JSON, with
the indices of a table, and its `size` is what it is. A file without it is incomplete, and can be
gone on with: at most the last block is lost.

Lines of JSON: first the header, then a record each, at last the end::

    {"kt": "dump", "version": 1, ...}
    {"db": 0, "key": "a", "value": "x", "expires": 1893456000}
    {"db": 0, "key": {"base64": "/w=="}, "value": "y"}
    {"key": "1", "row": {"name": "Ann"}}
    {"end": true, "records": 3, "indices": {}}

Such a file may be compressed (``.gz``, ``.xz``, ``.bz2``), every batch by itself.
"""

from __future__ import annotations

import base64
import io
import json
import os
import struct
import sys
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final, Protocol

from kt.cli.faults import Usage
from kt.cli.output import json_value
from kt.cli.transfer.batches import BATCH_BYTES, BATCH_MAX, BEGIN, Batch, Reached, packed
from kt.client.expiry import NO_EXPIRY
from kt.errors import KTError
from kt.wire.table import decode_row, encode_row

MAGIC: Final = b"KTDUMP1\n"
BLOCK_MAGIC: Final = b"KTB1"
BLOCK: Final = struct.Struct(">4sHIIIII")
LAST_MAX: Final = 2**28
GZIP: Final = 31
"""For zlib: a window of the greatest size, and the format of gzip."""
LEVEL: Final = 1
"""Of compression: more takes longer than a server does."""


class DumpDamage(KTError):
    """A dump is damaged, or no dump."""


Json = dict[str, Any]


class Writer(Protocol):
    """What writes a dump."""

    def write(self, batch: Batch) -> None: ...
    def end(self, members: Json) -> None: ...


def compressor(path: str) -> Callable[[bytes], bytes]:
    """What makes a part of a file of this name; every part can be decompressed by itself."""
    if path.endswith(".gz"):
        import gzip

        return lambda data: gzip.compress(data, LEVEL)
    if path.endswith(".xz"):
        import lzma

        return lambda data: lzma.compress(data, preset=LEVEL)
    if path.endswith(".bz2"):
        import bz2

        return bz2.compress
    return bytes


class Decompressor(Protocol):
    """What decompresses one part of a file."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def decompressor(path: str) -> Callable[[], Decompressor]:
    """What makes a decompressor for the next part of a compressed file of this name."""
    if path.endswith(".gz"):
        return lambda: zlib.decompressobj(GZIP)
    if path.endswith(".xz"):
        import lzma

        return lzma.LZMADecompressor
    import bz2

    return bz2.BZ2Decompressor


def broken() -> tuple[type[Exception], ...]:
    """What is raised where compressed bytes are damaged."""
    lzma = sys.modules.get("lzma")  # there only if somebody needed it
    return (EOFError, zlib.error, OSError, *([] if lzma is None else [lzma.LZMAError]))


def whole_parts(file: IO[bytes], path: str) -> Iterator[tuple[bytes, int]]:
    """Yield some whole lines and where they end, until something is not whole."""
    end = 0
    if compressor(path) is bytes:
        while text := b"".join(file.readlines(BATCH_BYTES)):
            text = text[: text.rfind(b"\n") + 1]
            end += len(text)
            yield text, end
        return
    make, unused = decompressor(path), b""
    while True:
        part, text, size = make(), b"", 0
        try:
            while not part.eof:
                data = unused or file.read(BATCH_BYTES)
                if not data:
                    return
                text, unused, size = text + part.decompress(data), b"", size + len(data)
        except broken():
            return
        unused = part.unused_data
        end += size - len(unused)
        yield text, end


def opened(path: str) -> IO[bytes]:
    """Open a dump to read it, decompressed."""
    if path.endswith(".gz"):
        import gzip

        return io.BufferedReader(gzip.GzipFile(path))
    if path.endswith(".xz"):
        import lzma

        return io.BufferedReader(lzma.LZMAFile(path))
    if path.endswith(".bz2"):
        import bz2

        return io.BufferedReader(bz2.BZ2File(path))
    return Path(path).open("rb")


class BinaryWriter:
    """Writes the binary form."""

    def __init__(self, file: IO[bytes], header: Json | None) -> None:
        """`header` is None where a file is gone on with."""
        self._file = file
        if header is not None:
            file.write(MAGIC + json.dumps(header).encode() + b"\n")

    def write(self, batch: Batch) -> None:
        if batch.number:  # a block without records is the end
            self._block(batch.db, batch.number, batch.body, batch.last)

    def end(self, members: Json) -> None:
        self._block(0, 0, json.dumps(members).encode(), b"")
        self._file.flush()

    def _block(self, db: int, count: int, body: bytes, last: bytes) -> None:
        data = zlib.compress(body, LEVEL)
        if len(data) >= len(body):
            data = body
        crc = zlib.crc32(data, zlib.crc32(last))
        head = BLOCK.pack(BLOCK_MAGIC, db, count, len(body), len(data), crc, len(last))
        self._file.write(head + last + data)


class LineWriter:
    """Writes lines of JSON."""

    def __init__(
        self, file: IO[bytes], header: Json | None, rows: bool, compress: Callable[[bytes], bytes]
    ) -> None:
        self._file = file
        self._line = row_line if rows else record_line
        self._compress = compress
        if header is not None:
            file.write(compress(json.dumps(header).encode() + b"\n"))

    def write(self, batch: Batch) -> None:
        line = self._line
        text = "".join([line(*record) for record in batch.records()])
        self._file.write(self._compress(text.encode()))

    def end(self, members: Json) -> None:
        self._file.write(self._compress(json.dumps({"end": True} | members).encode() + b"\n"))
        self._file.flush()


_quoted = json.encoder.encode_basestring


def text_of(data: bytes) -> str:
    """Return bytes as JSON."""
    try:
        return _quoted(data.decode())
    except UnicodeDecodeError:
        return json.dumps(json_value(data))


def record_line(db: int, key: bytes, value: bytes, xt: int) -> str:
    """Return the line of a record."""
    line = f'{{"db": {db}, "key": {text_of(key)}, "value": {text_of(value)}'
    return f"{line}}}\n" if xt >= NO_EXPIRY else f'{line}, "expires": {xt}}}\n'


def row_line(db: int, key: bytes, value: bytes, xt: int) -> str:
    """Return the line of a row; what is no row, or not UTF-8, as a record."""
    try:
        row = decode_row(value)
        if encode_row(row) != value:
            return record_line(db, key, value, xt)
    except (ValueError, KTError):
        return record_line(db, key, value, xt)
    return f'{{"key": {text_of(key)}, "row": {json.dumps(row, ensure_ascii=False)}}}\n'


class Reader:
    """A dump that is read, once from begin to end.

    Attributes:
        header: what its first line says.
        ending: what its end says; None before that has been read.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.ending: Json | None = None
        self.is_binary = False
        self.header: Json = {}
        try:
            with opened(path) as file:
                self._begin(file)
        except FileNotFoundError:
            raise
        except broken() as error:
            raise DumpDamage(f"{path} is no dump of kt: {error}") from None

    def _begin(self, file: IO[bytes]) -> None:
        line = file.readline(1 << 20)
        self.is_binary = line == MAGIC
        if self.is_binary:
            line = file.readline(1 << 20)
        try:
            header = json.loads(line)
        except ValueError:
            header = None
        if not isinstance(header, dict) or header.get("kt") != "dump":
            raise DumpDamage(f"{self.path} is no dump of kt")
        self.header = header

    def batches(self) -> Generator[Batch, None, None]:
        """Yield what it holds; raises `DumpDamage` where it is damaged, or has no end."""
        yield from self.batches_so_far()
        if self.ending is None:
            raise DumpDamage(f"{self.path} has no end: the dump was interrupted (--resume)")

    def batches_so_far(self) -> Generator[Batch, None, None]:
        """The same of a dump that need not have an end."""
        self.ending = None
        try:
            with opened(self.path) as file:
                self._begin(file)
                yield from self._blocks(file) if self.is_binary else self._lines(file)
        except broken() as error:
            raise DumpDamage(f"{self.path} is damaged: {error}") from None

    def _blocks(self, file: IO[bytes]) -> Iterator[Batch]:
        for batch, _ in blocks(file, self.path):
            if batch.number:
                yield batch
            else:
                self.ending = json.loads(batch.body)
                return

    def _lines(self, file: IO[bytes]) -> Iterator[Batch]:
        number = 2
        while lines := file.readlines(BATCH_BYTES):
            db = None
            found: list[tuple[bytes, bytes, int]] = []
            for members in self._parsed(lines, number):
                try:
                    new_db, key, value, xt = record_of(members)
                except (ValueError, KeyError, TypeError, AttributeError):
                    if isinstance(members, dict) and "end" in members:
                        self.ending = members
                        break
                    raise DumpDamage(f"{self.path} is damaged about line {number}") from None
                if found and (new_db != db or len(found) >= BATCH_MAX):
                    yield packed(db or 0, found)
                    found = []
                db = new_db
                found.append((key, value, xt))
            if found:
                yield packed(db or 0, found)
            if self.ending is not None:
                return
            number += len(lines)

    def _parsed(self, lines: list[bytes], number: int) -> list[Any]:
        """What lines say, parsed together, which is quicker."""
        try:
            found = json.loads(b"[%b]" % b",".join(lines))
            if len(found) == len(lines):
                return list(found)
        except ValueError:
            pass
        found = []
        for offset, line in enumerate(lines):
            try:
                found.append(json.loads(line))
            except ValueError:
                raise DumpDamage(f"{self.path} is damaged in line {number + offset}") from None
        return found


def record_of(members: Json) -> tuple[int, bytes, bytes, int]:
    """Return the record of a line."""
    key = members["key"]
    name = key.encode() if type(key) is str else bytes_of(key)
    if "row" in members:
        return 0, name, encode_row(members["row"]), NO_EXPIRY
    value = members["value"]
    content = value.encode() if type(value) is str else bytes_of(value)
    xt = members.get("expires")
    return int(members.get("db", 0)), name, content, NO_EXPIRY if xt is None else int(xt)


def bytes_of(value: Any) -> bytes:
    """Return the bytes that JSON stands for."""
    if isinstance(value, str):
        return value.encode()
    data: str = value["base64"]
    return base64.b64decode(data, validate=True)


def blocks(file: IO[bytes], path: str) -> Iterator[tuple[Batch, int]]:
    """Yield the blocks of a binary dump after its header, and where each ends."""
    while head := file.read(BLOCK.size):
        if len(head) < BLOCK.size:
            raise DumpDamage(f"{path} ends in the middle of a block")
        magic, db, count, size, stored, crc, lsize = BLOCK.unpack(head)
        if magic != BLOCK_MAGIC or lsize > LAST_MAX:
            raise DumpDamage(f"{path} is damaged before offset {file.tell()}")
        last, data = file.read(lsize), file.read(stored)
        if len(data) < stored:
            raise DumpDamage(f"{path} ends in the middle of a block")
        if zlib.crc32(data, zlib.crc32(last)) != crc:
            raise DumpDamage(f"{path} is damaged before offset {file.tell()}: a checksum differs")
        body = zlib.decompress(data) if stored < size else data
        yield Batch(db, count, body, last), file.tell()


class Rest:
    """What an interrupted dump has; what is not whole at its end is cut off.

    Attributes:
        records: how many it has.
        db: the database of the last of them.
        reached: where to go on in that database.
    """

    def __init__(self, path: str) -> None:
        self.records = 0
        self.db = 0
        self.reached = BEGIN
        self.reader = Reader(path)
        with Path(path).open("rb+") as file:
            if self.reader.is_binary:
                file.truncate(self._blocks(file, path))
            else:
                file.truncate(max((end for _, end in whole_parts(file, path)), default=0))
        if not self.reader.is_binary:
            self._lines()

    def _blocks(self, file: IO[bytes], path: str) -> int:
        """Look at blocks; returns where the last whole one ends."""
        self.reader._begin(file)
        end = file.tell()
        with suppress(DumpDamage):  # what is after the last whole block is lost
            for batch, after in blocks(file, path):
                if not batch.number and batch.body[:1] == b"{":
                    raise Usage(f"{path} is complete")
                end = after
                self.records += batch.number
                self.db, self.reached = batch.db, Reached(batch.last)
        return end

    def _lines(self) -> None:
        """Look at lines. Nothing says which of them were a batch, but it has at most `BATCH_MAX`.

        So what is as far before the end is of a batch that is whole, and the keys from there on are
        among the last ones.
        """
        keys: deque[bytes] = deque(maxlen=2 * BATCH_MAX)
        same = 0
        for batch in self.reader.batches_so_far():
            if batch.db != self.db:
                keys.clear()
            self.db = batch.db
            self.records += batch.number
            for _, key, _, _ in batch.records():
                same = same + 1 if keys and keys[-1] == key else 1
                keys.append(key)
        if self.reader.ending is not None:
            raise Usage(f"{self.reader.path} is complete")
        if keys:
            after = keys[-BATCH_MAX - 1] if len(keys) > BATCH_MAX else None
            self.reached = Reached(after, frozenset(keys), keys[-1], same)

    def keys(self) -> set[bytes]:
        """All keys that it has of the last database."""
        batches = (batch for batch in self.reader.batches_so_far() if batch.db == self.db)
        return {record[1] for batch in batches for record in batch.records()}


def make_header(source: str, kind: str, rows: bool, filters: Json) -> Json:
    """Return what the first line of a dump says; `filters` is which records it has."""
    from datetime import UTC, datetime

    return {
        "kt": "dump",
        "version": 1,
        "source": source,
        "server": kind,
        "table": rows,
        "filters": filters,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def is_lines(path: str) -> bool:
    """Tell by its name whether a dump is to be lines of JSON."""
    stem, suffix = os.path.splitext(path)
    if suffix in (".gz", ".xz", ".bz2"):
        suffix = os.path.splitext(stem)[1]
    return suffix in (".json", ".jsonl", ".ndjson")
