# Generated from test_databases_async.py by tools/async_to_sync.py: edit that one.
"""KyotoTycoon: which database a call is for, and what comes of one that is not there."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from kt.client.tycoon.client import KyotoTycoon
from kt.errors import ArgumentError, ServerError
from kt.lua import Hash

MISSING = 60

WRITES: dict[str, Callable[..., Any]] = {
    "set": lambda db, **options: db.set("k", "v", MISSING, **options),
    "set_bytes": lambda db, **options: db.set_bytes("k", b"v", MISSING, **options),
    "set_bulk": lambda db, **options: db.set_bulk({"k": "v", "l": "w"}, MISSING, **options),
    "update": lambda db, **options: db.update({"k": "v"}, MISSING, **options),
    "set_bulk_details": lambda db, **options: db.set_bulk_details(
        ((MISSING, key, "v", None) for key in "kl"), **options
    ),
}

# What else a method needs besides `db`.
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "set": ("k", "v"),
    "set_bytes": ("k", b"v"),
    "setdefault": ("k", "v"),
    "get_or": ("k", "v"),
    "touch": ("k", 1),
    "get_range": ("k", "l"),
    "add": ("k", "v"),
    "replace": ("k", "v"),
    "append": ("k", "v"),
    "cas": ("k", "v", "w"),
    "set_bulk": ({"k": "v"},),
    "update": ({"k": "v"},),
    "get_bulk": (["k"],),
    "remove_bulk": (["k"],),
}

NO_INDICES: list[Any] = ["x", "%", "0", True, False, 1.0, b"0", (0,), -1, 2**16, 2**70]


def methods_of_databases() -> list[str]:
    return [
        name
        for name, method in inspect.getmembers(KyotoTycoon, inspect.isroutine)
        if not name.startswith("_")
        and name not in ("set_database", "using", "changes")
        and "db" in inspect.signature(method).parameters
    ]


def arguments(name: str) -> tuple[Any, ...]:
    parameters = list(inspect.signature(getattr(KyotoTycoon, name)).parameters)
    one = ("k",) if parameters[1] in ("key", "prefix", "regex", "pattern", "origin") else ()
    return ARGUMENTS.get(name, one)


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_writing_to_no_database(tycoon: KyotoTycoon, write: Callable[..., Any]) -> None:
    with pytest.raises(ServerError, match=rf"^no such database: {MISSING}$"):
        write(tycoon)
    assert tycoon.keys() == []
    assert write(tycoon, no_reply=True) == 0
    assert tycoon.get("k") is None


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_writing_to_no_database_in_a_pipeline(
    tycoon: KyotoTycoon, write: Callable[..., Any]
) -> None:
    with tycoon.pipeline(raise_errors=False) as pipe:
        failed = write(pipe)
        silent = write(pipe, no_reply=True)
        done = pipe.set("k", "v")
    assert isinstance(failed.exception(), ServerError)
    assert silent.result() == 0
    assert done.result() == 1


def test_writing_to_some_databases(tycoon: KyotoTycoon) -> None:
    db = tycoon
    records = [(0, "k", "v", None), (MISSING, "k", "v", None), (1, "k", "v", None)]
    with pytest.raises(ServerError, match="no such database: stored 2 of 3 records"):
        db.set_bulk_details(records)
    assert (db.get("k", 0), db.get("k", 1)) == ("v", "v")


def test_records_that_are_the_same_count_twice(tycoon: KyotoTycoon) -> None:
    assert tycoon.set_bulk({"k": "v", b"k": "w"}) == 2
    assert tycoon.set_bulk_details([(0, "k", "v", None)] * 3) == 3
    assert tycoon.set("k", "v", expire_time=-1) == 1


def test_default_database_that_is_not_there(tycoon: KyotoTycoon) -> None:
    db = tycoon.using(db=MISSING)
    with pytest.raises(ServerError, match="no such database"):
        db.set("k", "v")
    assert db.get("k") is None
    assert db.remove("k") == 0


@pytest.mark.parametrize("db", NO_INDICES, ids=repr)
@pytest.mark.parametrize("name", methods_of_databases())
def test_what_is_no_index(tycoon: KyotoTycoon, name: str, db: Any) -> None:
    with pytest.raises(ArgumentError, match=r"db|database"):
        getattr(tycoon, name)(*arguments(name), db=db)


@pytest.mark.parametrize("db", NO_INDICES, ids=repr)
def test_what_is_no_index_elsewhere(tycoon: KyotoTycoon, db: Any) -> None:
    with pytest.raises(ArgumentError):
        KyotoTycoon(default_db=db)
    with pytest.raises(ArgumentError):
        tycoon.set_database(db)
    with pytest.raises(ArgumentError):
        tycoon.using(db=db)
    with pytest.raises(ArgumentError):
        tycoon.get_bulk_details([(db, "k")])
    with pytest.raises(ArgumentError):
        tycoon.remove_bulk_details([(db, "k")])
    with pytest.raises(ArgumentError):
        tycoon.set_bulk_details([(db, "k", "v", None)])
    with pytest.raises(ArgumentError):
        Hash(tycoon, "k", db)


def test_index_of_any_kind_of_integer(tycoon: KyotoTycoon) -> None:
    class One:
        def __index__(self) -> int:
            return 1

    one: Any = One()
    assert tycoon.set("k", "v", one) == 1
    assert tycoon.exists("k", one)
    assert tycoon.pop("k", one) == "v"


def test_options_are_no_records(tycoon: KyotoTycoon) -> None:
    db = tycoon
    assert db.update({"a": "1"}, b="2", no_reply=True) == 0
    assert db.update({"a": "1"}, b="2", atomic=True) == 2
    assert sorted(db.keys()) == ["a", "b"]
    for option in ("encode_values", "decode_values"):
        with pytest.raises(ArgumentError, match=option):
            db.set_bulk({"a": "1"}, **{option: "0"})
        with pytest.raises(ArgumentError, match=option):
            db.update({"a": "1"}, **{option: "0"})
        with pytest.raises(ArgumentError, match=option):
            db.lua.anything(**{option: "0"})
        assert db.set_bulk({option: "1"}) == 1
