"""Tokyo Tyrant's protocol: what is packed is read back, however the bytes arrive."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kt.errors import ArgumentError, ProtocolError, ServerError
from kt.wire import tyrant, tyrant_commands, tyrant_server
from kt.wire.reading import Incomplete, Reader
from kt.wire.values import TEXT, ValueFailure

BLOB = st.binary(max_size=40)
BLOBS = st.lists(BLOB, max_size=8)
RECORDS = st.dictionaries(BLOB, BLOB, max_size=8)
U32 = st.integers(0, 2**32 - 1)
WIDTH = st.integers(0, 2**31 - 1)
I32 = st.integers(-(2**31), 2**31 - 1)
U64 = st.integers(0, 2**64 - 1)
REAL = st.floats(-1e15, 1e15) | st.sampled_from([math.inf, -math.inf])
FLAG = st.booleans()


class Case(NamedTuple):
    """How a message is packed and read: arguments for `pack`, and what `read` makes of them."""

    pack: Callable[..., bytes]
    read: Reader[Any]
    arguments: st.SearchStrategy[tuple[Any, ...]]
    expected: Callable[..., Any]


def bare(request: bytes) -> Callable[[], bytes]:
    return lambda: request


def same(*arguments: Any) -> Any:
    """The arguments as they are read back."""
    return arguments[0] if len(arguments) == 1 else arguments


def nothing() -> None:
    return None


server = tyrant_server
KEY = st.tuples(BLOB)
RECORD = st.tuples(BLOB, BLOB)
NO_ARGUMENTS = st.just(())

REQUESTS = {
    "put": Case(tyrant.pack_put, server.read_put, RECORD, same),
    "putkeep": Case(tyrant.pack_putkeep, server.read_putkeep, RECORD, same),
    "putcat": Case(tyrant.pack_putcat, server.read_putcat, RECORD, same),
    "putshl": Case(tyrant.pack_putshl, server.read_putshl, st.tuples(BLOB, BLOB, WIDTH), same),
    "putnr": Case(tyrant.pack_putnr, server.read_putnr, RECORD, same),
    "out": Case(tyrant.pack_out, server.read_out, KEY, same),
    "get": Case(tyrant.pack_get, server.read_get, KEY, same),
    "mget": Case(tyrant.pack_mget, server.read_mget, st.tuples(BLOBS), same),
    "vsiz": Case(tyrant.pack_vsiz, server.read_vsiz, KEY, same),
    "iterinit": Case(bare(tyrant.ITERINIT_REQUEST), server.read_iterinit, NO_ARGUMENTS, nothing),
    "iternext": Case(bare(tyrant.ITERNEXT_REQUEST), server.read_iternext, NO_ARGUMENTS, nothing),
    "fwmkeys": Case(tyrant.pack_fwmkeys, server.read_fwmkeys, st.tuples(BLOB, I32), same),
    "addint": Case(tyrant.pack_addint, server.read_addint, st.tuples(BLOB, I32), same),
    "ext": Case(tyrant.pack_ext, server.read_ext, st.tuples(BLOB, BLOB, BLOB, U32), same),
    "sync": Case(bare(tyrant.SYNC_REQUEST), server.read_sync, NO_ARGUMENTS, nothing),
    "optimize": Case(tyrant.pack_optimize, server.read_optimize, KEY, same),
    "vanish": Case(bare(tyrant.VANISH_REQUEST), server.read_vanish, NO_ARGUMENTS, nothing),
    "copy": Case(tyrant.pack_copy, server.read_copy, KEY, same),
    "restore": Case(tyrant.pack_restore, server.read_restore, st.tuples(BLOB, U64, U32), same),
    "setmst": Case(tyrant.pack_setmst, server.read_setmst, st.tuples(BLOB, U32, U64, U32), same),
    "rnum": Case(bare(tyrant.RNUM_REQUEST), server.read_rnum, NO_ARGUMENTS, nothing),
    "size": Case(bare(tyrant.SIZE_REQUEST), server.read_size, NO_ARGUMENTS, nothing),
    "stat": Case(bare(tyrant.STAT_REQUEST), server.read_stat, NO_ARGUMENTS, nothing),
    "misc": Case(tyrant.pack_misc, server.read_misc, st.tuples(BLOB, BLOBS, U32), same),
    "misc_pairs": Case(
        lambda name, records: tyrant.pack_misc_pairs(name, records, None, 1),
        server.read_misc,
        st.tuples(BLOB, RECORDS),
        lambda name, records: (name, [item for pair in records.items() for item in pair], 1),
    ),
    "repl": Case(tyrant.pack_repl, server.read_repl, st.tuples(U64, U32), same),
}

MAYBE_BLOB = st.tuples(st.none() | BLOB)


def done(ok: bool) -> bool | None:
    """True, or None for a `ServerError`."""
    return ok or None


REPLIES = {
    "put": Case(server.pack_put_reply, tyrant.read_put_reply, st.tuples(FLAG), done),
    "putkeep": Case(server.pack_putkeep_reply, tyrant.read_putkeep_reply, st.tuples(FLAG), same),
    "putcat": Case(server.pack_putcat_reply, tyrant.read_putcat_reply, st.tuples(FLAG), done),
    "putshl": Case(server.pack_putshl_reply, tyrant.read_putshl_reply, st.tuples(FLAG), done),
    "out": Case(server.pack_out_reply, tyrant.read_out_reply, st.tuples(FLAG), same),
    "get": Case(server.pack_get_reply, tyrant.read_get_reply, MAYBE_BLOB, same),
    "vsiz": Case(server.pack_vsiz_reply, tyrant.read_vsiz_reply, st.tuples(st.none() | U32), same),
    "iterinit": Case(server.pack_iterinit_reply, tyrant.read_iterinit_reply, st.tuples(FLAG), same),
    "iternext": Case(server.pack_iternext_reply, tyrant.read_iternext_reply, MAYBE_BLOB, same),
    "addint": Case(
        server.pack_addint_reply, tyrant.read_addint_reply, st.tuples(st.none() | I32), same
    ),
    "ext": Case(server.pack_ext_reply, tyrant.read_ext_reply, MAYBE_BLOB, same),
    "sync": Case(server.pack_sync_reply, tyrant.read_sync_reply, st.tuples(FLAG), done),
    "optimize": Case(server.pack_optimize_reply, tyrant.read_optimize_reply, st.tuples(FLAG), done),
    "vanish": Case(server.pack_vanish_reply, tyrant.read_vanish_reply, st.tuples(FLAG), done),
    "copy": Case(server.pack_copy_reply, tyrant.read_copy_reply, st.tuples(FLAG), done),
    "restore": Case(server.pack_restore_reply, tyrant.read_restore_reply, st.tuples(FLAG), done),
    "setmst": Case(server.pack_setmst_reply, tyrant.read_setmst_reply, st.tuples(FLAG), done),
    "rnum": Case(server.pack_rnum_reply, tyrant.read_rnum_reply, st.tuples(U64), same),
    "size": Case(server.pack_size_reply, tyrant.read_size_reply, st.tuples(U64), same),
    "stat": Case(server.pack_stat_reply, tyrant.read_stat_reply, st.tuples(BLOB), same),
    "repl": Case(server.pack_repl_reply, tyrant.read_repl_reply, st.tuples(U32), same),
    "update": Case(
        server.pack_update,
        tyrant.read_update,
        st.tuples(st.none() | st.builds(tyrant.Update, U64, U32, BLOB)),
        same,
    ),
}


def feed(reader: Reader[Any], data: bytes, step: int, prefix: int = 0) -> tuple[Any, int]:
    """What `reader` makes of `data` when `step` more bytes arrive each time.

    Checks what `kt.wire.reading` promises: `need` is more than there is, and never too much.
    """
    for received in range(prefix, len(data) + step, step):
        outcome = reader(bytearray(data[:received]), prefix)
        if not isinstance(outcome, Incomplete):
            return outcome
        assert received - prefix < outcome.need <= len(data) - prefix
        reader = outcome.resume
    raise AssertionError("the whole message is incomplete")


def check(reader: Reader[Any], message: bytes, expected: Any, step: int) -> None:
    """The reader finds `expected` in the message, however it arrives."""

    def plain(value: Any) -> Any:
        return None if isinstance(value, ServerError) else value

    size = len(message)
    value, end = reader(message, 0)
    assert (plain(value), end) == (expected, size)
    value, end = reader(b"before" + message + b"\1after", 6)
    assert (plain(value), end) == (expected, size + 6)
    value, end = feed(reader, b"before" + message, step, prefix=6)
    assert (plain(value), end) == (expected, size + 6)


@pytest.mark.parametrize("command", REQUESTS)
@given(data=st.data(), step=st.integers(1, 7))
def test_requests_are_read_as_packed(command: str, data: st.DataObject, step: int) -> None:
    case = REQUESTS[command]
    arguments = data.draw(case.arguments)
    for reader in (case.read, tyrant_server.read_request):
        check(reader, case.pack(*arguments), case.expected(*arguments), step)


@pytest.mark.parametrize("command", REPLIES)
@given(data=st.data(), step=st.integers(1, 7))
def test_replies_are_read_as_packed(command: str, data: st.DataObject, step: int) -> None:
    case = REPLIES[command]
    arguments = data.draw(case.arguments)
    check(case.read, case.pack(*arguments), case.expected(*arguments), step)


@given(key=BLOB, n=REAL, step=st.integers(1, 7))
def test_adddouble(key: bytes, n: float, step: int) -> None:
    request = tyrant.pack_adddouble(key, n)
    read, _ = feed(tyrant_server.read_adddouble, request, step)
    assert read.key == key
    assert read.n == pytest.approx(n, abs=1e-12, rel=1e-15)
    total, _ = feed(tyrant.read_adddouble_reply, tyrant_server.pack_adddouble_reply(n), step)
    assert total == pytest.approx(n, abs=1e-12, rel=1e-15)


def test_adddouble_of_nan() -> None:
    reply = tyrant_server.pack_adddouble_reply(math.nan)
    assert math.isnan(tyrant.read_adddouble_reply(reply, 0)[0])  # type: ignore[index, arg-type]


@given(records=RECORDS, step=st.integers(1, 7))
def test_mget_reply(records: dict[bytes, bytes], step: int) -> None:
    frame, _ = feed(tyrant.read_mget_reply, tyrant_server.pack_mget_reply(records.items()), step)
    assert tyrant.decode_mget(frame, False, None) == records


@given(items=BLOBS, step=st.integers(1, 7))
def test_fwmkeys_reply(items: list[bytes], step: int) -> None:
    frame, _ = feed(tyrant.read_fwmkeys_reply, tyrant_server.pack_fwmkeys_reply(items), step)
    assert tyrant.decode_fwmkeys(frame, False) == items
    assert [
        key.encode("utf-8", "surrogateescape") for key in tyrant.decode_fwmkeys(frame, True)
    ] == items


@given(items=st.none() | BLOBS, step=st.integers(1, 7))
def test_misc_reply(items: list[bytes] | None, step: int) -> None:
    frame, _ = feed(tyrant.read_misc_reply, tyrant_server.pack_misc_reply(items), step)
    assert (frame if items is None else tyrant.decode_misc(frame, False)) == items


@given(texts=st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9)), max_size=5))
def test_misc_reply_of_pairs(texts: list[tuple[str, str]]) -> None:
    reply = tyrant_server.pack_misc_reply([text for pair in texts for text in pair])
    frame, _ = tyrant.read_misc_reply(reply, 0)  # type: ignore[misc]
    assert frame is not None
    assert tyrant.decode_misc_pairs(frame, True, TEXT) == texts


def test_misc_reply_of_pairs_that_are_odd() -> None:
    with pytest.raises(ProtocolError, match="3 elements"):
        tyrant.decode_misc_pairs(tyrant_server.pack_misc_reply(["a", "b", "c"]), True, TEXT)


@given(records=RECORDS, step=st.integers(1, 7))
def test_put_each(records: dict[bytes, bytes], step: int) -> None:
    requests = tyrant.pack_put_each(records, None)
    assert requests == b"".join(tyrant.pack_put(*record) for record in records.items())
    reader = tyrant.read_put_each_reply(len(records))
    assert feed(reader, bytes(len(records)), step) == (True, len(records))
    if records:
        assert feed(reader, bytes(len(records) - 1) + b"\1", step)[0] is False


def test_stat_is_decoded() -> None:
    blob = b"version\t1.1.41\npath\ta\tb\nodd line\n\n"
    assert tyrant.decode_stat(blob) == {"version": "1.1.41", "path": "a\tb"}


def test_a_list_follows_failure_too() -> None:
    value, end = tyrant.read_mget_reply(b"\1\0\0\0\0rest", 0)  # type: ignore[misc]
    assert isinstance(value, ServerError)
    assert (value.code, end) == (1, 5)


def test_values_that_do_not_encode_name_their_key() -> None:
    with pytest.raises(ValueFailure) as caught:
        tyrant.pack_misc_pairs("putlist", {"a": "x", "b": None}, TEXT)
    assert caught.value.key == "b"
    with pytest.raises(ValueFailure) as caught:
        tyrant.pack_put_each({b"a": b"x", b"b": 7}, None)
    assert caught.value.key == b"b"


def test_values_that_do_not_decode_name_their_key() -> None:
    frame = tyrant_server.pack_misc_reply([b"a", b"x", b"b", b"\xff"])
    with pytest.raises(ValueFailure) as caught:
        tyrant.decode_misc_pairs(frame, True, TEXT)
    assert caught.value.key == "b"


@pytest.mark.parametrize(
    "pack",
    [
        lambda: tyrant.pack_addint("n", 2**31),
        lambda: tyrant.pack_putshl("k", b"v", -1),
        lambda: tyrant.pack_fwmkeys("", 2**31),
        lambda: tyrant.pack_restore("p", -1),
        lambda: tyrant.pack_adddouble("n", 1e300),
        lambda: tyrant.pack_misc("x" * 1024, []),
        lambda: tyrant.pack_get(17),  # type: ignore[arg-type]
        lambda: tyrant.pack_mget([17]),  # type: ignore[list-item]
    ],
)
def test_what_cannot_be_sent_is_refused(pack: Callable[[], bytes]) -> None:
    with pytest.raises(ArgumentError):
        pack()


HUGE = b"\x7f\xff\xff\xff"


@pytest.mark.parametrize(
    ("reader", "data"),
    [
        (tyrant.read_put_reply, b"\2"),
        (tyrant.read_get_reply, b"H"),
        (tyrant.read_get_reply, b"HTTP/1.1 400"),
        (tyrant.read_get_reply, b"\0" + HUGE),
        (tyrant.read_mget_reply, b"\0\0\0\0\1" + HUGE + b"\0\0\0\0"),
        (tyrant.read_mget_reply, b"\7"),
        (tyrant.read_fwmkeys_reply, b"\0\0\0\0\1" + HUGE),
        (tyrant.read_misc_reply, b"\0\xff\xff\xff\xff" + HUGE),
        (tyrant.read_stat_reply, b"\0" + HUGE),
        (tyrant.read_update, b"\0"),
        (tyrant.read_update, b"\xc9" + bytes(12) + HUGE),
        (tyrant.read_put_each_reply(3), b"\0\2"),
        (tyrant_server.read_request, b"\xb8\x10"),
        (tyrant_server.read_request, b"\xc8\x0f"),
        (tyrant_server.read_put, b"\xb8"),
        (tyrant_server.read_put, b"\xc8\x30"),
        (tyrant_server.read_put, b"\xc8\x10" + HUGE + bytes(4)),
        (tyrant_server.read_putshl, b"\xc8\x13" + bytes(8) + b"\xff\xff\xff\xff"),
        (tyrant_server.read_mget, b"\xc8\x31" + HUGE),
        (tyrant_server.read_misc, b"\xc8\x90" + HUGE + bytes(8)),
        (tyrant_server.read_misc, b"\xc8\x90" + bytes(8) + b"\0\0\0\1" + HUGE),
    ],
)
def test_impossible_messages_are_refused_at_once(reader: Reader[Any], data: bytes) -> None:
    with pytest.raises(ProtocolError):
        reader(data, 0)


def test_counts_are_not_believed() -> None:
    outcome = tyrant.read_misc_reply(b"\0\xff\xff\xff\xff", 0)
    assert isinstance(outcome, Incomplete)
    assert outcome.need == 9


READERS = [case.read for case in (*REQUESTS.values(), *REPLIES.values())] + [
    tyrant.read_mget_reply,
    tyrant.read_fwmkeys_reply,
    tyrant.read_misc_reply,
    tyrant.read_adddouble_reply,
    tyrant_server.read_adddouble,
]


@given(data=st.binary(max_size=60), command=st.sampled_from([0, *range(0x10, 0xA1)]))
def test_any_bytes_are_read_or_refused(data: bytes, command: int) -> None:
    for prefix in (b"", b"\0", bytes((tyrant_commands.MAGIC, command))):
        for reader in READERS:
            try:
                outcome = reader(prefix + data, 0)
            except ProtocolError:
                continue
            if isinstance(outcome, Incomplete):
                assert outcome.need > 0
            else:
                assert 0 < outcome[1] <= len(prefix + data)
