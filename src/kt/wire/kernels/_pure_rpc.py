"""Kyoto Tycoon's columns and RPC messages in pure Python; `kt.wire.tycoon_rpc` describes them."""

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Iterable
from typing import Any

from kt.wire import faults
from kt.wire.columns import (
    ANY_LENGTH,
    BASE64,
    ESTIMATED,
    PLACE_WIDTH,
    PLAIN,
    QUOTED,
    RANK_DIGITS,
    REPLY_PLAIN_MAX,
    TSV_TYPE,
    URL,
    Encoding,
    Field,
    RpcReply,
    read_any_rpc_reply,
)
from kt.wire.http import pack_http_reply
from kt.wire.kernels._pure_values import cut, decode_each, decode_key, encode_key, load_value
from kt.wire.reading import Buffer, Incomplete
from kt.wire.values import Key, Loads

_CONTROLS = bytes([*range(0x20), 0x7F])
_UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
_MARKS = b"!*'()"  # left alone by the estimate of URL's length, though not by the encoding
_LITERAL = bytes(byte for byte in range(0x20, 0x7F) if byte != ord("="))

_SEPARATORS = b"\t\n"
_REGULAR = {
    BASE64: _UNRESERVED[:-4] + b"+/=" + _SEPARATORS,
    QUOTED: bytes(range(0x20, 0x7F)) + _SEPARATORS,
    URL: bytes(range(0x21, 0x7F)) + _SEPARATORS,
}
_HEX = {
    b"%c%c" % (high, low): bytes([int(chr(high) + chr(low), 16)])
    for high in b"0123456789abcdefABCDEF"
    for low in b"0123456789abcdefABCDEF"
}

# What may be in the name of a procedure besides letters and digits.
_NAME_MARKS = str.maketrans("-_", "00")

# What follows the content type's name.
_PARAMETERS: dict[Encoding, bytes] = {
    PLAIN: b"",
    BASE64: b"; colenc=B",
    QUOTED: b"; colenc=Q",
    URL: b"; colenc=U",
}


# ------------------------------------------------------------------------------------- encoding


def _flatten(columns: Iterable[tuple[Key, Field]]) -> list[bytes]:
    """Names and values in turn."""
    fields: list[bytes] = []
    for name, value in columns:
        fields.append(name if type(name) is bytes else encode_key(name))
        if type(value) is bytes:
            fields.append(value)
        else:
            fields.append(b"%d" % value if isinstance(value, int) else encode_key(value))
    return fields


def _choose_encoding(fields: list[bytes], longest: int) -> Encoding:
    if longest >= ANY_LENGTH or max(map(len, fields), default=0) <= longest:
        joined = b"".join(fields)
        if joined.translate(None, _CONTROLS) == joined:
            return PLAIN
    base64_size = url_size = 0
    for field in fields:
        start = field[:ESTIMATED]
        base64_size += len(start) * 6 // 4 + 3
        url_size += len(start) + 2 * len(start.translate(None, _UNRESERVED + _MARKS))
    return BASE64 if base64_size < url_size else URL


def _escaper(mark: str, plain: bytes, digits: str) -> Callable[[bytes], bytes]:
    table = [
        bytes([byte]) if byte in plain else (mark + format(byte, digits)).encode()
        for byte in range(256)
    ]
    return lambda field: b"".join([table[byte] for byte in field])


_ENCODERS: dict[Encoding, Callable[[bytes], bytes]] = {
    BASE64: lambda field: b2a_base64(field, newline=False),
    QUOTED: _escaper("=", _LITERAL, "02X"),
    URL: _escaper("%", _UNRESERVED, "02x"),
}


def _pack_fields(fields: list[bytes], encoding: Encoding) -> bytes:
    if encoding:
        fields = list(map(_ENCODERS[encoding], fields))
    lines = list(map(b"\t".join, zip(fields[::2], fields[1::2], strict=True)))
    return b"\n".join([*lines, b""])


def encode_columns(
    columns: Iterable[tuple[Key, Field]], longest: int = ANY_LENGTH
) -> tuple[Encoding, bytes]:
    """The encoding that suits the columns, and the columns in it.

    They stay plain if they can and no field has more than `longest` bytes.
    """
    fields = _flatten(columns)
    encoding = _choose_encoding(fields, longest)
    return encoding, _pack_fields(fields, encoding)


def encode_columns_as(columns: Iterable[tuple[Key, Field]], encoding: Encoding) -> bytes:
    """The columns in a given encoding (plain: the caller knows that nothing needs another)."""
    return _pack_fields(_flatten(columns), encoding)


def pack_rpc(procedure: str, columns: Iterable[tuple[Key, Field]]) -> bytes:
    """A request that calls `procedure`: head and body."""
    plain = procedure.isalnum() or procedure.translate(_NAME_MARKS).isalnum()
    if not (procedure.isascii() and plain):
        raise faults.not_a_procedure(procedure)
    encoding, body = encode_columns(columns)
    return (
        b"POST /rpc/%b HTTP/1.1\r\nHost:\r\nContent-Length: %d\r\n"
        b"Content-Type: text/tab-separated-values%b\r\n\r\n%b"
    ) % (procedure.encode(), len(body), _PARAMETERS[encoding], body)


def pack_rpc_reply(
    status: int,
    columns: Iterable[tuple[Key, Field]],
    *,
    keep_alive: bool = True,
    stamp: bytes = b"",
    bodiless: bool = False,
) -> bytes:
    """A reply to a call, its columns in the order of their encoded names, as the original's.

    Args:
        stamp: header lines to begin with, ready to send (Server and Date).
        bodiless: the call was made by HEAD, and gets the headers only.
    """
    encoding, body = encode_columns(columns, REPLY_PLAIN_MAX)
    body = b"".join(sorted(body.splitlines(keepends=True)))
    return pack_http_reply(
        status,
        ((b"Content-Type", TSV_TYPE + _PARAMETERS[encoding]),),
        None if bodiless else body,
        keep_alive=keep_alive,
        stamp=stamp,
    )


# ------------------------------------------------------------------------------------- decoding


def _unescape(field: bytes, mark: bytes) -> bytes:
    first, *rest = field.split(mark)
    return first + b"".join([_HEX[part[:2]] + part[2:] for part in rest])


def _decode_url(field: bytes) -> bytes:
    return _unescape(field.replace(b"+", b" "), b"%")


def _decode_quoted(field: bytes) -> bytes:
    return _unescape(field, b"=")


def _decode_base64(field: bytes) -> bytes:
    decoded = a2b_base64(field, strict_mode=True)
    if (len(decoded) + 2) // 3 * 4 != len(field):
        raise Base64Error("excess padding")
    return decoded


_DECODERS: dict[Encoding, Callable[[bytes], bytes]] = {
    BASE64: _decode_base64,
    QUOTED: _decode_quoted,
    URL: _decode_url,
}


def _split(body: bytes, encoding: Encoding | None) -> list[list[bytes]]:
    """The name and value of each line, still encoded."""
    if encoding is None:
        raise faults.not_columns()
    if b"\r" in body:
        body = body.replace(b"\r\n", b"\n").removesuffix(b"\r")
    if encoding and body.translate(None, _REGULAR[encoding]):
        raise faults.bad_columns(encoding)
    tabs = -1 if encoding else 1  # a plain value may have some of its own
    lines = [line.split(b"\t", tabs) for line in body.split(b"\n") if line]
    if set(map(len, lines)) - {2}:
        raise faults.bad_columns(encoding)
    return lines


def _decode_fields(body: bytes, encoding: Encoding | None) -> list[list[bytes]]:
    lines = _split(body, encoding)
    if not encoding:
        return lines
    decode = _DECODERS[encoding]
    try:
        return [[decode(name), decode(value)] for name, value in lines]
    except (KeyError, Base64Error) as error:
        raise faults.bad_columns(encoding) from error


def decode_columns(body: bytes, encoding: Encoding | None) -> dict[bytes, bytes]:
    """Name to value. Raises `ProtocolError`."""
    return dict(_decode_fields(body, encoding))


def decode_keys(body: bytes, encoding: Encoding | None, decode_keys: bool) -> list[Any]:
    """The keys of a match_* reply (columns ``_KEY``), in the order of the ranks in their values.

    Raises `ProtocolError`.
    """
    ranked: dict[int, bytes] = {}
    for name, value in _decode_fields(body, encoding):
        if name[:1] == b"_":
            if not value.isdigit() or len(value) > RANK_DIGITS:
                raise faults.bad_columns(encoding)
            rank = int(value)
            if rank in ranked:
                raise faults.bad_columns(encoding)
            ranked[rank] = name
    return decode_each([ranked[rank][1:] for rank in sorted(ranked)], decode_keys)


def decode_bulk(
    body: bytes, encoding: Encoding | None, decode_keys: bool, loads: Loads
) -> dict[Any, Any]:
    """Key to value of the columns ``_KEY``. Raises `ProtocolError`, `ValueFailure`."""
    found = {}
    for name, value in _decode_fields(body, encoding):
        if name[:1] == b"_":
            key = decode_key(name[1:], decode_keys)
            found[key] = load_value(value, loads, key)
    return found


def decode_places(
    body: bytes, encoding: Encoding | None, decode_keys: bool, loads: Loads
) -> list[tuple[Any, Any]]:
    """Keys and values of the columns ``_012KEY``, as they come.

    Raises `ProtocolError`, `ValueFailure`.
    """
    found = []
    for name, value in _decode_fields(body, encoding):
        if name[:1] == b"_" and len(name) >= PLACE_WIDTH:
            key = decode_key(name[PLACE_WIDTH:], decode_keys)
            found.append((key, load_value(value, loads, key)))
    return found


# ----------------------------------------------------------------------------- lenient decoding

_URL_PART = re.compile(rb"%(?:(.)(.)|.?\Z)|\+|[\x00-\x20\x7f-\xff]", re.DOTALL)
_QUOTED_PART = re.compile(rb"=(?:\r\n?|\n|([^\r\n])(.)|[^\r\n]?\Z)|[\x00-\x1f\x7f-\xff]", re.DOTALL)
_HEX_DIGITS = b"0123456789abcdefABCDEF"
_BASE64_DIGITS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NOT_BASE64 = bytes(set(range(256)) - set(_BASE64_DIGITS + b"="))


def _decode_part(part: re.Match[bytes]) -> bytes:
    if part[1] is None:
        return b" " if part[0] == b"+" else b""
    number = 0
    for digit in (part[1], part[2]):
        if digit in _HEX_DIGITS:
            number = number << 4 | int(digit, 16)
    return bytes([number])


def _decode_base64_leniently(field: bytes) -> bytes:
    digits = field.translate(None, _NOT_BASE64)
    padding_at = digits.find(b"=")
    whole = (len(digits) if padding_at < 0 else padding_at) // 4 * 4
    last = digits[whole : whole + 4]
    bits = 0
    for digit in last:
        bits = bits << 6 | max(_BASE64_DIGITS.find(digit), 0)
    size = max(3 - last.count(b"="), 0) if last else 0
    return a2b_base64(digits[:whole]) + bits.to_bytes(3)[:size]


def decode_field(field: bytes, encoding: Encoding) -> bytes:
    """One encoded name or value, malformed or not, as the original server takes it.

    It ends at a zero byte. In base64 other bytes are skipped, and an incomplete last group is not
    shifted. Otherwise bytes that may not stand there are dropped, so is an escape that is cut off,
    and an escape's digits that are none are skipped.
    """
    field = field.partition(b"\0")[0]
    if encoding == BASE64:
        return _decode_base64_leniently(field)
    return (_URL_PART if encoding == URL else _QUOTED_PART).sub(_decode_part, field)


# -------------------------------------------------------------------------------------- replies

# What the servers send, in their order of headers; anything else takes the long way.
_REPLY = re.compile(
    rb"HTTP/1\.1 ([1-9]\d\d) [^\r\n]*\r\n"
    rb"(?:Server: [^\r\n]*\r\n)?(?:Date: [^\r\n]*\r\n)?"
    rb"Content-Length: (\d{1,9})\r\n"
    rb"Content-Type: text/tab-separated-values(?:; colenc=([BQU]))?\r\n\r\n"
)
_ENCODINGS: dict[bytes | None, Encoding] = {None: PLAIN, b"B": BASE64, b"Q": QUOTED, b"U": URL}


def read_rpc_reply(data: Buffer, pos: int) -> tuple[RpcReply, int] | Incomplete[RpcReply]:
    """A reply to `pack_rpc`."""
    head = _REPLY.match(data, pos)
    if head is None:
        return read_any_rpc_reply(data, pos)
    begin = head.end()
    end = begin + int(head[2])
    if len(data) < end:
        return Incomplete(end - pos, read_rpc_reply)
    return RpcReply(int(head[1]), cut(data, begin, end), _ENCODINGS[head[3]], True), end
