"""Functions for records of any kind in Kyoto Tycoon. Each is one round trip, atomic, and O(1)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from kt.client.arguments import checked_db, listed
from kt.client.expiry import pack_expiry, unpack_expiry
from kt.client.tycoon.client_async import AsyncKyotoTycoon
from kt.lua.arguments import several
from kt.lua.calls_async import AsyncTycoonCalls
from kt.lua.numbers import dump_count
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
    calls = AsyncTycoonCalls(client, db)
    return (await calls.call("keyTouch", encode_key(key), [_expiry(expire_time)]))[0] == b"1"


async def touch_bulk(
    client: AsyncKyotoTycoon[Any, Any],
    keys: Iterable[Key],
    expire_time: ExpireTime | None,
    db: int | None = None,
) -> int:
    """Change when records expire, and nothing else, all at once; O(their number).

    Args:
        client: client of a server that has loaded the scripts.
        keys: the records; those that are not there stay so.
        expire_time: as for `kt.KyotoTycoon.set`; None: never.
        db: index of the database; None for the client's default.

    Returns:
        How many such records there are.
    """
    names = list(dict.fromkeys(map(encode_key, several(listed(keys)))))
    args = [_expiry(expire_time), *names]
    calls = AsyncTycoonCalls(client, db)
    return int((await calls.call("keyTouchAll", names[0], args))[0]) if names else 0


async def get_part(
    client: AsyncKyotoTycoon[Any, Any],
    key: Key,
    start: int = 0,
    length: int | None = None,
    db: int | None = None,
) -> bytes | None:
    """Return a part of a value, as it is stored; the rest is not sent.

    Args:
        client: client of a server that has loaded the scripts.
        key: the record.
        start: how many bytes to leave out first.
        length: how many bytes to return at most; None: all that follow.
        db: index of the database; None for the client's default.

    Returns:
        The bytes, none if the value ends before; None if there is no such record.
    """
    args = [dump_count(start), b"" if length is None else dump_count(length)]
    found = await AsyncTycoonCalls(client, db).call("keyPart", encode_key(key), args)
    return found[0] if found else None


def _expiry(expire_time: ExpireTime | None) -> bytes:
    return b"" if expire_time is None else b"%d" % pack_expiry(expire_time)


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
    args = [b"%d" % checked_db(to), b"1" if replace else b"0"]
    return (await AsyncTycoonCalls(client, db).call("keyMove", encode_key(key), args))[0] == b"1"
