"""RESP: what is packed can be read, whole and byte by byte, by both kernels."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kt.errors import ProtocolError
from kt.wire.reading import Incomplete
from kt.wire.resp_error import RespError

from .implementations import Wire

TEXT = st.binary(max_size=20).filter(lambda text: b"\r" not in text)
SINGLE = (
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.binary(max_size=40)
    | TEXT.map(RespError)
    | st.lists(st.none() | st.binary(max_size=5), max_size=3)
)
REPLY = SINGLE | st.lists(SINGLE, max_size=5)


def pack(value: Any) -> bytes:
    """A reply, as a server sends it."""
    if value is None:
        return b"$-1\r\n"
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, bytes):
        return b"$%d\r\n%b\r\n" % (len(value), value)
    if isinstance(value, RespError):
        return b"-%b\r\n" % value.text
    return b"*%d\r\n" % len(value) + b"".join(map(pack, value))


@given(value=REPLY)
def test_a_reply_is_read_whole(wire: Wire, value: Any) -> None:
    data = pack(value)
    assert wire.codec.read_resp_reply(b"x" + data + b":1\r\n", 1) == (value, 1 + len(data))


@given(value=REPLY)
def test_a_reply_is_read_byte_by_byte(wire: Wire, value: Any) -> None:
    data = pack(value)
    reader = wire.codec.read_resp_reply
    need = 0
    for size in range(len(data)):
        if size < need:
            continue
        result = reader(data[:size], 0)
        assert isinstance(result, Incomplete)
        assert size < result.need <= len(data)
        reader, need = result.resume, result.need
    assert reader(data, 0) == (value, len(data))


def test_a_short_text_is_bytes(wire: Wire) -> None:
    assert wire.codec.read_resp_reply(b"+OK\r\n", 0) == (b"OK", 5)


@given(words=st.lists(st.binary(max_size=30), max_size=6))
def test_a_command_is_an_array_of_strings(wire: Wire, words: list[bytes]) -> None:
    data = wire.codec.pack_command(words)
    assert data == pack(words)
    assert wire.codec.read_resp_reply(data, 0) == (words, len(data))


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b":\r\n",
        b":1x\r\n",
        b"$1\r\nab\r\n",
        b"$9999999999\r\n",
        b"*1\r\n" * 20,
        b"+" + b"x" * 70000,
    ],
)
def test_what_is_no_reply_is_refused(wire: Wire, data: bytes) -> None:
    with pytest.raises(ProtocolError):
        wire.codec.read_resp_reply(data, 0)
