"""The binary protocol in the Tokyo Cabinet engine: requests in any pieces, limits, and nonsense."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kt.server.engines.tokyo._engine import BinaryCore, Database, Event, State, Stream, hurry
from kt.server.tyrant.options import Command, command_mask
from kt.wire import tyrant_commands as codes

from .tokyo import (
    ORDERED,
    TYPES,
    is_table,
    items,
    key_request,
    mget_request,
    misc_request,
    opened,
    record_request,
    sized,
    value,
)

PUT = record_request(codes.PUT, b"1", b"column\0one")
GET = key_request(codes.GET, b"1")
GOT = b"\0" + sized(b"column\0one")
RNUM = b"\xc8\x80"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with opened("*", tmp_path) as database:
        yield database


@pytest.fixture
def stream(database: Database) -> Stream:
    return BinaryCore(database).stream()


def feed_all(stream: Stream, data: bytes) -> tuple[State, bytes, bytes]:
    """Feed until nothing more can be done; (the last state, all replies, what is left)."""
    replies = b""
    while True:
        state, consumed, _, reply = stream.feed(data)
        replies += reply
        data = data[consumed:]
        if state != State.AGAIN:
            return State(state), replies, data


REQUESTS = [
    (PUT, b"\0"),
    (GET, GOT),
    (key_request(codes.GET, b"nosuch"), b"\1"),
    (key_request(codes.VSIZ, b"1"), b"\0\0\0\0\x0a"),
    (key_request(codes.OUT, b"nosuch"), b"\1"),
    (record_request(codes.PUTKEEP, b"1", b"x\0y"), b"\1"),
    (record_request(codes.PUTNR, b"2", b"a\0b"), b""),
    (b"\xc8\x13" + struct.pack(">III", 1, 2, 2) + b"3" + b"xy", b"\0"),
    (b"\xc8\x60" + struct.pack(">Ii", 1, -5) + b"n", b"\0\xff\xff\xff\xfb"),
    (
        b"\xc8\x61" + struct.pack(">Iqq", 1, 1, 5 * 10**11) + b"d",
        b"\0" + struct.pack(">qq", 1, 5 * 10**11),
    ),
    (
        mget_request([b"1", b"nosuch", b"2"]),
        b"\0\0\0\0\2\0\0\0\1\0\0\0\x0a1column\0one\0\0\0\1\0\0\0\x032a\0b",
    ),
    (mget_request([]), b"\0\0\0\0\0"),
    (misc_request(b"putlist", [b"4", b"p\0q", b"5", b"r\0s", b"odd"]), b"\0\0\0\0\0"),
    (
        misc_request(b"getlist", [b"4", b"nosuch", b"5"]),
        b"\0\0\0\0\4" + sized(b"4", b"p\0q", b"5", b"r\0s"),
    ),
    (misc_request(b"outlist", [b"4", b"nosuch"]), b"\0\0\0\0\0"),
    (misc_request(b"get", [b"1"]), b"\0\0\0\0\1" + sized(b"column\0one")),
    (misc_request(b"nosuch", []), b"\1\0\0\0\0"),
    (b"\xc8\x58" + struct.pack(">Ii", 1, -1) + b"5", b"\0\0\0\0\1" + sized(b"5")),
    (RNUM, b"\0" + struct.pack(">Q", 6)),
]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64, 10_000])
def test_requests_in_pieces(stream: Stream, size: int) -> None:
    """However the bytes arrive, each reply is there when its request is, and no later."""
    data = b"".join(request for request, _ in REQUESTS)
    expected = b"".join(reply for _, reply in REQUESTS)
    replies, waiting, need = b"", b"", 1
    for begin in range(0, len(data), size):
        waiting += data[begin : begin + size]
        if len(waiting) < need:
            continue
        state = State.AGAIN
        while state == State.AGAIN:  # so it is when the time of one call is spent
            state, consumed, need, reply = stream.feed(waiting)
            replies += reply
            waiting = waiting[consumed:]
        assert state == State.MORE
    assert (replies, waiting) == (expected, b"")


def test_need_is_never_more_than_the_request(stream: Stream) -> None:
    for request, reply in REQUESTS:
        waiting, replies = b"", b""
        for byte in request:
            waiting += bytes((byte,))
            _, consumed, need, answer = stream.feed(waiting)
            waiting = waiting[consumed:]
            replies += answer
            assert len(waiting) < need or not waiting
        assert (replies, waiting) == (reply, b"")


def test_what_is_not_binary_is_left(stream: Stream) -> None:
    assert feed_all(stream, PUT + b"get 1\r\n") == (State.TEXT, b"\0", b"get 1\r\n")


@pytest.mark.parametrize(
    "request_",
    [
        b"\xc8\x70",
        b"\xc8\x72",
        b"\xc8\x88",
        key_request(codes.OPTIMIZE, b"bnum=9"),
        key_request(codes.COPY, b"path"),
        b"\xc8\x74" + struct.pack(">IQI", 4, 1, 0) + b"path",
        b"\xc8\x78" + struct.pack(">IIQI", 4, 1978, 1, 0) + b"host",
        b"\xc8\x68" + struct.pack(">IIII", 4, 0, 1, 1) + b"funckv",
        b"\xc8\xa0" + struct.pack(">QI", 1, 2),
        misc_request(b"sync"),
        misc_request(b"setindex", [b"a", b"lexical"]),
        misc_request(b"regex", [b"."]),
        b"\xc8\x58" + struct.pack(">Ii", 0, -1),
    ],
)
def test_what_may_take_long_is_left_whole(
    database: Database, stream: Stream, request_: bytes
) -> None:
    for number in range(2_000):
        database.put(b"%d" % number, b"")
    for cut in range(1, len(request_)):
        assert stream.feed(request_[:cut])[:2] == (State.MORE, 0)
    assert stream.feed(request_ + b"behind")[:2] == (State.COMMAND, 0)


def test_a_call_has_a_budget(stream: Stream) -> None:
    """Long input is served in several calls, so that a server can look after others."""
    state, consumed, _, reply = stream.feed(RNUM * 100_000)
    assert state == State.AGAIN
    assert consumed == len(reply) // 9 * 2
    assert consumed < 10_000
    many = [b"%d" % number for number in range(50_000)]
    state, consumed, _, reply = stream.feed(mget_request(many))
    assert (state, reply) == (State.AGAIN, b"")
    assert consumed < 100_000
    assert stream.in_list


def test_replies_have_a_budget(database: Database, stream: Stream) -> None:
    database.put(b"1", b"x" * 100_000)
    state, _, _, reply = stream.feed(GET * 1_000)
    assert state == State.AGAIN
    assert len(reply) < 1_000_000


BAD = [
    b"\xc8\x00",
    b"\xc8\xff",
    b"\xc8\x10" + struct.pack(">II", 2**32 - 1, 1),
    b"\xc8\x10" + struct.pack(">II", 1, 2**28 + 1),
    b"\xc8\x13" + struct.pack(">III", 1, 1, 2**31),
    b"\xc8\x30" + struct.pack(">I", 2**31),
    b"\xc8\x31" + struct.pack(">I", 2**20 + 1),
    b"\xc8\x31" + struct.pack(">II", 1, 2**32 - 1),
    b"\xc8\x58" + struct.pack(">II", 2**28 + 1, 1),
    b"\xc8\x68" + struct.pack(">IIII", 1024, 0, 0, 0),
    b"\xc8\x78" + struct.pack(">IIQI", 0, 2**31, 0, 0),
    b"\xc8\x90" + struct.pack(">III", 1024, 0, 0),
    b"\xc8\x90" + struct.pack(">III", 3, 0, 2**20 + 1),
    b"\xc8\x90" + struct.pack(">III", 3, 0, 1) + b"get" + struct.pack(">I", 2**28 + 1),
    b"\xc8\x90" + struct.pack(">III", 7, 0, 1) + b"putlist" + struct.pack(">I", 2**28 + 1),
]


@pytest.mark.parametrize("bad", BAD, ids=bytes.hex)
def test_bad_requests_get_no_answer(stream: Stream, bad: bytes) -> None:
    if bad[:2] != b"\xc8\x31" and b"putlist" not in bad:
        for cut in range(1, len(bad)):
            assert stream.feed(bad[:cut])[:2] == (State.MORE, 0)
    assert feed_all(stream, PUT + bad) == (State.BROKEN, b"\0", b"")
    assert feed_all(stream, bad + GET)[0] == State.BROKEN
    assert feed_all(stream, GET) == (State.MORE, GOT, b"")


def test_masked_commands(database: Database) -> None:
    database.put(b"1", b"one")
    core = BinaryCore(database, mask=command_mask("allorg"))
    refused = {
        PUT: b"\1",
        GET: b"\1",
        RNUM: b"\0" + bytes(8),
        b"\xc8\x81": b"\0" + bytes(8),
        mget_request([b"1"]): b"\0\0\0\0\0",
        misc_request(b"get", [b"1"]): b"\0\0\0\0\0",
        misc_request(b"outlist", [b"1"]): b"\0\0\0\0\0",
        record_request(codes.PUTNR, b"1", b"two"): b"",
        key_request(codes.OUT, b"1"): b"\1",
        b"\xc8\x58" + struct.pack(">Ii", 0, -1): b"\0\0\0\0\0",
        b"\xc8\x60" + struct.pack(">Ii", 1, 1) + b"n": b"\1",
        b"\xc8\x61" + struct.pack(">Iqq", 1, 1, 0) + b"n": b"\1",
        b"\xc8\x50": b"\1",
        b"\xc8\x51": b"\1",
    }
    for request, reply in refused.items():
        assert feed_all(core.stream(), request) == (State.MORE, reply, b"")
    assert database.get(b"1") == b"one"
    assert database.count() == 1
    assert [event for _, event in core.take_events()] == [Event.FORBIDDEN] * len(refused)


def test_counts(database: Database) -> None:
    core = BinaryCore(database)
    feed_all(core.stream(), b"".join(request for request, _ in REQUESTS))
    counts = core.counts()
    assert counts[Command.GET] == 2
    assert counts[Command.MGET] == 2
    assert counts[Command.MISC] == 5
    assert counts[Command.PUTNR] == counts[Command.RNUM] == 1
    assert counts[26:] == [1, 1, 1]
    core.count(Command.SYNC, 3)
    assert core.counts()[Command.SYNC] == 3


def test_events(database: Database) -> None:
    core = BinaryCore(database, trace=True)
    bad = record_request(codes.PUTCAT, b"1", b"")
    feed_all(core.stream(), bad + b"\xc8\x31" + b"\xff" * 4 + b"\xc8\xff")
    feed_all(core.stream(), b"\xc8\xff")
    assert core.take_events() == [
        (Command.PUTCAT, Event.DOING),
        (Command.MGET, Event.INVALID),
        (26, Event.UNKNOWN),
    ]
    assert core.take_events() == []


def test_a_list_is_not_kept(database: Database, stream: Stream) -> None:
    """Elements of a list are worked off as they come, and only what is found is kept."""
    head = b"\xc8\x90" + struct.pack(">III", 7, 0, 2_000) + b"putlist"
    assert stream.feed(head)[:2] == (State.MORE, len(head))
    assert stream.in_list
    for number in range(1_000):
        pair = sized(b"%d" % number, b"v" * 1_000)
        expected = b"" if number < 999 else b"\0\0\0\0\0"
        assert stream.feed(pair) == (State.MORE, len(pair), 1, expected)
        assert database.count() == number + 1
    assert not stream.in_list


@pytest.mark.parametrize("name", TYPES)
def test_large_values_in_lists(name: str, tmp_path: Path) -> None:
    """They come where they belong; a call that copies one, outside the gate, does nothing else."""
    large = b"c\0" + bytes(range(1, 256)) * (5 * (1 << 20) // 255)
    values = {b"1": large, b"2": b"c\0two", b"4": large + b"x"}
    with opened(f"{name}#width=6000000" if name.endswith(".tcf") else name, tmp_path) as database:
        for key, value in values.items():
            assert database.put(key, value)
        asked = [b"1", b"2", b"3", b"4", b"1"]
        found = [(key, values[key]) for key in asked if key in values]
        stream = BinaryCore(database).stream()
        records = b"".join(
            struct.pack(">II", len(key), len(value)) + key + value for key, value in found
        )
        expected = b"\0" + struct.pack(">I", len(found)) + records
        assert waited_for(stream, mget_request(asked)) == (expected, [6, 5, 10, 5, 5])
        elements = sized(*(part for record in found for part in record))
        expected = b"\0" + struct.pack(">I", 2 * len(found)) + elements
        assert waited_for(stream, misc_request(b"getlist", asked)) == (expected, [21, 5, 10, 5, 5])
        assert waited_for(stream, GET) == (b"\0" + sized(large), [len(GET)])
        assert database.get(b"1") == large


def test_many_values_of_a_key_are_large_together(tmp_path: Path) -> None:
    """Who serves others leaves them alone; the others get all of them, in their order."""
    values = [b"%d" % number * (1 << 20) for number in range(1, 10)]
    with opened("duplicates.tcb", tmp_path) as database:
        assert database.put(b"j", b"before")
        assert database.put(b"l", b"after")
        for value in values:
            assert items(database.misc(b"putlist", [b"k", value])) == []
        found = [part for value in values for part in (b"k", value)]
        assert items(database.misc(b"getlist", [b"k"])) == found
        stream = BinaryCore(database).stream()
        asked = misc_request(b"getlist", [b"j", b"k", b"none", b"l"])
        hurry(True)
        try:
            state, used, _, reply = stream.feed(asked)
            assert (state, reply) == (State.BUSY, b"")
        finally:
            hurry(False)
        elements = sized(b"j", b"before", *found, b"l", b"after")
        expected = b"\0" + struct.pack(">I", 4 + len(found)) + elements
        assert waited_for(stream, asked[used:])[0] == expected
        get = misc_request(b"get", [b"k"])
        assert stream.feed(get, wait=True) == (State.COMMAND, 0, 1, b"")
        expected = b"\0" + struct.pack(">I", len(values)) + sized(*values)
        assert bytes(database.answer_misc(b"get", [b"k"]) or b"") == expected
        assert database.answer_misc(b"get", [b"none"]) is None


def waited_for(stream: Stream, data: bytes) -> tuple[bytes, list[int]]:
    """The reply, from a thread that may take its time, and how many bytes each call worked off."""
    replies, steps = b"", []
    while data:
        _, consumed, _, reply = stream.feed(data, wait=True)
        steps.append(consumed)
        replies += reply
        data = data[consumed:]
    return replies, steps


MIB = bytes(range(256)) * 4096
LEFT = (State.COMMAND, 0, b"")


def left(stream: Stream, request: bytes) -> bool:
    """Whether the request is left as work, with nothing done."""
    state, consumed, _, reply = stream.feed(request)
    return (state, consumed, reply) == LEFT


@pytest.mark.parametrize("name", TYPES)
def test_functions_leave_large_values_as_work(name: str, tmp_path: Path) -> None:
    """No thread that serves others copies one, and a value of another record is copied at once."""
    with opened(f"{name}#width=6000000" if name.endswith(".tcf") else name, tmp_path) as database:
        text = MIB.replace(b"\0", b"0") * 5
        large, small = value(database, text), value(database, b"small")
        parts = [b"column", text] if is_table(database) else [large]
        assert database.put(b"1", small)
        assert database.put(b"2", large)
        stream = BinaryCore(database).stream()
        for function, arguments, expected in (
            (b"get", [b"2"], parts),
            (b"getpart", [b"2", b"7", b"100"], [large[7:107]]),
            (b"getpart", [b"2", b"-1"], [large]),
            (b"getlist", [b"1", b"2", b"3"], [b"1", small, b"2", large]),
        ):
            request = misc_request(function, arguments)
            assert left(stream, request) == (function != b"getlist")
            assert items(database.misc(function, arguments)) == expected
            assert not left(stream, misc_request(function, [b"1", *arguments[1:]]))
        assert database.misc(b"getpart", [b"2", b"%d" % len(large)]) is None


@pytest.mark.parametrize("name", [name for name in TYPES if not name.endswith(".tct")])
def test_the_iterator_leaves_a_large_value_as_work(name: str, tmp_path: Path) -> None:
    """It stays where it is until the record has been copied."""
    with opened(f"{name}#width=6000000" if name.endswith(".tcf") else name, tmp_path) as database:
        values = {b"1": b"one", b"2": MIB * 5, b"3": b"three", b"4": MIB * 5 + b"x", b"5": b"five"}
        for one, its in values.items():
            assert database.put(one, its)
        stream = BinaryCore(database).stream()
        assert items(database.misc(b"iterinit")) == []
        seen: dict[bytes, bytes] = {}
        while len(seen) < len(values):
            state, _, _, reply = stream.feed(misc_request(b"iternext"))
            if state == State.COMMAND:
                assert left(stream, misc_request(b"iternext"))
                one, its = items(database.misc(b"iternext"))
                assert len(its) > len(MIB)
            else:
                one, its = items(reply[1:])
                assert len(its) < len(MIB)
            assert one not in seen
            seen[one] = its
        assert seen == values
        assert database.misc(b"iternext") is None


def test_many_values_are_large_together(tmp_path: Path) -> None:
    """What looks through records is left as work when it would copy much in one go."""
    for name in ORDERED:
        with opened(f"{name}#width=2000000" if "tcf" in name else name, tmp_path) as database:
            for number in range(1, 10):
                assert database.put(b"%d" % number, MIB)
            stream = BinaryCore(database).stream()
            assert left(stream, misc_request(b"range", [b"1"]))
            assert left(stream, misc_request(b"range", [b"1", b"9"]))
            assert not left(stream, misc_request(b"range", [b"1", b"2"]))
            found = items(database.misc(b"range", [b"1", b"9"]))
            assert found == [part for number in range(1, 10) for part in (b"%d" % number, MIB)]
    with opened("casket.tct", tmp_path) as database:
        row = MIB.replace(b"\0", b"0")
        for number in range(1, 10):
            assert database.put(b"%d" % number, b"column\0" + row)
        stream = BinaryCore(database).stream()
        assert left(stream, misc_request(b"search", [b"get"]))
        assert len(items(database.misc(b"search", [b"get"]))) == 9


@pytest.mark.parametrize("name", [name for name in TYPES if not name.endswith(".tcf")])
def test_long_keys_are_left_as_work(name: str, tmp_path: Path) -> None:
    with opened(name, tmp_path) as database:
        keys = [b"%d" % number + MIB[: len(MIB) // 2] for number in range(10)]
        for one in keys:
            assert database.put(one, value(database, b""))
        core = BinaryCore(database)
        request = struct.pack(">BBII", 0xC8, 0x58, 0, 2**32 - 1)
        assert left(core.stream(), request)
        assert core.counts()[Command.FWMKEYS] == 0
        assert sorted(items(database.fwmkeys(b""))) == keys
        database.vanish()
        assert core.stream().feed(request)[3] == b"\0\0\0\0\0"


def test_positions_in_the_data(stream: Stream) -> None:
    data = b"xx" + PUT
    assert stream.feed(data, 2) == (State.MORE, len(PUT), 1, b"\0")
    assert stream.feed(bytearray(GET), 0)[3] == GOT
    assert stream.feed(memoryview(data), len(data)) == (State.MORE, 0, 1, b"")
    for outside in (-1, len(data) + 1):
        with pytest.raises(IndexError):
            stream.feed(data, outside)


# Arbitrary bytes

SHORT = st.one_of(
    st.binary(max_size=5),
    st.sampled_from([b"1", b"2", b"min", b"a\0b", b"name\0x", b"[min,max]", b"lexical", b"3"]),
)
REQUEST = st.one_of(
    st.builds(record_request, st.sampled_from([0x10, 0x11, 0x12, 0x18]), SHORT, SHORT),
    st.builds(key_request, st.sampled_from([0x20, 0x30, 0x38]), SHORT),
    st.builds(mget_request, st.lists(SHORT, max_size=3)),
    st.builds(
        misc_request,
        st.sampled_from(
            b"put putkeep putcat putdup putdupback out get getpart putlist outlist getlist "
            b"iterinit iternext regex range search metasearch genuid error nosuch".split()
        ),
        st.lists(SHORT, max_size=5),
    ),
    st.sampled_from([b"\xc8\x50", b"\xc8\x51", RNUM, *BAD]),
    st.binary(max_size=12).map(b"\xc8".__add__),
)


@pytest.mark.parametrize("name", TYPES)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(requests=st.lists(REQUEST, max_size=20), sizes=st.lists(st.integers(1, 30), max_size=5))
def test_any_bytes(name: str, tmp_path: Path, requests: list[bytes], sizes: list[int]) -> None:
    """Whatever comes, in whatever pieces, the stream gets on, and the database survives."""
    data = b"".join(requests)
    with opened(f"{name}#mode=wct", tmp_path) if name[0] == "c" else opened(name, tmp_path) as db:
        stream = BinaryCore(db).stream()
        waiting = b""
        while data:
            size = sizes[len(data) % len(sizes)] if sizes else len(data)
            waiting, data = waiting + data[:size], data[size:]
            state = State.AGAIN
            while state in (State.AGAIN, State.BROKEN):
                state, consumed, need, _ = stream.feed(waiting)
                waiting = waiting[consumed:]
                assert consumed or state != State.BROKEN
            assert state != State.MORE or len(waiting) < need
            if state in (State.TEXT, State.COMMAND, State.CLOSE):
                waiting = b""
        assert db.put(b"1", b"a\0b")
        assert db.get(b"1") == b"a\0b"
