"""The requests of the asyncio client for Tokyo Tyrant: records, scripts, functions, searches.

Every command of the protocol, and every function that the databases have (``misc``), is a method.
What a function can do depends on the type of the server's database; one that it does not have
raises `ServerError`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar

from kt.client.arguments import listed, mapped, merged, no_counter, no_function
from kt.client.patterns import glob_regex
from kt.client.tyrant.admin_async import TREE
from kt.client.tyrant.scan_async import AsyncTyrantScan
from kt.client.tyrant.values import (
    chunks,
    first_of_each,
    flattened,
    only,
    record_chunks,
    unpack_double,
    unpack_int,
    whole,
)
from kt.client.values import RAW, Values, name_of
from kt.errors import ArgumentError, ServerError
from kt.options import ScriptLock
from kt.types import K, Key, V
from kt.wire.codec import decode_key, dump_value
from kt.wire.tyrant import (
    decode_fwmkeys,
    decode_mget,
    decode_misc,
    decode_misc_pairs,
    pack_adddouble,
    pack_addint,
    pack_ext,
    pack_get,
    pack_mget,
    pack_misc,
    pack_misc_pairs,
    pack_out,
    pack_put,
    pack_put_each,
    pack_putcat,
    pack_putkeep,
    pack_putnr,
    pack_putshl,
    pack_vsiz,
    read_adddouble_reply,
    read_addint_reply,
    read_ext_reply,
    read_get_reply,
    read_mget_reply,
    read_misc_reply,
    read_out_reply,
    read_put_each_reply,
    read_put_reply,
    read_putcat_reply,
    read_putkeep_reply,
    read_putshl_reply,
    read_vsiz_reply,
)
from kt.wire.tyrant_commands import ITEMS_MAX, NO_UPDATE_LOG
from kt.wire.values import TEXT

BULK_MAX = 2**16
"""Records of one request; the server takes 2**19, but need not hold so many at once."""
PUTS_MAX = 1000
"""Requests that are sent before their replies are read; those must fit into a socket's buffer."""

PAIRS = frozenset(("getlist", "range", "regex", "iternext"))
"""Functions that return keys and values."""

T = TypeVar("T")


class AsyncTyrantRecords(AsyncTyrantScan[K, V]):
    """Every request of `AsyncTokyoTyrant`; a pipeline has them too."""

    # ------------------------------------------------------------------------------ one record

    async def get(self, key: Key) -> V | None:
        """Return the value of `key`, or None if there is none; the first one of duplicates."""
        data = await self._call(pack_get(key), read_get_reply, True)
        return None if data is None else self._values.load(data, key)

    async def get_or(self, key: Key, default: T) -> V | T:
        """Return the value of `key`, or `default`, as it is, if there is no record.

        Unlike `get`, this tells a stored None from no record.
        """
        data = await self.get_bytes(key)
        return default if data is None else self._values.load(data, key)

    async def get_bytes(self, key: Key) -> bytes | None:
        """Return the value of `key` as it is stored, or None if there is none."""
        return await self._call(pack_get(key), read_get_reply, True)

    async def get_int(self, key: Key) -> int | None:
        """Return the number that `incr` keeps at `key`, or None if there is no record.

        Raises:
            SerializationError: the record is no such number.
        """
        data = await self.get_bytes(key)
        return None if data is None else unpack_int(data, key)

    async def get_double(self, key: Key) -> float | None:
        """Return the number that `incr_double` keeps at `key`, or None if there is no record.

        Raises:
            SerializationError: the record is no such number.
        """
        data = await self.get_bytes(key)
        return None if data is None else unpack_double(data, key)

    async def get_part(
        self, key: Key, start: int | None = None, end: int | None = None
    ) -> V | bytes | Literal[False]:
        """Return a part of a value, counted in bytes.

        Args:
            key: its key.
            start: how many bytes to leave out first; None: none.
            end: how many bytes to return then, in spite of its name; None: all.

        Returns:
            Text if the client's values are KT_BINARY, otherwise bytes, because serializers cannot
            decode parts. False if there is no record, or if it is not longer than `start`.

        Raises:
            SerializationError: a part of text begins or ends in the middle of a character.
        """
        arguments = (key, str(start or 0), str(-1 if end is None else end))
        frame = await self._function("getpart", arguments, NO_UPDATE_LOG, True)
        if frame is None:
            return False
        part: bytes = only(decode_misc(frame, False), "getpart")
        values = self._values if self._values.loads is TEXT else RAW
        found: V | bytes = values.load(part, key)
        return found

    async def set(self, key: Key, value: Any, *, no_reply: bool = False) -> bool:
        """Store a record, whether there is one or not. Returns True.

        Args:
            key: its key.
            value: its value.
            no_reply: do not wait for the server. What this thread or task calls next still finds
                the record, but nobody learns of a failure.
        """
        return await self._put(key, self._values.dump(value, key), no_reply)

    async def set_bytes(self, key: Key, value: bytes, *, no_reply: bool = False) -> bool:
        """As `set`, with a value that is stored as it is."""
        return await self._put(key, RAW.dump(value, key), no_reply)

    async def add(self, key: Key, value: Any) -> bool:
        """Store a record if there is none yet. Returns whether it was stored."""
        request = pack_putkeep(key, self._values.dump(value, key))
        return await self._call(request, read_putkeep_reply)

    async def append(self, key: Key, value: Any) -> bool:
        """Put the bytes of `value` after those of the record; without one, as `set`. Returns True.

        In a table, columns that the row does not have are added to it, and the others stay.
        """
        request = pack_putcat(key, self._values.dump(value, key))
        return await self._call(request, read_putcat_reply)

    async def addshl(self, key: Key, value: Any, width: int) -> bool:
        """As `append`, and keep only the last `width` bytes. Returns True."""
        request = pack_putshl(key, self._values.dump(value, key), width)
        return await self._call(request, read_putshl_reply)

    async def remove(self, key: Key) -> int:
        """Remove a record, of duplicates the first. Returns how many were: 1, or 0 if none was."""
        return int(await self._call(pack_out(key), read_out_reply))

    async def seize(self, key: Key) -> V | None:
        """Remove a record and return the value it had, None if there was none.

        The protocol has no such command: the value is read and the record removed. Of several that
        seize it, one gets it; but a value that is stored in between is removed unseen.
        """
        data = await self.get_bytes(key)
        if data is None or not await self.remove(key):
            return None
        value: V = self._values.load(data, key)
        return value

    async def pop(self, key: Key) -> V | None:
        """Remove a record and return the value it had; as `seize`."""
        return await self.seize(key)

    async def exists(self, key: Key) -> bool:
        """Return whether there is a record."""
        return await self.length(key) is not None

    async def length(self, key: Key) -> int | None:
        """Return the length of a value in bytes, or None if there is no record.

        For a row of a table it is one byte more than the row has.
        """
        return await self._call(pack_vsiz(key), read_vsiz_reply, True)

    async def incr(self, key: Key, n: int = 1) -> int:
        """Add `n` to the number at `key` and return the sum.

        The record is 4 bytes, a signed integer in the byte order of the server's machine, which
        `get_int` reads; in a table it is the column ``_num``. Without a record, as if it were 0.

        Raises:
            ArgumentError: `n` has more than 32 bits.
            ServerError: the record is no such number.
        """
        try:
            return await self._call(pack_addint(key, n), read_addint_reply)
        except ServerError as error:
            raise await self._explained(error, key, 4) from error

    async def decr(self, key: Key, n: int = 1) -> int:
        """Subtract `n` from the number at `key`, and return the difference; see `incr`."""
        return await self.incr(key, -n)

    async def incr_double(self, key: Key, n: float = 1.0) -> float:
        """Add `n` to the number at `key` and return the sum, with 12 decimals.

        The record is 8 bytes, a double in the byte order of the server's machine, which
        `get_double` reads; in a table it is the column ``_num``. Without a record, as if it were 0.

        Raises:
            ServerError: the record is no such number.
        """
        try:
            return await self._call(pack_adddouble(key, n), read_adddouble_reply)
        except ServerError as error:
            raise await self._explained(error, key, 8) from error

    # ------------------------------------------------------------------------------ duplicates

    async def putdup(self, key: Key, value: Any) -> bool:
        """Store one more record of a key, after those that it has. Only in trees. Returns True."""
        return await self._perform("putdup", (key, self._values.dump(value, key)))

    async def putdupback(self, key: Key, value: Any) -> bool:
        """Store one more record of a key, before those that it has. Only in trees. Returns True."""
        return await self._perform("putdupback", (key, self._values.dump(value, key)))

    async def getdup(self, key: Key) -> list[V]:
        """Return all values of a key, in their order. Not for tables."""
        frame = await self._function("get", (key,), NO_UPDATE_LOG, True)
        found = [] if frame is None else decode_misc(frame, False)
        return [self._values.load(value, key) for value in found]

    # ---------------------------------------------------------------------------- many records

    async def get_bulk(self, keys: Iterable[Key]) -> dict[K, V]:
        """Return the records of those of `keys` that have one, key to value."""
        found: dict[K, V] = {}
        for chunk in chunks(listed(keys), self._bulk_max):
            frame = await self._call(pack_mget(chunk), read_mget_reply, True)
            with self._values.decoding:
                records = decode_mget(frame, self._decode_keys, self._values.loads)
            found = found | records if found else records
        return found

    async def set_bulk(
        self,
        __data: Mapping[Any, Any] | None = None,
        *,
        no_reply: bool = False,
        **kwargs: Any,
    ) -> bool:
        """Store records, key to value, as `set`. Returns True.

        Args:
            __data: the records.
            no_reply: do not wait for the server; see `set`.
            kwargs: more records, as keyword arguments.
        """
        return await self._set_bulk(merged(__data, kwargs), self._values, no_reply)

    async def update(
        self,
        __data: Mapping[Any, Any] | Iterable[tuple[Any, Any]] | None = None,
        db: None = None,
        expire_time: None = None,
        *,
        no_reply: bool = False,
        **kwargs: Any,
    ) -> bool:
        """As `set_bulk`; the records may be pairs, too: of those of equal key the last counts.

        A server has one database, whose records do not expire.

        Raises:
            ArgumentError: `db` or `expire_time` is given.
        """
        if db is not None or expire_time is not None:
            raise ArgumentError("Tokyo Tyrant has neither several databases nor expiry")
        return await self.set_bulk(merged(mapped(__data), kwargs), no_reply=no_reply)

    async def remove_bulk(self, keys: Iterable[Key]) -> bool:
        """Remove records, all duplicates included. Returns True, whether there were any or not."""
        for chunk in chunks(listed(keys), self._bulk_max):
            await self._perform("outlist", chunk)
        return True

    # ------------------------------------------------------------------------ scripts, functions

    async def script(
        self,
        name: str,
        key: Key | None = None,
        value: str | bytes | None = None,
        *,
        lock: ScriptLock = ScriptLock.NONE,
    ) -> bytes:
        """Call a Lua function of the server.

        Args:
            name: of the function.
            key: its first argument; None: an empty string.
            value: its second argument, which is not serialized; None: an empty string.
            lock: what other calls with a lock have to wait for.

        Returns:
            What the function returned, as it is.

        Raises:
            ServerError: there is no such function, or it failed, or returned nil.
        """
        argument = dump_value(b"" if value is None else value, TEXT, key)
        request = pack_ext(name, b"" if key is None else key, argument, lock.value)
        try:
            return await self._call(request, read_ext_reply)
        except ServerError as error:
            raise no_function(error, name, key) from None

    async def misc(
        self,
        cmd: str,
        keys: Iterable[Key] | None = None,
        data: Mapping[Any, Any] | None = None,
        *,
        update_log: bool = True,
    ) -> Any:
        """Call one of the database's functions by its name.

        Args:
            cmd: the function, for example ``"putlist"``.
            keys: its arguments; numbers are passed as text.
            data: more arguments, keys and values in turn; the values are serialized.
            update_log: write the call into the server's update log.

        Returns:
            False if the function failed or found nothing, True if it succeeded and returned
            nothing, a dict for getlist, range, regex and iternext, one value for getpart, one value
            or a list of them (duplicates) for get, a dict for get with TT_TABLE, an int for genuid,
            and a list of what it returned for every other function.
        """
        arguments: list[Key] = [] if keys is None else list(listed(keys))
        if data is not None:
            with self._values.encoding:
                arguments += flattened(data, self._values.dumps)
        request = pack_misc(cmd, arguments, 0 if update_log else NO_UPDATE_LOG)
        frame = await self._call(request, read_misc_reply)
        return False if frame is None else self._result(cmd, arguments, frame)

    def _result(self, cmd: str, arguments: list[Key], frame: bytes) -> Any:
        """What `misc` returns for the frame that a function returned."""
        if cmd in PAIRS:
            with self._values.decoding:
                return first_of_each(
                    decode_misc_pairs(frame, self._decode_keys, self._values.loads)
                )
        items = decode_misc(frame, False)
        if cmd == "get" and name_of(self._values.serializer) == "TT_TABLE":
            return self._values.load(b"\0".join(items), arguments[0])
        if not items:
            return True
        if cmd == "genuid":
            return whole(items[0], cmd)
        if cmd not in ("get", "getpart"):
            return [decode_key(item, self._decode_keys) for item in items]
        values = [self._values.load(item, arguments[0]) for item in items]
        return values[0] if len(values) == 1 else values

    # ---------------------------------------------------------------------------------- search

    async def get_range(self, start: Key, stop: Key | None = None, max_keys: int = 0) -> dict[K, V]:
        """Return the records of a range of keys, in their order; of duplicates the first.

        Args:
            start: key that the range begins with.
            stop: key that the range ends before; None: it has no end.
            max_keys: how many records at most; 0: all.

        Raises:
            ServerError: the database has no order: it is neither a tree nor has fixed-length
                records.
        """
        return first_of_each(await self.get_rangelist(start, stop, max_keys))

    async def get_rangelist(
        self, start: Key, stop: Key | None = None, max_keys: int = 0
    ) -> list[tuple[K, V]]:
        """As `get_range`, as a list of (key, value) in which duplicates are too."""
        limit = str(max_keys or 0)
        arguments = (start, limit) if stop is None else (start, limit, stop)
        return await self._pairs("range", arguments)

    async def match_prefix(self, prefix: Key, max_keys: int | None = 1024) -> list[K]:
        """Return the keys that begin with `prefix`, at most `max_keys`; None: all."""
        frame = await self._fwmkeys(prefix, -1 if max_keys is None else max_keys)
        return decode_fwmkeys(frame, self._decode_keys)

    async def match_regex(self, regex: Key, max_keys: int | None = 1024) -> list[K]:
        """Return the keys in which a POSIX extended regular expression is found.

        Args:
            regex: the expression; if it begins with ``*``, letter case makes no difference.
            max_keys: how many keys at most; None or 0: all.

        Raises:
            ServerError: it is no regular expression.
        """
        frame = await self._regex(regex, max_keys)
        return decode_misc(frame, self._decode_keys)[::2]

    async def match_glob(self, pattern: Key, max_keys: int | None = 1024) -> list[K]:
        """Return the keys that a pattern as in a shell fits, ``user:*:name`` for example.

        ``*`` stands for any bytes, ``?`` for one (a letter beyond ASCII has several), ``[a-f]`` and
        ``[!a-f]`` for one of these or of others, and a backslash takes the sense from what follows.

        Args:
            pattern: fits the whole key.
            max_keys: how many keys at most; None or 0: all.
        """
        return await self.match_regex(glob_regex(pattern), max_keys)

    async def match_regexlist(self, regex: Key, max_keys: int | None = 1024) -> list[tuple[K, V]]:
        """As `match_regex`, as a list of (key, value)."""
        frame = await self._regex(regex, max_keys)
        with self._values.decoding:
            return decode_misc_pairs(frame, self._decode_keys, self._values.loads)

    # --------------------------------------------------------------------------------- helpers

    @property
    def _bulk_max(self) -> int:
        """How many keys one request may have."""
        return ITEMS_MAX if self._pipelined else BULK_MAX

    async def _explained(self, error: ServerError, key: Key, size: int) -> ServerError:
        """Return what says more about a counter of `size` bytes that cannot be added to."""
        if self._pipelined:
            return error  # it has one exchange for each call
        return no_counter(error, key, await self.length(key), size)

    async def _put(self, key: Key, value: bytes, no_reply: bool) -> bool:
        if no_reply:
            await self._pool.send(pack_putnr(key, value), self._timeout)
            return True
        return await self._call(pack_put(key, value), read_put_reply)

    async def _set_bulk(
        self, records: Mapping[Any, Any], values: Values, no_reply: bool = False
    ) -> bool:
        """Store records. A B+ tree has no bulk command that overwrites: its putlist adds."""
        if no_reply:
            return await self._put_all_unanswered(records, values)
        if self._pipelined:
            return await self._put_each(records, values)
        each = bool(records) and await self._database_type() == TREE
        for chunk in record_chunks(records, PUTS_MAX if each else BULK_MAX):
            await (self._put_each(chunk, values) if each else self._putlist(chunk, values))
        return True

    async def _putlist(self, records: Mapping[Any, Any], values: Values) -> bool:
        with values.encoding:
            request = pack_misc_pairs("putlist", records, values.dumps)
        if await self._call(request, read_misc_reply) is None:
            raise ServerError("the server reports that putlist failed", code=1)
        return True

    async def _put_each(self, records: Mapping[Any, Any], values: Values) -> bool:
        """Store records, each by a request of its own, which are sent together."""
        if not records:
            return True
        with values.encoding:
            request = pack_put_each(records, values.dumps)
        if not await self._call(request, read_put_each_reply(len(records))):
            raise ServerError("the server reports that put failed for some records", code=1)
        return True

    async def _put_all_unanswered(self, records: Mapping[Any, Any], values: Values) -> bool:
        """Store records, each by a request that has no reply."""
        pairs = ((key, values.dump(value, key)) for key, value in records.items())
        requests = [pack_putnr(key, value) for key, value in pairs]
        if requests:
            await self._pool.send(b"".join(requests), self._timeout)
        return True

    async def _pairs(self, name: str, arguments: Iterable[Key]) -> list[tuple[K, V]]:
        """Call a function that returns keys and values."""
        frame = await self._function(name, arguments, NO_UPDATE_LOG, True)
        if frame is None:
            raise ServerError(f"the server reports that {name} failed", code=1)
        with self._values.decoding:
            return decode_misc_pairs(frame, self._decode_keys, self._values.loads)

    async def _regex(self, regex: Key, max_keys: int | None) -> bytes:
        frame = await self._function("regex", (regex, str(max_keys or 0)), NO_UPDATE_LOG, True)
        if frame is None:
            raise ServerError(f"the server cannot search for {regex!r}", code=1)
        return frame
