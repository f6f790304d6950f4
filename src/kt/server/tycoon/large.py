"""Large requests and replies in pieces.

A worker thread that works on a million columns in one go would hold Python's interpreter lock, and
with it the event loop, for a second. In pieces it gives way several hundred times a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, TypeVar

from kt.wire.columns import ESTIMATED, REPLY_PLAIN_MAX, TSV_TYPE, column_encoding
from kt.wire.tycoon_rpc import (
    PLAIN,
    Encoding,
    HttpRequest,
    decode_rpc,
    encode_columns,
    encode_columns_as,
    pack_http_reply,
)

T = TypeVar("T")

LARGE_VALUE: Final = 1 << 20
"""A value of more bytes is stored, or packed, by a worker thread."""

MANY_COLUMNS: Final = 1000
"""A reply of more columns is packed in a worker thread, and so is one with a large value."""

SLICE: Final = 3 << 18
"""So many bytes of it are encoded at a time; base64 takes three to four."""

PIECE_BYTES: Final = 1 << 17
PIECE_COLUMNS: Final = 4000


class Packed(dict[bytes, bytes]):
    """Columns, and such as an engine has packed already.

    Args:
        encoding: of these.
        lines: they themselves.
        columns: the others.
    """

    def __init__(self, encoding: Encoding, lines: bytes, columns: dict[bytes, bytes]) -> None:
        super().__init__(columns)
        self.encoding = encoding
        self.lines = lines


def pieces(items: Iterable[T], size: int = PIECE_COLUMNS) -> Iterator[list[T]]:
    """Lists of at most `size` of the items."""
    iterator = iter(items)
    while piece := list(islice(iterator, size)):
        yield piece


def column_pieces(columns: dict[bytes, bytes]) -> Iterator[list[tuple[bytes, bytes]]]:
    """As `pieces`, of so many bytes that one does not take long either.

    A large value is a piece of its own.
    """
    piece: list[tuple[bytes, bytes]] = []
    size = 0
    for column in columns.items():
        if len(column[1]) > LARGE_VALUE and piece:
            yield piece
            piece, size = [], 0
        piece.append(column)
        size += len(column[1])
        if size > LARGE_VALUE or len(piece) == PIECE_COLUMNS:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece


def is_large(columns: dict[bytes, bytes]) -> bool:
    """Whether the values of a few columns are large."""
    return sum(map(len, columns.values())) > LARGE_VALUE


def take_records(columns: dict[bytes, bytes]) -> None:
    """Take the columns that are records out of `columns`.

    Destroyed in one go, and on the event loop, they would hold it up.
    """
    others = {}
    while columns:
        name, value = columns.popitem()
        if name[:1] != b"_":
            others[name] = value
    columns.update(others)


def decode_large_rpc(request: HttpRequest) -> tuple[bytes, dict[bytes, bytes]] | None:
    """What `decode_rpc` does."""
    if column_encoding(request.headers.get(b"content-type", b"")) is None:
        return decode_rpc(request)
    call = decode_rpc(request._replace(body=b""))
    if call is not None:
        # The query's columns are in already; those of the body count more.
        request = request._replace(target=request.target.partition(b"?")[0])
        for begin, end in _lines(request.body):
            piece = decode_rpc(request._replace(body=request.body[begin:end]))
            assert piece is not None
            call[1].update(piece[1])
    return call


def _lines(body: bytes) -> Iterator[tuple[int, int]]:
    """Where pieces of `body` begin and end, each at the end of a line."""
    begin = 0
    while begin < len(body):
        end = body.find(b"\n", begin + PIECE_BYTES) + 1 or len(body)
        yield begin, end
        begin = end


def _encoded(piece: list[tuple[bytes, bytes]]) -> tuple[Encoding, list[bytes]]:
    """What `encode_columns` returns for a reply; a large value in slices."""
    if len(piece[0][1]) <= LARGE_VALUE:
        encoding, body = encode_columns(piece, REPLY_PLAIN_MAX)
        return encoding, [body]
    (name, value) = piece[0]
    encoding, _ = encode_columns([(name, value[: ESTIMATED + 1])], REPLY_PLAIN_MAX)
    return encoding, _encoded_as(piece, encoding)


def _encoded_as(piece: list[tuple[bytes, bytes]], encoding: Encoding) -> list[bytes]:
    """What `encode_columns_as` returns; a large value in slices.

    In one go it would lie in memory twice more, once while it grows, and once as it is sent.
    """
    if len(piece[0][1]) <= LARGE_VALUE:
        return [encode_columns_as(piece, encoding)]
    (name, value) = piece[0]
    end = encode_columns_as([(b"", b"")], encoding)
    bodies = [encode_columns_as([(name, b"")], encoding)[:-1]]
    for begin in range(0, len(value), SLICE):
        field = (b"", value[begin : begin + SLICE])
        bodies.append(encode_columns_as([field], encoding)[1:-1])
    return [*bodies, end[1:]]


def pack_large_rpc_reply(
    status: int, columns: dict[bytes, bytes], *, keep_alive: bool, stamp: bytes, bodiless: bool
) -> list[bytes]:
    """What `pack_rpc_reply` does, but the columns stay in their order; empties `columns`."""
    encoded = [_encoded(piece) for piece in column_pieces(columns)]
    encoding: Encoding = next((encoding for encoding, _ in encoded if encoding), PLAIN)
    bodies: list[bytes] = []
    for (its_encoding, its_bodies), piece in zip(encoded, column_pieces(columns), strict=True):
        bodies += its_bodies if its_encoding == encoding else _encoded_as(piece, encoding)
    while columns:  # as one object it would be destroyed in one go
        columns.popitem()
    return _with_head(
        status, encoding, bodies, keep_alive=keep_alive, stamp=stamp, bodiless=bodiless
    )


def pack_packed_rpc_reply(
    status: int, columns: Packed, *, keep_alive: bool, stamp: bytes, bodiless: bool
) -> list[bytes]:
    """What `pack_rpc_reply` does, but the columns stay in their order, those not packed first."""
    encoding = columns.encoding
    bodies = [encode_columns_as(columns.items(), encoding), columns.lines]
    return _with_head(
        status, encoding, bodies, keep_alive=keep_alive, stamp=stamp, bodiless=bodiless
    )


def _with_head(
    status: int,
    encoding: Encoding,
    bodies: list[bytes],
    *,
    keep_alive: bool,
    stamp: bytes,
    bodiless: bool,
) -> list[bytes]:
    content_type = TSV_TYPE + (b"; colenc=" + encoding.encode() if encoding else b"")
    headers = [(b"Content-Type", content_type)]
    if not bodiless:
        headers.append((b"Content-Length", b"%d" % sum(map(len, bodies))))
    head = pack_http_reply(status, headers, None, keep_alive=keep_alive, stamp=stamp)
    return [head] if bodiless else [head, *bodies]
