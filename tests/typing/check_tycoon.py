# Generated from check_tycoon_async.py by tools/async_to_sync.py: edit that one.
"""Types of KyotoTycoon's methods, as callers see them. For mypy; nothing here is run."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, assert_type

from kt import (
    KT_BINARY,
    KT_JSON,
    KT_NONE,
    Change,
    Check,
    Cursor,
    KyotoTycoon,
    Origin,
    Record,
    Retry,
    Scan,
    Since,
    TycoonChanges,
    UpdateLogFile,
)


def clients(decode_keys: bool) -> None:
    """Keys and values have the types that the client was made for."""
    assert_type(KyotoTycoon(), KyotoTycoon[str, str])
    assert_type(KyotoTycoon("localhost", 1978, timeout=3), KyotoTycoon[str, str])
    assert_type(KyotoTycoon(serializer=KT_BINARY), KyotoTycoon[str, str])
    assert_type(KyotoTycoon(serializer=KT_NONE), KyotoTycoon[str, bytes])
    assert_type(KyotoTycoon("localhost", 1978, KT_NONE), KyotoTycoon[str, bytes])
    assert_type(KyotoTycoon(serializer=KT_JSON), KyotoTycoon[str, Any])
    assert_type(KyotoTycoon(serializer=json), KyotoTycoon[str, Any])
    raw = KyotoTycoon(serializer=KT_NONE, decode_keys=False)
    assert_type(raw, KyotoTycoon[bytes, bytes])
    either = KyotoTycoon("localhost", 1978, KT_NONE, decode_keys, 1.0, 0)
    assert_type(either, KyotoTycoon[Any, bytes])


def urls(decode_keys: bool) -> None:
    """A URL makes what the constructor makes, and takes no option that it does not."""
    make = KyotoTycoon.from_url
    assert_type(make("kt://localhost"), KyotoTycoon[str, str])
    assert_type(
        make("kt://localhost", default_db=1, timeout=3, retry=Retry()), KyotoTycoon[str, str]
    )
    assert_type(make("kt://localhost", serializer=KT_NONE), KyotoTycoon[str, bytes])
    assert_type(make("kt://localhost", serializer=KT_JSON, timeout=1), KyotoTycoon[str, Any])
    assert_type(make("kt://localhost", decode_keys=False), KyotoTycoon[bytes, str])
    raw = make("kt://localhost", serializer=KT_NONE, decode_keys=False)
    assert_type(raw, KyotoTycoon[bytes, bytes])
    either = make("kt://localhost", serializer=KT_NONE, decode_keys=decode_keys)
    assert_type(either, KyotoTycoon[Any, bytes])
    make("kt://localhost", time_out=3)  # type: ignore[call-overload]


def views(db: KyotoTycoon[str, str]) -> None:
    """Another serializer gives other values."""
    assert_type(db.using(db=1, timeout=None), KyotoTycoon[str, str])
    assert_type(db.using(serializer=KT_NONE), KyotoTycoon[str, bytes])


def records(db: KyotoTycoon) -> None:
    """Without parameters, the type is that of the default client."""
    assert_type(db.get("k"), str | None)
    assert_type(db[b"k"], str | None)
    assert_type(db["k", 1], str | None)
    assert_type(db.get_bytes("k", db=1), bytes | None)
    assert_type(db.get_or("k", 1), str | int)
    assert_type(db.get_or("k", ""), str)
    assert_type(db.setdefault("k", "v", 1, 5), str)
    assert_type(db.decr("k", 2), int)
    assert_type(db.ttl("k"), float | None)
    assert_type(db.touch("k", None), bool)
    assert_type(db.update([("k", "v")]), int)
    assert_type(db.get_int("k"), int | None)
    assert_type(db.get_double("k"), float | None)
    assert_type(db.set("k", 1, expire_time=datetime.now(), no_reply=True), int)
    assert_type(db.remove("k"), int)
    assert_type(db.add("k", "v"), bool)
    assert_type(db.cas("k", None, "v"), bool)
    assert_type(db.incr("k", 1, Origin.SET), int)
    assert_type(db.incr_double("k", 1, 2.0), float)
    assert_type(db.exists("k"), bool)
    assert_type(db.check("k"), Check | None)
    assert_type(db.length("k"), int | None)
    assert_type(db.seize("k"), str | None)
    assert_type(db.pop("k"), str | None)


def bulk(db: KyotoTycoon[bytes, Any]) -> None:
    """Many records at a time."""
    assert_type(db.get_bulk(["k", b"l"], atomic=True), dict[bytes, Any])
    assert_type(db.get_bulk_details([(0, "k")]), list[Record])
    assert_type(db.set_bulk({"k": 1}, other=2), int)
    assert_type(db.set_bulk_details([Record(0, "k", 1), (1, "k", 1, 60)]), int)
    assert_type(db.remove_bulk({"k": 1}), int)
    assert_type(db.script("name", {"k": 1}, other=2), dict[bytes, Any])
    assert_type(db.match_prefix("k"), list[bytes])
    assert_type(db.match_similar("k", 1, 2, 3, utf8=True), list[bytes])
    assert_type(db.keys(), list[bytes])


def iteration(db: KyotoTycoon[str, bytes]) -> None:
    """Cursors and scans."""
    assert_type(db.values(), Scan[bytes])
    assert_type(db.items(1), Scan[tuple[str, bytes]])
    for key in db:
        assert_type(key, str)
    with db.cursor() as cursor:
        assert_type(cursor, Cursor[str, bytes])
        assert_type(cursor.jump(), bool)
        assert_type(cursor.get(), tuple[str, bytes] | None)
        assert_type(cursor.get_record(), Record | None)
        for pair in cursor:
            assert_type(pair, tuple[str, bytes])
        for pair in cursor.backward():
            assert_type(pair, tuple[str, bytes])


def administration(db: KyotoTycoon) -> None:
    """The server and whole databases."""
    assert_type(db.status(), dict[str, int | float | str])
    assert_type(db.size, int)
    assert_type(db.path, str)
    assert_type(db.echo({"a": "b"}), dict[str, bytes])
    assert_type(db.wait("name", 1.5), bool)
    assert_type(db.signal("name", broadcast=True), int)
    assert_type(db.ulog_list(), list[UpdateLogFile])


def changes(db: KyotoTycoon[bytes, int]) -> None:
    """A feed has the client's types."""
    assert_type(db.changes(), TycoonChanges[bytes, int])
    with db.changes(since=Since.OLDEST, sid=[1, 2], db=0, prefix="k") as feed:
        assert_type(feed.position, str | None)
        for change in feed:
            assert_type(change, Change[bytes, int])
            assert_type(change.key, bytes | None)
            assert_type(change.value, int | None)
            assert_type(change.expires, datetime | None)
    db.changes(since=1)  # type: ignore[arg-type]


def mistakes(db: KyotoTycoon) -> None:
    """What a checker must find: an ignored error that is none would be reported."""
    db.get(1)  # type: ignore[arg-type]
    db.set("k", "v", expire_time="60")  # type: ignore[arg-type]
    db.get_bulk([1])  # type: ignore[list-item]
    db.incr("k", orig="set")  # type: ignore[arg-type]
    KyotoTycoon(serializer="json")  # type: ignore[call-overload]
    KyotoTycoon("localhost", "1978")  # type: ignore[call-overload]
