"""Kyoto Tycoon's snapshot files (``-bgs``): one database, whole. All integers are big-endian.

::

    HEADER   "KTSS\\n\\0" check:u32 stamp:u64 records:i64 size:i64
    RECORD   CC ksiz:varnum ssiz:varnum key[ksiz] stored[ssiz]

`stamp` (nanoseconds) is when it was taken, `records` how many the database had (-1 if it does not
know) and `size` how many bytes. What is stored begins with the expiry, as in the update log
(`kt.wire.log.tycoon`).

Without compression records follow the header, and `check` is 0. Otherwise blocks follow it, each
with some whole records, a little more than 1 MiB::

    BLOCK    size:u32 compressed[size]

and `check` is a hash of what the compressor makes of the file's first six bytes, which is how a
server sees that it has been given another compressor than the file's. Here it tells the compressor:

========  =====================================================================================
zlib      raw deflate, and a byte of 0 behind it
lzo       LZO1X; needs the package lzallright
lzma      a container of xz
plain     two bytes, and the data as it is: what a library makes that was built without lzo, lzma
========  =====================================================================================
"""

from __future__ import annotations

import lzma
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias

from kt.errors import ImproperlyConfigured, ProtocolError
from kt.wire import faults
from kt.wire.log.tycoon import pack_varnum, read_varnum
from kt.wire.magic import SIZE_MAX
from kt.wire.reading import Buffer, Incomplete

Codec: TypeAlias = tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]

MAGIC: Final = b"KTSS\n\0"
RECORD_MAGIC: Final = 0xCC
BLOCK_SIZE: Final = 2**20
"""A block ends with the record that makes it at least so long."""
BLOCK_MAX: Final = 2 * SIZE_MAX + 2 * BLOCK_SIZE
"""Longest block: its last record may be of the greatest size."""

_NUMBERS: Final = struct.Struct(">IQqq")
_U32: Final = struct.Struct(">I")

HEADER_SIZE: Final = len(MAGIC) + _NUMBERS.size


class Compressor(Enum):
    """What has compressed a snapshot's blocks; the value is `check` in its header."""

    NONE = 0
    ZLIB = 2269463824
    LZO = 3615905009
    LZMA = 2081847788
    PLAIN_LZO = 2314528196
    """A server with ``-bgsc lzo`` whose library was built without it."""
    PLAIN_LZMA = 2102360327
    """A server with ``-bgsc lzma`` whose library was built without it."""


class Header(NamedTuple):
    """Begin of a snapshot.

    Attributes:
        compressor: what its blocks are compressed with.
        stamp: when it was taken, in nanoseconds since the epoch.
        records: how many the database had; -1 if it did not know.
        size: how many bytes it had.
    """

    compressor: Compressor
    stamp: int
    records: int
    size: int


class Stored(NamedTuple):
    """A record: its key, and expiry and value as they are stored."""

    key: bytes
    stored: bytes


def pack_header(header: Header) -> bytes:
    """The first bytes of a file."""
    return MAGIC + _NUMBERS.pack(header.compressor.value, header.stamp, header.records, header.size)


def read_header(data: Buffer, pos: int) -> tuple[Header, int] | Incomplete[Header]:
    """What `pack_header` packs."""
    if not MAGIC.startswith(begin := bytes(data[pos : pos + len(MAGIC)])):
        raise ProtocolError(f"a snapshot does not begin with {begin!r}")
    if len(data) < pos + HEADER_SIZE:
        return Incomplete(HEADER_SIZE, read_header)
    check, *numbers = _NUMBERS.unpack_from(data, pos + len(MAGIC))
    try:
        compressor = Compressor(check)
    except ValueError:
        raise ProtocolError(f"a snapshot of an unknown compressor (check {check:#010x})") from None
    return Header(compressor, *numbers), pos + HEADER_SIZE


def pack_stored(record: Stored) -> bytes:
    """A record as it is in an uncompressed file and in a block."""
    sizes = pack_varnum(len(record.key)) + pack_varnum(len(record.stored))
    return b"%c%b%b%b" % (RECORD_MAGIC, sizes, *record)


def read_stored(data: Buffer, pos: int) -> tuple[Stored, int] | Incomplete[Stored]:
    """What `pack_stored` packs."""
    if len(data) > pos and data[pos] != RECORD_MAGIC:
        raise faults.wrong_magic(data[pos], RECORD_MAGIC)
    try:
        key_size, at = read_varnum(data, pos + 1)
        stored_size, at = read_varnum(data, at)
    except ProtocolError:
        if len(data) >= pos + 1 + 2 * 10:
            raise
        return Incomplete(max(3, len(data) - pos + 1), read_stored)
    if max(key_size, stored_size) > SIZE_MAX + 5:
        raise faults.impossible_sizes(key_size, stored_size)
    middle, end = at + key_size, at + key_size + stored_size
    if len(data) < end:
        return Incomplete(end - pos, read_stored)
    return Stored(bytes(data[at:middle]), bytes(data[middle:end])), end


def read_block(data: Buffer, pos: int) -> tuple[bytes, int] | Incomplete[bytes]:
    """A block, still compressed."""
    if len(data) < pos + _U32.size:
        return Incomplete(_U32.size, read_block)
    (size,) = _U32.unpack_from(data, pos)
    if size > BLOCK_MAX:
        raise faults.impossible_size(size)
    begin = pos + _U32.size
    if len(data) < begin + size:
        return Incomplete(_U32.size + size, read_block)
    return bytes(data[begin : begin + size]), begin + size


def decode_block(block: bytes, compressor: Compressor) -> list[Stored]:
    """The records of a block.

    Raises:
        ProtocolError: it does not decompress, or holds something else than records.
        ImproperlyConfigured: the compressor is not here.
    """
    data = decompress(block, compressor)
    records, pos = [], 0
    while pos < len(data):
        reading = read_stored(data, pos)
        if isinstance(reading, Incomplete):
            raise ProtocolError(f"a block ends within a record, after {len(data)} bytes")
        record, pos = reading
        records.append(record)
    return records


def pack_records(records: Iterable[Stored], compressor: Compressor) -> Iterator[bytes]:
    """What follows the header, in pieces."""
    block, size = [], 0
    for record in records:
        block.append(pack_stored(record))
        size += len(block[-1])
        if size >= BLOCK_SIZE:
            yield _pack_block(b"".join(block), compressor)
            block, size = [], 0
    if block:
        yield _pack_block(b"".join(block), compressor)


def _pack_block(data: bytes, compressor: Compressor) -> bytes:
    if compressor is Compressor.NONE:
        return data
    compressed = compress(data, compressor)
    return _U32.pack(len(compressed)) + compressed


# ----------------------------------------------------------------------------------- compressors


def compress(data: bytes, compressor: Compressor) -> bytes:
    """What the server's compressor of this name makes of `data`."""
    return _CODECS[compressor][0](data)


def decompress(data: bytes, compressor: Compressor) -> bytes:
    """What `compress` has compressed.

    Raises:
        ProtocolError: it was not compressed so.
        ImproperlyConfigured: the compressor is not here.
    """
    try:
        return _CODECS[compressor][1](data)
    except (zlib.error, lzma.LZMAError, EOFError, _Broken) as error:
        raise ProtocolError(f"a block does not decompress ({compressor.name}: {error})") from error


class _Broken(Exception):
    """What LZO reports."""


def _deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15, 9)
    return packer.compress(data) + packer.flush() + b"\0"


def _inflate(data: bytes) -> bytes:
    unpacker = zlib.decompressobj(-15)
    plain = unpacker.decompress(data)
    if not unpacker.eof:
        raise zlib.error("it is cut off")
    return plain


def _pack_xz(data: bytes) -> bytes:
    return lzma.compress(data, lzma.FORMAT_XZ, lzma.CHECK_NONE, 6)


def _lzo() -> Any:
    try:
        import lzallright
    except ImportError as error:
        raise ImproperlyConfigured(
            "snapshots of -bgsc lzo need the package lzallright (pip install 'kyototycoon[lzo]')"
        ) from error
    return lzallright


def _pack_lzo(data: bytes) -> bytes:
    packed: bytes = _lzo().LZOCompressor().compress(data)
    return packed


def _unpack_lzo(data: bytes) -> bytes:
    library = _lzo()
    try:
        plain: bytes = library.LZOCompressor.decompress(data)
    except library.LZOError as error:
        raise _Broken(str(error)) from error
    return plain


def _pack_plain(mark: bytes, data: bytes) -> bytes:
    return mark + data


def _unpack_plain(mark: bytes, data: bytes) -> bytes:
    if not data.startswith(mark):
        raise _Broken(f"it begins with {data[:2]!r}")
    return data[len(mark) :]


def _plain(mark: bytes) -> Codec:
    return partial(_pack_plain, mark), partial(_unpack_plain, mark)


_CODECS: Final[Mapping[Compressor, Codec]] = {
    Compressor.NONE: (bytes, bytes),
    Compressor.ZLIB: (_deflate, _inflate),
    Compressor.LZO: (_pack_lzo, _unpack_lzo),
    Compressor.LZMA: (_pack_xz, lzma.decompress),
    Compressor.PLAIN_LZO: _plain(b"o\0"),
    Compressor.PLAIN_LZMA: _plain(b"x\0"),
}
