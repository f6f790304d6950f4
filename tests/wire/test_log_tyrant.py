from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kt.errors import ArgumentError, ProtocolError
from kt.types import Change, What
from kt.wire import tyrant as stream
from kt.wire import tyrant_server
from kt.wire.log import tyrant

from .feeding import read, read_all_ways
from .log_material import DATA, lines, load, tyrant_entry, tyrant_expected

SMALL = st.binary(max_size=300)
STAMPS = st.integers(0, tyrant.STAMP_MAX).map(lambda stamp: stamp * 1000)
U16 = st.integers(0, 0xFFFF)
STEPS = st.integers(1, 400)
HALVES = st.integers(-(2**30), 2**30).map(lambda n: n / 2)
ITEMS = st.lists(SMALL, max_size=4).map(tuple)


def changes(what: What, **parts: st.SearchStrategy[object]) -> st.SearchStrategy[Change]:
    fixed = {"what": st.just(what), "stamp": STAMPS, "sid": U16, "mid": U16}
    drawn = st.fixed_dictionaries({**fixed, "failed": st.booleans(), **parts})
    return drawn.map(lambda given: Change(**given))


CHANGES = st.one_of(
    *(changes(what, key=SMALL, value=SMALL) for what in (What.SET, What.KEEP, What.APPEND)),
    changes(What.SHIFT, key=SMALL, value=SMALL, number=st.integers(0, 2**31 - 1)),
    changes(What.REMOVE, key=SMALL),
    changes(What.ADD_INT, key=SMALL, number=st.integers(-(2**31), 2**31 - 1)),
    changes(What.ADD_DOUBLE, key=SMALL, number=HALVES),
    changes(What.CALL, name=st.binary(max_size=40), items=ITEMS),
    changes(What.OPTIMIZE, items=st.tuples(SMALL)),
    changes(What.SYNC),
    changes(What.CLEAR),
    changes(What.OTHER, number=st.just(0x42), items=st.tuples(SMALL)),
)


def pack(change: Change[bytes, bytes]) -> bytes:
    command = tyrant.pack_command(change)
    return tyrant.pack_record(tyrant.Record(change.stamp // 1000, change.sid, change.mid, command))


@given(CHANGES, STEPS)
def test_a_change_is_read_as_packed(change: Change[bytes, bytes], step: int) -> None:
    record = read_all_ways(tyrant.read_record, pack(change), step)
    assert tyrant.decode_command(record) == change


@given(CHANGES, STEPS)
def test_a_change_travels_in_a_stream(change: Change[bytes, bytes], step: int) -> None:
    update = stream.Update(change.stamp // 1000, change.sid, tyrant.pack_command(change))
    found = read_all_ways(stream.read_update, tyrant_server.pack_update(update), step)
    record = tyrant.Record(found.since, found.server, change.mid, found.request)
    assert tyrant.decode_command(record) == change


@given(CHANGES, st.data())
def test_a_command_that_is_cut_is_none(change: Change[bytes, bytes], data: st.DataObject) -> None:
    command = tyrant.pack_command(change)
    size = data.draw(st.integers(0, len(command) - 1))
    try:
        found = tyrant.decode_command(tyrant.Record(1, 1, 0, command[:size]))
    except ProtocolError:
        return
    assert found.what is What.OTHER


@pytest.mark.parametrize("name", ["all-kinds", "table"])
def test_recorded_log(name: str) -> None:
    data = (DATA / "tyrant" / name / "00000001.ulog").read_bytes()
    at, packed, found = 0, b"", []
    while at < len(data):
        record, at = tyrant.read_record(data, at)  # type: ignore[misc]
        found.append(tyrant.decode_command(record))
        packed += pack(found[-1])
    expected = map(tyrant_expected, load(f"tyrant/{name}/expected.json"))
    assert list(map(tyrant_entry, found)) == list(expected)
    assert packed == data


def test_recorded_stream() -> None:
    """Both sides of what a slave and its master say to each other."""
    streams: dict[tuple[int, str], bytes] = {}
    for line in lines("tyrant/stream.jsonl"):
        if "hex" in line:
            key = line["conn"], line["from"]
            streams[key] = streams.get(key, b"") + bytes.fromhex(line["hex"])
    for (_, sender), data in streams.items():
        if sender == "slave":
            request = read(tyrant_server.read_repl, data)
            assert stream.pack_repl(request.since, request.server) == data
            continue
        server, at = stream.read_repl_reply(data, 0)  # type: ignore[misc]
        packed = tyrant_server.pack_repl_reply(server)
        while at < len(data):
            update, at = stream.read_update(data, at)  # type: ignore[misc]
            packed += tyrant_server.pack_update(update)
            if update is not None:
                record = tyrant.Record(update.since, update.server, server, update.request)
                assert tyrant.pack_command(tyrant.decode_command(record)) == update.request
        assert packed == data


@pytest.mark.parametrize(
    "command",
    [
        b"",
        b"\xc8\x70",
        b"\xc9\x70\0",
        b"\xc8\x70\2",
        b"\xc8\x70x\0",
        b"\xc8\x20\0\0\0\5abc\0",
        b"\xc8\x20\0\0\0\2abc\0",
        b"\xc8\x90\0\0\0\1\0\0\0\1\0",
        b"\xc8\x90\0\0\0\1\0\0\0\1n\0\0\0\2a\0",
        b"\xc8\x90\xff\0\0\1\0\0\0\1n\0\0\0\1a\0",
    ],
)
def test_no_command(command: bytes) -> None:
    with pytest.raises(ProtocolError):
        tyrant.decode_command(tyrant.Record(1, 1, 0, command))


@pytest.mark.parametrize("data", [b"\xc8", b"\xc9" + bytes(12) + b"\xff\xff\xff\xff"])
def test_no_record(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        read(tyrant.read_record, data)


@pytest.mark.parametrize("change", [Change(What.SHIFT, 1, 1), Change(What.OTHER, 1, 1)])
def test_what_has_no_command(change: Change[bytes, bytes]) -> None:
    with pytest.raises(ArgumentError):
        tyrant.pack_command(change)
