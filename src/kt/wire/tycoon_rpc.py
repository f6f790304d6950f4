"""Kyoto Tycoon's remote procedure calls, in both roles: HTTP/1.1 with columns as the body.

A call is a POST to ``/rpc/NAME``, and both its parameters and its results are columns
(`kt.wire.columns`)::

    POST /rpc/add HTTP/1.1                              HTTP/1.1 450 Logical Inconsistency
    Content-Type: text/tab-separated-values             Content-Type: text/tab-separated-values
    Content-Length: 19                                  Content-Length: 46

    key TAB japan                                       ERROR TAB DB: 6: record duplication: ...
    value TAB tokyo

A server also takes parameters from the query string and from forms, whatever the method, and
serves records by their keys as plain HTTP resources (REST): GET, HEAD, PUT, DELETE ``/DB/KEY``.

Records that are parameters or results have a column each, named by an underscore and the key.

Source: the original server's ktrpc.h, kthttp.h and ktutil.h, and recorded traffic.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kt.errors import ProtocolError
from kt.wire.codec import (
    decode_bulk,
    decode_columns,
    decode_keys,
    dump_value,
    encode_columns,
    encode_columns_as,
    encode_key,
    pack_rpc,
    pack_rpc_reply,
    read_http_request,
    read_rpc_reply,
)
from kt.wire.columns import (
    BASE64,
    FORM_TYPE,
    PLAIN,
    QUOTED,
    URL,
    Encoding,
    Field,
    RpcReply,
    column_encoding,
)
from kt.wire.http import (
    HttpRefusal,
    HttpReply,
    HttpRequest,
    IncompleteBody,
    pack_http_refusal,
    pack_http_reply,
    pack_http_request,
    parse_number,
    read_http_head_reply,
    read_http_reply,
)
from kt.wire.values import Dumps, Key

__all__ = [
    # columns
    "PLAIN",
    "BASE64",
    "QUOTED",
    "URL",
    "Encoding",
    "Field",
    "encode_columns",
    "encode_columns_as",
    "decode_columns",
    # the client's side
    "key_columns",
    "record_columns",
    "pack_rpc",
    "RpcReply",
    "read_rpc_reply",
    "decode_keys",
    "decode_bulk",
    "decode_error",
    # the server's side
    "decode_query",
    "decode_form",
    "decode_rpc",
    "pack_rpc_reply",
    # HTTP, both sides
    "HttpRequest",
    "HttpReply",
    "HttpRefusal",
    "IncompleteBody",
    "parse_number",
    "read_http_request",
    "pack_http_request",
    "read_http_reply",
    "read_http_head_reply",
    "pack_http_reply",
    "pack_http_refusal",
]


# ---------------------------------------------------------------------------------------- client


def key_columns(keys: Iterable[Key]) -> list[tuple[bytes, bytes]]:
    """Columns that name some records."""
    return [(b"_" + encode_key(key), b"") for key in keys]


def record_columns(records: Mapping[Any, Any], dumps: Dumps) -> list[tuple[bytes, bytes]]:
    """Columns that carry records, key to value. Raises `ValueFailure`."""
    return [
        (b"_" + encode_key(key), dump_value(value, dumps, key)) for key, value in records.items()
    ]


def decode_error(reply: RpcReply) -> str:
    """The server's words for what went wrong; empty if it has none."""
    if reply.encoding is None:
        return reply.body.decode("utf-8", "replace").strip()
    try:
        message = decode_columns(reply.body, reply.encoding).get(b"ERROR", b"")
    except ProtocolError:
        return ""
    return message.decode("utf-8", "replace")


# ---------------------------------------------------------------------------------------- server

_RPC_PATH = b"/rpc/"

_BLANKS = bytes(range(1, 0x21))
_URL_PART = re.compile(rb"%(?:(.)(.)|.?\Z)|\+|[\x00-\x20\x7f-\xff]", re.DOTALL)
_QUOTED_PART = re.compile(rb"=(?:\r\n?|\n|([^\r\n])(.)|[^\r\n]?\Z)|[\x00-\x1f\x7f-\xff]", re.DOTALL)
_HEX_DIGITS = b"0123456789abcdefABCDEF"
_BASE64_DIGITS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def _decode_part(part: re.Match[bytes]) -> bytes:
    if part[1] is None:
        return b" " if part[0] == b"+" else b""
    number = 0
    for digit in (part[1], part[2]):
        if digit in _HEX_DIGITS:
            number = number << 4 | int(digit, 16)
    return bytes([number])


def decode_url(field: bytes) -> bytes:
    """Undo URL encoding as the original does: a bad digit is skipped, what may not stand in a URL
    is dropped, and so is an escape that is cut off."""
    return _URL_PART.sub(_decode_part, field.partition(b"\0")[0])


def _decode_quoted(field: bytes) -> bytes:
    return _QUOTED_PART.sub(_decode_part, field.partition(b"\0")[0])


def _decode_base64(field: bytes) -> bytes:
    """Undo base64 as the original does: other bytes are skipped, and a cut group is not shifted."""
    digits = field.partition(b"\0")[0].translate(None, _NOT_BASE64)
    decoded = bytearray()
    at = 0
    while at < len(digits):
        group = digits[at : at + 4]
        at += 4
        bits = 0
        for digit in group:
            bits = bits << 6 | (0 if digit == ord("=") else _BASE64_DIGITS.index(digit))
        padding = group.count(b"=")
        if padding < 3:
            decoded += bits.to_bytes(3, "big")[: 3 - padding]
        if padding:
            break
    return bytes(decoded)


_NOT_BASE64 = bytes(set(range(256)) - set(_BASE64_DIGITS + b"="))

_LENIENT: dict[Encoding, Callable[[bytes], bytes]] = {
    BASE64: _decode_base64,
    QUOTED: _decode_quoted,
    URL: decode_url,
}


def decode_form(form: bytes) -> dict[bytes, bytes]:
    """Columns of a form or a query string: ``name=value``, separated by ``&`` or ``;``."""
    columns = {}
    for part in form.partition(b"\0")[0].replace(b";", b"&").split(b"&"):
        if part := part.lstrip(_BLANKS):
            name, _, value = part.partition(b"=")
            columns[decode_url(name)] = decode_url(value)
    return columns


def decode_query(target: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    """The path of a request's target, still encoded, and the columns of its query string."""
    path, _, query = target.partition(b"?")
    return path, decode_form(query) if query else {}


def _decode_leniently(
    body: bytes, encoding: Encoding, query: dict[bytes, bytes]
) -> dict[bytes, bytes]:
    """Columns of the body over those of the query; lines without a tab are ignored."""
    columns = dict(query)
    for line in body.split(b"\n"):
        name, tab, value = line.removesuffix(b"\r").partition(b"\t")
        if tab:
            columns[name] = value
    if not encoding:
        return columns
    decode = _LENIENT[encoding]
    return {decode(name): decode(columns[name]) for name in sorted(columns)}


def decode_rpc(request: HttpRequest) -> tuple[bytes, dict[bytes, bytes]] | None:
    """The name of the called procedure and its parameters; None if `request` is not a call.

    The body's columns count more than the query's, and both are decoded as the content type says.
    Nothing is refused: what is malformed counts as the original server would take it.
    """
    path, query = decode_query(request.target)
    if not path.startswith(_RPC_PATH):
        return None
    procedure = path[len(_RPC_PATH) :]
    if not procedure.replace(b"_", b"").isalnum():
        procedure = decode_url(procedure)
    content_type = request.headers.get(b"content-type", b"")
    encoding = column_encoding(content_type)
    if encoding is None:
        if content_type[: len(FORM_TYPE)].lower() == FORM_TYPE:
            query.update(decode_form(request.body))
        return procedure, query
    if query:
        return procedure, _decode_leniently(request.body, encoding, query)
    try:
        return procedure, decode_columns(request.body, encoding)
    except ProtocolError:
        return procedure, _decode_leniently(request.body, encoding, query)
