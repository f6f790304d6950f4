"""Columns and the messages of calls: encodings, decoding, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kt.errors import ArgumentError, ProtocolError
from kt.wire.columns import RpcReply, column_encoding
from kt.wire.http import HttpRequest
from kt.wire.values import TEXT, ValueFailure

from .feeding import read_all_ways
from .implementations import Wire

FIELD = st.binary(max_size=30)
COLUMNS = st.dictionaries(FIELD, FIELD, max_size=6)
PLAIN_FIELD = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=20)
STEP = st.integers(1, 7)
TSV = b"text/tab-separated-values"


# ------------------------------------------------------------------------------------ encodings


@pytest.mark.parametrize("encoding", ["B", "Q", "U"])
@given(columns=COLUMNS)
def test_every_encoding_keeps_every_byte(
    wire: Wire, encoding: str, columns: dict[bytes, bytes]
) -> None:
    body = wire.tycoon_rpc.encode_columns_as(columns.items(), encoding)
    assert body.isascii()
    assert body.count(b"\n") == body.count(b"\t") == len(columns)
    assert wire.tycoon_rpc.decode_columns(body, encoding) == columns


@given(columns=COLUMNS)
@example(columns={b"a": b"b\r"})
@example(columns={b"": b""})
def test_the_chosen_encoding_keeps_every_byte(wire: Wire, columns: dict[bytes, bytes]) -> None:
    encoding, body = wire.tycoon_rpc.encode_columns(columns.items())
    assert wire.tycoon_rpc.decode_columns(body, encoding) == columns


@given(columns=st.dictionaries(PLAIN_FIELD, PLAIN_FIELD, max_size=6))
def test_text_without_control_characters_stays_plain(wire: Wire, columns: dict[str, str]) -> None:
    encoding, body = wire.tycoon_rpc.encode_columns(columns.items())
    assert encoding == ""
    assert body == "".join(f"{name}\t{value}\n" for name, value in columns.items()).encode()


@pytest.mark.parametrize(
    ("value", "longest", "encoding"),
    [
        (b"x" * 255, 255, ""),
        (b"x" * 256, 255, "U"),
        (b"x" * 256, 256, ""),
        (b"\xff" * 255, 255, ""),
        (b"\xff" * 256, 255, "B"),
        (b"\x7f", 255, "U"),
        (b"\t", 255, "U"),
        (b"\x00" * 16, 255, "B"),
        (b"a\x00b", 255, "U"),
        (b"!*'()" * 60, 255, "U"),
        (b"/" * 256, 255, "B"),
    ],
)
def test_the_shorter_encoding_is_chosen_by_estimate(
    wire: Wire, value: bytes, longest: int, encoding: str
) -> None:
    assert wire.tycoon_rpc.encode_columns([(b"v", value)], longest)[0] == encoding


def test_fields_may_be_text_and_numbers(wire: Wire) -> None:
    columns = [("DB", 0), ("é", "ü"), (b"n", -(10**30)), ("yes", True), ("\udcff", b"\xfe")]
    encoding, body = wire.tycoon_rpc.encode_columns(columns)
    assert (encoding, body) == (
        "",
        b"DB\t0\n\xc3\xa9\t\xc3\xbc\nn\t-1000000000000000000000000000000\nyes\t1\n\xff\t\xfe\n",
    )


@pytest.mark.parametrize("field", [None, 1.5, object(), []])
def test_fields_of_other_types_are_refused(wire: Wire, field: object) -> None:
    for column in (("name", field), (field, "value")):
        with pytest.raises(ArgumentError):
            wire.tycoon_rpc.encode_columns([column])


@pytest.mark.parametrize("name", ["", "a b", "a/b", "é", "a\r\n", "get?x"])
def test_procedures_with_odd_names_are_refused(wire: Wire, name: str) -> None:
    with pytest.raises(ArgumentError, match="procedure"):
        wire.tycoon_rpc.pack_rpc(name, [])


# ------------------------------------------------------------------------------ strict decoding


@pytest.mark.parametrize(
    ("body", "columns"),
    [
        (b"", {}),
        (b"\n\n\r\n", {}),
        (b"a\tb", {b"a": b"b"}),
        (b"a\tb\r\nc\td\r", {b"a": b"b", b"c": b"d"}),
        (b"a\tb\r\r\n", {b"a": b"b\r"}),
        (b"a\tb\tc\n", {b"a": b"b\tc"}),
        (b"a\t1\na\t2\n", {b"a": b"2"}),
        (b"\t\n", {b"": b""}),
        (b"a\x00\tb\x00\n", {b"a\x00": b"b\x00"}),
    ],
)
def test_plain_columns(wire: Wire, body: bytes, columns: dict[bytes, bytes]) -> None:
    assert wire.tycoon_rpc.decode_columns(body, "") == columns


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"no tab\n", ""),
        (b"a\tb\nc", ""),
        (b"\r\r\n", ""),
        *((b"%61%t\t\n".replace(b"%t", bad), "U") for bad in (b"%", b"%4", b"%g0", b" ", b"\xe9")),
        *((b"a\t=61" + bad, "Q") for bad in (b"=", b"=4", b"=g0", b"\x01", b"\xe9")),
        *((bad + b"\tYQ==", "B") for bad in (b"Y", b"YQ", b"YQ=", b"Y===", b"====", b"YQ==YQ==")),
        *((b"YQ==\t" + bad, "B") for bad in (b"YW=j", b"Y Q=", b"YW\xe9j", b"YWJj====", b"YWJj=")),
        (b"a\tb\rc\n", "U"),
        (b"a\tb\x00\n", "U"),
        (b"anything", None),
    ],
)
def test_malformed_replies_are_refused(wire: Wire, body: bytes, encoding: str | None) -> None:
    for decode in (
        lambda: wire.tycoon_rpc.decode_columns(body, encoding),
        lambda: wire.tycoon_rpc.decode_keys(body, encoding, True),
        lambda: wire.tycoon_rpc.decode_bulk(body, encoding, True, None),
        lambda: wire.tycoon_rpc.decode_places(body, encoding, True, None),
    ):
        with pytest.raises(ProtocolError):
            decode()


@pytest.mark.parametrize("encoding", ["", "B", "Q", "U"])
def test_decode_keys_is_in_the_order_of_ranks(wire: Wire, encoding: str) -> None:
    columns = [("_b", 2), ("num", 3), ("_", 10), ("_\udcff", 0), ("other", "x")]
    body = wire.tycoon_rpc.encode_columns_as(columns, encoding)
    assert wire.tycoon_rpc.decode_keys(body, encoding, True) == ["\udcff", "b", ""]
    assert wire.tycoon_rpc.decode_keys(body, encoding, False) == [b"\xff", b"b", b""]


@given(ranks=st.permutations(range(40)), encoding=st.sampled_from(["", "B", "Q", "U"]))
def test_decode_keys_sorts(wire: Wire, ranks: list[int], encoding: str) -> None:
    columns = [(f"_key{rank}", rank) for rank in ranks]
    body = wire.tycoon_rpc.encode_columns_as(columns, encoding)
    assert wire.tycoon_rpc.decode_keys(body, encoding, True) == [f"key{i}" for i in range(40)]


@pytest.mark.parametrize("rank", [b"", b"x", b"-1", b"1x", b" 1", b"1" * 10, b"\xb2"])
def test_ranks_that_are_no_numbers_are_refused(wire: Wire, rank: bytes) -> None:
    with pytest.raises(ProtocolError):
        wire.tycoon_rpc.decode_keys(b"_k\t" + rank + b"\n", "", True)


def test_ranks_that_are_equal_are_refused(wire: Wire) -> None:
    for body in (b"_a\t1\n_b\t1\n", b"_a\t1\n_b\t0\n_c\t01\n"):
        with pytest.raises(ProtocolError):
            wire.tycoon_rpc.decode_keys(body, "", True)


@given(records=st.dictionaries(FIELD, FIELD, max_size=6))
def test_decode_bulk(wire: Wire, records: dict[bytes, bytes]) -> None:
    columns = [*wire.tycoon_rpc.record_columns(records, None), (b"num", len(records))]
    encoding, body = wire.tycoon_rpc.encode_columns(columns)
    assert wire.tycoon_rpc.decode_bulk(body, encoding, False, None) == records


def test_decode_bulk_turns_values(wire: Wire) -> None:
    columns = wire.tycoon_rpc.record_columns({"a": "é", b"\xff": 7}, TEXT)
    encoding, body = wire.tycoon_rpc.encode_columns(columns)
    assert wire.tycoon_rpc.decode_bulk(body, encoding, True, TEXT) == {"a": "é", "\udcff": "7"}
    with pytest.raises(ValueFailure) as caught:
        wire.tycoon_rpc.decode_bulk(b"_a\tx\n_b\t\xff\n", "", True, TEXT)
    assert caught.value.key == "b"


def test_decode_places(wire: Wire) -> None:
    columns = [("_000b", "é"), ("_001", ""), ("_002b", b"\xff"), ("other", "x"), ("_00", "x")]
    encoding, body = wire.tycoon_rpc.encode_columns(columns)
    places = [(b"b", "é".encode()), (b"", b""), (b"b", b"\xff")]
    assert wire.tycoon_rpc.decode_places(body, encoding, False, None) == places
    with pytest.raises(ValueFailure) as caught:
        wire.tycoon_rpc.decode_places(body, encoding, True, TEXT)
    assert caught.value.key == "b"


def test_key_columns(wire: Wire) -> None:
    assert wire.tycoon_rpc.key_columns(["a", b"\xff"]) == [(b"_a", b""), (b"_\xff", b"")]


# ----------------------------------------------------------------------------------- both roles


@given(columns=COLUMNS, step=STEP)
def test_a_call_is_read_as_packed(wire: Wire, columns: dict[bytes, bytes], step: int) -> None:
    request = wire.tycoon_rpc.pack_rpc("set_bulk", columns.items())
    seen = read_all_ways(wire.tycoon_rpc.read_http_request, request, step)
    assert (seen.method, seen.target, seen.keep_alive) == (b"POST", b"/rpc/set_bulk", True)
    assert wire.tycoon_rpc.decode_rpc(seen) == (b"set_bulk", columns)


@given(
    columns=COLUMNS,
    status=st.sampled_from([200, 400, 450, 500, 501, 503]),
    stamp=st.sampled_from([b"", b"Server: s\r\nDate: d\r\n", b"X-Other: 1\r\n"]),
    keep_alive=st.booleans(),
    step=STEP,
)
def test_a_reply_is_read_as_packed(
    wire: Wire,
    columns: dict[bytes, bytes],
    status: int,
    stamp: bytes,
    keep_alive: bool,
    step: int,
) -> None:
    packed = wire.tycoon_rpc.pack_rpc_reply(
        status, columns.items(), keep_alive=keep_alive, stamp=stamp
    )
    reply = read_all_ways(wire.tycoon_rpc.read_rpc_reply, packed, step)
    assert (reply.status, reply.keep_alive) == (status, keep_alive)
    assert wire.tycoon_rpc.decode_columns(reply.body, reply.encoding) == columns
    lines = reply.body.splitlines()
    assert lines == sorted(lines)


@pytest.mark.parametrize("columns", [[], [("a", "b")], [("a", b"\0" * 300)], [("b", 1), ("a", 2)]])
def test_a_reply_to_head_has_no_body(wire: Wire, columns: list[tuple[str, Any]]) -> None:
    whole = wire.tycoon_rpc.pack_rpc_reply(200, columns)
    reply = wire.tycoon_rpc.pack_rpc_reply(200, columns, bodiless=True)
    content_type = whole[whole.index(b"Content-Type") : whole.index(b"\r\n\r\n")]
    assert reply == b"HTTP/1.1 200 OK\r\n" + content_type + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (RpcReply(450, b"ERROR\tDB: 7: no record\n", "", True), "DB: 7: no record"),
        (RpcReply(450, b"ERROR\t%c3%a9%ff\n", "U", True), "é\ufffd"),
        (RpcReply(500, b"x\ty\n", "", True), ""),
        (RpcReply(500, b"nonsense", "", True), ""),
        (
            RpcReply(413, b"413 Request Entity Too Large\n", None, False),
            "413 Request Entity Too Large",
        ),
    ],
)
def test_decode_error(wire: Wire, reply: RpcReply, message: str) -> None:
    assert wire.tycoon_rpc.decode_error(reply) == message


def reply_of(headers: bytes, body: bytes = b"a\tb\n", status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return status + b"\r\n" + headers + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    ("packed", "expected"),
    [
        (
            reply_of(b"content-length:4\r\ncontent-type:" + TSV),
            RpcReply(200, b"a\tb\n", "", True),
        ),
        (
            reply_of(b"Content-Type: " + TSV + b"; colenc=U\r\nContent-Length: 4"),
            RpcReply(200, b"a\tb\n", "U", True),
        ),
        (
            reply_of(b"Content-Length: 4\r\nContent-Type: " + TSV + b";colenc=Q"),
            RpcReply(200, b"a\tb\n", "Q", True),
        ),
        (
            reply_of(b"Connection: close\r\nContent-Length: 4\r\nContent-Type: " + TSV),
            RpcReply(200, b"a\tb\n", "", False),
        ),
        (
            reply_of(b"Content-Length: 4\r\nContent-Type: " + TSV, status=b"HTTP/1.0 450 No"),
            RpcReply(450, b"a\tb\n", "", False),
        ),
        (
            reply_of(b"Content-Length: 4\r\nContent-Type: text/plain"),
            RpcReply(200, b"a\tb\n", None, True),
        ),
        (reply_of(b"Content-Length: 4"), RpcReply(200, b"a\tb\n", None, True)),
        (b"HTTP/1.1 200 OK\nContent-Length: 1\n\nx", RpcReply(200, b"x", None, True)),
    ],
)
def test_replies_with_other_heads(wire: Wire, packed: bytes, expected: RpcReply) -> None:
    assert read_all_ways(wire.tycoon_rpc.read_rpc_reply, packed, 3) == expected


# ---------------------------------------------------------------------------- lenient decoding


def decode(
    wire: Wire, body: bytes, content_type: bytes, target: bytes = b"/rpc/echo"
) -> dict[bytes, bytes]:
    request = HttpRequest(b"POST", target, b"HTTP/1.1", {b"content-type": content_type}, body, True)
    procedure, columns = wire.tycoon_rpc.decode_rpc(request)
    assert procedure == b"echo"
    return dict(columns)


# What the original server answers to an echo of these.
@pytest.mark.parametrize(
    ("encoding", "body", "columns"),
    [
        (b"U", b"a\tb\xc3\xa9c d\x7fe\x01f\n", {b"a": b"bcdef"}),
        (b"Q", b"a\tb\xc3\xa9c d\x7fe\x01f\n", {b"a": b"bc def"}),
        (b"B", b"YQ==\tYm\xc3Jj\n", {b"a": b"bbc"}),
        (b"U", b"a\tb\x00c\n", {b"a": b"b"}),
        (b"U", b"a\tb\rc\r\r\n", {b"a": b"bc"}),
        (b"U", b"a\t% 41\n", {b"a": b"\x041"}),
        (b"U", b"a%\tb%zz\n", {b"a": b"b\0"}),
        (b"Q", b"a=4\tb=zz\n", {b"a": b"b\0"}),
        (b"Q", b"a\tb=\rc=3\n", {b"a": b"bc"}),
        (b"B", b"YQ==\tYQ==YQ==\n", {b"a": b"a"}),
        (b"B", b"YQ==\tYQ=\n", {b"a": b"\x01\x84"}),
        (b"B", b"YQ==\tYWJjYQ\n", {b"a": b"abc\0\x06\x10"}),
        (b"B", b"YQ==\tY\n", {b"a": b"\0\0\x18"}),
        (b"B", b"YQ==\tYWJ\n", {b"a": b"\x01\x85\x89"}),
        (b"B", b"YQ==\tY===\n", {b"a": b""}),
        (b"B", b"YQ==\t====\n", {b"a": b""}),
        (b"B", b"YQ==\tYQ\0Q=\n", {b"a": b"\0\x06\x10"}),
        (b"B", b"!!!\tYQ\n", {b"": b"\0\x06\x10"}),
        (b"U", b"no tab\na\t+\n", {b"a": b" "}),
    ],
)
def test_servers_take_malformed_columns(
    wire: Wire, encoding: bytes, body: bytes, columns: dict[bytes, bytes]
) -> None:
    assert decode(wire, body, TSV + b"; colenc=" + encoding) == columns


@pytest.mark.parametrize(
    ("content_type", "encoding"),
    [
        (TSV, ""),
        (TSV + b"colenc=U", "U"),
        (TSV + b';;colenc="B"', "B"),
        (TSV.upper() + b"; COLENC=q", "Q"),
        (TSV + b"; charset=utf-8; colenc=URL", "U"),
        (TSV + b"; colenc=B; colenc=U", "U"),
        (TSV + b"; colenc=B; colenc=X", "B"),
        (TSV + b"; colenc=X", ""),
        (TSV + b"; colenc", ""),
        (TSV + b" a;colenc= U", ""),
        (TSV + b"; xcolenc=U", ""),
        (TSV + b";\tcolenc=U", ""),
        (b"text/plain", None),
        (b"", None),
        (b" " + TSV, None),
    ],
)
def test_content_types(content_type: bytes, encoding: str | None) -> None:
    assert column_encoding(content_type) == encoding


@pytest.mark.parametrize(
    ("form", "columns"),
    [
        (b"", {}),
        (b"&&;&", {}),
        (
            b"a=1 2&b= 3 &&=4&;c&d=e=f& \tg=+",
            {b"": b"4", b"a": b"12", b"b": b"3", b"c": b"", b"d": b"e=f", b"g": b" "},
        ),
        (b"a=1\0&b=2", {b"a": b"1"}),
        (b"caf\xc3\xa9=\xe9a", {b"caf": b"a"}),
        (b"%61=%62&a=c", {b"a": b"c"}),
        (b"a=%&b=%4&c=%4z5", {b"a": b"", b"b": b"", b"c": b"\x045"}),
    ],
)
def test_forms(wire: Wire, form: bytes, columns: dict[bytes, bytes]) -> None:
    assert wire.tycoon_rpc.decode_form(form) == columns
    assert decode(wire, form, b"application/x-www-form-urlencoded; charset=utf-8") == columns
    if b"\0" not in form:
        assert wire.tycoon_rpc.decode_query(b"/k?" + form) == (b"/k", columns)


def test_query_and_body_merge(wire: Wire) -> None:
    target = b"/rpc/ech%6f?a=1&b=%2541"
    assert decode(wire, b"a\t2\nc\t3\n", TSV, target) == {b"a": b"2", b"b": b"%41", b"c": b"3"}
    assert decode(wire, b"c\t%33\n", TSV + b"; colenc=U", target) == {
        b"a": b"1",
        b"b": b"A",
        b"c": b"3",
    }
    assert decode(wire, b"a=2", b"application/x-www-form-urlencoded", target)[b"a"] == b"2"
    assert decode(wire, b"a\t2\n", b"text/plain", target)[b"a"] == b"1"


@pytest.mark.parametrize("target", [b"/", b"/rpc", b"/rpcx/get", b"//rpc/get", b"/1/key?rpc=/rpc/"])
def test_what_is_no_call(wire: Wire, target: bytes) -> None:
    request = HttpRequest(b"GET", target, b"HTTP/1.1", {}, b"", True)
    assert wire.tycoon_rpc.decode_rpc(request) is None


@given(body=st.binary(max_size=60), encoding=st.sampled_from([b"", b"U", b"B", b"Q"]))
def test_servers_take_any_columns(wire: Wire, body: bytes, encoding: bytes) -> None:
    content_type = TSV + b"; colenc=" + encoding
    columns = decode(wire, body, content_type, b"/rpc/echo?" + body.replace(b"?", b""))
    assert all(isinstance(field, bytes) for pair in columns.items() for field in pair)


Decode = Callable[[Wire, bytes, str], Any]


@pytest.mark.parametrize(
    "decoder",
    [
        lambda wire, body, encoding: wire.tycoon_rpc.decode_columns(body, encoding),
        lambda wire, body, encoding: wire.tycoon_rpc.decode_keys(body, encoding, True),
        lambda wire, body, encoding: wire.tycoon_rpc.decode_bulk(body, encoding, True, None),
        lambda wire, body, encoding: wire.tycoon_rpc.decode_places(body, encoding, True, None),
    ],
)
@given(
    body=st.lists(st.sampled_from(b"_a\t\n\r=%+40gYQ\xff "), max_size=30).map(bytes),
    encoding=st.sampled_from(["", "U", "B", "Q"]),
)
def test_clients_decode_or_refuse(wire: Wire, decoder: Decode, body: bytes, encoding: str) -> None:
    try:
        found = decoder(wire, body, encoding)
    except ProtocolError:
        return
    assert len(found) <= body.count(b"\t")
