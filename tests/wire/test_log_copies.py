from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kt.errors import ProtocolError
from kt.wire.log.copies import (
    Block,
    Done,
    Failure,
    Message,
    Resumed,
    pack_copy_message,
    pack_place,
    read_copy_message,
    read_place,
)

from .feeding import read, read_all_ways

U32 = st.integers(0, 2**32 - 1)
MESSAGES = st.one_of(
    st.builds(Block, st.binary(max_size=300), U32),
    st.builds(Done, st.integers(0, 2**64 - 1), U32),
    st.builds(Resumed, U32),
    st.builds(Failure, st.text(max_size=50)),
)


@given(MESSAGES, st.integers(1, 400))
def test_round_trip(message: Message, step: int) -> None:
    assert read_all_ways(read_copy_message, pack_copy_message(message), step) == message


@given(U32, U32)
def test_places(blocks: int, check: int) -> None:
    assert read_place(pack_place(blocks, check)) == (blocks, check)
    assert 0 <= pack_place(blocks, check) < 2**64


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xb1" + bytes(13), "begins with byte 0xb1"),
        (b"\xb2\xff\xff\xff\xff" + bytes(4), "a part of a copy announces"),
        (b"\xbf\x00\x02\x00\x00", "a part of a copy announces"),
    ],
)
def test_nonsense(data: bytes, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        read(read_copy_message, data)


def test_a_long_reason_is_cut() -> None:
    packed = pack_copy_message(Failure("x" * 100_000))
    assert read(read_copy_message, packed) == Failure("x" * 65_536)
