from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kt.errors import ImproperlyConfigured, ProtocolError
from kt.wire.log import snapshots
from kt.wire.log.snapshots import Compressor, Header, Stored

from .feeding import read, read_all_ways

SMALL = st.binary(max_size=300)
STEPS = st.integers(1, 400)
I64 = st.integers(-(2**63), 2**63 - 1)

compressors = pytest.mark.parametrize("compressor", Compressor, ids=lambda c: c.name.lower())


def need(compressor: Compressor) -> None:
    if compressor is Compressor.LZO:
        pytest.importorskip("lzallright", reason="the package lzallright is not installed")


def hashed(data: bytes) -> int:
    """Kyoto Cabinet's MurmurHash64A, its low half."""
    mul, mask = 0xC6A4A7935BD1E995, 2**64 - 1
    value = (19780211 ^ len(data) * mul) & mask
    whole = len(data) // 8 * 8
    for at in range(0, whole, 8):
        number = int.from_bytes(data[at : at + 8], "little") * mul & mask
        number = (number ^ number >> 47) * mul & mask
        value = value * mul & mask ^ number
    if whole < len(data):
        value = (value ^ int.from_bytes(data[whole:], "little")) * mul & mask
    value = (value ^ value >> 47) * mul & mask
    return (value ^ value >> 47) & 0xFFFFFFFF


@compressors
def test_the_check_tells_the_compressor(compressor: Compressor) -> None:
    need(compressor)
    if compressor is Compressor.NONE:
        assert compressor.value == 0
    else:
        assert hashed(snapshots.compress(snapshots.MAGIC, compressor)) == compressor.value


@given(st.sampled_from(Compressor), st.integers(0, 2**64 - 1), I64, I64, STEPS)
def test_a_header_is_read_as_packed(
    compressor: Compressor, stamp: int, records: int, size: int, step: int
) -> None:
    header = Header(compressor, stamp, records, size)
    assert read_all_ways(snapshots.read_header, snapshots.pack_header(header), step) == header


@given(SMALL, SMALL, STEPS)
def test_a_record_is_read_as_packed(key: bytes, stored: bytes, step: int) -> None:
    record = Stored(key, stored)
    assert read_all_ways(snapshots.read_stored, snapshots.pack_stored(record), step) == record


@compressors
@given(records=st.lists(st.builds(Stored, SMALL, SMALL), max_size=20))
def test_blocks_are_read_as_packed(compressor: Compressor, records: list[Stored]) -> None:
    need(compressor)
    data = b"".join(snapshots.pack_records(records, compressor))
    found, at = [], 0
    while at < len(data):
        if compressor is Compressor.NONE:
            record, at = snapshots.read_stored(data, at)  # type: ignore[misc]
            found.append(record)
        else:
            block, at = snapshots.read_block(data, at)  # type: ignore[misc]
            found += snapshots.decode_block(block, compressor)
    assert found == records


@compressors
def test_a_block_ends_with_the_record_that_fills_it(compressor: Compressor) -> None:
    need(compressor)
    records = [Stored(b"key", bytes(300_000))] * 5
    pieces = list(snapshots.pack_records(records, compressor))
    assert len(pieces) == 2
    if compressor is not Compressor.NONE:
        blocks = [read(snapshots.read_block, piece) for piece in pieces]
        assert [len(snapshots.decode_block(block, compressor)) for block in blocks] == [4, 1]


@compressors
def test_a_block_that_is_cut_does_not_decompress(compressor: Compressor) -> None:
    need(compressor)
    records = [Stored(b"key%d" % n, b"value") for n in range(100)]
    block = snapshots.compress(b"".join(map(snapshots.pack_stored, records)), compressor)
    for size in range(1, len(block) - 1):
        try:
            found = snapshots.decode_block(block[:size], compressor)
        except ProtocolError:
            continue
        assert found == records[: len(found)]  # the cut is between two records
        assert len(found) < len(records)


def test_without_the_package_for_lzo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lzallright", None)
    with pytest.raises(ImproperlyConfigured, match=r"kyototycoon\[lzo\]"):
        snapshots.decompress(b"x", Compressor.LZO)


@pytest.mark.parametrize("data", [b"KTSX", b"KTSS\n\0" + b"\1" + bytes(27)])
def test_no_header(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        read(snapshots.read_header, data)


@pytest.mark.parametrize("data", [b"\xcd", b"\xcc" + b"\xff" * 20, b"\xcc\x83\xff\xff\xff\x7f\0"])
def test_no_record(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        read(snapshots.read_stored, data)
