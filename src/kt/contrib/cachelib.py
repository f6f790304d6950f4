"""cachelib: a cache in Kyoto Tycoon. `kt.contrib.flask_caching` is the same for Flask-Caching.

::

    from kt.contrib.cachelib import KyotoTycoonCache

    cache = KyotoTycoonCache("kt://localhost:1978")

Values are pickled unless another serializer is given: whoever can write to the server can then run
code in this program.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from math import ceil
from typing import TYPE_CHECKING, Any

from cachelib.base import BaseCache

from kt.contrib.store import Place, Store
from kt.serializers import KT_PICKLE

if TYPE_CHECKING:
    from kt.serializers import Serializer

_log = logging.getLogger("kt")


class KyotoTycoonCache(BaseCache):
    """A cache in a database of a Kyoto Tycoon server. Threads and processes may share it.

    `inc` and `dec` are atomic and leave the expiry of a record as it is.

    Args:
        place: a URL (``kt://HOST:PORT/DB``), the name of a database to be opened in this process
            (``*``, ``cache.kch``), or a `KyotoTycoon`; None: the URL in ``KT_URL``.
        default_timeout: seconds that a record lives if `set` does not say it; 0 for ever.
        key_prefix: begins every key of this cache, so that several can share a database; text, or
            a function that returns it.
        ignore_delete_many_errors: as for every cache of cachelib.
        serializer: how values become bytes and back.
        options: more of them for the client: ``timeout``, ``retry`` and so on.

    Raises:
        ArgumentError: an argument is none of these.
    """

    def __init__(
        self,
        place: Place = None,
        default_timeout: int | timedelta = 300,
        key_prefix: str | Callable[[], str] | None = None,
        ignore_delete_many_errors: bool = True,
        *,
        serializer: Serializer[Any] = KT_PICKLE,
        **options: Any,
    ) -> None:
        super().__init__(_seconds(default_timeout))
        self.ignore_delete_many_errors = ignore_delete_many_errors
        self.key_prefix = key_prefix or ""
        self.serializer = serializer
        self._store = Store(place, **options)

    def close(self) -> None:
        """Close the connections, or the database, unless a client was given."""
        self._store.close()

    def get(self, key: str) -> Any:
        """Return a value, or None if there is none, or none that the serializer can read."""
        return self._load(self._store.get(self._key(key)))

    def get_many(self, *keys: str) -> list[Any]:
        """Return the values of `keys` in their order, None for each that has none."""
        full = [self._key(key) for key in keys]
        found = self._store.get_many(full)
        return [self._load(found.get(key)) for key in full]

    def set(self, key: str, value: Any, timeout: int | timedelta | None = None) -> bool:
        """Store a value for `timeout` seconds; 0: for ever, None: the default. Returns True."""
        self._store.set(self._key(key), self._dump(value), self._lifetime(timeout))
        return True

    def add(self, key: str, value: Any, timeout: int | timedelta | None = None) -> bool:
        """As `set`, if there is no value yet. Returns whether there was none."""
        return self._store.add(self._key(key), self._dump(value), self._lifetime(timeout))

    def set_many(
        self, mapping: dict[str, Any], timeout: int | timedelta | None = None
    ) -> list[Any]:
        """As `set`, for many values in one request. Returns their keys."""
        records = {self._key(key): self._dump(value) for key, value in mapping.items()}
        self._store.set_many(records, self._lifetime(timeout))
        return list(mapping)

    def delete(self, key: str) -> bool:
        """Remove a value. Returns whether there was one."""
        return self._store.delete(self._key(key))

    def delete_many(self, *keys: str) -> list[Any]:
        """Remove values in one request. Returns the keys, for none of them has a value now."""
        self._store.delete_many([self._key(key) for key in keys])
        return list(keys)

    def has(self, key: str) -> bool:
        """Return whether there is a value."""
        return self._store.has(self._key(key))

    def clear(self) -> bool:
        """Remove the values with this cache's prefix; without one, all of the database."""
        self._store.clear(self._key(""))
        return True

    def inc(self, key: str, delta: int = 1) -> int:
        """Add `delta` to a number, or to 0 where there is none, and return the sum.

        Raises:
            TypeError: the value is no number.
        """
        full = self._key(key)

        def add(data: bytes) -> bytes:
            return self._dump(self.serializer.loads(data) + delta)

        while True:
            changed = self._store.change(full, add)
            if changed is not None:
                total: int = self.serializer.loads(changed)
                return total
            if self._store.add(full, self._dump(delta), self._lifetime(None)):
                return delta

    def dec(self, key: str, delta: int = 1) -> int:
        """Subtract `delta`; as `inc`."""
        return self.inc(key, -delta)

    def _key(self, key: Any) -> str:
        """The key of a record; whatever has a text may be a key, as for the other caches."""
        prefix = self.key_prefix if isinstance(self.key_prefix, str) else self.key_prefix()
        return f"{prefix}{key}"

    def _dump(self, value: Any) -> bytes:
        data = self.serializer.dumps(value)
        return data.encode() if isinstance(data, str) else data

    def _load(self, data: bytes | None) -> Any:
        """The value of a record; one that cannot be read, of another program say, is none."""
        if data is None:
            return None
        try:
            return self.serializer.loads(data)
        except Exception as error:  # noqa: BLE001 - a serializer may raise anything
            _log.warning("a value in the cache cannot be read: %s: %s", type(error).__name__, error)
            return None

    def _lifetime(self, timeout: int | timedelta | None) -> int | None:
        """Seconds that a record lives, None for ever."""
        seconds = self.default_timeout if timeout is None else _seconds(timeout)
        return None if seconds == 0 else seconds


def _seconds(timeout: float | timedelta) -> int:
    """Whole seconds, rounded up."""
    return ceil(timeout.total_seconds() if isinstance(timeout, timedelta) else timeout)
