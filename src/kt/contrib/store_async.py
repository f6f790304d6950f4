"""What the back ends for caches stand on: bytes with an expiry, in a database of Kyoto Tycoon.

Each operation is atomic, and none needs Lua: a record is changed by reading it and swapping it for
another one if it is still the same, so the original server serves as well as kt-tycoon.

Seconds say how long a record is to live: None for ever, fractions are rounded up (the server counts
in whole seconds), and with 0 or less there is no record afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kt.client.tycoon.client_async import AsyncKyotoTycoon
from kt.errors import ArgumentError
from kt.local.opening import TOKYO, open_database_async
from kt.serializers import KT_NONE

PIECE = 10_000
"""Keys that are removed at once, so that a request stays small."""

Place = str | AsyncKyotoTycoon[Any, Any] | None
"""A database: ``kt://HOST:PORT/DB``, the name of one to be opened in this process (``*``,
``cache.kch``), a client, or None for the URL in the environment variable ``KT_URL``."""


def connect(place: Place, **options: Any) -> AsyncKyotoTycoon[Any, Any]:
    """Return a client of the database at `place`.

    Args:
        place: where the database is.
        options: for `AsyncKyotoTycoon.from_url` or `kt.open`, whichever makes the client.

    Raises:
        ArgumentError: there can be no database at `place`, or it has no expiry.
    """
    if isinstance(place, AsyncKyotoTycoon):
        if options:
            names = ", ".join(options)
            raise ArgumentError(f"a client has its options already: leave out {names}")
        return place
    if place is not None and not isinstance(place, str):
        raise ArgumentError(
            f"a cache is at a URL, in a database by its name, or has a client of Kyoto Tycoon, "
            f"not {place!r}"
        )
    if place is None or "://" in place:
        if place is not None and place.startswith(("tt:", "tts:", "tt+unix:")):
            raise ArgumentError(f"Tokyo Tyrant has no expiry: use Kyoto Tycoon, not {place!r}")
        return AsyncKyotoTycoon.from_url(place, **options)
    if place.partition("#")[0].endswith(TOKYO):
        raise ArgumentError(f"Tokyo Cabinet has no expiry: use Kyoto Cabinet, not {place!r}")
    client: AsyncKyotoTycoon[Any, Any] = open_database_async(place, **options)
    return client


class AsyncStore:
    """Records of bytes that expire.

    Args:
        place: where they are.
        options: for the client that is made.

    Raises:
        ArgumentError: see `connect`.
    """

    def __init__(self, place: Place, **options: Any) -> None:
        self._is_ours = not isinstance(place, AsyncKyotoTycoon)
        self.client = connect(place, **options).using(serializer=KT_NONE)
        self.client._decode_keys = True  # of this view: keys come back as they were given

    async def close(self) -> None:
        """Close the client if it was made here."""
        if self._is_ours:
            await self.client.close()

    async def get(self, key: str) -> bytes | None:
        """Return a value, or None if there is no record."""
        return await self.client.get_bytes(key)

    async def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Return the values of those of `keys` that have a record."""
        return await self.client.get_bulk(keys)

    async def has(self, key: str) -> bool:
        """Return whether there is a record."""
        return await self.client.exists(key)

    async def set(self, key: str, data: bytes, seconds: float | None) -> None:
        """Store a record."""
        if seconds is not None and seconds <= 0:
            await self.client.remove(key)
        else:
            await self.client.set_bytes(key, data, expire_time=seconds)

    async def set_many(self, records: Mapping[str, bytes], seconds: float | None) -> None:
        """Store records; others may see some of them before all are stored."""
        if seconds is not None and seconds <= 0:
            await self.client.remove_bulk(records)
        else:
            await self.client.set_bulk(records, expire_time=seconds)

    async def add(self, key: str, data: bytes, seconds: float | None) -> bool:
        """Store a record if there is none. Returns whether there was none."""
        if seconds is not None and seconds <= 0:
            return not await self.has(key)
        return await self.client.add(key, data, expire_time=seconds)

    async def delete(self, key: str) -> bool:
        """Remove a record. Returns whether there was one."""
        return bool(await self.client.remove(key))

    async def delete_if(self, key: str, data: bytes) -> bool:
        """Remove a record if its value is `data`. Returns whether it was."""
        return await self.client.cas(key, data, None)

    async def delete_many(self, keys: Iterable[str]) -> int:
        """Remove records. Returns how many there were."""
        return await self.client.remove_bulk(keys)

    async def touch(self, key: str, seconds: float | None) -> bool:
        """Let a record live for `seconds` from now. Returns whether there is one."""
        if seconds is not None and seconds <= 0:
            return await self.delete(key)
        while (data := await self.get(key)) is not None:
            if await self.client.cas(key, data, data, expire_time=seconds):
                return True
        return False

    async def change(self, key: str, change: Callable[[bytes], bytes]) -> bytes | None:
        """Replace a value by what `change` makes of it, which may be asked more than once.

        The record expires when it would have expired before.

        Returns:
            the new value; None if there is no record.
        """
        db = self.client._db
        while found := await self.client.get_bulk_details([(db, key)]):
            old, new = found[0].value, change(found[0].value)
            if await self.client.cas(key, old, new, expire_time=found[0].expires):
                return new
        return None

    async def clear(self, prefix: str = "") -> None:
        """Remove all records of the database, or those whose keys begin with `prefix`."""
        if not prefix:
            await self.client.clear()
            return
        keys = await self.client.match_prefix(prefix)
        for start in range(0, len(keys), PIECE):
            await self.client.remove_bulk(keys[start : start + PIECE])

    async def cull(self, most: int, frequency: int) -> None:
        """Make room if there are `most` records or more.

        Args:
            most: so many.
            frequency: one in so many is removed, those that the server has first; 0: all are.
        """
        count = await self.client.count()
        if count < most:
            return
        if frequency == 0:
            await self.client.clear()
            return
        keys = await self.client.match_prefix("", max(count // frequency, 1))
        for start in range(0, len(keys), PIECE):
            await self.client.remove_bulk(keys[start : start + PIECE])
