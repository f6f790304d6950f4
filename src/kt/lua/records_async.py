"""Functions for records of any kind in Kyoto Tycoon. Each is one round trip, atomic, and O(1)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from kt.client.expiry import pack_expiry, unpack_expiry
from kt.client.tycoon.client_async import AsyncKyotoTycoon
from kt.lua.calls_async import AsyncTycoonCalls
from kt.types import ExpireTime, Key
from kt.wire.codec import encode_key


async def touch(
    client: AsyncKyotoTycoon[Any, Any],
    key: Key,
    expire_time: ExpireTime | None,
    db: int | None = None,
) -> bool:
    """Change when a record expires, and nothing else.

    Args:
        client: client of a server that has loaded the scripts.
        key: the record.
        expire_time: as for `kt.KyotoTycoon.set`; None: never.
        db: index of the database; None for the client's default.

    Returns:
        Whether there is such a record.
    """
    when = b"" if expire_time is None else b"%d" % pack_expiry(expire_time)
    calls = AsyncTycoonCalls(client, db)
    return (await calls.call("keyTouch", encode_key(key), [when]))[0] == b"1"


async def expire_time(
    client: AsyncKyotoTycoon[Any, Any], key: Key, db: int | None = None
) -> datetime | None:
    """Return when a record expires (UTC), None if never.

    Raises:
        KeyError: there is no such record.
    """
    found = await AsyncTycoonCalls(client, db).call("keyExpires", encode_key(key), [])
    if not found:
        raise KeyError(key)
    return unpack_expiry(int(found[0])) if found[0] else None


async def move(
    client: AsyncKyotoTycoon[Any, Any],
    key: Key,
    to: int,
    db: int | None = None,
    *,
    replace: bool = False,
) -> bool:
    """Move a record, with its expiry, into another database; nobody sees it in both or neither.

    The containers are one record each, except for queues, which cannot be moved so.

    Args:
        client: client of a server that has loaded the scripts.
        key: the record; it keeps its key.
        to: index of the other database.
        db: index of the database where it is; None for the client's default.
        replace: replace a record that is there already.

    Returns:
        Whether it was moved: False if there is none, or if one is there already.

    Raises:
        ServerError: there is no such database.
    """
    args = [b"%d" % to, b"1" if replace else b"0"]
    return (await AsyncTycoonCalls(client, db).call("keyMove", encode_key(key), args))[0] == b"1"
