from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kt.errors import ArgumentError, ProtocolError
from kt.types import Change, What
from kt.wire import tycoon as stream
from kt.wire.log import tycoon

from .feeding import read, read_all_ways
from .log_material import DATA, lines, load, tycoon_change

SMALL = st.binary(max_size=300)
STAMPS = st.integers(0, tycoon.STAMP_MAX)
U16 = st.integers(0, 0xFFFF)
STEPS = st.integers(1, 400)
EXPIRY = st.none() | st.integers(0, tycoon.NO_EXPIRY - 1)
CODES = st.integers(0, 255).filter(lambda code: code not in (0xA1, 0xA2, 0xA5))

CHANGES = st.one_of(
    st.tuples(st.just(What.SET), STAMPS, U16, U16, SMALL, SMALL, EXPIRY),
    st.tuples(st.just(What.REMOVE), STAMPS, U16, U16, SMALL),
    st.tuples(st.just(What.CLEAR), STAMPS, U16, U16),
    st.tuples(
        st.just(What.OTHER), STAMPS, U16, U16, *[st.none()] * 3, CODES, st.none(), st.tuples(SMALL)
    ),
).map(lambda parts: Change(*parts))


@given(CHANGES, STEPS)
def test_a_change_is_read_as_packed(change: Change[bytes, bytes], step: int) -> None:
    record = read_all_ways(tycoon.read_record, tycoon.pack_change(change), step)
    assert tycoon.decode_message(record) == change


@given(CHANGES, STEPS)
def test_a_change_travels_in_a_stream(change: Change[bytes, bytes], step: int) -> None:
    update = stream.Update(change.stamp, tycoon.pack_message(change))
    stamp, message = read_all_ways(stream.read_update, stream.pack_update(update), step)
    assert tycoon.decode_message(tycoon.Record(stamp, message)) == change


@given(CHANGES)
def test_a_database_without_expiry(change: Change[bytes, bytes]) -> None:
    change = change._replace(expiry=None)
    record = tycoon.Record(change.stamp, tycoon.pack_message(change, persistent=True))
    assert tycoon.decode_message(record, persistent=True) == change


@given(st.integers(tycoon.HEADER_SIZE, 2**64 - 1), STAMPS, STEPS)
def test_a_header_is_read_as_packed(size: int, newest: int, step: int) -> None:
    header = tycoon.Header(size, newest)
    assert read_all_ways(tycoon.read_header, tycoon.pack_header(header), step) == header


@given(st.integers(0, 2**63))
def test_varnum(number: int) -> None:
    packed = tycoon.pack_varnum(number)
    assert tycoon.read_varnum(packed, 0) == (number, len(packed))
    assert len(packed) == max(1, -(-number.bit_length() // 7))


@given(CHANGES, st.data())
def test_a_message_that_is_cut_is_none(change: Change[bytes, bytes], data: st.DataObject) -> None:
    message = tycoon.pack_message(change)
    size = data.draw(st.integers(0, len(message) - 1))
    try:
        cut = tycoon.decode_message(tycoon.Record(change.stamp, message[:size]))
    except ProtocolError:
        return
    assert cut.what is What.OTHER


def test_recorded_log() -> None:
    data = (DATA / "tycoon/all-kinds/0000000001.ulog").read_bytes()
    header, at = tycoon.read_header(data, 0)  # type: ignore[misc]
    assert header.size == len(data)
    packed, found = tycoon.pack_header(header), []
    while at < len(data):
        record, at = tycoon.read_record(data, at)  # type: ignore[misc]
        persistent = int.from_bytes(record.message[2:4]) == 2
        found.append(tycoon.decode_message(record, persistent=persistent))
        packed += tycoon.pack_change(found[-1], persistent=persistent)
    assert found == list(map(tycoon_change, load("tycoon/all-kinds/expected.json")))
    assert header.newest == found[-1].stamp
    assert packed == data


def test_recorded_stream() -> None:
    """Both sides of what a slave and its master say to each other."""
    streams: dict[tuple[int, str], bytes] = {}
    for line in lines("tycoon/stream.jsonl"):
        if "hex" in line:
            key = line["conn"], line["from"]
            streams[key] = streams.get(key, b"") + bytes.fromhex(line["hex"])
    assert len({connection for connection, _ in streams}) > 1
    for (_, sender), data in streams.items():
        at, packed = 0, b""
        while at < len(data):
            if sender == "slave" and not at:
                request, at = stream.read_replication(data, at)  # type: ignore[misc]
                packed += stream.pack_replication(request.since, request.server, request.flags)
            elif sender == "slave":
                _, at = tycoon.read_acknowledgement(data, at)  # type: ignore[misc]
                packed += tycoon.ACKNOWLEDGEMENT
            elif not at:
                _, at = stream.read_replication_reply(data, at)  # type: ignore[misc]
                packed += stream.REPLICATION_REPLY
            else:
                update, at = stream.read_update(data, at)  # type: ignore[misc]
                packed += stream.pack_update(update)
                if update.message:
                    record = tycoon.Record(update.stamp, update.message)
                    assert tycoon.pack_message(tycoon.decode_message(record)) == update.message
        assert packed == data


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\0\0\0\0",
        b"\0\0\0\0\xa1",
        b"\0\0\0\0\xa2\x05abc",
        b"\0\0\0\0\xa5x",
        b"\0\0\0\0\xa2" + b"\xff" * 12,
        b"\0\0\0\0\xa1\1\4kval.",
    ],
)
def test_no_message(message: bytes) -> None:
    with pytest.raises(ProtocolError):
        tycoon.decode_message(tycoon.Record(1, message))


@pytest.mark.parametrize(
    "data",
    [b"\xa0", b"\xa1" + bytes(8) + b"\xff\xff\xff\xff", b"\xa1" + bytes(12) + b"\xa1"],
)
def test_no_record(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        read(tycoon.read_record, data)


@pytest.mark.parametrize("data", [b"\xa1", b"\xa0" + bytes(16)])
def test_no_header(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        read(tycoon.read_header, data)


@pytest.mark.parametrize(
    "change",
    [
        Change(What.APPEND, 1, 1, 0, b"k", b"v"),
        Change(What.OTHER, 1, 1),
        Change(What.CLEAR, 1, 70000),
        Change(What.CLEAR, 1, 1, -1),
    ],
)
def test_what_has_no_message(change: Change[bytes, bytes]) -> None:
    with pytest.raises(ArgumentError):
        tycoon.pack_message(change)
