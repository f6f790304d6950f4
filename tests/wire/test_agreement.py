"""The compiled kernels do what the pure ones do, for good input and for bad."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kt.errors import ArgumentError, ImproperlyConfigured, ServerError
from kt.wire.kernels import _pure
from kt.wire.reading import Incomplete
from kt.wire.values import TEXT, ValueFailure

from .implementations import Wire, load_wire

compiled = pytest.importorskip(
    "kt.wire.kernels._compiled", reason="the codec was not compiled here"
)

ODD = st.sampled_from([None, True, 1, -1, 2**70, 1.5, "\ud800", b"", "", bytearray(b"x"), object])
KEY = st.text(max_size=6) | st.binary(max_size=6) | ODD
VALUE = st.text(max_size=6) | st.binary(max_size=6) | ODD
DUMPS = st.sampled_from([None, TEXT, repr, str.encode, lambda value: b"%d" % value])
LOADS = st.sampled_from([None, TEXT, int, bytes.hex, lambda _: 1 / 0])
NUMBER = st.integers(0, 3) | st.sampled_from([-1, 0xFFFF, 2**16, 2**32, 2**63 - 1, 2**63, -(2**63)])
NUMBER |= ODD
FLAG = st.booleans()
ENCODING = st.sampled_from(["", "B", "Q", "U", None])
HEAD = st.just(b"head")


def hashable(key: object) -> bool:
    return not isinstance(key, bytearray)


RECORDS = st.dictionaries(KEY.filter(hashable), VALUE, max_size=4)

# Bytes that are nearly messages: zeros and small numbers, or pieces of text.
NUMBERS = st.lists(st.sampled_from([0, 0, 0, 0, 1, 2, 16, 255]), max_size=60).map(bytes)
BINARY = st.builds(bytes.__add__, st.sampled_from([b"", b"\xba", b"\xb8", b"\xb9"]), NUMBERS)
COLUMNS = st.lists(
    st.sampled_from([*(b"%c" % byte for byte in b"_ab\t\t\n\r=%+40gYQ\xff \0"), b"YQ==", b"%41"]),
    max_size=20,
).map(b"".join)
PIECES = [
    *(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 450 \r\n", b"Content-Length: 2\r\n", b"Server: x\r\n"),
    *(b"Content-Type: text/tab-separated-values\r\n", b"; colenc=U\r\n", b"Date: \r\n", b"\r\n"),
    *(b"Content-Type: text/tab-separated-values; colenc=B\r\n", b"Connection: close\r\n", b"\n"),
    *(b"GET / HTTP/1.1\r\n", b"POST /rpc/x?y HTTP/1.0\r\n", b"X-A: b\r\n", b"xy", b"\0", b"\r"),
    *(b"Transfer-Encoding: chunked\r\n", b"Connection: KEEP-ALIVE\r\n", b" A:  b \r\n", b"2\r\n"),
]
HTTP = st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join)

RESP = st.lists(
    st.sampled_from(
        [
            *(b"*2\r\n", b"*-1\r\n", b"*0\r\n", b"$2\r\n", b"ab\r\n", b"$-1\r\n", b":1\r\n"),
            *(b"+OK\r\n", b"-ERR no\r\n", b":-9223372036854775808\r\n", b":01\r\n", b"$0\r\n"),
            *(b"*", b"x", b":--1\r\n", b"$2000000000\r\n", b":" + b"0" * 19 + b"\r\n", b"$"),
            *(b"*1\r\n" * 9, b"\r", b"\n"),
        ]
    ),
    max_size=8,
).map(b"".join)

# Kernel -> strategies for its arguments.
KERNELS: dict[str, tuple[st.SearchStrategy[Any], ...]] = {
    "cut": (BINARY | BINARY.map(bytearray), st.integers(0, 9), st.integers(0, 9)),
    "encode_key": (KEY,),
    "decode_key": (st.binary(max_size=6), FLAG),
    "dump_value": (VALUE, DUMPS, KEY),
    "load_value": (st.binary(max_size=6), LOADS, KEY),
    "pack_get": (KEY, NUMBER),
    "pack_set": (KEY, VALUE, NUMBER, NUMBER, NUMBER),
    "pack_remove": (KEY, NUMBER, NUMBER),
    "pack_records": (HEAD, RECORDS, NUMBER, NUMBER, DUMPS),
    "pack_details": (HEAD, st.lists(st.tuples(NUMBER, KEY, VALUE, NUMBER), max_size=3), DUMPS),
    "pack_keys": (HEAD, st.lists(KEY, max_size=4), NUMBER),
    "pack_key_details": (HEAD, st.lists(st.tuples(NUMBER, KEY), max_size=4)),
    "pack_pairs": (RECORDS, DUMPS),
    "read_get_reply": (BINARY, st.just(0)),
    "read_set_bulk_reply": (BINARY, st.just(0)),
    "read_remove_bulk_reply": (BINARY, st.just(0)),
    "skip_records": (NUMBERS, st.just(0), st.integers(0, 5), st.sampled_from([6, 8, 18])),
    "encode_columns": (st.lists(st.tuples(KEY, VALUE), max_size=3), st.integers(0, 9)),
    "encode_columns_as": (st.lists(st.tuples(KEY, VALUE), max_size=3), ENCODING.filter(bool)),
    "pack_rpc": (st.just("echo"), st.lists(st.tuples(KEY, VALUE), max_size=3)),
    "pack_rpc_reply": (
        st.sampled_from([200, 450, 299]),
        st.lists(st.tuples(KEY, VALUE), max_size=3),
    ),
    "read_rpc_reply": (HTTP | HTTP.map(bytearray), st.just(0)),
    "read_http_request": (HTTP | HTTP.map(bytearray), st.just(0)),
    "decode_field": (COLUMNS, ENCODING.filter(bool)),
    "decode_columns": (COLUMNS, ENCODING),
    "decode_keys": (COLUMNS, ENCODING, FLAG),
    "decode_bulk": (COLUMNS, ENCODING, FLAG, LOADS),
    "decode_places": (COLUMNS, ENCODING, FLAG, LOADS),
    "pack_command": (st.lists(st.binary(max_size=6), max_size=4).map(tuple),),
    "read_resp_reply": (RESP | RESP.map(bytearray), st.just(0)),
}

# Records in frames, which were read before, and so are whole.
DETAILS = st.lists(
    st.tuples(st.integers(0, 9), st.binary(max_size=6), st.binary(max_size=6), st.integers(0, 9)),
    max_size=4,
)

# Compared by the tests of Tokyo Tyrant's messages.
ELSEWHERE = {name for name in _pure.__all__ if "item" in name or "command" in name} | {
    "read_blob_reply"
} - {"pack_command"}


def outcome(kernel: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """What a kernel returns or raises, in a form that can be compared."""
    try:
        result = kernel(*arguments)
    except (ArgumentError, ValueFailure):
        return "refused"  # for which of several reasons is not the same
    except Exception as error:
        return type(error), error.args
    if isinstance(result, Incomplete):
        return "incomplete", type(result), result.need
    if isinstance(result, tuple) and isinstance(result[0], ServerError):
        return "server error", result[0].args, result[1]
    return result


def agree(name: str, arguments: tuple[Any, ...]) -> None:
    theirs = outcome(getattr(_pure, name), arguments)
    ours = outcome(getattr(compiled, name), arguments)
    assert ours == theirs
    assert type(ours) is type(theirs)


def test_every_kernel_is_there() -> None:
    assert compiled.__all__ == _pure.__all__
    decoders = {"decode_records", "decode_details", "decode_pairs"}
    assert set(KERNELS) | ELSEWHERE | decoders == set(_pure.__all__)


@pytest.mark.parametrize("name", _pure.__all__)
def test_signatures_agree(name: str) -> None:
    def parameters(function: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
        return [
            (parameter.name, parameter.kind, parameter.default)
            for parameter in inspect.signature(function).parameters.values()
        ]

    assert parameters(getattr(compiled, name)) == parameters(getattr(_pure, name))


@pytest.mark.parametrize("name", KERNELS)
@given(data=st.data())
def test_kernels_agree(name: str, data: st.DataObject) -> None:
    agree(name, tuple(data.draw(strategy) for strategy in KERNELS[name]))


@given(records=DETAILS, decode_keys=FLAG, loads=LOADS)
def test_decoders_agree(
    records: list[tuple[int, bytes, bytes, int]], decode_keys: bool, loads: Any
) -> None:
    frame = _pure.pack_details(b"", records, None)
    for name in ("decode_records", "decode_details"):
        agree(name, (frame, 4, len(records), decode_keys, loads))
    count, pairs = _pure.pack_pairs({key: value for _, key, value, _ in records}, None)
    agree("decode_pairs", (pairs, 0, count, decode_keys, loads))


@given(records=DETAILS.filter(bool), data=st.data())
def test_compiled_decoders_stay_within_the_frame(
    records: list[tuple[int, bytes, bytes, int]], data: st.DataObject
) -> None:
    frame = _pure.pack_details(b"", records, None)[4:]
    count, pairs = _pure.pack_pairs({key: value for _, key, value, _ in records}, None)
    cut = data.draw(st.integers(0, len(frame) - 1))
    for name in ("decode_records", "decode_details"):
        with pytest.raises(ValueError, match="shorter"):
            getattr(compiled, name)(frame[:cut], 0, len(records), False, None)
    with pytest.raises(ValueError, match="shorter"):
        compiled.decode_pairs(pairs[: min(cut, len(pairs) - 1)], 0, count, False, None)
    with pytest.raises(IndexError):
        compiled.decode_records(frame, len(frame) + 1, 1, False, None)


@pytest.mark.parametrize("implementation", ["compiled", "python"])
def test_an_implementation_can_be_forced(implementation: str) -> None:
    wire: Wire = load_wire(implementation)
    assert implementation == wire.codec.IMPLEMENTATION
    module = "_compiled" if implementation == "compiled" else "_pure"
    assert wire.codec.pack_get.__module__.startswith(f"kt.wire.kernels.{module}")


def test_an_unknown_implementation_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="KT_IMPL"):
        load_wire("fortran")


# A finder that hides the compiled module, as where there was no compiler.
HIDE = """
import sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name == "kt.wire.kernels._compiled":
            raise ImportError(name)
sys.meta_path.insert(0, Hide())
"""


@pytest.mark.parametrize(("wanted", "printed"), [("", "python"), ("compiled", "not built")])
def test_without_the_compiled_codec(wanted: str, printed: str) -> None:
    program = HIDE + "from kt.wire import codec; print(codec.IMPLEMENTATION)"
    run = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"KT_IMPL": wanted},
        capture_output=True,
        text=True,
        check=False,
    )
    assert printed in run.stdout + run.stderr
    assert run.returncode == (0 if wanted == "" else 1)
