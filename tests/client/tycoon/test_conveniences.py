# Generated from test_conveniences_async.py by tools/async_to_sync.py: edit that one.
"""KyotoTycoon: get_or, setdefault, decr, touch and ttl, pairs, and what errors tell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import inf

import pytest

from kt.client.tycoon.client import KyotoTycoon
from kt.errors import ArgumentError, ServerError
from kt.options import Origin
from kt.serializers import KT_JSON
from tests.client.peers import Conversation, Peer

HOUR = timedelta(hours=1)


def test_get_or(tycoon: KyotoTycoon) -> None:
    db = tycoon.using(serializer=KT_JSON)
    db.set("null", None)
    db.set("one", 1, db=1)
    assert db.get_or("null", 7) is None
    assert db.get_or("one", 7) == 7
    assert db.get_or("one", 7, db=1) == 1
    missing = object()
    assert db.get_or("none", missing) is missing
    with db.pipeline() as pipe:
        found = pipe.get_or("none", 3), pipe.get_or("one", 3, 1)
    assert [each.result() for each in found] == [3, 1]


def test_setdefault(tycoon: KyotoTycoon) -> None:
    db = tycoon
    assert db.setdefault("k", "first") == "first"
    assert db.setdefault("k", "second", expire_time=5) == "first"
    assert db.ttl("k") == inf
    assert db.setdefault("k", "other", db=1, expire_time=HOUR) == "other"
    assert 3500 < (db.ttl("k", db=1) or 0) <= 3601
    text = tycoon.using(serializer=KT_JSON)
    assert text.setdefault("list", (1, 2)) == [1, 2]  # as a get returns it


def test_setdefault_of_the_second_one(tycoon: KyotoTycoon) -> None:
    """Somebody else stores the record after it was not found."""
    other = tycoon.using()
    asked = tycoon.using()
    found_nothing = asked.get_bytes

    def get_bytes(key: str, db: int | None = None) -> bytes | None:
        found = found_nothing(key, db)
        if found is None:
            other.set("k", "theirs")
        return found

    vars(asked)["get_bytes"] = get_bytes
    assert asked.setdefault("k", "mine") == "theirs"
    assert other.get("k") == "theirs"


def test_decr(tycoon: KyotoTycoon) -> None:
    db = tycoon
    assert db.decr("n") == -1
    assert db.decr("n", 5) == -6
    assert db.decr("n", -10) == 4
    assert db.decr("m", 3, 10, 1, 1000) == 7
    assert db.get_int("m", 1) == 7
    with db.pipeline() as pipe:
        left = pipe.decr("n", 4)
    assert left.result() == 0


def test_ttl(tycoon: KyotoTycoon) -> None:
    db = tycoon
    assert db.ttl("none") is None
    db.set("k", "v")
    assert db.ttl("k") == inf
    db.set("k", "v", expire_time=1000)
    left = db.ttl("k")
    assert left is not None
    assert 900 < left <= 1001
    with db.pipeline() as pipe:
        piped = pipe.ttl("k")
    assert 900 < (piped.result() or 0) <= left


@pytest.mark.parametrize("value", ["", "v", "x" * 70_000])
def test_touch(tycoon: KyotoTycoon, value: str) -> None:
    db = tycoon
    assert db.touch("k", 1000) is False
    assert not db.exists("k")
    db.set("k", value)
    assert db.touch("k", 1000) is True
    assert 900 < (db.ttl("k") or 0) <= 1001
    assert db.touch("k", datetime.now(UTC) + HOUR)
    assert 3500 < (db.ttl("k") or 0) <= 3601
    assert db.touch("k", None)
    assert db.ttl("k") == inf
    assert db.get("k") == value
    assert db.touch("k", 1000, 1) is False


def test_touch_keeps_what_others_store_meanwhile(tycoon: KyotoTycoon) -> None:
    other = tycoon.using()
    touched = tycoon.using()
    other.set("k", "v0")
    read = touched.get_bytes
    values = iter(["v1", "v2"])

    def get_bytes(key: str, db: int | None = None) -> bytes | None:
        found = read(key, db)
        if (value := next(values, None)) is not None:
            other.set("k", value)
        return found

    vars(touched)["get_bytes"] = get_bytes
    assert touched.touch("k", 1000)
    assert other.get("k") == "v2"
    assert 900 < (other.ttl("k") or 0) <= 1001


def test_update_with_pairs(tycoon: KyotoTycoon) -> None:
    db = tycoon
    assert db.update([("a", "1"), ["b", "2"], ("a", "3")], 1, c="4") == 3
    assert db.get_bulk(["a", "b", "c"], 1) == {"a": "3", "b": "2", "c": "4"}
    assert db.update((key, "x") for key in "de") == 2
    assert db.keys() == ["d", "e"] or db.keys() == ["e", "d"]
    assert db.update([]) == 0
    for wrong in (["ab", "cd"], [("a", "b", "c")], [1], "ab", 5):
        with pytest.raises(ArgumentError, match="records are a dict"):
            db.update(wrong)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="a key is str or bytes"):
        db.update([([], "v")])
    with db.pipeline() as pipe:
        stored = pipe.update([("f", "1")])
    assert stored.result() == 1


def test_errors_of_counters(tycoon: KyotoTycoon) -> None:
    db = tycoon
    db.set("word", "text")
    with pytest.raises(ServerError, match="'word': it holds 4 bytes, not a counter") as caught:
        db.incr("word")
    assert caught.value.code == 450
    with pytest.raises(ServerError, match="holds 4 bytes, not a counter, which has 16"):
        db.incr_double("word")
    with pytest.raises(ServerError, match="'none': there is no such record"):
        db.decr("none", orig=Origin.TRY)
    long = "k" * 1000
    db.set(long, "")
    with pytest.raises(ServerError, match="it holds 0 bytes") as caught:
        db.incr(long)
    assert len(str(caught.value)) < 300
    with pytest.raises(ServerError) as caught:
        db.incr("k", db=99)
    assert caught.value.message == "no such database: 99"
    with db.pipeline(raise_errors=False) as pipe:
        failed, after = pipe.incr("word"), pipe.get("word")
    assert isinstance(failed.exception(), ServerError)
    assert after.result() == "text"


def test_get_or_needs_one_request(peer: Peer) -> None:
    def hang_up_after_one(talk: Conversation) -> None:
        talk.answer(1, b"\xba\0\0\0\0")

    peer.behave(hang_up_after_one)
    with KyotoTycoon(peer.host, peer.port, timeout=10) as db:
        assert db.get_or("k", "d") == "d"
    assert peer.connections == 1


def test_range(tycoon: KyotoTycoon) -> None:
    db = tycoon.using(db=1)
    db.set_bulk({key: key.upper() for key in "abcde"})
    assert list(db.get_range("b", "d").items()) == [("b", "B"), ("c", "C")]
    assert list(db.get_range("bb")) == ["c", "d", "e"]
    assert list(db.get_range("", max_keys=2)) == ["a", "b"]
    assert list(db.get_range("a", b"b")) == ["a"]
    assert [db.get_range(*ends) for ends in (("d", "b"), ("b", "b"), ("x",))] == [{}, {}, {}]
    assert tycoon.get_range("a", "c", db=1) == {"a": "A", "b": "B"}
    db.clear()
    assert db.get_range("a") == {}


def test_range_where_there_is_no_order(tycoon: KyotoTycoon) -> None:
    tycoon.set("a", "1")
    with pytest.raises(ServerError):
        tycoon.get_range("a")
    assert tycoon.get("a") == "1"


def test_glob(tycoon: KyotoTycoon) -> None:
    db = tycoon
    db.set_bulk(dict.fromkeys(("user:1:name", "user:2:mail", "user:12:name", "a.b", "*"), ""))
    db.set("user:3:name", "", db=1)
    found = [
        len(db.match_glob(pattern))
        for pattern in ("*", "user:?:*", "user:[!1]*", "a?b", "a.b", r"\*", "[]*]", "use", "a[.]b")
    ]
    assert found == [5, 2, 1, 1, 1, 1, 1, 0, 1]
    assert db.match_glob("user:*", db=1) == ["user:3:name"]
    assert len(db.match_glob("user:*", 2)) == 2
    with pytest.raises(ArgumentError, match="ends in"):
        db.match_glob("a\\")
