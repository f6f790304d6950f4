"""Kyoto Tycoon's binary protocol: what one side packs, the other reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kt.errors import ArgumentError, ProtocolError, ServerError
from kt.wire.reading import Incomplete
from kt.wire.values import TEXT, ValueFailure

from .feeding import feed, read, read_all_ways
from .implementations import Wire

DB = st.integers(0, 0xFFFF)
BLOB = st.binary(max_size=40)
KEY = BLOB | st.text(max_size=20)
XT = st.integers(-(2**63), 2**63 - 1)
FLAGS = st.integers(0, 2**32 - 1)
RECORDS = st.dictionaries(BLOB, BLOB, max_size=8)
DETAILS = st.lists(st.tuples(DB, BLOB, BLOB, XT), max_size=8)
KEY_DETAILS = st.lists(st.tuples(DB, BLOB), max_size=8)
STEP = st.integers(1, 7)


def as_bytes(key: str | bytes) -> bytes:
    return key.encode() if isinstance(key, str) else key


# ------------------------------------------------------------------------------------- requests


@given(key=KEY, db=DB, step=STEP)
def test_get(wire: Wire, key: str | bytes, db: int, step: int) -> None:
    request = wire.tycoon.pack_get(key, db)
    assert read_all_ways(wire.tycoon.read_get_bulk, request, step) == (0, [(db, as_bytes(key))])


@given(key=KEY, db=DB, flags=FLAGS, step=STEP)
def test_remove(wire: Wire, key: str | bytes, db: int, flags: int, step: int) -> None:
    request = wire.tycoon.pack_remove(key, db, flags)
    asked = read_all_ways(wire.tycoon.read_remove_bulk, request, step)
    assert asked == (flags, [(db, as_bytes(key))])


@given(key=KEY, value=BLOB, db=DB, xt=XT, flags=FLAGS, step=STEP)
def test_set(
    wire: Wire, key: str | bytes, value: bytes, db: int, xt: int, flags: int, step: int
) -> None:
    request = wire.tycoon.pack_set(key, value, db, xt, flags)
    asked = read_all_ways(wire.tycoon.read_set_bulk, request, step)
    assert asked == (flags, [(db, as_bytes(key), value, xt)])


@given(keys=st.lists(KEY, max_size=8), db=DB, step=STEP)
def test_get_bulk(wire: Wire, keys: list[str | bytes], db: int, step: int) -> None:
    request = wire.tycoon.pack_get_bulk(iter(keys), db)
    asked = read_all_ways(wire.tycoon.read_get_bulk, request, step)
    assert asked == (0, [(db, as_bytes(key)) for key in keys])


@given(keys=KEY_DETAILS, step=STEP)
def test_get_bulk_details(wire: Wire, keys: list[tuple[int, bytes]], step: int) -> None:
    request = wire.tycoon.pack_get_bulk_details(iter(keys))
    assert read_all_ways(wire.tycoon.read_get_bulk, request, step) == (0, keys)


@given(keys=st.lists(KEY, max_size=8), db=DB, flags=FLAGS, step=STEP)
def test_remove_bulk(wire: Wire, keys: list[str | bytes], db: int, flags: int, step: int) -> None:
    request = wire.tycoon.pack_remove_bulk(iter(keys), db, flags)
    asked = read_all_ways(wire.tycoon.read_remove_bulk, request, step)
    assert asked == (flags, [(db, as_bytes(key)) for key in keys])


@given(keys=KEY_DETAILS, flags=FLAGS, step=STEP)
def test_remove_bulk_details(
    wire: Wire, keys: list[tuple[int, bytes]], flags: int, step: int
) -> None:
    request = wire.tycoon.pack_remove_bulk_details(iter(keys), flags)
    assert read_all_ways(wire.tycoon.read_remove_bulk, request, step) == (flags, keys)


@given(records=RECORDS, db=DB, xt=XT, flags=FLAGS, step=STEP)
def test_set_bulk(
    wire: Wire, records: dict[bytes, bytes], db: int, xt: int, flags: int, step: int
) -> None:
    request = wire.tycoon.pack_set_bulk(records, db, xt, None, flags)
    asked = read_all_ways(wire.tycoon.read_set_bulk, request, step)
    assert asked == (flags, [(db, key, value, xt) for key, value in records.items()])


@given(records=DETAILS, flags=FLAGS, step=STEP)
def test_set_bulk_details(
    wire: Wire, records: list[tuple[int, bytes, bytes, int]], flags: int, step: int
) -> None:
    request = wire.tycoon.pack_set_bulk_details(iter(records), None, flags)
    assert read_all_ways(wire.tycoon.read_set_bulk, request, step) == (flags, records)


@given(name=BLOB, records=RECORDS, flags=FLAGS, step=STEP)
def test_play_script(
    wire: Wire, name: bytes, records: dict[bytes, bytes], flags: int, step: int
) -> None:
    request = wire.tycoon.pack_play_script(name, records, None, flags)
    asked = read_all_ways(wire.tycoon.read_play_script, request, step)
    assert asked == (flags, name, records)


@given(since=st.integers(0, 2**64 - 1), server=DB, flags=FLAGS, step=STEP)
def test_replication(wire: Wire, since: int, server: int, flags: int, step: int) -> None:
    request = wire.tycoon.pack_replication(since, server, flags)
    asked = read_all_ways(wire.tycoon.read_replication, request, step)
    assert asked == (flags, since, server)


# -------------------------------------------------------------------------------------- replies


@given(db=DB, key=BLOB, value=BLOB, xt=XT, step=STEP)
def test_get_reply(wire: Wire, db: int, key: bytes, value: bytes, xt: int, step: int) -> None:
    reply = wire.tycoon.pack_get_bulk_reply([(db, key, value, xt)])
    assert read_all_ways(wire.tycoon.read_get_reply, reply, step) == value


def test_get_reply_without_a_record(wire: Wire) -> None:
    assert read_all_ways(wire.tycoon.read_get_reply, wire.tycoon.pack_get_bulk_reply([]), 1) is None


@given(count=st.integers(0, 2**32 - 1), step=STEP)
def test_counts(wire: Wire, count: int, step: int) -> None:
    stored = wire.tycoon.pack_set_bulk_reply(count)
    assert read_all_ways(wire.tycoon.read_set_bulk_reply, stored, step) == count
    removed = wire.tycoon.pack_remove_bulk_reply(count)
    assert read_all_ways(wire.tycoon.read_remove_bulk_reply, removed, step) == count


@given(records=DETAILS, step=STEP)
def test_get_bulk_reply(
    wire: Wire, records: list[tuple[int, bytes, bytes, int]], step: int
) -> None:
    reply = wire.tycoon.pack_get_bulk_reply(records)
    frame = read_all_ways(wire.tycoon.read_get_bulk_reply, reply, step)
    assert wire.tycoon.decode_get_bulk_details(frame, False, None) == records
    found = {key: value for _, key, value, _ in records}
    assert wire.tycoon.decode_get_bulk(frame, False, None) == found
    by_text = wire.tycoon.decode_get_bulk(frame, True, None)
    assert {key.encode("utf-8", "surrogateescape"): by_text[key] for key in by_text} == found


@given(records=RECORDS, step=STEP)
def test_play_script_reply(wire: Wire, records: dict[bytes, bytes], step: int) -> None:
    reply = wire.tycoon.pack_play_script_reply(records)
    frame = read_all_ways(wire.tycoon.read_play_script_reply, reply, step)
    assert wire.tycoon.decode_play_script(frame, False, None) == records


@given(stamp=st.integers(0, 2**64 - 1), message=st.none() | BLOB, step=STEP)
def test_updates(wire: Wire, stamp: int, message: bytes | None, step: int) -> None:
    update = wire.tycoon.Update(stamp, message)
    packed = wire.tycoon.pack_update(update)
    assert read_all_ways(wire.tycoon.read_update, packed, step) == update


def test_replication_reply(wire: Wire) -> None:
    reader = wire.tycoon.read_replication_reply
    assert read_all_ways(reader, wire.tycoon.REPLICATION_REPLY, 1) is True


@pytest.mark.parametrize(
    "verb", ["get", "get_bulk", "set_bulk", "remove_bulk", "play_script", "replication"]
)
def test_error_reply(wire: Wire, verb: str) -> None:
    reader = getattr(wire.tycoon, f"read_{verb}_reply")
    for value, end in (
        feed(reader, wire.tycoon.ERROR_REPLY, 1),
        reader(wire.tycoon.ERROR_REPLY + b"\xba", 0),
    ):
        assert isinstance(value, ServerError)
        assert (value.code, end) == (None, 1)


# ------------------------------------------------------------------------------- keys and values


@given(records=st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=8))
def test_text(wire: Wire, records: dict[str, str]) -> None:
    request = wire.tycoon.pack_set_bulk(records, 0, 1, TEXT)
    asked = read(wire.tycoon.read_set_bulk, request)
    reply = wire.tycoon.pack_get_bulk_reply(asked.records)
    assert wire.tycoon.decode_get_bulk(reply, True, TEXT) == records


def test_text_of_numbers_and_bytes(wire: Wire) -> None:
    values = {"i": -17, "f": 1.5, "b": b"\xff", "a": bytearray(b"x"), "m": memoryview(b"yz")}
    request = wire.tycoon.pack_set_bulk(values, 0, 1, TEXT)
    stored = {key: value for _, key, value, _ in read(wire.tycoon.read_set_bulk, request).records}
    assert stored == {b"i": b"-17", b"f": b"1.5", b"b": b"\xff", b"a": b"x", b"m": b"yz"}


def test_a_callable_turns_values(wire: Wire) -> None:
    request = wire.tycoon.pack_play_script("f", {"a": 7}, lambda value: b"<%d>" % value)
    assert read(wire.tycoon.read_play_script, request).records == {b"a": b"<7>"}
    reply = wire.tycoon.pack_play_script_reply({b"a": b"7"})
    assert wire.tycoon.decode_play_script(reply, True, int) == {"a": 7}


@given(key=BLOB)
def test_keys_that_are_not_utf8_survive(wire: Wire, key: bytes) -> None:
    text = wire.codec.decode_key(key, True)
    assert isinstance(text, str)
    assert wire.codec.encode_key(text) == key
    assert wire.codec.decode_key(key, False) == key


def test_keys_may_be_any_kind_of_bytes(wire: Wire) -> None:
    for key in (b"k", bytearray(b"k"), memoryview(b"k"), "k"):
        assert wire.codec.encode_key(key) == b"k"


@pytest.mark.parametrize("value", [None, True, [], object()])
def test_values_that_are_no_text(wire: Wire, value: object) -> None:
    with pytest.raises(ValueFailure) as caught:
        wire.tycoon.pack_set_bulk({"good": "x", "bad": value}, 0, 1, TEXT)
    assert caught.value.key == "bad"
    assert isinstance(caught.value.__cause__, TypeError)


@pytest.mark.parametrize(
    "dumps", [None, TEXT, lambda _: "not bytes", lambda _: 1 / 0, lambda _: None]
)
def test_values_that_do_not_encode_name_their_key(wire: Wire, dumps: Any) -> None:
    for pack in (
        lambda: wire.tycoon.pack_set_bulk({b"k": "\ud800"}, 0, 1, dumps),
        lambda: wire.tycoon.pack_set_bulk_details([(0, b"k", "\ud800", 1)], dumps),
        lambda: wire.tycoon.pack_play_script("f", {b"k": "\ud800"}, dumps),
        lambda: wire.codec.dump_value("\ud800", dumps, b"k"),
    ):
        with pytest.raises(ValueFailure) as caught:
            pack()
        assert caught.value.key == b"k"
        assert caught.value.__cause__ is not None


@pytest.mark.parametrize("loads", [TEXT, int])
def test_values_that_do_not_decode_name_their_key(wire: Wire, loads: Any) -> None:
    frame = wire.tycoon.pack_get_bulk_reply([(0, b"a", b"1", 5), (0, b"b", b"\xff", 5)])
    script = wire.tycoon.pack_play_script_reply({b"a": b"1", b"b": b"\xff"})
    for decode in (
        lambda: wire.tycoon.decode_get_bulk(frame, True, loads),
        lambda: wire.tycoon.decode_get_bulk_details(frame, True, loads),
        lambda: wire.tycoon.decode_play_script(script, True, loads),
        lambda: wire.codec.load_value(b"\xff", loads, "b"),
    ):
        with pytest.raises(ValueFailure) as caught:
            decode()
        assert caught.value.key == "b"
        assert isinstance(caught.value.__cause__, ValueError)


# ----------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    "pack",
    [
        lambda tycoon: tycoon.pack_get(17, 0),
        lambda tycoon: tycoon.pack_get(None, 0),
        lambda tycoon: tycoon.pack_get("k", -1),
        lambda tycoon: tycoon.pack_get("k", 0x10000),
        lambda tycoon: tycoon.pack_get("k", "0"),
        lambda tycoon: tycoon.pack_get("k", None),
        lambda tycoon: tycoon.pack_get("k", 1.0),
        lambda tycoon: tycoon.pack_get("\ud800", 0),
        lambda tycoon: tycoon.pack_remove("k", 0, -1),
        lambda tycoon: tycoon.pack_set("k", b"v", 0, 2**63),
        lambda tycoon: tycoon.pack_set("k", b"v", 0, 1.5),
        lambda tycoon: tycoon.pack_set("k", b"v", 0, 1, 2**32),
        lambda tycoon: tycoon.pack_get_bulk(["k", 17], 0),
        lambda tycoon: tycoon.pack_get_bulk(["k"], 0x10000),
        lambda tycoon: tycoon.pack_get_bulk([], 0x10000),
        lambda tycoon: tycoon.pack_get_bulk_details([(0x10000, "k")]),
        lambda tycoon: tycoon.pack_set_bulk({"k": b"v"}, 0x10000, 1, None),
        lambda tycoon: tycoon.pack_set_bulk({"k": b"v"}, 0, -(2**63) - 1, None),
        lambda tycoon: tycoon.pack_set_bulk({17: b"v"}, 0, 1, None),
        lambda tycoon: tycoon.pack_set_bulk({}, 0, 2**63, None),
        lambda tycoon: tycoon.pack_set_bulk({}, 0, 1, None, -1),
        lambda tycoon: tycoon.pack_set_bulk_details([(0, "k", b"v", 2**63)], None),
        lambda tycoon: tycoon.pack_remove_bulk(["k"], 0, 2**32),
        lambda tycoon: tycoon.pack_play_script(17, {}, None),
        lambda tycoon: tycoon.pack_play_script("f", {None: b""}, None),
        lambda tycoon: tycoon.pack_replication(-1, 0),
    ],
)
def test_what_cannot_be_sent_is_refused(wire: Wire, pack: Callable[[Any], bytes]) -> None:
    with pytest.raises(ArgumentError):
        pack(wire.tycoon)


HUGE = (2**28 + 1).to_bytes(4)
ONE = (1).to_bytes(4)


@pytest.mark.parametrize(
    ("reader", "data"),
    [
        ("get_reply", b"HTTP/1.1 200 OK\r\n"),
        ("get_reply", b"\xb8"),
        ("get_reply", b"\xba\0\0\0\2"),
        ("get_reply", b"\xba" + ONE + bytes(2) + HUGE + bytes(12)),
        ("get_reply", b"\xba" + ONE + bytes(6) + HUGE + bytes(8)),
        ("set_bulk_reply", b"\xb9"),
        ("remove_bulk_reply", b"\0"),
        ("get_bulk_reply", b"\xb4"),
        ("get_bulk_reply", b"\xba" + ONE + bytes(2) + HUGE + bytes(12)),
        ("get_bulk_reply", b"\xba" + ONE + bytes(6) + HUGE + bytes(8)),
        ("play_script_reply", b"\xba"),
        ("play_script_reply", b"\xb4" + ONE + HUGE + bytes(4)),
        ("play_script_reply", b"\xb4" + ONE + bytes(4) + HUGE),
        ("replication_reply", b"\xb0"),
        ("update", b"\xbf"),
        ("update", b"\xb1" + bytes(8) + b"\xff\xff\xff\xff"),
        ("get_bulk", b"\xb8"),
        ("get_bulk", b"\xba" + bytes(4) + ONE + bytes(2) + HUGE),
        ("set_bulk", b"GET"),
        ("set_bulk", b"\xb8" + bytes(4) + ONE + bytes(6) + HUGE + bytes(8)),
        ("remove_bulk", b"\xba"),
        ("remove_bulk", b"\xb9" + bytes(4) + ONE + bytes(2) + HUGE),
        ("play_script", b"\xb8"),
        ("play_script", b"\xb4" + bytes(4) + HUGE + ONE),
        ("play_script", b"\xb4" + bytes(8) + ONE + HUGE + bytes(4)),
        ("replication", b"\xb0"),
    ],
)
def test_what_cannot_be_is_refused_at_once(wire: Wire, reader: str, data: bytes) -> None:
    with pytest.raises(ProtocolError):
        getattr(wire.tycoon, f"read_{reader}")(data, 0)


@pytest.mark.parametrize(
    ("reader", "head", "record"),
    [
        ("get_bulk_reply", b"\xba", 18),
        ("play_script_reply", b"\xb4", 8),
        ("get_bulk", b"\xba\0\0\0\0", 6),
        ("set_bulk", b"\xb8\0\0\0\0", 18),
        ("remove_bulk", b"\xb9\0\0\0\0", 6),
        ("play_script", b"\xb4\0\0\0\0\0\0\0\0", 8),
    ],
)
def test_counts_are_not_believed(wire: Wire, reader: str, head: bytes, record: int) -> None:
    outcome = getattr(wire.tycoon, f"read_{reader}")(head + b"\xff\xff\xff\xff", 0)
    assert isinstance(outcome, Incomplete)
    assert outcome.need == len(head) + 4 + record


def test_need_is_exact_when_sizes_are_known(wire: Wire) -> None:
    reply = wire.tycoon.pack_get_bulk_reply([(0, b"key", bytes(1000), 5)])
    for reader in (wire.tycoon.read_get_reply, wire.tycoon.read_get_bulk_reply):
        outcome = reader(reply[:30], 0)
        assert isinstance(outcome, Incomplete)
        assert outcome.need == len(reply)


READERS = [
    *(f"read_{verb}_reply" for verb in ("get", "get_bulk", "set_bulk", "remove_bulk")),
    *("read_play_script_reply", "read_replication_reply", "read_update"),
    *(f"read_{verb}" for verb in ("get_bulk", "set_bulk", "remove_bulk", "play_script")),
    "read_replication",
]


@pytest.mark.parametrize("reader", READERS)
@given(data=st.data())
def test_any_bytes_are_read_or_refused(wire: Wire, reader: str, data: st.DataObject) -> None:
    first = data.draw(st.sampled_from([b"", b"\xb4", b"\xb8", b"\xb9", b"\xba", b"\xb1", b"\xb0"]))
    small = st.sampled_from([0, 0, 0, 0, 1, 2, 3, 255])
    rest = data.draw(st.lists(small, max_size=60).map(bytes) | st.binary(max_size=60))
    message = first + rest
    try:
        outcome = getattr(wire.tycoon, reader)(message, 0)
    except ProtocolError:
        return
    if isinstance(outcome, Incomplete):
        assert outcome.need > len(message)
    else:
        assert 0 < outcome[1] <= len(message)
