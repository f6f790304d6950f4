"""Replies are cut out of a stream, however it arrives."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kt.errors import ProtocolError
from kt.net.replies import Replies
from kt.wire.tycoon import NEVER, pack_get_bulk_reply, read_get_reply
from kt.wire.tycoon_rpc import pack_rpc_reply, read_rpc_reply


@given(
    st.lists(st.binary(max_size=30) | st.none(), max_size=8),
    st.lists(st.integers(1, 400), max_size=20),
)
def test_replies_in_pieces(values: list[bytes | None], cuts: list[int]) -> None:
    replies = Replies()
    stream = b""
    for number, value in enumerate(values):
        if number % 2:
            stream += pack_rpc_reply(200, [] if value is None else [("value", value)])
            replies.expect(read_rpc_reply)
        else:
            found = [] if value is None else [(0, b"k", value, NEVER)]
            stream += pack_get_bulk_reply(found)
            replies.expect(read_get_reply)
    answers = []
    for size in cuts:
        piece, stream = stream[:size], stream[size:]
        answers += replies.feed(piece)
    answers += replies.feed(stream)
    assert len(answers) == len(values)
    for number, answer in enumerate(answers):
        if number % 2 == 0:
            assert answer == values[number]
        else:
            assert answer.status == 200
    assert len(replies) == replies.received == 0
    assert replies.failure is None


def gets(count: int) -> Replies:
    replies = Replies()
    for _ in range(count):
        replies.expect(read_get_reply)
    return replies


def test_what_was_complete_comes_before_the_error() -> None:
    replies = gets(3)
    assert replies.feed(pack_get_bulk_reply([]) * 2 + b"x") == [None, None]
    assert isinstance(replies.failure, ProtocolError)


def test_what_nobody_asked_for() -> None:
    replies = Replies()
    assert replies.feed(b"x") == []
    assert "nobody asked" in str(replies.failure)


def test_what_is_outstanding() -> None:
    replies = gets(3)
    assert (len(replies), replies.received) == (3, 0)
    assert replies.feed(pack_get_bulk_reply([]) + b"\xba") == [None]
    assert (len(replies), replies.received) == (2, 1)
