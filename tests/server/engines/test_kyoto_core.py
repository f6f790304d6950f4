"""The binary protocol in the Kyoto Cabinet engine: requests in any pieces, limits, and nonsense."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kt.server.engines.kyoto._engine import XT_MAX, BinaryCore, Database, State, Stream

from .kyoto import FUTURE, PAST, contents, feed, get_bulk, remove_bulk, set_bulk

NO_REPLY = 1
ERROR = b"\xbf"


def count_reply(magic: bytes, number: int) -> bytes:
    return magic + struct.pack(">I", number)


def get_reply(*records: tuple[int, bytes, bytes, int]) -> bytes:
    parts = [struct.pack(">HIIq", db, len(k), len(v), xt) + k + v for db, k, v, xt in records]
    return count_reply(b"\xba", len(parts)) + b"".join(parts)


@pytest.fixture
def databases() -> Iterator[list[Database]]:
    opened = [Database("*"), Database("%")]
    yield opened
    for database in opened:
        database.close()


@pytest.fixture
def core(databases: list[Database]) -> BinaryCore:
    return BinaryCore(databases)


@pytest.fixture
def stream(core: BinaryCore) -> Stream:
    return core.stream()


class TestCommands:
    def test_set_get_remove(self, stream: Stream) -> None:
        records = [(b"a", b"1"), (b"", b""), (b"\0b", b"\xff" * 5000)]
        assert feed(stream, set_bulk(records)) == (State.MORE, count_reply(b"\xb8", 3), b"")
        expected = get_reply(*((0, key, value, XT_MAX) for key, value in records))
        keys = [b"a", b"none", b"", b"\0b"]
        assert feed(stream, get_bulk(keys)) == (State.MORE, expected, b"")
        assert feed(stream, remove_bulk(keys)) == (State.MORE, count_reply(b"\xb9", 3), b"")
        assert feed(stream, get_bulk(keys)) == (State.MORE, get_reply(), b"")

    def test_expiry(self, stream: Stream) -> None:
        feed(stream, set_bulk([(b"later", b"1")], xt=FUTURE) + set_bulk([(b"gone", b"1")], xt=PAST))
        expected = get_reply((0, b"later", b"1", -FUTURE))
        assert feed(stream, get_bulk([b"later", b"gone"]))[1] == expected
        assert feed(stream, remove_bulk([b"gone"]))[1] == count_reply(b"\xb9", 0)

    def test_several_databases(self, stream: Stream, databases: list[Database]) -> None:
        def key_of(db: int, key: bytes) -> bytes:
            return get_bulk([key], db=db)[9:]

        for db in (0, 1, 2, 65535):  # the last two do not exist: passed over, not counted
            reply = feed(stream, set_bulk([(b"key", b"in %d" % db)], db=db))[1]
            assert reply == count_reply(b"\xb8", int(db < 2))
        mixed = b"\xba" + struct.pack(">II", 0, 4)
        mixed += key_of(1, b"key") + key_of(7, b"key") + key_of(0, b"key") + key_of(1, b"key")
        one, two = (1, b"key", b"in 1", XT_MAX), (0, b"key", b"in 0", XT_MAX)
        assert feed(stream, mixed)[1] == get_reply(one, two, one)
        assert [contents(database) for database in databases] == [
            {b"key": b"in 0"},
            {b"key": b"in 1"},
        ]

    def test_no_reply(self, stream: Stream) -> None:
        assert feed(stream, set_bulk([(b"a", b"1")], flags=NO_REPLY))[1] == b""
        assert feed(stream, get_bulk([b"a"], flags=NO_REPLY))[1] == get_reply(
            (0, b"a", b"1", XT_MAX)
        )
        assert feed(stream, remove_bulk([b"a"], flags=NO_REPLY))[1] == b""
        assert feed(stream, remove_bulk([b"a"], flags=0xFFFE))[1] == count_reply(b"\xb9", 0)

    def test_no_records(self, stream: Stream) -> None:
        request = set_bulk([]) + remove_bulk([]) + get_bulk([])
        replies = count_reply(b"\xb8", 0) + count_reply(b"\xb9", 0) + get_reply()
        assert feed(stream, request) == (State.MORE, replies, b"")

    def test_counts(self, core: BinaryCore, stream: Stream) -> None:
        feed(stream, set_bulk([(b"a", b""), (b"b", b"")]) + get_bulk([b"a", b"c"]))
        feed(stream, remove_bulk([b"a", b"c", b"d"]))
        assert core.counts() == {
            "set": 2, "set_misses": 0, "get": 2, "get_misses": 1, "remove": 3, "remove_misses": 2,
        }  # fmt: skip


class TestStops:
    def test_http(self, stream: Stream) -> None:
        request = set_bulk([(b"a", b"1")]) + b"GET / HTTP/1.1\r\n"
        assert feed(stream, request) == (State.HTTP, count_reply(b"\xb8", 1), b"GET / HTTP/1.1\r\n")

    @pytest.mark.parametrize("magic", [b"\xb1", b"\xb4"])
    def test_commands_of_others(self, stream: Stream, magic: bytes) -> None:
        assert feed(stream, magic + b"rest") == (State.COMMAND, b"", magic + b"rest")
        assert not stream.pending

    @pytest.mark.parametrize("magic", [0, 0x80, 0xB0, 0xB7, 0xBB, 0xBF, 0xFF])
    def test_unknown_command(self, stream: Stream, magic: int) -> None:
        assert feed(stream, bytes([magic]) + b"rest")[:2] == (State.CLOSE, b"")

    @pytest.mark.parametrize("at", ["key", "value"])
    @pytest.mark.parametrize("command", ["set", "remove", "get"])
    def test_too_large(self, stream: Stream, command: str, at: str) -> None:
        sizes = (2**28 + 1, 0) if at == "key" else (0, 2**32 - 1)
        if command == "set":
            request = b"\xb8" + struct.pack(">IIHIIq", 0, 2, 0, *sizes, 0)
        else:
            magic = b"\xb9" if command == "remove" else b"\xba"
            request = magic + struct.pack(">IIHI", 0, 2, 0, max(sizes))
        assert feed(stream, request)[:2] == (State.CLOSE, ERROR)

    def test_failing_engine(self) -> None:
        with Database("*", read_only=True) as database:
            for request in (set_bulk([(b"a", b"1")]), remove_bulk([b"a"])):
                assert feed(BinaryCore([database]).stream(), request)[:2] == (State.CLOSE, ERROR)
            silent = set_bulk([(b"a", b"1")], flags=NO_REPLY)
            assert feed(BinaryCore([database]).stream(), silent)[:2] == (State.CLOSE, b"")
            core = BinaryCore([database])
        assert feed(core.stream(), get_bulk([b"a"]))[:2] == (State.CLOSE, ERROR)

    def test_long_work_is_interrupted(self, stream: Stream) -> None:
        value = b"v" * 1000
        request = set_bulk([(b"%d" % number, value) for number in range(20_000)])
        request += get_bulk([b"%d" % number for number in range(20_000)]) * 3
        states, at, longest = set(), 0, 0
        while at < len(request):
            state, consumed, reply = stream.feed(request, at)
            states.add(state)
            at += consumed
            longest = max(longest, len(reply))
        assert State.AGAIN in states
        assert longest < 21_000 * 1030  # never two of the large replies at once

    def test_reply_limit(self, databases: list[Database]) -> None:
        stream = BinaryCore(databases, reply_limit=10_000).stream()
        feed(stream, set_bulk([(b"a", b"v" * 900)]))
        assert len(feed(stream, get_bulk([b"a"] * 10))[1]) > 9000
        before = get_bulk([b"none"])
        state, reply, _ = feed(stream, before + get_bulk([b"a"] * 20))
        assert (state, reply) == (State.CLOSE, get_reply() + ERROR)


class TestPieces:
    """Commands arrive in pieces: their records are run as they come."""

    REQUEST = (
        set_bulk([(b"a", b"1"), (b"bb", b"22" * 50), (b"", b"")])
        + get_bulk([b"a", b"bb", b"none"])
        + remove_bulk([b"a", b"none"])
        + get_bulk([b"a"])
        + set_bulk([(b"c", b"3")], flags=NO_REPLY)
        + get_bulk([b"c"])
    )

    def feed_pieces(self, stream: Stream, sizes: Iterator[int]) -> bytes:
        replies, waiting, at = b"", b"", 0
        while at < len(self.REQUEST):
            size = next(sizes)
            state, reply, waiting = feed(stream, waiting + self.REQUEST[at : at + size])
            assert state == State.MORE
            replies += reply
            at += size
        assert waiting == b""
        assert not stream.pending
        return replies

    @given(st.lists(st.integers(1, 60), min_size=1))
    def test_any_pieces(self, sizes: list[int]) -> None:
        def forever() -> Iterator[int]:
            while True:
                yield from sizes

        with Database("*") as database, Database("*") as other:
            whole = feed(BinaryCore([database]).stream(), self.REQUEST)[1]
            assert self.feed_pieces(BinaryCore([other]).stream(), forever()) == whole
            assert contents(database) == contents(other)

    def test_records_are_run_as_they_come(self, stream: Stream, databases: list[Database]) -> None:
        request = set_bulk([(b"a", b"1"), (b"b", b"2")])
        state, reply, left = feed(stream, request[:-1])
        assert (state, reply) == (State.MORE, b"")
        assert contents(databases[0]) == {b"a": b"1"}
        assert left == request[-20:-1]
        assert stream.pending

    @pytest.mark.parametrize(
        ("request_", "cut", "reply"),
        [
            (set_bulk([(b"a", b"1")]), 0, b""),
            (set_bulk([(b"a", b"1")]), 8, b""),
            (set_bulk([(b"a", b"1")]), 9, ERROR),
            (set_bulk([(b"a", b"1")]), -1, ERROR),
            (set_bulk([(b"a", b"1")], flags=NO_REPLY), -1, b""),
            (remove_bulk([b"a"]), -1, ERROR),
            (get_bulk([b"a", b"b"], flags=NO_REPLY), -1, ERROR),
        ],
    )
    def test_input_that_ends(self, stream: Stream, request_: bytes, cut: int, reply: bytes) -> None:
        assert feed(stream, request_[:cut])[:2] == (State.MORE, b"")
        assert stream.finish() == reply
        assert stream.finish() == b""


class TestNonsense:
    @given(
        st.lists(st.binary(max_size=60) | st.sampled_from([b"\xb8\0\0\0\0", b"\xba", b"\xb9\0"]))
    )
    def test_any_bytes(self, pieces: list[bytes]) -> None:
        with Database("*") as database:
            stream = BinaryCore([database]).stream()
            waiting = b""
            for piece in pieces:
                state, _reply, waiting = feed(stream, waiting + piece)
                if state != State.MORE:
                    break
                assert len(waiting) < 200  # at most the beginning of a record
            stream.finish()

    def test_misuse(self, stream: Stream) -> None:
        with pytest.raises(TypeError):
            stream.feed("text")  # type: ignore[arg-type]
        for start in (-1, 4):
            with pytest.raises(IndexError):
                stream.feed(b"GET", start)
        assert stream.feed(bytearray(b"xxGET"), 2) == (State.HTTP, 0, b"")
        assert stream.feed(memoryview(get_bulk([b"a"]))) == (State.MORE, 16, get_reply())
