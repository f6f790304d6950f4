"""dogpile.cache: regions in Kyoto Tycoon.

::

    region = make_region().configure(
        "kyoto_tycoon",
        expiration_time=3600,
        arguments={"place": "kt://localhost:1978", "distributed_lock": True},
    )

dogpile pickles values unless the region has another serializer: whoever can write to the server can
then run code in this program.

With a distributed lock, one of all processes makes a new value. The lock is a record with a random
value, which is added if there is none, and removed if the value is still the same::

    add KEY.lock RANDOM  ──>  stored: we have the lock    cas KEY.lock RANDOM nothing  ──>  free
                         ──>  not stored: wait, try again

It expires, so a process that dies does not hold it for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from secrets import token_bytes
from time import sleep
from typing import Any

from dogpile.cache.api import NO_VALUE, BytesBackend, CacheMutex

from kt.contrib.store import Store

LOCK_TIMEOUT = 60.0
"""Seconds after which a lock is free if nobody has released it."""

LOCK_SLEEP = 0.1
"""Seconds between two attempts to take a lock."""


class KyotoTycoonBackend(BytesBackend):
    """Values in a database of a Kyoto Tycoon server. Threads and processes may share it.

    Args:
        arguments: of the region:

            - ``place``: a URL (``kt://HOST:PORT/DB``), the name of a database to be opened in this
              process (``*``, ``cache.kch``), or a `KyotoTycoon`; without it the URL in ``KT_URL``.
            - ``expire_time``: seconds after which the server removes a value; should be more than
              the region's ``expiration_time``. Without it a value stays.
            - ``distributed_lock``: whether the lock for making a value is one for all processes
              that use the database, instead of one for the threads of this process.
            - ``lock_timeout``: seconds after which such a lock is free again; None for never.
            - ``lock_sleep``: seconds between two attempts to take it.
            - ``client_options``: a dict for the client: ``timeout``, ``retry`` and so on.

            Others are left alone, as other back ends do.

    Raises:
        ArgumentError: `place` is none of these.
    """

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self.expire_time: float | None = arguments.get("expire_time")
        self.distributed_lock = bool(arguments.get("distributed_lock"))
        self.lock_timeout: float | None = arguments.get("lock_timeout", LOCK_TIMEOUT)
        self.lock_sleep: float = arguments.get("lock_sleep", LOCK_SLEEP)
        self._store = Store(arguments.get("place"), **arguments.get("client_options", {}))

    def close(self) -> None:
        """Close the connections, or the database, unless a client was given."""
        self._store.close()

    def has_lock_timeout(self) -> bool:
        """Return whether a lock may be free before its holder releases it."""
        return self.distributed_lock and self.lock_timeout is not None

    def get_mutex(self, key: str) -> Mutex | None:
        """Return the lock for making the value of `key`; None for dogpile's own."""
        if not self.distributed_lock:
            return None
        return Mutex(self._store, f"{key}.lock", self.lock_timeout, self.lock_sleep)

    def get_serialized(self, key: str) -> Any:
        """Return the bytes of a value, or NO_VALUE."""
        data = self._store.get(key)
        return NO_VALUE if data is None else data

    def get_serialized_multi(self, keys: Iterable[str]) -> Sequence[Any]:
        """Return the bytes of values, or NO_VALUE, in the order of `keys`, in one request."""
        wanted = list(keys)
        found = self._store.get_many(wanted) if wanted else {}
        return [found.get(key, NO_VALUE) for key in wanted]

    def set_serialized(self, key: str, value: bytes) -> None:
        """Store a value."""
        self._store.set(key, value, self.expire_time)

    def set_serialized_multi(self, mapping: Mapping[str, bytes]) -> None:
        """Store values in one request."""
        if mapping:
            self._store.set_many(mapping, self.expire_time)

    def delete(self, key: str) -> None:
        """Remove a value, if there is one."""
        self._store.delete(key)

    def delete_multi(self, keys: Iterable[str]) -> None:
        """Remove values, where there are any, in one request."""
        self._store.delete_many(keys)


class Mutex(CacheMutex):
    """A lock for all that use the database. Another thread may release it than took it.

    Args:
        store: where its record is.
        key: the key of the record.
        timeout: seconds after which it is free by itself; None for never.
        pause: seconds between two attempts to take it.
    """

    def __init__(self, store: Store, key: str, timeout: float | None, pause: float) -> None:
        self._store = store
        self._key = key
        self._timeout = timeout
        self._pause = pause
        self._holder = b""

    def acquire(self, wait: bool = True) -> bool:
        """Take the lock; if somebody has it, wait for it or, without `wait`, return False."""
        holder = token_bytes(16)
        while not self._store.add(self._key, holder, self._timeout):
            if not wait:
                return False
            sleep(self._pause)
        self._holder = holder
        return True

    def release(self) -> None:
        """Let others take the lock. If it was free already, nothing happens."""
        self._store.delete_if(self._key, self._holder)

    def locked(self) -> bool:
        """Return whether somebody has the lock."""
        return self._store.has(self._key)
