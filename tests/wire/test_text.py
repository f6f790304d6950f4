"""Protocols of lines of text: memcached's, and HTTP as Tokyo Tyrant's server reads it."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kt.errors import ProtocolError
from kt.wire.memcached import added_up, read_data, read_data_leniently, read_words
from kt.wire.reading import Incomplete
from kt.wire.tyrant_text import HEAD_MAX, is_http, read_http_rest

from .feeding import feed, read, read_all_ways

WORD = st.binary(min_size=1, max_size=20).filter(lambda word: not set(word) & set(b" \t\r\n\0"))
GET = [b"GET", b"/k", b"HTTP/1.1"]
PUT = [b"PUT", b"/k", b"HTTP/1.1"]


@given(st.lists(WORD, max_size=6), st.sampled_from([b"\n", b"\r\n"]), st.integers(1, 9))
def test_words(words: list[bytes], end: bytes, step: int) -> None:
    assert read_all_ways(read_words, b" ".join(words) + end, step) == words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"\n", []),
        (b" \t\r\n", []),
        (b"  get \t k\t\n", [b"get", b"k"]),
        (b"a\rb\r\n", [b"ab"]),
        (b"get k\0hidden\n", [b"get", b"k"]),
    ],
)
def test_words_are_read_leniently(line: bytes, words: list[bytes]) -> None:
    assert read(read_words, line) == words


@given(st.binary(max_size=50), st.integers(1, 60))
def test_data(data: bytes, step: int) -> None:
    assert read_all_ways(partial(read_data, len(data)), data + b"\r\n", step) == data


@pytest.mark.parametrize(("message", "end"), [(b"abX", 3), (b"ab\n", 3), (b"ab\rX", 4)])
def test_data_that_does_not_end_where_it_should(message: bytes, end: int) -> None:
    assert read_data(2, message + b"more", 0) == (None, end)
    assert feed(partial(read_data, 2), message, 1, exact=False) == (None, end)


def test_data_that_cannot_be() -> None:
    with pytest.raises(ProtocolError):
        read_data(2**28 + 1, b"", 0)


@given(st.binary(max_size=50), st.sampled_from([b"\n", b"\r\n"]), st.integers(1, 60))
def test_data_where_a_line_feed_is_an_end(data: bytes, end: bytes, step: int) -> None:
    assert read_all_ways(partial(read_data_leniently, len(data)), data + end, step) == data


@pytest.mark.parametrize(("message", "end"), [(b"abX", 3), (b"ab\rX", 4)])
def test_data_that_ends_with_neither(message: bytes, end: int) -> None:
    assert read_data_leniently(2, message + b"more", 0) == (None, end)
    assert feed(partial(read_data_leniently, 2), message, 1, exact=False) == (None, end)


@given(st.binary(max_size=60))
def test_any_bytes_as_memcached(data: bytes) -> None:
    for reader in (read_words, partial(read_data, 7), partial(read_data_leniently, 7)):
        with suppress(ProtocolError):
            result = reader(data, 0)
            if isinstance(result, Incomplete):
                assert result.need > len(data)
            else:
                assert 0 <= result[1] <= len(data) + 7


@pytest.mark.parametrize(
    ("old", "number", "total"),
    [(1, 2, 3), (1, -2, 0), (2**63 - 1, 1, 0), (2**63 - 1, 2**63 - 1, 0), (5, 0, 5)],
)
def test_sums_are_of_64_bits_and_not_below_0(old: int, number: int, total: int) -> None:
    assert added_up(old, number) == total


@given(
    st.dictionaries(WORD.filter(lambda word: b":" not in word), WORD, max_size=4),
    st.binary(max_size=30),
    st.integers(1, 40),
)
def test_http(headers: dict[bytes, bytes], body: bytes, step: int) -> None:
    lines = [b"%b: %b\r\n" % header for header in headers.items()]
    message = b"".join([*lines, b"Content-Length: %d\r\n\r\n" % len(body), body])
    request = read_all_ways(partial(read_http_rest, PUT), message, step)
    assert request[:3] == (b"PUT", b"/k", b"HTTP/1.1")
    assert request.body == body
    for name, value in headers.items():
        assert request.headers[name.lower()] in (value, *headers.values(), b"%d" % len(body))


@pytest.mark.parametrize(
    ("words", "head", "keep_alive"),
    [
        (GET, b"\r\n", True),
        (GET, b"Connection: close\r\n\r\n", False),
        (GET, b"CONNECTION:   Close\n\n", False),
        (GET, b"Connection\t: close\n\n", True),
        (GET, b"Connection: other\n\n", True),
        ([b"GET", b"/k", b"HTTP/1.0"], b"\r\n", False),
        ([b"GET", b"/k", b"HTTP/1.0"], b"Connection: keep-alive\r\n\r\n", True),
        ([b"GET", b"/k", b"HTTP/1.9"], b"no colon\r\n\r\n", True),
    ],
)
def test_http_is_read_leniently(words: list[bytes], head: bytes, keep_alive: bool) -> None:
    assert read(partial(read_http_rest, words), head).keep_alive is keep_alive


def test_only_put_and_post_have_a_body() -> None:
    assert read_http_rest(GET, b"Content-Length: 3\r\n\r\nabc", 0)[1] == 21  # type: ignore[index]
    assert read(partial(read_http_rest, PUT), b"\r\n").body == b""


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length: 268435457\r\n\r\n",
        b"a" * (HEAD_MAX + 1),
    ],
)
def test_http_that_cannot_be(head: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_http_rest(PUT, head, 0)


def test_which_lines_are_http() -> None:
    assert is_http([b"GET", b"/", b"HTTP/1.1"])
    assert not is_http([b"GET", b"/"])
    assert not is_http([b"GET", b"/", b"HTTP/2.0"])


@given(st.binary(max_size=60))
def test_any_bytes_as_http(data: bytes) -> None:
    with suppress(ProtocolError):
        result = read_http_rest(PUT, data, 0)
        if isinstance(result, Incomplete):
            assert result.need > len(data)
        else:
            assert 0 <= result[1] <= len(data)
