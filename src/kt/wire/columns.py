"""Columns: the map of names to values that an RPC takes and gives, and its encodings.

A line holds one column, ``name TAB value LF``. Where names or values have bytes that would not
survive this, all of them are encoded, and the content type says how::

    Content-Type: text/tab-separated-values; colenc=U

========  ===================================================================================
encoding  a field
========  ===================================================================================
PLAIN     as it is
BASE64    base64 with padding
QUOTED    ``=`` and bytes outside of 20..7E as ``=`` and two hex digits (quoted-printable)
URL       bytes other than letters, digits and ``-._~`` as ``%`` and two hex digits
========  ===================================================================================

The sender chooses PLAIN if no field has a byte below 20 or a byte 7F; otherwise BASE64 or URL,
whichever it estimates to be shorter. The original server, and so ours, encodes its replies also
if a field has more than 255 bytes.

This module has the types and what is rare; the kernels have the rest.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Final, Literal, NamedTuple, TypeAlias

from kt.wire.http import HttpReply, read_http_reply
from kt.wire.reading import Buffer, Incomplete, Reader

Encoding: TypeAlias = Literal["", "B", "Q", "U"]
PLAIN: Final = ""
BASE64: Final = "B"
QUOTED: Final = "Q"
URL: Final = "U"

Field: TypeAlias = str | bytes | int
"""A value of a column as it may be given: text (UTF-8), bytes, or an int (decimal)."""

ANY_LENGTH: Final = 2**62
"""Longest field that `encode_columns` leaves plain, in requests."""
REPLY_PLAIN_MAX: Final = 255
"""Longest field that `encode_columns` leaves plain, in replies."""

ESTIMATED: Final = 255
"""How many bytes of a field an estimate looks at."""
PLACE_WIDTH: Final = 4
"""Bytes before a key where there are several of a cursor: ``_`` and three digits."""

RANK_DIGITS: Final = 9
"""Most digits in the rank of a key that matches."""

TSV_TYPE: Final = b"text/tab-separated-values"
FORM_TYPE: Final = b"application/x-www-form-urlencoded"


class RpcReply(NamedTuple):
    """The reply to a call.

    Attributes:
        status: 200, or what went wrong: 400 (parameters), 450 (the record is not as the operation
            needs it), 500 (engine), 501 (not implemented), 503 (timeout).
        body: the columns, still encoded.
        encoding: of the columns; None if the body has no columns at all.
        keep_alive: whether the server leaves the connection open.
    """

    status: int
    body: bytes
    encoding: Encoding | None
    keep_alive: bool


_COLUMN_ENCODING = re.compile(rb'[ ;]colenc="?([bqu])', re.IGNORECASE)
_ENCODINGS: dict[bytes, Encoding] = {b"B": BASE64, b"Q": QUOTED, b"U": URL}


def column_encoding(content_type: bytes) -> Encoding | None:
    """The encoding of the columns that a content type announces; None if it is not of columns.

    As in the original, what follows the type's name or the encoding's letter does not matter, and
    the last of several encodings counts.
    """
    if content_type == TSV_TYPE:
        return PLAIN
    if content_type[: len(TSV_TYPE)].lower() != TSV_TYPE:
        return None
    letters = _COLUMN_ENCODING.findall(b" " + content_type[len(TSV_TYPE) :])
    return _ENCODINGS[letters[-1].upper()] if letters else PLAIN


def read_any_rpc_reply(data: Buffer, pos: int) -> tuple[RpcReply, int] | Incomplete[RpcReply]:
    """A reply to a call, however its headers are ordered and written."""
    return _read_as_rpc_reply(read_http_reply, data, pos)


def _read_as_rpc_reply(
    reader: Reader[HttpReply], data: Buffer, pos: int
) -> tuple[RpcReply, int] | Incomplete[RpcReply]:
    result = reader(data, pos)
    if isinstance(result, Incomplete):
        return Incomplete(result.need, partial(_read_as_rpc_reply, result.resume))
    reply, end = result
    encoding = column_encoding(reply.headers.get(b"content-type", b""))
    return RpcReply(reply.status, reply.body, encoding, reply.keep_alive), end
