"""Types of AsyncKyotoTycoon's methods, as callers see them. For mypy; nothing here is run."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, assert_type

from kt import (
    KT_BINARY,
    KT_JSON,
    KT_NONE,
    AsyncCursor,
    AsyncKyotoTycoon,
    AsyncScan,
    AsyncTycoonChanges,
    Change,
    Check,
    Origin,
    Record,
    Retry,
    Since,
    UpdateLogFile,
)


def clients(decode_keys: bool) -> None:
    """Keys and values have the types that the client was made for."""
    assert_type(AsyncKyotoTycoon(), AsyncKyotoTycoon[str, str])
    assert_type(AsyncKyotoTycoon("localhost", 1978, timeout=3), AsyncKyotoTycoon[str, str])
    assert_type(AsyncKyotoTycoon(serializer=KT_BINARY), AsyncKyotoTycoon[str, str])
    assert_type(AsyncKyotoTycoon(serializer=KT_NONE), AsyncKyotoTycoon[str, bytes])
    assert_type(AsyncKyotoTycoon("localhost", 1978, KT_NONE), AsyncKyotoTycoon[str, bytes])
    assert_type(AsyncKyotoTycoon(serializer=KT_JSON), AsyncKyotoTycoon[str, Any])
    assert_type(AsyncKyotoTycoon(serializer=json), AsyncKyotoTycoon[str, Any])
    raw = AsyncKyotoTycoon(serializer=KT_NONE, decode_keys=False)
    assert_type(raw, AsyncKyotoTycoon[bytes, bytes])
    either = AsyncKyotoTycoon("localhost", 1978, KT_NONE, decode_keys, 1.0, 0)
    assert_type(either, AsyncKyotoTycoon[Any, bytes])


def urls(decode_keys: bool) -> None:
    """A URL makes what the constructor makes, and takes no option that it does not."""
    make = AsyncKyotoTycoon.from_url
    assert_type(make("kt://localhost"), AsyncKyotoTycoon[str, str])
    assert_type(
        make("kt://localhost", default_db=1, timeout=3, retry=Retry()), AsyncKyotoTycoon[str, str]
    )
    assert_type(make("kt://localhost", serializer=KT_NONE), AsyncKyotoTycoon[str, bytes])
    assert_type(make("kt://localhost", serializer=KT_JSON, timeout=1), AsyncKyotoTycoon[str, Any])
    assert_type(make("kt://localhost", decode_keys=False), AsyncKyotoTycoon[bytes, str])
    raw = make("kt://localhost", serializer=KT_NONE, decode_keys=False)
    assert_type(raw, AsyncKyotoTycoon[bytes, bytes])
    either = make("kt://localhost", serializer=KT_NONE, decode_keys=decode_keys)
    assert_type(either, AsyncKyotoTycoon[Any, bytes])
    make("kt://localhost", time_out=3)  # type: ignore[call-overload]


def views(db: AsyncKyotoTycoon[str, str]) -> None:
    """Another serializer gives other values."""
    assert_type(db.using(db=1, timeout=None), AsyncKyotoTycoon[str, str])
    assert_type(db.using(serializer=KT_NONE), AsyncKyotoTycoon[str, bytes])


async def records(db: AsyncKyotoTycoon) -> None:
    """Without parameters, the type is that of the default client."""
    assert_type(await db.get("k"), str | None)
    assert_type(await db[b"k"], str | None)
    assert_type(await db["k", 1], str | None)
    assert_type(await db.get_bytes("k", db=1), bytes | None)
    assert_type(await db.get_or("k", 1), str | int)
    assert_type(await db.get_or("k", ""), str)
    assert_type(await db.setdefault("k", "v", 1, 5), str)
    assert_type(await db.decr("k", 2), int)
    assert_type(await db.ttl("k"), float | None)
    assert_type(await db.touch("k", None), bool)
    assert_type(await db.update([("k", "v")]), int)
    assert_type(await db.get_int("k"), int | None)
    assert_type(await db.get_double("k"), float | None)
    assert_type(await db.set("k", 1, expire_time=datetime.now(), no_reply=True), int)
    assert_type(await db.remove("k"), int)
    assert_type(await db.add("k", "v"), bool)
    assert_type(await db.cas("k", None, "v"), bool)
    assert_type(await db.incr("k", 1, Origin.SET), int)
    assert_type(await db.incr_double("k", 1, 2.0), float)
    assert_type(await db.exists("k"), bool)
    assert_type(await db.check("k"), Check | None)
    assert_type(await db.length("k"), int | None)
    assert_type(await db.seize("k"), str | None)
    assert_type(await db.pop("k"), str | None)


async def bulk(db: AsyncKyotoTycoon[bytes, Any]) -> None:
    """Many records at a time."""
    assert_type(await db.get_bulk(["k", b"l"], atomic=True), dict[bytes, Any])
    assert_type(await db.get_bulk_details([(0, "k")]), list[Record])
    assert_type(await db.set_bulk({"k": 1}, other=2), int)
    assert_type(await db.set_bulk_details([Record(0, "k", 1), (1, "k", 1, 60)]), int)
    assert_type(await db.remove_bulk({"k": 1}), int)
    assert_type(await db.script("name", {"k": 1}, other=2), dict[bytes, Any])
    assert_type(await db.match_prefix("k"), list[bytes])
    assert_type(await db.match_similar("k", 1, 2, 3, utf8=True), list[bytes])
    assert_type(await db.keys(), list[bytes])


async def iteration(db: AsyncKyotoTycoon[str, bytes]) -> None:
    """Cursors and scans."""
    assert_type(db.values(), AsyncScan[bytes])
    assert_type(db.items(1), AsyncScan[tuple[str, bytes]])
    async for key in db:
        assert_type(key, str)
    async with db.cursor() as cursor:
        assert_type(cursor, AsyncCursor[str, bytes])
        assert_type(await cursor.jump(), bool)
        assert_type(await cursor.get(), tuple[str, bytes] | None)
        assert_type(await cursor.get_record(), Record | None)
        async for pair in cursor:
            assert_type(pair, tuple[str, bytes])
        async for pair in cursor.backward():
            assert_type(pair, tuple[str, bytes])


async def administration(db: AsyncKyotoTycoon) -> None:
    """The server and whole databases."""
    assert_type(await db.status(), dict[str, int | float | str])
    assert_type(await db.size, int)
    assert_type(await db.path, str)
    assert_type(await db.echo({"a": "b"}), dict[str, bytes])
    assert_type(await db.wait("name", 1.5), bool)
    assert_type(await db.signal("name", broadcast=True), int)
    assert_type(await db.ulog_list(), list[UpdateLogFile])


async def changes(db: AsyncKyotoTycoon[bytes, int]) -> None:
    """A feed has the client's types."""
    assert_type(db.changes(), AsyncTycoonChanges[bytes, int])
    async with db.changes(since=Since.OLDEST, sid=[1, 2], db=0, prefix="k") as feed:
        assert_type(feed.position, str | None)
        async for change in feed:
            assert_type(change, Change[bytes, int])
            assert_type(change.key, bytes | None)
            assert_type(change.value, int | None)
            assert_type(change.expires, datetime | None)
    db.changes(since=1)  # type: ignore[arg-type]


async def mistakes(db: AsyncKyotoTycoon) -> None:
    """What a checker must find: an ignored error that is none would be reported."""
    await db.get(1)  # type: ignore[arg-type]
    await db.set("k", "v", expire_time="60")  # type: ignore[arg-type]
    await db.get_bulk([1])  # type: ignore[list-item]
    await db.incr("k", orig="set")  # type: ignore[arg-type]
    AsyncKyotoTycoon(serializer="json")  # type: ignore[call-overload]
    AsyncKyotoTycoon("localhost", "1978")  # type: ignore[call-overload]
