# Generated from test_records_async.py by tools/async_to_sync.py: edit that one.
"""TokyoTyrant: one record at a time, and many at once."""

from __future__ import annotations

from typing import Any

import pytest

from kt.client.tyrant.client import TokyoTyrant
from kt.errors import ArgumentError, SerializationError, ServerError
from kt.serializers import KT_JSON, KT_NONE

HASHES_AND_TREES = ["*", "+", "casket.tch", "casket.tcb"]
every_type = pytest.mark.parametrize("tyrant_database", HASHES_AND_TREES, indirect=True)
trees = pytest.mark.parametrize("tyrant_database", ["+", "casket.tcb"], indirect=True)
duplicates = pytest.mark.parametrize("tyrant_database", ["casket.tcb"], indirect=True)


@every_type
def test_set_get_and_remove(tyrant: TokyoTyrant) -> None:
    db = tyrant
    assert db.set("k1", "v1") is True
    assert db.set("k1", "v1-e") is True
    assert db.get("k1") == "v1-e"
    assert db.get("k2") is None
    assert db["k1"] == "v1-e"
    assert db.remove("k1") == 1
    assert db.remove("k1") == 0
    assert db.get("k1") is None


@pytest.mark.parametrize("value", ["", "naïve ☃ \U0001f600", "tab\tnul\0", "x" * 70_000])
def test_text_survives(tyrant: TokyoTyrant, value: str) -> None:
    tyrant.set("k", value)
    assert tyrant.get("k") == value
    assert tyrant.get_bulk(["k"]) == {"k": value}
    assert tyrant.length("k") == len(value.encode())


@pytest.mark.parametrize("key", ["", "k", "ключ", "a\tb\nc\0d", "\udcff\udc80", "k" * 300])
def test_any_key_serves(tyrant: TokyoTyrant, key: str) -> None:
    db = tyrant
    db.set(key, "1")
    assert db.exists(key)
    assert db.append(key, "2")
    assert db.keys() == [key]
    assert db.get_bulk([key]) == {key: "12"}
    assert db.remove(key) == 1
    assert not db.exists(key)


def test_keys_as_bytes(tyrant: TokyoTyrant) -> None:
    db = TokyoTyrant(tyrant.host, tyrant.port, decode_keys=False)
    db.set(b"\xff", "a")
    db.set("k", "b")
    assert sorted(db.keys()) == [b"k", b"\xff"]
    assert db.get_bulk([b"\xff"]) == {b"\xff": "a"}
    assert db.match_prefix("k") == [b"k"]
    db.close()


def test_serializers(tyrant: TokyoTyrant) -> None:
    documents = tyrant.using(serializer=KT_JSON)
    assert documents.set("d", {"a": [1, None, "ü"]})
    assert documents.get("d") == {"a": [1, None, "ü"]}
    assert tyrant.get_bytes("d") == '{"a":[1,null,"ü"]}'.encode()
    assert tyrant.set_bytes("d", b"[1]")
    assert documents.get_bulk(["d"]) == {"d": [1]}


def test_a_value_that_does_not_decode_leaves_the_connection_in_step(
    tyrant: TokyoTyrant,
) -> None:
    db = tyrant
    db.set_bytes("bad", b"\xff")
    db.set("good", "v")
    with pytest.raises(SerializationError, match=r"'bad'.*KT_BINARY"):
        db.get("bad")
    with pytest.raises(SerializationError) as caught:
        db.get_bulk(["good", "bad"])
    assert (caught.value.key, caught.value.serializer) == ("bad", "KT_BINARY")
    assert db.get("good") == "v"


def test_a_value_that_does_not_encode_is_not_sent(tyrant: TokyoTyrant) -> None:
    with pytest.raises(SerializationError, match="'k'"):
        tyrant.set("k", None)
    with pytest.raises(SerializationError, match="'b'"):
        tyrant.set_bulk({"a": "x", "b": [1]})
    assert tyrant.count() == 0


@every_type
def test_add(tyrant: TokyoTyrant) -> None:
    assert tyrant.add("k", "v1") is True
    assert tyrant.add("k", "v2") is False
    assert tyrant.get("k") == "v1"


@every_type
def test_append_and_addshl(tyrant: TokyoTyrant) -> None:
    db = tyrant
    assert db.append("k", "abc") is True
    assert db.append("k", "def") is True
    assert db.get("k") == "abcdef"
    assert db.addshl("k", "gh", 4) is True
    assert db.get("k") == "efgh"
    with pytest.raises(ArgumentError):
        db.addshl("k", "x", -1)


def test_no_reply(tyrant: TokyoTyrant) -> None:
    for number in range(300):
        assert tyrant.set(f"k{number}", "v", no_reply=True) is True
        assert tyrant.exists(f"k{number}")
    assert tyrant.count() == 300


def test_a_call_sees_the_write_before_it(tyrant: TokyoTyrant) -> None:
    for number in range(300):
        key = f"k{number}"
        tyrant.set(key, "v")
        assert tyrant.exists(key)
        assert tyrant.remove(key) == 1
        assert not tyrant.exists(key)


@every_type
def test_get_part(tyrant: TokyoTyrant) -> None:
    db = tyrant
    db.set("k", "abcdef")
    assert db.get_part("k") == "abcdef"
    assert db.get_part("k", 2) == "cdef"
    assert db.get_part("k", 2, 3) == "cde"
    assert db.get_part("k", end=2) == "ab"
    assert db.get_part("k", 1, 0) == ""
    assert db.get_part("k", 6) is False
    assert db.get_part("none") is False
    assert db.using(serializer=KT_JSON).get_part("k", 1, 2) == b"bc"


def test_length(tyrant: TokyoTyrant) -> None:
    tyrant.set("k", "ünf")
    assert tyrant.length("k") == 4
    assert tyrant.length("none") is None


@every_type
def test_incr(tyrant: TokyoTyrant) -> None:
    db = tyrant
    assert [db.incr("n"), db.incr("n", 5), db.incr("n", -10)] == [1, 6, -4]
    assert db.get_int("n") == -4
    assert db.get_int("none") is None
    db.set("text", "12345")
    with pytest.raises(SerializationError, match="no number"):
        db.get_int("text")
    with pytest.raises(ServerError) as caught:
        db.incr("text")
    assert caught.value.code == 1
    with pytest.raises(ArgumentError):
        db.incr("n", 2**31)


@every_type
def test_incr_double(tyrant: TokyoTyrant) -> None:
    db = tyrant
    assert db.incr_double("x") == 1.0
    assert db.incr_double("x", -2.25) == -1.25
    assert db.get_double("x") == -1.25
    assert db.get_double("none") is None
    db.set("text", "some")
    with pytest.raises(ServerError):
        db.incr_double("text")


@every_type
def test_bulk(tyrant: TokyoTyrant) -> None:
    db = tyrant
    records = {f"k{number:04}": f"v{number}" for number in range(3000)}
    assert db.set_bulk(records) is True
    assert db.count() == 3000
    assert db.get_bulk([*records, "none"]) == records
    assert db.get_bulk(iter(["k0001"])) == {"k0001": "v1"}
    assert db.remove_bulk([f"k{number:04}" for number in range(2990)]) is True
    assert db.remove_bulk(["none"]) is True
    assert sorted(db.keys()) == [f"k{number}" for number in range(2990, 3000)]


@every_type
def test_set_bulk_overwrites(tyrant: TokyoTyrant) -> None:
    db = tyrant
    db.set_bulk({"a": "1", "b": "2"})
    assert db.set_bulk({"a": "3"}, c="4") is True
    assert db.update({"b": "5"}, d="6") is True
    assert db.get_bulk(["a", "b", "c", "d"]) == {"a": "3", "b": "5", "c": "4", "d": "6"}
    assert db.count() == 4


def test_bulk_of_nothing(tyrant: TokyoTyrant) -> None:
    assert tyrant.set_bulk({}) is True
    assert tyrant.set_bulk() is True
    assert tyrant.get_bulk([]) == {}
    assert tyrant.remove_bulk([]) is True
    with pytest.raises(ArgumentError, match="several keys"):
        tyrant.get_bulk("abc")


def test_bulk_in_several_requests(tyrant: TokyoTyrant) -> None:
    records = {f"k{number}": "v" for number in range(70_000)}
    assert tyrant.set_bulk(records) is True
    assert tyrant.get_bulk(records) == records
    assert tyrant.remove_bulk(records) is True
    assert tyrant.count() == 0


def test_update_takes_no_database_and_no_expiry(tyrant: TokyoTyrant) -> None:
    assert tyrant.update({"a": "b"}, None, None) is True
    options: dict[str, Any]
    for options in ({"db": 1}, {"expire_time": 10}):
        with pytest.raises(ArgumentError, match="expiry"):
            tyrant.update({"a": "b"}, **options)


@duplicates
def test_duplicates(tyrant: TokyoTyrant) -> None:
    db = tyrant
    assert db.putdup("k", "b") is True
    assert db.putdup("k", "c") is True
    assert db.putdupback("k", "a") is True
    assert db.getdup("k") == ["a", "b", "c"]
    assert db.getdup("none") == []
    assert (db.get("k"), db.count()) == ("a", 3)
    assert db.get_rangelist("k") == [("k", "a"), ("k", "b"), ("k", "c")]
    assert db.get_range("k") == {"k": "a"}
    assert db.match_regexlist("k") == [("k", "a"), ("k", "b"), ("k", "c")]
    assert db.keys() == ["k"]
    assert db.remove("k") == 1
    assert db.getdup("k") == ["b", "c"]
    assert db.remove_bulk(["k"]) is True
    assert db.count() == 0


def test_duplicates_only_in_trees(tyrant: TokyoTyrant) -> None:
    with pytest.raises(ServerError):
        tyrant.putdup("k", "v")
    tyrant.set("k", "v")
    assert tyrant.getdup("k") == ["v"]


@every_type
def test_match_prefix(tyrant: TokyoTyrant) -> None:
    db = tyrant
    db.set_bulk({f"{letter}{number}": "" for letter in "abc" for number in range(5)})
    assert sorted(db.match_prefix("b")) == ["b0", "b1", "b2", "b3", "b4"]
    assert len(db.match_prefix("b", 2)) == 2
    assert db.match_prefix("b", 0) == []
    assert len(db.match_prefix("", None)) == 15
    assert db.match_prefix("x") == []


def test_match_prefix_gives_1024_keys_if_it_is_not_told(
    tyrant: TokyoTyrant,
) -> None:
    tyrant.set_bulk({f"k{number}": "" for number in range(2000)})
    assert len(tyrant.match_prefix("k")) == 1024
    assert len(tyrant.match_prefix("k", None)) == 2000
    assert len(tyrant.match_regex("^k")) == 1024
    assert len(tyrant.match_regex("^k", None)) == 2000


@every_type
def test_match_regex(tyrant: TokyoTyrant) -> None:
    db = tyrant
    db.set_bulk({"Ann": "1", "Bob": "2", "Joanna": "3"})
    assert sorted(db.match_regex("[nN]n")) == ["Ann", "Joanna"]
    assert sorted(db.match_regex("*^(ann|bob)$")) == ["Ann", "Bob"]
    assert len(db.match_regex(".", 2)) == 2
    assert sorted(db.match_regexlist("nn")) == [("Ann", "1"), ("Joanna", "3")]
    assert db.match_regex("^$") == []
    with pytest.raises(ServerError):
        db.match_regex("(")


@trees
def test_get_range(tyrant: TokyoTyrant) -> None:
    db = tyrant
    db.set_bulk({letter: letter.upper() for letter in "edcba"})
    assert list(db.get_range("b").items()) == list(zip("bcde", "BCDE", strict=True))
    assert db.get_range("b", "d") == {"b": "B", "c": "C"}
    assert db.get_range("b", "e", 2) == {"b": "B", "c": "C"}
    assert db.get_range("aa", max_keys=1) == {"b": "B"}
    assert db.get_rangelist("d") == [("d", "D"), ("e", "E")]
    assert db.get_range("x") == {}
    assert db["b":"d"] == {"b": "B", "c": "C"}
    assert list(db[:"c"]) == ["a", "b"]
    assert list(db["d":]) == ["d", "e"]
    with pytest.raises(ArgumentError, match="step"):
        db["a":"c":2]


def test_ranges_need_an_order(tyrant: TokyoTyrant) -> None:
    with pytest.raises(ServerError):
        tyrant.get_range("a")


@every_type
def test_misc(tyrant: TokyoTyrant) -> None:
    db = tyrant
    assert db.misc("putlist", data={"a": "1", "b": "2"}) is True
    assert db.misc("put", ["c", "3"]) is True
    assert db.misc("getlist", ["a", "c", "none"]) == {"a": "1", "c": "3"}
    assert db.misc("get", ["b"]) == "2"
    assert db.misc("get", ["none"]) is False
    assert db.misc("getpart", ["b", "0", "1"]) == "2"
    assert db.misc("regex", ["[ab]"], update_log=False) == {"a": "1", "b": "2"}
    assert db.misc("out", ["a"]) is True
    assert db.misc("out", ["a"]) is False
    assert db.misc("nosuchfunction") is False
    assert db.misc("iterinit") is True
    assert sorted([*db.misc("iternext"), *db.misc("iternext")]) == ["b", "c"]
    assert db.misc("iternext") is False
    with pytest.raises(SerializationError):
        db.misc("putlist", data={"a": None})


@pytest.mark.parametrize("tyrant_database", ["casket.tcf"], indirect=True)
def test_fixed_length_records(tyrant: TokyoTyrant) -> None:
    db = tyrant
    assert db.set_bulk({"10": "ten", "9": "nine", "300": "many"}) is True
    assert db.keys() == ["9", "10", "300"]
    assert db.get_range("10") == {"10": "ten", "300": "many"}
    assert db["9":"300"] == {"9": "nine", "10": "ten"}
    with pytest.raises(ServerError):
        db.set("text", "v")


def test_bytes(tyrant: TokyoTyrant) -> None:
    db = tyrant.using(serializer=KT_NONE)
    assert db.set("k", b"\0\xff") is True
    assert db.get("k") == b"\0\xff"
    assert db.get_part("k", 1) == b"\xff"
    with pytest.raises(SerializationError):
        db.set("k", "text")


@pytest.mark.parametrize("method", ["set_bulk", "update"])
def test_bulk_without_reply(tyrant: TokyoTyrant, method: str) -> None:
    db = tyrant
    store = getattr(db, method)
    assert store({"a": "1"}, b="2", no_reply=True) is True
    assert store(no_reply=True) is True
    assert db.get_bulk(["a", "b", "no_reply"]) == {"a": "1", "b": "2"}
    with db.pipeline() as pipe:
        getattr(pipe, method)({"c": "3", "d": "4"}, no_reply=True)
        count = pipe.count()
    assert count.result() == 4


@pytest.mark.parametrize("method", ["set_bulk", "update"])
@pytest.mark.parametrize("option", ["encode_values", "decode_values"])
def test_options_of_others_are_no_records(tyrant: TokyoTyrant, method: str, option: str) -> None:
    store = getattr(tyrant, method)
    with pytest.raises(ArgumentError, match=option):
        store({"a": "1"}, **{option: "0"})
    assert tyrant.keys() == []
    assert store({option: "0"})
