"""Django: a cache in Kyoto Tycoon, and so sessions.

::

    CACHES = {
        "default": {
            "BACKEND": "kt.contrib.django.KyotoTycoonCache",
            "LOCATION": "kt://localhost:1978",
        }
    }
    SESSION_ENGINE = "django.contrib.sessions.backends.cache"

Django makes a back end for each thread, and with ASGI for each request, so the connections do not
belong to it: back ends of a process with the same configuration share a client, and those of an
event loop a client for asyncio.

Values are pickled unless OPTIONS has another ``serializer``: whoever can write to the server can
then run code in this program.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from os import environ
from threading import Lock
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from kt.client.url import VARIABLE
from kt.contrib.store import Store
from kt.contrib.store_async import AsyncStore
from kt.serializers import KT_PICKLE

Options = tuple[tuple[str, Any], ...]
"""Options for a client, such that two of the same are equal."""


@cache
def shared_store(location: str, options: Options) -> Store:
    """Return the store of this process for `location`."""
    return Store(location, **dict(options))


class LoopStores:
    """The stores of each event loop, which several threads may run."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._stores: dict[asyncio.AbstractEventLoop, dict[tuple[str, Options], AsyncStore]] = {}

    def get(self, location: str, options: Options) -> AsyncStore:
        """Return the store of the running loop; forget those of loops that have ended."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop not in self._stores:
                for ended in [other for other in self._stores if other.is_closed()]:
                    del self._stores[ended]
            stores = self._stores.setdefault(loop, {})
            if (location, options) not in stores:
                stores[location, options] = AsyncStore(location, **dict(options))
            return stores[location, options]


@cache
def loop_stores() -> LoopStores:
    """Return the stores of this process for asyncio."""
    return LoopStores()


class KyotoTycoonCache(BaseCache):
    """A cache in a database of a Kyoto Tycoon server.

    It does what Django's documentation says. What is done to one key is atomic; `incr` keeps its
    expiry. `clear` removes all records of the database, so a cache should have one of its own. A
    timeout is rounded up to whole seconds.

    Args:
        location: LOCATION, ``kt://HOST:PORT/DB`` or ``kt+unix:///PATH``; None or nothing: the URL
            in the environment variable ``KT_URL``.
        params: the other settings. In OPTIONS, ``serializer`` is an object with `dumps` and
            `loads`, or the dotted name of one; all else is for the client (``timeout``, ``retry``,
            ``pool_size`` and so on). ``MAX_ENTRIES`` and ``CULL_FREQUENCY`` are as Django has
            them, but without ``MAX_ENTRIES`` there is no limit: with one, each `set` and `add` asks
            for the number of records first.

    Raises:
        ImproperlyConfigured: LOCATION is no URL.
        ArgumentError: an option is none of these, or has no such value.
    """

    def __init__(self, location: str | None, params: dict[str, Any]) -> None:
        super().__init__(params)
        options = dict(params.get("OPTIONS") or {})
        limits = [options.pop(name, None) for name in ("MAX_ENTRIES", "CULL_FREQUENCY")]
        self._is_limited = limits[0] is not None or params.get("max_entries") is not None
        serializer = options.pop("serializer", KT_PICKLE)
        self._serializer = import_string(serializer) if isinstance(serializer, str) else serializer
        location = location or environ.get(VARIABLE, "")
        self._place: tuple[str, Options] = (location, tuple(sorted(options.items())))
        if "://" not in location:
            raise ImproperlyConfigured(
                f"LOCATION, or {VARIABLE} in the environment, is the URL of a server "
                f"(kt://HOST:PORT/DB), not {location!r}: Django's processes cannot share a file"
            )
        shared_store(*self._place)  # tells of wrong options at once, and does not connect yet

    @property
    def _store(self) -> Store:
        return shared_store(*self._place)

    @property
    def _async_store(self) -> AsyncStore:
        return loop_stores().get(*self._place)

    def get_backend_timeout(self, timeout: Any = DEFAULT_TIMEOUT) -> float | None:
        """Return for how many seconds a record is to live; None: for ever, 0 or less: not at all.

        Args:
            timeout: what a caller said.
        """
        seconds: float | None = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        return seconds

    def add(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        """Store a value if there is none. Returns whether there was none."""
        record = self._record(key, value, timeout, version)
        self._make_room()
        return self._store.add(*record)

    async def aadd(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        """As `add`."""
        record = self._record(key, value, timeout, version)
        await self._amake_room()
        return await self._async_store.add(*record)

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """Return a value, or `default` if there is none."""
        data = self._store.get(self.make_and_validate_key(key, version))
        return default if data is None else self._serializer.loads(data)

    async def aget(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """As `get`."""
        data = await self._async_store.get(self.make_and_validate_key(key, version))
        return default if data is None else self._serializer.loads(data)

    def set(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> None:
        """Store a value."""
        record = self._record(key, value, timeout, version)
        self._make_room()
        self._store.set(*record)

    async def aset(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> None:
        """As `set`."""
        record = self._record(key, value, timeout, version)
        await self._amake_room()
        await self._async_store.set(*record)

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Give a value a new timeout. Returns whether there is one."""
        full = self.make_and_validate_key(key, version)
        return self._store.touch(full, self.get_backend_timeout(timeout))

    async def atouch(
        self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        """As `touch`."""
        full = self.make_and_validate_key(key, version)
        return await self._async_store.touch(full, self.get_backend_timeout(timeout))

    def delete(self, key: Any, version: int | None = None) -> bool:
        """Remove a value. Returns whether there was one."""
        return self._store.delete(self.make_and_validate_key(key, version))

    async def adelete(self, key: Any, version: int | None = None) -> bool:
        """As `delete`."""
        return await self._async_store.delete(self.make_and_validate_key(key, version))

    def has_key(self, key: Any, version: int | None = None) -> bool:
        """Return whether there is a value."""
        return self._store.has(self.make_and_validate_key(key, version))

    async def ahas_key(self, key: Any, version: int | None = None) -> bool:
        """As `has_key`."""
        return await self._async_store.has(self.make_and_validate_key(key, version))

    def get_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        """Return the values of those of `keys` that have one, in one request."""
        names = self._names(keys, version)
        return self._loaded(names, self._store.get_many(names))

    async def aget_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        """As `get_many`."""
        names = self._names(keys, version)
        return self._loaded(names, await self._async_store.get_many(names))

    def set_many(
        self,
        data: Mapping[Any, Any],
        timeout: Any = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> list[Any]:
        """Store values in one request. Returns the keys that failed: none of them."""
        records = self._records(data, timeout, version)
        self._make_room()
        self._store.set_many(*records)
        return []

    async def aset_many(
        self,
        data: Mapping[Any, Any],
        timeout: Any = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> list[Any]:
        """As `set_many`."""
        records = self._records(data, timeout, version)
        await self._amake_room()
        await self._async_store.set_many(*records)
        return []

    def delete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        """Remove values in one request."""
        self._store.delete_many(self._names(keys, version))

    async def adelete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        """As `delete_many`."""
        await self._async_store.delete_many(self._names(keys, version))

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Add to a number and return the sum; its expiry stays.

        Raises:
            ValueError: there is no such key.
            TypeError: the value is no number.
        """
        full = self.make_and_validate_key(key, version)
        return self._sum(key, self._store.change(full, self._adding(delta)))

    async def aincr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """As `incr`."""
        full = self.make_and_validate_key(key, version)
        return self._sum(key, await self._async_store.change(full, self._adding(delta)))

    def clear(self) -> bool:
        """Remove all records of the database. Returns True."""
        self._store.clear()
        return True

    async def aclear(self) -> bool:
        """As `clear`."""
        await self._async_store.clear()
        return True

    def _make_room(self) -> None:
        if self._is_limited:
            self._store.cull(self._max_entries, self._cull_frequency)

    async def _amake_room(self) -> None:
        if self._is_limited:
            await self._async_store.cull(self._max_entries, self._cull_frequency)

    def _dump(self, value: Any) -> bytes:
        data: str | bytes = self._serializer.dumps(value)
        return data.encode() if isinstance(data, str) else data

    def _record(
        self, key: Any, value: Any, timeout: Any, version: int | None
    ) -> tuple[str, bytes, float | None]:
        """What the store is given: key, value and seconds."""
        full = self.make_and_validate_key(key, version)
        return full, self._dump(value), self.get_backend_timeout(timeout)

    def _records(
        self, data: Mapping[Any, Any], timeout: Any, version: int | None
    ) -> tuple[dict[str, bytes], float | None]:
        records = {
            self.make_and_validate_key(key, version): self._dump(value)
            for key, value in data.items()
        }
        return records, self.get_backend_timeout(timeout)

    def _names(self, keys: Iterable[Any], version: int | None) -> dict[str, Any]:
        """The keys of the records, each with the key that the caller knows."""
        return {self.make_and_validate_key(key, version): key for key in keys}

    def _loaded(self, names: dict[str, Any], found: dict[str, bytes]) -> dict[Any, Any]:
        return {names[full]: self._serializer.loads(data) for full, data in found.items()}

    def _adding(self, delta: int) -> Callable[[bytes], bytes]:
        return lambda data: self._dump(self._serializer.loads(data) + delta)

    def _sum(self, key: Any, data: bytes | None) -> int:
        if data is None:
            raise ValueError(f"Key '{key}' not found")
        total: int = self._serializer.loads(data)
        return total
