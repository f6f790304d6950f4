"""``db[key]`` and ``table[key]``: the operators of a Tokyo Tyrant client and its models.

Python can await none of them but indexing, so they are not written as async source: the blocking
classes have all of them, the asyncio ones ``await db[key]`` and ``await table[key]``.
"""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar, overload

from kt.client.operators import Unawaitable
from kt.errors import ArgumentError
from kt.types import K, Key, V

K_co = TypeVar("K_co", covariant=True)
V_co = TypeVar("V_co", covariant=True)


def bounds(keys: slice) -> tuple[Key, Key | None]:
    """Return where a range of keys begins and ends."""
    if keys.step is not None:
        raise ArgumentError(f"a range of keys has no step: {keys!r}")
    return keys.start or b"", keys.stop


class _Blocking(Protocol[K, V]):
    """What the operators stand on."""

    def get(self, key: Key) -> V | None: ...
    def get_range(self, start: Key, stop: Key | None = None) -> dict[K, V]: ...
    def set(self, key: Key, value: Any) -> bool: ...
    def remove(self, key: Key) -> int: ...
    def exists(self, key: Key) -> bool: ...
    def count(self) -> int: ...


class TyrantMapping(Generic[K, V]):
    """The operators of `kt.TokyoTyrant`."""

    @overload
    def __getitem__(self: _Blocking[K, V], item: Key) -> V | None: ...
    @overload
    def __getitem__(self: _Blocking[K, V], item: slice) -> dict[K, V]: ...
    def __getitem__(self: _Blocking[K, V], item: Key | slice) -> V | dict[K, V] | None:
        """``db[key]``: as `get`. ``db[start:stop]`` of a tree: as `get_range`."""
        return self.get_range(*bounds(item)) if isinstance(item, slice) else self.get(item)

    def __setitem__(self: _Blocking[K, V], key: Key, value: Any) -> None:
        """``db[key] = value``: as `set`."""
        self.set(key, value)

    def __delitem__(self: _Blocking[K, V], key: Key) -> None:
        """``del db[key]``: as `remove`, so fine if there is no record."""
        self.remove(key)

    def __contains__(self: _Blocking[K, V], key: Key) -> bool:
        """``key in db``: as `exists`."""
        return self.exists(key)

    def __len__(self: _Blocking[K, V]) -> int:
        """``len(db)``: the number of records."""
        return self.count()


class _Awaitable(Protocol[K, V]):
    async def get(self, key: Key) -> V | None: ...
    async def get_range(self, start: Key, stop: Key | None = None) -> dict[K, V]: ...


class AsyncTyrantMapping(Unawaitable, Generic[K, V]):
    """The operator of `kt.AsyncTokyoTyrant`."""

    @overload
    async def __getitem__(self: _Awaitable[K, V], item: Key) -> V | None: ...
    @overload
    async def __getitem__(self: _Awaitable[K, V], item: slice) -> dict[K, V]: ...
    async def __getitem__(self: _Awaitable[K, V], item: Key | slice) -> V | dict[K, V] | None:
        """``await db[key]``: as `get`. ``await db[start:stop]`` of a tree: as `get_range`."""
        if isinstance(item, slice):
            return await self.get_range(*bounds(item))
        return await self.get(item)


M = TypeVar("M", bound=Any)
M_contra = TypeVar("M_contra", bound=Any, contravariant=True)


class _Rows(Protocol[M_contra]):
    def count(self) -> int: ...
    def exists(self, key: str) -> bool: ...
    def save(self, instance: M_contra) -> None: ...
    def delete(self, instance_or_key: M_contra | str) -> bool: ...


class TableMapping(Generic[M]):
    """The operators of `kt.Table`, besides ``table[key]``."""

    def __len__(self: _Rows[M]) -> int:
        """``len(table)``: the number of rows."""
        return self.count()

    def __contains__(self: _Rows[M], key: str) -> bool:
        """``key in table``: as `exists`."""
        return self.exists(key)

    def __setitem__(self: _Rows[M], key: str, instance: M) -> None:
        """``table[key] = instance``: gives an instance this key, and saves it.

        Raises:
            ArgumentError: the instance has another key.
        """
        before = getattr(instance, "key", key)
        if before not in (None, key):
            raise ArgumentError(f"the key of {instance!r} is not {key!r}")
        if before is None:
            instance.key = key
        try:
            self.save(instance)
        except BaseException:
            if before is None:
                instance.key = None
            raise

    def __delitem__(self: _Rows[M], key: str) -> None:
        """``del table[key]``: as `delete`, but raises KeyError if there was no row."""
        if not self.delete(key):
            raise KeyError(key)


class AsyncTableMapping(Unawaitable, Generic[M]):
    """None: Python can await none of these."""
