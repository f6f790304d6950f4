"""Iteration over a whole Tokyo Tyrant database.

The server has an iterator, but only one: two clients that use it take records from each other. So
records are reached in other ways, which disturb nobody and which nobody disturbs:

======================  =========================================================================
type of database        way
======================  =========================================================================
B+ tree (``.tcb``)      ``misc range``, page by page. A page begins with the last key of the one
                        before it, of which as many records are left out as were seen.
tree in memory (``+``)  ``fwmkeys`` with a prefix. If more than a page of keys begin with it, with
                        each prefix that is one byte longer. Then ``mget``. (Here, ``misc range``
                        moves the server's iterator.)
fixed-length (``.tcf``) ``fwmkeys`` with an interval of keys, page by page, then ``mget``.
hash, table             ``fwmkeys`` with an empty prefix gives all keys at once, then ``mget`` gives
                        the values, page by page. (A prefix saves nothing: the server looks at
                        every key.)
======================  =========================================================================

A page has as many records as fit into about `PAGE_BYTES`, judged by the page before. Records that
are stored or removed meanwhile may be met or missed; all others are met exactly once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import AsyncIterator, Iterable
from itertools import takewhile
from typing import Any, Final, TypeAlias

from kt.client.tyrant.admin_async import FIXED, MEMORY_TREE, TREE, AsyncTyrantAdmin
from kt.client.tyrant.values import first_of_each
from kt.client.values import RAW, Values
from kt.errors import ServerError
from kt.types import K, Key, V
from kt.wire import tyrant
from kt.wire.codec import decode_key, encode_key
from kt.wire.tyrant_commands import NO_UPDATE_LOG

PAGE_FIRST: Final = 64
PAGE_MAX: Final = 10_000
PAGE_BYTES: Final = 512 * 1024

FIRST_ID: Final = b"min"
ALL_IDS: Final = b"[min,max]"
"""What stands for the least key, and for all keys, of a database of fixed-length records."""

Page: TypeAlias = list[tuple[Any, Any]]


def next_page(records: int, frame: bytes) -> int:
    """How many records to ask for after a page of so many in so many bytes."""
    return max(1, min(PAGE_MAX, records * PAGE_BYTES // len(frame)))


def leading(key: Any, records: Iterable[tuple[Any, Any]]) -> int:
    """How many records at the beginning have this key."""
    return sum(1 for _ in takewhile(lambda record: record[0] == key, records))


class AsyncTyrantScan(AsyncTyrantAdmin[K, V]):
    """The iteration of `AsyncTokyoTyrant`."""

    async def keys(self) -> list[K]:
        """Return all keys. Where they may be too many for one list, iterate over the client."""
        every = ALL_IDS if await self._database_type() == FIXED else b""
        return tyrant.decode_fwmkeys(await self._fwmkeys(every, -1), self._decode_keys)

    async def __aiter__(self) -> AsyncIterator[K]:
        """Iterate over all keys, each once, in order if the database has one."""
        if await self._database_type() != TREE:
            async for keys in self._key_pages(b""):
                for found in keys:
                    yield decode_key(found, self._decode_keys)  # type: ignore[misc]  # as K is
            return
        last = None
        async for page in self._tree_pages(b"", RAW):
            for key, _ in page:
                if key != last:
                    yield key
                last = key

    async def values(self) -> AsyncIterator[V]:
        """Iterate over all values, in the order of their keys if the database has one."""
        async for page in self._pages(b""):
            for _, value in page:
                yield value

    async def items(self) -> AsyncIterator[tuple[K, V]]:
        """Iterate over all keys and values; a tree gives every one of a key's values."""
        async for page in self._pages(b""):
            for item in page:
                yield item

    async def iter_from(self, start_key: Key) -> dict[K, V]:
        """Return the record of `start_key` and all that follow it, in the database's order.

        In trees and in databases of fixed-length records, `start_key` need not be there. Others
        have an order only by chance; without a record of `start_key` they give nothing.
        """
        start = encode_key(start_key)
        return first_of_each([item async for page in self._pages(start) for item in page])

    # ------------------------------------------------------------------------------------- pages

    async def _pages(self, start: bytes) -> AsyncIterator[Page]:
        """The records from `start` on; all of them if it is empty."""
        if await self._database_type() == TREE:
            async for page in self._tree_pages(start, self._values):
                yield page
        else:
            async for keys in self._key_pages(start):
                async for page in self._records(keys):
                    yield page

    async def _key_pages(self, start: bytes) -> AsyncIterator[list[bytes]]:
        """The keys from `start` on, where the database is no B+ tree."""
        kind = await self._database_type()
        if kind == FIXED:
            interval = b"[%b,max]" % (start or FIRST_ID)
            while keys := await self._matching(interval, PAGE_MAX):
                yield keys
                interval = b"(%b,max]" % keys[-1]
        elif kind == MEMORY_TREE:
            async for keys in self._memory_tree_keys(start):
                yield keys
        else:
            keys = await self._matching(b"", -1)
            if not start:
                yield keys
            elif start in keys:
                yield keys[keys.index(start) :]

    async def _memory_tree_keys(self, start: bytes) -> AsyncIterator[list[bytes]]:
        prefixes = [b""]
        while prefixes:
            prefix = prefixes.pop()
            if prefix < start[: len(prefix)]:
                continue
            keys = await self._matching(prefix, PAGE_MAX + 1)
            if len(keys) > PAGE_MAX:
                keys = keys[:1] if keys[0] == prefix else []
                prefixes += [prefix + bytes((byte,)) for byte in range(255, -1, -1)]
            yield keys[bisect_left(keys, start) :]

    async def _tree_pages(self, start: bytes, values: Values) -> AsyncIterator[Page]:
        """The records of a tree from `start` on; no page is empty."""
        size, seen = PAGE_FIRST, 0
        last: Any = None
        while True:
            wanted = size + seen
            frame = await self._function("range", (start, str(wanted)), NO_UPDATE_LOG, True)
            if frame is None:
                raise ServerError("the server reports that range failed", code=1)
            with values.decoding:
                found = tyrant.decode_misc_pairs(frame, self._decode_keys, values.loads)
            new = found[leading(last, found[:seen]) :]
            if new:
                yield new
            if len(found) < wanted:
                return
            last = found[-1][0]
            start, seen = encode_key(last), leading(last, reversed(found))
            size = next_page(len(found), frame)

    async def _records(self, keys: list[bytes]) -> AsyncIterator[Page]:
        """The records of `keys`, as far as they are still there."""
        size, begin = PAGE_FIRST, 0
        while chunk := keys[begin : begin + size]:
            frame = await self._call(tyrant.pack_mget(chunk), tyrant.read_mget_reply, True)
            with self._values.decoding:
                found = tyrant.decode_mget(frame, self._decode_keys, self._values.loads)
            yield list(found.items())
            begin += size
            size = next_page(len(found) or 1, frame)

    async def _matching(self, prefix: bytes, maximum: int) -> list[bytes]:
        """The keys that begin with `prefix`, as bytes."""
        return tyrant.decode_fwmkeys(await self._fwmkeys(prefix, maximum), False)

    async def _fwmkeys(self, prefix: Key, maximum: int) -> bytes:
        """A frame of the keys that begin with `prefix`."""
        request = tyrant.pack_fwmkeys(prefix, maximum)
        return await self._call(request, tyrant.read_fwmkeys_reply, True)
