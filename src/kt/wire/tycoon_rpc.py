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

from collections.abc import Iterable, Mapping
from typing import Any

from kt.errors import ProtocolError
from kt.wire.codec import (
    decode_bulk,
    decode_columns,
    decode_field,
    decode_keys,
    decode_places,
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
    "decode_places",
    "decode_error",
    # the server's side
    "decode_url",
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
    "UNCONFIRMED",
    "UNKNOWN",
    "READ_ONLY",
    "REPLACED",
    "NO_LEASE",
]

UNCONFIRMED = "stored here, but not confirmed"
"""How an error begins that says this of a write."""

UNKNOWN = "outcome unknown"
"""How an error begins that says: nobody knows whether it has been carried out."""

READ_ONLY = "a read-only slave"
"""How it begins what a slave says to those whose writes it refuses."""

REPLACED = "a master that was replaced"
"""The same of a master, when another server has been promoted."""

NO_LEASE = "no master at present"
"""The same of a server whose lease has ended, or that has none yet (``-lease``)."""


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


def decode_url(field: bytes) -> bytes:
    """Undo URL encoding, malformed or not, as the original server does."""
    return decode_field(field, URL)


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
    return {
        decode_field(name, encoding): decode_field(columns[name], encoding)
        for name in sorted(columns)
    }


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
