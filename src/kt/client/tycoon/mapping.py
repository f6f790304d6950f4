"""``db[key]``: the operators of a Kyoto Tycoon client.

Python can await none of them but indexing, so they are not written as async source: the blocking
client has all of them, the asyncio client has ``await db[key]``.
"""

from __future__ import annotations

from typing import Any, Generic, Protocol

from kt.client.operators import Unawaitable
from kt.types import ExpireTime, Key, V, V_co


def key_and_db(item: Key | tuple[Key, int | None]) -> tuple[Key, int | None]:
    """Return what stands between the brackets: a key, or a key and a database."""
    return item if isinstance(item, tuple) else (item, None)


class _Blocking(Protocol[V_co]):
    """What the operators stand on."""

    def get(self, key: Key, db: int | None = None) -> V_co | None: ...
    def set(
        self,
        key: Key,
        value: Any,
        db: int | None = None,
        expire_time: ExpireTime | None = None,
    ) -> int: ...
    def remove(self, key: Key, db: int | None = None) -> int: ...
    def exists(self, key: Key, db: int | None = None) -> bool: ...
    def count(self, db: int | None = None) -> int: ...


class TycoonMapping(Generic[V]):
    """The operators of `kt.KyotoTycoon`."""

    def __getitem__(self: _Blocking[V], item: Key | tuple[Key, int | None]) -> V | None:
        """``db[key]`` or ``db[key, n]``: as `get`, so None if there is no such record."""
        key, db = key_and_db(item)
        return self.get(key, db)

    def __setitem__(self: _Blocking[V], item: Key | tuple[Key, int | None], value: Any) -> None:
        """``db[key] = value`` or ``db[key, n] = value, expire_time``: as `set`.

        A value that is a tuple of two is always a value and its expiry.
        """
        key, db = key_and_db(item)
        expire_time = None
        if isinstance(value, tuple) and len(value) == 2:
            value, expire_time = value
        self.set(key, value, db, expire_time)

    def __delitem__(self: _Blocking[V], item: Key | tuple[Key, int | None]) -> None:
        """``del db[key]`` or ``del db[key, n]``: as `remove`, so fine if there is no record."""
        key, db = key_and_db(item)
        self.remove(key, db)

    def __contains__(self: _Blocking[V], item: Key | tuple[Key, int | None]) -> bool:
        """``key in db`` or ``(key, n) in db``: as `exists`."""
        key, db = key_and_db(item)
        return self.exists(key, db)

    def __len__(self: _Blocking[V]) -> int:
        """``len(db)``: the number of records in the default database."""
        return self.count()


class _Awaitable(Protocol[V_co]):
    async def get(self, key: Key, db: int | None = None) -> V_co | None: ...


class AsyncTycoonMapping(Unawaitable, Generic[V]):
    """The operator of `kt.AsyncKyotoTycoon`."""

    async def __getitem__(self: _Awaitable[V], item: Key | tuple[Key, int | None]) -> V | None:
        """``await db[key]`` or ``await db[key, n]``: as `get`."""
        key, db = key_and_db(item)
        return await self.get(key, db)
