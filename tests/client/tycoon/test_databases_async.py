"""AsyncKyotoTycoon: which database a call is for, and what comes of one that is not there."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from kt.client.tycoon.client_async import AsyncKyotoTycoon
from kt.errors import ArgumentError, ServerError
from kt.lua import AsyncHash

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
        for name, method in inspect.getmembers(AsyncKyotoTycoon, inspect.isroutine)
        if not name.startswith("_")
        and name not in ("set_database", "using", "changes")
        and "db" in inspect.signature(method).parameters
    ]


def arguments(name: str) -> tuple[Any, ...]:
    parameters = list(inspect.signature(getattr(AsyncKyotoTycoon, name)).parameters)
    one = ("k",) if parameters[1] in ("key", "prefix", "regex", "pattern", "origin") else ()
    return ARGUMENTS.get(name, one)


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_writing_to_no_database(
    async_tycoon: AsyncKyotoTycoon, write: Callable[..., Any]
) -> None:
    with pytest.raises(ServerError, match=rf"^no such database: {MISSING}$"):
        await write(async_tycoon)
    assert await async_tycoon.keys() == []
    assert await write(async_tycoon, no_reply=True) == 0
    assert await async_tycoon.get("k") is None


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_writing_to_no_database_in_a_pipeline(
    async_tycoon: AsyncKyotoTycoon, write: Callable[..., Any]
) -> None:
    async with async_tycoon.pipeline(raise_errors=False) as pipe:
        failed = write(pipe)
        silent = write(pipe, no_reply=True)
        done = pipe.set("k", "v")
    assert isinstance(failed.exception(), ServerError)
    assert silent.result() == 0
    assert done.result() == 1


async def test_writing_to_some_databases(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    records = [(0, "k", "v", None), (MISSING, "k", "v", None), (1, "k", "v", None)]
    with pytest.raises(ServerError, match="no such database: stored 2 of 3 records"):
        await db.set_bulk_details(records)
    assert (await db.get("k", 0), await db.get("k", 1)) == ("v", "v")


async def test_records_that_are_the_same_count_twice(async_tycoon: AsyncKyotoTycoon) -> None:
    assert await async_tycoon.set_bulk({"k": "v", b"k": "w"}) == 2
    assert await async_tycoon.set_bulk_details([(0, "k", "v", None)] * 3) == 3
    assert await async_tycoon.set("k", "v", expire_time=-1) == 1


async def test_default_database_that_is_not_there(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon.using(db=MISSING)
    with pytest.raises(ServerError, match="no such database"):
        await db.set("k", "v")
    assert await db.get("k") is None
    assert await db.remove("k") == 0


@pytest.mark.parametrize("db", NO_INDICES, ids=repr)
@pytest.mark.parametrize("name", methods_of_databases())
async def test_what_is_no_index(async_tycoon: AsyncKyotoTycoon, name: str, db: Any) -> None:
    with pytest.raises(ArgumentError, match=r"db|database"):
        await getattr(async_tycoon, name)(*arguments(name), db=db)


@pytest.mark.parametrize("db", NO_INDICES, ids=repr)
async def test_what_is_no_index_elsewhere(async_tycoon: AsyncKyotoTycoon, db: Any) -> None:
    with pytest.raises(ArgumentError):
        AsyncKyotoTycoon(default_db=db)
    with pytest.raises(ArgumentError):
        async_tycoon.set_database(db)
    with pytest.raises(ArgumentError):
        async_tycoon.using(db=db)
    with pytest.raises(ArgumentError):
        await async_tycoon.get_bulk_details([(db, "k")])
    with pytest.raises(ArgumentError):
        await async_tycoon.remove_bulk_details([(db, "k")])
    with pytest.raises(ArgumentError):
        await async_tycoon.set_bulk_details([(db, "k", "v", None)])
    with pytest.raises(ArgumentError):
        AsyncHash(async_tycoon, "k", db)


async def test_index_of_any_kind_of_integer(async_tycoon: AsyncKyotoTycoon) -> None:
    class One:
        def __index__(self) -> int:
            return 1

    one: Any = One()
    assert await async_tycoon.set("k", "v", one) == 1
    assert await async_tycoon.exists("k", one)
    assert await async_tycoon.pop("k", one) == "v"


async def test_options_are_no_records(async_tycoon: AsyncKyotoTycoon) -> None:
    db = async_tycoon
    assert await db.update({"a": "1"}, b="2", no_reply=True) == 0
    assert await db.update({"a": "1"}, b="2", atomic=True) == 2
    assert sorted(await db.keys()) == ["a", "b"]
    for option in ("encode_values", "decode_values"):
        with pytest.raises(ArgumentError, match=option):
            await db.set_bulk({"a": "1"}, **{option: "0"})
        with pytest.raises(ArgumentError, match=option):
            await db.update({"a": "1"}, **{option: "0"})
        with pytest.raises(ArgumentError, match=option):
            await db.lua.anything(**{option: "0"})
        assert await db.set_bulk({option: "1"}) == 1
