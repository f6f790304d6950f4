# Generated from records_async.py by tools/async_to_sync.py: edit that one.
"""The requests of the asyncio client for Kyoto Tycoon: records, scripts, searches, iteration.

Records are read and written through the binary protocol where it can, which is quicker, and through
remote procedure calls otherwise; both travel on the same connection, so a call always sees what was
written before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from kt.client.arguments import checked_db, listed, mapped, merged, no_counter, no_function
from kt.client.expiry import pack_expiry, seconds_until, unpack_expiry, with_packed_expiry
from kt.client.patterns import glob_regex
from kt.client.tycoon.admin import TycoonAdmin
from kt.client.tycoon.columns import (
    MISSED,
    Columns,
    column,
    double,
    expiry,
    integer,
    number,
    origin,
    unpack_double,
    unpack_int,
)
from kt.client.tycoon.cursor import Cursor, RecordScan, Scan
from kt.client.values import RAW
from kt.errors import ArgumentError, ServerError
from kt.options import Origin
from kt.types import Check, ExpireTime, K, Key, Record, V
from kt.wire.codec import encode_key
from kt.wire.tycoon import (
    NO_REPLY,
    database_of,
    decode_get_bulk,
    decode_get_bulk_details,
    decode_play_script,
    pack_get,
    pack_get_bulk,
    pack_get_bulk_details,
    pack_play_script,
    pack_remove,
    pack_remove_bulk,
    pack_remove_bulk_details,
    pack_set,
    pack_set_bulk,
    pack_set_bulk_details,
    read_get_bulk_reply,
    read_get_reply,
    read_play_script_reply,
    read_remove_bulk_reply,
    read_set_bulk_reply,
    records_of,
)
from kt.wire.tycoon_rpc import (
    decode_bulk,
    decode_columns,
    decode_keys,
    key_columns,
    record_columns,
)
from kt.wire.values import TEXT

T = TypeVar("T")


class TycoonRecords(TycoonAdmin[K, V]):
    """Every request of `KyotoTycoon`; a pipeline has them too."""

    # ------------------------------------------------------------------------------ one record

    def get(self, key: Key, db: int | None = None) -> V | None:
        """Return the value of `key`, or None if there is none."""
        request = pack_get(key, self._db if db is None else db)
        data = self._call(request, read_get_reply, True)
        return None if data is None else self._values.load(data, key)

    def get_or(self, key: Key, default: T, db: int | None = None) -> V | T:
        """Return the value of `key`, or `default`, as it is, if there is no record.

        Unlike `get`, this tells a stored None from no record.
        """
        data = self.get_bytes(key, db)
        return default if data is None else self._values.load(data, key)

    def get_bytes(self, key: Key, db: int | None = None) -> bytes | None:
        """Return the value of `key` as it is stored, or None if there is none."""
        request = pack_get(key, self._db if db is None else db)
        return self._call(request, read_get_reply, True)

    def get_int(self, key: Key, db: int | None = None) -> int | None:
        """Return the number that `incr` keeps at `key`, or None if there is no record.

        Raises:
            SerializationError: the record is no such number.
        """
        data = self.get_bytes(key, db)
        return None if data is None else unpack_int(data, key)

    def get_double(self, key: Key, db: int | None = None) -> float | None:
        """Return the number that `incr_double` keeps at `key`, or None if there is no record.

        Raises:
            SerializationError: the record is no such number.
        """
        data = self.get_bytes(key, db)
        return None if data is None else unpack_double(data, key)

    def set(
        self,
        key: Key,
        value: Any,
        db: int | None = None,
        expire_time: ExpireTime | None = None,
        *,
        no_reply: bool = False,
    ) -> int:
        """Store a record, whether there is one or not. Without `expire_time` it does not expire.

        Args:
            key: its key.
            value: its value.
            db: index of the database.
            expire_time: when it expires.
            no_reply: do not wait for the server. What this thread or task calls next still finds
                the record, but nobody learns of a failure.

        Returns:
            1; 0 with `no_reply`.

        Raises:
            ServerError: the server has no such database.
        """
        data = self._values.dump(value, key)
        index = self._db if db is None else db
        request = pack_set(key, data, index, pack_expiry(expire_time), NO_REPLY if no_reply else 0)
        return self._write(request, no_reply, 1)

    def set_bytes(
        self,
        key: Key,
        value: bytes,
        db: int | None = None,
        expire_time: ExpireTime | None = None,
        *,
        no_reply: bool = False,
    ) -> int:
        """As `set`, with a value that is stored as it is."""
        data = RAW.dump(value, key)
        index = self._db if db is None else db
        request = pack_set(key, data, index, pack_expiry(expire_time), NO_REPLY if no_reply else 0)
        return self._write(request, no_reply, 1)

    def remove(self, key: Key, db: int | None = None, *, no_reply: bool = False) -> int:
        """Remove a record. Returns how many were: 1, or 0 if there was none, or with `no_reply`."""
        index = self._db if db is None else db
        request = pack_remove(key, index, NO_REPLY if no_reply else 0)
        return self._remove(request, no_reply)

    def add(
        self,
        key: Key,
        value: Any,
        db: int | None = None,
        expire_time: ExpireTime | None = None,
    ) -> bool:
        """Store a record if there is none yet. Returns whether it was stored."""
        return self._store("add", key, value, db, expire_time)

    def replace(
        self,
        key: Key,
        value: Any,
        db: int | None = None,
        expire_time: ExpireTime | None = None,
    ) -> bool:
        """Store a record if there is one already. Returns whether it was stored."""
        return self._store("replace", key, value, db, expire_time)

    def append(
        self,
        key: Key,
        value: Any,
        db: int | None = None,
        expire_time: ExpireTime | None = None,
    ) -> bool:
        """Put the bytes of `value` after those of the record; without one, as `set`. Returns True.

        The record expires as `expire_time` says, whatever was said before.
        """
        return self._store("append", key, value, db, expire_time)

    def cas(
        self,
        key: Key,
        old_val: Any,
        new_val: Any,
        db: int | None = None,
        expire_time: ExpireTime | None = None,
    ) -> bool:
        """Compare and swap: if the value of `key` is `old_val`, make it `new_val`.

        None stands for no record: as `old_val`, there must be none; as `new_val`, it is removed.
        Values are compared as they are stored, byte by byte.

        Returns:
            Whether the value was `old_val`.
        """
        columns = self._record(key, db)
        for name, value in (("oval", old_val), ("nval", new_val)):
            if value is not None:
                columns.append((name, self._values.dump(value, key)))
        reply = self._try_rpc("cas", [*columns, *expiry(expire_time)])
        return reply is not None

    def incr(
        self,
        key: Key,
        n: int = 1,
        orig: int | Origin | None = None,
        db: int | None = None,
        expire_time: ExpireTime | None = None,
    ) -> int:
        """Add `n` to the number at `key` and return the sum.

        The record is 8 bytes: the number as a big-endian signed integer, which `get_int` reads.
        Sums outside of 64 bits wrap round. Adding 0 to a record changes nothing, not even its
        expiry.

        Args:
            key: its key.
            n: what to add.
            orig: the number to start from where there is no record (None: 0), or what else to do.
            db: index of the database.
            expire_time: when the record expires.

        Raises:
            ServerError: the record is no such number, or there is none and `orig` is Origin.TRY.
        """
        columns = [*self._record(key, db), *integer("num", n), *origin(orig, integer)]
        try:
            reply = self._rpc("increment", [*columns, *expiry(expire_time)])
        except ServerError as error:
            raise self._explained(error, key, db, 8) from error
        return number(decode_columns(reply.body, reply.encoding), b"num", int)

    def decr(
        self,
        key: Key,
        n: int = 1,
        orig: int | Origin | None = None,
        db: int | None = None,
        expire_time: ExpireTime | None = None,
    ) -> int:
        """Subtract `n` from the number at `key`, and return the difference; see `incr`."""
        return self.incr(key, -n, orig, db, expire_time)

    def incr_double(
        self,
        key: Key,
        n: float = 1.0,
        orig: float | Origin | None = None,
        db: int | None = None,
        expire_time: ExpireTime | None = None,
    ) -> float:
        """Add `n` to the number at `key` and return the sum, with 6 decimals.

        The record is 16 bytes, the integral part and the fraction times 10**15, both as big-endian
        signed integers; `get_double` reads it with all its decimals.

        Args:
            key: its key.
            n: what to add.
            orig: the number to start from where there is no record (None: 0.0), or what else to do.
            db: index of the database.
            expire_time: when the record expires.

        Raises:
            ServerError: the record is no such number, or there is none and `orig` is Origin.TRY.
        """
        columns = [*self._record(key, db), *double("num", n), *origin(orig, double)]
        try:
            reply = self._rpc("increment_double", [*columns, *expiry(expire_time)])
        except ServerError as error:
            raise self._explained(error, key, db, 16) from error
        return number(decode_columns(reply.body, reply.encoding), b"num", float)

    def exists(self, key: Key, db: int | None = None) -> bool:
        """Return whether there is a record."""
        reply = self._try_rpc("check", self._record(key, db), True)
        return reply is not None

    def check(self, key: Key, db: int | None = None) -> Check | None:
        """Return size and expiry of a record, or None if there is none."""
        reply = self._try_rpc("check", self._record(key, db), True)
        if reply is None:
            return None
        columns = decode_columns(reply.body, reply.encoding)
        expires = unpack_expiry(number(columns, b"xt", int)) if b"xt" in columns else None
        return Check(number(columns, b"vsiz", int), expires)

    def ttl(self, key: Key, db: int | None = None) -> float | None:
        """Return the seconds until a record expires, by the clock of this machine.

        None if there is no record, infinity if it does not expire, 0 if it is about to.
        """
        found = self.check(key, db)
        return None if found is None else seconds_until(found.expires)

    def length(self, key: Key, db: int | None = None) -> int | None:
        """Return the length of a value in bytes, or None if there is no record."""
        found = self.check(key, db)
        return None if found is None else found.size

    def seize(self, key: Key, db: int | None = None) -> V | None:
        """Remove a record and return its value, or None if there was none."""
        reply = self._try_rpc("seize", self._record(key, db))
        if reply is None:
            return None
        columns = decode_columns(reply.body, reply.encoding)
        value: V = self._values.load(column(columns, b"value"), key)
        return value

    def pop(self, key: Key, db: int | None = None) -> V | None:
        """As `seize`."""
        return self.seize(key, db)

    # ---------------------------------------------------------------------------- many records

    def get_bulk(
        self, keys: Iterable[Key], db: int | None = None, *, atomic: bool = False
    ) -> dict[K, V]:
        """Return the records of those of `keys` that have one, key to value.

        With `atomic`, nobody changes any of them meanwhile.
        """
        values = self._values
        if atomic:
            columns = [*self._target(db), ("atomic", ""), *key_columns(listed(keys))]
            reply = self._rpc("get_bulk", columns, True)
            with values.decoding:
                return decode_bulk(reply.body, reply.encoding, self._decode_keys, values.loads)
        request = pack_get_bulk(listed(keys), self._db if db is None else db)
        frame = self._call(request, read_get_bulk_reply, True)
        with values.decoding:
            return decode_get_bulk(frame, self._decode_keys, values.loads)

    def get_bulk_details(self, keys: Iterable[tuple[int, Key]]) -> list[Record]:
        """Return the records that some (database, key) have, with their expiry."""
        frame = self._call(pack_get_bulk_details(keys), read_get_bulk_reply, True)
        with self._values.decoding:
            records = decode_get_bulk_details(frame, self._decode_keys, self._values.loads)
        return [Record(db, key, value, unpack_expiry(xt)) for db, key, value, xt in records]

    def set_bulk(
        self,
        __data: Mapping[Any, Any] | None = None,
        db: int | None = None,
        expire_time: ExpireTime | None = None,
        *,
        no_reply: bool = False,
        atomic: bool = False,
        **kwargs: Any,
    ) -> int:
        """Store records, key to value, as `set`.

        Args:
            __data: the records.
            db: index of the database.
            expire_time: when they all expire.
            no_reply: do not wait for the server; see `set`.
            atomic: nobody sees some of them stored and others not; where every write is a
                transaction (``-oat``), a crash leaves all of them or none.
            kwargs: more records, as keyword arguments.

        Returns:
            How many were stored; 0 with `no_reply`.

        Raises:
            ServerError: the server has no such database.
        """
        records = merged(__data, kwargs)
        if atomic:
            if no_reply:
                raise ArgumentError("atomic operations have a reply: leave out no_reply")
            with self._values.encoding:
                stored = record_columns(records, self._values.dumps)
            columns = [*self._target(db), ("atomic", ""), *expiry(expire_time), *stored]
            return self._count("set_bulk", columns)
        index = self._db if db is None else db
        xt = pack_expiry(expire_time)
        with self._values.encoding:
            request = pack_set_bulk(
                records, index, xt, self._values.dumps, NO_REPLY if no_reply else 0
            )
        return self._write(request, no_reply, records_of(request))

    def update(
        self,
        __data: Mapping[Any, Any] | Iterable[tuple[Any, Any]] | None = None,
        db: int | None = None,
        expire_time: ExpireTime | None = None,
        *,
        no_reply: bool = False,
        atomic: bool = False,
        **kwargs: Any,
    ) -> int:
        """As `set_bulk`; the records may be pairs, too: of those of equal key the last counts."""
        records = merged(mapped(__data), kwargs)
        return self.set_bulk(records, db, expire_time, no_reply=no_reply, atomic=atomic)

    def set_bulk_details(
        self,
        records: Iterable[tuple[int, Key, Any, ExpireTime | None]],
        *,
        no_reply: bool = False,
    ) -> int:
        """Store records in several databases, each with its own expiry.

        Args:
            records: `kt.Record` objects, or (database, key, value, expiry).
            no_reply: do not wait for the server; see `set`.

        Returns:
            How many were stored; 0 with `no_reply`.

        Raises:
            ServerError: the server has not all of these databases; the records of those that it
                has were stored.
        """
        packed = with_packed_expiry(records)
        with self._values.encoding:
            request = pack_set_bulk_details(packed, self._values.dumps, NO_REPLY if no_reply else 0)
        return self._write(request, no_reply, records_of(request))

    def remove_bulk(
        self,
        keys: Iterable[Key],
        db: int | None = None,
        *,
        no_reply: bool = False,
        atomic: bool = False,
    ) -> int:
        """Remove records. Returns how many there were; 0 with `no_reply`."""
        if atomic:
            if no_reply:
                raise ArgumentError("atomic operations have a reply: leave out no_reply")
            columns = [*self._target(db), ("atomic", ""), *key_columns(listed(keys))]
            return self._count("remove_bulk", columns)
        index = self._db if db is None else db
        request = pack_remove_bulk(listed(keys), index, NO_REPLY if no_reply else 0)
        return self._remove(request, no_reply)

    def remove_bulk_details(
        self, keys: Iterable[tuple[int, Key]], *, no_reply: bool = False
    ) -> int:
        """Remove some (database, key). Returns how many there were; 0 with `no_reply`."""
        request = pack_remove_bulk_details(keys, NO_REPLY if no_reply else 0)
        return self._remove(request, no_reply)

    def script(
        self,
        name: str,
        __data: Mapping[Any, Any] | None = None,
        encode_values: bool = True,
        *,
        no_reply: bool = False,
        **kwargs: Any,
    ) -> dict[K, Any]:
        """Call a Lua function of the server.

        Args:
            name: of the function.
            __data: its parameters.
            encode_values: serialize the parameters and deserialize the results; otherwise text is
                sent as UTF-8, bytes as they are, and the results are bytes.
            no_reply: do not wait for the server; see `set`.
            kwargs: more parameters, as keyword arguments.

        Returns:
            What the function returned; empty with `no_reply`.

        Raises:
            ServerError: there is no such function, or it failed: the server's log says why.
        """
        values = self._values if encode_values else RAW
        dumps = values.dumps if encode_values else TEXT
        with values.encoding:
            request = pack_play_script(
                name, merged(__data, kwargs), dumps, NO_REPLY if no_reply else 0
            )
        if no_reply:
            self._pool.send(request, self._timeout)
            return {}
        try:
            frame = self._call(request, read_play_script_reply)
        except ServerError as error:
            raise no_function(error, name) from None
        with values.decoding:
            return decode_play_script(frame, self._decode_keys, values.loads)

    # --------------------------------------------------------------------------- search

    def match_prefix(
        self, prefix: Key, max_keys: int | None = None, db: int | None = None
    ) -> list[K]:
        """Return the keys that begin with `prefix`, at most `max_keys`."""
        return self._match("match_prefix", [("prefix", encode_key(prefix))], max_keys, db)

    def match_regex(
        self, regex: Key, max_keys: int | None = None, db: int | None = None
    ) -> list[K]:
        """Return the keys in which a POSIX extended regular expression is found.

        Raises:
            ServerError: it is no regular expression.
        """
        return self._match("match_regex", [("regex", encode_key(regex))], max_keys, db)

    def match_glob(
        self, pattern: Key, max_keys: int | None = None, db: int | None = None
    ) -> list[K]:
        """Return the keys that a pattern as in a shell fits, ``user:*:name`` for example.

        ``*`` stands for any bytes, ``?`` for one (a letter beyond ASCII has several), ``[a-f]`` and
        ``[!a-f]`` for one of these or of others, and a backslash takes the sense from what follows.

        Args:
            pattern: fits the whole key.
            max_keys: how many keys at most; None: all.
            db: index of the database.
        """
        return self.match_regex(glob_regex(pattern), max_keys, db)

    def match_similar(
        self,
        origin: Key,
        distance: int | None = None,
        max_keys: int | None = None,
        db: int | None = None,
        *,
        utf8: bool | None = None,
    ) -> list[K]:
        """Return the keys that are like `origin`, the likest first.

        Args:
            origin: what to compare with.
            distance: how many characters may be inserted, removed or changed; None: 1.
            max_keys: how many keys at most.
            db: index of the database.
            utf8: count characters, not bytes; None: if the client decodes keys.
        """
        columns: Columns = [("origin", encode_key(origin))]
        if distance is not None:
            columns.append(("range", distance))
        if self._decode_keys if utf8 is None else utf8:
            columns.append(("utf", ""))
        return self._match("match_similar", columns, max_keys, db)

    def keys(self, db: int | None = None) -> list[K]:
        """Return all keys. Where they may be too many for one list, iterate over the client."""
        return self.match_prefix("", db=db)

    # ------------------------------------------------------------------------------- iteration

    def cursor(self, db: int | None = None) -> Cursor[K, V]:
        """Return a new cursor, which stands nowhere yet."""
        index = self._db if db is None else checked_db(db)
        return Cursor(self._pool, self._values, self._decode_keys, self._timeout, index)

    def __iter__(self) -> Scan[K]:
        return RecordScan(self.cursor(), "cur_get_key", 0)

    def values(self, db: int | None = None) -> Scan[V]:
        """Iterate over all values; they are asked for in batches, as they are needed."""
        return RecordScan(self.cursor(db), "cur_get_value", 1)

    def items(self, db: int | None = None) -> Scan[tuple[K, V]]:
        """Iterate over all keys and values; they are asked for in batches, as they are needed."""
        return RecordScan(self.cursor(db), "cur_get")

    # --------------------------------------------------------------------------------- helpers

    def _write(self, request: bytes, no_reply: bool, records: int) -> int:
        """Have records stored. Returns how many, 0 with `no_reply`."""
        if no_reply:
            self._pool.send(request, self._timeout)
            return 0
        stored = self._call(request, read_set_bulk_reply)
        if stored < records:  # the server leaves out what it has no database for
            some = f"stored {stored} of {records} records" if stored else database_of(request)
            raise ServerError(f"no such database: {some}")
        return stored

    def _remove(self, request: bytes, no_reply: bool) -> int:
        """Have records removed. Returns how many, 0 with `no_reply`."""
        if no_reply:
            self._pool.send(request, self._timeout)
            return 0
        return self._call(request, read_remove_bulk_reply)

    def _explained(self, error: ServerError, key: Key, db: int | None, size: int) -> ServerError:
        """Return what says more about a counter of `size` bytes that cannot be added to."""
        if self._pipelined or error.code != MISSED:
            return error  # a pipeline has one exchange for each call
        return no_counter(error, key, self.length(key, db), size)

    def _record(self, key: Key, db: int | None) -> Columns:
        """Return the columns that name a record."""
        return [*self._target(db), ("key", encode_key(key))]

    def _store(
        self,
        procedure: str,
        key: Key,
        value: Any,
        db: int | None,
        expire_time: ExpireTime | None,
    ) -> bool:
        """Call a procedure that stores one record; False if it does not because of the record."""
        columns = [*self._record(key, db), ("value", self._values.dump(value, key))]
        return self._try_rpc(procedure, [*columns, *expiry(expire_time)]) is not None

    def _count(self, procedure: str, columns: Columns) -> int:
        """Call a procedure that returns a number of records."""
        reply = self._rpc(procedure, columns)
        return number(decode_columns(reply.body, reply.encoding), b"num", int)

    def _match(
        self, procedure: str, columns: Columns, max_keys: int | None, db: int | None
    ) -> list[K]:
        """Call a procedure that finds keys."""
        columns += self._target(db)
        if max_keys is not None:
            columns.append(("max", max_keys))
        reply = self._rpc(procedure, columns, True)
        return decode_keys(reply.body, reply.encoding, self._decode_keys)
