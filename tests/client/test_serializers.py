"""Serializers, alone and as a client uses them."""

from __future__ import annotations

import copy
import json
import marshal
import pickle
import subprocess
import sys
from datetime import date
from typing import Any

import pytest

from kt.client.tycoon.client import KyotoTycoon
from kt.errors import ArgumentError, ImproperlyConfigured, SerializationError
from kt.serializers import KT_BINARY, KT_JSON, KT_MSGPACK, KT_NONE, KT_PICKLE, Serializer

ALL: list[Serializer[Any]] = [KT_BINARY, KT_JSON, KT_MSGPACK, KT_NONE, KT_PICKLE]

DATA = {"text": "ü", "numbers": [1, 2.5, -3], "nothing": None, "yes": True}

VALUES: list[tuple[Serializer[Any], Any]] = [
    (KT_BINARY, "täxt"),
    (KT_NONE, b"\0\xff"),
    (KT_JSON, DATA),
    (KT_JSON, "täxt"),
    (KT_MSGPACK, DATA),
    (KT_MSGPACK, ["text", b"bytes", {1: "one"}]),
    (KT_PICKLE, {"set": {1, 2}, "date": date(2000, 1, 1), "tuple": (b"b", "s")}),
    (json, DATA),
    (pickle, {1, 2}),
    (marshal, (1, b"2", "3")),
]


@pytest.mark.parametrize(("serializer", "value"), VALUES)
def test_values_survive(tycoon: KyotoTycoon, serializer: Serializer[Any], value: Any) -> None:
    db = tycoon.using(serializer=serializer)
    assert db.set("set", value) == 1
    assert db.get("set") == value
    assert db.add("add", value)
    assert db.seize("add") == value
    for atomic in (False, True):
        assert db.set_bulk({"a": value, "b": value}, atomic=atomic) == 2
        assert db.get_bulk(["a", "b"], atomic=atomic) == {"a": value, "b": value}
    assert db.get_bulk_details([(0, "a")])[0].value == value
    assert next(db.values()) == value
    assert db.cas("a", value, None)


@pytest.mark.parametrize(
    ("value", "stored"), [(b"\xff", b"\xff"), (bytearray(b"b"), b"b"), (12, b"12"), (-0.5, b"-0.5")]
)
def test_what_else_text_takes(tycoon: KyotoTycoon, value: Any, stored: bytes) -> None:
    tycoon.set("set", value)
    tycoon.add("add", value)
    tycoon.set_bulk({"bulk": value})
    assert [tycoon.get_bytes(key) for key in ("set", "add", "bulk")] == [stored] * 3
    assert KT_BINARY.dumps(value) == stored


@pytest.mark.parametrize(
    ("serializer", "value"),
    [
        (KT_BINARY, None),
        (KT_BINARY, True),
        (KT_BINARY, ["list"]),
        (KT_BINARY, "\ud800"),
        (KT_NONE, "text"),
        (KT_NONE, 1),
        (KT_JSON, {1, 2}),
        (KT_MSGPACK, object()),
        (KT_PICKLE, lambda: None),
    ],
)
def test_what_is_refused(tycoon: KyotoTycoon, serializer: Serializer[Any], value: Any) -> None:
    db = tycoon.using(serializer=serializer)
    for write in (db.set, db.add):
        with pytest.raises(SerializationError, match="'k' cannot be encoded") as caught:
            write("k", value)
        assert (caught.value.key, caught.value.serializer) == ("k", repr(serializer))
        assert caught.value.__cause__ is not None
    with pytest.raises((TypeError, ValueError, pickle.PicklingError, AttributeError)):
        serializer.dumps(value)
    assert db.count() == 0


@pytest.mark.parametrize("serializer", [KT_BINARY, KT_JSON, KT_MSGPACK, KT_PICKLE])
def test_what_does_not_decode(tycoon: KyotoTycoon, serializer: Serializer[Any]) -> None:
    db = tycoon.using(serializer=serializer)
    db.set_bytes("k", b"\xff\xfe{")
    with pytest.raises(SerializationError, match="'k' does not decode") as caught:
        db.get("k")
    assert caught.value.serializer == repr(serializer)
    assert db.get_bytes("k") == b"\xff\xfe{"


class Reversed:
    """A serializer of one's own."""

    def dumps(self, value: str) -> bytes:
        return value[::-1].encode()

    def loads(self, data: bytes) -> str:
        return data.decode()[::-1]


class NotBytes(Reversed):
    def dumps(self, value: str) -> Any:
        return len(value)


def test_any_object_with_two_methods(tycoon: KyotoTycoon) -> None:
    db = tycoon.using(serializer=Reversed())
    db.set("k", "abc")
    assert (db.get("k"), db.get_bytes("k")) == ("abc", b"cba")
    with pytest.raises(SerializationError, match="NotBytes"):
        tycoon.using(serializer=NotBytes()).set("k", "abc")


def test_what_is_no_serializer() -> None:
    for nothing in (object(), "KT_JSON", None, Reversed().dumps):
        with pytest.raises(ImproperlyConfigured, match="dumps and loads"):
            KyotoTycoon(serializer=nothing)  # type: ignore[arg-type]


def test_serializers_show_themselves() -> None:
    names = ["KT_BINARY", "KT_JSON", "KT_MSGPACK", "KT_NONE", "KT_PICKLE"]
    assert [repr(serializer) for serializer in ALL] == names


@pytest.mark.parametrize("serializer", ALL, ids=repr)
def test_there_is_one_of_each(serializer: Serializer[Any]) -> None:
    assert pickle.loads(pickle.dumps(serializer)) is serializer
    assert copy.deepcopy(serializer) is serializer


def test_msgpack_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is missed when the client is made, not when the first value comes."""
    program = """if True:
        import sys
        sys.modules["msgpack"] = None
        import kt
        try:
            kt.KyotoTycoon(serializer=kt.KT_MSGPACK)
        except kt.ImproperlyConfigured as error:
            print(error)
    """
    printed = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout
    assert "pip install kyototycoon[msgpack]" in printed


def test_errors_show_the_begin_of_a_long_key() -> None:
    key = "k" * 10_000
    with pytest.raises(SerializationError) as caught:
        KyotoTycoon(serializer=KT_JSON).set(key, object())
    assert caught.value.key == key
    assert len(str(caught.value)) < 300
    with pytest.raises(ArgumentError) as wrong:
        KyotoTycoon().get(key + "\ud800")
    assert len(str(wrong.value)) < 300
