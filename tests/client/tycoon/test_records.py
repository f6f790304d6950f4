# Generated from test_records_async.py by tools/async_to_sync.py: edit that one.
"""KyotoTycoon: one record at a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from kt.client.tycoon.client import KyotoTycoon
from kt.errors import ArgumentError, SerializationError, ServerError
from kt.options import Origin
from kt.serializers import KT_NONE
from kt.types import Check, ExpireTime


def test_set_and_get(tycoon: KyotoTycoon) -> None:
    db = tycoon
    assert db.set("k1", "v1") == 1
    assert db.set("k1", "v1-e") == 1
    assert db.get("k1") == "v1-e"
    assert db.get("k2") is None


def test_get_of_another_database(tycoon: KyotoTycoon) -> None:
    db = tycoon
    db.set("k", "zero")
    db.set("k", "one", db=1)
    assert (db.get("k"), db.get("k", 0), db.get("k", 1)) == (
        "zero",
        "zero",
        "one",
    )
    db.set_database(1)
    assert db.get("k") == "one"
    assert db.remove("k", 0) == 1
    assert db.get("k") == "one"


def test_set_to_a_database_that_is_not_there(tycoon: KyotoTycoon) -> None:
    assert tycoon.get("k", db=7) is None
    with pytest.raises(ServerError) as caught:
        tycoon.add("k", "v", db=7)
    assert caught.value.code == 400
    assert caught.value.message == "no such database: 7"


@pytest.mark.parametrize(
    "value", ["", "text", "naïve ☃ \U0001f600", "tab\tline\nnul\0", "x" * 70_000]
)
def test_text_survives(tycoon: KyotoTycoon, value: str) -> None:
    db = tycoon
    db.set("binary", value)
    db.add("call", value)
    assert (db.get("binary"), db.get("call")) == (value, value)
    assert db.seize("call") == value


@pytest.mark.parametrize("key", ["", "k", "ключ", "a\tb\nc\0d", "\udcff\udc80", "k" * 300])
def test_any_key_serves(tycoon: KyotoTycoon, key: str) -> None:
    db = tycoon
    db.set(key, "1")
    assert db.exists(key)
    assert db.append(key, "2")
    assert db.get(key) == "12"
    assert db.keys() == [key]
    assert db.get_bulk([key]) == {key: "12"}
    assert db.remove(key) == 1
    assert not db.exists(key)


def test_bytes_are_keys_too(tycoon: KyotoTycoon) -> None:
    tycoon.set(b"\xff\x00", "v")
    assert tycoon.get(b"\xff\x00") == "v"
    assert tycoon.get("\udcff\0") == "v"
    assert tycoon.keys() == ["\udcff\0"]


def test_keys_as_bytes(tycoon: KyotoTycoon) -> None:
    db = tycoon
    raw = KyotoTycoon(db.host, db.port, KT_NONE, decode_keys=False)
    with raw:
        raw.set("ключ", b"\xff")
        assert raw.keys() == ["ключ".encode()]
        assert raw.get_bulk(["ключ"]) == {"ключ".encode(): b"\xff"}
        assert raw.match_prefix("к") == ["ключ".encode()]


@pytest.mark.parametrize("key", [None, 1, 1.5, ["k"], "\ud800"])
def test_what_cannot_be_a_key_is_refused(tycoon: KyotoTycoon, key: str) -> None:
    with pytest.raises(ArgumentError):
        tycoon.get(key)
    with pytest.raises(ArgumentError):
        tycoon.exists(key)
    assert tycoon.ping()


@pytest.mark.parametrize("db", [-1, 2**16, "1", 1.0])
def test_what_cannot_be_a_database_is_refused(tycoon: KyotoTycoon, db: int) -> None:
    with pytest.raises(ArgumentError):
        tycoon.get("k", db)
    assert tycoon.ping()


def test_remove(tycoon: KyotoTycoon) -> None:
    tycoon.set("k", "v")
    assert tycoon.remove("k") == 1
    assert tycoon.remove("k") == 0


def test_add_and_replace(tycoon: KyotoTycoon) -> None:
    db = tycoon
    assert db.replace("k", "1") is False
    assert db.add("k", "2") is True
    assert db.add("k", "3") is False
    assert db.get("k") == "2"
    assert db.replace("k", "4") is True
    assert db.get("k") == "4"


def test_append(tycoon: KyotoTycoon) -> None:
    assert tycoon.append("k", "ab") is True
    assert tycoon.append("k", "c") is True
    assert tycoon.get("k") == "abc"


def test_exists_check_and_length(tycoon: KyotoTycoon) -> None:
    db = tycoon
    assert db.exists("k") is False
    assert db.check("k") is None
    assert db.length("k") is None
    db.set("k", "über", expire_time=datetime(2100, 1, 1, tzinfo=UTC))
    assert db.exists("k") is True
    assert db.check("k") == Check(5, datetime(2100, 1, 1, tzinfo=UTC))
    assert db.length("k") == 5
    db.set("k", "")
    assert db.check("k") == Check(0, None)


def test_seize_and_pop(tycoon: KyotoTycoon) -> None:
    db = tycoon
    db.set("a", "1")
    db.set("b", "2")
    assert (db.seize("a"), db.seize("a")) == ("1", None)
    assert (db.pop("b"), db.pop("b")) == ("2", None)


def test_cas(tycoon: KyotoTycoon) -> None:
    db = tycoon
    assert db.cas("k", "old", "new") is False
    assert db.cas("k", None, "1") is True
    assert db.cas("k", None, "2") is False
    assert db.cas("k", "2", "3") is False
    assert db.cas("k", "1", "3") is True
    assert db.get("k") == "3"
    assert db.cas("k", "3", None) is True
    assert db.exists("k") is False
    assert db.cas("k", None, None) is True


def test_incr(tycoon: KyotoTycoon) -> None:
    db = tycoon
    assert db.incr("n") == 1
    assert db.incr("n", 41) == 42
    assert db.incr("n", -50) == -8
    assert db.get_int("n") == -8
    assert db.get_bytes("n") == (-8).to_bytes(8, "big", signed=True)
    assert db.incr("m", 1, 100) == 101
    assert db.incr("m", 1, 100) == 102
    assert db.get_int("nothing") is None


def test_incr_with_another_origin(tycoon: KyotoTycoon) -> None:
    db = tycoon
    with pytest.raises(ServerError) as caught:
        db.incr("n", 1, Origin.TRY)
    assert caught.value.code == 450
    assert not db.exists("n")
    assert db.incr("n", 5, Origin.SET) == 5
    assert db.incr("n", 7, Origin.SET) == 7
    assert db.incr("n", 1, Origin.TRY) == 8


def test_incr_of_what_is_no_number(tycoon: KyotoTycoon) -> None:
    tycoon.set("k", "text")
    with pytest.raises(ServerError) as caught:
        tycoon.incr("k")
    assert caught.value.code == 450
    with pytest.raises(ServerError):
        tycoon.incr_double("k")
    with pytest.raises(SerializationError, match="'k' is no number"):
        tycoon.get_int("k")
    assert tycoon.get("k") == "text"


@pytest.mark.parametrize("n", [2**63, -(2**63) - 1, "1", 1.0, True, None])
def test_incr_takes_numbers_of_64_bits(tycoon: KyotoTycoon, n: int) -> None:
    with pytest.raises(ArgumentError):
        tycoon.incr("n", n)
    with pytest.raises(ArgumentError):
        tycoon.incr("n", 1, orig=n if n is not None else "1")
    assert not tycoon.exists("n")


def test_incr_reaches_the_limits(tycoon: KyotoTycoon) -> None:
    assert tycoon.incr("n", 2**63 - 1) == 2**63 - 1
    assert tycoon.incr("m", -(2**63) + 1) == -(2**63) + 1
    with pytest.raises(ArgumentError):  # means "try" to the server
        tycoon.incr("n", 1, orig=-(2**63))


def test_incr_double(tycoon: KyotoTycoon) -> None:
    db = tycoon
    assert db.incr_double("d") == 1.0
    assert db.incr_double("d", 0.25) == 1.25
    assert db.incr_double("d", -3) == -1.75
    assert db.get_double("d") == -1.75
    assert db.incr_double("e", 0.5, 10.0) == 10.5
    assert db.incr_double("tiny", 1.5e-7) == 0.0
    assert db.get_double("tiny") == pytest.approx(1.5e-7, abs=2e-15)
    with pytest.raises(ServerError):
        db.incr_double("f", 1.0, Origin.TRY)
    assert db.incr_double("f", 1.5, Origin.SET) == 1.5
    assert db.incr_double("f", 2.5, Origin.SET) == 2.5


@pytest.mark.parametrize("n", [float("nan"), float("inf"), 1e300, "1", True])
def test_incr_double_takes_numbers(tycoon: KyotoTycoon, n: float) -> None:
    with pytest.raises(ArgumentError):
        tycoon.incr_double("d", n)
    assert not tycoon.exists("d")


@pytest.mark.parametrize(
    "expire_time",
    [60, 60.0, 59.2, timedelta(minutes=1), timedelta(seconds=59, milliseconds=1)],
)
def test_expiry_from_now(tycoon: KyotoTycoon, expire_time: ExpireTime) -> None:
    db = tycoon
    db.set("binary", "v", expire_time=expire_time)
    db.add("call", "v", expire_time=expire_time)
    for key in ("binary", "call"):
        found = db.check(key)
        assert found is not None
        assert found.expires is not None
        left = (found.expires - datetime.now(UTC)).total_seconds()
        assert 55 < left < 62


@pytest.mark.parametrize(
    "expire_time",
    [
        -4102444800,
        datetime(2100, 1, 1, tzinfo=UTC),
        datetime(2100, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))),
        datetime(2099, 12, 31, 23, 59, 59, 1, tzinfo=UTC),
    ],
)
def test_expiry_at_a_moment(tycoon: KyotoTycoon, expire_time: ExpireTime) -> None:
    tycoon.set("k", "v", expire_time=expire_time)
    assert tycoon.check("k") == Check(1, datetime(2100, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("past", [-5, timedelta(seconds=-5), datetime(2000, 1, 1, tzinfo=UTC)])
def test_expiry_in_the_past(tycoon: KyotoTycoon, past: ExpireTime) -> None:
    tycoon.set("k", "v", expire_time=past)
    assert tycoon.get("k") is None
    assert tycoon.exists("k") is False


@pytest.mark.parametrize("expire_time", ["60", True, datetime(2100, 1, 1), float("nan")])
def test_what_is_no_expiry_is_refused(tycoon: KyotoTycoon, expire_time: ExpireTime) -> None:
    with pytest.raises(ArgumentError):
        tycoon.set("k", "v", expire_time=expire_time)
    assert not tycoon.exists("k")


def test_writing_again_clears_the_expiry(tycoon: KyotoTycoon) -> None:
    db = tycoon
    for write in (db.set, db.replace, db.append):
        db.set("k", "v", expire_time=1000)
        write("k", "w")
        found = db.check("k")
        assert found is not None
        assert found.expires is None


def test_no_reply(tycoon: KyotoTycoon) -> None:
    db = tycoon
    for number in range(300):
        key = f"k{number % 3}"
        assert db.set(key, str(number), no_reply=True) == 0
        assert db.exists(key)
        assert db.remove(key, no_reply=True) == 0
        assert not db.exists(key)


def test_a_call_sees_the_write_before_it(tycoon: KyotoTycoon) -> None:
    db = tycoon
    for number in range(300):
        assert db.set("k", str(number)) == 1
        assert db.exists("k") is True
        assert db.remove("k") == 1
        assert db.exists("k") is False


def test_a_cursor_sees_what_was_written_without_reply(tycoon: KyotoTycoon) -> None:
    db = tycoon
    for number in range(50):
        db.set_bulk({f"k{i}": str(number) for i in range(20)}, no_reply=True)
        assert set(db.values()) == {str(number)}


def test_bytes_as_they_are(tycoon: KyotoTycoon) -> None:
    db = tycoon
    data = bytes(range(256))
    assert db.set_bytes("k", data) == 1
    assert db.get_bytes("k") == data
    assert db.get_bytes("nothing") is None
    assert db.set_bytes("k", bytearray(b"x")) == 1
    assert db.get_bytes("k") == b"x"
    with pytest.raises(SerializationError):
        db.set_bytes("k", "text")


def test_a_client_without_its_context(tycoon: KyotoTycoon) -> None:
    """After `close` the next call connects again."""
    db = tycoon
    db.set("k", "v")
    db.close()
    assert db.get("k") == "v"
    db.checkin()
    assert db.get("k") == "v"


def test_another_view(tycoon: KyotoTycoon) -> None:
    db = tycoon
    view = db.using(db=1, timeout=7.5, serializer=KT_NONE)
    view.set("k", b"one")
    assert view.get("k") == b"one"
    assert (view.timeout, db.timeout) == (7.5, 30)
    assert db.get("k") is None
    assert db.get("k", 1) == "one"
    assert db.using(timeout=None).timeout is None
    assert db.using(db=1).timeout == 30
